"""What the patterns are run on: a text made ready for matching, with the way back to the original's offsets.

A `View` holds the rewritten text and, for each stretch whose length changed, where it came from. Matching
happens on UTF-8 bytes, offsets are characters, and a span found in a view always names characters of the
text the user gave. Building a view is linear; an ASCII text is never rewritten.
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
"""Characters people and word processors write for ``-``."""

ZERO_WIDTH = "\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff"
"""Characters without a width, as the inside of a character class: joiners, marks of direction, selectors."""

_ZERO_WIDTH_CHAR = re.compile(f"[{ZERO_WIDTH}]")
_FOLDABLE = re.compile(rf"[{ZERO_WIDTH}{HYPHENS}]|(?![0-9])\d")
# One ASCII character may be the base of the combining marks that follow it.
_NON_ASCII_RUN = re.compile("[\x00-\x7f]?[^\x00-\x7f]+")
_ALNUM_RUN = re.compile(r"[^\W_]*")  # exactly what str.isalnum says
# Begins behind a character that is no blank, so that a long run of blanks is gone over once.
_LINE_BREAK = re.compile(r"(?<=\S)[ \t]*(?:\r\n?|[\n\x0b\x0c\x85\u2028\u2029])[ \t]*(?=\S)")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class _Block:
    """A stretch of the view that is not as long as what it was made from."""

    start: int
    end: int
    origin_start: int
    origin_end: int


@dataclass(frozen=True, slots=True)
class View:
    """A text to match on.

    Attributes:
        text: The text as the patterns see it.
        parent: The view it was made from, None for the original text or one of the same length.
    """

    text: str
    parent: View | None = None
    _blocks: tuple[_Block, ...] = ()
    _starts: tuple[int, ...] = ()
    data: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Encode the text; a lone surrogate, which UTF-8 lacks, becomes U+FFFD in the bytes only."""
        try:
            data = self.text.encode()
        except UnicodeEncodeError:
            data = _SURROGATE.sub("\ufffd", self.text).encode()
        object.__setattr__(self, "data", data)

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """The span of the original text that ``text[start:end]`` was made from."""
        if self._blocks:
            start, end = self._origin_start(start), self._origin_end(end)
        return self.parent.origin(start, end) if self.parent else (start, end)

    def _origin_start(self, at: int) -> int:
        i = bisect_right(self._starts, at) - 1
        if i < 0:
            return at
        block = self._blocks[i]
        return block.origin_start if at < block.end else block.origin_end + at - block.end

    def _origin_end(self, at: int) -> int:
        # An end that touches a block from the left does not take it in.
        i = bisect_right(self._starts, at - 1) - 1
        if i < 0:
            return at
        block = self._blocks[i]
        return block.origin_end + max(0, at - block.end)


def normalised(view: View, steps: tuple[str, ...]) -> View:
    """`view` after those of "nfkc" and "hyphens" that `steps` names; the same object where nothing changes."""
    text = view.text
    if text.isascii():
        return view
    if "nfkc" in steps and not unicodedata.is_normalized("NFKC", text):
        view = _rewritten(view, _nfkc, lambda run: not unicodedata.is_normalized("NFKC", run))
    if "hyphens" in steps:
        text = plain_hyphens(view.text)
        if text is not view.text:
            view = View(text, view.parent, view._blocks, view._starts)
    return view


def plain_hyphens(text: str) -> str:
    """`text` with every hyphen of `HYPHENS` written as ``-``; the same object where there is none."""
    for hyphen in HYPHENS:
        if hyphen in text:
            text = text.replace(hyphen, "-")
    return text


def folded(view: View) -> View:
    """`view` as someone reading it would type it: ASCII digits and hyphens, NFKC, nothing of zero width.

    Only for finding near misses; a value is never taken from it.
    """
    if view.text.isascii():
        return view
    return _rewritten(
        view, _fold, lambda run: bool(_FOLDABLE.search(run)) or not unicodedata.is_normalized("NFKC", run)
    )


def unwrapped(view: View) -> View:
    """`view` without line breaks and the blanks around them; the same object where there is none."""
    blocks, parts, at, length = [], [], 0, 0
    for found in _LINE_BREAK.finditer(view.text):
        parts.append(view.text[at : found.start()])
        length += found.start() - at
        blocks.append(_Block(length, length, *found.span()))
        at = found.end()
    return _child(view, [*parts, view.text[at:]], blocks) if blocks else view


