"""Decides how much of each turn is written, from one number: the pressure.

At pressure 0 only old results are condensed. As it grows, a turn loses its results, then the prose of question and
answer, then long arguments, then code, and in the end is only counted; older turns lose them at a lower pressure than
newer ones. Nothing is ever written in more detail at a higher pressure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

RESULT_CHARS, TEXT_CHARS, ROWS_CHARS = 800, 500, 300
"""Characters of a result of an older turn: of a whole tree, of a text, of the unnamed rows of a list.

Measured by recall of bound values against tokens on recorded sessions. Trees: 500 kept 97.3 % of tau's values, 800
keeps 99.5 % for two points of tokens more, as a record of its users takes 700 to 850 characters. Texts: 800 costs seven
points of tokens on notebook sessions and gives nothing. Rows: 400 costs one to two points on bookings and long lists
and gives nothing, 200 loses two points of recall on calendars."""
NEWEST_CHARS = 1000
"""Characters of a result of the newest turn, by default. 2,500 (and 500 for `tree.MAX_NAMES_CHARS`) costs one to three
points of tokens on six sets of sessions and gives no recall on any."""
PER_DOUBLE_AGE = 3.0
"""Factor by which the pressure on a turn grows when it is twice as far back. 1.5 loses five points on bookings at half
the tokens and below, 5 loses two on airline sessions."""
PROSE, ARGUMENT, CODE, TURN = 1.0, 2.0, 3.0, 5.0
"""The pressure on a turn at which its prose, arguments and code shrink, and at which it is only counted; its results
shrink from 0. The order is the design's, the distance of 1 is that within which a part shrinks; `TURN` from 4 to 5.5
makes no difference on average over six sets of sessions, and below 5 code of six turns is gone at half the tokens."""
NEWEST = 2.5
"""The pressure at which the results of the newest turn shrink, after its prose: at 0 half of the recall is lost on
sessions of two or three turns at half the tokens (47 % against 93), 4 loses two to seven points everywhere."""
LEAST, MOST = -16.0, 8.0
"""Pressures at which everything and nothing is written."""
WHOLE = 1_000_000


@dataclass(frozen=True, slots=True)
class Room:
    """Characters that the parts of a turn may take; at 0 only the reference is written.

    Attributes:
        result: For each result.
        text: For each result that is a text.
        rows: For the unnamed rows of each list in a result.
        prose: For the question, and for the answer.
        argument: For each argument of one line.
        code: For each argument of several lines.
        calls: False if only references to the calls are written.
    """

    result: int
    text: int
    rows: int
    prose: int = WHOLE
    argument: int = WHOLE
    code: int = WHOLE
    calls: bool = True


def room_of(age: int, pressure: float, newest_chars: int, back: float = 0.0) -> Room | None:
    """Return the room of a turn; None if it is only counted.

    Args:
        age: Number of newer turns; 0 for the newest.
        pressure: From `LEAST` to `MOST`.
        newest_chars: Characters of each result of the newest turn without pressure.
        back: For a result, the share of the turn's calls after it, below 1; it is added to the age.
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
    """Return `chars` halved up to six times as `by` goes from 0 to 1, and at least `least`."""
    if by <= 0:
        return chars if least in (0, 8, 24) else WHOLE
    return max(least, int(chars * 0.5 ** (6 * by))) if by < 1 else least
