"""What a turn named, in few words: the tools it used, and its identifiers and dates grouped under their keys."""

from __future__ import annotations

from collections import Counter
from typing import Any

from agentkit.base.text import shorten
from agentkit.memory.condense.values import Kind, keyed, kind_of, spell
from agentkit.memory.objects import MemoryObject
from agentkit.memory.replay.already_said import Known

MAX_VALUE_CHARS = 60


def inventory(remembered: MemoryObject, known: Known, room: int, upto: Kind) -> tuple[str, bool]:
    """The tools and values of a turn, and whether values are left out.

    Args:
        remembered: The turn.
        known: What the replay says already; it learns what is written.
        room: Characters the values may take.
        upto: The kinds of values that are written; those of arguments always are.
    """
    tools = Counter(shorten(action.tool) or "unknown" for action in remembered.actions)
    failed = Counter(shorten(action.tool) or "unknown" for action in remembered.actions if not action.ok)
    called = ", ".join(
        name
        + (f" \N{MULTIPLICATION SIGN}{n}" if n > 1 else "")
        + (f" ({_failures(failed[name], n)})" if failed[name] else "")
        for name, n in tools.items()
    )
    known.argument_keys.update(key for action in remembered.actions for key in action.input)
    groups: dict[str, list[str]] = {}
    chosen = _chosen(remembered, known, upto)
    cut = None in chosen
    for key, value in filter(None, chosen):
        key, text = shorten(key, MAX_VALUE_CHARS), shorten(spell(value), MAX_VALUE_CHARS)
        if len(text) + 2 + (0 if key in groups else len(key) + 1) > room:
            cut = True
            continue
        room -= len(text) + 2 + (0 if key in groups else len(key) + 1)
        groups.setdefault(key, []).append(text)
        known.add("", key, value)
    for texts in groups.values():
        known.read(" ".join(texts))
    values = "; ".join(f"{key} {', '.join(texts)}" for key, texts in groups.items())
    return (f"{called}: {values}" if values else called), cut


def _failures(failed: int, calls: int) -> str:
    return "failed" if failed == calls else f"{failed} failed"


def _chosen(remembered: MemoryObject, known: Known, upto: Kind) -> list[tuple[str, Any] | None]:
    """Values that are new, each once: arguments, then what came under keys that are arguments, then by kind.

    None stands for those of other kinds.
    """
    others = False
    seen: set[tuple[str, str]] = set()
    found: list[tuple[int, str, Any]] = []
    for action in reversed(remembered.actions):
        asked = [(0, key, value) for key, value in keyed(action.input)]
        told = [(1 if key in known.argument_keys else 2, key, value) for key, value in keyed(action.facts)]
        for rank, key, value in (*asked, *told):
            kind = kind_of(value)
            if kind is Kind.TRIVIAL or (kind > upto and rank > 0):
                others = others or kind is not Kind.TRIVIAL
                continue
            pair = (key, spell(value))
            if pair in seen or known.has("", key, value):
                continue
            seen.add(pair)
            last = 30 if kind is Kind.PROSE else 0  # code and other long texts: how they begin, if there is room
            found.append((rank * 10 + min(kind, Kind.CODE) + last, key, value))
    order = sorted(found, key=lambda item: item[0])
    return [*((key, value) for _, key, value in order), *([None] if others else [])]
