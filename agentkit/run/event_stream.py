"""`EventStream`: the events of `Agent.astream`; detects that a bare ``break`` abandoned it.

The event loop closes an abandoned asynchronous generator a little later; until then its session is busy. The agent is
notified at once, so that the next run in the session can wait instead of being refused.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable

from agentkit.events import Event, TurnFinished


class EventStream(AsyncIterator[Event]):
    """An asynchronous iterator over events, with ``aclose``."""

    def __init__(self, events: AsyncGenerator[Event, None], left: Callable[[], None]) -> None:
        """Wrap a generator; `left` is called if the stream is abandoned before its end."""
        self._events = events
        self._left = left
        self._runs = False

    async def __anext__(self) -> Event:
        """Return the next event."""
        self._runs = True
        try:
            event = await self._events.__anext__()
        except BaseException:
            self._runs = False
            raise
        self._runs = not isinstance(event, TurnFinished)  # after the last event the session is free
        return event

    async def aclose(self) -> None:
        """Close the stream: the model call is closed, and the session is free when this returns."""
        self._runs = False
        await self._events.aclose()

    def __del__(self) -> None:
        """Notify the agent if the stream is abandoned before its end."""
        if self._runs:
            self._left()
