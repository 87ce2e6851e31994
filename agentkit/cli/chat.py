"""`agentkit chat`: question after question in one session."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from io import TextIOWrapper

from agentkit.base.terminal import say_error, say_on_stderr
from agentkit.cli.build_agent import agent_of, tools_of
from agentkit.cli.options import (
    DEFAULT_DATABASE,
    DEFAULT_MODEL,
    AllowWeak,
    Data,
    Database,
    Files,
    MaxSteps,
    Model,
    Python,
    Session,
    System,
    Toml,
)
from agentkit.cli.sessions import say_how_to_continue
from agentkit.cli.tool_files import check_folder, write_files
from agentkit.errors import ModelError


def chat(
    model: Model = DEFAULT_MODEL,
    session: Session = None,
    memory: Database = DEFAULT_DATABASE,
    toml: Toml = None,
    data: Data = None,
    python: Python = False,
    allow_weak: AllowWeak = False,
    system: System = None,
    max_steps: MaxSteps = None,
    files: Files = None,
) -> None:
    """Ask question after question, one per line, in one session. Ctrl-D ends it; --session continues it later."""
    from agentkit.console import render_turn

    is_typed, is_kept = sys.stdin.isatty(), False
    if files is not None:
        check_folder(files)
    if is_typed:
        say_on_stderr("Ask one question per line; Ctrl-D ends the chat.")
    try:
        with (
            tools_of(toml, data, python=python, allow_weak=allow_weak) as tools,
            agent_of(model, tools, memory, system, max_steps) as agent,
        ):
            for question in _questions(is_typed):
                try:
                    turn = agent.run(question, session=session)
                except ModelError as error:
                    if not is_typed:
                        raise
                    say_error(error)
                    continue
                session, is_kept = turn.session, True
                render_turn(turn)
                if files is not None:
                    write_files(turn, files)
    finally:
        if session is not None and is_kept:
            say_how_to_continue(session, memory)


def _questions(is_typed: bool) -> Iterator[str]:
    """Yield the lines of standard input that are not blank; only a person is shown a prompt."""
    if is_typed:
        with suppress(ImportError):
            import readline  # noqa: F401  (importing it gives input() line editing and a history)
    elif isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")
    while True:
        try:
            line = input("> " if is_typed else "")
        except EOFError:
            return
        if line.strip():
            yield line
