"""`Journal`: a running turn as it is written to memory, or to nothing where the agent has none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agentkit import prompts
from agentkit.approval import Decision, decisions_for
from agentkit.errors import ConfigError
from agentkit.loop.react import finished
from agentkit.run.request import Request
from agentkit.turn import Observation, Step, Turn

if TYPE_CHECKING:
    from agentkit.memory import Memory, OpenTurn


class Journal:
    """Writes a running turn to memory; without memory it only gives the turn its session.

    Attributes:
        question: What was asked.
        so_far: The steps of a resumed turn, each with a result.
        decisions: What was decided about those that wait, by call id.
    """

    def __init__(self, memory: Memory | None, request: Request, condense: Mapping[str, Any]) -> None:
        """Open a new turn, or take up the unfinished one that is resumed.

        Raises:
            ConfigError: There is no memory to resume from.
            InputError: There is nothing to resume, or a decision that fits no pending call.
            SessionError: There is no such session to resume.
            SessionBusyError: The session is running.
            StoreError: Memory cannot be used.
        """
        self.question = request.question
        self.so_far: tuple[Step, ...] = ()
        self.decisions: dict[str, Decision] = {}
        self._session = request.session
        self._open: OpenTurn | None = None
        if request.resume is not None:
            self._take_up(memory, request, condense)
        elif memory is not None:
            self._open = memory.begin(request.session, request.question, condense=condense)

    def _take_up(self, memory: Memory | None, request: Request, condense: Mapping[str, Any]) -> None:
        if memory is None:
            raise ConfigError("resume needs the steps that were stored: give the agent a memory, as in Memory('a.db').")
        assert request.resume is not None
        opened, turn = memory.resume(request.session, condense=condense)
        try:
            self.decisions = decisions_for(request.resume.decision, turn.pending)
            unknown = [s for s in turn.steps if s.result is not None and s.result.error == "interrupted"]
            told = {step.call_id: _unknown(step) for step in unknown}
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
        """Write calls down before they run."""
        if self._open is not None:
            self._open.calls(steps)

    def results(self, steps: Sequence[Step]) -> None:
        """Write down what came of calls."""
        if self._open is not None:
            self._open.results(steps)

    def finish(self, turn: Turn) -> Turn:
        """Close the turn, or leave it paused; the turn with its session and number."""
        if self._open is None:
            return turn.model_copy(update={"session": self._session})
        return self._open.pause(turn) if turn.stop_reason == "needs_approval" else self._open.finish(turn)

    def interrupt(self) -> None:
        """Close the turn as interrupted."""
        if self._open is not None:
            self._open.interrupt()


def _unknown(step: Step) -> Step:
    lost = Observation(content=prompts.outcome_unknown(step.tool), ok=False, error="interrupted")
    return finished(step, lost, None)
