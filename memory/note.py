"""The note of a turn: what was called, what it was called with, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from agentkit.memory.known import Known
from agentkit.memory.objects import Action, MemoryObject
from agentkit.memory.render import DETAILS, FactWriter, facts_text
from agentkit.memory.values import spell
from agentkit.text import head_and_tail, shorten


def heading(number: int) -> str:
    """What a note begins with, so that it is read as a record of what was done, and its turn can be recalled."""
    return f"Record of t{number}:"


NEAR_CHARS = 200
QUOTED_CHARS = 60
SAME_CHARS = 30


@dataclass(frozen=True, slots=True)
class NoteStyle:
    """How much of a turn's calls is written.

    Attributes:
        detail: The most detail of a result, as an index of `render.DETAILS`.
        cap: Characters of a result; None for a share of what all of it would take.
        block: Characters of a text of several lines, such as code; None for all of it.
        together: Characters of all results of a turn; None for no such limit.
    """

    detail: int = 0
    cap: int | None = None
    block: int | None = None
    together: int | None = None

    def shared_by(self, actions: int) -> NoteStyle:
        """The style of each of so many actions."""
        if self.together is None or self.cap is None or actions < 2:
            return self
        return replace(self, cap=min(self.cap, max(24, self.together // actions)))


def note(remembered: MemoryObject, known: Known, style: NoteStyle) -> str:
    """The record of a turn's chain; `known` learns what it shows."""
    style = style.shared_by(len(remembered.actions))
    known.argument_keys.update(key for action in remembered.actions for key in action.input)
    return "\n".join([heading(remembered.number), *(_action(action, known, style) for action in remembered.actions)])


def _action(action: Action, known: Known, style: NoteStyle) -> str:
    """One call and what came of it."""
    call, blocks = _call(action, known, style)
    outcome = outcome_text(action, known, style)
    if not blocks or not action.ok:
        return "\n".join([_with(call, outcome), *blocks])
    return "\n".join([call, *blocks, *([_with(" ", outcome)] if outcome else [])])


def _with(call: str, outcome: str) -> str:
    """A call and what came of it, which begins a line of its own where it has several."""
    return f"{call} →{'' if outcome[0] == chr(10) else ' '}{outcome}" if outcome else call


def outcome_text(action: Action, known: Known, style: NoteStyle) -> str:
    """What came of a call, as far as the replay does not say it yet; `known` learns it."""
    if not action.ok:
        failure = action.failure if style.cap is None else shorten(action.failure, max(40, style.cap))
        known.read(failure)
        left = _facts_text(action, known, style) if action.facts else ""
        return f"failed: {failure}" + (f"; left behind: {left}" if left else "")
    return _facts_text(action, known, style)


def _facts_text(action: Action, known: Known, style: NoteStyle) -> str:
    text, writer = facts_text(
        known, action.tool, action.facts, cap=style.cap, first=style.detail, inputs=set(_leaves(action.input))
    )
    for place, key, value in writer.shown:
        known.add(place, key, value)
    known.read(text)
    near = len(text) <= NEAR_CHARS and known.titles != writer.titles
    known.titles = writer.titles if near else {}
    if not writer.cut:
        return text
    return f"{text} … {action.reference}" if text else f"… {action.reference}"


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield spell(value)


def _call(action: Action, known: Known, style: NoteStyle) -> tuple[str, list[str]]:
    """The call on a line, and texts of several lines as blocks below it."""
    short: dict[str, Any] = {}
    blocks = []
    for key, value in action.input.items():
        if isinstance(value, str) and "\n" in value.strip("\n"):
            blocks.append(_block(key, value, action, known, style))
        elif isinstance(value, str) and len(value) > QUOTED_CHARS and value.strip(" .!?") in known.question:
            short[key] = f"{value[:20].rpartition(' ')[0] or value[:20]} …"  # it stands in the question above
        elif isinstance(value, str) and style.block is not None and len(value) > style.block:
            short[key] = shorten(value, style.block)
        else:
            short[key] = value
    short, again = _changed(action, short, known)
    writer = FactWriter(Known(), action.tool, DETAILS[0])
    arguments = writer.arguments(short)
    for place, key, value in writer.shown:
        known.add(place, key, value)
    known.read(arguments)
    return f"{action.tool or 'unknown'}{again} {arguments}".rstrip(), blocks


def _changed(action: Action, short: dict[str, Any], known: Known) -> tuple[dict[str, Any], str]:
    """Of a call like the last one of the same tool, what is new in it."""
    before = known.calls.get(action.tool)
    known.calls[action.tool] = action.input
    if before is None or len(short) < 2 or before.keys() != action.input.keys():
        return short, ""
    changed = {key: value for key, value in short.items() if before[key] != action.input[key]}
    if len(str({key: value for key, value in short.items() if key not in changed})) <= SAME_CHARS:
        return short, ""
    return changed, " again with" if changed else " again"


def _block(key: str, value: str, action: Action, known: Known, style: NoteStyle) -> str:
    before = known.blocks.get(value)
    if before is not None:
        return f"  {key}: the same as in {before}"
    text = value.strip("\n")
    if style.block is not None and len(text) > style.block:
        text = head_and_tail(text, style.block)
    else:
        known.blocks[value] = action.reference
    known.read(text)
    lines = "\n".join(f"    {line}".rstrip() for line in text.split("\n"))
    return f"  {key}:\n{lines}"
