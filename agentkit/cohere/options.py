"""Every setting of Cohere's v2 chat as a typed, checked value, and as the fields of a request."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from langchain_core.documents import Document
from pydantic import BaseModel, BeforeValidator, Field, InstanceOf

from agentkit.base.settings import Give, settings
from agentkit.base.text import shorten
from agentkit.errors import ConfigError


def _upper(word: Any) -> Any:
    return word.upper() if isinstance(word, str) else word


def _lower(word: Any) -> Any:
    return word.lower() if isinstance(word, str) else word


SafetyMode = Annotated[Literal["CONTEXTUAL", "STRICT", "OFF"], BeforeValidator(_upper)]
CitationMode = Annotated[Literal["FAST", "ACCURATE", "OFF", "ENABLED", "DISABLED"], BeforeValidator(_upper)]
ToolChoice = Annotated[Literal["REQUIRED", "NONE"], BeforeValidator(_upper)]
Thinking = Annotated[Literal["enabled", "disabled"], BeforeValidator(_lower)]
Penalty = Annotated[float, Field(ge=0, le=1)]
Stops = Annotated[
    Sequence[Annotated[str, Field(min_length=1)]],
    Field(max_length=5),
    Give("a list of at most 5 texts that are not empty"),
]
ResponseFormat = Annotated[
    Literal["json_object"] | Mapping[str, Any] | type[BaseModel] | None,
    Give("'json_object', a pydantic model or a JSON schema"),
]
Documents = Annotated[
    Sequence[InstanceOf[Document] | Mapping[str, Any] | str], Give("a list of Documents, mappings or texts")
]

# Fields of a request that are sent under their own name and as they are.
_SENT_AS_THEY_ARE = (
    *("strict_tools", "logprobs", "temperature", "max_tokens", "seed", "k", "p"),
    *("frequency_penalty", "presence_penalty", "priority", "safety_mode", "tool_choice"),
)
_ONLY_BESIDE_TOOLS = ("strict_tools", "tool_choice")


@settings
class CohereOptions:
    """Settings of a chat request; None leaves a setting to Cohere. Limits are those of Cohere's API reference.

    Attributes:
        response_format: ``"json_object"``; or a pydantic model or JSON schema (of an object) the answer follows;
            or the wire's own mapping with ``type``. Not together with tools or documents. The messages have to
            ask for JSON.
        strict_tools: True makes each call follow its tool's schema. Sent only beside tools.
        safety_mode: ``CONTEXTUAL``, ``STRICT`` or ``OFF``. Beside tools and documents Cohere knows only
            ``CONTEXTUAL``.
        citation_mode: ``FAST``, ``ACCURATE`` or ``OFF``; newer models also ``ENABLED`` and ``DISABLED``. Which
            modes a model knows differs.
        thinking: ``enabled`` or ``disabled``, for models that reason; or the wire's own mapping with ``type``.
        thinking_budget: Tokens of thinking at most, from 1.
        documents: What the answer may rest on and cite: LangChain Documents, mappings or texts. Each gets an id,
            its own or ``doc-<n>``, which citations name: see `document`.
        tool_choice: ``REQUIRED`` makes the model call a tool, ``NONE`` keeps it from it. Sent only beside tools.
        seed: 0 to 2^64 - 1, for answers as much alike as the model can.
        temperature: From 0.
        max_tokens: Tokens written at most, from 1.
        stop_sequences: At most 5 texts that end the answer.
        k: Sample among the k likeliest tokens, 0 to 500; 0 for all.
        p: Sample among the likeliest tokens of this probability together, 0.01 to 0.99.
        frequency_penalty: 0 to 1.
        presence_penalty: 0 to 1.
        logprobs: True puts the tokens' log probabilities into ``response_metadata["logprobs"]``.
        priority: 0 (first) to 999.

    Raises:
        ConfigError: A setting Cohere does not have or take; the message names it, its value and what it takes.
    """

    response_format: ResponseFormat = None
    strict_tools: bool | None = None
    safety_mode: SafetyMode | None = None
    citation_mode: CitationMode | None = None
    thinking: Thinking | Mapping[str, Any] | None = None
    thinking_budget: Annotated[int, Field(ge=1)] | None = None
    documents: Documents | None = None
    tool_choice: ToolChoice | None = None
    seed: Annotated[int, Field(ge=0, lt=2**64), Give("a whole number from 0 to 2^64 - 1")] | None = None
    temperature: Annotated[float, Field(ge=0), Give("a finite number from 0")] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    stop_sequences: Stops | None = None
    k: Annotated[int, Field(ge=0, le=500)] | None = None
    p: Annotated[float, Field(ge=0.01, le=0.99)] | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    logprobs: bool | None = None
    priority: Annotated[int, Field(ge=0, le=999)] | None = None

    def __post_init__(self) -> None:
        """Check what one field's annotation cannot say.

        Raises:
            ConfigError: As for the class.
        """
        if isinstance(self.thinking, Mapping) and self.thinking.get("type") not in ("enabled", "disabled"):
            raise self._error("thinking", "give 'enabled' or 'disabled' as its type")
        if self.thinking_budget is not None and self._thinking()["type"] == "disabled":
            raise self._error("thinking_budget", "it means nothing with thinking disabled; omit one of the two")
        self._format  # noqa: B018 (built now, so that a wrong schema is found now)
        self._documents  # noqa: B018

    def merged(self, changes: Mapping[str, Any]) -> Self:
        """Return these settings with `changes`; one that is None changes nothing.

        Raises:
            ConfigError: As for the class.
        """
        given = {name: value for name, value in changes.items() if value is not None}
        return dataclasses.replace(self, **given) if given else self

    def fields(self, *, tools: bool) -> dict[str, Any]:
        """Return the fields of a request, in the wire's form.

        Args:
            tools: True if the request offers tools.

        Raises:
            ConfigError: Settings that Cohere does not take together.
        """
        out = {name: value for name in _SENT_AS_THEY_ARE if (value := getattr(self, name)) is not None}
        if not tools:
            out = {name: value for name, value in out.items() if name not in _ONLY_BESIDE_TOOLS}
        if self.stop_sequences:
            out["stop_sequences"] = list(self.stop_sequences)
        if self.citation_mode is not None:
            out["citation_options"] = {"mode": self.citation_mode}
        if self.thinking is not None or self.thinking_budget is not None:
            out["thinking"] = self._thinking()
        if self._format is not None:
            out["response_format"] = self._format
        if self._documents:
            out["documents"] = [dict(document) for document in self._documents]
        self._check_together(beside="tools" if tools else "documents" if self._documents else None)
        return out

    def document(self, source_id: str) -> Document | Mapping[str, Any] | str:
        """Return the document a citation names, as it was given.

        Raises:
            ConfigError: No document has that id.
        """
        for given, sent in zip(self.documents or (), self._documents, strict=True):
            if sent["id"] == source_id:
                return given
        ids = ", ".join(str(sent["id"]) for sent in self._documents) or "none"
        raise ConfigError(f"No document has the id {shorten(repr(source_id))}; the ids are: {shorten(ids, 200)}.")

    def document_texts(self) -> dict[str, str]:
        """Return the documents as text, by the id a citation names."""
        return {str(sent["id"]): " ".join(str(value) for value in sent["data"].values()) for sent in self._documents}

    @cached_property
    def _format(self) -> dict[str, Any] | None:
        wanted = self.response_format
        if wanted is None:
            return None
        if isinstance(wanted, str):
            return {"type": wanted}
        if isinstance(wanted, type):
            return {"type": "json_object", "schema": wanted.model_json_schema()}
        if wanted.get("type") in ("json_object", "text"):
            return dict(wanted)
        if wanted.get("type") != "object":
            raise self._error("response_format", "give a schema of an object, {'type': 'object', ...}")
        return {"type": "json_object", "schema": dict(wanted)}

    @cached_property
    def _documents(self) -> tuple[dict[str, Any], ...]:
        sent = tuple(_document(number, given) for number, given in enumerate(self.documents or ()))
        ids = [document["id"] for document in sent]
        for one in ids:
            if ids.count(one) > 1:
                raise self._error("documents", f"the id {shorten(repr(one))} is used twice; give each its own")
        return sent

    def _thinking(self) -> dict[str, Any]:
        given = self.thinking
        out: dict[str, Any] = dict(given) if isinstance(given, Mapping) else {"type": given or "enabled"}
        if self.thinking_budget is not None:
            out["token_budget"] = self.thinking_budget
        return out

    def _check_together(self, *, beside: str | None) -> None:
        if beside is None:
            return
        if self._format is not None and self._format["type"] == "json_object":
            raise ConfigError(
                f"response_format is not supported together with {beside} (Cohere's reference of response_format): "
                f"ask for JSON in a request without {beside}, or use strict_tools for the form of calls."
            )
        if self.safety_mode in ("STRICT", "OFF"):
            raise ConfigError(
                f"safety_mode={self.safety_mode!r} has no effect together with {beside}, where Cohere always uses "
                f"CONTEXTUAL (Cohere's reference of safety_mode): omit it, or ask without {beside}."
            )

    def _error(self, name: str, step: str) -> ConfigError:
        return ConfigError(f"CohereOptions.{name} is {shorten(repr(getattr(self, name)))}: {step}.")


OPTION_NAMES = frozenset(field.name for field in dataclasses.fields(CohereOptions))
"""The names of all settings."""


def _document(number: int, given: Document | Mapping[str, Any] | str) -> dict[str, Any]:
    own_id: Any = None
    if isinstance(given, Document):
        own_id, data = given.id, {**given.metadata, "text": given.page_content}
    elif isinstance(given, str):
        data = {"text": given}
    elif isinstance(given.get("data"), Mapping):
        own_id, data = given.get("id"), dict(given["data"])
    else:
        own_id, data = given.get("id"), {name: value for name, value in given.items() if name != "id"}
    if not any(data.values()):
        raise ConfigError(
            f"CohereOptions.documents[{number}] is {shorten(repr(given))}: "
            "give a Document, a mapping or a text that is not empty."
        )
    # Metadata may hold dates and paths, which a model reads as text.
    return {"id": str(own_id) if own_id else f"doc-{number}", "data": json.loads(json.dumps(data, default=str))}
