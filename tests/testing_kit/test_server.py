import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cohere
import httpx
import pytest
from langchain_cohere import ChatCohere
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import SecretStr
from support.cohere_chat import MODEL

from agentkit.errors import InputError
from agentkit.testing import CohereServer, ScriptError, cite, reply

USER = {"role": "user", "content": "Erick, 27 years old"}
CALLS = reply(
    plan="I will use the Person tool.",
    calls=[("Person", {"name": "Erick", "age": 27}), ("Person", {"name": "Ann"})],
    usage=(906, 77),
    billed=(23, 41),
)


@tool(description="Keep a person.")
def Person(name: str, age: int = 0) -> str:
    return name


def call(call_id, name="Person", arguments='{"name": "Erick"}'):
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def result(call_id, content):
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def document(data):
    return [{"type": "document", "document": {"data": data}}]


# Any: in the SDK's types everything is optional.
def client(server) -> Any:
    return cohere.ClientV2("key", base_url=server.url)


def ask(server, messages, **more) -> Any:
    return client(server).chat(model=MODEL, messages=messages, **more)


def post(server, body, **headers):
    content = body if isinstance(body, (str, bytes)) else json.dumps(body)
    headers = {"authorization": "Bearer key", **headers}
    return httpx.post(f"{server.url}/v2/chat", content=content, headers=headers)


def test_the_sdk_reads_a_plan_with_calls():
    with CohereServer([CALLS]) as server:
        answer = ask(server, [USER])
        server.assert_all_used()
    assert (answer.id, answer.finish_reason) == ("scripted-0001", "TOOL_CALL")
    assert answer.message.tool_plan == "I will use the Person tool."
    assert [(c.id, c.function.name, c.function.arguments) for c in answer.message.tool_calls] == [
        ("Person_0001", "Person", '{"name":"Erick","age":27}'),
        ("Person_0002", "Person", '{"name":"Ann"}'),
    ]
    assert (answer.usage.tokens.input_tokens, answer.usage.tokens.output_tokens) == (906, 77)
    assert (answer.usage.billed_units.input_tokens, answer.usage.billed_units.output_tokens) == (23, 41)


def test_the_requests_are_kept_without_the_key():
    with CohereServer(["yes"]) as server:
        ask(server, [USER], temperature=0.0)
        (request,) = server.requests
    assert request.body == {"model": MODEL, "messages": [USER], "temperature": 0.0, "stream": False}
    assert request.path == "/v2/chat"
    assert request.headers["content-type"] == "application/json"
    assert "authorization" not in request.headers
    assert "key" not in repr(request.headers.values())


