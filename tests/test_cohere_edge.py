"""The agent's edge to the model, streamed: chunks as they come, and the same reply at the end."""

import asyncio
import threading

import pytest
from langchain_cohere import ChatCohere
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from pydantic import SecretStr

from agentkit import CohereChat, ModelError
from agentkit.cohere_retry import Timing
from agentkit.deltas import Delta, deltas
from agentkit.loop import Ask, Reply
from agentkit.model import Edge, read_reply
from agentkit.testing import CohereServer, ScriptedChat, cite, reply
from agentkit.turn import Citation

QUESTION = [HumanMessage("where?")]


@tool(description="Look a place up.")
def look_up(place: str) -> str:
    return place


@pytest.fixture
def env(monkeypatch):
    def use(server):
        monkeypatch.setenv("COHERE_API_KEY", "test-key")
        monkeypatch.setenv("CO_API_URL", server.url)

    return use


def streamed(edge, **of_the_call):
    return list(edge.stream(Ask(list(QUESTION)), {}, **of_the_call))


async def astreamed(edge, **of_the_call):
    return [piece async for piece in edge.astream(Ask(list(QUESTION)), {}, **of_the_call)]


SCRIPT = reply(
    "In Osaka.",
    thinking="Hm.",
    plan="I look.",
    calls=[("look_up", {"place": "Osaka"}, "c1"), ("look_up", '{"place": ', "c2")],
    usage=(9, 7),
)


def without_ids(got):
    metadata = {k: v for k, v in got.message.response_metadata.items() if k != "id"}
    message = got.message.model_copy(update={"id": None, "response_metadata": metadata})
    return Reply(**{name: getattr(got, name) for name in Reply.__slots__} | {"message": message})


def test_the_reply_is_the_same_four_ways(env):
    with CohereServer([SCRIPT] * 4) as server:
        env(server)
        edge = Edge("command-a-03-2025", [look_up])
        asked = edge.ask(Ask(list(QUESTION)), {})
        aasked = asyncio.run(edge.aask(Ask(list(QUESTION)), {}))
        *chunks, last = streamed(edge)
        *achunks, alast = asyncio.run(astreamed(edge))
    replies = [without_ids(got) for got in (asked, aasked, last, alast)]
    assert replies[1:] == replies[:-1]
    assert all(type(got.message) is AIMessage for got in replies)
    assert [call.error is None for call in asked.calls] == [True, False]
    assert len(chunks) == len(achunks) > 10
    assert all("tools" in request.body for request in server.requests)


def test_what_the_chunks_say(env):
    cited = reply("In Osaka.", citations=[cite("Osaka", document="doc-0")])
    with CohereServer([SCRIPT, cited]) as server:
        env(server)
        edge = Edge("command-a-03-2025", [look_up])
        *chunks, _ = streamed(edge)
        model = edge.model.bind(documents=["a source"])
        citations = [d.citation for chunk in model.stream(QUESTION) for d in deltas(chunk) if d.kind == "citation"]
    said = [delta for chunk in chunks for delta in deltas(chunk)]
    text = {kind: "".join(d.text for d in said if d.kind == kind) for kind in ("thinking", "plan", "text")}
    assert text == {"thinking": "Hm.", "plan": "I look.", "text": "In Osaka."}
    assert [d for d in said if d.kind == "call"] == [
        Delta(kind="call", index=0, call_id="c1", name="look_up"),
        Delta(kind="call", index=1, call_id="c2", name="look_up"),
    ]
    assert "".join(d.text for d in said if d.kind == "arguments" and d.index == 1) == '{"place": '
    assert citations == [Citation(start=3, end=8, text="Osaka", sources=("doc-0",))]


def test_any_chat_model_streams():
    scripted = ScriptedChat([reply(plan="I look.", calls=[("look_up", {"place": "Osaka"}, "c1")])] * 2)
    edge = Edge(scripted, [look_up])
    *chunks, last = streamed(edge, deadline=1.0, on_retry=print)
    assert (last.plan, [call.arguments for call in last.calls]) == ("I look.", [{"place": "Osaka"}])
    assert asyncio.run(astreamed(edge))[-1].calls == last.calls
    assert {d.kind for chunk in chunks for d in deltas(chunk)} == {"text", "call", "arguments"}


def test_a_model_that_does_not_stream():
    whole = AIMessage("I look.", tool_calls=[{"name": "look_up", "args": {"place": "大阪"}, "id": "c1"}])
    assert list(deltas(whole))[1:] == [
        Delta(kind="call", index=0, call_id="c1", name="look_up"),
        Delta(kind="arguments", index=0, text='{"place": "大阪"}'),
    ]
    edge = Edge(FakeListChatModel(responses=["hello"], disable_streaming=True), [])
    chunk, last = streamed(edge)
    assert (chunk.text, last.text) == ("hello", "hello")


def test_deadline_and_on_retry_reach_the_model(monkeypatch):
    slept, seen = [], []
    timing = Timing(clock=lambda: 100.0, sleep=slept.append)
    with CohereServer([reply(status=503), "There.", reply(status=503)]) as server:
        model = CohereChat(model="m", cohere_api_key=SecretStr("k"), base_url=server.url, timing=timing)
        edge = Edge(model, [])
        assert edge.ask(Ask(list(QUESTION)), {}, deadline=200.0, on_retry=seen.append).text == "There."
        with pytest.raises(ModelError, match="the deadline is in"):
            streamed(edge, deadline=100.05)
        with pytest.raises(ModelError, match="the deadline has passed"):
            asyncio.run(astreamed(edge, deadline=99.0))
    assert [retry.status for retry in seen] == [503]
    assert len(slept) == 1


def test_a_plain_chat_cohere_streams_as_ours_in_both_ways():
    with CohereServer([SCRIPT] * 2) as server:
        plain = ChatCohere(model="command-r-08-2024", cohere_api_key=SecretStr("k"), base_url=server.url)
        edge = Edge(plain, [look_up])
        assert streamed(edge)[-1].plan == asyncio.run(astreamed(edge))[-1].plan == "I look."
    assert isinstance(edge.model, CohereChat)


def busy_threads():
    return [thread for thread in threading.enumerate() if "process_request_thread" in thread.name]


def ends(thread):
    thread.join(10)
    return not thread.is_alive()


def test_closing_the_stream_ends_the_call(env):
    twenty_seconds = reply("word " * 2000, event_delay_s=0.01)
    with CohereServer([twenty_seconds] * 2) as server:
        env(server)
        edge = Edge("command-a-03-2025", [])
        stream = edge.stream(Ask(list(QUESTION)), {})
        next(stream)
        (sending,) = busy_threads()
        stream.close()
        assert ends(sending)

        async def leave():
            pieces = edge.astream(Ask(list(QUESTION)), {})
            await anext(pieces)
            (sending,) = busy_threads()
            await pieces.aclose()
            assert await asyncio.to_thread(ends, sending)

        asyncio.run(leave())


def test_a_timeout_of_the_server_is_an_error():
    assert read_reply(AIMessage("cut", response_metadata={"finish_reason": "TIMEOUT"})).finish == "error"
