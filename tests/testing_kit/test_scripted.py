import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool

from agentkit.errors import InputError
from agentkit.testing import ScriptedChat, ScriptError, cite, reply
from agentkit.testing.replies import pieces, place


@tool(description="Look something up.")
def search(q: str) -> str:
    return q


CALLS = reply(plan="I will look.", calls=[("search", {"q": "red"}), ("search", {"q": "blue"})], usage=(120, 30))


def streamed(model, question):
    chunks = list(model.stream(question))
    total = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    return chunks, total


def test_plays_its_replies_in_order_and_keeps_what_it_was_asked():
    model = ScriptedChat([CALLS, "Two pairs."])
    bound = model.bind_tools([search], tool_choice="any")
    first = bound.invoke([SystemMessage("Be brief."), HumanMessage("Shoes?")])
    assert first.text == "I will look."
    assert [(c["name"], c["args"], c["id"]) for c in first.tool_calls] == [
        ("search", {"q": "red"}, "call_1"),
        ("search", {"q": "blue"}, "call_2"),
    ]
    assert first.usage_metadata == {"input_tokens": 120, "output_tokens": 30, "total_tokens": 150}
    assert first.response_metadata["finish_reason"] == "TOOL_CALL"
    last = model.invoke("And?", stop=["."])
    assert (last.text, last.usage_metadata, last.response_metadata["finish_reason"]) == ("Two pairs.", None, "COMPLETE")
    asked, again = model.requests
    assert [m.text for m in asked.messages] == ["Be brief.", "Shoes?"]
    assert (asked.tools, asked.options) == (("search",), {"tool_choice": "any"})
    assert (again.tools, again.options) == ((), {"stop": ["."]})
    model.assert_all_used()


def test_a_request_too_many_says_which_and_what_was_asked():
    model = ScriptedChat(["one"])
    model.invoke("first")
    with pytest.raises(ScriptError, match=r"no reply for request 2: its script has 1.*human: 'second'.*tools: search"):
        model.bind_tools([search]).invoke("second")
    with pytest.raises(ScriptError, match="asked 2 times and has 1 replies"):
        model.assert_all_used()
    assert issubclass(ScriptError, AssertionError)


def test_a_reply_never_asked_for_is_told():
    model = ScriptedChat(["one", "two"])
    model.invoke("first")
    with pytest.raises(ScriptError, match="asked 1 times and has 2 replies: the next would have been 'two'"):
        model.assert_all_used()


def test_entries_may_be_messages_exceptions_and_functions():
    ready = AIMessage("as it is", id="mine")
    model = ScriptedChat([ready, TimeoutError("too slow"), lambda messages: f"you said {messages[-1].text}"])
    assert model.invoke("a") is ready
    with pytest.raises(TimeoutError, match="too slow"):
        model.invoke("b")
    assert model.invoke("c").text == "you said c"
    model.assert_all_used()


@pytest.mark.parametrize("entry", [3, None, reply(status=429), reply(body="<html>")])
def test_what_it_cannot_play_is_an_input_error(entry):
    with pytest.raises(InputError):
        ScriptedChat([entry]).invoke("hi")


def test_a_stream_adds_up_to_what_invoke_gives():
    written = [CALLS, reply("It's 27 °C, “fine”.\n\n  Bye.", thinking="Hm, well.", usage=(7, 5), finish="MAX_TOKENS")]
    for entry in written:
        whole = ScriptedChat([entry]).invoke("hi")
        chunks, total = streamed(ScriptedChat([entry]), "hi")
        assert len(chunks) > 5
        assert total.text == whole.text
        assert total.tool_calls == whole.tool_calls
        assert total.usage_metadata == whole.usage_metadata
        assert total.response_metadata["finish_reason"] == whole.response_metadata["finish_reason"]
        assert [b.get("reasoning") for b in total.content_blocks] == [b.get("reasoning") for b in whole.content_blocks]


def test_async_invoke_and_stream_give_the_same():
    async def run():
        model = ScriptedChat([CALLS, CALLS])
        whole = await model.ainvoke("hi")
        parts = [chunk async for chunk in model.astream("hi")]
        total = parts[0]
        for part in parts[1:]:
            total += part
        return whole, total

    whole, total = asyncio.run(run())
    assert (total.text, total.usage_metadata) == (whole.text, whole.usage_metadata)
    assert [c["args"] for c in total.tool_calls] == [c["args"] for c in whole.tool_calls]
    assert [c["id"] for c in total.tool_calls] == ["call_3", "call_4"]


