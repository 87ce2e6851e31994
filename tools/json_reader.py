r"""Reading the JSON value out of a model's answer, whatever stands around it, without touching a character of it.

Outside strings the reader is lenient: code fences, prose before and after, any Unicode blank (NBSP above all)
as whitespace, trailing commas, Python's quotes and ``True False None``. Inside strings nothing is changed: the
word json, backticks, NBSP and apostrophes stay as they are. What cannot be read for certain is an error, never
a guess: a value that breaks off, two values that differ, a key given twice with different values.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from agentkit.base.text import shorten
from agentkit.errors import InputError

MAX_DEPTH = 100
"""Arrays and objects inside each other; more is an InputError."""

_BLANK = re.compile("[\\s\u180e\u200b-\u200f\u2060\ufeff]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORD = re.compile(r"-?[A-Za-z_][A-Za-z0-9_]*")
_PLAIN = {'"': re.compile(r'[^"\\]*'), "'": re.compile(r"[^'\\]*")}
_HEX = re.compile(r"[0-9a-fA-F]*")
_FENCE_OR_START = re.compile(r"```+|~~~+|[{\[]")
_INFO = re.compile(r"[^\n\[{`]*")
_UNQUOTED_KEY = re.compile(r"\w+\s*:\s*[\"'\[{0-9]")

_JSON_WORDS = {"true": True, "false": False, "null": None}
# NaN and the infinities are no JSON, but json.dumps writes them.
_OTHER_WORDS = {
    "True": True,
    "False": False,
    "None": None,
    "NaN": float("nan"),
    "Infinity": float("inf"),
    "-Infinity": float("-inf"),
}
_ESCAPES = {'"': '"', "'": "'", "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_HEX_ESCAPES = {"u": 4, "x": 2, "U": 8}


def read_json(text: str) -> Any:
    r"""The one JSON value in `text`.

    A code fence that holds nothing but a value is preferred, and among fences strict JSON; without one, the
    arrays and objects in the text count. A bare number, string or true, false, null is only read where it is
    all of the text or of a fence. NaN, Infinity and -Infinity are read as Python's json module does.

    Args:
        text: A model's answer.

    Raises:
        InputError: `text` is no string, holds no JSON, a value that breaks off or is malformed, several
            different values, one object with a key twice and different values, or nesting beyond `MAX_DEPTH`.
    """
    if not isinstance(text, str):
        raise InputError(f"read_json takes a str, got {type(text).__name__}: pass the text of the answer.")
    scalar = _scalar(text)
    if scalar is not None:
        return scalar.value
    values, broken = _scan(text)
    for rank in (_STRICT_FENCE, _FENCE):
        ranked = [found for found in values if found.rank == rank]
        if ranked:
            return _only(ranked, text)
    if broken is not None and broken.certain:
        raise InputError(
            f"{_breaks_off(broken, text)}. If the answer was cut, allow more tokens; else ask for the JSON again."
        )
    if values:
        return _only(values, text)
    raise InputError(
        f"There is no JSON array or object in the answer ({len(text)} characters: {shorten(text)!r}): "
        "ask the model for the JSON alone, or in a ```json fence."
        + (f" ({_breaks_off(broken, text)}.)" if broken else "")
    )


_STRICT_FENCE, _FENCE, _PROSE = range(3)


class _Value(NamedTuple):
    value: Any
    start: int
    rank: int


class _Broken(Exception):
    """A value could not be read on.

    Attributes:
        start: Where it began.
        at: Where it could not be read on.
        resume: Where to look for another value.
        problem: What was wrong there.
        certain: Whether it was JSON beyond doubt, not a bracket in prose.
    """

    def __init__(self, at: int, problem: str, *, resume: int | None = None, certain: bool = False) -> None:
        super().__init__(problem)
        self.start = at
        self.at = at
        self.resume = at if resume is None else resume
        self.problem = problem
        self.certain = certain


def _scalar(text: str) -> _Value | None:
    """A text that is nothing but a strict JSON number, string or word."""
    start = _blank(text, 0)
    if text[start : start + 1] not in ("{", "["):
        bare = text[start:].rstrip().rstrip("\ufeff")
        try:
            return _Value(json.loads(bare), start, _PROSE)
        except (ValueError, RecursionError):
            return None
    return None


def _scan(text: str) -> tuple[list[_Value], _Broken | None]:
    """All values of `text` from left to right, and the one to tell of those that could not be read to their end."""
    values: list[_Value] = []
    broken: _Broken | None = None
    at, fence = 0, ""
    while found := _FENCE_OR_START.search(text, at):
        at = found.end()
        mark = found.group()
        if mark in ("{", "["):
            try:
                value, at = _Reader(text).value(found.start(), 1)
                values.append(_Value(value, found.start(), _PROSE))
            except _Broken as error:
                error.start = found.start()
                at = max(error.resume, at)
                broken = _to_tell(broken, error)
        elif fence:
            fence = "" if mark.startswith(fence) else fence
        else:
            at, fenced = _fenced(text, at, mark)
            values += [fenced] if fenced else []
            fence = "" if fenced else mark
    return values, broken


def _to_tell(old: _Broken | None, new: _Broken) -> _Broken:
    """The first that surely was JSON, else the one that was read the furthest."""
    if old is not None and (old.certain or (not new.certain and old.at - old.start >= new.at - new.start)):
        return old
    # A kept traceback keeps its frames: thousands of brackets in a text would slow the collector down.
    return new.with_traceback(None)


def _fenced(text: str, at: int, mark: str) -> tuple[int, _Value | None]:
    """The value of a fence that holds nothing else, and where to go on; without one the inside is still to scan."""
    info = _INFO.match(text, at)
    start = _blank(text, info.end() if info else at)
    reader = _Reader(text)
    try:
        value, end = reader.value(start, 1)
    except _Broken:
        return start, None
    end = _blank(text, end)
    # Arrays and objects say themselves where they end; a bare value may have been cut.
    whole = text[start] in "{[" and end == len(text)
    if not (whole or text.startswith(mark, end)) or (text[start] not in "{[" and not reader.strict):
        return start, None
    return end + len(mark), _Value(value, start, _STRICT_FENCE if reader.strict else _FENCE)


def _only(values: list[_Value], text: str) -> Any:
    different = {_same(found.value): found for found in reversed(values)}
    if len(different) == 1:
        return values[0].value
    places = sorted(different.items(), key=lambda item: item[1].start)
    shown = ", ".join(f"{shorten(key, 40)} at {_place(text, found.start)}" for key, found in places)
    raise InputError(
        f"There are {len(different)} different JSON values in the answer ({shorten(shown, 200)}): "
        "ask the model for one, in a ```json fence of its own."
    )


def _same(value: Any) -> str:
    """A text that is equal for equal values; ``==`` takes 1 and True for the same."""
    return json.dumps(value, sort_keys=True)


def _breaks_off(broken: _Broken, text: str) -> str:
    seen = shorten(text[broken.at : broken.at + 40])
    return (
        f"The JSON that begins at {_place(text, broken.start)} cannot be read on at {_place(text, broken.at)}: "
        f"{broken.problem}, seen {repr(seen) if seen else 'the end of the answer'}"
    )


def _place(text: str, at: int) -> str:
    line = text.count("\n", 0, at) + 1
    return f"line {line}, character {at - text.rfind(chr(10), 0, at)}"


def _blank(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


@dataclass(slots=True)
class _Reader:
    """Reads one value.

    Attributes:
        text: All of the answer.
        strict: Whether everything read so far was JSON to the letter (but for the kind of blanks).
        certain: Whether what was read so far can be nothing but JSON.
    """

    text: str
    strict: bool = True
    certain: bool = False

    def value(self, at: int, depth: int) -> tuple[Any, int]:
        """The value at `at`, which is no blank, and the position after it."""
        char = self.text[at : at + 1]
        if char in ("{", "["):
            if depth > MAX_DEPTH:
                raise InputError(
                    f"The JSON in the answer is nested more than {MAX_DEPTH} deep at {_place(self.text, at)}: "
                    "ask for a flatter shape."
                )
            return self._object(at + 1, depth) if char == "{" else self._array(at + 1, depth)
        if char in _PLAIN:
            return self._string(at)
        return self._number_or_word(at)

    def _array(self, at: int, depth: int) -> tuple[list[Any], int]:
        items: list[Any] = []
        at = _blank(self.text, at)
        while not self.text.startswith("]", at):
            value, at = self.value(at, depth + 1)
            items.append(value)
            at = self._comma(at, "]", telling=isinstance(value, (str, list, dict)))
        return items, at + 1

    def _object(self, at: int, depth: int) -> tuple[dict[str, Any], int]:
        items: dict[str, Any] = {}
        at = _blank(self.text, at)
        while not self.text.startswith("}", at):
            place = at
            if self.text[at : at + 1] not in _PLAIN or at == len(self.text):
                certain = self.certain or bool(_UNQUOTED_KEY.match(self.text, at))
                raise _Broken(at, "a key must be in quotes", certain=certain)
            key, at = self._string(at)
            at = _blank(self.text, at)
            if not self.text.startswith(":", at):
                raise self._broken(at, "a colon must follow the key")
            self.certain = True
            value, at = self.value(_blank(self.text, at + 1), depth + 1)
            if key in items and _same(items[key]) != _same(value):
                raise InputError(
                    f"The key {shorten(key)!r} is given twice with different values, again at "
                    f"{_place(self.text, place)}: ask the model for one object per value."
                )
            items[key] = value
            at = self._comma(at, "}", telling=True)
        return items, at + 1

    def _comma(self, at: int, close: str, *, telling: bool) -> int:
        """The position of the next item or of `close`, over a comma that may trail."""
        at = _blank(self.text, at)
        if self.text.startswith(close, at):
            return at
        if not self.text.startswith(",", at):
            raise self._broken(at, f"a comma or {close} must follow")
        self.certain = self.certain or telling
        at = _blank(self.text, at + 1)
        if self.text.startswith(close, at):
            self.strict = False
        return at

    def _string(self, start: int) -> tuple[str, int]:
        quote = self.text[start]
        self.strict = self.strict and quote == '"'
        plain = _PLAIN[quote]
        parts: list[str] = []
        at = start + 1
        while found := plain.match(self.text, at):
            parts.append(found.group())
            at = found.end()
            if at >= len(self.text):
                raise _Broken(start, "the string is never closed", resume=start + 1, certain=self.certain)
            if self.text[at] == quote:
                break
            char, at = self._escape(at)
            parts.append(char)
        joined = "".join(parts)
        if len(parts) > 1 and "\\u" in self.text[start:at]:
            # A surrogate pair written as two escapes is one character.
            joined = joined.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        return joined, at + 1

    def _escape(self, at: int) -> tuple[str, int]:
        kind = self.text[at + 1 : at + 2]
        if kind in _ESCAPES:
            self.strict = self.strict and kind != "'"
            return _ESCAPES[kind], at + 2
        size = _HEX_ESCAPES.get(kind, 0)
        digits = self.text[at + 2 : at + 2 + size]
        if size and len(digits) == size and _HEX.fullmatch(digits) and int(digits, 16) <= 0x10FFFF:
            self.strict = self.strict and kind == "u"
            return chr(int(digits, 16)), at + 2 + size
        raise self._broken(at, "this escape is unknown (a backslash itself is written \\\\)")

    def _number_or_word(self, at: int) -> tuple[Any, int]:
        if found := _NUMBER.match(self.text, at):
            try:
                whole = not (found.group(1) or found.group(2))
                return (int if whole else float)(found.group()), found.end()
            except ValueError as error:
                raise self._broken(at, "the number has too many digits") from error
        found = _WORD.match(self.text, at)
        word = found.group() if found else ""
        if word in _JSON_WORDS:
            return _JSON_WORDS[word], at + len(word)
        if word in _OTHER_WORDS:
            self.strict = False
            return _OTHER_WORDS[word], at + len(word)
        raise self._broken(at, "a value must follow")

    def _broken(self, at: int, problem: str) -> _Broken:
        return _Broken(at, problem, certain=self.certain)
