"""A replay that keeps within a budget.

Of a long session, the older turns are planned by themselves, up to a border that moves in batches: most new turns
then leave the replay of the older ones as it was, and a provider's prompt cache holds.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from langchain_core.messages import SystemMessage

from agentkit.errors import InputError
from agentkit.memory.objects import MemoryObject
from agentkit.memory.replay.already_said import Known
from agentkit.memory.replay.fitting import BATCH, LONG, fitted
from agentkit.memory.replay.forms import FULL, NEWEST, ReplayMode, left_out, turn_messages
from agentkit.memory.replay.plan import CountTokens, Plan, cost, render

SETTLED = ((BATCH, 0.6), (BATCH // 2, 0.7))
"""Turns of a long session that step down together, and what those that have may take of the budget; the rest is for
the turns to come. The smaller batch is for turns too long for the first."""
SETTLED_ROUNDS = 3
"""Plans that are tried for the older part of a long session, whose batches are coarse anyway."""
REACH = 40
"""Turns that are looked at behind the last full batch."""
MAX_PARTS = 64
"""Older parts of sessions that a memory keeps at hand."""


@dataclass(frozen=True, slots=True)
class Part:
    """The beginning of a replay: its plan, what it says, and its tokens."""

    plan: Plan
    known: Known
    tokens: int


class OlderParts:
    """The older parts of long sessions as they were last planned, for one way to remember and one counter.

    All but one of `BATCH` replays of a growing session begin with the very part the one before began with. What is
    kept is given only for turns equal to those it was made of, so another process may write, or delete, meanwhile.
    """

    def __init__(self) -> None:
        """Nothing is planned yet."""
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, int], tuple[list[str], Part]] = {}

    def of(self, turns: Sequence[MemoryObject], mode: ReplayMode, max_tokens: int, count: CountTokens) -> Part | None:
        """The part of these turns; None where not even the newest fits."""
        key = turns[-1].session, max_tokens
        written = [turn.model_dump_json() for turn in turns]  # equal turns may be written otherwise
        with self._lock:
            kept = self._kept.pop(key, None)
        if kept is None or kept[0] != written:
            plan = fitted(turns, mode, max_tokens, count, rounds=SETTLED_ROUNDS)
            if plan is None:
                return None
            known = Known()
            plan = render(turns, [plan.forms.get(turn.number) for turn in turns], mode, known)
            kept = written, Part(plan, known, cost(plan.messages, count))
        with self._lock:
            self._kept[key] = kept
            while len(self._kept) > MAX_PARTS:
                del self._kept[next(iter(self._kept))]
        return kept[1]

    def forget(self, session: str) -> None:
        """Let go of a session's."""
        with self._lock:
            for key in [key for key in self._kept if key[0] == session]:
                del self._kept[key]


def within(
    newest_first: Iterable[MemoryObject],
    mode: ReplayMode,
    max_tokens: int,
    count: CountTokens,
    parts: OlderParts | None = None,
) -> Plan:
    """The replay that keeps within a budget.

    Args:
        newest_first: The session's objects; of a long session only the newest are taken.
        mode: The way to remember.
        max_tokens: The budget.
        count: Tokens of a text.
        parts: What earlier calls with this mode and counter have planned; it changes how long this takes, and
            nothing else.

    Raises:
        InputError: Not even the line that counts the turns fits.
    """
    turns = list(islice(newest_first, REACH + BATCH))[::-1]
    if not turns:
        return Plan([], {}, 0)
    if turns[0].number == 1:
        everything = render(turns, [FULL] * len(turns), mode)
        if cost(everything.messages, count) <= max_tokens:
            return everything
    if turns[-1].number > LONG:
        for batch, share in SETTLED:
            settled = _settled(turns, mode, max_tokens, count, batch, share, parts or OlderParts())
            if settled is not None:
                return settled
    return fitted(turns, mode, max_tokens, count) or _last_resort(turns[-1], mode, max_tokens, count)


def _settled(
    turns: Sequence[MemoryObject],
    mode: ReplayMode,
    max_tokens: int,
    count: CountTokens,
    batch: int,
    share: float,
    parts: OlderParts,
) -> Plan | None:
    """Turns up to the last full batch in a part of the budget, and those since then whole, if they fit.

    The older part depends on nothing that comes after its batch, so the replay only grows until the next is full.
    """
    border = (turns[-1].number - 1) // batch * batch
    older = [turn for turn in turns if border - REACH < turn.number <= border]
    since = [turn for turn in turns if turn.number > border]
    room = max_tokens - int(max_tokens * share)
    if not older or cost(render(since, [FULL] * len(since), mode).messages, count) > room:
        return None
    part = parts.of(older, mode, int(max_tokens * share), count)
    if part is None:
        return None
    known = part.known.copy()
    messages = [message for turn in since for message in turn_messages(turn, mode, known)]
    if part.tokens + cost(messages, count) > max_tokens:
        return None
    forms = part.plan.forms | {turn.number: FULL for turn in since}
    own = [message.model_copy(deep=True) for message in part.plan.messages]  # whoever is given them may change them
    return Plan([*own, *messages], forms, part.plan.left_out)


def _last_resort(newest: MemoryObject, mode: ReplayMode, max_tokens: int, count: CountTokens) -> Plan:
    """The newest turn's words as far as they fit, else only the count of turns."""
    for form in NEWEST:
        plan = render([newest], [form], mode)
        if cost(plan.messages, count) <= max_tokens:
            return plan
    only = [SystemMessage(left_out(newest.number, mode))]
    if cost(only, count) > max_tokens:
        raise InputError(
            f"max_tokens is {max_tokens}: not even the line that says how many turns are left out fits "
            f"({cost(only, count)} tokens). Give more, or None for no limit."
        )
    return Plan(list(only), {}, newest.number)
