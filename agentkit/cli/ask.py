"""`agentkit ask`: one question, and how it was answered."""

from __future__ import annotations

from typing import Annotated

import typer

from agentkit.base.terminal import say_json
from agentkit.cli.build_agent import agent_of, tools_of
from agentkit.cli.options import (
    DEFAULT_DATABASE,
    DEFAULT_MODEL,
    AllowWeak,
    Data,
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
from agentkit.errors import InputError


def ask(
    question: Annotated[str, typer.Argument(help="What to ask.")],
    model: Model = DEFAULT_MODEL,
    session: Session = None,
    memory: Annotated[
        str | None,
        typer.Option(help=f"Database file or URL for the turn. Default: {DEFAULT_DATABASE} with --session, else none."),
    ] = None,
    toml: Toml = None,
    data: Data = None,
    python: Python = False,
    allow_weak: AllowWeak = False,
    system: System = None,
    max_steps: MaxSteps = None,
    files: Files = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole turn as JSON.")] = False,
) -> None:
    """Ask one question and print how it was answered."""
    if not question.strip():
        raise InputError("The question is empty: give the text to ask.")
    if files is not None:
        check_folder(files)
    database = DEFAULT_DATABASE if memory is None and session is not None else memory
    with (
        tools_of(toml, data, python=python, allow_weak=allow_weak) as tools,
        agent_of(model, tools, database, system, max_steps) as agent,
    ):
        turn = agent.run(question, session=session)
    if as_json:
        say_json(turn.model_dump(mode="json"))
    else:
        from agentkit.console import render_turn

        render_turn(turn)
    if files is not None:
        write_files(turn, files)
    if database is not None:
        say_how_to_continue(turn.session, database)
