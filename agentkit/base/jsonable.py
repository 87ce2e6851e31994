"""Turns any value into JSON that every database can hold, with the same bytes for the same value.

Text is cleaned (`agentkit.base.text.clean`), a set becomes a sorted list, a key that is no text becomes text, a number
that JSON lacks (nan, an integer of thousands of digits) becomes text, a value that contains itself is cut where it
recurs, and anything else becomes its ``repr`` without the memory address. Nothing is refused: a turn with an odd value
must still be stored.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from numbers import Integral, Real
from operator import is_ as _is
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from agentkit.base.text import clean, head_and_tail

_Model = TypeVar("_Model", bound=BaseModel)

MAX_DEPTH = 60
MAX_REPR_CHARS = 10_000
# Python refuses to print and to parse an integer of more than 4300 digits.
_MAX_INTEGER_BITS = 14_000
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
# Kept in this process only: see `Observation.value` and `Turn.data`.
_NOT_STORED = frozenset({"value", "data"})


def json_ready(value: Any, _inside: tuple[int, ...] = ()) -> Any:
    """Return `value` as JSON-ready data; `value` itself if it already is."""
    kind = type(value)
    if kind is str:
        return clean(value)
    if value is None or kind is bool:
        return value
    if kind is int:
        return value if value.bit_length() <= _MAX_INTEGER_BITS else hex(value)
    if kind is float:
        return value if math.isfinite(value) else repr(value)
    if id(value) in _inside:
        return _spelled(value)
    if len(_inside) >= MAX_DEPTH:
        # Not its repr, whose maximum depth depends on the version of Python.
        return f"[{kind.__name__} nested deeper than {MAX_DEPTH}]"
    inside = (*_inside, id(value))
    if kind is dict:
        ready = {_key(k): json_ready(v, inside) for k, v in value.items()}
        same = all(map(_is, ready, value)) and all(map(_is, ready.values(), value.values()))
        return value if same and len(ready) == len(value) else ready
    if kind is list:
        items = [json_ready(v, inside) for v in value]
        return value if all(map(_is, items, value)) else items
    try:
        return _uncommon(value, inside)
    except Exception:  # whatever the value's methods raise, the turn must be stored
        return _spelled(value)


def _uncommon(value: Any, inside: tuple[int, ...]) -> Any:
    if isinstance(value, Enum):
        return json_ready(value.value, inside)
    if isinstance(value, str):
        return clean(str.__str__(value))
    if isinstance(value, Integral):
        return json_ready(int(value))
    if isinstance(value, Real):
        return json_ready(float(value))
    if isinstance(value, Mapping):
        return {_key(k): json_ready(v, inside) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_ready(v, inside) for v in value]
    if isinstance(value, (set, frozenset)):
        return sorted((json_ready(v, inside) for v in value), key=lambda v: json.dumps(v, sort_keys=True))
    if isinstance(value, BaseModel):
        return {name: json_ready(field, inside) for name, field in value}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: json_ready(getattr(value, f.name), inside) for f in dataclasses.fields(value)}
    if isinstance(value, Iterator):  # reading it would consume it, and might never end
        return _spelled(value)
    return json_ready(to_jsonable_python(value), inside)  # dates, decimals, paths and the like


def storable(model: _Model) -> _Model:
    """Return `model` with cleaned texts and `json_ready` free-form values; `model` itself if nothing changes.

    Args:
        model: A turn, an object, or a part of one.
    """
    changed: dict[str, Any] = {}
    for name, value in model.__dict__.items():
        # A fast path, as this runs for every call of an agent: nearly every field is empty or a flag. Fields that are
        # not stored come first, because the truth value of a DataFrame raises.
        if name in _NOT_STORED or not value or value is True:
            continue
        ready = _field(value)
        if ready is not value:
            changed[name] = ready
    return model.model_copy(update=changed) if changed else model


def _field(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, int):
        return value
    if isinstance(value, dict):
        return json_ready(value)
    if isinstance(value, BaseModel):
        return storable(value)
    if isinstance(value, (tuple, list)):
        fields = tuple(_field(v) for v in value)
        return value if type(value) is tuple and all(map(_is, fields, value)) else fields
    if isinstance(value, float) and not math.isfinite(value):
        return 0.0
    return value


def _key(key: Any) -> str:
    if isinstance(key, str):
        return clean(key if type(key) is str else str.__str__(key))
    if isinstance(key, (set, frozenset, tuple)):
        return json.dumps(json_ready(key), ensure_ascii=False)
    return _spelled(key)


def _spelled(value: Any) -> str:
    try:
        return clean(head_and_tail(_ADDRESS.sub("", repr(value)), MAX_REPR_CHARS))
    except Exception:  # whatever __repr__ raises, the turn must be stored
        return f"<{type(value).__name__}>"
