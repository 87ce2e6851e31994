"""Reads a result as JSON: typed values unchanged, texts in a known format as a tree, anything else as text."""

from __future__ import annotations

import sys
from typing import Any

from agentkit.base.jsonable import json_ready
from agentkit.memory.formats.detect import read
from agentkit.turn import Step


def default_facts(step: Step) -> dict[str, Any]:
    """Return the facts of a step whose tool gives none: a mapping unchanged, anything else as ``result``.

    A mapping with ``result`` as its only key is wrapped too, to tell the two apart.
    """
    value = _typed(None if step.result is None else step.result.value)
    if value is None:
        text = step.observation.strip("\n").rstrip()
        value = text if text.strip() != "null" else None
        found = read(step.observation)
        value = value if found is None else found
    return value if isinstance(value, dict) and list(value) != ["result"] else {"result": value}


def _typed(value: Any) -> Any:
    """Return a table or an array as JSON, read from the value and not from its text; None for anything else."""
    pandas, numpy = sys.modules.get("pandas"), sys.modules.get("numpy")
    if pandas is not None and isinstance(value, pandas.DataFrame):
        table = value if isinstance(value.index, pandas.RangeIndex) else value.reset_index()
        return json_ready([{str(k): _scalar(v) for k, v in row.items()} for row in table.to_dict("records")])
    if pandas is not None and isinstance(value, pandas.Series):
        return json_ready({str(k): _scalar(v) for k, v in value.items()})
    if numpy is not None and isinstance(value, numpy.ndarray):
        return json_ready(value.tolist())
    return None


def _scalar(value: Any) -> Any:
    """Return the value of a cell without its array type; a missing value is None."""
    value = value.item() if hasattr(value, "item") and callable(value.item) else value
    return None if value != value else value
