"""Continuing a turn that was interrupted: nothing is done twice, and unknown outcomes are named as such."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from inline_snapshot import snapshot
from langchain_core.tools import tool
from support.message_outline import outline

from agentkit import (
    Agent,
    ConfigError,
    InputError,
    Limits,
    ModelError,
    Resume,
    SessionBusyError,
    SessionError,
    validate_history,
)
from agentkit.events import TurnStarted
from agentkit.memory import Memory
from agentkit.testing import CohereServer, ScriptedChat, reply

ran: list[int] = []


@pytest.fixture(autouse=True)
def nothing_ran():
    ran.clear()


@tool(description="Works.")
def good(n: int) -> str:
    ran.append(n)
    return f"did {n}"


def broken_off(memory, *, tools=(good,), **more):
    """A session whose turn lost its model after two rounds."""
    script = [
        reply(plan="First.", thinking="Hm.", calls=[("good", {"n": 1}, "a"), ("good", '{"n": ', "b")], usage=(10, 1)),
        reply(calls=[("good", {"n": 2}, "c")], usage=(20, 2)),
        ModelError("gone"),
    ]
    with pytest.raises(ModelError, match="gone"):
        Agent(ScriptedChat(script), tools=list(tools), memory=memory, **more).run("go", session="s")


@pytest.mark.parametrize("way", ["resume", "aresume", "invoke", "stream", "astream"])
def test_it_goes_on_after_the_last_stored_step(way):
    memory = Memory()
    broken_off(memory)
    chat = ScriptedChat([reply("All done.", usage=(30, 3))])
    agent = Agent(chat, tools=[good], memory=memory, system="be exact")
    if way == "resume":
        turn = agent.resume("s")
    elif way == "aresume":
        turn = asyncio.run(agent.aresume("s"))
    elif way == "invoke":
        out = agent.invoke(Resume(), {"configurable": {"session": "s"}})
        turn = out["turn"]
        assert out["input"] == "go"
    else:

        async def main() -> list:
            return [event async for event in agent.astream(Resume(), session="s")]

        events = list(agent.stream(Resume(), session="s")) if way == "stream" else asyncio.run(main())
        assert events[0] == TurnStarted("s", "go")
        turn = events[-1].turn
    assert ran == [1, 2], "nothing is done twice"
    assert (turn.number, turn.output, turn.stop_reason) == (1, "All done.", "answered")
    assert [s.call_id for s in turn.steps] == ["a", "b", "c"]
    assert (turn.usage.total_tokens, turn.usage.model_calls) == (66, 3)
    assert [t.model_dump() for t in memory.turns("s")] == [turn.model_dump()]
    assert len(memory.objects("s")) == 1
    (request,) = chat.requests
    validate_history(request.messages)
    assert outline(request.messages) == snapshot(
        [
            "system: be exact",
            "human: go",
            'ai: First. a=good({"n": 1}) b=good({})',
            "tool a: did 1",
            "tool b: good was not called: its arguments are not a valid JSON object (Expecting value: …",
            'ai: c=good({"n": 2})',
            "tool c: did 2",
        ]
    )


def test_on_the_wire_it_is_the_request_that_was_never_answered(monkeypatch):
    monkeypatch.setenv("COHERE_API_KEY", "test-key")
    script = [
        reply(thinking="Hm.", plan="I will work.", calls=[("good", {"n": 1}), ("good", '{"n": ')]),
        reply(calls=[("good", {"n": 2})]),
        reply(status=400, body={"message": "no"}),
        "Done.",
    ]
    with CohereServer(script) as server, Memory() as memory:
        monkeypatch.setenv("CO_API_URL", server.url)
        agent = Agent(model="command-a-03-2025", tools=[good], memory=memory)
        with pytest.raises(ModelError, match="status 400"):
            agent.run("go", session="s")
        assert agent.resume("s").output == "Done."
        failed, again = server.requests[-2].body, server.requests[-1].body
    assert again == failed


def test_nothing_to_resume():
    memory = Memory()
    agent = Agent(ScriptedChat(["fine"]), memory=memory)
    with pytest.raises(SessionError, match="no session 's'"):
        agent.resume("s")
    agent.run("go", session="s")
    with pytest.raises(InputError, match="'s' has nothing to resume: its last turn, number 1, is over"):
        agent.resume("s")
    with pytest.raises(ConfigError, match="give the agent a memory"):
        Agent(ScriptedChat([])).resume("s")
    with pytest.raises(InputError, match="needs the session to continue"):
        agent.invoke(Resume())
    with pytest.raises(SessionError, match="session name"):
        agent.resume("")
    assert memory.unfinished("s") is None
    assert len(memory.turns("s")) == 1


def test_a_turn_that_runs_cannot_be_resumed():
    memory = Memory()
    running = memory.begin("s", "go")
    with pytest.raises(SessionBusyError):
        Agent(ScriptedChat([]), memory=memory).resume("s")
    assert memory.unfinished("s") is None
    running.interrupt()


def test_a_decision_where_nothing_waits_changes_nothing():
    memory = Memory()
    broken_off(memory)
    before = memory.turns("s")
    with pytest.raises(InputError, match="no call of this turn waits"):
        Agent(ScriptedChat([]), tools=[good], memory=memory).resume("s", True)
    assert memory.turns("s") == before
    assert len(memory.objects("s")) == 1


def test_it_can_be_broken_off_again_and_searched_once():
    memory = Memory()
    broken_off(memory)
    for _ in range(3):
        with pytest.raises(ModelError):
            Agent(ScriptedChat([ModelError("still gone")]), tools=[good], memory=memory).resume("s")
    assert memory.unfinished("s").stop_reason == "interrupted"
    Agent(ScriptedChat(["done at last"]), tools=[good], memory=memory).resume("s")
    assert len(memory.search("s", "last")) == 1
    assert len(memory.search("s", "did", limit=20)) == 2, "no step is indexed twice"
    assert memory.unfinished("s") is None
    assert ran == [1, 2]


def test_limits_count_on():
    memory = Memory()
    broken_off(memory)
    chat = ScriptedChat([reply(calls=[("good", {"n": 3})]), "enough"])
    agent = Agent(chat, tools=[good], memory=memory, limits=Limits(max_steps=3))
    turn = agent.resume("s")
    assert (turn.stop_reason, [s.round for s in turn.steps]) == ("max_steps", [1, 1, 2, 3])
    broken_off(memory := Memory())
    turn = Agent(ScriptedChat(["enough"]), tools=[good], memory=memory, limits=Limits(max_tool_calls=3)).resume("s")
    assert (turn.stop_reason, turn.output) == ("max_tool_calls", "enough")
    broken_off(memory := Memory())
    turn = Agent(ScriptedChat(["enough"]), tools=[good], memory=memory, limits=Limits(max_total_tokens=33)).resume("s")
    assert turn.stop_reason == "max_total_tokens"


def test_ids_that_the_replay_uses_too_are_told_apart():
    memory = Memory(replay="calls")
    agent = Agent(ScriptedChat([reply(calls=[("good", {"n": 0}, "a")]), "fine"]), tools=[good], memory=memory)
    agent.run("first", session="s")
    # The second turn is given its own history, so its first call may take the id of the first turn's.
    script = [reply(calls=[("good", {"n": 1}, "a")]), ModelError("gone")]
    with pytest.raises(ModelError):
        Agent(ScriptedChat(script), tools=[good], memory=memory).invoke(
            {"input": "second", "chat_history": []}, session="s"
        )
    chat = ScriptedChat(["done"])
    turn = Agent(chat, tools=[good], memory=memory).resume("s")
    validate_history(chat.requests[0].messages)
    assert [s.call_id for s in turn.steps] == ["a"]
    assert memory.turns("s")[1].model_dump() == turn.model_dump()


def test_prefetched_calls_are_not_made_again():
    @tool(description="Reads.")
    def read(text: str) -> str:
        ran.append(len(text))
        return text.upper()

    memory = Memory()
    with pytest.raises(ModelError):
        Agent(ScriptedChat([ModelError("gone")]), prefetch=[read], memory=memory).run("abc", session="s")
    chat = ScriptedChat(["done"])
    turn = Agent(chat, prefetch=[read], memory=memory).resume("s")
    assert (ran, [s.round for s in turn.steps], turn.output) == ([3], [0], "done")
    assert [m.type for m in chat.requests[0].messages] == ["human", "ai", "tool"]


# --- a process killed at each step boundary, and another one that goes on -------------------------------------

WORKS = """
import os, signal, sys
from langchain_core.tools import tool
from agentkit import Agent, ToolPolicy, with_policy
from agentkit.memory import Memory, OpenTurn
from agentkit.testing import ScriptedChat, reply

