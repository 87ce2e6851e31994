"""Making any text safe to store and to send, without losing a character of it."""

from __future__ import annotations

import re

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def clean(text: str) -> str:
    r"""Spell out what neither UTF-8 nor a database can hold.

    A NUL becomes the four characters ``\x00`` and a lone surrogate the six characters ``\udXXX``, so the
    reader sees what was there. Any other text comes back unchanged, as the same object.
    """
    if text.isascii() and "\x00" not in text:
        return text
    return _UNSTORABLE.sub(_spell_out, text) if _UNSTORABLE.search(text) else text


def _spell_out(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\u{code:04x}" if code else "\\x00"


def shorten(value: object, max_chars: int = 80) -> str:
    """`value` on one line, at most `max_chars` characters, for use in a message."""
    text = " ".join(clean(str(value)).split())
    return text if len(text) <= max_chars else text[: max_chars - 1] + "…"


def one_line(text: str) -> str:
    """A text without ends of lines, so that no line of a note is anything but what it looks like."""
    return " ".join(text.split()) if len(text.splitlines()) > 1 or text[-1:].isspace() else text


def head_and_tail(text: str, max_chars: int) -> str:
    """At most about `max_chars` characters of `text`: its first two thirds and its last third.

    What was cut is counted in the middle, in a line that does not count towards `max_chars`.
    """
    if len(text) <= max_chars:
        return text
    head = max_chars * 2 // 3
    tail = max_chars - head
    cut = len(text) - head - tail
    return f"{text[:head]}\n[… {cut} of {len(text)} characters left out …]\n{text[len(text) - tail :]}"