# The order and the form are those of recorded traffic of the v2 API.
def test_a_streamed_turn_has_the_recorded_events_in_the_recorded_order():
    body = {"model": MODEL, "messages": [USER], "stream": True}
    script = reply(plan="I will.", calls=[("Person", {"age": 27})], usage=(906, 77), billed=(23, 41))
    with CohereServer([script]) as server:
        response = post(server, body)
    assert response.headers["content-type"] == "text/event-stream"
    start = {"id": "Person_0001", "type": "function", "function": {"name": "Person", "arguments": ""}}
    blank = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    usage = {
        "billed_units": {"input_tokens": 23, "output_tokens": 41},
        "tokens": {"input_tokens": 906, "output_tokens": 77},
    }
    arguments = ["{", "\n   ", ' "', "age", '"', ":", " 2", "7", "\n", "}"]
    assert events(response.text) == [
        {"id": "scripted-0001", "type": "message-start", "delta": {"message": blank}},
        *({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": t}}} for t in ("I", " will", ".")),
        {"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": start}}},
        *(
            {
                "type": "tool-call-delta",
                "index": 0,
                "delta": {"message": {"tool_calls": {"function": {"arguments": piece}}}},
            }
            for piece in arguments
        ),
        {"type": "tool-call-end", "index": 0},
        {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": usage}},
    ]


def events(text):
    *framed, done, rest = text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    parsed = []
    for frame in framed:
        first, second = frame.split("\n")
        parsed.append(json.loads(second.removeprefix("data: ")))
        assert first == f"event: {parsed[-1]['type']}"
    return parsed


def test_the_sdk_reads_a_streamed_answer_with_thinking_and_citations():
    messages = [
        USER,
        {"role": "assistant", "tool_calls": [call("a"), call("b")]},
        result("a", document({"output": "nothing"})),
        result("b", document('{"code": "GLCMS004AGTCAMIS"}')),
    ]
    script = reply(
        "The code is GLCMS004AGTCAMIS.",
        thinking="Hm, well.",
        citations=[cite("GLCMS004AGTCAMIS", call=1), cite("code", call=(0, 1))],
    )
    with CohereServer([script, script]) as server:
        seen = list(client(server).chat_stream(model=MODEL, messages=messages))
        whole = ask(server, messages)
    kinds = [event.type for event in seen]
    assert [k for i, k in enumerate(kinds) if i == 0 or k != kinds[i - 1]] == [
        "message-start",
        "content-start",
        "content-delta",
        "content-end",
        "content-start",
        "content-delta",
        "citation-start",
        "citation-end",
        "citation-start",
        "citation-end",
        "content-end",
        "message-end",
    ]
    deltas = [event.delta.message.content for event in seen if event.type == "content-delta"]
    assert "".join(d.thinking or "" for d in deltas) == "Hm, well."
    assert "".join(d.text or "" for d in deltas) == "The code is GLCMS004AGTCAMIS."
    streamed = [event.delta.message.citations for event in seen if event.type == "citation-start"]
    assert streamed == whole.message.citations
    first, second = streamed
    assert (first.start, first.end, first.text) == (12, 28, "GLCMS004AGTCAMIS")
    assert [(s.type, s.id, s.tool_output) for s in first.sources] == [
        ("tool", "b:0", {"code": "GLCMS004AGTCAMIS"}),
    ]
    assert [s.id for s in second.sources] == ["a:0", "b:0"]
    assert [part.type for part in whole.message.content] == ["thinking", "text"]


def test_a_document_is_cited_as_the_api_does():
    script = reply("The sky is green.", citations=[cite("green.", document="doc-0")])
    with CohereServer([script]) as server:
        answer = ask(server, [USER], documents=[{"id": "doc-0", "data": {"text": "The sky is green."}}])
    (citation,) = answer.message.citations
    assert (citation.start, citation.end) == (11, 17)
    assert citation.sources[0].document == {"id": "doc-0", "text": "The sky is green."}


def test_a_citation_of_nothing_fails_the_run_and_the_check():
    with CohereServer([reply("red", citations=[cite("red", call=0)])]) as server:
        response = post(server, {"model": MODEL, "messages": [USER]})
        assert response.status_code == 500
        assert "names call 0, but this turn has 0 results" in response.json()["message"]
        with pytest.raises(ScriptError, match="names call 0"):
            server.assert_all_used()


def test_chat_cohere_runs_a_tool_loop_against_it():
    with CohereServer([CALLS, lambda body: f"{len(body['messages'])} messages"]) as server:
        model = ChatCohere(model=MODEL, base_url=server.url, cohere_api_key=SecretStr("key")).bind_tools([Person])
        first = model.invoke([HumanMessage("hi")])
        results = [ToolMessage("ok", tool_call_id=c["id"]) for c in first.tool_calls]
        last = model.invoke([HumanMessage("hi"), first, *results])
        server.assert_all_used()
    assert [c["args"] for c in first.tool_calls] == [{"name": "Erick", "age": 27}, {"name": "Ann"}]
    assert last.text == "4 messages"


def test_the_async_sdk_talks_to_it_too():
    async def run(server):
        sdk: Any = cohere.AsyncClientV2("key", base_url=server.url)
        whole = await sdk.chat(model=MODEL, messages=[USER])
        parts = [event async for event in sdk.chat_stream(model=MODEL, messages=[USER])]
        return whole, parts

    with CohereServer(["one two", "one two"]) as server:
        whole, parts = asyncio.run(run(server))
    assert whole.message.content[0].text == "one two"
    assert [p.delta.message.content.text for p in parts if p.type == "content-delta"] == ["one", " two"]


def test_langchain_messages_serve_as_replies():
    message = AIMessage("Looking.", tool_calls=[{"name": "Person", "args": {"name": "Ann"}, "id": "given"}])
    with CohereServer([message]) as server:
        answer = ask(server, [USER])
    assert (answer.message.tool_plan, answer.message.tool_calls[0].id) == ("Looking.", "given")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ([], "must be a JSON object"),
        ({"messages": [USER]}, "model is required"),
        ({"model": MODEL}, "messages must be a list"),
        ({"model": MODEL, "messages": []}, "messages must be a list"),
        ({"model": MODEL, "messages": [USER], "preamble": "x"}, "unknown field: parameter 'preamble'"),
        ({"model": MODEL, "messages": [{"role": "human", "content": "x"}]}, "role 'human'"),
        ({"model": MODEL, "messages": [{"role": "user", "content": " "}]}, "user message is empty"),
        ({"model": MODEL, "messages": [{"role": "user", "content": [{"type": "image"}]}]}, "wrong form"),
        ({"model": MODEL, "messages": [USER, {"role": "assistant", "content": "x"}]}, "last message"),
        ({"model": MODEL, "messages": [USER, result("a", "x")]}, "'a' answers no open tool call"),
        ({"model": MODEL, "messages": [USER, {"role": "assistant", "tool_calls": [call("a")]}]}, "'a' has no result"),
        (
            {"model": MODEL, "messages": [USER, {"role": "assistant", "tool_calls": [call("a")]}, USER]},
            "'a' has no result before it",
        ),
        (
            {"model": MODEL, "messages": [USER, {"role": "assistant", "tool_calls": [call("a"), call("a")]}]},
            "used twice",
        ),
        (
            {"model": MODEL, "messages": [USER, {"role": "assistant", "tool_calls": [call("a", arguments="[]")]}]},
            "JSON text of an object",
        ),
        ({"model": MODEL, "messages": [USER], "tools": [{"name": "x"}]}, "tools[0] must be"),
        ({"model": MODEL, "messages": [USER], "tools": [call(None), call(None)]}, "'Person' is used twice"),
        ({"model": MODEL, "messages": [USER], "tool_choice": "REQUIRED"}, "beside tools"),
    ],
)
def test_what_the_api_would_refuse_is_refused_and_uses_no_reply(body, why):
    with CohereServer(["yes"]) as server:
        response = post(server, body)
        assert response.status_code == 400
        assert set(response.json()) == {"id", "message"}
        assert why in response.json()["message"]
        assert (len(server.requests), len(server.refused)) == (0, 1)
        assert post(server, {"model": MODEL, "messages": [USER]}).status_code == 200
        with pytest.raises(ScriptError, match="refused 1 request"):
            server.assert_all_used()


