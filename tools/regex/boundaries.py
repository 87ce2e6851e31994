r"""Boundary and glue check: does a match stand alone, or is it a piece of a longer word, number or token?

A match is *glued* where the letter or digit at its edge touches another one, or reaches one across a single
character of the pattern's `glue` (with ``"."``, 1.2.3.4 is glued in 1.2.3.4.5). Engines without lookaround cannot
ask for this, and ``\b`` asks for something else (it takes ``_`` for a letter and é, to RE2, for none), so it is
checked here, in code, for both engines. All offsets are characters.
"""

from __future__ import annotations

import re
import unicodedata

from agentkit.tools.regex.text_view import ZERO_WIDTH

# Neighbours that never glue: ASCII punctuation and blanks, and "", which is what lies beyond an end of the text.
# Nearly every match has two of them, and a set answers at once where str.isalnum and Unicode tables cost a call each.
_NEVER_GLUES = frozenset(["", *(chr(i) for i in range(128) if not chr(i).isalnum())])
_ALNUM_RUN = re.compile(r"[^\W_]*")  # exactly what str.isalnum accepts
_ZERO_WIDTH_CHAR = re.compile(f"[{ZERO_WIDTH}]")
# How far to look for the letter that combining marks sit on. Chosen by hand: Unicode's stream-safe format (UAX 15)
# allows 30 marks in a row; without a limit a text of marks alone would be searched in square time.
_MAX_MARKS = 32


def is_glued(text: str, start: int, end: int, glue: str = "") -> bool:
    """Return True if ``text[start:end]`` begins or ends inside a longer word, number or token."""
    if not glue and text[start - 1 : start] in _NEVER_GLUES and text[end : end + 1] in _NEVER_GLUES:
        return False
    return glued_before(text, start, glue) or glued_after(text, end, glue)


def glued_before(text: str, start: int, glue: str = "") -> bool:
    """Return True if the token that `start` lies in begins further left."""
    if start <= 0 or not text[start].isalnum():
        return False
    before = text[start - 1]
    if before.isalnum() or (not before.isascii() and _marks_a_letter(text, start - 1)):
        return True
    return start > 1 and before in glue and text[start - 2].isalnum()


def glued_after(text: str, end: int, glue: str = "") -> bool:
    """Return True if the token that ends at `end` continues to the right."""
    if end >= len(text) or not text[end - 1].isalnum():
        return False
    after = text[end]
    if after.isalnum() or (not after.isascii() and _is_mark(after)):
        return True
    return end + 1 < len(text) and after in glue and text[end + 1].isalnum()


def whole_token(text: str, start: int, end: int, glue: str = "") -> tuple[int, int]:
    """Return the span widened to the whole tokens that it begins and ends in."""
    if text[start].isalnum():
        while start > 0:
            if text[start - 1].isalnum():
                start -= 1
            elif start > 1 and text[start - 1] in glue and text[start - 2].isalnum():
                start -= 2
            else:
                break
    if text[end - 1].isalnum():
        while end < len(text):
            if text[end].isalnum():
                end += 1
            elif end + 1 < len(text) and text[end] in glue and text[end + 1].isalnum():
                end += 2
            else:
                break
    return start, end


def end_of_run(text: str, start: int) -> int:
    """Return the end of the run of letters and digits at `start`; ``start + 1`` if there is none."""
    found = _ALNUM_RUN.match(text, start + 1) if text[start].isalnum() else None
    return found.end() if found else start + 1


def _is_mark(char: str) -> bool:
    return unicodedata.category(char) in ("Mn", "Mc") and not _ZERO_WIDTH_CHAR.match(char)


def _marks_a_letter(text: str, at: int) -> bool:
    """Return True if the combining marks that end at `at` sit on a letter or digit."""
    if not _is_mark(text[at]):
        return False
    for i in range(at - 1, max(at - 1 - _MAX_MARKS, -1), -1):
        if not _is_mark(text[i]):
            return text[i].isalnum()
    return False
