"""Running one compiled pattern over one view of a text: what it matches, and which of it counts.

RE2 is handed UTF-8 bytes; offsets are mapped to characters in step with the scan. A match stands or falls as
RE2 finds it: one that is rejected is never tried again shorter, since a shorter one would be a cut value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from agentkit.text import shorten
from agentkit.tools.regex_checks import CHECKS
from agentkit.tools.regex_pattern import Pattern, compile_regex, template_parts
from agentkit.tools.regex_view import View, end_of_run, glued_after, glued_before, is_glued, whole_token

# Behind the start of a longer rejected match nothing is tried: that keeps a hostile text linear.
_NO_CODE_IS_LONGER = 1000
# Neighbours that glue nothing, and the missing one at an end of the text; the others need a closer look.
_APART = frozenset(["", *(chr(i) for i in range(128) if not chr(i).isalnum())])

Found = tuple[int, int, int, str]
"""A match that counts: start and end in the original text, place of its pattern, value. There can be a
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
        regex: The RE2 object.
        order: Its place among the patterns of the extractor.
        group: Number of the group that is the code.
        template: The pattern's template in parts: literal text and the group after it; empty without one.
    """

    pattern: Pattern
    regex: Any
    order: int
    group: int
    template: tuple[tuple[str, int | None], ...]

    @classmethod
    def make(cls, pattern: Pattern, order: int) -> Compiled:
        """Compile `pattern`, with captures only where they are used."""
        capture = pattern.group != 0 or pattern.template is not None
        regex = compile_regex(pattern.regex, ignore_case=pattern.ignore_case, capture=capture)
        template = tuple((text, _group(name, regex)) for text, name in template_parts(pattern.template))
        return cls(pattern, regex, order, _group(str(pattern.group), regex) or 0, template)


def _group(name: str | None, regex: Any) -> int | None:
    if name is None:
        return None
    return int(name) if name.isdecimal() else int(regex.groupindex[name])


def accepted(compiled: Compiled, view: View, rejected: list[Rejected] | None) -> Iterator[Found]:
    """The matches of one pattern that count; the others go to `rejected`, where one wants them."""
    pattern, text, order = compiled.pattern, view.text, compiled.order
    token, plain = pattern.boundary == "token", pattern.group == 0 and pattern.template is None
    checks = pattern.validate is not None or bool(pattern.context)
    cased = "lower" in pattern.normalize or "upper" in pattern.normalize
    moved = view.parent is not None
    for match, start, end in spans(compiled.regex, view, glue=token):
        if end < 0:
            if rejected is not None:
                rejected.append(_glued(view, start, -end, order))
            continue
        if plain:
            value = text[start:end]
        else:
            start, end, value = _captured(match, compiled, text, start)
            if start == end:
                continue
        if cased:
            value = value.lower() if "lower" in pattern.normalize else value.upper()
        if checks and (reason := _fault(pattern, text, start, end, value)):
            if rejected is not None:
                rejected.append(Rejected(*view.origin(start, end), order, reason, end - start))
            continue
        if moved:
            start, end = view.origin(start, end)
        yield start, end, order, value


def spans(regex: Any, view: View, *, glue: bool) -> Iterator[tuple[Any, int, int]]:
    """Each match of `regex` with its start and end in characters of ``view.text``, empty ones left out.

    With `glue` a match that is glued to its neighbours comes with its end made negative, and the search goes
    on behind the word or number it starts in: within that everything is glued, behind it nothing is lost.
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
            if clean or not glue or not is_glued(text, start, end):
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
    start += len(data[match.start() : first].decode())
    end = start + len(data[first:last].decode())
    if not compiled.template:
        return start, end, text[start:end]
    value = ""
    for literal, group in compiled.template:
        value += literal if group is None else literal + (match[group] or b"").decode()
    return start, end, value


def _fault(pattern: Pattern, text: str, start: int, end: int, value: str) -> str:
    """Why a match with clean edges still does not count; "" if it does."""
    if pattern.context and not _has_context(pattern, text, start, end):
        words = ", ".join(pattern.context)
        return f"none of the words {shorten(words)!r} stands within {pattern.context_chars} characters"
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


def _glued(view: View, start: int, end: int, order: int) -> Rejected:
    left, right = glued_before(view.text, start), glued_after(view.text, end)
    where = "before and after it" if left and right else "before it" if left else "after it"
    token = view.origin(*whole_token(view.text, start, end))
    return Rejected(*token, order, f"has more letters or digits {where}", end - start)
