"""Every setting of Cohere's v2 chat as a typed, checked value, and as the fields of a request."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Self

from langchain_core.documents import Document
from pydantic import BaseModel

from agentkit.base.text import shorten
from agentkit.errors import ConfigError

SafetyMode = Literal["CONTEXTUAL", "STRICT", "OFF"]
CitationMode = Literal["FAST", "ACCURATE", "OFF", "ENABLED", "DISABLED"]
ToolChoice = Literal["REQUIRED", "NONE"]
Thinking = Literal["enabled", "disabled"]

_WORDS: dict[str, tuple[str, ...]] = {
    "safety_mode": ("CONTEXTUAL", "STRICT", "OFF"),
    "citation_mode": ("FAST", "ACCURATE", "OFF", "ENABLED", "DISABLED"),
    "tool_choice": ("REQUIRED", "NONE"),
    "thinking": ("enabled", "disabled"),
}
_NUMBERS: dict[str, tuple[type, float, float]] = {
    "thinking_budget": (int, 1, math.inf),
    "temperature": (float, 0, math.inf),
    "max_tokens": (int, 1, math.inf),
    "seed": (int, 0, 2**64 - 1),
    "k": (int, 0, 500),
    "p": (float, 0.01, 0.99),
    "frequency_penalty": (float, 0, 1),
    "presence_penalty": (float, 0, 1),
    "priority": (int, 0, 999),
}
_SWITCHES = ("strict_tools", "logprobs")
_AS_THEY_ARE = (*_SWITCHES, *(n for n in _NUMBERS if n != "thinking_budget"), "safety_mode", "tool_choice")
_ONLY_BESIDE_TOOLS = ("strict_tools", "tool_choice")
MAX_STOP_SEQUENCES = 5


@dataclass(frozen=True, kw_only=True)
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
    """

    response_format: Literal["json_object"] | Mapping[str, Any] | type[BaseModel] | None = None
    strict_tools: bool | None = None
    safety_mode: SafetyMode | None = None
    citation_mode: CitationMode | None = None
    thinking: Thinking | Mapping[str, Any] | None = None
    thinking_budget: int | None = None
    documents: Sequence[Document | Mapping[str, Any] | str] | None = None
    tool_choice: ToolChoice | None = None
    seed: int | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    stop_sequences: Sequence[str] | None = None
    k: int | None = None
    p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logprobs: bool | None = None
    priority: int | None = None

    def __post_init__(self) -> None:
        """Check every setting.

        Raises:
            ConfigError: One that cannot be; the message names it, its value and what can be.
        """
        for name, words in _WORDS.items():
            self._check_word(name, words)
        for name, limits in _NUMBERS.items():
            self._check_number(name, *limits)
        for name in _SWITCHES:
            if getattr(self, name) not in (None, True, False):
                raise self._error(name, "give True or False")
        self._check_stops()
        if self.thinking_budget is not None and _thinking_is_off(self.thinking):
            raise self._error("thinking_budget", "it means nothing with thinking disabled; leave one of the two out")
        self._format  # noqa: B018 (built now, so that a wrong schema is found now)
        self._documents  # noqa: B018

    def merged(self, changes: Mapping[str, Any]) -> Self:
        """These settings with `changes`; one that is None changes nothing.

        Raises:
            ConfigError: As for the constructor.
        """
        given = {name: value for name, value in changes.items() if value is not None}
        return dataclasses.replace(self, **given) if given else self

    def fields(self, *, tools: bool) -> dict[str, Any]:
        """The fields of a request, in the wire's form.

        Args:
            tools: Whether the request offers tools.

        Raises:
            ConfigError: Settings that Cohere does not take together.
        """
        out = {name: value for name in _AS_THEY_ARE if (value := getattr(self, name)) is not None}
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
        """The document a citation names, as it was given.

        Raises:
            ConfigError: No document has that id.
        """
        for given, sent in zip(self.documents or (), self._documents, strict=True):
            if sent["id"] == source_id:
                return given
        ids = ", ".join(str(sent["id"]) for sent in self._documents) or "none"
        raise ConfigError(f"No document has the id {shorten(repr(source_id))}; the ids are: {shorten(ids, 200)}.")

    def document_texts(self) -> dict[str, str]:
        """The documents as text, by the id a citation names."""
        return {str(sent["id"]): " ".join(str(value) for value in sent["data"].values()) for sent in self._documents}

    @cached_property
    def _format(self) -> dict[str, Any] | None:
        wanted = self.response_format
        if wanted is None:
            return None
        if wanted == "json_object":
            return {"type": "json_object"}
        if isinstance(wanted, type) and issubclass(wanted, BaseModel):
            return {"type": "json_object", "schema": wanted.model_json_schema()}
        if not isinstance(wanted, Mapping):
            raise self._error("response_format", "give 'json_object', a pydantic model or a JSON schema")
        if wanted.get("type") in ("json_object", "text"):
            return dict(wanted)
        if wanted.get("type") != "object":
            raise self._error("response_format", "a schema has to be of an object: {'type': 'object', ...}")
        return {"type": "json_object", "schema": dict(wanted)}

    @cached_property
    def _documents(self) -> tuple[dict[str, Any], ...]:
        if self.documents is None:
            return ()
        if isinstance(self.documents, (str, Mapping)) or not isinstance(self.documents, Sequence):
            raise self._error("documents", "give a list of Documents, mappings or texts")
        sent = tuple(self._document(number, given) for number, given in enumerate(self.documents))
        ids = [document["id"] for document in sent]
        for one in ids:
            if ids.count(one) > 1:
                raise ConfigError(f"CohereOptions(documents=...): the id {shorten(repr(one))} is used twice; give ids.")
        return sent

    def _document(self, number: int, given: Document | Mapping[str, Any] | str) -> dict[str, Any]:
        own_id: Any = None
        if isinstance(given, Document):
            own_id, data = given.id, {**given.metadata, "text": given.page_content}
        elif isinstance(given, str):
            data = {"text": given}
        elif isinstance(given, Mapping) and isinstance(given.get("data"), Mapping):
            own_id, data = given.get("id"), dict(given["data"])
        elif isinstance(given, Mapping):
            own_id, data = given.get("id"), {name: value for name, value in given.items() if name != "id"}
        else:
            data = {}
        if not data or not any(data.values()):
            raise ConfigError(
                f"CohereOptions(documents=...): number {number} is {shorten(repr(given))}; "
                "give a Document, a mapping or a text that is not empty."
            )
        # Metadata may hold dates and paths, which a model reads as text.
        return {"id": str(own_id) if own_id else f"doc-{number}", "data": json.loads(json.dumps(data, default=str))}

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
                f"CONTEXTUAL (Cohere's reference of safety_mode): leave it out, or ask without {beside}."
            )

    def _check_word(self, name: str, words: tuple[str, ...]) -> None:
        value = getattr(self, name)
        if value is None:
            return
        if name == "thinking" and isinstance(value, Mapping) and value.get("type") in words:
            return
        same = [word for word in words if isinstance(value, str) and word.lower() == value.lower()]
        if not same:
            raise self._error(name, f"give {', '.join(words[:-1])} or {words[-1]}")
        object.__setattr__(self, name, same[0])

    def _check_number(self, name: str, kind: type, low: float, high: float) -> None:
        value = getattr(self, name)
        if value is None:
            return
        allowed = int if kind is int else (int, float)
        if isinstance(value, bool) or not isinstance(value, allowed) or not low <= value <= high:
            what = "a whole number" if kind is int else "a number"
            reach = f"from {low:g}" if high == math.inf else f"from {low:g} to {'2^64 - 1' if name == 'seed' else high}"
            raise self._error(name, f"give {what} {reach}")
        if value == math.inf:
            raise self._error(name, "give a finite number")

    def _check_stops(self) -> None:
        stops = self.stop_sequences
        if stops is None:
            return
        is_list = isinstance(stops, Sequence) and not isinstance(stops, str)
        if not is_list or not all(isinstance(stop, str) and stop for stop in stops):
            raise self._error("stop_sequences", "give a list of texts that are not empty")
        if len(stops) > MAX_STOP_SEQUENCES:
            raise self._error("stop_sequences", f"give at most {MAX_STOP_SEQUENCES}, not {len(stops)}")

    def _error(self, name: str, step: str) -> ConfigError:
        return ConfigError(f"CohereOptions({name}={shorten(repr(getattr(self, name)))}): {step}.")


OPTION_NAMES = frozenset(field.name for field in dataclasses.fields(CohereOptions))
"""The names of all settings."""


def _thinking_is_off(thinking: Any) -> bool:
    return (thinking.get("type") if isinstance(thinking, Mapping) else thinking) == "disabled"
