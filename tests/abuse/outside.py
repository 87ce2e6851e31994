"""The things a case must not touch: files, listeners, a terminal and a process of the suite, seen from outside.

Everything lies below one temporary folder or on the loopback device; nothing else of the machine is looked at.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import tty
from pathlib import Path
from typing import Any

MEMORY_BYTES = 400 * 1024**2
"""Memory the host may grow by in one case: the artifacts of a call are 64 MiB at most."""


class Outside:
    """Canaries, made anew for each case."""

    def __init__(self) -> None:
        self.token = f"canary{secrets.token_hex(12)}"
        self.memory = ctypes.create_string_buffer(self.token.encode() * 4)
        # Where no environment of the host reaches a session, neither does this.
        os.environ["AGENTKIT_ABUSE_KEY"] = self.token
        os.environ["HTTP_PROXY"] = os.environ["http_proxy"] = "http://127.0.0.1:9"
        self.place = Path(tempfile.mkdtemp(prefix="abuse-"))
        inherited = self.place / "inherited"
        inherited.write_text(self.token)
        self.inherited = os.open(inherited, os.O_RDONLY)
        os.set_inheritable(self.inherited, True)
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.unix = socket.socket(socket.AF_UNIX)
        self.unix.bind(str(self.place / "unix"))
        self.abstract = socket.socket(socket.AF_UNIX)
        self.abstract.bind(f"\0{self.place.name}")
        for listener in (self.unix, self.abstract):
            listener.listen()
        self.listeners = {"tcp": self.tcp, "udp": self.udp, "unix": self.unix, "abstract": self.abstract}
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        self.victim: subprocess.Popen[bytes] | None = None
        self.count = 0

    def begin(self) -> dict[str, Any]:
        """Set everything up for a case and return what its code is given."""
        self.count += 1
        self.folder = self.place / f"case{self.count}"
        for name in (".ssh", ".git/hooks", "site"):
            (self.folder / "home" / name).mkdir(parents=True)
        for name in ("secret", "note", "home/.ssh/id_rsa", "home/shadow", "home/.bashrc"):
            (self.folder / name).write_text(self.token)
            (self.folder / name).chmod(0o600)
        if self.victim is None or self.victim.poll() is not None:
            self.victim = subprocess.Popen(["sleep", "900"], env={"KEY": self.token}, stdin=subprocess.DEVNULL)
        self.files, self.state, self.rss = self._files(), self._state(), _rss()
        return {
            "folder": str(self.folder),
            "secret": str(self.folder / "secret"),
            "tcp": self.tcp.getsockname()[1],
            "udp": self.udp.getsockname()[1],
            "unix": str(self.place / "unix"),
            "abstract": self.place.name,
            "terminal": os.ttyname(self.slave),
            "victim": self.victim.pid,
            "host": os.getpid(),
            "address": ctypes.addressof(self.memory),
            "cwd": str(Path.cwd()),
            "uid": os.getuid(),
        }

    def effects(self) -> set[str]:
        """Return what was done to it, of: write, program, tcp, udp, unix, abstract, terminal, signal, host, memory."""
        found = {name for name, listener in self.listeners.items() if _contacted(listener)}
        if select.select([self.master, self.slave], [], [], 0)[0]:
            found.add("terminal")
            for fd in (self.master, self.slave):
                if select.select([fd], [], [], 0)[0]:
                    os.read(fd, 1000)
        now = self._files()
        started = now.pop("started", None)
        if started:
            found.add("program")
        # The folder's own times change with a file in it.
        if {name: kept for name, kept in now.items() if name != "."} != {
            name: kept for name, kept in self.files.items() if name != "."
        }:
            found.add("write")
        assert self.victim is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.victim.wait(0)
        # A signal under way needs a moment to arrive; one never sent does not come.
        if self.victim.poll() is not None or _pending(self.victim.pid):
            self.victim.wait()
            found.add("signal")
        if self._state() != self.state:
            found.add("host")
        if _rss() - self.rss > MEMORY_BYTES:
            found.add("memory")
        return found

    def end(self) -> None:
        """Remove what was set up for the case."""
        shutil.rmtree(self.folder)

    def close(self) -> None:
        """Remove everything."""
        for listener in self.listeners.values():
            listener.close()
        for fd in (self.master, self.slave, self.inherited):
            os.close(fd)
        if self.victim is not None:
            self.victim.kill()
            self.victim.wait()
        shutil.rmtree(self.place)

    def _files(self) -> dict[str, Any]:
        found = {}
        for path in sorted([self.folder, *self.folder.rglob("*")]):
            status = path.lstat()
            content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            attributes = os.listxattr(path, follow_symlinks=False)
            found[str(path.relative_to(self.folder))] = (
                (status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, content, tuple(attributes)),
                status.st_nlink,
            )
        return found

    def _state(self) -> Any:
        """The host itself."""
        return str(Path.cwd()), dict(os.environ), signal.getsignal(signal.SIGINT), os.getsid(0), os.getpgrp()


def _contacted(listener: socket.socket) -> bool:
    if not select.select([listener], [], [], 0)[0]:
        return False
    if listener.type == socket.SOCK_DGRAM:
        listener.recvfrom(100)
    else:
        listener.accept()[0].close()
    return True


def _status(pid: int | str, name: str) -> list[str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((line.split()[1:] for line in lines if line.startswith(f"{name}:")), [])


def _pending(pid: int) -> bool:
    return any(int(mask, 16) for name in ("SigPnd", "ShdPnd") for mask in _status(pid, name))


def _rss() -> int:
    return int(_status("self", "VmRSS")[0]) * 1024