def test_thinking_is_a_standard_reasoning_block():
    message = ScriptedChat([reply("Osaka.", thinking="Second largest?")]).invoke("hi")
    assert message.content_blocks == [
        {"type": "reasoning", "reasoning": "Second largest?"},
        {"type": "text", "text": "Osaka."},
    ]
    assert message.text == "Osaka."


def test_broken_arguments_and_given_ids_are_played_as_written():
    entry = reply(calls=[("search", "red", "x"), ("search", {}, "x")])
    for message in (ScriptedChat([entry]).invoke("hi"), streamed(ScriptedChat([entry]), "hi")[1]):
        assert [(c["args"], c["id"]) for c in message.tool_calls] == [({}, "x")]
        assert [(c["args"], c["id"]) for c in message.invalid_tool_calls] == [("red", "x")]


def test_citations_point_to_results_of_this_turn():
    history = [
        HumanMessage("old"),
        AIMessage("", tool_calls=[{"name": "search", "args": {}, "id": "old_1"}]),
        ToolMessage("stale", tool_call_id="old_1"),
        AIMessage("so"),
        HumanMessage("new"),
        AIMessage("", tool_calls=[{"name": "search", "args": {}, "id": "new_1"}]),
        ToolMessage("fresh", tool_call_id="new_1"),
    ]
    script = [
        reply("red, red", citations=[cite("red", call=0, occurrence=1)]),
        reply("x", citations=[cite("x", call=1)]),
    ]
    model = ScriptedChat(script)
    assert model.invoke(history).additional_kwargs["citations"] == [
        {
            "start": 5,
            "end": 8,
            "text": "red",
            "sources": [{"type": "tool", "id": "new_1:0", "tool_output": {"output": "fresh"}}],
        }
    ]
    with pytest.raises(InputError, match="names call 1, but this turn has 1 results"):
        model.invoke(history)


def test_a_scripted_cut_raises_in_the_middle_of_a_stream():
    seen = []
    with pytest.raises(ConnectionError, match="cut_after=2"):
        for chunk in ScriptedChat([reply("one two three four", cut_after=2)]).stream("hi"):
            seen.append(chunk.text)
    assert seen == ["one", " two"]
    with pytest.raises(ConnectionError):
        ScriptedChat([reply("one", cut_after=0)]).invoke("hi")


def test_threads_may_ask_at_once():
    model = ScriptedChat([str(n) for n in range(200)])
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: model.invoke(str(n)).text, range(200)))
    assert sorted(answers, key=int) == [str(n) for n in range(200)]
    model.assert_all_used()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: reply("red", citations=[cite("blue", call=0)]), "'blue' .occurrence 0. is not in the answer 'red'"),
        (lambda: reply("red", citations=[cite("red", call=0, occurrence=1)]), "occurrence 1"),
        (lambda: cite("red"), "call=0 or document='doc-0'"),
        (lambda: cite("", call=0), "needs a text"),
        (lambda: reply(calls=cast(Any, ["search"])), "a tuple"),
        (lambda: reply(calls=[("search", 3)]), "a tuple"),
    ],
)
def test_a_script_that_cannot_be_is_refused_when_written(make, message):
    with pytest.raises(InputError, match=message):
        make()


@given(st.text())
def test_pieces_are_the_text_again(text):
    assert "".join(pieces(text)) == text


def test_pieces_are_small():
    assert pieces("It's 27 °C, “ok”!") == ["It", "'s", " 2", "7", " °", "C", ",", " “", "ok", "”", "!"]
    assert pieces('{\n    "a": 1\n}') == ["{", "\n   ", ' "', "a", '"', ":", " 1", "\n", "}"]
    assert json.loads("".join(pieces('{\n    "a": 1\n}'))) == {"a": 1}


def test_place_counts_occurrences():
    assert [place(cite("aa", call=0, occurrence=n), "aaa") for n in (0, 1)] == [(0, 2), (1, 3)]
