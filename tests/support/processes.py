"""Processes as Linux's /proc shows them."""

import time
from pathlib import Path


def gone(pid: int) -> bool:
    """True if the process ends within five seconds (a zombie that its parent has yet to reap has ended)."""
    for _ in range(500):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


def children(parent: int) -> set[int]:
    """Return the numbers of the processes below `parent`, at any depth."""
    parents = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                after = (path / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(path.name)] = int(after[1])
    found, edge = set(), {parent}
    while edge:
        edge = {pid for pid, above in parents.items() if above in edge} - found
        found |= edge
    return found
