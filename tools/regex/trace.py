"""Why the extractor decided as it did: every candidate of a text, what became of it, and the reason."""

from __future__ import annotations

from typing import Literal, NamedTuple

from agentkit.base.text import shorten
from agentkit.tools.regex.backtracking import PatternTimeoutError
from agentkit.tools.regex.candidates import Found
from agentkit.tools.regex.near_misses import find_near_misses
from agentkit.tools.regex.scanner import Scanner
from agentkit.tools.regex.text_view import View

Outcome = Literal["found", "duplicate", "over the limit", "overlapped", "rejected", "near miss", "given up"]


class Decision(NamedTuple):
    """What became of one candidate.

    Attributes:
        outcome: ``found``: it counts. ``duplicate``: its value is listed already. ``over the limit``: after
            `max_matches`. ``overlapped``: a better one covers part of it. ``rejected``: its edges, its check, its
            context, its score or the list of denied values are against it. ``near miss``: only something looser
            than the pattern found it. ``given up``: the pattern ran out of time on this text; there is no span.
        pattern: Name of the pattern.
        parameter: The key it is listed under, or would have been.
        raw: What stands in the text, ``text[start:end]``.
        start: First character in the text as given, from 0.
        end: One past the last character.
        value: The value as it is sent on; "" where it came to none.
        reason: Why, in words.
    """

    outcome: Outcome
    pattern: str
    parameter: str
    raw: str
    start: int
    end: int
    value: str = ""
    reason: str = ""

    def __str__(self) -> str:
        """One line for a person to read."""
        place = f"{self.start}-{self.end}"
        return f"{place:>9}  {self.outcome:14}  {self.pattern}: {shorten(self.raw)!r}  {self.reason}".rstrip()


def decisions(scanner: Scanner, text: str) -> list[Decision]:
    """Every candidate of `text` by place, patterns that were given up before all others."""
    given_up: list[PatternTimeoutError] = []
    scan = scanner.scan(View(text), keep_rejected=True, given_up=given_up)
    over = {(miss.start, miss.end, miss.order): miss.reason for miss in scanner.limited(scan.found)[1]}
    kept = set(scanner.limited(scan.found)[0])
    first = {(scanner.patterns[order].key, value): start for start, _, order, value, _ in reversed(scan.found)}
    told: list[Decision] = []
    for item in scan.found:
        start, end, order, value, score = item
        key = scanner.patterns[order].key
        if item in kept:
            told.append(_decision(scanner, "found", item, text, f"score {score:g}" if score < 1 else ""))
        elif (start, end, order) in over:
            told.append(_decision(scanner, "over the limit", item, text, over[start, end, order]))
        else:
            reason = f"the same value stands at {first[key, value]}"
            told.append(_decision(scanner, "duplicate", item, text, reason))
    for item in scan.overlapped:
        told.append(_decision(scanner, "overlapped", item, text, _why(scanner, item, scan.found)))
    for miss in scan.rejected:
        pattern = scanner.patterns[miss.order]
        raw = text[miss.start : miss.end]
        told.append(Decision("rejected", pattern.name, pattern.key, raw, miss.start, miss.end, reason=miss.reason))
    if not given_up:
        seen = {(decision.pattern, decision.start, decision.end) for decision in told}
        for near in find_near_misses(scanner, text):
            if (near.pattern, near.start, near.end) not in seen:
                told.append(
                    Decision("near miss", near.pattern, near.parameter, near.raw, near.start, near.end, "", near.reason)
                )
    told.sort(key=lambda decision: (decision.start, decision.outcome != "found", decision.end))
    return [*(_given_up(scanner, error) for error in given_up), *told]


def _decision(scanner: Scanner, outcome: Outcome, item: Found, text: str, reason: str) -> Decision:
    start, end, order, value, _ = item
    pattern = scanner.patterns[order]
    return Decision(outcome, pattern.name, pattern.key, text[start:end], start, end, value, reason)


def _why(scanner: Scanner, item: Found, found: list[Found]) -> str:
    """Which match took the place of `item`, and by which rule."""
    start, end, order, _, _ = item
    own = scanner.patterns[order]
    for other_start, other_end, other_order, _, _ in found:
        if other_start < end and start < other_end:
            other = scanner.patterns[other_order]
            if other.priority != own.priority:
                rule = "has the higher priority"
            elif other_end - other_start != end - start:
                rule = "is longer"
            else:
                rule = "was declared first" if other_order != order else "comes first"
            return f"overlaps {other.name} at {other_start}-{other_end}, which {rule}"
    return "overlaps a better match that was itself overlapped"  # pragma: no cover


def _given_up(scanner: Scanner, error: PatternTimeoutError) -> Decision:
    pattern = next(pattern for pattern in scanner.patterns if pattern.name == error.pattern)
    reason = f"the search was given up at its limit of {error.timeout_s:g} s; what it would have found is unknown"
    return Decision("given up", pattern.name, pattern.key, "", 0, 0, reason=reason)
