"""How much of a result is written, from all of it to a few identifiers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agentkit.memory.condense.values import Kind, kind_of

LONG_TEXT = 400
"""Characters of a text that is a result of its own, and is written as long as any prose is."""


@dataclass(frozen=True, slots=True)
class Detail:
    """How much of a result is written.

    Attributes:
        kind: Values up to this kind are; those of keys that tools take as arguments always are.
        prose: Characters of a text of many words.
        rows: Rows of a table.
        items: Items of a list.
        stamps: Whether times of day are, which are seldom what a call is given.
    """

    kind: Kind
    prose: int
    rows: int
    items: int
    stamps: bool = False

    def wants(self, value: Any) -> bool:
        """Whether a value is of a kind that is written."""
        kind = kind_of(value)
        if kind is Kind.STAMP and not self.stamps:
            return False
        long = kind is Kind.PROSE and self.prose >= 200 and len(str(value)) > LONG_TEXT
        return kind <= self.kind or long


DETAILS = (
    Detail(Kind.TRIVIAL, 400, 30, 30, stamps=True),
    Detail(Kind.PROSE, 300, 20, 20),
    Detail(Kind.PROSE, 260, 16, 12),
    Detail(Kind.PROSE, 260, 12, 12),
    Detail(Kind.NAME, 260, 12, 12),
    Detail(Kind.CODE, 260, 10, 12),
    Detail(Kind.NUMBER, 260, 10, 12),
    Detail(Kind.DATE, 260, 8, 10),
    Detail(Kind.DATE, 80, 6, 8),
    Detail(Kind.IDENTIFIER, 60, 6, 8),
    Detail(Kind.IDENTIFIER, 40, 3, 5),
    Detail(Kind.IDENTIFIER, 0, 1, 2),
)
EVERYTHING = Detail(Kind.TRIVIAL, 1000, 100, 100, stamps=True)
USUAL_DETAILS = 8
"""How many of the details are tried where nothing but the result's own size limits it."""
