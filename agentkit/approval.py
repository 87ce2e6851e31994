"""What a person may say to a call that needs approval, and reading it from what `Agent.resume` was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentkit.base.jsonable import json_ready
from agentkit.base.text import clean, shorten
from agentkit.errors import InputError
from agentkit.turn import Step, ToolCall


@dataclass(frozen=True, slots=True)
class Approve:
    """Run the call as it stands."""


@dataclass(frozen=True, slots=True)
class Deny:
    """Do not run the call.

    Attributes:
        reason: What the model is told of why; "" for nothing.
    """

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Edit:
    """Run the call with other arguments.

    Attributes:
        arguments: All of its arguments; the model is told that they were changed.
    """

    arguments: Mapping[str, Any]


Decision = Approve | Deny | Edit
"""What may be said to one call."""

Decisions = bool | Decision | Mapping[str, bool | Decision]
"""What may be said to all pending calls: one decision, or one for each by its id. True approves, False denies."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Input of `Agent.invoke`, `Agent.stream` and their kin that goes on with an unfinished turn, as `Agent.resume`.

    Attributes:
        decision: What was decided about the pending calls; None where there are none, or nothing was decided yet.
    """

    decision: Decisions | None = None


def as_decision(given: Any, what: str) -> Decision:
    """One decision, as it may be given.

    Args:
        given: True, False, `Approve`, `Deny` or `Edit`.
        what: Where it was given, for the message.

    Raises:
        InputError: It is something else.
    """
    if isinstance(given, bool):
        return Approve() if given else Deny()
    if isinstance(given, Deny) and isinstance(given.reason, str):
        return Deny(clean(given.reason))
    if (
        isinstance(given, Edit)
        and isinstance(given.arguments, Mapping)
        and all(isinstance(key, str) for key in given.arguments)
    ):
        return Edit(json_ready(dict(given.arguments)))
    if isinstance(given, Approve):
        return given
    raise InputError(
        f"{what} is {shorten(repr(given))}: give True, False, Approve(), Deny('why not') or Edit({{...}})."
    )


def decisions_for(given: Decisions | None, pending: Sequence[ToolCall]) -> dict[str, Decision]:
    """What was decided about each pending call, by its id.

    Raises:
        InputError: No such call, no such decision, or arguments for several calls at once.
    """
    if given is None:
        return {}
    names = ", ".join(f"{call.id} ({call.name})" for call in pending) or "none"
    if not isinstance(given, Mapping):
        if not pending:
            raise InputError("A decision was given, but no call of this turn waits for one: resume without it.")
        one = as_decision(given, "decision")
        if isinstance(one, Edit) and len(pending) > 1:
            raise InputError(f"Edit(...) is for one call, and several wait: give a dict by call id ({names}).")
        found = {call.id: one for call in pending}
    else:
        found = {key: as_decision(value, f"decision[{key!r}]") for key, value in given.items()}
    calls = {call.id: call for call in pending}
    for call_id, decision in found.items():
        if call_id not in calls:
            raise InputError(f"No call {shorten(repr(call_id))} waits for a decision; waiting: {names}.")
        if calls[call_id].error is not None and isinstance(decision, Approve):
            raise InputError(
                f"{calls[call_id].name} ({call_id}) cannot be approved as it stands: {calls[call_id].error}. "
                "Give Edit({...}) with all of its arguments, or Deny()."
            )
    return found


def pending_of(steps: Sequence[Step]) -> tuple[ToolCall, ...]:
    """The calls among `steps` that wait for approval; one whose stored arguments were redacted says so in `error`."""
    return tuple(
        ToolCall(id=s.call_id, name=s.tool, arguments=s.tool_input, error=REDACTED if _is_redacted(s) else None)
        for s in steps
        if s.waits
    )


def _is_redacted(step: Step) -> bool:
    return step.result is not None and bool(step.result.facts) and REDACTED_FACT in (step.result.facts or {})


REDACTED = "its arguments were redacted before they were stored"
REDACTED_FACT = "redacted"
"""Marks a waiting step whose stored arguments are not those the model gave."""
