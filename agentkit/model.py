"""The edge to the chat model: a name becomes Cohere made correct, any LangChain chat model is taken as it is.

What comes back is a `Reply`, whichever model said it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from copy import copy
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.tools import BaseTool

from agentkit import log
from agentkit.cohere_stream import join, retry_of
from agentkit.cohere_wire import thinking_of
from agentkit.errors import ConfigError, DeadlineError, ModelError
from agentkit.events import CitationFound, Event, PlanDelta, Retrying, TextDelta, ThinkingDelta, ToolCallDelta
from agentkit.limits import Price
from agentkit.loop import Ask, Finish, Reply
from agentkit.text import clean, clean_json, is_clean, shorten
from agentkit.turn import Citation, ToolCall, Usage

if TYPE_CHECKING:
    from agentkit.cohere_chat import CohereChat
    from agentkit.cohere_options import CohereOptions
    from agentkit.cohere_retry import RetryPolicy

# https://docs.cohere.com/docs/deprecations
REPLACED_MODELS = {
    "command": "command-a-03-2025",
    "command-light": "command-r7b-12-2024",
    "command-nightly": "command-a-03-2025",
    "command-light-nightly": "command-r7b-12-2024",
    "command-r": "command-r-08-2024",
    "command-r-03-2024": "command-r-08-2024",
    "command-r-plus": "command-r-plus-08-2024",
    "command-r-plus-04-2024": "command-r-plus-08-2024",
}
"""Model names Cohere has withdrawn, and what to use instead."""

_FINISH: dict[str, Finish] = {
    "MAX_TOKENS": "max_tokens",
    "length": "max_tokens",
    "max_tokens": "max_tokens",
    "ERROR": "error",
    "TIMEOUT": "error",
    "error": "error",
}


UNNAMED = "unnamed_tool"
"""Stands for the name of a call the model gave none, so that it can be answered like any other."""


class Edge:
    """One chat model with one set of tools."""

    def __init__(
        self,
        model: str | BaseChatModel,
        tools: Sequence[BaseTool],
        price: Price | Mapping[str, Price] | None = None,
        schema: Mapping[str, Any] | None = None,
        *,
        options: CohereOptions | None = None,
        retry: RetryPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take a model's name or a LangChain chat model.

        Args:
            model: A Cohere model's name, called at temperature 0 with COHERE_API_KEY and CO_API_URL as the
                environment holds them now; or any LangChain chat model, used as it is.
            tools: What the model is offered.
            price: What its tokens cost, or a table of prices by model name; None counts no cost.
            schema: The JSON schema answers must have. Cohere's models are held to it where no tools are offered with
                the request; other models are only told when an answer does not fit.
            options: Settings of every request, for Cohere's models only.
            retry: When a request is sent again, for Cohere's models only.
            clock: The clock `Ask.until` is on.

        Raises:
            ConfigError: No such kind of model, no key, no price of the model in the table, or options for a model that
                cannot take them.
        """
        self._tools = list(tools)
        self._lock = threading.Lock()
        self._model: BaseChatModel | None = None
        self._bound: Runnable[Any, Any] | None = None
        if isinstance(model, str):
            self._name, self._key, self._url = (
                _checked_name(model),
                _key(),
                os.environ.get("CO_API_URL") or None,
            )
        elif isinstance(model, BaseChatModel):
            self._model = _with_settings(_mended(model), options, retry)
        else:
            raise ConfigError(
                f"model is {shorten(repr(model))}: give a Cohere model's name, such as 'command-a-03-2025', "
                "or a LangChain chat model."
            )
        _check_settings(options, retry)
        self._options, self._retry, self._clock = options, retry, clock
        self._price = _price_of(model, price)
        self._schema = schema
        # A ready CohereChat, or a name, which becomes one: it takes a deadline and tells of retries.
        self._is_cohere = self._model is None or _is_cohere_chat(self._model)

    @property
    def model(self) -> BaseChatModel:
        """The chat model; a named one is built when it is first used."""
        if self._model is None:
            with self._lock:
                if self._model is None:
                    self._model = _cohere(self._name, self._key, self._url, self._options, self._retry)
        return self._model

    def documents(self) -> dict[str, str]:
        """The documents every request brings along, as text by id; only Cohere's models have some."""
        from agentkit.cohere_options import CohereOptions

        options = getattr(self.model, "options", None)
        return options.document_texts() if isinstance(options, CohereOptions) else {}

    def offering(self, tools: Sequence[BaseTool]) -> Edge:
        """The same chat model, offered other tools."""
        other = copy(self)
        other._model, other._tools, other._bound = self.model, list(tools), None
        return other

    def ask(self, ask: Ask, config: RunnableConfig) -> Reply:
        """Send one request and wait for the reply."""
        try:
            return self._priced(read_reply(self._runnable(ask).invoke(ask.messages, config, **self._of_the_call(ask))))
        except DeadlineError:
            return _out_of_time()

    async def aask(self, ask: Ask, config: RunnableConfig) -> Reply:
        """As `ask`, without blocking the event loop."""
        call = self._of_the_call(ask)
        try:
            return self._priced(read_reply(await self._runnable(ask).ainvoke(ask.messages, config, **call)))
        except DeadlineError:
            return _out_of_time()

    def stream(self, ask: Ask, config: RunnableConfig) -> Iterator[Event | Reply]:
        """Send one request; the events of the reply as they come, and the reply itself last."""
        chunks: list[Any] = []
        try:
            for chunk in self._runnable(ask).stream(ask.messages, config, **self._of_the_call(ask, streamed=True)):
                if (retry := retry_of(chunk)) is None:
                    chunks.append(chunk)
                    yield from chunk_events(chunk)
                else:
                    yield Retrying(retry.tries, retry.wait_s, retry.reason, retry.status)
        except DeadlineError:
            yield _out_of_time()
        else:
            yield from self._ended(chunks)

    async def astream(self, ask: Ask, config: RunnableConfig) -> AsyncIterator[Event | Reply]:
        """As `stream`, without blocking the event loop."""
        chunks: list[Any] = []
        pieces = self._runnable(ask).astream(ask.messages, config, **self._of_the_call(ask, streamed=True))
        try:
            async with aclosing(pieces) as stream:  # type: ignore[type-var]
                async for chunk in stream:
                    if (retry := retry_of(chunk)) is None:
                        chunks.append(chunk)
                        for event in chunk_events(chunk):
                            yield event
                    else:
                        yield Retrying(retry.tries, retry.wait_s, retry.reason, retry.status)
        except DeadlineError:
            yield _out_of_time()
        else:
            for last in self._ended(chunks):
                yield last

    def _of_the_call(self, ask: Ask, *, streamed: bool = False) -> dict[str, Any]:
        """What belongs to this one request: how long there is for it, and who is told of further tries."""
        if not self._is_cohere:
            return {}
        model = cast("CohereChat", self.model)
        call: dict[str, Any] = {"on_retry": partial(_retried, model.on_retry, log.retrying)}
        if streamed:
            call["tell_retries"] = True
        if ask.until is not None:
            call["deadline"] = model.timing.clock() + (ask.until - self._clock())
        return call

    def _ended(self, chunks: list[Any]) -> Iterator[Event | Reply]:
        reply = self._priced(read_reply(join(chunks)))
        yield from map(CitationFound, reply.citations)
        yield reply

    def _priced(self, reply: Reply) -> Reply:
        if self._price is None:
            return reply
        used = reply.usage
        cost = self._price.of(used.input_tokens, used.output_tokens)
        return replace(reply, usage=used.model_copy(update={"cost": cost}))

    def _held_to(self, schema: Mapping[str, Any]) -> Runnable[Any, Any]:
        if self.model._llm_type != "cohere-chat":
            return self.model
        return self.model.bind(response_format={"type": "json_object", "schema": dict(schema)})

    def _runnable(self, ask: Ask) -> Runnable[Any, Any]:
        if self._schema is not None and (ask.wants_json or not self._tools):
            return self._held_to(self._schema)
        if not ask.offer_tools or not self._tools:
            return self.model
        if self._bound is None:
            try:
                self._bound = self.model.bind_tools(self._tools)
            except NotImplementedError as error:
                raise ConfigError(
                    f"{type(self.model).__name__} cannot call tools (it has no bind_tools): "
                    "use a chat model that can, or an agent without tools."
                ) from error
        return self._bound


