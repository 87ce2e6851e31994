"""Calling tools without blocking the event loop: async ones in a task, the others on a worker thread."""

from __future__ import annotations

import asyncio
import time
from functools import partial

from langchain_core.runnables import RunnableConfig

from agentkit import prompts
from agentkit.base import workers
from agentkit.observe import failure, observed
from agentkit.toolbox.toolbox import (
    Entry,
    call_tool,
    collected,
    least,
    may_pass,
    raised,
    retry_wait_s,
    time_until,
    timed_out,
    tool_input,
)
from agentkit.turn import Observation, ToolCall


async def acall(
    entry: Entry | Observation,
    call: ToolCall,
    config: RunnableConfig,
    deadline: float | None,
    gate: asyncio.Semaphore,
) -> Observation:
    """Make one call and return its result.

    Args:
        entry: The tool; or the observation, if nothing is to be called.
        call: The call.
        config: LangChain config.
        deadline: The deadline of the run, on `time.monotonic`; None for none.
        gate: Bounds how many calls run at once.
    """
    if isinstance(entry, Observation):
        return entry
    async with gate:
        timeout_s = least(entry.timeout_s, time_until(deadline))
        if timeout_s == 0:
            return failure(prompts.no_time(call.name), "not_run")
        if entry.is_async:
            return await _in_task(entry, call, config, timeout_s)
        return await _on_worker(entry, call, config, timeout_s)


async def _on_worker(entry: Entry, call: ToolCall, config: RunnableConfig, timeout_s: float | None) -> Observation:
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def tell() -> None:
        # The loop may be gone by the time a tool that ran out of time comes back.
        if not loop.is_closed():
            loop.call_soon_threadsafe(done.set)

    job = workers.start(partial(call_tool, entry, call, config), tell)
    try:
        await asyncio.wait_for(done.wait(), timeout_s)
    except TimeoutError:
        return timed_out(call, timeout_s or 0.0)
    return collected(job, call)


async def _in_task(entry: Entry, call: ToolCall, config: RunnableConfig, timeout_s: float | None) -> Observation:
    task = asyncio.ensure_future(_acall_tool(entry, call, config))
    try:
        finished, _ = await asyncio.wait({task}, timeout=timeout_s)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not finished:  # not awaited: a tool that swallows its cancellation must not hold up the run
        task.cancel()
        return timed_out(call, timeout_s or 0.0)
    return task.result()


async def _acall_tool(entry: Entry, call: ToolCall, config: RunnableConfig) -> Observation:
    began = time.perf_counter()
    for tries in range(1, entry.policy.retry + 2):
        try:
            raw = await entry.tool.ainvoke(tool_input(entry, call), config)
        except asyncio.CancelledError as error:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            return raised(entry, call, error, time.perf_counter() - began, tries)  # the tool cancelled itself
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:
            if tries <= entry.policy.retry and may_pass(error):
                await asyncio.sleep(retry_wait_s(tries))
                continue
            return raised(entry, call, error, time.perf_counter() - began, tries)
        return observed(call.name, raw, time.perf_counter() - began, tries)
    raise AssertionError("unreachable: the last attempt returns")
