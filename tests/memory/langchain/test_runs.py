"""A run of create_agent is stored whole, and nothing that the memory does not hold is hidden from the model."""

import asyncio
import base64
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel

pytest.importorskip("langchain.agents")
from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    HumanInTheLoopMiddleware,
    ModelCallLimitMiddleware,
    ModelRetryMiddleware,
    SummarizationMiddleware,
    ToolRetryMiddleware,
    hook_config,
)
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from agentkit.memory import AugmentedMemoryMiddleware, Memory
from agentkit.testing import ScriptedChat, reply

CONFIG: Any = {"configurable": {"thread_id": "s"}}
PIXEL = base64.b64encode(b"\x89PNG pixels").decode()


@tool
def look(q: str) -> str:
    """Look something up."""
    return f"found {q}"


@tool
def breaks(q: str) -> str:
    """Break."""
    raise RuntimeError(f"no {q}")


@pytest.fixture
def memory(tmp_path):
    with Memory(tmp_path / "m.db") as memory:
        yield memory


@pytest.fixture(params=[True, False], ids=["sync", "async"])
def ask(request):
    """Ask an agent a question, or give it all of its input."""

    def asked(agent, given, **more):
        given = {"messages": [("human", given)]} if isinstance(given, str) else given
        if request.param:
            return agent.invoke(given, CONFIG, **more)
        return asyncio.run(agent.ainvoke(given, CONFIG, **more))

    return asked


def make(memory, script, tools=(look,), *, middleware=(), saver=None, first=True, **options):
    own = AugmentedMemoryMiddleware(memory)
    model = ScriptedChat(script)
    order = [own, *middleware] if first else [*middleware, own]
    return create_agent(model, list(tools), middleware=order, checkpointer=saver, **options), model


def stored(memory) -> list[tuple[str, list[tuple[str, str]], str]]:
    return [(t.input, [(s.tool, s.observation) for s in t.steps], t.output) for t in memory.turns("s")]


def shown(model, number: int = -1) -> str:
    return "\n".join(message.text for message in model.requests[number].messages)


LOOKED = ("look", "found shoes")
ONE_RUN = [reply(calls=[("look", {"q": "shoes"})]), "Blue ones."]


def test_a_message_put_in_while_the_run_goes_on(memory, ask):
    @tool
    def ask_back(q: str) -> Command:
        """Look, and bring what the user said meanwhile."""
        result = ToolMessage("found shoes", tool_call_id="call_1", name="ask_back")
        return Command(update={"messages": [result, HumanMessage("And hurry!")]})

    script = [reply(calls=[("ask_back", {"q": "shoes"})]), "Blue ones.", "You wanted shoes."]
    agent, model = make(memory, script, [ask_back])
    ask(agent, "Which shoes?")
    assert shown(model, 1) == "Which shoes?\n\nfound shoes\nAnd hurry!"
    ask(agent, "What did I want?")
    assert stored(memory)[0] == ("Which shoes?\nAnd hurry!", [("ask_back", "found shoes")], "Blue ones.")
    for text in ("Which shoes?", "found shoes", "Blue ones."):
        assert text in shown(model)


@pytest.mark.parametrize("first", [True, False])
def test_a_message_another_middleware_puts_in(memory, ask, first):
    class Hint(AgentMiddleware):
        def before_model(self, state, runtime):
            last = state["messages"][-1]
            return {"messages": [HumanMessage("Be quick.")]} if isinstance(last, ToolMessage) else None

    agent, model = make(memory, [*ONE_RUN, "Shoes."], middleware=[Hint()], first=first)
    ask(agent, "Which shoes?")
    assert shown(model, 1) == "Which shoes?\n\nfound shoes\nBe quick."
    assert stored(memory) == [("Which shoes?\nBe quick.", [LOOKED], "Blue ones.")]


