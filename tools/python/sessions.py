"""The sessions of one interpreter: a process and a folder each, made at first use, closed without leaving a trace."""

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
from agentkit.tools.python.processes import GRACE_S, TICK_S, Exchange, RunnerProcess
from agentkit.tools.python.workspace import Workspace, Written, remove_folder

MAX_IDLE_SESSIONS = 16
"""How many sessions are kept that run nothing; beyond, the one used longest ago is closed."""
MAX_REMEMBERED = 1_000


def isolation(refused: Sequence[str] = ()) -> Isolation:
    """What this version holds: L1, and which resource limits the system `refused`."""
    return Isolation(
        level="L1",
        missing=("namespaces", "landlock", "seccomp", *refused),
        reason="this version runs code in a process of its own with resource limits and an empty environment, "
        "but does not keep it from the files and the network of the user who runs it",
        fix="run only code you would run yourself, or run agentkit in a container or virtual machine that holds no "
        "secrets",
    )


class Session:
    """One session: at most one process, one call at a time."""

    def __init__(self, folder: Path, cache: Path, data: Sequence[Path]) -> None:
        """Prepare; nothing is started yet."""
        self.lock = threading.Lock()
        self.waiting = 0
        self.used = 0
        self.closing = False
        self.names: tuple[str, ...] = ()
        self.notice = ""
        self.process: RunnerProcess | None = None
        self.workspace: Workspace | None = None
        self._folder, self._cache, self._data = folder, cache, data

    def run(self, code: str, timeout_s: float, began: float, cancelled: Callable[[], bool]) -> Execution:
        """Run `code`, in a new process where there is none."""
        lost, notice = self._restart_if_gone()
        if self.process is None and self.workspace is not None and not self.workspace.in_place():
            self.workspace.remove()
            self.workspace = None
            notice = f"{notice} The working folder was gone; this is a new one with the data files only.".lstrip()
        if self.workspace is None:
            self.workspace = Workspace(self._folder, self._data)
        if self.process is None:
            self.process = RunnerProcess(self._folder, self._cache)
        refused = self.process.refused
        exchange = self.process.run(code, timeout_s, lambda: cancelled() or self.closing)
        if exchange.reply is None:
            lost, self.names, self.process = (*lost, *self.names), (), None
        else:
            self.names = tuple(exchange.reply.names)
        written = self.workspace.collect() if not self.closing else Written()
        cause, error = _judge(exchange, timeout_s, lost, cancelled=cancelled(), closing=self.closing)
        reply = exchange.reply
        if cause is None and exchange.timed_out:
            notice += (
                f"{' ' if notice else ''}The code ran longer than the limit of {timeout_s:g} s and was interrupted; it "
                "ended by itself after that, so its result may not be whole."
            )
        problems = "".join(f"{problem}\n" for problem in reply.problems) if reply else ""
        return Execution(
            ok=cause is None,
            stdout=exchange.stdout,
            stderr=exchange.stderr + problems,
            value=reply.value if reply else None,
            error=error,
            cause=cause,
            artifacts=written.artifacts,
            isolation=isolation(refused),
            variables=tuple(reply.variables) if reply else (),
            files=written.files,
            omitted=written.omitted,
            figures=tuple(reply.figures) if reply else (),
            lost=lost,
            notice=notice,
            duration_s=time.monotonic() - began,
        )

    def _restart_if_gone(self) -> tuple[tuple[str, ...], str]:
        notice, self.notice = self.notice, ""
        if self.process is not None and not self.process.alive:
            how = self.process.kill()
            self.process.close()
            self.process = None
            notice = f"The session's process had ended between two calls ({how}); this is a new one."
        if not notice:
            return (), ""
        lost, self.names = self.names, ()
        return lost, f"{notice} {_gone(lost)}"

    def kill(self) -> None:
        """End the process, even while a call runs in it."""
        process = self.process
        if process is not None:
            process.kill()

    def dispose(self) -> None:
        """Close what is left after `kill`; with the lock held."""
        self.kill()
        if self.process is not None:
            self.process.close()
            self.process = None
        if self.workspace is not None:
            self.workspace.remove()
            self.workspace = None


def _gone(names: Sequence[str]) -> str:
    if not names:
        return "No variables were lost; imports must be repeated."
    shown = ", ".join(names[:50]) + (f" and {len(names) - 50} more" if len(names) > 50 else "")
    return f"These variables are gone: {shown}. Imports must be repeated; files in the working folder are kept."


def _judge(
    exchange: Exchange, timeout_s: float, lost: Sequence[str], *, cancelled: bool, closing: bool
) -> tuple[Cause | None, str | None]:
    """What kind of failure it was, and what to tell the model."""
    reply, limit = exchange.reply, f"{timeout_s:g} s"
    stopped = "the call was cancelled" if cancelled else f"the code ran longer than the limit of {limit}"
    if closing:
        return "died", "The session was closed while the code ran."
    if reply is not None:
        if reply.ok:
            return None, None
        if exchange.timed_out:
            return "timeout", f"{reply.error}\nStopped: {stopped}. Variables are kept. Do less in one call."
        return "exception", reply.error or "(the error cannot be shown)"
    if exchange.timed_out:
        return "timeout", (
            f"Killed: {stopped}, and did not stop within {GRACE_S:g} s of being interrupted. The next call starts a "
            f"new process. {_gone(lost)} Do less in one call."
        )
    return "died", f"The session's process ended ({exchange.ended}). The next call starts a new one. {_gone(lost)}"


