"""The note of a turn: what was called, what it was called with, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agentkit.memory.known import Known
from agentkit.memory.objects import Action, MemoryObject
from agentkit.memory.render import DETAILS, FactWriter, facts_text
from agentkit.memory.values import spell

NEAR_CHARS = 200


def note(remembered: MemoryObject, known: Known) -> str:
    """The record of a turn's chain; `known` learns what it shows."""
    known.argument_keys.update(key for action in remembered.actions for key in action.input)
    head = "Record:"
    return "\n".join([head, *(action_text(action, known) for action in remembered.actions)])


def action_text(action: Action, known: Known, *, cap: int | None = None) -> str:
    """One call and what came of it."""
    line, blocks = _call(action, known)
    if not action.ok:
        return "\n".join([f"{line} → failed: {action.failure}", *blocks])
    inputs = set(_inputs(action.input))
    text, writer = facts_text(known, action.tool, action.facts, cap=cap, inputs=inputs)
    for shown in writer.shown:
        known.add(*shown)
    known.read(text)
    near = len(text) <= NEAR_CHARS and known.titles != writer.titles
    known.titles = writer.titles if near else {}
    if writer.cut:
        text = f"{text} … {action.reference}" if text else f"… {action.reference}"
    return "\n".join([f"{line} → {text}" if text else line, *blocks])


def _inputs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for v in value.values():
            yield from _inputs(v)
    elif isinstance(value, (list, tuple)):
        for v in value:
            yield from _inputs(v)
    else:
        yield spell(value)


def _call(action: Action, known: Known) -> tuple[str, list[str]]:
    """The call on a line, and text of several lines as blocks below it."""
    short: dict[str, Any] = {}
    blocks = []
    for key, value in action.input.items():
        if isinstance(value, str) and "\n" in value.strip("\n"):
            blocks.append(_block(key, value, action, known))
        elif isinstance(value, str) and len(value) > 36 and known.says(value):
            short[key] = value[:24].rsplit(" ", 1)[0] + " …"
        else:
            short[key] = value
    before = known.calls.get(action.tool)
    known.calls[action.tool] = action.input
    again = ""
    if before is not None and len(short) > 1 and before.keys() == action.input.keys():
        changed = {k: v for k, v in short.items() if before.get(k) != action.input[k]}
        same = {k: v for k, v in short.items() if k not in changed}
        if len(str(same)) > 30:
            short, again = changed, " again with" if changed else " again"
    writer = FactWriter(Known(), action.tool, DETAILS[0])
    arguments = ", ".join(writer._pairs(short, "", "="))
    for place, key, value in writer.shown:
        known.add(place, key, value)
    known.read(arguments)
    return f"{action.tool}{again} {arguments}".rstrip(), blocks


def _block(key: str, value: str, action: Action, known: Known) -> str:
    before = known.blocks.get(value)
    if before is not None:
        return f"  {key}: the same as in {before}"
    known.blocks[value] = action.reference
    known.read(value)
    lines = "\n".join(f"    {line}".rstrip() for line in value.strip("\n").split("\n"))
    return f"  {key}:\n{lines}"
