import asyncio
import runpy
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.history import RunnableWithMessageHistory
from langchain_core.tools import tool

from agentkit import ConfigError, InputError, SessionBusyError, SessionError, Turn, validate_history
from agentkit.memory import AugmentedChatMessageHistory, Memory
from agentkit.memory.langchain.messages import folded, turn_of_messages
from agentkit.testing import ScriptedChat, reply

# LangChain prefers its agents, and still supports this for those who use it.
DEPRECATED = pytest.mark.filterwarnings("ignore:RunnableWithMessageHistory is deprecated")
CALL = {"name": "look", "args": {"q": "shoes"}, "id": "c1", "type": "tool_call"}
TURN = [
    HumanMessage("Which shoes?"),
    AIMessage("I will look.", tool_calls=[CALL]),
    ToolMessage('{"order_id": "ORD-4471"}', tool_call_id="c1", name="look"),
    AIMessage("The blue ones.", usage_metadata={"input_tokens": 10, "output_tokens": 2, "total_tokens": 12}),
]


@tool
def look(q: str) -> str:
    """Look something up."""
    return '{"order_id": "ORD-4471", "notes": "' + "long " * 300 + '"}'


@pytest.fixture
def memory(tmp_path):
    with Memory(tmp_path / "m.db") as memory:
        yield memory


def test_what_is_no_memory_no_budget_or_no_message_is_named(memory):
    with pytest.raises(ConfigError, match=r"memory is 'm.db': give a Memory"):
        AugmentedChatMessageHistory("m.db", "s")
    with pytest.raises(ConfigError, match="max_tokens is '500'"):
        AugmentedChatMessageHistory(memory, "s", max_tokens="500")
    history = AugmentedChatMessageHistory(memory, "s")
    with pytest.raises(InputError, match=r"was given 'hello': give LangChain messages"):
        history.add_messages([HumanMessage("hi"), "hello"])
    assert history.messages == []


def test_what_could_not_be_stored_is_stored_with_what_comes_next(memory):
    history = AugmentedChatMessageHistory(memory, "s")
    running = memory.begin("s", "Who runs?")
    with pytest.raises(SessionBusyError):
        history.add_messages([*TURN, HumanMessage("And now?")])
    running.finish(Turn(input="Who runs?", output="I do."))
    history.add_messages([AIMessage("Nothing.")])
    assert [turn.input for turn in memory.turns("s")] == ["Who runs?", "Which shoes?", "And now?"]


def texts(messages) -> list[str]:
    return [m.text for m in messages]


def test_messages_become_a_turn(memory):
    history = AugmentedChatMessageHistory(memory, "s")
    history.add_messages(TURN)
    (turn,) = memory.turns("s")
    assert (turn.input, turn.output, turn.stop_reason) == ("Which shoes?", "The blue ones.", "answered")
    assert (turn.usage.model_calls, turn.usage.input_tokens) == (2, 10)
    (step,) = turn.steps
    assert (step.tool, step.tool_input, step.call_id, step.round, step.plan) == (
        "look", {"q": "shoes"}, "c1", 1, "I will look.",
    )  # fmt: skip
    assert (step.observation, step.ok) == ('{"order_id": "ORD-4471"}', True)
    assert texts(history.messages) == texts(memory.replay("s"))
    assert "ORD-4471" in str(history.messages)


def test_messages_added_one_by_one_are_the_same_turn(memory):
    history = AugmentedChatMessageHistory(memory, "s")
    for n, message in enumerate(TURN):
        assert history.messages == TURN[:n], "a question that waits for its answer is there too"
        history.add_message(message)
    AugmentedChatMessageHistory(memory, "t").add_messages(TURN)
    assert memory.turns("s")[0].model_copy(update={"session": "t"}) == memory.turns("t")[0]


def test_several_turns_at_once_and_turns_without_an_answer(memory):
    history = AugmentedChatMessageHistory(memory, "s")
    failed = ToolMessage("no network", tool_call_id="c1", name="look", status="error")
    broken = [*TURN[:2], HumanMessage("Hello?"), AIMessage("Yes?"), *TURN[:2], failed, AIMessage("")]
    history.add_messages([SystemMessage("Be kind."), HumanMessage("One."), HumanMessage("Two."), AIMessage("3.")])
    history.add_messages(broken)
    turns = memory.turns("s")
    assert [t.input for t in turns] == ["One.\nTwo.", "Which shoes?", "Hello?", "Which shoes?"]
    assert [t.stop_reason for t in turns] == ["answered", "interrupted", "answered", "empty_reply"]
    assert "outcome unknown" in turns[1].steps[0].observation
    assert (turns[3].steps[0].ok, turns[3].steps[0].observation) == (False, "no network")
    validate_history([*history.messages, HumanMessage("next")])


