"""`CohereChat`: langchain-cohere's ChatCohere with its v2 requests, responses and streams made correct."""

from __future__ import annotations

import difflib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from langchain_cohere import ChatCohere
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field, InstanceOf, PrivateAttr

from agentkit.base.text import shorten
from agentkit.cohere.http import AsyncClients, Call, apost, astream, http_of, post, stream
from agentkit.cohere.images import check_images
from agentkit.cohere.options import OPTION_NAMES, CohereOptions
from agentkit.cohere.retry import Retry, RetryPolicy, Timing
from agentkit.cohere.wire import request_messages, request_tools, response_message
from agentkit.errors import ConfigError

_OF_THE_CALL = ("deadline", "on_retry", "tell_retries", "request_options")
_OTHERS = frozenset({"model", "tools", "citation_options", "stream", *_OF_THE_CALL})


class CohereChat(ChatCohere):
    """A chat model for Cohere's v2 API.

    Takes ChatCohere's arguments and these. Against ChatCohere 0.6: the plan beside tool calls is kept apart from
    the answer and sent back as it was, never made up; thinking is kept, also beside tool calls; citations are
    plain JSON; arguments that are not valid JSON become ``invalid_tool_calls`` instead of an exception; tool
    schemas keep their nested types; usage counts tokens; a stream yields each delta once and at once, and adds up
    to what ``invoke`` returns; what fails is a `ModelError`.

    ``invoke``, ``stream``, ``bind`` and their kin also take every setting of `CohereOptions` by its name, and:

    - ``deadline``: seconds on ``timing.clock`` (``time.monotonic``) after which no request is sent or waited for;
    - ``on_retry``: as below, for this call;
    - ``tell_retries``: True makes a stream yield an empty chunk before each further try, for
      `agentkit.cohere.stream.retry_of`;
    - ``request_options``: the SDK's, such as ``additional_headers``.

    Attributes:
        options: Settings of every request.
        retry: When a request is sent again. The SDK's own retries are off.
        on_retry: Told of each further try, before the wait.
        timing: The clock and the waits.
    """

    options: InstanceOf[CohereOptions] = CohereOptions()
    retry: InstanceOf[RetryPolicy] = RetryPolicy()
    on_retry: Callable[[Retry], object] | None = Field(default=None, exclude=True, repr=False)
    timing: InstanceOf[Timing] = Field(default=Timing(), exclude=True, repr=False)
    _async_clients: AsyncClients = PrivateAttr(default_factory=AsyncClients)

    def bind_tools(self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any) -> Any:
        """Offer `tools` with every request.

        Args:
            tools: LangChain tools, functions, pydantic models or dicts.
            tool_choice: ``"REQUIRED"``, ``"NONE"`` or None; also LangChain's words for these: ``"any"``, True,
                ``"none"``, ``"auto"``, and a tool's name where it is the only one.
            kwargs: Bound as by ``bind``.

        Raises:
            ConfigError: A choice Cohere does not have.
        """
        offered = request_tools(tools)
        choice = _choice(tool_choice, [tool["function"]["name"] for tool in offered])
        if choice is not None:
            kwargs["tool_choice"] = choice
        return self.bind(tools=offered, **kwargs)

    def request(self, messages: Sequence[BaseMessage], stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        """The JSON body of a request for these messages, without ``stream``.

        Raises:
            ConfigError: A setting Cohere does not have or take.
            HistoryError: A message v2 has no role for.
            InputError: An image Cohere does not take, or too many.
        """
        given = {name: value for name, value in kwargs.items() if value is not None}
        for name in given:
            if name not in OPTION_NAMES and name not in _OTHERS:
                raise _unknown(name)
        tools = given.get("tools") or None
        options = CohereOptions().merged({"temperature": self.temperature, "stop_sequences": self.stop or None})
        options = options.merged({name: getattr(self.options, name) for name in OPTION_NAMES})
        changes = {name: value for name, value in given.items() if name in OPTION_NAMES}
        options = options.merged(changes | ({"stop_sequences": stop} if stop else {}))
        body: dict[str, Any] = {"model": given.get("model", self.model), "messages": request_messages(messages)}
        check_images(body["messages"])
        body |= options.fields(tools=tools is not None)
        if tools is not None:
            body["tools"] = tools
        if "citation_options" in given:
            body["citation_options"] = given["citation_options"]
        return body

    def _call(self, messages: Sequence[BaseMessage], stop: list[str] | None, streamed: bool, kwargs: Any) -> Call:
        return Call(
            body={**self.request(messages, stop, **kwargs), "stream": streamed},
            where=self.base_url or "Cohere",
            policy=self.retry,
            timing=self.timing,
            deadline=kwargs.get("deadline"),
            on_retry=kwargs.get("on_retry") or self.on_retry,
            tells_retries=bool(kwargs.get("tell_retries")),
            timeout_s=self.timeout_seconds,
            request_options=kwargs.get("request_options") or {},
        )

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        call = self._call(messages, stop, False, kwargs)
        return _result(post(http_of(self.client), call), call)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        call = self._call(messages, stop, False, kwargs)
        return _result(await apost(self._async_clients.here(self.async_client), call), call)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        call = self._call(messages, stop, True, kwargs)
        for message in stream(http_of(self.client), call, call.body["model"]):
            chunk = ChatGenerationChunk(message=message)
            if run_manager is not None:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        call = self._call(messages, stop, True, kwargs)
        chunks = astream(self._async_clients.here(self.async_client), call, call.body["model"])
        try:
            async for message in chunks:
                chunk = ChatGenerationChunk(message=message)
                if run_manager is not None:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk
        finally:
            # An abandoned asynchronous generator does not close the ones inside it by itself.
            await chunks.aclose()  # type: ignore[attr-defined]

    # What belongs to one call is no part of the model's settings: not in traces, not in the key of a cache.
    def _get_invocation_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        return super()._get_invocation_params(stop=stop, **_settings(kwargs))

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        return super()._get_llm_string(stop=stop, **_settings(kwargs))


def _settings(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in kwargs.items() if name not in _OF_THE_CALL}


def _result(response: dict[str, Any], call: Call) -> ChatResult:
    message = response_message(response, call.body["model"])
    return ChatResult(generations=[ChatGeneration(message=message)])


def _choice(choice: Any, names: list[str]) -> str | None:
    if choice is None or choice is False:
        return None
    if choice is True or (len(names) == 1 and choice == names[0]):
        return "REQUIRED"
    words = {"required": "REQUIRED", "any": "REQUIRED", "none": "NONE", "auto": ""}
    found = words.get(choice.lower()) if isinstance(choice, str) else None
    if found is None:
        raise ConfigError(
            f"tool_choice={shorten(repr(choice))}: Cohere takes 'REQUIRED' or 'NONE'; "
            "to force one tool, offer only that one."
        )
    return found or None


def _unknown(name: str) -> ConfigError:
    near = difflib.get_close_matches(name, OPTION_NAMES, n=1)
    step = "give the system message as a SystemMessage" if name == "preamble" else "see CohereOptions"
    return ConfigError(f"Cohere's chat has no setting {name!r}: {f'did you mean {near[0]!r}?' if near else f'{step}.'}")
