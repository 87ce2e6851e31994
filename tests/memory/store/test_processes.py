"""Several processes on one database, and processes that are killed."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from agentkit import SessionBusyError, Turn
from agentkit.memory import Memory

# Appends turns one after another, half of them journalled, and says after each that it is stored.
WRITER = """
import sys
from agentkit import Observation, Step, Turn
from agentkit.memory import Memory

place, name, turns = sys.argv[1], sys.argv[2], int(sys.argv[3])
call = Step(tool="look", tool_input={"q": name}, call_id="c1", round=1, ok=False)
text = "row of a table\\n" * 200
done = call.model_copy(update={"observation": text, "ok": True, "result": Observation(content=text)})
memory = Memory(place, wait_s=120, timeout_s=60)
for n in range(turns):
    turn = Turn(input=f"{name} {n}", steps=(done,), output=f"answer {name} {n}")
    if n % 2:
        memory.append("s", turn)
    else:
        running = memory.begin("s", turn.input)
        running.calls([call])
        running.results([done])
        running.finish(turn)
    print(n, flush=True)
"""


@pytest.fixture(params=["file", pytest.param("postgres", marks=pytest.mark.postgres)])
def place(request, tmp_path):
    return request.getfixturevalue("postgres_url") if request.param == "postgres" else str(tmp_path / "m.db")


def writer(place: str, name: str, turns: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", WRITER, place, name, str(turns)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def check_whole(memory: Memory) -> list[Turn]:
    """The session's turns, of which each must be whole, in order, with its object and its index."""
    turns = memory.turns("s")
    assert [turn.number for turn in turns] == list(range(1, len(turns) + 1))
    assert [kept.number for kept in memory.objects("s")] == [turn.number for turn in turns]
    for turn in turns:
        if turn.stop_reason == "answered":
            assert turn.output == f"answer {turn.input}"
            assert turn.steps[0].observation.count("row of a table\n") == 200
    return turns


def everybody_writes(place: str, writers: int, turns: int) -> None:
    with Memory(place) as memory:
        memory.append("first", Turn(input="hello"))
        processes = [writer(place, f"w{n}", turns) for n in range(writers)]
        for process in processes:
            out, _ = process.communicate(timeout=600)
            assert process.returncode == 0
            assert len(out.split()) == turns
        asked = [turn.input for turn in check_whole(memory)]
        assert sorted(asked) == sorted(f"w{n} {i}" for n in range(writers) for i in range(turns))
        for n in range(writers):
            mine = [question for question in asked if question.startswith(f"w{n} ")]
            assert mine == [f"w{n} {i}" for i in range(turns)], "in the order they were written"


def test_two_processes_on_one_session(place):
    everybody_writes(place, writers=2, turns=6)


@pytest.mark.soak
def test_eight_processes_on_one_session(place):
    everybody_writes(place, writers=8, turns=50)


def kill_while_it_writes(place: str, kills: int) -> None:
    """Every turn acknowledged before the kill is there once; the one it hit is whole, or interrupted, or not there."""
    chance = random.Random(4)
    acknowledged: set[str] = set()
    for n in range(kills):
        process = writer(place, f"k{n}", 100_000)
        assert process.stdout is not None
        with process:
            for _ in range(chance.randrange(1, 6)):
                acknowledged.add(f"k{n} {process.stdout.readline().strip()}")
            time.sleep(chance.random() * 0.02)
            os.kill(process.pid, signal.SIGKILL)
            rest = process.stdout.read().split("\n")[:-1]
            acknowledged |= {f"k{n} {line}" for line in rest}
    with Memory(place, wait_s=60) as memory:
        memory.append("s", Turn(input="after all", output="answer after all", steps=memory.turns("s")[0].steps))
        turns = check_whole(memory)
        stored = [turn.input for turn in turns if turn.stop_reason == "answered"]
        assert len(stored) == len(set(stored)), "no turn is doubled"
        assert acknowledged <= set(stored), "no acknowledged turn is lost"
        interrupted = [turn for turn in turns if turn.stop_reason == "interrupted"]
        assert len(turns) - len(acknowledged) - 1 <= kills
        assert len(interrupted) <= kills
        assert len(memory.search("s", "after all", limit=1)) == 1


def test_kill_9_while_it_writes(place):
    kill_while_it_writes(place, kills=3)


@pytest.mark.soak
def test_kill_9_two_hundred_times(place):
    kill_while_it_writes(place, kills=200)


def test_who_waits_gets_its_turn(place):
    with Memory(place) as memory, Memory(place, wait_s=30) as patient:
        running = memory.begin("s", "first")
        with pytest.raises(SessionBusyError):
            memory.append("s", Turn(input="impatient"))
        waiting = threading.Thread(target=lambda: patient.append("s", Turn(input="second")))
        waiting.start()
        waiting.join(0.05)
        assert waiting.is_alive()
        running.finish(Turn(input="first"))
        waiting.join()
        assert [turn.input for turn in memory.turns("s")] == ["first", "second"]


def test_who_waits_in_vain_is_told(tmp_path):
    with Memory(tmp_path / "m.db", wait_s=0.03) as memory:
        running = memory.begin("s", "first")
        with pytest.raises(SessionBusyError):
            memory.begin("s", "second")
        running.interrupt()


def test_a_file_in_use_can_be_copied_by_export(tmp_path):
    path = tmp_path / "m.db"
    with Memory(path) as memory:
        memory.append("s", Turn(input="whole"))
        running = memory.begin("s", "running")
        assert memory.export(Path(tmp_path / "x.jsonl")) == 1, "the turn that runs is left out"
        running.interrupt()
