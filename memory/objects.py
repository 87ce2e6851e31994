"""`MemoryObject`: what is kept of a turn's reasoning chain, compact, typed and readable."""

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
        reference: Names the stored step: ``t3.s2`` is the second step of turn 3.
        tool: The tool's name.
        input: The arguments it was called with; very long ones are cut, and say how much was.
        ok: Whether it did what it was asked to, by its status and not by its words.
        unknown: Whether nobody knows if it did: it ran out of time, or the run was broken off; then it is not `ok`.
        round: Which model reply asked for it, from 1; the calls of one reply share it; 0 where nobody said.
        facts: Its result as JSON keys and values, a result that is no mapping under ``result``; long ones are cut by
            whole rows. Of a failure, what it left behind (variables and files), if its tool says so.
        text: The result as the tool printed it, if that is shorter than the facts as JSON.
        failure: What went wrong, in one line; "" where it worked.
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
        """The call and what came of it, one line each, code as an indented block."""
        head = f"{self.reference} {self.tool}{_arguments(self.input)}"
        failed = [] if self.ok else [f"  failed: {self.failure}"]
        found = self.text.splitlines() or [f"{key}: {_value(value)}" for key, value in self.facts.items()]
        return "\n".join([head, *failed, *(f"  {line}" for line in found)])


class MemoryObject(BaseModel):
    """What is kept of one turn. It never changes after its turn, and ``str()`` of it is for people.

    Attributes:
        session: The session.
        number: The turn's place in it, from 1.
        question: What was asked.
        actions: The chain, failed steps included.
        variables: Names set or changed in the turn and alive at its end, as the tool described them.
        files: Files written in the turn, by failed steps too.
        output: The answer.
        stop_reason: Why the turn ended.
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
        """The whole object, as a person wants to read it."""
        return "\n".join([f"Turn {self.number}: {self.question}", *map(str, self.actions), f"Answer: {self.answer}"])

    @property
    def answer(self) -> str:
        """The answer, or in words that there is none."""
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
    """Arguments behind the tool's name: short ones on its line, text of several lines as a block below."""
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
    """A value on one line: text as it is, lists of plain values with commas, the rest as compact JSON."""
    if isinstance(value, str):
        return shorten(value, MAX_LINE_CHARS)
    if isinstance(value, (list, tuple)) and all(isinstance(v, (str, int, float)) for v in value):
        return ", ".join(_value(v) for v in value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=repr)
