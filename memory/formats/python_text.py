"""Reads values as Python's ``str()`` and ``repr()`` write them: dicts, tuples, dataclasses, models, dates.

Written by hand, because untrusted text can crash Python's parser, and because ``ast.literal_eval`` does not read
``Order(id='A-17', at=datetime.date(2024, 5, 1))``.
"""

from __future__ import annotations

import re
import sys
from typing import Any

MAX_CHARS = 200_000
MAX_DEPTH = 40

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<text>[bBuUrR]{0,2}(?:'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"))
    |(?P<number>[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))
    |(?P<name>[^\W\d]\w*(?:\.[^\W\d]\w*)*)
    |(?P<angle><[^<>\n]*(?:<[^<>\n]*>[^<>\n]*)?>)
    |(?P<mark>[][(){},:=])
    )""",
    re.VERBOSE,
)
_ESCAPED = re.compile(r"\\(x[\da-fA-F]{2}|u[\da-fA-F]{4}|U[\da-fA-F]{8}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"'}
_WORDS = {"True": True, "False": False, "None": None, "true": True, "false": False, "null": None}
_CLOSING = {"[": "]", "(": ")", "{": "}"}


class _NoLiteralError(ValueError):
    """The text is something else."""


def read_literal(text: str) -> Any:
    """Return the mapping or list that a text is in Python's notation; None if it is something else.

    Calls become their arguments: ``Order(id='A-17')`` a mapping, ``Decimal('1.5')`` its one value.
    """
    if len(text) > MAX_CHARS:
        return None
    try:
        reader = _Reader(text)
        value = reader.fields() if reader.peek(1)[1] == "=" else reader.value(top=True)
    except (_NoLiteralError, RecursionError):
        return None
    return value if reader.is_done() and isinstance(value, (dict, list)) else None


def read_literal_at(text: str, start: int) -> tuple[Any, int] | None:
    """Return the mapping or list that begins at `start`, and its end; None if there is none."""
    if len(text) - start > MAX_CHARS:
        return None
    try:
        reader = _Reader(text, start)
        value = reader.value()
    except (_NoLiteralError, RecursionError):
        return None
    return (value, reader.end) if isinstance(value, (dict, list)) else None


class _Reader:
    def __init__(self, text: str, start: int = 0) -> None:
        self._text = text
        self._next: list[tuple[str, str, int]] = []
        self._at = self.end = start

    def peek(self, ahead: int = 0) -> tuple[str, str, int]:
        """Return kind, text and end of a token; ("", "", end) after the last."""
        while len(self._next) <= ahead:
            match = _TOKEN.match(self._text, self._at)
            if match is None or match.lastgroup is None:
                return "", "", self._at
            self._at = match.end()
            self._next.append((match.lastgroup, match[match.lastgroup], match.end()))
        return self._next[ahead]

    def take(self, expected: str = "") -> tuple[str, str]:
        kind, text, end = self.peek()
        if not kind or (expected and text != expected):
            raise _NoLiteralError
        del self._next[0]
        self.end = end
        return kind, text

    def is_done(self) -> bool:
        return not self._next and not self._text[self.end :].strip()

    def fields(self) -> dict[str, Any]:
        """Return fields such as ``id='A-17' qty=2``, as pydantic prints models."""
        found: dict[str, Any] = {}
        while self.peek()[0] == "name" and self.peek(1)[1] == "=":
            _, name = self.take()
            self.take("=")
            found[name] = self.value()
        if len(found) < 2:
            raise _NoLiteralError
        return found

    def value(self, depth: int = 0, *, top: bool = False) -> Any:
        if depth > MAX_DEPTH:
            raise _NoLiteralError
        kind, text = self.take()
        if kind == "text":
            return self._string(text)
        if kind == "number":
            return int(text) if text.lstrip("+-").isdigit() and len(text) < 300 else _float(text)
        if kind == "angle":
            return text
        if kind == "name":
            if self.peek()[1] == "(":
                return self._called(text, depth, top=top)
            if text in _WORDS:
                return _WORDS[text]
            if text in ("nan", "inf", "NaN", "Infinity"):
                return text
        elif text == "{":
            return self._mapping(depth)
        elif text in ("[", "("):
            return self._items(_CLOSING[text], depth)
        raise _NoLiteralError

    def _string(self, token: str) -> str:
        joined = self._unquoted(token)
        while self.peek()[0] == "text":  # long strings are printed in parts
            joined += self._unquoted(self.take()[1])
        return joined

    def _unquoted(self, token: str) -> str:
        start = min(at for at in (token.find("'"), token.find('"')) if at >= 0)
        inner = token[start + 1 : -1]
        if "\\" not in inner or not {"b", "r"}.isdisjoint(token[:start].lower()):
            return inner  # bytes are kept as printed
        return _ESCAPED.sub(_unescaped, inner)

    def _items(self, closing: str, depth: int) -> list[Any]:
        found: list[Any] = []
        while self.peek()[1] != closing:
            at = self.peek()
            found.append(self.value(depth + 1))
            if closing == "]" and at[0] == "text" and self.end != at[2]:
                raise _NoLiteralError  # texts without a comma: items of an array, or parts of one text
            if self.peek()[1] != closing:
                self.take(",")
        self.take(closing)
        return found

    def _mapping(self, depth: int) -> dict[str, Any] | list[Any]:
        found: dict[str, Any] = {}
        members: list[Any] = []
        while self.peek()[1] != "}":
            key = self.value(depth + 1)
            if self.peek()[1] == ":" and not members:
                self.take(":")
                found[key if isinstance(key, str) else str(key)] = self.value(depth + 1)
            elif not found:
                members.append(key)  # a set
            else:
                raise _NoLiteralError
            if self.peek()[1] != "}":
                self.take(",")
        self.take("}")
        return members or found

    def _called(self, name: str, depth: int, *, top: bool) -> Any:
        start = self.end - len(name)
        self.take("(")
        given: list[Any] = []
        named: dict[str, Any] = {}
        while self.peek()[1] != ")":
            if self.peek()[0] == "name" and self.peek(1)[1] == "=":
                key = self.take()[1]
                self.take("=")
                named[key] = self.value(depth + 1)
            elif self.peek()[0] == "name" and self.peek()[1] not in _WORDS and self.peek(1)[1] != "(":
                given.append(self.take()[1])
            else:
                given.append(self.value(depth + 1))
            if self.peek()[1] != ")":
                self.take(",")
        self.take(")")
        inner = [value for value in given if isinstance(value, (dict, list))]
        if not given and named:
            return {name: named} if top else named
        if len(inner) == 1:
            return _pairs(inner[0]) if name.endswith("Dict") else inner[0]
        date = _date(name, given)
        if date:
            return date
        if len(given) == 1 and not inner:
            return given[0]
        return self._text[start : self.end]


def _unescaped(match: re.Match[str]) -> str:
    said = match[1]
    if said[0] in "xuU" and len(said) > 1:
        code = int(said[1:], 16)
        return chr(code) if code <= sys.maxunicode else match[0]
    return _ESCAPES.get(said, match[0])


def _float(text: str) -> float | str:
    value = float(text)
    return value if abs(value) < 1e300 else text


def _pairs(value: Any) -> Any:
    """Return the pairs of an ordered dict as a mapping."""
    if isinstance(value, list) and all(isinstance(item, list) and len(item) == 2 for item in value):
        return {str(key): inner for key, inner in value}
    return value


def _date(name: str, given: list[Any]) -> str:
    """Return ``datetime.date(2024, 5, 1)`` as 2024-05-01, followed by the time if there is one."""
    numbers = [n for n in given if isinstance(n, int) and not isinstance(n, bool)]
    if name.rpartition(".")[2] not in ("date", "datetime") or len(numbers) < 3 or len(numbers) > 7:
        return ""
    date = "{:04}-{:02}-{:02}".format(*numbers[:3])
    if len(numbers) == 3:
        return date
    return f"{date}T" + ":".join(f"{n:02}" for n in (*numbers[3:6], 0, 0)[: max(2, len(numbers[3:6]))])
