"""`CohereChat`: langchain-cohere's ChatCohere with its v2 requests and responses made correct."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from cohere.core import ApiError
from httpx import TransportError
from langchain_cohere import ChatCohere
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from agentkit.cohere_wire import request_messages, request_tools, response_message
from agentkit.errors import ModelError
from agentkit.text import shorten

_NEXT_STEP = {
    400: "check the request named above",
    401: "check that COHERE_API_KEY holds a valid key",
    403: "check that this key may use this model",
    404: "check the model's name and CO_API_URL",
    422: "check the request named above",
    429: "wait, or raise the rate limit of the key",
    499: "try again",
}


class CohereChat(ChatCohere):
    """A chat model for Cohere's v2 API.

    Takes ChatCohere's arguments. Against ChatCohere 0.6: the plan beside tool calls is kept apart from the
    answer and sent back as it was, never made up; thinking is kept, also beside tool calls; citations are
    plain JSON; arguments that are not valid JSON become ``invalid_tool_calls`` instead of an exception; tool
    schemas keep their nested types; usage counts tokens. Streaming is not built yet: ``stream`` yields the
    whole reply in one piece.
    """

    # LangChain streams through these where a class has them, and ChatCohere's lose text and double the calls.
    _stream = BaseChatModel._stream
    _astream = BaseChatModel._astream

    def bind_tools(self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any) -> Any:
        """Offer `tools` with every request; `tool_choice` is ``"REQUIRED"``, ``"NONE"`` or None."""
        if tool_choice is not None:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=request_tools(tools), **kwargs)

    def request(self, messages: Sequence[BaseMessage], stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        """The keyword arguments of the SDK's ``v2.chat`` for these messages."""
        options: dict[str, Any] = {"model": self.model, "messages": request_messages(messages)}
        if self.temperature is not None:
            options["temperature"] = self.temperature
        stops = stop or self.stop
        if stops:
            options["stop_sequences"] = stops
        return options | {k: v for k, v in kwargs.items() if v is not None and k != "stream"}

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = self.request(messages, stop, **kwargs)
        try:
            response = self.client.v2.chat(**request)
        except (ApiError, TransportError) as error:
            raise _model_error(error, self.base_url) from error
        return _result(response)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = self.request(messages, stop, **kwargs)
        try:
            response = await self.async_client.v2.chat(**request)
        except (ApiError, TransportError) as error:
            raise _model_error(error, self.base_url) from error
        return _result(response)


def _result(response: Any) -> ChatResult:
    with warnings.catch_warnings():  # the SDK's models warn about pydantic's own deprecations in bulk
        warnings.simplefilter("ignore")
        message = response_message(response.model_dump(mode="json"))
    return ChatResult(generations=[ChatGeneration(message=message)])


def _model_error(error: ApiError | TransportError, base_url: str | None) -> ModelError:
    where = base_url or "Cohere"
    if isinstance(error, TransportError):
        return ModelError(
            f"{where} cannot be reached: {type(error).__name__}: {shorten(error, 200)}. "
            "Check the network and CO_API_URL, then run again."
        )
    body = error.body
    said = body.get("message", body) if isinstance(body, dict) else body
    status = error.status_code or 0
    step = _NEXT_STEP.get(status, "try again later" if status >= 500 else "check the request")
    return ModelError(f"{where} answered with status {error.status_code}: {shorten(said, 300)}. Next: {step}.")
