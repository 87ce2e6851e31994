"""How a database is opened, written to and compacted, and what its errors mean."""

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

_BACKENDS = ("sqlite", "postgresql")
_IN_PROCESS = (None, "", ":memory:")
# Without it, SQLAlchemy does not keep how many rows an INSERT wrote.
_COUNTED = {"preserve_rowcount": True}


class _NotWritten(Exception):
    """A guarded statement found nothing to write to."""


class Database:
    """One opened database."""

    def __init__(self, location: str | None, *, durability: str, timeout_s: float) -> None:
        """Open a database and make its tables where they are missing.

        Args:
            location: A file's path or an SQLAlchemy URL; None for one in this process.
            durability: ``"normal"`` or ``"full"``, for SQLite.
            timeout_s: Seconds to wait for SQLite's lock, or for a PostgreSQL server to answer.

        Raises:
            StoreError: It cannot be opened, or is no database.
            StoreVersionError: A newer agentkit made it.
        """
        url = _url(location)
        self.name = "the memory of this process" if location is None else without_password(location)
        self.is_sqlite = url.get_backend_name() == "sqlite"
        in_process = self.is_sqlite and url.database in _IN_PROCESS
        # One in this process has one connection, which threads must take turns with.
        self._alone = threading.RLock() if in_process else nullcontext()
        self._on_disk = self.is_sqlite and not in_process
        try:
            self._engine = _engine(url, timeout_s)
        except (NoSuchModuleError, ImportError, ArgumentError) as error:
            raise ConfigError(
                f"The memory {shorten(self.name, 300)!r} cannot be used: {shorten(error)}. Give a file's path, "
                "or a URL whose driver is installed (PostgreSQL: pip install 'agentkit-cohere[postgres]')."
            ) from error
        # A memory that is dropped and not closed must not leave its connections open.
        weakref.finalize(self, self._engine.dispose)
        if self.is_sqlite:
            _set_up_sqlite(self._engine, durability)
        self._compiled: dict[Insert | Update, str] = {}
        self._writing = self._engine.execution_options(agentkit_write=True)

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

    def write(self, statement: Insert | Update, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Execute one statement for each row, in a transaction of their own.

        Returns:
            Whether each of them wrote a row; if not, none has.

        This is what runs twice in every step of an agent. In SQLite the statement, compiled once by SQLAlchemy, goes
        straight to the driver, which takes a third of the time; elsewhere the network decides.
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
        """Write the tables anew, so that nothing is left of what was deleted, and give back the space.

        Raises:
            StoreError: It cannot be done now.
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
                "bytes of what was deleted (the sessions themselves are gone). Call compact() when nobody reads."
            )

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


def _execute_all(cursor: Any, sql: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    if len(rows) == 1:  # a single statement is a transaction by itself
        return bool(cursor.execute(sql, rows[0]).rowcount == 1)
    cursor.execute("BEGIN IMMEDIATE")
    try:
        complete = bool(cursor.executemany(sql, rows).rowcount == len(rows))
    except BaseException:
        if cursor.connection.in_transaction:  # a full disk has ended it already
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
            f"The memory {shown!r} is no URL that SQLAlchemy reads: write it like "
            "postgresql+psycopg://user:password@host/database, or give a file's path."
        ) from error
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")  # the driver agentkit-cohere[postgres] installs
    if url.get_backend_name() not in _BACKENDS:
        raise ConfigError(f"The memory {shown!r} is the URL of another database: give one of SQLite or PostgreSQL.")
    return url


def _engine(url: URL, timeout_s: float) -> Engine:
    if url.get_dialect().is_async:
        raise ArgumentError(f"{url.drivername} is a driver for asyncio; take {url.get_backend_name()}")
    if url.get_backend_name() != "sqlite":
        waits = {} if "connect_timeout" in url.query else {"connect_timeout": max(2, math.ceil(timeout_s))}
        return create_engine(url, pool_pre_ping=True, connect_args=waits)
    options: dict[str, Any] = {"connect_args": {"timeout": timeout_s, "check_same_thread": False}}
    if url.database in _IN_PROCESS:
        options["poolclass"] = StaticPool
    return create_engine(url, **options)


def _set_up_sqlite(engine: Engine, durability: str) -> None:
    """WAL, so that readers and one writer do not wait for each other; and transactions that begin as we say."""

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver's own BEGIN comes too late to take the write lock
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
            connection.execute(f"PRAGMA synchronous={'FULL' if durability == 'full' else 'NORMAL'}").close()
        except BaseException:
            connection.close()  # the pool does not know it yet
            raise

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
    "No space left": "make room on the server's disk, and run again",
    "no such module: fts5": "use a Python whose SQLite has FTS5, as those of python.org, Debian and conda have",
    "password authentication": "check user and password in the URL",
    "onnection refused": "start the server, or check host and port in the URL",
    "could not translate host": "check the host in the URL",
    "failed to resolve host": "check the host in the URL",
    "timeout expired": "check host and port in the URL, or give a longer timeout_s",
    "does not exist": "make that database or role, or check the URL",
    "ermission denied": "grant this role the right to make and use tables",
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
