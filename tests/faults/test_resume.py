"""Random runs that pause, break, die and are gone on with: nothing runs twice, every next request can be sent.

A process that dies is played by a memory that writes nothing more from a random point on; ``test_resume.py`` kills real
ones. ``make soak`` plays more cases.
"""

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.tools import tool
from support.run_ways import play_until

from agentkit import (
    Agent,
    Deny,
    Edit,
    HookError,
    Hooks,
    InputError,
    Limits,
    ModelError,
    Resume,
    ToolPolicy,
    Turn,
    validate_history,
    with_policy,
)
from agentkit.cohere.wire import request_messages
from agentkit.memory import Memory, OpenTurn
from agentkit.memory.store.store import owners
from agentkit.testing import ScriptedChat, reply
from agentkit.testing.v2_rules import problem_with

executed: list[int] = []


@tool(description="Works.")
def good(n: int = 0) -> str:
    executed.append(n)
    return f"did {n}"


@tool(description="Raises.")
def bad(n: int = 0) -> str:
    executed.append(n)
    raise ValueError("no")


@tool(description="Ends the program.")
def stop(n: int = 0) -> str:
    executed.append(n)
    raise KeyboardInterrupt


ASKED = with_policy(tool("asked", description="Works, if it may.")(good.func), ToolPolicy(approval=True))
LARGE = with_policy(
    tool("large", description="May do a little.")(bad.func), ToolPolicy(approval=lambda arguments: arguments["n"] > 1)
)
TOOLS = [good, bad, stop, ASKED, LARGE]

CALLS = st.tuples(
    st.sampled_from(["good", "bad", "asked", "asked", "large", "stop", "made_up"]),
    st.sampled_from([{"n": 1}, {"n": 2}, {}, {"n": "x"}, '{"n": ']),
    st.sampled_from(["", "same", "a"]),
)
REPLIES = st.one_of(
    st.builds(lambda calls: reply(calls=calls, plan="So."), st.lists(CALLS, min_size=1, max_size=3)),
    st.builds(lambda calls: reply(calls=calls, thinking="Hm."), st.lists(CALLS, min_size=1, max_size=3)),
    st.builds(
        lambda calls, finish: reply(calls=calls, finish=finish),
        st.lists(CALLS, min_size=1, max_size=2),
        st.sampled_from(["MAX_TOKENS", "ERROR"]),
    ),
    st.sampled_from(["fine", "", " "]),
    st.just(ModelError("the model is gone")),
)
DECISIONS = st.sampled_from([None, True, False, Deny("no"), Edit({"n": 1}), {"same": True}, {"a": False}, "nonsense"])
APPROVERS = st.sampled_from([None, None, lambda call: True, lambda call: Deny("no"), lambda call: 1 / 0])
HOOKED = st.sampled_from(
    [(), (), Hooks(before_tool=lambda call, session: 1 / 0), Hooks(after_tool=lambda *given: 1 / 0)]
)
STEPS = st.tuples(
    st.booleans(),  # whether to go on where that can be done
    DECISIONS,
    st.lists(REPLIES, min_size=1, max_size=4),
    st.sampled_from(["run", "arun", "stream", "astream"]),
    st.none() | st.integers(0, 9),  # the event after which a stream is left
    st.none() | st.integers(0, 7),  # the write after which the process is dead
    APPROVERS,
    HOOKED,
)


class Died(BaseException):
    """The process is no more."""


class Mortal(Memory):
    """A memory whose process dies after so many writes of a turn; None: it does not."""

    left: int | None = None

    def begin(self, *given, **more):
        return self._mortal(super().begin(*given, **more))

    def resume(self, *given, **more):
        opened, turn = super().resume(*given, **more)
        return self._mortal(opened), turn

    def _mortal(self, opened: OpenTurn) -> OpenTurn:
        for name in ("calls", "results", "finish", "pause"):
            setattr(opened, name, self._dying(getattr(opened, name)))
        close = opened.interrupt
        # A dead process closes nothing; its mark counts no longer.
        opened.interrupt = lambda: (
            owners.release(opened._key.owner) if self.left is not None and self.left < 0 else close()
        )
        return opened

    def _dying(self, write):
        def wrapped(*given):
            if self.left is not None:
                self.left -= 1
                if self.left < 0:
                    raise Died
            return write(*given)

        return wrapped


def one(memory: Mortal, step) -> None:
    goes_on, decision, script, way, cut_after, memory.left, approve, hooks = step
    unfinished = memory.unfinished("s") if memory.sessions() else None
    before = None if unfinished is None else unfinished.model_dump()
    resumes = goes_on and unfinished is not None
    chat = ScriptedChat([*script, "enough", "enough", "enough"])
    agent = Agent(chat, tools=TOOLS, memory=memory, limits=Limits(max_steps=4), approve=approve, hooks=hooks)
    try:
        play_until(agent, way, Resume(decision) if resumes else "go", cut_after)
    except InputError:
        assert resumes
        assert memory.unfinished("s").model_dump() == before or "interrupted" in str(before), "nothing was changed"
    except (ModelError, HookError, KeyboardInterrupt, Died):
        pass
    memory.left = None
    for request in chat.requests:
        validate_history(request.messages)
        body = {"model": "m", "messages": request_messages(request.messages)}
        assert problem_with(body) is None


def ran(turn: Turn) -> tuple[int, int]:
    """How many of a turn's calls have run, at least and at most."""
    errors = [step.result.error for step in turn.steps]
    surely = sum(error in (None, "exception") for error in errors)
    # "failed" is a result that a hook kept back: of a call that ran, or of one that was refused.
    return surely, surely + sum(error in ("interrupted", "failed") for error in errors)


def drive(steps, mode: str) -> None:
    executed.clear()
    with Mortal(replay=mode) as memory:
        for step in steps:
            one(memory, step)
        with suppress(InputError):
            Agent(ScriptedChat(["the end"]), tools=TOOLS, memory=memory, approve=lambda call: False).resume("s")
        chat = ScriptedChat(["really"])
        Agent(chat, tools=TOOLS, memory=memory).run("and now?", session="s")
        validate_history(chat.requests[0].messages)
        turns = memory.turns("s")
        assert [turn.number for turn in turns] == list(range(1, len(turns) + 1))
        assert len(memory.objects("s")) == len(turns), "one object for each turn"
        bounds = [ran(turn) for turn in turns]
        assert sum(low for low, _ in bounds) <= len(executed) <= sum(high for _, high in bounds), "none ran twice"
        assert not any(step.waits and turn.stop_reason == "answered" for turn in turns for step in turn.steps)


MODES = st.sampled_from(["none", "dialogue", "objects", "calls"])
CALM = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
RUNS = st.lists(STEPS, min_size=1, max_size=5)


@settings(max_examples=250, deadline=None, suppress_health_check=CALM)
@given(RUNS, MODES)
def test_nothing_runs_twice_and_every_request_can_be_sent(steps, mode):
    drive(steps, mode)


@pytest.mark.soak
@settings(max_examples=2500, deadline=None, suppress_health_check=CALM)
@given(RUNS, MODES)
def test_nothing_runs_twice_at_length(steps, mode):
    drive(steps, mode)
