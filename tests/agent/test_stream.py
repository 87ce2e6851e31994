"""Events while a run goes on, on scripted chat models; the Cohere stream itself has tests of its own."""

import asyncio
import threading

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.tools import tool
from support.run_ways import events_of, without_durations
from support.tools import add

from agentkit import Agent, InputError, Limits, ModelError, SessionBusyError, Turn
from agentkit.events import (
    CitationFound,
    LimitReached,
    PlanDelta,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolFinished,
    ToolStarted,
    TurnFinished,
    TurnStarted,
)
from agentkit.memory import Memory
from agentkit.testing import ScriptedChat, cite, reply

SCRIPT = [
    reply(thinking="Sums.", plan="I will add.", calls=[("add", {"a": 1, "b": 2}), ("add", {"a": 3, "b": 4})]),
    reply("3 and 7, so 10.", citations=[cite("3", call=0), cite("7", call=1)], usage=(20, 5)),
]


def make(script=SCRIPT, **more) -> Agent:
    return Agent(model=ScriptedChat(script), tools=[add], **more)


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_events_come_in_order_and_hold_the_whole_reply(way):
    events = events_of(make(), way, "sums?", session="s")
    assert events[0] == TurnStarted("s", "sums?")
    assert isinstance(events[-1], TurnFinished)
    turn = events[-1].turn
    kinds = list(dict.fromkeys(type(e) for e in events))
    told = [ToolStarted, ToolFinished, CitationFound, TurnFinished]
    assert [kind for kind in kinds if kind in told] == told
    assert "".join(e.text for e in events if isinstance(e, TextDelta) and e.text).endswith(turn.output)
    assert "".join(e.text for e in events if isinstance(e, ThinkingDelta)) == turn.steps[0].thinking
    assert [e.step for e in events if isinstance(e, ToolFinished)] == list(turn.steps)
    assert [e.step.call_id for e in events if isinstance(e, ToolStarted)] == [s.call_id for s in turn.steps]
    assert [e.citation for e in events if isinstance(e, CitationFound)] == list(turn.citations)
    assert {e.name for e in events if isinstance(e, ToolCallDelta)} - {""} == {"add"}


def test_every_way_to_run_gives_the_same_turn():
    turns = [
        make().run("sums?", session="s"),
        asyncio.run(make().arun("sums?", session="s")),
        events_of(make(), "stream", "sums?", session="s")[-1].turn,
        events_of(make(), "astream", "sums?", session="s")[-1].turn,
    ]
    assert [without_durations(turn) for turn in turns] == [without_durations(turns[0])] * 4


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_limit_is_told(way):
    events = events_of(make([SCRIPT[0], "enough"], limits=Limits(max_steps=1)), way, "sums?")
    assert [e.limit for e in events if isinstance(e, LimitReached)] == ["max_steps"]
    assert events[-1].turn.stop_reason == "max_steps"


def test_bad_input_is_refused_at_once():
    with pytest.raises(InputError, match="ask something"):
        make().stream("")
    with pytest.raises(InputError, match="stream takes no temperature"):
        make().stream("x", temperature=1)

    async def inside():
        with pytest.raises(InputError, match=r"async for event in agent\.astream"):
            make().stream("x")

    asyncio.run(inside())


@pytest.mark.parametrize("after", [TurnStarted, PlanDelta, ToolStarted, ToolFinished, TextDelta])
def test_a_stream_left_early_closes_the_turn_as_interrupted(after):
    script = [reply(plan="I will add.", calls=[("add", {"a": 1, "b": 2})]), reply("3, " * 50)] * 2
    memory = Memory()
    chat = ScriptedChat([*script[:2], "fine"])
    agent = Agent(model=chat, tools=[add], memory=memory)
    stream = agent.stream("sums?", session="s")
    seen = [TurnStarted]
    for event in stream:
        seen.append(type(event))
        if isinstance(event, after) or (after is PlanDelta and isinstance(event, TextDelta)):
            break
    stream.close()
    (turn,) = memory.turns("s")
    assert turn.stop_reason == "interrupted"
    assert len(turn.steps) == (ToolStarted in seen)


