"""Turns one turn into chat messages, in each mode of replay."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from agentkit.base.text import one_line, shorten
from agentkit.memory.condense.tree import CUT, Named, compact, cut_text
from agentkit.memory.objects import Action, MemoryObject
from agentkit.memory.replay.ledger import Ledger
from agentkit.memory.replay.pressure import Room, room_of

ReplayMode = Literal["none", "answers", "dialogue", "objects", "calls"]


def turn_messages(
    turn: MemoryObject, mode: ReplayMode, ledger: Ledger, room: Sequence[Room], following: MemoryObject | None = None
) -> list[BaseMessage]:
    """Return the messages that replay a turn; the ledger records what they state.

    Args:
        turn: The turn.
        mode: The mode of replay.
        ledger: What the replay has stated before them.
        room: The room of the turn, and of each of its calls.
        following: The next turn; values of this turn's results that it names are not cut.
    """
    answer = cut_text(turn.answer, room[0].prose)
    if mode == "answers":
        return [AIMessage(answer)]
    question = cut_text(turn.question, room[0].prose) if turn.question.strip() else "(empty question)"
    if mode == "dialogue" or not turn.actions:
        return [HumanMessage(question), AIMessage(answer)]
    if not room[0].calls:
        for action in turn.actions:
            ledger.forget(action)
        return [HumanMessage(f"{question}\n\n[{CUT} t{turn.number}]"), AIMessage(answer)]
    named = _named(turn, following)
    if mode == "calls":
        return [HumanMessage(question), *_calls(turn.actions, ledger, room, named), AIMessage(answer)]
    lines = [line for a, its in zip(turn.actions, room, strict=True) for line in _lines(a, ledger, its, named)]
    note = "\n".join(lines)
    return [HumanMessage(f"{question}\n\n[t{turn.number}] {note}"), AIMessage(answer)]


def rooms(turn: MemoryObject, age: int, pressure: float, newest_chars: int) -> list[Room] | None:
    """Return the room of a turn and of each of its calls; None if the turn is only counted."""
    calls = max(1, len(turn.actions))
    found = [room_of(age, pressure, newest_chars, (calls - 1 - n) / calls) for n in range(calls)]
    return None if found[0] is None else [room for room in found if room is not None]


def _named(turn: MemoryObject, following: MemoryObject | None) -> Named:
    """Return a function that is true for values named in a question, an argument or an answer of these turns."""
    said = [turn.question, turn.output, *(compact(action.input) for action in turn.actions)]
    if following is not None:
        said += [following.question, following.output, *(compact(action.input) for action in following.actions)]
    text = "\n".join(said)
    return lambda value: value in text and re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text) is not None


def _lines(action: Action, ledger: Ledger, room: Room, named: Named) -> list[str]:
    """Return a call and its result as a note writes them: ``tool {"key":"value"} → result``.

    Texts of several lines follow below, each line indented, so that none can be mistaken for a call.
    """
    short: dict[str, Any] = {}
    blocks: list[str] = []
    is_cut = False
    for key, value in action.input.items():
        written = _argument(value, room)
        is_cut |= written is not value
        if isinstance(written, str) and "\n" in written.strip("\n"):
            before = ledger.texts.get(written)
            ledger.texts.setdefault(written, action.reference)
            blocks.append(
                f"{one_line(key)}: {CUT} as in {before}" if before else f"{one_line(key)}:\n{_set_in(written)}"
            )
        else:
            short[key] = written
    result = _result(action, ledger, room, named, arguments_stand=not is_cut)
    if is_cut and not result.endswith(action.reference):
        result = f"{result} {CUT} {action.reference}".lstrip()
    tool = shorten(action.tool, 100) or "unknown"
    call = " ".join([tool, *([compact(short)] if short or not blocks else []), "\n".join(blocks)]).rstrip()
    outcome = f"→\n{_set_in(result)}" if "\n" in result else f"→ {result}"
    return [call, outcome] if blocks else [f"{call} {outcome}"]


def _set_in(text: str) -> str:
    """Return lines, each indented by a space, so that none can be mistaken for a call."""
    return "\n".join(f" {line}".rstrip() for line in text.strip("\n").splitlines())


def _argument(value: Any, room: Room) -> Any:
    """Return an argument, cut if it is longer than its room."""
    if isinstance(value, str):
        return cut_text(value, room.code if "\n" in value.strip("\n") else room.argument)
    if isinstance(value, (dict, list)) and len(text := compact(value)) > room.argument:
        return cut_text(text, room.argument)
    return value


def _result(action: Action, ledger: Ledger, room: Room, named: Named, *, arguments_stand: bool) -> str:
    ledger.arguments(action)
    if action.ok:
        return ledger.result(action, room, named, arguments_stand=arguments_stand) or '""'
    failure = f"failed: {cut_text(action.failure, max(room.result, 60))}"
    left = ledger.result(action, room, named) if action.facts else ""
    return f"{failure}; left behind: {left}" if left else failure


def _calls(actions: Sequence[Action], ledger: Ledger, rooms_of: Sequence[Room], named: Named) -> list[BaseMessage]:
    """Return the calls of each reply as one message, followed by their results."""
    messages: list[BaseMessage] = []
    for _, together in groupby(zip(actions, rooms_of, strict=True), key=lambda pair: pair[0].round):
        round_of = [(a, room, {k: _argument(v, room) for k, v in a.input.items()}) for a, room in together]
        calls = [
            {"name": a.tool or "unknown", "args": given, "id": a.reference, "type": "tool_call"}
            for a, _, given in round_of
        ]
        messages.append(AIMessage("", tool_calls=calls))
        for a, room, given in round_of:
            result = _result(a, ledger, room, named, arguments_stand=given == a.input)
            if given != a.input and not result.endswith(a.reference):
                result = f"{result} {CUT} {a.reference}"
            status: Literal["success", "error"] = "success" if a.ok else "error"
            content = result if result.strip() else json.dumps(result)
            messages.append(ToolMessage(content, tool_call_id=a.reference, name=a.tool or "unknown", status=status))
    return messages