CALLED = AIMessage("", tool_calls=[CALL])
FOUND = ToolMessage("found", tool_call_id="c1", name="look")


def test_a_question_put_in_while_the_turn_runs_belongs_to_it(memory):
    AugmentedChatMessageHistory(memory, "s").add_messages(
        [HumanMessage("Which shoes?"), CALLED, FOUND, HumanMessage("Hurry!"), AIMessage("Blue ones.")]
    )
    (turn,) = memory.turns("s")
    assert (turn.input, turn.output, len(turn.steps)) == ("Which shoes?\nHurry!", "Blue ones.", 1)


def test_a_run_that_ends_with_a_result_is_stored(memory):
    AugmentedChatMessageHistory(memory, "s").add_messages([HumanMessage("Which shoes?"), CALLED, FOUND])
    AugmentedChatMessageHistory(memory, "s").add_messages([HumanMessage("And?"), AIMessage("Blue ones.")])
    assert [(t.input, t.output, len(t.steps)) for t in memory.turns("s")] == [
        ("Which shoes?", "found", 1),
        ("And?", "Blue ones.", 0),
    ]


def test_a_picture_in_a_result_is_a_file_of_the_step(memory):
    seen = [{"type": "text", "text": "The shop:"}, {"type": "image", "base64": "iVBORw0=", "mime_type": "image/png"}]
    linked = [{"type": "image", "url": "https://shop.example/a.png"}, "and", {"type": "audio", "base64": "no base64"}]
    calls = [CALL, {**CALL, "id": "c2"}]
    messages = [
        HumanMessage("What is there?"),
        AIMessage("", tool_calls=calls),
        ToolMessage(seen, tool_call_id="c1", name="look"),
        ToolMessage(linked, tool_call_id="c2", name="look"),
        AIMessage("A shop."),
    ]
    first, second = turn_of_messages(messages).steps
    assert first.observation == "The shop:\n[image-1.png]"
    assert [(a.name, a.data, a.media_type) for a in first.result.artifacts] == [
        ("image-1.png", b"\x89PNG\r", "image/png")
    ]
    assert second.observation.startswith("[image: https://shop.example/a.png]\nand\n{")
    assert second.result.artifacts == ()


def test_clear_deletes_the_session(memory):
    history = AugmentedChatMessageHistory(memory, "s")
    history.clear()
    history.add_messages(TURN)
    history.add_user_message("and?")
    history.clear()
    assert history.messages == []
    assert memory.sessions() == []


def test_a_budget_and_an_impossible_session(memory):
    history = AugmentedChatMessageHistory(memory, "s", max_tokens=60)
    for _ in range(5):
        history.add_messages(TURN)
    assert "left out" in history.messages[0].text
    with pytest.raises(SessionError):
        AugmentedChatMessageHistory(memory, "")


def test_notes_folded_for_models_that_take_one_system_message(memory):
    history = AugmentedChatMessageHistory(memory, "s", system_notes=False)
    history.add_messages(TURN)
    assert [m.type for m in history.messages] == ["human", "ai"]
    assert "ORD-4471" in history.messages[0].text
    line = SystemMessage("[3 earlier turns left out.]")
    assert texts(folded([line, HumanMessage("q"), AIMessage("a")])) == ["[3 earlier turns left out.]\n\nq", "a"]
    assert texts(folded([line])) == ["[3 earlier turns left out.]"]


