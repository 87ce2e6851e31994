"""Streams of Cohere over real connections that pause, break, garble and are walked away from."""

import asyncio
import gc
import json
import socketserver
import threading

import httpx
import pytest
from pydantic import SecretStr
from support.cohere_chat import END, QUESTION, acollect
from support.cohere_chat import chat as chat_on

from agentkit import CohereChat, ModelError
from agentkit.cohere.retry import RetryPolicy, Timing
from agentkit.testing import CohereServer, reply

ONCE = RetryPolicy(max_tries=1)
WAIT_S = 20  # of a test that fails; none that passes waits


class EventServer:
    """A server whose script is given the socket's `send`; it then waits for the client to hang up."""

    def __init__(self, *scripts, length=None):
        self.gone = threading.Event()
        self.requests = 0
        server = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                size = 0
                while (line := self.rfile.readline()) not in (b"\r\n", b""):
                    if line.lower().startswith(b"content-length:"):
                        size = int(line.split(b":")[1])
                self.rfile.read(size)
                script = scripts[min(server.requests, len(scripts) - 1)]
                server.requests += 1
                head = f"connection: close\r\ncontent-length: {length}\r\n" if length else ""
                self.wfile.write(f"HTTP/1.1 200 OK\r\n{head}content-type: text/event-stream\r\n\r\n".encode())
                self.hangs_up = script(self.send) == "hang up"

            def send(self, data):
                self.wfile.write(data)
                self.wfile.flush()

            def finish(self):
                # Nothing more is sent by a client: a read ends when it has closed the connection.
                self.connection.settimeout(WAIT_S)
                if self.hangs_up:
                    return
                if self.connection.recv(1) == b"":
                    server.gone.set()

        class Listener(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False

        self._listener = Listener(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._listener.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self._listener.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *failure):
        self._listener.shutdown()
        self._listener.server_close()


def chat(server, **settings):
    return chat_on(server, **{"retry": ONCE, **settings})


def sse(*events):
    return "".join(f"data: {json.dumps(e, ensure_ascii=False)}\n\n" for e in events).encode()


def text(words):
    return {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": words}}}}


START = {"type": "message-start", "id": "r1", "delta": {"message": {"role": "assistant"}}}
DONE = b"data: [DONE]\n\n"


@pytest.fixture(params=["sync", "async"])
def collect(request):
    """Streams the whole reply, both ways."""
    if request.param == "sync":
        return lambda model: list(model.stream(QUESTION))
    return lambda model: asyncio.run(acollect(model))


def said(chunks):
    return "".join(chunk.text for chunk in chunks)


# --- bytes as the network cuts them ---------------------------------------------------------------------------


def test_a_character_cut_in_two_by_the_network(collect):
    stream = sse(START, text("größe 大阪 😀"), END) + DONE
    read = threading.Event()

    def script(send):
        at = stream.index("大".encode()) + 1
        send(stream[:at])
        read.wait(0.05)  # so that two reads meet two pieces
        send(stream[at : at + 1])
        read.wait(0.05)
        send(stream[at + 1 :])

    with EventServer(script, length=len(stream)) as server:
        assert said(collect(chat(server))) == "größe 大阪 😀"


def test_the_first_words_are_there_before_the_server_has_sent_the_next():
    heard = threading.Event()

    def script(send):
        send(sse(START, text("One")))
        assert heard.wait(WAIT_S), "the server goes on only when the first words were heard"
        send(sse(text(" two"), END) + DONE)

    with EventServer(script) as server:
        stream = chat(server).stream(QUESTION)
        assert next(stream).text == "One"
        heard.set()
        assert said(stream) == " two"


def test_the_first_words_are_there_before_the_server_has_sent_the_next_async():
    heard = threading.Event()

    def script(send):
        send(sse(START, {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "I will"}}}))
        assert heard.wait(WAIT_S)
        send(sse(text("done"), END) + DONE)

    async def run(model):
        stream = model.astream(QUESTION)
        first = await anext(stream)
        assert first.additional_kwargs == {"tool_plan": "I will"}
        heard.set()
        return said([chunk async for chunk in stream])

    with EventServer(script) as server:
        assert asyncio.run(run(chat(server))) == "done"


def test_comments_other_fields_and_unknown_events_are_passed_over(collect):
    stream = b": ping\n\nretry: 10\nid: 7\nevent: x\n\nnonsense\n" + sse(START, {"type": "debug", "prompt": "p"})
    stream += b": ping\r\n\r\n" + sse({"type": "brand-new-event", "delta": {"message": {"content": "?"}}}, text("all"))
    stream += sse(END) + DONE
    with EventServer(lambda send: send(stream), length=len(stream)) as server:
        assert said(collect(chat(server))) == "all"


