"""`MemoryObject`: the compact, typed and readable form of a turn's reasoning chain."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from agentkit.base.text import shorten
from agentkit.turn import StopReason

MAX_LINE_CHARS = 200


class Action(BaseModel):
    """One step of the chain.

    Attributes:
        reference: Refers to the stored step: ``t3.s2`` is the second step of turn 3.
        tool: The tool's name.
        input: The arguments of the call; very long ones are cut, and the cut is counted.
        ok: True if the call succeeded, by its status and not by its text.
        unknown: True if the outcome is unknown: the call timed out, or the run was interrupted; then `ok` is False.
        round: Number of the model reply that asked for it, from 1; 0 if unknown.
        facts: The result as JSON keys and values, under ``result`` if it is no mapping; long results are cut by whole
            rows. After a failure, the variables and files it made, if its tool reports them.
        text: The tool's own text of the result, if it is shorter than the facts as JSON.
        failure: The error, in one line; "" if the call succeeded.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference: str
    tool: str
    input: dict[str, Any] = {}
    ok: bool = True
    unknown: bool = False
    round: int = 0
    facts: dict[str, Any] = {}
    text: str = ""
    failure: str = ""

    def __str__(self) -> str:
        """Return the call and its result, one line each, code as an indented block."""
        head = f"{self.reference} {self.tool}{_arguments(self.input)}"
        failed = [] if self.ok else [f"  failed: {self.failure}"]
        found = self.text.splitlines() or [f"{key}: {_value(value)}" for key, value in self.facts.items()]
        return "\n".join([head, *failed, *(f"  {line}" for line in found)])


class MemoryObject(BaseModel):
    """The compact form of one turn. It never changes after its turn; ``str()`` returns text for people.

    Attributes:
        session: The session.
        number: The turn's place in it, from 1.
        question: The question.
        actions: The chain, failed steps included.
        variables: Variables set or changed in the turn that exist at its end, as the tool described them.
        files: Names of files written in the turn, also by failed steps.
        output: The answer.
        stop_reason: The reason the turn ended.
        version: The shape of this JSON.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    session: str
    number: int
    question: str
    actions: tuple[Action, ...] = ()
    variables: tuple[dict[str, Any], ...] = ()
    files: tuple[str, ...] = ()
    output: str = ""
    stop_reason: StopReason = "answered"
    version: Literal[1] = 1

    def __str__(self) -> str:
        """Return the whole object as text for people."""
        return "\n".join([f"Turn {self.number}: {self.question}", *map(str, self.actions), f"Answer: {self.answer}"])

    @property
    def answer(self) -> str:
        """Return the answer, or a text that says why there is none."""
        if self.output.strip():
            return self.output
        unknown = ", ".join(action.reference for action in self.actions if action.unknown)
        reasons = [_NO_ANSWER.get(self.stop_reason, ""), f"outcome of {unknown} unknown" if unknown else ""]
        said = "; ".join(filter(None, reasons))
        return f"(no answer: {said})" if said else "(no answer)"


_NO_ANSWER: dict[str, str] = {
    "interrupted": "the run was interrupted",
    "refused": "it was refused",
    "model_error": "the model ended with an error",
    "empty_reply": "the model's reply was empty",
}


def _arguments(arguments: dict[str, Any]) -> str:
    """Return the arguments as text: short ones on the tool's line, text of several lines as a block below."""
    short = [f"{k}={_value(v)}" for k, v in arguments.items() if not _is_block(v)]
    blocks = [
        f"\n  {key}:\n" + "\n".join(f"    {line}".rstrip() for line in value.strip("\n").split("\n"))
        for key, value in arguments.items()
        if _is_block(value)
    ]
    return (" " + " ".join(short) if short else "") + "".join(blocks)


def _is_block(value: Any) -> bool:
    return isinstance(value, str) and "\n" in value.strip("\n")


def _value(value: Any) -> str:
    """Return a value on one line: text, lists of plain values with commas, anything else as compact JSON."""
    if isinstance(value, str):
        return shorten(value, MAX_LINE_CHARS)
    if isinstance(value, (list, tuple)) and all(isinstance(v, (str, int, float)) for v in value):
        return ", ".join(_value(v) for v in value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=repr)
