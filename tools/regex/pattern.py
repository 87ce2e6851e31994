"""One kind of code to look for: the `Pattern`, checked as it is made, and the TOML files that list them.

Every mistake in a pattern is a `ConfigError` that names the pattern, the field, the value and what to write
instead; one that comes from a file names the file as well.
"""

from __future__ import annotations

import math
import string
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path, PurePath
from typing import Any, Literal, NamedTuple

import re2

from agentkit.base.text import shorten
from agentkit.errors import ConfigError
from agentkit.tools.regex.backtracking import compile_backtracking
from agentkit.tools.regex.checks import CHECKS, CONVERTERS

NORMALIZE = ("nfkc", "hyphens", "lower", "upper")
ENGINES = ("re2", "regex")
_TEXT_FIELDS = ("name", "parameter", "regex", "near", "template", "boundary", "glue", "engine", "description", "id")
_LIST_FIELDS = ("normalize", "context", "deny", "examples", "non_examples")
_NUMBER_FIELDS = ("timeout_s", "score", "context_score")
_NOT_IN_RE2 = {
    "invalid perl operator: (?=": "lookahead",
    "invalid perl operator: (?!": "lookahead",
    "invalid perl operator: (?<": "lookbehind",
    "invalid perl operator: (?>": "atomic groups",
}


