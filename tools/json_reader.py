r"""The JSON reader: the one JSON value in a model's answer, with no character of it changed.

Outside strings the reader is lenient: code fences, prose before and after, any Unicode blank (NBSP above all) as
whitespace, trailing commas, Python's quotes and ``True False None``. Inside strings nothing is changed: the word
json, backticks, NBSP and apostrophes stay as they are. A value that is cut off, two values that differ, or a key
given twice with different values is an error, never a guess.

Why it is written by hand: ``json`` and ``json5`` read no prose and no fences, and repairing libraries guess, which a
code sent to an API must not be. json_repair 0.64 reads the cut ``{"ref": ["GLPNT0005GU`` as that shortened code, takes
the last of two different objects and of two values of one key, and makes ``['x} like [y']`` of the prose
``use {x} like [y]``; LangChain's ``parse_partial_json`` closes cut values as well. None of them can say that, or where,
a value was cut. This reader was tested against ``json`` on random values, and on hostile texts for linear time.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from agentkit.base.text import shorten
from agentkit.errors import InputError

MAX_DEPTH = 100
"""Maximum nesting of arrays and objects; more is an InputError. Chosen by hand: far more than a request needs, and each
level takes two Python frames of the interpreter's 1,000."""

_BLANK = re.compile("[\\s\u180e\u200b-\u200f\u2060\ufeff]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORD = re.compile(r"-?[A-Za-z_][A-Za-z0-9_]*")
_PLAIN = {'"': re.compile(r'[^"\\]*'), "'": re.compile(r"[^'\\]*")}
_HEX = re.compile(r"[0-9a-fA-F]*")
_FENCE_OR_START = re.compile(r"```+|~~~+|[{\[]")
_INFO = re.compile(r"[^\n\[{`]*")
_UNQUOTED_KEY = re.compile(r"\w+\s*:\s*[\"'\[{0-9]")

_JSON_WORDS = {"true": True, "false": False, "null": None}
# NaN and the infinities are not JSON, but json.dumps writes them.
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
    """Return the one JSON value in `text`.

    A code fence that holds nothing but a value is preferred, and among fences one with strict JSON; without a fence,
    the arrays and objects in the text are read. A bare number, string, true, false or null is read only if it is the
    whole text or the whole fence. NaN, Infinity and -Infinity are read as Python's json module reads them.

    Args:
        text: A model's answer.

    Raises:
        InputError: `text` is not a string, or holds no JSON, a value that is cut off or malformed, several
            different values, an object with a key twice and different values, or nesting beyond `MAX_DEPTH`.
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
    """A value cannot be read to its end.

    Attributes:
        start: Where the value begins.
        at: Where reading failed.
        resume: Where to look for another value.
        problem: What is wrong at `at`.
        certain: True if the value is JSON beyond doubt, not a bracket in prose.
    """

    def __init__(self, at: int, problem: str, *, resume: int | None = None, certain: bool = False) -> None:
        super().__init__(problem)
        self.start = at
        self.at = at
        self.resume = at if resume is None else resume
        self.problem = problem
        self.certain = certain


def _scalar(text: str) -> _Value | None:
    """Return the value of a text that is nothing but a strict JSON number, string or word."""
    start = _blank(text, 0)
    if text[start : start + 1] not in ("{", "["):
        bare = text[start:].rstrip().rstrip("\ufeff")
        try:
            return _Value(json.loads(bare), start, _PROSE)
        except (ValueError, RecursionError):
            return None
    return None


def _scan(text: str) -> tuple[list[_Value], _Broken | None]:
    """Return all values of `text` from left to right, and of those that cannot be read the one to report."""
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
                broken = _to_report(broken, error)
        elif fence:
            fence = "" if mark.startswith(fence) else fence
        else:
            at, fenced = _fenced(text, at, mark)
            values += [fenced] if fenced else []
            fence = "" if fenced else mark
    return values, broken


def _to_report(old: _Broken | None, new: _Broken) -> _Broken:
    """Return the first that is certainly JSON, else the one of which most was read."""
    if old is not None and (old.certain or (not new.certain and old.at - old.start >= new.at - new.start)):
        return old
    # A traceback keeps its frames alive: with thousands of brackets in a text, garbage collection would slow down.
    return new.with_traceback(None)


def _fenced(text: str, at: int, mark: str) -> tuple[int, _Value | None]:
    """Return where to resume, and the value of the fence; None if it holds anything else, which is then scanned."""
    info = _INFO.match(text, at)
    start = _blank(text, info.end() if info else at)
    reader = _Reader(text)
    try:
        value, end = reader.value(start, 1)
    except _Broken:
        return start, None
    end = _blank(text, end)
    # The end of an array or object shows in itself; a bare value without a closing fence may have been cut.
    whole = text[start] in "{[" and end == len(text)
    if not (whole or text.startswith(mark, end)) or (text[start] not in "{[" and not reader.strict):
        return start, None
    return end + len(mark), _Value(value, start, _STRICT_FENCE if reader.strict else _FENCE)


def _only(values: list[_Value], text: str) -> object:
    """Return the value if all `values` are equal, else raise InputError."""
    different = {_same(found.value): found for found in reversed(values)}
    if len(different) == 1:
        return values[0].value
    places = sorted(different.items(), key=lambda item: item[1].start)
    shown = ", ".join(f"{shorten(key, 40)} at {_place(text, found.start)}" for key, found in places)
    raise InputError(
        f"There are {len(different)} different JSON values in the answer ({shorten(shown, 200)}): "
        "ask the model for one, in a ```json fence of its own."
    )


def _same(value: object) -> str:
    """Return a text that is equal for equal values; ``==`` takes 1 and True for equal."""
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
        text: The whole answer.
        strict: True while everything read so far is strict JSON (except for the kind of blanks).
        certain: True once what was read can be nothing but JSON.
    """

    text: str
    strict: bool = True
    certain: bool = False

    def value(self, at: int, depth: int) -> tuple[Any, int]:
        """Return the value at `at`, where no blank is, and the position after it."""
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
            at = self._comma(at, "]", proves_json=isinstance(value, (str, list, dict)))
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
            at = self._comma(at, "}", proves_json=True)
        return items, at + 1

    def _comma(self, at: int, close: str, *, proves_json: bool) -> int:
        """Return the position of the next item or of `close`, after a comma that may be a trailing one."""
        at = _blank(self.text, at)
        if self.text.startswith(close, at):
            return at
        if not self.text.startswith(",", at):
            raise self._broken(at, f"a comma or {close} must follow")
        self.certain = self.certain or proves_json
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
