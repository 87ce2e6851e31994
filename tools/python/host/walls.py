"""What an interpreter puts around its sessions: makes their processes and working folders at its level."""

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
from agentkit.tools.python.host.zygote_client import Zygote, ZygoteError, ZygoteLost, as_tool_error
from agentkit.tools.python.levels import too_weak, without_namespaces

SLOT_BYTES = 256 * 1024**2
"""Room in a working folder of level 3, besides the data files."""


ATTEMPTS = 3


class Walls:
    """One interpreter's walls. Used from several threads."""

    def __init__(self, isolation: Isolation, *, min_isolation: Level, allow_weak: bool, data_bytes: int = 0) -> None:
        """Prepare; nothing is started yet.

        Args:
            isolation: The level to begin with.
            min_isolation: The least to accept, should that level not hold when it comes to it.
            allow_weak: Whether to accept less.
            data_bytes: How much the data files of a session take.
        """
        self.isolation = isolation
        self.zygotes: list[Zygote] = []
        self._min, self._allow_weak = min_isolation, allow_weak
        self._slot_bytes = SLOT_BYTES + data_bytes
        self._lock = threading.Lock()

    def start(self, cache: Path) -> None:
        """Let a process to fork sessions from get warm, without waiting for it. What is wrong, `place` tells."""
        if self.isolation.level != "L1":
            with contextlib.suppress(ZygoteError), self._lock:
                self._zygote(cache)

    def place(self, folder: Path, cache: Path, data: Sequence[Path]) -> Place:
        """A working folder for a session: in the sandbox, or else `folder`.

        Raises:
            ToolError: It cannot be made, or what walls code in fails and no less is accepted.
        """
        attempts = 0
        while self.isolation.level == "L3":
            attempts += 1
            try:
                return self._slot(cache, data)
            except ZygoteError as error:
                # One that has been warm may be ended by anything, such as a lack of memory: another is tried.
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

    def _zygote(self, cache: Path) -> Zygote:
        """One that lives and, in a sandbox, has a folder free; with the lock held."""
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
        found = Zygote(cache, program, bwrap.SLOTS if boxed else 0, self._slot_bytes)
        self.zygotes.append(found)
        return found

    def _lower(self, error: ZygoteError) -> None:
        """Go on with level 2 and tell it in every result, where that is accepted.

        Raises:
            ToolError: It is not.
        """
        less = without_namespaces(f"bubblewrap set up no sandbox: {error}")
        if too_weak(less, self._min, self._allow_weak):
            raise as_tool_error(error) from error
        self.isolation = less

    def zygote(self, cache: Path) -> Zygote:
        """The process that sessions of level 2 are forked from."""
        with self._lock:
            return self._zygote(cache)

    def give_back(self, zygote: Zygote, slot: str) -> None:
        """An emptied folder of the sandbox, for the next session."""
        with self._lock:
            zygote.free.append(slot)

    def close(self) -> None:
        """End all processes sessions come from."""
        with self._lock:
            closing, self.zygotes[:] = list(self.zygotes), []
        for zygote in closing:
            zygote.close()

    def forget(self) -> None:
        """Forked: these processes are the parent's."""
        for zygote in self.zygotes:
            zygote.abandon()
        self.zygotes = []
        self._lock = threading.Lock()


class Place:
    """Where a session works; its processes, one after the other, are made here."""

    def __init__(self, walls: Walls, workspace: Workspace, folder: str, zygote: Zygote | None, cache: Path) -> None:
        """Remember; `folder` is the working folder as the code sees it."""
        self.workspace, self.isolation = workspace, walls.isolation if zygote is None else Isolation(level="L3")
        self._walls, self._folder, self._zygote, self._cache = walls, folder, zygote, cache
        self._pid = os.getpid()

    @property
    def sized(self) -> bool:
        """Whether the folder is a file system of its own, of fixed size."""
        return self._zygote is not None

    def in_place(self) -> bool:
        """Whether another process can be started here."""
        return self.workspace.in_place() if self._zygote is None else self._zygote.alive

    def process(self) -> Child:
        """A new process that works here.

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
        """Delete what is in it, once no process works here any more."""
        self.workspace.remove()
        if self._zygote is not None and self._pid == os.getpid():
            self._walls.give_back(self._zygote, self._folder)


def data_bytes(paths: Sequence[Path]) -> int:
    """How much the data files take.

    Raises:
        ToolError: One is gone.
    """
    try:
        return sum(path.stat().st_size for path in paths)
    except OSError as error:
        raise ToolError(f"A data file is gone: {error}. Put it back.") from error
