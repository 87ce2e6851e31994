"""LangChain messages to Cohere v2 chat requests, and v2 responses to LangChain messages; no IO.

The AI messages made here keep the parts of a v2 message apart: the answer in ``content``; the plan beside tool calls in
``additional_kwargs["tool_plan"]``; thinking as a LangChain ``reasoning`` block; citations as plain JSON in
``additional_kwargs["citations"]``; and the same messages give the same request back. Nothing is invented.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    InvalidToolCall,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages import ToolCall as MessageToolCall
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata

from agentkit.cohere.images import image_part
from agentkit.errors import HistoryError, ModelError


def request_messages(messages: Iterable[BaseMessage]) -> list[dict[str, Any]]:
    """Return the ``messages`` array of a v2 chat request.

    Raises:
        HistoryError: A message of a type v2 has no role for.
        InputError: An image Cohere does not take.
    """
    return [_request_message(message) for message in messages]


def _request_message(message: BaseMessage) -> dict[str, Any]:
    if isinstance(message, AIMessage):
        return _assistant(message)
    if isinstance(message, ToolMessage):
        document = {"type": "document", "document": {"data": {"output": message.text}}}
        return {"role": "tool", "tool_call_id": message.tool_call_id, "content": [document]}
    if isinstance(message, SystemMessage):
        return {"role": "system", "content": message.text}
    if isinstance(message, HumanMessage):
        return {"role": "user", "content": _user_content(message)}
    raise HistoryError(
        f"Cohere's chat has no role for a {type(message).__name__}; "
        "use SystemMessage, HumanMessage, AIMessage or ToolMessage."
    )


def _assistant(message: AIMessage) -> dict[str, Any]:
    thinking, text = [{"type": "thinking", "thinking": part} for part in _thoughts(message)], message.text
    out: dict[str, Any] = {"role": "assistant"}
    if message.tool_calls:
        plan = message.additional_kwargs.get("tool_plan") or text
        if plan:
            out["tool_plan"] = plan
        if thinking:
            out["content"] = thinking
        out["tool_calls"] = [
            {
                "id": call["id"],
                "type": "function",
                "function": {"name": call["name"], "arguments": json.dumps(call["args"], ensure_ascii=False)},
            }
            for call in message.tool_calls
        ]
        return out
    answer = [{"type": "text", "text": text}] if text else []
    out["content"] = [*thinking, *answer] if thinking else text
    return out


def _user_content(message: HumanMessage) -> str | list[dict[str, Any]]:
    content = message.content
    if isinstance(content, str):
        return content
    parts: list[dict[str, Any]] = []
    for part in content:
        if isinstance(part, str):
            parts.append({"type": "text", "text": part})
        elif part.get("type") == "text":
            parts.append({"type": "text", "text": part.get("text", "")})
        elif part.get("type") in ("image_url", "image"):
            parts.append(image_part(part))
        else:
            raise HistoryError(
                f"Cohere's chat takes no {part.get('type')!r} part in a user message; give text or image_url parts."
            )
    return parts


def thinking_of(message: AIMessage) -> str:
    """Return the thinking in an AI message, whichever provider's block holds it; "" where there is none."""
    return "\n".join(_thoughts(message))


def _thoughts(message: AIMessage) -> list[str]:
    """Return its blocks of thinking in their order."""
    if isinstance(message.content, str):
        return []
    found: list[str] = []
    for part in message.content:
        if not isinstance(part, dict):
            continue
        if part.get("type") == "reasoning":
            summary = part.get("summary")
            found += [s.get("text", "") for s in summary if isinstance(s, dict)] if isinstance(summary, list) else []
            found.append(part.get("reasoning") or "")
        elif part.get("type") == "thinking":
            found.append(part.get("thinking") or "")
    return [text for text in found if text]


def request_tools(tools: Sequence[Any]) -> list[dict[str, Any]]:
    """Return tools (LangChain tools, functions, pydantic models, dicts) as v2 function tools."""
    from langchain_core.utils.function_calling import convert_to_openai_tool

    return [dict(convert_to_openai_tool(tool)) for tool in tools]


def response_message(response: Mapping[str, Any], model: str | None = None) -> AIMessage:
    """Return the AI message of one v2 chat response, given as plain JSON.

    Args:
        response: The response's body.
        model: The model's name, for ``response_metadata``.

    Raises:
        ModelError: The response holds no message.
    """
    body = response.get("message")
    if not isinstance(body, Mapping):
        raise ModelError(
            f"Cohere's response holds no message; try again, or report the response's id: {response.get('id')}."
        )
    try:
        return _message(response, body, model)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"Cohere's response {response.get('id')} is not of the documented form ({type(error).__name__}: {error}); "
            "try again, or report the response's id."
        ) from error


