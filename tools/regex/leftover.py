"""What is left of a text beside its codes: whether a program alone can answer it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from agentkit.base.text import shorten
from agentkit.errors import ConfigError

_WORD = re.compile(r"\w+(?:['\u2019]\w+)*")
# Anything else, a minus sign, "not" written as "!", a comparison, may change what is asked for.
_MEANS_NOTHING = frozenset(" \t\r\n,;:.?()[]{}\"'\u00a0\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb\u2026")


def check_filler(words: Iterable[str]) -> frozenset[str]:
    """`words` as a set to compare with, whatever their case.

    Raises:
        ConfigError: One of them is no single word.
    """
    if isinstance(words, (str, bytes)) or not isinstance(words, Iterable):
        raise ConfigError(f"filler is {shorten(repr(words))}: give a list of words, such as ['look', 'for'].")
    listed = list(words)
    for word in listed:
        if not isinstance(word, str) or not _WORD.fullmatch(word):
            raise ConfigError(f"filler holds {shorten(repr(word))}: give single words, such as 'look' and 'for'.")
    return frozenset(word.casefold() for word in listed)


def rest_of(text: str, spans: Iterable[tuple[int, int]], filler: Collection[str]) -> list[str]:
    """What `text` holds beside `spans`, which are sorted and apart, and `filler`: words and telling characters."""
    left: list[str] = []
    at = 0
    for start, end in [*spans, (len(text), len(text))]:
        between, done = text[at:start], 0
        for word in _WORD.finditer(between):
            left += _telling(between[done : word.start()])
            if word.group().casefold() not in filler:
                left.append(word.group())
            done = word.end()
        left += _telling(between[done:])
        at = end
    return left


def _telling(between: str) -> list[str]:
    return [char for char in between if char not in _MEANS_NOTHING]
