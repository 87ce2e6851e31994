"""Facts as text: every value behind its key, the keys of a table once, nothing that the replay says already.

The same facts can be written in several degrees of detail; what is left out is counted, so that the note can
point to the stored step.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

from agentkit.memory.facts import gist
from agentkit.memory.known import Known
from agentkit.memory.values import Kind, is_telling, kind_of, spell

CUT = "…"
LONG_TEXT = 400
STATE = ("files", "variables")
SHORT_LIST = 4
ROWS4 = 4


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


class FactWriter:
    """Writes the facts of one action; what it showed and left out is in `shown` and `cut`."""

    def __init__(self, known: Known, tool: str, detail: Detail, inputs: Iterable[str] = ()) -> None:
        """Write in the light of `known`, which is left as it is; `inputs` are the values of the call itself."""
        self._known = known
        self._inputs = inputs
        self._tool = tool
        self._detail = detail
        self.shown: list[tuple[str, str, Any]] = []
        self.titles: dict[str, tuple[str, ...]] = {}
        self.cut = 0

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

    def text(self, text: str, cap: int | None) -> str:
        """A result that is one text, or as much of it as there is room for; it has no parts to choose from."""
        room = share(len(text)) if cap is None else cap
        if not text.strip():
            return "(empty)"
        if self._has("result", "result", text) or self._known.acknowledges(text, self._tool):
            return ""
        self.shown.append((self._at("result"), "result", text))
        if len(text) > room:
            self.cut += 1
            text = gist(text, room)
        return "\n    " + text.replace("\n", "\n    ") if "\n" in text else text

    def _as_many(self, facts: Mapping[str, Any], room: int) -> str:
        """The facts for which there is room, those under keys that tools take as arguments first."""
        parts: dict[str, str] = {}
        asked = self._known.argument_keys
        for key in sorted(facts, key=lambda k: _name(str(k)) not in asked):
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

    def _bare(self, value: Any) -> str:
        if value in ([], {}, ""):
            return "(empty)"
        if not isinstance(value, (dict, list)):
            text = self._leaf("result", "result", value) or ""
            return "\n    " + text.replace("\n", "\n    ") if "\n" in text else text
        entry = self._entry("result", value, "") or ""
        text = entry.removeprefix("result=").removeprefix("result: ").removeprefix("result ")
        return text.removeprefix("[").removesuffix("]") if text.endswith("]") and text.count("]") == 1 else text

    def _pairs(self, mapping: Mapping[str, Any], path: str) -> Iterator[str]:
        for key, value in mapping.items():
            if key == CUT:
                self.cut += 1
                yield f"{CUT} {value}"
                continue
            text = self._entry(str(key), value, path)
            if text:
                yield text

    def _entry(self, key: str, value: Any, path: str) -> str | None:
        """``key=value``, or None where nothing of it is new or worth a place."""
        place = f"{path}.{key}" if path else key
        if isinstance(value, dict) and value:
            rows = _rows_of_mapping(value)
            if rows is not None:
                return self._table(key, rows, place, of_mapping=True)
            if len(value) == 1:  # a wrapper
                ((inner, only),) = value.items()
                return self._entry(f"{key}.{inner}", only, path)
            inside = _together(self._pairs(value, place))
            return f"{key} {{{inside}}}" if inside else None
        if isinstance(value, (list, tuple)) and value:
            return self._list(key, list(value), place)
        text = self._leaf(place, key, value)
        return None if text is None else f"{key}={' '.join(text.split()) if chr(10) in text else text}"

    def _leaf(self, place: str, key: str, value: Any) -> str | None:
        if value is None or value in ("", [], {}):
            return None
        if not self._wanted(key, value):
            self.cut += self._is_missed(place, key, value)
            return None
        if self._has(place, key, value) or self._says_only_that_it_worked(key, value):
            return None
        self.shown.append((self._at(place), _name(key), value))
        return self._written(value)

    def _is_missed(self, place: str, key: str, value: Any) -> bool:
        """Whether a value that is left out says something that nothing else does."""
        if value in (None, "", [], {}) or kind_of(value) is Kind.TRIVIAL:
            return False
        return not self._has(place, key, value) and not self._says_only_that_it_worked(key, value)

    def _has(self, place: str, key: str, value: Any) -> bool:
        if place.partition(".")[0] in STATE:  # what there is now, whatever the call says of it
            return self._known.is_latest(self._at(place), _name(key), value)
        if kind_of(value) != Kind.TRIVIAL and spell(value) in self._inputs:
            return True
        return self._known.has(self._at(place), _name(key), value)

    def _says_only_that_it_worked(self, key: str, value: Any) -> bool:
        if value is True:
            return not {"ok", "success", "status"}.isdisjoint(key.lower().replace("-", "_").split("_"))
        return isinstance(value, str) and self._known.acknowledges(value, self._tool)

    def _written(self, value: Any) -> str:
        text = spell(value)
        if isinstance(value, str) and len(text) > self._detail.prose and kind_of(value) == Kind.PROSE:
            self.cut += 1
            text = gist(text, self._detail.prose)
        return text

    def _wanted(self, key: str, value: Any) -> bool:
        kind = kind_of(value)
        if kind is Kind.STAMP and not self._detail.stamps:
            return False
        long = kind is Kind.PROSE and self._detail.prose >= 200 and len(str(value)) > LONG_TEXT
        return kind <= self._detail.kind or long

    def _at(self, place: str) -> str:
        return f"{self._tool} {place}"

    # --- lists and tables ----------------------------------------------------------------------------------

    def _list(self, key: str, items: list[Any], place: str) -> str | None:
        more = items.pop() if isinstance(items[-1], str) and items[-1].startswith(CUT) and len(items) > 1 else None
        if all(isinstance(item, dict) for item in items):
            return self._table(key, items, place, more=more)
        if any(isinstance(item, (dict, list)) for item in items):
            if all(isinstance(item, list) for item in items) and any(isinstance(i, dict) for i in items[0]):
                flat = [row for item in items for row in item if isinstance(row, dict)]
                return self._table(key, flat, place, more=more) if flat else None
            return self._nested(key, items, place, more)
        if 2 * sum(self._wanted(key, item) for item in items) < len(items):
            self.cut += any(self._is_missed(place, key, item) for item in items)
            return None  # a list is judged as one, so that none of its identifiers is lost for its looks
        new = list(dict.fromkeys(item for item in items if not self._has(place, key, item)))
        if not new:
            return None
        if len(items) <= SHORT_LIST and all(isinstance(item, (int, float)) for item in items):  # a shape, a position
            new = items
        kept = new[: self._detail.items]
        self.shown.extend((self._at(place), _name(key), item) for item in kept)
        text = ", ".join(_cell(self._written(item)) for item in kept)
        text += self._rest(len(new) - len(kept), more)
        return f"{key}=[{text}]" if len(items) > 1 else f"{key}={text}"

    def _nested(self, key: str, items: list[Any], place: str, more: str | None) -> str | None:
        kept = items[: self._detail.items]
        texts = []
        for item in kept:
            if isinstance(item, dict):
                inside = _together(self._pairs(item, place))
            elif isinstance(item, list):
                inside = ", ".join(
                    filter(
                        None,
                        (
                            self._leaf(place, key, i)
                            if not isinstance(i, (dict, list))
                            else _json(i, self._detail.prose)
                            for i in item
                        ),
                    )
                )
            else:
                inside = self._leaf(place, key, item) or ""
            if inside:
                texts.append(inside)
        return f"{key}: {'; '.join(texts)}{self._rest(len(items) - len(kept), more)}" if texts else None

    def _rest(self, left: int, more: str | None) -> str:
        if more is not None:
            left += int("".join(filter(str.isdigit, more)) or 0)
        self.cut += left
        return f", {CUT} {left} more" if left else ""

    def _table(
        self,
        key: str,
        rows: Sequence[Mapping[str, Any]],
        place: str,
        *,
        of_mapping: bool = False,
        more: str | None = None,
    ) -> str | None:
        flat = [dict(_flat(row)) for row in rows]
        if len(flat) == 1 and more is None:
            parts = list(self._pairs(rows[0], place))
            name = f"name={spell(rows[0].get('name', ''))}"
            if place in STATE and parts and "name" in rows[0] and name not in parts:
                parts.insert(0, name)  # what there is of a variable says nothing without its name
            return f"{key} {{{_together(parts)}}}" if parts else None
        columns = [c for c in dict.fromkeys(c for row in flat for c in row) if c != CUT]
        named_by = _identifying(columns, flat)
        columns = [c for c in columns if self._column_wanted(c, flat, place, named_by)]
        if named_by is not None and columns and named_by not in columns:
            columns = [named_by, *columns]
        table = self._new_rows(flat, columns, place, named_by)
        if not table:
            return None
        kept = table[: self._detail.rows]
        same = _same_everywhere(kept, columns)
        varying = [c for c in columns if c not in same]
        for row in kept:
            self.shown.extend(
                (self._at(f"{place}.{c}"), _name(c), row[c])
                for c in columns
                if c in row and not isinstance(row[c], (dict, list))
            )
        head = key + (f" (all {', '.join(f'{c}: {self._written(v)}' for c, v in same.items())})" if same else "")
        rest = self._rest(len(table) - len(kept), more)
        shared = _shared_in_runs(kept, varying)
        if shared is not None:
            return f"{head} {self._grouped(kept, [c for c in varying if c != shared], shared)}{rest}"
        lines = [", ".join(_cell(self._cell(row.get(c))) for c in varying) for row in kept]
        if len(varying) == 1:
            return f"{head} {varying[0]}: {', '.join(lines)}{rest}"
        titles = self._titles(place, varying)
        return f"{head}{titles}: {'; '.join(lines)}{rest}"

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
        return f"({_headings(columns)}) {'; '.join(parts)}"

    def _titles(self, place: str, columns: Sequence[str]) -> str:
        """The names of the columns, unless the call before had the same table."""
        self.titles[self._at(place)] = tuple(columns)
        if self._known.titles.get(self._at(place)) == tuple(columns):
            return ""
        return f" ({_headings(columns)})"

    def _cell(self, value: Any) -> str:
        if isinstance(value, (dict, list)):
            return _json(value, self._detail.prose)
        if value is None or value == "":
            return "-"
        return self._written(value)

    def _column_wanted(self, column: str, rows: Sequence[Mapping[str, Any]], place: str, named_by: str | None) -> bool:
        """A column is written where it holds something new of a wanted kind, that its row's name does not say."""
        values = [(row[column], row) for row in rows if row.get(column) not in (None, "", [], {})]
        plain = [(v, row) for v, row in values if not isinstance(v, (dict, list))]
        if len(plain) < len(values):
            self.cut += self._detail.kind < Kind.PROSE
            return self._detail.kind >= Kind.PROSE
        wanted = [(v, row) for v, row in plain if self._wanted(column, v)]
        if 2 * len(wanted) < len(plain) or not wanted:
            self.cut += any(self._is_missed(f"{place}.{column}", column, v) for v, _ in plain)
            return False
        if named_by not in (None, column) and all(spell(v) in spell(row.get(named_by)) for v, row in wanted):
            return False
        return any(not self._has(f"{place}.{column}", column, v) for v, _ in wanted)

    def _new_rows(
        self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], place: str, named_by: str | None
    ) -> list[Mapping[str, Any]]:
        found, before = [], set()
        for row in rows:
            cells = tuple(spell(row.get(c)) for c in columns)
            named = spell(row.get(named_by)) if named_by is not None else ""
            if (
                self._detail is not DETAILS[0]
                and len(rows) > ROWS4
                and is_telling(named)
                and self._known.answers(named)
            ):
                self.cut += 1
            elif cells not in before and self._row_is_new(row, columns, place):
                found.append(row)
            before.add(cells)
        return found

    def _row_is_new(self, row: Mapping[str, Any], columns: Iterable[str], place: str) -> bool:
        return any(
            row.get(c) not in (None, "", [], {})
            and (isinstance(row[c], (dict, list)) or not self._has(f"{place}.{c}", c, row[c]))
            for c in columns
        )


