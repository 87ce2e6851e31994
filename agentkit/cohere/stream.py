"""Cohere's server-sent events to LangChain chunks: no IO; fed with bytes as the network happened to cut them.

Each delta becomes one chunk, once. Added up with ``+``, or joined with `join`, the chunks are the message that
`agentkit.cohere.wire.response_message` makes of the same reply when it is not streamed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk
from pydantic import Field, InstanceOf, model_validator

from agentkit.base.text import shorten
from agentkit.cohere.retry import Retry
from agentkit.cohere.wire import read_calls, read_citation, read_metadata, read_usage
from agentkit.errors import ModelError


class BrokenStreamError(Exception):
    """A stream ended before its reply did, or holds something that is not an event."""


class _Finished:
    """The class a sum of chunks is turned into: calling it makes an AIMessage."""

    # LangChain makes the finished message by calling the first base of the chunk's class.
    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return AIMessage(**kwargs) if cls is _Finished else super().__new__(cls)


class CohereChunk(_Finished, AIMessageChunk):
    """A piece of a streamed reply.

    A plain AIMessageChunk repairs arguments that are not valid JSON, so that a call cut off in the middle comes
    out as a call with other arguments. Here the finished sum holds such a call in ``invalid_tool_calls``, with
    its error.

    Attributes:
        retry: The retry this chunk tells of, None for a piece of the reply.
    """

    retry: InstanceOf[Retry] | None = Field(default=None, exclude=True, repr=False)

    @model_validator(mode="after")
    def read_strictly(self) -> Self:
        """Parse the calls again once the reply is complete; until then they are as LangChain guesses them."""
        if self.chunk_position == "last" and self.tool_call_chunks:
            self.tool_calls, self.invalid_tool_calls = read_calls(map(_as_call, self.tool_call_chunks))
        # An empty text in front of a list of blocks is a piece without content of its own.
        if isinstance(self.content, list) and "" in self.content:
            self.content = [part for part in self.content if part != ""]
        return self

    @classmethod
    def lc_id(cls) -> list[str]:
        """Return the name LangChain's loader knows: a chunk is stored as an AIMessageChunk."""
        return AIMessageChunk.lc_id()


def retry_chunk(retry: Retry) -> CohereChunk:
    """Return a chunk that tells of a retry and adds nothing to the reply."""
    return CohereChunk(content="", retry=retry)


def retry_of(chunk: Any) -> Retry | None:
    """Return the retry a chunk tells of, None for a piece of the reply."""
    return chunk.retry if isinstance(chunk, CohereChunk) else None


def join(chunks: Sequence[AIMessage]) -> AIMessage:
    """Return the message that a stream of any chat model adds up to.

    Args:
        chunks: Everything the model's ``stream`` yielded. A model that cannot stream yields its message.

    Raises:
        ModelError: There is nothing to join.
    """
    if not chunks:
        raise ModelError("The chat model's stream ended without a reply; run again, or use another model.")
    first = chunks[0]
    if not isinstance(first, AIMessageChunk):
        return first
    whole = first + list(chunks[1:]) if len(chunks) > 1 else first
    if not isinstance(whole, AIMessageChunk):
        raise ModelError(f"The chat model's stream holds a {type(whole).__name__}; use a LangChain chat model.")
    calls, invalid = read_calls(map(_as_call, whole.tool_call_chunks))
    return AIMessage(
        content=whole.content,
        additional_kwargs=whole.additional_kwargs,
        tool_calls=calls,
        invalid_tool_calls=invalid,
        usage_metadata=whole.usage_metadata,
        response_metadata=whole.response_metadata,
        id=whole.id,
    )


def _as_call(chunk: ToolCallChunk) -> dict[str, Any]:
    return {"id": chunk.get("id"), "function": {"name": chunk.get("name"), "arguments": chunk.get("args")}}


class StreamReader:
    """Reads one streamed reply.

    Attributes:
        ended: True once the reply is complete.
        done: True once the server has said that nothing follows.
        events: The number of events so far.
        characters: The number of characters of plan, thinking, text and arguments so far.
    """

    def __init__(self, model: str | None = None) -> None:
        """Begin a reply.

        Args:
            model: The model's name, for ``response_metadata``.
        """
        self.ended = self.done = False
        self.events = 0
        self.characters = 0
        self._lines = EventData()
        self._chunks = _ChunkMaker(model)

    def feed(self, received: bytes) -> Iterator[CohereChunk]:
        """Yield the chunks that these bytes complete.

        Raises:
            BrokenStreamError: An event that is not JSON.
        """
        for data in self._lines.feed(received):
            yield from self._take(data)

    def close(self) -> Iterator[CohereChunk]:
        """Yield the chunk of a last event that no empty line follows.

        Raises:
            BrokenStreamError: The reply is not complete.
        """
        for data in self._lines.close():
            yield from self._take(data)
        if not self.ended:
            raise BrokenStreamError("the stream ended before the reply was complete")

    def progress(self) -> str:
        """Return in words how much of the reply has come."""
        return f"{self.characters} characters in {self.events} events"

    def _take(self, data: str) -> Iterator[CohereChunk]:
        self.done = self.done or data.strip() == "[DONE]"
        if self.done or self.ended:
            return
        try:
            event = json.loads(data)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            raise BrokenStreamError(f"an event is not a JSON object: {shorten(repr(data), 120)}")
        self.events += 1
        try:
            chunk = self._chunks.take(event)
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            raise BrokenStreamError(f"an event has an unknown form: {shorten(data, 120)}") from error
        self.ended = event.get("type") == "message-end"
        if chunk is not None:
            self.characters = self._chunks.characters
            yield chunk


