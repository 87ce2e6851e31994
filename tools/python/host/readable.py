"""The files and folders that code may read: Python, its packages and libraries, fonts, time zones; no user's files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

GUEST = Path(__file__).resolve().parent.parent / "guest"
"""The programs that run inside the wall; the only folder of agentkit that is bound into the sandbox."""

_PARTS = ("bin", "lib", "lib64", "share", "pyvenv.cfg")
"""The readable part of a folder that a Python is installed in: it may be a project's own, with its secrets."""
_SYSTEM = (
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/share",
    "/usr/local/lib",
    "/usr/local/share/fonts",
    "/nix/store",
    "/gnu/store",
    "/etc/alternatives",
    "/etc/fonts",
    "/etc/ld.so.cache",
    "/etc/localtime",
)
_ROOTS = ("/lib", "/lib32", "/lib64")
"""Links into /usr on most systems, folders on others."""


def readable() -> tuple[str, ...]:
    """Return the existing files and folders that a session may read, none inside another."""
    prefixes = dict.fromkeys((sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix))
    parts = [str(Path(prefix, part)) for prefix in prefixes for part in _PARTS]
    real = [str(Path(part).resolve()) for part in parts]
    # Package folders that a .pth file adds; not its other folders, such as the source of an editable install.
    packages = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    return _outermost([*_SYSTEM, *_ROOTS, *parts, *packages, *real, *_executable()])


def links(paths: Iterable[str]) -> dict[str, str]:
    """Return the paths that are links at the root, such as /lib64, and their targets."""
    return {path: str(Path(path).readlink()) for path in paths if path in _ROOTS and Path(path).is_symlink()}


def _executable() -> list[str]:
    """Return Python's own file by each of its names, following links."""
    found: list[str] = []
    path = Path(sys.executable)
    while len(found) < 16:
        found.append(str(path))
        if not path.is_symlink():
            break
        path = Path(os.path.normpath(path.parent / path.readlink()))
    return found


def _outermost(paths: Iterable[str]) -> tuple[str, ...]:
    kept: list[str] = []
    for path in sorted({path for path in paths if Path(path).exists()}):
        if not any(Path(path).is_relative_to(outer) for outer in kept):
            kept.append(path)
    return tuple(kept)
