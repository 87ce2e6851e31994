"""Tools that fork, exit, raise what nobody catches or give what cannot be shown, and runs that use up descriptors."""

import asyncio
import subprocess
import sys

import pytest
from langchain_core.tools import tool

from agentkit import Agent, Artifact, Limits, Turn
from agentkit.memory import Memory
from agentkit.testing import ScriptedChat, reply


class Ended(BaseException):
    pass


@tool(description="Raises what is no Exception.")
def ends() -> str:
    raise Ended("over")


@tool(description="Raises what is no Exception.")
async def ends_async() -> str:
    raise Ended("over")


@tool(description="Exits.")
async def exits_async() -> str:
    raise SystemExit(2)


@pytest.mark.parametrize("timeout_s", [30.0, None])
@pytest.mark.parametrize("way", ["run", "arun"])
@pytest.mark.parametrize("bad", [ends, ends_async, exits_async], ids=lambda t: t.name)
def test_nothing_a_tool_raises_gets_out(bad, way, timeout_s):
    agent = Agent(
        model=ScriptedChat([reply(calls=[(bad.name, {})]), "done"]),
        tools=[bad],
        limits=Limits(tool_timeout_s=timeout_s),
    )
    turn = agent.run("go") if way == "run" else asyncio.run(agent.arun("go"))
    assert (turn.output, turn.steps[0].ok) == ("done", False)
    assert "over" in turn.steps[0].observation or "SystemExit: 2" in turn.steps[0].observation


def test_a_tool_that_forks_leaves_neither_a_child_nor_a_wrong_answer():
    code = """
import os, time
from langchain_core.tools import tool
from agentkit import Agent
from agentkit.testing import ScriptedChat, reply

@tool(description="Forks.")
def forks() -> str:
    pid = os.fork()
    if pid == 0:
        return "child"
    os.waitpid(pid, 0)
    return "parent"

chat = ScriptedChat([reply(calls=[("forks", {})]), reply(calls=[("forks", {})]), "done"])
turn = Agent(model=chat, tools=[forks]).run("go")
print([step.observation for step in turn.steps], turn.output)
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "['parent', 'parent'] done\n", done.stderr


def test_more_calls_than_descriptors():
    code = """
import resource
from langchain_core.tools import tool
from agentkit import Agent
from agentkit.testing import ScriptedChat, reply

@tool(description="Echo.")
def echo(n: int) -> int:
    return n

chat = ScriptedChat([reply(calls=[("echo", {"n": n}) for n in range(100)]), "done"])
agent = Agent(model=chat, tools=[echo])
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
print([int(step.observation) for step in agent.run("go").steps] == list(range(100)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "True\n", done.stderr


def test_streams_left_early_leave_no_thread_behind():
    code = """
import threading, time
from langchain_core.tools import tool
from agentkit import Agent
from agentkit.events import ToolFinished
from agentkit.testing import ScriptedChat, reply

@tool(description="Echo.")
def echo(n: int) -> int:
    return n

for _ in range(20):
    agent = Agent(model=ScriptedChat([reply(calls=[("echo", {"n": n}) for n in range(4)])]), tools=[echo])
    stream = agent.stream("go")
    for event in stream:
        if isinstance(event, ToolFinished):
            time.sleep(0.02)
            break
    stream.close()
print(threading.active_count() <= 5)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "True\n", done.stderr


def test_a_call_without_a_name_is_answered_like_one_of_an_unknown_tool():
    turn = Agent(model=ScriptedChat([reply(calls=[("", {})]), "done"]), tools=[ends]).run("go")
    assert (turn.output, turn.steps[0].ok) == ("done", False)
    assert "There is no tool named" in turn.steps[0].observation


def test_tools_are_not_started_when_no_time_is_left():
    ran = []

    @tool(description="Notes that it ran.")
    def note() -> str:
        ran.append(1)
        return "ran"

    now = iter([0.0, 5.0, 5.0, 5.0, 5.0, 5.0])
    agent = Agent(
        model=ScriptedChat([reply(calls=[("note", {})]), "late"]),
        tools=[note],
        limits=Limits(max_seconds=1),
        clock=lambda: next(now),
    )
    turn = agent.run("go")
    assert (ran, turn.stop_reason) == ([], "max_seconds")
    assert turn.steps[0].observation == "note was not called: no time of this run is left."


def test_huge_limits_do_not_overflow():
    turn = Agent(
        model=ScriptedChat([reply(calls=[("ends", {})]), "done"]), tools=[ends], limits=Limits(tool_timeout_s=1e12)
    ).run("go")
    assert turn.output == "done"


def test_equal_failures_of_one_reply_count_once():
    calls = [("nothing", {})] * 8
    agent = Agent(model=ScriptedChat([reply(calls=calls), "done"]), tools=[ends])
    assert agent.run("go").stop_reason == "answered"


def test_facts_and_names_a_tool_offers_can_always_be_stored():
    class Odd:
        ok = True
        artifacts = (Artifact(name="a\ud800.txt", data=b"x"),)
        facts = {"k\x00": object(), "s": {"b", "a"}}  # noqa: RUF012

    odd = Odd()

    @tool(description="Odd.", response_format="content_and_artifact")
    def give() -> tuple[str, Odd]:
        return "given", odd

    with Memory() as memory:
        turn = Agent(model=ScriptedChat([reply(calls=[("give", {})]), "done"]), tools=[give], memory=memory).run(
            "go", session="s"
        )
        assert Turn.model_validate_json(turn.model_dump_json()).output == "done"
        assert memory.turns("s")[0].output == "done"


@pytest.mark.parametrize("value", [(n for n in "ab"), lambda: 1, [lambda: 1]])
def test_what_has_an_address_for_a_text_is_not_shown(value):
    @tool(description="Gives it.")
    def give() -> object:
        return value

    turn = Agent(model=ScriptedChat([reply(calls=[("give", {})]), "done"]), tools=[give]).run("go")
    assert "0x" not in turn.steps[0].observation


def test_sets_come_in_one_order():
    @tool(description="A set.")
    def give() -> set:
        return {"b", "c", "a"}

    turn = Agent(model=ScriptedChat([reply(calls=[("give", {})]), "done"]), tools=[give]).run("go")
    assert turn.steps[0].observation == '["a", "b", "c"]'
