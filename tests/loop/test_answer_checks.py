"""Answers that will not do, and what the model is told of them."""

import asyncio

import pytest
from pydantic import BaseModel
from support.tools import add

from agentkit import Agent, ConfigError, Limits, Turn
from agentkit.loop.answer_checks import written_call
from agentkit.testing import CohereServer, ScriptedChat, reply


class Sum(BaseModel):
    total: int
    parts: list[int] = []


ADD = reply(calls=[("add", {"a": 1, "b": 2})])


def run(script, **more):
    chat = ScriptedChat(script)
    turn = Agent(model=chat, tools=[add], **more).run("1 + 2?")
    chat.assert_all_used()
    return turn, [r.messages[-1].content for r in chat.requests], [r.tools for r in chat.requests]


def test_data():
    turn, _, _ = run([ADD, 'Here it is:\n```json\n{"total": 3}\n```'], output=Sum)
    assert (turn.data, turn.stop_reason) == (Sum(total=3), "answered")
    assert Turn.model_validate_json(turn.model_dump_json()).data is None, "the JSON holds it as text, in output"


def test_an_answer_that_does_not_fit_is_shown_to_the_model():
    turn, said, offered = run([ADD, "It is three.", '{"total": "three"}', '{"total": 3}'], output=Sum)
    assert turn.data == Sum(total=3)
    assert "does not have the form that is needed: " in said[2]
    assert "total: Input should be a valid integer" in said[3]
    assert '"required": ["total"]' in said[3]
    assert [bool(tools) for tools in offered] == [True, True, False, False]


def test_what_does_not_fit_stands_before_what_is_said_of_it():
    chat = ScriptedChat(["It is three.", " ", '{"total": 3}'])
    Agent(model=chat, output=Sum).run("1 + 2?")
    assert [message.type for message in chat.requests[2].messages] == ["human", "ai", "human", "human"]
    assert chat.requests[2].messages[1].text == "It is three.", "an empty answer is not sent back: Cohere refuses it"


def test_it_is_shown_twice_at_most_and_nothing_is_lost():
    turn, _, _ = run(["no", "no", "still no"], output=Sum)
    assert (turn.stop_reason, turn.output, turn.data) == ("invalid_output", "still no", None)


def test_the_last_step_is_not_spent_on_mending():
    turn, _, _ = run([ADD, "no"], output=Sum, limits=Limits(max_steps=2))
    assert turn.stop_reason == "invalid_output"


@pytest.mark.parametrize("output", [int, "Sum", Sum(total=1)])
def test_output_must_be_a_model(output):
    with pytest.raises(ConfigError, match="give a pydantic model class"):
        Agent(model=ScriptedChat([]), output=output)


def test_every_way_to_run_gives_the_data():
    script = ["no", '{"total": 3}']
    agents = [Agent(model=ScriptedChat(script), output=Sum) for _ in range(4)]

    async def last(stream):
        return [event async for event in stream][-1].turn

    turns = [
        agents[0].run("q"),
        asyncio.run(agents[1].arun("q")),
        list(agents[2].stream("q"))[-1].turn,
        asyncio.run(last(agents[3].astream("q"))),
    ]
    assert [turn.data for turn in turns] == [Sum(total=3)] * 4


def test_cohere_is_held_to_the_schema_where_no_tools_are_offered(monkeypatch):
    script = [ADD, "three", '{"total": 3}', '{"total": 4}']
    with CohereServer(script) as server:
        monkeypatch.setenv("COHERE_API_KEY", "k")
        monkeypatch.setenv("CO_API_URL", server.url)
        turn = Agent(model="command-a-03-2025", tools=[add], output=Sum).run("q")
        plain = Agent(model="command-a-03-2025", output=Sum).run("q")
    assert (turn.data, plain.data) == (Sum(total=3), Sum(total=4))
    bodies = [r.body for r in server.requests]
    assert ["tools" in body for body in bodies] == [True, True, False, False]
    held = [body.get("response_format") for body in bodies]
    assert held == [None, None, *[{"type": "json_object", "schema": Sum.model_json_schema()}] * 2]


def test_an_empty_reply_is_asked_for_again():
    turn, said, _ = run([ADD, "", "3"])
    assert (turn.output, turn.stop_reason) == ("3", "answered")
    assert said[2] == "Your last reply was empty. Answer the question, or call a tool."
    turn, _, _ = run(["", " ", ""])
    assert turn.stop_reason == "empty_reply"


def test_a_tool_call_written_as_text():
    written = '{"name": "add", "arguments": {"a": 1, "b": 2}}'
    turn, said, _ = run([written, ADD, "3"])
    assert (turn.output, len(turn.steps)) == ("3", 1)
    assert said[1].startswith("You wrote a call of add as text, so nothing was called.")
    turn, _, _ = run([written] * 3)
    assert (turn.stop_reason, turn.output) == ("call_as_text", written)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('[{"tool_name": "add", "parameters": {}}]', "add"),
        ('```json\n{"function": {"name": "add", "arguments": "{}"}}\n```', "add"),
        ('{"name": "add"}', None),
        ('{"name": "other", "arguments": {}}', None),
        ("I will add 1 and 2 {now}.", None),
        ('The call was {"name": "add", "arguments": {"a": 1}}, and gave 3.', None),
        ("", None),
    ],
)
def test_what_counts_as_a_written_call(text, name):
    assert written_call(text, ["add"]) == name


@pytest.mark.parametrize(("finish", "stop"), [("MAX_TOKENS", "max_tokens"), ("ERROR", "model_error")])
def test_a_cut_or_failed_reply_is_named_and_not_asked_for_again(finish, stop, monkeypatch):
    with CohereServer([reply("cu", finish=finish)]) as server:
        monkeypatch.setenv("COHERE_API_KEY", "k")
        monkeypatch.setenv("CO_API_URL", server.url)
        turn = Agent(model="command-a-03-2025", output=Sum).run("q")
    assert (turn.stop_reason, turn.output, turn.data) == (stop, "cu", None)
