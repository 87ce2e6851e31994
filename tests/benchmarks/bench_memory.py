"""Does memory slow down as a session grows? A session of 200 turns and one of 10,000, measured turn about.

A turn has two calls and about a kilobyte; a replay has a budget of 4,000 tokens.

    python tests/benchmarks/bench_memory.py [--turns 10000]

Beside it, where they can be imported: langgraph's SqliteSaver, which writes checkpoints, and
openai-agents' SQLiteSession; each with the messages of the same turns and its own way to read them back.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from agentkit import Observation, Step, Turn
from agentkit.memory import Memory

BUDGET = 4000
START = 200
"""Turns of the session that is at its start."""


def turn(n: int) -> Turn:
    """A turn of about a kilobyte: two calls, one with a table."""
    order = f'{{"order_id": "ORD-{n:06}", "status": "sent", "total": {n}.5, "items": [{n}, {n + 1}, {n + 2}]}}'
    table = "\n".join(f"{n + i},2024-01-{i + 1:02},{(n * i) % 997}" for i in range(20))
    steps = (
        Step(tool="find_order", tool_input={"id": n}, observation=order, call_id="c1", round=1, plan="I will look."),
        Step(tool="read_table", tool_input={"name": f"t{n}.csv"}, observation=table, call_id="c2", round=2),
    )
    steps = tuple(s.model_copy(update={"result": Observation(content=s.observation)}) for s in steps)
    return Turn(input=f"What about order {n}?", steps=steps, output=f"Order {n} was sent.")


def messages(one: Turn, n: int) -> list[BaseMessage]:
    said: list[BaseMessage] = [HumanMessage(one.input, id=f"{n}h")]
    for i, step in enumerate(one.steps):
        call = {"name": step.tool, "args": step.tool_input, "id": f"{n}c{i}", "type": "tool_call"}
        said.append(AIMessage(step.plan, tool_calls=[call], id=f"{n}a{i}"))
        said.append(ToolMessage(step.observation, tool_call_id=f"{n}c{i}", name=step.tool, id=f"{n}t{i}"))
    return [*said, AIMessage(one.output, id=f"{n}z")]


def timed(work: Callable[[], object]) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


@dataclass
class Way:
    """A session somewhere: how a turn is added, and how what is to be shown is read."""

    append: Callable[[int], object]
    read: Callable[[], object]
    close: Callable[[], object] = lambda: None


def measure(name: str, make: Callable[[Path], Way], turns: int, reads: int, window: int) -> None:
    """Fill a short session and a long one, and print the medians of both, measured turn about: the machine's moods
    then touch both alike.
    """
    with tempfile.TemporaryDirectory() as short_folder, tempfile.TemporaryDirectory() as long_folder:
        short, long = make(Path(short_folder)), make(Path(long_folder))
        sizes = [0]
        for n in range(turns):
            long.append(n)
            if (n + 1) % (turns // 4) == 0:
                sizes.append(size(Path(long_folder)))
        for n in range(min(START, turns)):
            short.append(n)
        added, read = [], []
        for n in range(turns, turns + window):
            added.append((timed(lambda n=n: short.append(n)), timed(lambda n=n: long.append(n))))
            if n < turns + reads:  # a turn is replayed before the next, so nothing is read twice
                read.append((timed(short.read), timed(long.read)))
        short.close()
        long.close()
    (early, late), (before, after) = (
        [statistics.median(column) for column in zip(*t, strict=True)] for t in (added, read)
    )
    quarter = turns // 4  # growth, because a write-ahead log of a fixed size lies beside it
    print(
        f"{name:28} {turns:6} {early:8.3f} {late:8.3f} {late / early:6.2f} {before:9.2f} {after:9.2f} "
        f"{after / before:6.2f} {(sizes[2] - sizes[1]) / quarter:9.0f} {(sizes[4] - sizes[3]) / quarter:9.0f}",
        flush=True,
    )


def agentkit_memory(folder: Path) -> Way:
    memory = Memory(folder / "m.db")
    return Way(lambda n: memory.append("s", turn(n)), lambda: memory.replay("s", BUDGET), memory.close)


def agentkit_journal(folder: Path) -> Way:
    memory = Memory(folder / "m.db")

    def run(n: int) -> None:
        one = turn(n)
        running = memory.begin("s", one.input)
        for step in one.steps:
            running.calls([step])
            running.results([step])
        running.finish(one)

    return Way(run, lambda: memory.replay("s", BUDGET), memory.close)


def agentkit_search(folder: Path) -> Way:
    way = agentkit_memory(folder)
    memory = Memory(folder / "m.db")
    return Way(way.append, lambda: memory.search("s", "ORD-000123"), way.close)


def agentkit_anew(folder: Path) -> Way:
    way = agentkit_memory(folder)

    def replay() -> None:
        with Memory(folder / "m.db") as memory:
            memory.replay("s", BUDGET)

    return Way(way.append, replay, way.close)


def langgraph_saver(folder: Path) -> Way:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.sqlite import SqliteSaver
    from langgraph.graph import END, START, MessagesState, StateGraph

    waiting: list[list[BaseMessage]] = []
    graph = StateGraph(MessagesState)
    graph.add_node("agent", lambda state: {"messages": waiting.pop()})
    graph.add_edge(START, "agent")
    graph.add_edge("agent", END)
    config: RunnableConfig = {"configurable": {"thread_id": "s"}}
    connection = sqlite3.connect(folder / "m.db", check_same_thread=False)
    app = graph.compile(checkpointer=SqliteSaver(connection))

    def append(n: int) -> None:
        question, *rest = messages(turn(n), n)
        waiting.append(rest)
        app.invoke(MessagesState(messages=[HumanMessage(question.text, id=question.id)]), config)

    return Way(append, lambda: app.get_state(config), connection.close)


def agents_session(folder: Path) -> Way:
    from agents import SQLiteSession

    session = SQLiteSession("s", folder / "m.db")
    runner = asyncio.Runner()

    def items(n: int) -> list:
        one = turn(n)
        said: list = [{"role": "user", "content": one.input}]
        for i, step in enumerate(one.steps):
            call = {"call_id": f"{n}c{i}", "name": step.tool, "arguments": str(step.tool_input)}
            said.append({"type": "function_call", **call})
            said.append({"type": "function_call_output", "call_id": f"{n}c{i}", "output": step.observation})
        return [*said, {"role": "assistant", "content": one.output}]

    def close() -> None:
        session.close()
        runner.close()

    return Way(lambda n: runner.run(session.add_items(items(n))), lambda: runner.run(session.get_items()), close)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=10_000)
    turns = max(40, parser.parse_args().turns)
    print(f"{'':28} {'turns':>6} {'append, ms':>24} {'replay, ms':>26} {'bytes a turn':>19}")
    print(f"{'':28} {'':6} {'start':>8} {'end':>8} {'ratio':>6} {'start':>9} {'end':>9} {'ratio':>6} ", end="")
    print(f"{'2nd qu.':>9} {'last qu.':>9}")
    plans: list[tuple[str, Callable[[Path], Way], int, int, int]] = [
        ("agentkit, whole turns", agentkit_memory, turns, 51, 200),
        ("agentkit, written as it runs", agentkit_journal, turns, 51, 200),
        ("agentkit, opened to replay", agentkit_anew, turns, 51, 200),
        ("agentkit, search for an id", agentkit_search, turns, 51, 200),
        # It writes the whole list with every step: of a longer session that would be gigabytes.
        ("langgraph SqliteSaver", langgraph_saver, min(turns, 600), 5, 20),
        ("openai-agents SQLiteSession", agents_session, turns, 5, 200),
    ]
    for name, make, count, reads, window in plans:
        try:
            measure(name, make, count, reads, window)
        except ImportError as error:
            print(f"{name:28} not measured: {error}")


if __name__ == "__main__":
    main()
