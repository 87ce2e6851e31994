"""How much of each turn is written, from one number.

At pressure 0 nothing but old results is condensed. As it grows, a turn gives up its result, then the prose of question
and answer, then long arguments, then code, and is counted only in the end; older turns do so at a lower pressure than
newer ones. Nothing is ever written in more detail at a higher pressure.
"""

from __future__ import annotations

from dataclasses import dataclass

RESULT_CHARS = 500
"""Of a result that is not of the newest turn."""
NEWEST_CHARS = 2500
"""Of a result of the newest turn, if the memory is not told otherwise."""
HALF_AGE = 6.0
"""Turns behind the newest at which a turn feels half of the pressure."""
STEPS = 4
"""Kinds of text that are given up one after another: results, prose, arguments, code."""
WHOLE = 1_000_000


@dataclass(frozen=True, slots=True)
class Room:
    """Characters that a turn's parts may take; 0 leaves the reference only.

    Attributes:
        result: Of each result.
        prose: Of the question, and of the answer.
        argument: Of each argument of one line.
        code: Of each argument of several lines.
    """

    result: int
    prose: int = WHOLE
    argument: int = WHOLE
    code: int = WHOLE


def room_of(age: int, pressure: float, newest_chars: int) -> Room | None:
    """Return how much of a turn is written; None if it is only counted.

    Args:
        age: Turns behind the newest, which is 0.
        pressure: From 0.
        newest_chars: Characters of a result of the newest turn at pressure 0.
    """
    felt = pressure * (age + 1) / (age + 1 + HALF_AGE)
    if felt >= STEPS and age > 0:
        return None
    return Room(
        result=_shrunk(newest_chars if age == 0 else RESULT_CHARS, felt, 0),
        prose=_shrunk(1200, felt - 1, 60) if felt > 1 else WHOLE,
        argument=_shrunk(600, felt - 2, 60) if felt > 2 else WHOLE,
        code=_shrunk(4000, felt - 3, 80) if felt > 3 else WHOLE,
    )


def _shrunk(chars: int, by: float, least: int) -> int:
    """Return characters halved eight times as `by` goes from 0 to 1, where `least` remains."""
    return max(least, int(chars * 0.5 ** (6 * by))) if by < 1 else least
