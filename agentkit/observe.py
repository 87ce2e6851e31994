"""Turns a tool's return value, or its exception, into an observation the model can read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from types import CoroutineType, FunctionType, GeneratorType
from typing import Any

from langchain_core.messages import ToolMessage
from pydantic import BaseModel

from agentkit import prompts
from agentkit.base.jsonable import json_ready
from agentkit.base.text import clean
from agentkit.policy import Outcome
from agentkit.turn import Artifact, ErrorKind, Observation

_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")


def observed(name: str, raw: Any, duration_s: float, tries: int) -> Observation:
    """Do as `observe` does, even if reading the result raises: the call did run, and the model must know that."""
    try:
        return observe(name, raw, duration_s, tries)
    except Exception:
        return failure(prompts.not_representable(name, type(raw).__name__), "failed", duration_s, tries)


def observe(name: str, raw: Any, duration_s: float = 0.0, tries: int = 1) -> Observation:
    """Return the observation of a tool's return value: text, status, artifacts and facts.

    Text is unchanged; any other value becomes JSON if possible, else its ``str``. The status comes from a LangChain
    `ToolMessage`, files and facts from an artifact that is an `Outcome`.
    """
    ok, value = True, raw
    artifacts: tuple[Artifact, ...] = ()
    facts: dict[str, Any] | None = None
    error: ErrorKind | None = None
    if isinstance(raw, ToolMessage):
        ok = raw.status != "error"
        value = raw.content if raw.artifact is None else raw.artifact
        if isinstance(raw.artifact, Outcome):
            ok = ok and bool(raw.artifact.ok)
            artifacts = tuple(map(_storable, (a for a in raw.artifact.artifacts or () if isinstance(a, Artifact))))
            facts = json_ready(dict(raw.artifact.facts or {}))
        raw = raw.content
    text = _as_text(raw)
    if text is None:
        ok, text = False, prompts.not_representable(name, type(raw).__name__)
    if not ok:
        error = "failed"
    return Observation(
        content=clean(text) or prompts.EMPTY_RESULT,
        ok=ok,
        error=error,
        artifacts=artifacts,
        duration_s=duration_s,
        tries=tries,
        facts=facts,
        value=value,
    )


def _as_text(value: Any) -> str | None:
    """Return `value` as text for the model; None if no text would say anything about it."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, list) and value and all(isinstance(v, dict) and v.get("type") == "text" for v in value):
        return "\n".join(str(v.get("text", "")) for v in value)  # LangChain content blocks
    if isinstance(value, BaseModel):
        return value.model_dump_json()
    if isinstance(value, (set, frozenset)):
        value = _ordered(value)
    if not isinstance(value, (dict, list, tuple, bool, int, float)):
        return _own_text(value)
    try:
        return json.dumps(value, ensure_ascii=False, default=_json_default)
    except _NoTextError:
        return None
    except (
        TypeError,
        ValueError,
        RecursionError,
    ):  # keys that JSON does not allow, or a value that contains itself
        return _own_text(value)


class _NoTextError(Exception):
    """No text would say anything about a value inside the result."""


def _ordered(values: Iterable[Any]) -> list[Any]:
    """Return the members of a set in an order that is the same in every process."""
    return sorted(values, key=lambda value: (type(value).__name__, repr(value)))


def _storable(artifact: Artifact) -> Artifact:
    name = clean(artifact.name)
    return artifact if name is artifact.name else artifact.model_copy(update={"name": name})


def _json_default(value: Any) -> Any:
    if isinstance(value, (set, frozenset)):
        return _ordered(value)
    text = _own_text(value)
    if text is None:
        raise _NoTextError
    return text


def _own_text(value: Any) -> str | None:
    """Return `str(value)`; None if it raises or is Python's default with a memory address."""
    kind: Any = type(value)
    if kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__:
        return None
    if isinstance(value, (GeneratorType, CoroutineType, FunctionType)):
        return None
    try:
        return _ADDRESS.sub("", str(value))  # the address differs in every run
    except Exception:
        return None


def failure(text: str, kind: ErrorKind, duration_s: float = 0.0, tries: int = 1) -> Observation:
    """Return the observation of a failed call."""
    return Observation(content=clean(text), ok=False, error=kind, duration_s=duration_s, tries=tries)
