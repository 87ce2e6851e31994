"""`agentkit sessions` and the databases that commands read."""

import sqlite3
from contextlib import closing

from support.command_line import stored

from agentkit.memory import Memory


def test_a_database_of_something_else_is_only_read(cli, folder):
    for name, tables in (("other.db", ["CREATE TABLE mine (x)"]), ("empty.db", [])):
        with closing(sqlite3.connect(folder / name)) as other:
            for statement in tables:
                other.execute(statement)
            other.commit()
        (folder / name).touch()
        before = (folder / name).read_bytes()
        for command in (["sessions"], ["show", "s"]):
            code, out, err = cli(*command, "--memory", name)
            assert (code, out) == (2, "")
            assert f"'{name}' is not a database of agentkit" in err
        assert (folder / name).read_bytes() == before


def test_no_session_yet_is_said(cli, folder):
    stored("new.db", Memory.sessions)
    assert cli("sessions", "--memory", "new.db") == (0, "", "No sessions yet in new.db.\n")
