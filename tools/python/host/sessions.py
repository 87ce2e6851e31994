"""The sessions of one interpreter: each has a process and a folder, made at first use and removed when it is closed."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path

from agentkit.errors import ToolError
from agentkit.tools.python.execution import Cause, Execution, Isolation
from agentkit.tools.python.host.process import TICK_S
from agentkit.tools.python.host.session import Session
from agentkit.tools.python.host.walls import Walls
from agentkit.tools.python.host.workspace import remove_folder
from agentkit.tools.python.host.zygote_client import ZygoteClient

MAX_IDLE_SESSIONS = 16
"""Idle sessions that are kept; of more, the least recently used is closed. Chosen by hand: ten idle sessions take under
130 MiB (bench_interpreter.py)."""
MAX_REMEMBERED = 1_000
"""Closed sessions whose next call is told what was lost; chosen by hand."""


class Sessions:
    """All sessions of one interpreter, by name. Safe to use from several threads."""

    def __init__(
        self, data: Sequence[Path], walls: Walls, *, max_idle: int = MAX_IDLE_SESSIONS, max_idle_s: float | None = None
    ) -> None:
        """Store the arguments; nothing is started yet.

        Args:
            data: Files copied into each session's working folder.
            walls: What isolates the sessions.
            max_idle: Idle sessions to keep.
            max_idle_s: Seconds a session is kept after its last call; None: no limit.
        """
        self._data, self._walls, self._max_idle, self._max_idle_s = data, walls, max_idle, max_idle_s
        self._lock = threading.Lock()
        self._live: dict[str, Session] = {}
        self._lost: dict[str, tuple[tuple[str, ...], str]] = {}
        self._roots: list[Path] = []
        self._count = 0
        self._pid = os.getpid()
        self._timer: threading.Timer | None = None
        weakref.finalize(self, _shut_down, self._live, self._roots, walls.zygotes, self._pid)

    @property
    def isolation(self) -> Isolation:
        """Return the level of the next session."""
        return self._walls.isolation

    def start(self) -> None:
        """Start a zygote in the background; errors are raised later, by the first call."""
        if self._walls.isolation.level == "L1":
            return
        with contextlib.suppress(ToolError):  # the first call raises it
            with self._lock:
                cache = self._root() / "cache"
            self._walls.start(cache)

    def wake(self, name: str) -> None:
        """Make the session's running call check at once whether it was cancelled."""
        with self._lock:
            session = self._live.get(name)
        if session is not None:
            session.wake()

    def failure(self, cause: Cause, error: str, duration_s: float = 0.0) -> Execution:
        """Return the result of a call that was not run."""
        return Execution(ok=False, error=error, cause=cause, isolation=self._walls.isolation, duration_s=duration_s)

    def run(self, name: str, code: str, timeout_s: float, cancelled: Callable[[], bool] = lambda: False) -> Execution:
        """Run `code` in session `name`; the wait for an earlier call of the session counts against `timeout_s`."""
        began = time.monotonic()
        session = self._enter(name)
        try:
            if not _acquire(session.lock, began + timeout_s, cancelled):
                return self.failure(
                    "timeout",
                    f"Not run: the session was still busy with an earlier call after {timeout_s:g} s. Try again.",
                    time.monotonic() - began,
                )
            try:
                if session.closing:
                    return self.failure("died", "Not run: the session was closed.", time.monotonic() - began)
                if cancelled():
                    return self.failure("timeout", "Not run: the call was cancelled.", time.monotonic() - began)
                left = max(0.05, timeout_s - (time.monotonic() - began))
                return session.run(code, timeout_s if left > timeout_s - 0.05 else left, began, cancelled)
            finally:
                if session.closing:
                    session.dispose()
                session.lock.release()
        finally:
            self._leave(session)

    def _enter(self, name: str) -> Session:
        with self._lock:
            self._leave_to_the_parent()
            session = self._live.get(name)
            if session is None:
                session = self._live[name] = self._new_session(name)
            session.waiting += 1
            self._count += 1
            session.used = self._count
            return session

    def _leave_to_the_parent(self) -> None:
        """In a fork of the program, forget the parent's processes and folders. The caller holds the lock."""
        if self._pid == os.getpid():
            return
        self._live, self._roots, self._pid, self._timer = {}, [], os.getpid(), None
        self._walls.forget()
        weakref.finalize(self, _shut_down, self._live, self._roots, self._walls.zygotes, self._pid)

    def _new_session(self, name: str) -> Session:
        root = self._root()
        session = Session(self._walls, root / f"session-{self._count}", root / "cache", self._data)
        if name in self._lost:
            session.names, why = self._lost.pop(name)
            session.notice = f"The session had been closed, as {why}; this is a new one with the data files only."
        return session

    def _root(self) -> Path:
        """Return the folder of all sessions. The caller holds the lock."""
        if not self._roots:
            try:
                root = Path(tempfile.mkdtemp(prefix="agentkit-python-"))
                self._roots.append(root)
                (root / "cache").mkdir()
            except OSError as error:
                raise ToolError(
                    f"No folder can be made in {tempfile.gettempdir()} ({error.strerror}): make room there, or set "
                    "TMPDIR to another folder."
                ) from error
            _copy_font_list(root / "cache")
        return self._roots[0]

    def _leave(self, session: Session) -> None:
        with self._lock:
            session.waiting -= 1
            session.used_s = time.monotonic()
            idle = sorted((s.used, name) for name, s in self._live.items() if not s.waiting)
            surplus = [name for _, name in idle[: max(0, len(idle) - self._max_idle)]]
            closing = self._take_out(surplus, f"more than {self._max_idle} were open")
            self._plan_ageing()
        for closed in closing:
            _close(closed)

    def _take_out(self, names: Sequence[str], why: str) -> list[Session]:
        """Remove sessions, and remember what to tell their next call. The caller holds the lock."""
        taken = [self._live.pop(name) for name in names]
        for name, session in zip(names, taken, strict=True):
            self._lost[name] = (session.names, why)
        while len(self._lost) > MAX_REMEMBERED:
            del self._lost[next(iter(self._lost))]
        return taken

    def _plan_ageing(self) -> None:
        """Set a timer for when the least recently used session is too old. The caller holds the lock."""
        if self._max_idle_s is None or self._timer is not None:
            return
        idle = [session.used_s for session in self._live.values() if not session.waiting]
        if idle:
            due = max(0.05, min(idle) + self._max_idle_s - time.monotonic())
            self._timer = threading.Timer(due, _age, [weakref.ref(self)])
            self._timer.daemon = True
            self._timer.start()

    def age(self) -> None:
        """Close the sessions that were not used for `max_idle_s`."""
        with self._lock:
            self._timer = None
            limit_s = self._max_idle_s or 0.0
            oldest = time.monotonic() - limit_s
            old = [name for name, s in self._live.items() if not s.waiting and s.used_s <= oldest]
            closing = self._take_out(old, f"it had not been used for {limit_s:g} s")
            self._plan_ageing()
        for closed in closing:
            _close(closed)

    def close(self, name: str | None = None) -> None:
        """End one session, or all; a running call returns with the cause ``died``."""
        with self._lock:
            self._leave_to_the_parent()
            names = list(self._live) if name is None else [name]
            closing = [self._live.pop(each) for each in names if each in self._live]
            for each in names:
                self._lost.pop(each, None)
            roots: list[Path] = []
            timer = None
            if name is None:
                timer, self._timer = self._timer, None
                roots, self._roots[:] = list(self._roots), []
        if timer is not None:
            timer.cancel()
        for session in closing:
            _close(session)
        if name is None:
            self._walls.close()
        for root in roots:
            remove_folder(root)


