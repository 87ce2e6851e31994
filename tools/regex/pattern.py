"""One kind of code to look for: the `Pattern`, checked as it is made.

Every mistake in a pattern is a `ConfigError` that names the pattern, the field, the value and what to write instead.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import re2
from pydantic import AfterValidator, Field

from agentkit.base.settings import Give, settings
from agentkit.base.text import shorten
from agentkit.errors import ConfigError
from agentkit.tools.regex.backtracking import compile_backtracking
from agentkit.tools.regex.checks import CheckName, ConverterName

_NOT_IN_RE2 = {
    "invalid perl operator: (?=": "lookahead",
    "invalid perl operator: (?!": "lookahead",
    "invalid perl operator: (?<": "lookbehind",
    "invalid perl operator: (?>": "atomic groups",
}


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError
    return text


_Flag = Annotated[bool, Give("true or false")]  # as TOML writes them
_Text = Annotated[str, AfterValidator(_not_blank), Give("a text that is not blank")]
_Texts = Annotated[Sequence[str], AfterValidator(tuple), Give('a list of texts, such as ["a", "b"]')]
_Steps = Annotated[
    Sequence[Literal["nfkc", "hyphens", "lower", "upper"]],
    AfterValidator(tuple),
    Give('a list of texts out of "nfkc", "hyphens", "lower" and "upper"'),
]
_Score = Annotated[float, Field(ge=0, le=1)]


@settings
class Pattern:
    r"""One kind of code.

    Attributes:
        name: Name of the pattern, unique in an extractor.
        regex: RE2 syntax: ``\d \w \s`` are ASCII, there is no lookaround and no back-reference.
            Each search takes time linear in the text; only a regex whose short matches depend on text far ahead, such
            as ``.*end|a``, makes the whole scan slower than that.
        parameter: The key its values are listed under; None uses `name`. Patterns may share one.
        group: Number or name of the group that is the code; 0 is the whole match.
        template: How the value is written, with groups in braces as in ``"urn:{id}"`` or ``"{1}/{2}"``;
            None takes the group as found.
        engine: "re2", or "regex" for lookaround and back-references: the PyPI package of that name (extra
            ``regex``), which backtracks and therefore runs under `timeout_s`. ``\d \w \s`` are ASCII there, too.
        timeout_s: Seconds, above 0, that the engine "regex" may take for one text; a longer search is an error that
            names the pattern. RE2 needs no limit and ignores it.
        boundary: With "token" a match that touches another letter or digit is a near miss; with "none" it is a code.
        glue: Characters that join the letters and digits on both their sides to one token, such as ``"."`` for
            addresses: with it 1.2.3.4 is not found in 1.2.3.4.5. Needs the boundary "token".
        ignore_case: True lets ``a`` match ``A``, too.
        normalize: "nfkc" and "hyphens" (typographic hyphens become ``-``) change the text before matching, "lower"
            and "upper" the value. Spans always point into the text as given.
        convert: Rewrites the value ("compact" removes blanks and hyphens, "ip" writes IP addresses in one form), or a
            function from the value to the text that is sent, or to None if it is no code; None leaves it unchanged.
        validate: A check the value must pass, else it is a near miss: "luhn", "mod97", "uuid", "uuid4",
            "uuid7", "isbn", or a function from the value to a bool; None checks nothing.
        deny: Values that are never codes, such as samples from a manual; in any case with `ignore_case`.
        context: Words of which one must be near the match, in any case; empty asks for none.
        context_chars: How many characters before and after the match are searched for them; from 1.
        score: How sure a match is, from 0 to 1; matches below the extractor's `min_score` are near misses.
        context_score: The score of a match with a context word nearby; then one without it counts too, with `score`.
            None: a match without a context word is a near miss.
        near: A looser regex for what someone may have meant. What it finds and the pattern does not is a near miss,
            never a value. None: only rejected matches are near misses.
        priority: Of overlapping matches the one with the highest priority wins, then the longest, then the one
            declared first.
        unique: True lists a value once, at its first place; False lists every occurrence.
        max_matches: At most this many matches, from 1; the others are near misses. None is no limit.
        description: What the code is, in words.
        id: Your own name for it, such as a key of a catalogue; returned in `Match.id`.
        examples: Texts in which the pattern must find something; checked when an extractor is made.
        non_examples: Texts in which it must find nothing; checked when an extractor is made.

    Raises:
        ConfigError: A field is missing, of the wrong type, or cannot work.
    """

    name: _Text
    regex: str
    parameter: _Text | None = None
    group: Annotated[int | str, Give("the number or the name of a group")] = 0
    template: _Text | None = None
    engine: Literal["re2", "regex"] = "re2"
    timeout_s: Annotated[float, Field(gt=0)] = 1.0  # by hand: three sound regexes took 1 to 32 ms for 100 KB
    boundary: Literal["token", "none"] = "token"
    glue: str = ""
    ignore_case: _Flag = False
    normalize: _Steps = ()
    convert: ConverterName | Callable[[str], str | None] | None = None
    validate: CheckName | Callable[[str], bool] | None = None
    deny: _Texts = ()
    context: _Texts = ()
    context_chars: Annotated[int, Field(ge=1)] = 40  # by hand: six to eight words
    score: _Score = 1.0
    context_score: _Score | None = None
    near: _Text | None = None
    priority: int = 0
    unique: _Flag = True
    max_matches: Annotated[int, Field(ge=1)] | None = None
    description: str = ""
    id: str = ""
    examples: _Texts = ()
    non_examples: _Texts = ()

    def __post_init__(self) -> None:
        """Check what no single field shows, and compile the regexes."""
        if any(char.isalnum() or char.isspace() for char in self.glue):
            raise self.error("glue", self.glue, 'give punctuation, such as ".-"; letters and digits glue anyway')
        if self.glue and self.boundary == "none":
            raise self.error("glue", self.glue, 'it needs boundary = "token"; remove one of the two')
        if self.context_score is not None and not self.context:
            raise self.error("context_score", self.context_score, "there are no context words; add context = [...]")
        if "lower" in self.normalize and "upper" in self.normalize:
            raise self.error("normalize", self.normalize, "lower and upper exclude each other; keep one")
        if not all(word.strip() for word in self.context):
            raise self.error("context", self.context, "a word is empty; remove it")
        regex = compile_backtracking(self) if self.engine == "regex" else self._compiled(self.regex, "regex")
        if regex.fullmatch("") is not None:
            raise self.error("regex", self.regex, "it matches the empty text; ask for at least one character")
        self._check_groups(regex)
        if self.near is not None:
            self._compiled(self.near, "near")

    @property
    def key(self) -> str:
        """Return the parameter that lists its values."""
        return self.parameter or self.name

    def error(self, field: str, value: object, problem: str) -> ConfigError:
        """Return a ConfigError about one field; `problem` says what is wrong and what to write instead."""
        return _error(self.name, field, f", value {_shown(value)}: {problem}")

    @staticmethod
    def setting_error(values: Mapping[str, object], field: str, allowed: str) -> ConfigError:
        """Return the error of a field that is unknown (`allowed` is empty), missing, or has a value of another kind."""
        if not allowed:
            known = ", ".join(field for field in Pattern.__annotations__)
            return _error(values.get("name"), field, f": no such field; choose from {known}")
        if field not in values:
            return _error(values.get("name"), field, f": it is missing; write {field} = '...'")
        return _error(values.get("name"), field, f", value {_shown(values[field])}: give {allowed}")

    def _compiled(self, source: str, field: str) -> Any:
        try:
            regex = compile_regex(source, ignore_case=self.ignore_case)
        except (re2.error, UnicodeEncodeError) as error:
            raise self.error(field, source, _explain(error)) from error
        if _matches_single_bytes(source):
            raise self.error(field, source, r"\C matches half a character; write (?s:.) instead")
        return regex

    def _check_groups(self, regex: Any) -> None:
        known = ["0", *map(str, range(1, regex.groups + 1)), *regex.groupindex]
        if str(self.group) not in known or (isinstance(self.group, str) and self.group not in regex.groupindex):
            raise self.error("group", self.group, f"the regex has no such group; it has {', '.join(known)}")
        try:
            parts = template_parts(self.template)
        except ValueError as error:
            problem = f'{error}; put groups in single braces, as in "urn:{{id}}", and double any other brace'
            raise self.error("template", self.template, problem) from error
        for _, group in parts:
            if group is not None and group not in known:
                problem = f"the regex has no group {group!r}; it has {', '.join(known)}"
                raise self.error("template", self.template, problem)


def _error(name: object, field: str, problem: str) -> ConfigError:
    return ConfigError(f"pattern {shorten(name)!r}, field {shorten(field)!r}{problem}.")


def compile_regex(source: str, *, ignore_case: bool = False, capture: bool = True) -> Any:
    """Return `source` compiled by RE2, without RE2's own log messages.

    Raises:
        re2.error: RE2 refuses it.
    """
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = not ignore_case
    options.never_capture = not capture
    return re2.compile(source, options)


def template_parts(template: str | None) -> list[tuple[str, str | None]]:
    """Return `template` as pairs of literal text and the group after it, or None.

    Raises:
        ValueError: A brace is unbalanced or empty, or asks for formatting.
    """
    parts: list[tuple[str, str | None]] = []
    for literal, group, form, conversion in string.Formatter().parse(template or ""):
        if group is not None and (form or conversion or not (group.isidentifier() or group.isdecimal())):
            raise ValueError(f"{{{group}}} is not the name or number of a group")
        parts.append((literal, group))
    return parts


def _explain(error: Exception) -> str:
    """Return why RE2 refuses a regex, and what to write instead."""
    if isinstance(error, UnicodeEncodeError):
        return "it holds a lone surrogate, which no text file can hold; remove it"
    reason = error.args[0].decode(errors="replace") if error.args and isinstance(error.args[0], bytes) else str(error)
    for start, what in _NOT_IN_RE2.items():
        if reason.startswith(start):
            return (
                f"RE2 does not have {what} ({reason}), which keeps it linear. The neighbours of a match are checked "
                'for you (boundary = "token"); to keep a part of a match, put it in a group and set group; '
                'else set engine = "regex"'
            )
    if reason.startswith("invalid escape sequence: \\Z"):
        return r"RE2 writes the end of the text \z"
    if reason.startswith("invalid escape sequence: \\") and reason[-1:].isdigit():
        instead = 'check equality in a validate function, or set engine = "regex"'
        return f"RE2 does not have back-references ({reason}); {instead}"
    return f"RE2 cannot read it: {reason}. The syntax is at https://github.com/google/re2/wiki/Syntax"


def _matches_single_bytes(source: str) -> bool:
    r"""Return True if `source` holds an unescaped ``\C``, which matches one byte, even half a character."""
    escaped = False
    for char in source:
        if escaped and char == "C":
            return True
        escaped = char == "\\" and not escaped
    return False


def _shown(value: object) -> str:
    return shorten(repr(value))
