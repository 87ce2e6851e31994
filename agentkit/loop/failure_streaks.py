"""Noticing that a model runs against the same wall again and again, also with other arguments each time."""

from __future__ import annotations

import re
from collections.abc import Iterable

from agentkit.turn import Step

_VARYING = re.compile(r"(?<!\w)'[^']*'(?!\w)|\"[^\"]*\"|\d+")
_NAMES = ("NameError", "KeyError", "AttributeError", "ImportError", "ModuleNotFoundError")
"""Errors in which the quoted name is the error: another name is another error, and progress."""


class FailureStreaks:
    """Counts, for each tool, failures in a row with one error."""

    def __init__(self) -> None:
        """Start with none."""
        self._streaks: dict[str, tuple[str, int]] = {}

    def repeated(self, steps: Iterable[Step], most: int | None) -> bool:
        """Take the next steps; whether a tool has now failed `most` times in a row with one error (None: never)."""
        reached = False
        counted: set[str] = set()
        for step in steps:
            error = step.result.error if step.result else None
            if error == "not_run":
                continue
            # A model that makes up names makes up another each time: they count together.
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
    """What stays the same in an error while the arguments vary: its last line without quoted text and numbers."""
    lines = text.strip().splitlines()
    if not lines:
        return ""
    last = lines[-1][:1000]
    return last if any(name in last for name in _NAMES) else _VARYING.sub("#", last)
