"""Calls a plain function tool without LangChain's per-call overhead, if there are no callbacks.

``BaseTool.invoke`` builds a callback manager and inspects the function's signature on every call, which takes longer
than most tools and twice as long as the rest of a step. It has no effect on a plain function tool without callbacks, so
for such a tool the arguments are validated and the function is called directly. Every other tool, and every tool in a
run with callbacks or tracing, is called through LangChain.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.tools import BaseTool, StructuredTool
from pydantic import BaseModel

DirectCall = Callable[[dict[str, Any], RunnableConfig], Any]

_RESERVED = frozenset({"config", "run_manager", "callbacks", "args", "kwargs"})
"""Argument names that LangChain treats specially."""


def direct_call(tool: BaseTool) -> DirectCall | None:
    """Return a function equal to ``tool.invoke`` without callbacks; None if `tool` is not a plain function tool."""
    schema = tool.args_schema
    if (
        type(tool) is not StructuredTool
        or tool.func is None
        or tool.coroutine is not None
        or tool.response_format != "content"
        or tool.handle_tool_error
        or tool.handle_validation_error
        or tool.callbacks
        or tool.verbose
        or not (isinstance(schema, type) and issubclass(schema, BaseModel))
        or schema.model_config.get("extra") == "allow"
        or not _RESERVED.isdisjoint(schema.model_fields)
        or not _takes_just(tool, schema)
    ):
        return None
    return _caller(tool.func, schema)


def _takes_just(tool: StructuredTool, schema: type[BaseModel]) -> bool:
    """True if the function takes the schema's fields by name, and nothing that LangChain injects."""
    offered = tool.tool_call_schema
    if not (
        isinstance(offered, type)
        and issubclass(offered, BaseModel)
        and set(offered.model_fields) == set(schema.model_fields)
    ):
        return False  # some arguments are injected
    assert tool.func is not None
    parameters = inspect.signature(tool.func).parameters
    by_name = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
    return set(parameters) == set(schema.model_fields) and all(p.kind in by_name for p in parameters.values())


def _caller(function: Callable[..., Any], schema: type[BaseModel]) -> DirectCall:
    names = tuple(schema.model_fields)

    def call(arguments: dict[str, Any], config: RunnableConfig) -> Any:
        checked = schema.model_validate(arguments)
        context = copy_context()
        context.run(var_child_runnable_config.set, config)  # so that runnables called inside see the session
        return context.run(lambda: function(**{name: getattr(checked, name) for name in names}))

    return call
