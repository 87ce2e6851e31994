"""What the host itself looks at while code runs, as the kernel holds no limit for it: threads, and room on the disk."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

MAX_THREADS = 512
MAX_NEW_FILES = 20_000
"""Files one call may make in a folder of fixed size; each takes memory of the kernel's, which no other limit counts."""
MAX_NEW_FILES_ON_DISK = 100_000
"""The same where other programs make files too."""
LEAST_FREE_BYTES = 512 * 1024**2
"""How much room there must stay where the working folder is ..."""
MAX_TAKEN_BYTES = 64 * 1024**2
"""... once so much less is free than when the call began."""
LOOK_S = 0.1


@dataclass(frozen=True)
class Room:
    """A working folder: its descriptor, and whether it is a file system of its own, of fixed size."""

    fd: int
    sized: bool


class Watch:
    """Looks after one call."""

    def __init__(self, pid: int, room: Room) -> None:
        """Begin; `pid` is the process, as this one counts; 0: its threads cannot be counted."""
        self._status = Path(f"/proc/{pid}/status") if pid else None
        self._room = room
        self._free, self._files = _left(room.fd)
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
        free, files = _left(self._room.fd)
        most = MAX_NEW_FILES if self._room.sized else MAX_NEW_FILES_ON_DISK
        if self._files - files > most:
            return f"it was killed: it made more than {most} files"
        if not self._room.sized and free < LEAST_FREE_BYTES and self._free - free > MAX_TAKEN_BYTES:
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


def _left(folder: int) -> tuple[int, int]:
    """Bytes and files there is still room for."""
    try:
        found = os.fstatvfs(folder)
    except OSError:
        return 0, 0
    return found.f_bavail * found.f_frsize, found.f_ffree