path, log, boundary, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])

def die_at(name):
    global count
    if boundary == name:
        count -= 1
        if count < 0:
            os.kill(os.getpid(), signal.SIGKILL)

def dying(method):
    def wrapped(self, *args):
        die_at("before " + method.__name__)
        result = method(self, *args)
        die_at("after " + method.__name__)
        return result
    return wrapped

for name in ("calls", "results", "pause", "finish"):
    setattr(OpenTurn, name, dying(getattr(OpenTurn, name)))

def work(n: int) -> str:
    die_at("before work")
    with open(log, "a") as file:
        file.write(f"{n}\\n")
    die_at("after work")
    return f"did {n}"

good = tool("good", description="Works.")(work)
asked = with_policy(tool("asked", description="Works, if it may.")(work), ToolPolicy(approval=True))
ROUNDS = [
    [("good", {"n": 1}, "a"), ("good", {"n": 2}, "b")],
    [("good", {"n": 3}, "c"), ("asked", {"n": 4}, "d")],
    [("good", {"n": 5}, "e")],
]

def answer(messages):
    done = {c["id"] for m in messages if m.type == "ai" for c in m.tool_calls}
    left = [calls for calls in ROUNDS if calls[0][2] not in done]
    return reply(calls=left[0]) if left else "done"

