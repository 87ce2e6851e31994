"""When a request to Cohere is sent again, and after what wait; clock and sleep are passed in."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Annotated

from pydantic import Field

from agentkit.base.settings import settings


@settings
class RetryPolicy:
    """Retries of requests that failed with 429, 408, 5xx, a timeout or a broken connection: number and waits.

    Waits double from `base_s`, up to `max_s`, and are then shortened by a random part of up to `jitter`, so that many
    clients do not come back in the same moment. A server that says how long to wait (``Retry-After``) is given
    that long; one that asks for more than `max_s` gets no retry.

    The defaults are chosen by hand: two retries after about 0.5 s and 1 s, and no wait longer than the minute over
    which Cohere counts its rate limits.

    Attributes:
        max_tries: Attempts at most, the first one too; 1 means no retry.
        base_s: Seconds before the first retry.
        max_s: The longest wait in seconds.
        jitter: Which part of a wait is random, 0 to 1.
        seed: Makes the random part the same in each run; None takes the system's randomness.

    Raises:
        ConfigError: A number that cannot be.
    """

    max_tries: Annotated[int, Field(ge=1)] = 3
    base_s: Annotated[float, Field(ge=0)] = 0.5
    max_s: Annotated[float, Field(ge=0, allow_inf_nan=True)] = 60.0
    jitter: Annotated[float, Field(ge=0, le=1)] = 0.25
    seed: int | None = None

    def wait_s(self, tries: int, retry_after_s: float | None = None) -> float:
        """Return the seconds to wait after that many failed attempts.

        Args:
            tries: How many attempts have failed, from 1.
            retry_after_s: What the server asked for, None where it did not.
        """
        if retry_after_s is not None:
            return retry_after_s
        source = random.random() if self.seed is None else random.Random(f"{self.seed}/{tries}").random()
        # Past 2^64 the shift alone would be beyond any max_s.
        wait: float = min(self.base_s * 2 ** min(tries - 1, 64), self.max_s)
        return wait * (1 - self.jitter * source)


@dataclass(frozen=True, slots=True)
class Retry:
    """A request that failed and will be sent again; given to ``on_retry`` before the wait.

    Attributes:
        tries: How many attempts have failed so far, from 1.
        wait_s: Seconds until the next one.
        reason: What went wrong.
        status: The HTTP status, None where there was no response.
    """

    tries: int
    wait_s: float
    reason: str
    status: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The clocks and waits of a client; tests pass their own.

    Attributes:
        clock: Seconds from any fixed point; a call's ``deadline`` is on this clock.
        sleep: Waits so many seconds.
        asleep: Waits so many seconds without blocking the event loop.
        now: Seconds since 1970, for a ``Retry-After`` that is a date.
    """

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
    asleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    now: Callable[[], float] = time.time


def retry_after_s(header: str | None, now: float) -> float | None:
    """Return the seconds a ``Retry-After`` header asks for, given in seconds or as an HTTP date; None for neither."""
    if not header:
        return None
    text = header.strip()
    if text.replace(".", "", 1).isdecimal() and text.isascii():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None
