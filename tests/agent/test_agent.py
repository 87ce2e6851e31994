import asyncio
import threading

import pytest
from inline_snapshot import snapshot
from langchain_core.agents import AgentAction
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from support.message_outline import outline
from support.tools import add

import agentkit
import agentkit.memory
import agentkit.testing
import agentkit.tools
from agentkit import (
    Agent,
    ConfigError,
    HistoryError,
    InputError,
    Limits,
    ModelError,
    SessionBusyError,
    SessionError,
    Turn,
    Usage,
)
from agentkit.memory import Memory
from agentkit.testing import ScriptedChat, reply


@tool(description="Find codes.")
def find(text: str) -> dict:
    return {"objref": [text]}


ADD = reply(plan="I will add.", calls=[("add", {"a": 1, "b": 2})], usage=(10, 2))
SCRIPT = [ADD, reply("3", usage=(20, 1))]


def test_the_public_names_are_these():
    assert agentkit.__all__ == [
        "Agent", "AgentKitError", "Approve", "Artifact", "CassetteError", "Citation", "CohereChat", "CohereOptions",
        "ConfigError", "DeadlineError", "Deny", "Edit", "GroundingError", "HistoryError", "HookError", "Hooks",
        "InputError", "Limits", "ModelError", "Observation", "Outcome", "Price", "Refuse", "Resume", "RetryPolicy",
        "SessionBusyError", "SessionError", "Step", "StopReason", "StoreError", "StoreVersionError", "ToolCall",
        "ToolError", "ToolPolicy", "Turn", "Usage", "UserError", "__version__", "image", "policy_of",
        "validate_history", "with_policy",
    ]  # fmt: skip
    assert agentkit.memory.__all__ == [
        "Action", "AugmentedChatMessageHistory", "Hit", "Memory", "MemoryObject", "OpenTurn", "RecallTool",
        "SessionInfo", "estimate_tokens",
    ]  # fmt: skip
    assert agentkit.testing.__all__ == [
        "Cite", "CohereServer", "NetworkBlockedError", "Recording", "ScriptError", "ScriptedChat", "ScriptedReply",
        "ScriptedRequest", "ServerRequest", "block_network", "cite", "reply", "use_cassette",
    ]  # fmt: skip
    for module in (agentkit, agentkit.memory, agentkit.testing, agentkit.tools):
        for name in module.__all__:
            assert getattr(module, name) is not None
    with pytest.raises(AttributeError):
        agentkit.nothing  # noqa: B018


@pytest.mark.parametrize("way", ["run", "arun", "invoke", "ainvoke"])
def test_every_way_to_run_gives_the_same_turn(way):
    chat = ScriptedChat(SCRIPT)
    agent = Agent(model=chat, tools=[add], system="be exact")
    config: RunnableConfig = {"configurable": {"session": "s1"}}
    if way == "run":
        turn = agent.run("1 + 2?", session="s1")
    elif way == "arun":
        turn = asyncio.run(agent.arun("1 + 2?", session="s1"))
    elif way == "invoke":
        turn = agent.invoke("1 + 2?", config)["turn"]
    else:
        turn = asyncio.run(agent.ainvoke("1 + 2?", config))["turn"]
    assert isinstance(turn, Turn)
    assert (turn.input, turn.output, turn.session, turn.stop_reason) == ("1 + 2?", "3", "s1", "answered")
    assert turn.usage == Usage(input_tokens=30, output_tokens=3, model_calls=2)
    (step,) = turn.steps
    assert (step.tool, step.tool_input, step.observation, step.ok, step.plan) == (
        "add", {"a": 1, "b": 2}, "3", True, "I will add.",
    )  # fmt: skip
    assert step.result is not None
    assert step.result.value == 3
    chat.assert_all_used()
    assert [outline(request.messages) for request in chat.requests] == snapshot(
        [
            ["system: be exact", "human: 1 + 2?"],
            ["system: be exact", "human: 1 + 2?", 'ai: I will add. call_1=add({"a": 1, "b": 2})', "tool call_1: 3"],
        ]
    )


def test_the_cookbooks_calling_code():
    chat = ScriptedChat([reply(plan="I will look.", calls=[("find", {"text": "GLPNT0005GUJOGGE"})]), "[1]"])
    agent = Agent(model=chat, tools=[find], system="not this one")
    response = agent.invoke(
        {
            "input": "Look for GLPNT0005GUJOGGE",
            "preamble": "You are an assistant.",
            "chat_history": [AIMessage(content="an earlier answer")],
        }
    )
    assert response["input"] == "Look for GLPNT0005GUJOGGE"
    assert response["output"] == "[1]"
    ((action, seen),) = response["intermediate_steps"]
    assert isinstance(action, AgentAction)
    assert (action.tool, action.tool_input, action.log) == ("find", {"text": "GLPNT0005GUJOGGE"}, "I will look.")
    assert seen == {"objref": ["GLPNT0005GUJOGGE"]}, "the tool's own return value"
    assert (response["citations"], response["grounded_output"]) == ([], "[1]")
    sent = chat.requests[0].messages
    assert [m.content for m in sent] == ["You are an assistant.", "an earlier answer", "Look for GLPNT0005GUJOGGE"]


