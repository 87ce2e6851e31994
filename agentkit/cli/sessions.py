"""`agentkit sessions`: the sessions of a database."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from agentkit.base.terminal import say, say_on_stderr
from agentkit.base.text import shorten
from agentkit.cli.options import DEFAULT_DATABASE, Database
from agentkit.errors import ConfigError

if TYPE_CHECKING:
    from agentkit.memory import Memory


def sessions(memory: Database = DEFAULT_DATABASE) -> None:
    """List the sessions of a database."""
    with existing_memory(memory) as opened:
        listed = opened.sessions()
    for info in listed:
        say(str(info))
    if not listed:
        say_on_stderr(f"No sessions yet in {memory}.")


def existing_memory(database: str) -> Memory:
    """Return the memory in `database`, never a new one: a mistyped name must not look like an empty database.

    Raises:
        ConfigError: There is no such file, or it is not a database of agentkit.
    """
    from agentkit.memory import Memory
    from agentkit.memory.store.url import is_foreign

    is_url = "://" in database
    path = database.removeprefix("sqlite:///").partition("?")[0] if is_url else database
    if "://" not in path and not Path(path).is_file():
        raise ConfigError(f"There is no database {shorten(path)!r}: give the file of `agentkit chat` with --memory.")
    if not is_url and is_foreign(path):
        raise ConfigError(
            f"{shorten(path)!r} is not a database of agentkit: give the file of `agentkit chat` with --memory."
        )
    return Memory(database)


def say_how_to_continue(session: str, database: str) -> None:
    """Print the options that continue `session`."""
    say_on_stderr(
        f"Kept in {database}. Continue with: --session {shlex.quote(session)} --memory {shlex.quote(database)}"
    )
