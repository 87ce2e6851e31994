"""What a streamed reply of Cohere adds up to: over real HTTP, the same as the reply that is not streamed."""

import asyncio
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core._api import LangChainBetaWarning
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.load import dumps, loads
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    ToolMessage,
    message_chunk_to_message,
    messages_from_dict,
    messages_to_dict,
)
from langchain_core.prompts import ChatPromptTemplate
from support.cohere_chat import END, MODEL, QUESTION, acollect, chat

from agentkit import ModelError
from agentkit.cohere.stream import CohereChunk, EventData, StreamReader, join
from agentkit.cohere.wire import request_messages, response_message
from agentkit.testing import CohereServer, ScriptedChat, cite, reply


def total(chunks):
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    return whole


def parts(message):
    """What has to be equal, without what differs from reply to reply."""
    metadata = {k: v for k, v in message.response_metadata.items() if k not in ("id", "error")}
    return (
        message.content,
        message.tool_calls,
        message.invalid_tool_calls,
        message.additional_kwargs,
        message.usage_metadata,
        metadata,
    )


CALLS = reply(
    plan="I will look, it's 27 places.",
    thinking="Which places?",
    calls=[("look_up", {"place": "Osaka, 大阪"}, "look_up_a1"), ("look_up", {"place": "Zürich"}, "look_up_b2")],
    usage=(906, 77),
    billed=(23, 41),
)


# --- the traps of langchain-cohere 0.6 ------------------------------------------------------------------------


def test_each_streamed_call_comes_once_with_the_servers_id():
    with CohereServer([CALLS, CALLS]) as server:
        model = chat(server)
        streamed, awaited = list(model.stream(QUESTION)), asyncio.run(acollect(model))
    for chunks in (streamed, awaited):
        starts = [c for chunk in chunks for c in chunk.tool_call_chunks if c["name"]]
        assert [(c["name"], c["id"], c["index"]) for c in starts] == [
            ("look_up", "look_up_a1", 0),
            ("look_up", "look_up_b2", 1),
        ]
        pieces = [c["args"] for chunk in chunks for c in chunk.tool_call_chunks if c["index"] == 1]
        assert len(pieces) > 3, "arguments come as they are written"
        assert json.loads("".join(pieces)) == {"place": "Zürich"}
        whole = total(chunks)
        assert [(c["id"], c["args"]) for c in whole.tool_calls] == [
            ("look_up_a1", {"place": "Osaka, 大阪"}),
            ("look_up_b2", {"place": "Zürich"}),
        ]
        assert whole.invalid_tool_calls == []


def test_plan_and_thinking_come_in_pieces_before_the_calls():
    with CohereServer([CALLS]) as server:
        chunks = asyncio.run(acollect(chat(server)))
    plans = [c.additional_kwargs["tool_plan"] for c in chunks if "tool_plan" in c.additional_kwargs]
    assert len(plans) > 5
    assert "".join(plans) == "I will look, it's 27 places."
    kinds = ["call" if c.tool_call_chunks else "plan" if c.additional_kwargs else "other" for c in chunks]
    assert kinds.index("plan") < kinds.index("call")
    assert [b["type"] for b in total(chunks).content_blocks] == ["reasoning", "tool_call", "tool_call"]


def test_a_stream_counts_tokens_not_billed_units():
    with CohereServer([CALLS]) as server:
        whole = total(list(chat(server).stream(QUESTION)))
    assert whole.usage_metadata == {"input_tokens": 906, "output_tokens": 77, "total_tokens": 983}
    assert whole.response_metadata["billed_units"] == {"input_tokens": 23, "output_tokens": 41}
    assert (whole.response_metadata["model_name"], whole.response_metadata["finish_reason"]) == (MODEL, "TOOL_CALL")


@pytest.mark.parametrize("said", ["", "so far"])
def test_a_stream_that_ends_in_error_without_usage(said):
    with CohereServer([reply(said, finish="ERROR")] * 2) as server:
        model = chat(server)
        streamed, awaited = list(model.stream(QUESTION)), asyncio.run(acollect(model))
    for whole in (total(streamed), total(awaited)):
        assert (whole.text, whole.usage_metadata) == (said, None)
        assert (whole.response_metadata["finish_reason"], whole.response_metadata["error"]) == (
            "ERROR",
            "scripted error",
        )


