"""The regex extractor: exact codes from a text, as a tool for an agent and as a plain function.

Patterns alone decide what is found. A code that is too long, glued to something or broken over a line gives no value,
never a shortened one; it is reported as a near miss.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

from langchain_core.tools import BaseTool
from pydantic import AfterValidator, BaseModel, Field, PrivateAttr

from agentkit.base.settings import Give, settings
from agentkit.base.text import shorten
from agentkit.errors import ConfigError, InputError
from agentkit.policy import ToolPolicy
from agentkit.tools.regex.backtracking import PatternTimeoutError
from agentkit.tools.regex.leftover import check_word, rest_of
from agentkit.tools.regex.near_misses import NearMiss, find_near_misses
from agentkit.tools.regex.pattern import Pattern
from agentkit.tools.regex.pattern_file import load_pattern_file
from agentkit.tools.regex.scanner import Match, Scanner
from agentkit.tools.regex.text_view import View

if TYPE_CHECKING:
    import pandas as pd

    from agentkit.tools.regex.trace import TraceEntry

T = TypeVar("T")

DESCRIPTION = "Function which, given the query from the user, returns a dictionary parameter:value."
"""The tool's description as the model sees it, unless the caller gives another."""

MAX_CHARS = 64 * 1024 * 1024
"""The longest text, in characters; a longer one is an InputError. Chosen by hand: it takes 1.5 s at the 0.22 s that
bench_extractor.py's text of 10 MB takes, which is why the tool needs no time limit."""

MAX_TOLD = 5
"""Near misses listed for the model in one result; `near_misses` returns all. Chosen by hand: enough to name the user's
codes, few enough that a text full of lookalikes does not fill the context window."""


class QueryArguments(BaseModel):
    """The argument of `RegexExtractor` and `RequestBuilder` as a model fills it in."""

    user_query: str = Field(
        strict=True,
        description=(
            "This is the full input query as received from the user. Do not truncate or modify the query in any way."
        ),
    )


@settings
class _Settings:
    patterns: Annotated[Sequence[Pattern], Field(min_length=1), Give("a list of Pattern, at least one: [Pattern(...)]")]
    filler: Annotated[Sequence[Annotated[str, AfterValidator(check_word)]], Give("single words: ['look', 'for']")]
    min_score: Annotated[float, Field(ge=0, le=1)]

    def __post_init__(self) -> None:
        names: set[str] = set()
        for pattern in self.patterns:
            if pattern.name in names:
                problem = "two patterns have it; rename one (they may share a parameter)"
                raise pattern.error("name", pattern.name, problem)
            if pattern.key == "warnings":
                problem = "a result lists its near misses under this key; use another"
                raise pattern.error("parameter", "warnings", problem)
            names.add(pattern.name)

    @staticmethod
    def setting_error(values: Mapping[str, object], field: str, allowed: str) -> ConfigError:
        return ConfigError(f"RegexExtractor: {field} is {shorten(repr(values[field]))}: give {allowed}.")


