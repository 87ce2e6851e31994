"""Memory objects become chat messages: pure functions, one for each way to remember.

Every list made here is one the v2 API takes: each call is followed by its result, no message is empty. The
replay of n turns is a prefix of the replay of n + 1, so that a provider's prompt cache holds; a token budget
gives that up where it must.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import get_args

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

from agentkit.base.text import shorten
from agentkit.errors import ConfigError
from agentkit.memory.objects import MemoryObject
from agentkit.memory.replay.budget import OlderParts, within
from agentkit.memory.replay.forms import ReplayMode
from agentkit.memory.replay.plan import MESSAGE_TOKENS, CountTokens, whole

__all__ = ["MESSAGE_TOKENS", "CountTokens", "ReplayMode", "check_mode", "estimate_tokens", "fold_notes", "replay"]

FOLDED = "[Record of earlier work, not part of the message]"
FOLDED_END = "[End of record]"


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


def replay(
    newest_first: Iterable[MemoryObject],
    mode: ReplayMode,
    *,
    max_tokens: int | None,
    count: CountTokens,
    parts: OlderParts | None = None,
) -> list[BaseMessage]:
    """The messages a session is replayed as, oldest first.

    Args:
        newest_first: The session's objects. With a budget, no more are taken than may be shown.
        mode: The way to remember.
        max_tokens: Tokens all messages together may take, by `count`; None for no limit. Under a limit the newest
            turns are kept whole, older ones are shown in brief, then on one line each; the oldest are only
            counted. The newest turn keeps its question and the gist of its answer as long as they fit.
        count: Tokens of a text.
        parts: What earlier calls with this mode and counter have planned, to be quicker.

    Raises:
        InputError: Not even the line that counts the turns fits.
    """
    if mode == "none":
        return []
    if max_tokens is None:
        return whole(newest_first, mode).messages
    return within(newest_first, mode, max_tokens, count, parts).messages


def fold_notes(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """A replay for models that take a system message only at the start of the list.

    Each system message behind another kind of message becomes part of the human message before it (else of the
    one after it), between two lines that mark it as a record.

    Args:
        messages: A replay, or a whole history; its leading system messages stay as they are.
    """
    start = next((i for i, m in enumerate(messages) if not isinstance(m, SystemMessage)), len(messages))
    folded: list[BaseMessage] = list(messages[:start])
    waiting: list[str] = []
    for message in messages[start:]:
        if isinstance(message, SystemMessage):
            record = f"{FOLDED}\n{message.text}\n{FOLDED_END}"
            if folded and isinstance(folded[-1], HumanMessage):
                folded[-1] = _with_text(folded[-1], after=record)
            else:
                waiting.append(record)
        elif waiting and isinstance(message, HumanMessage):
            folded.append(_with_text(message, before="\n\n".join(waiting)))
            waiting = []
        else:
            folded.append(message)
    return [*folded, *map(HumanMessage, waiting)]


def _with_text(message: BaseMessage, *, before: str = "", after: str = "") -> BaseMessage:
    """A message with text before or behind its own, which may be a list of parts."""
    content = message.content
    if isinstance(content, str):
        joined: object = "\n\n".join(text for text in (before, content, after) if text)
    else:
        joined = [*([before] if before else []), *content, *([after] if after else [])]
    return message.model_copy(update={"content": joined})
