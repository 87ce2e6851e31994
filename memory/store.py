"""Turns in and out of the database: opened, journalled call by call, closed; read back whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError
from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from agentkit.errors import SessionBusyError, SessionError, StoreError
from agentkit.memory import database as db
from agentkit.memory import owners
from agentkit.memory.objects import MemoryObject
from agentkit.memory.summarise import Condense, summarise
from agentkit.text import clean, clean_json, is_clean, shorten
from agentkit.turn import Observation, Step, Turn

if TYPE_CHECKING:
    from sqlalchemy import Connection

_T = TypeVar("_T")

UNKNOWN = "(no result: the run was interrupted while this was running; outcome unknown)"
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


_ADD_STEP = insert(db.steps).values({c.name: bindparam(c.name) for c in db.steps.columns})
_ADD_RESULT = (
    update(db.steps)
    .where(
        db.steps.c.session == bindparam("in_session"),
        db.steps.c.number == bindparam("in_number"),
        db.steps.c.place == bindparam("at_place"),
    )
    .values(result=bindparam("result"), at=bindparam("at"))
)


class Store:
    """The turns of one database."""

    def __init__(self, database: db.Database, clock: Callable[[], float]) -> None:
        """Wrap an open database; `clock` gives seconds since 1970."""
        self._db = database
        self._clock = clock

    # --- writing -------------------------------------------------------------------------------------------

    def open(self, session: str, question: str, condense: Mapping[str, Condense]) -> OpenTurn:
        """Open the session's next turn; turns a dead process left open are closed as interrupted first.

        Raises:
            SessionBusyError: Somebody else has a turn of it open.
        """
        mark = owners.take()
        try:
            with self._db.writing() as connection:
                number = self._free_number(connection, session, condense)
                row = {"session": session, "number": number, "state": "open", "owner": mark}
                connection.execute(insert(db.turns), {**row, "question": question, "at": self._clock()})
        except IntegrityError as error:
            owners.release(mark)
            raise _busy(session) from error
        except BaseException:
            owners.release(mark)
            raise
        return OpenTurn(self, session, number, question, mark, condense)

    def append(self, session: str, turn: Turn, condense: Mapping[str, Condense]) -> MemoryObject:
        """Store a whole turn and its object in one transaction."""
        try:
            with self._db.writing() as connection:
                number = self._free_number(connection, session, condense)
                turn = turn.model_copy(update={"session": session, "number": number})
                row = {"session": session, "number": number, "state": "closed", "owner": ""}
                row |= {"question": clean(turn.input), "at": self._clock(), "payload": _payload(turn)}
                connection.execute(insert(db.turns), row)
                if turn.steps:
                    connection.execute(_ADD_STEP, self._step_rows(session, number, 0, turn.steps, with_result=True))
                return self._add_object(connection, turn, condense)
        except IntegrityError as error:
            raise _busy(session) from error

    def add_calls(self, session: str, number: int, first: int, steps: Sequence[Step]) -> None:
        """Write calls down before they run."""
        self._db.write(_ADD_STEP, self._step_rows(session, number, first, steps, with_result=False))

    def add_results(self, session: str, number: int, results: Sequence[tuple[int, Step]]) -> None:
        """Write down what came of calls, by their place in the turn."""
        key = {"in_session": session, "in_number": number}
        rows = [{**key, "at_place": place, "result": _result(step), "at": self._clock()} for place, step in results]
        self._db.write(_ADD_RESULT, rows)

    def close(self, turn: Turn, condense: Mapping[str, Condense], *, state: str = "closed") -> None:
        """Close an open turn and add its object."""
        with self._db.writing() as connection:
            self._close(connection, turn, condense, state)

    def interrupt(self, session: str, number: int, condense: Mapping[str, Condense]) -> None:
        """Close an open turn as interrupted, with the steps it has."""
        with self._db.writing() as connection:
            self._interrupt(connection, session, number, condense)

    # --- reading -------------------------------------------------------------------------------------------

    def turns(self, session: str) -> list[Turn]:
        """The session's finished and interrupted turns, oldest first."""
        turn, step = db.turns.c, db.steps.c
        with self._db.reading() as connection:
            rows = connection.execute(
                select(turn.number, turn.payload)
                .where(turn.session == session, turn.state != "open")
                .order_by(turn.number)
            ).all()
            if not rows:
                self._must_exist(connection, session)
            calls = connection.execute(
                select(step.number, step.call, step.result)
                .where(step.session == session)
                .order_by(step.number, step.place)
            ).all()
        by_turn: dict[int, list[Step]] = {}
        for number, call, result in calls:
            by_turn.setdefault(number, []).append(_step(session, number, call, result))
        return [_turn(session, number, payload, by_turn.get(number, [])) for number, payload in rows]

    def objects(self, session: str) -> list[MemoryObject]:
        """The session's objects, oldest first."""
        found = list(self.newest_objects(session))
        if not found:
            with self._db.reading() as connection:
                self._must_exist(connection, session)
        return found[::-1]

    def newest_objects(self, session: str) -> Iterator[MemoryObject]:
        """The session's objects, newest first, read as they are asked for."""
        column, before = db.objects.c, None
        while True:
            query = select(column.number, column.payload).where(column.session == session)
            if before is not None:
                query = query.where(column.number < before)
            with self._db.reading() as connection:
                rows = connection.execute(query.order_by(column.number.desc()).limit(CHUNK)).all()
            for number, payload in rows:
                yield _read(MemoryObject.model_validate_json, payload, session, number)
            if len(rows) < CHUNK:
                return
            before = rows[-1][0]

    def sessions(self) -> list[SessionInfo]:
        """All sessions, the last used first."""
        turn = db.turns.c
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
                .join(db.turns, (turn.session == group.c.session) & (turn.number == group.c.first))
                .order_by(group.c.at.desc(), group.c.session)
            ).all()
        return [SessionInfo(*row) for row in rows]

    # --- inside a transaction ------------------------------------------------------------------------------

    def _free_number(self, connection: Connection, session: str, condense: Mapping[str, Condense]) -> int:
        """The number of the session's next turn, once nobody has one open."""
        turn = db.turns.c
        last = connection.execute(
            select(turn.number, turn.state, turn.owner, turn.at)
            .where(turn.session == session)
            .order_by(turn.number.desc())
            .limit(1)
        ).first()
        if last is None:
            return 1
        number, state, mark, at = last
        if state == "open":
            latest = connection.execute(
                select(func.max(db.steps.c.at)).where(db.steps.c.session == session, db.steps.c.number == number)
            ).scalar()
            if owners.is_live(mark, self._clock() - max(at, latest or 0.0)):
                raise _busy(session)
            self._interrupt(connection, session, number, condense)
        return int(number) + 1

    def _interrupt(self, connection: Connection, session: str, number: int, condense: Mapping[str, Condense]) -> None:
        turn, step = db.turns.c, db.steps.c
        question = connection.execute(
            select(turn.question).where(turn.session == session, turn.number == number, turn.state == "open")
        ).scalar()
        if question is None:
            return  # closed by somebody else in the meantime
        rows = connection.execute(
            select(step.call, step.result).where(step.session == session, step.number == number).order_by(step.place)
        ).all()
        chain = tuple(_step(session, number, call, result) for call, result in rows)
        broken = Turn(input=question, steps=chain, session=session, number=number, stop_reason="interrupted")
        self._close(connection, broken, condense, "interrupted")

    def _close(self, connection: Connection, turn: Turn, condense: Mapping[str, Condense], state: str) -> None:
        column = db.turns.c
        closed = connection.execute(
            update(db.turns)
            .where(column.session == turn.session, column.number == turn.number, column.state == "open")
            .values(state=state, payload=_payload(turn), owner="")
        )
        if closed.rowcount != 1:
            raise StoreError(
                f"Turn {turn.number} of session {shorten(turn.session)!r} was closed by another process, which took "
                "this one for dead: its answer is not kept. Run again."
            )
        self._add_object(connection, turn, condense)

    def _add_object(self, connection: Connection, turn: Turn, condense: Mapping[str, Condense]) -> MemoryObject:
        remembered = summarise(turn, condense)
        row = {"session": turn.session, "number": turn.number, "payload": to_json(remembered)}
        connection.execute(insert(db.objects), row)
        return remembered

    def _step_rows(
        self, session: str, number: int, first: int, steps: Sequence[Step], *, with_result: bool
    ) -> list[dict[str, Any]]:
        at = self._clock()
        key = {"session": session, "number": number, "at": at}
        return [
            {**key, "place": first + i, "call": _call(step), "result": _result(step) if with_result else None}
            for i, step in enumerate(steps)
        ]

    def _must_exist(self, connection: Connection, session: str) -> None:
        if connection.execute(select(db.turns.c.number).where(db.turns.c.session == session).limit(1)).first():
            return
        names = connection.execute(select(db.turns.c.session).distinct()).scalars().all()
        near = get_close_matches(session, names, 3)
        hint = f"Did you mean {', '.join(map(repr, near))}?" if near else f"There are {len(names)} sessions."
        raise SessionError(f"There is no session {shorten(session)!r} in {shorten(self._db.name, 300)!r}. {hint}")


