"""Installs the seccomp filter on this process: from then on it makes only the system calls that `seccomp_rules` lists.

By hand, because `pyseccomp` is unmaintained and needs libseccomp, which a minimal sandbox lacks; the programs are
checked in (`seccomp_filters`). Standard library only and nothing of agentkit: it is loaded inside the walls.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Mapping

_PR_GET_SECCOMP, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 21, 22, 38
_MODE_FILTER = 2
_NAMES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def architecture() -> str:
    """Return the name of this machine's filter, or an empty text; a 32-bit Python counts as another machine."""
    if sys.platform != "linux" or sys.byteorder != "little" or sys.maxsize < 2**32:
        return ""
    return _NAMES.get(os.uname().machine, "")


def offered() -> bool:
    """True if this kernel takes filters."""
    if sys.platform != "linux":
        return False
    # With a null pointer it fails with EFAULT (14) where filters exist, else with EINVAL.
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, None, 0, 0) != 0 and ctypes.get_errno() == 14


def forbid_new_privileges() -> None:
    """Let nothing that runs from here on gain privileges, such as a set-user-id program.

    Raises:
        OSError: The kernel refuses.
    """
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def install(filters: Mapping[str, str], placeholder: int) -> None:
    """Filter this thread's calls, and those of the threads it starts, for good.

    Args:
        filters: The program for each architecture, in hexadecimal.
        placeholder: The constant that stands for this process's number.

    Raises:
        OSError: There is no program for this machine, or the kernel refuses it.
    """
    name = architecture()
    if name not in filters:
        raise OSError(f"there is no seccomp filter for {os.uname().machine}")
    code = bytes.fromhex(filters[name]).replace(struct.pack("<I", placeholder), struct.pack("<I", os.getpid()))
    program = _Program(len(code) // 8, code)
    _prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program))


def _prctl(option: int, value: int, pointer: object = None) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    none = ctypes.c_ulong(0)
    if libc.prctl(option, ctypes.c_ulong(value), pointer, none, none) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")
