"""The tables, how a database is opened, and what its errors mean."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Column,
    Engine,
    Float,
    Insert,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    Update,
    create_engine,
    event,
    insert,
    inspect,
    select,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from agentkit.errors import ConfigError, StoreError, StoreVersionError
from agentkit.text import shorten

if TYPE_CHECKING:
    from sqlalchemy import Connection

SCHEMA_VERSION = 1

tables = MetaData()
meta = Table(
    "agentkit_meta", tables, Column("key", String(50), primary_key=True), Column("value", Text, nullable=False)
)
turns = Table(
    "agentkit_turn",
    tables,
    Column("session", String(200), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("state", String(12), nullable=False),  # open, closed, interrupted
    Column("owner", Text, nullable=False),  # who has it open: see owners.py
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
    Column("result", Text),  # what came of it; NULL until it is known
)
objects = Table(
    "agentkit_object",
    tables,
    Column("session", String(200), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("payload", Text, nullable=False),
)


class Database:
    """One opened database."""

    def __init__(self, location: str | None, *, durability: str, timeout_s: float) -> None:
        """Open a database and make its tables where they are missing.

        Args:
            location: A file's path or an SQLAlchemy URL; None for one in this process.
            durability: ``"normal"`` or ``"full"``, for SQLite.
            timeout_s: Seconds to wait for a lock, for SQLite.

        Raises:
            StoreError: It cannot be opened, or is no database.
            StoreVersionError: A newer agentkit made it.
        """
        url = _url(location)
        self.name = location or "the memory of this process"
        # One in this process has one connection, which threads must take turns with.
        self._alone = threading.RLock() if location is None else nullcontext()
        self.is_sqlite = url.get_backend_name() == "sqlite"
        try:
            self._engine = _engine(url, timeout_s)
        except (NoSuchModuleError, ImportError, ArgumentError) as error:
            raise ConfigError(
                f"The memory {shorten(self.name, 300)!r} cannot be used: {shorten(error)}. Give a file's path, or a URL "
                "whose driver is installed (PostgreSQL: pip install 'agentkit-cohere[postgres]')."
            ) from error
        if self.is_sqlite:
            _set_up_sqlite(self._engine, durability)
        self._compiled: dict[Insert | Update, str] = {}
        self._writing = self._engine.execution_options(agentkit_write=True)
        with self.translated(), self._writing.begin() as connection:
            self._check_schema(connection)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with self._alone, self.translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that writes; in SQLite it has the write lock from its start."""
        with self._alone, self.translated(), self._writing.begin() as connection:
            yield connection

    def write(self, statement: Insert | Update, rows: Sequence[Mapping[str, Any]]) -> None:
        """Execute one statement for each row, in a transaction of their own.

        This is what runs twice in every step of an agent. In SQLite the statement, compiled once by SQLAlchemy, goes
        straight to the driver, which takes a third of the time; elsewhere the network decides.
        """
        if not self.is_sqlite:
            with self.writing() as connection:
                connection.execute(statement, rows)
            return
        if statement not in self._compiled:
            self._compiled[statement] = str(statement.compile(dialect=sqlite.dialect(paramstyle="named")))
        sql = self._compiled[statement]
        try:
            with self._alone, closing(self._engine.raw_connection()) as connection:
                _execute_all(connection.cursor(), sql, rows)
        except sqlite3.Error as error:
            raise StoreError(_explained(self.name, str(error))) from error

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn what the driver raises into errors that say what to do; a conflict of keys is left as it is.

        Raises:
            StoreError: Anything the database refused.
        """
        try:
            yield
        except IntegrityError:
            raise
        except DBAPIError as error:
            raise StoreError(_explained(self.name, str(error.orig))) from error
        except SQLAlchemyError as error:
            raise StoreError(_explained(self.name, str(error))) from error

    def _check_schema(self, connection: Connection) -> None:
        if not inspect(connection).has_table(meta.name):
            tables.create_all(connection)
            connection.execute(insert(meta), {"key": "schema", "value": str(SCHEMA_VERSION)})
            return
        found = connection.execute(select(meta.c.value).where(meta.c.key == "schema")).scalar()
        if found is None or not found.isdigit():
            raise StoreError(
                f"The memory {shorten(self.name, 300)!r} has no readable schema version ({found!r}): restore it."
            )
        if int(found) > SCHEMA_VERSION:
            raise StoreVersionError(
                f"The memory {shorten(self.name, 300)!r} has schema {found}, this agentkit reads up to {SCHEMA_VERSION}: "
                "update agentkit, or use another database."
            )


def _execute_all(cursor: Any, sql: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if len(rows) == 1:  # a single statement is a transaction by itself
        cursor.execute(sql, rows[0])
        return
    cursor.execute("BEGIN IMMEDIATE")
    try:
        cursor.executemany(sql, rows)
    except BaseException:
        cursor.execute("ROLLBACK")
        raise
    cursor.execute("COMMIT")


def _url(location: str | None) -> URL:
    if location is None:
        return URL.create("sqlite", database=":memory:")
    if "://" not in location:
        return URL.create("sqlite", database=location)
    try:
        return make_url(location)
    except ArgumentError as error:
        raise ConfigError(
            f"The memory {shorten(location)!r} is no URL that SQLAlchemy reads: {shorten(error)}."
        ) from error


def _engine(url: URL, timeout_s: float) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    options: dict[str, Any] = {"connect_args": {"timeout": timeout_s, "check_same_thread": False}}
    if url.database in (None, "", ":memory:"):
        options["poolclass"] = StaticPool
    return create_engine(url, **options)


def _set_up_sqlite(engine: Engine, durability: str) -> None:
    """WAL, so that readers and one writer do not wait for each other; and transactions that begin as we say."""

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver's own BEGIN comes too late to take the write lock
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute(f"PRAGMA synchronous={'FULL' if durability == 'full' else 'NORMAL'}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        write = connection.get_execution_options().get("agentkit_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


_NEXT_STEPS = {
    "file is not a database": "it is another kind of file, or damaged; give another path",
    "malformed": "it is damaged; restore a copy, or give another path",
    "readonly": "it may not be written to; mend its permissions, or give another path",
    "read-only": "it may not be written to; mend its permissions, or give another path",
    "unable to open": "make its folder, mend its permissions, or give another path",
    "is locked": "another process is writing; try again, or give a longer timeout_s",
    "disk is full": "make room on the disk, and run again",
    "disk I/O error": "check the disk and the folder's permissions",
}


def _explained(name: str, said: str) -> str:
    step = next((step for sign, step in _NEXT_STEPS.items() if sign in said), "check the database and its address")
    hint = ""
    if "unable to open" in said and "://" not in name:
        path = Path(name)
        if path.is_dir():
            hint = " (it is a folder)"
        elif not path.parent.exists():
            hint = f" (there is no folder {shorten(path.parent, 200)})"
    return f"The memory {shorten(name, 300)!r} cannot be used: {shorten(said, 200)}{hint}. Next: {step}."
