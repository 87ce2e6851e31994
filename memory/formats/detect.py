"""Detects the format of a result: JSON, Python, XML, YAML, tables, keyed lines, or one of these in prose."""

from __future__ import annotations

import json
import re
from typing import Any

from agentkit.memory.formats.markup import read_markup
from agentkit.memory.formats.outline import read_outline, unflattened
from agentkit.memory.formats.python_text import read_literal, read_literal_at
from agentkit.memory.formats.tables import read_table
from agentkit.memory.formats.yaml_text import read_yaml

MAX_JSON_CHARS = 2_000_000
MAX_DEPTH = 8
MAX_LABEL_CHARS = 40

_FENCED = re.compile(r"```[\w+-]*[ \t]*\n(.*?)\n?[ \t]*```", re.DOTALL)
_LABEL = re.compile(r"[^\W\d][\w ]*")
_OPENING = re.compile(r"[{\[]")
_TRIES = 5
_SIGN = re.compile(r"^\s*[-*+] |[\n{\[(<:=|\t]")
"""Some sign of a form: a line of text without any is no tree, and no reader needs to try it."""


def read(text: str) -> Any:
    """Return the tree or the rows of a text; None if it is prose, code, or empty.

    JSON inside a JSON text is read too, and so are the text blocks in which a tool server wraps its result.
    """
    text = text.strip("\n")
    if not _SIGN.search(text):
        return None
    bare = text.strip()
    for reader in (_json, _json_lines, read_literal, read_markup):
        value = reader(bare)
        if value is not None:
            return _opened(value)
    rows = read_table(text)
    if rows is not None:
        return {"rows": rows}
    for reader in (read_yaml, read_outline, _within):
        value = reader(text)
        if value is not None:
            return _opened(unflattened(value) if isinstance(value, dict) else value)
    return None


def _json(text: str) -> Any:
    if text[:1] not in ("{", "[") or len(text) > MAX_JSON_CHARS:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _json_lines(text: str) -> dict[str, Any] | None:
    """Return the mappings of JSON Lines; None if a line is something else."""
    lines = text.splitlines()
    if len(lines) < 2 or len(text) > MAX_JSON_CHARS or not all(line[:1] == "{" and line[-1:] == "}" for line in lines):
        return None
    try:
        return {"rows": [json.loads(line) for line in lines]}
    except (ValueError, RecursionError):
        return None


def _opened(value: Any, depth: int = 0) -> Any:
    """Return a tree in which texts that are JSON, and text blocks, are replaced by their trees."""
    if depth >= MAX_DEPTH or not isinstance(value, (str, dict, list)):
        return value
    if isinstance(value, str):
        inner = _json(value.strip()) if len(value) > 2 else None
        return value if inner is None else _opened(inner, depth + 1)
    if isinstance(value, dict):
        return {key: _opened(inner, depth + 1) for key, inner in value.items()}
    if value and all(map(_is_block, value)):
        texts = [block["text"] for block in value]
        return _read_or_text(texts[0]) if len(texts) == 1 else [_opened(text, depth + 1) for text in texts]
    return [_opened(inner, depth + 1) for inner in value]


def _is_block(item: Any) -> bool:
    """True if the item is a text block of MCP or a chat API."""
    return isinstance(item, dict) and item.get("type") == "text" and isinstance(item.get("text"), str)


def _read_or_text(text: str) -> Any:
    value = read(text)
    return text if value is None else value


def _within(text: str) -> dict[str, Any] | None:
    """Return the one tree that makes up most of a text, and the text around it."""
    text = text.strip()
    fences = list(_FENCED.finditer(text))
    if fences:
        if len(fences) > 1:
            return None
        start, end, value = *fences[0].span(), read(fences[0][1])
    else:
        found = _tree_in(text)
        if found is None:
            return None
        start, end, value = found
    if not isinstance(value, (dict, list)) or not value or 2 * (end - start) < len(text):
        return None
    said, behind = text[:start].strip(), text[end:].strip()
    label = said.removesuffix(":").strip()
    if not behind and len(label) <= MAX_LABEL_CHARS and _LABEL.fullmatch(label):
        return {label: value}
    around = " … ".join(part for part in (said, behind) if part)
    return {"text": around, **(value if isinstance(value, dict) and "text" not in value else {"result": value})}


def _tree_in(text: str) -> tuple[int, int, Any] | None:
    """Return the first tree with several values in a text: its start, its end, and the tree."""
    decoder = json.JSONDecoder()
    for tries, match in enumerate(_OPENING.finditer(text, 0, MAX_JSON_CHARS)):
        if tries == _TRIES or 2 * match.start() > len(text):
            break
        try:
            value, end = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            found = read_literal_at(text, match.start())
            if found is None:
                continue
            value, end = found
        if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(item, dict) for item in value)):
            return match.start(), end, value
    return None