def test_thinking_beside_calls_goes_back_unchanged_and_no_plan_is_made_up():
    call = reply(thinking="First a.\n\n  Then b.", calls=[("look_up", {"q": 1}, "c1")])
    with CohereServer([call, "found"]) as server:
        model = chat(server)
        said = total(list(model.stream(QUESTION)))
        model.invoke([*QUESTION, said, ToolMessage("here", tool_call_id="c1")])
    sent = server.requests[1].body["messages"][1]
    assert sent["content"] == [{"type": "thinking", "thinking": "First a.\n\n  Then b."}]
    assert "tool_plan" not in sent
    assert sent["tool_calls"][0]["id"] == "c1"


def test_several_blocks_of_thinking_go_back_one_by_one():
    content = [{"type": "thinking", "thinking": "one"}, {"type": "thinking", "thinking": "two"}]
    calls = [{"id": "c1", "type": "function", "function": {"name": "t", "arguments": "{}"}}]
    (sent,) = request_messages([response_message({"message": {"content": content, "tool_calls": calls}})])
    assert sent["content"] == content


# --- the sum of the chunks ------------------------------------------------------------------------------------

TEXTS = st.text(st.sampled_from("ab 1.,'\n\"{}_é大😀\t"), max_size=20)
ARGUMENTS = st.dictionaries(TEXTS, st.one_of(TEXTS, st.integers(), st.none(), st.lists(st.booleans())), max_size=3)
BROKEN = st.sampled_from(['{"place": "Os', "[1]", "{", "7", '{"a": "x\ny"}', '{"a": 1,}', "nonsense"])


@st.composite
def replies(draw):
    text = draw(TEXTS)
    count = draw(st.integers(0, 3))
    calls = [(draw(st.sampled_from(["t", "look_up"])), draw(ARGUMENTS | BROKEN), f"call-{i}") for i in range(count)]
    counts = st.tuples(st.integers(0, 9999), st.integers(0, 9999))
    cited = text.strip()
    return reply(
        text,
        plan=draw(TEXTS),
        thinking=draw(TEXTS),
        calls=calls,
        citations=[cite(cited, document="doc-0")] * draw(st.integers(0, 2)) if cited else [],
        finish=draw(st.sampled_from([None, "COMPLETE", "MAX_TOKENS", "STOP_SEQUENCE", "ERROR"])),
        usage=draw(st.none() | counts),
        billed=draw(st.none() | counts),
    )


def test_the_sum_of_the_chunks_is_the_reply():
    server = CohereServer([])
    with server:
        model = chat(server)
        bound = model.bind(documents=["a source"])

        @settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(replies())
        def check(scripted):
            server.script += [scripted] * 3
            invoked = bound.invoke(QUESTION)
            streamed = list(bound.stream(QUESTION))
            awaited = asyncio.run(acollect(bound))
            assert type(invoked) is AIMessage
            for chunks in (streamed, awaited):
                assert parts(total(chunks)) == parts(invoked)
                joined = join(chunks)
                assert type(joined) is AIMessage
                assert parts(joined) == parts(invoked)
                assert parts(message_chunk_to_message(total(chunks))) == parts(invoked)

        check()
        assert not server.refused


def blocks(*kinds):
    """A reply's content parts of these kinds, and the events that stream them."""
    said, events = [], [{"type": "message-start", "id": "r"}]
    for index, kind in enumerate(kinds):
        words = [f"{kind}{index}", " and ", "more"]
        said.append({"type": kind, kind: "".join(words)})
        events.append(event("content-start", index, content={"type": kind, kind: ""}))
        events += [event("content-delta", index, content={kind: word}) for word in words]
        events.append({"type": "content-end", "index": index})
    return said, events


def event(kind, index=None, **message):
    return {"type": kind, "index": index, "delta": {"message": message}}


def read(events):
    reader = StreamReader()
    lines = "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events)
    return [*reader.feed(lines.encode()), *reader.close()]


