"""Limits of a run, retries of tools, and the breaker."""

import asyncio
import threading

import pytest
from langchain_core.tools import tool
from support.tools import add

from agentkit import Agent, ConfigError, Limits, Step, ToolPolicy, with_policy
from agentkit.limits import Price
from agentkit.loop.failure_streaks import FailureStreaks, error_signature
from agentkit.testing import ScriptedChat, reply


@tool(description="Opens a file.")
def open_file(path: str) -> str:
    raise FileNotFoundError(f"No such file: {path!r}")


def calls(*names: str, **more):
    return reply(calls=[(name, {"a": 1, "b": i}) for i, name in enumerate(names)], **more)


def opening(path: str):
    return reply(calls=[("open_file", {"path": path})])


def run(script, tools=(add, open_file), **limits):
    chat = ScriptedChat([*script, "as far as I got"])
    price = limits.pop("price", None)
    turn = Agent(model=chat, tools=list(tools), limits=Limits(**limits), price=price).run("go")
    chat.assert_all_used()
    return turn, chat


def test_calls_over_the_limit_are_told_that_they_were_not_run():
    turn, _ = run([calls("add"), calls("add", "add", "add")], max_tool_calls=3)
    assert [s.ok for s in turn.steps] == [True, True, True, False]
    assert turn.steps[3].observation == "add was not called: the limit of tool calls of this run is reached."
    assert turn.steps[3].result is not None
    assert turn.steps[3].result.error == "not_run"
    assert (turn.stop_reason, turn.output) == ("max_tool_calls", "as far as I got")


def test_tokens():
    turn, chat = run([calls("add", usage=(60, 10)), calls("add", usage=(80, 10))], max_total_tokens=150)
    assert turn.stop_reason == "max_total_tokens"
    assert "the limit of 150 tokens is reached" in chat.requests[-1].messages[-1].content


def test_cost():
    price = Price(input_per_million=2.5, output_per_million=10)
    turn, _ = run([calls("add", usage=(1_000_000, 100_000))], max_cost=3.5, price={"other": price, "None": price})
    assert (turn.stop_reason, turn.usage.cost) == ("max_cost", 3.5)


def test_cost_needs_a_price():
    with pytest.raises(ConfigError, match="give the agent a price"):
        Agent(model=ScriptedChat([]), limits=Limits(max_cost=1))
    with pytest.raises(ConfigError, match="no price of the model .*the table has other"):
        Agent(model=ScriptedChat([]), price={"other": Price(input_per_million=1, output_per_million=1)})
    with pytest.raises(ConfigError, match="Price.input_per_million is -1"):
        Price(input_per_million=-1, output_per_million=1)


def test_the_breaker_ends_a_run_that_fails_in_one_way_whatever_the_arguments():
    paths = ["a.csv", "data/b2.csv", "../c.csv"]
    turn, chat = run([opening(path) for path in paths], max_same_failures=3)
    assert (turn.stop_reason, len(turn.steps)) == ("repeated_failure", 3)
    assert "has failed 3 times in a row with the same error" in chat.requests[-1].messages[-1].content


def test_a_success_or_another_error_starts_the_count_anew():
    wrong = reply(calls=[("open_file", {})])
    turn, _ = run([opening("a"), opening("b"), wrong, opening("c"), opening("d")], max_steps=5, max_same_failures=3)
    assert turn.stop_reason == "max_steps"
    streaks = FailureStreaks()
    bad, good = Step(tool="t", observation="no", ok=False), Step(tool="t", observation="yes")
    for round_of in ([bad], [bad], [good], [bad], [bad, bad, bad]):
        assert not streaks.repeated(round_of, 3), "calls of one reply count once"
    assert streaks.repeated([bad], 3)
    assert not streaks.repeated([bad], None)


def test_made_up_tool_names_count_together():
    script = [reply(calls=[(f"made_up_{i}", {})]) for i in range(4)]
    turn, _ = run(script, max_same_failures=4)
    assert turn.stop_reason == "repeated_failure"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("No such file: 'a.csv'", "No such file: 'b.csv'", True),
        ("line 1\nKeyError: 'x'", "line 7\nKeyError: 'x'", True),
        ("KeyError: 'x'", "KeyError: 'y'", False),
        ("can't do a isn't", "can't do b isn't", False),
        ("KeyError: 1", "ValueError: 1", False),
        ("", "x", False),
    ],
)
def test_what_counts_as_the_same_error(one, other, same):
    assert (error_signature(one) == error_signature(other)) is same


@pytest.mark.parametrize("way", ["run", "arun"])
def test_a_tool_is_tried_again_where_its_policy_allows_it(way, monkeypatch):
    monkeypatch.setattr("agentkit.toolbox.toolbox.RETRY_BASE_S", 0.001)
    tries = []

    def flaky(n: int) -> str:
        tries.append(n)
        if len(tries) < 3:
            raise ConnectionError("try again")
        return "at last"

    made = tool("flaky", description="Fails twice.")(flaky)
    agent = Agent(
        model=ScriptedChat([reply(calls=[("flaky", {"n": 1})]), "done"]),
        tools=[with_policy(made, ToolPolicy(retry=2))],
    )
    turn = agent.run("go") if way == "run" else asyncio.run(agent.arun("go"))
    (step,) = turn.steps
    assert step.result is not None
    assert (step.observation, step.result.tries, tries) == ("at last", 3, [1, 1, 1])


def test_arguments_that_do_not_fit_are_not_tried_again():
    made = with_policy(add, ToolPolicy(retry=5))
    turn, _ = run([reply(calls=[("add", {"a": "x"})])], tools=[made], max_steps=1)
    assert turn.steps[0].result is not None
    assert turn.steps[0].result.tries == 1


@pytest.mark.parametrize("way", ["run", "arun"])
def test_no_more_calls_at_once_than_allowed(way):
    lock, running, most = threading.Lock(), [0], [0]

    @tool(description="Counts.")
    def count(a: int, b: int) -> int:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        threading.Event().wait(0.02)
        with lock:
            running[0] -= 1
        return b

    chat = ScriptedChat([calls(*["count"] * 6), "done"])
    agent = Agent(model=chat, tools=[count], limits=Limits(max_parallel=2))
    turn = agent.run("go") if way == "run" else asyncio.run(agent.arun("go"))
    assert [s.observation for s in turn.steps] == list("012345")
    assert most[0] <= 2
