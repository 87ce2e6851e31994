"""What reaches the model's edge from a run, over real HTTP: its time, its options, its retries, and replies cut off."""

import asyncio
import logging

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from pydantic import BaseModel, SecretStr
from support.manual_clock import ManualClock
from support.run_ways import WAYS, play

from agentkit import (
    Agent,
    CohereChat,
    CohereOptions,
    ConfigError,
    DeadlineError,
    Limits,
    ModelError,
    RetryPolicy,
    validate_history,
)
from agentkit.events import LimitReached, Retrying, TextDelta
from agentkit.loop.react import LAST_ANSWER_S
from agentkit.memory import Memory
from agentkit.testing import CohereServer, ScriptedChat, reply

FAST = RetryPolicy(base_s=0.001, jitter=0)
ran: list = []


@pytest.fixture(autouse=True)
def nothing_ran(monkeypatch):
    ran.clear()
    monkeypatch.setenv("COHERE_API_KEY", "test-key")


@tool(description="Add two integers.")
def add(a: int, b: int) -> int:
    ran.append((a, b))
    return a + b


def named(server, monkeypatch, **more) -> Agent:
    monkeypatch.setenv("CO_API_URL", server.url)
    return Agent(model="command-a-03-2025", tools=[add], **more)


@pytest.mark.parametrize("way", WAYS)
def test_retries_of_the_model_are_events_and_log_lines(way, monkeypatch, caplog):
    caplog.set_level(logging.INFO, logger="agentkit")
    script = [reply(status=429), reply(status=503), reply(calls=[("add", {"a": 1, "b": 2})]), reply(status=500), "3"]
    with CohereServer(script) as server:
        turn, events = play(named(server, monkeypatch, retry=FAST), way)
        server.assert_all_used()
    assert (turn.output, len(turn.steps)) == ("3", 1)
    if events:
        retries = [event for event in events if isinstance(event, Retrying)]
        assert [(r.tries, r.status, r.wait_s) for r in retries] == [(1, 429, 0.001), (2, 503, 0.002), (1, 500, 0.001)]
        assert "answered with status 429" in retries[0].reason
        assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "3", "a further try adds nothing"
    told = [r.getMessage() for r in caplog.records if "model request failed" in r.getMessage()]
    assert told[0] == "model request failed: tries=1 status=429 wait_s=0.00"
    assert len(told) == 3


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_retry_is_told_before_the_wait(way):
    time = ManualClock()
    with CohereServer([reply(status=429, headers={"Retry-After": "7"}), "There."]) as server:
        model = CohereChat(
            model="command-a-03-2025", cohere_api_key=SecretStr("k"), base_url=server.url, timing=time.timing
        )
        agent = Agent(model=model)
        slept: list = []

        async def main() -> None:
            async for event in agent.astream("go"):
                if isinstance(event, Retrying):
                    slept.append((event.wait_s, list(time.slept)))

        if way == "astream":
            asyncio.run(main())
        else:
            for event in agent.stream("go"):
                if isinstance(event, Retrying):
                    slept.append((event.wait_s, list(time.slept)))
    assert slept == [(7.0, [])]
    assert time.slept == [7.0]


@pytest.mark.parametrize("way", WAYS)
def test_the_time_of_the_run_bounds_the_retries_of_the_model(way):
    time = ManualClock()
    memory = Memory()
    script = [reply(calls=[("add", {"a": 1, "b": 2})]), *[reply(status=503)] * 9]
    with CohereServer(script) as server:
        model = CohereChat(
            model="command-a-03-2025",
            cohere_api_key=SecretStr("k"),
            base_url=server.url,
            timing=time.timing,
            retry=RetryPolicy(max_tries=9, base_s=2, jitter=0),
        )
        agent = Agent(model=model, tools=[add], memory=memory, limits=Limits(max_seconds=10), clock=time.clock)
        turn, _ = play(agent, way)
    assert time.slept == [2, 4], "8 s more would be too late"
    assert (turn.stop_reason, turn.output) == ("max_seconds", "No answer: the limit of 10 s is reached.")
    assert [s.observation for s in turn.steps] == ["3"]
    assert memory.turns("s")[0].stop_reason == "max_seconds"


