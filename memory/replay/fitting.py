"""The forms of the most turns that fit a budget.

All turns that can be shown are first given a line; what is left of the budget then takes them up step by step, the
newest first. The border between two forms moves in batches.
"""

from __future__ import annotations

from collections.abc import Sequence

from agentkit.memory.objects import MemoryObject
from agentkit.memory.replay.already_said import Known
from agentkit.memory.replay.forms import NEWEST, STEPS, Form, ReplayMode, line, turn_messages
from agentkit.memory.replay.plan import MESSAGE_TOKENS, CountTokens, Plan, cost, render

LONG = 16
"""Turns that are all shown somehow before any is shown better; a session of no more is short."""
BATCH = 8
"""Turns of a long session that step down together."""
DIGEST_SHARE = 0.3
"""What lines of turns further back than `LONG` may take."""
NEWEST_SHARE = 0.8
"""What the newest turn may take before any other."""
ROUNDS = 7
"""Plans that are tried for a short session, or until one fits."""
UNAFFORDABLE = 1 << 40


def fitted(
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
    step = 0
    while high - low > max(1, max_tokens // 50) and (best is None or len(tried) < rounds):
        forms = _choose(turns, prices, newest, allowed)
        step = 2 * step if tuple(forms) in tried else 0  # the same plan again: go on in longer steps
        if forms and tuple(forms) not in tried:
            rendered = render(turns, forms, mode)
            tried[tuple(forms)] = rendered, cost(rendered.messages, count)
        plan, used = tried[tuple(forms)] if forms else (None, 0)
        if used <= max_tokens:
            best, low = plan or best, allowed
            if plan is not None and max_tokens - used <= max_tokens // 50:
                break
            step = max(step, max_tokens - used, 1)
            allowed = min((low + high + 1) // 2, allowed + step)
        else:
            high = allowed
            step = max(step, 2 * (used - max_tokens))
            allowed = max((low + high) // 2, allowed - step)
    return best


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


def _prices(turns: Sequence[MemoryObject], mode: ReplayMode, form: Form, count: CountTokens) -> list[int]:
    """What each turn costs in a form, behind the others in that form."""
    known = Known()
    if form.digest:
        return [count(line(turn, mode, known, form)) + 1 for turn in turns]
    return [cost(turn_messages(turn, mode, known, form), count) for turn in turns]
