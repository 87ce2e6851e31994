"""What kind of thing a value is: identifiers are needed again more often than numbers, numbers more than prose."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import IntEnum
from functools import lru_cache
from typing import Any

MAX_NAME_WORDS = 5
MAX_NAME_CHARS = 60
MAX_IDENTIFIER_CHARS = 160
MAX_CACHED_CHARS = 2000

_DATE = re.compile(r"\d{4}-\d\d?-\d\d?|\d{1,2}[./]\d{1,2}[./]\d{2,4}|\d{4}/\d\d/\d\d")
_STAMP = re.compile(r"(?:\d{4}-\d\d-\d\d[T ])?\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?(?: ?[AaPp][Mm])?(?:Z|[+-]\d\d:?\d\d)?")
_NUMBER = re.compile(r"[-+]?[$€£¥]?\d[\d,]*(?:\.\d+)?%?")
_MARKED = re.compile(r"[\d_@/\\#]|\w\.\w|\w-\w")
_WORD = re.compile(r"[^\s,;()\[\]{}\"'`|*=<>]+")
_THOUSANDS = re.compile(r"(?<![\w.,-])\d{1,3}(?:,\d{3})+(?![\w-])")
_EDGES = ".:!?-/$€£¥…"


class Kind(IntEnum):
    """How likely a value is needed again; the smaller, the likelier."""

    IDENTIFIER = 0
    DATE = 1
    NUMBER = 2
    CODE = 3
    NAME = 4
    STAMP = 5
    PROSE = 6
    TRIVIAL = 7


def kind_of(value: Any) -> Kind:
    """The kind of a value that is no list and no mapping."""
    return _kind_of_text(value) if isinstance(value, str) else _kind_of(value)


@lru_cache(maxsize=20_000)
def _kind_of_text(value: str) -> Kind:
    return _kind_of(value)


def _kind_of(value: Any) -> Kind:
    if value is None or isinstance(value, bool):
        return Kind.TRIVIAL
    if isinstance(value, (int, float)):
        if value in (0, 1, -1):
            return Kind.TRIVIAL
        if isinstance(value, int) and abs(value) >= 100_000:
            return Kind.IDENTIFIER
        return Kind.NUMBER if abs(value) >= 10 else Kind.CODE
    text = str(value).strip()
    if len(text) < 2 and not text.isalnum():
        return Kind.TRIVIAL
    if text[0].isdigit() or text[0] in "-+$€£¥":
        if _DATE.fullmatch(text):
            return Kind.DATE
        if _STAMP.fullmatch(text):
            return Kind.STAMP
        if _NUMBER.fullmatch(text):
            return Kind.IDENTIFIER if sum(map(str.isdigit, text)) >= 5 and text.isdigit() else Kind.NUMBER
    if len(text) <= MAX_IDENTIFIER_CHARS and not any(map(str.isspace, text)):
        if _MARKED.search(text):
            return Kind.IDENTIFIER
        if text.isupper() and len(text) <= 8:
            return Kind.CODE
        return Kind.NAME if len(text) <= MAX_NAME_CHARS else Kind.PROSE
    return Kind.NAME if len(text) <= MAX_NAME_CHARS and len(text.split()) <= MAX_NAME_WORDS else Kind.PROSE


def spell(value: Any) -> str:
    """A plain value as text: whole numbers without a fraction, true, false and null as in JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def words(text: str, *, lower: bool = True) -> Sequence[str]:
    """The words of a text, in small letters, without punctuation around them and commas within numbers."""
    return _words(text, lower) if len(text) <= MAX_CACHED_CHARS else _words.__wrapped__(text, lower)


@lru_cache(maxsize=4096)  # to find what fits a budget, the same texts are read again and again
def _words(text: str, lower: bool) -> tuple[str, ...]:
    text = _THOUSANDS.sub(lambda number: number[0].replace(",", ""), text)
    bare = (word.strip(_EDGES) for word in _WORD.findall(text.lower() if lower else text))
    return tuple(word for word in bare if word)


def is_telling(word: str) -> bool:
    """Whether a word names one thing, so that seeing it twice means the same thing twice."""
    return (
        (len(word) >= 3 and any(map(str.isdigit, word)))
        or "_" in word
        or "@" in word
        or "/" in word
        or (len(word) >= 4 and "." in word)
    )


def keyed(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """The plain values in a tree, each with the nearest key above it; "result" where there is none."""
    if isinstance(value, dict):
        alike = len(value) > 1 and all(isinstance(v, dict) for v in value.values())
        for k, inner in value.items():
            if alike:
                yield key or "key", str(k)
                inner = {name: v for name, v in inner.items() if spell(v) not in str(k)}
            yield from keyed(inner, key if alike else str(k))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from keyed(inner, key)
    else:
        yield key or "result", value
