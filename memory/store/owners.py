"""Marks of the processes that have turns open, to tell an open turn from one that a dead process left."""

from __future__ import annotations

import itertools
import json
import os
import socket
from pathlib import Path

LEASE_S = 3600.0
"""Seconds without a write after which an open turn of another machine counts as abandoned. Chosen by hand, longer
than a slow tool or model call takes: a process of another machine cannot be asked whether it lives."""

_numbers = itertools.count()
_open_here: set[str] = set()


def take() -> str:
    """Return a new mark for a turn that this process opens."""
    mark = json.dumps([socket.gethostname(), os.getpid(), _started(os.getpid()), next(_numbers)])
    _open_here.add(mark)
    return mark


def release(mark: str) -> None:
    """Record that this process has closed the turn with that mark."""
    _open_here.discard(mark)


def is_live(mark: str, idle_s: float) -> bool:
    """True if the process that opened a turn may still be working on it.

    Args:
        mark: The turn's mark, from `take`.
        idle_s: Seconds since the turn was last written to.
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
    except (ProcessLookupError, OverflowError, TypeError):  # not a pid: the mark is damaged
        return False
    except PermissionError:
        return True
    return True


def _started(pid: int) -> str:
    """Return the start time of a process in the kernel's clock ticks, which tells a reused pid; "" if unknown."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    # A zombie ("Z") writes nothing more, so it counts as dead.
    return "" if fields[0] == "Z" else fields[19]
