"""The folder a session works in: its data files, and the files the code wrote, read without trusting any of them."""

from __future__ import annotations

import contextlib
import mimetypes
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agentkit.base.text import clean, shorten
from agentkit.errors import ConfigError, ToolError
from agentkit.turn import Artifact

# Of one call; chosen by hand, to bound what a call costs the host: memory (bytes), results (files), time (the others).
MAX_FILE_BYTES = 32 * 1024**2
MAX_TOTAL_BYTES = 64 * 1024**2
MAX_FILES = 50
MAX_ENTRIES = 10_000
MAX_DEPTH = 16

_FOLDER_FLAGS = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
# Not blocking: opening a FIFO must not wait for a writer.
_FILE_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)

Stamp = tuple[int, int, int, int]
_Entry = tuple[str, int, str, Stamp]


def check_data(data: Sequence[str | os.PathLike[str]]) -> tuple[Path, ...]:
    """Return the data files as absolute paths.

    Raises:
        ConfigError: Not a list of paths, a file that is missing or unreadable, or two files of one name.
    """
    if isinstance(data, (str, bytes, os.PathLike)) or not isinstance(data, Sequence):
        raise ConfigError(f"data is {shorten(repr(data))}: give a list of paths, such as data=['revenue.csv'].")
    found: dict[str, Path] = {}
    for item in data:
        if not isinstance(item, (str, os.PathLike)) or not str(item) or "\0" in str(item):
            raise ConfigError(f"data holds {shorten(repr(item))}: give paths of files, such as 'revenue.csv'.")
        path = Path(item).expanduser().absolute()
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "does not exist"
            raise ConfigError(f"The data file {shorten(str(item), 200)!r} {what}: give the path of a file.")
        if not os.access(path, os.R_OK):
            raise ConfigError(f"The data file {shorten(str(item), 200)!r} cannot be read: check its permissions.")
        if not path.name.isprintable():
            raise ConfigError(f"The data file {shorten(repr(path.name))} has a name that does not print: rename it.")
        if path.name in found:
            raise ConfigError(
                f"Two data files are named {path.name!r} ({found[path.name]} and {path}), and both would be "
                "copied into one folder: rename one."
            )
        found[path.name] = path
    return tuple(found.values())


