"""Whatever stands in a turn, whoever writes at once and however little room there is: nothing breaks or is lost."""

import datetime
import json
import os
import random
import sqlite3
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from sqlalchemy import text

from agentkit import Artifact, ConfigError, InputError, Observation, Step, StoreError, Turn, validate_history
from agentkit.base.jsonable import MAX_DEPTH, json_ready
from agentkit.memory import Memory
from agentkit.memory.condense.summarise import MAX_INPUT_CHARS
from agentkit.memory.store.url import without_password

TURN = Turn(input="q", steps=(Step(tool="t", tool_input={"a": 1}, observation="r", call_id="c1"),), output="o")
NUL, LONE = "\x00", "\ud800"


def with_input(**tool_input) -> Turn:
    step = Step.model_construct(**{**dict(Step(tool="t", observation="r")), "tool_input": tool_input})
    return Turn.model_construct(**{**dict(TURN), "steps": (step,)})


def run(code: str, *arguments: object, seed: str = "0") -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": seed})


# --- anything may stand in a turn ----------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [NUL, LONE])
def test_what_no_database_holds_is_spelled_out_everywhere(memory, bad):
    result = Observation(
        content=f"c{bad}", facts={f"f{bad}": [f"g{bad}", {"h": {bad}}]}, artifacts=(Artifact(name=f"n{bad}", data=b""),)
    )
    step = Step(
        tool=f"t{bad}", tool_input={f"k{bad}": [f"v{bad}", {bad: (bad,)}]}, plan=f"p{bad}", thinking=f"h{bad}",
        observation=f"o{bad}", call_id=f"c{bad}", result=result,
    )  # fmt: skip
    running = memory.begin("s", f"q{bad}")
    running.calls([step])
    running.results([step])
    turn = Turn(input=f"q{bad}", steps=(step,), output=f"a{bad}", thinking=f"h{bad}")
    running.finish(turn)
    memory.append("s", turn)
    memory.append("s", turn, condense={step.tool: lambda step: {f"x{bad}": {"y": bad}}})
    memory.append("s", turn.model_copy(update={"steps": (step.model_copy(update={"ok": False}),)}))
    memory.begin("s", f"q{bad}").interrupt()
    with memory._store()._db.reading() as connection:
        for table in ("turn", "step", "object"):
            stored = str(connection.execute(text(f"SELECT * FROM agentkit_{table}")).all())
            assert "\\\\u0000" not in stored
            assert "\\x00" not in stored.replace("\\\\x00", "")
            assert "?" not in stored, "nothing was replaced by a question mark"
    told = "\\x00" if bad == NUL else "\\ud800"
    for found in (memory.turns("s")[0], memory.turns("s")[1]):
        assert (found.input, found.output, found.thinking) == (f"q{told}", f"a{told}", f"h{told}")
        kept = found.steps[0]
        assert kept.tool_input == {f"k{told}": [f"v{told}", {told: [told]}]}
        assert kept.result is not None
        assert kept.result.facts == {f"f{told}": [f"g{told}", {"h": [told]}]}
        assert (kept.plan, kept.call_id, kept.result.artifacts[0].name) == (f"p{told}", f"c{told}", f"n{told}")
    assert not any(bad in str(message.content) for message in memory.replay("s"))


class Thing:
    pass


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError


def test_what_json_cannot_say_is_spelled(memory):
    odd = {
        "nan": float("nan"), "inf": float("-inf"), "set": {"b", "a"}, "mixed": frozenset({1, "a", None}),
        "bytes": b"\xff", "thing": Thing(), "broken": Broken(), "keys": {1: 2, (1, 2): 3, None: 4}, "tuple": (1, 2),
        "date": datetime.date(2026, 1, 2), "money": Decimal("1.50"), "path": Path("a/b"), "endless": iter(int, 1),
        "model": Step(tool="x", tool_input={"s": {2, 1}}), "big": 10**5000,
    }  # fmt: skip
    memory.append("s", with_input(**odd))
    kept = memory.turns("s")[0].steps[0].tool_input
    assert kept.pop("big").startswith("0x")
    assert kept.pop("thing").endswith("Thing object>")
    assert kept.pop("model")["tool_input"] == {"s": [1, 2]}
    assert kept == {
        "nan": "nan", "inf": "-inf", "set": ["a", "b"], "mixed": ["a", 1, None], "bytes": "b'\\xff'",
        "broken": "<Broken>", "keys": {"1": 2, "[1, 2]": 3, "None": 4}, "tuple": [1, 2], "date": "2026-01-02",
        "money": "1.50", "path": "a/b", "endless": "<callable_iterator object>",
    }  # fmt: skip
    assert memory.search("s", "2026-01-02")
    assert not any(" at 0x" in str(message.content) for message in memory.replay("s"))


def test_what_contains_itself_ends_where_it_comes_again(memory):
    endless: list = [1]
    endless.append(endless)
    ring: dict = {"a": 1}
    ring["ring"] = ring
    deep: list = []
    for _ in range(10_000):
        deep = [deep]
    memory.append("s", with_input(endless=endless, ring=ring, deep=deep))
    kept = memory.turns("s")[0].steps[0].tool_input
    assert kept["endless"] == [1, "[1, [...]]"]
    assert kept["ring"] == {"a": 1, "ring": "{'a': 1, 'ring': {...}}"}
    assert json.dumps(kept["deep"]).count("[") <= MAX_DEPTH
    validate_history([*memory.replay("s"), HumanMessage("x")])


def test_redaction_sees_every_text_of_odd_values(memory_place):
    endless: list = ["secret"]
    endless.append(endless)
    with Memory(memory_place, redact=lambda said: said.replace("secret", NUL)) as memory:
        memory.append("s", with_input(endless=endless, set={"secret"}, key={("secret",): 1}))
        found = memory.turns("s")[0].model_dump_json() + memory.objects("s")[0].model_dump_json()
    assert "secret" not in found
    assert "\\u0000" not in found


def test_json_that_is_fine_is_not_copied():
    value = {"a": [1, 2.5, None, True, {"b": "ü"}]}
    assert json_ready(value) is value


def test_what_the_tool_returned_is_never_looked_at(memory):
    class Table:
        def __bool__(self) -> bool:
            raise ValueError("ambiguous")

    result = Observation(content="a table", value=Table())
    memory.append("s", Turn(input="q", steps=(Step(tool="t", observation="a table", result=result),), output="o"))
    assert memory.turns("s")[0].steps[0].observation == "a table"


SETS = """
from agentkit import Step, Turn
from agentkit.memory import Memory
memory, letters = Memory(), {"a", "b", "c", "d", "e"}
memory.append("s", Turn(input="q", steps=(Step(tool="t", tool_input={"s": letters, "k": {frozenset(letters): 1}}),)))
print(memory.objects("s")[0].model_dump_json(), memory.turns("s")[0].model_dump_json())
"""


def test_sets_are_the_same_bytes_in_every_process():
    said = [run(SETS, seed=seed) for seed in ("0", "1")]
    assert {done.stdout for done in said} == {said[0].stdout}
    assert '["a","b","c","d","e"]' in said[0].stdout


# --- as much as one likes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool_input", "said"),
    [
        ({"text": "x" * 1_000_000}, "992000 of 1000000 characters left out"),
        ({"numbers": list(range(30_000))}, "28179 more"),
        ({"rows": {f"k{n}": n for n in range(10_000)}}, "9250 more"),
        ({f"k{n}": "v" * 100 for n in range(10_000)}, "9768 more"),
        ({"wide": [["x" * 900] * 42] * 42}, "41 more"),
        ({"k" * 100_000: 1}, "kkk…"),
    ],
)
def test_a_huge_input_is_whole_in_the_turn_and_cut_in_the_object(tool_input, said):
    memory = Memory()
    remembered = memory.append("s", with_input(**tool_input))
    assert memory.turns("s")[0].steps[0].tool_input == tool_input
    assert len(json.dumps(remembered.actions[0].input)) < 2 * MAX_INPUT_CHARS
    assert said in json.dumps(remembered.actions[0].input, ensure_ascii=False)
    assert memory.objects("s") == [remembered]