@pytest.mark.parametrize("where", ["result", "message"])
def test_a_screenshot(memory, ask, where):
    image = {"type": "image", "base64": PIXEL, "mime_type": "image/png"}

    @tool
    def screenshot() -> Any:
        """Take a screenshot."""
        if where == "result":
            return [{"type": "text", "text": "The shop:"}, image]
        result = ToolMessage("The shop:", tool_call_id="call_1", name="screenshot")
        return Command(update={"messages": [result, HumanMessage([image])]})

    agent, model = make(memory, [reply(calls=[("screenshot", {})]), "A shop.", "It was a shop."], [screenshot])
    ask(agent, "What is on the screen?")
    assert PIXEL in str(model.requests[1].messages), "the model sees the picture"
    ask(agent, "What was it?")
    (turn, _) = memory.turns("s")
    assert (turn.input, turn.output) == ("What is on the screen?", "A shop.")
    assert turn.steps[0].observation.startswith("The shop:")
    assert PIXEL not in turn.model_dump_json(exclude={"steps": {0: {"result": {"artifacts"}}}})
    if where == "result":
        assert turn.steps[0].result.artifacts[0].data == b"\x89PNG pixels"
        assert turn.steps[0].observation == "The shop:\n[image-1.png]"
    assert "The shop:" in shown(model)


@pytest.mark.parametrize("saver", [True, False])
@pytest.mark.parametrize("first", [True, False])
def test_a_summary_by_another_middleware(memory, ask, first, saver):
    summarise = SummarizationMiddleware(ScriptedChat(["SUMMARY"] * 9), trigger=("messages", 3), keep=("messages", 1))
    calls = [reply(calls=[("look", {"q": q})]) for q in ("shoes", "socks")]
    script = [*calls, "Blue ones.", "You wanted shoes."]
    agent, model = make(memory, script, middleware=[summarise], first=first, saver=InMemorySaver() if saver else None)
    ask(agent, "Which shoes?")
    assert "SUMMARY" in shown(model, 2), "the run is shortened as the user wished"
    steps = [LOOKED, ("look", "found socks")]
    assert stored(memory) == [("Which shoes?", steps, "Blue ones.")]
    ask(agent, "What did I want?")
    assert stored(memory)[1] == ("What did I want?", [], "You wanted shoes.")
    for text in ("Which shoes?", "found shoes", "found socks", "Blue ones.", "What did I want?"):
        assert text in shown(model)


OLD = [
    HumanMessage("I am Anna."),
    AIMessage("Hello Anna."),
    HumanMessage("Which shoes?"),
    AIMessage("", tool_calls=[{"name": "look", "args": {"q": "shoes"}, "id": "old_1", "type": "tool_call"}]),
    ToolMessage("found shoes", tool_call_id="old_1", name="look"),
    AIMessage("Blue ones."),
]
OLD_STORED = [("I am Anna.", [], "Hello Anna."), ("Which shoes?", [LOOKED], "Blue ones.")]


def test_a_thread_older_than_the_memory(memory, ask):
    saver = InMemorySaver()
    before = create_agent(ScriptedChat(["Hello Anna.", *ONE_RUN]), [look], checkpointer=saver)
    ask(before, "I am Anna.")
    ask(before, "Which shoes?")
    agent, model = make(memory, ["Anna.", "Blue."], saver=saver)
    ask(agent, "Who am I?")
    assert stored(memory) == [*OLD_STORED, ("Who am I?", [], "Anna.")]
    for text in ("I am Anna.", "Hello Anna.", "Which shoes?", "found shoes", "Blue ones."):
        assert shown(model).count(text) == 1, "shown by the replay, and not twice"
    ask(agent, "And the shoes?")
    assert len(memory.turns("s")) == 4


@pytest.mark.parametrize("ids", [True, False])
def test_a_transcript_handed_over_with_each_question(memory, ask, ids):
    agent, model = make(memory, ["Anna.", *ONE_RUN])
    said = ask(agent, {"messages": [SystemMessage("Be kind."), *OLD, HumanMessage("Who am I?")]})["messages"]
    assert stored(memory) == [*OLD_STORED, ("Who am I?", [], "Anna.")]
    assert "Be kind." in shown(model), "the memory does not hold it, so it is shown"
    assert model.requests[0].messages[0].type == "system"
    handed = [m if ids else m.model_copy(update={"id": None}) for m in said]
    ask(agent, {"messages": [*handed, HumanMessage("Again?")]})
    assert stored(memory)[2:] == [("Who am I?", [], "Anna."), ("Again?", [LOOKED], "Blue ones.")]
    for text in ("I am Anna.", "Hello Anna.", "Which shoes?", "Who am I?", "Again?"):
        assert shown(model).count(text) == 1


