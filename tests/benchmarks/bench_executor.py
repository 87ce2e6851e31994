"""What a caller waits for: parallel tools, the first event of a stream, an agent being made.

python tests/benchmarks/bench_executor.py
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
import warnings

warnings.filterwarnings("ignore")

from langchain_core.tools import StructuredTool  # noqa: E402

from agentkit import Agent  # noqa: E402
from agentkit.events import TextDelta  # noqa: E402
from agentkit.testing import CohereServer, ScriptedChat, reply  # noqa: E402


def wait(n: int) -> int:
    time.sleep(0.1)
    return n


async def wait_async(n: int) -> int:
    await asyncio.sleep(0.1)
    return n


def parallel_tools() -> None:
    sync = StructuredTool.from_function(wait, name="wait", description="Waits 100 ms.")
    native = StructuredTool.from_function(coroutine=wait_async, name="wait", description="Waits 100 ms.")
    calls = [("wait", {"n": n}) for n in range(8)]
    for what, tools in (("sync", [sync]), ("async", [native])):
        taken = []
        for _ in range(10):
            agent = Agent(model=ScriptedChat([reply(calls=calls), "done"]), tools=tools)
            began = time.perf_counter()
            turn = agent.run("go") if what == "sync" else asyncio.run(agent.arun("go"))
            taken.append(time.perf_counter() - began)
            assert [step.observation for step in turn.steps] == list("01234567")
        print(f"eight 100 ms {what} tools of one reply: median {statistics.median(taken) * 1e3:.0f} ms (target: 150)")


def making_an_agent() -> None:
    tools = [StructuredTool.from_function(wait, name=f"wait{n}", description="Waits.") for n in range(10)]
    chat = ScriptedChat([])
    taken = []
    for _ in range(200):
        began = time.perf_counter()
        Agent(model=chat, tools=tools)
        taken.append(time.perf_counter() - began)
    print(f"an Agent with ten tools: median {statistics.median(taken) * 1e3:.2f} ms of 200 (target: 1)")


def first_event() -> None:
    pause_s = 0.2
    first, whole = [], []
    with CohereServer([reply("one two three four five", event_delay_s=pause_s)] * 5) as server:
        os.environ.update(COHERE_API_KEY="test-key", CO_API_URL=server.url)
        agent = Agent(model="command-a-03-2025")
        for _ in range(5):
            began, seen = time.perf_counter(), None
            for event in agent.stream("go"):
                if isinstance(event, TextDelta) and seen is None:
                    seen = time.perf_counter() - began
            first.append(seen or 0.0)
            whole.append(time.perf_counter() - began)
    print(
        f"a server that pauses {pause_s} s between events: first text after {statistics.median(first):.2f} s, "
        f"the whole stream {statistics.median(whole):.2f} s (medians of 5)"
    )


if __name__ == "__main__":
    parallel_tools()
    making_an_agent()
    first_event()
