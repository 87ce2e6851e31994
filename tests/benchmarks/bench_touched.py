"""How many modules and functions of agentkit one run goes through: the size of what somebody must read to follow it.

Counted with sys.setprofile, in every thread, on a warm agent (so no module's top level counts): a question with one
call of one tool, without a memory and as the second turn of a session with one; and a replay of ten turns under a
budget. Lambdas and comprehensions belong to the function they stand in.

    python tests/benchmarks/bench_touched.py [--names]
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool

import agentkit
from agentkit import Agent
from agentkit.memory import Memory

HOME = Path(agentkit.__file__).resolve().parents[1]
PARTS = tuple(f"{HOME / part}/" for part in ("agentkit", "memory", "tools"))
TURNS = 10
BUDGET_TOKENS = 300  # about half of what ten such turns take, so the budget has to choose


class OneCall(BaseChatModel):
    """A model that asks for one sum, then answers."""

    @property
    def _llm_type(self) -> str:
        return "one-call"

    def bind_tools(self, tools, **kwargs):
        return self

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        if isinstance(messages[-1], ToolMessage):
            message = AIMessage(f"It is {messages[-1].text}.")
        else:
            message = AIMessage("I will add.", tool_calls=[{"name": "add", "args": {"a": 1, "b": 2}, "id": "c1"}])
        return ChatResult(generations=[ChatGeneration(message=message)])


@tool(description="Add two integers.")
def add(a: int, b: int) -> int:
    return a + b


def touched(work: Callable[[], object]) -> set[tuple[str, str]]:
    """Return file and name of each function of agentkit that `work` calls."""
    found: set[tuple[str, str]] = set()
    paths: dict[str, str] = {}

    def note(frame, event, _) -> None:
        if event != "call":
            return
        code = frame.f_code
        path = paths.get(code.co_filename)
        if path is None:
            path = paths[code.co_filename] = str(Path(code.co_filename).resolve())
        if path.startswith(PARTS) and not code.co_name.startswith("<"):
            found.add((str(Path(path).relative_to(HOME)), code.co_qualname))

    threading.setprofile_all_threads(note) if sys.version_info >= (3, 12) else threading.setprofile(note)
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
        threading.setprofile_all_threads(None) if sys.version_info >= (3, 12) else threading.setprofile(None)
    return found


def main() -> None:
    """Print the table, and with --names each module with its functions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--names", action="store_true", help="print the functions of each module too")
    with_names = parser.parse_args().names
    plain, memory = Agent(OneCall(), tools=[add]), Memory()
    remembering = Agent(OneCall(), tools=[add], memory=memory)
    plain.run("1 + 2?")
    remembering.run("1 + 2?", session="s")
    for number in range(TURNS):
        remembering.run(f"{number} + 2?", session="long")
    memory.replay("other", max_tokens=BUDGET_TOKENS)
    rows = {
        "agent.run without memory": lambda: plain.run("1 + 2?"),
        "agent.run with memory": lambda: remembering.run("2 + 2?", session="s"),
        "memory.replay with a budget": lambda: memory.replay("long", max_tokens=BUDGET_TOKENS),
    }
    print(f"{'':30}{'modules':>8}{'functions':>11}")
    for name, work in rows.items():
        found = touched(work)
        modules = sorted({module for module, _ in found})
        print(f"{name:30}{len(modules):8}{len(found):11}")
        for module in modules if with_names else ():
            print(f"    {module}: {', '.join(sorted(function for at, function in found if at == module))}")


if __name__ == "__main__":
    main()
