"""`ScriptedChat`: a LangChain chat model that plays a list of replies, for tests without HTTP."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models.base import LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    InvalidToolCall,
    ToolCall,
    ToolCallChunk,
    ToolMessage,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import invalid_tool_call
from langchain_core.messages.tool import tool_call as create_tool_call
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import PrivateAttr

from agentkit.base.text import shorten
from agentkit.errors import InputError
from agentkit.testing.replies import Cite, ScriptedCall, ScriptedReply, ScriptError, as_reply, pieces, place


@dataclass(frozen=True, slots=True)
class ScriptedRequest:
    """One request to a `ScriptedChat`.

    Attributes:
        messages: The message list.
        tools: Names of the tools bound to the model.
        options: All other bound or passed settings, such as ``stop`` or ``tool_choice``.
    """

    messages: tuple[BaseMessage, ...]
    tools: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


class ScriptedChat(BaseChatModel):
    """A chat model that gives the replies of a script, in order, and keeps the requests.

    A reply is a str (the answer), `agentkit.testing.reply`, an AIMessage (returned as it is), an exception (raised),
    or a function from the message list to one of these. Sync, async, streamed and with tools bound; several
    threads may ask at once. Calls get the ids ``call_1``, ``call_2`` and so on.

    Attributes:
        requests: The requests so far, one `ScriptedRequest` per call of the model.
    """

    replies: list[Any]
    _requests: list[ScriptedRequest] = PrivateAttr(default_factory=list)
    _calls: int = PrivateAttr(default=0)
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    def __init__(self, replies: Sequence[Any], **kwargs: Any) -> None:
        """Play `replies`, one per request."""
        super().__init__(**{"replies": list(replies), **kwargs})

    @property
    def requests(self) -> list[ScriptedRequest]:
        """Return the requests so far, in order."""
        return self._requests

    def assert_all_used(self) -> None:
        """Check that the model was asked exactly as often as the script has replies.

        Raises:
            ScriptError: Some replies were never asked for, or there were more requests than replies.
        """
        asked, written = len(self._requests), len(self.replies)
        if asked == written:
            return
        if asked > written:
            raise ScriptError(
                f"ScriptedChat was asked {asked} times and has {written} replies; "
                "add the missing replies, or find out why there were more requests."
            )
        unused = shorten(repr(self.replies[asked]))
        raise ScriptError(
            f"ScriptedChat was asked {asked} times and has {written} replies: the next would have been {unused}; "
            "remove the replies that are not needed, or find out why the run ended early."
        )

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Return the model with `tools` on offer; their names are kept in `requests`."""
        if tool_choice is not None:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        message, script = self._next(messages, stop, kwargs)
        time.sleep(script.delay_s)
        return _result(message, script)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        message, script = self._next(messages, stop, kwargs)
        await asyncio.sleep(script.delay_s)
        return _result(message, script)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        message, script = self._next(messages, stop, kwargs)
        time.sleep(script.delay_s)
        for number, chunk in enumerate(_chunks(message)):
            _cut(script, number)
            if number:
                time.sleep(script.event_delay_s)
            yield ChatGenerationChunk(message=chunk)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        message, script = self._next(messages, stop, kwargs)
        await asyncio.sleep(script.delay_s)
        for number, chunk in enumerate(_chunks(message)):
            _cut(script, number)
            if number:
                await asyncio.sleep(script.event_delay_s)
            yield ChatGenerationChunk(message=chunk)

    def _next(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> tuple[AIMessage, ScriptedReply]:
        options = dict(kwargs)
        tools = tuple(tool["function"]["name"] for tool in options.pop("tools", None) or ())
        if stop is not None:
            options["stop"] = stop
        with self._lock:
            number = len(self._requests)
            self._requests.append(ScriptedRequest(tuple(messages), tools, options))
            if number >= len(self.replies):
                raise ScriptError(_ran_out(number, len(self.replies), messages, tools))
            entry = self.replies[number]
            while callable(entry) and not isinstance(entry, (BaseMessage, type)):
                entry = entry(list(messages))
            if isinstance(entry, BaseException):
                raise entry
            if isinstance(entry, AIMessage):
                return entry, ScriptedReply()
            script = as_reply(entry, messages)
            if script.is_plain_http:
                raise InputError(
                    "status= and body= of a reply are HTTP: use CohereServer, or put an exception in the script."
                )
            return self._message(script, messages, number), script

    def _message(self, script: ScriptedReply, messages: list[BaseMessage], number: int) -> AIMessage:
        said = "\n\n".join(part for part in (script.plan, script.text) if part)
        content: str | list[str | dict[str, Any]] = said
        if script.thinking:
            content = [{"type": "reasoning", "reasoning": script.thinking}]
            content += [{"type": "text", "text": said}] if said else []
        used = script.usage
        usage = UsageMetadata(input_tokens=used[0], output_tokens=used[1], total_tokens=sum(used)) if used else None
        results = _results_of_this_turn(messages)
        citations = [_citation(citation, script.text, results) for citation in script.citations]
        good, bad = self._tool_calls(script.calls)
        return AIMessage(
            content=content,
            tool_calls=good,
            invalid_tool_calls=bad,
            usage_metadata=usage,
            additional_kwargs={"citations": citations} if citations else {},
            response_metadata={"finish_reason": script.finish},
            id=f"scripted-{number + 1}",
        )

    def _tool_calls(self, calls: Sequence[ScriptedCall]) -> tuple[list[ToolCall], list[InvalidToolCall]]:
        good, bad = [], []
        for call in calls:
            self._calls += 1
            call_id = call.id or f"call_{self._calls}"
            try:
                arguments = json.loads(call.arguments_json())
                if not isinstance(arguments, dict):
                    raise ValueError(f"a JSON object is needed, not {type(arguments).__name__}")
                good.append(create_tool_call(name=call.name, args=arguments, id=call_id))
            except ValueError as error:
                raw = call.arguments_json()
                bad.append(invalid_tool_call(name=call.name, args=raw, id=call_id, error=str(error)))
        return good, bad


def _ran_out(number: int, written: int, messages: Sequence[BaseMessage], tools: Sequence[str]) -> str:
    asked = f"{messages[-1].type}: {shorten(messages[-1].text)!r}" if messages else "an empty message list"
    return (
        f"ScriptedChat has no reply for request {number + 1}: its script has {written}. It was asked "
        f"{asked} ({len(messages)} messages, tools: {', '.join(tools) or 'none'}); "
        "add a reply, or find out why the model is asked again."
    )


def _result(message: AIMessage, script: ScriptedReply) -> ChatResult:
    if script.cut_after is not None:
        _cut(script, script.cut_after)
    return ChatResult(generations=[ChatGeneration(message=message)])


def _cut(script: ScriptedReply, number: int) -> None:
    if script.cut_after is not None and number >= script.cut_after:
        raise ConnectionError(f"The script drops the connection here (cut_after={script.cut_after}).")


def _results_of_this_turn(messages: Sequence[BaseMessage]) -> list[ToolMessage]:
    asked = max((i for i, message in enumerate(messages) if isinstance(message, HumanMessage)), default=-1)
    return [message for message in messages[asked + 1 :] if isinstance(message, ToolMessage)]


def _citation(citation: Cite, text: str, results: Sequence[ToolMessage]) -> dict[str, Any]:
    start, end = place(citation, text)
    sources: list[dict[str, Any]] = [{"type": "document", "id": document} for document in citation.documents]
    for call in citation.calls:
        if call >= len(results):
            raise InputError(
                f"The citation {shorten(citation.text)!r} names call {call}, but this turn has {len(results)} results; "
                "calls are counted from 0, after the last message of the user."
            )
        result = results[call]
        source_id = f"{result.tool_call_id}:0"
        sources.append({"type": "tool", "id": source_id, "tool_output": {"output": result.text}})
    return {"start": start, "end": end, "text": citation.text, "sources": sources}


def _chunks(message: AIMessage) -> Iterator[AIMessageChunk]:
    """Yield `message` in the small pieces of a stream; their sum is the message again."""
    blocks = [message.content] if isinstance(message.content, str) else message.content
    for index, block in enumerate(blocks):
        if isinstance(block, str):
            yield from (AIMessageChunk(content=piece, id=message.id) for piece in pieces(block))
            continue
        key = next((k for k in ("text", "reasoning") if isinstance(block.get(k), str)), None)
        for piece in pieces(block[key]) if key else [None]:
            part = block if key is None else {**block, key: piece}
            yield AIMessageChunk(content=[{**part, "index": index}], id=message.id)
    for index, (name, args, call_id) in enumerate(_written_calls(message)):
        yield AIMessageChunk(content="", id=message.id, tool_call_chunks=[_call_chunk(name, "", call_id, index)])
        for piece in pieces(args):
            yield AIMessageChunk(content="", id=message.id, tool_call_chunks=[_call_chunk(None, piece, None, index)])
    yield AIMessageChunk(
        content="",
        id=message.id,
        usage_metadata=message.usage_metadata,
        additional_kwargs=message.additional_kwargs,
        response_metadata=message.response_metadata,
        chunk_position="last",
    )


def _written_calls(message: AIMessage) -> Iterator[tuple[str, str, str | None]]:
    for call in message.tool_calls:
        yield call["name"], ScriptedCall(call["name"], call["args"]).arguments_json(), call["id"]
    for bad in message.invalid_tool_calls:
        yield bad["name"] or "", bad["args"] or "", bad["id"]


def _call_chunk(name: str | None, args: str, call_id: str | None, index: int | None) -> ToolCallChunk:
    return ToolCallChunk(name=name, args=args, id=call_id, index=index, type="tool_call_chunk")
