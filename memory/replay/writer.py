"""Facts as text: every value behind its key, the keys of a table once, nothing that the replay says already.

What is left out is counted, so that the note can point to the stored step.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from agentkit.base.text import one_line
from agentkit.memory.condense.facts import gist
from agentkit.memory.condense.values import Kind, kind_of, spell
from agentkit.memory.replay.already_said import Known
from agentkit.memory.replay.columns import (
    CUT,
    flat,
    headings,
    identifying,
    is_part_of,
    rows_of_mapping,
    same_everywhere,
    shared_in_runs,
)
from agentkit.memory.replay.detail import DETAILS, Detail
from agentkit.memory.replay.news import STATE, Call, News, last_part

AGAIN_CHARS = 40
"""A longer text that the replay shows in full is named by its first words."""
_MORE = re.compile(r"… (\d{1,9}) more", re.ASCII)
SHORT_TABLE = 4
"""Of a longer table, rows that the turn's answer names are the first to be left out."""


class FactWriter:
    """Writes the facts of one action; what it showed and left out is in `shown` and `cut`."""

    def __init__(
        self,
        known: Known,
        tool: str,
        detail: Detail,
        call: Call | None = None,
        *,
        loose: bool = False,
    ) -> None:
        """Write in the light of `known`, which is left as it is.

        Args:
            known: What the replay says.
            tool: The tool.
            detail: How much is written.
            call: The call: neither what it says nor what the replay says of the thing it names is written again.
            loose: Whether values that the replay shows of other things are left out as well, to make room for
                those it does not; that counts as `cut`.
        """
        self._known = known
        self._news = News(known, tool, call or Call(), loose=loose)
        self._tool = tool
        self._detail = detail
        self._loose = loose
        self.shown: list[tuple[str, str, Any]] = []
        self.full: set[str] = set()
        self.rows: list[tuple[str, list[tuple[str, str]]]] = []
        self.titles: dict[str, tuple[str, ...]] = {}
        self.cut = 0

    def has_trifles(self) -> bool:
        """Whether there is enough beside what is hardly ever needed again, and there is such."""
        kinds = [kind_of(value) for *_, value in self.shown]
        return self._detail is DETAILS[0] and len(kinds) > 3 and (Kind.TRIVIAL in kinds or Kind.STAMP in kinds)

    def facts(self, facts: Mapping[str, Any], room: int | None = None) -> str:
        """All facts of a result, or as many as there is room for; "" where there is nothing new."""
        if list(facts) == ["result"]:  # a result without keys of its own
            text = self._bare(facts["result"])
            if room is None or len(text) <= room:
                return text
            self.cut += 1
            return gist(text, room)
        if room is None:
            return _together(self._pairs(facts, ""))
        return self._as_many(facts, room)

    def text(self, text: str, room: int) -> str:
        """A result that is one text, or as much of it as there is room for; it has no parts to choose from."""
        if not text.strip():
            return "(empty)"
        if self._news.is_said("result", "result", text) or self._known.acknowledges(text, self._tool):
            return ""
        self.shown.append((self._news.at("result"), "result", text))
        if len(text) > room:
            self.cut += 1
            text = gist(text, room)
        else:
            self.full.add(one_line(text))
        lines = text.splitlines()  # each set in, so that none can be taken for a call
        return "\n    " + "\n    ".join(lines) if len(lines) > 1 else text

    def _as_many(self, facts: Mapping[str, Any], room: int) -> str:
        """The facts for which there is room, those under keys that tools take as arguments first."""
        parts: dict[str, str] = {}
        asked = self._known.argument_keys
        for key in sorted(facts, key=lambda k: last_part(str(k)) not in asked):
            before, cut = len(self.shown), self.cut
            text = _together(self._pairs({key: facts[key]}, ""))
            if text and len(text) + 2 <= room:
                parts[key] = text
                room -= len(text) + 2
            else:
                del self.shown[before:]
                self.cut = cut + bool(text)
        return _together(parts[key] for key in facts if key in parts)

    def lines(self, facts: Mapping[str, Any]) -> Iterator[str]:
        """Each of the facts by itself."""
        return self._pairs(facts, "")

    def misses_any(self, values: Iterable[tuple[str, Any]]) -> bool:
        """Whether one of these keys and values says something that nothing else does."""
        return any(self._news.is_missed("", key, value) for key, value in values)

    def _bare(self, value: Any) -> str:
        if value in ([], {}, ""):
            return "(empty)"
        if not isinstance(value, (dict, list)):
            return self._leaf("result", "result", value) or ""
        entry = self._entry("result", value, "") or ""
        text = entry.removeprefix("result=").removeprefix("result: ").removeprefix("result ")
        return text.removeprefix("[").removesuffix("]") if text.endswith("]") and text.count("]") == 1 else text

    def _pairs(self, mapping: Mapping[str, Any], path: str) -> Iterator[str]:
        for key, value in mapping.items():
            if key == CUT:
                self.cut += 1
                yield f"{CUT} {value}"
                continue
            text = self._entry(one_line(str(key)), value, path)
            if text:
                yield text

    def _entry(self, key: str, value: Any, path: str) -> str | None:
        """``key=value``, or None where nothing of it is new or worth a place."""
        place = f"{path}.{key}" if path else key
        if isinstance(value, dict) and value:
            rows = rows_of_mapping(value)
            if rows is not None:
                return self._table(key, rows, place)
            if len(value) == 1:  # a wrapper
                ((inner, only),) = value.items()
                return self._entry(f"{key}.{one_line(str(inner))}", only, path)
            inside = _together(self._pairs(value, place))
            return f"{key} {{{inside}}}" if inside else None
        if isinstance(value, (list, tuple)) and value:
            return self._list(key, list(value), place)
        text = self._leaf(place, key, value)
        return None if text is None else f"{key}={text}"

    def _leaf(self, place: str, key: str, value: Any) -> str | None:
        if value in ([], {}):  # that there is nothing is an answer too
            if self._detail.kind >= Kind.PROSE:
                return str(value)
            self.cut += 1
            return None
        if value is None or value == "":
            return None
        if not self._detail.wants(value):
            self.cut += self._news.is_missed(place, key, value)
            return None
        if self._news.says_only_that_it_worked(key, value):
            return None
        if self._news.is_known(place, key, value):
            self.cut += self._news.is_missed(place, key, value)
            return None
        self.shown.append((self._news.at(place), last_part(key), value))
        return self._written(value)

    def _written(self, value: Any) -> str:
        text = one_line(spell(value))
        if len(text) > AGAIN_CHARS and text in self._known.texts:
            return f"{text[:16].rpartition(' ')[0] or text[:16]} {CUT}"  # it stands above
        if isinstance(value, str) and len(text) > self._detail.prose and kind_of(value) == Kind.PROSE:
            self.cut += 1
            return gist(text, self._detail.prose)
        if len(text) > AGAIN_CHARS:
            self.full.add(text)
        return text

    def _list(self, key: str, items: list[Any], place: str) -> str | None:
        counted = _MORE.fullmatch(items[-1]) if isinstance(items[-1], str) and len(items) > 1 else None
        more = int(counted[1]) if counted else 0
        if counted:
            items = items[:-1]
        if all(isinstance(item, dict) for item in items):
            return self._table(key, items, place, more=more)
        if any(isinstance(item, (dict, list)) for item in items):
            if all(isinstance(item, list) and all(isinstance(row, dict) for row in item) for item in items):
                rows = [row for item in items for row in item]
                return self._table(key, rows, place, more=more) if rows else f"{key}=[]"
            return self._nested(key, items, place, more)
        if 2 * sum(self._detail.wants(item) for item in items) < len(items):
            self.cut += any(self._news.is_missed(place, key, item) for item in items)
            return None  # a list is judged as one, so that none of its identifiers is lost for its looks
        if all(self._news.is_known(place, key, item) for item in items):
            self.cut += any(self._news.is_missed(place, key, item) for item in items)
            return None
        named = all(kind_of(item) is Kind.IDENTIFIER for item in items)
        new = list(dict.fromkeys(items)) if named else items
        kept = new[: self._detail.items]
        self.shown.extend((self._news.at(place), last_part(key), item) for item in kept)
        text = ", ".join(_cell(self._written(item)) for item in kept)
        text += self._rest(len(new) - len(kept), more)
        return f"{key}=[{text}]" if len(items) > 1 else f"{key}={text}"

    def _nested(self, key: str, items: list[Any], place: str, more: int) -> str | None:
        kept = items[: self._detail.items]
        texts = []
        for item in kept:
            if isinstance(item, dict):
                inside = _together(self._pairs(item, place))
            elif isinstance(item, list):
                inside = ", ".join(_cell(self._cell(i)) for i in item)  # none left out: they mean what their place says
                self.shown.extend(
                    (self._news.at(place), last_part(key), i) for i in item if not isinstance(i, (dict, list))
                )
            else:
                inside = self._leaf(place, key, item) or ""
            if inside:
                texts.append(inside)
        return f"{key}: {'; '.join(texts)}{self._rest(len(items) - len(kept), more)}" if texts else None

    def _rest(self, left: int, more: int) -> str:
        left += more
        self.cut += left
        return f", {CUT} {left} more" if left else ""

    def _table(self, key: str, items: Sequence[Mapping[str, Any]], place: str, more: int = 0) -> str | None:
        if len(items) == 1 and not more:
            return self._only_row(key, items[0], place)
        rows = [{one_line(key): value for key, value in flat(item)} for item in items]
        columns = [c for c in dict.fromkeys(c for row in rows for c in row) if c != CUT]
        named_by = identifying(columns, rows)
        columns = [c for c in columns if self._column_wanted(c, rows, place, named_by)]
        if named_by is not None and columns and named_by not in columns:
            columns = [named_by, *columns]
        new = self._new_rows(rows, columns, place, named_by)
        if not new:
            return None
        kept = new[: self._detail.rows]
        same = same_everywhere(kept, columns)
        varying = [c for c in columns if c not in same]
        for row in kept:
            plain = [(c, row[c]) for c in columns if c in row and not isinstance(row[c], (dict, list))]
            self.shown.extend((self._news.at(f"{place}.{c}"), last_part(c), value) for c, value in plain)
            if named_by is not None:
                self.rows.append((spell(row.get(named_by)), [(last_part(c), spell(value)) for c, value in plain]))
        head = key + (f" (all {', '.join(f'{c}: {self._written(v)}' for c, v in same.items())})" if same else "")
        rest = self._rest(len(new) - len(kept), more)
        shared = shared_in_runs(kept, varying)
        if shared is not None:
            return f"{head} {self._grouped(kept, [c for c in varying if c != shared], shared)}{rest}"
        lines = [", ".join(_cell(self._cell(row.get(c))) for c in varying) for row in kept]
        if len(varying) == 1:
            return f"{head} {varying[0]}: {', '.join(lines)}{rest}"
        titles = self._titles(place, varying)
        return f"{head}{titles}: {'; '.join(lines)}{rest}"

    def _only_row(self, key: str, row: Mapping[str, Any], place: str) -> str | None:
        parts = list(self._pairs(row, place))
        name = f"name={spell(row.get('name', ''))}"
        if place in STATE and parts and "name" in row and name not in parts:
            parts.insert(0, name)  # what there is of a variable says nothing without its name
        return f"{key} {{{_together(parts)}}}" if parts else None

    def _grouped(self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], shared: str) -> str:
        """Rows under the value they share: ``(a, b) on c 1: 2, 3; 4, 5; on c 2: 6, 7``."""
        parts: list[str] = []
        before = object()
        for row in rows:
            line = ", ".join(_cell(self._cell(row.get(c))) for c in columns)
            if row.get(shared) != before:
                before = row.get(shared)
                line = f"{shared} {self._cell(before)}: {line}"
            parts.append(line)
        return f"({headings(columns)}) {'; '.join(parts)}"

    def _titles(self, place: str, columns: Sequence[str]) -> str:
        """The names of the columns, unless the call before had the same table."""
        self.titles[self._news.at(place)] = tuple(columns)
        if self._known.titles.get(self._news.at(place)) == tuple(columns):
            return ""
        return f" ({headings(columns)})"

    def _cell(self, value: Any) -> str:
        if isinstance(value, (dict, list)):
            text = json.dumps(value, ensure_ascii=False, default=repr)
            self.cut += len(text) > self._detail.prose
            return gist(text, self._detail.prose)
        if value is None or value == "":
            return "-"
        return self._written(value)

    def _column_wanted(self, column: str, rows: Sequence[Mapping[str, Any]], place: str, named_by: str | None) -> bool:
        """A column is written where it holds something new of a wanted kind, that its row's name does not say."""
        values = [(row[column], row) for row in rows if row.get(column) not in (None, "", [], {})]
        self.cut += not values and any(row.get(column) in ([], {}) for row in rows)
        plain = [(v, row) for v, row in values if not isinstance(v, (dict, list))]
        if len(plain) < len(values):
            self.cut += self._detail.kind < Kind.PROSE
            return self._detail.kind >= Kind.PROSE
        wanted = [(v, row) for v, row in plain if self._detail.wants(v)]
        if 2 * len(wanted) < len(plain) or not wanted:
            self.cut += any(self._news.is_missed(f"{place}.{column}", column, v) for v, _ in plain)
            return False
        if named_by not in (None, column) and all(is_part_of(v, row.get(named_by)) for v, row in plain):
            return False
        at = f"{place}.{column}"
        if any(not self._news.is_row_known(row, named_by, at, column) for _, row in wanted):
            return True
        self.cut += any(not self._news.is_row_said(row, named_by, at, column) for _, row in wanted)
        return False

    def _new_rows(
        self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], place: str, named_by: str | None
    ) -> list[Mapping[str, Any]]:
        found = []
        spares = self._detail is not DETAILS[0] and len(rows) > SHORT_TABLE
        for row in rows:
            if spares and self._news.is_row_answered(row, named_by):
                self.cut += 1
            elif self._row_is_new(row, columns, place, named_by):
                found.append(row)
            else:
                self.cut += self._loose
        return found

    def _row_is_new(self, row: Mapping[str, Any], columns: Iterable[str], place: str, named_by: str | None) -> bool:
        return any(
            row.get(c) not in (None, "", [], {})
            and (isinstance(row[c], (dict, list)) or not self._news.is_row_known(row, named_by, f"{place}.{c}", c))
            for c in columns
        )


def _together(parts: Iterable[str]) -> str:
    """Facts on one line, as a call's arguments are: ``a=1 b=2``, with commas where a value has several words."""
    found = list(parts)
    return (", " if any(" " in part for part in found) else " ").join(found)


def _cell(text: str) -> str:
    """A cell that cannot be taken for two."""
    return json.dumps(text, ensure_ascii=False) if ", " in text or "; " in text else text