def test_a_refusal_is_the_sdks_bad_request():
    with CohereServer(["yes"]) as server, pytest.raises(cohere.BadRequestError, match="last message"):
        ask(server, [USER, {"role": "assistant", "content": "x"}])


def test_no_key_no_json_and_other_paths():
    with CohereServer(["yes"]) as server:
        assert post(server, {}, authorization="Bearer").status_code == 401
        assert post(server, "{").status_code == 400
        assert httpx.get(f"{server.url}/v1/models").status_code == 404
        assert httpx.post(f"{server.url}/v1/chat").status_code == 404
        assert len(server.refused) == 4


def test_a_request_after_the_last_reply_is_a_500_that_names_it():
    with CohereServer(["yes"]) as server:
        body = {"model": MODEL, "messages": [USER]}
        assert post(server, body).status_code == 200
        response = post(server, body)
        assert response.status_code == 500
        assert "no reply for request 2: its script has 1" in response.json()["message"]
        assert "Erick" in response.json()["message"]
        with pytest.raises(ScriptError, match="request 2"):
            server.assert_all_used()


def test_replies_left_over_are_told():
    with CohereServer(["one", "two"]) as server:
        ask(server, [USER])
        with pytest.raises(ScriptError, match="asked 1 times and has 2 replies: the next would have been 'two'"):
            server.assert_all_used()


