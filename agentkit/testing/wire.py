"""Cohere's v2 chat wire for scripted replies: a reply as a JSON response or as server-sent events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentkit.base.text import shorten
from agentkit.errors import InputError
from agentkit.testing.replies import Cite, ScriptedReply, pieces, place


@dataclass(frozen=True, slots=True)
class Answer:
    """A scripted reply with everything the wire needs.

    Attributes:
        id: The response's id.
        script: The reply.
        call_ids: An id for each of its calls.
        citations: Its citations in the wire's form.
        usage: Billed units and tokens.
    """

    id: str
    script: ScriptedReply
    call_ids: tuple[str, ...]
    citations: tuple[dict[str, Any], ...]
    usage: dict[str, Any]


def answer(script: ScriptedReply, body: Mapping[str, Any], *, response_id: str, call_ids: Sequence[str]) -> Answer:
    """Return the answer of `script` to the request `body`.

    Raises:
        InputError: A citation of a result or document that the request does not hold.
    """
    results = _results_of_this_turn(body["messages"])
    documents = _documents(body)
    return Answer(
        id=response_id,
        script=script,
        call_ids=tuple(call_ids),
        citations=tuple(_citation(cite, script.text, results, documents) for cite in script.citations),
        usage=_usage(script, body),
    )


def as_json(answer: Answer) -> dict[str, Any]:
    """Return the body of a response that is not streamed."""
    script = answer.script
    message: dict[str, Any] = {"role": "assistant"}
    content = [{"type": "thinking", "thinking": script.thinking}] if script.thinking else []
    content += [{"type": "text", "text": script.text}] if script.text or not (script.calls or script.thinking) else []
    if content:
        message["content"] = content
    if script.plan:
        message["tool_plan"] = script.plan
    if script.calls:
        message["tool_calls"] = [
            {"id": call_id, "type": "function", "function": {"name": c.name, "arguments": c.arguments_json()}}
            for c, call_id in zip(script.calls, answer.call_ids, strict=True)
        ]
    if answer.citations:
        message["citations"] = list(answer.citations)
    return {"id": answer.id, "message": message, "finish_reason": script.finish, "usage": answer.usage}


def as_events(answer: Answer) -> Iterator[bytes]:
    """Yield the server-sent events of a streamed response, in the order and form of recorded ones."""
    for event in _events(answer):
        yield f"event: {event['type']}\ndata: {_compact(event)}\n\n".encode()
    yield b"data: [DONE]\n\n"


def _events(answer: Answer) -> Iterator[dict[str, Any]]:
    script = answer.script
    blank = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    yield {"id": answer.id, "type": "message-start", "delta": {"message": blank}}
    if script.thinking:
        yield from _content(0, "thinking", script.thinking)
    for piece in pieces(script.plan):
        yield {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": piece}}}
    for index, call in enumerate(script.calls):
        call_id = answer.call_ids[index]
        yield _call_event(
            "start",
            index,
            {"id": call_id, "type": "function", "function": {"name": call.name, "arguments": ""}},
        )
        for piece in pieces(call.arguments_json(indent=4)):
            yield _call_event("delta", index, {"function": {"arguments": piece}})
        yield {"type": "tool-call-end", "index": index}
    if script.text or not (script.calls or script.thinking):
        yield from _content(1 if script.thinking else 0, "text", script.text, answer.citations)
    end: dict[str, Any] = {"finish_reason": script.finish}
    if script.finish == "ERROR":
        end["error"] = "scripted error"
    yield {"type": "message-end", "delta": {**end, "usage": answer.usage}}


def _content(index: int, kind: str, text: str, citations: Sequence[dict[str, Any]] = ()) -> Iterator[dict[str, Any]]:
    first = {"message": {"content": {"type": kind, kind: ""}}}
    yield {"type": "content-start", "index": index, "delta": first}
    for piece in pieces(text):
        yield {"type": "content-delta", "index": index, "delta": {"message": {"content": {kind: piece}}}}
    for number, citation in enumerate(citations):
        yield {"type": "citation-start", "index": number, "delta": {"message": {"citations": citation}}}
        yield {"type": "citation-end", "index": number}
    yield {"type": "content-end", "index": index}


def _call_event(kind: str, index: int, call: dict[str, Any]) -> dict[str, Any]:
    return {"type": f"tool-call-{kind}", "index": index, "delta": {"message": {"tool_calls": call}}}


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _usage(script: ScriptedReply, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return scripted numbers, or a rough count: texts of messages are billed, the whole request counts as tokens."""
    if script.finish == "ERROR" and script.usage is None:
        return {}
    written = "".join([script.thinking, script.plan, script.text, *(c.arguments_json() for c in script.calls)])
    output = len(pieces(written))
    billed = script.billed or script.usage or (len(pieces(_texts(body))), output)
    tokens = script.usage or (len(pieces(_compact([body["messages"], body.get("tools")]))), output)
    return {
        "billed_units": {"input_tokens": billed[0], "output_tokens": billed[1]},
        "tokens": {"input_tokens": tokens[0], "output_tokens": tokens[1]},
    }


def _texts(body: Mapping[str, Any]) -> str:
    return " ".join(m["content"] for m in body["messages"] if isinstance(m.get("content"), str))


def _results_of_this_turn(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    asked = max((i for i, message in enumerate(messages) if message.get("role") == "user"), default=-1)
    return [message for message in messages[asked + 1 :] if message.get("role") == "tool"]


def _documents(body: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found = {}
    for number, document in enumerate(body.get("documents") or ()):
        if isinstance(document, str):
            found[f"doc:{number}"] = {"id": f"doc:{number}", "text": document}
        else:
            name = document.get("id") or f"doc:{number}"
            found[name] = {"id": name, **document.get("data", {})}
    return found


def _citation(
    cite: Cite, text: str, results: Sequence[Mapping[str, Any]], documents: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    start, end = place(cite, text)
    sources: list[dict[str, Any]] = []
    for call in cite.calls:
        if call >= len(results):
            raise InputError(
                f"The citation {shorten(cite.text)!r} names call {call}, but this turn has {len(results)} results; "
                "calls are counted from 0, after the last message of the user."
            )
        result = results[call]
        source_id = f"{result['tool_call_id']}:0"
        sources.append({"type": "tool", "id": source_id, "tool_output": _output(result["content"])})
    for name in cite.documents:
        if name not in documents:
            raise InputError(
                f"The citation {shorten(cite.text)!r} names document {name!r}, but the request holds "
                f"{', '.join(documents) or 'none'}; cite one of those."
            )
        sources.append({"type": "document", "id": name, "document": documents[name]})
    return {"start": start, "end": end, "text": cite.text, "sources": sources}


def _output(content: Any) -> dict[str, Any]:
    """Return the first document of a tool's result, as the API returns it in a citation."""
    first = content[0] if isinstance(content, list) else {"type": "text", "text": content}
    data = first.get("document", {}).get("data") if first.get("type") == "document" else first.get("text")
    if isinstance(data, str):
        try:
            data = json.loads(data)
        except ValueError:
            return {"content": data}
    return data if isinstance(data, dict) else {"content": data}
