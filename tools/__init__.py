"""Deterministic tools: exact codes from a text, Python in its own process, JSON from an answer."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentkit.tools.json_reader import read_json
    from agentkit.tools.python import Execution, PythonInterpreter
    from agentkit.tools.regex.backtracking import PatternTimeoutError
    from agentkit.tools.regex.extractor import RegexExtractor
    from agentkit.tools.regex.near_misses import NearMiss
    from agentkit.tools.regex.pattern import Pattern
    from agentkit.tools.regex.scanner import Match
    from agentkit.tools.regex.trace import Decision, TraceEntry
    from agentkit.tools.request_builder import RequestBuilder

__all__ = [
    "Decision",
    "Execution",
    "Match",
    "NearMiss",
    "Pattern",
    "PatternTimeoutError",
    "PythonInterpreter",
    "RegexExtractor",
    "RequestBuilder",
    "TraceEntry",
    "read_json",
]

_HOME = {
    "Decision": "agentkit.tools.regex.trace",
    "Execution": "agentkit.tools.python",
    "Match": "agentkit.tools.regex.scanner",
    "NearMiss": "agentkit.tools.regex.near_misses",
    "Pattern": "agentkit.tools.regex.pattern",
    "PatternTimeoutError": "agentkit.tools.regex.backtracking",
    "PythonInterpreter": "agentkit.tools.python",
    "RegexExtractor": "agentkit.tools.regex.extractor",
    "RequestBuilder": "agentkit.tools.request_builder",
    "TraceEntry": "agentkit.tools.regex.trace",
    "read_json": "agentkit.tools.json_reader",
}


# LangChain and RE2 are imported only with the first tool that is used.
def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