class RegexExtractor(BaseTool):
    """Find codes by their patterns, in time linear in the text (see `Pattern.regex` for the one exception).

    Use it as a tool (``extractor.invoke({"user_query": text})``) or directly (``extractor.values(text)``).
    It keeps no state between calls, and threads may share it.

    Attributes:
        patterns: The patterns, in declared order, which is the order of the keys in `values`.
        policy: No time limit: the work is linear and the text at most `MAX_CHARS` characters.
        question_argument: The argument that takes the user's own message; see `Agent`'s ``prefetch``.
    """

    policy: ClassVar[ToolPolicy] = ToolPolicy(timeout_s=None)
    question_argument: ClassVar[str] = "user_query"
    _scanner: Scanner = PrivateAttr()
    _filler: frozenset[str] = PrivateAttr()

    def __init__(
        self,
        patterns: Iterable[Pattern],
        *,
        name: str = "regex_extractor",
        description: str = DESCRIPTION,
        filler: Iterable[str] = (),
        min_score: float = 0.0,
        **options: Any,
    ) -> None:
        """Compile the patterns and check them against their examples.

        Args:
            patterns: At least one; names must differ.
            name: The tool's name as the model sees it.
            description: The tool's description as the model sees it.
            filler: Words that ask for nothing by themselves, in any case, such as "look", "for" and "and". A text of
                nothing but codes and filler is covered (`covers`).
            min_score: Matches with a lower score are near misses; 0 accepts all.
            **options: Fields of LangChain's BaseTool, such as ``tags`` or ``callbacks``.

        Raises:
            ConfigError: No pattern, two with one name, or an example that fails.
        """
        super().__init__(name=name, description=description, args_schema=QueryArguments, **options)
        given = _Settings(patterns=_listed(patterns), filler=_listed(filler), min_score=min_score)
        self._filler = frozenset(map(str.casefold, given.filler))
        self._scanner = Scanner(given.patterns, given.min_score)
        _check_examples(self._scanner)

    @classmethod
    def from_toml(
        cls, path: str | Path, *, name: str = "regex_extractor", description: str = DESCRIPTION
    ) -> RegexExtractor:
        """Return an extractor for the patterns of a TOML file, one ``[[pattern]]`` table each.

        Args:
            path: The file.
            name: The tool's name as the model sees it.
            description: The tool's description as the model sees it.

        Raises:
            ConfigError: The file cannot be read, or a pattern in it cannot work; names file, pattern and field.
        """
        arguments = load_pattern_file(path)
        try:
            return cls(**arguments, name=name, description=description)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error

    @property
    def patterns(self) -> tuple[Pattern, ...]:
        """Return the patterns, in declared order."""
        return self._scanner.patterns

    def extract(self, text: str) -> list[Match]:
        """Return every code in `text`, in order of appearance; of equal values the first, unless ``unique=False``.

        Args:
            text: Any text, NUL and lone surrogates included, of at most `MAX_CHARS` characters.

        Raises:
            InputError: `text` is not a string, or too long.
            PatternTimeoutError: A pattern with the engine "regex" timed out.
        """
        _check_text(text)
        return self._scanner.matches(self._scanner.scan(View(text)).accepted, text)

    def values(self, text: str) -> dict[str, list[str]]:
        """Return the values of `extract` by parameter; a parameter without a value is omitted.

        Keys are in the order in which the patterns were declared, values in order of appearance.

        Raises:
            InputError: `text` is not a string, or too long.
            PatternTimeoutError: A pattern with the engine "regex" timed out.
        """
        _check_text(text)
        return self._values(text, None)

    def _values(self, text: str, timeouts: list[PatternTimeoutError] | None) -> dict[str, list[str]]:
        kept, _ = self._scanner.limited(self._scanner.scan(View(text), given_up=timeouts).accepted)
        values: dict[str, list[str]] = {pattern.key: [] for pattern in self.patterns}
        keys = [pattern.key for pattern in self.patterns]
        for _, _, order, value, _ in kept:
            values[keys[order]].append(value)
        return {key: listed for key, listed in values.items() if listed}

    def near_misses(self, text: str) -> list[NearMiss]:
        """Return what looks like a code in `text` and is none, in order of appearance, each with the reason.

        Raises:
            InputError: `text` is not a string, or too long.
            PatternTimeoutError: A pattern with the engine "regex" timed out.
        """
        _check_text(text)
        return find_near_misses(self._scanner, text)

    def trace(self, text: str) -> list[TraceEntry]:
        """Return every candidate in `text` with its outcome and the reason, by place; each prints as one line.

        A pattern that times out gets an entry of its own; nothing is raised.

        Raises:
            InputError: `text` is not a string, or too long.
        """
        from agentkit.tools.regex.trace import trace

        _check_text(text)
        return trace(self._scanner, text)

    def rest(self, text: str) -> list[str]:
        """Return what is in `text` beside its codes and the filler: words, and characters that may have a meaning.

        Raises:
            InputError: `text` is not a string, or too long.
            PatternTimeoutError: A pattern with the engine "regex" timed out.
        """
        _check_text(text)
        return rest_of(text, [(item[0], item[1]) for item in self._scanner.scan(View(text)).accepted], self._filler)

    def covers(self, text: str) -> bool:
        """Return True if a program can answer `text` without a model: it holds codes and filler, and nothing else.

        False if there is a near miss, a code with a warning or one over `max_matches`, or if a pattern times out.

        Raises:
            InputError: `text` is not a string, or too long.
        """
        try:
            matches = self.extract(text)
            if not matches or any(match.warnings for match in matches) or self.rest(text):
                return False
            return not self.near_misses(text)
        except PatternTimeoutError:
            return False

    def frame(self, texts: pd.Series[Any] | Iterable[Any]) -> pd.DataFrame:
        """Return the codes of a column of texts, one row for each code, as `extract` returns them.

        Args:
            texts: A pandas Series, or any iterable of texts; a missing value holds no code.

        Returns:
            A frame with the columns row (the label in the Series, or the index in the iterable), parameter, value,
            raw, start, end, pattern, score and id.

        Raises:
            InputError: No column, or a cell that is neither text nor missing; the row is named.
        """
        from agentkit.tools.regex.frames import matches_frame

        return matches_frame(texts, self.extract)

    def columns(self, texts: pd.Series[Any] | Iterable[Any]) -> pd.DataFrame:
        """Return one row for each text of a column, with a list of values in a column for each parameter.

        The index is that of `texts`, so that ``table.join(extractor.columns(table["text"]))`` works.

        Raises:
            InputError: No column, or a cell that is neither text nor missing; the row is named.
        """
        from agentkit.tools.regex.frames import values_frame

        return values_frame(texts, self.values, [pattern.key for pattern in self.patterns])

    def _run(self, user_query: str) -> dict[str, list[str]]:
        _check_text(user_query)
        timeouts: list[PatternTimeoutError] = []
        values = self._values(user_query, timeouts)
        # Else the model would take what was not searched, or was rejected, for what is not in the text.
        warnings = [str(error) for error in timeouts] or self.left_out(user_query)
        return {**values, "warnings": warnings} if warnings else values

    def left_out(self, text: str) -> list[str]:
        """Return the warnings for the model: a line for each of the first `MAX_TOLD` near misses; mostly none.

        Raises:
            InputError: `text` is not a string, or too long.
        """
        _check_text(text)
        try:
            misses = find_near_misses(self._scanner, text)
        except PatternTimeoutError as error:
            return [str(error)]
        told = [f"{miss.parameter} {shorten(miss.raw)!r} is left out: it {miss.reason}" for miss in misses[:MAX_TOLD]]
        more = len(misses) - MAX_TOLD
        return [*told, f"and {more} more like these"] if more > 0 else told


