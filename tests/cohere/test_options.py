"""Cohere's chat settings: what is sent for each, what is refused, and in which words."""

import asyncio
import datetime
import json

import pytest
from langchain_core.documents import Document
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from pydantic import BaseModel, SecretStr, ValidationError
from support.cohere_chat import chat

from agentkit import CohereChat, ConfigError
from agentkit.cohere.options import OPTION_NAMES, CohereOptions
from agentkit.models.read_reply import read_reply
from agentkit.testing import CohereServer, cite, reply

QUESTION = [HumanMessage("Give me JSON.")]


class Person(BaseModel):
    name: str
    age: int


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}


@tool(description="Look a place up.")
def look_up(place: str) -> str:
    return place


@tool(description="Send a letter.")
def send(text: str) -> str:
    return text


EACH = [
    ({"response_format": "json_object"}, {"response_format": {"type": "json_object"}}),
    ({"response_format": SCHEMA}, {"response_format": {"type": "json_object", "schema": SCHEMA}}),
    ({"response_format": Person}, {"response_format": {"type": "json_object", "schema": Person.model_json_schema()}}),
    ({"response_format": {"type": "text"}}, {"response_format": {"type": "text"}}),
    ({"safety_mode": "STRICT"}, {"safety_mode": "STRICT"}),
    ({"safety_mode": "off"}, {"safety_mode": "OFF"}),
    ({"citation_mode": "FAST"}, {"citation_options": {"mode": "FAST"}}),
    ({"citation_mode": "accurate"}, {"citation_options": {"mode": "ACCURATE"}}),
    ({"citation_options": {"mode": "off"}}, {"citation_options": {"mode": "off"}}),
    ({"thinking": "disabled"}, {"thinking": {"type": "disabled"}}),
    ({"thinking": "enabled", "thinking_budget": 500}, {"thinking": {"type": "enabled", "token_budget": 500}}),
    ({"thinking_budget": 500}, {"thinking": {"type": "enabled", "token_budget": 500}}),
    ({"thinking": {"type": "disabled"}}, {"thinking": {"type": "disabled"}}),
    ({"documents": ["The sky is green."]}, {"documents": [{"id": "doc-0", "data": {"text": "The sky is green."}}]}),
    ({"documents": []}, {}),
    ({"seed": 2**64 - 1}, {"seed": 2**64 - 1}),
    ({"temperature": 0}, {"temperature": 0}),
    ({"max_tokens": 1}, {"max_tokens": 1}),
    ({"stop_sequences": ("a", "b")}, {"stop_sequences": ["a", "b"]}),
    ({"k": 0, "p": 0.99}, {"k": 0, "p": 0.99}),
    ({"frequency_penalty": 0.5, "presence_penalty": 1}, {"frequency_penalty": 0.5, "presence_penalty": 1}),
    ({"logprobs": True}, {"logprobs": True}),
    ({"priority": 999}, {"priority": 999}),
    ({"strict_tools": True, "tool_choice": "REQUIRED"}, {}),
    ({"seed": None, "documents": None}, {}),
]


def test_each_setting_is_sent_from_the_model_from_bind_and_from_the_call():
    server = CohereServer([])
    with server:
        plain = chat(server)
        for given, sent in EACH:
            server.script += ["{}"] * 4
            server.requests.clear()
            server.script[:-4] = []
            if "citation_options" not in given:
                chat(server, options=CohereOptions(**given)).invoke(QUESTION)
            plain.bind(**given).invoke(QUESTION)
            list(plain.stream(QUESTION, **given))
            asyncio.run(plain.ainvoke(QUESTION, **given))
            for request in server.requests:
                body = {k: v for k, v in request.body.items() if k not in ("model", "messages", "stream")}
                assert body == sent, given
            assert len(server.requests) >= 3
    assert not server.refused


def test_beside_tools():
    with CohereServer(["a", "b"]) as server:
        options = CohereOptions(strict_tools=True, tool_choice="none", safety_mode="CONTEXTUAL")
        model = chat(server, options=options)
        model.bind_tools([look_up]).invoke(QUESTION)
        model.bind_tools([look_up], tool_choice="any").invoke(QUESTION)
    first, second = (request.body for request in server.requests)
    assert (first["strict_tools"], first["tool_choice"], first["safety_mode"]) == (True, "NONE", "CONTEXTUAL")
    assert second["tool_choice"] == "REQUIRED"


