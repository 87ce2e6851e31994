"""Checks on an answer before it is accepted: if one fails, the model is told why and may correct it.

A check is a pure function from a reply to a `Complaint`, or None if the answer passes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from agentkit import prompts
from agentkit.base.text import shorten
from agentkit.errors import ConfigError, InputError
from agentkit.loop.protocol import Complaint, Reply

AnswerCheck = Callable[[Reply], Complaint | None]


def empty_reply(reply: Reply) -> Complaint | None:
    """Complain about a reply without text and calls."""
    return None if reply.text.strip() else Complaint("empty_reply", prompts.EMPTY_REPLY)


@dataclass(frozen=True, slots=True)
class CallAsText:
    """Complains if the model wrote a tool call as text instead of calling the tool."""

    tools: frozenset[str]

    def __call__(self, reply: Reply) -> Complaint | None:
        """Complain about an answer that consists of a call of one of the tools."""
        name = written_call(reply.text, self.tools)
        return None if name is None else Complaint("call_as_text", prompts.call_as_text(name))


def written_call(text: str, tools: Iterable[str]) -> str | None:
    """Return the tool that `text`, as a whole, calls in JSON; None if it is anything else."""
    whole = text.strip().removesuffix("```").strip()
    whole = whole.partition("\n")[2].strip() if whole.startswith("```") else whole
    if whole[:1] not in ("{", "[") or whole[-1:] not in ("}", "]"):
        return None
    from agentkit.tools.json_reader import read_json

    try:
        value = read_json(whole)
    except InputError:
        return None
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        return None
    inner = value.get("function")
    function: dict[str, Any] = inner if isinstance(inner, dict) else value
    name = function.get("name") or function.get("tool_name") or function.get("tool")
    has_arguments = any(key in function for key in ("arguments", "parameters", "args", "input"))
    return name if has_arguments and isinstance(name, str) and name in set(tools) else None


@dataclass(frozen=True, slots=True)
class StructuredOutput:
    """Requires an answer to be JSON that fits a pydantic model.

    Attributes:
        model: The pydantic model.
    """

    model: type[BaseModel]

    def __post_init__(self) -> None:
        """Check that `model` is a pydantic model."""
        if not (isinstance(self.model, type) and issubclass(self.model, BaseModel)):
            raise ConfigError(f"output is {shorten(repr(self.model))}: give a pydantic model class.")

    @property
    def schema(self) -> dict[str, Any]:
        """Return the model's JSON schema."""
        return self.model.model_json_schema()

    def read(self, text: str) -> BaseModel:
        """Return the answer as an instance of the model.

        Raises:
            InputError: The text is no JSON.
            ValidationError: The JSON does not fit.
        """
        from agentkit.tools.json_reader import read_json

        return self.model.model_validate_json(json.dumps(read_json(text)))

    def __call__(self, reply: Reply) -> Complaint | None:
        """Complain about an answer that does not fit, and name the problems and the schema."""
        try:
            self.read(reply.text)
        except InputError as error:
            problem = shorten(error, 300)
        except ValidationError as error:
            problem = "; ".join(
                f"{'.'.join(map(str, e['loc'])) or 'the value'}: {e['msg']}" for e in error.errors()[:5]
            )
        except Exception as error:  # a validator of the caller's may raise anything
            problem = f"{type(error).__name__}: {shorten(error, 300)}"
        else:
            return None
        schema = json.dumps(self.schema, ensure_ascii=False)
        return Complaint("invalid_output", prompts.invalid_output(problem, schema), wants_json=True)
