"""The part of a text that is neither code nor filler; if nothing is left, a program can answer without a model."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

_WORD = re.compile(r"\w+(?:['\u2019]\w+)*")
# Any other character (a minus sign, "!" for not, a comparison) may change what the user asks for.
_NEUTRAL = frozenset(" \t\r\n,;:.?()[]{}\"'\u00a0\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb\u2026")


def check_word(word: str) -> str:
    """Return `word`.

    Raises:
        ValueError: It is not a single word, and so would never be found in a text.
    """
    if not _WORD.fullmatch(word):
        raise ValueError("not a single word")
    return word


def rest_of(text: str, spans: Iterable[tuple[int, int]], filler: Collection[str]) -> list[str]:
    """Return the words and meaningful characters of `text` outside `spans` that are not in `filler`.

    Args:
        text: The text.
        spans: Spans of the codes, sorted, without overlaps.
        filler: Words that ask for nothing, case folded.
    """
    left: list[str] = []
    at = 0
    for start, end in [*spans, (len(text), len(text))]:
        between, done = text[at:start], 0
        for word in _WORD.finditer(between):
            left += _meaningful(between[done : word.start()])
            if word.group().casefold() not in filler:
                left.append(word.group())
            done = word.end()
        left += _meaningful(between[done:])
        at = end
    return left


def _meaningful(between: str) -> list[str]:
    return [char for char in between if char not in _NEUTRAL]
