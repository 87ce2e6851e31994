"""What a step costs beyond the model and the tool: agentkit and its peers against a hand-written loop, in one run.

Each contestant answers one question with STEPS sequential calls of one tool and then a text, on a model without
latency. The floor is the shortest loop over the same LangChain model and tool. Contestants are shuffled in every
round; the table shows medians. A peer that is not installed is named and omitted:
``pip install langchain langgraph pydantic-ai-slim openai-agents smolagents``.

    python tests/benchmarks/bench_overhead.py [--steps 10 50] [--rounds 30]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable

warnings.filterwarnings("ignore")

from langchain_core.language_models.chat_models import BaseChatModel  # noqa: E402
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage  # noqa: E402
from langchain_core.outputs import ChatGeneration, ChatResult  # noqa: E402
from langchain_core.tools import tool  # noqa: E402

Run = Callable[[], object]


class Instant(BaseChatModel):
    """A model that asks for the tool `steps` times in a turn, then answers."""

    steps: int

    @property
    def _llm_type(self) -> str:
        return "instant"

    def bind_tools(self, tools, **kwargs):
        return self

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        done = 0
        for message in reversed(messages):
            if message.type == "human":
                break
            done += message.type == "tool"
        if done == self.steps:
            said = AIMessage(f"done {done}")
        else:
            said = AIMessage("", tool_calls=[{"name": "add", "args": {"a": done, "b": 1}, "id": f"call{done}"}])
        return ChatResult(generations=[ChatGeneration(message=said)])


@tool(description="Add two integers.")
def add(a: int, b: int) -> int:
    return a + b


def floor(steps: int) -> Run:
    model = Instant(steps=steps)

    def run():
        messages = [HumanMessage("go")]
        while True:
            said = model.invoke(messages)
            messages.append(said)
            if not said.tool_calls:
                return said.content
            messages += [
                ToolMessage(str(add.invoke(call["args"])), tool_call_id=call["id"]) for call in said.tool_calls
            ]

    return run


def _agentkit(steps: int, tools, **more) -> Run:
    from agentkit import Agent, Limits

    agent = Agent(model=Instant(steps=steps), tools=tools, limits=Limits(max_steps=steps + 1), **more)
    return lambda: agent.run("go").output


def agentkit(steps: int) -> Run:
    return _agentkit(steps, [add])


def agentkit_without_timeout(steps: int) -> Run:
    from agentkit import ToolPolicy, with_policy

    return _agentkit(steps, [with_policy(add, ToolPolicy(timeout_s=None))])


def agentkit_on_disk(steps: int) -> Run:
    from agentkit.memory import Memory

    folder = tempfile.mkdtemp()
    return _agentkit(steps, [add], memory=Memory(f"{folder}/memory.db"))


def langchain_create_agent(steps: int) -> Run:
    from langchain.agents import create_agent

    graph = create_agent(Instant(steps=steps), [add])
    limit = {"recursion_limit": 4 * steps + 10}
    return lambda: graph.invoke({"messages": [HumanMessage("go")]}, limit)["messages"][-1].content


def langgraph_react(steps: int) -> Run:
    from langgraph.prebuilt import create_react_agent

    graph = create_react_agent(Instant(steps=steps), [add])
    limit = {"recursion_limit": 4 * steps + 10}
    return lambda: graph.invoke({"messages": [HumanMessage("go")]}, limit)["messages"][-1].content


def pydantic_ai(steps: int) -> Run:
    from pydantic_ai import Agent
    from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
    from pydantic_ai.models.function import FunctionModel
    from pydantic_ai.usage import UsageLimits

    def respond(messages, info):
        done = sum(part.part_kind == "tool-return" for message in messages for part in message.parts)
        if done == steps:
            return ModelResponse(parts=[TextPart(f"done {done}")])
        return ModelResponse(parts=[ToolCallPart("add", {"a": done, "b": 1}, tool_call_id=f"call{done}")])

    agent = Agent(FunctionModel(respond))
    agent.tool_plain(_plain_add)
    limits = UsageLimits(request_limit=steps + 1)
    return lambda: agent.run_sync("go", usage_limits=limits).output


def _plain_add(a: int, b: int) -> int:
    return a + b


_plain_add.__name__ = "add"


def openai_agents(steps: int) -> Run:
    import agents
    from agents import Agent, ModelResponse, Runner, Usage, function_tool
    from agents.models.interface import Model
    from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

    agents.set_tracing_disabled(True)

    class InstantModel(Model):
        async def get_response(self, system_instructions, input, *args, **kwargs):
            results = [] if isinstance(input, str) else [i for i in input if i.get("type") == "function_call_output"]
            if len(results) == steps:
                text = ResponseOutputText(annotations=[], text=f"done {steps}", type="output_text")
                said = ResponseOutputMessage(
                    id="m", content=[text], role="assistant", status="completed", type="message"
                )
            else:
                arguments = json.dumps({"a": len(results), "b": 1})
                said = ResponseFunctionToolCall(
                    arguments=arguments, call_id=f"call{len(results)}", name="add", type="function_call"
                )
            return ModelResponse(output=[said], usage=Usage(), response_id=None)

        def stream_response(self, *args, **kwargs):
            raise AssertionError("nothing here streams")

    agent = Agent(name="x", model=InstantModel(), tools=[function_tool(_plain_add, name_override="add")])
    return lambda: Runner.run_sync(agent, "go", max_turns=steps + 1).final_output


def smolagents(steps: int) -> Run:
    from smolagents import LogLevel, Tool, ToolCallingAgent
    from smolagents.models import (
        ChatMessage,
        ChatMessageToolCall,
        ChatMessageToolCallFunction,
        MessageRole,
        Model,
    )

    class InstantModel(Model):
        def __init__(self):
            super().__init__()
            self.done = 0

        def generate(self, messages, **kwargs):
            done, self.done = self.done, (self.done + 1) % (steps + 1)
            name, arguments = (
                ("add", {"a": done, "b": 1}) if done < steps else ("final_answer", {"answer": f"done {done}"})
            )
            call = ChatMessageToolCallFunction(name=name, arguments=arguments)
            calls = [ChatMessageToolCall(id=f"call{done}", type="function", function=call)]
            return ChatMessage(role=MessageRole.ASSISTANT, content="", tool_calls=calls)

    class Add(Tool):
        name = "add"
        description = "Add two integers."
        inputs = {  # noqa: RUF012
            "a": {"type": "integer", "description": "a"},
            "b": {"type": "integer", "description": "b"},
        }
        output_type = "integer"

        def forward(self, a: int, b: int) -> int:
            return a + b

    agent = ToolCallingAgent(tools=[Add()], model=InstantModel(), max_steps=steps + 1, verbosity_level=LogLevel.OFF)
    return lambda: agent.run("go")


CONTESTANTS = [
    floor,
    agentkit_without_timeout,
    agentkit,
    agentkit_on_disk,
    langchain_create_agent,
    langgraph_react,
    pydantic_ai,
    openai_agents,
    smolagents,
]


def measure(steps: int, rounds: int) -> None:
    runs: dict[str, Run] = {}
    for contestant in CONTESTANTS:
        try:
            run = contestant(steps)
            answer = str(run())
        except Exception as error:  # a peer broken by its own dependencies must not end the measurement of the others
            if "agentkit" in contestant.__name__ or contestant is floor:
                raise
            print(f"{contestant.__name__}: omitted ({type(error).__name__}: {str(error)[:100]})")
            continue
        assert answer == f"done {steps}", contestant.__name__
        runs[contestant.__name__] = run
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name in random.sample(list(runs), len(runs)):
            began = time.perf_counter()
            runs[name]()
            times[name].append(time.perf_counter() - began)
    base = statistics.median(times["floor"])
    print(f"\n{steps} steps, median of {rounds} rounds\n{'':26s} {'us a step':>10s} {'x floor':>8s}")
    for name, taken in times.items():
        median = statistics.median(taken)
        print(f"{name:26s} {median / steps * 1e6:10.0f} {median / base:8.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, nargs="+", default=[10, 50])
    parser.add_argument("--rounds", type=int, default=30)
    given = parser.parse_args()
    for steps in given.steps:
        measure(steps, given.rounds)


if __name__ == "__main__":
    main()
