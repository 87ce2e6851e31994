"""The baselines that memory is compared with: each makes a text of the earlier turns."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from agentkit.memory.store.search_text import whole
from agentkit.turn import Step, Turn

CLEARED = "[cleared]"


def full_history(turns: Sequence[Turn]) -> str:
    """Return all turns, whole."""
    return masked(turns, keep=None)


def dialogue(turns: Sequence[Turn]) -> str:
    """Return questions and answers."""
    return "\n".join(f"User: {turn.input}\nAssistant: {turn.output}" for turn in turns)


def masked(turns: Sequence[Turn], keep: int | None) -> str:
    """Return all turns with only the last `keep` results; None keeps all."""
    total = sum(len(turn.steps) for turn in turns)
    first_kept = 0 if keep is None else total - keep
    lines: list[str] = []
    place = 0
    for turn in turns:
        lines.append(f"User: {turn.input}")
        for step in turn.steps:
            lines.append(f"Call: {step.tool} {_arguments(step)}")
            lines.append(f"Result: {whole(step) if place >= first_kept else CLEARED}")
            place += 1
        lines.append(f"Assistant: {turn.output}")
    return "\n".join(lines)


def cookbook_object(turns: Sequence[Turn]) -> str:
    """Return the memory of Cohere's cookbook: tool and input of each step whose result holds no "error", and answer."""
    return "\n".join(f"User: {turn.input}\n{_object(turn)}" for turn in turns)


def _object(turn: Turn) -> str:
    kept = [step for step in turn.steps if "error" not in whole(step).lower()]
    calls = "".join(
        f"\nSTART TOOL {i} NAME:\n{step.tool}\nEND TOOL {i} NAME\n"
        f"\nSTART INPUT {i} NAME:\n{step.tool_input}\nEND INPUT {i} NAME\n"
        for i, step in enumerate(kept)
    )
    return (
        f"This is the sequence of tools you used in the previous turn:\n{calls}\n"
        f"\nThis is the output you produced in the previous turn:\nSTART OUTPUT\n{turn.output}\nEND OUTPUT"
    )


def _arguments(step: Step) -> str:
    return json.dumps(step.tool_input, ensure_ascii=False, default=repr)


BASELINES: dict[str, Callable[[Sequence[Turn]], str]] = {
    "human + AI": dialogue,
    "cookbook object": cookbook_object,
    "masking, keep 0": lambda turns: masked(turns, 0),
    "masking, keep 1": lambda turns: masked(turns, 1),
    "masking, keep 3": lambda turns: masked(turns, 3),
    "last 3 turns": lambda turns: full_history(turns[-3:]),
    "full history": full_history,
}
FULL = "full history"
