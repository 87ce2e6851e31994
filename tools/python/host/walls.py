"""The walls of one interpreter: they make the processes and working folders of its sessions, at its level."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path

from agentkit.errors import ToolError
from agentkit.tools.python.execution import Isolation, Level
from agentkit.tools.python.host import bwrap
from agentkit.tools.python.host.child import Child, Spawned
from agentkit.tools.python.host.workspace import Workspace, folder_of
from agentkit.tools.python.host.zygote_client import ZygoteClient, ZygoteError, ZygoteLost, as_tool_error
from agentkit.tools.python.levels import too_weak, without_namespaces

SLOT_BYTES = 256 * 1024**2
"""Size of a working folder at level 3, besides the data files; as the largest file a session may write
(`runner.FILE_BYTES`), kept in memory."""
ATTEMPTS = 3
"""Zygotes that are started for one session, if each ends after it was warm. Chosen by hand."""


class Walls:
    """One interpreter's walls. Used from several threads."""

    def __init__(self, isolation: Isolation, *, min_isolation: Level, allow_weak: bool, data_bytes: int = 0) -> None:
        """Store the arguments; nothing is started yet.

        Args:
            isolation: The level to begin with.
            min_isolation: The lowest level to accept, if that one fails when it is set up.
            allow_weak: True to accept a lower one.
            data_bytes: The size of a session's data files.
        """
        self.isolation = isolation
        self.zygotes: list[ZygoteClient] = []
        self._min, self._allow_weak = min_isolation, allow_weak
        self._slot_bytes = SLOT_BYTES + data_bytes
        self._lock = threading.Lock()

    def start(self, cache: Path) -> None:
        """Start a zygote in the background; errors are raised later, by `place`."""
        if self.isolation.level != "L1":
            with contextlib.suppress(ZygoteError), self._lock:
                self._zygote(cache)

    def place(self, folder: Path, cache: Path, data: Sequence[Path]) -> Place:
        """Return a working folder for a session: in the sandbox, or else `folder`.

        Raises:
            ToolError: It cannot be made, or the level fails and no lower one is accepted.
        """
        attempts = 0
        while self.isolation.level == "L3":
            attempts += 1
            try:
                return self._slot(cache, data)
            except ZygoteError as error:
                # A warm zygote may be ended by anything, such as a lack of memory: start another.
                if attempts == ATTEMPTS or not isinstance(error, ZygoteLost):
                    self._lower(error)
        return Place(self, Workspace(folder_of(folder), data, folder), str(folder), None, cache)

    def _slot(self, cache: Path, data: Sequence[Path]) -> Place:
        with self._lock:
            zygote = self._zygote(cache)
            slot = zygote.free.pop()
        fd = zygote.folder(slot)
        try:
            return Place(self, Workspace(fd, data, None), slot, zygote, cache)
        except ToolError:
            self.give_back(zygote, slot)
            raise

    def _zygote(self, cache: Path) -> ZygoteClient:
        """Return a zygote that lives and, in a sandbox, has a free folder. The caller holds the lock."""
        boxed = self.isolation.level == "L3"
        for gone in [zygote for zygote in self.zygotes if not zygote.alive]:
            self.zygotes.remove(gone)
            gone.close()
        for zygote in self.zygotes:
            if zygote.boxed == boxed and (zygote.free or not boxed):
                return zygote
        program = None
        if boxed:
            program = bwrap.find()
            if program is None:
                raise ZygoteError("bubblewrap is gone")
        found = ZygoteClient(cache, program, bwrap.SLOTS if boxed else 0, self._slot_bytes)
        self.zygotes.append(found)
        return found

    def _lower(self, error: ZygoteError) -> None:
        """Continue at level 2, which every result then says, if that is accepted.

        Raises:
            ToolError: It is not accepted.
        """
        less = without_namespaces(f"bubblewrap set up no sandbox: {error}")
        if too_weak(less, self._min, self._allow_weak):
            raise as_tool_error(error) from error
        self.isolation = less

    def zygote(self, cache: Path) -> ZygoteClient:
        """Return the zygote that sessions of level 2 are forked from."""
        with self._lock:
            return self._zygote(cache)

    def give_back(self, zygote: ZygoteClient, slot: str) -> None:
        """Take back an emptied folder of the sandbox, for the next session."""
        with self._lock:
            zygote.free.append(slot)

    def close(self) -> None:
        """End all zygotes, and with them their sessions."""
        with self._lock:
            closing, self.zygotes[:] = list(self.zygotes), []
        for zygote in closing:
            zygote.close()

    def forget(self) -> None:
        """In a fork of the program, leave the zygotes to the parent."""
        for zygote in self.zygotes:
            zygote.abandon()
        self.zygotes = []
        self._lock = threading.Lock()


class Place:
    """The place of one session: its working folder, and what its processes are made with, one after the other."""

    def __init__(
        self, walls: Walls, workspace: Workspace, folder: str, zygote: ZygoteClient | None, cache: Path
    ) -> None:
        """Store the arguments; `folder` is the path of the working folder as the code sees it."""
        self.workspace, self.isolation = workspace, walls.isolation if zygote is None else Isolation(level="L3")
        self._walls, self._folder, self._zygote, self._cache = walls, folder, zygote, cache
        self._pid = os.getpid()

    @property
    def sized(self) -> bool:
        """True if the folder is a file system of its own, of fixed size."""
        return self._zygote is not None

    def in_place(self) -> bool:
        """True if another process can be started here."""
        return self.workspace.in_place() if self._zygote is None else self._zygote.alive

    def process(self) -> Child:
        """Start a process that works here.

        Raises:
            ToolError: It does not start.
        """
        if self.isolation.level == "L1":
            return Spawned(Path(self._folder), self._cache)
        try:
            zygote = self._zygote or self._walls.zygote(self._cache)
            return zygote.open(self._folder)
        except ZygoteError as error:
            raise as_tool_error(error) from error

    def remove(self) -> None:
        """Delete the contents, once no process works here."""
        self.workspace.remove()
        if self._zygote is not None and self._pid == os.getpid():
            self._walls.give_back(self._zygote, self._folder)


def data_bytes(paths: Sequence[Path]) -> int:
    """Return the size of the data files.

    Raises:
        ToolError: A file is gone.
    """
    try:
        return sum(path.stat().st_size for path in paths)
    except OSError as error:
        raise ToolError(f"A data file is gone: {error}. Put it back.") from error
