"""`TurnRecord`: writes a running turn to memory. `NoMemory` replaces the memory if the agent has none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from agentkit import prompts
from agentkit.approval import Decision, decisions_for
from agentkit.errors import ConfigError
from agentkit.loop.react import finished
from agentkit.run.request import Request
from agentkit.turn import Observation, Step, Turn

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

    from agentkit.memory import Memory, OpenTurn


class NoMemory:
    """A memory that stores and replays nothing."""

    def begin(self, session: str, question: str, *, condense: object = None) -> UnstoredTurn:
        """Return a turn that is not stored."""
        return UnstoredTurn(session)

    def resume(self, session: str, *, condense: object = None) -> NoReturn:
        """Refuse to resume.

        Raises:
            ConfigError: Always, as there are no stored steps.
        """
        raise ConfigError("resume needs the steps that were stored: give the agent a memory, as in Memory('a.db').")

    def replay(self, session: str) -> list[BaseMessage]:
        """Return no messages."""
        return []

    def recall_tool(self, session: str | None = None, replayed: object = ()) -> None:
        """Return no tool."""


class UnstoredTurn:
    """An open turn that is not stored."""

    def __init__(self, session: str) -> None:
        """Keep the session for the finished turn."""
        self._session = session

    def calls(self, steps: Sequence[Step]) -> None:
        """Do nothing."""

    def results(self, steps: Sequence[Step]) -> None:
        """Do nothing."""

    def finish(self, turn: Turn) -> Turn:
        """Return the turn with its session."""
        return turn.model_copy(update={"session": self._session})

    pause = finish

    def interrupt(self) -> None:
        """Do nothing."""


class TurnRecord:
    """Writes a running turn to memory.

    Attributes:
        question: The question.
        so_far: The steps of a resumed turn, each with a result.
        decisions: The decisions on calls that wait for approval, by call id.
    """

    def __init__(self, memory: Memory | NoMemory, request: Request, condense: Mapping[str, Any]) -> None:
        """Open a new turn, or reopen the unfinished one.

        Args:
            memory: Stores the turn.
            request: The request of the caller.
            condense: `ToolPolicy.condense` by tool name.

        Raises:
            ConfigError: There is no memory to resume from.
            InputError: There is no turn to resume, or a decision fits no pending call.
            SessionError: There is no such session to resume.
            SessionBusyError: The session is running.
            StoreError: Memory cannot be used.
        """
        self.question = request.question
        self.so_far: tuple[Step, ...] = ()
        self.decisions: dict[str, Decision] = {}
        if request.resume is None:
            self._open: OpenTurn | UnstoredTurn = memory.begin(request.session, request.question, condense=condense)
            return
        opened, turn = memory.resume(request.session, condense=condense)
        try:
            self.decisions = decisions_for(request.resume.decision, turn.pending)
            unknown = [s for s in turn.steps if s.result is not None and s.result.error == "interrupted"]
            told = {step.call_id: _outcome_unknown(step) for step in unknown}
            if told:
                opened.results(list(told.values()))
        except BaseException:
            if turn.stop_reason == "needs_approval":
                opened.pause(turn)
            else:
                opened.interrupt()
            raise
        self._open = opened
        self.question = turn.input
        self.so_far = tuple(told.get(step.call_id, step) for step in turn.steps)

    def calls(self, steps: Sequence[Step]) -> None:
        """Store calls before they run."""
        self._open.calls(steps)

    def results(self, steps: Sequence[Step]) -> None:
        """Store the results of calls."""
        self._open.results(steps)

    def finish(self, turn: Turn) -> Turn:
        """Close the turn, or leave it paused; return it with its session and number."""
        return self._open.pause(turn) if turn.stop_reason == "needs_approval" else self._open.finish(turn)

    def interrupt(self) -> None:
        """Close the turn as interrupted."""
        self._open.interrupt()


def _outcome_unknown(step: Step) -> Step:
    lost = Observation(content=prompts.outcome_unknown(step.tool), ok=False, error="interrupted")
    return finished(step, lost, None)
