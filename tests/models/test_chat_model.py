"""The edge to the chat model, over real HTTP: what is sent, and what is made of what comes back."""

import asyncio

import pytest
from inline_snapshot import snapshot
from langchain_cohere import ChatCohere
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel, SecretStr
from support.cohere_chat import QUESTION

from agentkit import Agent, CassetteError, CohereChat, ConfigError, HistoryError, ModelError, Usage
from agentkit.cohere.wire import request_messages, response_message
from agentkit.loop.protocol import Ask
from agentkit.models.by_name import REPLACED_MODELS
from agentkit.models.chat_model import Edge
from agentkit.models.read_reply import read_reply
from agentkit.testing import CohereServer, NetworkBlockedError, block_network, cite, reply, use_cassette
from agentkit.testing.network import allow_network


class Place(BaseModel):
    name: str
    tags: list[str] = []


@tool(description="Look a place up.")
def look_up(place: Place, depth: int = 1) -> dict:
    return {"found": place.name, "depth": depth}


def ask(edge, messages=QUESTION, *, offer_tools=True):
    return edge.ask(Ask(list(messages), offer_tools), {})


CALL = reply(
    plan="I will look it up.",
    thinking="Which place?",
    calls=[("look_up", {"place": {"name": "Osaka", "tags": ["größe"]}})],
    usage=(906, 77),
    billed=(23, 41),
)


def test_a_reply_with_calls_keeps_plan_thinking_and_tokens(cohere_at):
    with CohereServer([CALL, CALL]) as server:
        cohere_at(server)
        edge = Edge("command-a-03-2025", [look_up])
        got = ask(edge)
        again = asyncio.run(edge.aask(Ask(list(QUESTION)), {}))
    assert (got.plan, got.text, got.thinking, got.finish) == ("I will look it up.", "", "Which place?", "tool_call")
    assert got.usage == Usage(input_tokens=906, output_tokens=77, model_calls=1), "tokens, not billed units"
    (call,) = got.calls
    assert (call.name, call.arguments) == ("look_up", {"place": {"name": "Osaka", "tags": ["größe"]}})
    assert call.id
    assert (again.plan, again.thinking, again.calls[0].arguments) == (got.plan, got.thinking, call.arguments)


def test_what_is_sent(cohere_at):
    with CohereServer([CALL, "In Osaka."]) as server:
        cohere_at(server)
        edge = Edge("command-a-03-2025", [look_up])
        got = ask(edge)
        said = [
            SystemMessage("be exact"),
            *QUESTION,
            got.message,
            ToolMessage("found", tool_call_id=got.calls[0].id),
        ]
        ask(edge, said)
    first, second = (r.body for r in server.requests)
    assert [first, second["messages"]] == snapshot(
        [
            {
                "model": "command-a-03-2025",
                "messages": [{"role": "user", "content": "where?"}],
                "temperature": 0.0,
                "tools": [
                    {
                        "type": "function",
                        "function": {
                            "name": "look_up",
                            "description": "Look a place up.",
                            "parameters": {
                                "properties": {
                                    "place": {
                                        "properties": {
                                            "name": {"type": "string"},
                                            "tags": {"default": [], "items": {"type": "string"}, "type": "array"},
                                        },
                                        "required": ["name"],
                                        "type": "object",
                                    },
                                    "depth": {"default": 1, "type": "integer"},
                                },
                                "required": ["place"],
                                "type": "object",
                            },
                        },
                    }
                ],
                "stream": False,
            },
            [
                {"role": "system", "content": "be exact"},
                {"role": "user", "content": "where?"},
                {
                    "role": "assistant",
                    "tool_plan": "I will look it up.",
                    "content": [{"type": "thinking", "thinking": "Which place?"}],
                    "tool_calls": [
                        {
                            "id": "look_up_0001",
                            "type": "function",
                            "function": {
                                "name": "look_up",
                                "arguments": '{"place": {"name": "Osaka", "tags": ["größe"]}}',
                            },
                        }
                    ],
                },
                {
                    "role": "tool",
                    "tool_call_id": "look_up_0001",
                    "content": [{"type": "document", "document": {"data": {"output": "found"}}}],
                },
            ],
        ]
    )


def test_a_plan_is_never_invented():
    silent = AIMessage("", tool_calls=[{"name": "look_up", "args": {}, "id": "c1"}])
    (sent,) = request_messages([silent])
    assert "tool_plan" not in sent
    assert "content" not in sent


def test_the_last_answer_is_asked_for_without_tools(cohere_at):
    with CohereServer(["done"]) as server:
        cohere_at(server)
        assert ask(Edge("command-a-03-2025", [look_up]), offer_tools=False).text == "done"
    assert "tools" not in server.requests[0].body


