"""One runner process: started with nothing of the host's environment, timed, interrupted, killed and reaped."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from agentkit.errors import ToolError
from agentkit.tools.python.frames import FrameError, FrameReader, Hello, Output, Reply, decode, encode

GRACE_S = 1.0
"""Seconds the code has to stop after it was interrupted, before it is killed."""
START_S = 30.0
"""Seconds a new process has to report."""
TICK_S = 0.1
_RUNNER = Path(__file__).with_name("runner.py")


@dataclass(frozen=True)
class Exchange:
    """What came of one cell: a reply, or how the process ended without one."""

    reply: Reply | None
    stdout: str
    stderr: str
    timed_out: bool
    ended: str = ""
    """How the process ended, such as ``killed by SIGSEGV``; empty where it lives."""


class _Spawner:
    """Starts processes on one thread that lives as long as the program.

    Linux sends a child its parent-death signal when the *thread* that started it ends, and worker threads do.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inbox: SimpleQueue[tuple[Callable[[], subprocess.Popen[bytes]], SimpleQueue[object]]] | None = None
        self._pid = 0

    def start(self, popen: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._inbox is None or self._pid != os.getpid():  # threads do not survive a fork
                self._inbox, self._pid = SimpleQueue(), os.getpid()
                threading.Thread(target=self._work, args=(self._inbox,), name="agentkit-spawn", daemon=True).start()
        answer: SimpleQueue[object] = SimpleQueue()
        self._inbox.put((popen, answer))
        result = answer.get()
        if isinstance(result, BaseException):
            raise result
        assert isinstance(result, subprocess.Popen)
        return result

    @staticmethod
    def _work(inbox: SimpleQueue[tuple[Callable[[], subprocess.Popen[bytes]], SimpleQueue[object]]]) -> None:
        while True:
            popen, answer = inbox.get()
            try:
                answer.put(popen())
            except Exception as error:
                answer.put(error)
            del popen, answer


_spawner = _Spawner()


def environment(work: Path, cache: Path) -> dict[str, str]:
    """The whole environment of the code: no key and no setting of the host is in it."""
    return {
        "HOME": str(work),
        "TMPDIR": str(work),
        "LANG": "C.UTF-8",
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": str(cache),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
    }


class RunnerProcess:
    """A process that runs cells; used by one thread at a time, except for `kill`."""

    def __init__(self, work: Path, cache: Path) -> None:
        """Start it in the folder `work`.

        Raises:
            ToolError: It does not start.
        """
        self._channel, theirs = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        # -P and -s: neither this package's folder nor the user's own packages are on its path.
        command = [sys.executable, "-s", "-P", str(_RUNNER), str(theirs.fileno()), str(os.getpid())]

        def popen() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=work,
                env=environment(work, cache),
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

        try:
            self._process = _spawner.start(popen)
        except OSError as error:
            self._channel.close()
            self._selector.close()
            raise ToolError(f"No Python process could be started ({error}): check {sys.executable!r}.") from error
        finally:
            theirs.close()
        self._channel.setblocking(False)
        self._selector.register(self._channel, selectors.EVENT_READ, "reply")
        for stream, name in ((self._process.stdout, "stdout"), (self._process.stderr, "stderr")):
            assert stream is not None
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream, selectors.EVENT_READ, name)
        self._frames = FrameReader()
        self._calls = 0
        self._reaping = threading.Lock()
        self._ended = ""
        self.refused = self._greet()

    def _greet(self) -> tuple[str, ...]:
        body, output, timed_out = self._await_frame(START_S, lambda: False, interrupt=False)
        if body is not None:
            with contextlib.suppress(FrameError):
                return tuple(decode(body, Hello).refused)
        ended = "it did not report in time" if timed_out else self.kill()
        self.close()
        said = output["stderr"].text().strip()[-500:]
        raise ToolError(f"The Python process did not start ({ended}): {said or 'it said nothing'}. Try again.")

    @property
    def alive(self) -> bool:
        """Whether it can run another cell."""
        return self._process.returncode is None and self._process.poll() is None

    def run(self, code: str, timeout_s: float, cancelled: Callable[[], bool]) -> Exchange:
        """Run one cell for at most `timeout_s` seconds, or until `cancelled`.

        A cell that does not stop when interrupted is killed with everything it started in its process group.
        """
        self._calls += 1
        request = encode({"id": self._calls, "code": code, "cpu_s": timeout_s * (os.cpu_count() or 1) + 5})
        problem = ""
        try:
            self._write(request, time.monotonic() + timeout_s)
            body, output, timed_out = self._await_frame(timeout_s, cancelled, interrupt=True)
            reply = None if body is None else decode(body, Reply)
            if reply is not None and reply.id != self._calls:
                reply, problem = None, "it sent a reply to another call"
        except FrameError as error:
            reply, output, timed_out, problem = None, _outputs(), False, f"it sent {error}"
        except BaseException:  # Ctrl-C in the host: a reply nobody waits for would answer the next call
            self.kill()
            self.close()
            raise
        if reply is not None:
            self._drain(output)
            return Exchange(reply, output["stdout"].text(), output["stderr"].text(), timed_out)
        ended = self.kill()
        self._drain(output)
        self.close()
        return Exchange(None, output["stdout"].text(), output["stderr"].text(), timed_out, problem or ended)

    def _write(self, request: bytes, deadline: float) -> None:
        view = memoryview(request)
        self._channel.settimeout(max(0.1, deadline - time.monotonic()))
        # A process that is gone, or does not read, is noticed by the wait for its reply.
        with contextlib.suppress(OSError):
            self._channel.sendall(view)
        self._channel.setblocking(False)

    def _await_frame(
        self, timeout_s: float, cancelled: Callable[[], bool], *, interrupt: bool
    ) -> tuple[bytes | None, dict[str, Output], bool]:
        """The body of the next frame (None: there will be none), what was printed, whether time ran out."""
        output, deadline, interrupted, ticked = _outputs(), time.monotonic() + timeout_s, False, 0.0
        while True:
            now = time.monotonic()
            left = deadline - now
            if left <= 0 or (not interrupted and cancelled()):
                if interrupted or not interrupt:
                    return None, output, True
                interrupted, left, deadline = True, GRACE_S, now + GRACE_S
            if interrupted and now - ticked >= TICK_S:
                # Again and again, as one that comes before the cell has begun is lost; the runner minds only one.
                self._process.send_signal(signal.SIGINT)
                ticked = now
            events = self._selector.select(min(left, TICK_S))
            for key, _ in events:
                data = _read(key.fd)
                if data is None:
                    continue
                if key.data != "reply":
                    output[key.data].add(data)
                    if not data:
                        self._selector.unregister(key.fileobj)
                elif not data:
                    return None, output, interrupted
                elif (body := self._frames.feed(data)) is not None:
                    return body, output, interrupted
            # A copy of the process may hold the socket open after its end.
            if not events and not self.alive:
                return None, output, interrupted

    def _drain(self, output: dict[str, Output]) -> None:
        """Take in what was printed before the reply; at most a pipe's worth, as threads may go on printing."""
        for key in list(self._selector.get_map().values()):
            if key.data == "reply":
                continue
            for _ in range(16):
                data = _read(key.fd)
                if not data:
                    break
                output[key.data].add(data)

    def kill(self) -> str:
        """End the process and its group, wait for it, and say how it ended."""
        with self._reaping:
            if self._ended:  # once only: the number may belong to another group by now
                return self._ended
            itself = True
            try:
                self._process.wait(0.05)  # it may be about to end by itself
            except subprocess.TimeoutExpired:
                itself = False
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            status = self._process.wait()
            self._ended = _how_it_ended(status) if itself else "it was killed"
            return self._ended

    def close(self) -> None:
        """Close the descriptors; after `kill`."""
        self._selector.close()
        self._channel.close()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()


def _outputs() -> dict[str, Output]:
    return {"stdout": Output(), "stderr": Output()}


def _read(fd: int) -> bytes | None:
    """What is there to be read, None where nothing is yet, empty at the end."""
    try:
        return os.read(fd, 1 << 16)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _how_it_ended(status: int) -> str:
    if status >= 0:
        return f"it exited with status {status}"
    try:
        return f"it was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"it was ended by signal {-status}"