def _price_of(model: str | BaseChatModel, price: Price | Mapping[str, Price] | None) -> Price | None:
    if price is None or isinstance(price, Price):
        return price
    name = model if isinstance(model, str) else getattr(model, "model", None) or getattr(model, "model_name", None)
    found = price.get(str(name)) if isinstance(price, Mapping) else None
    if not isinstance(found, Price):
        known = ", ".join(map(str, price)) if isinstance(price, Mapping) else shorten(repr(price))
        raise ConfigError(f"There is no price of the model {shorten(repr(name))}: the table has {known}. Add a Price.")
    return found


def chunk_events(chunk: Any) -> Iterator[Event]:
    """What one piece of a streamed reply tells, in the order a reader wants it."""
    if not isinstance(chunk, AIMessage):
        return
    if thinking := thinking_of(chunk):
        yield ThinkingDelta(clean(thinking))
    if plan := chunk.additional_kwargs.get("tool_plan"):
        yield PlanDelta(clean(plan))
    if text := chunk.content if isinstance(chunk.content, str) else str(chunk.text):
        yield TextDelta(clean(text))
    for piece in getattr(chunk, "tool_call_chunks", ()):
        yield ToolCallDelta(piece.get("index") or 0, clean(piece.get("name") or ""), clean(piece.get("args") or ""))


