"""A clock for retries."""

import asyncio
from typing import Any

from agentkit.cohere.retry import Timing


class ManualClock:
    """A clock that only sleeping moves; `timing` is what a client takes."""

    def __init__(self, **more: Any) -> None:
        self.seconds = 1000.0
        self.slept: list[float] = []
        self.timing = Timing(clock=self.clock, sleep=self.sleep, asleep=self.asleep, **more)

    def clock(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds

    async def asleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.sleep(seconds)
