"""Turns into the database: opened, journalled call by call, closed; added whole; deleted.

Nothing here runs code of others: what tools and users do to a turn is done before (see `condense`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Insert, Update, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from agentkit.approval import pending_of
from agentkit.base.jsonable import storable
from agentkit.base.text import clean, shorten
from agentkit.errors import InputError, SessionBusyError, SessionError
from agentkit.memory.condense.condensing import Condense, Prepared, all_facts, prepare
from agentkit.memory.objects import MemoryObject
from agentkit.memory.redact import Redact, redact_object, redact_step, redact_text, redact_turn
from agentkit.memory.store import guarded_writes, owners, schema, search_index, turn_rows
from agentkit.memory.store.export import StoredTurn
from agentkit.memory.store.guarded_writes import TurnKey
from agentkit.memory.store.open_turn import OpenTurn
from agentkit.memory.store.reader import OVER, Reader
from agentkit.memory.store.stored_json import call_json, result_json, step_of, turn_json
from agentkit.turn import Step, StopReason, Turn, Usage

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from agentkit.memory.store.database import Database


_T = TypeVar("_T")

ATTEMPTS = 100
"""How often the session's next number is asked for, where others take it again and again."""

_ANY_TURN = select(schema.turns.c.number).where(schema.turns.c.session == bindparam("in_session")).limit(1)


