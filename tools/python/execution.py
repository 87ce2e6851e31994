"""The result of a call: value, output and files, the text the model is shown, and the facts for memory."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from agentkit.turn import Artifact

Level = Literal["L1", "L2", "L3"]
"""The level of isolation. L1: a process of its own with resource limits. L2: the kernel also denies the code files
outside its folder, the network and new programs. L3: the code also sees nothing else of the machine."""

MAX_SHOWN = 50
"""Most names of a kind that the model is shown. Chosen by hand, as are the artifacts of a call (50)."""
MAX_FACTS = 100
"""Most names of a kind that memory is offered. Chosen by hand, as are the variables of a call (100)."""

Cause = Literal["exception", "timeout", "died"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Isolation(_Frozen):
    """The isolation of a call: its level, and what is missing for the highest.

    Attributes:
        level: The level that held.
        missing: The layers that are missing.
        reason: Why they are missing.
        fix: How to get them.
    """

    level: Level
    missing: tuple[str, ...] = ()
    reason: str = ""
    fix: str = ""


class Variable(_Frozen):
    """A variable that the code set or changed.

    Attributes:
        name: Its name.
        type: Name of its type.
        shape: Rows and columns of a table, dimensions of an array, length of a text or collection; else None.
        columns: Names of a table's columns, at most 50; else None.
    """

    name: str = Field(max_length=200)
    type: str = Field(max_length=200)
    shape: tuple[int, ...] | None = Field(default=None, max_length=64)
    columns: tuple[str, ...] | None = Field(default=None, max_length=50)


class Figure(_Frozen):
    """A figure that was saved.

    Attributes:
        file: Name of the file, relative to the working folder.
        title: Title of the figure, or of its first axes; may be empty.
        xlim: Ends of the first x axis, None without axes.
        ylim: Ends of the first y axis, None without axes.
    """

    file: str = Field(max_length=400)
    title: str = Field(default="", max_length=400)
    xlim: tuple[FiniteFloat, FiniteFloat] | None = None
    ylim: tuple[FiniteFloat, FiniteFloat] | None = None


class Execution(_Frozen):
    """The result of one call; ``str()`` of it is the text the model is shown.

    Attributes:
        ok: True if the code ran to its end.
        stdout: What it printed; of more than 60,000 bytes only the head and the tail.
        stderr: What it wrote to stderr, with warnings; same limit.
        value: The repr of the last expression; None if there is none or its value is None. At most 10,000 characters
            and a note; without the memory addresses of ``<... at 0x...>``, and 612 for ``np.int64(612)``.
        error: The lines of the code that the exception passed through, its type and message; None if `ok`.
        cause: The kind of failure: the code raised, ran out of time, or ended its process. None if `ok`.
        artifacts: The files written or changed, with their bytes; names are relative to the working folder.
        isolation: How far the code was isolated.
        variables: New or changed variables, at most 100; none whose name starts with an underscore.
        files: Names of the files written or changed, hidden ones omitted.
        omitted: Files that are not among the artifacts, each with the reason.
        figures: The figures saved, by the code or for it.
        lost: Variables that are gone because their process ended, in this call or before it.
        notice: Anything else the model must know, such as that its session was restarted; may be empty.
        duration_s: Wall-clock seconds, with waiting and the start of a process.
    """

    ok: bool
    stdout: str = ""
    stderr: str = ""
    value: str | None = None
    error: str | None = None
    cause: Cause | None = None
    artifacts: tuple[Artifact, ...] = ()
    isolation: Isolation
    variables: tuple[Variable, ...] = ()
    files: tuple[str, ...] = ()
    omitted: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    lost: tuple[str, ...] = ()
    notice: str = ""
    duration_s: float = 0.0

    @property
    def facts(self) -> dict[str, Any]:
        """Return the facts for memory, ready for JSON: value, variables, files, figures, lost; at most 100 of each."""
        found: dict[str, Any] = {
            "value": self.value,
            "variables": [v.model_dump(mode="json", exclude_none=True) for v in self.variables],
            "files": list(self.files[:MAX_FACTS]),
            "figures": [f.model_dump(mode="json", exclude_none=True) for f in self.figures],
            "lost": list(self.lost[:MAX_FACTS]),
        }
        return {key: value for key, value in found.items() if value}

    def __str__(self) -> str:
        """Return the text the model is shown; never empty, the same for the same outcome."""
        parts = [
            self.notice,
            self.stdout.rstrip("\n"),
            f"stderr:\n{stderr}" if (stderr := self.stderr.rstrip("\n")) else "",
            self.value or "",
            self.error or "",
            f"Files written: {_listed(self.files, ', ')}" if self.files else "",
            f"Not returned: {_listed(self.omitted, '; ')}" if self.omitted else "",
        ]
        return "\n".join(part for part in parts if part) or "(no output)"


def _listed(names: tuple[str, ...], between: str) -> str:
    more = len(names) - MAX_SHOWN
    return between.join(names[:MAX_SHOWN]) + (f"{between}and {more} more" if more > 0 else "")
