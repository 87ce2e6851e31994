"""A replay that keeps within a budget: the least pressure at which it fits."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from agentkit.errors import InputError
from agentkit.memory.condense.tree import compact
from agentkit.memory.objects import MemoryObject
from agentkit.memory.replay.ledger import Ledger
from agentkit.memory.replay.pressure import LEAST, MOST, Room
from agentkit.memory.replay.turns import ReplayMode, rooms, turn_messages

CountTokens = Callable[[str], int]

MESSAGE_TOKENS = 1
"""What a message costs beside its text: what stands between it and the next."""
ROUNDS = 10
"""Pressures that are tried; the last two differ by less than a fortieth of a halving."""
SHORT = 8
"""Turns of a session that is planned as a whole."""
BATCHES = (16, 4)
SETTLED = 0.8
USED = 0.86
MAX_PLANS = 64
CHARS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """A replay and how it came about.

    Attributes:
        messages: The replay.
        forms: How much of each turn that is shown is written, by its number, oldest first.
        left_out: How many older turns are only counted.
    """

    messages: list[BaseMessage]
    forms: dict[int, Room]
    left_out: int


def cost(messages: Iterable[BaseMessage], count: CountTokens) -> int:
    """Return the tokens of messages: their texts and calls, and `MESSAGE_TOKENS` for each."""
    return sum(count(message_text(m)) + MESSAGE_TOKENS for m in messages)


def message_text(message: BaseMessage) -> str:
    """Return all that a message says, its calls included."""
    calls = message.tool_calls if isinstance(message, AIMessage) else []
    said = [f"{c['name']} {json.dumps(c['args'], ensure_ascii=False, default=repr)}" for c in calls]
    return "\n".join([str(message.content), *said])


@dataclass(slots=True)
class Part:
    """The beginning of a replay, to which later turns are added."""

    messages: list[BaseMessage] = field(default_factory=list)
    forms: dict[int, Room] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    tokens: int = 0

    def add(
        self, turns: Sequence[MemoryObject], ages: Sequence[int], mode: ReplayMode, pressure: float, newest_chars: int
    ) -> Part:
        """Add turns, each at its age; those that are only counted are omitted. Return the part itself."""
        for n, (turn, age) in enumerate(zip(turns, ages, strict=True)):
            room = rooms(turn, age, pressure, newest_chars)
            if room is not None:
                self.forms[turn.number] = room[0]
                following = turns[n + 1] if n + 1 < len(turns) else None
                self.messages += turn_messages(turn, mode, self.ledger, room, following)
        return self

    def plan(self, newest: int) -> Plan:
        """Return the replay, the turns that are not in it counted in its first message."""
        left_out = min(self.forms) - 1 if self.forms else newest
        first = self.messages[:1]
        if left_out and first:
            first = [first[0].model_copy(update={"content": f"{left_out_line(left_out)}\n\n{first[0].content}"})]
        return Plan([*first, *self.messages[1:]], self.forms, left_out)


def render(turns: Sequence[MemoryObject], mode: ReplayMode, pressure: float, newest_chars: int) -> Plan:
    """Return the replay of the newest turns of a session at a pressure.

    Args:
        turns: The turns, oldest first, without a gap.
        mode: The way to remember.
        pressure: See `room_of`.
        newest_chars: Characters of a result of the newest turn.
    """
    ages = range(len(turns) - 1, -1, -1)
    return Part().add(turns, ages, mode, pressure, newest_chars).plan(turns[-1].number if turns else 0)


def left_out_line(turns: int) -> str:
    """Return the line that stands for turns of which nothing is replayed."""
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
        newest_first: The session's objects; of a long session only the newest are taken.
        mode: The way to remember.
        max_tokens: The budget.
        count: Tokens of a text.
        newest_chars: Characters of a result of the newest turn.
        plans: What earlier calls found out; it changes how long this takes, and nothing else.

    Raises:
        InputError: Not even the line that counts the turns fits.
    """
    turns = _in_reach(newest_first, max_tokens)
    if not turns:
        return Plan([], {}, 0)
    if turns[0].number == 1 and len(turns) <= SHORT:
        plan = render(turns, mode, LEAST, newest_chars)
        if cost(plan.messages, count) <= max_tokens:
            return plan
    way = _Way(mode, max_tokens, count, newest_chars)
    if turns[-1].number > SHORT:
        for batch in BATCHES:
            grown = _grown(turns, way, batch, plans or Plans())
            if grown is not None:
                return grown
    found = way.fitted(turns, range(len(turns) - 1, -1, -1), max_tokens)
    return _last_resort(turns[-1], mode, max_tokens, count) if found is None else found[1].plan(turns[-1].number)


