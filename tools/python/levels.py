"""The level of isolation that this machine offers, the one to use, and the reason and fix for a missing one."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from agentkit.errors import ConfigError
from agentkit.tools.python.execution import Isolation, Level
from agentkit.tools.python.guest import landlock, seccomp
from agentkit.tools.python.guest.seccomp_filters import FILTERS
from agentkit.tools.python.host import bwrap

LEVELS: tuple[Level, ...] = ("L1", "L2", "L3")
_L1_MEANS = (
    "a process of its own with resource limits and an empty environment, but the code can read and write what you can "
    "and reach the network"
)


@dataclass(frozen=True)
class Machine:
    """The layers that this machine offers.

    Attributes:
        landlock: Version of Landlock, 0 if there is none.
        seccomp: True if there is a filter for this kernel and processor.
        bwrap: The path of bubblewrap, None if it is not installed.
        bwrap_problem: Why it sets up no sandbox; empty if it does, or if it is not installed.
    """

    landlock: int
    seccomp: bool
    bwrap: str | None
    bwrap_problem: str


def probe() -> Machine:
    """Probe the machine; bubblewrap is run once in a program."""
    program = bwrap.find()
    return Machine(
        landlock=landlock.abi(),
        seccomp=seccomp.offered() and seccomp.architecture() in FILTERS,
        bwrap=program,
        bwrap_problem="" if program is None else bwrap.why_not(program),
    )


def best(machine: Machine) -> Isolation:
    """Return the highest level the machine offers, and what is missing for the next."""
    missing = tuple(name for name, there in (("landlock", machine.landlock), ("seccomp", machine.seccomp)) if not there)
    if missing:
        return without_walls(missing)
    if machine.bwrap is None:
        return without_namespaces("bubblewrap is not installed")
    if machine.bwrap_problem:
        return without_namespaces(f"bubblewrap sets up no sandbox here: {machine.bwrap_problem}")
    return Isolation(level="L3")


def without_namespaces(reason: str) -> Isolation:
    """Return level 2, and why it is not 3."""
    if "not installed" in reason:
        fix = "install bubblewrap (Debian, Ubuntu: apt install bubblewrap)"
    elif "nknown option" in reason:
        fix = "install bubblewrap 0.7 or newer"
    else:
        fix = (
            "allow bubblewrap to make user namespaces, then check with `agentkit doctor` (in a container: another "
            "security profile; on Ubuntu: an AppArmor profile for bwrap)"
        )
    return Isolation(level="L2", missing=("namespaces",), reason=reason, fix=fix)


def without_walls(missing: tuple[str, ...]) -> Isolation:
    """Return level 1, and why it is not 2."""
    if sys.platform == "linux":
        reason = f"this kernel or processor does not offer {' and '.join(missing)}"
        fix = "use Linux 5.13 or newer with Landlock switched on, on x86-64 or ARM64"
    else:
        reason = "this system has neither Landlock nor seccomp: code can be isolated on Linux only"
        fix = "run agentkit on Linux, in a container or a virtual machine"
    return Isolation(
        level="L1",
        missing=("namespaces", *missing),
        reason=reason,
        fix=f"{fix}; until then run only code you would run yourself",
    )


def limited(level: Level) -> Isolation:
    """Return the isolation of a `max_isolation` of L1 or L2, and why it is not higher."""
    missing = ("namespaces",) if level == "L2" else ("namespaces", "landlock", "seccomp")
    fix = "omit max_isolation" + ("; until then run only code you would run yourself" if level == "L1" else "")
    return Isolation(level=level, missing=missing, reason=f"max_isolation is {level}", fix=fix)


def choose(min_isolation: Level, max_isolation: Level, allow_weak: bool) -> Isolation:
    """Return the level to run code at.

    Raises:
        ConfigError: A minimum above the maximum, Windows, or a machine that offers too little.
    """
    if sys.platform == "win32":
        raise ConfigError("PythonInterpreter does not run on Windows: use Linux, macOS, or WSL.")
    offered, lowest, highest = best(probe()), LEVELS.index(min_isolation), LEVELS.index(max_isolation)
    found = offered if LEVELS.index(offered.level) <= highest else limited(max_isolation)
    # A maximum below the minimum is the value to fix, also where the machine offers no more than that maximum.
    asked = limited(max_isolation) if found.level == max_isolation and highest < lowest else found
    if problem := too_weak(asked, min_isolation, allow_weak):
        raise ConfigError(problem)
    return found


def too_weak(isolation: Isolation, min_isolation: Level, allow_weak: bool) -> str:
    """Return why code may not run at this level, an empty text if it may."""
    enough = LEVELS.index(isolation.level) >= LEVELS.index(min_isolation)
    if allow_weak or (enough and isolation.level != "L1"):
        return ""
    accept = "Pass allow_weak=True to accept that, for code you would run yourself."
    if isolation.level == "L1":
        return (
            f"PythonInterpreter is asked for isolation {min_isolation}, and what can be had is L1 only: {_L1_MEANS} "
            f"({isolation.reason}). To raise it: {isolation.fix}. {accept}"
        )
    return (
        f"PythonInterpreter is asked for isolation {min_isolation}, and what can be had is {isolation.level} "
        f"({isolation.reason}). To raise it: {isolation.fix}. Or pass min_isolation='{isolation.level}'."
    )