@dataclass(frozen=True, kw_only=True)
class Pattern:
    r"""One kind of code.

    Attributes:
        name: What the pattern is called; unique in an extractor.
        parameter: The key its values are listed under; None takes `name`. Patterns may share one.
        regex: RE2 syntax: ``\d \w \s`` are ASCII, there is no lookaround and no back-reference.
            Each search is linear in the text; only a regex whose short matches need a look far ahead, such as
            ``.*end|a``, makes the whole scan slower than that.
        engine: "re2", or "regex" for lookaround and back-references: the PyPI package of that name (extra
            ``regex``), which backtracks and so runs under `timeout_s`. ``\d \w \s`` are ASCII there, too.
        timeout_s: Seconds one search of one text may take with the engine "regex"; one that takes longer is an
            error that names the pattern. Above 0; RE2 needs none and ignores it.
        group: Number or name of the group that is the code; 0 is the whole match.
        template: How the value is written, with groups in braces as in ``"urn:{id}"`` or ``"{1}/{2}"``;
            None takes the group as found.
        boundary: With "token" a match that touches another letter or digit on either side is not a code but
            a near miss; with "none" it is one.
        glue: Characters that make one token of the letters and digits on both their sides, such as ``"."`` for
            addresses: with it 1.2.3.4 is not found in 1.2.3.4.5. Only with the boundary "token".
        ignore_case: Whether ``a`` also matches ``A``.
        normalize: "nfkc" and "hyphens" (typographic hyphens become ``-``) are applied to the text before
            matching, "lower" and "upper" to the value. Spans always point into the text as given.
        convert: Rewrites the value ("compact" takes blanks and hyphens out; `CONVERTERS` names the others), or a
            function from the value to the text that is sent on, or to None where it is no code; None leaves it.
        validate: A check the value must pass, else it is a near miss: "luhn", "mod97", "uuid", "uuid4",
            "uuid7", "isbn", or a function from the value to a bool; None checks nothing.
        deny: Values that are never codes, such as samples out of a manual; in any case with `ignore_case`.
        context: Words of which one must stand near the match, in any case; empty asks for none.
        context_chars: How many characters before and after the match are searched for them.
        score: How sure a match is, from 0 to 1; `RegexExtractor.min_score` draws the line.
        context_score: The score of a match with a context word nearby; one without then counts too, with
            `score`. None: without a context word it is a near miss.
        near: A looser regex for what someone may have meant. What it finds where there is no match is a near
            miss, never a value. None: only what the pattern itself rejects.
        priority: Of overlapping matches the highest priority wins, then the longest, then the first declared.
        unique: Whether a value is listed once, at its first place; False lists every occurrence.
        max_matches: At most this many matches of the pattern, the rest are near misses; None is no limit.
        description: What the code is, for people.
        id: Your own name for it, such as a key of a catalogue; handed on in `Match.id`.
        examples: Texts in which the pattern must find something. Checked when an extractor is made.
        non_examples: Texts in which it must find nothing. Checked then, too.

    Raises:
        ConfigError: A field is missing, of the wrong type, or cannot work.
    """

    name: str
    regex: str
    parameter: str | None = None
    group: int | str = 0
    template: str | None = None
    engine: Literal["re2", "regex"] = "re2"
    timeout_s: float = 1.0
    boundary: Literal["token", "none"] = "token"
    glue: str = ""
    ignore_case: bool = False
    normalize: Sequence[str] = ()
    convert: str | Callable[[str], str | None] | None = None
    validate: str | Callable[[str], bool] | None = None
    deny: Sequence[str] = ()
    context: Sequence[str] = ()
    context_chars: int = 40
    score: float = 1.0
    context_score: float | None = None
    near: str | None = None
    priority: int = 0
    unique: bool = True
    max_matches: int | None = None
    description: str = ""
    id: str = ""
    examples: Sequence[str] = ()
    non_examples: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Check every field."""
        self._check_types()
        self._check_choices()
        regex = compile_backtracking(self) if self.engine == "regex" else self._compiled(self.regex, "regex")
        if regex.fullmatch("") is not None:
            raise self.error("regex", self.regex, "it matches the empty text; ask for at least one character")
        self._check_groups(regex)
        if self.near is not None:
            self._compiled(self.near, "near")

    @property
    def key(self) -> str:
        """The parameter its values are listed under."""
        return self.parameter or self.name

    def error(self, field: str, value: object, problem: str) -> ConfigError:
        """A ConfigError about one field; `problem` says what is wrong and what to write instead."""
        return ConfigError(f"pattern {shorten(self.name)!r}, field {field!r}, value {_shown(value)}: {problem}.")

    def _check_types(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise ConfigError(f'A pattern needs a name, a text; got {_shown(self.name)}: write name = "...".')
        for field in _TEXT_FIELDS:
            value = getattr(self, field)
            optional = field in ("parameter", "near", "template")
            if not (isinstance(value, str) or (optional and value is None)):
                raise self.error(field, value, "it must be a text")
        for field in _LIST_FIELDS:
            value = getattr(self, field)
            if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
                raise self.error(field, value, 'it must be a list of texts, such as ["a", "b"]')
            object.__setattr__(self, field, tuple(value))
        for field in ("ignore_case", "unique"):
            if not isinstance(getattr(self, field), bool):
                raise self.error(field, getattr(self, field), "it must be true or false")
        self._check_numbers()
        for field, least in (("priority", None), ("context_chars", 1), ("max_matches", 1)):
            value = getattr(self, field)
            if field == "max_matches" and value is None:
                continue
            if not _is_int(value) or (least is not None and value < least):
                raise self.error(field, value, "it must be a whole number" + (f" from {least}" if least else ""))

    def _check_numbers(self) -> None:
        for field in _NUMBER_FIELDS:
            value = getattr(self, field)
            if field == "context_score" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise self.error(field, value, "it must be a number")
            if field == "timeout_s" and value <= 0:
                raise self.error(field, value, "it must be above 0 seconds")
            if field != "timeout_s" and not 0 <= value <= 1:
                raise self.error(field, value, "it must be from 0 to 1")

    def _check_choices(self) -> None:
        for field in ("regex", "parameter", "near", "template"):
            if getattr(self, field) == "":
                raise self.error(field, "", "it is empty; write one or leave the field out")
        if self.boundary not in ("token", "none"):
            raise self.error("boundary", self.boundary, 'write "token" or "none"')
        if self.engine not in ENGINES:
            raise self.error("engine", self.engine, 'write "re2" or "regex"')
        if any(char.isalnum() or char.isspace() for char in self.glue):
            raise self.error("glue", self.glue, 'give punctuation, such as ".-"; letters and digits glue anyway')
        if self.glue and self.boundary == "none":
            raise self.error("glue", self.glue, 'it needs boundary = "token"; take one of the two out')
        if self.context_score is not None and not self.context:
            raise self.error("context_score", self.context_score, "there are no context words; add context = [...]")
        for step in self.normalize:
            if step not in NORMALIZE:
                raise self.error("normalize", step, f"no such step; choose from {', '.join(NORMALIZE)}")
        if "lower" in self.normalize and "upper" in self.normalize:
            raise self.error("normalize", self.normalize, "lower and upper exclude each other; keep one")
        if isinstance(self.validate, str) and self.validate not in CHECKS:
            raise self.error("validate", self.validate, f"no such check; choose from {', '.join(CHECKS)}")
        if not (self.validate is None or isinstance(self.validate, str) or callable(self.validate)):
            raise self.error("validate", self.validate, "give the name of a check, a function, or leave it out")
        if isinstance(self.convert, str) and self.convert not in CONVERTERS:
            raise self.error("convert", self.convert, f"no such conversion; choose from {', '.join(CONVERTERS)}")
        if not (self.convert is None or isinstance(self.convert, str) or callable(self.convert)):
            raise self.error("convert", self.convert, "give the name of a conversion, a function, or leave it out")
        if not all(word.strip() for word in self.context):
            raise self.error("context", self.context, "a word is empty; take it out")

    def _compiled(self, source: str, field: str) -> Any:
        try:
            regex = compile_regex(source, ignore_case=self.ignore_case)
        except (re2.error, UnicodeEncodeError) as error:
            raise self.error(field, source, _explain(error, source)) from error
        if _matches_single_bytes(source):
            raise self.error(field, source, r"\C matches half a character; write (?s:.) instead")
        return regex

    def _check_groups(self, regex: Any) -> None:
        known = ["0", *map(str, range(1, regex.groups + 1)), *regex.groupindex]
        if isinstance(self.group, bool) or not isinstance(self.group, (int, str)):
            raise self.error("group", self.group, "give the number or the name of a group")
        if str(self.group) not in known or (isinstance(self.group, str) and self.group not in regex.groupindex):
            raise self.error("group", self.group, f"the regex has no such group; it has {', '.join(known)}")
        try:
            parts = template_parts(self.template)
        except ValueError as error:
            problem = f'{error}; put groups in single braces, as in "urn:{{id}}", and double any other brace'
            raise self.error("template", self.template, problem) from error
        for _, group in parts:
            if group is not None and group not in known:
                raise self.error(
                    "template", self.template, f"the regex has no group {group!r}; it has {', '.join(known)}"
                )


def compile_regex(source: str, *, ignore_case: bool = False, capture: bool = True) -> Any:
    """`source` compiled by RE2, quietly.

    Raises:
        re2.error: RE2 refuses it.
    """
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = not ignore_case
    options.never_capture = not capture
    return re2.compile(source, options)


def template_parts(template: str | None) -> list[tuple[str, str | None]]:
    """`template` as (literal text, group after it or None).

    Raises:
        ValueError: A brace is unbalanced, empty, or asks for formatting.
    """
    parts: list[tuple[str, str | None]] = []
    for literal, group, form, conversion in string.Formatter().parse(template or ""):
        if group is not None and (form or conversion or not (group.isidentifier() or group.isdecimal())):
            raise ValueError(f"{{{group}}} is not the name or number of a group")
        parts.append((literal, group))
    return parts


class PatternFile(NamedTuple):
    """What a TOML file says.

    Attributes:
        patterns: Its ``[[pattern]]`` tables, in order.
        filler: Its ``filler = [...]``, empty without.
        min_score: Its ``min_score``, 0 without.
    """

    patterns: list[Pattern]
    filler: Any
    min_score: Any


def load_file(path: str | Path) -> PatternFile:
    """The patterns of a TOML file, one ``[[pattern]]`` table each, and what it says of the extractor itself.

    Raises:
        ConfigError: The file cannot be read, is no TOML, or a pattern in it cannot work.
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
        raise ConfigError(f"{file}: is nested too deep; the file may only hold [[pattern]] tables.") from error
    unknown = [key for key in content if key not in ("pattern", "filler", "min_score")]
    if unknown:
        raise ConfigError(
            f"{file}: unknown key {shorten(unknown[0])!r}; the file may only hold filler, min_score and, "
            "below them, [[pattern]] tables."
        )
    tables = content.get("pattern", [])
    if not isinstance(tables, list):
        raise ConfigError(f"{file}: 'pattern' is a {type(tables).__name__}; write [[pattern]] with double brackets.")
    if not tables:
        raise ConfigError(f"{file}: has no pattern; add a [[pattern]] table with name and regex.")
    return content


