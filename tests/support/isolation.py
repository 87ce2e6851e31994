"""Which walls of the Python interpreter this machine offers."""

import os
import sys

import pytest

from agentkit.tools.python import levels

LEVELS = ["L1", "L2", "L3"]  # from the weakest to the strongest
BEST = levels.best(levels.probe()).level if sys.platform == "linux" else "L1"


def need(level: str) -> None:
    """Skip where the machine does not offer the level; in CI it must."""
    if LEVELS.index(BEST) >= LEVELS.index(level):
        return
    why = f"needs isolation {level}: {levels.best(levels.probe()).reason if sys.platform == 'linux' else 'not Linux'}"
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)
