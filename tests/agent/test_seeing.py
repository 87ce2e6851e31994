"""What a run shows of itself: log lines, a notebook's HTML, a tree of LangChain runs, usage of each step."""

import asyncio
import logging

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool

from agentkit import Agent, Limits, ModelError, Price, Step, ToolCall, Turn, Usage
from agentkit.events import TurnFinished
from agentkit.memory import Memory
from agentkit.testing import ScriptedChat, reply


@tool(description="Add two integers.")
def add(a: int, b: int) -> int:
    if b < 0:
        raise ValueError("secret-result")
    return a + b


PRICE = Price(input_per_million=1, output_per_million=10)
SCRIPT = [
    reply(plan="secret-plan", calls=[("add", {"a": 1, "b": 2}), ("add", {"a": 3, "b": -4})], usage=(100, 10)),
    reply("secret-answer", usage=(200, 20)),
]


def make(script=SCRIPT, **more) -> Agent:
    return Agent(ScriptedChat(script), tools=[add], **more)


def test_usage_and_cost_of_each_step_and_of_the_turn():
    turn = make(price=PRICE, memory=Memory()).run("go", session="s")
    first, second = turn.steps
    assert first.usage == Usage(input_tokens=100, output_tokens=10, model_calls=1, cost=0.0002)
    assert second.usage is None, "the reply is counted once"
    assert (turn.usage.total_tokens, turn.usage.model_calls) == (330, 2)
    assert turn.usage.cost == pytest.approx(0.0006)
    assert Turn.model_validate_json(turn.model_dump_json()).steps[0].usage == first.usage


@pytest.mark.parametrize("way", ["run", "arun", "stream", "astream"])
def test_log_lines_say_what_happened_and_no_secrets(way, caplog):
    agent = make()
    with caplog.at_level(logging.DEBUG, logger="agentkit"):
        if way == "run":
            agent.run("secret-question", session="s1")
        elif way == "arun":
            asyncio.run(agent.arun("secret-question", session="s1"))
        elif way == "stream":
            list(agent.stream("secret-question", session="s1"))
        else:

            async def main() -> None:
                async for _ in agent.astream("secret-question", session="s1"):
                    pass

            asyncio.run(main())
    lines = [(r.levelname, r.getMessage()) for r in caplog.records if r.name == "agentkit"]
    assert [level for level, _ in lines] == ["INFO", *["DEBUG"] * 6, "INFO"]
    texts = [text for _, text in lines]
    assert texts[0] == "turn started: session=s1"
    assert texts[1] == "asking the model: messages=1 tools=True"
    assert texts[2] == "reply: finish=tool_call calls=add,add characters=0 input_tokens=100 output_tokens=10"
    assert texts[3].startswith("call: tool=add call_id=call_1 ok=True error=None tries=1 characters=1")
    assert texts[4].startswith("call: tool=add call_id=call_2 ok=False error=exception")
    assert "stop=answered steps=2 model_calls=2 input_tokens=300 output_tokens=30" in texts[-1]
    assert "secret" not in "\n".join(texts)


def test_log_lines_of_limits_and_of_broken_turns(caplog):
    caplog.set_level(logging.INFO, logger="agentkit")
    make(limits=Limits(max_steps=1)).run("go", session="s")
    with pytest.raises(ModelError):
        make([ModelError("secret")]).run("go", session="s")
    texts = [record.getMessage() for record in caplog.records]
    assert "limit reached: max_steps" in texts
    assert texts[-1] == "turn interrupted: session=s error=ModelError"


def test_it_is_silent_until_somebody_listens(capsys):
    make(limits=Limits(max_steps=1)).run("go")
    assert capsys.readouterr() == ("", "")
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("agentkit").handlers)


