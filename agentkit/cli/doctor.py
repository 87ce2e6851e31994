"""`agentkit doctor`: print the layers that isolate code here, try to break out, and say how to add layers."""

from __future__ import annotations

import os
import socket
import stat
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from agentkit.base.terminal import say
from agentkit.errors import AgentKitError
from agentkit.tools.python.execution import Isolation
from agentkit.tools.python.interpreter import PythonInterpreter
from agentkit.tools.python.levels import Machine, probe

TOKEN = "found it"
OUT = "'out'"


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        what: The layer, or the attempt to break out.
        good: True if the layer is there, or if the walls held.
        said: The detail to print.
    """

    what: str
    good: bool
    said: str


def examine() -> bool:
    """Print the report; return True if code is isolated at level 2 or 3 and every attempt failed."""
    if sys.platform == "win32":
        say("The Python interpreter does not run on Windows: use Linux, macOS, or WSL.")
        return False
    machine = probe()
    say("What this machine offers:")
    _table(layers(machine))
    try:
        isolation, findings = attempt()
    except AgentKitError as error:
        say(f"\nCode cannot run here: {error}")
        return False
    say(f"\nAttempts to break out, at level {isolation.level}:")
    _table(findings)
    held = all(finding.good for finding in findings)
    _conclude(isolation, held)
    return held and isolation.level != "L1"


def layers(machine: Machine) -> list[Finding]:
    """Return what the machine offers, layer by layer."""
    boxed = machine.bwrap is not None and not machine.bwrap_problem
    problem = "not installed" if machine.bwrap is None else machine.bwrap_problem
    limits = Finding("resource limits", True, "memory, time, files")
    return [
        limits,
        Finding("Landlock", machine.landlock > 0, f"version {machine.landlock}" if machine.landlock else "not offered"),
        Finding("seccomp", machine.seccomp, "a filter for this processor" if machine.seccomp else "not offered"),
        Finding("bubblewrap", boxed, f"{machine.bwrap} sets up a sandbox" if boxed else problem),
    ]


def attempt() -> tuple[Isolation, list[Finding]]:
    """Try to break out of a session at the highest level; return that level and the findings, also from outside.

    Raises:
        AgentKitError: No session can be opened.
    """
    with (
        tempfile.TemporaryDirectory(prefix="agentkit-doctor-") as name,
        socket.create_server(("127.0.0.1", 0)) as server,
    ):
        folder = Path(name)
        secret, planted = folder / "secret", folder / "planted"
        secret.write_text(TOKEN)
        secret.chmod(0o600)
        server.settimeout(0.2)
        with PythonInterpreter(allow_weak=True, timeout_s=20) as python:
            isolation = python.execute("1").isolation
            other = python.execute(f"import os\nopen('own', 'w').write({TOKEN!r})\nos.getcwd()", session="other").value
            codes = {
                "read a file of yours": f"{TOKEN!r} in open({str(secret)!r}).read()",
                "read the system's passwords": "len(open('/etc/shadow').read()) > 0",
                "write outside its folder": f"open({str(planted)!r}, 'w').write('x') > 0",
                "change the rights of a file": f"os.chmod({str(secret)!r}, 0o644) is None",
                "read another session's file": f"{TOKEN!r} in open({other} + '/own').read()",
                "read your environment": f"len(open('/proc/{os.getpid()}/environ').read()) > 0",
                "connect to a server": f"socket.create_connection({server.getsockname()!r}, 2) is not None",
                "start a program": "os.system('true') == 0",
                "make another process": "os.fork() and os.wait() is not None",
                "send you a signal": f"os.kill({os.getpid()}, 0) is None",
                "take 3 GiB of memory": "len(bytearray(3 << 30)) > 0",
            }
            findings = [_try(python, what, code) for what, code in codes.items()]
        outside = [
            Finding("(seen from outside)", not planted.exists(), "no file was planted"),
            Finding("(seen from outside)", stat.S_IMODE(secret.stat().st_mode) == 0o600, "no rights were changed"),
            Finding("(seen from outside)", not _was_connected(server), "no connection came in"),
        ]
    return isolation, findings + [seen for seen in outside if not seen.good]


def _try(python: PythonInterpreter, what: str, code: str) -> Finding:
    done = python.execute(f"import os, socket\n'out' if {code} else 'in'")
    if done.value == OUT:
        return Finding(what, False, "it got out")
    last = (done.error or "it had no effect").splitlines()[-1]
    return Finding(what, True, last)


def _was_connected(server: socket.socket) -> bool:
    try:
        connection, _ = server.accept()
    except OSError:
        return False
    connection.close()
    return True


def _table(findings: list[Finding]) -> None:
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        say(f"  {'ok ' if finding.good else 'NO '} {finding.what:<{width}}  {finding.said[:110]}")


def _conclude(isolation: Isolation, held: bool) -> None:
    means = {
        "L1": "limits on time and memory and an empty environment, but no walls: run only code you would run yourself",
        "L2": "the kernel denies the code your files, the network, other programs and other processes",
        "L3": "the kernel denies the code your files, the network, other programs and other processes, and hides the "
        "rest of this machine from it",
    }
    say(f"\nLevel {isolation.level}: {means[isolation.level]}.")
    if not held and isolation.level != "L1":
        say("An attempt got out: run no code here that you would not run yourself, and report it (SECURITY.md).")
    if isolation.fix:
        say(f"Why not more: {isolation.reason}. To raise it: {isolation.fix}.")
