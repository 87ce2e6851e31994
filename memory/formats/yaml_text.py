"""Reads YAML with PyYAML's parser, and builds the tree from its events.

PyYAML's own constructors change values: ``0852`` becomes a number, ``yes`` a boolean, a date an object. Here a plain
scalar stays text unless it is a number that prints the same. Reading events also needs no recursion, so no depth of
brackets crashes the process, and anchors are refused before an alias can multiply them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

MAX_CHARS = 200_000
"""PyYAML's pure parser, used where libyaml is missing, reads about 100,000 characters a second."""
MAX_DEPTH = 40
MAX_KEY_CHARS = 60
"""A longer plain key is a sentence with a colon in it; chosen by hand."""

_LIKELY = re.compile(r"(?:[^#%\s-]|-[^\s-]).*?:(?:\s|$)|-(?:\s|$)|[{\[]", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,40}(?:\.\d{1,40}(?:e[+-]?\d{1,3})?)?")
_SKIPPED = ("#", "%", "---")
_WORDS: dict[str, Any] = {word: None for word in ("", "~", "null", "Null", "NULL")}
_WORDS |= {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


class NotYamlError(ValueError):
    """The text is not YAML, or is YAML that is refused."""


def read_yaml(text: str) -> dict[str, Any] | list[Any] | None:
    """Return the tree of a YAML text, its documents as a list if there are several; None if it is something else.

    Anchors, aliases, keys that are no scalars and repeated keys are refused. So are lists without a mapping
    (they are more likely prose), and values that start below their key's line without being nested (code).
    """
    if len(text) > MAX_CHARS or "\x00" in text or not _is_likely(text):
        return None
    try:
        documents = parse_yaml(text)
    except ValueError:
        return None
    value = documents[0] if len(documents) == 1 else documents
    if isinstance(value, dict):
        return value or None
    is_records = isinstance(value, list) and bool(value) and all(isinstance(item, dict) and item for item in value)
    return value if is_records else None


def plain_scalar(text: str) -> Any:
    """Return the value of an unquoted scalar: null, a boolean, a number that prints as written, or the text."""
    if text in _WORDS:
        return _WORDS[text]
    if _NUMBER.fullmatch(text) is None:
        return text
    number = float(text) if "." in text else int(text)
    return number if str(number) == text else text


def parse_yaml(text: str, *, repeated_keys: bool = False) -> list[Any]:
    """Return the documents of a YAML text.

    Args:
        text: The text.
        repeated_keys: Read a mapping whose first key comes again as a list of records.

    Raises:
        NotYamlError: The text is not YAML, or has an anchor, an alias, or another refused feature.
    """
    import yaml  # only here: it takes 20 ms to import

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        return _Builder(text, repeated_keys).build(yaml.parse(text, Loader=loader))
    except yaml.YAMLError as error:
        raise NotYamlError(str(error)) from error


def _is_likely(text: str) -> bool:
    """True if the first line with content starts an item, a flow collection or a key."""
    lines = [line for line in text.splitlines() if line.strip()]
    first = next((line.strip(" \t") for line in lines if not line.lstrip().startswith(_SKIPPED)), "")
    return (len(lines) > 1 or first[:1] in ("{", "[")) and _LIKELY.match(first) is not None


class _Builder:
    """Builds the documents of a text from the parser's events."""

    def __init__(self, text: str, repeated_keys: bool) -> None:
        self._text = text
        self._repeated_keys = repeated_keys
        self._documents: list[Any] = []
        # Per open collection: True for a mapping, its items (keys and values alternate), the last line of each key.
        self._open: list[tuple[bool, list[Any], list[int]]] = []

    def build(self, events: Iterable[Any]) -> list[Any]:
        import yaml

        for event in events:
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise NotYamlError("anchors and aliases are not read")
            if isinstance(event, yaml.ScalarEvent):
                self._add(self._scalar(event))
            elif isinstance(event, yaml.CollectionStartEvent):
                if len(self._open) >= MAX_DEPTH or self._awaits_key():
                    raise NotYamlError("too deep, or a key that is no scalar")
                self._open.append((isinstance(event, yaml.MappingStartEvent), [], []))
            elif isinstance(event, yaml.CollectionEndEvent):
                is_mapping, items, _ = self._open.pop()
                self._add(self._mapping(items) if is_mapping else items)
        return self._documents

    def _awaits_key(self) -> bool:
        return bool(self._open) and self._open[-1][0] and len(self._open[-1][1]) % 2 == 0

    def _add(self, value: Any) -> None:
        (self._open[-1][1] if self._open else self._documents).append(value)

    def _scalar(self, event: Any) -> Any:
        is_plain = event.style in (None, "")
        if self._awaits_key():
            if is_plain and len(event.value) > MAX_KEY_CHARS:
                raise NotYamlError("a sentence")
            self._open[-1][2].append(event.end_mark.line)
            return event.value
        if not is_plain:
            return event.value
        if event.value and self._open and self._open[-1][0] and event.start_mark.line > self._open[-1][2][-1]:
            raise NotYamlError("a value below its key, as code has it")
        end = event.end_mark.index
        rest = self._text[end : self._text.find("\n", end) % (len(self._text) + 1)].strip()
        if rest.startswith("#") and rest[1:2].strip():
            raise NotYamlError("a value such as #4471, which YAML would drop as a comment")
        return plain_scalar(event.value)

    def _mapping(self, items: list[Any]) -> Any:
        keys, values = items[::2], items[1::2]
        if len(set(keys)) == len(keys):
            return dict(zip(keys, values, strict=True))
        if not self._repeated_keys:
            raise NotYamlError("a key comes twice")
        records: list[dict[str, Any]] = []
        for key, value in zip(keys, values, strict=True):
            if key == keys[0]:
                records.append({})
            if key in records[-1]:
                raise NotYamlError("a key comes twice within a record")
            records[-1][key] = value
        return records