def _from_table(table: Any, number: int) -> Pattern:
    if not isinstance(table, Mapping):
        raise ConfigError(f"pattern {number} is {_shown(table)}; write a [[pattern]] table with name and regex.")
    label = f"pattern {shorten(table['name'])!r}" if "name" in table else f"pattern {number}"
    known = [field.name for field in fields(Pattern)]
    for field in table:
        if field not in known:
            raise ConfigError(f"{label}, field {shorten(field)!r}: no such field; choose from {', '.join(known)}.")
    for field in ("name", "regex"):
        if field not in table:
            raise ConfigError(f"{label}, field {field!r}: it is missing; write {field} = '...'.")
    return Pattern(**table)


def _explain(error: Exception, source: str) -> str:
    if isinstance(error, UnicodeEncodeError):
        return "it holds a lone surrogate, which no text file can; take it out"
    reason = error.args[0].decode(errors="replace") if error.args and isinstance(error.args[0], bytes) else str(error)
    for start, what in _NOT_IN_RE2.items():
        if reason.startswith(start):
            return (
                f"RE2 does not have {what} ({reason}), which is what keeps it linear. The neighbours of a match are "
                'checked for you (boundary = "token"); to keep a part of a match, put it in a group and set group; '
                'else set engine = "regex"'
            )
    if reason.startswith("invalid escape sequence: \\Z"):
        return r"RE2 writes the end of the text \z"
    if reason.startswith("invalid escape sequence: \\") and reason[-1:].isdigit():
        instead = 'check equality in a validate function, or set engine = "regex"'
        return f"RE2 does not have back-references ({reason}); {instead}"
    return f"RE2 cannot read it: {reason}. The syntax is at https://github.com/google/re2/wiki/Syntax"


def _matches_single_bytes(source: str) -> bool:
    escaped = False
    for char in source:
        if escaped and char == "C":
            return True
        escaped = char == "\\" and not escaped
    return False


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _shown(value: object) -> str:
    return shorten(repr(value))
