"""Text whose lines are keys and values, set in to show what belongs to what: YAML, markdown lists, printed records."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MAX_LINES = 5000
MAX_DEPTH = 30

_BULLET = re.compile(r"(?:[-*+•]|\d{1,4}[.)])(?:\s+|$)")
_KEYED = re.compile(
    r"""(?:\*\*)?(?:"(?P<double>[^"]{1,60})"|'(?P<single>[^']{1,60})'|(?P<bare>[^\W\d][\w .()/\[\]-]{0,59}?))
    (?:\*\*)?\s*(?:(?::(?:\*\*)?|(?<=\s)=)(?:\s+(?P<value>\S.*)|\s*)|=(?P<tight>\S.*))""",
    re.VERBOSE,
)
_TEXT_BEGINS = re.compile(r"[|>][+-]?")
_PATH = re.compile(r"[^\W\d][\w-]*(?:\[\d{1,5}\]|\.[\w-]+)+")
_PATH_PART = re.compile(r"\[(\d+)\]|\.?([\w-]+)")
_SCALARS: dict[str, Any] = {
    "": None,
    "~": None,
    "null": None,
    "None": None,
    "true": True,
    "True": True,
    "false": False,
    "False": False,
    "[]": [],
    "{}": {},
}


class _NoOutlineError(ValueError):
    """The text is something else."""


@dataclass(frozen=True, slots=True)
class _Line:
    indent: int
    text: str
    bullet: bool


def read_outline(text: str) -> dict[str, Any] | list[Any] | None:
    """The tree of a text all of whose lines are keys with values, or items; None where it is something else."""
    written = [line for line in text.splitlines() if line.strip()]
    if not 2 <= len(written) <= MAX_LINES:
        return None
    first = _line(written[0])
    if not first.bullet and _KEYED.fullmatch(first.text) is None:
        return None  # most prose and code is known by its first line
    lines = [_line(line) for line in written]
    if not any(_KEYED.fullmatch(line.text) for line in lines):
        return None
    try:
        value, end = _block(lines, 0, 0)
    except _NoOutlineError:
        return None
    if end < len(lines) or not isinstance(value, (dict, list)):
        return None
    if isinstance(value, list) and not all(isinstance(item, dict) for item in value):
        return None  # a list of sentences
    return _unflattened(value) if isinstance(value, dict) else value


def _line(line: str) -> _Line:
    line = line.expandtabs(4)
    bare = line.strip()
    bullet = _BULLET.match(bare)
    indent = len(line) - len(line.lstrip())
    return _Line(indent, bare[bullet.end() :] if bullet else bare, bullet is not None)


def _block(lines: Sequence[_Line], start: int, depth: int) -> tuple[Any, int]:
    """What the lines from `start` on say that are set in no less than its first."""
    if depth > MAX_DEPTH:
        raise _NoOutlineError
    return (_items if lines[start].bullet else _mapping)(lines, start, depth)


def _mapping(lines: Sequence[_Line], start: int, depth: int) -> tuple[Any, int]:
    records: list[dict[str, Any]] = [{}]
    indent, at = lines[start].indent, start
    first = None
    while at < len(lines) and lines[at].indent == indent and not lines[at].bullet:
        key, said = _keyed(lines[at].text)
        first = first or key
        if key == first and records[-1]:
            records.append({})  # the first key again: another record
        if key in records[-1]:
            raise _NoOutlineError
        records[-1][key], at = _value(lines, at, said, depth)
    if at < len(lines) and lines[at].indent > indent:
        raise _NoOutlineError
    return (records if len(records) > 1 else records[0]), at


def _value(lines: Sequence[_Line], at: int, said: str, depth: int) -> tuple[Any, int]:
    """What stands behind a key: on its line, or set in below it, items perhaps not."""
    line, below = lines[at], lines[at + 1] if at + 1 < len(lines) else None
    inside = below is not None and (
        below.indent > line.indent or (below.indent == line.indent and below.bullet and not line.bullet)
    )
    if said:
        value, end = _continued(lines, at + 1, line.indent, said)
        if end < len(lines) and lines[end].indent > line.indent:
            raise _NoOutlineError
        return value, end
    if inside:
        return _block(lines, at + 1, depth + 1)
    return None, at + 1


def _continued(lines: Sequence[_Line], at: int, indent: int, said: str) -> tuple[Any, int]:
    """A value and the lines it goes on in, set in deeper: folded, or as they stand behind a ``|``."""
    start, as_it_stands = at, _TEXT_BEGINS.fullmatch(said) is not None
    while at < len(lines) and lines[at].indent > indent:
        if not as_it_stands and (lines[at].bullet or _KEYED.fullmatch(lines[at].text)):
            break
        at += 1
    if at == start:
        return _scalar(said), at
    if any(line.bullet for line in lines[start:at]):
        raise _NoOutlineError
    more = [line.text for line in lines[start:at]]
    return ("\n".join(more) if as_it_stands else " ".join([said, *more])), at


def _items(lines: Sequence[_Line], start: int, depth: int) -> tuple[Any, int]:
    found: list[Any] = []
    indent, at = lines[start].indent, start
    while at < len(lines) and lines[at].indent == indent and lines[at].bullet:
        value, at = _item(lines, at, depth)
        found.append(value)
    if at < len(lines) and lines[at].indent > indent:
        raise _NoOutlineError
    return _merged(found), at


def _item(lines: Sequence[_Line], at: int, depth: int) -> tuple[Any, int]:
    line = lines[at]
    end = at + 1
    while end < len(lines) and lines[end].indent > line.indent:
        end += 1
    if not line.text:
        if end == at + 1:
            return None, end
        value, reached = _block(lines, at + 1, depth + 1)
        if reached != end:
            raise _NoOutlineError
        return value, end
    if _KEYED.fullmatch(line.text) is None:
        if end > at + 1:
            raise _NoOutlineError
        return _scalar(line.text), end
    key, said = _keyed(line.text)
    below = lines[at + 1 : end]
    if below and not said and (below[0].bullet or below[0].indent > line.indent + 2):
        value, reached = _block(lines, at + 1, depth + 1)
        rest = reached
    else:
        value, rest = _continued(lines[:end], at + 1, line.indent + 2, said) if said else (None, at + 1)
    if rest == end:
        return {key: value}, end
    more, reached = _block(lines, rest, depth + 1)
    if reached != end or not isinstance(more, dict) or key in more:
        if not said and rest == at + 1 and reached == end:
            return {key: more}, end
        raise _NoOutlineError
    if not said and value is None:
        return {key: more}, end
    return {key: value, **more}, end


def _merged(items: list[Any]) -> Any:
    """Items of one key each, all of them different, are a mapping."""
    if len(items) < 2 or not all(isinstance(item, dict) and len(item) == 1 for item in items):
        return items
    keys = [key for item in items for key in item]
    return {key: value for item in items for key, value in item.items()} if len(set(keys)) == len(keys) else items


def _keyed(text: str) -> tuple[str, str]:
    match = _KEYED.fullmatch(text)
    if match is None:
        raise _NoOutlineError
    key = match["double"] or match["single"] or match["bare"]
    return key.strip(), (match["value"] or match["tight"] or "").strip()


def _scalar(text: str) -> Any:
    if text in _SCALARS:
        return _SCALARS[text]
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    for number in (int, float):
        try:
            if str(number(text)) == text:
                return number(text)
        except (ValueError, OverflowError):
            pass
    return text


def _unflattened(mapping: dict[str, Any]) -> dict[str, Any]:
    """``flights[0].number`` and the like as the tree they spell, where most keys are such."""
    paths = [key for key in mapping if _PATH.fullmatch(key)]
    if len(paths) < 2 or 2 * len(paths) < len(mapping):
        return mapping
    root: dict[str, Any] = {}
    for key, value in mapping.items():
        parts = [int(n) if n else name for n, name in _PATH_PART.findall(key)] if key in paths else [key]
        here: Any = root
        for part, following in zip(parts, [*parts[1:], None], strict=True):
            if not isinstance(here, dict):
                return mapping
            here = here.setdefault(part, value if following is None else {})
    tree = _listed(root)
    return tree if isinstance(tree, dict) else mapping


def _listed(value: Any) -> Any:
    """Mappings from 0, 1, 2 … as lists."""
    if not isinstance(value, dict):
        return value
    if value and list(value) == list(range(len(value))):
        return [_listed(inner) for inner in value.values()]
    return {str(key): _listed(inner) for key, inner in value.items()}
