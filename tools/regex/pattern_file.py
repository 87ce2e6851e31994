"""Pattern files: the TOML in which patterns are listed, one ``[[pattern]]`` table each."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from agentkit.base.text import shorten
from agentkit.errors import ConfigError
from agentkit.tools.regex.pattern import Pattern

_KEYS = {"pattern": "patterns", "filler": "filler", "min_score": "min_score"}  # in the file: in RegexExtractor


def load_pattern_file(path: str | Path) -> dict[str, Any]:
    """Return the arguments of `RegexExtractor` that a TOML file gives; all but the patterns are not checked yet.

    Raises:
        ConfigError: The file cannot be read, is not TOML, or a pattern in it cannot work.
    """
    if not isinstance(path, (str, PurePath)):
        raise ConfigError(f"The path to the patterns is {shorten(repr(path))}: give the path of a TOML file.")
    try:
        content = _read_toml(Path(path))
        content["pattern"] = [_pattern(table, number) for number, table in enumerate(content["pattern"], start=1)]
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return {_KEYS[key]: value for key, value in content.items()}


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ConfigError("there is no such file; check the path to the patterns.") from error
    except OSError as error:
        raise ConfigError(f"cannot be read ({error.strerror or error}); give the path of a TOML file.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"is not UTF-8 (byte {error.start}); save it as UTF-8 text.") from error
    except tomllib.TOMLDecodeError as error:
        hint = "write a regex in single quotes, '...', where a backslash needs no doubling"
        raise ConfigError(f"is not valid TOML: {error}. If it is about a regex: {hint}.") from error
    except RecursionError as error:
        raise ConfigError("is nested too deep; it may hold only filler, min_score and [[pattern]] tables.") from error
    for key in content:
        if key not in _KEYS:
            raise ConfigError(
                f"unknown key {shorten(key)!r}; the file may hold only filler, min_score and, below them, [[pattern]] "
                "tables."
            )
    tables = content.get("pattern", [])
    if not isinstance(tables, list):
        raise ConfigError(f"'pattern' is a {type(tables).__name__}; write [[pattern]] with double brackets.")
    if not tables:
        raise ConfigError("has no pattern; add a [[pattern]] table with name and regex.")
    return content


def _pattern(table: object, number: int) -> Pattern:
    if not isinstance(table, Mapping):
        raise ConfigError(f"pattern {number} is {shorten(repr(table))}; write a [[pattern]] table with name and regex.")
    if "name" not in table:
        raise ConfigError(f"pattern {number}, field 'name': it is missing; write name = '...'.")
    return Pattern(**table)