class Sessions:
    """All sessions of one interpreter, by name. Safe to use from several threads."""

    def __init__(self, data: Sequence[Path]) -> None:
        """Prepare; no process is started and no folder made before the first call."""
        self._data = data
        self._lock = threading.Lock()
        self._live: dict[str, Session] = {}
        self._lost: dict[str, tuple[str, ...]] = {}
        self._roots: list[Path] = []
        self._count = 0
        self._pid = os.getpid()
        weakref.finalize(self, _shut_down, self._live, self._roots, self._pid)

    def run(self, name: str, code: str, timeout_s: float, cancelled: Callable[[], bool] = lambda: False) -> Execution:
        """Run `code` in session `name`; waiting for an earlier call of the session counts as time used."""
        began = time.monotonic()
        session = self._enter(name)
        try:
            if not _acquire(session.lock, began + timeout_s, cancelled):
                return failure(
                    "timeout",
                    f"Not run: the session was still busy with an earlier call after {timeout_s:g} s. Try again.",
                    time.monotonic() - began,
                )
            try:
                if session.closing:
                    return failure("died", "Not run: the session was closed.", time.monotonic() - began)
                if cancelled():
                    return failure("timeout", "Not run: the call was cancelled.", time.monotonic() - began)
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
            if self._pid != os.getpid():  # forked: these processes are the parent's
                self._live, self._roots, self._pid = {}, [], os.getpid()
                weakref.finalize(self, _shut_down, self._live, self._roots, self._pid)
            session = self._live.get(name)
            if session is None:
                session = self._live[name] = self._new_session(name)
            session.waiting += 1
            self._count += 1
            session.used = self._count
            return session

    def _new_session(self, name: str) -> Session:
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
        root = self._roots[0]
        session = Session(root / f"session-{self._count}", root / "cache", self._data)
        if name in self._lost:
            session.names = self._lost.pop(name)
            session.notice = (
                f"The session had been closed, as more than {MAX_IDLE_SESSIONS} were open; this is a new one with "
                "the data files only."
            )
        return session

    def _leave(self, session: Session) -> None:
        with self._lock:
            session.waiting -= 1
            idle = sorted((s.used, name) for name, s in self._live.items() if not s.waiting)
            surplus = [name for _, name in idle[: max(0, len(idle) - MAX_IDLE_SESSIONS)]]
            closing = [self._live.pop(name) for name in surplus]
            for name, closed in zip(surplus, closing, strict=True):
                self._lost[name] = closed.names
            while len(self._lost) > MAX_REMEMBERED:
                del self._lost[next(iter(self._lost))]
        for closed in closing:
            _close(closed)

    def close(self, name: str | None = None) -> None:
        """End one session, or all; a call that runs in it comes back as died."""
        with self._lock:
            names = list(self._live) if name is None else [name]
            closing = [self._live.pop(each) for each in names if each in self._live]
            for each in names:
                self._lost.pop(each, None)
            if name is None and self._pid == os.getpid():
                roots, self._roots[:] = list(self._roots), []
            else:
                roots = []
        for session in closing:
            _close(session)
        for root in roots:
            remove_folder(root)


def _acquire(lock: threading.Lock, deadline: float, cancelled: Callable[[], bool]) -> bool:
    """Take the lock, unless the time is over; cancelled, give up waiting (the caller looks at that first)."""
    while not lock.acquire(timeout=max(0.0, min(TICK_S, deadline - time.monotonic()))):
        if cancelled() or time.monotonic() >= deadline:
            return False
    return True


def failure(cause: Cause, error: str, duration_s: float = 0.0) -> Execution:
    """A call that was not run."""
    return Execution(ok=False, error=error, cause=cause, isolation=isolation(), duration_s=duration_s)


def _close(session: Session) -> None:
    session.closing = True
    session.kill()
    with session.lock:
        session.dispose()


def _shut_down(live: dict[str, Session], roots: list[Path], pid: int) -> None:
    """At the end of the interpreter object or of the program: no process and no folder stays."""
    if os.getpid() != pid:
        return
    for session in live.values():
        session.closing = True
        session.kill()
        # A call still running on a daemon thread holds the lock; the program ends without it.
        if session.lock.acquire(timeout=1.0):
            session.dispose()
    for root in roots:
        remove_folder(root)


def _copy_font_list(cache: Path) -> None:
    """Spare the code matplotlib's search for fonts (seconds), where this user's matplotlib has done it."""
    places = [os.environ.get("MPLCONFIGDIR"), os.environ.get("XDG_CACHE_HOME"), "~/.cache"]
    for place in filter(None, places):
        for folder in (Path(place), Path(place, "matplotlib")):
            # What cannot be read is made anew, by matplotlib.
            with contextlib.suppress(OSError, RuntimeError):
                for found in sorted(folder.expanduser().glob("fontlist-v*.json")):
                    shutil.copyfile(found, cache / found.name)
