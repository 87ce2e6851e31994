"""The commands `agentkit memory ...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agentkit.errors import ConfigError

memory_commands = typer.Typer(help="What a memory keeps of its sessions.", no_args_is_help=True)


@memory_commands.callback()
def _several() -> None:
    """Make typer keep the name `eval`: a group with one command would drop it."""


@memory_commands.command(name="eval")
def evaluate(
    paths: Annotated[list[str], typer.Argument(help="Files of sessions, JSON lines, such as Memory.export writes.")],
    budgets: Annotated[
        list[float] | None,
        typer.Option("--budget", help="A budget as a share of the full history's tokens (may be repeated)."),
    ] = None,
    plot: Annotated[str | None, typer.Option(help="PNG to draw recall against tokens into.")] = None,
    system: Annotated[str | None, typer.Option(help="File with the system message of the sessions.")] = None,
) -> None:
    """Measure on your own sessions what a memory keeps of what later calls needed, and at what cost in tokens."""
    from agentkit.memory.evaluate.evaluation import DEFAULT_BUDGETS, run_eval

    given = "" if system is None else _text_of(system)
    run_eval(paths, budgets=budgets or DEFAULT_BUDGETS, plot=plot, system=given)


def _text_of(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read ({error}): give a text file.") from error