def test_an_async_stream_left_early_cancels_the_tools():
    memory = Memory()

    async def main():
        started, cancelled = asyncio.Event(), asyncio.Event()

        @tool(description="Waits for ever.")
        async def wait() -> str:
            started.set()
            try:
                await asyncio.sleep(60)
            finally:
                cancelled.set()
            return "never"

        agent = Agent(model=ScriptedChat([reply(calls=[("wait", {})])]), tools=[wait], memory=memory)

        async def read():
            async for _ in agent.astream("go", session="s"):
                pass

        task = asyncio.ensure_future(read())
        await asyncio.wait_for(started.wait(), 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(cancelled.wait(), 30)

    asyncio.run(main())
    (turn,) = memory.turns("s")
    assert (turn.stop_reason, turn.steps[0].tool) == ("interrupted", "wait")


def test_an_error_in_the_middle_of_a_stream():
    memory = Memory()
    agent = Agent(model=ScriptedChat([SCRIPT[0], ModelError("gone"), "back"]), tools=[add], memory=memory)
    with pytest.raises(ModelError, match="gone"):
        list(agent.stream("sums?", session="s"))
    assert [len(t.steps) for t in memory.turns("s")] == [2]
    assert agent.run("again?", session="s").output == "back"


def test_a_session_is_busy_while_it_streams():
    agent = make([*SCRIPT, "free"])
    stream = agent.stream("sums?", session="s")
    next(stream)
    with pytest.raises(SessionBusyError):
        agent.run("x", session="s")
    list(stream)
    assert agent.run("x", session="s").output == "free"


def test_events_reach_the_caller_while_tools_run():
    go = threading.Event()

    @tool(description="Waits for the reader.")
    def wait() -> str:
        return "told" if go.wait(30) else "not told"

    agent = Agent(model=ScriptedChat([reply(calls=[("wait", {})]), "done"]), tools=[wait])
    for event in agent.stream("go"):
        if isinstance(event, ToolStarted):
            go.set()
        if isinstance(event, ToolFinished):
            assert event.step.observation == "told"


class Watch(BaseCallbackHandler):
    def __init__(self):
        self.seen = []

    def on_chain_start(self, serialized, inputs, *, run_id, parent_run_id=None, **kwargs):
        self.seen.append(("agent", parent_run_id))
        self.root = run_id

    def on_chat_model_start(self, serialized, messages, *, run_id, parent_run_id=None, **kwargs):
        self.seen.append(("model", parent_run_id))

    def on_tool_start(self, serialized, input_str, *, run_id, parent_run_id=None, **kwargs):
        self.seen.append((serialized["name"], parent_run_id))

    def on_chain_end(self, outputs, *, run_id, **kwargs):
        self.seen.append(("end", None))


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_callbacks_see_the_same_tree(way):
    watch = Watch()
    events = events_of(make(), way, "sums?", config={"callbacks": [watch]})
    assert isinstance(events[-1], TurnFinished)
    assert [name for name, _ in watch.seen] == ["agent", "model", "add", "add", "model", "end"]
    assert {parent for _, parent in watch.seen[1:-1]} == {watch.root}


def test_langchains_own_events_work():
    async def main():
        return [event async for event in make().astream_events("sums?", version="v2")]

    events = asyncio.run(main())
    kinds = [event["event"] for event in events]
    assert kinds[0] == "on_chain_start"
    assert kinds[-1] == "on_chain_end"
    assert kinds.count("on_tool_end") == 2
    assert "on_chat_model_stream" in kinds
    assert isinstance(events[-1]["data"]["output"], TurnFinished)


@pytest.mark.parametrize("way", ["arun", "astream"])
@pytest.mark.parametrize("watched", [False, True])
def test_a_stream_left_by_a_bare_break_does_not_hold_its_session(way, watched):
    memory = Memory()
    agent = make([SCRIPT[0], "again"], memory=memory)
    config = {"callbacks": [BaseCallbackHandler()]} if watched else None

    async def main() -> Turn:
        async for event in agent.astream("sums?", config, session="s"):
            if isinstance(event, ToolStarted):
                break
        if way == "arun":
            return await agent.arun("and now?", session="s")
        events = [event async for event in agent.astream("and now?", session="s")]
        return events[-1].turn

    assert asyncio.run(main()).number == 2
    assert memory.turns("s")[0].stop_reason == "interrupted"


def test_a_stream_left_at_its_last_event_has_nothing_to_wait_for():
    async def main() -> None:
        agent = make([*SCRIPT, "again"], memory=Memory())
        async for event in agent.astream("sums?", session="s"):
            if isinstance(event, TurnFinished):
                break
        assert agent._busy.left == set()
        assert (await agent.arun("and now?", session="s")).number == 2

    asyncio.run(main())


def test_a_stream_that_is_read_still_holds_its_session():
    async def main() -> None:
        agent = make(memory=Memory())
        stream = agent.astream("sums?", session="s")
        await anext(stream)
        with pytest.raises(SessionBusyError):
            await agent.arun("and now?", session="s")
        await stream.aclose()
        with pytest.raises(InputError, match="ask something"):
            agent.astream("")

    asyncio.run(main())
