"""The host's side of the zygote: start it in the background, ask it for sessions, end it with the interpreter."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agentkit.errors import ToolError
from agentkit.tools.python.host import bwrap, spawner
from agentkit.tools.python.host.child import Ends, Forked, environment
from agentkit.tools.python.host.readable import GUEST, readable

START_S = 60.0
"""Seconds it has to load the libraries. Chosen by hand: it takes under 1 s (bench_interpreter.py), but matplotlib may
list the machine's fonts first, and the machine may be loaded."""
ANSWER_S = 30.0
"""Seconds it has to answer. Chosen by hand: a fork takes 20 ms (bench_interpreter.py)."""
MAX_MESSAGE_BYTES = 65_536  # as in guest/zygote.py; the largest message is the plan, some kB of paths
PRIVATE = ("ipc", "mnt", "net", "pid", "uts")
"""Namespaces that at level 3 must not be the host's; for an ordinary user also the user namespace."""


@dataclass(frozen=True)
class ZygotePlan:
    """The instructions to a zygote.

    Attributes:
        level: ``L2`` or ``L3``.
        readable: Files and folders its sessions may read.
        parent: The number of its parent, 0 in a sandbox.
    """

    level: str
    readable: tuple[str, ...]
    parent: int


class ZygoteError(Exception):
    """The zygote did not start, does not answer, or lacks a wall."""


class ZygoteLost(ZygoteError):
    """The zygote was warm and has ended since."""


class ZygoteClient:
    """One zygote: the process that sessions are forked from. Used from several threads."""

    def __init__(self, cache: Path, program: str | None, slots: int = 0, slot_bytes: int = 0) -> None:
        """Start it and do not wait for it.

        Args:
            cache: Folder for what libraries write while they load.
            program: The path of bubblewrap (level 3), or None (level 2).
            slots: How many working folders the sandbox has.
            slot_bytes: The size of each.

        Raises:
            ZygoteError: It cannot be started.
        """
        self.free = [f"{bwrap.WORK}/{number}" for number in reversed(range(slots))]
        self.boxed = program is not None
        self._lock = threading.Lock()
        self._greeted = False
        self._dead = False
        self.packages: tuple[str, ...] = ()
        plan = ZygotePlan("L3" if program else "L2", readable(), 0 if program else os.getpid())
        ahead = (
            []
            if program is None
            else [*bwrap.command(program, cache, slots, slot_bytes), *_environment_options(cache), "--"]
        )
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        script = [sys.executable, "-s", "-P", str(GUEST / "zygote.py"), str(theirs.fileno()), json.dumps(asdict(plan))]

        def popen() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                [*ahead, *script],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                cwd="/",
                env=environment(None, cache),
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

        try:
            self._process = spawner.start(popen)
        except OSError as error:
            self._control.close()
            self._errors.close()
            raise ZygoteError(str(error)) from error
        finally:
            theirs.close()

    @property
    def alive(self) -> bool:
        """True if it can be asked, or still loads."""
        return not self._dead and self._process.poll() is None

    def ready(self) -> None:
        """Wait until it is warm.

        Raises:
            ZygoteError: It does not report in time, or lacks a wall.
        """
        with self._lock:
            if self._greeted:
                return
            hello, fds = self._receive(START_S)
            _close(fds)
            self._greeted = True
            self.packages = tuple(map(str, hello.get("packages", ())))
            if self.boxed and (shared := _shared(hello.get("namespaces", {}))):
                raise ZygoteError(f"the sandbox shares the {', '.join(shared)} namespace with the host")

    def open(self, folder: str) -> Forked:
        """Open a new session that works in `folder`.

        Raises:
            ZygoteError: It does not answer, or cannot fork.
            ToolError: Too many descriptors are open.
        """
        self.ready()
        ends = Ends()
        try:
            given = [ends.their_channel.fileno(), ends.their_stdout, ends.their_stderr]
            answer, fds = self._ask({"open": folder}, given)
            if len(fds) != 1:
                _close(fds)
                raise ZygoteError("its answer holds no process")
            return Forked(ends, fds[0], int(answer["pid"]), self)
        except BaseException:
            ends.close_ours()
            raise
        finally:
            ends.close_theirs()

    def folder(self, path: str) -> int:
        """Return the descriptor of a folder, opened inside the sandbox.

        Raises:
            ZygoteError: It does not answer, or there is no such folder.
        """
        self.ready()
        _, fds = self._ask({"folder": path})
        if len(fds) != 1:
            _close(fds)
            raise ZygoteError("its answer holds no folder")
        return fds[0]

    def reap(self, pid: int) -> int | None:
        """Return the exit status of a fork that has ended, None if the zygote is gone too."""
        try:
            return int(self._ask({"reap": pid})[0]["status"])
        except ZygoteError:
            return None

    def _ask(self, question: dict[str, Any], fds: list[int] | None = None) -> tuple[dict[str, Any], list[int]]:
        with self._lock:
            if self._dead:
                raise ZygoteLost("it has ended")
            try:
                self._control.settimeout(ANSWER_S)
                socket.send_fds(self._control, [json.dumps(question).encode()], fds or [])
            except OSError as error:
                raise self._failed(str(error)) from error
            answer, received = self._receive(ANSWER_S)
        if "error" in answer:
            _close(received)
            raise ZygoteError(str(answer["error"]))
        return answer, received

    def _receive(self, timeout_s: float) -> tuple[dict[str, Any], list[int]]:
        try:
            self._control.settimeout(timeout_s)
            body, fds, _, _ = socket.recv_fds(self._control, MAX_MESSAGE_BYTES, 4)
        except OSError as error:
            raise self._failed(
                "it did not answer in time" if isinstance(error, TimeoutError) else str(error)
            ) from error
        if not body:
            raise self._failed("it ended")
        answer = json.loads(body)
        assert isinstance(answer, dict)
        return answer, fds

    def _failed(self, what: str) -> ZygoteError:
        self._dead = True
        self._end()
        self._errors.seek(0)
        reason = bwrap.last_line(self._errors.read()[-2000:]) or what
        return ZygoteLost(reason) if self._greeted else ZygoteError(reason)

    def _end(self) -> None:
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End it, and with it all its sessions."""
        self._dead = True
        self._end()
        with self._lock:
            self._control.close()
            self._errors.close()

    def abandon(self) -> None:
        """In a fork of the host, close the inherited descriptors and leave the process to the parent."""
        self._dead = True
        self._control.close()
        self._errors.close()
        self._process.returncode = 0  # else the Popen object warns that it still runs


def _environment_options(cache: Path) -> list[str]:
    """Return the options that set the environment inside the sandbox, which starts empty."""
    return [word for name, value in environment(None, cache).items() for word in ("--setenv", name, value)]


def _shared(theirs: dict[str, str]) -> list[str]:
    needed = PRIVATE if os.geteuid() == 0 else (*PRIVATE, "user")
    return [name for name in needed if theirs.get(name, "") in ("", str(Path(f"/proc/self/ns/{name}").readlink()))]


def _close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)


def as_tool_error(error: ZygoteError) -> ToolError:
    """Return the error for a session that cannot be opened."""
    return ToolError(f"No Python process could be started inside the walls: {error}. Look at `agentkit doctor`.")