class OpenTurn:
    """A running turn, written down as it goes; made by `Memory.begin`, closed by `finish` or `interrupt`.

    Attributes:
        session: The session.
        number: The turn's place in it.
    """

    def __init__(
        self, store: Store, session: str, number: int, question: str, mark: str, condense: Mapping[str, Condense]
    ) -> None:
        """Made by `Store.open`."""
        self.session = session
        self.number = number
        self._store = store
        self._mark = mark
        self._condense = condense
        self._places: dict[str, int] = {}

    def calls(self, steps: Sequence[Step]) -> None:
        """Write calls down before they run.

        Args:
            steps: Steps without a result; their ``call_id`` is unique in the turn.

        Raises:
            StoreError: They cannot be written; then they must not run.
        """
        first = len(self._places)
        self._store.add_calls(self.session, self.number, first, steps)
        self._places |= {step.call_id: first + i for i, step in enumerate(steps)}

    def results(self, steps: Sequence[Step]) -> None:
        """Write down what came of calls.

        Args:
            steps: The same steps, finished.

        Raises:
            StoreError: They cannot be written.
        """
        places = [(self._places[step.call_id], step) for step in steps]
        self._store.add_results(self.session, self.number, places)

    def finish(self, turn: Turn) -> Turn:
        """Close the turn and add its object.

        Returns:
            `turn` with its session and number.

        Raises:
            StoreError: It cannot be written.
        """
        turn = turn.model_copy(update={"session": self.session, "number": self.number})
        try:
            self._store.close(turn, self._condense)
        finally:
            owners.release(self._mark)
        return turn

    def interrupt(self) -> None:
        """Close the turn as interrupted; the steps so far are kept."""
        try:
            self._store.interrupt(self.session, self.number, self._condense)
        finally:
            owners.release(self._mark)