class Store(Reader):
    """The turns of one database, read and written."""

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
        super().__init__(database)
        self._clock = clock
        self._redact = redact
        with database.reading() as connection:
            if schema.is_current(connection):
                return
        with database.writing() as connection:
            if schema.prepare(connection, database.name):
                turn_rows.index_all(connection)

    # --- whole turns ---------------------------------------------------------------------------------------

    def prepare(self, turn: Turn, condense: Mapping[str, Condense]) -> Prepared:
        """What `append` stores: the turn as it may be stored, its results condensed."""
        return prepare(turn, condense, self._redact)

    def append(self, session: str, prepared: Prepared, condense: Mapping[str, Condense]) -> MemoryObject:
        """Store a whole turn and its object in one transaction.

        Args:
            session: The session.
            prepared: What `prepare` made of the turn.
            condense: For a turn that a dead process left open, which is closed first.

        Raises:
            SessionBusyError: Somebody has a turn of it open.
        """

        def write(connection: Connection, number: int) -> MemoryObject:
            turn = prepared.turn.model_copy(update={"session": session, "number": number})
            self._insert_turn(connection, turn, "closed", self._clock())
            search_index.add(connection, turn)
            return turn_rows.add_object(connection, turn, prepared.facts)

        return self._next(session, condense, write)

    def add_stored(self, stored: Sequence[StoredTurn]) -> int:
        """Add turns as they were kept, all in one transaction.

        Returns:
            How many.

        Raises:
            SessionError: A session of theirs exists.
        """
        with self._db.writing() as connection:
            for session in sorted({one.turn.session for one in stored}):
                turn_rows.lock(connection, session)
                if connection.execute(_ANY_TURN, {"in_session": session}).first():
                    raise SessionError(
                        f"Nothing was imported: there is a session {shorten(session)!r} in "
                        f"{shorten(self._db.name)!r} already. Import into another database, or delete it first."
                    )
            for one in stored:
                self._add_stored(connection, one)
        return len(stored)

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
            turn_rows.lock(connection, session)
            last = turn_rows.last_turn(connection, session)
            if last is not None and last.state == "open" and self._is_live(connection, session, last):
                raise _busy(session)
            gone = turn_rows.unindex(connection, session)
            removed = [connection.execute(delete(t).where(t.c.session == session)) for t in schema.OF_A_SESSION]
            if not gone:
                search_index.clear(connection)
                turn_rows.index_all(connection)
            search_index.compact(connection)
            return removed[0].rowcount

    def compact(self) -> None:
        """Give back unused space and wipe what was deleted."""
        self._db.compact()

    def add_vectors(self, session: str, model: str, made: Sequence[tuple[tuple[int, int, int], bytes]]) -> None:
        """Store vectors by number, place and piece; those that are there, and those of a deleted session, are not."""
        keys = ("number", "place", "piece")
        written = [{**dict(zip(keys, key, strict=True)), "vector": vector} for key, vector in made]
        with self._db.writing() as connection:
            turn_rows.lock(connection, session)
            kept = select(schema.turns.c.number).where(schema.turns.c.session == session)
            numbers = set(connection.execute(kept.where(schema.turns.c.number.in_({k[0] for k, _ in made}))).scalars())
            written = [row | {"session": session, "model": model} for row in written if row["number"] in numbers]
            if written:
                add = sqlite.insert if self._db.is_sqlite else postgresql.insert
                connection.execute(add(schema.vectors).on_conflict_do_nothing(), written)

    # --- a running turn ------------------------------------------------------------------------------------

    def open(self, session: str, question: str, condense: Mapping[str, Condense]) -> OpenTurn:
        """Open the session's next turn; a turn a dead process left open is closed as interrupted first.

        Raises:
            SessionBusyError: Somebody else has a turn of it open.
        """
        question = clean(redact_text(question, self._redact))
        mark = owners.take()

        def write(connection: Connection, number: int) -> int:
            row = {"session": session, "number": number, "state": "open", "owner": mark}
            connection.execute(insert(schema.turns), {**row, "question": question, "at": self._clock()})
            return number

        try:
            number = self._next(session, condense, write)
        except BaseException:
            owners.release(mark)
            raise
        return OpenTurn(self, TurnKey(session, number, mark), condense)

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
                turn_rows.lock(connection, session)
                last = turn_rows.last_turn(connection, session)
                if last is None or last.state == "closed":
                    self._must_exist(connection, session)
                    raise _nothing_to_resume(session, last.number if last else 0)
                if last.state == "open" and self._is_live(connection, session, last):
                    raise _busy(session)
                turn = self._so_far(connection, session, last)
                if last.state == "interrupted":
                    turn_rows.forget_object(connection, session, last.number)
                mine = (schema.turns.c.session == session, schema.turns.c.number == last.number)
                now = {"state": "open", "owner": mark, "payload": None, "at": self._clock()}
                connection.execute(update(schema.turns).where(*mine).values(now))
        except BaseException:
            owners.release(mark)
            raise
        return OpenTurn(self, TurnKey(session, turn.number, mark), condense, turn.steps), turn

    def unfinished(self, session: str) -> Turn | None:
        """The session's last turn, if it could be opened again."""
        with self._db.reading() as connection:
            last = turn_rows.last_turn(connection, session)
            if last is None:
                self._must_exist(connection, session)
            if last is None or last.state == "closed":
                return None
            if last.state == "open" and self._is_live(connection, session, last):
                return None
            return self._so_far(connection, session, last)

    def add_steps(self, key: TurnKey, first: int, steps: Sequence[Step], *, finished: bool = False) -> None:
        """Write calls down before they run; with their results, if they are `finished` or have one already.

        Raises:
            StoreError: They cannot be written, or somebody else has closed the turn; nothing is written then.
        """
        written = self._step_rows(key.session, key.number, first, steps, with_result=finished)
        self._write(key, guarded_writes.ADD_STEP, [row | key.guard() for row in written])

    def add_results(self, key: TurnKey, results: Sequence[tuple[int, Step]]) -> None:
        """Write down what came of calls, by their place in the turn.

        Raises:
            StoreError: They cannot be written, or somebody else has closed the turn; nothing is written then.
        """
        row = {"at": self._clock(), **key.guard()}
        done = ((place, self._kept(step)) for place, step in results)
        written = [{**row, "at_place": place, "result": result_json(step)} for place, step in done]
        self._write(key, guarded_writes.ADD_RESULT, written)

    def change_calls(self, key: TurnKey, calls: Sequence[tuple[int, Step]]) -> None:
        """Write calls, and the result of those that have one, over what was written of them before.

        Raises:
            StoreError: They cannot be written, or somebody else has closed the turn; nothing is written then.
        """
        row = {"at": self._clock(), **key.guard()}
        kept = ((place, self._kept(step)) for place, step in calls)
        written = [
            {**row, "at_place": place, "call": call_json(s), "result": None if s.result is None else result_json(s)}
            for place, s in kept
        ]
        self._write(key, guarded_writes.CHANGE_CALL, written)

    def pause(self, key: TurnKey, turn: Turn) -> None:
        """Leave an open turn, whose steps are written, until it is opened again.

        Raises:
            StoreError: It cannot be written, or somebody else has closed the turn.
        """
        turn = storable(turn)
        if self._redact is not None:
            turn = storable(redact_turn(turn, self._redact))
        self._write(key, guarded_writes.PAUSE_TURN, [{"payload": turn_json(turn), **key.guard()}])

    def close(self, key: TurnKey, turn: Turn, condense: Mapping[str, Condense]) -> None:
        """Close an open turn and add its object.

        Raises:
            StoreError: It cannot be written, or somebody else has closed the turn.
        """
        prepared = prepare(turn, condense, self._redact)
        with self._db.writing() as connection:
            turn_rows.lock(connection, key.session)
            if not turn_rows.close_turn(connection, key, prepared, "closed"):
                raise key.taken()

    def interrupt(self, key: TurnKey, condense: Mapping[str, Condense]) -> None:
        """Close an open turn as interrupted, with the steps it has; nothing where it is closed."""
        for _ in range(ATTEMPTS):
            with self._db.reading() as connection:
                question, written = turn_rows.open_turn(connection, key)
            if question is None:
                return
            chain = tuple(step_of(key.session, key.number, *row) for row in written)
            broken = Turn(
                input=question,
                steps=chain,
                session=key.session,
                number=key.number,
                stop_reason="interrupted",
                usage=_used(chain),
            )
            prepared = Prepared(broken, all_facts(broken, condense))
            with self._db.writing() as connection:
                turn_rows.lock(connection, key.session)
                # Whoever was taken for dead may have written something while the steps were condensed.
                if turn_rows.open_turn(connection, key) == (question, written):
                    turn_rows.close_turn(connection, key, prepared, "interrupted")
                    return
        raise _busy(key.session)

    def steps(self, key: TurnKey) -> tuple[Step, ...]:
        """The steps of a running turn as far as they are written."""
        with self._db.reading() as connection:
            written = turn_rows.open_turn(connection, key)[1]
        return tuple(step_of(key.session, key.number, *row) for row in written)

    # --- parts of these ------------------------------------------------------------------------------------

    def _next(self, session: str, condense: Mapping[str, Condense], write: Callable[[Connection, int], _T]) -> _T:
        """`write` the session's next turn, once nobody has one open."""
        for _ in range(ATTEMPTS):
            try:
                with self._db.writing() as connection:
                    turn_rows.lock(connection, session)
                    last = turn_rows.last_turn(connection, session)
                    if last is None or last.state in OVER:
                        return write(connection, last.number + 1 if last else 1)
                    if last.state == "open" and self._is_live(connection, session, last):
                        raise _busy(session)
            except IntegrityError:
                continue  # another agentkit, without our lock, wrote a turn of that number in the meantime
            self.interrupt(TurnKey(session, last.number, last.owner), condense)
        raise _busy(session)

    def _is_live(self, connection: Connection, session: str, turn: Any) -> bool:
        step = schema.steps.c
        query = select(func.max(step.at)).where(step.session == session, step.number == turn.number)
        latest = connection.execute(query).scalar()
        return owners.is_live(turn.owner, self._clock() - max(turn.at, latest or 0.0))

    def _so_far(self, connection: Connection, session: str, last: Any) -> Turn:
        _, written = turn_rows.open_turn(connection, TurnKey(session, last.number, last.owner))
        chain = tuple(step_of(session, last.number, *row) for row in written)
        stop: StopReason = "needs_approval" if last.state == "paused" else "interrupted"
        return Turn(
            input=last.question,
            steps=chain,
            session=session,
            number=last.number,
            stop_reason=stop,
            usage=_used(chain),
            pending=pending_of(chain),
        )

    def _write(self, key: TurnKey, statement: Insert | Update, written: Sequence[Mapping[str, Any]]) -> None:
        if written and not self._db.write(statement, written):
            raise key.taken()

    def _kept(self, step: Step) -> Step:
        step = storable(step)
        return step if self._redact is None else storable(redact_step(step, self._redact))

    def _step_rows(
        self, session: str, number: int, first: int, steps: Sequence[Step], *, with_result: bool
    ) -> list[dict[str, Any]]:
        key = {"session": session, "number": number, "at": self._clock()}
        kept = enumerate(map(self._kept, steps), first)
        return [turn_rows.step_row(key, place, step, with_result=with_result) for place, step in kept]

    def _insert_turn(self, connection: Connection, turn: Turn, state: str, at: float) -> None:
        key = {"session": turn.session, "number": turn.number, "at": at}
        row = {**key, "state": state, "owner": "", "question": turn.input, "payload": turn_json(turn)}
        connection.execute(insert(schema.turns), row)
        if turn.steps:
            written = [turn_rows.step_row(key, place, step, with_result=True) for place, step in enumerate(turn.steps)]
            connection.execute(insert(schema.steps), written)

    def _add_stored(self, connection: Connection, stored: StoredTurn) -> None:
        turn, remembered = storable(stored.turn), storable(stored.remembered)
        if self._redact is not None:
            turn = storable(redact_turn(turn, self._redact))
            remembered = storable(redact_object(remembered, self._redact))
        self._insert_turn(connection, turn, stored.state, stored.at)
        turn_rows.insert_object(connection, remembered)
        search_index.add(connection, turn)


def _used(chain: Sequence[Step]) -> Usage:
    return sum((step.usage for step in chain if step.usage is not None), Usage())


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
