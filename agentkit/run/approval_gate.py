"""`Gate`: checks every call before it runs, with the hooks and, if the tool's policy says so, with a person.

`Gate.passed` is a generator without IO: it yields each call a person must decide about and is sent the decision. It
returns the same `Act`, in which the calls that may not run have a known result.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Generator, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

from agentkit import prompts
from agentkit.approval import REDACTED_FACT, Decision, Deny, Edit, as_decision
from agentkit.base.text import clean, shorten
from agentkit.errors import ConfigError, HookError
from agentkit.loop.protocol import Act
from agentkit.run.hooks import HookChain, Refuse
from agentkit.toolbox.toolbox import Toolbox
from agentkit.turn import ErrorKind, Observation, ToolCall

Approver = Callable[[ToolCall], bool | Decision | Awaitable[bool | Decision | None] | None]
"""Decides about a call: True, False, Approve(), Deny("why"), Edit({...}), or None to pause the run."""


class Gate:
    """Checks the calls of one run."""

    def __init__(
        self,
        toolbox: Toolbox,
        hooks: HookChain | None,
        approve: Approver | None,
        decisions: Mapping[str, Decision],
    ) -> None:
        """Set up a run's gate; `decisions` are those given to `Agent.resume`, by call id."""
        self._toolbox = toolbox
        self._hooks = hooks
        self._approve = approve
        self._decisions = dict(decisions)

    def decision(self, call: ToolCall) -> Decision | None:
        """Ask the person on this thread; None leaves the call waiting.

        Raises:
            HookError: `approve` raised, returned no valid decision, or must be awaited.
        """
        return self._read(self._asked(call))

    async def adecision(self, call: ToolCall) -> Decision | None:
        """Do as `decision` does; `approve` may be a coroutine function."""
        said = self._asked(call, may_await=True)
        try:
            return self._read(await said if inspect.isawaitable(said) else said)
        except HookError:
            raise
        except Exception as error:
            raise _raised("approve", error) from error

    def _asked(self, call: ToolCall, *, may_await: bool = False) -> Any:
        if self._approve is None:
            return None
        try:
            said = self._approve(deepcopy(call))
        except Exception as error:
            raise _raised("approve", error) from error
        if inspect.isawaitable(said) and not may_await:
            if inspect.iscoroutine(said):
                said.close()
            raise HookError(
                "approve is a coroutine function, which run() and stream() cannot await: use arun() or astream()."
            )
        return said

    def _read(self, said: Any) -> Decision | None:
        try:
            return None if said is None else as_decision(said, "What approve returned")
        except ValueError as error:
            raise HookError(str(error)) from error

    def passed(self, act: Act) -> Generator[ToolCall, Decision | None, Act]:
        """Yield each call a person must decide about, be sent the decision, return `act` as it may run.

        Raises:
            HookError: A hook or an approval function raised.
        """
        calls, steps = list(act.calls), list(act.steps)
        known, notes = dict(act.known), dict(act.notes)
        last = len(calls) if act.allowed is None else min(act.allowed, len(calls))
        for i, call in enumerate(calls[:last]):
            if call.id in known:
                continue
            call, result, note = yield from self._one(call, resumed=act.resumed)
            if call is not calls[i]:
                calls[i] = call
                steps[i] = steps[i].model_copy(update={"tool_input": call.arguments})
            if result is not None:
                known[call.id] = result
                # Stored with the call: a call that was not made must never look as if it might have run.
                steps[i] = steps[i].model_copy(update={"observation": result.content, "result": result})
            if note:
                notes[call.id] = note
        return replace(act, calls=tuple(calls), steps=tuple(steps), known=known, notes=notes)

    def _one(
        self, call: ToolCall, *, resumed: bool
    ) -> Generator[ToolCall, Decision | None, tuple[ToolCall, Observation | None, str]]:
        """Return the call, its result if it must not run, and a text to add below its result."""
        if not resumed:
            if call.error is not None or not self._toolbox.has(call.name):
                return call, None, ""  # the toolbox reports the error
            seen = self._hooked(call)
            if isinstance(seen, Refuse):
                return call, _not_made(prompts.denied(call.name, clean(seen.reason)), "refused"), ""
            call = seen
            wanted = self._toolbox.needs_approval(call)
            if isinstance(wanted, Observation):
                return call, wanted, ""
            if not wanted:
                return call, None, ""
        decision = self._decisions.pop(call.id, None)
        if decision is None and call.error is None:
            decision = yield call
        if decision is None:
            facts = None if call.error is None else {REDACTED_FACT: True}
            return call, _not_made(prompts.needs_approval(call.name), "needs_approval", facts), ""
        if isinstance(decision, Deny):
            return call, _not_made(prompts.denied(call.name, decision.reason), "refused"), ""
        if not isinstance(decision, Edit):
            return call, None, ""
        call = call.model_copy(update={"arguments": dict(decision.arguments), "error": None})
        note = prompts.edited(json.dumps(call.arguments, ensure_ascii=False, default=str))
        seen = self._hooked(call)
        if isinstance(seen, Refuse):
            return call, _not_made(prompts.denied(call.name, clean(seen.reason)), "refused"), note
        return seen, None, note

    def _hooked(self, call: ToolCall) -> ToolCall | Refuse:
        return call if self._hooks is None else self._hooks.before_tool(call)


def checked_approver(approve: Any) -> Approver | None:
    """Return `approve` if it is callable or None.

    Raises:
        ConfigError: It is neither.
    """
    if approve is None or callable(approve):
        return approve  # type: ignore[no-any-return]
    raise ConfigError(f"approve is {shorten(repr(approve))}: give a function of a ToolCall, or None.")


def _not_made(text: str, kind: ErrorKind, facts: dict[str, Any] | None = None) -> Observation:
    return Observation(content=text, ok=False, error=kind, facts=facts)


def _raised(what: str, error: Exception) -> HookError:
    return HookError(
        f"{what} raised {type(error).__name__}: {shorten(error, 300)}. Next: fix it, then continue with resume()."
    )
