"""Calls that need a person's approval: asked of a function, or waited for in memory, also by another process."""

import asyncio
import json
import subprocess
import sys

import pytest
from langchain_core.tools import tool
from support.run_ways import WAYS, play

from agentkit import (
    Agent,
    Approve,
    ConfigError,
    Deny,
    Edit,
    HookError,
    InputError,
    Limits,
    Resume,
    ToolPolicy,
    Turn,
    validate_history,
    with_policy,
)
from agentkit.events import ApprovalNeeded, ToolFinished, ToolStarted
from agentkit.memory import Memory
from agentkit.testing import ScriptedChat, reply

ran: list[tuple] = []


@pytest.fixture(autouse=True)
def nothing_ran():
    ran.clear()


@tool(description="Pays.")
def pay(to: str, amount: int = 10) -> str:
    ran.append(("pay", to, amount))
    return f"paid {amount} to {to}"


@tool(description="Looks.")
def look(n: int) -> str:
    ran.append(("look", n))
    return f"seen {n}"


ASKED = with_policy(pay, ToolPolicy(approval=True))
OVER_50 = with_policy(pay, ToolPolicy(approval=lambda arguments: arguments["amount"] > 50))
PAY = reply(plan="I will pay.", calls=[("look", {"n": 1}), ("pay", {"to": "Ada", "amount": 70})], usage=(10, 2))


def make(script=(PAY, "Done."), *, memory=None, tools=(look, ASKED), **more) -> tuple[Agent, ScriptedChat]:
    chat = ScriptedChat(list(script))
    return Agent(model=chat, tools=list(tools), memory=memory, **more), chat


@pytest.mark.parametrize("way", WAYS)
def test_a_function_is_asked(way):
    asked = []
    agent, chat = make(approve=lambda call: asked.append(call) or True)
    turn, _ = play(agent, way)
    assert [(call.name, call.arguments) for call in asked] == [("pay", {"to": "Ada", "amount": 70})]
    assert sorted(ran) == [("look", 1), ("pay", "Ada", 70)], "side by side"
    assert (turn.output, turn.stop_reason, turn.pending) == ("Done.", "answered", ())
    chat.assert_all_used()


@pytest.mark.parametrize("way", ["arun", "astream"])
def test_a_coroutine_function_is_asked(way):
    async def approve(call):
        await asyncio.sleep(0)
        return Deny("not today")

    turn, _ = play(make(approve=approve)[0], way)
    assert turn.steps[1].observation == "pay was not called: it was refused: not today."


@pytest.mark.parametrize("way", ["run", "stream"])
def test_a_coroutine_function_cannot_be_asked_without_a_loop(way):
    async def approve(call):
        return True

    memory = Memory()
    agent, _ = make(approve=approve, memory=memory)
    with pytest.raises(HookError, match="use arun"):
        play(agent, way)
    assert agent._busy.running == set()
    assert memory.turns("s")[0].steps == (), "nothing ran"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("decision", "seen", "calls"),
    [
        (True, "paid 70 to Ada", [("pay", "Ada", 70)]),
        (Approve(), "paid 70 to Ada", [("pay", "Ada", 70)]),
        (False, "pay was not called: it was refused.", []),
        (Deny("too much"), "pay was not called: it was refused: too much.", []),
        (
            Edit({"to": "Ada", "amount": 5}),
            'paid 5 to Ada\n(Note: a person changed the arguments before the call, to {"to": "Ada", "amount": 5}.)',
            [("pay", "Ada", 5)],
        ),
    ],
)
def test_a_run_pauses_and_goes_on(way, decision, seen, calls):
    memory = Memory()
    agent, chat = make(memory=memory)
    paused, events = play(agent, way)
    assert (paused.stop_reason, paused.output) == ("needs_approval", "")
    (call,) = paused.pending
    assert (call.name, call.arguments) == ("pay", {"to": "Ada", "amount": 70})
    assert Turn.model_validate_json(paused.model_dump_json()).model_dump() == paused.model_dump(), "it is serialisable"
    assert ran == [("look", 1)], "what needs no approval is done"
    if events:
        assert [e.step.tool for e in events if isinstance(e, ToolStarted)] == ["look"]
        assert [e.step.tool for e in events if isinstance(e, ToolFinished)] == ["look"]
        assert [e.call for e in events if isinstance(e, ApprovalNeeded)] == [call]
    assert memory.turns("s") == [], "it is not over"
    assert memory.unfinished("s").pending == paused.pending
    turn, _ = play(agent, way, Resume({call.id: decision}))
    assert ran == [("look", 1), *calls]
    assert (turn.output, turn.number, [s.observation for s in turn.steps]) == ("Done.", 1, ["seen 1", seen])
    assert turn.steps[1].tool_input == ({"to": "Ada", "amount": 5} if isinstance(decision, Edit) else call.arguments)
    assert [t.model_dump() for t in memory.turns("s")] == [turn.model_dump()]
    assert turn.usage.total_tokens == 12, "what was used before the pause counts"
    for request in chat.requests:
        validate_history(request.messages)
    chat.assert_all_used()


