"""When a request to Cohere is sent again: one policy, with its clock and its sleep passed in."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from agentkit.base.text import shorten
from agentkit.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and after what wait a request is sent again that met 429, 408, 5xx, a timeout or a broken connection.

    Waits double from `base_s`, up to `max_s`, and are then cut by a random part of up to `jitter`, so that many
    clients do not come back in the same moment. A server that says how long to wait (``Retry-After``) is waited
    for that long; one that asks for more than `max_s` is not asked again.

    Attributes:
        max_tries: Requests sent at most, the first one too; 1 never sends again.
        base_s: Seconds before the second try.
        max_s: The longest wait in seconds.
        jitter: Which part of a wait is random, 0 to 1.
        seed: Makes the random part the same in each run; None takes the system's randomness.
    """

    max_tries: int = 3
    base_s: float = 0.5
    max_s: float = 60.0
    jitter: float = 0.25
    seed: int | None = None

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ConfigError: One of them cannot be.
        """
        if isinstance(self.max_tries, bool) or not isinstance(self.max_tries, int) or self.max_tries < 1:
            raise ConfigError(f"RetryPolicy(max_tries={shorten(repr(self.max_tries))}): give a whole number from 1.")
        for name, top in (("base_s", float("inf")), ("max_s", float("inf")), ("jitter", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= top:
                limits = "0 to 1" if top == 1 else "seconds from 0"
                raise ConfigError(f"RetryPolicy({name}={shorten(repr(value))}): give {limits}.")

    def wait_s(self, tries: int, retry_after_s: float | None = None) -> float:
        """Seconds to wait after that many failed tries.

        Args:
            tries: How many requests have failed, from 1.
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
        tries: How many requests have failed so far, from 1.
        wait_s: Seconds until the next one.
        reason: What went wrong.
        status: The HTTP status, None where there was no answer.
    """

    tries: int
    wait_s: float
    reason: str
    status: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How a client tells the time and waits; tests pass their own.

    Attributes:
        clock: Seconds from any fixed point; a call's ``deadline`` is on this clock.
        sleep: Waits so many seconds.
        asleep: The same, awaited.
        now: Seconds since 1970, for a ``Retry-After`` that is a date.
    """

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
    asleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    now: Callable[[], float] = time.time


def retry_after_s(header: str | None, now: float) -> float | None:
    """Seconds a ``Retry-After`` header asks for: given in seconds or as an HTTP date; None where it says neither."""
    if not header:
        return None
    text = header.strip()
    if text.replace(".", "", 1).isdecimal() and text.isascii():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None
