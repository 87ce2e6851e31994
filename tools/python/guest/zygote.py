"""The process that walled sessions are forked from: it has the libraries loaded and runs none of the model's code.

Started as a script by `zygote_client` on the host, at level 3 inside bubblewrap. Standard library only and nothing of
agentkit. The host asks over a socket, one message a question: open a session, open a folder, return the exit status
of a session. A session is a fork that walls itself in (`confine`) and then runs cells (`runner`).
"""

from __future__ import annotations

import gc
import importlib.util
import io
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

MAX_MESSAGE_BYTES = 65_536
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
_SIBLINGS = ("confine", "landlock", "runner", "seccomp", "seccomp_filters")


def load(name: str) -> ModuleType:
    """Load a module of this folder, under a name that no import in the model's code can mean."""
    alias = f"_agentkit_{name}"
    spec = importlib.util.spec_from_file_location(alias, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[alias] = module
    spec.loader.exec_module(module)
    return module


def warm_up() -> list[str]:
    """Load the libraries for all sessions, use each so that nothing is left to load, and return their names."""
    found = []
    for name, use in (("numpy", _use_numpy), ("pandas", _use_pandas), ("matplotlib", _use_matplotlib)):
        try:
            use()
        except Exception:  # not installed, or broken: the code sees that when it imports it
            continue
        found.append(name)
    return found


def _use_numpy() -> None:
    import numpy as np

    np.linalg.inv(np.eye(2))


def _use_pandas() -> None:
    import pandas as pd

    table = pd.read_csv(io.StringIO("t,x\n2024-01-01,1\n2024-01-02,2\n"), parse_dates=["t"])
    repr(table.describe())
    table.groupby("t").x.sum()


def _use_matplotlib() -> None:
    import logging

    # The machine's fonts, and the time to list them, are noise to the model.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    axes.plot([1, 2], label="a")
    axes.set(title="a", xlabel="b", ylabel="c")
    axes.legend()
    figure.savefig(io.BytesIO(), format="png")
    plt.close("all")


def namespaces() -> dict[str, str]:
    """Return the namespaces of this process, so that the host can see which are not its own."""
    return {name: os.readlink(f"/proc/self/ns/{name}") for name in NAMESPACES}  # noqa: PTH115


class Zygote:
    """Answers the host until it closes the connection."""

    def __init__(self, control: socket.socket, plan: dict[str, Any], modules: dict[str, ModuleType]) -> None:
        """Store the arguments; `plan` is `zygote_client.ZygotePlan` as JSON."""
        self.control, self.plan, self.modules = control, plan, modules
        self.pid = os.getpid()

    def serve(self) -> NoReturn:
        """Answer each question with one message and at most one descriptor."""
        while True:
            body, fds, _, _ = socket.recv_fds(self.control, MAX_MESSAGE_BYTES, 4)
            if not body:
                os._exit(0)
            reply, ours = self.answer(json.loads(body), fds)
            for fd in fds:
                os.close(fd)
            socket.send_fds(self.control, [json.dumps(reply).encode()], ours)
            for fd in ours:
                os.close(fd)

    def answer(self, request: dict[str, Any], fds: list[int]) -> tuple[dict[str, Any], list[int]]:
        """Return the answer to one question, and the descriptors that go with it."""
        try:
            if "open" in request:
                pid = os.fork()
                if pid == 0:
                    self.become_session(request["open"], fds)
                return {"pid": pid}, [os.pidfd_open(pid)]
            if "folder" in request:
                return {}, [os.open(request["folder"], os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)]
            _, status = os.waitpid(request["reap"], 0)
            return {"status": os.waitstatus_to_exitcode(status)}, []
        except OSError as error:
            return {"error": f"{error.strerror or error}"}, []

    def become_session(self, folder: str, fds: list[int]) -> NoReturn:
        """In the fork: put up the walls, then run cells until the host is gone. Never returns."""
        confine, runner = self.modules["confine"], self.modules["runner"]
        status = 71
        try:
            channel = confine.take_descriptors(os.open(os.devnull, os.O_RDONLY), fds[1], fds[2], fds[0])
            os.setsid()
            confine.enter_folder(folder)
            confine.die_with_parent(self.pid)
            confine.prefer_for_out_of_memory()
            confine.forbid_core_dumps()
            _forget_the_zygote()
            refused = runner.set_limits()
            if self.plan["level"] == "L3":
                confine.limit_tasks()
            confine.wall_in(
                self.modules["landlock"],
                self.modules["seccomp"],
                self.modules["seccomp_filters"],
                self.plan["readable"],
                folder,
            )
            status = 70
            runner.serve(channel, refused)
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode("utf-8", "replace")[:500])
        finally:
            os._exit(status)


def _forget_the_zygote() -> None:
    """Replace what all forks would share although each session must have its own."""
    for fd, name, mode in (
        (0, "stdin", "r"),
        (1, "stdout", "w"),
        (2, "stderr", "w"),
    ):  # they remember the kind of the old files
        stream = open(fd, mode, encoding="utf-8", errors="backslashreplace" if mode == "w" else None, closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    tempfile.tempdir = None
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()


def _copy_without_modes() -> None:
    """Let shutil copy files whose modes and times may not be set."""
    import shutil

    for name in ("copymode", "copystat"):
        original = getattr(shutil, name)

        def lenient(*args: object, _original: Callable[..., object] = original, **kwargs: object) -> None:
            try:
                _original(*args, **kwargs)
            except PermissionError:
                return

        setattr(shutil, name, lenient)


def main() -> None:
    """Load the libraries, report, serve."""
    control = socket.socket(fileno=int(sys.argv[1]))
    plan = json.loads(sys.argv[2])
    modules = {name: load(name) for name in _SIBLINGS}
    if plan["parent"]:  # a sandbox ends with the host by itself
        modules["confine"].die_with_parent(plan["parent"])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    packages = warm_up()
    _copy_without_modes()
    gc.collect()
    gc.freeze()  # else a session's garbage collection would copy each shared page
    socket.send_fds(control, [json.dumps({"packages": packages, "namespaces": namespaces()}).encode()], [])
    Zygote(control, plan, modules).serve()


if __name__ == "__main__":
    main()
