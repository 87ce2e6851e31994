"""The agent and the tools that a command's options ask for."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from agentkit.base.terminal import say_error
from agentkit.errors import ConfigError

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

    from agentkit import Agent
    from agentkit.tools import PythonInterpreter


@contextmanager
def tools_of(
    toml: str | None, data: Sequence[str] | None, *, python: bool, allow_weak: bool
) -> Iterator[list[BaseTool]]:
    """Yield the extractor for `toml`, and the interpreter where any of its options is given; close it at the end."""
    tools: list[BaseTool] = []
    with ExitStack() as stack:
        if toml is not None:
            from agentkit.tools import RegexExtractor

            tools.append(RegexExtractor.from_toml(toml))
        if data or python or allow_weak:
            tools.append(stack.enter_context(_interpreter(data or [], allow_weak)))
        yield tools


@contextmanager
def agent_of(
    model: str, tools: Sequence[BaseTool], database: str | None, system: str | None, max_steps: int | None
) -> Iterator[Agent]:
    """Yield an agent, its memory in `database`; close the database at the end."""
    from agentkit import Agent, Limits

    with ExitStack() as stack:
        memory = None
        if database is not None:
            from agentkit.memory import Memory

            memory = stack.enter_context(Memory(database))
        with warnings.catch_warnings(record=True) as caught:  # of a model that is withdrawn
            warnings.simplefilter("always", FutureWarning)
            agent = Agent(
                model=model,
                tools=tools,
                system=system or "",
                memory=memory,
                limits=None if max_steps is None else Limits(max_steps=max_steps),
            )
        for warning in caught:
            say_error(warning.message)
        yield agent


def _interpreter(data: Sequence[str], allow_weak: bool) -> PythonInterpreter:
    from agentkit.tools import PythonInterpreter

    try:
        return PythonInterpreter(data=list(data), allow_weak=allow_weak)
    except ConfigError as error:
        raise ConfigError(str(error).replace("allow_weak=True", "--allow-weak")) from error
