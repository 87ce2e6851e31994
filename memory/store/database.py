"""`Database`: opens, writes and compacts an SQLite or PostgreSQL database, and explains its errors."""

from __future__ import annotations

import math
import sqlite3
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, Insert, Update, create_engine, event
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from agentkit.base.text import shorten
from agentkit.errors import ConfigError, StoreError
from agentkit.memory.store import schema
from agentkit.memory.store.url import without_password

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.engine.interfaces import DBAPICursor

_BACKENDS = ("sqlite", "postgresql")
_IN_PROCESS = (None, "", ":memory:")
# Without this option, SQLAlchemy does not report how many rows an INSERT wrote.
_COUNTED = {"preserve_rowcount": True}


class _NotWritten(Exception):
    """A guarded statement matched no row."""


class Database:
    """An open database."""

    def __init__(self, location: str | None, *, durability: str, timeout_s: float) -> None:
        """Set up the connections; the first is made at first use.

        Args:
            location: A file's path or an SQLAlchemy URL; None for one in this process.
            durability: ``"normal"`` or ``"full"``, for SQLite.
            timeout_s: Seconds to wait for SQLite's lock, or for a PostgreSQL server to answer.

        Raises:
            ConfigError: The URL cannot be read, or its driver is not installed.
        """
        url = _url(location)
        self.name = "the memory of this process" if location is None else without_password(location)
        self.is_sqlite = url.get_backend_name() == "sqlite"
        in_process = self.is_sqlite and url.database in _IN_PROCESS
        # A database in this process has a single connection, used by one thread at a time.
        self._alone = threading.RLock() if in_process else nullcontext()
        self._on_disk = self.is_sqlite and not in_process
        try:
            self._engine = _engine(url, timeout_s)
        except (NoSuchModuleError, ImportError, ArgumentError) as error:
            raise ConfigError(
                f"The memory {shorten(self.name, 300)!r} cannot be used: {shorten(error)}. Give a file's path, "
                "or a URL whose driver is installed (PostgreSQL: pip install 'agentkit-cohere[postgres]')."
            ) from error
        # Close the connections of a memory that is dropped without close().
        weakref.finalize(self, self._engine.dispose)
        if self.is_sqlite:
            _set_up_sqlite(self._engine, durability)
        self._compiled: dict[Insert | Update, str] = {}
        self._writing = self._engine.execution_options(agentkit_write=True)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that only reads."""
        with self._alone, self.translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that writes; in SQLite it holds the write lock from its start."""
        with self._alone, self.translated(), self._writing.begin() as connection:
            yield connection

    def write(self, statement: Insert | Update, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Execute one statement for each row, in a transaction of their own.

        Returns:
            True if each of them wrote a row; otherwise none is written.

        This runs twice in every step of an agent, so in SQLite the statement, compiled once by SQLAlchemy, goes
        straight to the driver, which takes a third of the time. In PostgreSQL the network takes most of it.
        """
        if not self.is_sqlite:
            try:
                with self.writing() as connection:
                    for row in rows:
                        if connection.execute(statement, row, execution_options=_COUNTED).rowcount != 1:
                            raise _NotWritten
            except _NotWritten:
                return False
            except IntegrityError as error:
                raise StoreError(_explained(self.name, str(error.orig))) from error
            return True
        if statement not in self._compiled:
            self._compiled[statement] = str(statement.compile(dialect=sqlite.dialect(paramstyle="named")))
        sql = self._compiled[statement]
        try:
            with self._alone, closing(self._engine.raw_connection()) as connection:
                return _execute_all(connection.cursor(), sql, rows)
        except sqlite3.Error as error:
            raise StoreError(_explained(self.name, str(error))) from error

    def compact(self) -> None:
        """Rewrite the tables: wipe deleted bytes and free their space.

        Raises:
            StoreError: The database refused, or another connection still reads old bytes.
        """
        if not self.is_sqlite:
            with self.translated(), self._engine.connect() as connection:
                alone = connection.execution_options(isolation_level="AUTOCOMMIT")
                for table in schema.tables.sorted_tables:
                    alone.exec_driver_sql(f"VACUUM FULL {table.name}")
            return
        try:
            with self._alone, closing(self._engine.raw_connection()) as raw:
                cursor = raw.cursor()
                cursor.execute("VACUUM")
                busy = self._on_disk and cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.Error as error:
            raise StoreError(_explained(self.name, str(error))) from error
        if busy:
            raise StoreError(
                f"The memory {shorten(self.name)!r} is being read by another connection, so its -wal file still holds "
                "deleted bytes (the sessions themselves are gone). Call compact() when nobody reads."
            )

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Translate the driver's errors into StoreError with a next step; IntegrityError passes unchanged.

        Raises:
            StoreError: The database refused.
        """
        try:
            yield
        except IntegrityError:
            raise
        except DBAPIError as error:
            raise StoreError(_explained(self.name, str(error.orig))) from error
        except SQLAlchemyError as error:
            raise StoreError(_explained(self.name, str(error))) from error


def _execute_all(cursor: DBAPICursor, sql: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    if len(rows) == 1:  # a single statement is a transaction by itself
        return bool(cursor.execute(sql, rows[0]).rowcount == 1)
    cursor.execute("BEGIN IMMEDIATE")
    try:
        complete = bool(cursor.executemany(sql, rows).rowcount == len(rows))
    except BaseException:
        if cursor.connection.in_transaction:  # SQLite rolls back by itself when the disk is full
            cursor.execute("ROLLBACK")
        raise
    cursor.execute("COMMIT" if complete else "ROLLBACK")
    return complete


def _url(location: str | None) -> URL:
    if location is None:
        return URL.create("sqlite", database=":memory:")
    if "://" not in location:
        return URL.create("sqlite", database=location)
    shown = shorten(without_password(location))
    try:
        url = make_url(location)
    except ArgumentError as error:
        raise ConfigError(
            f"The memory {shown!r} is no SQLAlchemy URL: write it like "
            "postgresql+psycopg://user:password@host/database, or give a file's path."
        ) from error
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")  # the driver agentkit-cohere[postgres] installs
    if url.get_backend_name() not in _BACKENDS:
        raise ConfigError(f"The memory {shown!r} is neither SQLite nor PostgreSQL: give the URL of one of these.")
    return url


def _engine(url: URL, timeout_s: float) -> Engine:
    if url.get_dialect().is_async:
        raise ArgumentError(f"{url.drivername} is an asyncio driver; use {url.get_backend_name()}")
    if url.get_backend_name() != "sqlite":
        waits = {} if "connect_timeout" in url.query else {"connect_timeout": max(2, math.ceil(timeout_s))}
        return create_engine(url, pool_pre_ping=True, connect_args=waits)
    options: dict[str, Any] = {"connect_args": {"timeout": timeout_s, "check_same_thread": False}}
    if url.database in _IN_PROCESS:
        options["poolclass"] = StaticPool
    return create_engine(url, **options)


def _set_up_sqlite(engine: Engine, durability: str) -> None:
    """Use WAL, so that readers and the writer do not wait for each other, and begin transactions ourselves."""

    @event.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # the driver's own BEGIN comes too late to take the write lock
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
            connection.execute(f"PRAGMA synchronous={'FULL' if durability == 'full' else 'NORMAL'}").close()
        except BaseException:
            connection.close()  # the pool does not own it yet
            raise

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        write = connection.get_execution_options().get("agentkit_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


_NEXT_STEPS = {
    "file is not a database": "it is another kind of file, or it is damaged; give another path",
    "malformed": "it is damaged; restore a copy, or give another path",
    "readonly": "it is read-only; change its permissions, or give another path",
    "read-only": "it is read-only; change its permissions, or give another path",
    "unable to open": "create its folder, change its permissions, or give another path",
    "is locked": "another process is writing; try again, or give a longer timeout_s",
    "disk is full": "free space on the disk, and run again",
    "disk I/O error": "check the disk and the folder's permissions",
    "No space left": "free space on the server's disk, and run again",
    "no such module: fts5": "use a Python whose SQLite has FTS5, such as those of python.org, Debian and conda",
    "password authentication": "check user and password in the URL",
    "onnection refused": "start the server, or check host and port in the URL",
    "could not translate host": "check the host in the URL",
    "failed to resolve host": "check the host in the URL",
    "timeout expired": "check host and port in the URL, or give a longer timeout_s",
    "does not exist": "create that database or role, or check the URL",
    "ermission denied": "grant this role the right to create and use tables",
}


def _explained(name: str, said: str) -> str:
    step = next((step for sign, step in _NEXT_STEPS.items() if sign in said), "check the database and its URL")
    hint = ""
    if "unable to open" in said and "://" not in name:
        path = Path(name)
        if path.is_dir():
            hint = " (it is a folder)"
        elif not path.parent.exists():
            hint = f" (there is no folder {shorten(path.parent, 200)})"
    return f"The memory {shorten(name, 300)!r} cannot be used: {shorten(said, 200)}{hint}. Next: {step}."