@dataclass(frozen=True, slots=True)
class _Way:
    """What does not change while a pressure is looked for."""

    mode: ReplayMode
    max_tokens: int
    count: CountTokens
    newest_chars: int

    def part(self, turns: Sequence[MemoryObject], ages: Sequence[int], pressure: float) -> Part:
        part = Part().add(turns, ages, self.mode, pressure, self.newest_chars)
        part.tokens = cost(part.plan(turns[-1].number).messages, self.count)
        return part

    def fitted(self, turns: Sequence[MemoryObject], ages: Sequence[int], room: int) -> tuple[float, Part] | None:
        """Return the least pressure at which turns fit, and what they are then; None if they never do."""
        part = self.part(turns, ages, LEAST)
        if part.tokens <= room:
            return LEAST, part
        found: tuple[float, Part] | None = None
        low, high = LEAST, MOST
        for _ in range(ROUNDS):
            pressure = (low + high) / 2
            part = self.part(turns, ages, pressure)
            if part.tokens <= room and part.messages:
                found, high = (pressure, part), pressure
            elif part.messages:
                low = pressure
            else:
                high = pressure
        return found


class Plans:
    """The older parts of long sessions as they were last planned, for one memory.

    What is kept is used only for turns equal to those it was made of, so another process may write, or delete.
    """

    def __init__(self) -> None:
        """Nothing is planned yet."""
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, int, int], tuple[list[MemoryObject], tuple[float, Part] | None]] = {}

    def of(
        self, turns: list[MemoryObject], batch: int, max_tokens: int, make: Callable[[], tuple[float, Part] | None]
    ) -> tuple[float, Part] | None:
        """Return what `make` makes of these turns, or made of them before."""
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


def _grown(turns: list[MemoryObject], way: _Way, batch: int, plans: Plans) -> Plan | None:
    """Return the turns up to the last full batch as they were planned then, and those since behind them.

    The older part depends on nothing that comes later, so the replay only grows until the next batch is full.
    None if it does not fit, or uses too little.
    """
    border = (turns[-1].number - 1) // batch * batch
    older, since = [t for t in turns if t.number <= border], [t for t in turns if t.number > border]
    if not older:
        return None
    ages = range(len(older), 0, -1)
    found = plans.of(older, batch, way.max_tokens, lambda: way.fitted(older, ages, int(SETTLED * way.max_tokens)))
    if found is None:
        return None
    pressure, settled = found
    part = Part([], dict(settled.forms), settled.ledger.copy())
    part.add(since, [1] * (len(since) - 1) + [0], way.mode, pressure, way.newest_chars)
    used = settled.tokens + cost(part.messages, way.count)
    if not USED * way.max_tokens <= used <= way.max_tokens:
        return None
    own = [message.model_copy(deep=True) for message in settled.plan(border).messages]
    return Plan([*own, *part.messages], part.forms, min(part.forms) - 1)


def _in_reach(newest_first: Iterable[MemoryObject], max_tokens: int) -> list[MemoryObject]:
    """Return the newest turns, oldest first, as many as could be shown at all."""
    turns: list[MemoryObject] = []
    room = CHARS_PER_TOKEN * max_tokens
    for turn in newest_first:
        turns.append(turn)
        room -= min(len(turn.question), 60) + min(len(turn.output), 60)
        room -= sum(len(a.tool) + min(len(compact(a.input)), 60) for a in turn.actions)
        if room < 0 and len(turns) >= SHORT:
            break
    return turns[::-1]


def _last_resort(newest: MemoryObject, mode: ReplayMode, max_tokens: int, count: CountTokens) -> Plan:
    """Return the count of turns alone."""
    only = [HumanMessage(left_out_line(newest.number))]
    if cost(only, count) > max_tokens:
        raise InputError(
            f"max_tokens is {max_tokens}: not even the line that says how many turns are left out fits "
            f"({cost(only, count)} tokens). Give more, or None for no limit."
        )
    return Plan(list(only), {}, newest.number)
