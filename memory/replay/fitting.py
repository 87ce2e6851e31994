"""Fits a replay into a budget: finds the least pressure at which it fits."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from agentkit.errors import InputError
from agentkit.memory.condense.tree import compact
from agentkit.memory.objects import MemoryObject
from agentkit.memory.replay.ledger import Ledger
from agentkit.memory.replay.pressure import LEAST, MOST, Room
from agentkit.memory.replay.turns import ReplayMode, rooms, turn_messages

CountTokens = Callable[[str], int]

MESSAGE_TOKENS = 1
"""Tokens of a message in addition to its text: the separator to the next message."""
ROUNDS = 10
"""Number of pressures attempted; the last two differ by less than a fortieth of a halving."""
SHORT = 16
"""Sessions up to this many turns are planned as a whole; of a longer one at least so many turns are considered."""
BATCHES = (16, 8, 6, 5, 4, 3, 2)
"""Batch sizes: turns of a longer session that lose detail together; the first that fits the remaining room is used."""
SETTLED = 0.65
"""Share of the budget for batches that have lost detail; the rest is for later turns. At 0.8, half of a replay is on
average the beginning of the next (4,000 tokens, turns of 300); at 0.65 it is three quarters, and 84 % of the budget is
used instead of 95 %. Sessions up to `SHORT` turns use all of it."""
MAX_PLANS = 256
"""Number of plans that a memory caches."""
CHARS_PER_TOKEN = 4
"""Used only to bound how many turns are read."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A replay, and the room each turn got in it.

    Attributes:
        messages: The replay.
        forms: The room of each turn shown, by its number, oldest first.
        left_out: Number of older turns that are only counted.
    """

    messages: list[BaseMessage]
    forms: dict[int, Room]
    left_out: int


def cost(messages: Iterable[BaseMessage], count: CountTokens) -> int:
    """Return the tokens of messages: their texts and calls, and `MESSAGE_TOKENS` for each message."""
    return sum(count(message_text(m)) + MESSAGE_TOKENS for m in messages)


def message_text(message: BaseMessage) -> str:
    """Return the text of a message, its calls included."""
    calls = message.tool_calls if isinstance(message, AIMessage) else []
    said = [f"{c['name']} {json.dumps(c['args'], ensure_ascii=False, default=repr)}" for c in calls]
    return "\n".join([str(message.content), *said])


@dataclass(slots=True)
class Part:
    """The beginning of a replay, to which later turns are added.

    Attributes:
        messages: The messages so far.
        forms: The room of each turn shown, by its number.
        ledger: What the messages state.
        tokens: The tokens of the messages, if a counter was given.
    """

    messages: list[BaseMessage] = field(default_factory=list)
    forms: dict[int, Room] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    tokens: int = 0

    def add(self, turns: Sequence[MemoryObject], ages: Sequence[int], way: Way, pressure: float) -> Part:
        """Add turns, each at its age, except those that are only counted; return this part.

        It stops as soon as the budget is exceeded.
        """
        for n, (turn, age) in enumerate(zip(turns, ages, strict=True)):
            room = rooms(turn, age, pressure, way.newest_chars)
            if room is None:
                continue
            if not self.forms and turn.number > 1:
                self.tokens += 0 if way.max_tokens is None else way.count(left_out_line(turn.number - 1)) + 1
            self.forms[turn.number] = room[0]
            following = turns[n + 1] if n + 1 < len(turns) else None
            messages = turn_messages(turn, way.mode, self.ledger, room, following)
            self.messages += messages
            if way.max_tokens is not None:
                self.tokens += cost(messages, way.count)
                if self.tokens > way.max_tokens:
                    break
        return self

    def plan(self, newest: int) -> Plan:
        """Return the replay; its first message counts the omitted turns."""
        left_out = min(self.forms) - 1 if self.forms else newest
        first = self.messages[:1]
        if left_out and first:
            first = [first[0].model_copy(update={"content": f"{left_out_line(left_out)}\n\n{first[0].content}"})]
        return Plan([*first, *self.messages[1:]], self.forms, left_out)


@dataclass(frozen=True, slots=True)
class Way:
    """The settings that are constant during the search for a pressure.

    Attributes:
        mode: The mode of replay.
        newest_chars: Characters of each result of the newest turn.
        max_tokens: The budget; None for no limit.
        count: Returns the tokens of a text.
    """

    mode: ReplayMode
    newest_chars: int
    max_tokens: int | None = None
    count: CountTokens = len

    def part(self, turns: Sequence[MemoryObject], ages: Sequence[int], pressure: float) -> Part | None:
        """Return the part for turns at a pressure; None if it exceeds the budget."""
        part = Part().add(turns, ages, self, pressure)
        if self.max_tokens is None or part.tokens > self.max_tokens:
            return None
        part.tokens = cost(part.plan(turns[-1].number).messages, self.count)
        return part if part.tokens <= self.max_tokens else None

    def fitted(self, turns: Sequence[MemoryObject], ages: Sequence[int]) -> tuple[float, Part] | None:
        """Return the least pressure at which turns fit the budget, and their part; None if they never fit."""
        low, high, found = LEAST, MOST, None
        for step in range(ROUNDS + 1):
            pressure = (low + high) / 2 if step else LEAST
            part = self.part(turns, ages, pressure)
            if part is None:
                low = pressure
            else:
                found, high = (pressure, part), pressure
            if high == LEAST:
                break
        return found if found is None or found[1].messages else None


def render(turns: Sequence[MemoryObject], mode: ReplayMode, newest_chars: int) -> Plan:
    """Return the replay of a whole session without a budget.

    Args:
        turns: The turns, oldest first.
        mode: The mode of replay.
        newest_chars: Characters of a result of the newest turn.
    """
    return Part().add(turns, _ages(turns), Way(mode, newest_chars), LEAST).plan(0)


def _ages(turns: Sequence[MemoryObject], newest: int = 0) -> Sequence[int]:
    """Return the age of each turn, oldest first; the last is `newest`."""
    return range(len(turns) - 1 + newest, newest - 1, -1)


def left_out_line(turns: int) -> str:
    """Return the line that counts the omitted turns."""
    return f"[{turns} earlier turn{'s' if turns > 1 else ''} left out …]"


def within(
    newest_first: Iterable[MemoryObject],
    mode: ReplayMode,
    max_tokens: int,
    count: CountTokens,
    newest_chars: int,
    plans: Plans | None = None,
) -> Plan:
    """Return the replay at the least pressure that fits a budget.

    Args:
        newest_first: The session's objects; of a long session only the newest are read.
        mode: The mode of replay.
        max_tokens: The budget.
        count: Tokens of a text.
        newest_chars: Characters of a result of the newest turn.
        plans: Cached plans of earlier calls; they only make this faster.

    Raises:
        InputError: The budget is too small even for the line that counts the turns.
    """
    turns = _in_reach(newest_first, max_tokens)
    if not turns:
        return Plan([], {}, 0)
    way, last = Way(mode, newest_chars, max_tokens, count), turns[-1].number
    whole = way.part(turns, _ages(turns), LEAST) if turns[0].number == 1 else None
    if whole is not None:
        return whole.plan(last)
    if last > SHORT:
        for batch in BATCHES:
            grown = _grown(turns, way, batch, plans or Plans())
            if grown is not None:
                return grown
    shown = _reach_of(turns, last, max_tokens)
    found = way.fitted(shown, _ages(shown))
    return _last_resort(turns[-1], max_tokens, count) if found is None else found[1].plan(last)


class Plans:
    """Cache of the older parts of long sessions, as last planned by one memory.

    A cached part is used only for equal turns, so another process may store or delete turns.
    """

    def __init__(self) -> None:
        """Start with an empty cache."""
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, int, int], tuple[list[MemoryObject], tuple[float, Part] | None]] = {}

    def of(
        self, turns: list[MemoryObject], batch: int, max_tokens: int, make: Callable[[], tuple[float, Part] | None]
    ) -> tuple[float, Part] | None:
        """Return the cached part of these turns, or the result of `make`."""
        key = turns[-1].session, max_tokens, batch
        with self._lock:
            kept = self._kept.pop(key, None)
        if kept is None or kept[0] != turns:
            kept = turns, make()
        with self._lock:
            self._kept[key] = kept
            while len(self._kept) > MAX_PLANS:
                del self._kept[next(iter(self._kept))]
        return kept[1]


def _grown(turns: list[MemoryObject], way: Way, batch: int, plans: Plans) -> Plan | None:
    """Return the turns up to the last full batch as planned then, followed by the later ones.

    The older part does not depend on later turns, so the replay only grows until the next batch is full. None if it
    does not fit.
    """
    border = _border(turns[-1].number, batch)
    assert way.max_tokens is not None
    older, since = _reach_of(turns, border, way.max_tokens), [t for t in turns if t.number > border]
    if not older:
        return None
    settled = replace(way, max_tokens=int(SETTLED * way.max_tokens))
    found = plans.of(older, batch, way.max_tokens, lambda: settled.fitted(older, _ages(older, 1)))
    if found is None:
        return None
    pressure, part = found
    grown = Part([], dict(part.forms), part.ledger.copy(), part.tokens)
    grown.add(since, [1] * (len(since) - 1) + [0], way, pressure)
    if grown.tokens > way.max_tokens:
        return None
    own = [message.model_copy(deep=True) for message in part.plan(border).messages]
    return Plan([*own, *grown.messages], grown.forms, min(grown.forms) - 1)


def _border(last: int, batch: int) -> int:
    return (last - 1) // batch * batch


def _in_reach(newest_first: Iterable[MemoryObject], max_tokens: int) -> list[MemoryObject]:
    """Return the newest turns, oldest first: as many as any plan considers."""
    turns: list[MemoryObject] = []
    border, room = 0, CHARS_PER_TOKEN * max_tokens
    for turn in newest_first:
        border = border if turns else _border(turn.number, BATCHES[0])
        turns.append(turn)
        room -= _least_chars(turn) if turn.number <= border or border < SHORT else 0
        if room < 0 and turn.number <= border - SHORT:
            break
    return turns[::-1]


def _reach_of(turns: Sequence[MemoryObject], border: int, max_tokens: int) -> list[MemoryObject]:
    """Return the turns up to a border that could be shown, determined only by the turns before the border."""
    shown: list[MemoryObject] = []
    room = CHARS_PER_TOKEN * max_tokens
    for turn in reversed(turns):
        if turn.number <= border and (room >= 0 or len(shown) < SHORT):
            shown.append(turn)
            room -= _least_chars(turn)
    return shown[::-1]


def _least_chars(turn: MemoryObject) -> int:
    """Return an estimate of the least characters a turn takes while it is shown."""
    words = min(len(turn.question), 60) + min(len(turn.output), 60)
    return words + sum(len(a.tool) + min(len(compact(a.input)), 60) for a in turn.actions)


def _last_resort(newest: MemoryObject, max_tokens: int, count: CountTokens) -> Plan:
    """Return a plan with only the line that counts the turns."""
    only = [HumanMessage(left_out_line(newest.number))]
    if cost(only, count) > max_tokens:
        raise InputError(
            f"max_tokens is {max_tokens}: not even the line that says how many turns are left out fits "
            f"({cost(only, count)} tokens). Give more, or None for no limit."
        )
    return Plan(list(only), {}, newest.number)
