"""Sessions: check their names, and keep track of those an agent is running."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from agentkit.base.text import shorten
from agentkit.errors import SessionBusyError, SessionError

MAX_SESSION_CHARS = 200
CLOSING_CHECKS = 5000
"""Checks, 1 ms apart, for an abandoned stream to be closed: 5 s in all, chosen by hand. An event loop closes an
abandoned generator in its next iteration, so only a blocked loop comes near this."""


def check_session(name: object) -> str:
    """Return `name` if it is a valid session name.

    Raises:
        SessionError: Not text, empty, longer than 200 characters, or with characters that do not print.
    """
    if not isinstance(name, str) or not name.strip():
        raise SessionError(f"The session name is {shorten(repr(name))}: give 1 to {MAX_SESSION_CHARS} characters.")
    if len(name) > MAX_SESSION_CHARS:
        raise SessionError(
            f"The session name {shorten(name, 40)!r} has {len(name)} characters: the limit is {MAX_SESSION_CHARS}."
        )
    if not name.isprintable():
        raise SessionError(
            f"The session name {shorten(repr(name))} has characters that do not print: use letters, digits and signs."
        )
    return name


class BusySessions:
    """The sessions an agent is running. Thread-safe.

    Attributes:
        running: Their names.
        left: Those whose stream was abandoned by a bare ``break`` and is not closed yet.
    """

    def __init__(self) -> None:
        """Start with no sessions."""
        self.running: set[str] = set()
        self.left: set[str] = set()
        self._lock = threading.Lock()

    @contextmanager
    def alone(self, session: str) -> Iterator[None]:
        """Hold the session for the block.

        Raises:
            SessionBusyError: It is already held.
        """
        with self._lock:
            if session in self.running:
                raise SessionBusyError(
                    f"Session {shorten(session)!r} is running already: wait for its answer, or use another session."
                )
            self.running.add(session)
        try:
            yield
        finally:
            self.left.discard(session)
            self.running.discard(session)

    def dropped(self, session: str) -> None:
        """Note that a bare ``break`` abandoned the stream that holds the session: the event loop will close it."""
        self.left.add(session)

    async def closed(self, session: str) -> None:
        """Wait until an abandoned stream of the session is closed."""
        for _ in range(CLOSING_CHECKS):
            if session not in self.left:
                return
            await asyncio.sleep(0.001)
