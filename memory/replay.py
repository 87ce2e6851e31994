"""Memory objects become chat messages: pure functions, one for each way to remember.

Every list made here is one the v2 API takes: each call is followed by its result, no message is empty. The
replay of n turns is a prefix of the replay of n + 1, so that a provider's prompt cache holds; a token budget
gives that up where it must.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from typing import Literal, get_args

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from agentkit.errors import ConfigError, InputError
from agentkit.memory.objects import MemoryObject
from agentkit.text import shorten

ReplayMode = Literal["none", "answers", "dialogue", "objects", "calls"]
CountTokens = Callable[[str], int]

GIST_CHARS = 300
MESSAGE_TOKENS = 4
"""What a message costs beside its text: its role and separators."""


def estimate_tokens(text: str) -> int:
    """An offline estimate that errs on the high side: one token for three bytes of UTF-8, rounded up."""
    return math.ceil(len(text.encode("utf-8", "surrogatepass")) / 3)


def check_mode(mode: str) -> ReplayMode:
    """`mode`, if there is such a way to remember.

    Raises:
        ConfigError: There is none of that name.
    """
    if mode not in get_args(ReplayMode):
        raise ConfigError(f"replay is {shorten(repr(mode))}: give one of {', '.join(get_args(ReplayMode))}.")
    return mode  # type: ignore[return-value]


def turn_messages(remembered: MemoryObject, mode: ReplayMode, known=None) -> list[BaseMessage]:
    """The messages one turn is replayed as."""
    if mode == "none":
        return []
    answer = AIMessage(remembered.answer)
    if mode == "answers":
        return [answer]
    question = HumanMessage(remembered.question if remembered.question.strip() else "(empty question)")
    if mode == "dialogue" or not remembered.actions:
        return [question, answer]
    if known is not None:
        from agentkit.memory.note import note as nn
        known.turn(remembered.question, remembered.answer)
        return [question, SystemMessage(nn(remembered, known)), answer]
    if mode == "objects":
        return [question, SystemMessage(note(remembered)), answer]
    return [question, *_calls(remembered), answer]


def note(remembered: MemoryObject) -> str:
    """The record of a turn's chain, marked as one so that a model does not write calls in its image."""
    head = f"[Record of turn {remembered.number}: tools that were called, for reference. Not an instruction.]"
    return "\n".join([head, *map(str, remembered.actions)])


def _calls(remembered: MemoryObject) -> list[BaseMessage]:
    calls = [
        {"name": a.tool or "unknown", "args": a.input, "id": a.reference, "type": "tool_call"}
        for a in remembered.actions
    ]
    results: list[BaseMessage] = [
        ToolMessage(
            json.dumps(a.facts, ensure_ascii=False, default=repr) if a.ok else f"failed: {a.failure}",
            tool_call_id=a.reference,
            name=a.tool or "unknown",
            status="success" if a.ok else "error",
        )
        for a in remembered.actions
    ]
    return [AIMessage("", tool_calls=calls), *results]


def replay(
    newest_first: Iterable[MemoryObject], mode: ReplayMode, *, max_tokens: int | None, count: CountTokens
) -> list[BaseMessage]:
    """The messages a session is replayed as, oldest first.

    Args:
        newest_first: The session's objects. With a budget, no more are taken than fit.
        mode: The way to remember.
        max_tokens: Tokens all messages together may take, by `count`; None for no limit. The newest turns are
            kept whole; a newest turn that does not fit is cut to its question and the gist of its answer; older
            ones become one line that counts them.
        count: Tokens of a text.

    Raises:
        InputError: Not even the line that counts the turns fits.
    """
    if mode == "none":
        return []
    if max_tokens is None:
        from agentkit.memory.known import Known

        known = Known()
        turns = [turn_messages(remembered, mode, known) for remembered in reversed(list(newest_first))]
        return [message for turn in turns for message in turn]
    return _within(newest_first, mode, max_tokens, count)


def _within(
    newest_first: Iterable[MemoryObject], mode: ReplayMode, max_tokens: int, count: CountTokens
) -> list[BaseMessage]:
    kept: list[list[BaseMessage]] = []
    used = 0
    for remembered in newest_first:
        # While older turns remain, the line that counts them must still fit.
        reserve = _cost([_left_out(remembered.number - 1)], count) if remembered.number > 1 else 0
        forms = [turn_messages(remembered, mode)]
        if not kept:
            forms.append(_gist(remembered, mode))
        fitting = next((f for f in forms if used + _cost(f, count) + reserve <= max_tokens), None)
        if fitting is None:
            line = [_left_out(remembered.number)]
            if used + _cost(line, count) > max_tokens:
                raise InputError(
                    f"max_tokens is {max_tokens}: not even the line that says how many turns are left out fits "
                    f"({_cost(line, count)} tokens). Give more, or None for no limit."
                )
            kept.append([*line])
            break
        kept.append(fitting)
        used += _cost(fitting, count)
    return [message for turn in reversed(kept) for message in turn]


def _gist(remembered: MemoryObject, mode: ReplayMode) -> list[BaseMessage]:
    answer = AIMessage(shorten(remembered.answer, GIST_CHARS))
    question = HumanMessage(shorten(remembered.question, GIST_CHARS) or "(empty question)")
    return [answer] if mode == "answers" else [question, answer]


def _left_out(turns: int) -> BaseMessage:
    return SystemMessage(f"[{turns} earlier turn{'s' if turns > 1 else ''} left out.]")


def _cost(messages: Iterable[BaseMessage], count: CountTokens) -> int:
    return sum(count(_text(m)) + MESSAGE_TOKENS for m in messages)


def _text(message: BaseMessage) -> str:
    calls = message.tool_calls if isinstance(message, AIMessage) else []
    return "\n".join([str(message.content), *(f"{c['name']} {json.dumps(c['args'], default=repr)}" for c in calls)])
