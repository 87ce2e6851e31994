"""bubblewrap: puts the zygote into namespaces of its own, in which it sees Python and nothing else of the machine."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from agentkit.tools.python.host.readable import GUEST, links, readable

WORK = "/work"
SLOTS = 64
"""Working folders in a sandbox; each is a file system of fixed size, made with the sandbox. Chosen by hand: four times
the sessions an interpreter keeps idle by default; further sessions get another sandbox."""
PROBE_S = 20.0
"""Seconds the probe may take. Chosen by hand: it takes 50 to 110 ms on a busy 2-core machine."""


def find() -> str | None:
    """Return the path of bubblewrap, None if it is not installed."""
    return shutil.which("bwrap") if sys.platform == "linux" else None


def command(program: str, cache: Path | None, slots: int, slot_bytes: int) -> list[str]:
    """Return the command that sets up the sandbox; append the program to run in it.

    Args:
        program: The path of bwrap.
        cache: A folder of the host that libraries may write to while they load; sessions may not.
        slots: How many working folders to make, ``/work/0`` and on.
        slot_bytes: The size of each.
    """
    seen = readable()
    linked = links(seen)
    found = [program, "--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"]
    found += ["--hostname", "sandbox"]
    for path in seen:
        found += ["--symlink", linked[path], path] if path in linked else ["--ro-bind", path, path]
    found += ["--ro-bind", str(GUEST), str(GUEST), "--proc", "/proc", "--dev", "/dev"]
    if cache is not None:
        found += ["--bind", str(cache), str(cache)]
    for number in range(slots):
        found += ["--perms", "0700", "--size", str(slot_bytes), "--tmpfs", f"{WORK}/{number}"]
    return [*found, "--remount-ro", "/", "--chdir", "/"]


def why_not(program: str) -> str:
    """Return why no sandbox can be set up here, an empty text if one can. Probed once in a program."""
    return _why_not(program)


@functools.cache
def _why_not(program: str) -> str:
    check = [*command(program, None, 1, 1 << 20), "--", sys.executable, "-I", "-S", "-c", ""]
    try:
        done = subprocess.run(check, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_S, env={})
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{program} does not run: {error}"
    return "" if done.returncode == 0 else last_line(done.stderr) or f"{program} ended with status {done.returncode}"


def last_line(stderr: bytes) -> str:
    """Return the last line a program wrote, at most 300 characters."""
    lines: Sequence[str] = stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines else ""
