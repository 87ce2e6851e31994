"""The opt-in second engine: the PyPI package `regex`, for lookaround and back-references, always under a time limit.

It backtracks, so some texts make some patterns take for ever. A search that reaches the pattern's `timeout_s` is
given up and told: nothing such a search had found is used, since what it had not reached yet is unknown.
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
    """A search with the engine "regex" reached its pattern's time limit; the pattern is catastrophic on this text.

    Attributes:
        pattern: Name of the pattern.
        timeout_s: Its limit in seconds.
    """

    def __init__(self, message: str, pattern: str = "", timeout_s: float = 0.0) -> None:
        """Keep what a program may want to know beside the message."""
        super().__init__(message)
        self.pattern = pattern
        self.timeout_s = timeout_s


def compile_backtracking(pattern: Pattern) -> Any:
    r"""The regex of `pattern` compiled by the package `regex`; ``\d \w \s`` and the case of letters are ASCII.

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


class Clock:
    """What is left of the time a pattern may take for one text."""

    def __init__(self, pattern: Pattern) -> None:
        """Start it."""
        self._pattern = pattern
        self._ends = time.monotonic() + pattern.timeout_s

    def search(self, regex: Any, text: str, position: int) -> Iterator[Any]:
        """The matches of `regex` from `position` on.

        Raises:
            PatternTimeoutError: They take longer than is left.
        """
        left = self._ends - time.monotonic()
        if left <= 0:
            raise self._given_up(text)
        try:
            yield from regex.finditer(text, position, timeout=left, concurrent=True)
        except TimeoutError as error:
            raise self._given_up(text) from error

    def _given_up(self, text: str) -> PatternTimeoutError:
        pattern = self._pattern
        limit = f"{pattern.timeout_s:g} s"
        problem = (
            f"the search of a text of {len(text)} characters was given up at its limit of {limit} (timeout_s); make "
            'the regex stricter, such as (a|aa)+ into a+, or write it for RE2 (engine = "re2"), which has no such texts'
        )
        error = pattern.error("regex", pattern.regex, problem)
        return PatternTimeoutError(str(error), pattern.name, pattern.timeout_s)
