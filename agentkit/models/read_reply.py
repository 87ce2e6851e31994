"""A chat model's message as a `Reply`, whichever model it comes from."""

from __future__ import annotations

import json
from typing import Any

from langchain_core.messages import AIMessage

from agentkit.base.jsonable import json_ready
from agentkit.cohere.wire import thinking_of
from agentkit.errors import ModelError
from agentkit.loop.protocol import Finish, Reply
from agentkit.turn import Citation, ToolCall, Usage

_FINISH: dict[str, Finish] = {
    "MAX_TOKENS": "max_tokens",
    "length": "max_tokens",
    "max_tokens": "max_tokens",
    "ERROR": "error",
    "TIMEOUT": "error",
    "error": "error",
}


UNNAMED = "unnamed_tool"
"""The name of a call to which the model gave none, so that it can be answered like any other."""


def read_reply(message: Any) -> Reply:
    """Return a chat model's message as a `Reply`.

    Raises:
        ModelError: It is not an AIMessage.
    """
    if not isinstance(message, AIMessage):
        raise ModelError(
            f"The chat model returned a {type(message).__name__} instead of an AIMessage; use a LangChain chat model."
        )
    message = _cleaned(message)
    calls = _calls(message)
    text = message.content if isinstance(message.content, str) else str(message.text)
    plan = message.additional_kwargs.get("tool_plan") or ""
    if calls and not plan:
        plan, text = text, ""
    return Reply(
        message=message,
        text=text,
        plan=plan,
        thinking=thinking_of(message),
        calls=calls,
        citations=_citations(message),
        usage=_usage(message),
        finish=_finish(message),
    )


def _cleaned(message: AIMessage) -> AIMessage:
    """Return `message` with what no database or request can hold, such as NUL and lone surrogates, written as text."""
    parts = ("content", "tool_calls", "invalid_tool_calls", "additional_kwargs")
    ready = {name: json_ready(getattr(message, name)) for name in parts}
    dirty = {name: value for name, value in ready.items() if value is not getattr(message, name)}
    return message.model_copy(update=dirty) if dirty else message


def _calls(message: AIMessage) -> tuple[ToolCall, ...]:
    if not message.tool_calls and not message.invalid_tool_calls:
        return ()
    good = [ToolCall(id=c["id"] or "", name=c["name"] or UNNAMED, arguments=c["args"]) for c in message.tool_calls]
    bad = [
        ToolCall(id=c["id"] or "", name=c["name"] or UNNAMED, error=c["error"] or "not JSON", raw=c["args"] or "")
        for c in message.invalid_tool_calls
    ]
    return tuple(good + bad)


def _citations(message: AIMessage) -> tuple[Citation, ...]:
    found = message.additional_kwargs.get("citations")
    if not found:
        return ()
    return tuple(_citation(c if isinstance(c, dict) else json.loads(c.json())) for c in found)


def _citation(citation: dict[str, Any]) -> Citation:
    sources = tuple(str(s.get("id", "")) for s in citation.get("sources") or ())
    from_tools = [
        str(s.get("id", "")).rpartition(":")[0] for s in citation.get("sources") or () if s.get("type") == "tool"
    ]
    return Citation(
        start=citation["start"],
        end=citation["end"],
        text=citation.get("text") or "",
        sources=sources,
        call_ids=tuple(dict.fromkeys(filter(None, from_tools))),
    )


def _usage(message: AIMessage) -> Usage:
    counted = message.usage_metadata
    if counted is None:
        return _ONE_CALL
    return Usage(input_tokens=counted["input_tokens"], output_tokens=counted["output_tokens"], model_calls=1)


_ONE_CALL = Usage(model_calls=1)


def _finish(message: AIMessage) -> Finish:
    metadata = message.response_metadata
    reason = metadata.get("finish_reason") or metadata.get("stop_reason")
    return _FINISH.get(str(reason), "tool_call" if message.tool_calls else "complete")
