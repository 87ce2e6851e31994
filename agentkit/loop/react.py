"""The ReAct loop as a generator without IO.

`react` yields requests and is sent their results: ``Ask`` (a model call) is answered with a `Reply`, ``Act`` (tool
calls) with the finished steps. It returns the `Turn`. The driver does the waiting, so that one loop serves sync and
async and is tested without any IO.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from itertools import groupby
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from agentkit import prompts
from agentkit.approval import pending_of
from agentkit.base.text import head_and_tail
from agentkit.limits import Limits
from agentkit.loop.failure_streaks import FailureStreaks
from agentkit.loop.history_rules import HistoryCheck
from agentkit.loop.protocol import Act, Ask, Complaint, Finish, Reply
from agentkit.turn import Observation, Step, StopReason, ToolCall, Turn, Usage

STOPPED_BY: dict[Finish, StopReason] = {
    "max_tokens": "max_tokens",
    "error": "model_error",
    "deadline": "max_seconds",
    "refused": "refused",
}
"""Replies that are no answer, whatever their text, with the stop reason of the turn. Asking again would not help."""

_NO_CALLS = frozenset(STOPPED_BY) - {"max_tokens"}
"""With these, the calls of the reply do not run: they may be incomplete."""

LAST_ANSWER_S = 10.0
"""Seconds the last answer may take even if `Limits.max_seconds` has passed; chosen by hand."""

INVALID = "_invalid"
"""The only key of `Step.tool_input` if the model's arguments could not be parsed; it has their raw text."""

MAX_MENDS = 2
"""Times in a turn the model is asked to correct its answer; chosen by hand."""


def react(
    messages: Sequence[BaseMessage],
    *,
    limits: Limits,
    clock: Callable[[], float],
    checks: Sequence[Callable[[Reply], Complaint | None]] = (),
    so_far: Sequence[Step] = (),
) -> Generator[Ask | Act, Any, Turn]:
    """Run one turn over a message list that ends with the question.

    Args:
        messages: System message, replayed history and the question, in order.
        limits: The limits of the run.
        clock: Returns seconds from any fixed point; only differences are used.
        checks: Checks an answer must pass. The model is sent the first complaint, at most `MAX_MENDS` times in a turn;
            each time counts as a step.
        so_far: Steps of the turn from before it was interrupted or paused, with their results; they count as steps,
            calls, tokens and failures, but their time does not. Those that wait for approval are run first.

    Returns:
        The turn, without session and number. If calls wait for approval, it ends there (``needs_approval``).

    Raises:
        HistoryError: The v2 API would refuse the message list.
    """
    said = list(messages)
    run = _Run(said, limits, clock)
    stop: StopReason | None = None
    round_number = 0
    for steps in by_round(so_far):
        round_number = steps[0].round
        waiting = run.retell(steps)
        if waiting:
            # No limit of calls: they were within it when the model asked for them.
            decided: Sequence[Step] = yield Act(
                pending_of(waiting), tuple(map(_undone, waiting)), run.seconds_left(), resumed=True
            )
            by_id = {step.call_id: step for step in decided}
            steps = [by_id.get(step.call_id, step) for step in steps]
        stop = run.take(steps)
    complaint: Complaint | None = None
    while stop is None and not run.waits and round_number < limits.max_steps:
        round_number += 1
        wants_json = complaint is not None and complaint.wants_json
        reply: Reply = yield Ask(run.checked(), offer_tools=not wants_json, wants_json=wants_json, until=run.until)
        run.usage += reply.usage
        if not reply.calls or reply.finish in _NO_CALLS:
            complaint = run.complaint(reply, checks)
            if complaint is None or run.mends >= MAX_MENDS or round_number == limits.max_steps:
                return run.answered(reply, complaint)
            run.tell(reply, complaint)
            continue
        calls = _with_own_ids(reply.calls, run.check.call_ids, round_number, cut=reply.finish == "max_tokens")
        pending = tuple(_pending(call, round_number, reply if i == 0 else None) for i, call in enumerate(calls))
        said.append(_echo(reply, calls))
        finished: Sequence[Step] = yield Act(calls, pending, run.seconds_left(), run.calls_left())
        stop = run.take(finished)
    if run.waits:
        return run.paused()
    stop = stop or "max_steps"
    reason = prompts.limit_reached(stop, limits)
    said.append(HumanMessage(prompts.answer_now(reason)))
    reply = yield Ask(run.checked(), offer_tools=False, limit=stop, until=run.last_answer_until())
    run.usage += reply.usage
    return run.stopped(reply, stop, prompts.no_answer(reason))


