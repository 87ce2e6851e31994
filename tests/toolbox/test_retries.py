"""A tool whose policy allows retries: how often it is called, what it waits, and what becomes of its last error."""

import asyncio
import time

import pytest
from langchain_core.tools import StructuredTool
from support.tools import add

from agentkit import ToolCall, ToolPolicy, with_policy
from agentkit.loop.protocol import Act
from agentkit.toolbox.toolbox import Toolbox


@pytest.fixture
def waits(monkeypatch):
    """The seconds of every sleep, none of which is slept."""
    seconds: list[float] = []

    async def asleep(s: float) -> None:
        seconds.append(s)

    monkeypatch.setattr(time, "sleep", seconds.append)
    monkeypatch.setattr(asyncio, "sleep", asleep)
    return seconds


def play(failures: int, retry: int, *, is_async: bool):
    """Return the observation of one call of a tool that fails so often, and how often the tool was called."""
    called = []

    def flaky(n: int) -> str:
        called.append(n)
        if len(called) <= failures:
            raise ValueError(f"failure {len(called)}")
        return "done"

    async def aflaky(n: int) -> str:
        return flaky(n)

    function = {"coroutine": aflaky} if is_async else {"func": flaky}
    tool = StructuredTool.from_function(**function, name="flaky", description="Fails at first.")
    box = Toolbox([with_policy(tool, ToolPolicy(retry=retry, timeout_s=None))], None)
    act = Act((ToolCall(id="c1", name="flaky", arguments={"n": 1}),), ())

    async def main():
        return [seen async for seen in box.aact(act, {})]

    (seen,) = asyncio.run(main()) if is_async else box.act(act, {})
    return seen, len(called)


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(("failures", "wanted"), [(0, []), (1, [0.1]), (3, [0.1, 0.2, 0.4])])
def test_a_tool_is_called_until_it_works_and_each_wait_is_twice_the_last(waits, is_async, failures, wanted):
    seen, called = play(failures, 3, is_async=is_async)
    assert (seen.content, seen.ok, seen.tries, called) == ("done", True, failures + 1, failures + 1)
    assert waits == wanted


@pytest.mark.parametrize("is_async", [False, True])
def test_the_last_error_is_the_result_where_no_retry_is_left(waits, is_async):
    seen, called = play(9, 2, is_async=is_async)
    assert (seen.content, seen.error, seen.tries, called) == (
        "flaky failed: ValueError: failure 3", "exception", 3, 3,
    )  # fmt: skip
    assert waits == [0.1, 0.2]


def test_the_agents_own_tools_are_called_like_the_others():
    box = Toolbox([], None, own=[add])
    (seen,) = box.act(Act((ToolCall(id="c1", name="add", arguments={"a": 1, "b": 2}),), ()), {})
    assert (box.names, seen.content) == (("add",), "3")