def _message(response: Mapping[str, Any], body: Mapping[str, Any], model: str | None) -> AIMessage:
    content, offsets = _content(body.get("content") or ())
    calls, invalid = read_calls(body.get("tool_calls") or ())
    extra: dict[str, Any] = {}
    if body.get("tool_plan"):
        extra["tool_plan"] = body["tool_plan"]
    citations = [c for c in (read_citation(c, offsets) for c in body.get("citations") or ()) if c]
    if citations:
        extra["citations"] = citations
    metadata = read_metadata(response, model)
    if response.get("logprobs"):
        metadata["logprobs"] = response["logprobs"]
    return AIMessage(
        content=content,
        additional_kwargs=extra,
        tool_calls=calls,
        invalid_tool_calls=invalid,
        usage_metadata=read_usage(response.get("usage") or {}),
        response_metadata=metadata,
    )


def _content(parts: Sequence[Mapping[str, Any]]) -> tuple[str | list[str | dict[Any, Any]], dict[int, int]]:
    """Return a text, or blocks from the first thinking on; and where in the whole text each text part begins."""
    text, blocks, offsets, length = "", [], {}, 0
    for index, part in enumerate(parts):
        if part.get("type") == "thinking" and part.get("thinking"):
            blocks.append({"type": "reasoning", "reasoning": part["thinking"], "index": index})
        elif part.get("type") == "text":
            piece = part.get("text") or ""
            offsets[index] = length
            length += len(piece)
            if not blocks:
                text += piece
            elif piece:
                blocks.append({"type": "text", "text": piece, "index": index})
    if not blocks:
        return text, offsets
    return [*([text] if text else []), *blocks], offsets


def read_calls(calls: Iterable[Mapping[str, Any]]) -> tuple[list[MessageToolCall], list[InvalidToolCall]]:
    """Return a reply's calls in LangChain's form: those whose arguments are a JSON object, and the others."""
    good, bad = [], []
    for call in calls:
        function = call.get("function") or {}
        name, raw, call_id = function.get("name") or "", function.get("arguments"), call.get("id")
        try:
            arguments = json.loads(raw) if raw else {}
            if not isinstance(arguments, dict):
                raise ValueError(f"a JSON object is needed, not {type(arguments).__name__}")
        except ValueError as error:
            bad.append(InvalidToolCall(name=name, args=raw, id=call_id, error=str(error), type="invalid_tool_call"))
        else:
            good.append(MessageToolCall(name=name, args=arguments, id=call_id, type="tool_call"))
    return good, bad


def read_citation(citation: Mapping[str, Any], offsets: Mapping[int, int]) -> dict[str, Any] | None:
    """Return a citation of the answer, counted from the start of the whole answer.

    Args:
        citation: In the wire's form.
        offsets: Where in the answer each content part begins.

    Returns:
        Plain JSON; None for a citation of the plan or the thinking.
    """
    if not citation or citation.get("type") not in (None, "TEXT_CONTENT"):
        return None
    shift = offsets.get(citation.get("content_index") or 0, 0)
    return {
        "start": (citation.get("start") or 0) + shift,
        "end": (citation.get("end") or 0) + shift,
        "text": citation.get("text") or "",
        "sources": [dict(source) for source in citation.get("sources") or ()],
    }


def read_metadata(response: Mapping[str, Any], model: str | None) -> dict[str, Any]:
    """Return a message's metadata: finish reason, id, model, billed units, error."""
    metadata = {
        "finish_reason": response.get("finish_reason"),
        "id": response.get("id"),
        "model_name": model,
        "model_provider": "cohere",
        "billed_units": (response.get("usage") or {}).get("billed_units"),
        "error": response.get("error"),
    }
    return {name: value for name, value in metadata.items() if value}


def read_usage(usage: Mapping[str, Any]) -> UsageMetadata | None:
    """Return the tokens (not billed units), which fill the window and are what LangChain's other models count."""
    tokens = usage.get("tokens") or usage.get("billed_units")
    if not tokens:
        return None
    read, written = int(tokens.get("input_tokens") or 0), int(tokens.get("output_tokens") or 0)
    counted = UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)
    if usage.get("cached_tokens"):
        counted["input_token_details"] = InputTokenDetails(cache_read=int(usage["cached_tokens"]))
    return counted
