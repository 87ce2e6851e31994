"""Near misses: texts that look like a code and are none, so that "a bad code" is distinguished from "no code".

Four sources, the most trusted first: rejected matches (glued, failing a check, without context); the text as a
reader sees it (`text_view.folded`); codes broken over a line; and each pattern's own `near` regex. A near miss
that overlaps an accepted match is dropped. Nothing here ever becomes a value.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from agentkit.tools.regex.boundaries import is_glued, whole_token
from agentkit.tools.regex.candidates import Compiled, Rejected, spans
from agentkit.tools.regex.pattern import compile_regex
from agentkit.tools.regex.scanner import Scanner, ScanResult, overlaps, without_overlaps
from agentkit.tools.regex.text_view import View, folded, has_line_break, name_of, unwrapped, zero_width_in


class NearMiss(NamedTuple):
    """A piece of a text that looks like a code and is none.

    Attributes:
        parameter: The key a code would be listed under.
        raw: The piece itself, ``text[start:end]``.
        start: First character in the text as given, from 0.
        end: One past the last character.
        pattern: Name of the pattern that it nearly matches.
        reason: Why it is no code, as the rest of a sentence that begins with "it".
    """

    parameter: str
    raw: str
    start: int
    end: int
    pattern: str
    reason: str


def find_near_misses(scanner: Scanner, text: str) -> list[NearMiss]:
    """Return the near misses of `text`, in order of appearance."""
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
        # Last, since every other reason is more exact than "does not fit".
        misses += [miss for miss in _meant(compiled, shown) if not overlaps(own, miss.start, miss.end)]
    told = _best(misses, scan, scanner)
    told += scanner.limited(scan.accepted)[1]
    patterns = scanner.patterns
    return [
        NearMiss(patterns[m.order].key, text[m.start : m.end], m.start, m.end, patterns[m.order].name, m.reason)
        for m in sorted(told)
    ]


def _best(misses: list[Rejected], scan: ScanResult, scanner: Scanner) -> list[Rejected]:
    """Return the misses that overlap no accepted match; of misses that overlap each other, only the best."""
    taken = [(start, end) for start, end, _, _, _ in scan.accepted]
    apart = [miss for miss in misses if not overlaps(taken, miss.start, miss.end)]
    # The sort is stable: of equals the one from the more trusted source stays first.
    apart.sort(key=lambda m: (-scanner.patterns[m.order].priority, -m.size, m.order))
    return without_overlaps(apart)


def _readable(scanner: Scanner, shown: View, text: str) -> Iterator[Rejected]:
    """Yield codes that only a reader sees: in other digits, with other hyphens, with a zero-width character inside."""
    reported: dict[int, int] = {}  # where the last reported token of each pattern ends
    for compiled, start, end in _everywhere(scanner, shown):
        if start < reported.get(compiled.order, 0):
            continue
        size = end - start
        raw = text[slice(*shown.origin(start, end))]
        token = whole_token(shown.text, start, end)
        reported[compiled.order] = token[1]
        start, end = shown.origin(*token)
        hidden = zero_width_in(raw)
        odd = next((char for char in raw if not char.isascii()), "")
        if hidden:
            yield Rejected(start, end, compiled.order, f"has {name_of(hidden)}, which has no width, inside", size)
        elif odd:
            reason = f"has {name_of(odd)} where the pattern asks for another character"
            yield Rejected(start, end, compiled.order, reason, size)


def _wrapped(scanner: Scanner, flat: View, text: str) -> Iterator[Rejected]:
    """Yield codes that are broken over a line. They never become a value: two lines may fit together by chance."""
    for compiled, start, end in _everywhere(scanner, flat):
        size = end - start
        start, end = flat.origin(start, end)
        if has_line_break(text[start:end]) and not is_glued(text, start, end):
            yield Rejected(start, end, compiled.order, "is broken over a line", size)


def _meant(compiled: Compiled, shown: View) -> Iterator[Rejected]:
    """Yield what the pattern's own `near` regex finds, widened to whole tokens."""
    pattern = compiled.pattern
    if pattern.near is None:
        return
    regex = compile_regex(pattern.near, ignore_case=pattern.ignore_case, capture=False)
    reason = "does not fit the pattern" + (f": {pattern.description}" if pattern.description else "")
    reported = 0
    for _, start, end, _ in spans(partial(regex.finditer, shown.data), shown.text, shown.data):
        if start >= reported:
            token = whole_token(shown.text, start, end)
            reported = token[1]
            yield Rejected(*shown.origin(*token), compiled.order, reason, end - start)


def _everywhere(scanner: Scanner, view: View) -> Iterator[tuple[Compiled, int, int]]:
    """Yield every match of every pattern, glued or not."""
    for order in scanner.present(view):
        compiled = scanner.compiled[order]
        for _, start, end, _ in compiled.spans(view, check_edges=False):
            yield compiled, start, end
