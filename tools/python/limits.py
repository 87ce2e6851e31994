"""What the host itself looks at while code runs, as the kernel holds no limit for it: threads, and room on the disk."""

from __future__ import annotations

import os
import time
from pathlib import Path

MAX_THREADS = 512
LEAST_FREE_BYTES = 512 * 1024**2
"""How much room there must stay where the working folder is ..."""
MAX_TAKEN_BYTES = 64 * 1024**2
"""... once so much less is free than when the call began."""
LOOK_S = 0.1


class Watch:
    """Looks after one call."""

    def __init__(self, pid: int, folder: int | None) -> None:
        """Begin.

        Args:
            pid: The process, as this one counts; 0: its threads cannot be counted.
            folder: A descriptor of its working folder; None where that has a size of its own.
        """
        self._status = Path(f"/proc/{pid}/status") if pid else None
        self._folder = folder
        self._free = _free(folder)
        self._looked = time.monotonic()

    def problem(self) -> str:
        """Why the process must end now; empty where it need not. Looks ten times a second at most."""
        now = time.monotonic()
        if now - self._looked < LOOK_S:
            return ""
        self._looked = now
        threads = _threads(self._status)
        if threads > MAX_THREADS:
            return f"it was killed: it had {threads} threads, and the limit is {MAX_THREADS}"
        free = _free(self._folder)
        if free < LEAST_FREE_BYTES and self._free - free > MAX_TAKEN_BYTES:
            return f"it was killed: the disk is nearly full, {free // 1024**2} MiB are left; write less"
        return ""


def _threads(status: Path | None) -> int:
    if status is None:
        return 0
    try:
        lines = status.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Threads:")), 0)


def _free(folder: int | None) -> int:
    if folder is None:
        return 1 << 62
    try:
        found = os.fstatvfs(folder)
    except OSError:
        return 1 << 62
    return found.f_bavail * found.f_frsize
