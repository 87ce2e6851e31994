"""The rules of a v2 message list, checked before anything is sent.

The API refuses a list that breaks a rule, and would refuse a session that stored it forever; so it is never sent. The
rules: roles system, user, assistant and tool; no empty message; every tool call has a unique id; each call has exactly
one result, before any other message; the list ends with a user message or a result.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from agentkit.base.text import shorten
from agentkit.errors import HistoryError


class HistoryCheck:
    """Checks a growing message list, each message once, so that the cost of a long run is linear."""

    def __init__(self) -> None:
        """Start with an empty list."""
        self.call_ids: set[str] = set()
        self._unanswered: dict[str, str] = {}
        self._count = 0
        self._last: BaseMessage | None = None

    def feed(self, messages: Iterable[BaseMessage]) -> None:
        """Check the next messages of the list.

        Raises:
            HistoryError: A message is not allowed at its position.
        """
        for message in messages:
            self._one(message)
            self._count += 1
            self._last = message

    def ready(self) -> None:
        """Check that the list may be sent now.

        Raises:
            HistoryError: The list is empty or ends with an assistant message, or a call has no result.
        """
        if self._unanswered:
            missing = ", ".join(f"{name} ({call_id})" for call_id, name in self._unanswered.items())
            raise self._error(f"has no result for the call of {missing}", "add a ToolMessage for each call")
        if not isinstance(self._last, (HumanMessage, ToolMessage)):
            ends = "is empty" if self._last is None else f"ends with a {self._last.type} message"
            raise self._error(ends, "end the list with the user's message or a tool's result")

    def _one(self, message: BaseMessage) -> None:
        if isinstance(message, ToolMessage):
            call_id = message.tool_call_id
            if self._unanswered.pop(call_id, None) is None:
                again = call_id in self.call_ids
                raise self._error(
                    f"{'answers the call' if again else 'has a result for an unknown call'} {call_id!r}"
                    f"{' a second time' if again else ''}",
                    "give each call one result, right after the message that made the call",
                )
            self._not_empty(message)
            return
        if self._unanswered:
            name = next(iter(self._unanswered.values()))
            raise self._error(
                f"has a {message.type} message before the result of {name!r}",
                "put the results of a call right after it",
            )
        if isinstance(message, AIMessage):
            if message.tool_calls:
                for call in message.tool_calls:
                    self._call(call["id"], call["name"])
            else:
                self._not_empty(message)
        elif isinstance(message, (HumanMessage, SystemMessage)):
            self._not_empty(message)
        else:
            raise self._error(
                f"has a {type(message).__name__}", "use SystemMessage, HumanMessage, AIMessage or ToolMessage"
            )

    def _call(self, call_id: str | None, name: str) -> None:
        if not call_id or not name:
            raise self._error(f"has a tool call without {'a name' if call_id else 'an id'}", "give each call both")
        if call_id in self.call_ids:
            raise self._error(f"uses the call id {call_id!r} twice", "give each call an id of its own")
        self.call_ids.add(call_id)
        self._unanswered[call_id] = name

    def _not_empty(self, message: BaseMessage) -> None:
        content = message.content
        if isinstance(content, str):
            if content and not content.isspace():
                return
        elif any(part if isinstance(part, str) else part.get("type") != "text" or part.get("text") for part in content):
            return
        raise self._error(f"has an empty {message.type} message", "omit it, or say in words that it is empty")

    def _error(self, what: str, fix: str) -> HistoryError:
        return HistoryError(f"The message list {shorten(what, 200)} (at message {self._count + 1}); {fix}.")


def validate_history(messages: Sequence[BaseMessage]) -> None:
    """Check a whole v2 message list, as is done before every request.

    Raises:
        HistoryError: A rule is broken; the error names the first one, the position and the fix.
    """
    check = HistoryCheck()
    check.feed(messages)
    check.ready()


def apart(history: Sequence[BaseMessage], taken: Iterable[str]) -> Sequence[BaseMessage]:
    """Return `history` with new ids for the calls whose ids are in `taken`, the ids of later steps."""
    used = {call["id"] for m in history if isinstance(m, AIMessage) for call in m.tool_calls}
    clash = used & set(taken)
    if not clash:
        return history
    used |= set(taken)
    new: dict[str | None, str] = {}
    for old in sorted(filter(None, clash)):
        n = 2
        while f"{old}~{n}" in used:
            n += 1
        used.add(f"{old}~{n}")
        new[old] = f"{old}~{n}"
    return [_renamed(message, new) for message in history]


def _renamed(message: BaseMessage, new: Mapping[str | None, str]) -> BaseMessage:
    if isinstance(message, AIMessage) and message.tool_calls:
        calls = [{**call, "id": new.get(call["id"], call["id"])} for call in message.tool_calls]
        return message.model_copy(update={"tool_calls": calls})
    if isinstance(message, ToolMessage) and message.tool_call_id in new:
        return message.model_copy(update={"tool_call_id": new[message.tool_call_id]})
    return message
