"""Export and import as JSON Lines, one turn a line, for other programs and to move sessions between databases.

::

    {"agentkit": "memory", "version": 1}
    {"session": "shop", "number": 1, "at": 1700000000.0, "state": "closed", "turn": {...}, "object": {...}}

The first line is the header. Each other line is a closed or interrupted turn: sessions in order of their names, turns
from number 1 upwards. ``at`` is the time it began, in seconds since 1970; ``turn`` is a `Turn` and ``object`` its
`MemoryObject`, both as ``model_dump_json`` writes them. Empty lines are skipped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

from pydantic import BaseModel, ConfigDict, ValidationError

from agentkit.base.sessions import check_session
from agentkit.base.text import shorten
from agentkit.errors import InputError
from agentkit.memory.objects import MemoryObject
from agentkit.memory.store.stored_json import to_json
from agentkit.turn import Turn

if TYPE_CHECKING:
    from agentkit.memory.store.store import Store

VERSION = 1
KIND = "memory"
NAMED_LINES = 5
"""An error names at most this many bad lines; chosen by hand."""


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """A stored turn with its object, state and time: one line of an export."""

    turn: Turn
    remembered: MemoryObject
    state: str
    at: float


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid")

    session: str
    number: int
    at: float
    state: Literal["closed", "interrupted"] = "closed"
    turn: Turn
    object: MemoryObject


def write(store: Store, file: str | os.PathLike[str] | TextIO, session: str | None) -> int:
    """Write an export; return the number of turns (see `Memory.export`)."""
    names = [session] if session is not None else sorted(info.name for info in store.sessions())
    if session is not None:
        store.must_exist(session)
    count = 0
    with _writing(file) as lines:
        lines.write(json.dumps({"agentkit": KIND, "version": VERSION}) + "\n")
        for name in names:
            for stored in store.stored_turns(name):
                lines.write(_line(name, stored) + "\n")
                count += 1
    return count


def _line(session: str, stored: StoredTurn) -> str:
    key = {"session": session, "number": stored.turn.number, "at": stored.at, "state": stored.state}
    head = json.dumps(key, ensure_ascii=False)[:-1]
    return f'{head}, "turn": {to_json(stored.turn)}, "object": {to_json(stored.remembered)}}}'


@contextmanager
def _writing(file: str | os.PathLike[str] | TextIO) -> Iterator[TextIO]:
    if not isinstance(file, (str, os.PathLike)):
        yield file
        return
    path = Path(file)
    if path.exists():
        raise InputError(f"{shorten(path)} exists already: give a path that does not exist.")
    part = path.with_name(path.name + ".part")
    try:
        with part.open("w", encoding="utf-8", newline="\n") as lines:
            yield lines
        part.rename(path)  # only a complete file gets the name
    except OSError as error:
        raise InputError(f"{shorten(path)} cannot be written: {error.strerror or error}. Give another path.") from error
    finally:
        part.unlink(missing_ok=True)


def read(store: Store, file: str | os.PathLike[str] | TextIO) -> int:
    """Import an export; return the number of turns (see `Memory.import_`)."""
    return store.add_stored(parsed(file))


def parsed(file: str | os.PathLike[str] | TextIO) -> list[StoredTurn]:
    """Return the turns of an export.

    Raises:
        InputError: The file cannot be read, or lines of it are no turns; the error names their numbers.
    """
    with _reading(file) as lines:
        numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
        _check_header(next(numbered, (1, "")), _name(file))
        turns: list[StoredTurn] = []
        wrong: list[str] = []
        last: dict[str, int] = {}
        for number, line in numbered:
            try:
                turns.append(_stored(line, last))
            except (ValueError, TypeError) as error:
                wrong.append(f"line {number}: {_problem(error)}")
                if len(wrong) == NAMED_LINES:
                    break
    if wrong:
        raise InputError(f"{_name(file)} was not imported: {'; '.join(wrong)}. Correct or remove these lines.")
    return turns


def _stored(line: str, last: dict[str, int]) -> StoredTurn:
    """Return a line's turn; `last` holds the previous number of each session."""
    found = _Line.model_validate_json(line)
    session = check_session(found.session)
    for part in (found.turn, found.object):
        if (part.session, part.number) != (session, found.number):
            raise ValueError(f"its {type(part).__name__} is turn {part.number} of session {shorten(part.session)!r}")
    before = last.get(session, 0)
    if found.number != before + 1:
        raise ValueError(f"turn {found.number} of session {shorten(session)!r} comes where {before + 1} is expected")
    last[session] = found.number
    return StoredTurn(found.turn, found.object, found.state, found.at)


def _check_header(first: tuple[int, str], name: str) -> None:
    try:
        header: Any = json.loads(first[1])
    except ValueError:
        header = None
    if not isinstance(header, dict) or header.get("agentkit") != KIND:
        raise InputError(
            f"{name} is not a memory's export: line {first[0]} is {shorten(first[1].strip(), 60)!r}, and should be "
            f'{{"agentkit": "{KIND}", "version": {VERSION}}}.'
        )
    if header.get("version") != VERSION:
        raise InputError(
            f"{name} is an export of version {shorten(header.get('version'))}, this agentkit reads version {VERSION}: "
            "update agentkit."
        )


def _problem(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        return f"{where + ': ' if where else ''}{shorten(first['msg'], 160)}"
    return shorten(error, 160)


@contextmanager
def _reading(file: str | os.PathLike[str] | TextIO) -> Iterator[TextIO]:
    if not isinstance(file, (str, os.PathLike)):
        yield file
        return
    try:
        with Path(file).open(encoding="utf-8") as lines:
            yield lines
    except (OSError, UnicodeDecodeError) as error:
        what = "it is no UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror or error
        raise InputError(f"{_name(file)} cannot be read: {what}. Give a file that export wrote.") from error


def _name(file: str | os.PathLike[str] | TextIO) -> str:
    return shorten(file if isinstance(file, (str, os.PathLike)) else getattr(file, "name", "the file"))
