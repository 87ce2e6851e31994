"""Turns, steps and objects as the JSON a database holds, and back; damaged JSON is named."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from agentkit.base.jsonable import storable
from agentkit.base.text import shorten
from agentkit.errors import StoreError
from agentkit.memory.objects import MemoryObject
from agentkit.turn import Observation, Step, Turn

_T = TypeVar("_T")

UNKNOWN = "(no result: the run was interrupted while this was running; outcome unknown)"


def to_json(model: Turn | Step | MemoryObject, **options: Any) -> str:
    """A model as JSON that any database holds, whatever is in it: see `jsonable`."""
    return storable(model).model_dump_json(**options)


def turn_json(turn: Turn) -> str:
    """A turn without its steps, which have rows of their own."""
    return to_json(turn, exclude={"steps"})


def call_json(step: Step) -> str:
    """A step before it ran."""
    return to_json(step, exclude={"observation", "ok", "result"})


def result_json(step: Step) -> str:
    """What came of a step."""
    return to_json(step, include={"observation", "ok", "result"})


def step_of(session: str, number: int, call: str, result: str | None) -> Step:
    """A step from its two halves; one without a result was interrupted.

    Raises:
        StoreError: It cannot be read.
    """
    if result is None:
        lost = Observation(content=UNKNOWN, ok=False, error="interrupted")
        step = read(Step.model_validate_json, call, session, number)
        return step.model_copy(update={"observation": UNKNOWN, "ok": False, "result": lost})
    return read(lambda text: Step.model_validate(json.loads(text) | json.loads(result)), call, session, number)


def turn_of(session: str, number: int, payload: str, chain: Sequence[Step]) -> Turn:
    """A turn with its steps.

    Raises:
        StoreError: It cannot be read.
    """
    turn = read(Turn.model_validate_json, payload, session, number)
    return turn.model_copy(update={"steps": tuple(chain)})


def read(reader: Callable[[str], _T], text: str, session: str, number: int) -> _T:
    """What a reader makes of stored JSON.

    Raises:
        StoreError: It cannot be read.
    """
    try:
        return reader(text)
    except (ValidationError, ValueError, TypeError, RecursionError) as error:
        raise StoreError(
            f"Turn {number} of session {shorten(session)!r} is stored as something agentkit cannot read "
            f"({shorten(text, 40)!r}): it is damaged, or a newer agentkit wrote it. Other sessions can still be read."
        ) from error