agent = Agent(ScriptedChat([answer] * 9), tools=[good, asked], memory=Memory(path))
if len(sys.argv) > 5:
    turn = agent.resume("s", None if sys.argv[5] == "undecided" else True)
else:
    turn = agent.run("go", session="s")
    if turn.pending:
        turn = agent.resume("s", True)
"""

KILLS = [
    ("before calls", 0),
    ("after calls", 0),
    ("before work", 0),
    ("after work", 0),
    ("after results", 0),
    ("before results", 1),
    ("after results", 1),
    ("before calls", 1),
    ("after calls", 1),
    ("after work", 2),
    ("before pause", 0),
    ("after pause", 0),
    ("before calls", 2),  # the approved call
    ("after calls", 2),
    ("after work", 3),
    ("before results", 4),
    ("after results", 4),
    ("after calls", 3),
    ("before finish", 0),
]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
@pytest.mark.parametrize(("boundary", "count"), KILLS)
def test_killed_and_gone_on_with(tmp_path: Path, boundary, count):
    path, log = tmp_path / "m.db", tmp_path / "log"
    killed = subprocess.run(
        [sys.executable, "-c", WORKS, str(path), str(log), boundary, str(count)], timeout=60, env=os.environ
    )
    assert killed.returncode == -signal.SIGKILL
    chat, turn = _go_on(path, log)
    counted = Counter(log.read_text().split())
    for number, step in zip("12345", turn.steps, strict=True):
        error = step.result.error if step.result else None
        if step.ok:
            assert counted[number] == 1, "a finished call ran exactly once"
        else:
            assert (error, counted[number] <= 1) == ("interrupted", True), "it is unknown, and not made again"
            assert f"{step.tool} was running when the program was broken off: outcome unknown" in step.observation
    assert turn.output == "done"
    for request in chat.requests:
        validate_history(request.messages)


def _go_on(path: Path, log: Path):
    """What a new process does with the session: it goes on, and approves what waits."""

    def work(n: int) -> str:
        with log.open("a") as file:
            file.write(f"{n}\n")
        return f"did {n}"

    names: dict = {}
    exec(WORKS.partition("ROUNDS")[1] + WORKS.partition("ROUNDS")[2].partition("agent =")[0], {"reply": reply}, names)
    names["answer"].__globals__.update(names)
    chat = ScriptedChat([names["answer"]] * 9)
    with Memory(path) as memory:
        from agentkit import ToolPolicy, with_policy

        good = tool("good", description="Works.")(work)
        asked = with_policy(tool("asked", description="Works, if it may.")(work), ToolPolicy(approval=True))
        agent = Agent(chat, tools=[good, asked], memory=memory)
        turn = agent.resume("s", True) if memory.unfinished("s").pending else agent.resume("s")
        if turn.pending:
            turn = agent.resume("s", True)
        assert [t.model_dump() for t in memory.turns("s")] == [turn.model_dump()]
    return chat, turn
