"""The opt-in second engine: the PyPI package `regex`, for lookaround and back-references, always under a time limit.

It backtracks, so on some texts some patterns take exponential time. A search that reaches the pattern's `timeout_s`
ends in a `PatternTimeoutError`, and its matches so far are dropped: what it had not reached yet is unknown.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

from agentkit.base.text import shorten
from agentkit.errors import ConfigError

if TYPE_CHECKING:
    from agentkit.tools.regex.pattern import Pattern


class PatternTimeoutError(ConfigError):
    """A search with the engine "regex" reached its pattern's time limit: on this text it backtracks without end.

    Attributes:
        pattern: Name of the pattern.
        timeout_s: The pattern's limit in seconds.
    """

    def __init__(self, message: str, pattern: str = "", timeout_s: float = 0.0) -> None:
        """Make the error; `pattern` and `timeout_s` say in data what `message` says in words."""
        super().__init__(message)
        self.pattern = pattern
        self.timeout_s = timeout_s


def compile_backtracking(pattern: Pattern) -> Any:
    r"""Return the regex of `pattern`, compiled by the package `regex`; ``\d \w \s`` and ignored case are ASCII.

    Raises:
        ConfigError: The package is not installed, or refuses the regex.
    """
    try:
        regex = import_module("regex")
    except ImportError as error:
        raise pattern.error(
            "engine",
            "regex",
            "the package regex is not installed; pip install 'agentkit-cohere[regex]', or write it for RE2",
        ) from error
    flags = regex.VERSION0 | regex.ASCII | (regex.IGNORECASE if pattern.ignore_case else 0)
    try:
        return regex.compile(pattern.regex, flags)
    except (regex.error, OverflowError, RecursionError) as error:
        raise pattern.error("regex", pattern.regex, f"the package regex cannot read it: {shorten(error)}") from error


class Deadline:
    """The time a pattern may still take for one text, over all searches of that text."""

    def __init__(self, pattern: Pattern) -> None:
        """Start the pattern's `timeout_s`."""
        self._pattern = pattern
        self._ends = time.monotonic() + pattern.timeout_s

    def search(self, regex: Any, text: str, position: int) -> Iterator[Any]:
        """Yield the matches of `regex` from `position` on.

        Raises:
            PatternTimeoutError: The search takes longer than the time that is left.
        """
        left = self._ends - time.monotonic()
        if left <= 0:
            raise self._timeout_error(text)
        try:
            yield from regex.finditer(text, position, timeout=left, concurrent=True)
        except TimeoutError as error:
            raise self._timeout_error(text) from error

    def _timeout_error(self, text: str) -> PatternTimeoutError:
        pattern = self._pattern
        limit = f"{pattern.timeout_s:g} s"
        problem = (
            f"the search of a text of {len(text)} characters was given up at its limit of {limit} (timeout_s); make "
            'the regex stricter, such as (a|aa)+ into a+, or write it for RE2 (engine = "re2"), which has no such texts'
        )
        error = pattern.error("regex", pattern.regex, problem)
        return PatternTimeoutError(str(error), pattern.name, pattern.timeout_s)
