"""Does memory slow down as a session grows? Appends, replays and bytes at the start and at the end of a long session.

    python tests/benchmarks/bench_memory.py [--turns 10000]

Beside it, where they can be imported: langgraph's SqliteSaver, which writes a checkpoint a message, and
openai-agents' SQLiteSession; each with the messages of the same turns and its own way to read them back.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from agentkit import Observation, Step, Turn
from agentkit.memory import Memory

BUDGET = 4000
WINDOW = 200
"""Medians are of so many appends."""


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


def measure(
    name: str, folder: Path, turns: int, append: Callable[[int], object], read: Callable[[], object], reads: int
) -> None:
    """Fill a session and print a line: medians of the first and the last appends and reads, and bytes a turn."""
    appends: list[float] = []
    first_reads: list[float] = []
    half = 0
    for n in range(turns):
        appends.append(timed(lambda n=n: append(n)))
        if n + 1 == min(WINDOW, turns):
            first_reads = [timed(read) for _ in range(reads)]
        if n + 1 == turns // 2:
            half = size(folder)
    last_reads = [timed(read) for _ in range(reads)]
    early = statistics.median(appends[:WINDOW])
    late = statistics.median(appends[-WINDOW:])
    before, after = statistics.median(first_reads), statistics.median(last_reads)
    total = size(folder)
    print(
        f"{name:28} {turns:6} {early:8.3f} {late:8.3f} {late / early:6.2f} {before:9.2f} {after:9.2f} "
        f"{after / before:6.2f} {half / (turns // 2):9.0f} {(total - half) / (turns - turns // 2):9.0f}",
        flush=True,
    )


def agentkit_memory(folder: Path, turns: int) -> None:
    with Memory(folder / "m.db") as memory:
        made = [turn(n) for n in range(turns)]
        measure(
            "agentkit, whole turns", folder, turns,
            lambda n: memory.append("s", made[n]), lambda: memory.replay("s", BUDGET), 21,
        )  # fmt: skip
        searches = [timed(lambda n=n: memory.search("s", f"ORD-{n:06}")) for n in range(0, turns, max(1, turns // 21))]
        print(f"  a search by words: {statistics.median(searches):.2f} ms (an id), ", end="")
        print(
            f"{statistics.median([timed(lambda: memory.search('s', 'order sent')) for _ in range(5)]):.2f} ms ", end=""
        )
        print("(words that stand in every turn)")


def agentkit_journal(folder: Path, turns: int) -> None:
    with Memory(folder / "m.db") as memory:

        def run(n: int) -> None:
            one = turn(n)
            running = memory.begin("s", one.input)
            for step in one.steps:
                running.calls([step])
                running.results([step])
            running.finish(one)

        measure("agentkit, written as it runs", folder, turns, run, lambda: memory.replay("s", BUDGET), 21)


def langgraph_saver(folder: Path, turns: int) -> None:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.sqlite import SqliteSaver
    from langgraph.graph import END, START, MessagesState, StateGraph

    waiting: list[list[BaseMessage]] = []
    graph = StateGraph(MessagesState)
    graph.add_node("agent", lambda state: {"messages": waiting.pop()})
    graph.add_edge(START, "agent")
    graph.add_edge("agent", END)
    config: RunnableConfig = {"configurable": {"thread_id": "s"}}
    with SqliteSaver.from_conn_string(str(folder / "m.db")) as saver:
        app = graph.compile(checkpointer=saver)

        def append(n: int) -> None:
            question, *rest = messages(turn(n), n)
            waiting.append(rest)
            app.invoke({"messages": [question]}, config)

        measure("langgraph SqliteSaver", folder, turns, append, lambda: app.get_state(config), 5)


def agents_session(folder: Path, turns: int) -> None:
    from agents import SQLiteSession

    session = SQLiteSession("s", folder / "m.db")

    def items(n: int) -> list:
        one = turn(n)
        said: list = [{"role": "user", "content": one.input}]
        for i, step in enumerate(one.steps):
            call = {"call_id": f"{n}c{i}", "name": step.tool, "arguments": str(step.tool_input)}
            said.append({"type": "function_call", **call})
            said.append({"type": "function_call_output", "call_id": f"{n}c{i}", "output": step.observation})
        return [*said, {"role": "assistant", "content": one.output}]

    with asyncio.Runner() as runner:
        measure(
            "openai-agents SQLiteSession", folder, turns,
            lambda n: runner.run(session.add_items(items(n))), lambda: runner.run(session.get_items()), 5,
        )  # fmt: skip
    session.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=10_000)
    turns = max(10, parser.parse_args().turns)
    print(f"{'':28} {'turns':>6} {'append, ms':>24} {'replay, ms':>26} {'bytes a turn':>19}")
    print(
        f"{'':28} {'':6} {'first':>8} {'last':>8} {'ratio':>6} {f'at {WINDOW}':>9} {'at end':>9} {'ratio':>6} ", end=""
    )
    print(f"{'1st half':>9} {'2nd half':>9}")
    # SqliteSaver writes the whole list with every step: of a long session it would write gigabytes.
    plans = [
        (agentkit_memory, turns),
        (agentkit_journal, turns),
        (langgraph_saver, min(turns, 1000)),
        (agents_session, turns),
    ]
    for plan, count in plans:
        with tempfile.TemporaryDirectory() as folder:
            try:
                plan(Path(folder), count)
            except ImportError as error:
                print(f"{plan.__name__}: not measured ({error})")


if __name__ == "__main__":
    main()
