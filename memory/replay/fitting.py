"""A replay that keeps within a budget: the least pressure at which it fits."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from agentkit.errors import InputError
from agentkit.memory.objects import MemoryObject
from agentkit.memory.replay.ledger import Ledger
from agentkit.memory.replay.pressure import Room, room_of
from agentkit.memory.replay.turns import ReplayMode, turn_messages

CountTokens = Callable[[str], int]

MESSAGE_TOKENS = 1
"""What a message costs beside its text: what stands between it and the next."""
MAX_TURNS = 64
"""Turns that a replay within a budget shows at most."""
MAX_PRESSURE = 64.0
ROUNDS = 9


@dataclass(frozen=True, slots=True)
class Plan:
    """A replay and how it came about.

    Attributes:
        messages: The replay.
        rooms: How much of each turn that is shown is written, by its number, oldest first.
        left_out: How many older turns are only counted.
    """

    messages: list[BaseMessage]
    rooms: dict[int, Room]
    left_out: int


def cost(messages: Iterable[BaseMessage], count: CountTokens) -> int:
    """Return the tokens of messages: their texts and calls, and `MESSAGE_TOKENS` for each."""
    return sum(count(message_text(m)) + MESSAGE_TOKENS for m in messages)


def message_text(message: BaseMessage) -> str:
    """Return all that a message says, its calls included."""
    calls = message.tool_calls if isinstance(message, AIMessage) else []
    said = [f"{c['name']} {json.dumps(c['args'], ensure_ascii=False, default=repr)}" for c in calls]
    return "\n".join([str(message.content), *said])


def render(turns: Sequence[MemoryObject], mode: ReplayMode, pressure: float, newest_chars: int) -> Plan:
    """Return the replay of the newest turns of a session at a pressure.

    Args:
        turns: The turns, oldest first, without a gap.
        mode: The way to remember.
        pressure: See `room_of`.
        newest_chars: Characters of a result of the newest turn.
    """
    ledger, messages, rooms = Ledger(), [], {}
    for n, turn in enumerate(turns):
        room = room_of(len(turns) - 1 - n, pressure, newest_chars)
        if room is not None:
            rooms[turn.number] = room
            following = turns[n + 1] if n + 1 < len(turns) else None
            messages += turn_messages(turn, mode, ledger, room, following)
    left_out = min(rooms) - 1 if rooms else (turns[-1].number if turns else 0)
    if left_out and messages:
        messages[0] = messages[0].model_copy(update={"content": f"{left_out_line(left_out, mode)}\n\n{messages[0].content}"})
    return Plan(messages, rooms, left_out)


def left_out_line(turns: int, mode: ReplayMode) -> str:
    """Return the line that stands for turns of which nothing is replayed."""
    how = ": use recall" if mode in ("objects", "calls") else ""
    return f"[… {turns} earlier turn{'s' if turns > 1 else ''} left out{how}.]"


def within(
    newest_first: Iterable[MemoryObject], mode: ReplayMode, max_tokens: int, count: CountTokens, newest_chars: int
) -> Plan:
    """Return the replay at the least pressure that fits a budget.

    Args:
        newest_first: The session's objects; of a long session only the newest are taken.
        mode: The way to remember.
        max_tokens: The budget.
        count: Tokens of a text.
        newest_chars: Characters of a result of the newest turn.

    Raises:
        InputError: Not even the line that counts the turns fits.
    """
    turns = list(islice(newest_first, MAX_TURNS))[::-1]
    if not turns:
        return Plan([], {}, 0)
    plan = render(turns, mode, 0, newest_chars)
    if cost(plan.messages, count) <= max_tokens:
        return plan
    fits: Plan | None = None
    low, high = 0.0, MAX_PRESSURE
    for _ in range(ROUNDS):
        pressure = (low + high) / 2 if low else high / 8
        plan = render(turns, mode, pressure, newest_chars)
        if cost(plan.messages, count) <= max_tokens:
            fits, high = plan, pressure
        else:
            low = pressure
    return fits or _last_resort(turns[-1], mode, max_tokens, count)


def _last_resort(newest: MemoryObject, mode: ReplayMode, max_tokens: int, count: CountTokens) -> Plan:
    """Return the count of turns alone."""
    only = [HumanMessage(left_out_line(newest.number, mode))]
    if cost(only, count) > max_tokens:
        raise InputError(
            f"max_tokens is {max_tokens}: not even the line that says how many turns are left out fits "
            f"({cost(only, count)} tokens). Give more, or None for no limit."
        )
    return Plan(list(only), {}, newest.number)