# --- cut off --------------------------------------------------------------------------------------------------


def test_a_connection_cut_in_mid_stream(collect):
    scripted = reply("One two three four.", cut_after=5)
    with CohereServer([scripted]) as server:
        seen = []

        def run(model):
            for chunk in model.stream(QUESTION):
                seen.append(chunk.text)

        with pytest.raises(ModelError, match=r"cut the reply off after 13 characters in 5 events: .*run again"):
            collect(chat(server))
        server.script.append(scripted)
        with pytest.raises(ModelError):
            run(chat(server))
    assert "".join(seen) == "One two three", "what came is not withheld"


def test_a_stream_that_ends_politely_before_the_reply_does(collect):
    stream = sse(START, text("Half an answ")) + DONE
    with (
        EventServer(lambda send: send(stream), length=len(stream)) as server,
        pytest.raises(ModelError, match="after 12 characters in 2 events: the stream ended before the reply"),
    ):
        collect(chat(server))


@pytest.mark.parametrize("line", ['{"type": "content-del', "[1]", "null", '"text"'])
def test_an_event_that_is_no_json_object(collect, line):
    stream = sse(START, text("One")) + f"data: {line}\n\n".encode() + sse(END)
    with (
        EventServer(lambda send: send(stream), length=len(stream)) as server,
        pytest.raises(ModelError, match="after 3 characters in 2 events: an event is not a JSON object"),
    ):
        collect(chat(server))


def test_an_event_of_a_wrong_form(collect):
    bad = {"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": {"function": "f"}}}}
    stream = sse(START, text("One"), bad, END)
    with (
        EventServer(lambda send: send(stream), length=len(stream)) as server,
        pytest.raises(ModelError, match="an event has an unknown form"),
    ):
        collect(chat(server))


def test_a_reply_that_is_complete_is_not_lost_to_a_connection_that_breaks_after_it(collect):
    stream = sse(START, text("All."), END)

    def script(send):
        send(stream)
        return "hang up"

    with EventServer(script, length=len(stream) + 100) as server:
        assert said(collect(chat(server))) == "All."


def test_a_server_that_falls_silent_in_mid_stream(collect):
    silent = threading.Event()

    def script(send):
        send(sse(START, text("One")))
        silent.wait(WAIT_S)

    with (
        EventServer(script) as server,
        pytest.raises(ModelError, match=r"after 3 characters in 2 events: did not answer in time \(ReadTimeout\)"),
    ):
        collect(chat(server, timeout_seconds=1))
    silent.set()


# --- walked away from -----------------------------------------------------------------------------------------


def endless(send):
    send(sse(START, text("One"), text(" two")))


def test_a_closed_stream_closes_the_connection():
    with EventServer(endless) as server:
        stream = chat(server).bind(seed=1).stream(QUESTION)
        assert next(stream).text == "One"
        assert not server.gone.is_set()
        stream.close()
        assert server.gone.wait(WAIT_S)


def test_a_stream_left_by_an_exception_closes_the_connection():
    with EventServer(endless) as server:
        with pytest.raises(ZeroDivisionError):
            for _ in chat(server).stream(QUESTION):
                1 / 0  # noqa: B018
        assert server.gone.wait(WAIT_S)


async def until(event):
    assert await asyncio.to_thread(event.wait, WAIT_S)


def test_a_closed_async_stream_closes_the_connection():
    async def run(server):
        stream = chat(server).bind(seed=1).astream(QUESTION)
        assert (await anext(stream)).text == "One"
        await stream.aclose()
        await until(server.gone)

    with EventServer(endless) as server:
        asyncio.run(run(server))


def test_a_cancelled_async_stream_closes_the_connection():
    async def run(server):
        heard = asyncio.Event()

        async def listen():
            async for _ in chat(server).astream(QUESTION):
                heard.set()

        task = asyncio.create_task(listen())
        await heard.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(server.gone)

    with EventServer(endless) as server:
        asyncio.run(run(server))


# --- connections ----------------------------------------------------------------------------------------------


def test_a_response_that_is_given_up_is_closed_before_the_wait(collect):
    def wait(seconds):
        assert server.gone.wait(WAIT_S)

    async def await_(seconds):
        await asyncio.to_thread(wait, seconds)

    timing = Timing(sleep=wait, asleep=await_)
    with EventServer(
        lambda send: send(b"data: [1]\n\n"), lambda send: send(sse(START, text("One"), END) + DONE)
    ) as server:
        assert said(collect(chat(server, retry=RetryPolicy(max_tries=2), timing=timing))) == "One"


def connections(client):
    return client._transport._pool.connections