def test_a_transcript_with_a_run_that_began_elsewhere(memory, ask):
    agent, model = make(memory, ["Blue ones."])
    ask(agent, {"messages": OLD[:5]})
    assert stored(memory) == OLD_STORED
    assert shown(model).count("Which shoes?") == 1


def test_a_tool_whose_result_is_the_answer(memory, ask):
    @tool(return_direct=True)
    def order(item: str) -> str:
        """Order it."""
        return f"{item} ordered as ORD-1"

    agent, model = make(memory, [*ONE_RUN[:1], reply(calls=[("order", {"item": "shoes"})]), "ORD-1."], [look, order])
    ask(agent, "Order shoes.")
    ask(agent, "The number?")
    answer = "shoes ordered as ORD-1"
    assert stored(memory)[0] == ("Order shoes.", [LOOKED, ("order", answer)], answer)
    assert memory.turns("s")[0].stop_reason == "answered"
    assert answer in shown(model)


class Answer(BaseModel):
    """The answer."""

    colour: str
    price: int


@pytest.mark.parametrize("strategy", [ToolStrategy(Answer), ProviderStrategy(Answer)])
def test_a_structured_answer(memory, ask, strategy):
    given = {"colour": "blue", "price": 40}
    last = reply(calls=[("Answer", given)]) if isinstance(strategy, ToolStrategy) else Answer(**given).model_dump_json()
    agent, _ = make(memory, [ONE_RUN[0], last], response_format=strategy)
    assert ask(agent, "Which shoes?")["structured_response"] == Answer(**given)
    assert stored(memory) == [("Which shoes?", [LOOKED], '{"colour":"blue","price":40}')]
    assert memory.turns("s")[0].stop_reason == "answered"


# --- runs that raise --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("saver", [True, False])
def test_a_run_that_raises_in_a_tool(memory, ask, saver):
    script = [ONE_RUN[0], reply(calls=[("breaks", {"q": "socks"})]), "Sorry."]
    agent, model = make(memory, script, [look, breaks], saver=InMemorySaver() if saver else None)
    with pytest.raises(RuntimeError, match="no socks"):
        ask(agent, "Which shoes?")
    (turn,) = memory.turns("s")
    assert (turn.input, turn.stop_reason) == ("Which shoes?", "interrupted")
    assert [(s.tool, s.ok) for s in turn.steps] == [("look", True), ("breaks", False)]
    assert turn.steps[0].observation == "found shoes"
    ask(agent, "What happened?")
    assert [(t.input, t.output) for t in memory.turns("s")] == [("Which shoes?", ""), ("What happened?", "Sorry.")]
    assert shown(model).count("Which shoes?") == 1
    assert "found shoes" in shown(model)


@pytest.mark.parametrize("saver", [True, False])
@pytest.mark.parametrize("steps", [0, 1])
def test_a_run_that_raises_in_the_model(memory, ask, saver, steps):
    script = [*ONE_RUN[:steps], RuntimeError("overloaded"), "Sorry."]
    agent, _ = make(memory, script, saver=InMemorySaver() if saver else None)
    with pytest.raises(RuntimeError, match="overloaded"):
        ask(agent, "Which shoes?")
    assert stored(memory) == [("Which shoes?", [LOOKED][:steps], "")]
    assert memory.turns("s")[0].stop_reason == "interrupted"
    ask(agent, "Which shoes?" if steps else "What happened?")
    assert len(memory.turns("s")) == 2, "the same question asked again is a turn of its own"
    assert stored(memory)[1][0] == ("Which shoes?" if steps else "What happened?")


def test_a_run_continued_from_its_checkpoint_is_one_turn(memory, ask):
    agent, _ = make(memory, [ONE_RUN[0], RuntimeError("overloaded"), "Blue ones."], saver=InMemorySaver())
    with pytest.raises(RuntimeError):
        ask(agent, "Which shoes?")
    ask(agent, None)
    assert stored(memory) == [("Which shoes?", [LOOKED], "Blue ones.")]