@pytest.mark.parametrize("way", WAYS)
def test_a_server_that_does_not_answer_in_time_ends_the_turn_and_not_the_session(way, monkeypatch):
    def answer(asked):
        return "fine" if "and now?" in str(asked) else reply("late", delay_s=5)

    # On a slow machine the time may be over before the first request is sent.
    with CohereServer([answer, answer]) as server, Memory() as memory:
        agent = named(server, monkeypatch, memory=memory, limits=Limits(max_seconds=0.3), retry=FAST)
        turn, _ = play(agent, way)
        assert (turn.stop_reason, turn.usage.model_calls) == ("max_seconds", 0)
        assert named(server, monkeypatch, memory=memory).run("and now?", session="s").output == "fine"


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_stream_that_drips_is_cut_at_the_end_of_the_time(way, monkeypatch):
    with CohereServer([reply("word " * 100, event_delay_s=0.1)]) as server:
        agent = named(server, monkeypatch, limits=Limits(max_seconds=2))
        assert agent.model is not None, "the client is there before the time runs"
        turn, events = play(agent, way)
    assert turn.stop_reason == "max_seconds"
    assert any(isinstance(event, TextDelta) for event in events)


def test_the_last_answer_has_time_of_its_own():
    time = ManualClock()

    @tool(description="Takes long.")
    def slow() -> str:
        time.seconds += 60
        return "done"

    with CohereServer([reply(calls=[("slow", {})]), *[reply(status=503)] * 2, "In short: done."]) as server:
        model = CohereChat(
            model="command-a-03-2025",
            cohere_api_key=SecretStr("k"),
            base_url=server.url,
            timing=time.timing,
            retry=RetryPolicy(max_tries=9, base_s=LAST_ANSWER_S / 4, jitter=0),
        )
        agent = Agent(model=model, tools=[slow], limits=Limits(max_seconds=10), clock=time.clock)
        turn, events = play(agent, "stream")
    assert (turn.stop_reason, turn.output) == ("max_seconds", "In short: done.")
    assert LimitReached("max_seconds") in events


def test_a_deadline_of_the_callers_own_is_an_error_of_its_own():
    with CohereServer(["never"]) as server:
        model = CohereChat(model="command-a-03-2025", cohere_api_key=SecretStr("k"), base_url=server.url)
        with pytest.raises(DeadlineError, match="the deadline has passed"):
            model.invoke([HumanMessage("go")], deadline=0.0)


# --- options ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_options_and_retries_for_a_models_name(way, monkeypatch):
    options = CohereOptions(seed=7, safety_mode="CONTEXTUAL", citation_mode="OFF", temperature=0.3)
    with CohereServer([reply(status=503), "fine"]) as server:
        agent = named(server, monkeypatch, options=options, retry=RetryPolicy(max_tries=1))
        with pytest.raises(ModelError, match="503"):
            play(agent, way)
        turn, _ = play(agent, way)
        body = server.requests[-1].body
    assert turn.output == "fine"
    assert (body["seed"], body["safety_mode"], body["citation_options"], body["temperature"]) == (
        7,
        "CONTEXTUAL",
        {"mode": "OFF"},
        0.3,
    )


def test_options_for_a_ready_cohere_model_leave_it_alone(monkeypatch):
    with CohereServer(["one", "two"]) as server:
        model = CohereChat(
            model="command-a-03-2025",
            cohere_api_key=SecretStr("k"),
            base_url=server.url,
            options=CohereOptions(seed=1, k=5),
        )
        Agent(model=model, options=CohereOptions(seed=2)).run("go")
        model.invoke([HumanMessage("go")])
        mine, own = (request.body for request in server.requests)
    assert ((mine["seed"], mine["k"]), (own["seed"], own["k"])) == ((2, 5), (1, 5))


def test_options_another_model_cannot_take():
    with pytest.raises(ConfigError, match="options=... is for Cohere's models, and model is a ScriptedChat"):
        Agent(ScriptedChat([]), options=CohereOptions(seed=1))
    with pytest.raises(ConfigError, match="retry=... is for Cohere's models"):
        Agent(ScriptedChat([]), retry=RetryPolicy())
    with pytest.raises(ConfigError, match=r"options is \{'seed': 1\}: give CohereOptions"):
        Agent(options={"seed": 1})
    with pytest.raises(ConfigError, match="retry is 3: give RetryPolicy"):
        Agent(retry=3)


