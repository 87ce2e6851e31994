"""The forms a turn is replayed in, from whole to one line, and the messages each of them is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from agentkit.base.text import head_and_tail, shorten
from agentkit.memory.condense.facts import gist
from agentkit.memory.condense.values import Kind
from agentkit.memory.objects import MemoryObject
from agentkit.memory.replay.already_said import Known
from agentkit.memory.replay.inventory import inventory
from agentkit.memory.replay.note import CALLED, NoteStyle, note, outcome_text

ReplayMode = Literal["none", "answers", "dialogue", "objects", "calls"]


@dataclass(frozen=True, slots=True)
class Inventory:
    """The values a turn named instead of its calls: characters they may take, and their kinds."""

    room: int
    upto: Kind


@dataclass(frozen=True, slots=True)
class Form:
    """How much of a turn is replayed.

    Attributes:
        name: For `explain`.
        question: Characters of the question; None for all of it.
        answer: Characters of the answer; None for all of it.
        style: How its calls are written; None for not at all.
        digest: Whether it is a line among those of other turns, not messages of its own.
    """

    name: str
    question: int | None
    answer: int | None
    style: NoteStyle | Inventory | None
    digest: bool = False


QUESTION_EXTRA = 55
"""Characters that a cut question may take for what the user named in it, which nothing else may say."""

FULL = Form("full", None, None, NoteStyle())
BRIEF = Form("brief", 500, 500, NoteStyle(block=600))
STEPS = (
    FULL,
    BRIEF,
    Form("gist", 400, 900, Inventory(room=1400, upto=Kind.NAME), digest=True),
    Form("short gist", 200, 500, Inventory(room=1000, upto=Kind.CODE), digest=True),
    Form("two lines", 100, 220, Inventory(room=800, upto=Kind.CODE), digest=True),
    Form("one line", 40, 100, Inventory(room=400, upto=Kind.NUMBER), digest=True),
    Form("short line", 20, 40, Inventory(room=200, upto=Kind.DATE), digest=True),
    Form("few words", 20, 20, Inventory(room=60, upto=Kind.DATE), digest=True),
)
"""From whole to the least that still names the turn; what a tight budget leaves of a turn is its identifiers."""
NEWEST = (
    Form("gist", 500, 1000, NoteStyle(detail=1, cap=300, together=1600)),
    Form("gist", 400, 900, Inventory(room=900, upto=Kind.NAME)),
    Form("gist", 300, 500, Inventory(room=700, upto=Kind.NAME)),
    Form("gist", 200, 260, Inventory(room=500, upto=Kind.NAME)),
    Form("gist", 120, 160, Inventory(room=500, upto=Kind.NAME)),
    Form("gist", 70, 80, Inventory(room=400, upto=Kind.NAME)),
    Form("gist", 50, 60, Inventory(room=200, upto=Kind.NAME)),
    Form("words only", 150, 100, None),
    Form("few words", 50, 50, None),
)
"""What the newest turn is shown in at least, as far as it fits."""


def turn_messages(remembered: MemoryObject, mode: ReplayMode, known: Known, form: Form = FULL) -> list[BaseMessage]:
    """The messages one turn is replayed as; `known` learns what they say.

    Args:
        remembered: The turn.
        mode: The way to remember.
        known: What the replay says before them.
        form: How much of it.
    """
    if mode == "none":
        return []
    answer = _cut(remembered.answer, form.answer)
    if mode == "answers":
        return [AIMessage(answer)]
    question = (
        _cut(remembered.question, form.question, QUESTION_EXTRA) if remembered.question.strip() else "(empty question)"
    )
    known.turn(question, answer)
    messages: list[BaseMessage] = [HumanMessage(question)]
    if remembered.actions and isinstance(form.style, Inventory) and mode in ("objects", "calls"):
        named, cut = inventory(remembered, known, form.style.room, form.style.upto)
        messages.append(SystemMessage(f"{CALLED} in t{remembered.number}: {named}{' …' if cut else ''}"))
    elif remembered.actions and isinstance(form.style, NoteStyle) and mode == "objects":
        messages.append(SystemMessage(note(remembered, known, form.style)))
    elif remembered.actions and isinstance(form.style, NoteStyle) and mode == "calls":
        messages += _calls(remembered, known, form.style)
    return [*messages, AIMessage(answer)]


def line(remembered: MemoryObject, mode: ReplayMode, known: Known, form: Form) -> str:
    """A turn on one line of the digest: what was asked, what was done, what was said."""
    answer = _one_line(remembered.output, form.answer or 0) if remembered.output.strip() else ""
    if mode == "answers":
        return f"Turn {remembered.number}: {answer or remembered.answer}"
    question = _one_line(remembered.question, form.question or 0, QUESTION_EXTRA) or "(empty question)"
    known.turn(question, answer)
    parts, cut = [question], False
    if mode in ("objects", "calls") and remembered.actions and isinstance(form.style, Inventory):
        named, cut = inventory(remembered, known, form.style.room, form.style.upto)
        parts.append(named)
    if answer or len(parts) == 1 or remembered.stop_reason != "answered":
        parts.append(answer or remembered.answer)
    text = f"Turn {remembered.number}: {' | '.join(parts)}"
    return f"{text} …" if cut and "…" not in text else text


def left_out(turns: int, mode: ReplayMode) -> str:
    """The line that stands for turns of which nothing is replayed."""
    how = ": use recall" if mode in ("objects", "calls") else ""
    return f"[{turns} earlier turn{'s' if turns > 1 else ''} left out{how}.]"


def _calls(remembered: MemoryObject, known: Known, style: NoteStyle) -> list[BaseMessage]:
    """The calls of one reply in one message, and their results behind it."""
    messages: list[BaseMessage] = []
    for _, together in groupby(remembered.actions, key=lambda action: action.round):
        actions = list(together)
        calls = [
            {"name": a.tool or "unknown", "args": _arguments(a.input, style), "id": a.reference, "type": "tool_call"}
            for a in actions
        ]
        known.read(json.dumps([call["args"] for call in calls], ensure_ascii=False, default=repr))
        messages.append(AIMessage("", tool_calls=calls))
        messages += [
            ToolMessage(
                outcome_text(a, known, style).strip() or "(nothing new)",
                tool_call_id=a.reference,
                name=a.tool or "unknown",
                status="success" if a.ok else "error",
            )
            for a in actions
        ]
    return messages


def _arguments(value: Any, style: NoteStyle) -> Any:
    """The arguments of a call, long texts cut as the style says."""
    if isinstance(value, str):
        return value if style.block is None or len(value) <= style.block else head_and_tail(value, style.block)
    if isinstance(value, dict):
        return {key: _arguments(v, style) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_arguments(v, style) for v in value]
    return value


def _cut(text: str, max_chars: int | None, extra: int = 0) -> str:
    return text if max_chars is None else gist(text, max_chars, extra)


def _one_line(text: str, max_chars: int, extra: int = 0) -> str:
    return " ".join(gist(shorten(text, 100_000), max_chars, extra).split())