@pytest.mark.parametrize(
    "kinds",
    [
        ("thinking", "text"),
        ("text", "thinking"),
        ("thinking", "text", "thinking", "text"),
        ("text", "text", "thinking", "thinking"),
        ("text", "text"),
    ],
)
def test_parts_in_any_order(kinds):
    said, events = blocks(*kinds)
    whole = join(read([*events, END]))
    expected = response_message({"id": "r", "message": {"content": said}, "finish_reason": "COMPLETE"})
    assert parts(whole) == parts(expected)
    assert whole.text == "".join(part["text"] for part in said if part["type"] == "text")


def test_a_plan_before_the_thinking_adds_no_empty_text():
    chunks = read([event("tool-plan-delta", tool_plan="I will."), *blocks("thinking")[1], END])
    assert total(chunks).content == [{"type": "reasoning", "reasoning": "thinking0 and more", "index": 0}]


def test_citations_in_a_stream_count_from_the_start_of_the_whole_answer():
    source = {"type": "tool", "id": "c1:0", "tool_output": {"a": 1}}
    citation = {"start": 0, "end": 5, "text": "text2", "sources": [source], "content_index": 2, "type": "TEXT_CONTENT"}
    of_the_plan = {**citation, "type": "PLAN"}
    _, events = blocks("text", "thinking", "text")
    events += [event("citation-start", 0, citations=citation), event("citation-start", 1, citations=of_the_plan)]
    whole = join(read([*events, {"type": "citation-end", "index": 0}, END]))
    (found,) = whole.additional_kwargs["citations"]
    assert whole.text[found["start"] : found["end"]] == "text2"
    assert found["sources"] == [source]


def test_log_probabilities_add_up():
    item = {"text": "a", "token_ids": [1], "logprobs": [-0.5]}
    events = [event("content-start", 0, content={"type": "text", "text": ""})]
    events += [{**event("content-delta", 0, content={"text": "a"}), "logprobs": item}] * 2
    whole = total(read([*events, END]))
    content = [{"type": "text", "text": "aa"}]
    same = response_message({"message": {"content": content}, "finish_reason": "COMPLETE", "logprobs": [item, item]})
    assert parts(whole) == parts(same)


def test_cached_tokens_are_read():
    usage = {"tokens": {"input_tokens": 1494, "output_tokens": 330}, "cached_tokens": 1008}
    (end,) = read([{"type": "message-end", "delta": {"usage": usage}}])
    assert end.usage_metadata["input_token_details"] == {"cache_read": 1008}


def test_a_cut_call_is_no_call():
    start = {"id": "c1", "function": {"name": "pay", "arguments": ""}}
    events = [event("tool-call-start", 0, tool_calls=start)]
    events += [event("tool-call-delta", 0, tool_calls={"function": {"arguments": '{"amount": 10'}})]
    chunks = read([*events, {"type": "message-end", "delta": {"finish_reason": "MAX_TOKENS"}}])
    whole = total(chunks)
    assert whole.tool_calls == []
    assert [(c["id"], c["args"]) for c in whole.invalid_tool_calls] == [("c1", '{"amount": 10')]
    assert total(chunks[:-1]).tool_calls == [
        {"name": "pay", "args": {"amount": 10}, "id": "c1", "type": "tool_call"}
    ], "on the way, what has come so far"


# --- a plain LangChain model ----------------------------------------------------------------------------------


class Tokens(BaseCallbackHandler):
    def __init__(self):
        self.seen = []

    def on_llm_new_token(self, token, **kwargs):
        self.seen.append(token)


def test_callbacks_are_told_of_each_token():
    with CohereServer(["One two three."]) as server:
        told = Tokens()
        chunks = list(chat(server).stream(QUESTION, {"callbacks": [told]}))
    assert [token for token in told.seen if token] == ["One", " two", " three", "."]
    assert "".join(chunk.text for chunk in chunks) == "One two three."


def test_astream_events_on_the_model_and_in_a_chain():
    with CohereServer([CALLS, "One two."]) as server:
        model = chat(server)
        chain = ChatPromptTemplate.from_messages([("user", "{q}")]) | model.bind(seed=1) | (lambda message: message)

        async def events(runnable, given):
            return [event async for event in runnable.astream_events(given, version="v2")]

        plain = asyncio.run(events(model, QUESTION))
        chained = asyncio.run(events(chain, {"q": "where?"}))
    streamed = [e["data"]["chunk"] for e in plain if e["event"] == "on_chat_model_stream"]
    assert total(streamed).tool_calls == total(streamed[:-1]).tool_calls != []
    (end,) = [e["data"]["output"] for e in chained if e["event"] == "on_chat_model_end"]
    assert (end.text, end.usage_metadata["output_tokens"]) == ("One two.", 3)
    assert "".join(e["data"]["chunk"].text for e in chained if e["event"] == "on_chat_model_stream") == "One two."


