"""Memory objects become chat messages: pure functions, one for each way to remember.

Every list made here is one that every provider takes: no system message, no empty message, each call followed by its
result. Without a budget, the replay of n turns without the newest turn is a prefix of the replay of n + 1.
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
    """Return an offline estimate that errs on the high side: one token for three bytes of UTF-8, rounded up."""
    return math.ceil(len(text.encode("utf-8", "surrogatepass")) / 3)


def check_mode(mode: str) -> ReplayMode:
    """Return `mode`, if there is such a way to remember.

    Raises:
        ConfigError: There is none of that name.
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
    """Return the messages a session is replayed as, oldest first.

    Args:
        newest_first: The session's objects. With a budget, no more are taken than may be shown.
        mode: The way to remember.
        max_tokens: Tokens all messages together may take, by `count`; None for no limit.
        count: Tokens of a text.
        newest_chars: Characters of a result of the newest turn.
        plans: What earlier calls with this mode and counter found out, to be quicker.

    Raises:
        InputError: Not even the line that counts the turns fits.
    """
    if mode == "none":
        return []
    if max_tokens is None:
        return render(list(newest_first)[::-1], mode, newest_chars).messages
    return within(newest_first, mode, max_tokens, count, newest_chars, plans).messages
