"""Starts processes on one thread that lives as long as the program.

Linux sends a child its parent-death signal when the *thread* that started it ends, and worker threads do end.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable
from queue import SimpleQueue

Start = Callable[[], "subprocess.Popen[bytes]"]


class _Spawner:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inbox: SimpleQueue[tuple[Start, SimpleQueue[object]]] | None = None
        self._pid = 0

    def start(self, popen: Start) -> subprocess.Popen[bytes]:
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
    def _work(inbox: SimpleQueue[tuple[Start, SimpleQueue[object]]]) -> None:
        while True:
            popen, answer = inbox.get()
            try:
                answer.put(popen())
            except Exception as error:
                answer.put(error)
            del popen, answer


_spawner = _Spawner()


def start(popen: Start) -> subprocess.Popen[bytes]:
    """Call `popen` on that thread and return the process.

    Raises:
        OSError: `popen` raised it.
    """
    return _spawner.start(popen)