def test_streaming_true_makes_invoke_an_aimessage():
    with CohereServer([CALLS, CALLS]) as server:
        model = chat(server, streaming=True)
        messages = [model.invoke(QUESTION), asyncio.run(model.ainvoke(QUESTION))]
    for message in messages:
        assert type(message) is AIMessage
        assert [c["id"] for c in message.tool_calls] == ["look_up_a1", "look_up_b2"]
    assert server.requests[0].body["stream"] is True


def test_chunks_are_stored_and_loaded_as_langchains_own():
    with CohereServer([CALLS]) as server:
        whole = total(list(chat(server).stream(QUESTION)))
    with pytest.warns(LangChainBetaWarning):
        loaded = loads(dumps(whole), allowed_objects="core")
    for copy in (loaded, *messages_from_dict(messages_to_dict([whole]))):
        assert type(copy) is AIMessageChunk
        assert parts(copy) == parts(whole)
    assert whole.model_copy(deep=True) == whole


def test_v1_content():
    with CohereServer([reply("so", thinking="hm")]) as server:
        whole = total(list(chat(server, output_version="v1").stream(QUESTION)))
    assert [b["type"] for b in whole.content_blocks] == ["reasoning", "text"]


# --- events ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_bytes_cut_anywhere(end):
    text = "größe 大阪 😀"
    stream = end.join(
        [b": ping", b"event: x", b"data: " + text.encode(), b"", b"data:a", b"data: b", b"id: 1", b"", b""]
    )
    for size in range(1, 12):
        data = EventData()
        pieces = [stream[i : i + size] for i in range(0, len(stream), size)]
        assert [one for piece in pieces for one in data.feed(piece)] == [text, "a\nb"], size
        assert list(data.close()) == []


def test_lines_that_are_no_fields_and_a_last_event_without_an_empty_line():
    data = EventData()
    assert list(data.feed(b"\xef\xbb\xbfdata: 1\n\nretry: 5\nnonsense\n\ndatax: 2\n\n\n\ndata: 3")) == ["1"]
    assert list(data.close()) == ["3"]
    assert list(EventData().close()) == []


@pytest.mark.parametrize("field", ["tool_plan", "content", "tool_calls", "citations"])
@pytest.mark.parametrize("said", [None, [], {}, ""])
def test_events_that_say_nothing(field, said):
    kinds = ["tool-plan-delta", "content-delta", "content-start", "citation-start", "debug", None]
    events = [{"type": kind, "delta": {"message": {field: said}}} for kind in kinds]
    events += [{"type": kind} for kind in kinds] + [{"type": kind, "delta": None} for kind in kinds]
    (end,) = read([*events, END])
    assert end.chunk_position == "last"


def test_a_delta_before_its_start_opens_a_call():
    events = [event("tool-call-delta", 0, tool_calls={"function": {"arguments": "{}"}})]
    assert join(read([*events, END])).tool_calls == [{"name": "", "args": {}, "id": None, "type": "tool_call"}]


def test_join_takes_any_models_stream():
    scripted = ScriptedChat([reply(plan="I will.", calls=[("t", {"a": 1}, "c1")]), "Two words."])
    assert join(list(scripted.stream("x"))).tool_calls[0]["args"] == {"a": 1}
    assert join(list(scripted.stream("x"))).text == "Two words."
    whole = AIMessage("at once")
    assert join([whole]) is whole
    cut = AIMessageChunk("", tool_call_chunks=[{"name": "pay", "args": '{"a": 1', "id": "c", "index": 0}])
    assert join([cut]).tool_calls == []
    with pytest.raises(ModelError, match="ended without a reply"):
        join([])


def test_chunks_know_what_they_are():
    assert isinstance(CohereChunk(content="a") + CohereChunk(content="b"), CohereChunk)
    assert type(message_chunk_to_message(CohereChunk(content="a"))) is AIMessage
