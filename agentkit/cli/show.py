"""`agentkit show`: the chain and the memory object of each turn, or what the next turn's model is shown."""

from __future__ import annotations

from typing import Annotated

import typer

from agentkit.base.terminal import say
from agentkit.cli.options import DEFAULT_DATABASE, Database
from agentkit.cli.sessions import existing_memory
from agentkit.errors import ConfigError


def show(
    session: Annotated[str, typer.Argument(help="A session, as `agentkit sessions` lists it.")],
    memory: Database = DEFAULT_DATABASE,
    explain: Annotated[
        bool, typer.Option("--explain", help="Print instead what the next turn's model is shown of each turn.")
    ] = False,
    max_tokens: Annotated[
        int | None, typer.Option(help="Budget of the replay that --explain prints. Default: none.")
    ] = None,
) -> None:
    """Print the chain and the memory object of each turn of a session."""
    from agentkit.console import render_turn

    if max_tokens is not None and not explain:
        raise ConfigError("--max-tokens is the budget of --explain: give both, or neither.")
    with existing_memory(memory) as opened:
        if explain:
            explanation = opened.explain(session, max_tokens=max_tokens)
            say(f"{explanation}\n\n{explanation.text}")
            return
        turns = opened.turns(session)
        objects = {item.number: item for item in opened.objects(session)}
    for turn in turns:
        say(f"Question {turn.number}: {turn.input}")
        render_turn(turn)
        if turn.number in objects:
            say(f"Memory object:\n{objects[turn.number]}\n")
