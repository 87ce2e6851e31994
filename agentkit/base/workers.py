"""Daemon threads that run tools: reused from call to call, and left behind when a call runs out of time.

A thread pool of the standard library joins its threads at exit, so one stuck tool would hold up the whole
program; and starting a thread for every call costs more than the hand-over here. The hand-over goes through
pipes: a kernel wakes a pipe's reader on the writer's core, where a lock's waiter is often woken on an idle core,
which takes three to ten times as long (measured: 7 us against 17 to 37 us, on two cores).
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

MAX_IDLE = 32
MAX_WAIT_S = 2_000_000.0
"""The longest wait the system's poll takes, in seconds: 23 days."""


class Job:
    """A call under way on a worker; `wait` for it, then read `value` or `error`. Wait once, or `abandon` it."""

    __slots__ = ("_abandoned", "_context", "_lock", "_on_done", "_work", "_worker", "done", "error", "value")

    def __init__(self, work: Callable[[], Any], on_done: Callable[[], None] | None) -> None:
        """Prepare `work`, which runs in a copy of the caller's context variables."""
        self.value: Any = None
        self.error: BaseException | None = None
        self.done = False
        self._work = work
        self._context = copy_context()
        self._on_done = on_done
        self._worker: _Worker | _LastResort | None = None
        self._lock = threading.Lock()
        self._abandoned = False

    def wait(self, timeout_s: float | None) -> bool:
        """Whether the job was done within `timeout_s` seconds (None: wait for as long as it takes).

        A job that was not is abandoned: it runs on, and nobody will be told.
        """
        worker = self._worker
        assert worker is not None
        try:
            in_time = worker.wait_done(timeout_s)
        except BaseException:  # Ctrl-C while waiting
            self.abandon()
            raise
        if not in_time:
            return self.abandon()
        worker.take_done()
        return True

    def abandon(self) -> bool:
        """Give the job up; whether it was done already, so that its result can still be read."""
        with self._lock:
            self._abandoned = not self.done
        if self.done and self._worker is not None:
            self._worker.take_done()
        return self.done

    def run(self) -> bool:
        """Do the work on the current thread; whether somebody still waits for it."""
        try:
            self.value = self._context.run(self._work)
        except BaseException as error:  # a tool that calls sys.exit() must not take the worker down
            self.error = error
        with self._lock:
            self.done = True
        if self._on_done is not None:
            self._on_done()
        return not self._abandoned

    @property
    def tells(self) -> bool:
        """Whether it calls back when it is done, instead of being waited for."""
        return self._on_done is not None


class _Worker:
    """One thread and the two pipes it is told and tells through."""

    def __init__(self) -> None:
        self._job: Job | None = None
        self._pid = os.getpid()
        self._told, self._tell = os.pipe()
        try:
            self._heard, self._answer = os.pipe()
        except OSError:
            os.close(self._told)
            os.close(self._tell)
            raise
        self._poll = _poller(self._heard)
        threading.Thread(target=self._work, name="agentkit-tool", daemon=True).start()

    def start(self, job: Job) -> None:
        job._worker = self
        self._job = job
        os.write(self._tell, b"x")

    def wait_done(self, timeout_s: float | None) -> bool:
        return timeout_s is None or self._poll(min(max(0.0, timeout_s), MAX_WAIT_S))

    def take_done(self) -> None:
        """Take the note that the job is done, waiting for it, and let the worker be used again."""
        os.read(self._heard, 1)
        self._rest()

    def _rest(self) -> None:
        if len(_idle) < MAX_IDLE:
            _idle.append(self)
        else:
            os.close(self._tell)  # which the thread reads as the end

    def _work(self) -> None:
        while os.read(self._told, 1):
            job, self._job = self._job, None
            assert job is not None
            waited_for, tells = job.run(), job.tells
            if os.getpid() != self._pid:
                os._exit(0)  # the tool forked: its child must not answer through the parent's pipes
            del job  # an idle worker must not keep the last result alive
            if tells:
                self._rest()
            elif waited_for:
                os.write(self._answer, b"x")
            else:
                os.close(self._tell)
                break
        for pipe in (self._told, self._heard, self._answer):
            os.close(pipe)


class _LastResort:
    """A thread of its own for one job, where the process has no file descriptors left for pipes."""

    def __init__(self) -> None:
        self._ended = threading.Event()

    def start(self, job: Job) -> None:
        job._worker = self
        threading.Thread(target=self._work, args=(job,), name="agentkit-tool", daemon=True).start()

    def wait_done(self, timeout_s: float | None) -> bool:
        return self._ended.wait(None if timeout_s is None else min(max(0.0, timeout_s), MAX_WAIT_S))

    def take_done(self) -> None:
        self._ended.wait()

    def _work(self, job: Job) -> None:
        job.run()
        self._ended.set()


def _poller(pipe: int) -> Callable[[float], bool]:
    """A function that waits up to so many seconds for something to read."""
    if not hasattr(select, "poll"):
        return lambda timeout_s: bool(select.select([pipe], [], [], timeout_s)[0])
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    return lambda timeout_s: bool(poll.poll(timeout_s * 1000))


_idle: deque[_Worker] = deque()
_fork_guarded = False


def start(work: Callable[[], Any], on_done: Callable[[], None] | None = None) -> Job:
    """Run `work` on an idle worker, or a new one.

    Args:
        work: What to do.
        on_done: Called on the worker's thread when it is done, instead of waiting for it.
    """
    job = Job(work, on_done)
    try:
        worker: _Worker | _LastResort = _idle.pop()
    except IndexError:
        worker = _new_worker()
    worker.start(job)
    return job


def _new_worker() -> _Worker | _LastResort:
    global _fork_guarded
    if not _fork_guarded:
        _fork_guarded = True
        if hasattr(os, "register_at_fork"):  # threads do not survive a fork; the list of idle ones would
            os.register_at_fork(after_in_child=_idle.clear)
    try:
        return _Worker()
    except OSError:
        return _LastResort()
