"""Decisions on calls that need approval, and reading them from the argument of `Agent.resume`."""

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
    """Run the call unchanged."""


@dataclass(frozen=True, slots=True)
class Deny:
    """Do not run the call.

    Attributes:
        reason: The reason the model is given; "" for none.
    """

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Edit:
    """Run the call with other arguments.

    Attributes:
        arguments: All arguments of the call; the model is told that they were changed.
    """

    arguments: Mapping[str, Any]


Decision = Approve | Deny | Edit
"""A decision on one call."""

Decisions = bool | Decision | Mapping[str, bool | Decision]
"""Decisions on the pending calls: one for all, or a dict by call id. True approves, False denies."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Input of `Agent.invoke`, `Agent.stream`, `ainvoke` and `astream` that continues a turn, as `Agent.resume` does.

    Attributes:
        decision: The decisions on the pending calls; None if there are none yet, or no pending calls.
    """

    decision: Decisions | None = None


def as_decision(given: Any, what: str) -> Decision:
    """Return a decision in its typed form: True as `Approve`, False as `Deny`.

    Args:
        given: True, False, `Approve`, `Deny` or `Edit`.
        what: Names the value in the error message.

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
    """Return the decisions by call id.

    Raises:
        InputError: A call id or a decision is unknown, or one `Edit` was given for several calls.
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
    """Return the calls in `steps` that wait for approval; `error` is set if the stored arguments were redacted."""
    return tuple(
        ToolCall(id=s.call_id, name=s.tool, arguments=s.tool_input, error=REDACTED if _is_redacted(s) else None)
        for s in steps
        if s.waits
    )


def _is_redacted(step: Step) -> bool:
    return step.result is not None and bool(step.result.facts) and REDACTED_FACT in (step.result.facts or {})


REDACTED = "its arguments were redacted before they were stored"
REDACTED_FACT = "redacted"
"""Key in the facts of a waiting step that says redaction changed its stored arguments."""
