import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from agentkit import (
    Artifact,
    Citation,
    ConfigError,
    Observation,
    SessionBusyError,
    SessionError,
    Step,
    StoreError,
    Turn,
)
from agentkit.memory import Memory, OpenTurn

SECRET = "Zanzibar4471"


@pytest.fixture(params=["file", pytest.param("postgres", marks=pytest.mark.postgres)])
def place(request, tmp_path):
    return request.getfixturevalue("postgres_url") if request.param == "postgres" else tmp_path / "m.db"


def secret_turn(n: int) -> Turn:
    text = f"{SECRET} {n} " + f"{SECRET.lower()}x{n} " * 200
    step = Step(tool="look", tool_input={"q": SECRET}, observation=text, result=Observation(content=text))
    return Turn(input=f"{SECRET}?", steps=(step,), output=f"{SECRET} {n}")


def other_turn(n: int) -> Turn:
    return Turn(input=f"question {n}", output="answer " * 100)


def holding(place, needle: str) -> list[str]:
    """Files, or tables of PostgreSQL, in which the bytes of a text stand."""
    if not isinstance(place, str):
        files = list(place.parent.glob(place.name + "*"))
        assert place in files
        return [f.name for f in files if needle.lower().encode() in f.read_bytes().lower()]
    engine = create_engine(place)
    with engine.begin() as connection:
        connection.execute(text("CHECKPOINT"))
        folder = connection.execute(text("SHOW data_directory")).scalar()
        names = connection.execute(text("SELECT relname FROM pg_class WHERE relname LIKE 'agentkit%'")).scalars().all()
        paths = [(n, connection.execute(text(f"SELECT pg_relation_filepath('{n}')")).scalar()) for n in names]
    engine.dispose()
    files = [(n, Path(str(folder)) / path) for n, path in paths if path]
    assert files
    if not files[0][1].exists():
        pytest.skip("the server's files are not on this machine")
    return [n for n, file in files if needle.lower().encode() in file.read_bytes().lower()]


def test_delete_leaves_nothing(place):
    with Memory(place) as memory:
        for n in range(30):
            memory.append("s", secret_turn(n))
            memory.append("other", other_turn(n))
        assert holding(place, SECRET)
        assert memory.delete("s") == 30
        assert holding(place, SECRET) == []
        assert [info.name for info in memory.sessions()] == ["other"]
        assert len(memory.turns("other")) == 30
        assert len(memory.search("other", "question")) == 5
        with pytest.raises(SessionError):
            memory.search("s", SECRET)
        assert memory.append("s", other_turn(1)).number == 1
        assert memory.search("s", SECRET) == []
    assert holding(place, SECRET) == []


def test_what_was_stored_otherwise_than_it_was_indexed_is_deleted_too(tmp_path):
    path = tmp_path / "m.db"
    with Memory(path) as memory:
        memory.append("s", secret_turn(1))
        memory.append("damaged", secret_turn(2))
        memory.append("other", other_turn(1))
        with sqlite3.connect(path) as hand:
            hand.execute("UPDATE agentkit_step SET call = replace(call, 'Zanzibar', 'Sansibar') WHERE session = 's'")
            hand.execute("UPDATE agentkit_turn SET payload = '{' WHERE session = 'damaged'")
        hand.close()
        memory.delete("s")
        memory.delete("damaged")
        assert holding(path, SECRET) == []
        assert len(memory.search("other", "question")) == 1


def test_delete_refuses_what_is_not_there_or_running(place):
    with Memory(place) as memory:
        memory.append("sessions", other_turn(1))
        with pytest.raises(SessionError, match="Did you mean 'sessions'"):
            memory.delete("session")
        running = memory.begin("sessions", "q")
        with pytest.raises(SessionBusyError):
            memory.delete("sessions")
        running.interrupt()
        assert memory.delete("sessions") == 2
        assert memory.sessions() == []


