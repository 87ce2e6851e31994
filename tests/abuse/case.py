"""One case of the abuse suite: hostile code, what it must be told, and where it does get its way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

LEVELS = ("L3", "L2", "L1")


@dataclass(frozen=True)
class Gap:
    """A level a case does not hold at.

    Attributes:
        effects: What is seen from outside, of the names in `Outside.effects`; exactly these.
        reason: Why.
        always: False where it depends on the machine or the user: then none of it may be seen either.
    """

    effects: frozenset[str]
    reason: str
    always: bool = True


@dataclass(frozen=True)
class Case:
    """One case.

    Attributes:
        number: As in the list of the suite; a number may have several cases.
        name: What is tried; unique.
        code: The hostile code. It calls ``reached()`` just before it does harm, so that no case passes by a slip.
        says: Pattern the result must match where the case holds: the cause, as the model is told it.
        other: Code another session runs afterwards; what it finds counts as an effect.
        then: Code the same session runs afterwards.
        timeout_s: Seconds the code gets.
        kind: ``code``, or the name of a procedure of `abuse.host` for what is no code in a session.
        gaps: The levels it does not hold at.
    """

    number: int
    name: str
    code: str = ""
    says: str = ""
    other: str = ""
    then: str = ""
    timeout_s: float = 30
    kind: str = "code"
    gaps: Mapping[str, Gap] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The number and name."""
        return f"{self.number:02}-{self.name.replace(' ', '-')}"


def gap(*effects: str, reason: str, always: bool = True) -> Gap:
    """A gap."""
    return Gap(frozenset(effects), reason, always)


NO_WALL = "no wall at this level: the code can do what its user can"
EVERYTHING = {"L1": gap("read", "write", "program", reason=NO_WALL)}
"""Files read, files written, a program started: what a trick that gets hold of ``os`` leads to without walls."""
DENIED = "PermissionError|FileNotFoundError"