# --- JSON in, JSON out ---------------------------------------------------------------------------------------


def to_json(model: Turn | Step | MemoryObject, **options: Any) -> str:
    """A model as JSON that any database holds; what JSON cannot say is written as its ``repr``."""
    try:
        return model.model_dump_json(**options)
    except (PydanticSerializationError, UnicodeEncodeError):
        # A tool input that is no JSON, or text with a lone surrogate: rare, so only then the slow way.
        plain = model.model_dump(mode="python", **options)
        return json.dumps(clean_json(plain), ensure_ascii=False, default=_spell)


def _spell(value: Any) -> Any:
    if isinstance(value, bytes):
        import base64

        return base64.urlsafe_b64encode(value).decode()
    return clean(repr(value))


def _payload(turn: Turn) -> str:
    return to_json(turn, exclude={"steps"})


def _call(step: Step) -> str:
    if not is_clean(step.tool_input):  # pydantic writes a lone surrogate in a key as question marks
        step = step.model_copy(update={"tool_input": clean_json(step.tool_input)})
    return to_json(step, exclude={"observation", "ok", "result"})


def _result(step: Step) -> str:
    return to_json(step, include={"observation", "ok", "result"})


def _step(session: str, number: int, call: str, result: str | None) -> Step:
    if result is None:
        lost = Observation(content=UNKNOWN, ok=False, error="interrupted")
        step = _read(Step.model_validate_json, call, session, number)
        return step.model_copy(update={"observation": UNKNOWN, "ok": False, "result": lost})
    return _read(lambda text: Step.model_validate(json.loads(text) | json.loads(result)), call, session, number)


def _turn(session: str, number: int, payload: str, chain: Sequence[Step]) -> Turn:
    turn = _read(Turn.model_validate_json, payload, session, number)
    return turn.model_copy(update={"steps": tuple(chain)})


def _read(read: Callable[[str], _T], text: str, session: str, number: int) -> _T:
    try:
        return read(text)
    except (ValidationError, ValueError, TypeError) as error:
        raise StoreError(
            f"Turn {number} of session {shorten(session)!r} is stored as something agentkit cannot read "
            f"({shorten(text, 40)!r}): it is damaged, or a newer agentkit wrote it. Other sessions can still be read."
        ) from error


def _busy(session: str) -> SessionBusyError:
    return SessionBusyError(
        f"Session {shorten(session)!r} is running already, here or in another process: wait for its answer, or use "
        "another session."
    )
