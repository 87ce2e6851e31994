import gc
import os
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest
from sqlalchemy import text
from support.turns import CALL, DONE, TURN

from agentkit import (
    Artifact,
    ConfigError,
    InputError,
    Observation,
    SessionBusyError,
    SessionError,
    Step,
    StoreError,
    StoreVersionError,
    Turn,
)
from agentkit.memory import Memory
from agentkit.memory.store.owners import LEASE_S

OTHER = Step(tool="send", tool_input={"to": "x"}, call_id="c2", round=1, ok=False)


class Odd:
    def __repr__(self) -> str:
        return "an odd \x00"


def test_a_turn_comes_back_whole(memory):
    picture = Artifact(name="a.png", data=b"\x00\xff")
    result = Observation(content="the whole text", artifacts=(picture,), facts={"a": [1]}, duration_s=0.25)
    step = DONE.model_copy(update={"observation": "the wh…", "result": result})
    turn = TURN.model_copy(update={"steps": (step, DONE.model_copy(update={"call_id": "c2"}))})
    remembered = memory.append("s", turn)
    assert (remembered.session, remembered.number) == ("s", 1)
    assert memory.turns("s") == [turn.model_copy(update={"session": "s", "number": 1})]
    assert memory.objects("s") == [remembered]


def test_a_journalled_turn_is_the_same_as_an_appended_one(memory):
    running = memory.begin("s", "1 + 1?")
    running.calls([CALL, OTHER])
    sent = OTHER.model_copy(update={"observation": "ok", "ok": True})
    running.results([DONE, sent])
    finished = running.finish(TURN.model_copy(update={"steps": (DONE, sent)}))
    assert (finished.session, finished.number) == ("s", 1)
    assert memory.turns("s") == [finished]
    assert memory.append("t", finished).actions == memory.objects("s")[0].actions


def test_an_open_turn_is_not_read(memory):
    memory.append("s", TURN)
    running = memory.begin("s", "next")
    running.calls([CALL])
    assert [t.number for t in memory.turns("s")] == [1]
    assert len(memory.replay("s")) == len(memory.replay("s"))
    running.interrupt()
    assert [t.stop_reason for t in memory.turns("s")] == ["answered", "interrupted"]


def test_an_interrupted_turn_keeps_what_was_done_and_says_what_is_unknown(memory):
    running = memory.begin("s", "do it")
    running.calls([CALL, OTHER])
    running.results([DONE])
    running.interrupt()
    (turn,) = memory.turns("s")
    assert (turn.input, turn.output, turn.stop_reason) == ("do it", "", "interrupted")
    done, unknown = turn.steps
    assert done == DONE
    assert (unknown.tool, unknown.ok, unknown.result.error) == ("send", False, "interrupted")
    assert "outcome unknown" in unknown.observation
    assert "outcome unknown" in str(memory.replay("s")[0].content)
    assert memory.append("s", TURN).number == 2


def test_an_interrupted_turn_is_taken_up_again(memory):
    memory.append("s", TURN)
    running = memory.begin("s", "do it")
    running.calls([CALL, OTHER])
    running.results([DONE])
    running.interrupt()
    assert memory.search("s", "send")
    assert memory.unfinished("s") == memory.turns("s")[1]
    again, turn = memory.resume("s")
    assert (turn.number, turn.input, [s.result.error for s in turn.steps]) == (2, "do it", [None, "interrupted"])
    assert [t.number for t in memory.turns("s")] == [o.number for o in memory.objects("s")] == [1]
    assert memory.search("s", "send") == [], "what is not over is not found"
    assert memory.unfinished("s") is None, "it is running"
    with pytest.raises(SessionBusyError):
        memory.resume("s")
    sent = OTHER.model_copy(update={"observation": "ok", "ok": True, "result": Observation(content="ok")})
    again.results([sent])
    finished = again.finish(turn.model_copy(update={"steps": (DONE, sent), "output": "3", "stop_reason": "answered"}))
    assert memory.turns("s")[1] == finished
    assert len(memory.search("s", "send")) == 1
    with pytest.raises(InputError, match="has nothing to resume: its last turn, number 2, is over"):
        memory.resume("s")