class EventData:
    """Bytes of ``text/event-stream`` to the data of its events; comments and other fields are ignored.

    Written by hand: httpx's ``iter_lines`` also breaks a line at U+2028 and its like, which may stand unescaped
    inside JSON, and the SDK's reader loses characters that the network cuts in two.
    """

    def __init__(self) -> None:
        """Begin a stream."""
        self._rest = b""
        self._data: list[str] = []

    def feed(self, received: bytes) -> Iterator[str]:
        """Yield the data of the events that these bytes complete."""
        lines = (self._rest + received).splitlines(keepends=True)
        # A line is decoded whole: the network may cut in the middle of a character, or between CR and LF.
        self._rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        for line in lines:
            yield from self._line(line.rstrip(b"\r\n"))

    def close(self) -> Iterator[str]:
        """Yield the data of a last event that no empty line follows."""
        yield from self._line(self._rest.rstrip(b"\r\n"))
        yield from self._line(b"")

    def _line(self, line: bytes) -> Iterator[str]:
        if not line:
            if self._data:
                yield "\n".join(self._data)
            self._data = []
            return
        field, _, value = line.removeprefix(b"\xef\xbb\xbf").partition(b":")
        if field == b"data":
            self._data.append(value.removeprefix(b" ").decode("utf-8", errors="replace"))


class _ChunkMaker:
    """Events to chunks, in the order they come; keeps track of the open content part and the open call."""

    def __init__(self, model: str | None) -> None:
        self.characters = 0
        self._model = model
        self._id: str | None = None
        self._parts = 0  # content parts begun
        self._part_of: dict[Any, int] = {}  # the event's index -> the number of the part
        self._offsets: dict[int, int] = {}  # the part -> where in the text it begins
        self._text_length = 0
        self._in_blocks = False
        self._calls = 0
        self._call_of: dict[Any, int] = {}

    def take(self, event: Mapping[str, Any]) -> CohereChunk | None:
        """Return the chunk of an event; None for one without content or of an unknown kind."""
        kind, index = event.get("type"), event.get("index")
        if kind == "message-start":
            self._id = event.get("id")
        elif kind in ("content-start", "content-delta"):
            return self._content(kind, index, event)
        elif kind == "tool-plan-delta":
            plan = _message_field(event, "tool_plan")
            self.characters += len(plan) if isinstance(plan, str) else 0
            return CohereChunk(content="", additional_kwargs={"tool_plan": plan}) if plan else None
        elif kind in ("tool-call-start", "tool-call-delta"):
            return self._call(kind, index, _first(_message_field(event, "tool_calls")))
        elif kind == "citation-start":
            citation = read_citation(_first(_message_field(event, "citations")), self._offsets)
            return CohereChunk(content="", additional_kwargs={"citations": [citation]}) if citation else None
        elif kind == "message-end":
            return self._end(event)
        return None

    def _content(self, kind: str, index: Any, event: Mapping[str, Any]) -> CohereChunk | None:
        if kind == "content-start" or index not in self._part_of:
            self._part_of[index] = self._parts
            self._parts += 1
        part = self._part_of[index]
        content_part = _first(_message_field(event, "content"))
        thinking, text = content_part.get("thinking") or "", content_part.get("text") or ""
        self.characters += len(thinking) + len(text)
        logprobs = {"logprobs": [event["logprobs"]]} if event.get("logprobs") else {}
        content: str | list[str | dict[Any, Any]] = text
        if content_part.get("type") == "text" or text:
            self._offsets.setdefault(part, self._text_length)
            self._text_length += len(text)
        if thinking:
            self._in_blocks = True
            content = [{"type": "reasoning", "reasoning": thinking, "index": part}]
        elif text and self._in_blocks:
            content = [{"type": "text", "text": text, "index": part}]
        return CohereChunk(content=content, response_metadata=logprobs) if content or logprobs else None

    def _call(self, kind: str, index: Any, call: Mapping[str, Any]) -> CohereChunk:
        if kind == "tool-call-start" or index not in self._call_of:
            self._call_of[index] = self._calls
            self._calls += 1
        function = call.get("function") or {}
        arguments = function.get("arguments") or ""
        self.characters += len(arguments)
        piece = tool_call_chunk(
            name=function.get("name"), args=arguments, id=call.get("id"), index=self._call_of[index]
        )
        return CohereChunk(content="", tool_call_chunks=[piece])

    def _end(self, event: Mapping[str, Any]) -> CohereChunk:
        delta = event.get("delta") or {}
        usage = delta.get("usage") or {}
        response = {**delta, "id": event.get("id") or self._id}
        return CohereChunk(
            content="",
            usage_metadata=read_usage(usage),
            response_metadata=read_metadata(response, self._model),
            chunk_position="last",
        )


def _message_field(event: Mapping[str, Any], name: str) -> Any:
    delta = event.get("delta")
    message = delta.get("message") if isinstance(delta, Mapping) else None
    return message.get(name) if isinstance(message, Mapping) else None


def _first(given: Any) -> Mapping[str, Any]:
    """Return a mapping that may stand alone or first in a list; empty where there is none."""
    if isinstance(given, list):
        given = given[0] if given else None
    return given if isinstance(given, Mapping) else {}
