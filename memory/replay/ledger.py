"""Tracks what a replay has stated, so that it writes changes and omits only values that are still true.

For each thing and key the ledger knows the last stated value. A thing is a row or record with an identifier that tools
accept (a key whose value was the only argument of a call), or else a place: the same tool, called with the same
arguments, and the path in its result. A value is omitted only if the last statement of the same thing and key has the
same value, and no later statement could be about that thing and contradict it. In doubt it is written again.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from agentkit.memory.condense.tree import (
    CUT,
    Named,
    Node,
    compact,
    cut_text,
    fit,
    node_of,
    row_key,
    shared_fields,
    some,
    values_of,
    walk,
    write,
)
from agentkit.memory.objects import Action
from agentkit.memory.replay.pressure import Room

Scope = tuple[Hashable, ...]

EMPTY = ("null", '""', "[]", "{}")
MAX_COMPARED = 64
"""Later statements under the same key to compare with; after more of them, a value is written again."""


class Entry(NamedTuple):
    """A statement: the value as JSON, the step that made it, and its position."""

    text: str
    reference: str
    at: int


@dataclass(frozen=True, slots=True)
class About:
    """The thing a statement is about, as far as the call and the result identify it.

    Attributes:
        place: The tool and its arguments as JSON.
        arguments: The scalar arguments, as JSON.
        values: All values that may identify the thing: arguments, keys on the path, and identifiers.
        row: The key and value that identify the row or record; None if there are none.
    """

    place: Scope
    arguments: Mapping[str, str]
    values: frozenset[str]
    row: tuple[str, str] | None = None

    def may_be(self, other: About) -> bool:
        """True unless the two are surely about different things, or are the same place."""
        if self.row and other.row and self.row[0] == other.row[0]:
            return self.row == other.row
        if self.place == other.place:
            return False
        for one, two in ((self, other), (other, self)):
            if one.row:
                return one.row[1] in two.values or not two.values
        if self.values & other.values:
            return True
        return not any(value != other.arguments.get(key, value) for key, value in self.arguments.items())


class Ledger:
    """The last statement of each thing and key, built turn by turn in the order of the replay."""

    def __init__(self) -> None:
        """Start without statements."""
        self.at = 0
        self.last: dict[tuple[Scope, str], Entry] = {}
        self.keys: dict[Scope, list[str]] = {}
        self.rows: dict[Scope, list[str]] = {}
        self.identifiers: set[str] = set()
        self.by_key: dict[str, list[tuple[int, About, str]]] = {}
        self.texts: dict[str, str] = {}
        self.lost_at: dict[Scope, str] = {}
        self.known_as: dict[tuple[str, str], tuple[Scope, tuple[str, str]]] = {}

    def copy(self) -> Ledger:
        """Return an independent copy."""
        other = Ledger()
        other.at = self.at
        other.last, other.identifiers, other.texts = dict(self.last), set(self.identifiers), dict(self.texts)
        other.lost_at = dict(self.lost_at)
        other.keys, other.rows, other.known_as = dict(self.keys), dict(self.rows), dict(self.known_as)
        other.by_key = {key: list(entries) for key, entries in self.by_key.items()}
        return other

    def result(self, action: Action, room: Room, named: Named, *, arguments_stand: bool = True) -> str:
        """Return the text to write for a result, and record its statements.

        Args:
            action: The call and its result.
            room: Characters the text may take; at 0 only the reference is written.
            named: True for a value whose row must stay.
            arguments_stand: True if the call's arguments are written whole, so that their echo in the result is
                omitted.
        """
        self.at += 1
        value = _value_of(action)
        draft = _Draft(self, action, given=arguments_stand)
        root, marks = draft.node(value), draft.marks()
        if draft.unchanged and (root is not None or room.result > 0):
            whole = _Draft(self, action, given=arguments_stand, anew=True)
            again = whole.node(value)
            said = (0 if root is None else root.size) + len("; ".join(marks))
            if again is not None and again.size + len("; ".join(whole.marks())) <= said:
                draft, root, marks = whole, again, whole.marks()
        if root is None and not marks:
            root = node_of(value)
        if root is not None and room.result <= 0:
            self._learn(root, draft, action.reference, is_stated=False)
            return f"{CUT} {action.reference}"
        text, is_text, is_cut = _written(root, action, room, named, is_whole=not draft.unchanged)
        self._learn(root, draft, action.reference, is_stated=not (is_cut and is_text))
        if is_cut:
            marks.append(action.reference)
        return f"{text} {CUT} {'; '.join(marks)}".lstrip() if marks else text

    def forget(self, action: Action) -> None:
        """Record a call whose result is neither written nor referred to."""
        self.at += 1
        draft = _Draft(self, action, given=False)
        self._learn(draft.node(_value_of(action)), draft, action.reference, is_stated=False)

    def arguments(self, action: Action) -> None:
        """Record the arguments of a call, which are statements too: ``scale {"replicas":5}``."""
        self.at += 1
        about = _about(action, is_call=True)
        for key, text in about.arguments.items():
            self.by_key.setdefault(key, []).append((self.at, about, text))

    def is_contradicted(self, key: str, text: str, since: int, about: About) -> bool:
        """True if a later statement may contradict this one, or if there are too many later statements."""
        for n, (at, other, said) in enumerate(reversed(self.by_key.get(key, ()))):
            if at <= since:
                return False
            if n >= MAX_COMPARED or (said != text and about.may_be(other)):
                return True
        return False

    def holds(self, scope: Scope) -> bool:
        """True if a value inside a record or list at this place was stated."""
        return bool(self.keys.get(scope) or self.rows.get(scope)) or (scope, "") in self.last

    def _forget_inside(self, scope: Scope) -> None:
        for place in [place for place in self.last if place[0][: len(scope)] == scope]:
            del self.last[place]
        for known in (self.keys, self.rows):
            for found in [found for found in known if found[: len(scope)] == scope]:
                del known[found]

    def _learn(self, root: Node | None, draft: _Draft, reference: str, *, is_stated: bool) -> None:
        for scope, key in draft.lost:
            self.last.pop((scope, key), None)
            inside = (*scope, key)
            if scope[0] == "thing" or inside in self.keys or inside in self.rows or (inside, "") in self.last:
                self._forget_inside(inside)
        for node, is_shown in walk(root) if root is not None else ():
            for place, text in node.states:
                if is_shown and is_stated:
                    self.last[place] = Entry(text, reference, self.at)
                else:
                    self.last.pop(place, None)
        for place in draft.unchanged:
            self.last[place] = self.last[place]._replace(at=self.at)
        for scope, keys in draft.keys.items():
            self.keys[scope] = keys
        for scope, rows in draft.rows.items():
            self.rows[scope] = rows
        if draft.lost:
            self.lost_at[draft.place] = reference
        self.known_as |= draft.known_as
        for key, about, text in draft.seen:
            self.by_key.setdefault(key, []).append((self.at, about, text))


def _written(root: Node | None, action: Action, room: Room, named: Named, *, is_whole: bool) -> tuple[str, bool, bool]:
    """Return the text to write, True if it is the tool's own text, and True if part of the result is omitted.

    The tool's own text is used if nothing is omitted and it is shorter; otherwise JSON.
    """
    if root is None:
        return "", False, False
    if root.kind == "leaf" and isinstance(root.value, str):
        text = cut_text(root.value, room.text)
        return text or '""', True, text != root.value
    if action.text and is_whole and len(action.text) <= min(root.size, room.rows):
        return action.text, True, False
    fit(root, room.result, named, room.rows)
    text = write(root)
    return text, False, any(node.cut or node.hidden for node, _ in walk(root)) or f'"{CUT} ' in text


def _value_of(action: Action) -> Any:
    """Return a result as its tool returned it."""
    return action.facts["result"] if list(action.facts) == ["result"] else action.facts


def _about(action: Action, *, is_call: bool = False) -> About:
    scalars = {
        k: compact(v) for k, v in action.input.items() if not isinstance(v, (dict, list)) and v not in (None, "")
    }
    place = (action.tool, compact(action.input), *(("call",) if is_call else ()))
    return About(place, scalars, frozenset(scalars.values()))


class _Draft:
    """The part of one result to write: all that is not already stated."""

    def __init__(self, ledger: Ledger, action: Action, *, given: bool, anew: bool = False) -> None:
        """Read the ledger, which is not changed except for the identifiers that this call reveals.

        Args:
            ledger: The statements so far.
            action: The call.
            given: True if arguments echoed in the result are omitted.
            anew: True to write unchanged values too.
        """
        self._ledger = ledger
        self._about = _about(action)
        self.place = self._about.place
        self._anew = anew
        self._given = {(k, text) for k, text in self._about.arguments.items()} if given else set()
        self._named = set(self._about.arguments.items())
        self._only = list(self._about.arguments.values()) if len(self._about.arguments) == 1 else []
        self.is_news = False
        self.unchanged: list[tuple[Scope, str]] = []
        self.gone: list[str] = []
        self.lost: list[tuple[Scope, str]] = []
        self.keys: dict[Scope, list[str]] = {}
        self.rows: dict[Scope, list[str]] = {}
        self.seen: list[tuple[str, About, str]] = []
        self.known_as: dict[tuple[str, str], tuple[Scope, tuple[str, str]]] = {}

    def node(self, value: Any) -> Node | None:
        """Return the node to write; None for nothing."""
        made = self._value(value, self._about.place, "", self._about, top=True)
        self.is_news = made is not None
        return made

    def marks(self) -> list[str]:
        """Return the marks for the parts that are not written."""
        found = []
        if self.unchanged:
            references = [self._ledger.last[place].reference for place in self.unchanged]
            references += [self._ledger.lost_at[self._about.place]] if self._about.place in self._ledger.lost_at else []
            since = max(references, key=_order)
            found.append(f"{'rest ' if self.is_news else ''}unchanged since {since}")
        if self.gone:
            found.append(f"no longer: {', '.join(map(str, some(self.gone)))}")
        return found

    def _value(self, value: Any, scope: Scope, key: str, about: About, *, top: bool = False) -> Node | None:
        if isinstance(value, dict) and value:
            self.lost += [(scope, key)] if (scope, key) in self._ledger.last else []
            return self._record(value, (*scope, key) if key else scope, key, about, top=top)
        if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
            self.lost += [(scope, key)] if (scope, key) in self._ledger.last else []
            return self._rows(value, (*scope, key), key, about)
        return self._leaf(value, scope, key, about, top=top)

    def _leaf(self, value: Any, scope: Scope, key: str, about: About, *, top: bool) -> Node | None:
        text, place = compact(value), (scope, key)
        self.seen += [(k, about, compact(v)) for k, v in values_of(value, key or str(self._about.place[0]))]
        if self._is_stated(place, value, about):
            self.unchanged.append(place)
            return None
        if self._ledger.holds((*scope, key)):
            self.lost.append(place)  # a record or rows were stated here
        elif not self._is_worth_writing(key, value, scope, about) and not (top and text in EMPTY):
            return None
        made = node_of(value, key)
        made.states = [(place, text)]
        return made

    def _is_stated(self, place: tuple[Scope, str], value: Any, about: About) -> bool:
        """True if this is the last statement of the place, and no later one contradicts it."""
        last = self._ledger.last.get(place)
        if last is None or self._anew or last.text != compact(value):
            return False
        keyed = values_of(value, place[1] or str(self._about.place[0]))
        return not any(self._ledger.is_contradicted(key, compact(v), last.at, about) for key, v in keyed)

    def _is_worth_writing(self, key: str, value: Any, scope: Scope, about: About) -> bool:
        """True unless it is an echo of the call's arguments, or is empty and was empty before."""
        text, last = compact(value), self._ledger.last.get((scope, key))
        if last is not None and last.text != text:
            return True
        if text in EMPTY:
            return self._ledger.is_contradicted(key, text, -1, about)
        return (key, text) not in self._given

    def _record(self, value: dict[str, Any], scope: Scope, key: str, about: About, *, top: bool) -> Node | None:
        place_scope = scope
        thing = self._thing(value)
        if thing is not None:
            scope, name = thing
            about = About(about.place, about.arguments, about.values | {name[1]}, name)
        elif key:
            about = About(about.place, about.arguments, about.values | {compact(key)}, about.row)
        items = [self._value(v, scope, k, about, top=top) for k, v in value.items()]
        shown = [item for item in items if item is not None]
        filled = [k for k, v in value.items() if compact(v) not in EMPTY or (scope, k) in self._ledger.last]
        self.keys[place_scope] = filled
        for k in self._ledger.keys.get(place_scope, ()):
            if k not in value:
                self.gone.append(k)
                self.lost.append((scope, k))
        if not shown:
            return None
        return Node("record", items=shown, key=key).measure()

    def _thing(self, value: dict[str, Any]) -> tuple[Scope, tuple[str, str]] | None:
        """Return the thing a record is about: the row an argument named, or the record its first scalar identifies."""
        scalars = [(k, compact(v)) for k, v in value.items() if _can_identify(v)]
        known = self._ledger.known_as
        self._ledger.identifiers.update(key for key, text in scalars if text in self._only)
        for n, found in enumerate(scalars):
            if found in known and found in self._named:
                return known[found]
            if found[0] in self._ledger.identifiers and (n == 0 or found[1] in self._only):
                return known.get(found, (("thing", *found), found))
        return None

    def _rows(self, rows: list[dict[str, Any]], scope: Scope, key: str, about: About) -> Node | None:
        name = row_key(rows)
        thing = self._thing(rows[0]) if len(rows) == 1 else None
        if name is None and len(rows) == 1:
            name = next((k for k, v in rows[0].items() if _can_identify(v)), None)
        if name is None:
            return self._list(rows, scope, key, about)
        changed: list[tuple[dict[str, Any], list[tuple[tuple[Scope, str], str]]]] = []
        names: list[str] = []
        telling = [k for k in rows[0] if _tells_apart(rows, k)]
        known = self._ledger.last
        for row in rows:
            found = (name, compact(row[name]))
            names.append(found[1])
            here: Scope = (*scope, *found)
            its_scope = here
            if name in self._ledger.identifiers:
                its_scope, found = self._ledger.known_as.get(found, (("thing", *found), found))
            if thing is not None:
                its_scope, found = thing
            its = About(about.place, about.arguments, about.values | {found[1]}, found)
            self.seen += [(k, its, compact(v)) for k, v in values_of(row)]
            missing = [k for k in self._ledger.keys.get(here, ()) if k not in row]
            self.lost += [(its_scope, k) for k in missing]
            self.keys[here] = [k for k, v in row.items() if compact(v) not in EMPTY or (its_scope, k) in known]
            self.known_as |= {(k, compact(row[k])): (its_scope, found) for k in telling}
            news = [k for k, v in row.items() if not self._is_known_of_row(k, v, its_scope, its)]
            if not news and not missing:
                self.unchanged += [(its_scope, k) for k in row if (its_scope, k) in self._ledger.last]
                continue
            kept = {k: v for k, v in row.items() if k == name or self._is_worth_writing(k, v, its_scope, its)}
            changed.append((kept, [((its_scope, k), compact(v)) for k, v in row.items()]))
        self.rows[scope] = names
        for old in self._ledger.rows.get(scope, ()):
            if old not in names:
                self.gone.append(old.strip('"'))
                self.lost += [(scope, ""), (("thing", name), old)]
                self.lost += [((*scope, name), old)]
        return self._table(changed, name, key) if changed else None

    def _is_known_of_row(self, key: str, value: Any, scope: Scope, about: About) -> bool:
        is_nothing = compact(value) in EMPTY and (scope, key) not in self._ledger.last
        if is_nothing and not self._anew:
            return not self._is_worth_writing(key, value, scope, about)
        return self._is_stated((scope, key), value, about)

    def _list(self, rows: list[dict[str, Any]], scope: Scope, key: str, about: About) -> Node | None:
        """Return the node of rows without identifiers: together they are one value."""
        text, place = compact(rows), (scope, "")
        self.seen += [(k, about, compact(v)) for k, v in values_of(rows)]
        if self._is_stated(place, rows, about):
            self.unchanged.append(place)
            return None
        kept = [{k: v for k, v in row.items() if self._is_worth_writing(k, v, scope, about)} for row in rows]
        made = self._table([(row, []) for row in kept], None, key)
        made.states = [(place, text)]
        return made

    def _table(self, rows: list[tuple[dict[str, Any], list[Any]]], name: str | None, key: str) -> Node:
        same = [k for k in shared_fields([row for row, _ in rows]) if k != name]
        shared = {k: rows[0][0][k] for k in same}
        if sum(len(compact(k)) + len(compact(v)) + 2 for k, v in shared.items()) * (len(rows) - 1) < len(
            '{"all":{},"rows":}'
        ):
            shared, same = {}, []
        items = []
        for row, states in rows:
            item = node_of({k: v for k, v in row.items() if k not in shared})
            item.name = None if name is None or name not in row else (name, row[name])
            item.states = states
            items.append(item)
        return Node("list", items=items, key=key, shared=node_of(shared) if shared else None).measure()


def _tells_apart(rows: list[dict[str, Any]], key: str) -> bool:
    found = [row.get(key) for row in rows]
    return all(isinstance(v, str) and v for v in found) and len(set(found)) == len(found)


def _can_identify(value: Any) -> bool:
    return isinstance(value, (str, int)) and not isinstance(value, bool) and value != ""


def _order(reference: str) -> tuple[int, int]:
    turn, _, step = reference.removeprefix("t").partition(".s")
    return (int(turn), int(step)) if turn.isdigit() and step.isdigit() else (0, 0)
