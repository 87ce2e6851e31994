"""Detects a tool that keeps failing with the same error, even with different arguments."""

from __future__ import annotations

import re
from collections.abc import Iterable

from agentkit.turn import Step

_VARYING = re.compile(r"(?<!\w)'[^']*'(?!\w)|\"[^\"]*\"|\d+")
_NAMES = ("NameError", "KeyError", "AttributeError", "ImportError", "ModuleNotFoundError")
"""Errors that differ if the quoted name differs: a new name means progress."""


class FailureStreaks:
    """Counts, for each tool, failures in a row with the same error."""

    def __init__(self) -> None:
        """Start with no failures."""
        self._streaks: dict[str, tuple[str, int]] = {}

    def repeated(self, steps: Iterable[Step], most: int | None) -> bool:
        """Count the next steps; return True if a tool failed `most` times in a row with one error (None: never)."""
        reached = False
        counted: set[str] = set()
        for step in steps:
            error = step.result.error if step.result else None
            if error == "not_run":
                continue
            # A model that invents tool names invents a new one each time: they count together.
            tool = "" if error == "unknown_tool" else step.tool
            if step.ok:
                self._streaks.pop(tool, None)
                continue
            signature = f"{error} {error_signature(step.observation)}"
            if f"{tool} {signature}" in counted:
                continue  # calls of one reply: the model has not seen the first of these errors yet
            counted.add(f"{tool} {signature}")
            last, count = self._streaks.get(tool, ("", 0))
            count = count + 1 if signature == last else 1
            self._streaks[tool] = (signature, count)
            reached = reached or (most is not None and count >= most)
        return reached


def error_signature(text: str) -> str:
    """Return the part of an error that arguments do not vary: its last line without quoted text and numbers."""
    lines = text.strip().splitlines()
    if not lines:
        return ""
    last = lines[-1][:1000]
    return last if any(name in last for name in _NAMES) else _VARYING.sub("#", last)