def test_options_and_output_together(monkeypatch):
    class Sum(BaseModel):
        total: int

    with CohereServer(['{"total": 3}']) as server:
        monkeypatch.setenv("CO_API_URL", server.url)
        agent = Agent(model="command-a-03-2025", output=Sum, options=CohereOptions(seed=7))
        assert agent.run("1 + 2?").data == Sum(total=3)
        body = server.requests[0].body
    assert (body["seed"], body["response_format"]["type"]) == (7, "json_object")


# --- replies that are cut -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_calls_beside_max_tokens(way, monkeypatch):
    cut = reply(calls=[("add", {"a": 1, "b": 2}), ("add", '{"a": 1, "b')], finish="MAX_TOKENS")
    with CohereServer([cut, "3"]) as server:
        turn, _ = play(named(server, monkeypatch), way)
    assert ran == [(1, 2)], "a call that is whole is made"
    assert turn.steps[1].observation == (
        "add was not called: its arguments are not a valid JSON object (the reply was cut at the model's token limit; "
        'send a shorter call). Received: {"a": 1, "b. Send one JSON object.'
    )
    assert (turn.stop_reason, turn.output) == ("answered", "3")


@pytest.mark.parametrize("way", WAYS)
def test_calls_beside_an_error_are_not_made(way, monkeypatch):
    with CohereServer([reply(calls=[("add", {"a": 1, "b": 2})], finish="ERROR"), "fine"]) as server, Memory() as memory:
        agent = named(server, monkeypatch, memory=memory)
        turn, _ = play(agent, way)
        assert (turn.stop_reason, turn.steps, ran) == ("model_error", (), [])
        assert agent.run("again", session="s").output == "fine"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("finish", "stop"), [("MAX_TOKENS", "max_tokens"), ("ERROR", "model_error")])
def test_an_answer_that_is_cut_is_named_and_the_session_goes_on(way, finish, stop, monkeypatch):
    with CohereServer([reply("The su", finish=finish), "fine"]) as server, Memory() as memory:
        agent = named(server, monkeypatch, memory=memory)
        turn, _ = play(agent, way)
        assert (turn.stop_reason, turn.output) == (stop, "The su")
        assert agent.run("again", session="s").output == "fine"


END_WITHOUT_USAGE = (
    'event: message-start\ndata: {"type":"message-start","id":"x","delta":{"message":{"role":"assistant"}}}\n\n'
    'event: message-end\ndata: {"type":"message-end","delta":{"finish_reason":"ERROR","usage":{}}}\n\n'
)


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_stream_that_ends_in_an_error_with_empty_usage(way, monkeypatch):
    end = reply(body=END_WITHOUT_USAGE, headers={"content-type": "text/event-stream"})
    with CohereServer([end]) as server:
        turn, _ = play(named(server, monkeypatch), way)
    assert (turn.stop_reason, turn.output, turn.usage.total_tokens) == ("model_error", "", 0)


@pytest.mark.parametrize("way", WAYS)
def test_an_empty_reply_and_a_call_as_text_are_told_and_named(way, monkeypatch):
    text = '{"name": "add", "arguments": {"a": 1, "b": 2}}'
    with CohereServer([reply(text), "", "3"]) as server:
        turn, _ = play(named(server, monkeypatch), way)
        bodies = [request.body for request in server.requests]
    assert (turn.stop_reason, turn.output, ran) == ("answered", "3", [])
    assert "You wrote a call of add as text" in bodies[1]["messages"][-1]["content"]
    assert "Your last reply was empty" in bodies[2]["messages"][-1]["content"]
    with CohereServer([reply(text)] * 3) as server:
        turn, _ = play(named(server, monkeypatch), way)
    assert turn.stop_reason == "call_as_text"


def test_requests_stay_valid_when_the_reply_is_cut(monkeypatch):
    chat = ScriptedChat([reply(calls=[("add", '{"a'), ("add", "")], finish="MAX_TOKENS"), "done"])
    Agent(chat, tools=[add]).run("go")
    for request in chat.requests:
        validate_history(request.messages)
