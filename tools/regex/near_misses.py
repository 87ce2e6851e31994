"""Near misses: what looks like a code and is none, so that "a bad code" is told apart from "no code".

Four sources, in this order of trust: matches that were rejected (glued, failing a check, without context);
the text read as a person reads it (`folded`); codes broken over a line; and each pattern's own `near` regex.
Whatever overlaps a real match is dropped. Nothing here ever becomes a value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from agentkit.tools.regex.candidates import Compiled, Rejected, spans
from agentkit.tools.regex.pattern import compile_regex
from agentkit.tools.regex.scanner import Scan, Scanner, overlaps, without_overlaps
from agentkit.tools.regex.text_view import (
    View,
    folded,
    has_line_break,
    is_glued,
    name_of,
    unwrapped,
    whole_token,
    zero_width_in,
)


class NearMiss(NamedTuple):
    """Something in a text that looks like a code and is none.

    Attributes:
        parameter: The key it would have been listed under.
        raw: What stands in the text, ``text[start:end]``.
        start: First character in the text as given, from 0.
        end: One past the last character.
        pattern: Name of the pattern it nearly fits.
        reason: Why it does not count, to be read after "it".
    """

    parameter: str
    raw: str
    start: int
    end: int
    pattern: str
    reason: str


def find_near_misses(scanner: Scanner, text: str) -> list[NearMiss]:
    """The near misses of `text`, by place."""
    view = View(text)
    scan = scanner.scan(view, keep_rejected=True)
    misses = [*scan.rejected]
    shown = folded(view)
    if shown is not view:
        misses += _readable(scanner, shown, text)
    flat = unwrapped(shown)
    if flat is not shown:
        misses += _wrapped(scanner, flat, text)
    for compiled in scanner.compiled:
        told = without_overlaps(miss for miss in misses if miss.order == compiled.order)
        own = sorted((miss.start, miss.end) for miss in told)
        # Any other reason says more than "does not fit".
        misses += [miss for miss in _meant(compiled, shown) if not overlaps(own, miss.start, miss.end)]
    told = _best(misses, scan, scanner)
    told += scanner.limited(scan.found)[1]
    patterns = scanner.patterns
    return [
        NearMiss(patterns[m.order].key, text[m.start : m.end], m.start, m.end, patterns[m.order].name, m.reason)
        for m in sorted(told)
    ]


def _best(misses: list[Rejected], scan: Scan, scanner: Scanner) -> list[Rejected]:
    """Those of `misses` that overlap no match, and of those that overlap each other the best."""
    taken = [(start, end) for start, end, _, _, _ in scan.found]
    apart = [miss for miss in misses if not overlaps(taken, miss.start, miss.end)]
    # Python's sort is stable: of equal claims the one from the more trusted source stays first.
    apart.sort(key=lambda m: (-scanner.patterns[m.order].priority, -m.size, m.order))
    return without_overlaps(apart)


def _readable(scanner: Scanner, shown: View, text: str) -> Iterator[Rejected]:
    """Codes only a person would see: in other digits, with other hyphens, with something invisible inside."""
    reach: dict[int, int] = {}
    for compiled, start, end in _everywhere(scanner, shown):
        if start < reach.get(compiled.order, 0):
            continue
        size = end - start
        raw = text[slice(*shown.origin(start, end))]
        token = whole_token(shown.text, start, end)
        reach[compiled.order] = token[1]
        start, end = shown.origin(*token)
        hidden = zero_width_in(raw)
        odd = next((char for char in raw if not char.isascii()), "")
        if hidden:
            yield Rejected(start, end, compiled.order, f"has {name_of(hidden)}, which has no width, inside", size)
        elif odd:
            reason = f"has {name_of(odd)} where the pattern asks for another character"
            yield Rejected(start, end, compiled.order, reason, size)


def _wrapped(scanner: Scanner, flat: View, text: str) -> Iterator[Rejected]:
    """Codes broken over a line. They are not joined: two lines that happen to fit would make up a code."""
    for compiled, start, end in _everywhere(scanner, flat):
        size = end - start
        start, end = flat.origin(start, end)
        if has_line_break(text[start:end]) and not is_glued(text, start, end):
            yield Rejected(start, end, compiled.order, "is broken over a line", size)


def _meant(compiled: Compiled, shown: View) -> Iterator[Rejected]:
    """What the pattern's own `near` regex finds."""
    pattern = compiled.pattern
    if pattern.near is None:
        return
    regex = compile_regex(pattern.near, ignore_case=pattern.ignore_case, capture=False)
    reason = "does not fit the pattern" + (f": {pattern.description}" if pattern.description else "")
    reach = 0
    for _, start, end in spans(regex, shown, glue=False):
        if start >= reach:
            token = whole_token(shown.text, start, end)
            reach = token[1]
            yield Rejected(*shown.origin(*token), compiled.order, reason, end - start)


def _everywhere(scanner: Scanner, view: View) -> Iterator[tuple[Compiled, int, int]]:
    for order in scanner.present(view):
        compiled = scanner.compiled[order]
        for _, start, end in compiled.spans(view, glue=False):
            yield compiled, start, end