def test_html_is_escaped_and_small():
    bad = "<script>alert(1)</script>"
    step = Step(
        tool=bad,
        tool_input={bad: bad},
        observation=bad + "x" * 100_000,
        plan=bad,
        usage=Usage(input_tokens=7, output_tokens=1, model_calls=1),
    )
    used = Usage(input_tokens=10, output_tokens=2, model_calls=1, cost=0.5)
    pending = (ToolCall(id=bad, name=bad),)
    html = Turn(input=bad, steps=(step,), output=bad, usage=used, pending=pending)._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert len(html) < 20_000
    assert "12 tokens, cost 0.5" in html
    assert "8 tokens" in html
    assert html.count("<details>") == html.count("</details>") == 1


class Tree(BaseCallbackHandler):
    """The runs LangChain tells of: kind, name, parent's name, and how each ended."""

    def __init__(self) -> None:
        self.runs: dict = {}
        self.ended: dict = {}

    def _start(self, kind, name, run_id, parent) -> None:
        self.runs[run_id] = (kind, name, self.runs[parent][1] if parent else None)

    def on_chain_start(self, serialized, inputs, *, run_id, parent_run_id=None, **kwargs):
        self._start("chain", kwargs.get("name"), run_id, parent_run_id)
        self.inputs = inputs

    def on_chat_model_start(self, serialized, messages, *, run_id, parent_run_id=None, **kwargs):
        self._start("model", "model", run_id, parent_run_id)

    def on_tool_start(self, serialized, input_str, *, run_id, parent_run_id=None, **kwargs):
        self._start("tool", serialized["name"], run_id, parent_run_id)

    def on_chain_end(self, outputs, *, run_id, **kwargs):
        self.inputs = kwargs.get("inputs", self.inputs)  # of a stream LangChain tells them at its end
        self.ended[run_id] = outputs

    def on_llm_end(self, response, *, run_id, **kwargs):
        self.ended[run_id] = response

    def on_tool_end(self, output, *, run_id, **kwargs):
        self.ended[run_id] = output

    def on_tool_error(self, error, *, run_id, **kwargs):
        self.ended[run_id] = error

    def on_chain_error(self, error, *, run_id, **kwargs):
        self.ended[run_id] = error

    def on_llm_error(self, error, *, run_id, **kwargs):
        self.ended[run_id] = error


def watched(way: str, agent: Agent, tree: Tree) -> None:
    config: RunnableConfig = {"callbacks": [tree]}

    async def main() -> None:
        async for _ in agent.astream("go", config):
            pass

    if way == "run":
        agent.run("go", config=config)
    elif way == "arun":
        asyncio.run(agent.arun("go", config=config))
    elif way == "stream":
        list(agent.stream("go", config))
    else:
        asyncio.run(main())


@pytest.mark.parametrize("way", ["run", "arun", "stream", "astream"])
def test_callbacks_see_one_tree_with_every_end(way):
    tree = Tree()
    watched(way, make(), tree)
    assert sorted(map(str, tree.runs.values())) == sorted(
        map(
            str,
            [
                ("chain", "agentkit", None),
                ("model", "model", "agentkit"),
                ("tool", "add", "agentkit"),
                ("tool", "add", "agentkit"),
                ("model", "model", "agentkit"),
            ],
        )
    )
    assert set(tree.ended) == set(tree.runs), "every run is ended"
    root = next(run_id for run_id, (kind, *_) in tree.runs.items() if kind == "chain")
    outcome = tree.ended[root]
    turn = outcome.turn if isinstance(outcome, TurnFinished) else outcome
    assert (turn.output, tree.inputs) == ("secret-answer", {"input": "go"})
    ends = [type(tree.ended[run_id]).__name__ for run_id, (kind, *_) in tree.runs.items() if kind == "tool"]
    assert sorted(ends) == ["ValueError", "int"] or sorted(ends) == ["ValueError", "str"]


@pytest.mark.parametrize("way", ["run", "arun", "stream", "astream"])
def test_a_run_that_breaks_is_ended_as_an_error(way):
    tree = Tree()
    with pytest.raises(ModelError):
        watched(way, make([ModelError("gone")]), tree)
    assert set(tree.ended) == set(tree.runs)
    assert {type(end).__name__ for end in tree.ended.values()} == {"ModelError"}
