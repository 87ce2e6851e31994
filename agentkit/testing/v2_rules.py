"""The rules of the v2 chat API, so that a scripted server refuses a request that the API would refuse."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from agentkit.base.text import shorten

_FIELDS = frozenset(
    {"model", "messages", "stream", "tools", "strict_tools", "tool_choice", "documents", "citation_options"}
    | {"response_format", "safety_mode", "thinking", "max_tokens", "stop_sequences", "temperature", "seed", "k", "p"}
    | {"frequency_penalty", "presence_penalty", "logprobs", "raw_prompting", "return_prompt", "priority"}
)
_PARTS = {"user": {"text", "image_url"}, "assistant": {"text", "thinking"}, "tool": {"text", "document"}}


def problem_with(body: object) -> str | None:
    """Return why the API would answer this request body with status 400, or None if it would not."""
    if not isinstance(body, Mapping):
        return "the body must be a JSON object"
    unknown = sorted(set(body) - _FIELDS)
    if unknown:
        return f"unknown field: parameter '{unknown[0]}' is not a valid field"
    if not isinstance(body.get("model"), str) or not body["model"]:
        return "model is required"
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        return "messages must be a list of at least one message"
    return _problem_with_tools(body) or _problem_with_messages(messages)


def _problem_with_tools(body: Mapping[str, Any]) -> str | None:
    names: set[str] = set()
    for number, tool in enumerate(body.get("tools") or ()):
        function = tool.get("function") if isinstance(tool, Mapping) else None
        if not isinstance(function, Mapping) or tool.get("type") != "function" or not function.get("name"):
            return f"tools[{number}] must be {{type: function, function: {{name, description, parameters}}}}"
        if function["name"] in names:
            return f"tools[{number}]: the name '{function['name']}' is used twice"
        names.add(function["name"])
        if not isinstance(function.get("parameters", {}), Mapping):
            return f"tools[{number}]: parameters must be a JSON schema"
    choice = body.get("tool_choice")
    if choice is not None and (choice not in ("REQUIRED", "NONE") or not names):
        return f"tool_choice {shorten(repr(choice))} must be REQUIRED or NONE, beside tools"
    return None


def _problem_with_messages(messages: list[Any]) -> str | None:
    open_calls: set[str] = set()
    all_calls: set[str] = set()
    for number, message in enumerate(messages):
        role = message.get("role") if isinstance(message, Mapping) else None
        if role not in ("system", "user", "assistant", "tool"):
            return f"messages[{number}]: role {shorten(repr(role))} must be system, user, assistant or tool"
        if role == "tool":
            call_id = message.get("tool_call_id")
            if call_id not in open_calls:
                return f"messages[{number}]: tool_call_id {shorten(repr(call_id))} answers no open tool call"
            open_calls.discard(call_id)
        elif open_calls:
            return f"messages[{number}]: tool call '{min(open_calls)}' has no result before it"
        if role == "assistant" and message.get("tool_calls"):
            problem = _problem_with_calls(message["tool_calls"], all_calls)
            if problem:
                return f"messages[{number}]: {problem}"
            open_calls = {call["id"] for call in message["tool_calls"]}
            all_calls |= open_calls
        elif not _has_content(message, role):
            return f"messages[{number}]: the {role} message is empty or has content of a wrong form"
    if open_calls:
        return f"tool call '{min(open_calls)}' has no result"
    if messages[-1]["role"] not in ("user", "tool"):
        return f"the last message must be the user's or a tool's, not of role {messages[-1]['role']}"
    return None


def _problem_with_calls(calls: Any, taken: set[str]) -> str | None:
    seen = set(taken)
    for number, call in enumerate(calls):
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping) or call.get("type") != "function" or not function.get("name"):
            return f"tool_calls[{number}] must be {{id, type: function, function: {{name, arguments}}}}"
        if not call.get("id") or call["id"] in seen:
            return f"tool_calls[{number}]: id {shorten(repr(call.get('id')))} is missing or used twice"
        seen.add(call["id"])
        try:
            parsed = json.loads(function.get("arguments") or "")
        except (TypeError, ValueError):
            parsed = None
        if not isinstance(parsed, dict):
            return f"tool_calls[{number}]: arguments must be the JSON text of an object"
    return None


def _has_content(message: Mapping[str, Any], role: str) -> bool:
    content = message.get("content")
    if isinstance(content, str):
        return bool(content.strip()) or role == "tool"
    allowed = _PARTS.get(role, {"text"})
    return bool(content) and isinstance(content, list) and all(_is_part(part, allowed) for part in content)


def _is_part(part: Any, allowed: set[str]) -> bool:
    if not isinstance(part, Mapping) or part.get("type") not in allowed:
        return False
    return part.get(part["type"]) not in (None, "", {})