def test_citations_point_to_the_steps(cohere_at):
    answer = "It is Osaka, and Osaka only."
    script = [
        reply(calls=[("look_up", {"place": {"name": "Osaka"}})]),
        reply(answer, citations=[cite("Osaka", call=0), cite("Osaka", call=0, occurrence=1)]),
    ]
    with CohereServer(script) as server:
        cohere_at(server)
        turn = Agent(model="command-a-03-2025", tools=[look_up]).run("where?")
    assert [answer[c.start : c.end] for c in turn.citations] == ["Osaka", "Osaka"]
    assert {c.call_ids for c in turn.citations} == {(turn.steps[0].call_id,)}
    assert turn.citations[0].sources == (f"{turn.steps[0].call_id}:0",)
    assert turn.grounded_output() == "It is <co: 0>Osaka</co: 0>, and <co: 0>Osaka</co: 0> only."


def test_citations_count_from_the_start_of_the_whole_answer():
    source = {"type": "document", "id": "doc-0", "document": {"id": "doc-0"}}
    message = response_message(
        {
            "message": {
                "content": [
                    {"type": "thinking", "thinking": "hm"},
                    {"type": "text", "text": "First. "},
                    {"type": "text", "text": "Second."},
                ],
                "citations": [
                    {"start": 0, "end": 6, "text": "Second", "sources": [source], "content_index": 2},
                    {"start": 0, "end": 2, "text": "hm", "sources": [source], "type": "THINKING_CONTENT"},
                ],
            },
            "finish_reason": "COMPLETE",
        }
    )
    got = read_reply(message)
    assert (got.text, got.thinking) == ("First. Second.", "hm")
    (citation,) = got.citations
    assert got.text[citation.start : citation.end] == "Second"
    assert (citation.sources, citation.call_ids) == (("doc-0",), ())


def test_arguments_that_are_no_json_object(cohere_at):
    script = [reply(calls=[("look_up", '{"place": ')]), reply(calls=[("look_up", "[1]")])]
    with CohereServer(script) as server:
        cohere_at(server)
        edge = Edge("command-a-03-2025", [look_up])
        first, second = ask(edge).calls[0], ask(edge).calls[0]
    assert (first.raw, first.arguments) == ('{"place": ', {})
    assert first.error
    assert (second.raw, second.error) == ("[1]", "a JSON object is needed, not list")


@pytest.mark.parametrize(
    ("finish", "said"), [("MAX_TOKENS", "max_tokens"), ("ERROR", "error"), ("COMPLETE", "complete")]
)
def test_finish_reasons(cohere_at, finish, said):
    with CohereServer([reply("cut", finish=finish)]) as server:
        cohere_at(server)
        assert ask(Edge("command-a-03-2025", [])).finish == said


@pytest.mark.parametrize(
    ("status", "next_step"),
    [(401, "COHERE_API_KEY"), (404, "the model's name"), (400, "the request"), (422, "the request")],
)
def test_a_refusal_names_status_message_and_next_step(cohere_at, status, next_step):
    with CohereServer([reply(status=status, body={"message": "no such luck"})] * 2) as server:
        cohere_at(server)
        edge = Edge("command-a-03-2025", [])
        with pytest.raises(ModelError, match=f"status {status}: no such luck.*{next_step}"):
            ask(edge)
        with pytest.raises(ModelError, match=f"status {status}: no such luck"):
            asyncio.run(edge.aask(Ask(list(QUESTION)), {}))


def test_a_server_that_is_not_there(monkeypatch):
    with CohereServer([]) as server:
        url = server.url
    monkeypatch.setenv("COHERE_API_KEY", "test-key")
    monkeypatch.setenv("CO_API_URL", url)
    said = r"cannot be reached: ConnectError.*after 3 attempts.*check the network, COHERE_API_KEY and CO_API_URL"
    with pytest.raises(ModelError, match=said):
        ask(Edge("command-a-03-2025", []))


@pytest.mark.parametrize("url", ["http://a..b", "not-a-url", "http://[::1"])
def test_an_address_that_is_none(monkeypatch, url):
    monkeypatch.setenv("COHERE_API_KEY", "test-key")
    monkeypatch.setenv("CO_API_URL", url)
    with pytest.raises((ModelError, ConfigError), match=r"CO_API_URL") as caught, allow_network():
        ask(Edge("command-a-03-2025", []))
    assert "JSON" not in str(caught.value)
    assert ".." not in str(caught.value).replace(url, "")


def test_a_stale_recording_and_a_blocked_network_are_said_as_they_are(monkeypatch, tmp_path):
    path = tmp_path / "hi.yaml"
    with use_cassette(path, mode="record", script=["Hello."]):
        Agent(model="command-a-03-2025").run("hi")
    with pytest.raises(CassetteError, match=r"does not hold this request"), use_cassette(path):
        Agent(model="command-a-03-2025").run("ho")
    with pytest.raises(CassetteError, match=r"does not hold this request"), use_cassette(path):
        list(Agent(model="command-a-03-2025").stream("ho"))
    monkeypatch.setenv("COHERE_API_KEY", "test-key")
    monkeypatch.delenv("CO_API_URL", raising=False)
    with pytest.raises(NetworkBlockedError, match=r"api\.cohere\.com"), block_network():
        Agent(model="command-a-03-2025").run("hi")
    with pytest.raises(NetworkBlockedError, match=r"api\.cohere\.com"), block_network():
        asyncio.run(Agent(model="command-a-03-2025").arun("hi"))


