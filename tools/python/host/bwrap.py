"""bubblewrap: namespaces of its own for the process all sessions come from, with nothing of the machine but Python."""

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
"""Working folders a sandbox has; each is a file system of fixed size, made when the sandbox is."""
PROBE_S = 20.0


def find() -> str | None:
    """Where the program is, None where it is not installed."""
    return shutil.which("bwrap") if sys.platform == "linux" else None


def command(program: str, cache: Path | None, slots: int, slot_bytes: int) -> list[str]:
    """The command that sets up the sandbox, to be followed by the program to run in it.

    Args:
        program: Where bwrap is.
        cache: A folder of the host the libraries may write while they start; sessions may not.
        slots: How many working folders to make, ``/work/0`` and on.
        slot_bytes: How much each holds.
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
    """Why no sandbox can be set up here; empty where one can. Asked once in a program."""
    return _why_not(program)


@functools.cache
def _why_not(program: str) -> str:
    check = [*command(program, None, 1, 1 << 20), "--", sys.executable, "-I", "-S", "-c", ""]
    try:
        done = subprocess.run(check, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_S, env={})
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{program} does not run: {error}"
    return "" if done.returncode == 0 else said(done.stderr) or f"{program} ended with status {done.returncode}"


def said(stderr: bytes) -> str:
    """The last line of what a program wrote on its way out."""
    lines: Sequence[str] = stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines else ""