def test_who_was_asked_may_leave_it_to_others():
    agent, _ = make(memory=Memory(), approve=lambda call: None)
    assert agent.run("pay Ada", session="s").stop_reason == "needs_approval"
    assert agent.resume("s", True).output == "Done."


def test_several_calls_are_decided_one_by_one():
    both = reply(calls=[("pay", {"to": "Ada"}, "a"), ("pay", {"to": "Bob"}, "b")])
    agent, chat = make([both, "Done."], memory=Memory())
    assert [call.id for call in agent.run("pay", session="s").pending] == ["a", "b"]
    with pytest.raises(InputError, match="several wait: give a dict by call id"):
        agent.resume("s", Edit({"to": "Cy"}))
    with pytest.raises(InputError, match=r"No call 'c' waits for a decision; waiting: a \(pay\), b \(pay\)"):
        agent.resume("s", {"c": True})
    with pytest.raises(InputError, match="give True, False, Approve"):
        agent.resume("s", {"a": "yes"})
    half = agent.resume("s", {"b": Deny("no")})
    assert (half.stop_reason, [call.id for call in half.pending], ran) == ("needs_approval", ["a"], [])
    assert len(chat.requests) == 1, "the model is not asked in between"
    turn = agent.resume("s", {"a": True})
    assert ran == [("pay", "Ada", 10)]
    assert [s.observation for s in turn.steps] == ["paid 10 to Ada", "pay was not called: it was refused: no."]


def test_a_policy_that_looks_at_the_arguments():
    small, large = reply(calls=[("pay", {"to": "Ada"})]), reply(calls=[("pay", {"to": "Ada", "amount": 51})])
    wrong = reply(calls=[("pay", {"amount": 99})])
    agent, _ = make([small, wrong, large, "Done."], memory=Memory(), tools=[OVER_50])
    turn = agent.run("pay", session="s")
    assert ran == [("pay", "Ada", 10)], "the default is looked at too"
    assert [call.arguments for call in turn.pending] == [{"to": "Ada", "amount": 51}]
    assert "invalid arguments" in turn.steps[1].observation, "nobody is asked about a call that cannot run"


def test_a_policy_that_raises_is_named_and_nothing_runs():
    def odd(arguments):
        raise KeyError("limit")

    memory = Memory()
    agent, _ = make(memory=memory, tools=[look, with_policy(pay, ToolPolicy(approval=odd))])
    with pytest.raises(HookError, match="approval function of the tool 'pay' raised KeyError"):
        agent.run("pay", session="s")
    assert ran == []
    assert memory.turns("s")[0].stop_reason == "interrupted"


def test_approve_that_raises_or_says_nonsense_is_named():
    memory = Memory()
    with pytest.raises(HookError, match="approve raised RuntimeError: no terminal"):
        make(memory=memory, approve=lambda call: (_ for _ in ()).throw(RuntimeError("no terminal")))[0].run("x")
    with pytest.raises(HookError, match="What approve returned is 'ok': give True"):
        make(memory=memory, approve=lambda call: "ok")[0].run("x")
    assert ran == []


def test_approval_that_nobody_could_give_is_refused_when_the_agent_is_made():
    with pytest.raises(ConfigError, match="'pay' needs approval, which nobody could give"):
        make()

    @tool("look", description="Looks.")
    def look_at(text: str) -> str:
        return text

    with pytest.raises(ConfigError, match="prefetch tool 'look' cannot need approval"):
        Agent(ScriptedChat([]), prefetch=[with_policy(look_at, ToolPolicy(approval=True))], memory=Memory())
    with pytest.raises(ConfigError, match="approve is 7"):
        make(approve=7)


