"""The two kinds of process that run cells: a Python started for one session (level 1), a fork of the zygote (2, 3)."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Protocol

from agentkit.errors import ToolError
from agentkit.tools.python.host import spawner
from agentkit.tools.python.host.readable import GUEST

LAST_WORDS_S = 0.05
"""Seconds a process that seems to be ending has to end by itself, so that its own exit status can be reported.
Chosen by hand: an exit takes a few milliseconds, and a hard kill is delayed by this at most."""
KILLED = "it was killed"
_GONE_S = 10.0
"""Seconds to wait for a process after SIGKILL. Chosen by hand: it takes under 20 ms (bench_interpreter.py)."""


class Child(Protocol):
    """A process that runs cells, seen from the host."""

    channel: socket.socket
    stdout: int
    stderr: int
    pid: int
    """Its number on the host; 0 if that is not known."""
    end: int | None
    """A descriptor that becomes readable when the process ends; None: ask `alive`."""

    def alive(self) -> bool:
        """True if it runs."""

    def interrupt(self) -> None:
        """Send it SIGINT."""

    def kill(self, *, ending: bool) -> str:
        """End it, wait for its end and return how it ended; `ending`: it may be about to end by itself."""

    def close(self) -> None:
        """Close its descriptors; after `kill`."""


def environment(work: Path | None, cache: Path) -> dict[str, str]:
    """Return the complete environment of the code: no key and no setting of the host is in it."""
    home = {} if work is None else {"HOME": str(work), "TMPDIR": str(work)}
    return {
        **home,
        "LANG": "C.UTF-8",
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": str(cache),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
    }


class Ends:
    """Both ends of the connections to a process: a socket for frames, two pipes for what it prints."""

    def __init__(self) -> None:
        """Make them.

        Raises:
            ToolError: Too many descriptors are open.
        """
        try:
            self.channel, self.their_channel = socket.socketpair()
        except OSError as error:
            raise no_process(error) from error
        try:
            self.stdout, self.their_stdout = os.pipe()
            try:
                self.stderr, self.their_stderr = os.pipe()
            except OSError:
                os.close(self.stdout)
                os.close(self.their_stdout)
                raise
        except OSError as error:
            self.channel.close()
            self.their_channel.close()
            raise no_process(error) from error

    def close_theirs(self) -> None:
        """Close the process's ends here, once it has them."""
        self.their_channel.close()
        os.close(self.their_stdout)
        os.close(self.their_stderr)

    def close_ours(self) -> None:
        """Close our ends, once the process is gone."""
        self.channel.close()
        os.close(self.stdout)
        os.close(self.stderr)


def no_process(error: OSError) -> ToolError:
    """Return the error for a process that cannot be started."""
    return ToolError(f"No Python process could be started ({error}): check {sys.executable!r} and the system's limits.")


class Spawned:
    """A Python started for one session, in a process group of its own, without walls."""

    def __init__(self, work: Path, cache: Path) -> None:
        """Start it in the folder `work`.

        Raises:
            ToolError: It does not start.
        """
        self.end: int | None = None
        self._ends = Ends()
        theirs = self._ends.their_channel.fileno()
        # -P and -s: neither this package's folder nor the user's own packages are on its path.
        command = [sys.executable, "-s", "-P", str(GUEST / "runner.py"), str(theirs), str(os.getpid())]

        def popen() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._ends.their_stdout,
                stderr=self._ends.their_stderr,
                cwd=work,
                env=environment(work, cache),
                pass_fds=[theirs],
                start_new_session=True,
            )

        try:
            self._process = spawner.start(popen)
        except OSError as error:
            self._ends.close_ours()
            raise no_process(error) from error
        finally:
            self._ends.close_theirs()
        self.channel, self.stdout, self.stderr = self._ends.channel, self._ends.stdout, self._ends.stderr
        self.pid = self._process.pid

    def alive(self) -> bool:
        """True if it runs."""
        return self._process.returncode is None and self._process.poll() is None

    def interrupt(self) -> None:
        """Send it SIGINT."""
        self._process.send_signal(signal.SIGINT)

    def kill(self, *, ending: bool) -> str:
        """End it and its process group."""
        itself = True
        try:
            self._process.wait(LAST_WORDS_S if ending else 0)
        except subprocess.TimeoutExpired:
            itself = False
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        status = self._process.wait()
        return how_it_ended(status) if itself else KILLED

    def close(self) -> None:
        """Close its descriptors."""
        self._ends.close_ours()


class Opener(Protocol):
    """The parent of the forks, which alone can read their exit status."""

    def reap(self, pid: int) -> int | None:
        """Return the exit status of a fork that has ended, None if it can no longer be read."""


class Forked:
    """A session inside the walls: a fork of the zygote, held by a pidfd, which can never mean another process."""

    def __init__(self, ends: Ends, handle: int, inner_pid: int, zygote: Opener) -> None:
        """Take over the descriptors; `inner_pid` is its number inside the zygote's namespace."""
        self._ends, self._inner_pid, self._zygote = ends, inner_pid, zygote
        self.channel, self.stdout, self.stderr = ends.channel, ends.stdout, ends.stderr
        self.end: int | None = handle
        self._handle = handle
        self._lock = threading.Lock()
        self.pid = _pid_of(handle)

    def alive(self) -> bool:
        """True if it runs."""
        return not _ended_within(self._handle, 0)

    def interrupt(self) -> None:
        """Send it SIGINT."""
        self._signal(signal.SIGINT)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(self._handle, number)

    def kill(self, *, ending: bool) -> str:
        """End it; it cannot have children."""
        itself = _ended_within(self._handle, LAST_WORDS_S if ending else 0)
        self._signal(signal.SIGKILL)
        if not _ended_within(self._handle, _GONE_S):
            return "it was killed, and has not ended yet"
        status = self._zygote.reap(self._inner_pid)
        if status is None:
            return "the process all sessions come from had ended"
        return how_it_ended(status) if itself else KILLED

    def close(self) -> None:
        """Close its descriptors."""
        self._ends.close_ours()
        os.close(self._handle)


def _ended_within(handle: int, seconds: float) -> bool:
    poller = select.poll()
    poller.register(handle, select.POLLIN)
    return bool(poller.poll(seconds * 1000))


def _pid_of(handle: int) -> int:
    """Return the process's number on the host; inside a sandbox it has another."""
    for line in Path(f"/proc/self/fdinfo/{handle}").read_text().splitlines():
        if line.startswith("Pid:"):
            return max(0, int(line.split()[1]))
    return 0


def how_it_ended(status: int) -> str:
    """Return the exit status in words."""
    if status >= 0:
        return f"it exited with status {status}"
    try:
        return f"it was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"it was ended by signal {-status}"
