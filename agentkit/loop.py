"""The ReAct loop as a generator without IO.

`react` yields what it wants done and is sent what came of it: ``Ask`` (a model call) is answered with a
`Reply`, ``Act`` (tool calls) with the finished steps. It returns the `Turn`. Whoever drives it does the
waiting, so the loop exists once for sync and async and is tested without any IO.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from agentkit import prompts
from agentkit.history import HistoryCheck
from agentkit.limits import Limits
from agentkit.text import head_and_tail
from agentkit.turn import Citation, Observation, Step, StopReason, ToolCall, Turn, Usage

Finish = Literal["complete", "tool_call", "max_tokens", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One reply of the model, whichever model it was.

    Attributes:
        message: What the model said, as it goes back into the message list.
        text: The answer; empty where tools are called.
        plan: What it says it will do; only beside calls.
        thinking: Its thinking, "" where it showed none.
        calls: The calls it asks for, in its order.
        citations: What in `text` rests on what.
        usage: Tokens of this reply.
        finish: Why it stopped.
    """

    message: AIMessage
    text: str = ""
    plan: str = ""
    thinking: str = ""
    calls: tuple[ToolCall, ...] = ()
    citations: tuple[Citation, ...] = ()
    usage: Usage = field(default_factory=Usage)
    finish: Finish = "complete"


@dataclass(frozen=True, slots=True)
class Ask:
    """Send `messages` to the model, with the tools on offer or without them."""

    messages: list[BaseMessage]
    offer_tools: bool = True


@dataclass(frozen=True, slots=True)
class Act:
    """Run `calls`, side by side; answer with the finished `steps`, in the same order.

    Attributes:
        calls: What to run.
        steps: The same calls as steps without a result, to be written down before they run.
        seconds_left: What is left of `Limits.max_seconds`, None where there is no such limit.
        known: Results, by call id, of calls that were already made and need not run again.
        notes: What to add below a result, by call id.
    """

    calls: tuple[ToolCall, ...]
    steps: tuple[Step, ...]
    seconds_left: float | None = None
    known: Mapping[str, Observation] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)


def react(
    messages: Sequence[BaseMessage], *, limits: Limits, clock: Callable[[], float]
) -> Generator[Ask | Act, Any, Turn]:
    """Run one turn over a message list that ends with the question.

    Args:
        messages: System message, replayed history and the question, in order.
        limits: When to stop.
        clock: Seconds from any fixed point; only differences are used.

    Returns:
        The turn, without session and number.

    Raises:
        HistoryError: The list is not one the v2 API takes.
    """
    said = list(messages)
    run = _Run(said, limits, clock)
    stop: StopReason = "max_steps"
    for round_number in range(1, limits.max_steps + 1):
        reply: Reply = yield Ask(run.checked())
        run.usage += reply.usage
        if not reply.calls:
            return run.answered(reply)
        calls = _with_own_ids(reply.calls, run.check.call_ids, round_number)
        pending = tuple(_pending(call, round_number, reply if i == 0 else None) for i, call in enumerate(calls))
        said.append(_echo(reply, calls))
        finished: Sequence[Step] = yield Act(calls, pending, run.seconds_left())
        run.steps += finished
        said += [ToolMessage(step.observation, tool_call_id=step.call_id, name=step.tool) for step in finished]
        if run.out_of_time():
            stop = "max_seconds"
            break
    limit = f"the limit of {limits.max_steps} steps" if stop == "max_steps" else f"the limit of {limits.max_seconds} s"
    said.append(HumanMessage(prompts.answer_now(limit)))
    reply = yield Ask(run.checked(), offer_tools=False)
    run.usage += reply.usage
    return run.stopped(reply, stop, prompts.no_answer(limit))


class _Run:
    """What one turn gathers on its way."""

    def __init__(self, said: list[BaseMessage], limits: Limits, clock: Callable[[], float]) -> None:
        self.said = said
        self.limits = limits
        self.clock = clock
        self.started = clock()
        self.check = HistoryCheck()
        self.checked_up_to = 0
        self.steps: list[Step] = []
        self.usage = Usage()
        question = said[-1] if said else None
        self.question = question.text if isinstance(question, HumanMessage) else ""

    def checked(self) -> list[BaseMessage]:
        self.check.feed(self.said[self.checked_up_to :])
        self.checked_up_to = len(self.said)
        self.check.ready()
        return self.said

    def seconds_left(self) -> float | None:
        if self.limits.max_seconds is None:
            return None
        return max(0.0, self.limits.max_seconds - (self.clock() - self.started))

    def out_of_time(self) -> bool:
        return self.seconds_left() == 0.0

    def answered(self, reply: Reply) -> Turn:
        if reply.finish == "max_tokens":
            return self._turn(reply, "max_tokens", reply.text)
        if reply.finish == "error":
            return self._turn(reply, "model_error", reply.text)
        return self._turn(reply, "answered" if reply.text.strip() else "empty_reply", reply.text)

    def stopped(self, reply: Reply, stop: StopReason, no_answer: str) -> Turn:
        return self._turn(reply, stop, reply.text or reply.plan or no_answer)

    def _turn(self, reply: Reply, stop: StopReason, output: str) -> Turn:
        return Turn(
            input=self.question,
            steps=tuple(self.steps),
            output=output,
            citations=reply.citations if output == reply.text else (),
            usage=self.usage,
            stop_reason=stop,
            thinking=reply.thinking,
            duration_s=self.clock() - self.started,
        )


def finished(step: Step, observation: Observation, max_chars: int | None) -> Step:
    """`step` with its result: the whole of it in `Step.result`, at most `max_chars` of it shown to the model."""
    text = observation.content
    if not text or text.isspace():
        text = prompts.EMPTY_RESULT
    shown = text if max_chars is None else head_and_tail(text, max_chars)
    return step.model_copy(update={"observation": shown, "ok": observation.ok, "result": observation})


def _pending(call: ToolCall, round_number: int, first_of: Reply | None) -> Step:
    return Step(
        tool=call.name,
        tool_input=call.arguments if call.error is None else {"_invalid": call.raw or ""},
        ok=False,
        call_id=call.id,
        round=round_number,
        plan=first_of.plan if first_of else "",
        thinking=first_of.thinking if first_of else "",
    )


def _with_own_ids(calls: Iterable[ToolCall], taken: set[str], round_number: int) -> tuple[ToolCall, ...]:
    """The calls, each with an id no other call of the request has: results and citations hang on it."""
    used = set(taken)
    own = []
    for index, call in enumerate(calls):
        wanted = call.id or f"{call.name}_{round_number}_{index}"
        unique, n = wanted, 1
        while unique in used:
            n += 1
            unique = f"{wanted}~{n}"
        used.add(unique)
        own.append(call if unique == call.id else call.model_copy(update={"id": unique}))
    return tuple(own)


def _echo(reply: Reply, calls: Sequence[ToolCall]) -> AIMessage:
    """The model's message as it goes back: its own, unless ids or unreadable arguments had to be mended."""
    message = reply.message
    if not message.invalid_tool_calls and [c["id"] for c in message.tool_calls] == [c.id for c in calls]:
        return message
    tool_calls = [{"name": c.name, "args": c.arguments, "id": c.id, "type": "tool_call"} for c in calls]
    return message.model_copy(update={"tool_calls": tool_calls, "invalid_tool_calls": []})