def test_a_failed_step_shows_its_text_as_the_intermediate_result():
    chat = ScriptedChat([reply(calls=[("ad", {})]), "sorry"])
    ((_, seen),) = Agent(model=chat, tools=[add]).invoke("go")["intermediate_steps"]
    assert seen.startswith("There is no tool named 'ad'")


def test_batch_and_pipe():
    agent = Agent(model=ScriptedChat([lambda messages: messages[-1].content.upper()] * 4))
    assert [out["output"] for out in agent.batch(["a", "b", "c"])] == ["A", "B", "C"]
    chain = agent | (lambda out: out["output"] + "!")
    assert chain.invoke("d") == "D!"


def test_bind_and_with_config_name_the_session():
    memory = Memory()
    agent = Agent(model=ScriptedChat(["one", "two", "three", "four"]), memory=memory)
    assert agent.bind(session="s").invoke("a")["turn"].session == "s"
    assert asyncio.run(agent.bind(session="s").ainvoke("b"))["turn"].number == 2
    assert list(agent.bind(session="s").stream("c"))[-1].turn.number == 3
    configured = agent.with_config({"configurable": {"session": "s"}, "tags": ["mine"]})
    assert configured.invoke({"input": "d"})["turn"].number == 4


def test_without_a_session_each_run_is_its_own():
    memory = Memory()
    chat = ScriptedChat(["one", "two"])
    agent = Agent(model=chat, memory=memory)
    first, second = agent.run("a"), agent.run("b")
    assert first.session != second.session
    assert [m.content for m in chat.requests[1].messages] == ["b"]
    assert {info.name for info in memory.sessions()} == {first.session, second.session}


def test_memory_is_replayed_and_chat_history_replaces_it():
    memory = Memory(replay="dialogue")
    chat = ScriptedChat(["one", "two", "three"])
    agent = Agent(model=chat, memory=memory)
    assert agent.run("a", session="s").number == 1
    assert agent.run("b", session="s").number == 2
    given = {"input": "c", "chat_history": [("human", "x"), ("ai", "y")]}
    agent.invoke(given, {"configurable": {"session": "s"}})
    assert [[m.content for m in r.messages] for r in chat.requests] == [
        ["a"],
        ["a", "one", "b"],
        ["x", "y", "c"],
    ]
    assert [t.output for t in memory.turns("s")] == ["one", "two", "three"]


def test_the_calls_are_in_memory_before_they_run():
    memory = Memory()
    seen = []

    @tool(description="Looks into the memory.")
    def look() -> str:
        seen.extend((t.stop_reason, [s.tool for s in t.steps]) for t in Memory.turns(memory, "other"))
        return "ok"

    Agent(model=ScriptedChat(["hello"]), memory=memory).run("q", session="other")
    Agent(model=ScriptedChat([reply(calls=[("look", {})]), "done"]), tools=[look], memory=memory).run("q", session="s")
    assert seen == [("answered", [])], "a tool may read the memory of the agent that calls it"


def test_a_run_that_breaks_is_closed_as_interrupted_and_the_session_goes_on():
    memory = Memory()
    chat = ScriptedChat([ADD, ModelError("gone"), "fine again"])
    agent = Agent(model=chat, tools=[add], memory=memory)
    with pytest.raises(ModelError, match="gone"):
        agent.run("1 + 2?", session="s")
    assert agent.run("still there?", session="s").output == "fine again"
    broken, fine = memory.turns("s")
    assert (broken.stop_reason, [s.observation for s in broken.steps]) == ("interrupted", ["3"])
    assert fine.number == 2


def test_two_runs_at_once_in_one_session():
    inside, go = threading.Event(), threading.Event()

    @tool(description="Waits.")
    def hold() -> str:
        inside.set()
        go.wait(30)
        return "ok"

    agent = Agent(model=ScriptedChat([reply(calls=[("hold", {})]), "held", "free", "after"]), tools=[hold])
    turns = []
    thread = threading.Thread(target=lambda: turns.append(agent.run("a", session="s")))
    thread.start()
    assert inside.wait(30)
    with pytest.raises(SessionBusyError, match="'s' is running already"):
        agent.run("b", session="s")
    go.set()
    thread.join(30)
    assert turns[0].output == "held"
    assert agent.run("c", session="s").output == "free"


