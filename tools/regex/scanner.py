"""The scan of a text: run every pattern, resolve overlaps, turn what is left into `Match` objects."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import re2

from agentkit.tools.regex.backtracking import PatternTimeoutError
from agentkit.tools.regex.candidates import Accepted, Compiled, Rejected, accepted
from agentkit.tools.regex.pattern import Pattern
from agentkit.tools.regex.text_view import View, name_of, normalised, zero_width_in

# Memory RE2 may use for the set of all patterns. Chosen by hand: eight times RE2's default for one regex. A set that
# needs more does not compile, or gives up on a text; then each pattern is run on its own, with the same result.
_PREFILTER_BYTES = 64 << 20


class Match(NamedTuple):
    """A code found in a text.

    Attributes:
        parameter: The key it is listed under.
        value: The code as it is sent: normalised, and written by the pattern's template.
        raw: The code as the text has it, ``text[start:end]``.
        start: First character in the text as given, from 0.
        end: One past the last character.
        pattern: Name of the pattern that found it.
        warnings: Why a reader should look at it, such as odd hyphens; empty for most.
        score: How sure it is, from 0 to 1, as set by the pattern.
        id: `Pattern.id` of that pattern.
    """

    parameter: str
    value: str
    raw: str
    start: int
    end: int
    pattern: str
    warnings: tuple[str, ...] = ()
    score: float = 1.0
    id: str = ""


class ScanResult(NamedTuple):
    """The matches of one scan.

    Attributes:
        accepted: The accepted matches, by place in the text, duplicates included.
        rejected: The rejected matches; empty unless asked for.
        overlapped: Matches that overlap a better one; empty unless asked for.
    """

    accepted: list[Accepted]
    rejected: list[Rejected]
    overlapped: list[Accepted]


class Scanner:
    """Patterns compiled together. Safe to use from several threads, to copy and to pickle."""

    def __init__(self, patterns: Sequence[Pattern], min_score: float = 0.0) -> None:
        """Compile `patterns`; matches with a score below `min_score` are rejected."""
        self.patterns = tuple(patterns)
        self.min_score = min_score
        self.compiled = tuple(Compiled.make(pattern, order) for order, pattern in enumerate(self.patterns))
        self._filtered = tuple(c.order for c in self.compiled if c.pattern.engine == "re2")
        self._unfiltered = [c.order for c in self.compiled if c.pattern.engine != "re2"]
        self.prefilter = _prefilter([self.patterns[order] for order in self._filtered])

    def __reduce__(self) -> tuple[type[Scanner], tuple[tuple[Pattern, ...], float]]:
        """Copy and pickle by compiling again, since an RE2 set cannot be pickled."""
        return Scanner, (self.patterns, self.min_score)

    def present(self, view: View) -> Iterable[int]:
        """Return the indexes of the patterns that match somewhere in `view`, found in one pass for all of them."""
        everything = range(len(self.patterns))
        if self.prefilter is None:
            return everything
        hits = self.prefilter.Match(view.data)
        # The set's last member matches any text. If it is missing, RE2 ran out of memory and the answer is worthless.
        if not hits or len(self._filtered) not in hits:
            return everything
        seen = [self._filtered[i] for i in hits if i < len(self._filtered)]
        return sorted(seen + self._unfiltered) if self._unfiltered else seen

    def scan(
        self, view: View, *, keep_rejected: bool = False, given_up: list[PatternTimeoutError] | None = None
    ) -> ScanResult:
        """Run every pattern over the original text in `view`.

        Args:
            view: The text.
            keep_rejected: True also returns the matches that are not accepted.
            given_up: Collects the errors of patterns that time out, which then match nothing; None raises the first.

        Raises:
            PatternTimeoutError: A pattern with the engine "regex" timed out, and `given_up` is None.
        """
        rejected: list[Rejected] | None = [] if keep_rejected else None
        found: list[Accepted] = []
        views: dict[tuple[str, ...], View] = {}
        present: dict[int, set[int]] = {}
        for compiled in self.compiled:
            steps = tuple(compiled.pattern.normalize)
            if steps not in views:
                views[steps] = normalised(view, steps)
            own = views[steps]
            if id(own) not in present:
                present[id(own)] = set(self.present(own))
            if compiled.order not in present[id(own)]:
                continue
            try:
                # As a list, so that of a search that times out nothing is added.
                found += list(accepted(compiled, own, rejected, self.min_score))
            except PatternTimeoutError as error:
                if given_up is None:
                    raise
                given_up.append(error)
        kept = resolve(found, self.patterns)
        if rejected is None:
            return ScanResult(kept, [], [])
        best = set(kept)
        return ScanResult(kept, rejected, [item for item in found if item not in best])

    def matches(self, found: Iterable[Accepted], text: str) -> list[Match]:
        """Return `found` as matches of `text`, without those that `unique` and `max_matches` omit."""
        kept, _ = self.limited(found)
        keys = [(pattern.key, pattern.name, pattern.id) for pattern in self.patterns]
        plain = text.isascii()
        result = []
        for start, end, order, value, score in kept:
            raw = text[start:end]
            warnings = () if plain else _warnings(self.patterns[order], text, start, end)
            key, name, own_id = keys[order]
            result.append(Match(key, value, raw, start, end, name, warnings, score, own_id))
        return result

    def limited(self, found: Iterable[Accepted]) -> tuple[list[Accepted], list[Rejected]]:
        """Return the part of `found` that `unique` and `max_matches` keep, and the part over `max_matches`."""
        seen: set[tuple[str, str]] = set()
        rules = [(pattern.key, pattern.unique, pattern.max_matches) for pattern in self.patterns]
        counts = [0] * len(rules)
        kept, over = [], []
        for item in found:
            start, end, order, value, _ = item
            parameter, unique, most = rules[order]
            key = (parameter, value)
            if unique and key in seen:
                continue
            if most is not None and counts[order] >= most:
                reason = f"comes after the {most} matches that max_matches allows"
                over.append(Rejected(start, end, order, reason, end - start))
                continue
            seen.add(key)
            counts[order] += 1
            kept.append(item)
        return kept, over


def resolve(found: list[Accepted], patterns: Sequence[Pattern]) -> list[Accepted]:
    """Return `found` by place, without matches that overlap a better one: by priority, then length, then order."""
    found.sort()
    result: list[Accepted] = []
    first, count = 0, len(found)
    while first < count:
        reach, after = found[first][1], first + 1
        while after < count and found[after][0] < reach:
            reach = max(reach, found[after][1])
            after += 1
        if after == first + 1:
            result.append(found[first])
        else:
            result += _best(found[first:after], reach, patterns)
        first = after
    return result


def _best(cluster: list[Accepted], reach: int, patterns: Sequence[Pattern]) -> list[Accepted]:
    """Return the best matches of a chain of overlapping ones that ends at `reach`."""

    def rank(item: Accepted) -> tuple[int, int, int, int]:
        start, end, order, _, _ = item
        return -patterns[order].priority, start - end, order, start

    best = min(cluster, key=rank)
    if (best[0], best[1]) == (cluster[0][0], reach):
        return [best]  # it covers all the others, as a urn covers its uuid
    return sorted(without_overlaps(sorted(cluster, key=rank)))


def without_overlaps(ranked: Iterable[Any]) -> list[Any]:
    """Return the items of `ranked`, tuples that begin with start and end, that overlap no earlier item."""
    spans: list[tuple[int, int]] = []
    kept = []
    for item in ranked:
        start, end = item[:2]
        if not overlaps(spans, start, end):
            insort(spans, (start, end))
            kept.append(item)
    return kept


def overlaps(spans: Sequence[tuple[int, int]], start: int, end: int) -> bool:
    """Return True if ``start:end`` shares a character with one of `spans`, which are sorted and do not overlap."""
    after = bisect_left(spans, (end,))
    return after > 0 and spans[after - 1][1] > start


def _warnings(pattern: Pattern, text: str, start: int, end: int) -> tuple[str, ...]:
    raw = text[start:end]
    warnings = []
    if pattern.normalize and not raw.isascii():
        odd = ", ".join(name_of(char) for char in dict.fromkeys(raw) if not char.isascii())
        warnings.append(f"written with {odd}")
    touching = zero_width_in(text[max(0, start - 1) : start] + text[end : end + 1])
    if touching:
        warnings.append(f"touches {name_of(touching)}, which has no width: it may be a piece of something longer")
    return tuple(warnings)


def _prefilter(patterns: Sequence[Pattern]) -> Any:
    """Return all patterns as one RE2 set; None if they need more than `_PREFILTER_BYTES`."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _PREFILTER_BYTES
    try:
        together = re2.Set.SearchSet(options)
        for pattern in patterns:
            together.Add(f"(?{'i' if pattern.ignore_case else '-i'}:{pattern.regex})")
        together.Add(r"\z")
        together.Compile()
    except re2.error:
        return None
    return together