def test_a_paused_turn_waits_and_its_calls_can_be_changed(memory):
    waiting = Observation(content="it waits", ok=False, error="needs_approval")
    paused = OTHER.model_copy(update={"observation": "it waits", "result": waiting})
    running = memory.begin("s", "do it")
    running.calls([CALL, paused])
    running.results([DONE])
    told = running.pause(Turn(input="do it", steps=(DONE, paused), stop_reason="needs_approval"))
    assert (told.session, told.number) == ("s", 1)
    assert memory.turns("s") == []
    assert memory.replay("s") == []
    found = memory.unfinished("s")
    assert (found.stop_reason, found.steps, [c.id for c in found.pending]) == ("needs_approval", (DONE, paused), ["c2"])
    again, _ = memory.resume("s")
    again.calls([OTHER.model_copy(update={"tool_input": {"to": "y"}})])
    again.interrupt()
    (turn,) = memory.turns("s")
    assert (turn.steps[1].tool_input, turn.steps[1].result.error) == ({"to": "y"}, "interrupted")


def test_one_open_turn_a_session(memory):
    running = memory.begin("s", "q")
    with pytest.raises(SessionBusyError, match="'s' is running already"):
        memory.begin("s", "q")
    with pytest.raises(SessionBusyError):
        memory.append("s", TURN)
    memory.append("another", TURN)
    running.finish(TURN)
    assert memory.append("s", TURN).number == 2


def test_another_memory_on_the_same_file_sees_that_it_is_busy(tmp_path):
    with Memory(tmp_path / "m.db") as one, Memory(tmp_path / "m.db") as two:
        running = one.begin("s", "q")
        with pytest.raises(SessionBusyError):
            two.begin("s", "q")
        running.finish(TURN)
        assert two.begin("s", "q").finish(TURN).number == 2


def test_sessions_are_listed_the_last_used_first(tmp_path):
    now = iter(range(1000))
    with Memory(tmp_path / "m.db", clock=lambda: float(next(now))) as memory:
        assert memory.sessions() == []
        for session in ("a", "b", "a"):
            memory.append(session, TURN)
        first, second = memory.sessions()
    assert (first.name, first.turns, first.first_question) == ("a", 2, "1 + 1?")
    assert second.name == "b"
    assert str(second) == "b  1 turn  1 + 1?"


def test_unknown_sessions_name_the_nearest(memory):
    memory.append("customers", TURN)
    for read in (memory.turns, memory.objects):
        with pytest.raises(SessionError, match="no session 'customer' .*Did you mean 'customers'"):
            read("customer")


@pytest.mark.parametrize("session", ["", " ", "x" * 201, "a\x00", "\ud800", None])
def test_impossible_sessions(memory, session):
    for use in (memory.turns, memory.objects, memory.replay):
        with pytest.raises(SessionError):
            use(session)
    with pytest.raises(SessionError):
        memory.append(session, TURN)
    with pytest.raises(SessionError):
        memory.begin(session, "q")


def test_odd_text_and_values_are_kept(memory):
    odd = Step(tool="t\x00", tool_input={"\ud800": Odd(), "when": Odd()}, observation="a\x00\ud800b")
    memory.append("s", Turn(input="q\x00\ud800", steps=(odd,), output="\udfff"))
    (turn,) = memory.turns("s")
    assert (turn.input, turn.output) == ("q\\x00\\ud800", "\\udfff")
    assert turn.steps[0].observation == "a\\x00\\ud800b"
    assert turn.steps[0].tool_input == {"\\ud800": "an odd \\x00", "when": "an odd \\x00"}


