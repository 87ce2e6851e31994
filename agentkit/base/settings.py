"""`settings`: a frozen class whose fields are checked, and the one place that turns pydantic's errors into ours.

A field's constraints are its annotation, ``Annotated[int, Field(ge=1)] | None``; the error text is made from them, so
that the check and its message cannot differ. A rule that no annotation can express is checked in ``__post_init__``,
which raises `ConfigError` itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from functools import wraps
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, dataclass_transform, get_args, get_origin, get_type_hints

import annotated_types
from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from agentkit.base.text import shorten
from agentkit.errors import ConfigError

T = TypeVar("T")

_CONFIG = ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True)
_KINDS: dict[Any, str] = {bool: "True or False", int: "a whole number", float: "a number", str: "a text"}


class Give(str):
    """Part of a field's ``Annotated``: names the allowed values if the annotation alone is unclear."""


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(Field,))
def settings(cls: type[T]) -> type[T]:
    """Make `cls` a frozen, keyword-only pydantic dataclass that raises `ConfigError` for a bad value.

    Values are not converted: ``"30"`` is no number and True is no whole number. Infinity and NaN are refused unless the
    annotation says otherwise (``Field(allow_inf_nan=True)``).

    Raises:
        ConfigError: When the class is called with an unknown name, a missing value, or one that does not fit.
    """
    made: type[Any] = dataclass(frozen=True, kw_only=True, config={**_CONFIG, "allow_inf_nan": False})(cls)
    check = made.__init__

    @wraps(check)
    def __init__(self: Any, /, *args: Any, **values: Any) -> None:
        if args:
            raise ConfigError(f"{made.__name__} takes its values by name: give {fields(made)[0].name}=... .")
        try:
            check(self, **values)
        except ValidationError as error:
            raise _config_error(made, values, error) from error

    made.__init__ = __init__
    return made


def _config_error(cls: type[Any], values: Mapping[str, Any], error: ValidationError) -> ConfigError:
    """Return an error for the first wrong field: its name, its value, what is allowed."""
    first = error.errors(include_url=False)[0]
    own = first.get("ctx", {}).get("error")
    if isinstance(own, ConfigError):  # raised in __post_init__: pydantic wraps it, as it is a ValueError
        return own
    name = str(first["loc"][0])
    known = [field.name for field in fields(cls)]
    # An object with a name, such as a pattern: the error includes it.
    own_error: Callable[[Mapping[str, Any], str, str], ConfigError] | None = getattr(cls, "setting_error", None)
    if own_error is not None:
        return own_error(values, name, expected(_hints(cls)[name]) if name in known else "")
    if name not in known:
        near = get_close_matches(name, known, n=1)
        step = f"did you mean {near[0]!r}?" if near else f"its fields are {', '.join(known)}."
        return ConfigError(f"{cls.__name__} has no field {name!r}: {step}")
    allowed = expected(_hints(cls)[name])
    if name not in values:
        return ConfigError(f"{cls.__name__}.{name} is missing: give {allowed}.")
    return ConfigError(f"{cls.__name__}.{name} is {shorten(repr(values[name]))}: give {allowed}.")


def _hints(cls: type[Any]) -> dict[str, Any]:
    return get_type_hints(cls, include_extras=True)


def expected(annotation: Any) -> str:
    """Return in words what an annotation allows, such as ``a whole number from 1, or None for no limit``."""
    metadata: list[Any] = []
    while hasattr(annotation, "__metadata__"):
        metadata += annotation.__metadata__
        annotation = annotation.__origin__
    for note in metadata:
        if isinstance(note, Give):
            return str(note)
    if get_origin(annotation) in (Union, UnionType):
        parts = [expected(part) for part in get_args(annotation) if part is not NoneType]
        if NoneType in get_args(annotation):
            parts.append("None")
        return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])}, or {parts[-1]}"
    return (_kind(annotation) + _range(metadata)).strip()


def _kind(annotation: Any) -> str:
    origin = get_origin(annotation) or annotation
    if origin is Literal:
        words = [repr(word) for word in get_args(annotation)]
        return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
    if origin in _KINDS:
        return _KINDS[origin]
    if origin is Callable or getattr(origin, "__name__", "") == "Callable":
        return "a function"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "a mapping"
    if isinstance(origin, type) and issubclass(origin, Sequence):
        inner = {str: "texts", int: "whole numbers", float: "numbers"}.get((*get_args(annotation), None)[0])
        return f"a list of {inner}" if inner else "a list"
    return f"a {getattr(origin, '__name__', origin)}"


def _range(metadata: Sequence[Any]) -> str:
    """Return the bounds: `` from 0 to 1``, `` above 0``."""
    bounds = [bound for note in metadata for bound in getattr(note, "metadata", None) or [note]]
    said = ""
    for kind, word in (("Ge", "from"), ("Gt", "above"), ("Le", "to"), ("Lt", "below")):
        for bound in bounds:
            if isinstance(bound, getattr(annotated_types, kind)):
                said += f" {word} {getattr(bound, kind.lower())}"
    return said
