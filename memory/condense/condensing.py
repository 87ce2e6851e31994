"""What is kept of the results of a turn, found before anything of it is written.

Condensing runs the tools' own code (`ToolPolicy.condense`), which may be slow, may raise, and may use this very
memory: so it runs once for each step, and never inside a transaction of the database. One that raises, or gives no
mapping, costs the turn nothing: memory then reads the result itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agentkit.base.jsonable import json_ready, storable
from agentkit.base.text import head_and_tail, shorten
from agentkit.memory.condense.facts import default_facts, pruned
from agentkit.memory.redact import Redact, redact_facts, redact_turn
from agentkit.turn import Step, Turn

Condense = Callable[[Step], Mapping[str, Any]]

MAX_FACTS_CHARS = 100_000
"""Of facts longer than this as JSON, long texts and lists are cut."""
MAX_TEXT_CHARS = 200

# What a failed step leaves behind; the rest of what its tool says of it is its failure.
_LEFT_BEHIND = ("variables", "files", "lost")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A turn as it may be stored, and the facts of each of its steps."""

    turn: Turn
    facts: tuple[dict[str, Any], ...]


def prepare(turn: Turn, condense: Mapping[str, Condense], redact: Redact | None = None) -> Prepared:
    """All that runs code of others, so that writing the turn runs none.

    Args:
        turn: The turn.
        condense: How single tools condense their steps, by tool name.
        redact: Changes every text before it is written; None leaves them.

    Raises:
        ConfigError: `redact` raised, or gave no text.
    """
    turn = storable(turn)
    if redact is not None:
        turn = storable(redact_turn(turn, redact))
    return Prepared(turn, all_facts(turn, condense, redact))


def all_facts(turn: Turn, condense: Mapping[str, Condense], redact: Redact | None = None) -> tuple[dict[str, Any], ...]:
    """The facts of each step of a turn, JSON-ready; empty where there are none."""
    mentioned = f"{turn.input}\n{turn.output}"
    return tuple(_bounded(_facts(step, condense.get(step.tool), mentioned, redact)) for step in turn.steps)


def _facts(step: Step, own: Condense | None, mentioned: str, redact: Redact | None) -> dict[str, Any]:
    offered = _offered(step, own)
    if offered is None:
        return redact_facts(_read(step, mentioned), redact) if step.ok else {}
    facts: dict[str, Any] = redact_facts(json_ready(offered), redact)
    return facts if step.ok else {key: facts[key] for key in _LEFT_BEHIND if facts.get(key)}


def _offered(step: Step, own: Condense | None) -> dict[str, Any] | None:
    if own is None:
        return None if step.result is None else step.result.facts
    try:
        return dict(own(step))
    except Exception:
        return None


def _read(step: Step, mentioned: str) -> dict[str, Any]:
    try:
        return dict(json_ready(default_facts(step, mentioned)))
    except Exception:  # a text that cannot be read as anything is still a text
        return {"result": shorten(step.observation, MAX_TEXT_CHARS)}


def _bounded(facts: dict[str, Any]) -> dict[str, Any]:
    if len(json.dumps(facts)) <= MAX_FACTS_CHARS:
        return facts
    smaller: dict[str, Any] = pruned(facts, set())
    text = json.dumps(smaller, ensure_ascii=False)
    return smaller if len(text) <= MAX_FACTS_CHARS else {"result": head_and_tail(text, MAX_FACTS_CHARS)}
