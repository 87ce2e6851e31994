"""What must not be lost, changed or kept waiting while a turn is written down."""

import gc
import socket
import sqlite3
import threading

import pytest
from sqlalchemy import text
from support.turns import CALL, DONE, TURN

from agentkit import InputError, Observation, SessionBusyError, Step, StoreError, Turn
from agentkit.memory import Memory
from agentkit.memory.store.store import owners, turn_sql


@pytest.fixture
def connections(monkeypatch):
    """Every SQLite connection that is opened, by number, and whether it is open."""
    opened: dict[int, bool] = {}

    class Watched(sqlite3.Connection):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.number = len(opened)
            opened[self.number] = True

        def close(self):
            opened[self.number] = False
            super().close()

    connect = sqlite3.dbapi2.connect
    monkeypatch.setattr(sqlite3.dbapi2, "connect", lambda *a, **k: connect(*a, factory=Watched, **k))
    return opened


@pytest.mark.parametrize("where", ["file", None])
def test_a_dropped_memory_closes_its_connections(tmp_path, connections, where):
    memory = Memory(where and tmp_path / "m.db")
    memory.append("s", TURN)
    del memory
    gc.collect()
    assert connections == {0: False}


def test_a_database_that_cannot_be_opened_leaves_no_connection(tmp_path, connections):
    (tmp_path / "m.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError):
        Memory(tmp_path / "m.db").sessions()
    gc.collect()
    assert connections
    assert not any(connections.values())


def test_a_running_turn_keeps_the_database_of_a_dropped_memory():
    running = Memory().begin("s", "q")
    gc.collect()
    running.calls([CALL])
    running.results([DONE])
    assert running.finish(TURN).number == 1


# --- calls and results, as somebody gives them by hand -------------------------------------------------------------


def test_steps_that_were_never_written_down_are_when_the_turn_ends(memory):
    new = Step(tool="new", observation="n", call_id="c9")
    memory.begin("none", "q").finish(TURN)
    some = memory.begin("some", "q")
    some.calls([CALL])
    some.finish(TURN.model_copy(update={"steps": (DONE, new)}))
    assert memory.turns("none")[0].steps == (DONE,)
    assert memory.turns("some")[0].steps == (DONE, new)
    assert [action.tool for action in memory.objects("some")[0].actions] == ["add", "new"]


def test_calls_that_the_finished_turn_does_not_name_are_kept(memory):
    running = memory.begin("s", "q")
    running.calls([CALL])
    running.finish(Turn(input="q", output="o"))
    assert [(step.tool, step.ok) for step in memory.turns("s")[0].steps] == [("add", False)]
    assert memory.objects("s")[0].actions[0].unknown


def test_calls_with_the_same_id_or_none_are_told_apart_by_their_order(memory):
    steps = [Step(tool=tool, call_id=call_id) for tool, call_id in zip("abcd", ["", "", "x", "x"], strict=True)]
    running = memory.begin("s", "q")
    running.calls(steps[:3])
    running.results([step.model_copy(update={"observation": step.tool}) for step in steps[:2]])
    running.calls(steps[3:])
    running.interrupt()
    kept = [(step.tool, step.observation[:1]) for step in memory.turns("s")[0].steps]
    assert kept == [("a", "a"), ("b", "b"), ("c", "("), ("d", "(")]


def test_a_result_nobody_asked_for_is_refused_and_nothing_of_it_written(memory):
    running = memory.begin("s", "q")
    running.calls([CALL])
    unknown = DONE.model_copy(update={"call_id": "c7"})
    with pytest.raises(InputError, match=r"The result of 'add' \(call 'c7'\) answers no stored call"):
        running.results([DONE, unknown])
    running.results([DONE])
    with pytest.raises(InputError, match="answers no stored call"):
        running.results([DONE])
    running.interrupt()
    assert memory.turns("s")[0].steps == (DONE,)


# --- a turn that is no longer one's own ----------------------------------------------------------------------------


def test_a_closed_turn_takes_nothing_more(memory):
    running = memory.begin("s", "q")
    finished = running.finish(TURN)
    running.interrupt()
    for use in (lambda: running.calls([CALL]), lambda: running.results([DONE]), lambda: running.finish(TURN)):
        with pytest.raises(InputError, match="Turn 1 of session 's' is closed: begin another one"):
            use()
    assert memory.turns("s") == [finished]


def test_who_was_taken_for_dead_changes_nothing_in_the_closed_turn(memory):
    late = memory.begin("s", "q")
    late.calls([CALL])
    owners.release(late._key.owner)
    memory.append("s", TURN)
    before = memory.turns("s"), memory.objects("s")
    for use in (
        lambda: late.results([DONE]),
        lambda: late.calls([CALL]),
        lambda: late.calls([CALL, CALL]),
        lambda: late.finish(TURN),
    ):
        with pytest.raises(StoreError, match=r"Turn 1 of session 's' was closed by another process.*Run again"):
            use()
    late.interrupt()
    assert (memory.turns("s"), memory.objects("s")) == before
    with memory._store()._db.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM agentkit_step")).scalar() == 2


def test_what_is_written_while_the_turn_is_taken_over_is_kept(memory):
    late = memory.begin("s", "q")
    late.calls([CALL])
    owners.release(late._key.owner)
    asked = []

    def condense(step: Step) -> dict[str, bool]:
        asked.append(step.ok)
        if len(asked) == 1:
            late.results([DONE])
        return {"ok": step.ok}

    memory.begin("s", "and now?", condense={"add": condense})
    assert asked == [False, True]
    assert memory.turns("s")[0].steps == (DONE,)
    assert memory.objects("s")[0].actions[0].facts == {"ok": True}


def wait_for_lock(database, thread: threading.Thread) -> None:
    """Until the thread waits for a lock of the server's."""
    waiting = 0
    while not waiting and thread.is_alive():
        with database.reading() as connection:
            waiting = connection.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar()
    assert waiting


@pytest.mark.postgres
def test_who_writes_while_its_turn_is_being_closed_waits_and_is_refused(postgres_url):
    errors = []

    def write() -> None:
        try:
            late.results([DONE])
        except StoreError as error:
            errors.append(str(error))

    with Memory(postgres_url) as memory:
        late = memory.begin("s", "q")
        late.calls([CALL])
        database = memory._store()._db
        with database.writing() as connection:
            turn_sql.close_turn(connection, late._key, memory._store().prepare(TURN, {}), "interrupted")
            writer = threading.Thread(target=write)
            writer.start()
            wait_for_lock(database, writer)
        writer.join()
    assert len(errors) == 1
    assert "closed by another process" in errors[0]


@pytest.mark.parametrize(
    "mark", ["", "damaged", "5", "[]", "{}", '["HOST", 1000000000000000000000, "", 0]', '["HOST", "x", "", 0]']
)
def test_a_turn_whose_owner_cannot_be_told_does_not_block_its_session(memory, mark):
    late = memory.begin("s", "q")
    with memory._store()._db.writing() as connection:
        owner = mark.replace("HOST", socket.gethostname())
        connection.execute(text("UPDATE agentkit_turn SET owner = :owner"), {"owner": owner})
    assert memory.append("s", TURN).number == 2
    with pytest.raises(StoreError, match="closed by another process"):
        late.calls([CALL])


@pytest.mark.postgres
def test_a_number_that_somebody_takes_without_asking_is_not_taken_twice(postgres_url):
    with Memory(postgres_url) as memory:
        memory.append("other", TURN)
        database = memory._store()._db
        writer = threading.Thread(target=lambda: memory.append("s", TURN))
        with database.writing() as connection:
            for table in ("turn", "step", "object"):
                found = connection.execute(text(f"SELECT * FROM agentkit_{table}")).mappings().all()
                names = ", ".join(found[0])
                values = ", ".join(f":{name}" for name in found[0])
                for row in found:
                    statement = text(f"INSERT INTO agentkit_{table} ({names}) VALUES ({values})")
                    connection.execute(statement, {**row, "session": "s"})
            writer.start()
            wait_for_lock(database, writer)
        writer.join()
        assert [turn.number for turn in memory.turns("s")] == [1, 2]


def test_interrupt_does_not_hide_the_error_on_its_way(tmp_path):
    with Memory(tmp_path / "m.db", timeout_s=0) as memory:
        running = memory.begin("s", "q")
        other = sqlite3.connect(tmp_path / "m.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        running.interrupt()
        other.execute("ROLLBACK")
        other.close()
        assert memory.append("s", TURN).number == 2
        assert memory.turns("s")[0].stop_reason == "interrupted"


# --- what tools say of themselves ----------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [None, 7, "text", {"a": object()}, {1: {2}}, {"a": float("nan")}, KeyError("x")])
def test_a_condense_that_fails_costs_no_turn(memory, wrong):
    def condense(step: Step):
        if isinstance(wrong, Exception):
            raise wrong
        return wrong

    running = memory.begin("s", "q", condense={"add": condense})
    assert running.finish(TURN).output == "2"
    memory.append("s", TURN, condense={"add": condense})
    left = memory.begin("s", "q")
    left.calls([CALL])
    owners.release(left._key.owner)
    assert memory.begin("s", "q", condense={"add": condense}).number == 4
    assert [turn.stop_reason for turn in memory.turns("s")] == ["answered", "answered", "interrupted"]
    assert all(remembered.actions[0].facts for remembered in memory.objects("s")[:2])


def test_condense_runs_once_and_never_inside_a_transaction(tmp_path):
    asked = []

    def condense(step: Step) -> dict[str, int]:
        asked.append(step.tool)
        return {"n": memory.append("log", Turn(input="q", output="o")).number}

    with Memory(tmp_path / "m.db", timeout_s=0) as memory:
        memory.append("s", TURN, condense={"add": condense})
        memory.begin("s", "q", condense={"add": condense}).finish(TURN)
        left = memory.begin("s", "q")
        left.calls([CALL])
        owners.release(left._key.owner)
        memory.begin("s", "q", condense={"add": condense}).interrupt()
        assert len(memory.turns("log")) == len(asked) == 3
        assert [o.actions[0].facts.get("n") for o in memory.objects("s") if o.actions] == [1, 2, None]


def test_condense_runs_once_however_often_a_busy_session_is_tried(memory_place):
    asked = []
    with Memory(memory_place, wait_s=0.05) as memory:
        running = memory.begin("s", "q")
        with pytest.raises(SessionBusyError):
            memory.append("s", TURN, condense={"add": lambda step: asked.append(step) or {}})
        assert len(asked) == 1
        running.finish(TURN)


# --- what is left when a step fails --------------------------------------------------------------------------------


def test_a_failed_step_keeps_the_state_it_left(memory):
    facts = {"variables": [{"name": "df", "type": "DataFrame"}, {"name": "n"}], "files": ["a.csv"], "value": "1"}
    failed = Step(tool="py", ok=False, observation="boom", result=Observation(content="boom", ok=False, facts=facts))
    then = Step(tool="py", result=Observation(content="", facts={"lost": ["n"], "files": ["b.csv"]}))
    remembered = memory.append("s", Turn(input="q", steps=(failed, then), output="o"))
    assert [variable["name"] for variable in remembered.variables] == ["df"]
    assert remembered.files == ("a.csv", "b.csv")
    assert remembered.actions[0].facts.keys() == {"variables", "files"}
    note = str(memory.replay("s")[0].content)
    assert 'failed: boom; left behind: {"variables":[{"name":"df"' in note
    assert "a.csv" in note
    assert "failed: boom" in str(remembered)


def test_two_waiting_steps_of_one_id_are_taken_up_in_their_order():
    waits = Observation(content="waits", ok=False, error="needs_approval")
    steps = [
        Step(tool="t", tool_input={"n": n}, call_id="c", observation="waits", ok=False, result=waits) for n in (1, 2)
    ]
    done = [
        step.model_copy(update={"observation": f"r{n}", "ok": True, "result": Observation(content=f"r{n}")})
        for n, step in enumerate(steps, 1)
    ]
    with Memory() as memory:
        opened = memory.begin("s", "q")
        opened.calls(steps)
        opened.pause(Turn(input="q", steps=tuple(steps), stop_reason="needs_approval"))
        again, turn = memory.resume("s")
        assert len(turn.pending) == 2
        again.calls([step.model_copy(update={"observation": "", "result": None}) for step in steps])
        again.results(done)
        again.finish(Turn(input="q", steps=tuple(done), output="o"))
        assert [step.observation for step in memory.turns("s")[0].steps] == ["r1", "r2"]