@pytest.mark.parametrize("first", [True, False])
def test_a_retry_is_one_turn(memory, ask, first):
    failures = iter([True, True, False])

    @tool
    def sometimes(q: str) -> str:
        """Fail twice."""
        if next(failures):
            raise RuntimeError("not yet")
        return "found shoes"

    retries = [
        ModelRetryMiddleware(max_retries=2, initial_delay=0.0, backoff_factor=0, jitter=False),
        ToolRetryMiddleware(max_retries=2, initial_delay=0.0, backoff_factor=0, jitter=False),
    ]
    script = [RuntimeError("busy"), reply(calls=[("sometimes", {"q": "shoes"})]), RuntimeError("busy"), "Blue ones."]
    agent, _ = make(memory, script, [sometimes], middleware=retries, first=first)
    ask(agent, "Which shoes?")
    assert stored(memory) == [("Which shoes?", [("sometimes", "found shoes")], "Blue ones.")]
    assert memory.turns("s")[0].stop_reason == "answered"


def test_a_failing_store_does_not_hide_the_error(memory, ask):
    agent, _ = make(memory, [RuntimeError("overloaded")])
    running = memory.begin("s", "somebody else's")
    with pytest.raises(RuntimeError, match="overloaded"):
        ask(agent, "Which shoes?")
    running.interrupt()


# --- what nobody named ------------------------------------------------------------------------------------------


def test_a_person_who_approves_in_another_process(memory, ask):
    saver = InMemorySaver()
    gate = HumanInTheLoopMiddleware(interrupt_on={"look": True})
    agent, _ = make(memory, ONE_RUN[:1], middleware=[gate], saver=saver)
    assert ask(agent, "Which shoes?")["__interrupt__"]
    assert memory.sessions() == [], "a pause is no end"
    again, _ = make(memory, ONE_RUN[1:], middleware=[gate], saver=saver)
    ask(again, Command(resume={"decisions": [{"type": "approve"}]}))
    assert stored(memory) == [("Which shoes?", [LOOKED], "Blue ones.")]


@pytest.mark.parametrize("saver", [True, False])
def test_a_guard_that_ends_the_run_before_it_begins(memory, ask, saver):
    class Guard(AgentMiddleware):
        @hook_config(can_jump_to=["end"])
        def before_agent(self, state, runtime):
            if "bomb" not in state["messages"][-1].text:
                return None
            return {"messages": [AIMessage("No.")], "jump_to": "end"}

    agent, model = make(
        memory, [*ONE_RUN, "A bomb."], middleware=[Guard()], first=False, saver=InMemorySaver() if saver else None
    )
    ask(agent, "Which shoes?")
    ask(agent, "A bomb?")
    ask(agent, "What did I ask?")
    assert [(t.input, t.output) for t in memory.turns("s")] == [
        ("Which shoes?", "Blue ones."),
        ("A bomb?", "No."),
        ("What did I ask?", "A bomb."),
    ]
    assert shown(model).count("A bomb?") == 1


def test_a_limit_of_calls(memory, ask):
    limit = ModelCallLimitMiddleware(run_limit=1, exit_behavior="end")
    agent, _ = make(memory, ONE_RUN, middleware=[limit])
    ask(agent, "Which shoes?")
    ((question, steps, answer),) = stored(memory)
    assert (question, steps) == ("Which shoes?", [LOOKED])
    assert "limit" in answer


def test_messages_that_were_removed_from_the_thread(memory, ask):
    saver = InMemorySaver()
    agent, model = make(memory, [*ONE_RUN, "Blue."], saver=saver)
    said = ask(agent, "Which shoes?")["messages"]
    agent.update_state(CONFIG, {"messages": [RemoveMessage(id=m.id) for m in said[:2]]})
    ask(agent, "Which?")
    assert stored(memory) == [("Which shoes?", [LOOKED], "Blue ones."), ("Which?", [], "Blue.")]
    assert shown(model).count("Which shoes?") == 1


def test_an_agent_inside_a_tool_of_the_same_session(memory, ask):
    inner, _ = make(memory, ["Inner answer."])

    @tool
    def delegate(q: str) -> str:
        """Ask another agent."""
        return inner.invoke({"messages": [("human", q)]})["messages"][-1].text

    agent, _ = make(memory, [reply(calls=[("delegate", {"q": "sub-question"})]), "Done."], [delegate])
    ask(agent, "Delegate it.")
    assert [(t.input, t.output) for t in memory.turns("s")] == [
        ("sub-question", "Inner answer."),
        ("Delegate it.", "Done."),
    ]