def test_code_of_a_usual_length_is_whole_in_the_object(memory):
    code = "print('a line of code')\n" * 300
    assert memory.append("s", with_input(code=code)).actions[0].input == {"code": code}


def test_huge_facts_are_cut(memory):
    huge = {"rows": [{"text": "x" * 5000, "n": n} for n in range(1000)]}
    remembered = memory.append("s", TURN, condense={"t": lambda step: huge})
    assert len(remembered.model_dump_json()) < 30_000
    (cut,) = remembered.actions[0].facts["rows"][-1].items()
    assert cut[0] == "… 997 more" and cut[1]["n"][:3] == [3, 4, 5]


# --- what a replay says of it --------------------------------------------------------------------------------------


def test_files_are_those_the_facts_name_and_those_that_came_back(memory):
    result = Observation(
        content="x", facts={"files": ["a.csv"]}, artifacts=(Artifact(name="p.png", data=bytes(range(256))),)
    )
    remembered = memory.append("s", Turn(input="q", steps=(Step(tool="t", result=result),), output="o"))
    assert remembered.files == ("a.csv", "p.png")
    stored = memory.turns("s")[0].steps[0].result
    assert stored is not None
    assert stored.artifacts == result.artifacts


def test_the_answer_of_an_interrupted_turn_names_what_is_unknown(memory):
    running = memory.begin("s", "q")
    running.calls([Step(tool="look", call_id="1"), Step(tool="send", call_id="2"), Step(tool="pay", call_id="3")])
    running.results([Step(tool="look", call_id="1", observation="seen")])
    running.interrupt()
    said = "(no answer: the run was interrupted; outcome of t1.s2, t1.s3 unknown)"
    assert memory.replay("s")[-1].content == said
    assert [action.unknown for action in memory.objects("s")[0].actions] == [False, True, True]


def test_the_calls_of_one_reply_stand_in_one_message(memory_place):
    rounds = [("a", 1), ("b", 1), ("c", 2)]
    steps = tuple(Step(tool=tool, round=n, call_id=tool, observation=tool) for tool, n in rounds)
    with Memory(memory_place, replay="calls") as memory:
        memory.append("s", Turn(input="q", steps=steps, output="o"))
        replayed = memory.replay("s")
    validate_history([*replayed, HumanMessage("x")])
    asked = [[call["id"] for call in m.tool_calls] for m in replayed if isinstance(m, AIMessage)]
    assert asked == [["t1.s1", "t1.s2"], ["t1.s3"], []]
    assert [m.tool_call_id for m in replayed if isinstance(m, ToolMessage)] == ["t1.s1", "t1.s2", "t1.s3"]


def cost(replayed) -> int:
    calls = sum(len(c["name"]) for m in replayed if isinstance(m, AIMessage) for c in m.tool_calls)
    return calls + sum(len(m.content) for m in replayed)


@pytest.mark.parametrize("mode", ["answers", "dialogue", "objects", "calls"])
def test_no_budget_is_ever_exceeded(mode):
    choose = random.Random(1)
    with Memory(replay=mode, count_tokens=len) as memory:
        for _ in range(12):
            step = Step(tool="t", tool_input={"k": "v" * choose.randint(0, 300)}, observation="z" * 300, round=1)
            steps = (step,) * choose.randint(0, 4)
            question, answer = "q" * choose.randint(1, 400), "o" * choose.randint(0, 500)
            memory.append("s", Turn(input=question, steps=steps, output=answer))
        for budget in range(100, 9000, 397):
            replayed = memory.replay("s", max_tokens=budget)
            validate_history([*replayed, HumanMessage("x")])
            assert cost(replayed) <= budget


# --- settings that cannot work -------------------------------------------------------------------------------------

