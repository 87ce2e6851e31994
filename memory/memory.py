"""`Memory`: stores the turns of sessions and replays them as chat messages."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TextIO, TypeVar

from langchain_core.messages import BaseMessage

from agentkit.base.jsonable import storable
from agentkit.base.sessions import check_session
from agentkit.base.text import clean, shorten
from agentkit.errors import ConfigError, InputError, SessionBusyError
from agentkit.memory.condense.condensing import Condense
from agentkit.memory.objects import MemoryObject
from agentkit.memory.redact import redact_turn
from agentkit.memory.replay.fitting import Plans
from agentkit.memory.replay.messages import NEWEST_CHARS, CountTokens, check_mode, estimate_tokens, replay
from agentkit.memory.store.url import without_password
from agentkit.turn import Turn

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

    from agentkit.memory.recall import RecallTool
    from agentkit.memory.replay.explain import Explanation
    from agentkit.memory.store.open_turn import OpenTurn
    from agentkit.memory.store.reader import SessionInfo
    from agentkit.memory.store.search_text import Hit
    from agentkit.memory.store.store import Store

_T = TypeVar("_T")

MAX_WAIT_S = 86_400


class Memory:
    """Stores the turns of many sessions in an SQL database and replays them as chat messages.

    Append-only: neither a closed turn nor its memory object is ever changed; only a session's last turn can be
    continued, if it was interrupted (see `resume`). Several threads may use a memory, and several processes a
    database: a session can have one turn open at a time.
    """

    def __init__(
        self,
        url: str | os.PathLike[str] | None = None,
        *,
        replay: str = "objects",
        count_tokens: CountTokens | None = None,
        max_tokens: int | None = None,
        newest_chars: int = NEWEST_CHARS,
        durability: str = "normal",
        timeout_s: float = 5.0,
        wait_s: float = 0.0,
        redact: Callable[[str], str] | None = None,
        embeddings: Embeddings | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Name a database, which is opened, or created, at first use.

        Args:
            url: A file's path, or an SQLAlchemy URL (``postgresql+psycopg://...``). None or ``":memory:"`` keeps
                everything in this process.
            replay: How `replay` shows earlier turns: ``"objects"`` (a note of what was done below each question),
                ``"calls"`` (the tool calls themselves, results condensed), ``"dialogue"`` (question and
                answer), ``"answers"``, or ``"none"``.
            count_tokens: Returns the tokens of a text, for budgets. None for an offline estimate on the high side:
                one token for three bytes of UTF-8.
            max_tokens: The budget of every replay that is given none of its own; None for no limit.
            newest_chars: Characters of each result of the newest turn that are replayed; results of older turns are
                replayed in less. They count in the budget like everything else.
            durability: For SQLite: ``"normal"`` survives the death of the process (``kill -9``) but may lose the
                last turns in a power cut; ``"full"`` survives that too, and is slower.
            timeout_s: Seconds to wait for SQLite's write lock, or for a PostgreSQL server to answer, up to a day.
            wait_s: Seconds to wait, blocking this thread, for a session whose turn is running, before
                SessionBusyError is raised; 0 raises at once, a day is the limit.
            redact: Returns a text redacted. It is called for every text of a turn before any of it is stored:
                questions, answers, thinking, names, arguments and results of tools, and text files. Session names
                are stored unchanged.
            embeddings: LangChain embeddings, to search by meaning too. `search` and the ``recall`` tool call them,
                once for each text, and store the vectors.
            clock: Returns seconds since 1970.

        Raises:
            ConfigError: A value is not allowed.
        """
        if durability not in ("normal", "full"):
            raise ConfigError(f"durability is {shorten(repr(durability))}: give 'normal' or 'full'.")
        check_budget(max_tokens)
        if not isinstance(newest_chars, int) or isinstance(newest_chars, bool) or newest_chars < 1:
            raise ConfigError(f"newest_chars is {shorten(repr(newest_chars))}: give a whole number from 1.")
        _check_seconds("timeout_s", timeout_s)
        _check_seconds("wait_s", wait_s)
        if count_tokens is not None and not callable(count_tokens):
            raise ConfigError(f"count_tokens is {shorten(repr(count_tokens))}: give a function from text to a number.")
        if redact is not None and not callable(redact):
            raise ConfigError(f"redact is {shorten(repr(redact))}: give a function from text to text.")
        location = os.fspath(url) if isinstance(url, os.PathLike) else url
        if location is not None and (not isinstance(location, str) or not location.strip() or "\x00" in location):
            raise ConfigError(f"The memory is {shorten(repr(location))}: give a file's path or an SQLAlchemy URL.")
        self._location = None if location == ":memory:" else location
        self._mode = check_mode(replay)
        self._count = estimate_tokens if count_tokens is None else _checked(count_tokens)
        self._max_tokens = max_tokens
        self._newest_chars = newest_chars
        self._plans = Plans()
        self._durability = durability
        self._timeout_s = timeout_s
        self._wait_s = wait_s
        self._redact = redact
        self._embeddings = embeddings
        self._clock = clock
        self._opened: Store | None = None
        self._close: Callable[[], None] | None = None
        self._lock = threading.Lock()

    def append(self, session: str, turn: Turn, *, condense: Mapping[str, Condense] | None = None) -> MemoryObject:
        """Store a finished turn as the session's next one.

        Args:
            session: The session; it need not exist.
            turn: The turn; its session and number are replaced.
            condense: How particular tools condense their steps, by tool name (`ToolPolicy.condense`).

        Returns:
            The turn's memory object.

        Raises:
            InputError: `turn` is no Turn.
            SessionError: An impossible session name.
            SessionBusyError: A turn of the session is running, and did not end within ``wait_s``.
            StoreError: The database cannot be used.
        """
        check_session(session)
        if not isinstance(turn, Turn):
            raise InputError(f"append() was given {shorten(repr(turn))}: give a Turn.")
        own = condense or {}
        prepared = self._store().prepare(turn, own)
        return self._patiently(lambda: self._store().append(session, prepared, own))

    def begin(self, session: str, question: str, *, condense: Mapping[str, Condense] | None = None) -> OpenTurn:
        """Open the session's next turn, to store its steps as they happen.

        A turn that a dead process left open is closed first.

        Args:
            session: The session; it need not exist.
            question: The question.
            condense: As for `append`.

        Raises:
            SessionError: An impossible session name.
            SessionBusyError: A turn of the session is running, here or in another process, and did not end within
                ``wait_s``.
            StoreError: The database cannot be used.
        """
        check_session(session)
        return self._patiently(lambda: self._store().open(session, clean(question), condense or {}))

    def resume(self, session: str, *, condense: Mapping[str, Condense] | None = None) -> tuple[OpenTurn, Turn]:
        """Continue the session's last turn, if it was paused, interrupted, or left open by a dead process.

        Args:
            session: The session.
            condense: As for `append`.

        Returns:
            The open turn, and what is stored of it. Steps that were running when it was interrupted have a result
            with the error ``interrupted``; steps that wait for approval are in `Turn.pending`.

        Raises:
            SessionError: There is no such session.
            SessionBusyError: It is running, and did not end within ``wait_s``.
            InputError: Its last turn is over.
            StoreError: The database cannot be used.
        """
        check_session(session)
        return self._patiently(lambda: self._store().reopen(session, condense or {}))

    def unfinished(self, session: str) -> Turn | None:
        """Return the session's last turn if `resume` could continue it: question, steps so far, pending calls.

        Returns:
            The turn; None if the last one is over or running.

        Raises:
            SessionError: There is no such session.
            StoreError: The database cannot be used.
        """
        return self._store().unfinished(check_session(session))

    def as_stored(self, turn: Turn) -> Turn:
        """Return a turn as `append` would store it: redacted, and without what no database can hold.

        Raises:
            ConfigError: ``redact`` raised, or returned no text.
        """
        return storable(redact_turn(storable(turn), self._redact))

    def turns(self, session: str) -> list[Turn]:
        """Return every closed or interrupted turn of a session, whole, oldest first.

        Raises:
            SessionError: There is no such session.
            StoreError: The database cannot be used, or a turn in it cannot be read.
        """
        return self._store().turns(check_session(session))

    def objects(self, session: str) -> list[MemoryObject]:
        """Return the memory object of each turn of a session, oldest first.

        Raises:
            SessionError: There is no such session.
            StoreError: The database cannot be used, or an object in it cannot be read.
        """
        return self._store().objects(check_session(session))

    def sessions(self) -> list[SessionInfo]:
        """Return all sessions, last used first.

        Raises:
            StoreError: The database cannot be used.
        """
        return self._store().sessions()

    def replay(self, session: str, max_tokens: int | None = None) -> list[BaseMessage]:
        """Return a session's earlier turns as chat messages for a model; an empty list if there are none.

        Args:
            session: The session.
            max_tokens: The budget of all messages together, by this memory's counter (the tokens of each message's
                text, and 1 for the message); None for the memory's own ``max_tokens``. If that is None too, there
                is no limit, and a replay without its newest turn is the beginning of the next one.

        Raises:
            InputError: `max_tokens` is no whole number from 1, or too small for the shortest replay, one line.
            StoreError: The database cannot be used.
        """
        check_budget(max_tokens)
        check_session(session)
        if self._mode == "none":
            return []
        newest_first = self._store().newest_objects(session)
        budget = self._max_tokens if max_tokens is None else max_tokens
        return replay(
            newest_first,
            self._mode,
            max_tokens=budget,
            count=self._count,
            newest_chars=self._newest_chars,
            plans=self._plans,
        )

    def search(self, session: str, words: str, limit: int = 5, *, by: str | None = None) -> list[Hit]:
        """Search a session's questions, answers, tool inputs and whole tool results.

        Args:
            session: The session.
            words: The words to search for; a hit has at least one of them, and rare words count more.
            limit: The most hits to return, from 1.
            by: ``"words"``, ``"meaning"`` (needs ``embeddings``), or None for both if there are embeddings.

        Returns:
            The hits, best first; none if nothing matches.

        Raises:
            InputError: There are no words, or an impossible limit.
            ConfigError: By meaning, without embeddings.
            SessionError: There is no such session.
            StoreError: The database cannot be used.
        """
        from agentkit.memory.search import find

        return find(self._store(), check_session(session), words, limit, by, self._embeddings)

    def recall_tool(self, session: str | None = None, replayed: Sequence[BaseMessage] = ()) -> RecallTool | None:
        """Return the tool with which a model opens what the replay omits, and searches the session.

        Args:
            session: The session to check for omissions; None returns the tool without a check. The tool itself
                works on the session in ``config["configurable"]["session"]``.
            replayed: The result of `replay` for the session.

        Returns:
            The tool; None if `replayed` omits nothing, or if the replay shows no steps ("none", "answers",
            "dialogue"): these modes omit them on purpose.

        Raises:
            SessionError: An impossible session name.
            StoreError: The database cannot be used.
        """
        from agentkit.memory.recall import RecallTool, leaves_out

        if session is not None:
            check_session(session)
            if self._mode not in ("objects", "calls") or not leaves_out(self._store(), session, replayed):
                return None
        return RecallTool(store=self._store, search=self.search)

    def delete(self, session: str) -> int:
        """Delete a session for good: its turns, objects, search index and vectors, and their bytes in the database.

        The database is rewritten, which takes time and, for SQLite, as much free space again; PostgreSQL locks the
        tables meanwhile, and its operator must clear its write-ahead log and backups.

        Returns:
            The number of turns the session had.

        Raises:
            SessionError: There is no such session.
            SessionBusyError: A turn of it is running.
            StoreError: The database cannot be used, or another connection still reads the old bytes: then the
                session is gone, and `compact` wipes them later.
        """
        turns = self._store().delete(check_session(session))
        self._store().compact()
        return turns

    def compact(self) -> None:
        """Rewrite the database: free unused space and wipe deleted bytes.

        Raises:
            StoreError: The database cannot be used, or another connection still reads old bytes.
        """
        self._store().compact()

    def export(self, file: str | os.PathLike[str] | TextIO, *, session: str | None = None) -> int:
        """Write sessions as JSON Lines: a header, then a line for each turn that is over (see `store.export`).

        Args:
            file: A path that does not exist, or a text file open for writing.
            session: One session; None for all.

        Returns:
            The number of turns written.

        Raises:
            SessionError: There is no such session.
            InputError: The file exists, or cannot be written.
            StoreError: The database cannot be used, or a turn in it cannot be read.
        """
        from agentkit.memory.store.export import write

        return write(self._store(), file, None if session is None else check_session(session))

    def import_(self, file: str | os.PathLike[str] | TextIO) -> int:
        """Read what `export` wrote: all of it or, if a line is wrong, none.

        Args:
            file: A path, or a text file open for reading.

        Returns:
            The number of turns read.

        Raises:
            InputError: The file cannot be read, or lines of it are no turns; the error names their numbers.
            SessionError: A session of that name exists already: nothing is overwritten.
            StoreError: The database cannot be used.
        """
        from agentkit.memory.store.export import read

        return read(self._store(), file)

    def explain(self, session: str, turn: int | None = None, *, max_tokens: int | None = None) -> Explanation:
        """Return what is replayed, condensed or omitted before a turn, and the tokens that saves.

        Args:
            session: The session.
            turn: The number of the turn, from 1; None for the next one.
            max_tokens: As for `replay`.

        Raises:
            SessionError: There is no such session.
            InputError: As for `replay`, or there is no such turn.
            StoreError: The database cannot be used.
        """
        from agentkit.memory.replay.explain import explain

        check_budget(max_tokens)
        turns, objects = self.turns(session), self.objects(session)
        if turn is not None:
            if not isinstance(turn, int) or isinstance(turn, bool) or not 1 <= turn <= len(turns) + 1:
                raise InputError(
                    f"turn is {shorten(repr(turn))}: session {session!r} has {len(turns)} turns, so give a whole "
                    f"number from 1 to {len(turns) + 1}, or None for the next one."
                )
            turns, objects = [t for t in turns if t.number < turn], [o for o in objects if o.number < turn]
        budget = self._max_tokens if max_tokens is None else max_tokens
        return explain(
            turns,
            objects,
            self._mode,
            session=session,
            max_tokens=budget,
            count=self._count,
            newest_chars=self._newest_chars,
        )

    def close(self) -> None:
        """Close the database's connections; the next use opens it again. A memory in this process is lost."""
        with self._lock:
            if self._close is not None:
                self._close()
            self._opened = self._close = None

    def __enter__(self) -> Memory:
        """Return this memory; the ``with`` block closes it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the memory."""
        self.close()

    def __repr__(self) -> str:
        """Return the database, without its password, and the mode of replay."""
        return f"Memory({self._location and without_password(self._location)!r}, replay={self._mode!r})"

    def _patiently(self, write: Callable[[], _T]) -> _T:
        """Call `write`, again and again for up to ``wait_s`` while the session is busy."""
        until = time.monotonic() + self._wait_s
        pause = 0.005
        while True:
            try:
                return write()
            except SessionBusyError:
                left = until - time.monotonic()
                if left <= 0:
                    raise
                time.sleep(min(pause, left))
                pause = min(pause * 2, 0.1)

    def _store(self) -> Store:
        if self._opened is None:
            with self._lock:
                if self._opened is None:
                    self._open()
        assert self._opened is not None
        return self._opened

    def _open(self) -> None:
        from agentkit.memory.store.database import Database
        from agentkit.memory.store.store import Store

        # A relative path is resolved once: the program may change its directory later.
        location = self._location
        if location is not None and "://" not in location:
            location = str(Path(location).absolute())
        database = Database(location, durability=self._durability, timeout_s=self._timeout_s)
        try:
            self._opened = Store(database, self._clock, self._redact)
        except BaseException:
            database.close()
            raise
        self._close = database.close


def check_budget(max_tokens: object) -> None:
    """Check the budget of a replay.

    Raises:
        InputError: It is not valid.
    """
    if max_tokens is not None and (not isinstance(max_tokens, int) or isinstance(max_tokens, bool) or max_tokens < 1):
        raise InputError(
            f"max_tokens is {shorten(repr(max_tokens))}: give a whole number from 1, or None for no limit."
        )


def _checked(count: CountTokens) -> CountTokens:
    def counted(text: str) -> int:
        tokens = count(text)
        if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 0:
            raise ConfigError(
                f"count_tokens gave {shorten(repr(tokens))} for a text of {len(text)} characters: "
                "it must give a whole number from 0."
            )
        return tokens

    return counted


def _check_seconds(name: str, value: object) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= MAX_WAIT_S:  # type: ignore[operator]
        raise ConfigError(f"{name} is {shorten(repr(value))}: give seconds, from 0 to {MAX_WAIT_S}.")
