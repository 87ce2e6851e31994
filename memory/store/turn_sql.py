"""The SQL that writes a turn: open it, add steps and results, pause it, close it, and index what is closed.

The statements at the top change a turn only while its owner has it open (`TurnKey`), and `Database.write` runs them in
transactions of their own. The functions run inside a transaction that the caller begins and ends.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import bindparam, delete, insert, literal_column, select, text, update

from agentkit.base.text import shorten
from agentkit.errors import StoreError
from agentkit.memory.condense.condensing import Kept, Prepared
from agentkit.memory.condense.summarise import with_facts
from agentkit.memory.objects import MemoryObject
from agentkit.memory.store import schema, search_index
from agentkit.memory.store.reader import OVER, read_turns
from agentkit.memory.store.stored_json import call_json, result_json, to_json, turn_json
from agentkit.turn import Step, Turn

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class TurnKey:
    """A turn and the mark of the owner that has it open."""

    session: str
    number: int
    owner: str

    def guard(self) -> dict[str, Any]:
        """Return the parameters of the guarded statements that name this turn and owner."""
        return {"of_session": self.session, "of_number": self.number, "of_owner": self.owner}

    def taken(self) -> StoreError:
        """Return the error for a turn that another process has closed."""
        return StoreError(
            f"Turn {self.number} of session {shorten(self.session)!r} was closed by another process, which took this "
            "one for dead: the steps written until then are kept, the rest is not. Run again."
        )


class LastTurn(NamedTuple):
    """The columns of a session's last turn, except its payload."""

    number: int
    state: str
    owner: str
    at: float
    question: str


_turn, _step = schema.turns.c, schema.steps.c
_OPEN_AND_OWNED = (
    _turn.session == bindparam("of_session"),
    _turn.number == bindparam("of_number"),
    _turn.state == literal_column("'open'"),
    _turn.owner == bindparam("of_owner"),
)
# FOR UPDATE: in PostgreSQL this waits for a process that is closing the turn; SQLite has one writer at a time anyway.
_IS_OPEN_AND_OWNED = select(_turn.number).where(*_OPEN_AND_OWNED).with_for_update().exists()

ADD_STEP = insert(schema.steps).from_select(
    [column.name for column in schema.steps.columns],
    select(*(bindparam(column.name, type_=column.type) for column in schema.steps.columns)).where(_IS_OPEN_AND_OWNED),
)
ADD_RESULT = (
    update(schema.steps)
    .where(
        _step.session == bindparam("of_session"),
        _step.number == bindparam("of_number"),
        _step.place == bindparam("at_place"),
        _IS_OPEN_AND_OWNED,
    )
    .values(result=bindparam("result"), at=bindparam("at"))
)
CHANGE_CALL = ADD_RESULT.values(call=bindparam("call"))
PAUSE_TURN = (
    update(schema.turns)
    .where(*_OPEN_AND_OWNED)
    .values(state=literal_column("'paused'"), payload=bindparam("payload"), owner=literal_column("''"))
)
# A paused turn has the owner '': the process that paused it still holds its old mark, so this does not match it.
CLOSE_TURN = (
    update(schema.turns)
    .where(
        _turn.session == bindparam("of_session"),
        _turn.number == bindparam("of_number"),
        _turn.state.in_((literal_column("'open'"), literal_column("'paused'"))),
        _turn.owner == bindparam("of_owner"),
    )
    .values(state=bindparam("new_state"), payload=bindparam("payload"), owner=literal_column("''"))
)


def lock(connection: Connection, session: str) -> None:
    """Keep other writers of the session out until the transaction ends; SQLite has one writer at a time anyway."""
    if connection.dialect.name == "postgresql":
        key = int.from_bytes(hashlib.sha256(session.encode()).digest()[:8], signed=True)
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})


def last_turn(connection: Connection, session: str) -> LastTurn | None:
    """Return the session's last turn; None if it has none."""
    query = select(_turn.number, _turn.state, _turn.owner, _turn.at, _turn.question).where(_turn.session == session)
    row = connection.execute(query.order_by(_turn.number.desc()).limit(1)).first()
    return None if row is None else LastTurn(*row)


def read_open_turn(connection: Connection, key: TurnKey) -> tuple[str | None, list[tuple[str, str | None]]]:
    """Return the question of an open or paused turn and the rows of its steps; None for the question if it is closed.

    A paused turn has the owner ``""``.
    """
    owned = (
        _turn.session == key.session,
        _turn.number == key.number,
        _turn.owner == key.owner,
        _turn.state.not_in(OVER),
    )
    question = connection.execute(select(_turn.question).where(*owned)).scalar()
    its_steps = (_step.session == key.session, _step.number == key.number)
    rows = connection.execute(select(_step.call, _step.result).where(*its_steps).order_by(_step.place)).all()
    return question, [(call, result) for call, result in rows]


