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
from pydantic import BaseModel, ValidationError

from agentkit import prompts
from agentkit.base import workers
from agentkit.base.text import shorten
from agentkit.errors import ConfigError, HookError
from agentkit.loop.protocol import Act
from agentkit.observe import failure, observe, observed
from agentkit.policy import ToolPolicy, policy_of
from agentkit.toolbox.direct_call import DirectCall, direct_call
from agentkit.turn import Observation, ToolCall

__all__ = ["RESERVED_NAMES", "RETRY_BASE_S", "Toolbox", "observe"]

RESERVED_NAMES = frozenset({"recall"})
"""Names of the tools that agents add themselves."""

RETRY_BASE_S = 0.1
"""Seconds before the first retry, twice as long before each one after it; chosen by hand: most hiccups are shorter, and
a model call takes seconds."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class _Entry:
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
        self._entries: dict[str, _Entry] = {}
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
        no_limit = isinstance(first, _Entry) and _least(first.timeout_s, act.seconds_left) is None
        if len(prepared) == 1 and isinstance(first, _Entry) and no_limit and first.is_sync:
            yield _guarded(first, act.calls[0], config)
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
        deadline = None if act.seconds_left is None else time.monotonic() + act.seconds_left
        gate = asyncio.Semaphore(self._max_parallel or max(1, len(act.calls)))
        tasks = [
            asyncio.ensure_future(_awaited(entry, call, config, deadline, gate))
            for entry, call in zip(self._prepared(act), act.calls, strict=True)
        ]
        try:
            for task in tasks:
                yield await task
        finally:
            for task in tasks:
                task.cancel()

    def _prepared(self, act: Act) -> list[_Entry | Observation]:
        """Return for each call the tool, or the result it has without being made."""
        prepared = [act.known.get(call.id) or self._prepare(call) for call in act.calls]
        if act.allowed is not None:
            for i in range(act.allowed, len(prepared)):
                prepared[i] = failure(prompts.not_run(act.calls[i].name), "not_run")
        return prepared

    def _prepare(self, call: ToolCall) -> _Entry | Observation:
        entry = self._entries.get(call.name)
        if entry is None:
            return failure(prompts.unknown_tool(call.name, self._entries), "unknown_tool")
        if call.error is not None:
            return failure(prompts.invalid_json(call.name, call.raw or "", call.error), "invalid_arguments")
        return entry


def _entry(tool: BaseTool, default_timeout_s: float | None) -> _Entry:
    policy = policy_of(tool)
    coroutine = getattr(tool, "coroutine", None)
    own_arun = type(tool)._arun is not BaseTool._arun  # noqa: SLF001 (what a subclass of BaseTool overrides)
    is_async = coroutine is not None or (own_arun and not hasattr(tool, "coroutine"))
    if coroutine is not None:
        tool = tool.model_copy(update={"coroutine": _without_exit(coroutine)})
    return _Entry(
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
    return any("InjectedToolCallId" in repr(field.metadata) for field in schema.model_fields.values())


def _least(*limits: float | None) -> float | None:
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
        return _collected(self.job, call) if self.job.wait(left) else _timed_out(call, self.timeout_s or 0.0)


def _started(entry: _Entry | Observation, call: ToolCall, config: RunnableConfig, deadline: float | None) -> _Running:
    now = time.monotonic()
    if isinstance(entry, Observation):
        return _Running(entry, None, now)
    timeout_s = _least(entry.timeout_s, _until(deadline))
    if timeout_s == 0:
        return _Running(failure(prompts.no_time(call.name), "not_run"), None, now)
    return _Running(workers.start(partial(_guarded, entry, call, config)), timeout_s, now)


def _until(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def _guarded(entry: _Entry, call: ToolCall, config: RunnableConfig) -> Observation:
    """Call the tool on this thread. Only what ends the program (Ctrl-C) gets out."""
    began = time.perf_counter()
    for tries in range(1, entry.policy.retry + 2):
        try:
            raw = _invoked(entry, call, config)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever it is, it is the tool's, and the model reads it
            if tries <= entry.policy.retry and _may_pass(error):
                time.sleep(RETRY_BASE_S * 2 ** (tries - 1))
                continue
            return _raised(entry, call, error, time.perf_counter() - began, tries)
        return observed(call.name, raw, time.perf_counter() - began, tries)
    raise AssertionError("unreachable: the last try returns")


def _invoked(entry: _Entry, call: ToolCall, config: RunnableConfig) -> Any:
    if entry.direct is not None and "callbacks" not in config:
        return entry.direct(_own(call.arguments), config)
    if entry.is_sync:
        return entry.tool.invoke(_tool_input(entry, call), config)
    # A tool that is a coroutine only: it gets an event loop of its own.
    return asyncio.run(entry.tool.ainvoke(_tool_input(entry, call), config))


def _may_pass(error: BaseException) -> bool:
    """True if a retry could do better: arguments that do not fit will not fit the next time."""
    return isinstance(error, Exception) and not isinstance(error, ValidationError)


async def _awaited(
    entry: _Entry | Observation,
    call: ToolCall,
    config: RunnableConfig,
    deadline: float | None,
    gate: asyncio.Semaphore,
) -> Observation:
    if isinstance(entry, Observation):
        return entry
    async with gate:
        timeout_s = _least(entry.timeout_s, _until(deadline))
        if timeout_s == 0:
            return failure(prompts.no_time(call.name), "not_run")
        if entry.is_async:
            return await _awaited_coroutine(entry, call, config, timeout_s)
        return await _awaited_worker(entry, call, config, timeout_s)


async def _awaited_worker(
    entry: _Entry, call: ToolCall, config: RunnableConfig, timeout_s: float | None
) -> Observation:
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def tell() -> None:
        # The loop may be gone by the time a tool that ran out of time comes back.
        if not loop.is_closed():
            loop.call_soon_threadsafe(done.set)

    job = workers.start(partial(_guarded, entry, call, config), tell)
    try:
        await asyncio.wait_for(done.wait(), timeout_s)
    except TimeoutError:
        return _timed_out(call, timeout_s or 0.0)
    return _collected(job, call)


async def _awaited_coroutine(
    entry: _Entry, call: ToolCall, config: RunnableConfig, timeout_s: float | None
) -> Observation:
    task = asyncio.ensure_future(_guarded_coroutine(entry, call, config))
    try:
        finished, _ = await asyncio.wait({task}, timeout=timeout_s)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not finished:  # not awaited: a tool that swallows its cancellation must not hold up the run
        task.cancel()
        return _timed_out(call, timeout_s or 0.0)
    return task.result()


async def _guarded_coroutine(entry: _Entry, call: ToolCall, config: RunnableConfig) -> Observation:
    began = time.perf_counter()
    for tries in range(1, entry.policy.retry + 2):
        try:
            raw = await entry.tool.ainvoke(_tool_input(entry, call), config)
        except asyncio.CancelledError as error:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            return _raised(entry, call, error, time.perf_counter() - began, tries)  # the tool cancelled itself
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:
            if tries <= entry.policy.retry and _may_pass(error):
                await asyncio.sleep(RETRY_BASE_S * 2 ** (tries - 1))
                continue
            return _raised(entry, call, error, time.perf_counter() - began, tries)
        return observed(call.name, raw, time.perf_counter() - began, tries)
    raise AssertionError("unreachable: the last try returns")


def _tool_input(entry: _Entry, call: ToolCall) -> Any:
    if not entry.as_message:
        return _own(call.arguments)
    return {"name": call.name, "args": _own(call.arguments), "id": call.id, "type": "tool_call"}


def _own(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments for one attempt, which a tool may change without changing the record."""
    return deepcopy(arguments) if any(type(value) in (dict, list) for value in arguments.values()) else arguments


def _collected(job: workers.Job, call: ToolCall) -> Observation:
    if job.error is not None:  # _guarded lets through only what ends a program
        return failure(prompts.tool_failed(call.name, job.error), "exception")
    observation: Observation = job.value
    return observation


def _timed_out(call: ToolCall, timeout_s: float) -> Observation:
    return failure(prompts.tool_timed_out(call.name, timeout_s), "timeout", timeout_s)


def _raised(entry: _Entry, call: ToolCall, error: BaseException, duration_s: float, tries: int = 1) -> Observation:
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
