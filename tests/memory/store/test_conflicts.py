"""Two programs that write the same turn at once, without waiting for each other."""

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import IntegrityError
from support.turns import TURN

from agentkit import SessionBusyError


@pytest.fixture
def conflicts():
    """How many of the next turns are refused, as if another program had just written a turn of that number."""
    left = [0]

    def refuse(connection, cursor, statement, parameters, context, executemany):
        if statement.startswith("INSERT INTO agentkit_turn ") and left[0]:
            left[0] -= 1
            raise IntegrityError(statement, parameters, Exception("a turn of that number exists"))

    event.listen(Engine, "before_cursor_execute", refuse)
    yield left
    event.remove(Engine, "before_cursor_execute", refuse)


def test_a_number_that_another_program_took_is_not_the_end(memory, conflicts):
    memory.append("s", TURN)
    conflicts[0] = 1
    assert memory.append("s", TURN).number == 2
    assert conflicts == [0]


def test_a_session_whose_every_number_is_taken_is_busy(memory, conflicts):
    conflicts[0] = 1000
    with pytest.raises(SessionBusyError):
        memory.append("s", TURN)
    conflicts[0] = 0
    assert memory.append("s", TURN).number == 1
