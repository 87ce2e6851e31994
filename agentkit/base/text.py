"""Makes any text safe to store and to send, without losing a character."""

from __future__ import annotations

import re

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def clean(text: str) -> str:
    r"""Return `text` with the characters escaped that UTF-8 or a database cannot hold.

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
    """Return `value` on one line, at most `max_chars` characters, for use in a message."""
    text = " ".join(clean(str(value)).split())
    return text if len(text) <= max_chars else text[: max_chars - 1] + "…"


def one_line(text: str) -> str:
    """Return a text without line ends, so that it cannot imitate another line of a note."""
    return " ".join(text.split()) if len(text.splitlines()) > 1 or text[-1:].isspace() else text


def head_and_tail(text: str, max_chars: int) -> str:
    """Return about `max_chars` characters of `text` at most: two thirds from its start, a third from its end.

    A line in the middle counts the cut characters; it does not count towards `max_chars`.
    """
    if len(text) <= max_chars:
        return text
    head = max_chars * 2 // 3
    tail = max_chars - head
    cut = len(text) - head - tail
    return f"{text[:head]}\n[… {cut} of {len(text)} characters left out …]\n{text[len(text) - tail :]}"