def _checked_name(name: str) -> str:
    name = name.strip()
    if not name:
        raise ConfigError("model is an empty name: give one such as 'command-a-03-2025'.")
    if name in REPLACED_MODELS:
        warnings.warn(
            f"Cohere has withdrawn the model {name!r}: use {REPLACED_MODELS[name]!r}.",
            FutureWarning,
            stacklevel=4,
        )
    return name


def _key() -> str:
    key = os.environ.get("COHERE_API_KEY", "").strip()
    if not key:
        raise ConfigError(
            "No Cohere key: set the environment variable COHERE_API_KEY (keys are made at "
            "https://dashboard.cohere.com/api-keys), or pass a LangChain chat model as model=. "
            "`make demo` and `agentkit demo` work without a key."
        )
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(
            "COHERE_API_KEY holds characters that no key has, such as curly quotes or accents: copy the key anew from "
            "https://dashboard.cohere.com/api-keys."
        )
    return key


def _cohere(
    name: str, key: str, url: str | None, options: CohereOptions | None, retry: RetryPolicy | None
) -> CohereChat:
    from pydantic import SecretStr

    from agentkit.cohere_chat import CohereChat

    # langchain-cohere passes base_url on even where it is None, which hides CO_API_URL from the SDK.
    try:
        model = CohereChat(model=name, temperature=0, cohere_api_key=SecretStr(key), base_url=url)
    except ValueError as error:
        # Its text may quote a proxy's password, so only what it is about is told.
        raise ConfigError(
            f"The client for the model {shorten(name)!r} cannot be made ({type(error).__name__}): check that "
            "CO_API_URL is an http or https address, and that HTTPS_PROXY, HTTP_PROXY and ALL_PROXY are ones it knows."
        ) from None
    return cast("CohereChat", _with_settings(model, options, retry))


def _is_cohere_chat(model: BaseChatModel) -> bool:
    module = sys.modules.get("agentkit.cohere_chat")  # where it is not imported there is none of it
    return module is not None and isinstance(model, module.CohereChat)


def _check_settings(options: Any, retry: Any) -> None:
    if options is None and retry is None:
        return
    from agentkit.cohere_options import CohereOptions
    from agentkit.cohere_retry import RetryPolicy

    for name, given, kind in (("options", options, CohereOptions), ("retry", retry, RetryPolicy)):
        if given is not None and not isinstance(given, kind):
            raise ConfigError(f"{name} is {shorten(repr(given))}: give {kind.__name__}(...).")