def test_a_reader_that_holds_old_pages_is_named(tmp_path):
    path = tmp_path / "m.db"
    with Memory(path, timeout_s=0.05) as memory:
        memory.append("s", secret_turn(1))
        reader = sqlite3.connect(path, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM agentkit_turn").fetchone()
        with pytest.raises(StoreError, match=r"being read by another connection.*Call compact\(\) when nobody reads"):
            memory.delete("s")
        assert memory.sessions() == []
        reader.execute("ROLLBACK")
        reader.close()
        memory.compact()
        assert holding(path, SECRET) == []


def test_deleting_in_this_process():
    with Memory() as memory:
        memory.append("s", secret_turn(1))
        assert memory.delete("s") == 1
        assert memory.sessions() == []


# --- redaction ---------------------------------------------------------------------------------------------------


def hide(text: str) -> str:
    return text.replace(SECRET, "[hidden]").replace("55501234", "[number]")


def test_a_redacted_secret_is_nowhere(place):
    picture = Artifact(name=f"{SECRET}.csv", data=f"a,b\n{SECRET},1".encode(), media_type="text/csv")
    result = Observation(content=f"whole {SECRET}", artifacts=(picture,), facts={SECRET: [SECRET]})
    call = Step(
        tool=f"t{SECRET}",
        tool_input={SECRET: {"deep": [SECRET]}, "phone": 55501234, "count": 3},
        call_id="c1",
        round=1,
        plan=f"I use {SECRET}.",
        thinking=f"Hm, {SECRET}.",
        ok=False,
    )
    step = call.model_copy(update={"observation": f"shown {SECRET}", "ok": True, "result": result})
    cited = Citation(start=4, end=4 + len(SECRET), text=SECRET, sources=("c1:0",), call_ids=("c1",))
    turn = Turn(input=f"{SECRET}?", steps=(step,), output=f"It, {SECRET}.", thinking=SECRET, citations=(cited,))
    cited_at = f"It, {SECRET}.".index(SECRET)
    assert cited_at == cited.start
    with Memory(place, redact=hide) as memory:
        memory.append("s", turn)
        running = memory.begin("s", f"{SECRET}?")
        running.calls([call])
        running.results([step])
        running.finish(turn)
        broken = memory.begin("s", f"{SECRET}?")
        broken.calls([call])
        broken.interrupt()
        first, second, third = memory.turns("s")
        assert first.model_copy(update={"number": 2}) == second
        assert second.input == "[hidden]?"
        assert second.steps[0].tool_input == {"[hidden]": {"deep": ["[hidden]"]}, "phone": "[number]", "count": 3}
        assert second.steps[0].result is not None
        assert second.steps[0].result.artifacts[0].data == b"a,b\n[hidden],1"
        assert second.output == "It, [hidden]."
        (moved,) = second.citations
        assert second.output[moved.start : moved.end] == moved.text == "[hidden]"
        assert third.steps[0].plan == "I use [hidden]."
        assert memory.search("s", SECRET) == []
        assert "hidden" in memory.search("s", "hidden")[0].text
        assert SECRET not in str(memory.objects("s")) + str(memory.replay("s"))
        assert holding(place, SECRET) == []
        assert holding(place, "55501234") == []
    assert holding(place, SECRET) == []


PLAIN = Step(tool="t", tool_input={"q": "plain"}, call_id="c1", ok=False)
SECRET_CALL = PLAIN.model_copy(update={"tool_input": {"q": SECRET}})
SECRET_RESULT = PLAIN.model_copy(
    update={"observation": SECRET, "ok": True, "result": Observation(content=f"{SECRET}!", facts={"f": SECRET})}
)
WAITING = PLAIN.model_copy(update={"result": Observation(content="", ok=False, error="needs_approval")})
ANSWER = Turn(input="q", output="a")


def begin(memory: Memory, calls: list[Step]) -> OpenTurn:
    running = memory.begin("s", "q")
    running.calls(calls)
    return running


def results(memory: Memory) -> None:
    running = begin(memory, [PLAIN])
    running.results([SECRET_RESULT])
    running.interrupt()


def finish_with(steps: list[Step]) -> Callable[[Memory], object]:
    return lambda memory: begin(memory, [PLAIN]).finish(ANSWER.model_copy(update={"steps": tuple(steps)}))


def pause(memory: Memory, paused: Turn) -> None:
    begin(memory, [WAITING]).pause(paused)


def edit_after_a_pause(memory: Memory) -> None:
    pause(memory, ANSWER)
    running, _ = memory.resume("s")
    running.calls([SECRET_CALL])
    running.interrupt()


def end_after_a_pause(memory: Memory) -> None:
    pause(memory, ANSWER)
    running, _ = memory.resume("s")
    running.calls([SECRET_RESULT])
    running.finish(ANSWER)


WRITES: dict[str, Callable[[Memory], object]] = {
    "append a question": lambda memory: memory.append("s", Turn(input=SECRET)),
    "append an answer": lambda memory: memory.append("s", Turn(input="q", output=SECRET)),
    "append a call": lambda memory: memory.append("s", Turn(input="q", steps=(SECRET_CALL,))),
    "append a result": lambda memory: memory.append("s", Turn(input="q", steps=(SECRET_RESULT,))),
    "begin": lambda memory: memory.begin("s", SECRET).interrupt(),
    "calls": lambda memory: begin(memory, [SECRET_CALL]).interrupt(),
    "calls that have a result": lambda memory: begin(memory, [SECRET_RESULT]).interrupt(),
    "results": results,
    "finish": lambda memory: memory.begin("s", "q").finish(Turn(input="q", output=SECRET)),
    "finish with a result": finish_with([SECRET_RESULT]),
    "finish with a call": finish_with([PLAIN, SECRET_CALL.model_copy(update={"call_id": "c2"})]),
    "pause": lambda memory: pause(memory, Turn(input="q", output=SECRET, thinking=SECRET)),
    "an edited call after a pause": edit_after_a_pause,
    "a result after a pause": end_after_a_pause,
}


@pytest.mark.parametrize("write", WRITES)
def test_every_way_to_write_is_redacted(tmp_path, write):
    with Memory(tmp_path / "m.db") as memory:
        WRITES[write](memory)
        assert holding(tmp_path / "m.db", SECRET), "without redaction this writes the secret"
    (tmp_path / "redacted").mkdir()
    place = tmp_path / "redacted" / "m.db"
    with Memory(place, redact=hide) as memory:
        WRITES[write](memory)
        # Whatever was written stands in the write-ahead log, even where a later write replaced it.
        assert holding(place, SECRET) == []
        (turn,) = memory.turns("s") if memory.unfinished("s") is None else (memory.unfinished("s"),)
        assert "[hidden]" in repr(turn) or write == "pause"


def test_what_a_tool_condenses_from_its_own_value_is_redacted_too(place):
    def keeps(step: Step) -> dict[str, Any]:
        return {SECRET: step.result.value, "seen": step.observation}  # type: ignore[union-attr]

    result = Observation(content=f"whole {SECRET}", value=[SECRET, {"of": 55501234}])
    step = Step(tool="t", tool_input={}, call_id="c1", round=1)
    done = step.model_copy(update={"observation": f"shown {SECRET}", "ok": True, "result": result})
    turn = Turn(input="?", steps=(done,), output=".")
    with Memory(place, redact=hide) as memory:
        kept = memory.append("s", turn, condense={"t": keeps}).actions[0].facts
        assert kept == {"[hidden]": ["[hidden]", {"of": "[number]"}], "seen": "shown [hidden]"}
        running = memory.begin("s", "?", condense={"t": keeps})
        running.calls([step])
        running.results([done])
        running.finish(turn)
        assert memory.objects("s")[1].actions[0].facts == kept
    assert holding(place, SECRET) == []


def test_a_secret_that_json_spells_otherwise_is_no_fact(place):
    step = Step(tool="t", tool_input={}, observation='{"name": "J\\u00fcrgen", "n": 1}', call_id="c1")
    with Memory(place, redact=lambda text: text.replace("Jürgen", "[name]")) as memory:
        memory.append("s", Turn(input="?", steps=(step,), output="."))
        assert memory.objects("s")[0].actions[0].facts == {"name": "[name]", "n": 1}


def test_keys_that_redaction_makes_the_same_lose_no_value():
    with Memory(redact=lambda text: "[name]" if text in ("Ann", "Bob", "Cy") else text) as memory:
        step = Step(tool="t", tool_input={"q": {"Ann": 1, "Bob": 2, "Cy": 3}}, observation="ok")
        memory.append("s", Turn(input="q", steps=(step,), output="a"))
        assert memory.turns("s")[0].steps[0].tool_input == {"q": {"[name]": 1, "[name] (2)": 2, "[name] (3)": 3}}


def test_an_import_is_redacted(tmp_path):
    with Memory() as memory:
        memory.append("s", secret_turn(1))
        memory.export(tmp_path / "all.jsonl")
    with Memory(tmp_path / "m.db", redact=lambda t: t.replace(SECRET, "-").replace(SECRET.lower(), "-")) as memory:
        memory.import_(tmp_path / "all.jsonl")
        assert memory.turns("s")[0].output == "- 1"
        assert holding(tmp_path / "m.db", SECRET) == []


@pytest.mark.parametrize(("redact", "said"), [(lambda t: 1 / 0, "raised ZeroDivisionError"), (len, "returned a int")])
def test_a_redaction_that_fails_stores_nothing(tmp_path, redact, said):
    with Memory(tmp_path / "m.db", redact=redact) as memory:
        with pytest.raises(ConfigError, match=f"redact= {said}.*nothing was stored"):
            memory.append("s", other_turn(1))
        with pytest.raises(ConfigError):
            memory.begin("s", "q")
        assert memory.sessions() == []


def test_no_function():
    with pytest.raises(ConfigError, match="redact is 'x'"):
        Memory(redact="x")  # type: ignore[arg-type]