def test_callbacks_see_one_tree():
    class Watch(BaseCallbackHandler):
        def __init__(self):
            self.seen = []

        def on_chain_start(self, serialized, inputs, *, run_id, parent_run_id=None, **kwargs):
            self.seen.append(("agent", run_id, parent_run_id, inputs))

        def on_chat_model_start(self, serialized, messages, *, run_id, parent_run_id=None, **kwargs):
            self.seen.append(("model", run_id, parent_run_id, kwargs["tags"]))

        def on_tool_start(self, serialized, input_str, *, run_id, parent_run_id=None, **kwargs):
            self.seen.append((serialized["name"], run_id, parent_run_id, kwargs["inputs"]))

        def on_chain_end(self, outputs, *, run_id, **kwargs):
            self.seen.append(("end", run_id, None, outputs))

    for way in ("run", "arun"):
        watch = Watch()
        agent = Agent(model=ScriptedChat(SCRIPT), tools=[add])
        config: RunnableConfig = {"callbacks": [watch], "tags": ["mine"]}
        if way == "run":
            agent.run("1 + 2?", config=config)
        else:
            asyncio.run(agent.arun("1 + 2?", config=config))
        assert [s[0] for s in watch.seen] == ["agent", "model", "add", "model", "end"]
        root = watch.seen[0][1]
        assert {s[2] for s in watch.seen[1:4]} == {root}
        assert watch.seen[0][3] == {"input": "1 + 2?"}
        assert "mine" in watch.seen[1][3]
        assert watch.seen[2][3] == {"a": 1, "b": 2}


@pytest.mark.parametrize("question", ["", "  \n", None, 7])
def test_no_question(question):
    agent = Agent(model=ScriptedChat([]))
    with pytest.raises(InputError, match="ask something"):
        agent.run(question)


@pytest.mark.parametrize("given", [{}, {"question": "x"}, 7, None, []])
def test_invoke_without_input(given):
    with pytest.raises(InputError, match="give a question, or a dict with 'input'"):
        Agent(model=ScriptedChat([])).invoke(given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"input": "x", "preamble": 3}, "The preamble is 3"),
        ({"input": "x", "chat_history": 3}, "chat_history is 3"),
        ({"input": "x", "chat_history": [object()]}, "chat_history is"),
    ],
)
def test_invoke_with_keys_of_the_wrong_type(given, said):
    with pytest.raises(InputError, match=said):
        Agent(model=ScriptedChat([])).invoke(given)


def test_invoke_takes_no_keyword_arguments():
    with pytest.raises(InputError, match="invoke takes no temperature"):
        Agent(model=ScriptedChat([])).invoke("x", temperature=1)


@pytest.mark.parametrize("session", ["", "  ", "x" * 201, "a\nb", "a\x00b", "\ud800", 7])
def test_session_names(session):
    with pytest.raises(SessionError, match="session name"):
        Agent(model=ScriptedChat([])).run("x", session=session)


def test_a_chat_history_the_api_would_refuse():
    orphan = AIMessage("", tool_calls=[{"name": "add", "args": {}, "id": "c1"}])
    chat = ScriptedChat([])
    with pytest.raises(HistoryError, match="before the result of 'add'"):
        Agent(model=chat, tools=[add]).invoke({"input": "x", "chat_history": [orphan]})
    assert chat.requests == []


def test_run_inside_a_running_loop():
    agent = Agent(model=ScriptedChat(["fine"]))

    async def main():
        with pytest.raises(InputError, match=r"await agent\.arun"):
            agent.run("x")
        return agent.invoke("x")["output"]

    assert asyncio.run(main()) == "fine"


def test_bad_tools_are_refused_when_the_agent_is_made():
    with pytest.raises(ConfigError, match="Two tools are named 'add'"):
        Agent(model=ScriptedChat([]), tools=[add, add])


def test_limits_are_kept():
    agent = Agent(model=ScriptedChat([ADD, ADD, "enough"]), tools=[add], limits=Limits(max_steps=2))
    turn = agent.run("go")
    assert (turn.stop_reason, turn.output, len(turn.steps)) == ("max_steps", "enough", 2)


def test_odd_text_everywhere_is_kept():
    @tool(description="Echo.")
    def echo(text: str) -> str:
        return text + "\x00\ud800"

    memory = Memory()
    chat = ScriptedChat([reply(calls=[("echo", {"text": "a\x00"})]), "b\x00\udfff"])
    turn = Agent(model=chat, tools=[echo], memory=memory).run("q\x00\ud800", session="s")
    assert (turn.input, turn.output) == ("q\\x00\\ud800", "b\\x00\\udfff")
    assert turn.steps[0].observation == "a\\x00\\x00\\ud800"
    (stored,) = memory.turns("s")
    assert (stored.input, stored.output, stored.steps[0].observation) == (
        turn.input, turn.output, turn.steps[0].observation,
    )  # fmt: skip


def test_a_result_of_50_megabytes():
    @tool(description="Big.")
    def big() -> str:
        return "x" * 50_000_000

    memory = Memory()
    chat = ScriptedChat([reply(calls=[("big", {})]), "done"])
    turn = Agent(model=chat, tools=[big], memory=memory).run("q", session="s")
    assert len(turn.steps[0].observation) < 201_000
    assert "49800000 of 50000000 characters left out" in turn.steps[0].observation
    (stored,) = memory.turns("s")
    assert stored.steps[0].result is not None
    assert len(stored.steps[0].result.content) == 50_000_000, "nothing is lost"