def _with_settings(model: BaseChatModel, options: CohereOptions | None, retry: RetryPolicy | None) -> BaseChatModel:
    """`model`, or one with the same clients and other settings."""
    _check_settings(options, retry)
    if options is None and retry is None:
        return model
    if not _is_cohere_chat(model):
        given = "options" if options is not None else "retry"
        raise ConfigError(
            f"{given}=... is for Cohere's models, and model is a {type(model).__name__}: "
            "set it on the model itself, or give a Cohere model's name."
        )
    cohere = cast("CohereChat", model)
    changes: dict[str, Any] = {} if retry is None else {"retry": retry}
    if options is not None:
        from agentkit.cohere_options import OPTION_NAMES

        changes["options"] = cohere.options.merged({name: getattr(options, name) for name in OPTION_NAMES})
    return cohere.model_copy(update=changes)


def _retried(own: Callable[[Any], object] | None, log: Callable[[Any], object], retry: Any) -> None:
    log(retry)
    if own is not None:
        own(retry)


def _out_of_time() -> Reply:
    return Reply(message=AIMessage(""), finish="deadline")


def _mended(model: BaseChatModel) -> BaseChatModel:
    """`model`; a plain ChatCohere becomes a CohereChat with the same clients and settings."""
    if type(model).__module__ != "langchain_cohere.chat_models" or type(model).__name__ != "ChatCohere":
        return model
    from agentkit.cohere_chat import CohereChat

    return CohereChat.model_construct(**dict(model))


def read_reply(message: Any) -> Reply:
    """A chat model's message as a `Reply`.

    Raises:
        ModelError: It is not an AIMessage.
    """
    if not isinstance(message, AIMessage):
        raise ModelError(
            f"The chat model returned a {type(message).__name__} instead of an AIMessage; use a LangChain chat model."
        )
    message = _cleaned(message)
    calls = _calls(message)
    text = message.content if isinstance(message.content, str) else str(message.text)
    plan = message.additional_kwargs.get("tool_plan") or ""
    if calls and not plan:
        plan, text = text, ""
    return Reply(
        message=message,
        text=text,
        plan=plan,
        thinking=thinking_of(message),
        calls=calls,
        citations=_citations(message),
        usage=_usage(message),
        finish=_finish(message),
    )


def _cleaned(message: AIMessage) -> AIMessage:
    """`message` without what no database and no request can hold: NUL and lone surrogates, spelt out."""
    parts = ("content", "tool_calls", "invalid_tool_calls", "additional_kwargs")
    dirty = [name for name in parts if not is_clean(getattr(message, name))]
    return message.model_copy(update={n: clean_json(getattr(message, n)) for n in dirty}) if dirty else message


def _calls(message: AIMessage) -> tuple[ToolCall, ...]:
    if not message.tool_calls and not message.invalid_tool_calls:
        return ()
    good = [ToolCall(id=c["id"] or "", name=c["name"] or UNNAMED, arguments=c["args"]) for c in message.tool_calls]
    bad = [
        ToolCall(id=c["id"] or "", name=c["name"] or UNNAMED, error=c["error"] or "not JSON", raw=c["args"] or "")
        for c in message.invalid_tool_calls
    ]
    return tuple(good + bad)


def _citations(message: AIMessage) -> tuple[Citation, ...]:
    found = message.additional_kwargs.get("citations")
    if not found:
        return ()
    return tuple(_citation(c if isinstance(c, dict) else json.loads(c.json())) for c in found)


def _citation(citation: dict[str, Any]) -> Citation:
    sources = tuple(str(s.get("id", "")) for s in citation.get("sources") or ())
    from_tools = [
        str(s.get("id", "")).rpartition(":")[0] for s in citation.get("sources") or () if s.get("type") == "tool"
    ]
    return Citation(
        start=citation["start"],
        end=citation["end"],
        text=citation.get("text") or "",
        sources=sources,
        call_ids=tuple(dict.fromkeys(filter(None, from_tools))),
    )


def _usage(message: AIMessage) -> Usage:
    counted = message.usage_metadata
    if counted is None:
        return _ONE_CALL
    return Usage(input_tokens=counted["input_tokens"], output_tokens=counted["output_tokens"], model_calls=1)


_ONE_CALL = Usage(model_calls=1)


def _finish(message: AIMessage) -> Finish:
    metadata = message.response_metadata
    reason = metadata.get("finish_reason") or metadata.get("stop_reason")
    return _FINISH.get(str(reason), "tool_call" if message.tool_calls else "complete")
