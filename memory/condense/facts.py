"""What is worth keeping of a result that no tool has condensed itself: a tree, a table, or free text.

Everything here is read with little effort and without a model. Large results are cut to what a later turn is
likely to ask for; what was cut is counted, and the stored step still holds all of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from agentkit.memory.condense.values import MAX_CACHED_CHARS, Kind, is_telling, kind_of, words
from agentkit.memory.formats.detect import read
from agentkit.turn import Step

MAX_ITEMS = 40
MAX_TEXT_CHARS = 1000
MAX_DEPTH = 8

_WORD_END = re.compile(r"[\s,;()\[\]{}\"'`|*=<>]")


def default_facts(step: Step, mentioned: str = "") -> dict[str, Any]:
    """Facts of a step whose tool says nothing about it.

    Args:
        step: The step.
        mentioned: The turn's question and answer; of long lists, items that are named in them are kept first.
    """
    named = {word for word in words(mentioned) if is_telling(word)}
    text = step.observation.strip()
    if text == "null":
        return {"result": None}
    value = read(step.observation)
    if value is None:
        return {"result": gist(text, MAX_TEXT_CHARS)}
    kept = pruned(value, named)
    return kept if isinstance(kept, dict) else {"result": kept}


def pruned(value: Any, named: set[str], depth: int = 0) -> Any:
    """`value` with long texts and long lists cut, what was cut counted in their last item."""
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT_CHARS else gist(value, MAX_TEXT_CHARS)
    if not isinstance(value, (dict, list)) or not value:
        return value
    if depth >= MAX_DEPTH:
        return gist(json.dumps(value, ensure_ascii=False), MAX_TEXT_CHARS)
    if isinstance(value, dict):
        chosen = _chosen(list(value), named, lambda key: [key, value[key]])
        kept = {key: pruned(value[key], named, depth + 1) for key in chosen}
        return kept if len(kept) == len(value) else {**kept, "…": f"{len(value) - len(kept)} more"}
    chosen = _chosen(range(len(value)), named, lambda i: value[i])
    items = [pruned(value[i], named, depth + 1) for i in chosen]
    return items if len(items) == len(value) else [*items, f"… {len(value) - len(items)} more"]


def _chosen(keys: Any, named: set[str], item: Callable[[Any], Any]) -> Any:
    """Which of many items are kept, in their order: those the turn's words name, then the first, then the last."""
    if len(keys) <= MAX_ITEMS:
        return keys
    places = range(len(keys))
    mentioned = [i for i in places if named and not named.isdisjoint(words(str(item(keys[i]))))]
    order = dict.fromkeys([*mentioned[: MAX_ITEMS // 2], *places[-2:], *places])
    return [keys[i] for i in sorted(list(order)[:MAX_ITEMS])]


def gist(text: str, max_chars: int, extra: int = 0) -> str:
    """A text's beginning, and what is named behind it: identifiers, numbers and codes, each once.

    Args:
        text: The text.
        max_chars: Characters of both together.
        extra: Characters that may be added for what is named.
    """
    text = text.strip()
    if len(text) <= max_chars:
        return text
    return _gist(text, max_chars, extra) if len(text) <= MAX_CACHED_CHARS else _gist.__wrapped__(text, max_chars, extra)


@lru_cache(maxsize=4096)  # to find what fits a budget, the same texts are cut again and again
def _gist(text: str, max_chars: int, extra: int) -> str:
    least = max_chars * (3 if max_chars >= 200 else 2) // 5
    named = [w for w in dict.fromkeys(words(text[_word_end(text, least) :], lower=False)) if len(w) <= 80 and _names(w)]
    if named and extra:
        max_chars += min(extra, sum(len(w) + 2 for w in named) + 12)
    # What is named takes the place of prose: a part of it, of short texts most of it.
    head = _cut(text, max(least, max_chars - sum(len(w) + 2 for w in named) - 12))
    seen = set(words(head))
    rest, room = [], max_chars - len(head) - 12
    for word in named:
        if word.lower() not in seen and len(word) + 2 <= room:
            rest.append(word)
            room -= len(word) + 2
    short = f"{head} …" + (f" (also: {', '.join(rest)})" if rest else "")
    return short if len(short) < len(text) else text


def _word_end(text: str, at: int) -> int:
    """`at`, or the end of the word it stands in, so that no half of it is taken for a word."""
    end = _WORD_END.search(text, at, at + 80)
    return end.start() if end else at


def _cut(text: str, max_chars: int) -> str:
    """The beginning of a text up to the end of a word, rather of a line or sentence where one ends late enough."""
    head = text[:max_chars]
    for mark in ("\n", ". ", " "):
        at = head.rfind(mark)
        if at >= max_chars * 2 // 3:
            return head[: at + len(mark)].rstrip()
    return head


def _names(word: str) -> bool:
    """Whether a word names something: an identifier, a number or a short code, but no time of day."""
    return (is_telling(word) and kind_of(word) is not Kind.STAMP) or (3 <= len(word) <= 6 and word.isupper())