def _listed(items: Iterable[T]) -> Sequence[T]:
    """Return `items` as a tuple; what is not a collection of items is returned as it is, to be refused."""
    if isinstance(items, (str, bytes)) or not isinstance(items, Iterable):
        return items  # type: ignore[return-value]
    return tuple(items)


def _check_examples(scanner: Scanner) -> None:
    """Check every pattern, alone, against its examples and non-examples."""
    for pattern in scanner.patterns:
        alone = Scanner([pattern], scanner.min_score) if pattern.examples or pattern.non_examples else scanner
        for example in pattern.examples:
            if not alone.scan(View(example)).accepted:
                reasons = "; ".join(r.reason for r in alone.scan(View(example), keep_rejected=True).rejected)
                because = f" ({reasons})" if reasons else ""
                raise pattern.error(
                    "examples", example, f"nothing is found in it{because}; fix the regex or the example"
                )
        for example in pattern.non_examples:
            for *_, value, _ in alone.scan(View(example)).accepted:
                problem = f"{shorten(value)!r} is found in it; make the regex stricter or remove the example"
                raise pattern.error("non_examples", example, problem)


def _check_text(text: object) -> None:
    if isinstance(text, (bytes, bytearray, memoryview)):
        raise InputError(f"The text is {type(text).__name__}, not str: decode it first, as in data.decode('utf-8').")
    if not isinstance(text, str):
        raise InputError(f"The text is {type(text).__name__} ({shorten(repr(text))}), not str: pass one string.")
    if len(text) > MAX_CHARS:
        raise InputError(f"The text has {len(text)} characters, the limit is {MAX_CHARS}: extract from parts of it.")
