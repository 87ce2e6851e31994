"""The command `agentkit`."""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; see `agentkit --help`."""
    from agentkit.cli import app

    app.main(argv)