@dataclass(frozen=True)
class Written:
    """The files the code wrote: their names, the artifacts, and those omitted with the reason."""

    files: tuple[str, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    omitted: tuple[str, ...] = ()


@dataclass
class _Found:
    files: list[str] = field(default_factory=list)
    artifacts: list[Artifact] = field(default_factory=list)
    omitted: list[str] = field(default_factory=list)
    total: int = 0


class Workspace:
    """One session's working folder, used by its descriptor only: the code may replace its path by a link."""

    def __init__(self, fd: int, data: Sequence[Path], path: Path | None) -> None:
        """Copy the data files into an empty folder.

        Args:
            fd: The open folder; closed with this object.
            data: The files.
            path: The path of the folder; None if the host has none.

        Raises:
            ToolError: A data file can no longer be copied.
        """
        self._fd, self._path = fd, path
        for file in data:
            try:
                self._copy(file)
            except OSError as error:
                self.remove()
                raise ToolError(
                    f"The data file {str(file)!r} can no longer be copied ({error.strerror}): put it back, or make a "
                    "new PythonInterpreter."
                ) from error
        self._stamps: Mapping[str, Stamp] = {name: stamp for name, _, _, stamp in _walk(self._fd)}

    @property
    def fd(self) -> int:
        """Return the open folder."""
        return self._fd

    def _copy(self, file: Path) -> None:
        with file.open("rb") as source:
            target = os.open(file.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=self._fd)
            with os.fdopen(target, "wb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)

    def collect(self) -> Written:
        """Return what is new or changed since the last call; of regular files with one link, at most 32 MiB each."""
        found, stamps = _Found(), {}
        for name, folder_fd, base, stamp in _walk(self._fd):
            stamps[name] = stamp
            if self._stamps.get(name) != stamp:
                shown = clean(name)
                found.files.append(shown)
                _read_into(found, shown, folder_fd, base)
        self._stamps = stamps
        order = sorted(found.artifacts, key=lambda artifact: artifact.name)
        return Written(tuple(sorted(found.files)[:MAX_ENTRIES]), tuple(order), tuple(sorted(found.omitted)))

    def in_place(self) -> bool:
        """True if the folder is still at its path, and no link or other folder in its place."""
        if self._path is None:
            return self._fd >= 0
        try:
            there = self._path.lstat()
        except OSError:
            return False
        return os.path.samestat(there, os.fstat(self._fd))

    def remove(self) -> None:
        """Delete the contents of the folder, and the folder itself if the host has a path to it."""
        if self._fd >= 0:
            if self._path is None:
                empty(self._fd)
            os.close(self._fd)
            self._fd = -1
        if self._path is not None:
            remove_folder(self._path)


def folder_of(path: Path) -> int:
    """Make a folder for this user only and return its descriptor.

    Raises:
        ToolError: It cannot be made.
    """
    try:
        path.mkdir(mode=0o700, parents=True)
        return os.open(path, _FOLDER_FLAGS)
    except OSError as error:
        raise ToolError(
            f"The working folder {str(path)!r} cannot be made ({error.strerror}): make room there, or use another "
            "session."
        ) from error


def _walk(root_fd: int, prefix: str = "", depth: int = 0, budget: Iterator[int] | None = None) -> Iterator[_Entry]:
    """Yield the regular files below an open folder, following no link: name, fd of its folder, base name, stamp."""
    budget = iter(range(MAX_ENTRIES)) if budget is None else budget  # one budget for the whole tree
    try:
        with os.scandir(root_fd) as entries:
            listed = sorted(entry.name for _, entry in zip(budget, entries, strict=False))
    except OSError:
        return
    for name in listed:
        if name.startswith(".") or name == "__pycache__":  # caches of libraries, as HOME is this folder
            continue
        try:
            status = os.stat(name, dir_fd=root_fd, follow_symlinks=False)
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode):
            yield prefix + name, root_fd, name, (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
        elif stat.S_ISDIR(status.st_mode) and depth < MAX_DEPTH:
            try:
                folder_fd = os.open(name, _FOLDER_FLAGS, dir_fd=root_fd)
            except OSError:
                continue
            try:
                yield from _walk(folder_fd, f"{prefix}{name}/", depth + 1, budget)
            finally:
                os.close(folder_fd)


def _read_into(found: _Found, shown: str, folder_fd: int, base: str) -> None:
    if len(found.artifacts) >= MAX_FILES:
        found.omitted.append(f"{shown} (more than {MAX_FILES} files in one call)")
        return
    try:
        fd = os.open(base, _FILE_FLAGS, dir_fd=folder_fd)
    except OSError as error:
        found.omitted.append(f"{shown} ({error.strerror})")
        return
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            found.omitted.append(f"{shown} (not a plain file)")
            return
        room = min(MAX_FILE_BYTES, MAX_TOTAL_BYTES - found.total)
        data = file.read(room + 1) if status.st_size <= room else b""
        if status.st_size > room or len(data) > room:
            which = "one file" if room == MAX_FILE_BYTES else "all files of one call"
            limit = MAX_FILE_BYTES if room == MAX_FILE_BYTES else MAX_TOTAL_BYTES
            found.omitted.append(f"{shown} (the limit is {limit // 1024**2} MiB for {which})")
            return
    found.total += len(data)
    # Python's table, not the system's: the same file has the same type on every machine.
    media_type = mimetypes.MimeTypes().guess_type(base)[0] or "application/octet-stream"
    found.artifacts.append(Artifact(name=shown, data=data, media_type=media_type))


def remove_folder(folder: Path) -> None:
    """Delete a folder, also one without permissions, one nested very deep, or a link put in its place.

    No link is followed: a link is deleted, its target is not touched. What cannot be deleted stays.
    """
    try:
        parent_fd = os.open(folder.parent, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    except OSError:
        return
    try:
        while not _remove(folder.name, parent_fd):
            fd = _open_folder(folder.name, parent_fd)
            if fd is None:
                return
            try:
                if not _thin_out(fd):
                    return
            finally:
                os.close(fd)
    finally:
        os.close(parent_fd)


def empty(fd: int) -> None:
    """Delete everything in an open folder, whatever the code made of it."""
    with contextlib.suppress(OSError):
        os.fchmod(fd, 0o700)
    while _thin_out(fd):
        pass


def _thin_out(top_fd: int) -> bool:
    """Delete one level below an open folder and move what lies deeper up; return True if anything was deleted.

    Moved up, not descended into: the code may nest folders deeper than calls or descriptors reach.
    """
    progress = False
    for name in _names(top_fd):
        if _remove(name, top_fd):
            progress = True
            continue
        fd = _open_folder(name, top_fd)
        if fd is None:
            continue
        try:
            for child in _names(fd):
                if not _remove(child, fd):
                    _unlock(child, fd)  # a folder must be writable to be moved
                    with contextlib.suppress(OSError):
                        os.rename(child, f".{secrets.token_hex(8)}", src_dir_fd=fd, dst_dir_fd=top_fd)
        finally:
            os.close(fd)
        progress |= _remove(name, top_fd)
    return progress


def _names(fd: int) -> list[str]:
    try:
        return os.listdir(fd)
    except OSError:
        return []


def _remove(name: str, folder_fd: int) -> bool:
    """Delete a file, a link or an empty folder; return True if nothing of that name is left."""
    try:
        if stat.S_ISDIR(os.stat(name, dir_fd=folder_fd, follow_symlinks=False).st_mode):
            os.rmdir(name, dir_fd=folder_fd)
        else:
            os.unlink(name, dir_fd=folder_fd)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _open_folder(name: str, folder_fd: int) -> int | None:
    _unlock(name, folder_fd)
    try:
        return os.open(name, _FOLDER_FLAGS, dir_fd=folder_fd)
    except OSError:
        return None


def _unlock(name: str, folder_fd: int) -> None:
    """Give the owner every permission on a folder, never on the target of a link."""
    with contextlib.suppress(OSError):
        if not hasattr(os, "O_PATH"):  # macOS, where chmod can be told not to follow
            if stat.S_ISDIR(os.stat(name, dir_fd=folder_fd, follow_symlinks=False).st_mode):
                os.chmod(name, 0o700, dir_fd=folder_fd, follow_symlinks=False)
            return
        # Linux's chmod cannot: open the folder first, so that no link can take its place in between.
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY, dir_fd=folder_fd)
        try:
            os.chmod(f"/proc/self/fd/{fd}", 0o700)  # noqa: PTH101
        finally:
            os.close(fd)
