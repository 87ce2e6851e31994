"""`Store`: writes turns into the database, whole or call by call, and deletes sessions.

No transaction here runs code of others: tools' `condense` and users' `redact` are called before it begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from sqlalchemy import Insert, Update, bindparam, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from agentkit.approval import pending_of
from agentkit.base.jsonable import storable
from agentkit.base.text import clean, shorten
from agentkit.errors import InputError, SessionBusyError, SessionError
from agentkit.memory.condense.condensing import Condense, Prepared, all_facts, prepare
from agentkit.memory.objects import MemoryObject
from agentkit.memory.redact import Redact, redact_object, redact_step, redact_text, redact_turn
from agentkit.memory.store import owners, schema, search_index, turn_sql
from agentkit.memory.store.export import StoredTurn
from agentkit.memory.store.open_turn import OpenTurn
from agentkit.memory.store.reader import OVER, Reader
from agentkit.memory.store.stored_json import call_json, result_json, step_of, turn_json
from agentkit.memory.store.turn_sql import LastTurn, TurnKey
from agentkit.turn import Step, StopReason, Turn, Usage

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from agentkit.memory.store.database import Database

_T = TypeVar("_T")

ATTEMPTS = 100
"""Attempts to take the session's next number while other processes keep taking it. Chosen by hand: an attempt fails
only if another writer succeeds, so this many losses in a row mean that something else is wrong."""

_ANY_TURN = select(schema.turns.c.number).where(schema.turns.c.session == bindparam("in_session")).limit(1)


class Store(Reader):
    """Reads and writes the turns of one database."""

    def __init__(self, database: Database, clock: Callable[[], float], redact: Redact | None = None) -> None:
        """Wrap a database; create its tables or migrate them to the newest version.

        Args:
            database: The database.
            clock: Returns seconds since 1970.
            redact: Changes every text before it is written; None leaves them.

        Raises:
            StoreError: It cannot be opened, or is no database.
            StoreVersionError: A newer agentkit made it.
        """
        super().__init__(database)
        self._clock = clock
        self._redact = redact
        with database.reading() as connection:
            if schema.is_current(connection):
                return
        with database.writing() as connection:
            if schema.prepare(connection, database.name):
                turn_sql.index_all(connection)

    # --- whole turns ---------------------------------------------------------------------------------------

    def prepare(self, turn: Turn, condense: Mapping[str, Condense]) -> Prepared:
        """Return what `append` stores: the turn, redacted, and the facts of its steps."""
        return prepare(turn, condense, self._redact)

    def append(self, session: str, prepared: Prepared, condense: Mapping[str, Condense]) -> MemoryObject:
        """Store a whole turn and its object in one transaction.

        Args:
            session: The session.
            prepared: The result of `prepare`.
            condense: Used for a turn that a dead process left open, which is closed first.

        Raises:
            SessionBusyError: A turn of it is running.
        """

        def write(connection: Connection, number: int) -> MemoryObject:
            turn = prepared.turn.model_copy(update={"session": session, "number": number})
            turn_sql.insert_closed_turn(connection, turn, "closed", self._clock())
            return turn_sql.add_object(connection, turn, prepared.facts)

        return self._next(session, condense, write)

    def add_stored(self, stored: Sequence[StoredTurn]) -> int:
        """Add turns of an export in one transaction; return their number.

        Raises:
            SessionError: One of their sessions exists already.
        """
        redacted = [self._redacted_whole(one) for one in stored]
        with self._db.writing() as connection:
            for session in sorted({one.turn.session for one in stored}):
                turn_sql.lock(connection, session)
                if connection.execute(_ANY_TURN, {"in_session": session}).first():
                    raise SessionError(
                        f"Nothing was imported: session {shorten(session)!r} exists already in "
                        f"{shorten(self._db.name)!r}. Import into another database, or delete it first."
                    )
            for one in redacted:
                turn_sql.insert_closed_turn(connection, one.turn, one.state, one.at)
                turn_sql.insert_object(connection, one.remembered)
        return len(redacted)

    def delete(self, session: str) -> int:
        """Delete a session's turns, objects, index entries and vectors; return how many turns it had.

        The deleted bytes stay in the file until `compact`.

        Raises:
            SessionError: There is no such session.
            SessionBusyError: A turn of it is running.
        """
        with self._db.writing() as connection:
            self._must_exist(connection, session)
            turn_sql.lock(connection, session)
            if self._is_running(connection, session, turn_sql.last_turn(connection, session)):
                raise _busy(session)
            is_unindexed = turn_sql.unindex(connection, session)
            removed = [connection.execute(delete(t).where(t.c.session == session)) for t in schema.OF_A_SESSION]
            if not is_unindexed:
                turn_sql.rebuild_index(connection)
            search_index.compact(connection)
            return removed[0].rowcount

    def compact(self) -> None:
        """Free unused space and wipe deleted bytes from the file."""
        self._db.compact()

    def add_vectors(self, session: str, model: str, made: Sequence[tuple[tuple[int, int, int], bytes]]) -> None:
        """Store vectors by number, place and piece; skip existing ones and those of turns that were deleted."""
        with self._db.writing() as connection:
            turn_sql.lock(connection, session)
            stored = select(schema.turns.c.number).where(schema.turns.c.session == session)
            stored = stored.where(schema.turns.c.number.in_({key[0] for key, _ in made}))
            numbers = set(connection.execute(stored).scalars())
            of_session = {"session": session, "model": model}
            rows = [
                {**of_session, "number": number, "place": place, "piece": piece, "vector": vector}
                for (number, place, piece), vector in made
                if number in numbers
            ]
            if rows:
                add = sqlite.insert if self._db.is_sqlite else postgresql.insert
                connection.execute(add(schema.vectors).on_conflict_do_nothing(), rows)

    # --- a running turn ------------------------------------------------------------------------------------

    def open(self, session: str, question: str, condense: Mapping[str, Condense]) -> OpenTurn:
        """Open the session's next turn; a turn that a dead process left open is closed as interrupted first.

        Raises:
            SessionBusyError: A turn of the session is running.
        """
        question = clean(redact_text(question, self._redact))
        with _owner_mark() as mark:

            def write(connection: Connection, number: int) -> TurnKey:
                key = TurnKey(session, number, mark)
                turn_sql.insert_open_turn(connection, key, question, self._clock())
                return key

            return OpenTurn(self, self._next(session, condense, write), condense)

    def reopen(self, session: str, condense: Mapping[str, Condense]) -> tuple[OpenTurn, Turn]:
        """Open the session's last turn again if it was paused, interrupted, or left open by a dead process.

        Returns:
            The open turn, and what is stored of it.

        Raises:
            SessionError: There is no such session.
            SessionBusyError: The turn is running.
            InputError: The turn is over.
        """
        with _owner_mark() as mark:
            with self._db.writing() as connection:
                turn_sql.lock(connection, session)
                last = turn_sql.last_turn(connection, session)
                if last is None or last.state == "closed":
                    self._must_exist(connection, session)
                    raise _nothing_to_resume(session, last.number if last else 0)
                if self._is_running(connection, session, last):
                    raise _busy(session)
                turn = self._last_so_far(connection, session, last)
                key = TurnKey(session, turn.number, mark)
                turn_sql.reopen_turn(connection, key, last.state, self._clock())
            return OpenTurn(self, key, condense, turn.steps), turn

    def unfinished(self, session: str) -> Turn | None:
        """Return the session's last turn if `reopen` would open it; None if it is over or running."""
        with self._db.reading() as connection:
            last = turn_sql.last_turn(connection, session)
            if last is None:
                self._must_exist(connection, session)
            if last is None or last.state == "closed" or self._is_running(connection, session, last):
                return None
            return self._last_so_far(connection, session, last)

    def add_steps(self, key: TurnKey, first: int, steps: Sequence[Step], *, finished: bool = False) -> None:
        """Write calls before they run; with their results, if they are `finished` or have one already.

        Raises:
            StoreError: They cannot be written, or another process has closed the turn; nothing is written then.
        """
        row = {"session": key.session, "number": key.number, "at": self._clock()}
        rows = [
            turn_sql.step_row(row, place, self._redacted(step), with_result=finished) | key.guard()
            for place, step in enumerate(steps, first)
        ]
        self._write(key, turn_sql.ADD_STEP, rows)

    def add_results(self, key: TurnKey, results: Sequence[tuple[int, Step]]) -> None:
        """Write the results of calls, by their place in the turn.

        Raises:
            StoreError: They cannot be written, or another process has closed the turn; nothing is written then.
        """
        row = {"at": self._clock(), **key.guard()}
        rows = [{**row, "at_place": place, "result": result_json(self._redacted(step))} for place, step in results]
        self._write(key, turn_sql.ADD_RESULT, rows)

    def change_calls(self, key: TurnKey, calls: Sequence[tuple[int, Step]]) -> None:
        """Replace calls that were written before, and the result of those that have one.

        Raises:
            StoreError: They cannot be written, or another process has closed the turn; nothing is written then.
        """
        row = {"at": self._clock(), **key.guard()}
        kept = [(place, self._redacted(step)) for place, step in calls]
        rows = [
            {**row, "at_place": place, "call": call_json(s), "result": None if s.result is None else result_json(s)}
            for place, s in kept
        ]
        self._write(key, turn_sql.CHANGE_CALL, rows)

    def pause(self, key: TurnKey, turn: Turn) -> None:
        """Leave an open turn, whose steps are written, until `reopen`.

        Raises:
            StoreError: It cannot be written, or another process has closed the turn.
        """
        turn = storable(turn)
        if self._redact is not None:
            turn = storable(redact_turn(turn, self._redact))
        self._write(key, turn_sql.PAUSE_TURN, [{"payload": turn_json(turn), **key.guard()}])

    def close(
        self,
        key: TurnKey,
        turn: Turn,
        condense: Mapping[str, Condense],
        state: Literal["closed", "interrupted"] = "closed",
    ) -> None:
        """Close an open turn and add its object.

        Raises:
            StoreError: It cannot be written, or another process has closed the turn.
        """
        prepared = prepare(turn, condense, self._redact)
        with self._db.writing() as connection:
            turn_sql.lock(connection, key.session)
            if not turn_sql.close_turn(connection, key, prepared, state):
                raise key.taken()

    def interrupt(self, key: TurnKey, condense: Mapping[str, Condense]) -> None:
        """Close an open turn as interrupted, with the steps it has; nothing if it is closed."""
        for _ in range(ATTEMPTS):
            with self._db.reading() as connection:
                question, rows = turn_sql.read_open_turn(connection, key)
            if question is None:
                return
            broken = _so_far(key, question, rows, "interrupted")
            prepared = Prepared(broken, all_facts(broken, condense))
            with self._db.writing() as connection:
                turn_sql.lock(connection, key.session)
                # An owner taken for dead may have written something while the steps were condensed.
                if turn_sql.read_open_turn(connection, key) == (question, rows):
                    turn_sql.close_turn(connection, key, prepared, "interrupted")
                    return
        raise _busy(key.session)

    def steps(self, key: TurnKey) -> tuple[Step, ...]:
        """Return the steps of a running turn that are written so far."""
        with self._db.reading() as connection:
            rows = turn_sql.read_open_turn(connection, key)[1]
        return tuple(step_of(key.session, key.number, *row) for row in rows)

    # --- shared by these -----------------------------------------------------------------------------------

    def _next(self, session: str, condense: Mapping[str, Condense], write: Callable[[Connection, int], _T]) -> _T:
        """Call `write` with the session's next number, once no turn of it is open."""
        for _ in range(ATTEMPTS):
            try:
                with self._db.writing() as connection:
                    turn_sql.lock(connection, session)
                    last = turn_sql.last_turn(connection, session)
                    if last is None or last.state in OVER:
                        return write(connection, last.number + 1 if last else 1)
                    if self._is_running(connection, session, last):
                        raise _busy(session)
            except IntegrityError:
                continue  # a writer that does not take our lock has stored a turn of that number meanwhile
            self.interrupt(TurnKey(session, last.number, last.owner), condense)
        raise _busy(session)

    def _is_running(self, connection: Connection, session: str, last: LastTurn | None) -> bool:
        """True if the session's last turn is open and its owner lives."""
        if last is None or last.state != "open":
            return False
        step = schema.steps.c
        query = select(func.max(step.at)).where(step.session == session, step.number == last.number)
        written_at = connection.execute(query).scalar() or 0.0
        return owners.is_live(last.owner, self._clock() - max(last.at, written_at))

    def _last_so_far(self, connection: Connection, session: str, last: LastTurn) -> Turn:
        key = TurnKey(session, last.number, last.owner)
        rows = turn_sql.read_open_turn(connection, key)[1]
        turn = _so_far(key, last.question, rows, "needs_approval" if last.state == "paused" else "interrupted")
        return turn.model_copy(update={"pending": pending_of(turn.steps)})

    def _write(self, key: TurnKey, statement: Insert | Update, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows and not self._db.write(statement, rows):
            raise key.taken()

    def _redacted(self, step: Step) -> Step:
        step = storable(step)
        return step if self._redact is None else storable(redact_step(step, self._redact))

    def _redacted_whole(self, stored: StoredTurn) -> StoredTurn:
        turn, remembered = storable(stored.turn), storable(stored.remembered)
        if self._redact is not None:
            turn = storable(redact_turn(turn, self._redact))
            remembered = storable(redact_object(remembered, self._redact))
        return StoredTurn(turn, remembered, stored.state, stored.at)


@contextmanager
def _owner_mark() -> Iterator[str]:
    """Yield a new owner's mark; it is released if opening the turn fails."""
    mark = owners.take()
    try:
        yield mark
    except BaseException:
        owners.release(mark)
        raise


def _so_far(key: TurnKey, question: str, rows: Sequence[tuple[str, str | None]], stop_reason: StopReason) -> Turn:
    """Return a turn that has no answer, from its question and the rows of its steps."""
    steps = tuple(step_of(key.session, key.number, *row) for row in rows)
    usage = sum((step.usage for step in steps if step.usage is not None), Usage())
    return Turn(
        input=question, steps=steps, session=key.session, number=key.number, stop_reason=stop_reason, usage=usage
    )


def _nothing_to_resume(session: str, number: int) -> InputError:
    return InputError(
        f"Session {shorten(session)!r} has nothing to resume: its last turn, number {number}, is over. "
        "Ask it something with run()."
    )


def _busy(session: str) -> SessionBusyError:
    return SessionBusyError(
        f"Session {shorten(session)!r} is running already, here or in another process: wait for its answer, or use "
        "another session."
    )
