"""`Running`: one turn under way. It gives the loop what it asks for, in the four ways a turn can be run.

The loop, the journal, the gate and the hooks know nothing of each other; here they meet, and here alone is waited.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig

from agentkit import prompts
from agentkit.base import log
from agentkit.errors import HookError
from agentkit.events import ApprovalNeeded, Event, LimitReached, ToolFinished, ToolStarted
from agentkit.loop.prefetch import noted
from agentkit.loop.protocol import Act, Ask, Reply
from agentkit.loop.react import finished
from agentkit.models.chat_model import Edge
from agentkit.run.approval_gate import Gate
from agentkit.run.hooks import HookChain
from agentkit.run.turn_record import Journal
from agentkit.toolbox.toolbox import Toolbox
from agentkit.turn import Observation, Step, ToolCall, Turn


@dataclass(frozen=True, slots=True)
class Running:
    """One turn under way.

    Attributes:
        flow: The loop.
        journal: Where it is written down.
        toolbox: What runs its calls.
        edge: What answers its questions to the model.
        gate: What its calls go through before they run; None where nobody wants to see them.
        hooks: The caller's hooks, None where there are none.
        max_chars: Characters of one result the model is shown.
        config: What model and tools are called with.
    """

    flow: Generator[Ask | Act, Any, Turn]
    journal: Journal
    toolbox: Toolbox
    edge: Edge
    gate: Gate | None
    hooks: HookChain | None
    max_chars: int | None
    config: RunnableConfig

    def run(self) -> Turn:
        """Run it to its end."""
        wanted = self._next(None)
        while not isinstance(wanted, Turn):
            if isinstance(wanted, Ask):
                ask = self._before(wanted)
                reply = ask if isinstance(ask, Reply) else self._after(self.edge.ask(ask, self.config))
                wanted = self._next(reply)
            else:
                act = wanted if self.gate is None else self.gate.passed(wanted)
                self.journal.calls(act.steps)
                seen = zip(act.steps, self.toolbox.act(act, self.config), strict=True)
                wanted = self._next([self._finished(act, step, result) for step, result in seen])
        return self.journal.finish(wanted)

    async def arun(self) -> Turn:
        """As `run`, without blocking the event loop."""
        wanted = self._next(None)
        while not isinstance(wanted, Turn):
            if isinstance(wanted, Ask):
                ask = self._before(wanted)
                reply = ask if isinstance(ask, Reply) else self._after(await self.edge.aask(ask, self.config))
                wanted = self._next(reply)
            else:
                act = wanted if self.gate is None else await self.gate.apassed(wanted)
                self.journal.calls(act.steps)
                done: list[Step] = []
                async with aclosing(self.toolbox.aact(act, self.config)) as seen:  # type: ignore[type-var]
                    async for observation in seen:
                        done.append(self._finished(act, act.steps[len(done)], observation))
                wanted = self._next(done)
        return self.journal.finish(wanted)

    def events(self) -> Generator[Event, None, Turn]:
        """Run it to its end, telling what happens; returns the turn."""
        wanted = self._next(None)
        while not isinstance(wanted, Turn):
            answer: Any = None
            if isinstance(wanted, Ask):
                yield from _limit_event(wanted)
                ask = self._before(wanted)
                for event in iter((ask,)) if isinstance(ask, Reply) else self.edge.stream(ask, self.config):
                    if isinstance(event, Reply):
                        answer = event
                    else:
                        yield event
                answer = answer if answer is ask else self._after(answer)
            else:
                act = wanted if self.gate is None else self.gate.passed(wanted)
                self.journal.calls(act.steps)
                yield from _started(act)
                answer = []
                for step, seen in zip(act.steps, self.toolbox.act(act, self.config), strict=True):
                    answer.append(self._finished(act, step, seen))
                    yield _told(answer[-1], act.calls[len(answer) - 1])
            wanted = self._next(answer)
        return self.journal.finish(wanted)

    async def aevents(self) -> AsyncIterator[Event | Turn]:
        """As `events`, without blocking the event loop; the turn comes last."""
        wanted = self._next(None)
        while not isinstance(wanted, Turn):
            answer: Any = None
            if isinstance(wanted, Ask):
                for limit in _limit_event(wanted):
                    yield limit
                ask = self._before(wanted)
                if isinstance(ask, Reply):
                    answer = ask
                else:
                    async with aclosing(self.edge.astream(ask, self.config)) as events:  # type: ignore[type-var]
                        async for event in events:
                            if isinstance(event, Reply):
                                answer = self._after(event)
                            else:
                                yield event
            else:
                act = wanted if self.gate is None else await self.gate.apassed(wanted)
                self.journal.calls(act.steps)
                for started in _started(act):
                    yield started
                answer = []
                async with aclosing(self.toolbox.aact(act, self.config)) as seen:  # type: ignore[type-var]
                    async for observation in seen:
                        answer.append(self._finished(act, act.steps[len(answer)], observation))
                        yield _told(answer[-1], act.calls[len(answer) - 1])
            wanted = self._next(answer)
        yield self.journal.finish(wanted)

    def _next(self, answer: Any) -> Ask | Act | Turn:
        try:
            return self.flow.send(answer)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    def _before(self, ask: Ask) -> Ask | Reply:
        """What to send; or the reply that stands for a refusal, which goes by the other hooks."""
        log.asked(ask)
        return ask if self.hooks is None else self.hooks.before_model(ask)

    def _after(self, reply: Reply) -> Reply:
        log.replied(reply)
        return reply if self.hooks is None else self.hooks.after_model(reply)

    def _finished(self, act: Act, step: Step, seen: Observation) -> Step:
        seen = noted(act, step, seen)
        if self.hooks is not None and seen.error != "needs_approval":
            call = ToolCall(id=step.call_id, name=step.tool, arguments=step.tool_input)
            try:
                seen = self.hooks.after_tool(call, seen)
            except HookError:
                # The call did run; what the hook was to take out of its result must not be stored.
                lost = Observation(content=prompts.withheld(step.tool), ok=False, error="failed")
                self.journal.results([finished(step, lost, None)])
                raise
        done = finished(step, seen, self.max_chars)
        self.journal.results([done])
        log.call_finished(done)
        return done


def _limit_event(ask: Ask) -> Iterator[Event]:
    if ask.limit is not None:
        yield LimitReached(ask.limit)


def _started(act: Act) -> Iterator[Event]:
    return (ToolStarted(step) for step in act.steps if not step.waits)


def _told(step: Step, call: ToolCall) -> Event:
    return ApprovalNeeded(call) if step.waits else ToolFinished(step)
