"""The printed form of a run: the cookbooks' transcript, and nothing a model writes may steer the terminal."""

import io
import re
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from rich.console import Console

from agentkit.base.terminal import escape_controls
from agentkit.console import messages_text, render_messages, render_turn, turn_text
from agentkit.turn import Artifact, Citation, Observation, Step, StopReason, Turn

QUERY = "Look for GLBRL0000GACHALE, nmg 0000234GLCZD0000GUREDTOAA and car products"
CODES = "{'nmgs': ['0000234GLCZD0000GUREDTOAA'], 'objref': ['GLBRL0000GACHALE']}"
ANSWER = '[{"objref": ["GLBRL0000GACHALE"]}]'


def step(**changes) -> Step:
    given = {
        "tool": "regex_extractor",
        "tool_input": {"user_query": QUERY},
        "observation": CODES,
        "call_id": "c1",
        "round": 1,
        "plan": "I will use the regex_extractor tool to extract the codes from the user query.",
        "result": Observation(content=changes.get("observation", CODES)),
    }
    return Step(**{**given, **changes})


def cookbook_turn(**changes) -> Turn:
    cited = Citation(start=14, end=30, text="GLBRL0000GACHALE", sources=("c1:0",), call_ids=("c1",))
    return Turn(**{"input": QUERY, "steps": (step(),), "output": ANSWER, "citations": (cited,), **changes})


def printed(turn: Turn, **console) -> str:
    out = io.StringIO()
    render_turn(turn, Console(file=out, **console))
    return out.getvalue()


def test_a_turn_reads_like_the_cookbooks_transcript():
    assert turn_text(cookbook_turn()) == (
        "> Entering new agent chain...\n"
        "\n"
        "I will use the regex_extractor tool to extract the codes from the user query.\n"
        "{'tool_name': 'regex_extractor', 'parameters': {'user_query': 'Look for GLBRL0000GACHALE, nmg "
        "0000234GLCZD0000GUREDTOAA and car products'}}\n"
        "{'nmgs': ['0000234GLCZD0000GUREDTOAA'], 'objref': ['GLBRL0000GACHALE']}\n"
        "Relevant Documents: 0\n"
        "Cited Documents: 0\n"
        'Answer: [{"objref": ["GLBRL0000GACHALE"]}]\n'
        'Grounded answer: [{"objref": ["<co: 0>GLBRL0000GACHALE</co: 0>"]}]\n'
        "\n"
        "> Finished chain.\n"
    )


@pytest.mark.parametrize("empty", ["", "{}", "[]", "None", "null", " \n"])
def test_a_result_without_content_is_no_relevant_document(empty):
    steps = (
        step(observation=empty, call_id="a"),
        step(call_id="b"),
        step(observation="(no output)", result=Observation(content=empty), call_id="c"),
    )
    text = turn_text(cookbook_turn(steps=steps, citations=()))
    assert "\nRelevant Documents: 1\nCited Documents: None\n" in text


def test_documents_of_several_steps_are_listed_by_number_failed_ones_too():
    steps = (step(call_id="a", observation="no such file", ok=False), step(call_id="b"), step(call_id="c"))
    both = Citation(start=0, end=1, text="[", sources=("c:0", "a:0"), call_ids=("c", "a"))
    text = turn_text(cookbook_turn(steps=steps, citations=(both,)))
    assert "\nRelevant Documents: 0,1,2\nCited Documents: 0,2\n" in text
    assert "Grounded answer: <co: 2,0>[</co: 2,0>{" in text


def test_a_turn_without_tools_has_no_documents():
    text = turn_text(Turn(input="plot revenue numbers", output="Which data?"))
    assert text == (
        "> Entering new agent chain...\n\nRelevant Documents: None\nCited Documents: None\n"
        "Answer: Which data?\nGrounded answer: Which data?\n\n> Finished chain.\n"
    )


@pytest.mark.parametrize("reason", sorted(set(get_args(StopReason)) - {"answered"}))
def test_a_turn_that_was_not_answered_says_why(reason):
    assert f"\nStopped: {reason} (" in turn_text(cookbook_turn(stop_reason=reason))


