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
from agentkit.tools.python.walls import Place, Walls
from agentkit.tools.python.workspace import Written, remove_folder
from agentkit.tools.python.zygotes import Zygote

MAX_IDLE_SESSIONS = 16
"""How many sessions are kept that run nothing; beyond, the one used longest ago is closed."""
MAX_REMEMBERED = 1_000
MAX_PROBLEM_CHARS = 10_000


class Session:
    """One session: at most one process, one call at a time."""

    def __init__(self, walls: Walls, folder: Path, cache: Path, data: Sequence[Path]) -> None:
        """Prepare; nothing is started yet."""
        self.lock = threading.Lock()
        self.waiting = 0
        self.used = 0
        self.used_s = 0.0
        self.closing = False
        self.names: tuple[str, ...] = ()
        self.notice = ""
        self.process: RunnerProcess | None = None
        self.place: Place | None = None
        self._walls, self._folder, self._cache, self._data = walls, folder, cache, data

    def run(self, code: str, timeout_s: float, began: float, cancelled: Callable[[], bool]) -> Execution:
        """Run `code`, in a new process where there is none."""
        lost, notice = self._restart_if_gone()
        if self.process is None and self.place is not None and not self.place.in_place():
            self.place.remove()
            self.place = None
            notice = f"{notice} The working folder was gone; this is a new one with the data files only.".lstrip()
        if self.place is None:
            self.place = self._walls.place(self._folder, self._cache, self._data)
        workspace = self.place.workspace
        if self.process is None:
            self.process = RunnerProcess(self.place.process(), None if self.place.sized else workspace.fd)
        refused = self.process.refused
        exchange = self.process.run(code, timeout_s, lambda: cancelled() or self.closing)
        if exchange.reply is None:
            lost, self.names, self.process = (*lost, *self.names), (), None
        else:
            self.names = tuple(exchange.reply.names)
        written = workspace.collect() if not self.closing else Written()
        cause, error = _judge(exchange, timeout_s, lost, cancelled=cancelled(), closing=self.closing)
        reply = exchange.reply
        if cause is None and exchange.timed_out:
            notice += (
                f"{' ' if notice else ''}The code ran longer than the limit of {timeout_s:g} s and was interrupted; it "
                "ended by itself after that, so its result may not be whole."
            )
        problems = "".join(f"{problem}\n" for problem in reply.problems)[:MAX_PROBLEM_CHARS] if reply else ""
        return Execution(
            ok=cause is None,
            stdout=exchange.stdout,
            stderr=exchange.stderr + problems,
            value=reply.value if reply else None,
            error=error,
            cause=cause,
            artifacts=written.artifacts,
            isolation=_with(self._walls.isolation, refused),
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
        if self.place is not None:
            self.place.remove()
            self.place = None

    def wake(self) -> None:
        """Make a call under way look at once whether it was cancelled."""
        process = self.process
        if process is not None:
            process.wake()


def _with(isolation: Isolation, refused: Sequence[str]) -> Isolation:
    """The isolation, with the resource limits the system refused."""
    return isolation.model_copy(update={"missing": (*isolation.missing, *refused)}) if refused else isolation


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

    def __init__(
        self, data: Sequence[Path], walls: Walls, *, max_idle: int = MAX_IDLE_SESSIONS, max_idle_s: float | None = None
    ) -> None:
        """Prepare.

        Args:
            data: Files copied into each session's working folder.
            walls: What is put around each session.
            max_idle: How many sessions are kept that run nothing.
            max_idle_s: Seconds a session is kept after its last call; None: as long as there are few.
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

    def start(self) -> None:
        """Let what sessions are forked from get warm in the background."""
        if self._walls.isolation.level == "L1":
            return
        with self._lock:
            cache = self._root() / "cache"
        self._walls.start(cache)

    def wake(self, name: str) -> None:
        """Make a call under way in the session look at once whether it was cancelled."""
        with self._lock:
            session = self._live.get(name)
        if session is not None:
            session.wake()

    def failure(self, cause: Cause, error: str, duration_s: float = 0.0) -> Execution:
        """A call that was not run."""
        return Execution(ok=False, error=error, cause=cause, isolation=self._walls.isolation, duration_s=duration_s)

    def run(self, name: str, code: str, timeout_s: float, cancelled: Callable[[], bool] = lambda: False) -> Execution:
        """Run `code` in session `name`; waiting for an earlier call of the session counts as time used."""
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
            if self._pid != os.getpid():  # forked: these processes are the parent's
                self._live, self._roots, self._pid, self._timer = {}, [], os.getpid(), None
                self._walls.forget()
                weakref.finalize(self, _shut_down, self._live, self._roots, self._walls.zygotes, self._pid)
            session = self._live.get(name)
            if session is None:
                session = self._live[name] = self._new_session(name)
            session.waiting += 1
            self._count += 1
            session.used = self._count
            return session

    def _new_session(self, name: str) -> Session:
        root = self._root()
        session = Session(self._walls, root / f"session-{self._count}", root / "cache", self._data)
        if name in self._lost:
            session.names, why = self._lost.pop(name)
            session.notice = f"The session had been closed, as {why}; this is a new one with the data files only."
        return session

    def _root(self) -> Path:
        """The folder of all sessions; with the lock held."""
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
        """Sessions nobody asked to close, remembered so that their next call is told; with the lock held."""
        taken = [self._live.pop(name) for name in names]
        for name, session in zip(names, taken, strict=True):
            self._lost[name] = (session.names, why)
        while len(self._lost) > MAX_REMEMBERED:
            del self._lost[next(iter(self._lost))]
        return taken

    def _plan_ageing(self) -> None:
        """Look again when the session unused for longest is too old; with the lock held."""
        if self._max_idle_s is None or self._timer is not None:
            return
        idle = [session.used_s for session in self._live.values() if not session.waiting]
        if idle:
            due = max(0.05, min(idle) + self._max_idle_s - time.monotonic())
            self._timer = threading.Timer(due, _age, [weakref.ref(self)])
            self._timer.daemon = True
            self._timer.start()

    def age(self) -> None:
        """Close the sessions that have not been used for too long."""
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
        """End one session, or all; a call that runs in it comes back as died."""
        with self._lock:
            names = list(self._live) if name is None else [name]
            closing = [self._live.pop(each) for each in names if each in self._live]
            for each in names:
                self._lost.pop(each, None)
            roots: list[Path] = []
            timer = None
            if name is None:
                timer, self._timer = self._timer, None
                if self._pid == os.getpid():
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
    """Take the lock, unless the time is over; cancelled, give up waiting (the caller looks at that first)."""
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


def _shut_down(live: dict[str, Session], roots: list[Path], zygotes: list[Zygote], pid: int) -> None:
    """At the end of the interpreter object or of the program: no process and no folder stays."""
    if os.getpid() != pid:
        return
    for session in live.values():
        session.closing = True
        session.kill()
        # A call still running on a daemon thread holds the lock; the program ends without it.
        if session.lock.acquire(timeout=1.0):
            session.dispose()
    for zygote in zygotes:
        zygote.close()
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
