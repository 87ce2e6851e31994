"""The search index in the database: FTS5 in SQLite, a tsvector with a GIN index in PostgreSQL."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select, text

from agentkit.memory.store import schema
from agentkit.memory.store.search_text import passages, pieces, words
from agentkit.turn import Turn

if TYPE_CHECKING:
    from sqlalchemy import Connection

_COLUMNS = "session, number, place, piece, checksum"
_VALUES = ":session, :number, :place, :piece, :checksum"
_ADD_SQLITE = f"INSERT INTO agentkit_passage ({_COLUMNS}) VALUES ({_VALUES})"
_ADD_WORDS = "INSERT INTO agentkit_words (rowid, scope, words) VALUES (?, ?, ?)"
_FORGET_WORDS = "INSERT INTO agentkit_words (agentkit_words, rowid, scope, words) VALUES ('delete', ?, ?, ?)"
_ADD_POSTGRES = text(f"INSERT INTO agentkit_passage ({_COLUMNS}, words) VALUES ({_VALUES}, CAST(:words AS tsvector))")
_FIND_SQLITE = text(
    "SELECT p.number, p.place, -bm25(agentkit_words, 0.0, 1.0) AS score FROM agentkit_words "
    "JOIN agentkit_passage p ON p.id = agentkit_words.rowid WHERE agentkit_words MATCH :query "
    "ORDER BY score DESC, p.number DESC, p.place LIMIT :most"
)

Found = tuple[int, int, float]
"""The turn's number, the place in it, and the score."""


def add(connection: Connection, turn: Turn) -> None:
    """Index a stored turn."""
    sqlite = connection.dialect.name == "sqlite"
    scope = _scope(turn.session)
    rows = []
    for row, found in _rows(turn):
        if sqlite:
            added = connection.exec_driver_sql(_ADD_SQLITE, row)
            connection.exec_driver_sql(_ADD_WORDS, (added.lastrowid, scope, found))
        else:
            rows.append({**row, "words": _vector(found.split())})
    if rows:
        connection.execute(_ADD_POSTGRES, rows)


def remove(connection: Connection, session: str, turns: Iterable[Turn], number: int | None = None) -> bool:
    """Remove a session, or one turn of it, from the index.

    Args:
        connection: A transaction that writes.
        session: The session.
        turns: The turns to remove, as they were indexed.
        number: The number of the one turn; None for the whole session.

    Returns:
        True if it is removed; False if a turn differs from what was indexed, so that the index must be rebuilt.
    """
    column = schema.passages.c
    these = column.session == session
    if number is not None:
        these = these & (column.number == number)
    if connection.dialect.name != "sqlite":
        connection.execute(delete(schema.passages).where(these))
        return True
    query = select(column.number, column.place, column.piece, column.id, column.checksum)
    known = {
        (number, place, piece): (id, checksum)
        for number, place, piece, id, checksum in connection.execute(query.where(these))
    }
    connection.execute(delete(schema.passages).where(these))
    for turn in turns:
        for row, found in _rows(turn):
            id, checksum = known.pop((row["number"], row["place"], row["piece"]), (0, None))
            if checksum != row["checksum"]:
                return False
            connection.exec_driver_sql(_FORGET_WORDS, (id, _scope(session), found))
    return not known


def clear(connection: Connection) -> None:
    """Empty the index, before it is rebuilt."""
    connection.execute(delete(schema.passages))
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("INSERT INTO agentkit_words (agentkit_words) VALUES ('delete-all')")


def compact(connection: Connection) -> None:
    """Merge the index's segments, so that nothing is left of removed entries."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("INSERT INTO agentkit_words (agentkit_words) VALUES ('optimize')")


def find(connection: Connection, session: str, wanted: Sequence[tuple[str, ...]], limit: int) -> list[Found]:
    """Return the passages of a session that hold any of the phrases, best first, each place once."""
    finder: Callable[..., list[Found]] = _in_sqlite if connection.dialect.name == "sqlite" else _in_postgres
    rows = finder(connection, session, wanted, 4 * limit)
    best: dict[tuple[int, int], Found] = {}
    for row in rows:
        best.setdefault((row[0], row[1]), row)
    return list(best.values())[:limit]


def _in_sqlite(connection: Connection, session: str, wanted: Sequence[tuple[str, ...]], most: int) -> list[Found]:
    either = " OR ".join(f'"{" ".join(phrase)}"' for phrase in wanted)
    query = f'{{scope}} : "{_scope(session)}" AND {{words}} : ({either})'
    rows = connection.execute(_FIND_SQLITE, {"query": query, "most": most})
    return [(number, place, float(score)) for number, place, score in rows]


def _in_postgres(connection: Connection, session: str, wanted: Sequence[tuple[str, ...]], most: int) -> list[Found]:
    # PostgreSQL's rank ignores how rare a word is, so order by the number of phrases matched, then by its rank.
    terms = {f"p{i}": " <-> ".join(f"'{word}'" for word in phrase) for i, phrase in enumerate(wanted)}
    matched = " + ".join(f"(words @@ CAST(:{name} AS tsquery))::int" for name in terms)
    rank = "ts_rank(words, CAST(:query AS tsquery), 1)"
    statement = text(
        f"SELECT number, place, {matched} + {rank} AS score FROM agentkit_passage "
        "WHERE session = :session AND words @@ CAST(:query AS tsquery) "
        "ORDER BY score DESC, number DESC, place LIMIT :most"
    )
    query = " | ".join(f"({term})" for term in terms.values())
    rows = connection.execute(statement, {**terms, "query": query, "session": session, "most": most})
    return [(number, place, float(score)) for number, place, score in rows]


def _rows(turn: Turn) -> Iterable[tuple[dict[str, Any], str]]:
    for place, content in passages(turn):
        for number, piece in enumerate(pieces(words(content))):
            found = " ".join(piece)
            key = {"session": turn.session, "number": turn.number, "place": place, "piece": number}
            # PostgreSQL's integers are signed.
            yield {**key, "checksum": zlib.crc32(found.encode()) & 0x7FFFFFFF}, found


def _scope(session: str) -> str:
    """Return a word that identifies the session, so that the index itself restricts the search to it."""
    return "s" + hashlib.sha256(session.encode()).hexdigest()[:20]


def _vector(found: Sequence[str]) -> str:
    """Return words and their positions in the text form of a tsvector."""
    return " ".join(f"'{word}':{place}" for place, word in enumerate(found, 1))
