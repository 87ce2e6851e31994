"""Explains a replay: what it shows, condenses or omits of each turn, and the tokens that saves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentkit.base.text import shorten
from agentkit.memory.objects import MemoryObject
from agentkit.memory.replay.fitting import CountTokens, Plan, cost, message_text, render, within
from agentkit.memory.replay.pressure import NEWEST_CHARS, RESULT_CHARS, WHOLE, Room
from agentkit.memory.replay.turns import ReplayMode
from agentkit.turn import Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnShown:
    """One turn as it appears in a replay.

    Attributes:
        number: The turn.
        question: Its question, shortened.
        form: The parts that are not shown whole: ``"full"`` (none), ``"results condensed"``, ``"results cut"`` (shorter
            than without a budget), ``"results, prose cut"``, ``"results, prose, arguments cut"``, and so on with code
            and calls, or ``"left out"``.
        calls: Number of calls.
        full_tokens: Tokens of its question, calls, whole results and answer.
    """

    number: int
    question: str
    form: str
    calls: int
    full_tokens: int

    def __str__(self) -> str:
        """Return the turn as one line."""
        calls = f"{self.calls} call{'' if self.calls == 1 else 's'}"
        return f"turn {self.number}  {self.form}  {calls}, {self.full_tokens} tokens in full  {self.question}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The replay before a turn, explained.

    Attributes:
        session: The session.
        turn: Number of the turn that follows the replay.
        mode: The mode of replay.
        max_tokens: The budget; None for no limit.
        turns: Every earlier turn, oldest first.
        tokens: Tokens of the replay.
        full_tokens: Tokens of all earlier turns in full.
        text: The replay itself, each message with its role.
    """

    session: str
    turn: int
    mode: ReplayMode
    max_tokens: int | None
    turns: tuple[TurnShown, ...]
    tokens: int
    full_tokens: int
    text: str

    @property
    def saved_tokens(self) -> int:
        """Return the tokens saved compared with the full history; negative if the replay takes more."""
        return self.full_tokens - self.tokens

    @property
    def left_out(self) -> tuple[int, ...]:
        """Return the turns that are only counted."""
        return tuple(turn.number for turn in self.turns if turn.form == "left out")

    def __str__(self) -> str:
        """Return a heading, then a line for each turn."""
        share = f" ({100 * self.tokens / self.full_tokens:.0f} %)" if self.full_tokens else ""
        budget = "no budget" if self.max_tokens is None else f"a budget of {self.max_tokens} tokens"
        head = (
            f"Before turn {self.turn} of session {shorten(self.session)!r}: replay={self.mode}, {budget}.\n"
            f"{self.tokens} of {self.full_tokens} tokens{share} are shown, {self.saved_tokens} saved; "
            f"{len(self.turns) - len(self.left_out)} of {len(self.turns)} turns are shown."
        )
        return "\n".join([head, *map(str, self.turns)])


def explain(
    turns: Sequence[Turn],
    objects: Sequence[MemoryObject],
    mode: ReplayMode,
    *,
    session: str = "",
    max_tokens: int | None = None,
    count: CountTokens,
    newest_chars: int = NEWEST_CHARS,
) -> Explanation:
    """Replay objects as `replay` does, and return how each turn appears.

    Args:
        turns: The earlier turns, oldest first.
        objects: Their memory objects, oldest first.
        mode: The mode of replay.
        session: The session's name.
        max_tokens: As for `replay`.
        count: Returns the tokens of a text.
        newest_chars: Characters of each result of the newest turn.

    Raises:
        InputError: As for `replay`.
    """
    plan = Plan([], {}, 0)
    if mode != "none" and max_tokens is None:
        plan = render(objects, mode, newest_chars)
    elif mode != "none" and max_tokens is not None:
        plan = within(reversed(objects), mode, max_tokens, count, newest_chars)
    shown = tuple(
        TurnShown(
            number=turn.number,
            question=shorten(turn.input, 60),
            form=_form(plan.forms.get(turn.number), turn, mode, is_newest=turn is turns[-1]),
            calls=len(turn.steps),
            full_tokens=count(full_text(turn)),
        )
        for turn in turns
    )
    return Explanation(
        session=session,
        turn=turns[-1].number + 1 if turns else 1,
        mode=mode,
        max_tokens=max_tokens,
        turns=shown,
        tokens=cost(plan.messages, count),
        full_tokens=sum(turn.full_tokens for turn in shown),
        text="\n".join(f"{message.type}: {message_text(message)}" for message in plan.messages),
    )


def full_text(turn: Turn) -> str:
    """Return the full text of a turn: question, calls, whole results and answer."""
    steps = [f"{step.tool} {step.tool_input}\n{step.observation}" for step in turn.steps]
    return "\n".join([turn.input, *steps, turn.output])


def _form(room: Room | None, turn: Turn, mode: ReplayMode, *, is_newest: bool) -> str:
    if room is None:
        return "left out"
    has_calls = bool(turn.steps) and mode in ("objects", "calls")
    cut = ["results"] if has_calls and room.result < RESULT_CHARS and not is_newest else []
    cut += ["prose"] if room.prose < max(len(turn.input), len(turn.output)) else []
    cut += ["arguments"] if has_calls and room.argument < WHOLE else []
    cut += ["code"] if has_calls and room.code < WHOLE else []
    cut += ["calls"] if has_calls and not room.calls else []
    if cut:
        return f"{', '.join(cut)} cut"
    return "results condensed" if has_calls else "full"
