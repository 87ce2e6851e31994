"""Turns in and out of the database: opened, journalled call by call, closed; read back whole; deleted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, func, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from agentkit.decisions import pending_of
from agentkit.errors import InputError, SessionBusyError, SessionError, StoreError
from agentkit.memory import index, owners, schema
from agentkit.memory.objects import MemoryObject
from agentkit.memory.open_turn import OpenTurn
from agentkit.memory.payloads import call_json, read, result_json, step_of, to_json, turn_json, turn_of
from agentkit.memory.redact import Redact, redact_object, redact_step, redact_text, redact_turn
from agentkit.memory.summarise import Condense, summarise
from agentkit.memory.transfer import StoredTurn
from agentkit.text import clean, shorten
from agentkit.turn import Step, StopReason, Turn, Usage

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from agentkit.memory.database import Database

CHUNK = 64


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """A session in a list.

    Attributes:
        name: The session.
        turns: How many turns it has.
        first_question: What it began with.
        last_used: When its last turn began, in seconds since 1970.
    """

    name: str
    turns: int
    first_question: str
    last_used: float

    def __str__(self) -> str:
        """One line: name, number of turns, first question."""
        return f"{self.name}  {self.turns} turn{'' if self.turns == 1 else 's'}  {shorten(self.first_question)}"


_ADD_STEP = insert(schema.steps).values({c.name: bindparam(c.name) for c in schema.steps.columns})
_ADD_RESULT = (
    update(schema.steps)
    .where(
        schema.steps.c.session == bindparam("in_session"),
        schema.steps.c.number == bindparam("in_number"),
        schema.steps.c.place == bindparam("at_place"),
    )
    .values(result=bindparam("result"), at=bindparam("at"))
)
_CHANGE_CALL = (
    update(schema.steps)
    .where(
        schema.steps.c.session == bindparam("in_session"),
        schema.steps.c.number == bindparam("in_number"),
        schema.steps.c.place == bindparam("at_place"),
    )
    .values(call=bindparam("call"), result=bindparam("result"), at=bindparam("at"))
)
_OVER = ("closed", "interrupted")
"""States of turns that are over; the others are ``open`` and ``paused``."""
_ANY_TURN = select(schema.turns.c.number).where(schema.turns.c.session == bindparam("in_session")).limit(1)


class Store:
    """The turns of one database."""

    def __init__(self, database: Database, clock: Callable[[], float], redact: Redact | None = None) -> None:
        """Wrap a database, whose tables are made or brought up to date.

        Args:
            database: The database.
            clock: Gives seconds since 1970.
            redact: Changes every text before it is written; None leaves them.

        Raises:
            StoreError: It cannot be opened, or is no database.
            StoreVersionError: A newer agentkit made it.
        """
        self._db = database
        self._clock = clock
        self._redact = redact
        with database.reading() as connection:
            if schema.is_current(connection):
                return
        with database.writing() as connection:
            if schema.prepare(connection, database.name):
                self._index_all(connection)

    # --- writing -------------------------------------------------------------------------------------------

    def open(self, session: str, question: str, condense: Mapping[str, Condense]) -> OpenTurn:
        """Open the session's next turn; turns a dead process left open are closed as interrupted first.

        Raises:
            SessionBusyError: Somebody else has a turn of it open.
        """
        question = redact_text(question, self._redact)
        mark = owners.take()
        try:
            with self._db.writing() as connection:
                number = self._free_number(connection, session, condense)
                row = {"session": session, "number": number, "state": "open", "owner": mark}
                connection.execute(insert(schema.turns), {**row, "question": question, "at": self._clock()})
        except IntegrityError as error:
            owners.release(mark)
            raise _busy(session) from error
        except BaseException:
            owners.release(mark)
            raise
        return OpenTurn(self, session, number, question, mark, condense)

    def reopen(self, session: str, condense: Mapping[str, Condense]) -> tuple[OpenTurn, Turn]:
        """Open the session's last turn again, if it was paused, interrupted, or left open by a dead process.

        Returns:
            It, and what is stored of it.

        Raises:
            SessionError: There is no such session.
            SessionBusyError: It is running.
            InputError: It is over.
        """
        mark = owners.take()
        try:
            with self._db.writing() as connection:
                self._lock(connection, session)
                found = self._last(connection, session)
                if found is None or found.state == "closed":
                    self._must_exist(connection, session)
                    raise _nothing_to_resume(session, found.number if found else 0)
                if found.state == "open" and self._is_live(connection, session, found):
                    raise _busy(session)
                turn = self._so_far(connection, session, found)
                if found.state == "interrupted":
                    self._forget_object(connection, session, found.number)
                connection.execute(
                    update(schema.turns)
                    .where(schema.turns.c.session == session, schema.turns.c.number == found.number)
                    .values(state="open", owner=mark, payload=None, at=self._clock())
                )
        except BaseException:
            owners.release(mark)
            raise
        return OpenTurn(self, session, turn.number, turn.input, mark, condense, turn.steps), turn

    def append(self, session: str, turn: Turn, condense: Mapping[str, Condense]) -> MemoryObject:
        """Store a whole turn and its object in one transaction."""
        turn = redact_turn(turn, self._redact)
        try:
            with self._db.writing() as connection:
                number = self._free_number(connection, session, condense)
                turn = turn.model_copy(update={"session": session, "number": number})
                row = {"session": session, "number": number, "state": "closed", "owner": ""}
                row |= {"question": clean(turn.input), "at": self._clock(), "payload": turn_json(turn)}
                connection.execute(insert(schema.turns), row)
                if turn.steps:
                    connection.execute(_ADD_STEP, self._step_rows(session, number, 0, turn.steps, with_result=True))
                index.add(connection, turn)
                return self._add_object(connection, turn, condense)
        except IntegrityError as error:
            raise _busy(session) from error

    def add_stored(self, stored: Sequence[StoredTurn]) -> int:
        """Add turns as they were kept, all in one transaction.

        Returns:
            How many.

        Raises:
            SessionError: A session of theirs exists.
        """
        with self._db.writing() as connection:
            for session in sorted({one.turn.session for one in stored}):
                self._lock(connection, session)
                if connection.execute(_ANY_TURN, {"in_session": session}).first():
                    raise SessionError(
                        f"Nothing was imported: there is a session {shorten(session)!r} in "
                        f"{shorten(self._db.name)!r} already. Import into another database, or delete it first."
                    )
            for one in stored:
                self._add_stored(connection, one)
        return len(stored)

    def add_calls(self, session: str, number: int, first: int, steps: Sequence[Step]) -> None:
        """Write calls down before they run, with the result of those that have one already."""
        if self._redact is not None:
            steps = [redact_step(step, self._redact) for step in steps]
        self._db.write(_ADD_STEP, self._step_rows(session, number, first, steps))

    def change_calls(self, session: str, number: int, calls: Sequence[tuple[int, Step]]) -> None:
        """Write calls, and the result of those that have one, over what was written of them before."""
        key = {"in_session": session, "in_number": number, "at": self._clock()}
        kept = ((place, redact_step(step, self._redact)) for place, step in calls)
        rows = [{**key, "at_place": place, "call": call_json(s), "result": _result_of(s)} for place, s in kept]
        self._db.write(_CHANGE_CALL, rows)

    def add_results(self, session: str, number: int, results: Sequence[tuple[int, Step]]) -> None:
        """Write down what came of calls, by their place in the turn."""
        key = {"in_session": session, "in_number": number}
        at = self._clock()
        done = ((place, redact_step(step, self._redact)) for place, step in results)
        rows = [{**key, "at_place": place, "result": result_json(step), "at": at} for place, step in done]
        self._db.write(_ADD_RESULT, rows)

    def close(self, turn: Turn, condense: Mapping[str, Condense], *, state: str = "closed") -> None:
        """Close an open turn and add its object."""
        turn = redact_turn(turn, self._redact)
        with self._db.writing() as connection:
            self._close(connection, turn, condense, state)

    def pause(self, turn: Turn) -> None:
        """Leave an open turn, whose steps are written, until it is opened again."""
        turn, column = redact_turn(turn, self._redact), schema.turns.c
        with self._db.writing() as connection:
            paused = connection.execute(
                update(schema.turns)
                .where(column.session == turn.session, column.number == turn.number, column.state == "open")
                .values(state="paused", payload=turn_json(turn), owner="")
            )
            if paused.rowcount != 1:
                raise _taken_for_dead(turn)

    def interrupt(self, session: str, number: int, condense: Mapping[str, Condense]) -> None:
        """Close an open turn as interrupted, with the steps it has."""
        with self._db.writing() as connection:
            self._interrupt(connection, session, number, condense)

    def delete(self, session: str) -> int:
        """Delete a session: turns, objects, search index and vectors; what `compact` does is still to be done.

        Returns:
            How many turns it had.

        Raises:
            SessionError: There is none.
            SessionBusyError: A turn of it is running.
        """
        with self._db.writing() as connection:
            self._must_exist(connection, session)
            self._free_number(connection, session, {})
            gone = self._unindex(connection, session)
            removed = [connection.execute(delete(t).where(t.c.session == session)) for t in schema.OF_A_SESSION]
            if not gone:
                index.clear(connection)
                self._index_all(connection)
            index.compact(connection)
            return removed[0].rowcount

    def compact(self) -> None:
        """Give back unused space and wipe what was deleted."""
        self._db.compact()

    # --- reading -------------------------------------------------------------------------------------------

    def turns(self, session: str) -> list[Turn]:
        """The session's finished and interrupted turns, oldest first."""
        with self._db.reading() as connection:
            found = self._read(connection, session)
            if not found:
                self._must_exist(connection, session)
            return found

    def some_turns(self, session: str, numbers: Sequence[int]) -> list[Turn]:
        """Those of the session's turns that exist and are closed, oldest first."""
        found: list[Turn] = []
        with self._db.reading() as connection:
            for start in range(0, len(numbers), CHUNK):
                found += self._read(connection, session, numbers[start : start + CHUNK])
        return sorted(found, key=lambda turn: turn.number)

    def unfinished(self, session: str) -> Turn | None:
        """The session's last turn, if it could be opened again."""
        with self._db.reading() as connection:
            found = self._last(connection, session)
            if found is None:
                self._must_exist(connection, session)
            if found is None or found.state == "closed":
                return None
            if found.state == "open" and self._is_live(connection, session, found):
                return None
            return self._so_far(connection, session, found)

    def must_exist(self, session: str) -> None:
        """Raise SessionError if there is no such session."""
        with self._db.reading() as connection:
            self._must_exist(connection, session)

    def stored_turns(self, session: str) -> Iterator[StoredTurn]:
        """The session's closed and interrupted turns as they are kept, oldest first, read as they are asked for."""
        turn, remembered, after = schema.turns.c, schema.objects.c, 0
        query = (
            select(turn.number, turn.state, turn.at, remembered.payload)
            .join(schema.objects, (remembered.session == turn.session) & (remembered.number == turn.number))
            .where(turn.session == session, turn.state.in_(_OVER))
            .order_by(turn.number)
            .limit(CHUNK)
        )
        while True:
            with self._db.reading() as connection:
                rows = connection.execute(query.where(turn.number > after)).all()
                turns = {t.number: t for t in self._read(connection, session, [row[0] for row in rows])}
            for number, state, at, payload in rows:
                kept = read(MemoryObject.model_validate_json, payload, session, number)
                yield StoredTurn(turns[number], kept, state, at)
            if len(rows) < CHUNK:
                return
            after = rows[-1][0]

    def last_number(self, session: str) -> int:
        """The number of the session's last closed turn, 0 where there is none."""
        turn = schema.turns.c
        query = select(func.max(turn.number)).where(turn.session == session, turn.state.in_(_OVER))
        with self._db.reading() as connection:
            return connection.execute(query).scalar() or 0

    def find(self, session: str, phrases: Sequence[tuple[str, ...]], limit: int) -> list[index.Found]:
        """Passages of a session that hold any of the phrases, the best first."""
        with self._db.reading() as connection:
            self._must_exist(connection, session)
            return index.find(connection, session, phrases, limit) if phrases else []

    def without_vector(self, session: str, model: str) -> list[tuple[int, int]]:
        """Number and place of the session's passages that this model has made no vector of."""
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

    def add_vectors(self, session: str, model: str, made: Sequence[tuple[tuple[int, int, int], bytes]]) -> None:
        """Store vectors by number, place and piece; those that are there, and those of a deleted session, are not."""
        keys = ("number", "place", "piece")
        rows = [{**dict(zip(keys, key, strict=True)), "vector": vector} for key, vector in made]
        with self._db.writing() as connection:
            self._lock(connection, session)
            kept = select(schema.turns.c.number).where(schema.turns.c.session == session)
            numbers = set(connection.execute(kept.where(schema.turns.c.number.in_({k[0] for k, _ in made}))).scalars())
            rows = [row | {"session": session, "model": model} for row in rows if row["number"] in numbers]
            if rows:
                add = sqlite.insert if self._db.is_sqlite else postgresql.insert
                connection.execute(add(schema.vectors).on_conflict_do_nothing(), rows)

    def vectors(self, session: str, model: str) -> list[tuple[int, int, bytes]]:
        """Number, place and vector of each piece of the session this model has made one of."""
        column = schema.vectors.c
        query = select(column.number, column.place, column.vector)
        query = query.where(column.session == session, column.model == model)
        with self._db.reading() as connection:
            rows = connection.execute(query.order_by(column.number, column.place, column.piece))
            return [(number, place, bytes(vector)) for number, place, vector in rows]

    def objects(self, session: str) -> list[MemoryObject]:
        """The session's objects, oldest first."""
        found = list(self.newest_objects(session))
        if not found:
            with self._db.reading() as connection:
                self._must_exist(connection, session)
        return found[::-1]

    def newest_objects(self, session: str) -> Iterator[MemoryObject]:
        """The session's objects, newest first, read as they are asked for."""
        column, before = schema.objects.c, None
        while True:
            query = select(column.number, column.payload).where(column.session == session)
            if before is not None:
                query = query.where(column.number < before)
            with self._db.reading() as connection:
                rows = connection.execute(query.order_by(column.number.desc()).limit(CHUNK)).all()
            for number, payload in rows:
                yield read(MemoryObject.model_validate_json, payload, session, number)
            if len(rows) < CHUNK:
                return
            before = rows[-1][0]

    def sessions(self) -> list[SessionInfo]:
        """All sessions, the last used first."""
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

    # --- inside a transaction ------------------------------------------------------------------------------

    def _free_number(self, connection: Connection, session: str, condense: Mapping[str, Condense]) -> int:
        """The number of the session's next turn, once nobody has one open."""
        self._lock(connection, session)
        last = self._last(connection, session)
        if last is None:
            return 1
        if last.state == "open" and self._is_live(connection, session, last):
            raise _busy(session)
        if last.state not in _OVER:
            self._interrupt(connection, session, last.number, condense)
        return int(last.number) + 1

    def _last(self, connection: Connection, session: str) -> Any:
        """The row of the session's last turn, None where there is none."""
        turn = schema.turns.c
        query = select(turn.number, turn.state, turn.owner, turn.at, turn.question).where(turn.session == session)
        return connection.execute(query.order_by(turn.number.desc()).limit(1)).first()

    def _is_live(self, connection: Connection, session: str, row: Any) -> bool:
        """Whether whoever opened that turn may still be working on it."""
        step = schema.steps.c
        query = select(func.max(step.at)).where(step.session == session, step.number == row.number)
        latest = connection.execute(query).scalar()
        return owners.is_live(row.owner, self._clock() - max(row.at, latest or 0.0))

    def _so_far(self, connection: Connection, session: str, row: Any) -> Turn:
        chain = self._chain(connection, session, row.number)
        stop: StopReason = "needs_approval" if row.state == "paused" else "interrupted"
        return Turn(
            input=row.question,
            steps=chain,
            session=session,
            number=row.number,
            stop_reason=stop,
            usage=sum((step.usage for step in chain if step.usage is not None), Usage()),
            pending=pending_of(chain),
        )

    def _chain(self, connection: Connection, session: str, number: int) -> tuple[Step, ...]:
        step = schema.steps.c
        rows = connection.execute(
            select(step.call, step.result).where(step.session == session, step.number == number).order_by(step.place)
        ).all()
        return tuple(step_of(session, number, call, result) for call, result in rows)

    def _forget_object(self, connection: Connection, session: str, number: int) -> None:
        """Undo what `_close` did beside closing."""
        turns = self._read(connection, session, [number])
        for table in (schema.objects, schema.vectors):
            connection.execute(delete(table).where(table.c.session == session, table.c.number == number))
        if not index.remove(connection, session, turns, number):
            index.clear(connection)
            connection.execute(
                update(schema.turns)
                .where(schema.turns.c.session == session, schema.turns.c.number == number)
                .values(state="open")
            )
            self._index_all(connection)

    def _lock(self, connection: Connection, session: str) -> None:
        """Keep other writers of the session out until the transaction ends; SQLite has one writer anyway."""
        if connection.dialect.name == "postgresql":
            key = int.from_bytes(hashlib.sha256(session.encode()).digest()[:8], signed=True)
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})

    def _read(self, connection: Connection, session: str, numbers: Sequence[int] | None = None) -> list[Turn]:
        turn, step = schema.turns.c, schema.steps.c
        heads = select(turn.number, turn.payload).where(turn.session == session, turn.state.in_(_OVER))
        calls = select(step.number, step.call, step.result).where(step.session == session)
        if numbers is not None:
            heads, calls = heads.where(turn.number.in_(numbers)), calls.where(step.number.in_(numbers))
        chains: dict[int, list[Step]] = {}
        for number, call, result in connection.execute(calls.order_by(step.number, step.place)):
            chains.setdefault(number, []).append(step_of(session, number, call, result))
        rows = connection.execute(heads.order_by(turn.number)).all()
        return [turn_of(session, number, payload, chains.get(number, [])) for number, payload in rows]

    def _unindex(self, connection: Connection, session: str) -> bool:
        try:
            turns = self._read(connection, session)
        except StoreError:  # damaged, so nobody knows what was indexed
            return index.remove(connection, session, []) and False
        return index.remove(connection, session, turns)

    def _index_all(self, connection: Connection) -> None:
        """Index every turn that can be read."""
        turn = schema.turns.c
        closed = select(turn.session, turn.number).where(turn.state.in_(_OVER)).order_by(turn.session, turn.number)
        for session, number in connection.execute(closed).all():
            try:
                found = self._read(connection, session, [number])
            except StoreError:
                continue  # damaged: reading it says so
            for one in found:
                index.add(connection, one)

    def _interrupt(self, connection: Connection, session: str, number: int, condense: Mapping[str, Condense]) -> None:
        turn = schema.turns.c
        question = connection.execute(
            select(turn.question).where(turn.session == session, turn.number == number, turn.state.not_in(_OVER))
        ).scalar()
        if question is None:
            return  # closed by somebody else in the meantime
        chain = self._chain(connection, session, number)
        used = sum((step.usage for step in chain if step.usage is not None), Usage())
        broken = Turn(
            input=question, steps=chain, session=session, number=number, stop_reason="interrupted", usage=used
        )
        self._close(connection, broken, condense, "interrupted")

    def _close(self, connection: Connection, turn: Turn, condense: Mapping[str, Condense], state: str) -> None:
        column = schema.turns.c
        closed = connection.execute(
            update(schema.turns)
            .where(column.session == turn.session, column.number == turn.number, column.state.not_in(_OVER))
            .values(state=state, payload=turn_json(turn), owner="")
        )
        if closed.rowcount != 1:
            raise _taken_for_dead(turn)
        index.add(connection, turn)
        self._add_object(connection, turn, condense)

    def _add_stored(self, connection: Connection, stored: StoredTurn) -> None:
        turn, remembered = redact_turn(stored.turn, self._redact), redact_object(stored.remembered, self._redact)
        key = {"session": turn.session, "number": turn.number}
        row = {**key, "state": stored.state, "owner": "", "question": clean(turn.input), "at": stored.at}
        connection.execute(insert(schema.turns), {**row, "payload": turn_json(turn)})
        if turn.steps:
            rows = self._step_rows(turn.session, turn.number, 0, turn.steps, with_result=True)
            connection.execute(_ADD_STEP, [{**step, "at": stored.at} for step in rows])
        connection.execute(insert(schema.objects), {**key, "payload": to_json(remembered)})
        index.add(connection, turn)

    def _add_object(self, connection: Connection, turn: Turn, condense: Mapping[str, Condense]) -> MemoryObject:
        remembered = summarise(turn, condense)
        row = {"session": turn.session, "number": turn.number, "payload": to_json(remembered)}
        connection.execute(insert(schema.objects), row)
        return remembered

    def _step_rows(
        self, session: str, number: int, first: int, steps: Sequence[Step], *, with_result: bool = False
    ) -> list[dict[str, Any]]:
        at = self._clock()
        key = {"session": session, "number": number, "at": at}
        return [
            {
                **key,
                "place": first + i,
                "call": call_json(step),
                "result": result_json(step) if with_result else _result_of(step),
            }
            for i, step in enumerate(steps)
        ]

    def _must_exist(self, connection: Connection, session: str) -> None:
        if connection.execute(select(schema.turns.c.number).where(schema.turns.c.session == session).limit(1)).first():
            return
        names = connection.execute(select(schema.turns.c.session).distinct()).scalars().all()
        near = get_close_matches(session, names, 3)
        hint = f"Did you mean {', '.join(map(repr, near))}?" if near else f"There are {len(names)} sessions."
        raise SessionError(f"There is no session {shorten(session)!r} in {shorten(self._db.name, 300)!r}. {hint}")


def _result_of(step: Step) -> str | None:
    return None if step.result is None else result_json(step)


def _nothing_to_resume(session: str, number: int) -> InputError:
    return InputError(
        f"Session {shorten(session)!r} has nothing to resume: its last turn, number {number}, is over. "
        "Ask it something with run()."
    )


def _taken_for_dead(turn: Turn) -> StoreError:
    return StoreError(
        f"Turn {turn.number} of session {shorten(turn.session)!r} was closed by another process, which took "
        "this one for dead: its answer is not kept. Run again."
    )


def _busy(session: str) -> SessionBusyError:
    return SessionBusyError(
        f"Session {shorten(session)!r} is running already, here or in another process: wait for its answer, or use "
        "another session."
    )