def test_an_exception_has_no_place_in_the_script():
    with pytest.raises(InputError, match="status=") as caught:
        CohereServer([ValueError("x")])
    assert "cut_after" in str(caught.value)
    with pytest.raises(InputError, match="not running"):
        _ = CohereServer([]).url


def test_error_statuses_headers_and_raw_bodies():
    script = [
        reply(status=429, headers={"Retry-After": "7"}, body={"message": "slow down"}),
        reply(status=503),
        reply(body="<html>", headers={"Content-Type": "text/html"}),
        reply(body=b"\xff"),
    ]
    with CohereServer(script) as server:
        slow, down, html, raw = (post(server, {"model": MODEL, "messages": [USER]}) for _ in script)
        server.assert_all_used()
    assert (slow.status_code, slow.headers["retry-after"], slow.json()) == (429, "7", {"message": "slow down"})
    assert (down.status_code, down.json()["message"]) == (503, "scripted error: service unavailable")
    assert (html.status_code, html.headers["content-type"], html.text) == (200, "text/html", "<html>")
    assert raw.content == b"\xff"


def test_the_connection_can_be_cut_before_and_within_an_answer():
    script = [reply("x", cut_after=0), reply("x", cut_after=1), reply("one two three", cut_after=3)]
    with CohereServer(script) as server:
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            ask(server, [USER])
        with pytest.raises(httpx.RemoteProtocolError, match="complete message body"):
            ask(server, [USER])
        seen = []
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
            for event in client(server).chat_stream(model=MODEL, messages=[USER]):
                seen.append(event.type)
        server.assert_all_used()
    assert seen == ["message-start", "content-start", "content-delta"]


def test_a_stream_arrives_event_by_event_not_in_one_piece():
    with CohereServer([reply("one two", event_delay_s=3600)]) as server:
        stream = client(server).chat_stream(model=MODEL, messages=[USER])
        assert next(stream).type == "message-start"
        stream.close()


def test_stopping_ends_delays_and_threads():
    before = set(threading.enumerate())
    asked = threading.Event()

    def late(body):
        asked.set()
        return reply("late", delay_s=3600)

    with ThreadPoolExecutor(1) as pool:
        with CohereServer([late]) as server:
            waiting = pool.submit(post, server, {"model": MODEL, "messages": [USER]})
            asked.wait()
        assert set(threading.enumerate()) - before - set(pool._threads) == set()
        assert isinstance(waiting.exception(), httpx.HTTPError) or waiting.result().status_code == 200


def test_an_error_that_ends_a_stream_has_no_usage():
    with CohereServer([reply("half", finish="ERROR")]) as server:
        last = list(client(server).chat_stream(model=MODEL, messages=[USER]))[-1]
    assert (last.delta.finish_reason, last.delta.error) == ("ERROR", "scripted error")
    assert last.delta.usage.tokens is None


def test_usage_is_counted_the_same_each_time_and_is_more_than_what_is_billed():
    def run():
        with CohereServer(["one two"]) as server:
            return ask(server, [USER]).usage

    first = run()
    assert first == run()
    assert first.tokens.input_tokens > first.billed_units.input_tokens > 0
    assert first.tokens.output_tokens == 2


@pytest.mark.parametrize("keep_alive", [False, True])
def test_one_connection_serves_many_requests_when_kept_alive(keep_alive):
    with CohereServer(["a", "b"], keep_alive=keep_alive) as server, httpx.Client() as http:
        body = {"model": MODEL, "messages": [USER], "stream": True}
        for _ in range(2):
            http.post(f"{server.url}/v2/chat", json=body, headers={"authorization": "Bearer key"}).raise_for_status()
        transport: Any = http._transport
        pool = transport._pool
        assert len(pool.connections) == (1 if keep_alive else 0)


def test_many_at_once():
    with CohereServer([lambda body: body["messages"][0]["content"]] * 40) as server:

        def one(n):
            said = post(server, {"model": MODEL, "messages": [{"role": "user", "content": str(n)}]}).json()
            return said["message"]["content"][0]["text"]

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(one, range(40))) == [str(n) for n in range(40)]
        server.assert_all_used()