def test_the_nearer_setting_wins():
    with CohereServer(["a"] * 4) as server:
        model = chat(server, temperature=0.1, stop=["m"], options=CohereOptions(temperature=0.2, k=5))
        model.invoke(QUESTION)
        bound = model.bind(temperature=0.3, seed=1)
        bound.invoke(QUESTION)
        bound.invoke(QUESTION, temperature=0.4, stop=["c"])
        chat(server, temperature=0.1).bind(stop_sequences=["s"], model="command-r7b-12-2024").invoke(QUESTION)
    sent = [(r.body["temperature"], r.body.get("k"), r.body["stop_sequences"]) for r in server.requests]
    assert sent == [(0.2, 5, ["m"]), (0.3, 5, ["m"]), (0.4, 5, ["c"]), (0.1, None, ["s"])]
    assert server.requests[3].body["model"] == "command-r7b-12-2024"


# --- documents ------------------------------------------------------------------------------------------------


def test_documents_of_every_form_and_the_way_back_from_a_citation():
    given = [
        "A text.",
        Document("A page.", id="page-1", metadata={"title": "T", "when": datetime.date(2031, 5, 1)}),
        {"id": "own", "data": {"text": "As the wire has it."}},
        {"title": "Plain", "snippet": "A mapping."},
        {"id": 7, "text": "With a number for an id."},
    ]
    options = CohereOptions(documents=given)
    with CohereServer([reply("Osaka and Paris.", citations=[cite("Osaka", document="page-1")])]) as server:
        message = chat(server, options=options).invoke(QUESTION)
    assert server.requests[0].body["documents"] == [
        {"id": "doc-0", "data": {"text": "A text."}},
        {"id": "page-1", "data": {"title": "T", "when": "2031-05-01", "text": "A page."}},
        {"id": "own", "data": {"text": "As the wire has it."}},
        {"id": "doc-3", "data": {"title": "Plain", "snippet": "A mapping."}},
        {"id": "7", "data": {"text": "With a number for an id."}},
    ]
    (citation,) = read_reply(message).citations
    assert (citation.text, citation.call_ids) == ("Osaka", ())
    assert options.document(citation.sources[0]) is given[1]
    assert [options.document(i) for i in ("doc-0", "own", "doc-3", "7")] == [given[0], given[2], given[3], given[4]]
    with pytest.raises(ConfigError, match="No document has the id 'doc-9'; the ids are: doc-0, page-1, own, doc-3, 7"):
        options.document("doc-9")
    with pytest.raises(ConfigError, match="the ids are: none"):
        CohereOptions().document("x")


@pytest.mark.parametrize("wrong", ["one text", {"text": "one mapping"}, 7, [7], [""], [{}], [{"id": "a"}], [None]])
def test_documents_that_are_none(wrong):
    with pytest.raises(ConfigError, match="documents"):
        CohereOptions(documents=wrong)


@pytest.mark.parametrize("two", [[Document("a", id="x"), Document("b", id="x")], [{"id": "doc-1", "text": "a"}, "b"]])
def test_documents_with_one_id(two):
    with pytest.raises(ConfigError, match="the id .*(x|doc-1).* is used twice"):
        CohereOptions(documents=two)


# --- refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"safety_mode": "NONE"}, "safety_mode is 'NONE': give 'CONTEXTUAL', 'STRICT' or 'OFF', or None"),
        ({"citation_mode": 1}, "citation_mode is 1: give 'FAST', 'ACCURATE', 'OFF', 'ENABLED' or 'DISABLED', or None"),
        ({"tool_choice": "auto"}, "tool_choice is 'auto': give 'REQUIRED' or 'NONE', or None"),
        ({"thinking": True}, "thinking is True: give 'enabled' or 'disabled', a mapping, or None"),
        ({"thinking": {"type": "maybe"}}, "thinking is {'type': 'maybe'}: give 'enabled' or 'disabled' as its type"),
        (
            {"thinking": "disabled", "thinking_budget": 5},
            "thinking_budget is 5: it means nothing with thinking disabled",
        ),
        ({"thinking_budget": 0}, "thinking_budget is 0: give a whole number from 1"),
        ({"temperature": -0.1}, "temperature is -0.1: give a finite number from 0"),
        ({"temperature": float("inf")}, "temperature is inf: give a finite number from 0"),
        ({"temperature": float("nan")}, "temperature is nan: give a finite number from 0"),
        ({"max_tokens": 0}, "max_tokens is 0: give a whole number from 1"),
        ({"max_tokens": 5.0}, "max_tokens is 5.0: give a whole number from 1"),
        ({"seed": -1}, "seed is -1: give a whole number from 0 to 2^64 - 1"),
        ({"k": 501}, "k is 501: give a whole number from 0 to 500"),
        ({"p": 0}, "p is 0: give a number from 0.01 to 0.99"),
        ({"frequency_penalty": 1.1}, "frequency_penalty is 1.1: give a number from 0 to 1"),
        ({"presence_penalty": "high"}, "presence_penalty is 'high': give a number from 0 to 1"),
        ({"priority": True}, "priority is True: give a whole number from 0 to 999"),
        ({"logprobs": "yes"}, "logprobs is 'yes': give True or False"),
        ({"strict_tools": 2}, "strict_tools is 2: give True or False"),
        ({"stop_sequences": "STOP"}, "stop_sequences is 'STOP': give a list of at most 5 texts"),
        ({"stop_sequences": [""]}, "stop_sequences is ['']: give a list of at most 5 texts that are not empty"),
        ({"stop_sequences": list("abcdef")}, "give a list of at most 5 texts that are not empty"),
        (
            {"response_format": "json"},
            "response_format is 'json': give 'json_object', a pydantic model or a JSON schema",
        ),
        ({"response_format": {"type": "array"}}, "response_format is {'type': 'array'}: give a schema of an object"),
        ({"response_format": int}, "give 'json_object', a pydantic model or a JSON schema"),
    ],
)
def test_what_cannot_be_is_named(wrong, said):
    with pytest.raises(ConfigError) as told:
        CohereOptions(**wrong)
    assert said in str(told.value)
    with CohereServer([]) as server, pytest.raises(ConfigError) as told:
        chat(server).bind(**wrong).invoke(QUESTION)
    assert said in str(told.value)