def test_a_stream_read_to_its_end_leaves_the_connection_for_the_next():
    with CohereServer(["One."] * 3, keep_alive=True) as server, httpx.Client() as client:
        model = chat(server, http_client=client)
        for _ in range(3):
            assert said(model.stream(QUESTION)) == "One."
        assert len(connections(client)) == 1


def test_one_model_in_several_event_loops():
    loops = [asyncio.new_event_loop(), asyncio.new_event_loop()]
    with CohereServer(["One."] * 6, keep_alive=True) as server:
        model = chat(server)
        for loop in (*loops, loops[0]):
            assert said(loop.run_until_complete(acollect(model))) == "One."
            assert loop.run_until_complete(model.ainvoke(QUESTION)).text == "One."
        for loop in loops:
            client = loop.run_until_complete(model._http_clients.async_client())
            assert len(connections(client)) == 1
            loop.run_until_complete(loop.shutdown_asyncgens())
            assert client.is_closed
            loop.close()


def test_clients_are_closed_with_their_model_and_their_loop():
    async def run(model):
        assert (await model.ainvoke(QUESTION)).text == "One."
        return await model._http_clients.async_client()

    with CohereServer(["One."] * 3, keep_alive=True) as server:
        model = chat(server)
        assert asyncio.run(run(model)).is_closed
        assert asyncio.run(run(model)).is_closed, "the second loop has a client of its own"
        assert len(model._http_clients._of_loop) == 1, "the first loop is forgotten"
        assert model.invoke(QUESTION).text == "One."
        client = model._http_clients.client()
        assert client is model.model_copy(update={"temperature": 1})._http_clients.client()
        assert not client.is_closed
        del model
        gc.collect()
        assert client.is_closed


def test_a_client_of_the_users_own_serves_every_way_and_stays_open(collect):
    seen = []

    async def look(request):
        seen.append(request.url.path)

    async def run(model, client):
        assert said(await acollect(model)) == "One."
        assert (await model.ainvoke(QUESTION)).text == "One."
        assert not client.is_closed
        await client.aclose()

    with CohereServer(["One."] * 4) as server, httpx.Client(event_hooks={"request": [seen.append]}) as client:
        model = chat(server, http_client=client)
        assert said(model.stream(QUESTION)) == model.invoke(QUESTION).text == "One."
        assert [request.headers["authorization"] for request in seen] == ["Bearer k"] * 2
        own = httpx.AsyncClient(event_hooks={"request": [look]})
        asyncio.run(run(chat(server, http_async_client=own), own))
        assert seen[2:] == ["/v2/chat"] * 2
        assert not client.is_closed


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        (None, "https://api.cohere.com/v2/chat"),
        ("https://api.cohere.com/v1", "https://api.cohere.com/v2/chat"),
        ("https://own.example/v1/", "https://own.example/v1/v2/chat"),
    ],
)
def test_what_a_request_takes_from_its_model(base_url, url, monkeypatch):
    seen = []

    def answer(request):
        seen.append(request)
        return httpx.Response(200, json={"message": {"content": [{"type": "text", "text": "One."}]}})

    monkeypatch.delenv("COHERE_API_KEY", raising=False)
    monkeypatch.setenv("CO_API_KEY", "the-sdks-key")
    client = httpx.Client(transport=httpx.MockTransport(answer))
    model = CohereChat(model="m", base_url=base_url, user_agent="mine", timeout_seconds=None, http_client=client)
    assert model.invoke(QUESTION).text == "One."
    more = {"additional_query_parameters": {"a": "b"}, "additional_body_parameters": {"seed": 5}}
    model.model_copy(update={"cohere_api_key": SecretStr("k2")}).invoke(QUESTION, request_options=more)
    first, second = seen
    assert (str(first.url), str(second.url)) == (url, url + "?a=b")
    assert (first.headers["authorization"], second.headers["authorization"]) == ("Bearer the-sdks-key", "Bearer k2")
    assert (first.headers["x-client-name"], first.extensions["timeout"]["read"]) == ("mine", 300)
    assert json.loads(second.content) == {**json.loads(first.content), "seed": 5}


def test_a_redirect_is_followed_in_every_event_loop():
    with CohereServer([reply(status=307, headers={"Location": "/v2/chat"}), "One."] * 3) as server:
        model = chat(server)
        assert model.invoke(QUESTION).text == "One."
        for _ in range(2):
            assert asyncio.run(model.ainvoke(QUESTION)).text == "One."


def test_a_stream_that_only_the_client_can_end_is_left_after_its_last_event(collect):
    with EventServer(lambda send: send(sse(START, text("One"), END) + DONE)) as server:
        assert said(collect(chat(server))) == "One"
        assert server.gone.wait(WAIT_S), "the server was not made to wait until it gave up"
