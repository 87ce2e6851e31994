"""Turns, steps and objects to stored JSON and back; damaged JSON raises StoreError."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TypeVar

from pydantic import ValidationError

from agentkit.base.jsonable import storable
from agentkit.base.text import shorten
from agentkit.errors import StoreError
from agentkit.memory.objects import MemoryObject
from agentkit.turn import Observation, Step, Turn

_T = TypeVar("_T")

UNKNOWN = "(no result: the run was interrupted while this was running; outcome unknown)"


def to_json(
    model: Turn | Step | MemoryObject, *, include: set[str] | None = None, exclude: set[str] | None = None
) -> str:
    """Return a model as JSON that any database can hold, whatever values it contains (see `storable`)."""
    return storable(model).model_dump_json(include=include, exclude=exclude)


def turn_json(turn: Turn) -> str:
    """Return a turn without its steps, which have rows of their own."""
    return to_json(turn, exclude={"steps"})


def call_json(step: Step) -> str:
    """Return a step without its result."""
    return to_json(step, exclude={"observation", "ok", "result"})


def result_json(step: Step) -> str:
    """Return the result of a step."""
    return to_json(step, include={"observation", "ok", "result"})


def step_of(session: str, number: int, call: str, result: str | None) -> Step:
    """Return a step from the JSON of its call and of its result; without a result it was interrupted.

    Raises:
        StoreError: The JSON is damaged.
    """
    if result is None:
        lost = Observation(content=UNKNOWN, ok=False, error="interrupted")
        step = read(Step.model_validate_json, call, session, number)
        return step.model_copy(update={"observation": UNKNOWN, "ok": False, "result": lost})
    return read(lambda text: Step.model_validate(json.loads(text) | json.loads(result)), call, session, number)


def turn_of(session: str, number: int, payload: str, chain: Sequence[Step]) -> Turn:
    """Return a turn from its JSON and its steps.

    Raises:
        StoreError: The JSON is damaged.
    """
    turn = read(Turn.model_validate_json, payload, session, number)
    return turn.model_copy(update={"steps": tuple(chain)})


def read(reader: Callable[[str], _T], text: str, session: str, number: int) -> _T:
    """Return `reader(text)`.

    Raises:
        StoreError: The JSON is damaged.
    """
    try:
        return reader(text)
    except (ValidationError, ValueError, TypeError, RecursionError) as error:
        raise StoreError(
            f"Turn {number} of session {shorten(session)!r} is stored as something agentkit cannot read "
            f"({shorten(text, 40)!r}): it is damaged, or a newer agentkit wrote it. Other sessions can still be read."
        ) from error
