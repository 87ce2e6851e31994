"""The edge to the chat model: a name becomes Cohere made correct, any LangChain chat model is taken as it is.

What comes back is a `Reply`, whichever model said it.
"""

from __future__ import annotations

import json
import os
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.tools import BaseTool

from agentkit.cohere_stream import join
from agentkit.cohere_wire import thinking_of
from agentkit.errors import ConfigError, ModelError
from agentkit.loop import Ask, Finish, Reply
from agentkit.text import clean_json, is_clean, shorten
from agentkit.turn import Citation, ToolCall, Usage

if TYPE_CHECKING:
    from agentkit.cohere_chat import CohereChat
    from agentkit.cohere_retry import Retry

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


class OfTheCall(TypedDict, total=False):
    """What holds for one call of the model.

    Attributes:
        deadline: Seconds on the model's clock (``time.monotonic``) after which nothing is sent or waited for.
        on_retry: Told of each further try, before the wait.
    """

    deadline: float | None
    on_retry: Callable[[Retry], object] | None


class Edge:
    """One chat model with one set of tools."""

    def __init__(self, model: str | BaseChatModel, tools: Sequence[BaseTool]) -> None:
        """Take a model's name or a LangChain chat model.

        Args:
            model: A Cohere model's name, called at temperature 0 with COHERE_API_KEY and CO_API_URL as the
                environment holds them now; or any LangChain chat model, used as it is.
            tools: What the model is offered.

        Raises:
            ConfigError: No such kind of model, or no key.
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
            self._model = _mended(model)
        else:
            raise ConfigError(
                f"model is {shorten(repr(model))}: give a Cohere model's name, such as 'command-a-03-2025', "
                "or a LangChain chat model."
            )

    @property
    def model(self) -> BaseChatModel:
        """The chat model; a named one is built when it is first used."""
        if self._model is None:
            with self._lock:
                if self._model is None:
                    self._model = _cohere(self._name, self._key, self._url)
        return self._model

    def ask(self, ask: Ask, config: RunnableConfig, **of_the_call: Unpack[OfTheCall]) -> Reply:
        """Send one request and wait for the reply.

        Args:
            ask: What to send.
            config: LangChain config.
            of_the_call: ``deadline`` and ``on_retry``; a model that is not Cohere's has no use for them.
        """
        return read_reply(self._runnable(ask).invoke(ask.messages, config, **self._taken(of_the_call)))

    async def aask(self, ask: Ask, config: RunnableConfig, **of_the_call: Unpack[OfTheCall]) -> Reply:
        """As `ask`, without blocking the event loop."""
        return read_reply(await self._runnable(ask).ainvoke(ask.messages, config, **self._taken(of_the_call)))

    def stream(self, ask: Ask, config: RunnableConfig, **of_the_call: Unpack[OfTheCall]) -> Iterator[AIMessage | Reply]:
        """As `ask`, piece by piece: the model's chunks as they come, and last the whole `Reply`.

        Closing the iterator ends the model call. `agentkit.deltas.deltas` reads the chunks.
        """
        chunks: list[AIMessage] = []
        for chunk in self._runnable(ask).stream(ask.messages, config, **self._taken(of_the_call)):
            chunks.append(chunk)
            yield chunk
        yield read_reply(join(chunks))

    async def astream(
        self, ask: Ask, config: RunnableConfig, **of_the_call: Unpack[OfTheCall]
    ) -> AsyncIterator[AIMessage | Reply]:
        """As `stream`, without blocking the event loop."""
        chunks: list[AIMessage] = []
        pieces: Any = self._runnable(ask).astream(ask.messages, config, **self._taken(of_the_call))
        async with aclosing(pieces):
            async for chunk in pieces:
                chunks.append(chunk)
                yield chunk
        yield read_reply(join(chunks))

    def _taken(self, of_the_call: Any) -> dict[str, Any]:
        # A model of another maker would send on what it does not know.
        ours = any(kind.__module__ == "agentkit.cohere_chat" for kind in type(self.model).__mro__)
        return {name: value for name, value in of_the_call.items() if value is not None} if ours else {}

    def _runnable(self, ask: Ask) -> Runnable[Any, Any]:
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
    return key


def _cohere(name: str, key: str, url: str | None) -> CohereChat:
    from pydantic import SecretStr

    from agentkit.cohere_chat import CohereChat

    # langchain-cohere passes base_url on even where it is None, which hides CO_API_URL from the SDK.
    return CohereChat(model=name, temperature=0, cohere_api_key=SecretStr(key), base_url=url)


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
        citations=citations_of(message),
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
    good = [ToolCall(id=c["id"] or "", name=c["name"], arguments=c["args"]) for c in message.tool_calls]
    bad = [
        ToolCall(id=c["id"] or "", name=c["name"] or "", error=c["error"] or "not JSON", raw=c["args"] or "")
        for c in message.invalid_tool_calls
    ]
    return tuple(good + bad)


def citations_of(message: AIMessage) -> tuple[Citation, ...]:
    """The citations in a model's message or chunk."""
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
