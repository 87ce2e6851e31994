"""Who has a turn open, and whether that process still lives: an open turn of a dead one was interrupted."""

from __future__ import annotations

import itertools
import json
import os
import socket
from pathlib import Path

LEASE_S = 3600.0
"""Seconds after its last write at which an open turn of another machine counts as abandoned."""

_numbers = itertools.count()
_open_here: set[str] = set()


def take() -> str:
    """A mark for a turn this process opens now."""
    mark = json.dumps([socket.gethostname(), os.getpid(), _started(os.getpid()), next(_numbers)])
    _open_here.add(mark)
    return mark


def release(mark: str) -> None:
    """This process has closed the turn with that mark."""
    _open_here.discard(mark)


def is_live(mark: str, idle_s: float) -> bool:
    """Whether whoever opened a turn may still be working on it.

    Args:
        mark: What `take` gave it.
        idle_s: Seconds since its last write.
    """
    try:
        host, pid, started, _ = json.loads(mark)
    except (ValueError, TypeError):
        return False
    if host != socket.gethostname():
        return idle_s < LEASE_S
    if pid == os.getpid() and started == _started(pid):
        return mark in _open_here
    return _exists(pid) and started == _started(pid)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError, TypeError):  # no pid at all: the mark is damaged
        return False
    except PermissionError:
        return True
    return True


def _started(pid: int) -> str:
    """When a process began, in the system's own count, so that a reused pid is not taken for it; "" if unknown."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    # A zombie is dead: it will write nothing more.
    return "" if fields[0] == "Z" else fields[19]