@DEPRECATED
@pytest.mark.parametrize("sync", [True, False])
def test_runnable_with_message_history(memory, sync):
    model = ScriptedChat(["Hello Anna.", "Your name is Anna."])
    prompt = ChatPromptTemplate.from_messages([MessagesPlaceholder("history"), ("human", "{question}")])
    chain = RunnableWithMessageHistory(
        prompt | model,
        lambda session_id: AugmentedChatMessageHistory(memory, session_id),
        input_messages_key="question",
        history_messages_key="history",
    )
    config: RunnableConfig = {"configurable": {"session_id": "s"}}

    async def converse() -> list[str]:
        asked = [{"question": "I am Anna."}, {"question": "My name?"}]
        return [(await chain.ainvoke(q, config)).text for q in asked]

    if sync:
        said = [chain.invoke(q, config).text for q in ({"question": "I am Anna."}, {"question": "My name?"})]
    else:
        said = asyncio.run(converse())
    assert said == ["Hello Anna.", "Your name is Anna."]
    assert texts(model.requests[1].messages) == ["I am Anna.", "Hello Anna.", "My name?"]
    assert [(t.input, t.output) for t in memory.turns("s")] == [
        ("I am Anna.", "Hello Anna."),
        ("My name?", "Your name is Anna."),
    ]


@DEPRECATED
def test_runnable_over_plain_messages(memory):
    model = ScriptedChat(["One.", "Two."])
    chain = RunnableWithMessageHistory(model, lambda session_id: AugmentedChatMessageHistory(memory, session_id))
    config: RunnableConfig = {"configurable": {"session_id": "s"}}
    chain.invoke([HumanMessage("first")], config)
    chain.invoke([HumanMessage("second")], config)
    assert texts(model.requests[1].messages) == ["first", "One.", "second"]
    assert [t.input for t in memory.turns("s")] == ["first", "second"]


# --- create_agent ------------------------------------------------------------------------------------------------

SCRIPT = [
    reply(plan="I will look.", calls=[("look", {"q": "shoes"})]),
    "It is ordered.",
    reply(plan="I will open it.", calls=[("recall", {"reference": "t1.s1"})]),
    "It is ORD-4471.",
]


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("sync", [True, False])
def test_create_agent(memory, sync, kept):
    agents = pytest.importorskip("langchain.agents")
    from langgraph.checkpoint.memory import InMemorySaver

    from agentkit.memory import AugmentedMemoryMiddleware

    model = ScriptedChat(SCRIPT)
    agent = agents.create_agent(
        model,
        [look],
        system_prompt="Be brief.",
        middleware=[AugmentedMemoryMiddleware(memory)],
        checkpointer=InMemorySaver() if kept else None,
    )
    config: RunnableConfig = {"configurable": {"thread_id": "s"}}
    questions = [{"messages": [("human", q)]} for q in ("Order the shoes.", "The number?")]

    async def converse() -> list[str]:
        return [(await agent.ainvoke(q, config))["messages"][-1].text for q in questions]

    def converse_sync() -> list[str]:
        return [agent.invoke(q, config)["messages"][-1].text for q in questions]

    said = converse_sync() if sync else asyncio.run(converse())
    assert said == ["It is ordered.", "It is ORD-4471."]
    assert [r.tools for r in model.requests] == [("look",), ("look",), ("look", "recall"), ("look", "recall")]
    shown = model.requests[2].messages
    assert [m.type for m in shown] == ["system", "human", "ai", "human"]
    assert texts(shown)[-1] == "The number?"
    assert "ORD-4471" in str(model.requests[3].messages[-1].content), "recall opened the session's step"
    turns = memory.turns("s")
    assert [[s.tool for s in t.steps] for t in turns] == [["look"], ["recall"]]
    assert [t.output for t in turns] == said


def test_create_agent_needs_a_session(memory):
    agents = pytest.importorskip("langchain.agents")
    from agentkit.memory import AugmentedMemoryMiddleware

    agent = agents.create_agent(ScriptedChat(["a"]), [look], middleware=[AugmentedMemoryMiddleware(memory)])
    with pytest.raises(SessionError, match='belongs in config."configurable"'):
        agent.invoke({"messages": [("human", "q")]})


@pytest.mark.parametrize(
    ("name", "said"),
    [("langchain_history", "Model: It is ORD-4471."), ("langchain_agent", "The payment failed with code XK-9917-B.")],
)
def test_the_examples(capsys, name, said):
    if name == "langchain_agent":
        pytest.importorskip("langchain.agents")
    path = Path(__file__).parents[3] / "examples" / f"{name}.py"
    assert len(path.read_text().splitlines()) <= 60
    runpy.run_path(str(path), run_name="__main__")
    assert said in capsys.readouterr().out


def test_a_turn_of_no_messages():
    assert turn_of_messages([]).stop_reason == "interrupted"
