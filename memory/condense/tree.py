"""A result as a tree that can be cut by whole rows and written as compact JSON.

A list keeps its rows whole and loses them from its end; a record loses fields only when all of them together are too
long; a text loses lines from its middle. What was cut is counted, and cut rows are named by their identifier.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

CUT = "…"
"""Marks every cut and every reference, and nothing else."""

Named = Callable[[str], bool]
"""True if a value must stay because the question or the answer names it."""

_WORD_ENDS = re.compile(r"\s")


def compact(value: object) -> str:
    """Return a value as JSON without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=repr)


@dataclass(slots=True)
class Node:
    """A value to be written, as a tree.

    Attributes:
        kind: ``"leaf"`` is a scalar, ``"record"`` a mapping, ``"list"`` a list.
        value: The scalar of a leaf.
        items: The items of a record or a list.
        key: Its key in the record around it.
        shared: Fields that all rows of a list share, written once.
        name: The key and the value that identify a row.
        states: Statements the ledger records when this is written.
        size: Its length in characters.
        cut: True if part of it is omitted.
    """

    kind: Literal["leaf", "record", "list"]
    value: Any = None
    items: list[Node] = field(default_factory=list)
    key: str = ""
    shared: Node | None = None
    name: tuple[str, Any] | None = None
    states: Sequence[Any] = ()
    size: int = 0
    hidden: list[Node] = field(default_factory=list)
    cut: bool = False

    def measure(self) -> Node:
        """Set `size` from the items, whose own sizes are set, and return the node."""
        if self.kind == "leaf":
            self.size = len(compact(self.value))
        else:
            keys = sum(len(compact(item.key)) + 1 for item in self.items) if self.kind == "record" else 0
            shared = 0 if self.shared is None else self.shared.size + len('{"all":,"rows":}')
            self.size = 1 + keys + shared + sum(item.size + 1 for item in self.items)
        return self


def node_of(value: Any, key: str = "") -> Node:
    """Return the whole of a JSON value as a node."""
    if isinstance(value, dict):
        made = Node("record", items=[node_of(v, k) for k, v in value.items()], key=key)
    elif isinstance(value, list):
        rows = [node_of(v) for v in value]
        name = row_key(value)
        for row, item in zip(rows, value, strict=True):
            row.name = None if name is None else (name, item[name])
        made = Node("list", items=rows, key=key)
    else:
        made = Node("leaf", value=value, key=key)
    return made.measure()


def row_key(rows: Sequence[Any]) -> str | None:
    """Return the first key under which every row has another text or whole number; None if there is none."""
    if len(rows) < 2 or not all(isinstance(row, dict) for row in rows):
        return None
    for key in rows[0]:
        found = [row.get(key) for row in rows]
        is_name = all(isinstance(v, (str, int)) and not isinstance(v, bool) and v != "" for v in found)
        if is_name and len(set(found)) == len(found):
            return str(key)
    return None


