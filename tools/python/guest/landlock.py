"""Landlock through ctypes: from then on the process reads and writes only what it was granted.

By hand, because the `landlock` package on PyPI is a development release and the sandbox has the standard library only:
three system calls and a table of rights. Nothing of agentkit is imported: it is loaded inside the walls. What the
kernel's version of Landlock does not know, seccomp denies (`seccomp_rules`).
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Sequence

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_CREATE_VERSION = 1
_PATH_BENEATH = 1

WRITE_FILE, READ_FILE, READ_DIR = 1 << 1, 1 << 2, 1 << 3
REMOVE_DIR, REMOVE_FILE = 1 << 4, 1 << 5
MAKE_DIR, MAKE_REG, MAKE_FIFO, MAKE_SYM = 1 << 7, 1 << 8, 1 << 10, 1 << 12
REFER, TRUNCATE = 1 << 13, 1 << 14
# The number of rights that each version of the interface knows; they are bits from 0 on.
_FS_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
_FS_RIGHTS_NOW = 16

READ = READ_FILE | READ_DIR
OF_A_FILE = WRITE_FILE | READ_FILE | TRUNCATE
WORK = READ | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | MAKE_FIFO | MAKE_SYM | REFER | TRUNCATE


def abi() -> int:
    """Return the version of Landlock that this kernel offers, 0 if there is none or it is switched off.

    The system call itself is asked: /sys may lack its list of security modules where Landlock works.
    """
    if sys.platform != "linux":
        return 0
    return max(0, _syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_CREATE_VERSION)))


def restrict(readable: Sequence[str], writable: Sequence[str], devices: Sequence[str]) -> int:
    """Confine this process to these paths for good, and return the version of Landlock that did it.

    Args:
        readable: Files and folders that may be read, with all below them; missing ones are omitted.
        writable: Folders that may be read and written, with all below them.
        devices: Files that may be read and written, such as ``/dev/null``.

    Raises:
        OSError: The kernel refuses; nothing is restricted then.
    """
    version = abi()
    if version < 1:
        raise OSError("this kernel has no Landlock")
    handled = (1 << _FS_RIGHTS.get(version, _FS_RIGHTS_NOW)) - 1
    network = 0b11 if version >= 4 else 0  # bind and connect, TCP
    scope = 0b11 if version >= 6 else 0  # abstract sockets and signals of those outside
    attributes = struct.pack("=QQQ", handled, network, scope)[: 8 if version < 4 else 16 if version < 6 else 24]
    ruleset = _check(
        _syscall(_CREATE_RULESET, ctypes.c_char_p(attributes), ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    )
    try:
        for paths, rights in ((readable, READ), (writable, WORK), (devices, OF_A_FILE)):
            for path in paths:
                _grant(ruleset, path, rights & handled)
        _check(_syscall(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0)))
    finally:
        os.close(ruleset)
    return version


def _grant(ruleset: int, path: str, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not os.path.isdir(path):  # noqa: PTH112 (importing pathlib takes time, and this process must start fast)
            rights &= OF_A_FILE  # the kernel refuses rights of folders on files
        rule = ctypes.c_char_p(struct.pack("=Qi", rights, fd))
        _check(_syscall(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint32(0)))
    finally:
        os.close(fd)


def _syscall(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return int(libc.syscall(ctypes.c_long(number), *arguments))


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"Landlock: {os.strerror(number)}")
    return result
