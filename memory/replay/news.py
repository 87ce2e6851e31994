"""What of a result is new: said neither by the call itself nor by what stands before it in the replay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentkit.memory.condense.values import Kind, is_telling, keyed, kind_of, spell
from agentkit.memory.replay.already_said import Known

STATE = ("files", "variables")
"""What there is after a call, whatever the call says of it."""


@dataclass(frozen=True, slots=True)
class Call:
    """What a call says itself.

    Attributes:
        given: The keys and values of its arguments.
        names: The identifiers among the values: what it is about.
        text: All arguments.
    """

    given: frozenset[tuple[str, str]] = frozenset()
    names: tuple[str, ...] = ()
    text: str = ""

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Call:
        """The call with these arguments."""
        given = frozenset((key, spell(value)) for key, value in keyed(arguments))
        names = tuple(sorted({text for _, text in given if kind_of(text) is Kind.IDENTIFIER}))
        return cls(given, names, str(arguments))


class News:
    """Judges the values of one call's result in the light of what the replay says, which is left as it is."""

    def __init__(self, known: Known, tool: str, call: Call, *, loose: bool) -> None:
        """Judge in the light of `known`.

        Args:
            known: What the replay says.
            tool: The tool.
            call: The call.
            loose: Whether a value that the replay shows of other things need not be written either.
        """
        self._known = known
        self._tool = tool
        self._call = call
        self._loose = loose
        self._said = known.said_of(call.names)

    def at(self, place: str) -> str:
        """A place in the tool's results, among those of all tools."""
        return f"{self._tool} {place}"

    def is_missed(self, place: str, key: str, value: Any) -> bool:
        """Whether a value that is left out says something that nothing else does."""
        if value is None or value in ("", [], {}):
            return False
        return not self.is_said(place, key, value) and not self.says_only_that_it_worked(key, value)

    def is_known(self, place: str, key: str, value: Any) -> bool:
        """Whether a value need not be written."""
        if self.is_said(place, key, value):
            return True
        loose = self._loose and place.partition(".")[0] not in STATE
        return loose and self._known.has(self.at(place), last_part(key), value)

    def is_said(self, place: str, key: str, value: Any) -> bool:
        """Whether the replay says it of this very thing: in the call itself, or by an earlier one that named it."""
        pair = last_part(key), spell(value)
        if place.partition(".")[0] in STATE:
            return self._known.is_latest(self.at(place), *pair)
        if pair in self._said or self._echoes(*pair):
            return True
        return not self._call.names and self._known.is_unchanged(*pair, self._tool, self._call.text)

    def _echoes(self, key: str, text: str) -> bool:
        """Whether the call itself says it: the same value under the same key, or a name that cannot be another's."""
        given = self._call.given
        if (key, text) in given:
            return True
        same = [name for name, value in given if value == text]
        if any(name.endswith(f"_{key}") or key.endswith(f"_{name}") for name in same) and is_telling(text):
            return True
        return bool(same) and len(given) == 1 and len(text) > 2 and not any(map(str.isdigit, text[:1]))

    def is_row_known(self, row: Mapping[str, Any], named_by: str | None, place: str, column: str) -> bool:
        """Whether a cell need not be written."""
        return self.is_known(place, column, row[column]) or self.is_row_said(row, named_by, place, column)

    def is_row_said(self, row: Mapping[str, Any], named_by: str | None, place: str, column: str) -> bool:
        """Whether the call says a cell, or the replay says it of the thing that its row names."""
        if self.is_said(place, column, row[column]):
            return True
        named = spell(row.get(named_by)) if named_by is not None else ""
        return is_telling(named) and (last_part(column), spell(row[column])) in self._known.said_of([named])

    def is_row_answered(self, row: Mapping[str, Any], named_by: str | None) -> bool:
        """Whether the turn's own answer names what the row is about."""
        named = spell(row.get(named_by)) if named_by is not None else ""
        return is_telling(named) and self._known.answers(named)

    def says_only_that_it_worked(self, key: str, value: Any) -> bool:
        """Whether a value only acknowledges the call."""
        if value is True:
            return not {"ok", "success", "status"}.isdisjoint(key.lower().replace("-", "_").split("_"))
        return isinstance(value, str) and self._known.acknowledges(value, self._tool)


def last_part(key: str) -> str:
    """The last part of a dotted key, as tools call it."""
    return key.rpartition(".")[2]