@pytest.mark.parametrize("format", ["json_object", Person, SCHEMA])
def test_a_response_format_beside_tools_or_documents(format):
    with CohereServer(["fine"]) as server:
        model = chat(server).bind(response_format=format)
        with pytest.raises(ConfigError, match="response_format is not supported together with documents"):
            model.invoke(QUESTION, documents=["a"])
        with pytest.raises(ConfigError, match="response_format is not supported together with tools"):
            chat(server, options=CohereOptions(response_format=format)).bind_tools([look_up]).invoke(QUESTION)
        chat(server).bind_tools([look_up]).invoke(QUESTION, response_format={"type": "text"})
    assert len(server.requests) == 1


@pytest.mark.parametrize("mode", ["STRICT", "OFF"])
def test_a_safety_mode_beside_tools_or_documents(mode):
    with CohereServer([]) as server:
        model = chat(server, options=CohereOptions(safety_mode=mode))
        with pytest.raises(ConfigError, match=f"safety_mode='{mode}' has no effect together with tools"):
            model.bind_tools([look_up]).invoke(QUESTION)
        with pytest.raises(ConfigError, match=f"safety_mode='{mode}' has no effect together with documents"):
            model.invoke(QUESTION, documents=["a"])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("max_token", "has no setting 'max_token': did you mean 'max_tokens'?"),
        ("preamble", "has no setting 'preamble': give the system message as a SystemMessage"),
        ("connectors", "has no setting 'connectors': see CohereOptions"),
    ],
)
def test_a_setting_that_does_not_exist(name, said):
    with CohereServer([]) as server, pytest.raises(ConfigError) as told:
        chat(server).bind(**{name: 5}).invoke(QUESTION)
    assert said in str(told.value)


def test_options_are_frozen_and_checked_by_the_model():
    options = CohereOptions(seed=1)
    with pytest.raises(AttributeError):
        options.seed = 2
    assert options == CohereOptions(seed=1) != CohereOptions(seed=2)
    assert options.merged({"k": 3, "seed": None}) == CohereOptions(seed=1, k=3)
    with pytest.raises(ValidationError):
        CohereChat(model="m", cohere_api_key=SecretStr("k"), options={"seed": 1})
    assert len(OPTION_NAMES) == 18


# --- tool choice and structured output, the LangChain way -----------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        *[(word, "REQUIRED") for word in ("any", "required", "REQUIRED", True, "look_up")],
        *[(word, "NONE") for word in ("none", "NONE")],
        *[(word, None) for word in ("auto", None, False)],
    ],
)
def test_tool_choices(choice, sent):
    with CohereServer(["fine"]) as server:
        chat(server).bind_tools([look_up], tool_choice=choice).invoke(QUESTION)
    assert server.requests[0].body.get("tool_choice") == sent


@pytest.mark.parametrize("choice", ["send", "sometimes", 5, {"type": "function"}])
def test_tool_choices_cohere_does_not_have(choice):
    with CohereServer([]) as server, pytest.raises(ConfigError, match="Cohere takes 'REQUIRED' or 'NONE'"):
        chat(server).bind_tools([look_up, send], tool_choice=choice)


def test_structured_output():
    ada = {"name": "Ada", "age": 36}
    script = [json.dumps(ada), reply(calls=[("Person", ada)])]
    with CohereServer(script) as server:
        model = chat(server)
        assert model.with_structured_output(Person).invoke(QUESTION) == Person(**ada)
        assert model.with_structured_output(Person, method="function_calling").invoke(QUESTION) == Person(**ada)
    assert server.requests[0].body["response_format"]["schema"]["required"] == ["name", "age"]
