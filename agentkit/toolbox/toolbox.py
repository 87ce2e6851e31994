"""The tools of one agent: checked once when the agent is made, then called so that nothing they do is raised.

A result, an exception, bad arguments, an unknown name, no answer in time: each becomes an `Observation` the model can
read.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any

from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from langchain_core.tools.base import InjectedToolCallId
from pydantic import BaseModel, ValidationError

from agentkit import prompts
from agentkit.base import workers
from agentkit.base.text import shorten
from agentkit.errors import ConfigError, HookError
from agentkit.loop.protocol import Act
from agentkit.observe import failure, observed
from agentkit.policy import ToolPolicy, policy_of
from agentkit.toolbox.direct_call import DirectCall, direct_call
from agentkit.turn import Observation, ToolCall

RESERVED_NAMES = frozenset({"recall"})
"""Names of the tools that agents add themselves."""

RETRY_BASE_S = 0.1
"""Seconds before the first retry, twice as long before each one after it; chosen by hand: most hiccups are shorter, and
a model call takes seconds."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Entry:
    """A tool, and how it is called."""

    tool: BaseTool
    policy: ToolPolicy
    timeout_s: float | None
    as_message: bool
    """True if it must be called with the whole tool call, so that status and artifact come back."""
    is_async: bool
    is_sync: bool
    direct: DirectCall | None


class Toolbox:
    """The tools of one agent, by name."""

    def __init__(
        self,
        tools: Sequence[BaseTool],
        default_timeout_s: float | None,
        *,
        max_parallel: int | None = None,
        own: Sequence[BaseTool] = (),
    ) -> None:
        """Check the tools.

        Args:
            tools: LangChain tools.
            default_timeout_s: Seconds for tools whose policy says ``"inherit"``; None for no limit.
            max_parallel: Calls that may run at the same time; None for all of a reply.
            own: Tools the agent adds by itself, which have the reserved names.

        Raises:
            ConfigError: Not a tool, an impossible or reserved name, or two tools of one name.
        """
        self.tools: tuple[BaseTool, ...] = (*tools, *own)
        self._entries: dict[str, Entry] = {}
        self._max_parallel = max_parallel
        for tool in tools:
            if not isinstance(tool, BaseTool):
                raise ConfigError(
                    f"tools holds {shorten(repr(tool))}, which is not a LangChain tool: decorate a function with "
                    "@langchain_core.tools.tool, or pass a BaseTool."
                )
            self._check_name(tool.name)
            self._entries[tool.name] = _entry(tool, default_timeout_s)
        self._entries |= {tool.name: _entry(tool, default_timeout_s) for tool in own}

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the tools, in the order they were given."""
        return tuple(self._entries)

    @property
    def policies(self) -> dict[str, ToolPolicy]:
        """Return the policies, by tool name."""
        return {name: entry.policy for name, entry in self._entries.items()}

    def has(self, name: str) -> bool:
        """True if there is a tool of that name."""
        return name in self._entries

    def needs_approval(self, call: ToolCall) -> bool | Observation:
        """Return True if a person must approve the call; if its arguments do not fit, return what the model is told.

        Raises:
            HookError: The policy's own function raised.
        """
        entry = self._entries[call.name]
        approval = entry.policy.approval
        if approval is False:
            return False
        problems = _argument_problems(entry.tool, call.arguments)
        if problems:
            text = prompts.invalid_arguments(call.name, problems, _expected(entry.tool))
            return failure(text, "invalid_arguments")
        if approval is True:
            return True
        try:
            return bool(approval(_checked_arguments(entry.tool, call.arguments)))
        except Exception as error:
            raise HookError(
                f"The approval function of the tool {call.name!r} raised {type(error).__name__}: "
                f"{shorten(error, 300)}. Next: fix ToolPolicy(approval=...); the steps so far are kept."
            ) from error

    def _check_name(self, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"A tool is named {shorten(name)!r}: a name takes 1 to 64 of A-Z a-z 0-9 _ and -. Rename the tool."
            )
        if name in RESERVED_NAMES:
            raise ConfigError(f"A tool is named {name!r}, which is the name of a built-in one. Rename the tool.")
        if name in self._entries:
            raise ConfigError(f"Two tools are named {name!r}: the model could not tell them apart. Rename one.")

    # --- calling -----------------------------------------------------------------------------------------

    def act(self, act: Act, config: RunnableConfig) -> Iterator[Observation]:
        """Run the calls side by side, and yield their results in the order of the calls, each as soon as it can be."""
        prepared = self._prepared(act)
        first = prepared[0]
        no_limit = isinstance(first, Entry) and least(first.timeout_s, act.seconds_left) is None
        if len(prepared) == 1 and isinstance(first, Entry) and no_limit and first.is_sync:
            yield call_tool(first, act.calls[0], config)
            return
        deadline = None if act.seconds_left is None else time.monotonic() + act.seconds_left
        window = len(prepared) if self._max_parallel is None else self._max_parallel
        running: deque[_Running] = deque()
        started = 0
        for index, call in enumerate(act.calls):
            while started < min(len(prepared), index + window):
                running.append(_started(prepared[started], act.calls[started], config, deadline))
                started += 1
            yield running.popleft().observation(call)

    async def aact(self, act: Act, config: RunnableConfig) -> AsyncIterator[Observation]:
        """Do as `act` does, without blocking the event loop; if closed early, cancel the running async tools."""
        from agentkit.toolbox.async_calls import acall  # which needs this module

        deadline = None if act.seconds_left is None else time.monotonic() + act.seconds_left
        gate = asyncio.Semaphore(self._max_parallel or max(1, len(act.calls)))
        tasks = [
            asyncio.ensure_future(acall(entry, call, config, deadline, gate))
            for entry, call in zip(self._prepared(act), act.calls, strict=True)
        ]
        try:
            for task in tasks:
                yield await task
        finally:
            for task in tasks:
                task.cancel()

    def _prepared(self, act: Act) -> list[Entry | Observation]:
        """Return for each call the tool, or the result it has without being made."""
        prepared = [act.known.get(call.id) or self._prepare(call) for call in act.calls]
        if act.allowed is not None:
            for i in range(act.allowed, len(prepared)):
                prepared[i] = failure(prompts.not_run(act.calls[i].name), "not_run")
        return prepared

    def _prepare(self, call: ToolCall) -> Entry | Observation:
        entry = self._entries.get(call.name)
        if entry is None:
            return failure(prompts.unknown_tool(call.name, self._entries), "unknown_tool")
        if call.error is not None:
            return failure(prompts.invalid_json(call.name, call.raw or "", call.error), "invalid_arguments")
        return entry


def _entry(tool: BaseTool, default_timeout_s: float | None) -> Entry:
    policy = policy_of(tool)
    coroutine = getattr(tool, "coroutine", None)
    own_arun = type(tool)._arun is not BaseTool._arun  # noqa: SLF001 (what a subclass of BaseTool overrides)
    is_async = coroutine is not None or (own_arun and not hasattr(tool, "coroutine"))
    if coroutine is not None:
        tool = tool.model_copy(update={"coroutine": _without_exit(coroutine)})
    return Entry(
        tool=tool,
        policy=policy,
        timeout_s=default_timeout_s if policy.timeout_s == "inherit" else policy.timeout_s,
        as_message=tool.response_format != "content"
        or bool(tool.handle_tool_error)
        or bool(tool.handle_validation_error)
        or _wants_call_id(tool),
        is_async=is_async,
        is_sync=getattr(tool, "func", tool) is not None,
        direct=direct_call(tool),
    )


def _without_exit(coroutine: Any) -> Any:
    """Return `coroutine` with SystemExit as an ordinary error: in LangChain's task it would end the program."""

    @wraps(coroutine)
    async def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return await coroutine(*args, **kwargs)
        except SystemExit as error:
            raise RuntimeError(f"SystemExit: {error}") from error

    return guarded


