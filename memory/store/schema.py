"""The tables, their versions, and the migration of an older database to the newest version.

Version 1: meta, turn, step, object. Version 2: passage and words (the search index) and vector.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import (
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import TSVECTOR

from agentkit.base.text import shorten
from agentkit.errors import StoreError, StoreVersionError

if TYPE_CHECKING:
    from sqlalchemy import Connection

SCHEMA_VERSION = 2

tables = MetaData()
meta = Table(
    "agentkit_meta", tables, Column("key", String(50), primary_key=True), Column("value", Text, nullable=False)
)
turns = Table(
    "agentkit_turn",
    tables,
    Column("session", String(200), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("state", String(12), nullable=False),  # open, paused, closed, interrupted
    Column("owner", Text, nullable=False),  # mark of the process that has it open: see owners.py
    Column("question", Text, nullable=False),
    Column("at", Float, nullable=False),  # seconds since 1970
    Column("payload", Text),  # the turn's JSON without its steps; NULL while it is open
)
steps = Table(
    "agentkit_step",
    tables,
    Column("session", String(200), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("at", Float, nullable=False),
    Column("call", Text, nullable=False),  # the step's JSON before it ran
    Column("result", Text),  # its result's JSON; NULL until it is known
)
objects = Table(
    "agentkit_object",
    tables,
    Column("session", String(200), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("payload", Text, nullable=False),
)
# Only the index is stored, not the text a second time; in SQLite it is an FTS5 table whose rowid is `id`.
passages = Table(
    "agentkit_passage",
    tables,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("session", String(200), nullable=False),
    Column("number", Integer, nullable=False),
    Column("place", Integer, nullable=False),  # 0: question and answer; from 1: the step
    Column("piece", Integer, nullable=False),  # a long text is indexed in pieces
    Column("checksum", Integer, nullable=False),  # of the indexed words, which FTS5 needs to remove an entry
    Column("words", Text().with_variant(TSVECTOR, "postgresql")),  # NULL in SQLite
    Index("agentkit_passage_of", "session", "number", "place"),
    sqlite_autoincrement=True,
)
Index("agentkit_passage_words", passages.c.words, postgresql_using="gin").ddl_if(dialect="postgresql")
vectors = Table(
    "agentkit_vector",
    tables,
    Column("session", String(200), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("piece", Integer, primary_key=True, autoincrement=False),
    Column("model", String(200), primary_key=True),  # name of the embeddings that made it
    Column("vector", LargeBinary, nullable=False),  # 32-bit floats, of length 1
)

OF_A_SESSION = (turns, steps, objects, vectors)
"""Tables whose rows are deleted with their session; the search index is emptied separately."""

_LOCK = 0x6167656E746B6974  # "agentkit", for PostgreSQL's advisory locks
_FTS = "CREATE VIRTUAL TABLE agentkit_words USING fts5(scope, words, content='', tokenize='unicode61')"


def is_current(connection: Connection) -> bool:
    """True if the tables exist in the newest version, so that nothing needs to be written."""
    if not inspect(connection).has_table(meta.name):
        return False
    return connection.execute(select(meta.c.value).where(meta.c.key == "schema")).scalar() == str(SCHEMA_VERSION)


def prepare(connection: Connection, name: str) -> bool:
    """Create the tables, or migrate older ones, in the caller's transaction.

    Args:
        connection: A transaction that writes.
        name: The database, for error messages.

    Returns:
        True if the turns that are stored must still be indexed.

    Raises:
        StoreError: The version cannot be read.
        StoreVersionError: A newer agentkit made it.
    """
    if connection.dialect.name == "postgresql":  # two processes may create the tables at once
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    if not inspect(connection).has_table(meta.name):
        tables.create_all(connection)
        _make_search(connection)
        connection.execute(insert(meta), {"key": "schema", "value": str(SCHEMA_VERSION)})
        return False
    found = connection.execute(select(meta.c.value).where(meta.c.key == "schema")).scalar()
    if found is None or not found.isdigit():
        raise StoreError(f"The memory {shorten(name)!r} has no readable schema version ({found!r}): restore it.")
    if int(found) > SCHEMA_VERSION:
        raise StoreVersionError(
            f"The memory {shorten(name)!r} has schema {found}, this agentkit reads up to {SCHEMA_VERSION}: "
            "update agentkit, or use another database."
        )
    if int(found) == SCHEMA_VERSION:
        return False
    tables.create_all(connection, tables=[passages, vectors])
    _make_search(connection)
    connection.execute(update(meta).where(meta.c.key == "schema").values(value=str(SCHEMA_VERSION)))
    return True


def _make_search(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(_FTS)