def test_redacted_turns_are_recognised(tmp_path, ask):
    with Memory(tmp_path / "m.db", redact=lambda text: text.replace("Anna", "[name]")) as memory:
        agent, _ = make(memory, ["[name].", "Again."])
        said = ask(agent, {"messages": [*OLD, HumanMessage("Who am I?")]})["messages"]
        ask(agent, {"messages": [*said, HumanMessage("Again?")]})
        assert len(memory.turns("s")) == 4


def test_a_stream_that_nobody_reads_to_its_end(memory):
    agent, model = make(memory, [ONE_RUN[0], "Shoes."], saver=InMemorySaver())
    for update in agent.stream({"messages": [("human", "Which shoes?")]}, CONFIG):
        if "tools" in update:
            break
    agent.invoke({"messages": [("human", "What did I ask?")]}, CONFIG)
    assert stored(memory) == [("Which shoes?", [LOOKED], ""), ("What did I ask?", [], "Shoes.")]
    assert memory.turns("s")[0].stop_reason == "interrupted"
    assert shown(model).count("Which shoes?") == 1


@pytest.mark.parametrize("saver", [True, False])
def test_another_middleware_that_raises_or_trims(memory, ask, saver):
    class Trims(AgentMiddleware):
        def before_model(self, state, runtime):
            if state["messages"][-1].text == "Raise.":
                raise RuntimeError("trimmer")
            return {"messages": [RemoveMessage(id=m.id) for m in state["messages"][:-2]]}

    agent, model = make(
        memory, [*ONE_RUN, "Shoes."], middleware=[Trims()], saver=InMemorySaver() if saver else None, first=False
    )
    ask(agent, "Which shoes?")
    with pytest.raises(RuntimeError, match="trimmer"):
        ask(agent, "Raise.")
    ask(agent, "What did I ask?")
    broken = [("Raise.", [], "")] if saver else []
    assert stored(memory) == [("Which shoes?", [LOOKED], "Blue ones."), *broken, ("What did I ask?", [], "Shoes.")]
    assert shown(model).count("What did I ask?") == 1


def test_a_run_that_is_cancelled(memory):
    @tool
    async def waits(q: str) -> str:
        """Wait for ever."""
        started.set()
        await asyncio.Event().wait()
        return q

    agent, _ = make(memory, [ONE_RUN[0], reply(calls=[("waits", {"q": "socks"})])], [look, waits])
    started = asyncio.Event()

    async def cancel() -> None:
        running = asyncio.create_task(agent.ainvoke({"messages": [("human", "Which shoes?")]}, CONFIG))
        await started.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(cancel())
    (turn,) = memory.turns("s")
    assert (turn.input, turn.stop_reason) == ("Which shoes?", "interrupted")
    assert [(s.tool, s.ok) for s in turn.steps] == [("look", True), ("waits", False)]


def test_of_parallel_calls_two_raise(memory, ask):
    calls = [("look", {"q": "shoes"}), ("breaks", {"q": "a"}), ("breaks", {"q": "b"})]
    agent, _ = make(memory, [reply(calls=calls), "Sorry."], [look, breaks])
    with pytest.raises(RuntimeError):
        ask(agent, "Which shoes?")
    (turn,) = memory.turns("s")
    assert [s.tool for s in turn.steps] == ["look", "breaks", "breaks"]
    assert turn.stop_reason == "interrupted"


def test_two_runs_of_one_session_at_once(memory):
    agent, _ = make(memory, [lambda messages: f"Answer to {messages[-1].text}"] * 8)

    async def both() -> None:
        runs = [agent.ainvoke({"messages": [("human", f"q{n}")]}, CONFIG) for n in range(4)]
        await asyncio.gather(*runs)

    asyncio.run(both())
    assert sorted(stored(memory)) == [(f"q{n}", [], f"Answer to q{n}") for n in range(4)]


def test_system_notes_in_the_question(memory, ask):
    agent = create_agent(
        model := ScriptedChat([*ONE_RUN, "Blue."]),
        [look],
        middleware=[AugmentedMemoryMiddleware(memory, system_notes=False)],
        system_prompt="Be brief.",
    )
    ask(agent, "Which shoes?")
    ask(agent, "Which?")
    assert [m.type for m in model.requests[-1].messages] == ["system", "human", "ai", "human"]
    assert "found shoes" in model.requests[-1].messages[1].text
