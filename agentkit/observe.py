"""From what a tool gave back, or raised, to an observation the model can read."""

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
    """`observe`, also where the result itself raises: the call did run, and must not look as if it had not."""
    try:
        return observe(name, raw, duration_s, tries)
    except Exception:
        return failure(prompts.not_representable(name, type(raw).__name__), "failed", duration_s, tries)


def observe(name: str, raw: Any, duration_s: float = 0.0, tries: int = 1) -> Observation:
    """What a tool returned, as text, status, artifacts and facts.

    Text stays as it is; everything else becomes JSON where it can, else its ``str``. A LangChain
    `ToolMessage` brings its own status, and an artifact that is an `Outcome` its own files and facts.
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
    """`value` as text for the model, None where it has no text that means anything."""
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
    ):  # keys that are no JSON keys, or a value that holds itself
        return _own_text(value)


class _NoTextError(Exception):
    """Something inside a result has no text that means anything."""


def _ordered(values: Iterable[Any]) -> list[Any]:
    """The members of a set in an order that is the same in every process."""
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
    """`str(value)`, unless that is only Python's placeholder with an address in it, or does not work."""
    kind: Any = type(value)
    if kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__:
        return None
    if isinstance(value, (GeneratorType, CoroutineType, FunctionType)):
        return None
    try:
        return _ADDRESS.sub("", str(value))  # an address is another one in every run
    except Exception:
        return None


def failure(text: str, kind: ErrorKind, duration_s: float = 0.0, tries: int = 1) -> Observation:
    """A call that did not do what it was asked to, as the model is told of it."""
    return Observation(content=clean(text), ok=False, error=kind, duration_s=duration_s, tries=tries)
