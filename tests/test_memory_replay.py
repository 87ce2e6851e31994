"""What each way to remember shows a model, to the byte."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from agentkit import ConfigError, InputError, Observation, Step, StopReason, Turn, validate_history
from agentkit.memory import Memory, estimate_tokens
from agentkit.memory.replay import MESSAGE_TOKENS, ReplayMode

PLOT = "plt.plot(df['time'], df['revenue'])\nplt.savefig('revenue_plot.png')"
MODES = ["none", "answers", "dialogue", "objects", "calls"]


def python(code: str, observation: str, facts: dict | None = None, ok: bool = True) -> Step:
    result = Observation(content=observation, ok=ok, facts=facts)
    return Step(tool="python_interpreter", tool_input={"code": code}, observation=observation, ok=ok, result=result)


CONVERSATION = [
    Turn(
        input="read revenue_table.csv and show me the column names",
        steps=(
            python("df = pd.read_csv('revenue.csv')", "FileNotFoundError: revenue.csv", ok=False),
            python(
                "df = pd.read_csv('revenue_table.csv')",
                "['time', 'revenue']",
                {"variables": [{"name": "df", "type": "DataFrame", "shape": [12, 4]}]},
            ),
        ),
        output="time and revenue",
    ),
    Turn(
        input="plot revenue numbers",
        steps=(python(PLOT, "Files written: revenue_plot.png", {"files": ["revenue_plot.png"]}),),
        output="Here is the plot.",
    ),
    Turn(input="thank you", output="You are welcome."),
]

ASKED = [("human", turn.input) for turn in CONVERSATION]
ANSWERED = [("ai", turn.output) for turn in CONVERSATION]
GOLDEN = {
    "none": [],
    "answers": ANSWERED,
    "dialogue": [message for pair in zip(ASKED, ANSWERED, strict=True) for message in pair],
    "objects": [
        ASKED[0],
        (
            "system",
            "Record of t1:\n"
            "python_interpreter code=df = pd.read_csv('revenue.csv') → failed: FileNotFoundError: revenue.csv\n"
            "python_interpreter code=df = pd.read_csv('revenue_table.csv') → "
            "variables {name: df, type: DataFrame, shape: 12, 4}",
        ),
        ANSWERED[0],
        ASKED[1],
        (
            "system",
            "Record of t2:\n"
            "python_interpreter\n"
            "  code:\n"
            "    plt.plot(df['time'], df['revenue'])\n"
            "    plt.savefig('revenue_plot.png')",
        ),
        ANSWERED[1],
        ASKED[2],
        ANSWERED[2],
    ],
    "calls": [
        ASKED[0],
        ("ai", [("t1.s1", "df = pd.read_csv('revenue.csv')"), ("t1.s2", "df = pd.read_csv('revenue_table.csv')")]),
        ("tool", "t1.s1 failed: FileNotFoundError: revenue.csv"),
        ("tool", "t1.s2 variables {name: df, type: DataFrame, shape: 12, 4}"),
        ANSWERED[0],
        ASKED[1],
        ("ai", [("t2.s1", PLOT)]),
        ("tool", "t2.s1 (nothing new)"),
        ANSWERED[1],
        ASKED[2],
        ANSWERED[2],
    ],
}


def plain(messages):
    out = []
    for m in messages:
        if isinstance(m, ToolMessage):
            out.append(("tool", f"{m.tool_call_id} {m.content}"))
        elif isinstance(m, AIMessage) and m.tool_calls:
            out.append(("ai", [(c["id"], c["args"]["code"]) for c in m.tool_calls]))
        else:
            out.append((m.type, m.content))
    return out


def memory_of(turns, mode: str, **more) -> Memory:
    memory = Memory(replay=mode, **more)
    for turn in turns:
        memory.append("s", turn)
    return memory


@pytest.mark.parametrize("mode", MODES)
def test_what_the_model_is_shown(mode):
    assert plain(memory_of(CONVERSATION, mode).replay("s")) == GOLDEN[mode]


def test_a_session_that_does_not_exist_yet_replays_nothing():
    assert Memory().replay("new") == []


@pytest.mark.parametrize("mode", ["Objects", "", "everything", None])
def test_unknown_modes(mode):
    with pytest.raises(ConfigError, match="replay is .*: give one of none, answers, dialogue, objects, calls"):
        Memory(replay=mode)


@pytest.mark.parametrize(
    ("stop", "said"),
    [
        ("interrupted", "(no answer: the run was interrupted)"),
        ("model_error", "(no answer: the model ended with an error)"),
        ("empty_reply", "(no answer: the model's reply was empty)"),
        ("answered", "(no answer)"),
    ],
)
def test_an_empty_answer_is_said_in_words(stop: StopReason, said):
    replayed = memory_of([Turn(input="q", stop_reason=stop)], "dialogue").replay("s")
    assert plain(replayed) == [("human", "q"), ("ai", said)]


# --- properties ------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(), max_size=40) | st.sampled_from(["", " ", "\n", "\x00", "\ud800", "START TOOL 0"])
STEPS = st.builds(
    Step,
    tool=TEXT,
    tool_input=st.dictionaries(TEXT, TEXT | st.integers() | st.lists(TEXT, max_size=2), max_size=2),
    observation=TEXT,
    ok=st.booleans(),
)
STOPS = st.sampled_from(["answered", "interrupted", "empty_reply", "max_steps"])
TURNS = st.lists(
    st.builds(Turn, input=TEXT, steps=st.lists(STEPS, max_size=3).map(tuple), output=TEXT, stop_reason=STOPS),
    min_size=1,
    max_size=6,
)


@settings(max_examples=150, deadline=None)
@given(TURNS, st.sampled_from(MODES))
def test_any_session_replays_as_a_valid_history_that_only_grows(turns, mode: ReplayMode):
    memory, before = Memory(replay=mode), []
    with memory:
        for turn in turns:
            memory.append("s", turn)
            now = memory.replay("s")
            assert now[: len(before)] == before, "an older replay is a prefix of a newer one"
            validate_history([*now, HumanMessage("next?")])
            before = now
        assert memory.replay("s") == before


def words(text: str) -> int:
    return len(text.split())


@settings(max_examples=150, deadline=None)
@given(TURNS, st.sampled_from(MODES), st.integers(1, 200), st.sampled_from([words, estimate_tokens, len]))
def test_no_replay_is_over_its_budget(turns, mode: ReplayMode, max_tokens, count):
    with memory_of(turns, mode, count_tokens=count) as memory:
        try:
            replayed = memory.replay("s", max_tokens=max_tokens)
        except InputError as error:
            assert "not even the line" in str(error)
            return
    validate_history([*replayed, HumanMessage("next?")])
    used = 0
    for message in replayed:
        calls = message.tool_calls if isinstance(message, AIMessage) else []
        used += count(str(message.content)) + MESSAGE_TOKENS + sum(count(str(c["args"])) for c in calls) // 2
    assert used <= max_tokens


def test_a_budget_keeps_the_newest_turns_whole_and_counts_the_others():
    turns = [Turn(input=f"question {i}", output=f"answer {i}") for i in range(1, 10)]
    memory = memory_of(turns, "dialogue", count_tokens=words)
    full = memory.replay("s")
    assert memory.replay("s", max_tokens=len(full) * 6) == full
    left_out, *shown = memory.replay("s", max_tokens=50)
    assert isinstance(left_out, SystemMessage)
    assert left_out.content == f"[{9 - len(shown) // 2} earlier turns left out: use recall.]"
    assert plain(shown) == plain(full)[-len(shown) :]
    assert len(shown) >= 2


def test_a_newest_turn_that_does_not_fit_keeps_its_question_and_its_answer():
    memory = memory_of([CONVERSATION[1]], "objects", count_tokens=words)
    question, *_, answer = plain(memory.replay("s", max_tokens=16))
    assert (question, answer) == (ASKED[1], ANSWERED[1])


@pytest.mark.parametrize("max_tokens", [0, -1, 1.5, "10", True])
def test_bad_budgets(max_tokens):
    with pytest.raises(InputError, match="give a whole number from 1"):
        Memory().replay("s", max_tokens=max_tokens)


def test_the_estimate_errs_on_the_high_side():
    for text in ("The quick brown fox jumps over the lazy dog.", "GLCMS004AGTCAMIS", "größe", "東京"):
        assert estimate_tokens(text) >= len(text) / 4
    assert estimate_tokens("") == 0
