"""How much of each turn is written, from one number.

At pressure 0 nothing but old results is condensed. As it grows, a turn gives up its result, then the prose of question
and answer, then long arguments, then code, and is counted only in the end; older turns do so at a lower pressure than
newer ones. Nothing is ever written in more detail at a higher pressure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

RESULT_CHARS, TEXT_CHARS, ROWS_CHARS = 800, 500, 300
"""Of a result that is not of the newest turn: of a tree in all, of a text, of the rows of a list that nothing names.

Measured by recall of bound values against tokens on recorded sessions. Trees: 500 kept 97.3 % of tau's values, 800
keeps 99.5 % for two points of tokens more, as a record of its users takes 700 to 850 characters. Texts: 800 costs seven
points of tokens on notebook sessions and gives nothing. Rows: 400 costs one to two points on bookings and long lists
and gives nothing, 200 loses two points of recall on calendars."""
NEWEST_CHARS = 1000
"""Of a result of the newest turn, if the memory is not told otherwise. 2,500 (and 500 for `tree.MAX_NAMES_CHARS`) costs
one to three points of tokens on six sets of sessions and gives no recall on any."""
PER_DOUBLE_AGE = 3.0
"""How much more pressure a turn feels that is twice as far back. 1.5 loses five points on bookings at half the tokens
and below, 5 loses two on airline sessions."""
PROSE, ARGUMENT, CODE, TURN = 1.0, 2.0, 3.0, 5.0
"""The pressure felt at which prose, arguments and code of a turn shrink, and at which it is only counted; its results
shrink from 0. The order is the design's, the distance of 1 is that within which a part shrinks; `TURN` from 4 to 5.5
makes no difference on average over six sets of sessions, and below 5 code of six turns is gone at half the tokens."""
NEWEST = 2.5
"""The pressure at which the results of the newest turn shrink, behind its prose: at 0 half of the recall is lost on
sessions of two or three turns at half the tokens (47 % against 93), 4 loses two to seven points everywhere."""
LEAST, MOST = -16.0, 8.0
"""Pressures at which everything is written, and nothing."""
WHOLE = 1_000_000


@dataclass(frozen=True, slots=True)
class Room:
    """Characters that a turn's parts may take; 0 leaves the reference only.

    Attributes:
        result: Of each result.
        text: Of each result that is a text.
        rows: Of the rows of each list in a result that nothing names.
        prose: Of the question, and of the answer.
        argument: Of each argument of one line.
        code: Of each argument of several lines.
        calls: False if the calls are only referred to.
    """

    result: int
    text: int
    rows: int
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
    result = _shrunk(RESULT_CHARS, of_result, 0) if age >= 1 else _shrunk(newest_chars, of_result - NEWEST, 0)
    return Room(
        result=result,
        text=min(result, TEXT_CHARS) if age >= 1 else result,
        rows=min(result, ROWS_CHARS) if age >= 1 else result,
        prose=_shrunk(1200, felt - PROSE, 60) if felt < CODE else _shrunk(60, felt - CODE, 24 if felt < TURN else 8),
        argument=_shrunk(600, felt - ARGUMENT, 40),
        code=_shrunk(4000, felt - CODE, 80),
        calls=felt < TURN,
    )


def _shrunk(chars: int, by: float, least: int) -> int:
    """Return characters, halved six times as `by` goes from 0 to 1, where `least` remains; results are never whole."""
    if by <= 0:
        return chars if least in (0, 8, 24) else WHOLE
    return max(least, int(chars * 0.5 ** (6 * by))) if by < 1 else least
