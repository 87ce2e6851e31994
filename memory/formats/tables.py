"""Reads tables in text: separated by commas, tabs, semicolons or bars, in markdown, or aligned by spaces."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

MIN_LINES = 3
MAX_LINES = 5000
_GAP = re.compile(r"\s{2,}|\t")


def read_table(text: str) -> list[dict[str, str]] | None:
    """Return the rows of a table with a heading; None if the text is something else."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    if not MIN_LINES <= len(lines) <= MAX_LINES:
        return None
    for separator in ("|", "\t", ";", ","):
        if separator in lines[0] and separator in lines[1]:
            rows = _separated([line for line in lines if not _is_rule(line)], separator)
            if rows is not None:
                return rows
    return _columns([line for line in lines if not _is_rule(line)])


def _is_rule(line: str) -> bool:
    return "-" in line and not line.strip("|:+=- \t")


def _looks(cell: str) -> tuple[bool, bool, bool]:
    """Return three flags: the cell has letters, digits, other characters."""
    return any(map(str.isalpha, cell)), any(map(str.isdigit, cell)), not cell.isalnum()


def _separated(lines: Sequence[str], separator: str) -> list[dict[str, str]] | None:
    if separator == "|":
        lines = [line.strip().removeprefix("|").removesuffix("|") for line in lines]
    try:
        cells = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=separator)]
    except csv.Error:
        return None
    return _records(cells[0], cells[1:]) if cells else None


def _columns(lines: Sequence[str]) -> list[dict[str, str]] | None:
    """Return the rows of a table aligned by spaces, such as a printed DataFrame, which may not name its index."""
    for split in (_GAP.split, str.split):
        cells = [split(line.strip()) for line in lines]
        head, body = cells[0], cells[1:]
        if body and len(body[0]) == len(head) + 1 and (lines[0][:1].isspace() or body[0][0] == "0"):
            head = ["index", *head]
        tail = body[-1] if body else []
        if len(tail) > 1 and tail[0].startswith("[") and tail[-1].endswith("]"):
            body = body[:-1]  # "[100 rows x 4 columns]"
        body = [row for row in body if set(row) not in ({"..."}, {"..", "..."})]
        # Prose split at single spaces looks like columns of words, so every row must have a number.
        if all(any(map(str.isdigit, "".join(row))) for row in body):
            records = _records(head, body)
            if records is not None:
                return records
    return None


def _records(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[dict[str, str]] | None:
    fits = len(head) >= 2 and len(body) >= MIN_LINES - 1 and all(len(row) == len(head) for row in body)
    if not fits or len(set(head)) < len(head) or not all(head) or any(len(name) > 40 for name in head):
        return None
    if any(name.replace(".", "").isdigit() or not set('{}":=').isdisjoint(name) for name in head):
        return None
    if any(_looks(name) == _looks(row[i]) for i, name in enumerate(head) if _looks(name)[1] for row in body[:1]):
        return None  # the first row looks like the others, so there is no heading
    return [dict(zip(head, row, strict=True)) for row in body]
