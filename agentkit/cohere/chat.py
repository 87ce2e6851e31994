"""`CohereChat`: langchain-cohere's ChatCohere with its v2 requests, responses and streams made correct."""

from __future__ import annotations

import difflib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Any

import httpx
from langchain_cohere import ChatCohere
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils import secret_from_env
from pydantic import Field, InstanceOf, PrivateAttr, SecretStr

from agentkit.base.text import shorten
from agentkit.cohere.http import Call, HttpClients, adrive, drive, reply_chunks, reply_json
from agentkit.cohere.images import check_images
from agentkit.cohere.options import OPTION_NAMES, CohereOptions
from agentkit.cohere.retry import Retry, RetryPolicy, Timing
from agentkit.cohere.wire import request_messages, request_tools, response_message
from agentkit.errors import ConfigError

_API_URL = "https://api.cohere.com"
_TIMEOUT_S = 300  # the SDK's own, where a model has timeout_seconds=None
_PER_CALL = ("deadline", "on_retry", "tell_retries", "request_options")
_OTHERS = frozenset({"model", "tools", "citation_options", "stream", *_PER_CALL})


class CohereChat(ChatCohere):
    """A chat model for Cohere's v2 API.

    Takes ChatCohere's arguments and these. Against ChatCohere 0.6: the plan beside tool calls is kept apart from the
    answer and sent back as it was, never invented; thinking is kept, also beside tool calls; citations are plain JSON;
    arguments that are not valid JSON become ``invalid_tool_calls`` instead of an exception; tool schemas keep their
    nested types; usage counts tokens; a stream yields each delta once and at once, and adds up to what ``invoke``
    returns; every failure is a `ModelError`.

    ``invoke``, ``stream``, ``bind`` and their variants also take every setting of `CohereOptions` by its name, and:

    - ``deadline``: seconds on ``timing.clock`` (``time.monotonic``) after which no request is sent or awaited;
    - ``on_retry``: as below, for this call;
    - ``tell_retries``: True makes a stream yield an empty chunk before each retry's wait, for
      `agentkit.cohere.stream.retry_of`;
    - ``request_options``: the SDK's ``additional_headers``, ``additional_query_parameters``,
      ``additional_body_parameters`` and ``timeout_in_seconds``.

    Chat requests go over an httpx client of this model's own. It takes ``cohere_api_key``, ``base_url``,
    ``timeout_seconds`` (None: 300) and ``user_agent`` from the model, also from a ChatCohere that is handed to an
    agent. What was set on ``client`` or ``async_client``, the SDK's clients, serves only what the SDK still does
    (``get_num_tokens``): for a proxy or certificates of your own give `http_client` and `http_async_client`.

    Attributes:
        options: Settings of every request.
        retry: When a request is sent again.
        on_retry: Called with a `Retry` before each retry's wait.
        timing: The clock and the waits.
        http_client: An ``httpx.Client`` to use instead of the model's own. You close it.
        http_async_client: An ``httpx.AsyncClient`` to use instead of the model's own, in every event loop. You close
            it.
    """

    options: InstanceOf[CohereOptions] = CohereOptions()
    retry: InstanceOf[RetryPolicy] = RetryPolicy()
    on_retry: Callable[[Retry], object] | None = Field(default=None, exclude=True, repr=False)
    timing: InstanceOf[Timing] = Field(default=Timing(), exclude=True, repr=False)
    http_client: InstanceOf[httpx.Client] | None = Field(default=None, exclude=True, repr=False)
    http_async_client: InstanceOf[httpx.AsyncClient] | None = Field(default=None, exclude=True, repr=False)
    # The SDK reads the second name too, where langchain-cohere found no key.
    cohere_api_key: SecretStr | None = Field(
        default_factory=secret_from_env(["COHERE_API_KEY", "CO_API_KEY"], default=None)
    )
    _http_clients: HttpClients = PrivateAttr(default_factory=HttpClients)

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
        """Return the JSON body of a request for these messages, without ``stream``.

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
        more = kwargs.get("request_options") or {}
        timeout_s = more.get("timeout_in_seconds")
        return Call(
            url=_url(self.base_url),
            headers={**self._headers(), **(more.get("additional_headers") or {})},
            body={
                **self.request(messages, stop, **kwargs),
                "stream": streamed,
                **(more.get("additional_body_parameters") or {}),
            },
            params=more.get("additional_query_parameters") or {},
            where=self.base_url or "Cohere",
            policy=self.retry,
            timing=self.timing,
            deadline=kwargs.get("deadline"),
            on_retry=kwargs.get("on_retry") or self.on_retry,
            tells_retries=streamed and bool(kwargs.get("tell_retries")),
            timeout_s=timeout_s or self.timeout_seconds or _TIMEOUT_S,
        )

    def _headers(self) -> dict[str, str]:
        key = self.cohere_api_key
        return {
            "authorization": f"Bearer {key.get_secret_value() if key is not None else ''}",
            "content-type": "application/json",
            "x-client-name": self.user_agent,
        }

    def _client(self) -> httpx.Client:
        return self.http_client or self._http_clients.client()

    async def _async_client(self) -> httpx.AsyncClient:
        return self.http_async_client or await self._http_clients.async_client()

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        call = self._call(messages, stop, False, kwargs)
        (response,) = drive(reply_json(call), self._client, call.timing)
        return _result(response, call)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        call = self._call(messages, stop, False, kwargs)
        (response,) = [body async for body in adrive(reply_json(call), self._async_client, call.timing)]
        return _result(response, call)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        call = self._call(messages, stop, True, kwargs)
        for message in drive(reply_chunks(call, call.body["model"]), self._client, call.timing):
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
        chunks = adrive(reply_chunks(call, call.body["model"]), self._async_client, call.timing)
        # An abandoned asynchronous generator does not close the ones inside it by itself.
        async with aclosing(chunks):
            async for message in chunks:
                chunk = ChatGenerationChunk(message=message)
                if run_manager is not None:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    # What holds for one call is not a setting of the model: it is kept out of traces and out of the key of a cache.
    def _get_invocation_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        return super()._get_invocation_params(stop=stop, **_settings(kwargs))

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        return super()._get_llm_string(stop=stop, **_settings(kwargs))


def _settings(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in kwargs.items() if name not in _PER_CALL}


def _url(base_url: str | None) -> str:
    base = base_url or _API_URL
    if "cohere.com" in base or "cohere.ai" in base:
        base = base.replace("/v1", "")  # an address of the old API, which the SDK takes too
    return f"{base.rstrip('/')}/v2/chat"


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
