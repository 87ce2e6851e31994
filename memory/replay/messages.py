"""Turns memory objects into chat messages: pure functions, one for each mode of replay.

Every provider accepts these lists: no system message, no empty message, each call followed by its result. Without a
budget, the replay of n turns without the newest turn is a prefix of the replay of n + 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import get_args

from langchain_core.messages import BaseMessage

from agentkit.base.text import shorten
from agentkit.errors import ConfigError
from agentkit.memory.objects import MemoryObject
from agentkit.memory.replay.fitting import MESSAGE_TOKENS, CountTokens, Plans, render, within
from agentkit.memory.replay.pressure import NEWEST_CHARS
from agentkit.memory.replay.turns import ReplayMode

__all__ = ["MESSAGE_TOKENS", "NEWEST_CHARS", "CountTokens", "ReplayMode", "check_mode", "estimate_tokens", "replay"]


def estimate_tokens(text: str) -> int:
    """Return an offline estimate on the high side: one token for three bytes of UTF-8, rounded up."""
    return math.ceil(len(text.encode("utf-8", "surrogatepass")) / 3)


def check_mode(mode: str) -> ReplayMode:
    """Return `mode` if it is a mode of replay.

    Raises:
        ConfigError: There is no such mode.
    """
    if mode not in get_args(ReplayMode):
        raise ConfigError(f"replay is {shorten(repr(mode))}: give one of {', '.join(get_args(ReplayMode))}.")
    return mode  # type: ignore[return-value]


def replay(
    newest_first: Iterable[MemoryObject],
    mode: ReplayMode,
    *,
    max_tokens: int | None,
    count: CountTokens,
    newest_chars: int = NEWEST_CHARS,
    plans: Plans | None = None,
) -> list[BaseMessage]:
    """Return the messages that replay a session, oldest first.

    Args:
        newest_first: The session's objects. With a budget, no more are read than may be shown.
        mode: The mode of replay.
        max_tokens: Tokens of all messages together, by `count`; None for no limit.
        count: Returns the tokens of a text.
        newest_chars: Characters of each result of the newest turn.
        plans: Cached plans of earlier calls with this mode and counter.

    Raises:
        InputError: The budget is too small even for the line that counts the turns.
    """
    if mode == "none":
        return []
    if max_tokens is None:
        return render(list(newest_first)[::-1], mode, newest_chars).messages
    return within(newest_first, mode, max_tokens, count, newest_chars, plans).messages