def _wants_call_id(tool: BaseTool) -> bool:
    """True if the tool has an argument LangChain fills with the call's id."""
    schema = tool.args_schema
    if not (isinstance(schema, type) and issubclass(schema, BaseModel)):
        return False
    marks = [mark for field in schema.model_fields.values() for mark in field.metadata]
    return any(mark is InjectedToolCallId or isinstance(mark, InjectedToolCallId) for mark in marks)


def least(*limits: float | None) -> float | None:
    """Return the smallest limit, None if there is none."""
    return min((limit for limit in limits if limit is not None), default=None)


@dataclass(frozen=True, slots=True)
class _Running:
    """A call under way on a worker, or an answer that needed none."""

    job: workers.Job | Observation
    timeout_s: float | None
    began: float

    def observation(self, call: ToolCall) -> Observation:
        """Wait for the call, as long as its time lasts, and return its result."""
        if isinstance(self.job, Observation):
            return self.job
        left = None if self.timeout_s is None else self.timeout_s - (time.monotonic() - self.began)
        return collected(self.job, call) if self.job.wait(left) else timed_out(call, self.timeout_s or 0.0)


def _started(entry: Entry | Observation, call: ToolCall, config: RunnableConfig, deadline: float | None) -> _Running:
    now = time.monotonic()
    if isinstance(entry, Observation):
        return _Running(entry, None, now)
    timeout_s = least(entry.timeout_s, time_until(deadline))
    if timeout_s == 0:
        return _Running(failure(prompts.no_time(call.name), "not_run"), None, now)
    return _Running(workers.start(partial(call_tool, entry, call, config)), timeout_s, now)


