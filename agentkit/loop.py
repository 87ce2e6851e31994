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
from agentkit.failures import FailureStreaks
from agentkit.history import HistoryCheck
from agentkit.limits import Limits
from agentkit.text import head_and_tail
from agentkit.turn import Citation, Observation, Step, StopReason, ToolCall, Turn, Usage

Finish = Literal["complete", "tool_call", "max_tokens", "error"]

MAX_MENDS = 2
"""How often in a turn the model is told what is wrong with its answer."""


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
class Complaint:
    """What is wrong with an answer.

    Attributes:
        stop: How the turn ends if the model does not mend it.
        text: What the model is told.
        wants_json: Whether the next answer must be JSON, so that no tools are offered with it.
    """

    stop: StopReason
    text: str
    wants_json: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """Send `messages` to the model.

    Attributes:
        messages: The whole list.
        offer_tools: Whether the model may call tools.
        limit: The limit that was reached, after which the model answers without tools; None where none was.
        wants_json: Whether the reply must be JSON of the agent's output, and nothing else.
    """

    messages: list[BaseMessage]
    offer_tools: bool = True
    limit: StopReason | None = None
    wants_json: bool = False


@dataclass(frozen=True, slots=True)
class Act:
    """Run `calls`, side by side; answer with the finished `steps`, in the same order.

    Attributes:
        calls: What to run.
        steps: The same calls as steps without a result, to be written down before they run.
        seconds_left: What is left of `Limits.max_seconds`, None where there is no such limit.
        allowed: How many of the calls may run, from the first; None for all. The others are told that they were not.
        known: Results, by call id, of calls that were already made and need not run again.
        notes: What to add below a result, by call id.
    """

    calls: tuple[ToolCall, ...]
    steps: tuple[Step, ...]
    seconds_left: float | None = None
    allowed: int | None = None
    known: Mapping[str, Observation] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)


def react(
    messages: Sequence[BaseMessage],
    *,
    limits: Limits,
    clock: Callable[[], float],
    checks: Sequence[Callable[[Reply], Complaint | None]] = (),
) -> Generator[Ask | Act, Any, Turn]:
    """Run one turn over a message list that ends with the question.

    Args:
        messages: System message, replayed history and the question, in order.
        limits: When to stop.
        clock: Seconds from any fixed point; only differences are used.
        checks: What an answer must pass. The model is told of the first complaint, `MAX_MENDS` times in a turn; each
            time counts as a step.

    Returns:
        The turn, without session and number.

    Raises:
        HistoryError: The list is not one the v2 API takes.
    """
    said = list(messages)
    run = _Run(said, limits, clock)
    stop: StopReason | None = None
    complaint: Complaint | None = None
    for round_number in range(1, limits.max_steps + 1):
        wants_json = complaint is not None and complaint.wants_json
        reply: Reply = yield Ask(run.checked(), offer_tools=not wants_json, wants_json=wants_json)
        run.usage += reply.usage
        if not reply.calls:
            complaint = run.complaint(reply, checks)
            if complaint is None or run.mends >= MAX_MENDS or round_number == limits.max_steps:
                return run.answered(reply, complaint)
            run.tell(reply, complaint)
            continue
        calls = _with_own_ids(reply.calls, run.check.call_ids, round_number)
        pending = tuple(_pending(call, round_number, reply if i == 0 else None) for i, call in enumerate(calls))
        said.append(_echo(reply, calls))
        finished: Sequence[Step] = yield Act(calls, pending, run.seconds_left(), run.calls_left())
        run.steps += finished
        said += [ToolMessage(step.observation, tool_call_id=step.call_id, name=step.tool) for step in finished]
        stop = run.limit_after(finished)
        if stop is not None:
            break
    stop = stop or "max_steps"
    reason = prompts.limit_reached(stop, limits)
    said.append(HumanMessage(prompts.answer_now(reason)))
    reply = yield Ask(run.checked(), offer_tools=False, limit=stop)
    run.usage += reply.usage
    return run.stopped(reply, stop, prompts.no_answer(reason))


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
        self.failures = FailureStreaks()
        self.mends = 0
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

    def calls_left(self) -> int | None:
        most = self.limits.max_tool_calls
        return None if most is None else max(0, most - len(self.steps))

    def limit_after(self, finished: Sequence[Step]) -> StopReason | None:
        """The limit that was reached with these steps, None to go on."""
        limits, usage = self.limits, self.usage
        if self.failures.repeated(finished, limits.max_same_failures):
            return "repeated_failure"
        if limits.max_tool_calls is not None and len(self.steps) >= limits.max_tool_calls:
            return "max_tool_calls"
        if limits.max_total_tokens is not None and usage.total_tokens >= limits.max_total_tokens:
            return "max_total_tokens"
        if limits.max_cost is not None and usage.cost >= limits.max_cost:
            return "max_cost"
        return "max_seconds" if self.seconds_left() == 0.0 else None

    def complaint(self, reply: Reply, checks: Iterable[Callable[[Reply], Complaint | None]]) -> Complaint | None:
        if reply.finish in ("max_tokens", "error"):
            return None  # it is named as what it is, and asking again would run into the same
        return next((c for check in checks if (c := check(reply)) is not None), None)

    def tell(self, reply: Reply, complaint: Complaint) -> None:
        self.mends += 1
        if reply.text.strip():
            self.said.append(reply.message)
        self.said.append(HumanMessage(complaint.text))

    def answered(self, reply: Reply, complaint: Complaint | None) -> Turn:
        if reply.finish == "max_tokens":
            return self._turn(reply, "max_tokens", reply.text)
        if reply.finish == "error":
            return self._turn(reply, "model_error", reply.text)
        if complaint is not None:
            return self._turn(reply, complaint.stop, reply.text)
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
    as_said = [(c["id"], c["name"]) for c in message.tool_calls]
    if not message.invalid_tool_calls and as_said == [(c.id, c.name) for c in calls]:
        return message
    tool_calls = [{"name": c.name, "args": c.arguments, "id": c.id, "type": "tool_call"} for c in calls]
    return message.model_copy(update={"tool_calls": tool_calls, "invalid_tool_calls": []})
