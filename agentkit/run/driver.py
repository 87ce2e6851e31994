"""`TurnRun`: runs one turn. It carries out the loop's requests and yields events.

The loop, the record, the approval gate and the hooks know nothing of each other; they are connected here. A generator
without IO (`_steps`) describes the turn once: it yields events, and requests to model, people and tools. Two drivers do
the waiting, `events` and `aevents`; a run without events drains them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig

from agentkit import prompts
from agentkit.approval import Decision
from agentkit.base import log
from agentkit.errors import HookError
from agentkit.events import ApprovalNeeded, Event, LimitReached, ToolFinished, ToolStarted
from agentkit.loop.protocol import Act, Ask, Reply
from agentkit.loop.react import finished
from agentkit.models.chat_model import Edge
from agentkit.run.approval_gate import Gate
from agentkit.run.hooks import HookChain
from agentkit.run.turn_record import TurnRecord
from agentkit.toolbox.toolbox import Toolbox
from agentkit.turn import Observation, Step, ToolCall, Turn


@dataclass(frozen=True, slots=True)
class TurnRun:
    """Runs one turn.

    Attributes:
        flow: The loop.
        record: Writes the turn to memory.
        toolbox: Runs the calls.
        edge: Calls the model.
        gate: Checks every call before it runs; None if no hook or approval is set.
        hooks: The caller's hooks; None if there are none.
        max_chars: Characters of one result that the model sees.
        config: LangChain config for model and tools.
        streamed: True to ask the model for a stream and yield its pieces; False to ask for whole replies.
    """

    flow: Generator[Ask | Act, Any, Turn]
    record: TurnRecord
    toolbox: Toolbox
    edge: Edge
    gate: Gate | None
    hooks: HookChain | None
    max_chars: int | None
    config: RunnableConfig
    streamed: bool

    def events(self) -> Generator[Event, None, Turn]:
        """Run the turn, yield its events, return the turn."""
        turn = self._steps()
        answer: Any = None
        while True:
            try:
                wanted = turn.send(answer)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            answer = None
            match wanted:
                case Ask():
                    answer = yield from self._reply(wanted)
                case ToolCall():
                    answer = _the(self.gate).decision(wanted)
                case Act():
                    answer = []
                    for seen in self.toolbox.act(wanted, self.config):
                        yield self._finish(wanted, answer, seen)
                case _:
                    yield wanted

    async def aevents(self) -> AsyncIterator[Event | Turn]:
        """Do as `events` does, without blocking the event loop; the turn is yielded last."""
        turn = self._steps()
        answer: Any = None
        while True:
            try:
                wanted = turn.send(answer)
            except StopIteration as stop:
                yield stop.value
                return
            answer = None
            match wanted:
                case Ask() if not self.streamed:
                    answer = await self.edge.aask(wanted, self.config)
                case Ask():
                    async with aclosing(self.edge.astream(wanted, self.config)) as pieces:  # type: ignore[type-var]
                        async for piece in pieces:
                            if isinstance(piece, Reply):
                                answer = piece
                            else:
                                yield piece
                case ToolCall():
                    answer = await _the(self.gate).adecision(wanted)
                case Act():
                    answer = []
                    async with aclosing(self.toolbox.aact(wanted, self.config)) as results:  # type: ignore[type-var]
                        async for seen in results:
                            yield self._finish(wanted, answer, seen)
                case _:
                    yield wanted

    def _reply(self, ask: Ask) -> Generator[Event, None, Reply | None]:
        if not self.streamed:
            return self.edge.ask(ask, self.config)
        reply = None
        for piece in self.edge.stream(ask, self.config):
            if isinstance(piece, Reply):
                reply = piece
            else:
                yield piece
        return reply

    def _steps(self) -> Generator[Event | Ask | ToolCall | Act, Any, Turn]:
        """Yield events and requests; return the turn.

        An `Ask` is answered with the `Reply`, a `ToolCall` with the decision about it, an `Act` with its finished
        steps, an event with None.
        """
        answer: Reply | list[Step] | None = None
        while True:
            try:
                wanted = self.flow.send(answer)
            except StopIteration as stop:
                return self.record.finish(stop.value)
            answer = yield from self._ask(wanted) if isinstance(wanted, Ask) else self._act(wanted)

    def _ask(self, ask: Ask) -> Generator[Event | Ask, Reply, Reply]:
        if ask.limit is not None:
            yield LimitReached(ask.limit)
        log.asked(ask)
        sent = ask if self.hooks is None else self.hooks.before_model(ask)
        if isinstance(sent, Reply):  # a refusal, which skips the other hooks
            return sent
        reply = yield sent
        log.replied(reply)
        return reply if self.hooks is None else self.hooks.after_model(reply)

    def _act(self, act: Act) -> Generator[Event | ToolCall | Act, Any, list[Step]]:
        if self.gate is not None:
            decided: Generator[ToolCall, Decision | None, Act] = self.gate.passed(act)
            act = yield from decided
        self.record.calls(act.steps)
        yield from (ToolStarted(step) for step in act.steps if not step.waits)
        steps: list[Step] = yield act
        return steps

    def _finish(self, act: Act, done: list[Step], seen: Observation) -> Event:
        """Add the next step of `act` to `done`, store it, and return its event."""
        step, call = act.steps[len(done)], act.calls[len(done)]
        if note := act.notes.get(step.call_id):
            seen = seen.model_copy(update={"content": f"{seen.content}\n{note}"})
        if self.hooks is not None and seen.error != "needs_approval":
            made = ToolCall(id=step.call_id, name=step.tool, arguments=step.tool_input)
            try:
                seen = self.hooks.after_tool(made, seen)
            except HookError:
                # The call did run, but what the hook would have removed from its result must not be stored.
                lost = Observation(content=prompts.withheld(step.tool), ok=False, error="failed")
                self.record.results([finished(step, lost, None)])
                raise
        step = finished(step, seen, self.max_chars)
        self.record.results([step])
        log.call_finished(step)
        done.append(step)
        return ApprovalNeeded(call) if step.waits else ToolFinished(step)


def _the(gate: Gate | None) -> Gate:
    """Return the gate that yielded the call."""
    assert gate is not None
    return gate
