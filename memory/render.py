"""Facts as text: every value behind its key, the keys of a table once, nothing that the replay says already.

The same facts can be written in several degrees of detail; what is left out is counted, so that the note can
point to the stored step.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

from agentkit.memory.facts import gist
from agentkit.memory.known import Known
from agentkit.memory.values import Kind, is_telling, keyed, kind_of, spell

CUT = "…"
AGAIN_CHARS = 40
"""A longer text that the replay shows in full is named by its first words."""
_MORE = re.compile(r"… (\d{1,9}) more", re.ASCII)
LONG_TEXT = 400
STATE = ("files", "variables")
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
        self._loose = loose
        self._known = known
        call = call or Call()
        self._inputs, self._names, self._call = call.given, call.names, call.text
        self._said = known.said_of(call.names)
        self._tool = tool
        self._detail = detail
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

    def text(self, text: str, cap: int | None) -> str:
        """A result that is one text, or as much of it as there is room for; it has no parts to choose from."""
        room = share(len(text)) if cap is None else cap
        if not text.strip():
            return "(empty)"
        if self._is_said("result", "result", text) or self._known.acknowledges(text, self._tool):
            return ""
        self.shown.append((self._at("result"), "result", text))
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
            rows = _rows_of_mapping(value)
            if rows is not None:
                return self._table(key, rows, place, of_mapping=True)
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
        if not self._wanted(key, value):
            self.cut += self.is_missed(place, key, value)
            return None
        if self._says_only_that_it_worked(key, value):
            return None
        if self._has(place, key, value):
            self.cut += self.is_missed(place, key, value)
            return None
        self.shown.append((self._at(place), _name(key), value))
        return self._written(value)

    def is_missed(self, place: str, key: str, value: Any) -> bool:
        """Whether a value that is left out says something that nothing else does."""
        if value is None or value in ("", [], {}):
            return False
        return not self._is_said(place, key, value) and not self._says_only_that_it_worked(key, value)

    def _has(self, place: str, key: str, value: Any) -> bool:
        if self._is_said(place, key, value):
            return True
        loose = self._loose and place.partition(".")[0] not in STATE
        return loose and self._known.has(self._at(place), _name(key), value)

    def _is_said(self, place: str, key: str, value: Any) -> bool:
        """Whether the replay says it of this very thing: in the call itself, or by an earlier one that named it."""
        pair = _name(key), spell(value)
        if place.partition(".")[0] in STATE:  # what there is now, whatever the call says of it
            return self._known.is_latest(self._at(place), *pair)
        if pair in self._said or self._echoes(*pair):
            return True
        return not self._names and self._known.is_unchanged(*pair, self._tool, self._call)

    def _echoes(self, key: str, text: str) -> bool:
        """Whether the call itself says it: the same value under the same key, or a name that cannot be another's."""
        if (key, text) in self._inputs:
            return True
        same = [given for given, value in self._inputs if value == text]
        if any(given.endswith(f"_{key}") or key.endswith(f"_{given}") for given in same) and is_telling(text):
            return True
        return bool(same) and len(self._inputs) == 1 and len(text) > 2 and not any(map(str.isdigit, text[:1]))

    def _row_has(self, row: Mapping[str, Any], named_by: str | None, place: str, column: str) -> bool:
        """Whether a cell need not be written."""
        return self._has(place, column, row[column]) or self._row_says(row, named_by, place, column)

    def _row_says(self, row: Mapping[str, Any], named_by: str | None, place: str, column: str) -> bool:
        """Whether the call says a cell, or the replay says it of the thing that its row names."""
        if self._is_said(place, column, row[column]):
            return True
        named = spell(row.get(named_by)) if named_by is not None else ""
        return is_telling(named) and (_name(column), spell(row[column])) in self._known.said_of([named])

    def _says_only_that_it_worked(self, key: str, value: Any) -> bool:
        if value is True:
            return not {"ok", "success", "status"}.isdisjoint(key.lower().replace("-", "_").split("_"))
        return isinstance(value, str) and self._known.acknowledges(value, self._tool)

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
        counted = _MORE.fullmatch(items[-1]) if isinstance(items[-1], str) and len(items) > 1 else None
        more = int(counted[1]) if counted else 0
        if counted:
            items = items[:-1]
        if all(isinstance(item, dict) for item in items):
            return self._table(key, items, place, more=more)
        if any(isinstance(item, (dict, list)) for item in items):
            if all(isinstance(item, list) and all(isinstance(row, dict) for row in item) for item in items):
                flat = [row for item in items for row in item]
                return self._table(key, flat, place, more=more) if flat else f"{key}=[]"
            return self._nested(key, items, place, more)
        if 2 * sum(self._wanted(key, item) for item in items) < len(items):
            self.cut += any(self.is_missed(place, key, item) for item in items)
            return None  # a list is judged as one, so that none of its identifiers is lost for its looks
        if all(self._has(place, key, item) for item in items):
            self.cut += any(self.is_missed(place, key, item) for item in items)
            return None
        named = all(kind_of(item) is Kind.IDENTIFIER for item in items)
        new = list(dict.fromkeys(items)) if named else items
        kept = new[: self._detail.items]
        self.shown.extend((self._at(place), _name(key), item) for item in kept)
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
                self.shown.extend((self._at(place), _name(key), i) for i in item if not isinstance(i, (dict, list)))
            else:
                inside = self._leaf(place, key, item) or ""
            if inside:
                texts.append(inside)
        return f"{key}: {'; '.join(texts)}{self._rest(len(items) - len(kept), more)}" if texts else None

    def _rest(self, left: int, more: int) -> str:
        left += more
        self.cut += left
        return f", {CUT} {left} more" if left else ""

    def _table(
        self,
        key: str,
        rows: Sequence[Mapping[str, Any]],
        place: str,
        *,
        of_mapping: bool = False,
        more: int = 0,
    ) -> str | None:
        flat = [{one_line(key): value for key, value in _flat(row)} for row in rows]
        if len(flat) == 1 and not more:
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
            plain = [(c, row[c]) for c in columns if c in row and not isinstance(row[c], (dict, list))]
            self.shown.extend((self._at(f"{place}.{c}"), _name(c), value) for c, value in plain)
            if named_by is not None:
                self.rows.append((spell(row.get(named_by)), [(_name(c), spell(value)) for c, value in plain]))
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
        self.cut += not values and any(row.get(column) in ([], {}) for row in rows)
        plain = [(v, row) for v, row in values if not isinstance(v, (dict, list))]
        if len(plain) < len(values):
            self.cut += self._detail.kind < Kind.PROSE
            return self._detail.kind >= Kind.PROSE
        wanted = [(v, row) for v, row in plain if self._wanted(column, v)]
        if 2 * len(wanted) < len(plain) or not wanted:
            self.cut += any(self.is_missed(f"{place}.{column}", column, v) for v, _ in plain)
            return False
        if named_by not in (None, column) and all(spell(v) in spell(row.get(named_by)) for v, row in wanted):
            return False
        at = f"{place}.{column}"
        if any(not self._row_has(row, named_by, at, column) for _, row in wanted):
            return True
        self.cut += any(not self._row_says(row, named_by, at, column) for _, row in wanted)
        return False

    def _new_rows(
        self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], place: str, named_by: str | None
    ) -> list[Mapping[str, Any]]:
        found = []
        for row in rows:
            named = spell(row.get(named_by)) if named_by is not None else ""
            if (
                self._detail is not DETAILS[0]
                and len(rows) > ROWS4
                and is_telling(named)
                and self._known.answers(named)
            ):
                self.cut += 1
            elif self._row_is_new(row, columns, place, named_by):
                found.append(row)
            else:
                self.cut += self._loose
        return found

    def _row_is_new(self, row: Mapping[str, Any], columns: Iterable[str], place: str, named_by: str | None) -> bool:
        return any(
            row.get(c) not in (None, "", [], {})
            and (isinstance(row[c], (dict, list)) or not self._row_has(row, named_by, f"{place}.{c}", c))
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


def one_line(text: str) -> str:
    """A text without ends of lines, so that no line of a note is anything but what it looks like."""
    return " ".join(text.split()) if len(text.splitlines()) > 1 or text[-1:].isspace() else text


def _name(key: str) -> str:
    """The last part of a dotted key, as tools call it."""
    return key.rpartition(".")[2]


def _cell(text: str) -> str:
    """A cell that cannot be taken for two."""
    return json.dumps(text, ensure_ascii=False) if ", " in text or "; " in text else text


def _json(value: Any, max_chars: int) -> str:
    return gist(json.dumps(value, ensure_ascii=False, default=repr), max_chars)


def facts_text(
    known: Known, tool: str, facts: Mapping[str, Any], *, cap: int | None, first: int = 0, call: Call | None = None
) -> tuple[str, FactWriter]:
    """Facts in the most detail that fits.

    Args:
        known: What the replay says already; left as it is.
        tool: The tool they come from.
        facts: The facts.
        cap: Characters that may be taken; None for a share of what all of it would take.
        first: The most detail that is tried.
        call: The call, which need not be said again.
    """
    text, writer = _facts_text(known, tool, facts, cap=cap, first=first, call=call)
    if not text.strip():  # whatever the reason is, that something was left out is not lost
        writer.cut += any(writer.is_missed("", key, value) for key, value in keyed(facts))
    return text, writer


def _facts_text(
    known: Known, tool: str, facts: Mapping[str, Any], *, cap: int | None, first: int = 0, call: Call | None = None
) -> tuple[str, FactWriter]:
    """As `facts_text`, which may be nothing."""
    if list(facts) == ["result"] and isinstance(facts["result"], str):
        writer = FactWriter(known, tool, DETAILS[0], call)
        return writer.text(facts["result"], cap), writer
    writer = FactWriter(known, tool, DETAILS[first], call)
    text = writer.facts(facts)
    if len(text) <= (STRICT if cap is None else min(STRICT, cap)):
        return text, writer
    exact = cap is not None
    for detail in DETAILS[first:] if exact else DETAILS[first:USUAL_DETAILS]:
        writer = FactWriter(known, tool, detail, call, loose=True)
        text = writer.facts(facts)
        if writer.has_trifles():
            continue
        if cap is None:
            cap = share(len(text))
        if len(text) <= cap:
            return text, writer
    if exact:
        writer = FactWriter(known, tool, DETAILS[-1], call, loose=True)
        text = writer.facts(facts, cap)
    return text, writer


def fact_lines(tool: str, facts: Mapping[str, Any]) -> list[str]:
    """All facts for a person, one of the outermost keys on a line."""
    return [line for line in FactWriter(Known(), tool, EVERYTHING).lines(facts) if line]


def share(chars: int) -> int:
    """How many characters of a result that takes `chars` are written where nothing else limits them."""
    return int(min(chars, SMALL + max(0, chars - SMALL) * 0.25, LARGE))


SMALL, LARGE = 230, 600
STRICT = 160
"""Characters of a result that is written whole, whatever the replay shows of other things."""
