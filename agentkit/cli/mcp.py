"""`agentkit mcp`: the extractor and the interpreter as a server for other agents."""

from __future__ import annotations

from typing import Annotated

import typer

from agentkit.cli.build_agent import tools_of
from agentkit.cli.options import AllowWeak, Data, Toml
from agentkit.errors import ConfigError


def mcp(
    toml: Toml = None,
    data: Data = None,
    no_python: Annotated[bool, typer.Option("--no-python", help="Serve the extractor alone.")] = False,
    allow_weak: AllowWeak = False,
) -> None:
    """Serve the extractor and the Python interpreter to other agents: MCP over standard input and output."""
    from agentkit.mcp_server import serve

    if no_python:
        if toml is None:
            raise ConfigError("There is nothing to serve: give patterns with --toml, or omit --no-python.")
        data, allow_weak = None, False
    with tools_of(toml, data, python=not no_python, allow_weak=allow_weak) as tools:
        serve(tools)
