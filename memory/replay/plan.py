"""A replay, its forms and what it costs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from langchain_core.messages import AIMessage, BaseMessage, SystemMessage

from agentkit.memory.objects import MemoryObject
from agentkit.memory.replay.already_said import Known
from agentkit.memory.replay.forms import FULL, Form, ReplayMode, left_out, line, turn_messages

CountTokens = Callable[[str], int]

MESSAGE_TOKENS = 1
"""What a message costs beside its text: what stands between it and the next."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A replay and how it came about.

    Attributes:
        messages: The replay.
        forms: The form of each turn that is shown, by its number, oldest first.
        left_out: How many older turns are only counted.
    """

    messages: list[BaseMessage]
    forms: dict[int, Form]
    left_out: int


def cost(messages: Iterable[BaseMessage], count: CountTokens) -> int:
    """Tokens of messages: their texts and calls, and `MESSAGE_TOKENS` for each."""
    return sum(count(message_text(m)) + MESSAGE_TOKENS for m in messages)


def message_text(message: BaseMessage) -> str:
    """All that a message says, its calls included."""
    calls = message.tool_calls if isinstance(message, AIMessage) else []
    said = [f"{c['name']} {json.dumps(c['args'], ensure_ascii=False, default=repr)}" for c in calls]
    return "\n".join([str(message.content), *said])


def whole(newest_first: Iterable[MemoryObject], mode: ReplayMode) -> Plan:
    """The replay of all turns in full."""
    turns = list(newest_first)[::-1]
    return render(turns, [FULL] * len(turns), mode)


def render(
    turns: Sequence[MemoryObject], forms: Sequence[Form | None], mode: ReplayMode, known: Known | None = None
) -> Plan:
    """The messages of turns in their forms: a line for what is left out, the one-liners, and the rest."""
    known = known or Known()
    shown = [(turn, form) for turn, form in zip(turns, forms, strict=True) if form is not None]
    gone = shown[0][0].number - 1 if shown else 0
    lines = [left_out(gone, mode)] if gone else []
    lines += [line(turn, mode, known, form) for turn, form in shown if form.digest]
    messages: list[BaseMessage] = [SystemMessage("\n".join(lines))] if lines else []
    for turn, form in shown:
        if not form.digest:
            messages += turn_messages(turn, mode, known, form)
    return Plan(messages, {turn.number: form for turn, form in shown}, gone)
