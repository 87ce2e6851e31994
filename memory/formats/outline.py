"""Reads lines of keys and values that are no YAML: markdown lists, ``key = value``, dotted paths, records.

Each line is rewritten as the YAML it means, and YAML's parser does the rest.
"""

from __future__ import annotations

import json
import re
from typing import Any

from agentkit.memory.formats.yaml_text import MAX_CHARS, NotYamlError, parse_yaml, plain_scalar

_LINE = re.compile(r"(?P<indent>\s*)(?P<bullet>(?:(?:[-*+•]|\d{1,4}[.)])\s+)?)(?P<rest>.*)")
_KEYED = re.compile(
    r"""(?:\*\*)?(?:"(?P<double>[^"]{1,60})"|'(?P<single>[^']{1,60})'|(?P<bare>[^\W\d][\w .()/\[\]-]{0,59}?))
    (?:\*\*)?\s*(?:(?::(?:\*\*)?|(?<=\s)=)(?:\s+(?P<value>\S.*)|\s*)|=(?P<tight>\S.*))""",
    re.VERBOSE,
)
_PATH = re.compile(r"[^\W\d][\w-]*(?:\[\d{1,5}\]|\.[\w-]+)+")
_PATH_PART = re.compile(r"\[(\d+)\]|\.?([\w-]+)")


def read_outline(text: str) -> dict[str, Any] | list[Any] | None:
    """Return the tree of a text all of whose lines are keys with values, or items; None if it is something else."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2 or len(text) > MAX_CHARS:
        return None
    written: list[str] = []
    for line in lines:
        meant = _as_yaml(line.expandtabs(4))
        if meant is None or (not written and ":" not in meant):
            return None  # the first line rules out most prose and code
        written.append(meant)
    try:
        value = _merged(parse_yaml("\n".join(written), repeated_keys=True)[0])
    except (NotYamlError, RecursionError):
        return None
    is_records = isinstance(value, list) and all(isinstance(item, dict) for item in value)
    return value if is_records or isinstance(value, dict) else None


def _as_yaml(line: str) -> str | None:
    """Return a line as YAML, its value quoted unless it is a number or a word YAML knows; None if it is prose."""
    parts = _LINE.fullmatch(line)
    if parts is None:
        return None
    lead = parts["indent"] + ("-".ljust(len(parts["bullet"])) if parts["bullet"] else "")
    keyed = _KEYED.fullmatch(parts["rest"].strip())
    if keyed is None:
        return lead + json.dumps(parts["rest"].strip()) if parts["bullet"] else None
    key = keyed["double"] or keyed["single"] or keyed["bare"]
    value = (keyed["value"] or keyed["tight"] or "").strip()
    return f"{lead}{json.dumps(key.strip())}: {_value(value)}"


def _value(text: str) -> str:
    if text in ("[]", "{}") or (len(text) >= 2 and text[0] == text[-1] == '"' and _is_json(text)):
        return text
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return json.dumps(text[1:-1])
    return text if not isinstance(plain_scalar(text), str) else json.dumps(text)


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), str)
    except ValueError:
        return False


def _merged(value: Any) -> Any:
    """Return a tree in which a list of items with one key each, all different, becomes a mapping."""
    if isinstance(value, dict):
        return {key: _merged(inner) for key, inner in value.items()}
    if not isinstance(value, list):
        return value
    items = [_merged(item) for item in value]
    if len(items) < 2 or not all(isinstance(item, dict) and len(item) == 1 for item in items):
        return items
    keys = [key for item in items for key in item]
    return {key: value for item in items for key, value in item.items()} if len(set(keys)) == len(keys) else items


def unflattened(mapping: dict[str, Any]) -> dict[str, Any]:
    """Return keys such as ``flights[0].number`` as a tree, if most keys are such paths and some have an index.

    Keys with only dots are as often names as paths, and are not changed.
    """
    paths = [key for key in mapping if _PATH.fullmatch(key)]
    if len(paths) < 2 or 2 * len(paths) < len(mapping) or not any("[" in key for key in paths):
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
    """Return the tree with mappings from 0, 1, 2 … as lists."""
    if not isinstance(value, dict):
        return value
    if value and list(value) == list(range(len(value))):
        return [_listed(inner) for inner in value.values()]
    return {str(key): _listed(inner) for key, inner in value.items()}
