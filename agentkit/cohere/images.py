"""Images for a user's message: checked before anything is sent, in the form Cohere's chat takes.

The limits are those of Cohere's documentation of image inputs: png, jpeg, webp and gif without animation; in one
request 20 images and 20 MB at most.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from agentkit.base.text import shorten
from agentkit.errors import InputError

MAX_IMAGES = 20
MAX_BYTES = 20 * 1024 * 1024

Detail = Literal["auto", "low", "high"]

_TYPES = "png, jpeg, webp or gif without animation"
_MIME_TYPES = ("image/png", "image/jpeg", "image/jpg", "image/webp", "image/gif")
_DATA_URL = re.compile(r"data:([^;,]*)(?:;[^;,]*)*?(;base64)?,", re.IGNORECASE)


def image(source: str | Path | bytes, *, detail: Detail | None = None) -> dict[str, Any]:
    """Return an image as a content part of a HumanMessage.

    ::

        HumanMessage([{"type": "text", "text": "What is this?"}, image("chart.png")])

    Args:
        source: A file's path, the file's bytes, an http(s) URL (which Cohere fetches) or a ``data:`` URL.
        detail: How closely Cohere looks: ``low`` costs 256 tokens, ``high`` more; None leaves it to Cohere.

    Raises:
        InputError: There is no such file, or Cohere does not take an image of that kind or size.
    """
    if detail not in (None, "auto", "low", "high"):
        raise InputError(f"image(detail={shorten(repr(detail))}): give 'auto', 'low', 'high' or None.")
    part: dict[str, Any] = {"url": _url(source)}
    if detail is not None:
        part["detail"] = detail
    return {"type": "image_url", "image_url": part}


def image_part(block: Mapping[str, Any]) -> dict[str, Any]:
    """Return an image in one of LangChain's forms as a part of a request.

    Args:
        block: ``{"type": "image_url", "image_url": ...}``, or ``{"type": "image"}`` with ``url`` or ``base64``.

    Raises:
        InputError: It holds no image Cohere takes.
    """
    if block.get("type") == "image_url":
        given = block.get("image_url")
        given = {"url": given} if isinstance(given, str) else given
        if not isinstance(given, Mapping) or not isinstance(given.get("url"), str):
            raise InputError(
                f"{shorten(repr(dict(block)))} holds no URL: make the part with agentkit.cohere.images.image(...)."
            )
        return {"type": "image_url", "image_url": {**given, "url": _named_url(given["url"])}}
    if isinstance(block.get("url"), str):
        return {"type": "image_url", "image_url": {"url": _named_url(block["url"])}}
    data = block.get("base64") or block.get("data")
    if not isinstance(data, str):
        raise InputError(f"{shorten(repr(dict(block)))} holds no image: give it a 'url' or 'base64'.")
    return {"type": "image_url", "image_url": {"url": _checked(_decoded(data, "the image block"), "the image block")}}


def check_images(messages: Iterable[Mapping[str, Any]]) -> None:
    """Check that a request's messages, in the wire's form, do not hold too many images.

    Raises:
        InputError: More than 20, or more than 20 MB of them.
    """
    count = size = 0
    for url in _urls(messages):
        count += 1
        if url.startswith("data:"):
            data = url.partition(",")[2]
            size += len(data) * 3 // 4 - data[-2:].count("=")
    if count > MAX_IMAGES:
        raise InputError(f"The messages hold {count} images and Cohere takes {MAX_IMAGES} in a request: send fewer.")
    if size > MAX_BYTES:
        raise InputError(
            f"The messages hold images of {size / 2**20:.1f} MB together and Cohere takes {MAX_BYTES // 2**20} MB in a "
            "request: send fewer or smaller ones, or URLs."
        )


def _urls(messages: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for message in messages:
        content = message.get("content")
        if message.get("role") == "user" and isinstance(content, list):
            yield from (part["image_url"]["url"] for part in content if part["type"] == "image_url")


def _named_url(url: str) -> str:
    """Return a URL if Cohere takes it, judged by its scheme and type; its bytes are not decoded for every request."""
    if url.lower().startswith(("http://", "https://")):
        return url
    head = _DATA_URL.match(url)
    if head is None or not head.group(2) or head.group(1).lower() not in _MIME_TYPES:
        raise InputError(
            f"{shorten(url)!r} is no image Cohere takes: make the part with agentkit.image(...), or give an "
            f"http(s) URL or a data URL of {_TYPES}, such as data:image/png;base64,..."
        )
    return url


def _url(source: object) -> str:
    if isinstance(source, (bytes, bytearray)):
        return _checked(bytes(source), "the bytes given")
    if isinstance(source, str) and source.lower().startswith(("http://", "https://")):
        return source
    if isinstance(source, str) and source[:5].lower() == "data:":
        return _data_url(source)
    if isinstance(source, (str, Path)) and str(source).strip():
        return _checked(_file(Path(source)), f"the file {shorten(source)}")
    raise InputError(f"{shorten(repr(source))} is no image: give a path, bytes, an http(s) URL or a data: URL.")


def _file(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _too_large(f"the file {shorten(path)}", path.stat().st_size)
        return path.read_bytes()
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"The image {shorten(path)} cannot be read: {reason}. Give the path of a file.") from error


def _data_url(url: str) -> str:
    head = _DATA_URL.match(url)
    if head is None or not head.group(2):
        raise InputError(f"{shorten(url)!r} is no image: a data URL begins with data:image/png;base64, or the like.")
    return _checked(_decoded(url[head.end() :], "the data URL"), "the data URL")


def _decoded(text: str, what: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"{_begin(what)} is not valid base64 ({error}): encode the image's bytes again.") from error


def _checked(data: bytes, what: str) -> str:
    if len(data) > MAX_BYTES:
        raise _too_large(what, len(data))
    kind = _kind(data)
    if kind is None:
        start = shorten(repr(data[:12])) if data else "nothing"
        raise InputError(f"{_begin(what)} is no image Cohere takes: it holds {start}. Give {_TYPES}.")
    if kind == "gif" and _is_animated(data):
        raise InputError(f"{_begin(what)} is an animated gif, which Cohere does not take: give one frame of it.")
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _too_large(what: str, size: int) -> InputError:
    return InputError(
        f"{_begin(what)} has {size / 2**20:.1f} MB and Cohere takes {MAX_BYTES // 2**20} MB of images in a "
        "request: make it smaller."
    )


def _begin(what: str) -> str:
    return what[0].upper() + what[1:]


def _kind(data: bytes) -> str | None:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    return None


def _is_animated(data: bytes) -> bool:
    """True if a gif holds a second frame. Its blocks are walked, since pixels may look like the start of one."""
    at, frames = 13 + _table(data, 10), 0
    while at < len(data):
        if data[at] == 0x2C:
            frames += 1
            at = _after_blocks(data, at + 11 + _table(data, at + 9))
        elif data[at] == 0x21:
            at = _after_blocks(data, at + 2)
        elif data[at] == 0:  # some writers leave one too many between blocks
            at += 1
        else:
            break
    return frames > 1


def _table(data: bytes, at: int) -> int:
    """Return the size of the colour table that the flags at `at` announce."""
    flags = data[at] if at < len(data) else 0
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _after_blocks(data: bytes, at: int) -> int:
    while at < len(data) and data[at]:
        at += data[at] + 1
    return at + 1