class _Run:
    """The state of one turn."""

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
        self.waits = False
        # Deadline of the whole run: it also bounds the waits and retries of model requests.
        self.until = None if limits.max_seconds is None else self.started + limits.max_seconds
        question = said[-1] if said else None
        self.question = question.text if isinstance(question, HumanMessage) else ""

    def retell(self, steps: Sequence[Step]) -> list[Step]:
        """Add the message that asked for these steps of one round; return those that wait for approval."""
        self.said.append(retold(steps))
        self.usage = sum((step.usage for step in steps if step.usage is not None), self.usage)
        return [step for step in steps if step.waits]

    def take(self, steps: Sequence[Step]) -> StopReason | None:
        """Add the finished steps of one round; return the limit they reached, None to continue."""
        self.steps += steps
        for step in steps:
            if step.waits:
                self.waits = True
                return None
            self.said.append(ToolMessage(step.observation, tool_call_id=step.call_id, name=step.tool))
        return self.limit_after(steps)

    def last_answer_until(self) -> float | None:
        """Return the deadline of the last answer, which gets some time even if the run's is over."""
        return None if self.until is None else max(self.until, self.clock() + LAST_ANSWER_S)

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
        """Return the limit these steps reached, None to continue."""
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
        if reply.finish in STOPPED_BY:
            return None  # the stop reason names it
        return next((c for check in checks if (c := check(reply)) is not None), None)

    def tell(self, reply: Reply, complaint: Complaint) -> None:
        self.mends += 1
        if reply.text.strip():
            self.said.append(reply.message)
        self.said.append(HumanMessage(complaint.text))

    def answered(self, reply: Reply, complaint: Complaint | None) -> Turn:
        stop = STOPPED_BY.get(reply.finish)
        if stop == "max_seconds":
            return self._turn(reply, stop, prompts.out_of_time(prompts.limit_reached(stop, self.limits)))
        if stop is None and complaint is not None:
            stop = complaint.stop
        return self._turn(reply, stop or ("answered" if reply.text.strip() else "empty_reply"), reply.text)

    def stopped(self, reply: Reply, stop: StopReason, no_answer: str) -> Turn:
        if reply.finish == "refused":
            return self._turn(reply, "refused", reply.text)
        return self._turn(reply, stop, reply.text or reply.plan or no_answer)

    def paused(self) -> Turn:
        return self._turn(None, "needs_approval", "")

    def _turn(self, reply: Reply | None, stop: StopReason, output: str) -> Turn:
        return Turn(
            input=self.question,
            steps=tuple(self.steps),
            output=output,
            citations=reply.citations if reply is not None and output == reply.text else (),
            usage=self.usage,
            stop_reason=stop,
            thinking="" if reply is None else reply.thinking,
            duration_s=self.clock() - self.started,
            pending=pending_of(self.steps) if reply is None else (),
        )


def finished(step: Step, observation: Observation, max_chars: int | None) -> Step:
    """Return `step` with its result: all of it in `Step.result`, about `max_chars` of it for the model."""
    text = observation.content
    if not text or text.isspace():
        text = prompts.EMPTY_RESULT
    shown = text if max_chars is None else head_and_tail(text, max_chars)
    return step.model_copy(update={"observation": shown, "ok": observation.ok, "result": observation})


def _pending(call: ToolCall, round_number: int, first_of: Reply | None) -> Step:
    return Step(
        tool=call.name,
        tool_input=call.arguments if call.error is None else {INVALID: call.raw or ""},
        ok=False,
        call_id=call.id,
        round=round_number,
        plan=first_of.plan if first_of else "",
        thinking=first_of.thinking if first_of else "",
        usage=first_of.usage if first_of else None,
    )


def by_round(steps: Sequence[Step]) -> list[list[Step]]:
    """Return the steps grouped by round: each group has the calls of one reply."""
    return [list(group) for _, group in groupby(steps, lambda step: step.round)]


def retold(steps: Sequence[Step]) -> AIMessage:
    """Return the message that asked for the steps of one round, made from them."""
    first = steps[0]
    calls = [
        {
            "name": step.tool,
            "args": {} if set(step.tool_input) == {INVALID} else step.tool_input,
            "id": step.call_id,
            "type": "tool_call",
        }
        for step in steps
    ]
    content: str | list[str | dict[str, Any]] = first.plan
    if first.thinking:
        content = [{"type": "reasoning", "reasoning": first.thinking}]
        content += [{"type": "text", "text": first.plan}] if first.plan else []
    return AIMessage(content, tool_calls=calls)


def _undone(step: Step) -> Step:
    return step.model_copy(update={"observation": "", "ok": False, "result": None})


def _with_own_ids(
    calls: Iterable[ToolCall], taken: set[str], round_number: int, *, cut: bool = False
) -> tuple[ToolCall, ...]:
    """Return the calls, each with a unique id, to which results and citations refer.

    If the reply was `cut` at the model's token limit, the error of invalid arguments says so.
    """
    used = set(taken)
    own = []
    for index, call in enumerate(calls):
        wanted = call.id or f"{call.name}_{round_number}_{index}"
        unique, n = wanted, 1
        while unique in used:
            n += 1
            unique = f"{wanted}~{n}"
        used.add(unique)
        if cut and call.error is not None:
            call = call.model_copy(update={"error": prompts.CUT_SHORT})
        own.append(call if unique == call.id else call.model_copy(update={"id": unique}))
    return tuple(own)


def _echo(reply: Reply, calls: Sequence[ToolCall]) -> AIMessage:
    """Return the model's message for the message list, with corrected ids and arguments where necessary."""
    message = reply.message
    as_said = [(c["id"], c["name"]) for c in message.tool_calls]
    if not message.invalid_tool_calls and as_said == [(c.id, c.name) for c in calls]:
        return message
    tool_calls = [{"name": c.name, "args": c.arguments, "id": c.id, "type": "tool_call"} for c in calls]
    return message.model_copy(update={"tool_calls": tool_calls, "invalid_tool_calls": []})
