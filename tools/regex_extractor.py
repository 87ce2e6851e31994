"""The regex extractor: exact codes out of a text, as a tool for an agent and as a plain function.

What is found is decided by patterns and by nothing else: a code that is too long, glued to something or
broken over a line gives no value, never a shortened one, and is told as a near miss.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from langchain_core.tools import BaseTool
from pydantic import BaseModel, Field, PrivateAttr

from agentkit.errors import ConfigError, InputError
from agentkit.policy import ToolPolicy
from agentkit.text import shorten
from agentkit.tools.regex_match import Match, Scanner
from agentkit.tools.regex_near import NearMiss, find_near_misses
from agentkit.tools.regex_pattern import Pattern, load_patterns
from agentkit.tools.regex_view import View

DESCRIPTION = "Function which, given the query from the user, returns a dictionary parameter:value."
"""What a model is told about the tool, unless the caller says otherwise."""

MAX_CHARS = 64 * 1024 * 1024
"""The longest text, in characters; a longer one is an InputError."""


class _Arguments(BaseModel):
    user_query: str = Field(
        strict=True,
        description=(
            "This is the full input query as received from the user. Do not truncate or modify the query in any way."
        ),
    )


class RegexExtractor(BaseTool):
    """Finds codes by their patterns, in time linear in the text (the one exception is told at `Pattern.regex`).

    Use it as a tool (``extractor.invoke({"user_query": text})``) or directly (``extractor.values(text)``).
    It keeps no state between calls and may be shared by threads.

    Attributes:
        patterns: The patterns, in declared order, which is the order of the keys in `values`.
        policy: No time limit: the work is linear and the text limited to `MAX_CHARS` characters.
    """

    policy: ClassVar[ToolPolicy] = ToolPolicy(timeout_s=None)
    _scanner: Scanner = PrivateAttr()

    def __init__(
        self,
        patterns: Iterable[Pattern],
        *,
        name: str = "regex_extractor",
        description: str = DESCRIPTION,
        **options: Any,
    ) -> None:
        """Compile the patterns and hold them against their examples.

        Args:
            patterns: At least one; names must differ.
            name: The tool's name as the model sees it.
            description: What the model is told the tool does.
            **options: Fields of LangChain's BaseTool, such as ``tags`` or ``callbacks``.

        Raises:
            ConfigError: No pattern, two of one name, or an example that does not hold.
        """
        super().__init__(name=name, description=description, args_schema=_Arguments, **options)
        self._scanner = Scanner(_checked(patterns))
        _check_examples(self._scanner)

    @classmethod
    def from_toml(
        cls, path: str | Path, *, name: str = "regex_extractor", description: str = DESCRIPTION
    ) -> RegexExtractor:
        """An extractor for the patterns of a TOML file, one ``[[pattern]]`` table each.

        Args:
            path: The file.
            name: The tool's name as the model sees it.
            description: What the model is told the tool does.

        Raises:
            ConfigError: The file cannot be read, or a pattern in it cannot work; file, pattern and field are named.
        """
        patterns = load_patterns(path)
        try:
            return cls(patterns, name=name, description=description)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error

    @property
    def patterns(self) -> tuple[Pattern, ...]:
        """The patterns, in declared order."""
        return self._scanner.patterns

    def extract(self, text: str) -> list[Match]:
        """Every code in `text`, in order of appearance; of equal values the first, unless ``unique=False``.

        Args:
            text: Any text, NUL and lone surrogates included, of at most `MAX_CHARS` characters.

        Raises:
            InputError: `text` is no string, or too long.
        """
        _check_text(text)
        return self._scanner.matches(self._scanner.scan(View(text)).found, text)

    def values(self, text: str) -> dict[str, list[str]]:
        """The values of `extract` under their parameters; a parameter without a value is left out.

        Keys come in the order in which the patterns were declared, values in order of appearance.

        Raises:
            InputError: `text` is no string, or too long.
        """
        _check_text(text)
        kept, _ = self._scanner.limited(self._scanner.scan(View(text)).found)
        values: dict[str, list[str]] = {pattern.key: [] for pattern in self.patterns}
        keys = [pattern.key for pattern in self.patterns]
        for _, _, order, value in kept:
            values[keys[order]].append(value)
        return {key: listed for key, listed in values.items() if listed}

    def near_misses(self, text: str) -> list[NearMiss]:
        """What in `text` looks like a code and is none, in order of appearance, each with the reason.

        Raises:
            InputError: `text` is no string, or too long.
        """
        _check_text(text)
        return find_near_misses(self._scanner, text)

    def _run(self, user_query: str) -> dict[str, list[str]]:
        return self.values(user_query)


def _checked(patterns: Iterable[Pattern]) -> list[Pattern]:
    if isinstance(patterns, (str, bytes, Pattern)) or not isinstance(patterns, Iterable):
        raise ConfigError(
            f"RegexExtractor takes a list of Pattern, got {type(patterns).__name__}: write [Pattern(...)]."
        )
    listed = list(patterns)
    for pattern in listed:
        if not isinstance(pattern, Pattern):
            raise ConfigError(
                f"RegexExtractor takes Pattern objects, got {shorten(repr(pattern))}: write Pattern(...)."
            )
    if not listed:
        raise ConfigError("RegexExtractor got no pattern: give at least one.")
    _check_names(listed)
    return listed


def _check_examples(scanner: Scanner) -> None:
    """Hold every pattern, alone, against its examples and non-examples."""
    for pattern in scanner.patterns:
        alone = Scanner([pattern]) if pattern.examples or pattern.non_examples else scanner
        for example in pattern.examples:
            if not alone.scan(View(example)).found:
                reasons = "; ".join(r.reason for r in alone.scan(View(example), keep_rejected=True).rejected)
                because = f" ({reasons})" if reasons else ""
                raise pattern.error(
                    "examples", example, f"nothing is found in it{because}; mend the regex or the example"
                )
        for example in pattern.non_examples:
            for _, _, _, value in alone.scan(View(example)).found:
                problem = f"{shorten(value)!r} is found in it; make the regex stricter or take the example out"
                raise pattern.error("non_examples", example, problem)


def _check_names(patterns: list[Pattern]) -> None:
    """Two patterns must not share a name."""
    names: set[str] = set()
    for pattern in patterns:
        if pattern.name in names:
            raise pattern.error("name", pattern.name, "two patterns have it; rename one (they may share a parameter)")
        names.add(pattern.name)


def _check_text(text: object) -> None:
    if isinstance(text, (bytes, bytearray, memoryview)):
        raise InputError(f"The text is {type(text).__name__}, not str: decode it first, as in data.decode('utf-8').")
    if not isinstance(text, str):
        raise InputError(f"The text is {type(text).__name__} ({shorten(repr(text))}), not str: pass one string.")
    if len(text) > MAX_CHARS:
        raise InputError(f"The text has {len(text)} characters, the limit is {MAX_CHARS}: extract from parts of it.")
