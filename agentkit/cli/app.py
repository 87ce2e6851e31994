"""The `agentkit` command: its subcommands, its exit codes, and how an error is printed.

Each subcommand is a module of this package. Everything heavy is imported inside the command that needs it, so that
``agentkit --help`` answers at once. Every error agentkit raises on purpose becomes one line on standard error and
exit code 2.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Annotated

import typer

from agentkit.base.terminal import say, say_error, silence_stdout
from agentkit.cli.ask import ask
from agentkit.cli.chat import chat
from agentkit.cli.extract import extract
from agentkit.cli.mcp import mcp
from agentkit.cli.memory_eval import memory_commands
from agentkit.cli.sessions import sessions
from agentkit.cli.show import show
from agentkit.errors import AgentKitError

app = typer.Typer(
    name="agentkit",
    help="An agent for Cohere chat with deterministic tools and a memory of how it got its answers.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    Exit codes: 0 done; 1 the reader of the output closed it; 2 bad input or a failure that was explained in
    one line; 130 Ctrl-C.

    Args:
        argv: Arguments without the program's name; None takes the process's.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            app(args=None if argv is None else list(argv), prog_name="agentkit", standalone_mode=True)
        finally:
            sys.stdout.flush()
    except AgentKitError as error:
        say_error(error)
        sys.exit(2)
    except BrokenPipeError:
        silence_stdout()
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _print_version(wanted: bool) -> None:
    if wanted:
        from agentkit import __version__

        say(f"agentkit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def demo() -> None:
    """Play both cookbooks without a key or a network."""
    from agentkit.demo import play

    play()


def doctor() -> None:
    """Check how far this machine walls the interpreter's code in, by trying to break out. Exit code 0: far enough."""
    from agentkit.cli.doctor import examine

    raise typer.Exit(0 if examine() else 1)


for _command in (demo, ask, chat, sessions, show, extract, mcp, doctor):  # the order of `agentkit --help`
    app.command()(_command)
app.add_typer(memory_commands, name="memory")