def _acquire(lock: threading.Lock, deadline: float, cancelled: Callable[[], bool]) -> bool:
    """Take the lock; return False at the deadline or on cancellation."""
    while not lock.acquire(timeout=max(0.0, min(TICK_S, deadline - time.monotonic()))):
        if cancelled() or time.monotonic() >= deadline:
            return False
    return True


def _age(sessions: weakref.ref[Sessions]) -> None:
    found = sessions()
    if found is not None:
        found.age()


def _close(session: Session) -> None:
    session.closing = True
    session.kill()
    with session.lock:
        session.dispose()


def _shut_down(live: dict[str, Session], roots: list[Path], zygotes: list[ZygoteClient], pid: int) -> None:
    """End all processes and remove all folders: the interpreter object or the program ends."""
    if os.getpid() != pid:
        return
    for session in live.values():
        session.closing = True
        session.kill()
        # A call that still runs on a daemon thread holds the lock: the program ends without waiting for it.
        if session.lock.acquire(timeout=1.0):
            session.dispose()
    for zygote in zygotes:
        zygote.close()
    for root in roots:
        remove_folder(root)


def _copy_font_list(cache: Path) -> None:
    """Copy this user's list of fonts for matplotlib, if there is one: making it takes seconds."""
    places = [os.environ.get("MPLCONFIGDIR"), os.environ.get("XDG_CACHE_HOME"), "~/.cache"]
    for place in filter(None, places):
        for folder in (Path(place), Path(place, "matplotlib")):
            # If it cannot be read, matplotlib makes it again.
            with contextlib.suppress(OSError, RuntimeError):
                for found in sorted(folder.expanduser().glob("fontlist-v*.json")):
                    shutil.copyfile(found, cache / found.name)
