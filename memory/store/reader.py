"""`Reader`: reads turns, objects, sessions, search results and vectors from the database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from agentkit.base.text import shorten
from agentkit.errors import SessionError
from agentkit.memory.objects import MemoryObject
from agentkit.memory.store import schema, search_index
from agentkit.memory.store.export import StoredTurn
from agentkit.memory.store.stored_json import read, step_of, turn_of
from agentkit.turn import Step, Turn

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from agentkit.memory.store.database import Database

CHUNK = 64  # turns read by one query; chosen by hand
OVER = ("closed", "interrupted")
"""States of turns that are over; the other states are ``open`` and ``paused``."""


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """A session in a list.

    Attributes:
        name: The session.
        turns: Number of its turns.
        first_question: The question of its first turn.
        last_used: Time its last turn began, in seconds since 1970.
    """

    name: str
    turns: int
    first_question: str
    last_used: float

    def __str__(self) -> str:
        """Return one line: name, number of turns, first question."""
        return f"{self.name}  {self.turns} turn{'' if self.turns == 1 else 's'}  {shorten(self.first_question)}"


class Reader:
    """Reads the turns of one database."""

    def __init__(self, database: Database) -> None:
        """Read a database whose tables exist."""
        self._db = database

    def turns(self, session: str) -> list[Turn]:
        """Return the session's closed and interrupted turns, oldest first."""
        with self._db.reading() as connection:
            found = read_turns(connection, session)
            if not found:
                self._must_exist(connection, session)
            return found

    def some_turns(self, session: str, numbers: Sequence[int]) -> list[Turn]:
        """Return the session's turns of these numbers, oldest first; skip those that do not exist or are not over."""
        found: list[Turn] = []
        with self._db.reading() as connection:
            for start in range(0, len(numbers), CHUNK):
                found += read_turns(connection, session, numbers[start : start + CHUNK])
        return sorted(found, key=lambda turn: turn.number)

    def must_exist(self, session: str) -> None:
        """Raise SessionError if there is no such session."""
        with self._db.reading() as connection:
            self._must_exist(connection, session)

    def stored_turns(self, session: str) -> Iterator[StoredTurn]:
        """Yield the session's turns that are over with their objects, oldest first, reading a chunk at a time."""
        turn, remembered, after = schema.turns.c, schema.objects.c, 0
        query = (
            select(turn.number, turn.state, turn.at, remembered.payload)
            .join(schema.objects, (remembered.session == turn.session) & (remembered.number == turn.number))
            .where(turn.session == session, turn.state.in_(OVER))
            .order_by(turn.number)
            .limit(CHUNK)
        )
        while True:
            with self._db.reading() as connection:
                rows = connection.execute(query.where(turn.number > after)).all()
                turns = {t.number: t for t in read_turns(connection, session, [row[0] for row in rows])}
            for number, state, at, payload in rows:
                kept = read(MemoryObject.model_validate_json, payload, session, number)
                yield StoredTurn(turns[number], kept, state, at)
            if len(rows) < CHUNK:
                return
            after = rows[-1][0]

    def last_number(self, session: str) -> int:
        """Return the number of the session's last turn that is over, 0 if there is none."""
        turn = schema.turns.c
        query = select(func.max(turn.number)).where(turn.session == session, turn.state.in_(OVER))
        with self._db.reading() as connection:
            return connection.execute(query).scalar() or 0

    def find(self, session: str, phrases: Sequence[tuple[str, ...]], limit: int) -> list[search_index.Found]:
        """Return the passages of a session that hold any of the phrases, best first."""
        with self._db.reading() as connection:
            self._must_exist(connection, session)
            return search_index.find(connection, session, phrases, limit) if phrases else []

    def without_vector(self, session: str, model: str) -> list[tuple[int, int]]:
        """Return number and place of the session's passages that have no vector of this model."""
        passage, vector = schema.passages.c, schema.vectors.c
        has = select(vector.piece).where(
            vector.session == session,
            vector.number == passage.number,
            vector.place == passage.place,
            vector.model == model,
        )
        query = select(passage.number, passage.place).where(passage.session == session, ~has.exists())
        with self._db.reading() as connection:
            self._must_exist(connection, session)
            return [(number, place) for number, place in connection.execute(query.distinct())]

    def vectors(self, session: str, model: str) -> list[tuple[int, int, bytes]]:
        """Return number, place and vector of each piece of the session that has one of this model."""
        column = schema.vectors.c
        query = select(column.number, column.place, column.vector)
        query = query.where(column.session == session, column.model == model)
        with self._db.reading() as connection:
            rows = connection.execute(query.order_by(column.number, column.place, column.piece))
            return [(number, place, bytes(vector)) for number, place, vector in rows]

    def objects(self, session: str) -> list[MemoryObject]:
        """Return the session's objects, oldest first."""
        found = list(self.newest_objects(session))
        if not found:
            with self._db.reading() as connection:
                self._must_exist(connection, session)
        return found[::-1]

    def newest_objects(self, session: str) -> Iterator[MemoryObject]:
        """Yield the session's objects, newest first, reading a chunk at a time."""
        column, before = schema.objects.c, None
        while True:
            query = select(column.number, column.payload).where(column.session == session)
            if before is not None:
                query = query.where(column.number < before)
            with self._db.reading() as connection:
                rows = connection.execute(query.order_by(column.number.desc()).limit(CHUNK)).all()
            for number, payload in rows:
                yield read(_object_of, payload, session, number)
            if len(rows) < CHUNK:
                return
            before = rows[-1][0]

    def sessions(self) -> list[SessionInfo]:
        """Return all sessions, last used first."""
        turn = schema.turns.c
        counted = select(
            turn.session,
            func.count().label("count"),
            func.min(turn.number).label("first"),
            func.max(turn.at).label("at"),
        ).group_by(turn.session)
        with self._db.reading() as connection:
            group = counted.subquery()
            rows = connection.execute(
                select(group.c.session, group.c.count, turn.question, group.c.at)
                .join(schema.turns, (turn.session == group.c.session) & (turn.number == group.c.first))
                .order_by(group.c.at.desc(), group.c.session)
            ).all()
        return [SessionInfo(*row) for row in rows]

    def _must_exist(self, connection: Connection, session: str) -> None:
        if connection.execute(select(schema.turns.c.number).where(schema.turns.c.session == session).limit(1)).first():
            return
        names = connection.execute(select(schema.turns.c.session).distinct()).scalars().all()
        near = get_close_matches(session, names, 3)
        hint = f"Did you mean {', '.join(map(repr, near))}?" if near else f"There are {len(names)} sessions."
        raise SessionError(f"There is no session {shorten(session)!r} in {shorten(self._db.name, 300)!r}. {hint}")


@lru_cache(maxsize=512)
def _object_of(payload: str) -> MemoryObject:
    """Return a stored object. A session's newest are read again before every turn, and none of them ever changes."""
    return MemoryObject.model_validate_json(payload)


def read_turns(connection: Connection, session: str, numbers: Sequence[int] | None = None) -> list[Turn]:
    """Return a session's closed and interrupted turns, oldest first; only those of `numbers` unless it is None."""
    turn, step = schema.turns.c, schema.steps.c
    heads = select(turn.number, turn.payload).where(turn.session == session, turn.state.in_(OVER))
    calls = select(step.number, step.call, step.result).where(step.session == session)
    if numbers is not None:
        heads, calls = heads.where(turn.number.in_(numbers)), calls.where(step.number.in_(numbers))
    chains: dict[int, list[Step]] = {}
    for number, call, result in connection.execute(calls.order_by(step.number, step.place)):
        chains.setdefault(number, []).append(step_of(session, number, call, result))
    rows = connection.execute(heads.order_by(turn.number)).all()
    return [turn_of(session, number, payload, chains.get(number, [])) for number, payload in rows]
