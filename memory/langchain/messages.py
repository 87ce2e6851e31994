"""LangChain messages as turns: where a turn begins and ends, its question, steps and answer."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from pydantic import BaseModel

from agentkit.memory.store.stored_json import UNKNOWN
from agentkit.observe import observe
from agentkit.turn import Artifact, Observation, Step, StopReason, Turn, Usage


def is_summary(message: BaseMessage) -> bool:
    """True if LangChain's SummarizationMiddleware wrote the message: it looks like a question, and is none."""
    return isinstance(message, HumanMessage) and message.additional_kwargs.get("lc_source") == "summarization"


def is_of_a_turn(message: BaseMessage) -> bool:
    """True if a turn stores the message: a question, a reply or a result, but no system message and no summary."""
    return isinstance(message, (HumanMessage, AIMessage, ToolMessage)) and not is_summary(message)


def is_answered(messages: Sequence[BaseMessage]) -> bool:
    """True if the messages end with a reply that calls no tool."""
    return bool(messages) and isinstance(messages[-1], AIMessage) and not messages[-1].tool_calls


def split_turns(messages: Sequence[BaseMessage]) -> Iterator[list[BaseMessage]]:
    """Yield the messages of each turn; the last turn may have no answer yet.

    A turn ends with its answer, or before a question that follows a call without a result: then the run was
    interrupted. A question that follows results was put in while the turn ran, and belongs to it.
    """
    turn: list[BaseMessage] = []
    for message in filter(is_of_a_turn, messages):
        if turn and (is_answered(turn) or (isinstance(message, HumanMessage) and _lacks_result(turn))):
            yield turn
            turn = []
        turn.append(message)
    if turn:
        yield turn


def _lacks_result(messages: Sequence[BaseMessage]) -> bool:
    called = {call["id"] for m in messages if isinstance(m, AIMessage) for call in m.tool_calls}
    return not called <= {m.tool_call_id for m in messages if isinstance(m, ToolMessage)}


def turn_of_messages(messages: Sequence[BaseMessage], *, ended: bool = False, structured: object = None) -> Turn:
    """Return the turn that messages make: the question, the calls with their results, and the answer.

    Args:
        messages: The messages of one turn.
        ended: True if the run was not interrupted. Results at the end are its answer then (``return_direct``);
            otherwise it was interrupted before its answer.
        structured: The structured answer of a run that ended, None if there is none.
    """
    question = "\n".join(text for m in messages if isinstance(m, HumanMessage) and (text := m.text))
    results = {m.tool_call_id: m for m in messages if isinstance(m, ToolMessage)}
    replies = [m for m in messages if isinstance(m, AIMessage)]
    output, is_over = "", False
    if is_answered(messages):
        output, is_over = replies[-1].text, True
    elif ended and replies and isinstance(messages[-1], ToolMessage):
        called = [call["id"] for call in replies[-1].tool_calls]
        final = [m for m in results.values() if m.tool_call_id in called]
        if structured is None:
            output = "\n".join(_observed(m).content for m in final)
        else:
            # ToolStrategy: the answer is given as a call, whose result LangChain adds right after the reply.
            output = _structured_text(structured)
            replies[-1] = _without_call(replies[-1], final[0].tool_call_id)
        is_over = True
    stop: StopReason = "interrupted" if not is_over else "answered" if output.strip() else "empty_reply"
    steps = tuple(step for n, m in enumerate(replies, 1) for step in _steps(m, n, results))
    usage = sum((_usage(m) for m in replies), Usage())
    return Turn(input=question, steps=steps, output=output, usage=usage, stop_reason=stop)


def folded(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Return the messages without system messages, whose text is put into the question before, or else after, them."""
    made: list[BaseMessage] = []
    above = ""
    for message in messages:
        if isinstance(message, SystemMessage):
            if made and isinstance(made[-1], HumanMessage):
                made[-1] = HumanMessage(f"{made[-1].text}\n\n{message.text}")
            else:
                above += message.text + "\n\n"
        elif above and isinstance(message, HumanMessage):
            made.append(HumanMessage(above + message.text))
            above = ""
        else:
            made.append(message)
    return [*made, HumanMessage(above.strip())] if above else made


def _steps(message: AIMessage, number: int, results: Mapping[str, ToolMessage]) -> Iterator[Step]:
    for i, call in enumerate(message.tool_calls):
        plan = message.additional_kwargs.get("tool_plan") or message.text
        result = results.get(call["id"] or "")
        seen = Observation(content=UNKNOWN, ok=False, error="interrupted") if result is None else _observed(result)
        yield Step(
            tool=call["name"],
            tool_input=call["args"],
            call_id=call["id"] or "",
            round=number,
            plan=plan if i == 0 else "",
            observation=seen.content,
            ok=seen.ok,
            result=seen,
        )


def _without_call(message: AIMessage, call_id: str) -> AIMessage:
    return message.model_copy(update={"tool_calls": [call for call in message.tool_calls if call["id"] != call_id]})


def _structured_text(structured: object) -> str:
    if isinstance(structured, BaseModel):
        return structured.model_dump_json()
    if is_dataclass(structured) and not isinstance(structured, type):
        structured = asdict(structured)
    return json.dumps(structured, ensure_ascii=False, default=str)


def _observed(result: ToolMessage) -> Observation:
    """Return a result as an observation; its images and other files become artifacts, named in the text."""
    if isinstance(result.content, str) or all(isinstance(b, str) or b.get("type") == "text" for b in result.content):
        return observe(result.name or "", result)
    texts: list[str] = []
    files: list[Artifact] = []
    for block in result.content_blocks:
        media_type = str(block.get("mime_type") or "")
        if block["type"] == "text":
            texts.append(block["text"])
        elif (data := _bytes(block.get("base64"))) is not None:
            name = f"{block['type']}-{len(files) + 1}.{media_type.partition('/')[2] or 'bin'}"
            files.append(Artifact(name=name, data=data, media_type=media_type or "application/octet-stream"))
            texts.append(f"[{name}]")
        elif block.get("url"):
            texts.append(f"[{block['type']}: {block.get('url')}]")
        else:
            texts.append(json.dumps(block, ensure_ascii=False, default=str))
    seen = observe(result.name or "", result.model_copy(update={"content": "\n".join(texts)}))
    return seen.model_copy(update={"artifacts": (*seen.artifacts, *files)})


def _bytes(data: object) -> bytes | None:
    if not isinstance(data, str):
        return None
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error:
        return None


def _usage(message: AIMessage) -> Usage:
    counted = message.usage_metadata
    if counted is None:
        return Usage(model_calls=1)
    return Usage(input_tokens=counted["input_tokens"], output_tokens=counted["output_tokens"], model_calls=1)
