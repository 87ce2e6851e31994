"""Measures, on your own sessions, the share of the values later calls needed that memory keeps, and its tokens."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_core.messages import AIMessage, BaseMessage

from agentkit.base.text import shorten
from agentkit.errors import InputError
from agentkit.memory.evaluate.baselines import BASELINES, FULL, dialogue
from agentkit.memory.evaluate.needed_values import Keys, holds, identifiers, is_bound, needed, normal
from agentkit.memory.evaluate.session_files import Sessions, load
from agentkit.memory.memory import Memory
from agentkit.memory.replay.messages import CountTokens, estimate_tokens
from agentkit.turn import Turn

if TYPE_CHECKING:
    from rich.table import Table

DEFAULT_BUDGETS = (0.75, 0.5, 0.25, 0.1)
LEGEND = """
recall %   share of the needed values that the replay holds; bound %: share that also follows its key, or is in prose
tokens     of the replay, mean over turns; % of full: compared with the full history
ids        different identifiers in the replay, mean over turns: a model must choose between them
stable %   share of the replays that begin with the previous one, as a provider's prompt cache needs"""

LEAST_BUDGET = 50
"""A share of a short history is never fewer tokens than this, so that one line fits; chosen by hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The result of one way to remember, a memory or a baseline.

    Attributes:
        name: The way to remember.
        recall: Percent of the needed values that its replay holds.
        bound: Percent of them that also follow their key, or occur in prose.
        tokens: Tokens of the replay, mean over turns.
        share: The same in percent of the full history.
        distinct: Number of different ids in the replay, mean over turns.
        stable: Percent of the replays that begin with the previous one, as prompt caches need.
        budget: Its budget, None for none.
    """

    name: str
    recall: float
    bound: float
    tokens: float
    share: float
    distinct: float
    stable: float
    budget: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The result of `evaluate`.

    Attributes:
        sessions: Number of sessions.
        turns: Number of measured turns: those with calls and with turns before them.
        needed: Number of values that their calls needed from earlier turns.
        rows: A row for each way to remember, agentkit's last.
    """

    sessions: int
    turns: int
    needed: int
    rows: tuple[Row, ...]

    def row(self, name: str) -> Row:
        """Return the row of that name."""
        return next(row for row in self.rows if row.name == name)


@dataclass(slots=True)
class _Score:
    hits: int = 0
    bound: int = 0
    tokens: int = 0
    distinct: int = 0
    pairs: int = 0
    stable: int = 0
    previous: str | None = field(default=None, repr=False)

    def take(self, text: str, low: str, values: dict[str, set[str]], prose: str, count: CountTokens) -> None:
        self.tokens += count(text)
        self.distinct += len(set(identifiers(low)))
        if self.previous is not None:
            self.pairs += 1
            self.stable += text.startswith(self.previous)
        self.previous = text
        for value, keys in values.items():
            if holds(low, value):
                self.hits += 1
                self.bound += is_bound(low, value, keys, prose)


def evaluate(
    sessions: Sessions,
    *,
    budgets: Sequence[float] = DEFAULT_BUDGETS,
    count_tokens: CountTokens | None = None,
    system: str = "",
    replay: str = "objects",
) -> Evaluation:
    """Measure this memory and the baselines on recorded sessions. No model is called.

    Args:
        sessions: Turns by session, as `load` returns them. They are condensed again, from the facts of their results.
        budgets: Budgets of the replay: up to 1 a share of the full history's tokens, above 1 tokens.
        count_tokens: Returns the tokens of a text; None for memory's estimate.
        system: The system prompt of the sessions: values in it need not be remembered.
        replay: The mode of replay: ``"objects"`` or ``"calls"``.

    Returns:
        A row for each way to remember.

    Raises:
        InputError: An impossible budget.
    """
    for budget in budgets:
        if isinstance(budget, bool) or not isinstance(budget, (int, float)) or not budget > 0:
            raise InputError(
                f"One of the budgets (--budget) is {shorten(repr(budget))}: give a share up to 1, or tokens above it."
            )
    count = count_tokens or estimate_tokens
    names: dict[str, float | None] = {"agentkit": None} | {f"agentkit at {_budget(b)}": b for b in budgets}
    scores = {name: _Score() for name in (*BASELINES, *names)}
    turns = wanted = 0
    for session in sessions.values():
        for score in scores.values():
            score.previous = None
        done, found = _one_session(session, scores, names, count, normal(system), replay)
        turns, wanted = turns + done, wanted + found
    full = scores[FULL].tokens or 1
    rows = [
        Row(
            name=name,
            recall=100 * score.hits / (wanted or 1),
            bound=100 * score.bound / (wanted or 1),
            tokens=score.tokens / (turns or 1),
            share=100 * score.tokens / full,
            distinct=score.distinct / (turns or 1),
            stable=100 * score.stable / (score.pairs or 1),
            budget=names.get(name),
        )
        for name, score in scores.items()
    ]
    return Evaluation(sessions=len(sessions), turns=turns, needed=wanted, rows=tuple(rows))


def _one_session(
    session: Sequence[Turn],
    scores: dict[str, _Score],
    names: dict[str, float | None],
    count: CountTokens,
    system: str,
    replay: str,
) -> tuple[int, int]:
    """Return the number of turns measured and of values they needed."""
    measured = wanted = 0
    keys = Keys()
    with Memory(count_tokens=count, replay=replay) as memory:
        for i, turn in enumerate(session):
            if i and turn.steps:
                before = session[:i]
                history = BASELINES[FULL](before)
                values = {v: keys.of(v) for v in needed(turn, before, normal(history), system)}
                prose = normal(dialogue(before))
                measured, wanted = measured + 1, wanted + len(values)
                for name, score in scores.items():
                    if name in names:
                        text = _replayed(memory, names[name], count(history))
                    else:
                        text = history if name == FULL else BASELINES[name](before)
                    score.take(text, normal(text), values, prose, count)
            memory.append("s", turn)
            keys.add(turn)
    return measured, wanted


def _replayed(memory: Memory, budget: float | None, full: int) -> str:
    tokens = None if budget is None else int(budget) if budget > 1 else max(LEAST_BUDGET, int(budget * full))
    return "\n".join(_text(message) for message in memory.replay("s", tokens))


def _text(message: BaseMessage) -> str:
    calls = message.tool_calls if isinstance(message, AIMessage) else []
    said = [f"{c['name']} {json.dumps(c['args'], ensure_ascii=False, default=repr)}" for c in calls]
    return "\n".join(filter(None, [message.text, *said]))


def _budget(budget: float) -> str:
    return f"{100 * budget:g} %" if budget <= 1 else f"{budget:g} tokens"


# --- for people ------------------------------------------------------------------------------------------------


def run_eval(
    paths: Sequence[str | os.PathLike[str]],
    *,
    budgets: Sequence[float] = DEFAULT_BUDGETS,
    plot: str | os.PathLike[str] | None = None,
    system: str = "",
) -> None:
    """Print the result of `evaluate` on files as a table, and draw it.

    Args:
        paths: Files that `load` reads.
        budgets: As for `evaluate`.
        plot: Path of the plot, a PNG; None for no plot.
        system: As for `evaluate`.

    Raises:
        InputError: A file cannot be read or written, a budget is impossible, or there is nothing to measure.
    """
    from rich.console import Console

    if plot is not None and Path(plot).suffix.lower() != ".png":
        raise InputError(f"The plot {shorten(os.fspath(plot))} would be a PNG: give a path that ends with .png.")
    result = evaluate(load(paths), budgets=budgets, system=system)
    if not result.needed:
        raise InputError(
            f"{_found(result)} No call needed a value from an earlier turn, so there is nothing to measure: "
            "give longer sessions."
        )
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{_found(result)} Tokens are estimated: one for three bytes.")
    console.print(table(result))
    console.print(LEGEND)
    if plot is not None:
        draw(result, plot)
        console.print(f"The plot is in {os.fspath(plot)}.")


def _found(result: Evaluation) -> str:
    head = f"Sessions: {result.sessions}. Turns with calls, after others: {result.turns}. "
    return f"{head}Values they needed from those: {result.needed}."


def table(result: Evaluation) -> Table:
    """Return the rows as a table."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False)
    made.add_column("way to remember")
    for title in ("recall %", "bound %", "tokens", "% of full", "ids", "stable %"):
        made.add_column(title, justify="right")
    for row in result.rows:
        numbers = [f"{row.recall:.1f}", f"{row.bound:.1f}", f"{row.tokens:.0f}", f"{row.share:.1f}"]
        made.add_row(row.name, *numbers, f"{row.distinct:.1f}", f"{row.stable:.0f}")
    return made


def draw(result: Evaluation, path: str | os.PathLike[str]) -> None:
    """Draw bound recall against tokens, as PNG.

    Raises:
        InputError: The file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    own = sorted((row for row in result.rows if row.name.startswith("agentkit")), key=lambda row: row.share)
    axes.plot([r.share for r in own], [r.bound for r in own], "o-", color="C0", label="agentkit")
    others = [row for row in result.rows if row not in own]
    axes.plot([r.share for r in others], [r.bound for r in others], "s", color="0.4", label="other ways")
    for row in (*own, *others):
        name = row.name.removeprefix("agentkit at ")
        left = row.share > 80  # the name would not fit on the right
        offset, side = ((-6, -10), "right") if left else ((6, -10), "left")
        at = (row.share, row.bound)
        axes.annotate(name, at, xytext=offset, textcoords="offset points", ha=side, fontsize=8)
    axes.set(xlabel="tokens, % of the full history", ylabel="needed values recalled with their keys, %", ylim=(-3, 105))
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    try:
        figure.savefig(path, dpi=150, format="png")
    except OSError as error:
        raise InputError(
            f"The plot {shorten(os.fspath(path))} cannot be written: {error.strerror or error}. Give another path."
        ) from error
