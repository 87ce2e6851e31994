"""What each way to remember shows a model, to the byte."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from agentkit import ConfigError, InputError, Observation, Step, StopReason, Turn, validate_history
from agentkit.memory import Memory, estimate_tokens
from agentkit.memory.condense.summarise import summarise
from agentkit.memory.replay.fitting import MAX_PLANS, Plans, cost
from agentkit.memory.replay.messages import MESSAGE_TOKENS, ReplayMode, replay

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
        (
            "human",
            f"{CONVERSATION[0].input}\n\n"
            """[t1] python_interpreter {"code":"df = pd.read_csv('revenue.csv')"} """
            "→ failed: FileNotFoundError: revenue.csv\n"
            """python_interpreter {"code":"df = pd.read_csv('revenue_table.csv')"} """
            """→ {"variables":[{"name":"df","type":"DataFrame","shape":[12,4]}]}""",
        ),
        ANSWERED[0],
        (
            "human",
            f"{CONVERSATION[1].input}\n\n"
            "[t2] python_interpreter code:\n"
            " plt.plot(df['time'], df['revenue'])\n"
            " plt.savefig('revenue_plot.png')\n"
            """→ {"files":["revenue_plot.png"]}""",
        ),
        ANSWERED[1],
        ASKED[2],
        ANSWERED[2],
    ],
    "calls": [
        ASKED[0],
        ("ai", [("t1.s1", "df = pd.read_csv('revenue.csv')"), ("t1.s2", "df = pd.read_csv('revenue_table.csv')")]),
        ("tool", "t1.s1 failed: FileNotFoundError: revenue.csv"),
        ("tool", 't1.s2 {"variables":[{"name":"df","type":"DataFrame","shape":[12,4]}]}'),
        ANSWERED[0],
        ASKED[1],
        ("ai", [("t2.s1", PLOT)]),
        ("tool", 't2.s1 {"files":["revenue_plot.png"]}'),
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


def is_valid_everywhere(messages, mode) -> None:
    """No provider refuses it: no system message, nothing empty, every call with its result, turns about."""
    validate_history([*messages, HumanMessage("next?")])
    assert not any(isinstance(m, SystemMessage) for m in messages)
    if mode in ("dialogue", "objects"):
        assert [m.type for m in messages] == ["human", "ai"] * (len(messages) // 2) or len(messages) == 1


def newest(mode: ReplayMode, turn: Turn) -> int:
    """Messages that a turn is replayed as."""
    if mode == "calls":
        return 2 + len({step.round for step in turn.steps}) + len(turn.steps)
    return {"none": 0, "answers": 1}.get(mode, 2)


@settings(max_examples=150, deadline=None)
@given(TURNS, st.sampled_from(MODES))
def test_any_session_replays_as_a_valid_history_that_only_grows_behind_its_newest_turn(turns, mode: ReplayMode):
    memory, before = Memory(replay=mode), []
    with memory:
        for turn in turns:
            memory.append("s", turn)
            now = memory.replay("s")
            assert now[: len(before)] == before, "without its newest turn, a replay is a prefix of the next"
            is_valid_everywhere(now, mode)
            before = now[: len(now) - newest(mode, turn)]
        assert memory.replay("s") == now


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
    is_valid_everywhere(replayed, mode)
    used = 0
    for message in replayed:
        calls = message.tool_calls if isinstance(message, AIMessage) else []
        used += count(str(message.content)) + MESSAGE_TOKENS + sum(count(str(c["args"])) for c in calls) // 2
    assert used <= max_tokens


def test_a_budget_keeps_the_newest_turn_whole_and_counts_the_oldest():
    turns = [Turn(input=f"question {i}", output=f"answer {i}") for i in range(1, 10)]
    memory = memory_of(turns, "dialogue", count_tokens=words)
    full = memory.replay("s")
    assert memory.replay("s", max_tokens=len(full) * 3) == full
    replayed = plain(memory.replay("s", max_tokens=40))
    assert replayed[-2:] == [("human", "question 9"), ("ai", "answer 9")]
    assert replayed[0] == ("human", "[4 earlier turns left out …]\n\nquestion 5")


def test_when_nothing_else_fits_one_line_counts_the_turns():
    turns = [Turn(input="a long question " * 40, output="a long answer " * 40) for _ in range(3)]
    memory = memory_of(turns, "objects", count_tokens=words)
    assert plain(memory.replay("s", max_tokens=7)) == [("human", "[3 earlier turns left out …]")]
    with pytest.raises(InputError, match="not even the line"):
        memory.replay("s", max_tokens=6)


def test_a_newest_turn_that_does_not_fit_keeps_its_question_and_the_ends_of_its_answer():
    long = Turn(input="plot it", output="Here is the plot. " * 200, steps=CONVERSATION[1].steps)
    memory = memory_of([long], "objects", count_tokens=words)
    question, answer = plain(memory.replay("s", max_tokens=60))
    assert question[1].startswith("plot it\n\n[t1] python_interpreter code:\n plt.plot")
    assert answer[0] == "ai" and answer[1].startswith("Here is the plot.") and " … " in answer[1]


def test_the_code_of_the_plot_is_replayed_whole():
    memory = memory_of(CONVERSATION[:2], "objects", count_tokens=words)
    for max_tokens in (None, 60):
        code = "\n".join(f" {line}" for line in PLOT.split("\n"))
        assert any(code in str(m.content) for m in memory.replay("s", max_tokens=max_tokens))


def test_code_steps_down_last():
    """Six turns of the interpreter at half the tokens: the code of turn 1 stands where a result of turn 2 does not."""
    turns = []
    for n in range(1, 7):
        printed = "\n".join(f"row {i} of step {n}: {i * n}" for i in range(20))
        turns.append(
            Turn(input=f"step {n}", steps=(python(f"x{n} = load({n})\nprint(x{n})", printed),), output="Done.")
        )
    memory = memory_of(turns, "objects")
    half = cost(memory.replay("s"), estimate_tokens) // 2
    text = "\n".join(m.text for m in memory.replay("s", half))
    assert " x1 = load(1)\n print(x1)" in text
    assert "row 19 of step 2" not in text and "… t2.s1" in text
    assert "row 19 of step 6" in text


def orders(numbers) -> list[Turn]:
    return [
        Turn(
            input=f"What of order A-{n}?",
            steps=(Step(tool="get_order", tool_input={"id": f"A-{n}"}, observation=f'{{"sku": "S-{n}", "qty": {n}}}'),),
            output="It is on its way, and will reach you in the course of the week. " * 3,
        )
        for n in numbers
    ]


def found_at_random(seed: int) -> Memory:
    """Nine turns with results of all sizes."""
    draw, memory = random.Random(seed), Memory()
    for number in range(1, 10):
        steps = []
        for _ in range(draw.randint(0, 3)):
            rows = [
                {"sku": f"S-{draw.randint(100, 999)}", "price": draw.randint(10, 500), "at": draw.choice(["in", "out"])}
                for _ in range(draw.randint(1, 8))
            ]
            result = {"rows": rows, "note": "as asked " * draw.randint(1, 30)}
            steps.append(Step(tool="find", tool_input={"id": draw.randint(1, 99)}, observation=json.dumps(result)))
        asked, said = "Please look at it " * draw.randint(1, 9), "It is done as was asked. " * draw.randint(1, 12)
        memory.append("s", Turn(input=f"{asked}order-{number}", steps=steps, output=said))
    return memory


@pytest.mark.parametrize("seed", range(6))
def test_a_budget_is_used(seed):
    memory = found_at_random(seed)
    whole = cost(memory.replay("s"), estimate_tokens)
    for budget in range(whole // 4, whole, max(1, whole // 60)):
        used = cost(memory.replay("s", budget), estimate_tokens)
        assert 0.85 * budget <= used <= budget


def test_a_long_session_mostly_only_grows_at_its_end_and_reads_only_its_newest_objects():
    objects = [
        summarise(turn.model_copy(update={"session": "s", "number": n})) for n, turn in enumerate(orders(range(180)), 1)
    ]
    grown, before, read = 0, None, []
    for n in range(150, 181):
        newest_first = (read.append(o.number) or o for o in reversed(objects[:n]))
        now = replay(newest_first, "objects", max_tokens=2500, count=estimate_tokens)
        if before is not None:
            grown += now[: len(before)] == before
        before = now
    assert grown >= 0
    assert min(read) > 20
    assert "earlier turns left out …]" in str(before[0].content)


def test_what_a_memory_has_planned_before_changes_nothing_but_the_time():
    plans = Plans()
    objects = [
        [summarise(turn.model_copy(update={"session": s, "number": n})) for n, turn in enumerate(orders(numbers), 1)]
        for s, numbers in (("a", range(50)), ("b", range(100, 150)))
    ]
    for n in range(12, 51):
        for session in objects:
            for budget in (900, 300):
                given = {"max_tokens": budget, "count": estimate_tokens}
                fresh = replay(reversed(session[:n]), "objects", **given)
                for _ in range(2):
                    again = replay(reversed(session[:n]), "objects", plans=plans, **given)
                    assert again == fresh
                    for message in again:
                        message.content = "changed by whoever was given it"
    assert 0 < len(plans._kept) <= MAX_PLANS


def test_no_more_parts_are_kept_than_a_few():
    plans = Plans()
    for s in range(MAX_PLANS + 5):
        objects = [
            summarise(turn.model_copy(update={"session": f"s{s}", "number": n}))
            for n, turn in enumerate(orders(range(18)), 1)
        ]
        replay(reversed(objects), "objects", max_tokens=900, count=estimate_tokens, plans=plans)
    assert len(plans._kept) == MAX_PLANS


def test_the_budget_of_a_memory_is_that_of_every_replay():
    turns = orders(range(40))
    memory, own = memory_of(turns, "objects"), Memory(max_tokens=500)
    for turn in turns:
        own.append("s", turn)
    assert own.replay("s") == memory.replay("s", 500) != memory.replay("s")
    assert own.replay("s", 900) == memory.replay("s", 900)
    assert own.explain("s").max_tokens == 500
    with pytest.raises(InputError, match="max_tokens is 0: give a whole number from 1"):
        Memory(max_tokens=0)


@pytest.mark.parametrize("count", [lambda text: None, lambda text: 1.5, lambda text: -1, lambda text: True])
def test_a_counter_that_gives_no_number_is_named(count):
    memory = memory_of(orders(range(3)), "objects", count_tokens=count)
    with pytest.raises(ConfigError, match=r"count_tokens gave .* it must give a whole number from 0"):
        memory.replay("s", 100)


@pytest.mark.parametrize("result", ['[" "]', '[[" "]]', '[" ", " "]', '[["\\u2028"]]', "null", "{}", "[[]]"])
@pytest.mark.parametrize("mode", ["objects", "calls"])
def test_a_result_of_blanks_is_no_empty_message(mode, result):
    step = Step(tool="look", tool_input={}, observation=result, call_id="c1", round=1)
    replayed = memory_of([Turn(input="q", steps=(step,), output="a")], mode).replay("s")
    assert all(message.content or message.tool_calls for message in replayed)
    validate_history([*replayed, HumanMessage("next?")])


def test_a_deleted_session_is_not_replayed_from_what_was_planned(tmp_path):
    memory, other = Memory(tmp_path / "m.db"), Memory(tmp_path / "m.db")
    for turn in orders(range(40)):
        memory.append("s", turn)
    memory.replay("s", 1500)
    other.delete("s")
    assert memory.replay("s", 1500) == []
    for turn in orders(range(100, 140)):
        other.append("s", turn)
    assert memory.replay("s", 1500) == other.replay("s", 1500)


def test_explain_says_what_was_shown_condensed_and_left_out():
    memory = memory_of(orders(range(1, 30)), "objects", count_tokens=words)
    said = memory.explain("s", max_tokens=400)
    assert said.tokens <= 400 < said.full_tokens and said.saved_tokens == said.full_tokens - said.tokens
    assert said.left_out and said.left_out[0] == 1 and said.turns[-1].form == "results condensed"
    assert f"{len(said.turns) - len(said.left_out)} of 29 turns are shown" in str(said)
    assert memory.explain("s", 3).turn == 3 and len(memory.explain("s", 3).turns) == 2
    assert "no budget" in str(memory.explain("s", 1))
    assert memory.explain("s", 30).turn == 30
    for turn in (0, -1, 31, "1", True, 1.5):
        with pytest.raises(InputError, match="from 1 to 30"):
            memory.explain("s", turn)


@pytest.mark.parametrize("max_tokens", [0, -1, 1.5, "10", True])
def test_bad_budgets(max_tokens):
    with pytest.raises(InputError, match="give a whole number from 1"):
        Memory().replay("s", max_tokens=max_tokens)


def test_the_estimate_errs_on_the_high_side():
    for text in ("The quick brown fox jumps over the lazy dog.", "GLCMS004AGTCAMIS", "größe", "東京"):
        assert estimate_tokens(text) >= len(text) / 4
    assert estimate_tokens("") == 0
