"""The values that a turn's calls needed from earlier turns, and whether a replay holds them. No model is called.

An argument value that occurs in the turn's question, in an earlier result of the same turn or in the system prompt
needs no memory; one that occurs nowhere before came from elsewhere. Every other value is *needed*: it had to come from
earlier turns. A replay *recalls* a needed value if it contains it. The value is *bound* if it also follows its key
closely, or occurs in a question or an answer: without its key a value tells a reader little.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from agentkit.memory.store.search_text import whole
from agentkit.turn import Step, Turn

BOUND_CHARS = 400
"""A value belongs to a key at most this many characters before it. Chosen by hand: about the size of a flat record."""

LONGEST_VALUE = 60  # longer arguments are prose or code, of which only the identifiers count; chosen by hand
MOST_WORDS = 5  # as LONGEST_VALUE
TRIVIAL = frozenset({"0", "1", "-1"})

_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}\b)")
_TOKEN = re.compile(r"[#@]?[A-Za-z0-9][A-Za-z0-9_\-./:@+]*")
_EXTENSION = re.compile(r"\.[a-z]{2,5}$")


def normal(text: str) -> str:
    """Return a text as it is compared: lower case, numbers without thousands separators."""
    return _THOUSANDS.sub("", text.lower())


def places(value: str, text: str) -> Iterator[int]:
    """Yield the positions of a normalised value in a normalised text, not as part of a longer word or number."""
    if value and value in text:
        yield from (found.start() for found in _pattern(value).finditer(text))


def holds(text: str, value: str) -> bool:
    """True if a normalised text holds a value."""
    value = normal(value).strip()
    return not value or next(places(value, text), None) is not None


@lru_cache(maxsize=50_000)
def _pattern(value: str) -> re.Pattern[str]:
    before = r"(?<![^\W_])" if value[0].isalnum() else ""
    after = r"(?![^\W_])" if value[-1].isalnum() else ""
    if value[0].isdigit():
        before += r"(?<!\d\.)"
    if value[-1].isdigit():
        after += r"(?!\.\d)"
    return re.compile(f"{before}{re.escape(value)}{after}")


def identifiers(text: str) -> list[str]:
    """Return the tokens that look like an id, a number, an address or a file name."""
    found = (token.strip(".:-/") for token in _TOKEN.findall(text))
    return [t for t in found if len(t) > 1 and (any(c.isdigit() or c in "_@" for c in t) or _EXTENSION.search(t))]


def needed(turn: Turn, before: Sequence[Turn], history: str, system: str = "") -> list[str]:
    """Return the values that a turn's calls needed from earlier turns.

    Args:
        turn: The turn.
        before: The earlier ones.
        history: Their whole text, normalised.
        system: The system prompt, normalised.
    """
    if not before:
        return []
    here = normal(turn.input)
    values: dict[str, None] = {}
    for step in turn.steps:
        for value in _wanted(step.tool_input):
            if not holds(system, value) and not holds(here, value) and holds(history, value):
                values[value] = None
        here += "\n" + normal(whole(step))
    return list(values)


def _wanted(arguments: Any) -> list[str]:
    """Return the argument values to look for: short ones whole, the identifiers of long texts."""
    found: list[str] = []
    for _, value in _keyed(arguments):
        words = value.split()
        if len(words) > MOST_WORDS or len(value) > LONGEST_VALUE:
            found += identifiers(value)
        elif value not in TRIVIAL and (len(value) > 1 or value.isdigit()):
            found.append(value)
    return list(dict.fromkeys(found))


def _keyed(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield the plain values of a tree, each with the nearest key above it."""
    if isinstance(value, dict):
        for inner_key, inner in value.items():
            yield from _keyed(inner, str(inner_key))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _keyed(inner, key)
    elif isinstance(value, float) and value.is_integer():
        yield key, str(int(value))
    elif value is not None and not isinstance(value, bool):
        yield key, str(value).strip()


class Keys:
    """The keys under which each value occurred, collected turn by turn."""

    def __init__(self) -> None:
        """Start with no values."""
        self._seen: dict[tuple[str, str], None] = {}

    def add(self, turn: Turn) -> None:
        """Add the arguments and the JSON results of a turn."""
        for step in turn.steps:
            self._take(step.tool_input)
            self._take(_parsed(step))

    def of(self, value: str) -> set[str]:
        """Return the keys under which a value occurred."""
        wanted = normal(value).strip()
        return {key for key, seen in self._seen if key and (seen == wanted or holds(seen, wanted))}

    def _take(self, tree: Any) -> None:
        for key, value in _keyed(tree):
            self._seen[normal(key), normal(value)] = None
        for key, identifier in _identifying_keys(tree):
            self._seen[normal(key), normal(identifier)] = None


def _identifying_keys(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield keys that are values themselves, as in ``{"ORD-1": {...}}``, with the key above them."""
    if isinstance(value, dict):
        for inner_key, inner in value.items():
            if isinstance(inner, (dict, list)) and identifiers(str(inner_key)):
                yield key or "key", str(inner_key)
            yield from _identifying_keys(inner, str(inner_key))
    elif isinstance(value, list):
        for inner in value:
            yield from _identifying_keys(inner, key)


def _parsed(step: Step) -> Any:
    try:
        value = json.loads(whole(step))
    except ValueError:
        return None
    return value if isinstance(value, (dict, list)) else None


def is_bound(replay: str, value: str, keys: Iterable[str], prose: str) -> bool:
    """True if a normalised replay shows a value close after one of its keys, or the value occurs in prose.

    Args:
        replay: The replay, normalised, which holds the value.
        value: The value.
        keys: The keys under which the value occurred; without any it counts as bound.
        prose: Earlier questions and answers, normalised.
    """
    keys = set(keys)
    if not keys or holds(prose, value):
        return True
    return any(
        key in replay[max(0, at - BOUND_CHARS) : at] for at in places(normal(value).strip(), replay) for key in keys
    )
