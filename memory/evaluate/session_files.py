"""Reads sessions from files: exports of a memory, or a plain format for other programs."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from agentkit.base.text import shorten
from agentkit.errors import InputError
from agentkit.turn import Step, Turn

Sessions = dict[str, list[Turn]]


class _SimpleStep(BaseModel):
    model_config = ConfigDict(extra="ignore")

    tool: str
    input: dict[str, Any] = {}
    observation: str = ""
    ok: bool = True


class _SimpleTurn(BaseModel):
    model_config = ConfigDict(extra="ignore")

    user: str
    output: str = ""
    steps: list[_SimpleStep] = []


class _SimpleSession(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: str
    turns: list[_SimpleTurn]


def load(paths: Sequence[str | os.PathLike[str]]) -> Sessions:
    """Return the sessions of files, each an export of `Memory.export`, or a session a line in a plain format.

    The plain format is ``{"id": ..., "turns": [{"user": ..., "output": ..., "steps": [{"tool": ..., "input": {...},
    "observation": ..., "ok": true}]}]}``. Files that end in ``.gz`` are unpacked.

    Raises:
        InputError: A file cannot be read, or a line of it is no session; the error names its number.
    """
    sessions: Sessions = {}
    for path in map(Path, paths):
        for name, turns in _loaded(path):
            own = name if name not in sessions else f"{path.name}: {name}"
            number = 2
            while own in sessions:
                own, number = f"{path.name}: {name} ({number})", number + 1
            sessions[own] = turns
    return sessions


def _loaded(path: Path) -> Iterator[tuple[str, list[Turn]]]:
    from agentkit.memory.store.export import parsed

    opener: Callable[..., Any] = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as lines:
            first = lines.readline()
            lines.seek(0)
            if '"agentkit"' in first:
                exported: Sessions = {}
                for stored in parsed(lines):
                    exported.setdefault(stored.turn.session, []).append(stored.turn)
                yield from exported.items()
                return
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _simple(path, number, line)
    except (OSError, EOFError, UnicodeDecodeError) as error:
        problem = "it is no UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
        why = getattr(error, "strerror", None) or problem
        raise InputError(
            f"{shorten(path)} cannot be read: {why}. Give a file of sessions, as export writes."
        ) from error


def _simple(path: Path, number: int, line: str) -> tuple[str, list[Turn]]:
    try:
        session = _SimpleSession.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{shorten(path)}, line {number} is no session: "
            f"{where + ': ' if where else ''}{shorten(first['msg'], 160)}. "
            'Give what export writes, or {"id": ..., "turns": [{"user", "output", "steps"}]} a line.'
        ) from error
    turns = [
        Turn(
            input=turn.user,
            output=turn.output,
            steps=tuple(
                Step(tool=s.tool, tool_input=s.input, observation=s.observation, ok=s.ok, call_id=f"c{i}")
                for i, s in enumerate(turn.steps)
            ),
        )
        for turn in session.turns
    ]
    return session.id, turns
