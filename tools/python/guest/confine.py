"""The steps that confine a session before it runs any code: limits, no capabilities, own files only, few system calls.

Standard library only and nothing of agentkit: it is loaded inside the walls. All of it happens in the new process
and cannot be undone by it.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from collections.abc import Sequence
from types import ModuleType

MAX_TASKS = 512
"""Threads and processes of all sessions of one sandbox together; as `watch.MAX_THREADS`. The kernel does not hold it
for root."""
OOM_SCORE = "800"
"""From -1,000 to 1,000. Chosen by hand: short of memory, the kernel ends a session before its host program (0)."""

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4
_CAPABILITY_VERSION = 0x20080522
DEVICES = ("/dev/null",)
RANDOM = ("/dev/urandom", "/dev/random", "/dev/zero", "/dev/full")


def take_descriptors(stdin: int, stdout: int, stderr: int, channel: int) -> int:
    """Keep these four descriptors as 0 to 3, close all others, and return the channel's new number."""
    for wanted, fd in enumerate((stdin, stdout, stderr, channel)):
        os.dup2(fd, wanted, inheritable=True)
    os.closerange(4, 1 << 20)
    return 3


def enter_folder(folder: str) -> None:
    """Work in this folder, which is also HOME and TMPDIR."""
    os.chdir(folder)
    os.environ["HOME"] = os.environ["TMPDIR"] = folder


def die_with_parent(parent: int) -> None:
    """Be killed when the parent ends.

    Raises:
        OSError: It has already ended, or the kernel refuses.
    """
    if ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0 or os.getppid() != parent:
        raise OSError("its parent is gone")


def prefer_for_out_of_memory() -> None:
    """Be the first to be killed when memory runs out."""
    try:
        fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
    except OSError:  # no /proc: the other limits on memory still hold
        return
    try:
        os.write(fd, OOM_SCORE.encode())
    except OSError:
        pass
    finally:
        os.close(fd)


def forbid_core_dumps() -> None:
    """Leave no core dump: a limit of 0 does not keep a core from a program that collects them."""
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def limit_tasks() -> None:
    """Limit the threads of all sessions together, in a sandbox with a user namespace of its own."""
    resource.setrlimit(resource.RLIMIT_NPROC, (MAX_TASKS, MAX_TASKS))


def drop_capabilities() -> None:
    """Give up all capabilities of root.

    Raises:
        OSError: The kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    if libc.capset(header, (ctypes.c_uint32 * 6)()) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"capset: {os.strerror(number)}")


def wall_in(
    landlock: ModuleType, seccomp: ModuleType, filters: ModuleType, readable: Sequence[str], folder: str
) -> None:
    """Put up Landlock and seccomp around this process.

    Raises:
        OSError: One of them failed; no code may be run then.
    """
    drop_capabilities()
    seccomp.forbid_new_privileges()
    landlock.restrict([*readable, *RANDOM], [folder], DEVICES)
    seccomp.install(filters.FILTERS, filters.PID)