def test_files_are_named_after_the_call_that_made_them():
    made = Observation(content="", artifacts=(Artifact(name="a.png", data=b"x"), Artifact(name="b.csv", data=b"")))
    text = turn_text(cookbook_turn(steps=(step(observation="", result=made), step(call_id="c2"))))
    assert "products'}}\nFiles: a.png, b.csv\nI will use" in text


def test_model_text_is_not_read_as_markup_and_not_changed():
    text = "[bold]x[/bold] [/nonsense] :smile: \\[a] http://x.y\ttab  \n  trailing   \n[red]"
    turn = cookbook_turn(output=text, citations=(), steps=(step(observation=text, plan=text),))
    assert printed(turn) == turn_text(turn)
    assert turn_text(turn).count(text) == 4


def test_a_file_gets_no_colour_and_no_wrapping():
    turn = cookbook_turn(output="word " * 200, citations=())
    assert printed(turn, width=20) == turn_text(turn)


def test_a_terminal_gets_colours_and_the_same_text():
    turn = cookbook_turn()
    shown = printed(turn, force_terminal=True, color_system="standard", width=20, _environ={})
    assert "\x1b[" in shown
    assert re.sub(r"\x1b\[[0-9;]*m", "", shown) == turn_text(turn)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("\x1b[2J\x9b31m", "\\x1b[2J\\x9b31m"),
        ("safe\rrm -rf", "safe\\x0drm -rf"),
        ("dos\r\nline", "dos\nline"),
        ("nul\x00 and \ud800", "nul\\x00 and \\ud800"),
        ("é 漢 \N{NO-BREAK SPACE}\t\n", "é 漢 \N{NO-BREAK SPACE}\t\n"),
    ],
)
def test_what_steers_a_terminal_is_spelled_out(text, shown):
    assert escape_controls(text) == shown
    turn = cookbook_turn(output=text, citations=(), steps=(step(observation=text, plan=f"plan {text}"),))
    assert turn_text(turn).count(shown.rstrip("\n")) == 4


@settings(deadline=None)
@given(st.text(), st.text(), st.dictionaries(st.text(), st.text()))
def test_no_text_of_a_turn_reaches_the_terminal_raw(said, name, arguments):
    made = Observation(content=said, artifacts=(Artifact(name=name, data=b""),))
    turn = Turn(
        input=said,
        output=said,
        steps=(Step(tool=name, tool_input=arguments, observation=said, plan=said, result=made),),
    )
    text = turn_text(turn)
    text.encode()
    assert not [c for c in text if c not in "\n\t" and (c < " " or "\x7f" <= c <= "\x9f")]
    assert printed(turn) == text


MESSAGES = [
    SystemMessage("Be [brief]."),
    HumanMessage("plot revenue numbers"),
    AIMessage("I will plot.", tool_calls=[{"name": "python_interpreter", "args": {"code": "1"}, "id": "c"}]),
    ToolMessage("done\x1b[2J", tool_call_id="c"),
    AIMessage([{"type": "text", "text": "Here"}, {"type": "image_url", "image_url": "u"}]),
]


def test_messages_are_printed_with_their_roles_and_calls():
    out = io.StringIO()
    render_messages(MESSAGES, Console(file=out, width=10))
    assert out.getvalue() == messages_text(MESSAGES)
    assert messages_text(MESSAGES) == (
        "system: Be [brief].\n"
        "user: plot revenue numbers\n"
        "assistant: I will plot.\n"
        "{'tool_name': 'python_interpreter', 'parameters': {'code': '1'}}\n"
        "tool: done\\x1b[2J\n"
        "assistant: Here\n{'type': 'image_url', 'image_url': 'u'}\n"
    )


def test_without_a_console_it_goes_to_standard_output(capsys):
    render_turn(cookbook_turn())
    render_messages(MESSAGES)
    assert capsys.readouterr().out == turn_text(cookbook_turn()) + messages_text(MESSAGES)
