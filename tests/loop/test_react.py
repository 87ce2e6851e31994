"""The loop without any IO: these tests drive the generator by hand."""

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from agentkit import HistoryError, Limits, Observation, ToolCall, Turn, Usage
from agentkit.loop.protocol import Act, Ask, Reply
from agentkit.loop.react import finished, react

QUESTION = [SystemMessage("be exact"), HumanMessage("go")]
USED = Usage(input_tokens=10, output_tokens=2, model_calls=1)


def calls(*ids: str, plan: str = "I will add."):
    message = AIMessage(
        "", tool_calls=[{"name": "add", "args": {"n": i}, "id": call_id} for i, call_id in enumerate(ids)]
    )
    wanted = tuple(ToolCall(id=call_id, name="add", arguments={"n": i}) for i, call_id in enumerate(ids))
    return Reply(message=message, plan=plan, calls=wanted, usage=USED, finish="tool_call")


def answer(text: str = "done", **more):
    return Reply(message=AIMessage(text), text=text, usage=USED, **more)


def drive(replies, *, limits=None, clock=lambda: 0.0, observe=lambda call: Observation(content=f"saw {call.id}")):
    """Play `replies` through the loop; returns the turn and every request, as it was when it was made."""
    flow = react(QUESTION, limits=limits or Limits(), clock=clock)
    requests, replies = [], iter(replies)
    try:
        wanted = next(flow)
        while True:
            if isinstance(wanted, Ask):
                requests.append((list(wanted.messages), wanted.offer_tools))
                wanted = flow.send(next(replies))
            else:
                wanted = flow.send(
                    [finished(s, observe(c), None) for s, c in zip(wanted.steps, wanted.calls, strict=True)]
                )
    except StopIteration as stop:
        turn = stop.value
    assert isinstance(turn, Turn)
    assert next(replies, None) is None, "not every reply was asked for"
    return turn, requests


def test_an_answer_at_once():
    turn, requests = drive([answer("hello", thinking="hm")])
    assert (turn.input, turn.output, turn.stop_reason, turn.thinking) == ("go", "hello", "answered", "hm")
    assert turn.usage == USED
    assert requests == [(QUESTION, True)]


def test_steps_plans_and_what_is_sent_back():
    turn, requests = drive([calls("a", "b"), calls("c", plan="Again."), answer()])
    assert [(s.call_id, s.round, s.plan, s.observation) for s in turn.steps] == [
        ("a", 1, "I will add.", "saw a"),
        ("b", 1, "", "saw b"),
        ("c", 2, "Again.", "saw c"),
    ]
    assert turn.usage.model_calls == 3
    last = requests[-1][0]
    assert [type(m) for m in last[2:]] == [AIMessage, ToolMessage, ToolMessage, AIMessage, ToolMessage]
    assert [m.tool_call_id for m in last if isinstance(m, ToolMessage)] == ["a", "b", "c"]


def test_the_calls_are_named_before_they_run():
    flow = react(QUESTION, limits=Limits(), clock=lambda: 0.0)
    next(flow)
    act = flow.send(calls("a", "b"))
    assert isinstance(act, Act)
    assert [(s.call_id, s.tool, s.tool_input, s.ok, s.result) for s in act.steps] == [
        ("a", "add", {"n": 0}, False, None),
        ("b", "add", {"n": 1}, False, None),
    ]


def test_the_step_limit_still_gets_an_answer():
    turn, requests = drive([calls("a"), calls("b"), answer("as far as I got")], limits=Limits(max_steps=2))
    assert (turn.stop_reason, turn.output, len(turn.steps)) == ("max_steps", "as far as I got", 2)
    messages, offered = requests[-1]
    assert not offered
    assert messages[-1].content == (
        "Stop here: the limit of 2 steps is reached, and no more tools can be called. "
        "Answer now from the results above."
    )


def test_a_model_that_will_not_stop_calling_is_told_for():
    turn, _ = drive([calls("a"), calls("b", plan="")], limits=Limits(max_steps=1))
    assert turn.output == "No answer: the limit of 1 steps is reached, and the model did not answer without tools."
    assert len(turn.steps) == 1


def test_the_time_limit():
    now = iter(range(0, 1000, 6))
    turn, requests = drive(
        [calls("a"), answer("in time")], limits=Limits(max_seconds=10), clock=lambda: float(next(now))
    )
    assert (turn.stop_reason, turn.output) == ("max_seconds", "in time")
    assert "the limit of 10 s is reached" in requests[-1][0][-1].content


def test_tools_get_what_is_left_of_the_time():
    now = iter([0.0, 3.0])
    flow = react(QUESTION, limits=Limits(max_seconds=10), clock=lambda: next(now))
    next(flow)
    act = flow.send(calls("a"))
    assert isinstance(act, Act)
    assert act.seconds_left == 7.0


@pytest.mark.parametrize(
    ("reply", "stop"),
    [
        (answer("cut", finish="max_tokens"), "max_tokens"),
        (answer("", finish="error"), "model_error"),
        (answer(""), "empty_reply"),
        (answer(" \n"), "empty_reply"),
    ],
)
def test_replies_that_are_no_answers_are_named(reply, stop):
    turn, _ = drive([reply])
    assert (turn.stop_reason, turn.output) == (stop, reply.text)


def test_ids_the_model_used_twice_are_told_apart():
    turn, requests = drive([calls("a", "a"), calls("a", ""), answer()])
    ids = [s.call_id for s in turn.steps]
    assert ids == ["a", "a~2", "a~3", "add_2_1"]
    sent = [m for m in requests[-1][0] if isinstance(m, AIMessage)]
    assert [c["id"] for m in sent for c in m.tool_calls] == ids


def test_unreadable_arguments_go_back_as_a_valid_call():
    bad = ToolCall(id="x", name="add", error="not JSON", raw='{"n": ')
    invalid = {"name": "add", "args": '{"n": ', "id": "x", "error": "not JSON", "type": "invalid_tool_call"}
    reply = Reply(message=AIMessage("", invalid_tool_calls=[invalid]), calls=(bad,))
    turn, requests = drive([reply, answer()])
    assert turn.steps[0].tool_input == {"_invalid": '{"n": '}
    back = requests[-1][0][2]
    assert isinstance(back, AIMessage)
    assert back.tool_calls == [{"name": "add", "args": {}, "id": "x", "type": "tool_call"}]
    assert back.invalid_tool_calls == []


def test_an_empty_result_is_said_in_words():
    turn, requests = drive([calls("a"), answer()], observe=lambda call: Observation(content=" \n"))
    assert turn.steps[0].observation == "(no output)"
    assert requests[-1][0][-1].content == "(no output)"


def test_a_long_result_is_shown_in_part_and_kept_whole():
    step = finished(react_step(), Observation(content="x" * 5000), 100)
    assert len(step.observation) < 200
    assert "4900 of 5000 characters left out" in step.observation
    assert step.result is not None
    assert len(step.result.content) == 5000


def react_step():
    flow = react(QUESTION, limits=Limits(), clock=lambda: 0.0)
    next(flow)
    act = flow.send(calls("a"))
    assert isinstance(act, Act)
    return act.steps[0]


def test_a_history_the_api_would_refuse_is_never_sent():
    orphan = [HumanMessage("go"), calls("a").message, HumanMessage("and now?")]
    with pytest.raises(HistoryError, match="before the result of 'add'"):
        next(react(orphan, limits=Limits(), clock=lambda: 0.0))
    with pytest.raises(HistoryError, match="is empty"):
        next(react([], limits=Limits(), clock=lambda: 0.0))