def insert_open_turn(connection: Connection, key: TurnKey, question: str, at: float) -> None:
    """Add a turn that has just begun."""
    row = {"session": key.session, "number": key.number, "state": "open", "owner": key.owner}
    connection.execute(insert(schema.turns), {**row, "question": question, "at": at})


def insert_closed_turn(connection: Connection, turn: Turn, state: str, at: float) -> None:
    """Add a whole turn that is over, with its steps, and index it."""
    key = {"session": turn.session, "number": turn.number, "at": at}
    row = {**key, "state": state, "owner": "", "question": turn.input, "payload": turn_json(turn)}
    connection.execute(insert(schema.turns), row)
    if turn.steps:
        rows = [step_row(key, place, step, with_result=True) for place, step in enumerate(turn.steps)]
        connection.execute(insert(schema.steps), rows)
    search_index.add(connection, turn)


def close_turn(connection: Connection, key: TurnKey, prepared: Prepared, state: str) -> bool:
    """Close a turn that its owner has open or paused, index it and add its object; False if it is neither."""
    row = {"new_state": state, "payload": turn_json(prepared.turn), **key.guard()}
    if connection.execute(CLOSE_TURN, row).rowcount != 1:
        return False
    search_index.add(connection, prepared.turn)
    add_object(connection, prepared.turn, prepared.facts)
    return True


def reopen_turn(connection: Connection, key: TurnKey, state: str, at: float) -> None:
    """Give a paused, interrupted or abandoned turn to a new owner; what closing it added is removed."""
    if state == "interrupted":
        _remove_object(connection, key.session, key.number)
    new = {"state": "open", "owner": key.owner, "payload": None, "at": at}
    its_row = (_turn.session == key.session, _turn.number == key.number)
    connection.execute(update(schema.turns).where(*its_row).values(new))


def add_object(connection: Connection, turn: Turn, kept: Sequence[Kept]) -> MemoryObject:
    """Make and add the memory object of a turn from the facts of its steps."""
    remembered = with_facts(turn, kept)
    insert_object(connection, remembered)
    return remembered


def insert_object(connection: Connection, remembered: MemoryObject) -> None:
    """Add a memory object that is made already."""
    row = {"session": remembered.session, "number": remembered.number, "payload": to_json(remembered)}
    connection.execute(insert(schema.objects), row)


def step_row(key: Mapping[str, Any], place: int, step: Step, *, with_result: bool) -> dict[str, Any]:
    """Return the row of a step at its place; `key` is its session, number and time."""
    result = result_json(step) if with_result or step.result is not None else None
    return {**key, "place": place, "call": call_json(step), "result": result}


def unindex(connection: Connection, session: str) -> bool:
    """Remove a session from the search index; False if the index must be rebuilt."""
    try:
        turns = read_turns(connection, session)
    except StoreError:  # a damaged turn: its indexed words are unknown, and FTS5 needs them to remove an entry
        search_index.remove(connection, session, [])
        return False
    return search_index.remove(connection, session, turns)


def rebuild_index(connection: Connection) -> None:
    """Empty the search index and index every closed turn that can be read."""
    search_index.clear(connection)
    index_all(connection)


def index_all(connection: Connection) -> None:
    """Index every closed turn that can be read."""
    closed = select(_turn.session, _turn.number).where(_turn.state.in_(OVER)).order_by(_turn.session, _turn.number)
    for session, number in connection.execute(closed).all():
        try:
            turns = read_turns(connection, session, [number])
        except StoreError:
            continue  # reading the turn reports the damage
        for turn in turns:
            search_index.add(connection, turn)


def _remove_object(connection: Connection, session: str, number: int) -> None:
    """Remove the object, vectors and index entries of a turn that is opened again."""
    turns = read_turns(connection, session, [number])
    for table in (schema.objects, schema.vectors):
        connection.execute(delete(table).where(table.c.session == session, table.c.number == number))
    if not search_index.remove(connection, session, turns, number):
        # Marked open first: the rebuilt index must not hold it.
        its_row = (_turn.session == session, _turn.number == number)
        connection.execute(update(schema.turns).where(*its_row).values(state="open"))
        rebuild_index(connection)
