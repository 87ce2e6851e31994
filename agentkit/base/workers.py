"""Daemon threads that run tools: reused from call to call, and abandoned when a call times out.

Written by hand, because a thread pool of the standard library joins its threads at exit, so that one stuck tool would
hold up the whole program, and because starting a thread for every call costs more than handing the call over.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any

MAX_IDLE = 32
"""Idle threads kept for reuse; chosen by hand: more parallel calls are rare, and a thread costs 8 MiB of address
space."""


class Job:
    """A call running on a worker: `wait` for it, then read `value` or `error`.

    Attributes:
        value: The return value of the work.
        error: The exception it raised, or None.
        done: True after it has ended.
    """

    __slots__ = ("_context", "_ended", "_on_done", "_work", "done", "error", "value")

    def __init__(self, work: Callable[[], Any], on_done: Callable[[], None] | None) -> None:
        """Prepare `work`, which runs in a copy of the caller's context variables."""
        self.value: Any = None
        self.error: BaseException | None = None
        self.done = False
        self._work = work
        self._context = copy_context()
        self._on_done = on_done
        self._ended = threading.Lock()  # a third of the cost of an Event, and it can be waited for with a limit
        self._ended.acquire()

    def wait(self, timeout_s: float | None) -> bool:
        """Return True if the job ends within `timeout_s` seconds; None waits without limit.

        A job that does not end in time keeps running; waiting for it again is not necessary.
        """
        if not self._ended.acquire(
            timeout=-1 if timeout_s is None else min(max(0.0, timeout_s), threading.TIMEOUT_MAX)
        ):
            return False
        self._ended.release()
        return True

    def run(self) -> None:
        """Do the work on the current thread."""
        try:
            self.value = self._context.run(self._work)
        except BaseException as error:  # a tool that calls sys.exit() must not take the worker down
            self.error = error
        self.done = True

    def tell(self) -> None:
        """Wake the waiting thread, and call `on_done`."""
        self._ended.release()
        if self._on_done is not None:
            # The worker already counts as idle: an exception in the callback (an event loop that has just closed) must
            # not end its thread, or the next call would wait forever.
            with suppress(Exception):
                self._on_done()


class _Worker:
    """One thread and its inbox; None in the inbox ends it."""

    def __init__(self) -> None:
        self.inbox: SimpleQueue[Job] = SimpleQueue()
        threading.Thread(target=self._work, args=(os.getpid(),), name="agentkit-tool", daemon=True).start()

    def _work(self, pid: int) -> None:
        while True:
            job = self.inbox.get()
            job.run()
            if os.getpid() != pid:
                os._exit(0)  # the tool forked: its child must not continue as a second worker
            stays = len(_idle) < MAX_IDLE
            if stays:
                _idle.append(self)  # before waking the waiting thread, so that the next call finds this worker
            job.tell()
            del job  # an idle worker must not keep the last result alive
            if not stays:
                return


_idle: deque[_Worker] = deque()
_fork_guarded = False


def start(work: Callable[[], Any], on_done: Callable[[], None] | None = None) -> Job:
    """Run `work` on an idle worker, or a new one.

    Args:
        work: The function to call.
        on_done: Called on the worker's thread when the work is done.
    """
    global _fork_guarded
    if not _fork_guarded:
        _fork_guarded = True
        if hasattr(os, "register_at_fork"):  # threads do not survive a fork; the list of idle ones would
            os.register_at_fork(after_in_child=_idle.clear)
    job = Job(work, on_done)
    try:
        worker = _idle.pop()
    except IndexError:
        worker = _Worker()
    worker.inbox.put(job)
    return job
