"""The text that patterns are matched on, rewritten (NFKC, plain hyphens), with a map back to the original's offsets.

A `View` holds the rewritten text and, for each stretch whose length changed, the stretch it was made from. RE2
matches on UTF-8 bytes, offsets are characters, and every span is reported in characters of the text the user gave.
Building a view takes linear time; an ASCII text is never rewritten.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

HYPHENS = "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\ufe58\ufe63\uff0d"
"""Characters that people and word processors write for ``-``."""

ZERO_WIDTH = "\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff"
"""Zero-width characters (joiners, direction marks, variation selectors), written as the inside of a character class."""

_ZERO_WIDTH_CHAR = re.compile(f"[{ZERO_WIDTH}]")
_FOLDABLE = re.compile(rf"[{ZERO_WIDTH}{HYPHENS}]|(?![0-9])\d")
# With the ASCII character before it, which may be the base of combining marks.
_NON_ASCII_RUN = re.compile("[\x00-\x7f]?[^\x00-\x7f]+")
# The lookbehind lets a match begin only at the first blank of a run; from every blank, a long run costs square time.
_LINE_BREAK = re.compile(r"(?<=\S)[ \t]*(?:\r\n?|[\n\x0b\x0c\x85\u2028\u2029])[ \t]*(?=\S)")
_SURROGATE = re.compile("[\ud800-\udfff]")
# Results kept by each cache below. Chosen by hand: more distinct characters than one text usually has, Chinese too;
# both caches, full, take 1.6 MB (tracemalloc).
_CACHED = 4096


@dataclass(frozen=True, slots=True)
class _Block:
    """A stretch of the view whose length differs from the stretch it was made from."""

    start: int
    end: int
    origin_start: int
    origin_end: int


@dataclass(frozen=True, slots=True)
class View:
    """A text to match on.

    Attributes:
        text: The text as the patterns see it.
        parent: The view it was made from; None for the original text, or for one of the same length.
        data: `text` in UTF-8, for RE2.
    """

    text: str
    parent: View | None = None
    _blocks: tuple[_Block, ...] = ()
    _starts: tuple[int, ...] = ()
    data: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Encode the text; a lone surrogate, which UTF-8 cannot hold, becomes U+FFFD in the bytes only."""
        try:
            data = self.text.encode()
        except UnicodeEncodeError:
            data = _SURROGATE.sub("\ufffd", self.text).encode()
        object.__setattr__(self, "data", data)

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """Return the span of the original text that ``text[start:end]`` was made from."""
        if self._blocks:
            start, end = self._origin_start(start), self._origin_end(end)
        return self.parent.origin(start, end) if self.parent else (start, end)

    def with_text(self, text: str) -> View:
        """Return a view of `text`, which must be as long as this view's, with the same map back."""
        return View(text, self.parent, self._blocks, self._starts)

    def _origin_start(self, at: int) -> int:
        i = bisect_right(self._starts, at) - 1
        if i < 0:
            return at
        block = self._blocks[i]
        return block.origin_start if at < block.end else block.origin_end + at - block.end

    def _origin_end(self, at: int) -> int:
        # "at - 1": an end that only touches a block from the left leaves the block out.
        i = bisect_right(self._starts, at - 1) - 1
        if i < 0:
            return at
        block = self._blocks[i]
        return block.origin_end + max(0, at - block.end)


def normalised(view: View, steps: tuple[str, ...]) -> View:
    """Return `view` with "nfkc" and "hyphens" applied if `steps` names them; the same object if nothing changes."""
    text = view.text
    if text.isascii():
        return view
    if "nfkc" in steps and not unicodedata.is_normalized("NFKC", text):
        view = _rewritten(view, _nfkc, lambda run: not unicodedata.is_normalized("NFKC", run))
    if "hyphens" in steps:
        text = plain_hyphens(view.text)
        if text is not view.text:
            view = view.with_text(text)
    return view


def plain_hyphens(text: str) -> str:
    """Return `text` with every hyphen of `HYPHENS` written as ``-``; the same object if there is none."""
    for hyphen in HYPHENS:
        if hyphen in text:
            text = text.replace(hyphen, "-")
    return text


def folded(view: View) -> View:
    """Return `view` as a reader would type it: ASCII digits and hyphens, NFKC, no zero-width characters.

    Used to find near misses only; a value is never taken from it.
    """
    if view.text.isascii():
        return view
    return _rewritten(
        view, _fold, lambda run: bool(_FOLDABLE.search(run)) or not unicodedata.is_normalized("NFKC", run)
    )


def unwrapped(view: View) -> View:
    """Return `view` without line breaks and the blanks around them; the same object if there is none."""
    blocks, parts, at, length = [], [], 0, 0
    for found in _LINE_BREAK.finditer(view.text):
        parts.append(view.text[at : found.start()])
        length += found.start() - at
        blocks.append(_Block(length, length, *found.span()))
        at = found.end()
    return _child(view, [*parts, view.text[at:]], blocks) if blocks else view


def has_line_break(text: str) -> bool:
    """Return True if `text` has a line break between two characters that are not blank."""
    return _LINE_BREAK.search(text) is not None


def without_zero_width(text: str) -> str:
    """Return `text` without its zero-width characters."""
    return _ZERO_WIDTH_CHAR.sub("", text)


def zero_width_in(text: str) -> str:
    """Return the first zero-width character of `text`; "" if there is none."""
    found = _ZERO_WIDTH_CHAR.search(text)
    return found.group() if found else ""


def name_of(char: str) -> str:
    """Return code point and name of `char`, such as ``U+200B ZERO WIDTH SPACE``."""
    return f"U+{ord(char):04X} {unicodedata.name(char, '')}".rstrip()


def _rewritten(view: View, rewrite: Callable[[str], str], wanted: Callable[[str], bool]) -> View:
    """Apply `rewrite` to each cluster of the non-ASCII runs for which `wanted` is True."""
    text, parts, blocks, at, length = view.text, [], [], 0, 0
    for run in _NON_ASCII_RUN.finditer(text):
        if not wanted(run.group()):
            continue
        for start, end in _clusters(text, run.start(), run.end()):
            old = text[start:end]
            new = rewrite(old)
            if new == old:
                continue
            parts += [text[at:start], new]
            length += start - at
            if len(old) != 1 or len(new) != 1:
                blocks.append(_Block(length, length + len(new), start, end))
            length += len(new)
            at = end
    return _child(view, [*parts, text[at:]], blocks) if parts else view


def _child(parent: View, parts: list[str], blocks: list[_Block]) -> View:
    return View("".join(parts), parent, tuple(blocks), tuple(block.start for block in blocks))


def _clusters(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Return spans of `text` that normalise independently: a character and all that may combine with it."""
    cuts = [start, *(i for i in range(start + 1, end) if not _combines(text[i])), end]
    return list(pairwise(cuts))


@lru_cache(maxsize=_CACHED)
def _combines(char: str) -> bool:
    """Return True if normalising can join `char` to the one before it: a mark, or a vowel or final of Hangul."""
    first = unicodedata.normalize("NFKD", char)[0]
    return unicodedata.category(first)[0] == "M" or "\u1160" <= first <= "\u11ff"


def _nfkc(cluster: str) -> str:
    return unicodedata.normalize("NFKC", cluster)


@lru_cache(maxsize=_CACHED)
def _fold(cluster: str) -> str:
    shown = plain_hyphens(unicodedata.normalize("NFKC", _ZERO_WIDTH_CHAR.sub("", plain_hyphens(cluster))))
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in shown)
