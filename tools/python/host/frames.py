"""The data that crosses the wall: length-prefixed JSON frames and two output pipes, all treated as hostile."""

from __future__ import annotations

import json
import struct
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentkit.base.jsonable import json_ready
from agentkit.base.text import clean
from agentkit.tools.python.execution import Figure, Variable

MAX_FRAME_BYTES = 4 * 1024**2
"""Longest frame the host reads; a longer one ends the session. Chosen by hand: the largest reply,
100 tables of 50 columns whose names are 80 escaped characters, takes 2.4 MB."""

MAX_OUTPUT_BYTES = 60_000
"""Bytes kept of one call's stdout, and of its stderr: the first two thirds and the last third. Chosen by hand: about
15,000 tokens, more than a model should read of one result."""


class FrameError(Exception):
    """The runner sent an invalid frame."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Hello(_Message):
    """The runner is ready; `refused` names the resource limits that the system did not accept."""

    refused: list[str] = Field(max_length=16)


class CellReply(_Message):
    """The result of one cell, as the runner reports it."""

    id: int
    ok: bool
    value: str | None = Field(max_length=20_000)
    error: str | None = Field(max_length=20_000)
    variables: list[Variable] = Field(max_length=100)
    names: list[str] = Field(max_length=1_000)
    figures: list[Figure] = Field(max_length=20)
    problems: list[str] = Field(max_length=50)


def encode(message: dict[str, Any]) -> bytes:
    """Return the message as one frame."""
    body = json.dumps(message).encode("ascii")
    return struct.pack(">I", len(body)) + body


class FrameReader:
    """Cuts the incoming bytes into frames."""

    def __init__(self) -> None:
        """Start with nothing read."""
        self._buffer = bytearray()

    @property
    def pending(self) -> bool:
        """True if bytes have come in that belong to a further frame."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> bytes | None:
        """Take in `data` and return the body of the first complete frame, None while there is none.

        Raises:
            FrameError: A frame is announced that is longer than `MAX_FRAME_BYTES`.
        """
        self._buffer += data
        if len(self._buffer) < 4:
            return None
        (size,) = struct.unpack_from(">I", self._buffer)
        if size > MAX_FRAME_BYTES:
            raise FrameError(f"a frame of {size} bytes, over the limit of {MAX_FRAME_BYTES}")
        if len(self._buffer) < 4 + size:
            return None
        body = bytes(self._buffer[4 : 4 + size])
        del self._buffer[: 4 + size]
        return body


_M = TypeVar("_M", bound=_Message)


def decode(body: bytes, kind: type[_M]) -> _M:
    """Return the frame as a `kind`, with each text in it made storable.

    Raises:
        FrameError: The body is not JSON, or not of that kind.
    """
    try:
        return kind.model_validate(json_ready(json.loads(body)))
    except (ValidationError, ValueError, RecursionError) as error:
        raise FrameError("an invalid frame") from error


class Output:
    """The output of one stream, of which the head and the tail are kept."""

    def __init__(self, max_bytes: int = MAX_OUTPUT_BYTES) -> None:
        """Keep at most about `max_bytes`."""
        self._head_bytes = max_bytes * 2 // 3
        self._tail_bytes = max_bytes - self._head_bytes
        self._head = bytearray()
        self._tail = bytearray()
        self._size = 0

    def add(self, data: bytes) -> None:
        """Take in `data`."""
        self._size += len(data)
        room = self._head_bytes - len(self._head)
        self._head += data[:room]
        self._tail += data[room:] if room < len(data) else b""
        if len(self._tail) > 4 * self._tail_bytes:  # cut now and then, not at every read
            del self._tail[: -self._tail_bytes]

    def text(self) -> str:
        """Return what is kept, as text that can be stored."""
        tail = self._tail[-self._tail_bytes :]
        left_out = self._size - len(self._head) - len(tail)
        if left_out <= 0:
            return clean((self._head + tail).decode("utf-8", "replace"))
        # The cuts may fall inside a character.
        head_text, tail_text = self._head.decode("utf-8", "replace"), tail.decode("utf-8", "replace")
        note = f"\n[… {left_out} of {self._size} bytes left out …]\n"
        return clean(head_text.rstrip("\ufffd") + note + tail_text.lstrip("\ufffd"))
