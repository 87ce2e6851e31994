"""The statements that write a running turn: each changes it only as long as whoever sends it has it open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, insert, literal_column, select, update

from agentkit.base.text import shorten
from agentkit.errors import StoreError
from agentkit.memory.store import schema


@dataclass(frozen=True, slots=True)
class TurnKey:
    """Which turn, and the mark of whoever has it open."""

    session: str
    number: int
    owner: str

    def guard(self) -> dict[str, Any]:
        """What the guarded statements ask for."""
        return {"of_session": self.session, "of_number": self.number, "of_owner": self.owner}

    def taken(self) -> StoreError:
        """The error for a turn that somebody else has closed."""
        return StoreError(
            f"Turn {self.number} of session {shorten(self.session)!r} was closed by another process, which took this "
            "one for dead: the steps written until then are kept, the rest is not. Run again."
        )


_turn, _step = schema.turns.c, schema.steps.c
_MINE = (
    _turn.session == bindparam("of_session"),
    _turn.number == bindparam("of_number"),
    _turn.state == literal_column("'open'"),
    _turn.owner == bindparam("of_owner"),
)
# In PostgreSQL, whoever is closing the turn at this moment is waited for; SQLite has one writer anyway.
_IS_MINE = select(_turn.number).where(*_MINE).with_for_update().exists()

ADD_STEP = insert(schema.steps).from_select(
    [column.name for column in schema.steps.columns],
    select(*(bindparam(column.name, type_=column.type) for column in schema.steps.columns)).where(_IS_MINE),
)
ADD_RESULT = (
    update(schema.steps)
    .where(
        _step.session == bindparam("of_session"),
        _step.number == bindparam("of_number"),
        _step.place == bindparam("at_place"),
        _IS_MINE,
    )
    .values(result=bindparam("result"), at=bindparam("at"))
)
CHANGE_CALL = ADD_RESULT.values(call=bindparam("call"))
# A paused turn has no owner, and whoever paused it must not close it: so this is guarded as well.
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
PAUSE_TURN = (
    update(schema.turns)
    .where(*_MINE)
    .values(state=literal_column("'paused'"), payload=bindparam("payload"), owner=literal_column("''"))
)