# --- names, keys, other models -----------------------------------------------------------------------------


def test_no_key(monkeypatch):
    monkeypatch.delenv("COHERE_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="COHERE_API_KEY.*make demo"):
        Agent(model="command-a-03-2025")
    monkeypatch.setenv("COHERE_API_KEY", " ")
    with pytest.raises(ConfigError, match="No Cohere key"):
        Agent(model="command-a-03-2025")


@pytest.mark.parametrize("key", ["\u201cabc\u201d", "caf\u00e9", "a\nb"])
def test_a_key_that_no_header_can_carry_is_not_shown(monkeypatch, key):
    monkeypatch.setenv("COHERE_API_KEY", key)
    with pytest.raises(ConfigError, match="COHERE_API_KEY holds characters") as caught:
        Agent(model="command-a-03-2025")
    assert key not in str(caught.value)


def test_a_proxy_of_an_unknown_kind(monkeypatch):
    monkeypatch.setenv("COHERE_API_KEY", "test-key")
    monkeypatch.setenv("HTTPS_PROXY", "socks9://me:secret@proxy.example")
    with pytest.raises(ConfigError, match="HTTPS_PROXY") as caught:
        Agent(model="command-a-03-2025").run("hi")
    assert "secret" not in str(caught.value)


def test_the_environment_is_read_when_the_agent_is_made(cohere_at, monkeypatch):
    with CohereServer(["from the first"]) as first, CohereServer(["from the second"]) as second:
        cohere_at(first)
        one = Agent(model="command-a-03-2025")
        cohere_at(second)
        two = Agent(model="command-a-03-2025")
        monkeypatch.delenv("CO_API_URL")
        monkeypatch.delenv("COHERE_API_KEY")
        assert two.run("hello").output == "from the second"
        assert one.run("hello").output == "from the first"


@pytest.mark.parametrize("old", sorted(REPLACED_MODELS))
def test_withdrawn_names_warn_with_the_replacement(old, monkeypatch):
    monkeypatch.setenv("COHERE_API_KEY", "test-key")
    with pytest.warns(FutureWarning, match=f"'{old}': use '{REPLACED_MODELS[old]}'") as told:
        Agent(model=old)
    assert told[0].filename == __file__


@pytest.mark.parametrize("model", ["", "  ", None, 7, object])
def test_no_model(model):
    with pytest.raises(ConfigError, match="command-a-03-2025"):
        Agent(model=model)


def test_a_plain_chat_cohere_is_mended():
    with CohereServer([CALL]) as server:
        plain = ChatCohere(
            model="command-r-08-2024", temperature=0.5, cohere_api_key=SecretStr("k"), base_url=server.url
        )
        edge = Edge(plain, [look_up])
        got = ask(edge)
    assert isinstance(edge.model, CohereChat)
    assert got.thinking == "Which place?"
    body = server.requests[0].body
    assert (body["model"], body["temperature"]) == ("command-r-08-2024", 0.5)


def test_cohere_chat_is_a_plain_langchain_chat_model():
    with CohereServer([CALL, "whole", "bound"]) as server:
        chat = CohereChat(model="command-a-03-2025", cohere_api_key=SecretStr("k"), base_url=server.url)
        message = chat.invoke("where?")
        assert message.tool_calls[0]["name"] == "look_up"
        assert message.additional_kwargs == {"tool_plan": "I will look it up."}
        assert [b["type"] for b in message.content_blocks] == ["reasoning", "tool_call"]
        assert message.response_metadata["finish_reason"] == "TOOL_CALL"
        assert "".join(chunk.text for chunk in chat.stream("go")) == "whole"
        assert chat.bind_tools([look_up], tool_choice="REQUIRED").invoke("go", stop=["x"]).text == "bound"
    body = server.requests[-1].body
    assert (body["tool_choice"], body["stop_sequences"]) == ("REQUIRED", ["x"])


def test_a_model_without_tools_says_so():
    model = FakeListChatModel(responses=["hello"])
    assert ask(Edge(model, [])).text == "hello"
    with pytest.raises(ConfigError, match="FakeListChatModel cannot call tools"):
        ask(Edge(model, [look_up]))


def test_user_parts():
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    (sent,) = request_messages([HumanMessage([{"type": "text", "text": "what is it?"}, image])])
    assert sent["content"] == [{"type": "text", "text": "what is it?"}, image]
    with pytest.raises(HistoryError, match="'audio'"):
        request_messages([HumanMessage([{"type": "audio", "base64": "AA=="}])])


def test_text_no_database_could_hold_is_spelt_out():
    message = AIMessage(
        "a\x00b",
        tool_calls=[{"name": "t", "args": {"x": "\ud800"}, "id": "c\x00"}],
        additional_kwargs={"tool_plan": "\x00"},
    )
    got = read_reply(message)
    assert got.plan == "\\x00"
    assert got.message.content == "a\\x00b"
    assert (got.calls[0].id, got.calls[0].arguments) == ("c\\x00", {"x": "\\ud800"})
