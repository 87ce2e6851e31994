"""The deterministic path: calls of the model saved, repeated calls known, copies flagged, answers held to the facts."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from inline_snapshot import snapshot
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from support.message_outline import outline
from support.product_codes import CODES, QUERIES

from agentkit import Agent, ConfigError, GroundingError, Limits, ModelError, Usage
from agentkit.memory import Memory
from agentkit.testing import CohereServer, ScriptedChat, cite, reply
from agentkit.tools import Pattern, RegexExtractor, RequestBuilder

FILLER = ["Look", "for", "and", "nmg", "ref", "id", "retrieve"]
COVERING = RegexExtractor(CODES.patterns, filler=FILLER)

ANSWERS = ['[{"objref": ["GLCMS004AGTCAMIS"]}]', '[{"taxonomies": ["SPORT"]}]', '[{"taxonomies": ["CARS"]}]']
CODE, OTHER, INVENTED = "GLCMS004AGTCAMIS", "GLCHL000CGUCHALE", "GLXXX999XXXXXXXX"


@tool(description="Look an order up.")
def look_up(order: str) -> str:
    return f"order {order}: {OTHER}"


@tool(description="Give a text back.")
def echo(text: str) -> str:
    return text


# --- model calls per query, read off what a server of the v2 chat API was sent ---------------------------------


@pytest.fixture
def cohere(monkeypatch):
    def start(script):
        server = CohereServer(script)
        server.__enter__()
        servers.append(server)
        monkeypatch.setenv("COHERE_API_KEY", "test-key")
        monkeypatch.setenv("CO_API_URL", server.url)
        return server

    servers: list[CohereServer] = []
    yield start
    for server in servers:
        server.__exit__(None, None, None)


@pytest.mark.parametrize(("query", "answer"), list(zip(QUERIES, ANSWERS, strict=True)))
def test_a_query_takes_two_model_calls_without_prefetch_and_one_with_it(cohere, query, answer):
    server = cohere([reply(plan="I look.", calls=[("regex_extractor", {"user_query": query})]), answer])
    without = Agent(tools=[CODES]).run(query)
    assert len(server.requests) == without.usage.model_calls == 2
    server.assert_all_used()

    server = cohere([answer])
    turn = Agent(prefetch=[CODES]).run(query)
    assert len(server.requests) == turn.usage.model_calls == 1
    server.assert_all_used()
    body = server.requests[0].body
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "tool"]
    assert body["messages"][0]["content"] == query
    (call,) = body["messages"][1]["tool_calls"]
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == (
        "regex_extractor",
        {"user_query": query},
    )
    assert body["messages"][2]["tool_call_id"] == call["id"]
    result = body["messages"][2]["content"][0]["document"]["data"]["output"]
    assert json.loads(result) == CODES.values(query) == json.loads(without.steps[0].observation)
    assert [t["function"]["name"] for t in body["tools"]] == ["regex_extractor"], "the model may still ask"
    assert (turn.output, turn.input, turn.stop_reason) == (answer, query, "answered")
    ((name, number, seen, ok),) = [(s.tool, s.round, s.observation, s.ok) for s in turn.steps]
    assert (name, number, seen, ok) == ("regex_extractor", 0, result, True)


def test_a_covered_query_takes_no_model_call_at_all(cohere):
    server = cohere([])
    turn = Agent(prefetch=[COVERING], deterministic_only=True).run(QUERIES[0])
    assert server.requests == []
    assert turn.usage == Usage()
    assert json.loads(turn.output) == CODES.values(QUERIES[0])
    assert (turn.stop_reason, turn.input, len(turn.steps)) == ("answered", QUERIES[0], 1)
    assert turn.grounded_output() == f"<co: 0>{turn.output}</co: 0>"


def test_a_query_that_is_not_covered_still_goes_to_the_model(cohere):
    server = cohere(ANSWERS[1:])
    agent = Agent(prefetch=[COVERING], deterministic_only=True)
    assert [agent.run(query).output for query in QUERIES[1:]] == ANSWERS[1:]
    assert len(server.requests) == 2


# --- prefetch --------------------------------------------------------------------------------------------------


def test_async_runs_the_same():
    chat = ScriptedChat([ANSWERS[0]])
    turn = asyncio.run(Agent(model=chat, prefetch=[CODES], system="be exact").arun(QUERIES[0]))
    assert turn.output == ANSWERS[0]
    assert outline(chat.requests[0].messages) == snapshot(
        [
            "system: be exact",
            "human: Look for urn:75f2b737-06dd-4399-9206-a6c11b65138e, GLCMS004AGTCAMIS; 0000234GLCMS0…",
            'ai: regex_extractor_0_0=regex_extractor({"user_query": "Look for urn:75f2b737-06dd-4399-9…',
            'tool regex_extractor_0_0: {"nmgs": ["0000234GLCMS0100ANORAKCAA"], "objref": ["GLCMS004AGT…',
        ]
    )
    assert json.loads(turn.steps[0].observation) == CODES.values(QUERIES[0])


def test_the_model_asks_for_the_same_call_again_and_is_given_the_stored_result():
    runs = []

    @tool(description="Find codes.")
    def find(text: str) -> list:
        runs.append(text)
        return [len(runs)]

    chat = ScriptedChat(
        [reply(plan="again", calls=[("find", {"text": "q"}), ("find", {"text": "other"})]), reply("done")]
    )
    turn = Agent(model=chat, prefetch=[find]).run("q")
    assert runs == ["q", "other"]
    assert [(s.round, s.observation, s.plan) for s in turn.steps] == [
        (0, "[1]", ""),
        (1, "[1]", "again"),
        (1, "[2]", ""),
    ]
    assert len({s.call_id for s in turn.steps}) == 3
    assert [m.content for m in chat.requests[1].messages if isinstance(m, ToolMessage)] == ["[1]", "[1]", "[2]"]


def test_a_call_is_compared_with_every_prefetched_one():
    runs = []

    def numbered(name):
        def find(text: str) -> str:
            runs.append(name)
            return f"found by {name}"

        return tool(name, description="Find codes.")(find)

    chat = ScriptedChat([reply(calls=[("second", {"text": "q"})]), "done"])
    turn = Agent(model=chat, prefetch=[numbered("first"), numbered("second")]).run("q")
    assert sorted(runs) == ["first", "second"]  # side by side, and neither twice
    assert turn.steps[-1].observation == "found by second"


@pytest.mark.parametrize("copied", [QUERIES[0], f'  "{QUERIES[0]}" ', QUERIES[0].replace(" ", "\n")])
def test_a_copy_of_the_question_runs_on_the_users_own_words(copied):
    chat = ScriptedChat([reply(calls=[("regex_extractor", {"user_query": copied})]), reply("done")])
    turn = Agent(model=chat, prefetch=[CODES]).run(QUERIES[0])
    assert turn.steps[1].observation == turn.steps[0].observation
    assert turn.steps[1].result is turn.steps[0].result


@pytest.mark.parametrize("prefetch", [[], [CODES]])
def test_a_copied_argument_that_is_no_part_of_the_message_is_flagged(prefetch):
    script = [
        reply(calls=[("regex_extractor", {"user_query": f"Look for {INVENTED}"})]),
        reply(calls=[("regex_extractor", {"user_query": "GLCMS004AGTCAMIS; 0000234GLCMS0100ANORAKCAA"})]),
        reply("done"),
    ]
    turn = Agent(model=ScriptedChat(script), tools=[CODES], prefetch=prefetch).run(QUERIES[0])
    changed, part = turn.steps[len(prefetch) :]
    assert changed.observation.startswith(f'{{"objref": ["{INVENTED}"]}}\n(Note: user_query is not a part of')
    assert "Note" not in part.observation
    assert changed.ok


def test_an_argument_taken_from_an_earlier_result_is_not_flagged():
    script = [
        reply(calls=[("look_up", {"order": "7"})]),
        reply(calls=[("regex_extractor", {"user_query": f"order 7: {OTHER}"})]),
        reply("done"),
    ]
    turn = Agent(model=ScriptedChat(script), tools=[CODES, look_up]).run("What is in order 7?")
    assert turn.steps[1].observation == json.dumps({"objref": [OTHER]})


def test_memory_keeps_the_prefetched_step_and_replays_it():
    memory = Memory(replay="calls")
    agent = Agent(model=ScriptedChat(["one", "two"]), prefetch=[CODES], memory=memory)
    agent.run(QUERIES[0], session="s")
    agent.run(QUERIES[2], session="s")
    first, second = memory.turns("s")
    assert [(s.tool, s.round) for s in first.steps] == [("regex_extractor", 0)]
    assert json.loads(second.steps[0].observation) == CODES.values(QUERIES[2])
    assert "GLCMS004AGTCAMIS" in str(memory.objects("s")[0])


def test_a_known_call_is_kept_by_memory_too():
    chat = ScriptedChat([reply(calls=[("regex_extractor", {"user_query": QUERIES[0]})]), "done"])
    memory = Memory()
    Agent(model=chat, prefetch=[CODES], memory=memory).run(QUERIES[0], session="s")
    (turn,) = memory.turns("s")
    assert [s.observation for s in turn.steps] == [json.dumps(CODES.values(QUERIES[0]))] * 2


def test_a_session_that_was_answered_without_a_model_goes_on():
    memory = Memory()
    chat = ScriptedChat(["two"])
    agent = Agent(model=chat, prefetch=[COVERING], deterministic_only=True, memory=memory)
    assert agent.run(QUERIES[0], session="s").number == 1
    assert agent.run("And cars?", session="s").number == 2
    assert any("GLCMS004AGTCAMIS" in str(m.content) for m in chat.requests[0].messages)


def test_ids_do_not_meet_those_of_a_chat_history():
    history = [
        HumanMessage("q"),
        AIMessage("", tool_calls=[{"name": "regex_extractor", "args": {}, "id": "regex_extractor_0_0"}]),
        ToolMessage("{}", tool_call_id="regex_extractor_0_0"),
        AIMessage("a"),
    ]
    chat = ScriptedChat(["done"])
    out = Agent(model=chat, prefetch=[CODES]).invoke({"input": QUERIES[0], "chat_history": history})
    assert out["turn"].steps[0].call_id == "regex_extractor_0_0~2"
    assert out["intermediate_steps"][0][1] == CODES.values(QUERIES[0])


def test_several_tools_are_handed_over_as_one_finished_message():
    chat = ScriptedChat(["done"])
    turn = Agent(model=chat, tools=[echo], prefetch=[CODES, echo]).run(f"see {CODE}")
    said = chat.requests[0].messages
    assert [type(m) for m in said] == [HumanMessage, AIMessage, ToolMessage, ToolMessage]
    assert [s.observation for s in turn.steps] == [json.dumps({"objref": [CODE]}), f"see {CODE}"]
    assert chat.requests[0].tools == ("echo", "regex_extractor")


def test_a_prefetch_tool_that_fails_is_told_to_the_model():
    @tool(description="Fails.")
    def broken(text: str) -> str:
        raise OSError("no disk")

    chat = ScriptedChat(["done"])
    turn = Agent(model=chat, prefetch=[broken]).run("q")
    assert (turn.steps[0].ok, turn.output) == (False, "done")
    assert chat.requests[0].messages[-1].content == "broken failed: OSError: no disk"


def test_a_prefetched_call_that_failed_may_be_made_again():
    runs = []

    @tool(description="Fails once.")
    def flaky(text: str) -> str:
        runs.append(text)
        if len(runs) == 1:
            raise OSError("busy")
        return "found"

    chat = ScriptedChat([reply(calls=[("flaky", {"text": "q"})]), "done"])
    turn = Agent(model=chat, prefetch=[flaky]).run("q")
    assert [(s.ok, s.observation) for s in turn.steps] == [(False, "flaky failed: OSError: busy"), (True, "found")]


def test_citations_of_a_prefetched_result_count_its_step():
    chat = ScriptedChat([reply(f'"{CODE}"', citations=[cite(f'"{CODE}', call=0)])])
    turn = Agent(model=chat, prefetch=[CODES]).run(CODE)
    assert turn.grounded_output() == f'<co: 0>"{CODE}</co: 0>"'


def test_a_request_builder_is_prefetched_as_well():
    builder = RequestBuilder(COVERING, fields={"page": 0, "size": 10})
    turn = Agent(model=ScriptedChat([]), prefetch=[builder], deterministic_only=True).run(f"Look for {CODE}")
    assert json.loads(turn.output) == [{"objref": [CODE], "page": 0, "size": 10}]


def test_the_limit_of_seconds_holds_for_prefetch():
    import threading

    done = threading.Event()

    @tool(description="Waits.")
    def wait(text: str) -> str:
        done.wait(60)
        return text

    limits = Limits(max_seconds=0.05)
    turn = Agent(model=ScriptedChat(["done"]), prefetch=[wait], limits=limits).run("q")
    done.set()
    assert "timed out after" in turn.steps[0].observation


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prefetch": CODES}, r"prefetch is .*: give a list, as in prefetch=\[extractor\]"),
        ({"prefetch": ["x"]}, "prefetch holds 'x', which is not a LangChain tool"),
        ({"guard": [echo]}, "guard holds .* which finds no codes"),
        ({"guard": CODES}, "guard is .*: give a list"),
        ({"deterministic_only": True}, "deterministic_only=True needs a prefetch tool"),
        ({"prefetch": [echo], "deterministic_only": True}, "deterministic_only=True needs a prefetch tool"),
    ],
)
def test_what_cannot_work_is_refused_when_the_agent_is_made(fields, message):
    with pytest.raises(ConfigError, match=message):
        Agent(model=ScriptedChat([]), **fields)


def test_a_tool_without_an_argument_for_the_question_is_refused():
    @tool(description="Add.")
    def add(a: int, b: str) -> int:
        return a

    with pytest.raises(ConfigError, match="'add' cannot be given the question: it needs a, b"):
        Agent(model=ScriptedChat([]), prefetch=[add])


# --- covered -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        (f"Look for {CODE} and {OTHER}.", []),
        (f"LOOK FOR ({CODE}; {CODE}), “{OTHER}”…", []),
        (f"Look for {CODE} but not {OTHER}", ["but", "not"]),
        (f"{CODE} - {OTHER}", ["-"]),
        (f"!{CODE}", ["!"]),
        (f"{CODE} > {OTHER}", [">"]),
        (f"don't {CODE}", ["don't"]),
        (f"lookfor {CODE}", ["lookfor"]),
        (f"{CODE} 😀", ["😀"]),
    ],
)
def test_a_text_is_covered_where_codes_and_filler_are_all_there_is(text, rest):
    assert COVERING.rest(text) == rest
    assert COVERING.covers(text) == (not rest)


@pytest.mark.parametrize(
    "text",
    ["", "Look for", f"{CODE} {OTHER}X", f"Look for {CODE}\u200b", f"Look for {CODE} {OTHER[:9]}\n{OTHER[9:]}"],
)
def test_a_near_miss_a_doubt_or_nothing_at_all_is_not_covered(text):
    assert not COVERING.covers(text)


def test_what_max_matches_leaves_out_is_not_covered():
    extractor = RegexExtractor([Pattern(name="p", regex=r"\d{3}", max_matches=1)])
    assert extractor.covers("111 111")
    assert not extractor.covers("111 222")


@pytest.mark.parametrize("filler", ["look", [1], ["two words"], [""], None, ["a-b"]])
def test_filler_that_is_no_list_of_words(filler):
    with pytest.raises(ConfigError, match="filler"):
        RegexExtractor(CODES.patterns, filler=filler)


# --- the guard ---------------------------------------------------------------------------------------------------


def test_a_made_up_code_is_sent_back_once_and_mended():
    chat = ScriptedChat([reply(f"See {INVENTED}.", usage=(5, 1)), reply(f"See {CODE}.", usage=(7, 2))])
    turn = Agent(model=chat, guard=[CODES]).run(f"Find {CODE}")
    assert (turn.output, turn.stop_reason) == (f"See {CODE}.", "answered")
    assert turn.usage == Usage(input_tokens=12, output_tokens=3, model_calls=2)
    mend = chat.requests[1]
    assert [type(m) for m in mend.messages] == [HumanMessage, AIMessage, HumanMessage]
    assert mend.messages[1].content == f"See {INVENTED}."
    assert INVENTED in mend.messages[2].text
    assert mend.tools == ()


@pytest.mark.parametrize("way", ["run", "arun"])
def test_a_code_made_up_again_ends_the_run_with_an_error_that_names_it(way):
    memory = Memory()
    script = [reply(calls=[("look_up", {"order": "7"})]), f"{INVENTED}", f"Again {INVENTED}!"]
    agent = Agent(model=ScriptedChat(script), tools=[look_up], guard=[CODES], memory=memory)
    with pytest.raises(GroundingError, match=f"objref {INVENTED}.*Ask again") as caught:
        agent.run("order 7?", session="s") if way == "run" else asyncio.run(agent.arun("order 7?", session="s"))
    assert caught.value.codes == (INVENTED,)
    assert isinstance(caught.value, ModelError)
    (turn,) = memory.turns("s")
    assert (turn.stop_reason, len(turn.steps)) == ("interrupted", 1), "the steps are kept"


@pytest.mark.parametrize("where", ["question", "result", "memory", "history", "system"])
def test_a_code_may_come_from_anything_the_model_was_given(where):
    memory = Memory()
    script: list = [f"It is {OTHER}."]
    if where == "result":
        script.insert(0, reply(calls=[("look_up", {"order": "7"})]))
    if where == "memory":
        script.insert(0, "noted")
    agent = Agent(
        model=ScriptedChat(script),
        tools=[look_up],
        guard=[CODES],
        memory=memory,
        system=f"Default: {OTHER}" if where == "system" else "",
    )
    question: dict = {"input": f"Is it {OTHER}?" if where == "question" else "Which one?"}
    if where == "history":
        question["chat_history"] = [HumanMessage("q"), AIMessage(f"Earlier: {OTHER}")]
    config: Any = {"configurable": {"session": "s"}}
    if where == "memory":
        agent.invoke({"input": f"Keep {OTHER} in mind"}, config)
    assert agent.invoke(question, config)["output"] == f"It is {OTHER}."


def test_a_code_the_model_passed_to_the_extractor_itself_is_no_evidence():
    script = [reply(calls=[("regex_extractor", {"user_query": f"find {INVENTED}"})]), INVENTED, "None."]
    chat = ScriptedChat(script)
    turn = Agent(model=chat, tools=[CODES], guard=[CODES]).run("Find something")
    assert (turn.output, len(chat.requests)) == ("None.", 3)


def test_what_a_prefetched_extractor_found_is_evidence():
    chat = ScriptedChat([f"It is {CODE}."])
    assert Agent(model=chat, prefetch=[CODES], guard=[CODES]).run(f"see {CODE}").output == f"It is {CODE}."


def test_the_answer_after_a_limit_is_guarded_too():
    script = [reply(calls=[("look_up", {"order": "7"})]), INVENTED, OTHER]
    turn = Agent(model=ScriptedChat(script), tools=[look_up], guard=[CODES], limits=Limits(max_steps=1)).run("7?")
    assert (turn.output, turn.stop_reason) == (OTHER, "max_steps")


@pytest.mark.parametrize(
    ("mended", "stop"),
    [(reply(" "), "empty_reply"), (reply("cut", finish="MAX_TOKENS"), "max_tokens"), (reply("ok"), "answered")],
)
def test_how_the_mended_answer_ended_is_told(mended, stop):
    turn = Agent(model=ScriptedChat([INVENTED, mended]), guard=[CODES]).run("q")
    assert turn.stop_reason == stop


def test_an_answer_without_codes_costs_nothing_more():
    chat = ScriptedChat(["Hello."])
    assert Agent(model=chat, guard=[CODES]).run("hi").output == "Hello."
    chat.assert_all_used()
