"""The trace of an extraction: every candidate in a text, its outcome and the reason."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from agentkit.base.text import shorten
from agentkit.tools.regex.backtracking import PatternTimeoutError
from agentkit.tools.regex.candidates import Accepted
from agentkit.tools.regex.near_misses import find_near_misses
from agentkit.tools.regex.scanner import Scanner, ScanResult
from agentkit.tools.regex.text_view import View


class TraceEntry(NamedTuple):
    """One candidate and its outcome.

    Attributes:
        outcome: ``found``: it is a code. ``duplicate``: its value is listed already. ``over the limit``: it comes
            after `Pattern.max_matches`. ``overlapped``: a better match covers part of it. ``rejected``: it is glued,
            denied, fails its check, lacks a context word or scores too low. ``near miss``: only a looser search than
            the pattern's own found it. ``given up``: the pattern timed out on this text; the entry has no span.
        pattern: Name of the pattern.
        parameter: The key it is listed under, or would be.
        raw: The candidate as the text has it, ``text[start:end]``.
        start: First character in the text as given, from 0.
        end: One past the last character.
        value: The value as it is sent; "" if there is none.
        reason: Why, in words.
    """

    outcome: Literal["found", "duplicate", "over the limit", "overlapped", "rejected", "near miss", "given up"]
    pattern: str
    parameter: str
    raw: str
    start: int
    end: int
    value: str = ""
    reason: str = ""

    def __str__(self) -> str:
        """Return one line for a person to read."""
        place = f"{self.start}-{self.end}"
        return f"{place:>9}  {self.outcome:14}  {self.pattern}: {shorten(self.raw)!r}  {self.reason}".rstrip()


Decision = TraceEntry
"""The public name, kept for programs that import it."""


def trace(scanner: Scanner, text: str) -> list[TraceEntry]:
    """Return an entry for every candidate of `text`, by place; patterns that timed out come first."""
    timeouts: list[PatternTimeoutError] = []
    scan = scanner.scan(View(text), keep_rejected=True, given_up=timeouts)
    entries = [*_accepted(scanner, scan, text)]
    entries += [_entry(scanner, item, text, "overlapped", _winner(scanner, item, scan)) for item in scan.overlapped]
    for miss in scan.rejected:
        pattern = scanner.patterns[miss.order]
        raw = text[miss.start : miss.end]
        entries.append(TraceEntry("rejected", pattern.name, pattern.key, raw, miss.start, miss.end, "", miss.reason))
    if not timeouts:
        seen = {(entry.pattern, entry.start, entry.end) for entry in entries}
        entries += [
            TraceEntry("near miss", near.pattern, near.parameter, near.raw, near.start, near.end, "", near.reason)
            for near in find_near_misses(scanner, text)
            if (near.pattern, near.start, near.end) not in seen
        ]
    entries.sort(key=lambda entry: (entry.start, entry.outcome != "found", entry.end))
    return [*(_timed_out(scanner, error) for error in timeouts), *entries]


def _accepted(scanner: Scanner, scan: ScanResult, text: str) -> Iterator[TraceEntry]:
    """Yield the accepted matches, and why some of them are not listed."""
    kept, over = scanner.limited(scan.accepted)
    listed = set(kept)
    too_many = {(miss.start, miss.end, miss.order): miss.reason for miss in over}
    first = {(scanner.patterns[order].key, value): start for start, _, order, value, _ in reversed(scan.accepted)}
    for item in scan.accepted:
        start, end, order, value, score = item
        if item in listed:
            yield _entry(scanner, item, text, "found", f"score {score:g}" if score < 1 else "")
        elif (start, end, order) in too_many:
            yield _entry(scanner, item, text, "over the limit", too_many[start, end, order])
        else:
            place = first[scanner.patterns[order].key, value]
            yield _entry(scanner, item, text, "duplicate", f"the same value stands at {place}")


def _entry(
    scanner: Scanner,
    item: Accepted,
    text: str,
    outcome: Literal["found", "duplicate", "over the limit", "overlapped"],
    reason: str,
) -> TraceEntry:
    start, end, order, value, _ = item
    pattern = scanner.patterns[order]
    return TraceEntry(outcome, pattern.name, pattern.key, text[start:end], start, end, value, reason)


def _winner(scanner: Scanner, item: Accepted, scan: ScanResult) -> str:
    """Return which match won over `item`, and by which rule."""
    start, end, order, _, _ = item
    own = scanner.patterns[order]
    for other_start, other_end, other_order, _, _ in scan.accepted:
        if other_start < end and start < other_end:
            other = scanner.patterns[other_order]
            if other.priority != own.priority:
                rule = "has the higher priority"
            elif other_end - other_start != end - start:
                rule = "is longer"
            else:
                rule = "was declared first" if other_order != order else "comes first"
            return f"overlaps {other.name} at {other_start}-{other_end}, which {rule}"
    raise AssertionError("a match is only overlapped by an accepted one")  # pragma: no cover


def _timed_out(scanner: Scanner, error: PatternTimeoutError) -> TraceEntry:
    pattern = next(pattern for pattern in scanner.patterns if pattern.name == error.pattern)
    reason = f"the search was given up at its limit of {error.timeout_s:g} s; what it would have found is unknown"
    return TraceEntry("given up", pattern.name, pattern.key, "", 0, 0, reason=reason)
