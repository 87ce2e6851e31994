"""A turn becomes a memory object: a pure function, so that the same turn always gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agentkit.base.jsonable import json_ready
from agentkit.base.text import clean, head_and_tail, shorten
from agentkit.memory.condense.condensing import Condense, Kept, all_facts, bounded
from agentkit.memory.condense.tree import compact
from agentkit.memory.objects import MAX_LINE_CHARS, Action, MemoryObject
from agentkit.turn import Step, Turn

MAX_ARGUMENT_CHARS = 8000
"""A longer argument, as JSON, is cut and the cut is counted; the stored step keeps all of it."""
MAX_INPUT_CHARS = 24_000
"""After the arguments together reach this length, further ones are only counted."""
MAX_KEY_CHARS = 200


def summarise(turn: Turn, condense: Mapping[str, Condense] | None = None) -> MemoryObject:
    """Return the memory object of a turn, made without a model.

    Args:
        turn: The turn, with its session and number.
        condense: How particular tools condense their steps (`ToolPolicy.condense`), by tool name. For other tools a
            step keeps the facts of its result, or else memory reads the text.
    """
    return with_facts(turn, all_facts(turn, condense or {}))


def with_facts(turn: Turn, kept: Sequence[Kept]) -> MemoryObject:
    """Return the memory object of a turn, given the condensed results in the order of its steps."""
    facts = [one.facts for one in kept]
    actions = tuple(
        _action(f"t{turn.number}.s{place}", step, found)
        for place, (step, found) in enumerate(zip(turn.steps, kept, strict=True), 1)
    )
    return MemoryObject(
        session=turn.session,
        number=turn.number,
        question=clean(turn.input),
        actions=actions,
        variables=_variables(facts),
        files=_files(turn.steps, facts),
        output=clean(turn.output),
        stop_reason=turn.stop_reason,
    )


def _action(reference: str, step: Step, kept: Kept) -> Action:
    return Action(
        reference=reference,
        tool=clean(step.tool),
        input=_bounded(json_ready(step.tool_input)),
        ok=step.ok,
        unknown=not step.ok and step.result is not None and step.result.error in ("timeout", "interrupted"),
        round=step.round,
        facts=kept.facts,
        text=kept.text,
        failure="" if step.ok else shorten(_last_line(step.observation), MAX_LINE_CHARS) or "(no output)",
    )


def _bounded(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments, the long ones cut."""
    kept: dict[str, Any] = {}
    room = MAX_INPUT_CHARS
    for key, value in arguments.items():
        kept[key if len(key) <= MAX_KEY_CHARS else shorten(key, MAX_KEY_CHARS)] = cut = _cut(value)
        room -= len(key) + _size(cut)
        if room <= 0:
            break
    more = len(arguments) - len(kept)
    return {**kept, "…": f"{more} more"} if more else kept


def _cut(value: Any) -> Any:
    if _size(value) <= MAX_ARGUMENT_CHARS:
        return value
    if isinstance(value, str):
        return head_and_tail(value, MAX_ARGUMENT_CHARS)
    return bounded({"": value}, MAX_ARGUMENT_CHARS).get("", head_and_tail(compact(value), MAX_ARGUMENT_CHARS))


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str) else len(compact(value))


def _last_line(text: str) -> str:
    """Return the last line of a traceback; any other error text whole, on one line."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1] if lines and lines[0].startswith("Traceback") else " ".join(lines)


def _variables(facts: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Return the variables set or changed in the turn that exist at its end, as the tools described them."""
    live: dict[str, dict[str, Any]] = {}
    for found in facts:
        for name in _listed(found.get("lost")):
            live.pop(str(name), None)
        for variable in _listed(found.get("variables")):
            if isinstance(variable, dict):
                live[str(variable.get("name"))] = variable
    return tuple(live.values())


def _files(steps: Iterable[Step], facts: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the names of the files the turn wrote, in the order first written."""
    names: dict[str, None] = {}
    for step, found in zip(steps, facts, strict=True):
        names |= dict.fromkeys(file for file in _listed(found.get("files")) if isinstance(file, str))
        names |= dict.fromkeys(clean(artifact.name) for artifact in (step.result.artifacts if step.result else ()))
    return tuple(names)


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else ()
