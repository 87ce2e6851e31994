"""Condenses the results of a turn, before the turn is stored.

Condensing runs the tools' own code (`ToolPolicy.condense`), which may be slow, may raise, and may use this same memory:
so it runs once for each step, and never inside a database transaction. If it raises or returns no mapping, memory reads
the result itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agentkit.base.jsonable import json_ready, storable
from agentkit.base.text import head_and_tail, shorten
from agentkit.memory.condense.reading import default_facts
from agentkit.memory.condense.tree import compact, fit, node_of, write
from agentkit.memory.redact import Redact, redact_facts, redact_turn
from agentkit.turn import Step, Turn

Condense = Callable[[Step], Mapping[str, Any]]

MAX_FACTS_CHARS = 20_000
"""Longer facts are cut by whole rows. This is several times the length any replay shows of a result, so that the newest
turn can be shown whole (`Memory(newest_chars=...)`), and short enough that 50 objects are read in 10 ms."""

# Facts a failed step keeps; its tool's other facts only describe the failure.
_LEFT_BEHIND = ("variables", "files", "lost")


@dataclass(frozen=True, slots=True)
class Kept:
    """The condensed form of one result.

    Attributes:
        facts: Its values, JSON-ready; empty if there are none.
        text: The result as the tool printed it, if that is shorter than its values as JSON: a table, for one.
    """

    facts: dict[str, Any]
    text: str = ""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A turn ready to be stored, with the condensed result of each step."""

    turn: Turn
    facts: tuple[Kept, ...]


def prepare(turn: Turn, condense: Mapping[str, Condense], redact: Redact | None = None) -> Prepared:
    """Run all code of the user and the tools, so that storing the turn runs none.

    Args:
        turn: The turn.
        condense: How particular tools condense their steps, by tool name.
        redact: Returns a text redacted, before it is stored; None changes nothing.

    Raises:
        ConfigError: `redact` raised, or returned no text.
    """
    turn = storable(turn)
    if redact is not None:
        turn = storable(redact_turn(turn, redact))
    return Prepared(turn, all_facts(turn, condense, redact))


def all_facts(turn: Turn, condense: Mapping[str, Condense], redact: Redact | None = None) -> tuple[Kept, ...]:
    """Return the condensed result of each step of a turn."""
    return tuple(_kept(step, condense.get(step.tool), redact) for step in turn.steps)


def _kept(step: Step, own: Condense | None, redact: Redact | None) -> Kept:
    offered = _offered(step, own)
    if offered is None:
        if not step.ok:
            return Kept({})
        facts = redact_facts(_read(step), redact)
        text = step.observation.strip("\n")
        is_shorter = list(facts) != ["result"] or not isinstance(facts["result"], str)
        is_shorter = is_shorter and len(text) <= min(len(compact(facts)), MAX_FACTS_CHARS)
        return Kept(bounded(facts), text if is_shorter and text[:1] not in ("{", "[") else "")
    facts = redact_facts(json_ready(offered), redact)
    return Kept(bounded(facts if step.ok else {key: facts[key] for key in _LEFT_BEHIND if facts.get(key)}))


def _offered(step: Step, own: Condense | None) -> dict[str, Any] | None:
    if own is None:
        return None if step.result is None else step.result.facts
    try:
        return dict(own(step))
    except Exception:
        return None


def _read(step: Step) -> dict[str, Any]:
    try:
        return dict(json_ready(default_facts(step)))
    except Exception:  # a text in no known format is kept as text
        return {"result": shorten(step.observation, MAX_FACTS_CHARS)}


def bounded(facts: dict[str, Any], room: int = MAX_FACTS_CHARS) -> dict[str, Any]:
    """Return facts cut to about `room` characters; rows stay whole, and what is cut is counted."""
    if len(compact(facts)) <= room:
        return facts
    node = node_of(facts)
    fit(node, room)
    text = write(node)
    found: dict[str, Any] = json.loads(text)
    return found if len(text) <= 2 * room else {"result": head_and_tail(text, room)}
