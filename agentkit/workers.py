"""Daemon threads that run tools: reused from call to call, and left behind when a call runs out of time.

A thread pool of the standard library joins its threads at exit, so one stuck tool would hold up the whole
program; and starting a thread for every call costs more than the hand-over here (about 20 microseconds).
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any

MAX_IDLE = 32


class Job:
    """A call under way on a worker; `wait` for it, then read `value` or `error`."""

    __slots__ = ("_context", "_done", "_on_done", "_work", "error", "value")

    def __init__(self, work: Callable[[], Any], on_done: Callable[[], None] | None) -> None:
        """Prepare `work`, which runs in a copy of the caller's context variables."""
        self.value: Any = None
        self.error: BaseException | None = None
        self._work = work
        self._context = copy_context()
        self._on_done = on_done
        self._done = threading.Lock()
        self._done.acquire()

    def run(self) -> None:
        """Do the work on the current thread."""
        try:
            self.value = self._context.run(self._work)
        except BaseException as error:  # a tool that calls sys.exit() must not take the worker down
            self.error = error
        self._done.release()
        if self._on_done is not None:
            self._on_done()

    def wait(self, timeout_s: float | None) -> bool:
        """Whether the job was done within `timeout_s` seconds (None: wait for as long as it takes)."""
        if not self._done.acquire(timeout=-1 if timeout_s is None else max(0.0, timeout_s)):
            return False
        self._done.release()
        return True


_idle: deque[SimpleQueue[Job]] = deque()
_fork_guarded = False


def start(work: Callable[[], Any], on_done: Callable[[], None] | None = None) -> Job:
    """Run `work` on an idle worker, or a new one. `on_done` is called on that worker's thread."""
    job = Job(work, on_done)
    try:
        inbox = _idle.pop()
    except IndexError:
        inbox = _new_worker()
    inbox.put(job)
    return job


def _new_worker() -> SimpleQueue[Job]:
    global _fork_guarded
    if not _fork_guarded:
        _fork_guarded = True
        if hasattr(os, "register_at_fork"):  # threads do not survive a fork; the list of idle ones would
            os.register_at_fork(after_in_child=_idle.clear)
    inbox: SimpleQueue[Job] = SimpleQueue()
    threading.Thread(target=_work, args=(inbox,), name="agentkit-tool", daemon=True).start()
    return inbox


def _work(inbox: SimpleQueue[Job]) -> None:
    while True:
        job = inbox.get()
        job.run()
        del job  # an idle worker must not keep the last result alive
        if len(_idle) >= MAX_IDLE:
            return
        _idle.append(inbox)
