"""Running one compiled pattern over one view of a text: what it matches, and which of it counts.

RE2 is handed UTF-8 bytes; offsets are mapped to characters in step with the scan. A match stands or falls as
RE2 finds it: one that is rejected is never tried again shorter, since a shorter one would be a cut value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from agentkit.base.text import shorten
from agentkit.tools.regex.backtracking import Clock, compile_backtracking
from agentkit.tools.regex.checks import CHECKS, CONVERTERS
from agentkit.tools.regex.pattern import Pattern, compile_regex, template_parts
from agentkit.tools.regex.text_view import View, end_of_run, glued_after, glued_before, is_glued, whole_token

# Behind the start of a longer rejected match nothing is tried: that keeps a hostile text linear.
_NO_CODE_IS_LONGER = 1000
# Neighbours that glue nothing, and the missing one at an end of the text; the others need a closer look.
_APART = frozenset(["", *(chr(i) for i in range(128) if not chr(i).isalnum())])

Found = tuple[int, int, int, str, float]
"""A match that counts: start and end in the original text, place of its pattern, value, score. There can be a
hundred thousand of them, and a plain tuple is made six times as fast as a named one."""


class Rejected(NamedTuple):
    """A match that does not count, and why.

    Attributes:
        start: First character in the original text, of all that belongs together.
        end: One past the last.
        order: Place of its pattern.
        reason: Why it does not count.
        size: How many characters the pattern itself matched: of two claims to one place the larger is told.
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
        pattern: What it was made from.
        regex: The RE2 object, or that of the package `regex`.
        order: Its place among the patterns of the extractor.
        group: Number of the group that is the code.
        template: The pattern's template in parts: literal text and the group after it; empty without one.
        deny: The values it never takes, in lower case where case does not count.
    """

    pattern: Pattern
    regex: Any
    order: int
    group: int
    template: tuple[tuple[str, int | None], ...]
    deny: frozenset[str]

    @classmethod
    def make(cls, pattern: Pattern, order: int) -> Compiled:
        """Compile `pattern`, with captures only where they are used."""
        capture = pattern.group != 0 or pattern.template is not None
        if pattern.engine == "regex":
            regex = compile_backtracking(pattern)
        else:
            regex = compile_regex(pattern.regex, ignore_case=pattern.ignore_case, capture=capture)
        template = tuple((text, _group(name, regex)) for text, name in template_parts(pattern.template))
        deny = frozenset(map(str.lower, pattern.deny) if pattern.ignore_case else pattern.deny)
        return cls(pattern, regex, order, _group(str(pattern.group), regex) or 0, template, deny)

    def spans(self, view: View, *, glue: bool) -> Iterator[tuple[Any, int, int]]:
        """Each match with its start and end, as `spans` gives them; with `glue` as the pattern says what glues.

        Raises:
            PatternTimeoutError: The engine "regex" took longer than the pattern allows.
        """
        more = self.pattern.glue
        if self.pattern.engine == "regex":
            return _backtracked(self, view, glue=glue)
        return spans(self.regex, view, glue=glue, more=more)


def _group(name: str | None, regex: Any) -> int | None:
    if name is None:
        return None
    return int(name) if name.isdecimal() else int(regex.groupindex[name])


def accepted(
    compiled: Compiled, view: View, rejected: list[Rejected] | None, min_score: float = 0.0
) -> Iterator[Found]:
    """The matches of one pattern that count; the others go to `rejected`, where one wants them."""
    pattern, text, order = compiled.pattern, view.text, compiled.order
    token, plain = pattern.boundary == "token", pattern.group == 0 and pattern.template is None
    # Most patterns need none of this, and then a match costs nothing more.
    changed = "lower" in pattern.normalize or "upper" in pattern.normalize or pattern.convert is not None
    score = pattern.score
    checks = bool(pattern.validate is not None or pattern.context or compiled.deny or score < min_score)
    moved = view.parent is not None
    reach = 0
    for match, start, end in compiled.spans(view, glue=token):
        if end < 0:
            if rejected is not None and start >= reach:
                miss, last = _glued(view, start, -end, pattern.glue, order)
                rejected.append(miss)
                # What is glued by punctuation is met again from each of its parts.
                reach = last if pattern.glue else reach
            continue
        if plain:
            value = text[start:end]
        else:
            start, end, value = _captured(match, compiled, text, start)
            if start == end:
                continue
        reason = ""
        if changed:
            value, reason = _rewritten(pattern, value)
        if checks and not reason:
            score, reason = _judged(compiled, text, start, end, value, min_score)
        if reason:
            if rejected is not None:
                rejected.append(Rejected(*view.origin(start, end), order, reason, end - start))
            continue
        if moved:
            start, end = view.origin(start, end)
        yield start, end, order, value, score


def spans(regex: Any, view: View, *, glue: bool, more: str = "") -> Iterator[tuple[Any, int, int]]:
    """Each match of an RE2 `regex` with its start and end in characters of ``view.text``, empty ones left out.

    With `glue` a match that is glued to its neighbours, by letters and digits or across one of the characters of
    `more`, comes with its end made negative, and the search goes on behind the word or number it starts in:
    within that everything is glued, behind it nothing is lost.
    """
    text, data = view.text, view.data
    ascii_only = len(text) == len(data)
    at_byte = at_char = position = 0
    while True:
        for match in regex.finditer(data, position):
            start, end = match.span()
            if start == end:
                continue
            first, length = start, end - start
            if not ascii_only:
                at_char += len(data[at_byte:start].decode())
                at_byte = start
                end = at_char + len(data[start:end].decode())
                start = at_char
            clean = text[start - 1 : start] in _APART and text[end : end + 1] in _APART
            if not glue or (
                (clean or not is_glued(text, start, end)) and not (more and _joined(text, start, end, more))
            ):
                yield match, start, end
                continue
            yield match, start, -end
            rest = end_of_run(text, start)
            if length > _NO_CODE_IS_LONGER:
                rest = max(rest, end)
            position = first + _bytes(text, start, rest)
            break
        else:
            return


def _backtracked(compiled: Compiled, view: View, *, glue: bool) -> Iterator[tuple[Any, int, int]]:
    """As `spans`, by the engine that works on characters and may run out of time."""
    text, position, more = view.text, 0, compiled.pattern.glue
    clock = Clock(compiled.pattern)
    while True:
        for match in clock.search(compiled.regex, text, position):
            start, end = match.span()
            if start == end:
                continue
            if not glue or not (is_glued(text, start, end) or (more and _joined(text, start, end, more))):
                yield match, start, end
                continue
            yield match, start, -end
            position = end_of_run(text, start)
            if end - start > _NO_CODE_IS_LONGER:
                position = max(position, end)
            break
        else:
            return


def _joined(text: str, start: int, end: int, more: str) -> bool:
    """Whether a character of `more` with a letter or digit behind it carries the match on, on either side."""
    return joined_before(text, start, more) or joined_after(text, end, more)


def joined_before(text: str, start: int, more: str) -> bool:
    """Whether what begins at `start` goes on to its left, across one of the characters of `more`."""
    return start > 1 and text[start - 1] in more and text[start - 2].isalnum() and text[start].isalnum()


def joined_after(text: str, end: int, more: str) -> bool:
    """Whether what ends before `end` goes on to its right, across one of the characters of `more`."""
    return end + 1 < len(text) and text[end] in more and text[end + 1].isalnum() and text[end - 1].isalnum()


def _bytes(text: str, start: int, end: int) -> int:
    part = text[start:end]
    # A lone surrogate takes three bytes, as the U+FFFD that stands for it does.
    return len(part) if part.isascii() else len(part.encode(errors="surrogatepass"))


def _captured(match: Any, compiled: Compiled, text: str, start: int) -> tuple[int, int, str]:
    """Span and value of the group that is the code; an empty span where it took no part in the match."""
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


def _rewritten(pattern: Pattern, value: str) -> tuple[str, str]:
    """The value as it is sent on, and why it is none, "" if it is one."""
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


def _judged(compiled: Compiled, text: str, start: int, end: int, value: str, min_score: float) -> tuple[float, str]:
    """The score of a match with clean edges, and why it does not count, "" if it does."""
    pattern = compiled.pattern
    if compiled.deny and (value.lower() if pattern.ignore_case else value) in compiled.deny:
        return 0.0, "stands on the list of denied values"
    score = pattern.score
    if pattern.context:
        near = _has_context(pattern, text, start, end)
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
    """Why a value fails the pattern's check; "" if it does not, or there is none."""
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
    # A word cut by the edge of the window is no word: "order" must not come out of "border".
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


def _glued(view: View, start: int, end: int, more: str, order: int) -> tuple[Rejected, int]:
    """The near miss, and where in the view all that belongs to it ends."""
    text = view.text
    left = glued_before(text, start) or (bool(more) and joined_before(text, start, more))
    right = glued_after(text, end) or (bool(more) and joined_after(text, end, more))
    where = "before and after it" if left and right else "before it" if left else "after it"
    first, last = whole_token(text, start, end)
    while more and joined_before(text, first, more):
        first, _ = whole_token(text, first - 2, last)
    while more and joined_after(text, last, more):
        _, last = whole_token(text, first, last + 2)
    reason = f"has more letters or digits {where}"
    return Rejected(*view.origin(first, last), order, reason, end - start), last