NO_SECONDS = [float("nan"), float("inf"), 1e30, -1, True, "5", None]


@pytest.mark.parametrize("name", ["timeout_s", "wait_s"])
@pytest.mark.parametrize("value", NO_SECONDS)
def test_what_is_no_time_is_refused(name, value):
    with pytest.raises(ConfigError, match=rf"{name} is .*: give seconds, from 0 to 86400"):
        Memory(**{name: value})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"count_tokens": 5}, "count_tokens is 5: give a function"),
        ({"redact": "x"}, "redact is 'x': give a function"),
        ({"url": 5}, "The memory is 5: give a file's path"),
        ({"url": b"m.db"}, "The memory is b'm.db': give a file's path"),
        ({"replay": None}, "replay is None: give one of"),
        ({"replay": []}, r"replay is \[\]: give one of"),
        ({"durability": None}, "durability is None: give 'normal' or 'full'"),
    ],
)
def test_settings_of_a_wrong_type_are_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        Memory(**settings)


@pytest.mark.parametrize("wrong", [{"input": "q"}, None, "text", Turn])
def test_what_is_no_turn_is_refused(wrong):
    memory = Memory()
    with pytest.raises(InputError, match=r"append\(\) was given .*: give a Turn"):
        memory.append("s", wrong)
    running = memory.begin("s", "q")
    with pytest.raises(InputError, match=r"finish\(\) was given .*: give a Turn"):
        running.finish(wrong)
    assert running.finish(TURN).number == 1


@pytest.mark.parametrize("max_tokens", [0, -1, True, 1.5, "5", float("nan")])
def test_what_is_no_budget_is_refused(max_tokens):
    memory = Memory()
    memory.append("s", TURN)
    with pytest.raises(InputError, match="max_tokens is"):
        memory.replay("s", max_tokens=max_tokens)


# --- where it is ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", [None, ":memory:", "sqlite://", "sqlite:///:memory:"])
def test_a_memory_of_this_process_serves_many_threads_and_makes_no_file(tmp_path, monkeypatch, url):
    monkeypatch.chdir(tmp_path)
    failed = []
    with Memory(url) as memory:

        def write(name: str) -> None:
            try:
                for _ in range(4):
                    running = memory.begin(name, "q")
                    running.calls(TURN.steps)
                    running.results(TURN.steps)
                    running.finish(TURN)
                    memory.append(name, TURN)
                    memory.replay(name)
            except Exception as error:
                failed.append(error)

        threads = [threading.Thread(target=write, args=(f"s{n}",)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        assert [info.turns for info in memory.sessions()] == [8] * 6
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a b.db", "ü.db", "x?mode=ro.db", "a%20.db", "file:x.db", "#.db"])
def test_a_file_may_have_any_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with Memory(name) as memory:
        memory.append("s", TURN)
    assert (tmp_path / name).exists()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:hush@host/x", "postgresql://me:***@host/x"),
        ("postgresql://me:hu@s:h/hush@host/x", "postgresql://me:***@host/x"),
        ("postgresql://host/x?user=me&password=hush", "postgresql://host/x?user=me&password=***"),
        ("postgresql://host/x?sslpassword=hush&a=b", "postgresql://host/x?sslpassword=***&a=b"),
        ("postgresql://host/x?PASSWORD=hush", "postgresql://host/x?PASSWORD=***"),
        ("chats/today.db", "chats/today.db"),
    ],
)
def test_a_password_is_never_shown(url, shown):
    assert without_password(url) == shown
    assert "hush" not in repr(Memory(url))


def test_an_error_tells_no_password():
    with (
        Memory("postgresql+psycopg://me:hush@127.0.0.1:9/x?password=hush&sslpassword=hush") as memory,
        pytest.raises(StoreError, match=r"me:\*\*\*@127.0.0.1") as caught,
    ):
        memory.sessions()
    assert "hush" not in str(caught.value)


# --- no room, and others at work -----------------------------------------------------------------------------------

