"""Redaction: the user's function changes every text of a turn before any of it is stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agentkit.approval import REDACTED_FACT, pending_of
from agentkit.base.text import shorten
from agentkit.errors import ConfigError
from agentkit.memory.objects import MemoryObject
from agentkit.turn import Artifact, Citation, Observation, Step, Turn

Redact = Callable[[str], str]

_TEXT_TYPES = ("text/", "application/json", "application/xml", "image/svg")


def redact_text(text: str, redact: Redact | None) -> str:
    """Return `text` redacted.

    Raises:
        ConfigError: The function raised, or returned no text; nothing is stored then.
    """
    if redact is None or not text:
        return text
    try:
        changed = redact(text)
    except Exception as error:
        raise ConfigError(
            f"redact= raised {type(error).__name__} ({shorten(error)}), so nothing was stored: it must take any text."
        ) from error
    if not isinstance(changed, str):
        raise ConfigError(
            f"redact= returned a {type(changed).__name__}, so nothing was stored: it must return the text to store."
        )
    return changed


def redact_turn(turn: Turn, redact: Redact | None) -> Turn:
    """Return `turn` redacted."""
    if redact is None:
        return turn
    output = redact_text(turn.output, redact)
    steps = tuple(redact_step(step, redact) for step in turn.steps)
    changes = {
        "input": redact_text(turn.input, redact),
        "steps": steps,
        "output": output,
        "citations": tuple(
            moved for c in turn.citations if (moved := _citation(c, turn.output, output, redact)) is not None
        ),
        "thinking": redact_text(turn.thinking, redact),
        "citation_flags": tuple(redact_text(flag, redact) for flag in turn.citation_flags),
    }
    if turn.pending:
        changes["pending"] = pending_of(steps)
    return turn.model_copy(update=changes)


def redact_step(step: Step, redact: Redact | None) -> Step:
    """Return `step` redacted."""
    if redact is None:
        return step
    changes = {
        "tool": redact_text(step.tool, redact),
        "tool_input": _json(step.tool_input, redact),
        "observation": redact_text(step.observation, redact),
        "plan": redact_text(step.plan, redact),
        "thinking": redact_text(step.thinking, redact),
        "result": None if step.result is None else _observation(step.result, redact),
    }
    if step.waits and (changes["tool"], changes["tool_input"]) != (step.tool, step.tool_input):
        # Marked, so that it cannot be approved: what runs must be what the model asked for.
        changes["result"] = changes["result"].model_copy(update={"facts": {REDACTED_FACT: True}})
    return step.model_copy(update=changes)


def redact_facts(facts: dict[str, Any], redact: Redact | None) -> dict[str, Any]:
    """Return the facts of a step redacted: a tool may have made them from more than the redacted text."""
    return facts if redact is None else _mapping(facts, redact)


def redact_object(remembered: MemoryObject, redact: Redact | None) -> MemoryObject:
    """Return an imported memory object redacted."""
    if redact is None:
        return remembered
    kept = ("session", "stop_reason", "version")
    plain = remembered.model_dump(mode="python")
    changed = {k: v if k in kept else _values(v, redact) for k, v in plain.items()}
    changed["variables"] = _json(plain["variables"], redact)
    return type(remembered).model_validate(changed)


def _values(value: Any, redact: Redact) -> Any:
    """Redact the texts of a dumped object; its field names and its numbers stay."""
    if isinstance(value, dict):
        return {k: _json(v, redact) if k in ("input", "facts") else _values(v, redact) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_values(v, redact) for v in value]
    return redact_text(value, redact) if isinstance(value, str) else value


def _observation(result: Observation, redact: Redact) -> Observation:
    changes = {
        "content": redact_text(result.content, redact),
        "artifacts": tuple(_artifact(artifact, redact) for artifact in result.artifacts),
        "facts": None if result.facts is None else _json(result.facts, redact),
    }
    return result.model_copy(update=changes)


def _artifact(artifact: Artifact, redact: Redact) -> Artifact:
    """Redact its name, and its bytes if they are text; a picture is kept unchanged."""
    data = artifact.data
    if artifact.media_type.startswith(_TEXT_TYPES):
        data = redact_text(data.decode("utf-8", "surrogateescape"), redact).encode("utf-8", "surrogateescape")
    return artifact.model_copy(update={"name": redact_text(artifact.name, redact), "data": data})


def _json(value: Any, redact: Redact) -> Any:
    """Redact every text in a tree, keys too; a number is redacted as text, and becomes text only if that changed."""
    if isinstance(value, str):
        return redact_text(value, redact)
    if isinstance(value, dict):
        return _mapping(value, redact)
    if isinstance(value, (list, tuple)):
        return [_json(v, redact) for v in value]
    if value is None or isinstance(value, bool):
        return value
    text = str(value) if isinstance(value, (int, float)) else repr(value)  # anything else is stored as its repr
    changed = redact_text(text, redact)
    return value if changed == text else changed


def _mapping(mapping: dict[Any, Any], redact: Redact) -> dict[Any, Any]:
    """Redact keys and values; keys that become equal get a number, so that no value is lost."""
    changed: dict[Any, Any] = {}
    for key, value in mapping.items():
        new, number = _json(key, redact), 2
        found = new
        while found in changed:
            found, number = f"{new} ({number})", number + 1
        changed[found] = _json(value, redact)
    return changed


def _citation(citation: Citation, before: str, after: str, redact: Redact) -> Citation | None:
    """Return a citation moved to its position in the redacted answer; None if the position is unknown."""
    if before == after:
        return citation.model_copy(update={"text": redact_text(citation.text, redact)})
    start = len(redact_text(before[: citation.start], redact))
    cited = redact_text(before[citation.start : citation.end], redact)
    if after[start : start + len(cited)] != cited:
        return None
    text = redact_text(citation.text, redact)
    return citation.model_copy(update={"start": start, "end": start + len(cited), "text": text})
