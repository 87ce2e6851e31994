"""The columns of a table: which names the rows, which stand once, and what they are called."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any

from agentkit.memory.condense.values import Kind, is_telling, kind_of, spell

CUT = "…"
"""The key, or the item, that counts what was cut."""


def headings(columns: Sequence[str]) -> str:
    """The names of columns, those of one parent together: ``id, price {net, gross}``."""
    parts = []
    for parent, group in groupby(columns, lambda c: c.rpartition(".")[0]):
        names = [c.rpartition(".")[2] if parent else c for c in group]
        parts.append(
            f"{parent} {{{', '.join(names)}}}"
            if parent and len(names) > 1
            else ", ".join(f"{parent}.{n}" if parent else n for n in names)
        )
    return ", ".join(parts)


def identifying(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str | None:
    """The column that names the rows: identifiers rather than names, few of them twice."""
    best: tuple[float, str | None] = (0.0, None)
    for column in columns:
        values = [row.get(column) for row in rows]
        if not all(isinstance(v, (str, int)) and kind_of(v) in (Kind.IDENTIFIER, Kind.CODE, Kind.NAME) for v in values):
            continue
        score = len(set(values)) / len(values) + (1 if all(is_telling(spell(v)) for v in values) else 0)
        if score > 0.5 and score > best[0]:
            best = (score, column)
    return best[1]


def shared_in_runs(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str | None:
    """The column whose values, standing in runs, are best written once for each run."""
    best: tuple[int, str | None] = (0, None)
    for column in columns if len(columns) > 1 else ():
        values = [row.get(column) for row in rows]
        if not all(isinstance(v, (str, int, float)) for v in values):
            continue
        written = [values[0], *(v for before, v in pairwise(values) if v != before)]
        if len(set(written)) == len(written):
            saved = sum(len(spell(v)) for v in values) - sum(len(spell(v)) + len(column) for v in written)
            if saved > max(4, best[0]):
                best = (saved, column)
    return best[1]


def same_everywhere(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> dict[str, Any]:
    """Columns of at least three rows that hold one and the same plain value."""
    if len(rows) < 3:
        return {}
    firsts = {c: rows[0].get(c) for c in columns}
    return {
        c: v for c, v in firsts.items() if isinstance(v, (str, int, float)) and all(row.get(c) == v for row in rows)
    }


def rows_of_mapping(mapping: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """``{a: {...}, b: {...}}`` as rows that begin with the mapping's own keys, if they are alike."""
    values = [v for k, v in mapping.items() if k != CUT]
    if len(values) < 2 or not all(isinstance(v, dict) and v for v in values):
        return None
    common = set(values[0]).intersection(*values[1:])
    if not common:
        return None
    own = next((c for c in values[0] if all(v.get(c) == k for k, v in mapping.items() if k != CUT)), "key")
    return [
        {own: str(key), **{k: v for k, v in value.items() if k != own}} for key, value in mapping.items() if key != CUT
    ]


def flat(row: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """The cells of a row, those of mappings in it under dotted names."""
    for key, value in row.items():
        if isinstance(value, dict) and value and depth < 3:
            yield from flat(value, f"{prefix}{key}.", depth + 1)
        else:
            yield f"{prefix}{key}", value


def is_part_of(value: Any, name: Any) -> bool:
    """Whether a name says a value: ``a.txt`` in ``/b/a.txt``; no mere number, which may stand there by chance."""
    part = spell(value)
    if len(part) < 3 or kind_of(value) in (Kind.NUMBER, Kind.TRIVIAL) or part.isdigit():
        return False
    return re.search(rf"(?<![^\W_]){re.escape(part)}(?![^\W_])", spell(name)) is not None