FULL = """
import resource, sys
from agentkit import Step, Turn
from agentkit.memory import Memory
memory = Memory(sys.argv[1])
memory.append("s", Turn(input="q", output="o"))
running = memory.begin("r", "q")
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
big = Step(tool="t", plan="x" * 2_000_000)
for write in (
    lambda: memory.append("s", Turn(input="q", output="x" * 2_000_000)),
    lambda: running.calls([big]),
    lambda: running.calls([big, big]),
):
    try:
        write()
    except Exception as error:
        print(type(error).__name__)
memory.append("s", Turn(input="q", output="small"))
running.finish(Turn(input="q", output="done"))
print([turn.output for turn in memory.turns("s") + memory.turns("r")])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no resource limits here")
def test_no_room_for_a_turn_loses_no_other(tmp_path):
    done = run(FULL, tmp_path / "m.db")
    assert (done.stdout, done.stderr) == ("StoreError\n" * 3 + "['o', 'small', 'done']\n", "")


def test_half_a_database_is_an_error_that_says_so(tmp_path):
    path = tmp_path / "m.db"
    with Memory(path) as memory:
        for n in range(100):
            memory.append(f"s{n % 5}", TURN)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with Memory(path) as memory, pytest.raises(StoreError, match="malformed.*Next: it is damaged; restore a copy"):
        for n in range(5):
            memory.turns(f"s{n}")
            memory.append(f"s{n}", TURN)


def test_a_damaged_step_leaves_other_sessions_readable(tmp_path):
    path = tmp_path / "m.db"
    with Memory(path) as memory:
        memory.append("good", TURN)
        memory.append("bad", TURN)
        for damage in ("{", "[]", "null", '{"tool": 5}', "[" * 100_000):
            with sqlite3.connect(path) as other:
                other.execute("UPDATE agentkit_step SET call = ? WHERE session = 'bad'", (damage,))
            other.close()
            with pytest.raises(StoreError, match="Turn 1 of session 'bad' is stored as something agentkit cannot read"):
                memory.turns("bad")
        assert len(memory.turns("good")) == len(memory.objects("bad")) == 1


def test_reading_goes_on_where_writing_cannot(tmp_path):
    path = tmp_path / "m.db"
    with Memory(path) as memory:
        memory.append("s", TURN)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with Memory(path, timeout_s=0) as memory:
        assert len(memory.turns("s")) == 1
    other.execute("ROLLBACK")
    other.close()
    with Memory(f"sqlite:///file:{path}?mode=ro&uri=true") as memory:
        assert len(memory.replay("s")) == 2


FORK = """
import os, sys
from agentkit import SessionBusyError, Turn
from agentkit.memory import Memory
turn = Turn(input="q", output="o")
memory = Memory(sys.argv[1])
running = memory.begin("s", "q")
if os.fork() == 0:
    memory.append("child", turn)
    memory.begin("left", "q")
    try:
        memory.begin("s", "q")
    except SessionBusyError:
        os._exit(0)
    os._exit(3)
status = os.waitstatus_to_exitcode(os.wait()[1])
print(status, running.finish(turn).number, len(memory.turns("child")), memory.begin("left", "q").number)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_after_a_fork_both_sides_go_on(tmp_path):
    done = run(FORK, tmp_path / "m.db")
    assert (done.stdout, done.stderr) == ("0 1 1 2\n", "")


AT_ONCE = """
import sys
from agentkit import Turn
from agentkit.memory import Memory
memory = Memory(sys.argv[1], timeout_s=60)
sys.stdin.readline()
for _ in range(3):
    memory.append(sys.argv[2], Turn(input="q", output="o"))
"""


def test_processes_that_make_one_database_at_once(memory_place):
    if memory_place is None:
        pytest.skip("one process has it for itself")
    started = [
        subprocess.Popen(
            [sys.executable, "-c", AT_ONCE, str(memory_place), f"s{n}"],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for n in range(4)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate()[1] for process in started] == [""] * 4
    with Memory(memory_place) as memory:
        assert [info.turns for info in memory.sessions()] == [3] * 4