def _together(parts: Iterable[str]) -> str:
    """Facts on one line, as a call's arguments are: ``a=1 b=2``, with commas where a value has several words."""
    found = list(parts)
    return (", " if any(" " in part for part in found) else " ").join(found)


def _headings(columns: Sequence[str]) -> str:
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


def _identifying(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str | None:
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


def _shared_in_runs(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str | None:
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


def _same_everywhere(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> dict[str, Any]:
    """Columns of at least three rows that hold one and the same plain value."""
    if len(rows) < 3:
        return {}
    firsts = {c: rows[0].get(c) for c in columns}
    return {
        c: v for c, v in firsts.items() if isinstance(v, (str, int, float)) and all(row.get(c) == v for row in rows)
    }


def _rows_of_mapping(mapping: Mapping[str, Any]) -> list[dict[str, Any]] | None:
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


def _flat(row: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    for key, value in row.items():
        if isinstance(value, dict) and value and depth < 3:
            yield from _flat(value, f"{prefix}{key}.", depth + 1)
        else:
            yield f"{prefix}{key}", value


def _name(key: str) -> str:
    """The last part of a dotted key, as tools call it."""
    return key.rpartition(".")[2]


def _cell(text: str) -> str:
    """A cell that cannot be taken for two."""
    return json.dumps(text, ensure_ascii=False) if ", " in text or "; " in text else text


def _json(value: Any, max_chars: int) -> str:
    return gist(json.dumps(value, ensure_ascii=False, default=repr), max_chars)


def facts_text(
    known: Known, tool: str, facts: Mapping[str, Any], *, cap: int | None, first: int = 0, inputs: Iterable[str] = ()
) -> tuple[str, FactWriter]:
    """Facts in the most detail that fits.

    Args:
        known: What the replay says already; left as it is.
        tool: The tool they come from.
        facts: The facts.
        cap: Characters that may be taken; None for a share of what all of it would take.
        first: The most detail that is tried.
        inputs: The values the tool was called with, which need not be said again.
    """
    if list(facts) == ["result"] and isinstance(facts["result"], str):
        writer = FactWriter(known, tool, DETAILS[0], inputs)
        return writer.text(facts["result"], cap), writer
    exact = cap is not None
    text, writer = "", FactWriter(known, tool, DETAILS[0])
    for detail in DETAILS[first:] if exact else DETAILS[first:USUAL_DETAILS]:
        writer = FactWriter(known, tool, detail, inputs)
        text = writer.facts(facts)
        if (
            detail is DETAILS[0]
            and len(writer.shown) > 3
            and any(kind_of(v) in (Kind.TRIVIAL, Kind.STAMP) for *_, v in writer.shown)
        ):
            continue
        if cap is None:
            cap = share(len(text))
        if len(text) <= cap:
            return text, writer
    if exact:
        writer = FactWriter(known, tool, DETAILS[-1], inputs)
        text = writer.facts(facts, cap)
    return text, writer


def fact_lines(tool: str, facts: Mapping[str, Any]) -> list[str]:
    """All facts for a person, one of the outermost keys on a line."""
    return [line for line in FactWriter(Known(), tool, EVERYTHING).lines(facts) if line]


def share(chars: int) -> int:
    """How many characters of a result that takes `chars` are written where nothing else limits them."""
    return int(min(chars, SMALL + max(0, chars - SMALL) * 0.25, LARGE))


SMALL, LARGE = 230, 600