def shared_fields(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the keys that have the same value in all rows."""
    if len(rows) < 2:
        return []
    return [k for k, v in rows[0].items() if all(k in row and row[k] == v and type(row[k]) is type(v) for row in rows)]


def fit(node: Node, room: int, named: Named = lambda _: False, rows_room: int | None = None) -> None:
    """Cut a node until it takes about `room` characters; cut items move to `hidden`.

    Args:
        node: The node.
        room: Characters.
        named: True for a value whose row must stay.
        rows_room: Characters for the other rows of each list; None for no limit.
    """
    if rows_room is not None and node.kind == "record" and not _is_mapping_of_rows(node):
        for item in node.items:
            fit(item, room, named, rows_room)
        node.measure()
    elif rows_room is not None and node.kind == "list" and len(node.items) > 2:
        room = min(room, rows_room)
    if node.size <= room:
        return
    node.cut = True
    if node.kind == "leaf":
        if isinstance(node.value, str):
            node.value = cut_text(node.value, room)
            node.measure()
    elif node.kind == "list" or _is_mapping_of_rows(node):
        _fit_rows(node, room, named)
    else:
        _fit_fields(node, room, named)


def _is_mapping_of_rows(node: Node) -> bool:
    return len(node.items) > 2 and all(item.kind != "leaf" for item in node.items)


def _fit_rows(node: Node, room: int, named: Named) -> None:
    """Keep the named rows, then the first others, each whole; at least one."""
    first = [item for item in node.items if item.name is not None and named(str(item.name[1]))]
    chosen = set(map(id, first))
    kept: set[int] = set()
    for item in [*first, *(item for item in node.items if id(item) not in chosen)]:
        if kept and item.size + 1 > room:
            break
        if item.size > room:
            fit(item, room, named)
        kept.add(id(item))
        room -= item.size + 1
    node.hidden += [item for item in node.items if id(item) not in kept]
    node.items = [item for item in node.items if id(item) in kept]
    node.measure()


def _fit_fields(node: Node, room: int, named: Named) -> None:
    """Give each field an equal share of the room; long fields also get what short ones do not need."""
    left = room - sum(len(compact(item.key)) + 2 for item in node.items)
    for rest, item in zip(range(len(node.items), 0, -1), sorted(node.items, key=lambda item: item.size), strict=True):
        fit(item, max(left // rest, MIN_FIELD_CHARS), named)
        left -= item.size
    node.measure()
    while node.size > room + MIN_FIELD_CHARS and len(node.items) > 1:
        last = node.items.pop()
        node.size -= last.size + len(compact(last.key)) + 2
        node.hidden.insert(0, last)


HEAD = 0.67
"""Share of a cut text taken from its beginning; 0.5 and 0.9 differ by less than a point of recall."""
MIN_FIELD_CHARS = 40
"""Least length of a cut field; chosen by hand: a mark and a few words."""


def cut_text(text: str, room: int) -> str:
    """Return the first and last lines of a text, about `room` characters, with a count of the omitted lines."""
    if len(text) <= room:
        return text
    lines = text.split("\n")
    head, tail = _lines_within(lines, int(room * HEAD)), _lines_within(lines[::-1], int(room * (1 - HEAD)))
    if head == 0:  # a single line that is too long
        return f"{_words(text, int(room * HEAD))} {CUT} {_words(text[::-1], int(room * (1 - HEAD)))[::-1]}".strip()
    return _joined(lines, {*range(head), *range(len(lines) - tail, len(lines))})


def _joined(lines: list[str], kept: set[int]) -> str:
    """Return the kept lines, with a count in place of the omitted ones."""
    out: list[str] = []
    gap = 0
    for n, line in enumerate(lines):
        if n in kept:
            out += [f"{CUT} {gap} lines {CUT}"] if gap else []
            out.append(line)
            gap = 0
        else:
            gap += 1
    return "\n".join([*out, *([f"{CUT} {gap} lines {CUT}"] if gap else [])])


def _lines_within(lines: Iterable[str], room: int) -> int:
    count = 0
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        count += 1
    return count


def _words(text: str, room: int) -> str:
    """Return the beginning of a text, ending at the end of a word."""
    if len(text) <= room or _WORD_ENDS.match(text, room):
        return text[:room]
    end = max(text.rfind(" ", 0, room), text.rfind("\n", 0, room), text.rfind("\t", 0, room))
    return text[: end + 1].rstrip()


def write(node: Node) -> str:
    """Return a node as compact JSON, with counts and identifiers of the cut rows."""
    if node.kind == "leaf":
        return compact(node.value)
    cut = _cut_rows(node) if node.hidden else None
    if node.kind == "record":
        fields = [f"{compact(item.key)}:{write(item)}" for item in node.items]
        if cut is not None:
            names = [item.key for item in node.hidden]
            fields.append(f"{compact(f'{CUT} {len(names)} more')}:{compact(some(names))}")
        return "{" + ",".join(fields) + "}"
    rows = [write(item) for item in node.items] + ([compact(cut)] if cut is not None else [])
    text = "[" + ",".join(rows) + "]"
    return text if node.shared is None else f'{{"all":{write(node.shared)},"rows":{text}}}'


def _cut_rows(node: Node) -> Any:
    """Return the text for the cut rows: their count, and their identifiers if they have any."""
    names = [item.name[1] for item in node.hidden if item.name is not None]
    count = f"{CUT} {len(node.hidden)} more"
    if not names or node.hidden[0].name is None:
        return count
    return {count: {node.hidden[0].name[0]: some(names)}}


def some(names: list[Any]) -> list[Any]:
    """Return the first identifiers, up to `MAX_NAMES_CHARS`, and a mark if some are omitted."""
    kept: list[Any] = []
    room = MAX_NAMES_CHARS
    for name in names:
        room -= len(compact(name)) + 1
        if room < 0:
            return [*kept, CUT]
        kept.append(name)
    return kept


MAX_NAMES_CHARS = 200
"""Identifiers of the cut rows of a list. 500 costs two points of tokens on long lists and gives no recall."""


def walk(node: Node) -> Iterator[tuple[Node, bool]]:
    """Yield every node of a tree, with True if its own value is written whole."""
    stack = [(node, True)]
    while stack:
        here, is_shown = stack.pop()
        yield here, is_shown and not (here.cut and here.kind == "leaf")
        stack += [(item, is_shown) for item in here.items]
        stack += [(item, False) for item in here.hidden]
        if here.shared is not None:
            stack.append((here.shared, is_shown))


def values_of(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each scalar of a JSON value with the nearest key."""
    if isinstance(value, dict):
        for inner_key, inner in value.items():
            yield from values_of(inner, inner_key)
    elif isinstance(value, list):
        for inner in value:
            yield from values_of(inner, key)
    else:
        yield key, value