def test_many_threads_many_sessions(memory_place):
    with Memory(memory_place, timeout_s=30) as memory:

        def write(n: int) -> None:
            for i in range(5):
                if i % 2:
                    memory.append(f"s{n}", TURN)
                else:
                    running = memory.begin(f"s{n}", "1 + 1?")
                    running.calls([CALL, OTHER])
                    running.results([DONE])
                    running.results([OTHER])
                    running.finish(TURN)

        threads = [threading.Thread(target=write, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [len(memory.turns(f"s{n}")) for n in range(6)] == [5] * 6


# --- processes that die ------------------------------------------------------------------------------------------

DIES = """
import sys, os, signal
from agentkit import Step, Observation
from agentkit.memory import Memory
memory = Memory(sys.argv[1])
running = memory.begin("s", "do it")
call = Step(tool="add", tool_input={"a": 1}, call_id="c1", round=1, plan="I will add.", ok=False)
other = Step(tool="send", tool_input={"to": "x"}, call_id="c2", round=1, ok=False)
running.calls([call, other])
result = Observation(content="2", duration_s=0.5)
running.results([call.model_copy(update={"observation": "2", "ok": True, "result": result})])
print("ready", flush=True)
sys.stdin.read()
"""


def test_kill_9_in_the_middle_of_a_turn(tmp_path):
    path = tmp_path / "m.db"
    process = subprocess.Popen(
        [sys.executable, "-c", DIES, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process, Memory(path) as memory:
        assert process.stdout.readline() == "ready\n"
        with pytest.raises(SessionBusyError):
            memory.begin("s", "and now?")
        os.kill(process.pid, signal.SIGKILL)
        process.wait(30)
        running = memory.begin("s", "and now?")
        (turn,) = memory.turns("s")
        assert (turn.stop_reason, turn.steps[0]) == ("interrupted", DONE)
        assert (turn.steps[1].tool, turn.steps[1].ok) == ("send", False)
        assert running.number == 2
        running.finish(TURN)


def test_an_open_turn_of_another_machine_is_busy_until_its_lease_ends(tmp_path):
    now = [1000.0]
    with Memory(tmp_path / "m.db", clock=lambda: now[0]) as memory:
        memory.begin("s", "q")
        with sqlite3.connect(tmp_path / "m.db") as other:
            other.execute("""UPDATE agentkit_turn SET owner = '["elsewhere", 1, "", 0]'""")
        other.close()
        now[0] += LEASE_S - 1
        with pytest.raises(SessionBusyError):
            memory.begin("s", "q")
        now[0] += 2
        assert memory.begin("s", "q").finish(TURN).number == 2


def test_who_was_taken_for_dead_cannot_close_its_turn(tmp_path):
    with Memory(tmp_path / "m.db") as memory:
        late = memory.begin("s", "q")
        with sqlite3.connect(tmp_path / "m.db") as other:
            other.execute("UPDATE agentkit_turn SET owner = '1'")
        other.close()
        memory.append("s", TURN)
        with pytest.raises(StoreError, match="was closed by another process"):
            late.finish(TURN)
        assert [t.stop_reason for t in memory.turns("s")] == ["interrupted", "answered"]


# --- databases that cannot be used -------------------------------------------------------------------------------


def refused(path, match: str, error=StoreError) -> None:
    with Memory(path) as memory:
        for use in (lambda: memory.append("s", TURN), memory.sessions, lambda: memory.replay("s")):
            with pytest.raises(error, match=match):
                use()


def test_a_file_that_is_no_database(tmp_path):
    path = tmp_path / "m.db"
    path.write_text("these are my notes, and not a database " * 50)
    refused(path, "m.db' cannot be used: file is not a database. Next: it is another kind of file")
    assert path.read_text().startswith("these are my notes"), "nothing is lost"


def test_a_folder_and_a_missing_folder(tmp_path):
    refused(tmp_path, r"unable to open database file \(it is a folder\)")
    refused(tmp_path / "no" / "m.db", r"unable to open database file \(there is no folder .*/no\)")


def test_a_read_only_database(tmp_path):
    path = tmp_path / "m.db"
    with Memory(path) as memory:
        memory.append("s", TURN)
    # Root may write to any file; a read-only connection refuses it as a read-only file does anybody else.
    said = "readonly database.*Next: it is read-only"
    with Memory(f"sqlite:///file:{path}?mode=ro&uri=true") as memory, pytest.raises(StoreError, match=said):
        memory.append("s", TURN)


def test_a_newer_schema(tmp_path):
    path = tmp_path / "m.db"
    with Memory(path) as memory:
        memory.append("s", TURN)
    with sqlite3.connect(path) as other:
        other.execute("UPDATE agentkit_meta SET value = '99' WHERE key = 'schema'")
    other.close()
    refused(path, "has schema 99, this agentkit reads up to 2: update agentkit", StoreVersionError)


def test_a_damaged_turn_leaves_the_others_readable(tmp_path):
    path = tmp_path / "m.db"
    with Memory(path) as memory:
        memory.append("good", TURN)
        memory.append("bad", TURN)
        with sqlite3.connect(path) as other:
            for table in ("turn", "object"):
                other.execute(f"UPDATE agentkit_{table} SET payload = '{{' WHERE session = 'bad'")
        other.close()
        for read in (memory.turns, memory.objects, memory.replay):
            with pytest.raises(StoreError, match="Turn 1 of session 'bad' .*damaged.*Other sessions can still be read"):
                read("bad")
            assert len(read("good")) > 0


def test_a_locked_database(tmp_path):
    path = tmp_path / "m.db"
    with Memory(path, timeout_s=0.05) as memory:
        memory.append("s", TURN)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="database is locked. Next: another process is writing"):
            memory.append("s", TURN)
        assert len(memory.turns("s")) == 1, "reading goes on"
        other.execute("ROLLBACK")
        other.close()
        assert memory.append("s", TURN).number == 2


def test_a_full_disk(tmp_path):
    with Memory(tmp_path / "m.db") as memory:
        memory.append("s", TURN)
        database = memory._store()._db
        with database.writing() as connection:
            pages = connection.execute(text("PRAGMA page_count")).scalar()
            connection.execute(text(f"PRAGMA max_page_count = {pages}"))
        big = Turn(input="q", output="x" * 1_000_000)
        with pytest.raises(StoreError, match="disk is full. Next: free space on the disk"):
            memory.append("s", big)
        assert [t.number for t in memory.turns("s")] == [1]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"url": ""}, "The memory is ''"),
        ({"url": "a\x00"}, "give a file's path"),
        ({"durability": "some"}, "durability is 'some'"),
        ({"timeout_s": -1}, "timeout_s is -1"),
    ],
)
def test_impossible_memories(made, said):
    with pytest.raises(ConfigError, match=said):
        Memory(**made)


@pytest.mark.parametrize("url", ["nosuch://x", "postgresql+nosuch://x/y", "://"])
def test_urls_without_a_driver(url):
    with pytest.raises(ConfigError, match="The memory .*URL"):
        Memory(url).sessions()


def test_making_a_memory_touches_nothing(tmp_path):
    Memory(tmp_path / "m.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("durability", "level"), [("normal", 1), ("full", 2)])
def test_durability(tmp_path, durability, level):
    with Memory(tmp_path / "m.db", durability=durability) as memory, memory._store()._db.reading() as connection:
        assert connection.execute(text("PRAGMA synchronous")).scalar() == level
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"


def test_closing_and_going_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    memory = Memory("m.db")
    memory.append("s", TURN)
    memory.close()
    assert memory.append("s", TURN).number == 2
    memory.close()


def test_a_condense_that_raises_costs_nothing(memory):
    def bad(step):
        raise KeyError("x")

    remembered = memory.append("s", TURN, condense={"add": bad})
    assert remembered.actions[0].facts
    assert memory.append("s", TURN).number == 2


def test_an_open_turn_that_is_dropped_frees_its_session(memory):
    memory.begin("s", "q")
    gc.collect()
    assert memory.begin("s", "again").finish(TURN).number == 2