def has_line_break(text: str) -> bool:
    """Whether `text` goes over more than one line."""
    return _LINE_BREAK.search(text) is not None


def without_zero_width(text: str) -> str:
    """`text` without the characters that have no width."""
    return _ZERO_WIDTH_CHAR.sub("", text)


def zero_width_in(text: str) -> str:
    """The first zero-width character of `text`, "" without one."""
    found = _ZERO_WIDTH_CHAR.search(text)
    return found.group() if found else ""


def name_of(char: str) -> str:
    """``U+200B ZERO WIDTH SPACE`` and the like."""
    return f"U+{ord(char):04X} {unicodedata.name(char, '')}".rstrip()


def is_glued(text: str, start: int, end: int) -> bool:
    """Whether ``text[start:end]`` begins or ends in the middle of a word or number.

    It does where a letter or digit at its edge has another one, or a combining mark, as its neighbour.
    """
    return glued_before(text, start) or glued_after(text, end)


def glued_before(text: str, start: int) -> bool:
    """Whether what begins at `start` goes on to its left."""
    if start <= 0 or not text[start].isalnum():
        return False
    before = text[start - 1]
    return before.isalnum() or (not before.isascii() and _marks_a_word(text, start - 1))


def glued_after(text: str, end: int) -> bool:
    """Whether what ends before `end` goes on to its right."""
    if end >= len(text) or not text[end - 1].isalnum():
        return False
    after = text[end]
    return after.isalnum() or (not after.isascii() and _is_mark(after))


def end_of_run(text: str, start: int) -> int:
    """Where the letters and digits that begin at `start` end, at least one character on."""
    found = _ALNUM_RUN.match(text, start + 1) if text[start].isalnum() else None
    return found.end() if found else start + 1


def whole_token(text: str, start: int, end: int) -> tuple[int, int]:
    """The span widened to the ends of the words or numbers it begins and ends in."""
    while start > 0 and text[start].isalnum() and text[start - 1].isalnum():
        start -= 1
    while end < len(text) and text[end - 1].isalnum() and text[end].isalnum():
        end += 1
    return start, end


def _is_mark(char: str) -> bool:
    return unicodedata.category(char) in ("Mn", "Mc") and not _ZERO_WIDTH_CHAR.match(char)


def _marks_a_word(text: str, at: int) -> bool:
    """Whether the combining marks that end at `at` sit on a letter or digit."""
    if not _is_mark(text[at]):
        return False
    # Nobody stacks more: the limit keeps a text made of marks alone linear.
    for i in range(at - 1, max(at - 33, -1), -1):
        if not _is_mark(text[i]):
            return text[i].isalnum()
    return False


def _rewritten(view: View, rewrite: Callable[[str], str], wanted: Callable[[str], bool]) -> View:
    """`view` with `rewrite` applied to each character and its marks, in the non-ASCII runs that are `wanted`."""
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
            if not len(old) == len(new) == 1:
                blocks.append(_Block(length, length + len(new), start, end))
            length += len(new)
            at = end
    return _child(view, [*parts, text[at:]], blocks) if parts else view


def _child(parent: View, parts: list[str], blocks: list[_Block]) -> View:
    return View("".join(parts), parent, tuple(blocks), tuple(block.start for block in blocks))


def _clusters(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Spans of `text` that normalise on their own: a character with all that may melt into it."""
    cuts = [start, *(i for i in range(start + 1, end) if not _melts(text[i])), end]
    return list(pairwise(cuts))


@lru_cache(maxsize=4096)
def _melts(char: str) -> bool:
    """Whether normalising can join `char` to the one before it."""
    first = unicodedata.normalize("NFKD", char)[0]
    return unicodedata.category(first)[0] == "M" or "\u1160" <= first <= "\u11ff"


def _nfkc(cluster: str) -> str:
    return unicodedata.normalize("NFKC", cluster)


@lru_cache(maxsize=4096)
def _fold(cluster: str) -> str:
    shown = plain_hyphens(unicodedata.normalize("NFKC", _ZERO_WIDTH_CHAR.sub("", plain_hyphens(cluster))))
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in shown)
