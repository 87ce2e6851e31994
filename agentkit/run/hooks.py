"""`Hooks`: functions of the caller's that see what an agent does, may change it, and may refuse it.

The loop knows nothing of them; its driver calls them around the model and the tools.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, fields, replace
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from agentkit.base.jsonable import json_ready
from agentkit.base.text import clean, shorten
from agentkit.errors import ConfigError, HookError
from agentkit.loop.history_rules import validate_history
from agentkit.loop.protocol import Ask, Reply
from agentkit.turn import Observation, ToolCall, Turn


@dataclass(frozen=True, slots=True)
class Refuse:
    """A refusal, as a hook returns it.

    Attributes:
        reason: From `before_tool`, the text the model reads; from `before_model` and `after_model`, the turn's output,
            and the turn ends with the stop reason ``refused``.
    """

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """Functions called around the model and the tools; all are optional, and a None result changes nothing.

    They are plain functions, called on the thread or the event loop that runs the agent, so they should be quick. The
    last argument is always the session. If one raises, the run ends with a `HookError` that names it; the steps so far
    are kept, as after any error.

    Attributes:
        before_model: Gets the messages about to be sent; may return other messages, for this request only, or `Refuse`.
        after_model: Gets the reply; may return another one, or `Refuse`. In a stream its deltas have already been
            yielded.
        before_tool: Gets a call about to run, before a person is asked to approve it; may return it with other
            arguments, or `Refuse`. It gets the call again if a person edits its arguments.
        after_tool: Gets a call and its observation, before it is stored or shown; may return another observation.
        on_turn: Gets the turn after it is stored, finished or paused; it is not called for interrupted turns.

    Raises:
        ConfigError: A hook cannot be called, or is a coroutine function.
    """

    before_model: Callable[[Sequence[BaseMessage], str], Sequence[BaseMessage] | Refuse | None] | None = None
    after_model: Callable[[Reply, str], Reply | Refuse | None] | None = None
    before_tool: Callable[[ToolCall, str], ToolCall | Refuse | None] | None = None
    after_tool: Callable[[ToolCall, Observation, str], Observation | None] | None = None
    on_turn: Callable[[Turn, str], object] | None = None

    def __post_init__(self) -> None:
        """Check that the hooks are plain functions."""
        for field in fields(self):
            hook = getattr(self, field.name)
            if hook is not None and (not callable(hook) or inspect.iscoroutinefunction(hook)):
                raise ConfigError(f"Hooks({field.name}={shorten(repr(hook))}): give a plain function, or None.")


class HookChain:
    """The hooks of one run, in the order given; each gets the result of the one before it."""

    def __init__(self, hooks: Sequence[Hooks], session: str) -> None:
        """Bind the hooks to a session."""
        self._hooks = hooks
        self._session = session

    def before_model(self, ask: Ask) -> Ask | Reply:
        """Return the request to send, or a reply for a refusal.

        Raises:
            HookError: A hook raised, or returned a value of the wrong type.
            HistoryError: The messages of a hook break a rule of the v2 API.
        """
        messages: Sequence[BaseMessage] = ask.messages
        for hook in self._of("before_model"):
            found = self._call("before_model", hook, deepcopy(list(messages)))
            if isinstance(found, Refuse):
                return _refusal(found)
            if found is not None:
                if not isinstance(found, Sequence) or not all(isinstance(m, BaseMessage) for m in found):
                    raise _wrong("before_model", hook, found, "a list of messages")
                messages = found
        if messages is ask.messages:
            return ask
        validate_history(messages)
        return replace(ask, messages=list(messages))

    def after_model(self, reply: Reply) -> Reply:
        """Return the reply the agent continues with.

        Raises:
            HookError: A hook raised, or returned a value of the wrong type.
        """
        for hook in self._of("after_model"):
            found = self._call("after_model", hook, reply)
            if isinstance(found, Refuse):
                return replace(_refusal(found), usage=reply.usage)
            if found is not None:
                if not isinstance(found, Reply):
                    raise _wrong("after_model", hook, found, "a Reply")
                reply = _synced(reply, found)
        return reply

    def before_tool(self, call: ToolCall) -> ToolCall | Refuse:
        """Return the call to make, or a refusal.

        Raises:
            HookError: A hook raised, or returned a value of the wrong type.
        """
        for hook in self._of("before_tool"):
            # A copy: the call that runs must be the one stored, so a change counts only if it is returned.
            found = self._call("before_tool", hook, deepcopy(call))
            if isinstance(found, Refuse):
                return Refuse(str(found.reason))
            if found is not None:
                if not isinstance(found, ToolCall) or (found.id, found.name) != (call.id, call.name):
                    raise _wrong("before_tool", hook, found, "the same call, perhaps with other arguments")
                if not isinstance(found.arguments, dict) or not all(isinstance(key, str) for key in found.arguments):
                    raise _wrong("before_tool", hook, found.arguments, "arguments by name")
                call = found.model_copy(update={"arguments": json_ready(deepcopy(found.arguments))})
        return call

    def after_tool(self, call: ToolCall, seen: Observation) -> Observation:
        """Return the observation to store and to show.

        Raises:
            HookError: A hook raised, or returned a value of the wrong type.
        """
        for hook in self._of("after_tool"):
            found = self._call("after_tool", hook, deepcopy(call), seen)
            if found is not None:
                if not isinstance(found, Observation) or not isinstance(found.content, str):
                    raise _wrong("after_tool", hook, found, "an Observation")
                seen = found.model_copy(update={"content": clean(found.content)})
        return seen

    def on_turn(self, turn: Turn) -> None:
        """Call the hooks with the turn.

        Raises:
            HookError: A hook raised.
        """
        for hook in self._of("on_turn"):
            self._call("on_turn", hook, turn)

    def _of(self, kind: str) -> list[Callable[..., Any]]:
        return [hook for hooks in self._hooks if (hook := getattr(hooks, kind)) is not None]

    def _call(self, kind: str, hook: Callable[..., Any], *given: Any) -> Any:
        try:
            return hook(*given, self._session)
        except Exception as error:
            raise HookError(
                f"The hook {kind} ({_name(hook)}) raised {type(error).__name__}: {shorten(error, 300)}. "
                "Next: fix the hook; the steps so far are kept."
            ) from error


def checked_hooks(given: Hooks | Sequence[Hooks]) -> tuple[Hooks, ...]:
    """Return the hooks given to an agent as a tuple.

    Raises:
        ConfigError: One is no `Hooks`.
    """
    hooks = (given,) if isinstance(given, Hooks) else given
    if not isinstance(hooks, Sequence) or not all(isinstance(one, Hooks) for one in hooks):
        raise ConfigError(f"hooks is {shorten(repr(given))}: give Hooks(...), or a list of them.")
    return tuple(hooks)


def _refusal(refuse: Refuse) -> Reply:
    reason = clean(str(refuse.reason))
    return Reply(message=AIMessage(reason), text=reason, finish="refused")


def _synced(before: Reply, after: Reply) -> Reply:
    """Return `after` with its message and citations adapted to its text and calls."""
    if after.message is not before.message:
        return after
    changes: dict[str, Any] = {}
    if after.text != before.text:
        text = clean(after.text)
        changes["content"] = text
        kept = tuple(c for c in after.citations if text[c.start : c.end] == before.text[c.start : c.end])
        after = replace(after, text=text, citations=kept)
    if after.calls != before.calls:
        changes["tool_calls"] = [
            {"name": c.name, "args": c.arguments, "id": c.id, "type": "tool_call"} for c in after.calls
        ]
        changes["invalid_tool_calls"] = []
    return replace(after, message=after.message.model_copy(update=changes)) if changes else after


def _wrong(kind: str, hook: Callable[..., Any], found: Any, wanted: str) -> HookError:
    return HookError(f"The hook {kind} ({_name(hook)}) returned {shorten(repr(found))}: return {wanted}, or None.")


def _name(hook: Callable[..., Any]) -> str:
    return getattr(hook, "__qualname__", None) or type(hook).__name__
