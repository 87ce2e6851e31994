"""`Edge`: one chat model as a function from messages to a `Reply`, or to events while the reply is streamed.

A name becomes a `CohereChat`; any other LangChain chat model is used as it is.
"""

from __future__ import annotations

import os
import threading
import time
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

from agentkit.base import log
from agentkit.base.text import clean, shorten
from agentkit.cohere.stream import join, retry_of
from agentkit.cohere.wire import thinking_of
from agentkit.errors import ConfigError, DeadlineError
from agentkit.events import CitationFound, Event, PlanDelta, Retrying, TextDelta, ThinkingDelta, ToolCallDelta
from agentkit.limits import Price
from agentkit.loop.protocol import Ask, Reply
from agentkit.models.by_name import (
    as_cohere_chat,
    check_settings,
    checked_name,
    cohere_model,
    is_chat_cohere,
    is_cohere_chat,
    key_of_environment,
    with_settings,
)
from agentkit.models.read_reply import read_reply

if TYPE_CHECKING:
    from agentkit.cohere.chat import CohereChat
    from agentkit.cohere.options import CohereOptions
    from agentkit.cohere.retry import RetryPolicy


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
        """Take a Cohere model's name or a LangChain chat model.

        Args:
            model: A Cohere model's name, called at temperature 0 with COHERE_API_KEY and CO_API_URL as the
                environment holds them now; or any LangChain chat model, used as it is.
            tools: The tools the model is offered.
            price: The price of its tokens, or a table of prices by model name; None counts no cost.
            schema: The JSON schema answers must have. Cohere's models are held to it where no tools are offered with
                the request; other models are only told when an answer does not fit.
            options: Settings of every request, for Cohere's models only.
            retry: When a request is sent again, for Cohere's models only.
            clock: The clock of `Ask.until`.

        Raises:
            ConfigError: `model` is neither; there is no key; the table has no price of the model; or there are options
                for a model that cannot take them.
        """
        self._tools = list(tools)
        self._lock = threading.Lock()
        self._model: BaseChatModel | None = None
        self._bound: Runnable[Any, Any] | None = None
        if isinstance(model, str):
            self._name, self._key, self._url = (
                checked_name(model),
                key_of_environment(),
                os.environ.get("CO_API_URL") or None,
            )
        elif isinstance(model, BaseChatModel):
            self._model = with_settings(as_cohere_chat(model), options, retry)
        else:
            raise ConfigError(
                f"model is {shorten(repr(model))}: give a Cohere model's name, such as 'command-a-03-2025', "
                "or a LangChain chat model."
            )
        check_settings(options, retry)
        self._options, self._retry, self._clock = options, retry, clock
        self._price = _price_of(model, price)
        self._schema = schema
        # A name becomes a CohereChat, which takes a deadline and tells of retries.
        self._is_cohere = self._model is None or is_cohere_chat(self._model)

    @property
    def model(self) -> BaseChatModel:
        """Return the chat model; a named one is built at its first use."""
        if self._model is None:
            with self._lock:
                if self._model is None:
                    self._model = cohere_model(self._name, self._key, self._url, self._options, self._retry)
        return self._model

    def documents(self) -> dict[str, str]:
        """Return the documents that go with every request, as text by id; only Cohere's models have any."""
        from agentkit.cohere.options import CohereOptions

        options = getattr(self.model, "options", None)
        return options.document_texts() if isinstance(options, CohereOptions) else {}

    def offering(self, tools: Sequence[BaseTool]) -> Edge:
        """Return an edge to the same chat model that offers other tools."""
        other = copy(self)
        other._model, other._tools, other._bound = self.model, list(tools), None  # noqa: SLF001 (a copy of itself)
        return other

    def ask(self, ask: Ask, config: RunnableConfig) -> Reply:
        """Return the reply to one request."""
        try:
            call = self._call_settings(ask)
            return self._priced(read_reply(self._runnable(ask).invoke(ask.messages, config, **call)))
        except DeadlineError:
            return _out_of_time()

    async def aask(self, ask: Ask, config: RunnableConfig) -> Reply:
        """Do as `ask`, without blocking the event loop."""
        call = self._call_settings(ask)
        try:
            return self._priced(read_reply(await self._runnable(ask).ainvoke(ask.messages, config, **call)))
        except DeadlineError:
            return _out_of_time()

    def stream(self, ask: Ask, config: RunnableConfig) -> Iterator[Event | Reply]:
        """Yield the events of the reply to one request as they come, and the reply itself last."""
        chunks: list[Any] = []
        try:
            for chunk in self._runnable(ask).stream(ask.messages, config, **self._call_settings(ask, streamed=True)):
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
        """Do as `stream`, without blocking the event loop."""
        chunks: list[Any] = []
        pieces = self._runnable(ask).astream(ask.messages, config, **self._call_settings(ask, streamed=True))
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

    def _call_settings(self, ask: Ask, *, streamed: bool = False) -> dict[str, Any]:
        """Return what holds for this one request: its deadline, and the function called before retries."""
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

    def _bound_to(self, schema: Mapping[str, Any]) -> Runnable[Any, Any]:
        if not is_chat_cohere(self.model):
            return self.model
        return self.model.bind(response_format={"type": "json_object", "schema": dict(schema)})

    def _runnable(self, ask: Ask) -> Runnable[Any, Any]:
        if self._schema is not None and (ask.wants_json or not self._tools):
            return self._bound_to(self._schema)
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
    """Yield the events of one piece of a streamed reply: thinking, plan, text, calls."""
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


def _retried(own: Callable[[Any], object] | None, log: Callable[[Any], object], retry: Any) -> None:
    log(retry)
    if own is not None:
        own(retry)


def _out_of_time() -> Reply:
    return Reply(message=AIMessage(""), finish="deadline")
