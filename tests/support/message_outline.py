"""Message lists as short lines of text, to compare them whole."""

import json
from collections.abc import Iterable

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from agentkit.base.text import shorten

MAX_CHARS = 90  # with its quotes and indentation a line of a snapshot then fits the line length


def outline(messages: Iterable[BaseMessage]) -> list[str]:
    """Return a line for each message: its type, its text, and the calls that it asks for or answers; long ones cut."""
    return [shorten(_line(message), MAX_CHARS) for message in messages]


def _line(message: BaseMessage) -> str:
    if isinstance(message, ToolMessage):
        return f"tool {message.tool_call_id}: {message.text}"
    calls = message.tool_calls if isinstance(message, AIMessage) else []
    asked = [f"{call['id']}={call['name']}({json.dumps(call['args'], ensure_ascii=False)})" for call in calls]
    return " ".join([f"{message.type}: {message.text}", *asked])
