"""Pattern files: the TOML in which patterns are listed, one ``[[pattern]]`` table each."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from agentkit.base.text import shorten
from agentkit.errors import ConfigError
from agentkit.tools.regex.pattern import Pattern


class PatternFile(NamedTuple):
    """The content of a pattern file.

    Attributes:
        patterns: Its ``[[pattern]]`` tables, in order.
        filler: Its ``filler = [...]``, not checked yet; () if there is none.
        min_score: Its ``min_score``, not checked yet; 0 if there is none.
    """

    patterns: list[Pattern]
    filler: Any
    min_score: Any


def load_pattern_file(path: str | Path) -> PatternFile:
    """Return the patterns of a TOML file and its settings of the extractor.

    Raises:
        ConfigError: The file cannot be read, is not TOML, or a pattern in it cannot work.
    """
    if not isinstance(path, (str, PurePath)):
        raise ConfigError(f"The path to the patterns is {shorten(repr(path))}: give the path of a TOML file.")
    file = Path(path)
    content = _read_toml(file)
    patterns = []
    for number, table in enumerate(content["pattern"], start=1):
        try:
            patterns.append(_from_table(table, number))
        except ConfigError as error:
            raise ConfigError(f"{file}: {error}") from error
    return PatternFile(patterns, content.get("filler", ()), content.get("min_score", 0.0))


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ConfigError(f"{file}: there is no such file; check the path to the patterns.") from error
    except OSError as error:
        raise ConfigError(
            f"{file}: cannot be read ({error.strerror or error}); give the path of a TOML file."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: is not UTF-8 (byte {error.start}); save it as UTF-8 text.") from error
    except tomllib.TOMLDecodeError as error:
        hint = "write a regex in single quotes, '...', where a backslash needs no doubling"
        raise ConfigError(f"{file}: is not valid TOML: {error}. If it is about a regex: {hint}.") from error
    except RecursionError as error:
        raise ConfigError(
            f"{file}: is nested too deep; it may hold only filler, min_score and [[pattern]] tables."
        ) from error
    unknown = [key for key in content if key not in ("pattern", "filler", "min_score")]
    if unknown:
        raise ConfigError(
            f"{file}: unknown key {shorten(unknown[0])!r}; the file may hold only filler, min_score and, "
            "below them, [[pattern]] tables."
        )
    tables = content.get("pattern", [])
    if not isinstance(tables, list):
        raise ConfigError(f"{file}: 'pattern' is a {type(tables).__name__}; write [[pattern]] with double brackets.")
    if not tables:
        raise ConfigError(f"{file}: has no pattern; add a [[pattern]] table with name and regex.")
    return content


def _from_table(table: object, number: int) -> Pattern:
    if not isinstance(table, Mapping):
        raise ConfigError(f"pattern {number} is {shorten(repr(table))}; write a [[pattern]] table with name and regex.")
    if "name" not in table:
        raise ConfigError(f"pattern {number}, field 'name': it is missing; write name = '...'.")
    return Pattern(**table)
