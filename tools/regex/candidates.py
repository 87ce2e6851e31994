"""One pattern run over one view of a text: what it matches, and which matches are accepted.

RE2 is handed UTF-8 bytes; offsets are mapped to characters in step with the search. A match is judged as the engine
finds it: a rejected one is never searched again for a shorter match, since that would be a cut value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from agentkit.base.text import shorten
from agentkit.tools.regex.backtracking import Deadline, compile_backtracking
from agentkit.tools.regex.boundaries import end_of_run, glued_after, glued_before, is_glued, whole_token
from agentkit.tools.regex.checks import CHECKS, CONVERTERS
from agentkit.tools.regex.pattern import Pattern, compile_regex, template_parts
from agentkit.tools.regex.text_view import View

# Inside a glued match of more bytes (characters, for the engine "regex") the search does not resume at the next word,
# but behind the match. Otherwise [\w-]+Z on "a-a-a-..." is searched to its end from each of its words, in square
# time. Chosen by hand: no known kind of code is longer.
_LONGEST_CODE = 1000

Accepted = tuple[int, int, int, str, float]
"""An accepted match: start and end in the original text, index of its pattern, value, score. There can be a
hundred thousand of them, and a NamedTuple takes five times as long to make as a plain tuple (0.27 against 0.05 us)."""


class Rejected(NamedTuple):
    """A match that is not accepted, and why.

    Attributes:
        start: First character, in the original text, of the whole token around the match.
        end: One past its last character.
        order: Index of its pattern.
        reason: Why it is not accepted.
        size: Length of the match itself; of two near misses in one place the one with the larger size is reported.
    """

    start: int
    end: int
    order: int
    reason: str
    size: int


@dataclass(frozen=True, slots=True)
class Compiled:
    """A pattern ready to run.

    Attributes:
        pattern: The pattern it was made from.
        regex: The compiled regex, of RE2 or of the package `regex`.
        order: Its index among the patterns of the extractor.
        group: Number of the group that is the code.
        template: The pattern's template in parts: literal text and the group after it; empty if there is none.
        deny: Values that are never accepted, in lower case if the pattern ignores case.
    """

    pattern: Pattern
    regex: Any
    order: int
    group: int
    template: tuple[tuple[str, int | None], ...]
    deny: frozenset[str]

    @classmethod
    def make(cls, pattern: Pattern, order: int) -> Compiled:
        """Return `pattern` compiled, with captures only if they are used.

        Without them RE2 took 8 ms instead of 16 for 5,000 matches of ``(?:(a|ab)(c|bcd)(d*))+[0-9]{3}``.
        """
        capture = pattern.group != 0 or pattern.template is not None
        if pattern.engine == "regex":
            regex = compile_backtracking(pattern)
        else:
            regex = compile_regex(pattern.regex, ignore_case=pattern.ignore_case, capture=capture)
        template = tuple((text, _group(name, regex)) for text, name in template_parts(pattern.template))
        deny = frozenset(map(str.lower, pattern.deny) if pattern.ignore_case else pattern.deny)
        return cls(pattern, regex, order, _group(str(pattern.group), regex) or 0, template, deny)

    def spans(self, view: View, *, check_edges: bool) -> Iterator[tuple[Any, int, int, bool]]:
        """Yield the pattern's matches as `spans` does, with the pattern's own `glue` if the edges are checked.

        Raises:
            PatternTimeoutError: The engine "regex" took longer than the pattern allows.
        """
        glue = self.pattern.glue if check_edges else None
        if self.pattern.engine == "regex":
            return spans(partial(Deadline(self.pattern).search, self.regex, view.text), view.text, None, glue)
        return spans(partial(self.regex.finditer, view.data), view.text, view.data, glue)


def _group(name: str | None, regex: Any) -> int | None:
    if name is None:
        return None
    return int(name) if name.isdecimal() else int(regex.groupindex[name])


def accepted(
    compiled: Compiled, view: View, rejected: list[Rejected] | None, min_score: float = 0.0
) -> Iterator[Accepted]:
    """Yield the accepted matches of one pattern; append the others to `rejected` unless that is None."""
    pattern, text, order = compiled.pattern, view.text, compiled.order
    plain = pattern.group == 0 and pattern.template is None
    # Decided once, not per match: most patterns need neither a rewritten value nor a check.
    rewritten = "lower" in pattern.normalize or "upper" in pattern.normalize or pattern.convert is not None
    score = pattern.score
    checked = bool(pattern.validate is not None or pattern.context or compiled.deny or score < min_score)
    moved = view.parent is not None
    reported = 0  # where the last token reported as glued ends: with `glue`, each of its parts may match again
    for match, start, end, glued in compiled.spans(view, check_edges=pattern.boundary == "token"):
        if glued:
            if rejected is not None and start >= reported:
                miss, token_end = _glued(view, start, end, pattern.glue, order)
                rejected.append(miss)
                reported = token_end if pattern.glue else 0
            continue
        if plain:
            value = text[start:end]
        else:
            start, end, value = _captured(match, compiled, text, start)
            if start == end:
                continue
        reason = ""
        if rewritten:
            value, reason = _value_as_sent(pattern, value)
        if checked and not reason:
            score, reason = _judged(compiled, text, (start, end), value, min_score)
        if reason:
            if rejected is not None:
                rejected.append(Rejected(*view.origin(start, end), order, reason, end - start))
            continue
        if moved:
            start, end = view.origin(start, end)
        yield start, end, order, value, score


def spans(
    search: Callable[[int], Iterable[Any]], text: str, data: bytes | None, glue: str | None = None
) -> Iterator[tuple[Any, int, int, bool]]:
    """Yield each match that is not empty, with its start and end in characters of `text`, and True if it is glued.

    Behind a glued match the search resumes after the word or number the match starts in: all that begins within
    it is glued, and nothing that begins behind it is missed.

    Args:
        search: Returns the matches from a position on.
        text: The text that is searched.
        data: `text` in UTF-8 if matches and positions are in bytes, None if they are in characters.
        glue: The pattern's `glue`; None leaves the edges unchecked.
    """
    if data is not None and len(data) == len(text):
        data = None  # ASCII: a byte is a character
    at_byte = at_char = position = 0
    while True:
        for match in search(position):
            first, last = start, end = match.span()
            if first == last:
                continue
            if data is not None:
                at_char += len(data[at_byte:first].decode())
                at_byte = first
                start, end = at_char, at_char + len(data[first:last].decode())
            glued = glue is not None and is_glued(text, start, end, glue)
            yield match, start, end, glued
            if glued:
                resume = end_of_run(text, start)
                if last - first > _LONGEST_CODE:
                    resume = max(resume, end)
                position = first + (resume - start if data is None else _utf8_length(text[start:resume]))
                break
        else:
            return


def _utf8_length(text: str) -> int:
    # A lone surrogate takes three bytes, as does the U+FFFD that stands for it.
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def _captured(match: Any, compiled: Compiled, text: str, start: int) -> tuple[int, int, str]:
    """Return span and value of the group that is the code; an empty span if the group took no part in the match."""
    data = match.string
    first, last = match.span(compiled.group)
    if first < 0:
        return start, start, ""
    start += len(_text(data[match.start() : first]))
    end = start + len(_text(data[first:last]))
    if not compiled.template:
        return start, end, text[start:end]
    value = ""
    for literal, group in compiled.template:
        value += literal if group is None else literal + _text(match[group] or "")
    return start, end, value


def _text(part: bytes | str) -> str:
    return part if isinstance(part, str) else part.decode()


def _value_as_sent(pattern: Pattern, value: str) -> tuple[str, str]:
    """Return the value after "lower" or "upper" and `convert`, and the reason if `convert` rejects it, else ""."""
    if "lower" in pattern.normalize:
        value = value.lower()
    elif "upper" in pattern.normalize:
        value = value.upper()
    convert = pattern.convert
    if convert is None:
        return value, ""
    try:
        new = CONVERTERS[convert](value) if isinstance(convert, str) else convert(value)
    except Exception as error:
        problem = (
            f"it failed on {shorten(value)!r} with {type(error).__name__}: {shorten(error)}; return a text or None"
        )
        raise pattern.error("convert", convert, problem) from error
    if new is None:
        return value, f"cannot be read as {pattern.description or pattern.name}"
    if not isinstance(new, str):
        problem = f"it returned {shorten(repr(new))} for {shorten(value)!r}; return a text or None"
        raise pattern.error("convert", convert, problem)
    return new, ""


def _judged(compiled: Compiled, text: str, span: tuple[int, int], value: str, min_score: float) -> tuple[float, str]:
    """Return the score of a match that is not glued, and the reason if it is rejected, else ""."""
    pattern = compiled.pattern
    if compiled.deny and (value.lower() if pattern.ignore_case else value) in compiled.deny:
        return 0.0, "stands on the list of denied values"
    score = pattern.score
    if pattern.context:
        near = _has_context(pattern, text, *span)
        if pattern.context_score is not None:
            score = pattern.context_score if near else score
        elif not near:
            words = ", ".join(pattern.context)
            return score, f"none of the words {shorten(words)!r} stands within {pattern.context_chars} characters"
    if reason := _fault(pattern, value):
        return score, reason
    if score < min_score:
        return score, f"scores {score:g}, less than the {min_score:g} that min_score asks for"
    return score, ""


def _fault(pattern: Pattern, value: str) -> str:
    """Return why a value fails the pattern's check; "" if it passes, or if there is no check."""
    check = pattern.validate
    if check is None:
        return ""
    try:
        good = CHECKS[check](value) if isinstance(check, str) else check(value)
    except Exception as error:
        problem = f"it failed on {shorten(value)!r} with {type(error).__name__}: {shorten(error)}; return True or False"
        raise pattern.error("validate", check, problem) from error
    name = check if isinstance(check, str) else getattr(check, "__name__", "validate")
    return "" if good else f"fails the check {name}"


def _has_context(pattern: Pattern, text: str, start: int, end: int) -> bool:
    first, last = max(0, start - pattern.context_chars), min(len(text), end + pattern.context_chars)
    # A word that the edge of the window cuts does not count: "order" must not be found in "border".
    if glued_before(text, first):
        first = min(end_of_run(text, first), start)
    while end < last < len(text) and text[last - 1].isalnum() and text[last].isalnum():
        last -= 1
    before, after = text[first:start].lower(), text[end:last].lower()
    return any(_has_word(part, word.lower()) for word in pattern.context for part in (before, after))


def _has_word(text: str, word: str) -> bool:
    at = text.find(word)
    while at >= 0:
        if not is_glued(text, at, at + len(word)):
            return True
        at = text.find(word, at + 1)
    return False


def _glued(view: View, start: int, end: int, glue: str, order: int) -> tuple[Rejected, int]:
    """Return the near miss of a glued match, and where its whole token ends in the view."""
    left, right = glued_before(view.text, start, glue), glued_after(view.text, end, glue)
    where = "before and after it" if left and right else "before it" if left else "after it"
    first, last = whole_token(view.text, start, end, glue)
    return Rejected(*view.origin(first, last), order, f"has more letters or digits {where}", end - start), last