def time_until(deadline: float | None) -> float | None:
    """Return the seconds until a deadline of `time.monotonic`, None if there is none."""
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def call_tool(entry: Entry, call: ToolCall, config: RunnableConfig) -> Observation:
    """Call the tool on this thread, with retries. Only what ends the program (Ctrl-C) is raised."""
    began = time.perf_counter()
    for tries in range(1, entry.policy.retry + 2):
        try:
            raw = _invoked(entry, call, config)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever it is, it is the tool's, and the model reads it
            if tries <= entry.policy.retry and may_pass(error):
                time.sleep(retry_wait_s(tries))
                continue
            return raised(entry, call, error, time.perf_counter() - began, tries)
        return observed(call.name, raw, time.perf_counter() - began, tries)
    raise AssertionError("unreachable: the last attempt returns")


def _invoked(entry: Entry, call: ToolCall, config: RunnableConfig) -> Any:
    if entry.direct is not None and "callbacks" not in config:
        return entry.direct(_own(call.arguments), config)
    if entry.is_sync:
        return entry.tool.invoke(tool_input(entry, call), config)
    # A tool that is a coroutine only: it gets an event loop of its own.
    return asyncio.run(entry.tool.ainvoke(tool_input(entry, call), config))


def retry_wait_s(tries: int) -> float:
    """Return the seconds to wait after so many failed attempts."""
    return RETRY_BASE_S * 2.0 ** (tries - 1)


def may_pass(error: BaseException) -> bool:
    """True if a retry could do better: arguments that do not fit will not fit the next time."""
    return isinstance(error, Exception) and not isinstance(error, ValidationError)


def tool_input(entry: Entry, call: ToolCall) -> Any:
    """Return what the tool's invoke is given."""
    if not entry.as_message:
        return _own(call.arguments)
    return {"name": call.name, "args": _own(call.arguments), "id": call.id, "type": "tool_call"}


def _own(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments for one attempt, which a tool may change without changing the record."""
    return deepcopy(arguments) if any(type(value) in (dict, list) for value in arguments.values()) else arguments


def collected(job: workers.Job, call: ToolCall) -> Observation:
    """Return the result of a finished job."""
    if job.error is not None:  # call_tool lets through only what ends a program
        return failure(prompts.tool_failed(call.name, job.error), "exception")
    observation: Observation = job.value
    return observation


def timed_out(call: ToolCall, timeout_s: float) -> Observation:
    """Return the observation of a call that ran out of time."""
    return failure(prompts.tool_timed_out(call.name, timeout_s), "timeout", timeout_s)


def raised(entry: Entry, call: ToolCall, error: BaseException, duration_s: float, tries: int = 1) -> Observation:
    """Return the observation of a call that raised."""
    if isinstance(error, ValidationError):
        problems = _argument_problems(entry.tool, call.arguments)
        if problems:
            text = prompts.invalid_arguments(call.name, problems, _expected(entry.tool))
            return failure(text, "invalid_arguments", duration_s)
    return failure(prompts.tool_failed(call.name, error), "exception", duration_s, tries)


def _argument_problems(tool: BaseTool, arguments: dict[str, Any]) -> list[str]:
    """Return what is wrong with the arguments; empty if they fit, and the tool itself raised the ValidationError."""
    schema = tool.tool_call_schema
    if not (isinstance(schema, type) and issubclass(schema, BaseModel)):
        return []
    try:
        schema.model_validate(arguments)
    except ValidationError as error:
        return [
            f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}"
            + ("" if e["type"] == "missing" else f" (got {shorten(repr(e['input']), 60)})")
            for e in error.errors()[:5]
        ]
    return []


def _checked_arguments(tool: BaseTool, arguments: dict[str, Any]) -> Mapping[str, Any]:
    """Return the arguments as the tool would get them, with defaults."""
    schema = tool.tool_call_schema
    if not (isinstance(schema, type) and issubclass(schema, BaseModel)):
        return deepcopy(arguments)
    return schema.model_validate(arguments).model_dump()


def _expected(tool: BaseTool) -> str:
    schema = tool.tool_call_schema
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        schema = schema.model_json_schema()
    spec = schema if isinstance(schema, dict) else {}
    required = set(spec.get("required", ()))
    return (
        ", ".join(
            f"{name} ({field.get('type', 'any')}{', required' if name in required else ''})"
            for name, field in spec.get("properties", {}).items()
        )
        or "no arguments"
    )
