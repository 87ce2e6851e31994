"""How much of each turn is written, from one number.

At pressure 0 nothing but old results is condensed. As it grows, a turn gives up its result, then the prose of question
and answer, then long arguments, then code, and is counted only in the end; older turns do so at a lower pressure than
newer ones. Nothing is ever written in more detail at a higher pressure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

RESULT_CHARS = 800
"""Of a result that is not of the newest turn."""
NEWEST_CHARS = 1000
"""Of a result of the newest turn, if the memory is not told otherwise."""
PER_DOUBLE_AGE = 3.0
"""How much more pressure a turn feels that is twice as far back."""
PROSE, ARGUMENT, CODE, TURN = 1.0, 2.0, 3.0, 4.0
"""The pressure felt at which the prose, the arguments and the code of a turn shrink, and at which it is only counted;
its results shrink from 0."""
NEWEST = 2.5
"""The pressure at which the results of the newest turn shrink."""
LEAST, MOST = -16.0, 8.0
"""Pressures at which everything is written, and nothing."""
WHOLE = 1_000_000


@dataclass(frozen=True, slots=True)
class Room:
    """Characters that a turn's parts may take; 0 leaves the reference only.

    Attributes:
        result: Of each result.
        prose: Of the question, and of the answer.
        argument: Of each argument of one line.
        code: Of each argument of several lines.
        calls: False if the calls are only referred to.
    """

    result: int
    prose: int = WHOLE
    argument: int = WHOLE
    code: int = WHOLE
    calls: bool = True


def room_of(age: int, pressure: float, newest_chars: int, back: float = 0.0) -> Room | None:
    """Return how much of a turn is written; None if it is only counted.

    Args:
        age: Turns behind the newest, which is 0.
        pressure: From `LEAST` to `MOST`.
        newest_chars: Characters of a result of the newest turn at no pressure.
        back: Of a result, which share of the turn's calls came after it, below 1: it counts as so much older.
    """
    felt = pressure + PER_DOUBLE_AGE * math.log2(1 + age)
    if felt >= TURN and age >= 1:
        return None
    of_result = pressure + PER_DOUBLE_AGE * math.log2(1 + age + back)
    return Room(
        result=_shrunk(RESULT_CHARS, of_result, 0) if age >= 1 else _shrunk(newest_chars, of_result - NEWEST, 0),
        prose=_shrunk(1200, felt - PROSE, 60) if felt < CODE else _shrunk(60, felt - CODE, 8),
        argument=_shrunk(600, felt - ARGUMENT, 40),
        code=_shrunk(4000, felt - CODE, 80),
        calls=felt < TURN,
    )


def _shrunk(chars: int, by: float, least: int) -> int:
    """Return characters, halved six times as `by` goes from 0 to 1, where `least` remains; results are never whole."""
    if by <= 0:
        return chars if least in (0, 8) else WHOLE
    return max(least, int(chars * 0.5 ** (6 * by))) if by < 1 else least
