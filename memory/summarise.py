"""A turn becomes a memory object: a pure function, so that the same turn always gives the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agentkit.memory.facts import default_facts
from agentkit.memory.objects import MAX_LINE_CHARS, Action, MemoryObject
from agentkit.text import clean_json, is_clean, shorten
from agentkit.turn import Step, Turn

Condense = Callable[[Step], Mapping[str, Any]]


def summarise(turn: Turn, condense: Mapping[str, Condense] | None = None) -> MemoryObject:
    """Condense a turn without a model.

    Args:
        turn: The turn, with its session and number.
        condense: How single tools condense their steps (`ToolPolicy.condense`), by tool name. Without, a step
            keeps the facts its result offers, else memory's own reading of the text.
    """
    actions = tuple(
        _action(turn.number, i, step, condense or {}, f"{turn.input}\n{turn.output}")
        for i, step in enumerate(turn.steps, 1)
    )
    variables: dict[str, dict[str, Any]] = {}
    files: dict[str, None] = {}
    for action in actions:
        for variable in action.facts.get("variables") or ():
            if isinstance(variable, dict):
                variables[str(variable.get("name"))] = variable
        files |= dict.fromkeys(f for f in action.facts.get("files") or () if isinstance(f, str))
    return MemoryObject(
        session=turn.session,
        number=turn.number,
        question=turn.input,
        actions=actions,
        variables=tuple(variables.values()),
        files=tuple(files),
        output=turn.output,
        stop_reason=turn.stop_reason,
    )


def _condensed(own: Condense, step: Step) -> dict[str, Any]:
    """What the tool's own condensing gives; one that raises or gives no mapping must not cost the turn."""
    try:
        return dict(clean_json(dict(own(step))))
    except Exception:
        return default_facts(step)


def _action(number: int, place: int, step: Step, condense: Mapping[str, Condense], mentioned: str) -> Action:
    facts: dict[str, Any] = {}
    if step.ok:
        own = condense.get(step.tool)
        if own is not None:
            facts = _condensed(own, step)
        elif step.result is not None and step.result.facts is not None:
            facts = dict(step.result.facts)
        else:
            facts = default_facts(step, mentioned)
    return Action(
        reference=f"t{number}.s{place}",
        tool=step.tool,
        input=step.tool_input if is_clean(step.tool_input) else clean_json(step.tool_input),
        ok=step.ok,
        facts=facts,
        failure="" if step.ok else shorten(_last_line(step.observation), MAX_LINE_CHARS) or "(no output)",
    )


def _last_line(text: str) -> str:
    """Of a traceback the last line says what went wrong; of anything else the whole of it does."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1] if lines and lines[0].startswith("Traceback") else " ".join(lines)
