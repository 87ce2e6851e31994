"""One session: a process and a working folder, made at first use; the result of a call and what a lost process took."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from agentkit.tools.python.execution import Cause, Execution, Isolation
from agentkit.tools.python.host.process import GRACE_S, Exchange, RunnerProcess
from agentkit.tools.python.host.walls import Place, Walls
from agentkit.tools.python.host.watch import Room
from agentkit.tools.python.host.workspace import Written

MAX_PROBLEM_CHARS = 10_000
"""Characters of the notes on figures that could not be saved; the limit of a value and of an error too."""


class Session:
    """One session: at most one process, one call at a time."""

    def __init__(self, walls: Walls, folder: Path, cache: Path, data: Sequence[Path]) -> None:
        """Store the arguments; nothing is started yet."""
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
        """Run `code`, in a new process if there is none."""
        lost, notice = self._restart_if_gone()
        if self.process is None and self.place is not None and not self.place.in_place():
            self.place.remove()
            self.place = None
            notice = f"{notice} The working folder was gone; this is a new one with the data files only.".lstrip()
        if self.place is None:
            self.place = self._walls.place(self._folder, self._cache, self._data)
        workspace = self.place.workspace
        if self.process is None:
            self.process = RunnerProcess(self.place.process(), Room(workspace.fd, self.place.sized))
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
            isolation=_with_refused(self.place.isolation, refused),
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
        """End the process, also while a call runs in it."""
        process = self.process
        if process is not None:
            process.kill()

    def dispose(self) -> None:
        """Close what is left after `kill`. The caller holds the lock."""
        self.kill()
        if self.process is not None:
            self.process.close()
            self.process = None
        if self.place is not None:
            self.place.remove()
            self.place = None

    def wake(self) -> None:
        """Make the running call check at once whether it was cancelled."""
        process = self.process
        if process is not None:
            process.wake()


def _with_refused(isolation: Isolation, refused: Sequence[str]) -> Isolation:
    """Return the isolation, with the resource limits that the system refused among what is missing."""
    return isolation.model_copy(update={"missing": (*isolation.missing, *refused)}) if refused else isolation


def _gone(names: Sequence[str]) -> str:
    if not names:
        return "No variables were lost; imports must be repeated."
    shown = ", ".join(names[:50]) + (f" and {len(names) - 50} more" if len(names) > 50 else "")
    return f"These variables are gone: {shown}. Imports must be repeated; files in the working folder are kept."


def _judge(
    exchange: Exchange, timeout_s: float, lost: Sequence[str], *, cancelled: bool, closing: bool
) -> tuple[Cause | None, str | None]:
    """Return the kind of failure and the text for the model; None and None for a success."""
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