def test_a_new_question_closes_a_paused_turn_and_the_model_is_told():
    memory = Memory()
    agent, chat = make([PAY, "Something else."], memory=memory)
    agent.run("pay Ada", session="s")
    assert agent.run("never mind", session="s").number == 2
    first, _ = memory.turns("s")
    assert first.stop_reason == "interrupted"
    told = "\n".join(str(message.content) for message in chat.requests[-1].messages)
    assert "it needs a person's approval, which was not given" in told
    assert ran == [("look", 1)]
    with pytest.raises(InputError, match="nothing to resume: its last turn, number 2, is over"):
        agent.resume("s", True)


def test_calls_over_the_limit_are_not_asked_about():
    agent, _ = make(memory=Memory(), limits=Limits(max_tool_calls=1))
    turn = agent.run("pay Ada", session="s")
    assert (turn.stop_reason, turn.pending) == ("max_tool_calls", ())
    assert turn.steps[1].result.error == "not_run"


def test_arguments_that_were_redacted_are_never_run():
    memory = Memory(redact=lambda text: text.replace("Ada", "[name]"))
    agent, _ = make(memory=memory, approve=lambda call: None if "Ada" in str(call.arguments) else True)
    agent.run("pay", session="s")
    with pytest.raises(InputError, match="its arguments were redacted before they were stored"):
        agent.resume("s", True)
    still = agent.resume("s")
    assert (still.stop_reason, ran) == ("needs_approval", [("look", 1)]), "approve is not asked about it either"
    assert agent.resume("s", Edit({"to": "Ada"})).output == "Done."
    assert ran[-1] == ("pay", "Ada", 10)


FIRST = """
import sys
from langchain_core.tools import tool
from agentkit import Agent, ToolPolicy, with_policy
from agentkit.memory import Memory
from agentkit.testing import ScriptedChat, reply

@tool(description="Pays.")
def pay(to: str, amount: int = 10) -> str:
    raise SystemExit("not here")

script = [reply(calls=[("pay", {"to": "Ada"}, "p1")])]
agent = Agent(ScriptedChat(script), tools=[with_policy(pay, ToolPolicy(approval=True))], memory=Memory(sys.argv[1]))
print(agent.run("pay Ada", session="s").model_dump_json())
"""


def test_a_paused_turn_outlives_its_process(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FIRST, str(tmp_path / "m.db")], capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(done.stdout)["pending"][0]["id"] == "p1"
    with Memory(tmp_path / "m.db") as memory:
        (call,) = memory.unfinished("s").pending
        agent, chat = make(["Paid."], memory=memory)
        turn = agent.resume("s", {call.id: True})
    assert (turn.input, turn.output, ran) == ("pay Ada", "Paid.", [("pay", "Ada", 10)])
    assert [m.type for m in chat.requests[0].messages] == ["human", "ai", "tool"]


def test_what_a_person_is_asked_about_is_what_runs():
    def approve(call):
        call.arguments["amount"] = 9999
        return True

    turn, _ = play(make(approve=approve)[0], "run")
    assert ("pay", "Ada", 70) in ran
    assert turn.steps[1].tool_input == {"to": "Ada", "amount": 70}


def test_arguments_whose_names_are_no_text_decide_nothing():
    with Memory() as memory:
        agent, _ = make(memory=memory)
        assert play(agent, "run")[0].stop_reason == "needs_approval"
        with pytest.raises(InputError, match="give True, False"):
            agent.resume("s", Edit({1: 2}))  # type: ignore[dict-item]
        assert agent.resume("s", True).output == "Done."


def test_a_tool_that_changes_its_arguments_changes_no_other_try_and_no_record():
    seen = []

    @tool(description="Takes.")
    def take(given: dict) -> str:
        seen.append(dict(given))
        given.clear()
        raise ValueError("no")

    call = reply(calls=[("take", {"given": {"a": 1}})])
    agent = Agent(ScriptedChat([call, "Done."]), tools=[with_policy(take, ToolPolicy(retry=1))])
    assert agent.run("go").steps[0].tool_input == {"given": {"a": 1}}
    assert seen == [{"a": 1}, {"a": 1}]
