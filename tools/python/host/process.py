"""One process that runs cells, from the host's side: timed, watched, interrupted, killed and reaped."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from agentkit.errors import ToolError
from agentkit.tools.python.host.child import KILLED, Child
from agentkit.tools.python.host.frames import CellReply, FrameError, FrameReader, Hello, Output, decode, encode
from agentkit.tools.python.host.watch import Room, Watch

GRACE_S = 1.0
"""Seconds the code has to stop after an interrupt, before it is killed. Chosen by hand: a loop in Python stops within
5 ms (bench_interpreter.py), code in C that polls for signals may take longer."""
START_S = 30.0
"""Seconds a new process has to report. Chosen by hand: a fork takes 20 ms, a new Python with pandas below 1 s
(bench_interpreter.py), both far longer on a loaded machine."""
TICK_S = 0.1
"""Longest wait between two looks at time limits and cancellation, where nothing wakes the host earlier."""


@dataclass(frozen=True)
class Exchange:
    """The result of one cell: a reply, or how the process ended without one."""

    reply: CellReply | None
    stdout: str
    stderr: str
    timed_out: bool
    ended: str = ""
    """The end of the process in words, such as ``it was ended by SIGSEGV``; empty if it lives."""


class RunnerProcess:
    """A process that runs cells. Used by one thread at a time, except `kill` and `wake`."""

    def __init__(self, child: Child, room: Room) -> None:
        """Wait until `child` reports; `room` is its working folder.

        Raises:
            ToolError: It ends, or does not report in time.
        """
        self._child, self._room = child, room
        self._selector = selectors.DefaultSelector()
        self._wake, self._waker = socket.socketpair()
        child.channel.setblocking(False)
        self._wake.setblocking(False)
        self._waker.setblocking(False)
        self._selector.register(child.channel, selectors.EVENT_READ, "reply")
        self._selector.register(self._wake, selectors.EVENT_READ, "wake")
        if child.end is not None:
            self._selector.register(child.end, selectors.EVENT_READ, "end")
        for fd, name in ((child.stdout, "stdout"), (child.stderr, "stderr")):
            os.set_blocking(fd, False)
            self._selector.register(fd, selectors.EVENT_READ, name)
        self._frames = FrameReader()
        self._calls = 0
        self._reaping = threading.Lock()
        self._ended = ""
        self._closed = False
        try:
            self.refused = self._greet()
        except BaseException:
            self.kill()
            self.close()
            raise

    def _greet(self) -> tuple[str, ...]:
        waited = self._await_frame(START_S, lambda: False, None)
        if waited.body is not None:
            with contextlib.suppress(FrameError):
                return tuple(decode(waited.body, Hello).refused)
        ended = "it did not report in time" if waited.timed_out else self.kill(ending=True)
        self._drain(waited.output)
        said = waited.output["stderr"].text().strip()[-500:]
        raise ToolError(f"The Python process did not start ({ended}): {said or 'it said nothing'}. Try again.")

    @property
    def alive(self) -> bool:
        """True if it can run another cell."""
        return not self._closed and not self._ended and self._child.alive()

    def wake(self) -> None:
        """Make the running call check at once whether it was cancelled."""
        with self._reaping, contextlib.suppress(OSError):
            if not self._closed:
                self._waker.send(b"1")

    def run(self, code: str, timeout_s: float, cancelled: Callable[[], bool]) -> Exchange:
        """Run one cell for at most `timeout_s` seconds, or until `cancelled`.

        A cell that does not stop when interrupted is killed, with all processes in its process group.
        """
        self._calls += 1
        request = encode({"id": self._calls, "code": code, "cpu_s": timeout_s * (os.cpu_count() or 1) + 5})
        watch = Watch(self._child.pid, self._room)
        try:
            self._write(request, time.monotonic() + timeout_s)
            waited = self._await_frame(timeout_s, cancelled, watch)
            reply, problem = self._reply(waited)
        except BaseException:  # Ctrl-C in the host: the reply would otherwise be taken for the next call's
            self.kill()
            self.close()
            raise
        output = waited.output
        if reply is not None:
            self._drain(output)
            return Exchange(reply, output["stdout"].text(), output["stderr"].text(), waited.timed_out)
        ended = self.kill(ending=not waited.timed_out and not problem)
        if ended == KILLED:  # it was not about to end, but closed its socket
            ended = "it closed its connection to the host, and was killed"
        self._drain(output)
        self.close()
        return Exchange(
            None, output["stdout"].text(), output["stderr"].text(), waited.timed_out and not problem, problem or ended
        )

    def _reply(self, waited: _Waited) -> tuple[CellReply | None, str]:
        """Return the reply in the frame, or what is wrong with it."""
        if waited.body is None:
            return None, waited.problem
        try:
            reply = decode(waited.body, CellReply)
        except FrameError as error:
            return None, f"it sent {error}"
        if reply.id != self._calls:
            return None, "it sent a reply to another call"
        if self._frames.pending:
            return None, "it sent more than one reply"
        return reply, ""

    def _write(self, request: bytes, deadline: float) -> None:
        channel = self._child.channel
        channel.settimeout(max(0.1, deadline - time.monotonic()))
        # If the process is gone or does not read, the wait for its reply notices.
        with contextlib.suppress(OSError):
            channel.sendall(request)
        channel.setblocking(False)

    def _await_frame(self, timeout_s: float, cancelled: Callable[[], bool], watch: Watch | None) -> _Waited:
        """Wait for the next frame; without a `watch`, nothing is interrupted at the time limit."""
        waited, deadline, ticked = _Waited(), time.monotonic() + timeout_s, 0.0
        while True:
            now = time.monotonic()
            left = deadline - now
            if left <= 0 or (not waited.timed_out and cancelled()):
                if waited.timed_out or watch is None:
                    waited.timed_out = True
                    return waited
                waited.timed_out, left, deadline = True, GRACE_S, now + GRACE_S
            if waited.timed_out and now - ticked >= TICK_S:
                # Repeat it: an interrupt before the cell has begun is lost. The runner raises only one per cell.
                self._child.interrupt()
                ticked = now
            events = self._selector.select(min(left, TICK_S))
            ready = {key.data: key for key, _ in events}
            if self._take(ready, waited):
                return waited
            if watch is not None and (problem := watch.problem()):
                waited.problem = problem
                return waited
            # Ask the process itself: after its end, a copy of it may hold the socket open. What it sent is read first.
            if "reply" not in ready and ("end" in ready or not events) and not self._child.alive():
                return waited

    def _take(self, ready: dict[str, selectors.SelectorKey], waited: _Waited) -> bool:
        """Read what is there; return True if the wait is over."""
        for name, key in ready.items():
            if name == "end" or (data := _read(key.fd)) is None:
                continue
            if name in waited.output:
                waited.output[name].add(data)
                if not data:
                    self._selector.unregister(key.fileobj)
            elif name == "reply":
                try:
                    waited.body = self._frames.feed(data)
                except FrameError as error:
                    waited.problem = f"it sent {error}"
                if not data or waited.body is not None or waited.problem:
                    return True
        return False

    def _drain(self, output: dict[str, Output]) -> None:
        """Take in what was printed before the reply; at most one full pipe, as threads may continue to print."""
        for key in list(self._selector.get_map().values()):
            if key.data not in output:
                continue
            for _ in range(16):
                data = _read(key.fd)
                if not data:
                    break
                output[key.data].add(data)

    def kill(self, *, ending: bool = False) -> str:
        """End the process and its process group, wait for it, and return how it ended."""
        with self._reaping:
            if not self._ended:  # once: later the number may belong to another process group
                self._ended = self._child.kill(ending=ending)
            return self._ended

    def close(self) -> None:
        """Close the descriptors; after `kill`."""
        with self._reaping:
            if self._closed:
                return
            self._closed = True
            self._selector.close()
            self._wake.close()
            self._waker.close()
            self._child.close()


@dataclass
class _Waited:
    """The result of waiting: a frame, the output until then, or why there will be no frame."""

    body: bytes | None = None
    output: dict[str, Output] = field(default_factory=lambda: {"stdout": Output(), "stderr": Output()})
    timed_out: bool = False
    problem: str = ""


def _read(fd: int) -> bytes | None:
    """Return the bytes that can be read now, None if there are none yet, empty at the end."""
    try:
        return os.read(fd, 1 << 16)
    except BlockingIOError:
        return None
    except OSError:
        return b""
