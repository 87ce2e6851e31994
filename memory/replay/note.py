"""The note of a turn: what was called, what it was called with, and what came of it.

A call is written as a model writes it, the tool's name and its arguments in JSON: what a model is to call next is
then of the form it has before it. `CALLED` says that it is a record of what was done.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from agentkit.base.text import head_and_tail, one_line, shorten
from agentkit.memory.condense.facts import gist
from agentkit.memory.condense.values import Kind, keyed, kind_of, spell
from agentkit.memory.objects import Action, MemoryObject
from agentkit.memory.replay.already_said import Known
from agentkit.memory.replay.news import Call
from agentkit.memory.replay.render import facts_text

CALLED = "Called"
NEAR_CHARS = 280
QUOTED_CHARS = 30
"""A longer text of a call that stands in the turn's question is named by its first words."""
SAME_CHARS = 30
LONG_CHARS = 400
"""Of a longer text of one line, and of longer lists and mappings, a call shows a part."""
MOST_CHARS = 2000
"""Of all arguments together."""


@dataclass(frozen=True, slots=True)
class NoteStyle:
    """How much of a turn's calls is written.

    Attributes:
        detail: The most detail of a result, as an index of `detail.DETAILS`.
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
    return "\n".join(_action(action, known, style) for action in remembered.actions)


def _action(action: Action, known: Known, style: NoteStyle) -> str:
    """One call and what came of it."""
    call, blocks, cut = _call(action, known, style)
    outcome = outcome_text(action, known, style)
    if cut and not outcome.endswith((action.reference, "…")):
        outcome = f"{outcome} {known.pointer(action.reference)}".lstrip()
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
    call = Call.of(action.input)
    text, writer = facts_text(known, action.tool, action.facts, cap=style.cap, first=style.detail, call=call)
    said = [(key, spell(value)) for _, key, value in writer.shown]
    made = [value for _, value in said if kind_of(value) is Kind.IDENTIFIER and not known.said_of([value])]
    known.say_of([*call.names, *made], [*call.given, *said])
    known.texts |= writer.full
    for name, row in writer.rows:
        known.say_of([name], row)
    for place, key, value in writer.shown:
        known.add(place, key, value, action.tool, call.text)
    known.read(text)
    near = len(text) + len(call.text) <= NEAR_CHARS and known.titles != writer.titles
    known.titles = writer.titles if near else {}
    if not writer.cut:
        return text
    return f"{text} {known.pointer(action.reference)}".lstrip(" ")


def _call(action: Action, known: Known, style: NoteStyle) -> tuple[str, list[str], bool]:
    """The call on a line, texts of several lines as blocks below it, and whether it shows only a part of something."""
    short: dict[str, Any] = {}
    cut = False
    blocks = []
    longest = LONG_CHARS if style.block is None else min(style.block, LONG_CHARS)
    for key, value in action.input.items():
        if not isinstance(value, str):
            short[key] = _in_short(value, longest)
            cut = cut or (isinstance(short[key], str) and bool(value))
        elif "\n" in value.strip("\n"):
            blocks.append(_block(key, value, action, known, style))
            cut = cut or (style.block is not None and len(value.strip("\n")) > style.block)
        elif len(value) > QUOTED_CHARS and (value.strip(" .!?") in known.question or value in known.texts):
            short[key] = f"{value[:16].rpartition(' ')[0] or value[:16]} …"  # it stands above
        else:
            short[key] = gist(value, longest)
            cut = cut or len(value.strip()) > longest
    short, again = _changed(action, short, known)
    known.texts.update(value for value in short.values() if isinstance(value, str) and len(value) > QUOTED_CHARS)
    for key, value in keyed(short):
        known.add(f"{action.tool} {key}", key, value, action.tool, str(action.input))
    arguments = json.dumps(short, ensure_ascii=False, separators=(",", ":"), default=repr) if short else ""
    if len(arguments) > MOST_CHARS:
        arguments, cut = f"{arguments[:MOST_CHARS]}…", True
    known.read(arguments)
    tool = shorten(action.tool, 100) or "unknown"
    return f"{CALLED}: {tool}{again} {one_line(arguments)}".rstrip(), blocks, cut


def _in_short(value: Any, longest: int) -> Any:
    """An argument that is no text; whole numbers without a fraction, as everywhere in a replay."""
    if isinstance(value, float):
        return int(value) if spell(value).lstrip("-").isdigit() else value
    if not isinstance(value, (dict, list, tuple)):
        return value
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=repr)
    if len(text) > longest:
        return head_and_tail(text, longest)
    items = value.items() if isinstance(value, dict) else enumerate(value)
    inner = {key: _in_short(v, longest) for key, v in items}
    return inner if isinstance(value, dict) else list(inner.values())


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
    lines = "\n".join(f"    {line}".rstrip() for line in text.splitlines())
    return f"  {one_line(key)}:\n{lines}"
