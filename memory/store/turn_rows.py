"""The parts of writing a turn, each inside a transaction that somebody else begins and ends."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select, text, update

from agentkit.errors import StoreError
from agentkit.memory.condense.condensing import Kept, Prepared
from agentkit.memory.condense.summarise import with_facts
from agentkit.memory.objects import MemoryObject
from agentkit.memory.store import guarded_writes, schema, search_index
from agentkit.memory.store.guarded_writes import TurnKey
from agentkit.memory.store.reader import OVER, read_turns
from agentkit.memory.store.stored_json import call_json, result_json, to_json, turn_json
from agentkit.turn import Step, Turn

if TYPE_CHECKING:
    from sqlalchemy import Connection


def lock(connection: Connection, session: str) -> None:
    """Keep other writers of the session out until the transaction ends; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        key = int.from_bytes(hashlib.sha256(session.encode()).digest()[:8], signed=True)
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})


def last_turn(connection: Connection, session: str) -> Any:
    """Number, state, owner, time and question of the session's last turn; None where there is none."""
    turn = schema.turns.c
    query = select(turn.number, turn.state, turn.owner, turn.at, turn.question).where(turn.session == session)
    return connection.execute(query.order_by(turn.number.desc()).limit(1)).first()


def open_turn(connection: Connection, key: TurnKey) -> tuple[str | None, list[tuple[str, str | None]]]:
    """The question of a turn that its owner has open, and the rows of its steps; no question if it is closed.

    A paused turn is one without an owner.
    """
    turn, step = schema.turns.c, schema.steps.c
    mine = (turn.session == key.session, turn.number == key.number, turn.owner == key.owner, turn.state.not_in(OVER))
    question = connection.execute(select(turn.question).where(*mine)).scalar()
    of_it = (step.session == key.session, step.number == key.number)
    rows = connection.execute(select(step.call, step.result).where(*of_it).order_by(step.place)).all()
    return question, [(call, result) for call, result in rows]


def close_turn(connection: Connection, key: TurnKey, prepared: Prepared, state: str) -> bool:
    """Close a turn that its owner has open, or a paused one, index it and add its object; False where it is neither."""
    row = {"new_state": state, "payload": turn_json(prepared.turn), **key.guard()}
    if connection.execute(guarded_writes.CLOSE_TURN, row).rowcount != 1:
        return False
    search_index.add(connection, prepared.turn)
    add_object(connection, prepared.turn, prepared.facts)
    return True


def add_object(connection: Connection, turn: Turn, kept: Sequence[Kept]) -> MemoryObject:
    """Make and add the object of a turn of whose results this is kept."""
    remembered = with_facts(turn, kept)
    insert_object(connection, remembered)
    return remembered


def forget_object(connection: Connection, session: str, number: int) -> None:
    """Undo what closing a turn did beside closing it."""
    turns = read_turns(connection, session, [number])
    for table in (schema.objects, schema.vectors):
        connection.execute(delete(table).where(table.c.session == session, table.c.number == number))
    if not search_index.remove(connection, session, turns, number):
        search_index.clear(connection)
        mine = (schema.turns.c.session == session, schema.turns.c.number == number)
        connection.execute(update(schema.turns).where(*mine).values(state="open"))
        index_all(connection)


def insert_object(connection: Connection, remembered: MemoryObject) -> None:
    """Add an object that is made."""
    row = {"session": remembered.session, "number": remembered.number, "payload": to_json(remembered)}
    connection.execute(insert(schema.objects), row)


def step_row(key: Mapping[str, Any], place: int, step: Step, *, with_result: bool) -> dict[str, Any]:
    """The row of a step at its place; `key` is its session, number and time."""
    result = result_json(step) if with_result or step.result is not None else None
    return {**key, "place": place, "call": call_json(step), "result": result}


def unindex(connection: Connection, session: str) -> bool:
    """Take a session out of the index; False where the index must be built anew."""
    try:
        turns = read_turns(connection, session)
    except StoreError:  # damaged, so nobody knows what was indexed
        return search_index.remove(connection, session, []) and False
    return search_index.remove(connection, session, turns)


def index_all(connection: Connection) -> None:
    """Index every turn that can be read."""
    turn = schema.turns.c
    closed = select(turn.session, turn.number).where(turn.state.in_(OVER)).order_by(turn.session, turn.number)
    for session, number in connection.execute(closed).all():
        try:
            found = read_turns(connection, session, [number])
        except StoreError:
            continue  # damaged: reading it says so
        for one in found:
            search_index.add(connection, one)
