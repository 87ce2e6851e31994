"""What a piece of a streamed reply says, whichever chat model streams it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from langchain_core.messages import AIMessage, AIMessageChunk

from agentkit.cohere_wire import thinking_of
from agentkit.model import citations_of
from agentkit.turn import Citation


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """One thing a chunk says.

    Attributes:
        kind: ``thinking``, ``plan`` and ``text`` bring more text; ``call`` begins a tool call and ``arguments``
            brings more of its JSON text; ``citation`` points into the text so far.
        text: The new text.
        index: Which call of the reply it belongs to, from 0; None where it belongs to none, or the model does
            not say.
        call_id: The call's id, where it begins; "" where the model gives none.
        name: The tool's name, where a call begins.
        citation: The citation.
    """

    kind: Literal["thinking", "plan", "text", "call", "arguments", "citation"]
    text: str = ""
    index: int | None = None
    call_id: str = ""
    name: str = ""
    citation: Citation | None = None


def deltas(chunk: AIMessage) -> Iterator[Delta]:
    """What `chunk` says, in the order of a reply: thinking, plan, text, calls, citations.

    Text beside calls is a plan, but a model other than Cohere's does not say so before the calls come: there it
    is ``text``.
    """
    thinking, plan, text = thinking_of(chunk), chunk.additional_kwargs.get("tool_plan"), str(chunk.text)
    if thinking:
        yield Delta(kind="thinking", text=thinking)
    if plan:
        yield Delta(kind="plan", text=plan)
    if text:
        yield Delta(kind="text", text=text)
    if isinstance(chunk, AIMessageChunk):
        yield from _call_pieces(chunk)
    else:
        yield from _whole_calls(chunk)
    for citation in citations_of(chunk):
        yield Delta(kind="citation", citation=citation)


def _call_pieces(chunk: AIMessageChunk) -> Iterator[Delta]:
    for piece in chunk.tool_call_chunks:
        index = piece.get("index")
        index = index if isinstance(index, int) else None
        if piece.get("name"):
            yield Delta(kind="call", index=index, call_id=piece.get("id") or "", name=piece["name"] or "")
        if piece.get("args"):
            yield Delta(kind="arguments", index=index, text=piece["args"] or "")


def _whole_calls(message: AIMessage) -> Iterator[Delta]:
    for index, call in enumerate(message.tool_calls):
        yield Delta(kind="call", index=index, call_id=call["id"] or "", name=call["name"])
        yield Delta(kind="arguments", index=index, text=json.dumps(call["args"], ensure_ascii=False))
