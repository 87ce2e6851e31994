"""The four ways to run an agent: at once or as a stream of events, sync or async."""

import asyncio
from typing import Any

from agentkit import Agent, Resume, Turn
from agentkit.events import TurnFinished

WAYS = ["run", "arun", "stream", "astream"]


def events_of(agent: Agent, way: str, input: Any = "go", **options: Any) -> list:
    """Return every event of one streamed run."""
    if way == "stream":
        return list(agent.stream(input, **options))

    async def main() -> list:
        return [event async for event in agent.astream(input, **options)]

    return asyncio.run(main())


def play(agent: Agent, way: str, input: Any = "go", session: str = "s") -> tuple[Turn, list]:
    """Return the turn of one run or of its resuming, and its events (none where the way does not stream)."""
    if way in ("stream", "astream"):
        events = events_of(agent, way, input, session=session)
        assert isinstance(events[-1], TurnFinished)
        return events[-1].turn, events
    if isinstance(input, Resume):
        if way == "run":
            return agent.resume(session, input.decision), []
        return asyncio.run(agent.aresume(session, input.decision)), []
    if way == "run":
        return agent.run(input, session=session), []
    return asyncio.run(agent.arun(input, session=session)), []


def play_until(agent: Agent, way: str, input: Any, cut_after: int | None) -> None:
    """Run in session s; where the run streams, close the stream after the event with number `cut_after`."""
    if way == "run":
        agent.invoke(input, session="s")
    elif way == "arun":
        asyncio.run(agent.ainvoke(input, session="s"))
    elif way == "stream":
        stream = agent.stream(input, session="s")
        for index, _ in enumerate(stream):
            if index == cut_after:
                stream.close()
                break
    else:

        async def main() -> None:
            stream = agent.astream(input, session="s")
            index = 0
            async for _ in stream:
                if index == cut_after:
                    await stream.aclose()
                    break
                index += 1

        asyncio.run(main())


def without_durations(turn: Turn) -> dict[str, Any]:
    """Return the turn as a dict without what a clock put there."""
    plain = turn.model_dump(exclude={"duration_s"})
    for step in plain["steps"]:
        step["result"].pop("duration_s")
    return plain
