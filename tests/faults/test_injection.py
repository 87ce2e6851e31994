"""Random replies, failures and cut points through the whole agent: no session can be poisoned.

Every request of every run must be one the API takes, whatever happened in the runs before it in the session.
``make soak`` plays more cases.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.tools import tool
from support.run_ways import play_until

from agentkit import Agent, Limits, ModelError, validate_history
from agentkit.memory import Memory
from agentkit.testing import ScriptedChat, reply

TEXT = st.sampled_from(["", " ", "fine", "a\x00b", "\ud83d", '{"name": "good", "arguments": {}}', "東京 " * 50])
CALLS = st.tuples(
    st.sampled_from(["good", "bad", "stop", "made_up", "good ", ""]),
    st.sampled_from([{"n": 1}, {"n": "x"}, {}, {"n": 1, "m": [None]}, '{"n": ', "[]", {"n": "\ud800\x00"}]),
    st.sampled_from(["", "same", "a", "b\x00"]),
)
REPLIES = st.one_of(
    st.builds(lambda calls, plan: reply(calls=calls, plan=plan), st.lists(CALLS, min_size=1, max_size=4), TEXT),
    st.builds(
        lambda text, finish: reply(text, finish=finish), TEXT, st.sampled_from(["COMPLETE", "MAX_TOKENS", "ERROR"])
    ),
    st.just(ModelError("the model is gone")),
)
RUNS = st.lists(
    st.tuples(
        st.lists(REPLIES, min_size=1, max_size=5),
        st.sampled_from(["run", "arun", "stream", "astream"]),
        st.none() | st.integers(0, 12),
    ),
    min_size=1,
    max_size=4,
)


@tool(description="Works.")
def good(n: int) -> str:
    return f"{n}\x00"


@tool(description="Raises.")
def bad(n: int = 0) -> str:
    raise ValueError(f"no {n}")


@tool(description="Ends the program.")
def stop() -> str:
    raise KeyboardInterrupt


def drive(runs, mode: str) -> None:
    memory = Memory(replay=mode)
    with memory:
        for script, way, cut_after in [*runs, ([reply("the end")], "run", None)]:
            chat = ScriptedChat([*script, "enough", "enough", "enough"])
            agent = Agent(model=chat, tools=[good, bad, stop], memory=memory, limits=Limits(max_steps=4))
            with suppress(ModelError, KeyboardInterrupt):
                play_until(agent, way, "go", cut_after)
            for request in chat.requests:
                validate_history(request.messages)
        turns = memory.turns("s")
        assert turns[-1].output == "the end"
        assert [turn.number for turn in turns] == list(range(1, len(turns) + 1))
        assert len(turns) == len(runs) + 1, "no turn is lost or doubled"


MODES = st.sampled_from(["none", "answers", "dialogue", "objects", "calls"])
CALM = [HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=60, deadline=None, suppress_health_check=CALM)
@given(RUNS, MODES)
def test_no_session_can_be_poisoned(runs, mode):
    drive(runs, mode)


@pytest.mark.soak
@settings(max_examples=2500, deadline=None, suppress_health_check=CALM)
@given(RUNS, MODES)
def test_no_session_can_be_poisoned_at_length(runs, mode):
    drive(runs, mode)


# --- a process killed at each step boundary -----------------------------------------------------------------

CHILD = """
import os, signal, sys
from langchain_core.tools import tool
from agentkit import Agent
from agentkit.memory import Memory, OpenTurn
from agentkit.testing import ScriptedChat, reply

path, boundary, count = sys.argv[1], sys.argv[2], int(sys.argv[3])

def dying(method):
    def wrapped(self, *args):
        global count
        if boundary == "before " + method.__name__:
            count -= 1
            if count < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        result = method(self, *args)
        if boundary == "after " + method.__name__:
            count -= 1
            if count < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return result
    return wrapped

for name in ("calls", "results", "finish"):
    setattr(OpenTurn, name, dying(getattr(OpenTurn, name)))

@tool(description="Works.")
def good(n: int) -> str:
    return str(n)

script = [reply(calls=[("good", {"n": 1}), ("good", {"n": 2})]), reply(calls=[("good", {"n": 3})]), "done"]
Agent(model=ScriptedChat(script), tools=[good], memory=Memory(path)).run("go", session="s")
"""

BOUNDARIES = [
    ("before calls", 0, 0, 0),
    ("after calls", 0, 2, 0),
    ("after results", 0, 2, 1),
    ("after results", 1, 2, 2),
    ("before calls", 1, 2, 2),
    ("after calls", 1, 3, 2),
    ("after results", 2, 3, 3),
    ("before finish", 0, 3, 3),
    ("after finish", 0, 3, 3),
]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
@pytest.mark.parametrize(("boundary", "count", "calls", "known"), BOUNDARIES)
def test_killed_at_a_step_boundary(tmp_path: Path, boundary, count, calls, known):
    path = tmp_path / "m.db"
    killed = subprocess.run([sys.executable, "-c", CHILD, str(path), boundary, str(count)], timeout=60, env=os.environ)
    assert killed.returncode == -signal.SIGKILL
    with Memory(path) as memory:
        chat = ScriptedChat(["I know."])
        turn = Agent(model=chat, tools=[good], memory=memory).run("what was done?", session="s")
        first, second = memory.turns("s")
        assert second == turn.model_copy(update={"data": None})
        assert first.stop_reason == ("answered" if boundary == "after finish" else "interrupted")
        assert len(first.steps) == calls
        assert sum(step.ok for step in first.steps) == known
        validate_history(chat.requests[0].messages)
        told = "\n".join(str(message.content) for message in chat.requests[0].messages)
        assert told.count("outcome unknown") == calls - known, "the next run is told what is unknown"
