"""Which form each turn is replayed in, so that all of them together keep within a budget.

All turns that can be shown are first given a line; what is left of the budget then takes them up step by step,
the newest first. The border between two forms moves in batches, so that most new turns leave the replay of the
older ones as it was and a provider's prompt cache holds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from langchain_core.messages import AIMessage, BaseMessage, SystemMessage

from agentkit.errors import InputError
from agentkit.memory.forms import FULL, NEWEST, STEPS, Form, ReplayMode, left_out, line, turn_messages
from agentkit.memory.known import Known
from agentkit.memory.objects import MemoryObject

CountTokens = Callable[[str], int]

MESSAGE_TOKENS = 1
"""What a message costs beside its text: what stands between it and the next."""

LONG = 16
"""Turns that are all shown somehow before any is shown better; a session of no more is short."""
BATCH = 8
SETTLED = ((BATCH, 0.6), (BATCH // 2, 0.7))
"""Turns of a long session that step down together, and what those that have may take of the budget; the rest is for
the turns to come. The smaller batch is for turns too long for the first."""
REACH = 40
"""Turns that are looked at behind the last full batch."""
DIGEST_SHARE = 0.3
"""What lines of turns further back than `LONG` may take."""
NEWEST_SHARE = 0.8
"""What the newest turn may take before any other."""
ROUNDS = 7
"""Plans that are tried for a short session."""
SETTLED_ROUNDS = 3
"""Plans that are tried for the older part of a long one, whose batches are coarse anyway."""
UNAFFORDABLE = 1 << 40


@dataclass(frozen=True, slots=True)
class Plan:
    """A replay and how it came about.

    Attributes:
        messages: The replay.
        forms: The form of each turn that is shown, by its number, oldest first.
        left_out: How many older turns are only counted.
    """

    messages: list[BaseMessage]
    forms: dict[int, Form]
    left_out: int


def cost(messages: Iterable[BaseMessage], count: CountTokens) -> int:
    """Tokens of messages: their texts and calls, and `MESSAGE_TOKENS` for each."""
    return sum(count(message_text(m)) + MESSAGE_TOKENS for m in messages)


def message_text(message: BaseMessage) -> str:
    """All that a message says, its calls included."""
    calls = message.tool_calls if isinstance(message, AIMessage) else []
    said = [f"{c['name']} {json.dumps(c['args'], ensure_ascii=False, default=repr)}" for c in calls]
    return "\n".join([str(message.content), *said])


def whole(newest_first: Iterable[MemoryObject], mode: ReplayMode) -> Plan:
    """The replay of all turns in full."""
    turns = list(newest_first)[::-1]
    return _render(turns, [FULL] * len(turns), mode)


def within(newest_first: Iterable[MemoryObject], mode: ReplayMode, max_tokens: int, count: CountTokens) -> Plan:
    """The replay that keeps within a budget.

    Raises:
        InputError: Not even the line that counts the turns fits.
    """
    turns = _within_reach(newest_first, mode, max_tokens, count)
    if not turns:
        return Plan([], {}, 0)
    if turns[0].number == 1:
        everything = _render(turns, [FULL] * len(turns), mode)
        if cost(everything.messages, count) <= max_tokens:
            return everything
    if turns[-1].number > LONG:
        for batch, share in SETTLED:
            settled = _settled(turns, mode, max_tokens, count, batch, share)
            if settled is not None:
                return settled
    return _fitted(turns, mode, max_tokens, count) or _last_resort(turns[-1], mode, max_tokens, count)


def _settled(
    turns: Sequence[MemoryObject], mode: ReplayMode, max_tokens: int, count: CountTokens, batch: int, share: float
) -> Plan | None:
    """Turns up to the last full batch in a part of the budget, and those since then whole, if they fit.

    The older part depends on nothing that comes after its batch, so the replay only grows until the next is full.
    """
    border = (turns[-1].number - 1) // batch * batch
    older = [turn for turn in turns if border - REACH < turn.number <= border]
    since = [turn for turn in turns if turn.number > border]
    room = max_tokens - int(max_tokens * share)
    if not older or cost(_render(since, [FULL] * len(since), mode).messages, count) > room:
        return None
    plan = _fitted(older, mode, int(max_tokens * share), count, rounds=SETTLED_ROUNDS)
    if plan is None:
        return None
    forms = [*(plan.forms.get(turn.number) for turn in older), *(FULL for _ in since)]
    both = _render([*older, *since], forms, mode)
    return both if cost(both.messages, count) <= max_tokens else None


def _fitted(
    turns: Sequence[MemoryObject], mode: ReplayMode, max_tokens: int, count: CountTokens, *, rounds: int = ROUNDS
) -> Plan | None:
    """The most of these turns that fits; None where not even the newest does.

    What a form costs depends on what stands before it, so the choice is made by estimates and mended.
    """
    prices = _all_prices(turns, mode, count)
    newest = [(form, cost(turn_messages(turns[-1], mode, Known(), form), count)) for form in NEWEST]
    best: Plan | None = None
    tried: dict[tuple[Form | None, ...], tuple[Plan, int]] = {}
    low, allowed, high = 0, max_tokens, 2 * max_tokens
    for _ in range(rounds):
        forms = _choose(turns, prices, newest, allowed)
        if forms and tuple(forms) not in tried:
            rendered = _render(turns, forms, mode)
            tried[tuple(forms)] = rendered, cost(rendered.messages, count)
        plan, used = tried[tuple(forms)] if forms else (None, 0)
        if used <= max_tokens:
            best, low = plan or best, allowed
            if plan is not None and max_tokens - used <= max_tokens // 50:
                break
            allowed = min((low + high + 1) // 2, allowed + max(max_tokens - used, 1))
        else:
            high = allowed
            allowed = max((low + high) // 2, allowed - 2 * (used - max_tokens))
        if high - low <= max(1, max_tokens // 50):
            break
    return best


def _within_reach(
    newest_first: Iterable[MemoryObject], mode: ReplayMode, max_tokens: int, count: CountTokens
) -> list[MemoryObject]:
    """The newest turns of which at least a line may be shown, oldest first; no more are read."""
    turns: list[MemoryObject] = []
    used = 0
    for remembered in newest_first:
        turns.append(remembered)
        used += count(line(remembered, mode, Known(), STEPS[-1]))
        if used > 2 * max_tokens or len(turns) >= REACH + BATCH:
            break
    return turns[::-1]


def _all_prices(turns: Sequence[MemoryObject], mode: ReplayMode, count: CountTokens) -> list[list[int]]:
    """What each turn costs in each form; turns far back have no choice but the last."""
    older = max(0, len(turns) - LONG)
    least = _prices(turns, mode, STEPS[-1], count)
    others = [_prices(turns[older:], mode, form, count) for form in STEPS[:-1]]
    never = [UNAFFORDABLE] * (len(STEPS) - 1)
    return [[*([row[i - older] for row in others] if i >= older else never), price] for i, price in enumerate(least)]


def _choose(
    turns: Sequence[MemoryObject], prices: Sequence[Sequence[int]], newest: Sequence[tuple[Form, int]], allowed: int
) -> list[Form | None]:
    """A form for each turn, None for those only counted; [] where not even the newest fits."""
    left = allowed - MESSAGE_TOKENS - 12  # the message of the digest, and the line that counts
    last = len(STEPS) - 1
    end = len(turns) - 1
    least = next(((form, price) for form, price in newest if price <= left * NEWEST_SHARE), None) or next(
        ((form, price) for form, price in newest if price <= left), None
    )
    if least is None:
        return []
    reserved = least[1]
    left -= reserved
    batches = _batches(turns)
    first = end
    room = left
    for batch in batches:
        price = sum(prices[i][last] for i in batch if i < end)
        if price > left or (len(turns) - batch[0] > LONG and left - price < room * (1 - DIGEST_SHARE)):
            break
        left -= price
        first = batch[0]
    least = next(((form, price) for form, price in newest if price - least[1] <= left), least)
    left -= least[1] - reserved
    steps = [last] * len(turns)
    paid = [*(row[last] for row in prices[:-1]), least[1]]
    for step in range(last - 1, -1, -1):
        for batch in batches:
            taken = [i for i in batch if i >= first and (i < end or not STEPS[step].digest)]
            price = sum(prices[i][step] - paid[i] for i in taken)
            if taken and price <= left:
                left -= price
                for i in taken:
                    steps[i], paid[i] = step, prices[i][step]
    forms: list[Form | None] = [STEPS[step] if i >= first else None for i, step in enumerate(steps)]
    return [*forms[:-1], least[0] if STEPS[steps[end]].digest else STEPS[steps[end]]]


def _batches(turns: Sequence[MemoryObject]) -> list[list[int]]:
    """The places of turns that step down together, the newest first; a batch begins at a fixed turn number."""
    size = 1 if turns[-1].number <= LONG else BATCH // 2
    batches: dict[int, list[int]] = {}
    for i, turn in enumerate(turns):
        batches.setdefault((turn.number - 1) // size, []).append(i)
    return list(batches.values())[::-1]


def _render(turns: Sequence[MemoryObject], forms: Sequence[Form | None], mode: ReplayMode) -> Plan:
    """The messages of turns in their forms: a line for what is left out, the one-liners, and the rest."""
    known = Known()
    shown = [(turn, form) for turn, form in zip(turns, forms, strict=True) if form is not None]
    gone = shown[0][0].number - 1 if shown else 0
    lines = [left_out(gone)] if gone else []
    lines += [line(turn, mode, known, form) for turn, form in shown if form.digest]
    messages: list[BaseMessage] = [SystemMessage("\n".join(lines))] if lines else []
    for turn, form in shown:
        if not form.digest:
            messages += turn_messages(turn, mode, known, form)
    return Plan(messages, {turn.number: form for turn, form in shown}, gone)


def _prices(turns: Sequence[MemoryObject], mode: ReplayMode, form: Form, count: CountTokens) -> list[int]:
    """What each turn costs in a form, behind the others in that form."""
    known = Known()
    if form.digest:
        return [count(line(turn, mode, known, form)) + 1 for turn in turns]
    return [cost(turn_messages(turn, mode, known, form), count) for turn in turns]


def _last_resort(newest: MemoryObject, mode: ReplayMode, max_tokens: int, count: CountTokens) -> Plan:
    """The newest turn's words as far as they fit, else only the count of turns."""
    for form in NEWEST:
        plan = _render([newest], [form], mode)
        if cost(plan.messages, count) <= max_tokens:
            return plan
    only = [SystemMessage(left_out(newest.number))]
    if cost(only, count) > max_tokens:
        raise InputError(
            f"max_tokens is {max_tokens}: not even the line that says how many turns are left out fits "
            f"({cost(only, count)} tokens). Give more, or None for no limit."
        )
    return Plan(list(only), {}, newest.number)


def forms_in_order(plan: Plan) -> Iterator[tuple[int, str]]:
    """Each shown turn's number and the name of its form."""
    return ((number, form.name) for number, form in plan.forms.items())
