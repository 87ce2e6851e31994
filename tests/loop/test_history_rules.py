import pytest
from langchain_core.messages import AIMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage

from agentkit import HistoryError, validate_history


def call(call_id: str, name: str = "add"):
    return {"name": name, "args": {}, "id": call_id, "type": "tool_call"}


QUESTION = HumanMessage("go")
CALLS = AIMessage("", tool_calls=[call("a"), call("b")])
A, B = ToolMessage("1", tool_call_id="a"), ToolMessage("2", tool_call_id="b")


@pytest.mark.parametrize(
    "messages",
    [
        [QUESTION],
        [SystemMessage("be exact"), QUESTION],
        [QUESTION, CALLS, A, B],
        [QUESTION, CALLS, B, A],
        [QUESTION, AIMessage("hello"), SystemMessage("a note"), QUESTION],
        [AIMessage("an answer"), AIMessage("another"), QUESTION],
        [QUESTION, CALLS, A, B, AIMessage("done"), QUESTION],
        [HumanMessage([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}])],
    ],
)
def test_valid(messages):
    validate_history(messages)


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([], "is empty"),
        ([QUESTION, AIMessage("done")], "ends with a ai message"),
        ([QUESTION, CALLS], "has no result for the call of add (a), add (b)"),
        ([QUESTION, CALLS, A], "has no result for the call of add (b)"),
        ([QUESTION, CALLS, A, QUESTION], "before the result of 'add'"),
        ([QUESTION, CALLS, SystemMessage("x"), A, B], "has a system message before the result"),
        ([QUESTION, A], "has a result for an unknown call 'a'"),
        ([QUESTION, CALLS, A, B, A], "answers the call 'a' a second time"),
        ([QUESTION, CALLS, A, B, CALLS, A, B], "uses the call id 'a' twice"),
        ([QUESTION, AIMessage("", tool_calls=[call("")])], "without an id"),
        ([QUESTION, AIMessage("", tool_calls=[call("x", "")])], "without a name"),
        ([HumanMessage("")], "has an empty human message"),
        ([HumanMessage([])], "has an empty human message"),
        ([HumanMessage([{"type": "text", "text": ""}])], "has an empty human message"),
        ([SystemMessage(" \n"), QUESTION], "has an empty system message"),
        ([QUESTION, AIMessage(""), QUESTION], "has an empty ai message"),
        ([QUESTION, CALLS, A, ToolMessage("", tool_call_id="b")], "has an empty tool message"),
        ([ChatMessage(content="x", role="critic")], "has a ChatMessage"),
    ],
)
def test_invalid(messages, said):
    with pytest.raises(HistoryError) as caught:
        validate_history(messages)
    assert said in str(caught.value)
    assert "; " in str(caught.value), "every message ends with a next step"
