"""Limits the kernel does not hold, so the host checks them while code runs: threads, new files, free disk space."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

MAX_THREADS = 512
"""Chosen by hand: far above the pools of analyses, far below what hurts the host."""
MAX_NEW_FILES = 20_000
"""Files one call may make in a folder of fixed size. Chosen by hand: each takes kernel memory, which no other
limit counts."""
MAX_NEW_FILES_ON_DISK = 100_000
"""The limit on a disk that other programs write to as well: their files are counted too."""
LEAST_FREE_BYTES = 512 * 1024**2
"""Free space that must remain on the disk of the working folder; chosen by hand ..."""
MAX_TAKEN_BYTES = 64 * 1024**2
"""... but only once the free space has shrunk by this much during the call: others fill disks too."""
LOOK_S = 0.1
"""Seconds between two looks. Chosen by hand: a look takes 16 us, so 0.02 % of the call."""


@dataclass(frozen=True)
class Room:
    """A working folder: its descriptor, and `sized` if it is a file system of its own with a fixed size."""

    fd: int
    sized: bool


class Watch:
    """Watches one call."""

    def __init__(self, pid: int, room: Room) -> None:
        """Start to watch; `pid` is the process's number on the host, 0 if its threads cannot be counted."""
        self._status = Path(f"/proc/{pid}/status") if pid else None
        self._room = room
        self._free, self._files = _left(room.fd)
        self._looked = time.monotonic()

    def problem(self) -> str:
        """Return why the process must be killed now, an empty text if it need not. Looks every `LOOK_S` at most."""
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
    """Return the free bytes and the free inodes."""
    try:
        found = os.fstatvfs(folder)
    except OSError:
        return 0, 0
    return found.f_bavail * found.f_frsize, found.f_ffree
