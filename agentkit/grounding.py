"""Checks that an answer rests on what the model was given: pure functions over texts, turns and patterns.

Codes are compared with everything the model was given, citations with the answer and their sources. A code that occurs
nowhere is a fault. The overlap of a citation with its source is only a score, because real citations contain the
answer's own quotes and brackets.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from langchain_core.messages import AIMessage, BaseMessage

from agentkit.base.text import shorten
from agentkit.errors import GroundingError
from agentkit.turn import Citation, Step, Turn

if TYPE_CHECKING:
    from agentkit.tools.regex.scanner import Match

_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|[nrtbf/\"'])")
_WORD = re.compile(r"\w+")
_PERCENT = re.compile("%[0-9a-fA-F]{2}")
_UPPER = {ord(char): ord(char.upper()) for char in string.ascii_lowercase}
_LOWER = {after: before for before, after in _UPPER.items()}


@runtime_checkable
class FindsCodes(Protocol):
    """An object that finds codes in a text, such as an extractor."""

    def extract(self, text: str) -> list[Match]:
        """Return the codes in `text`."""
        ...


class Evidence:
    """Collects the texts a model was given in a turn: everything it may take a code from."""

    def __init__(self, messages: Iterable[BaseMessage], repeats: Mapping[str, str] | None = None) -> None:
        """Start with the messages sent before the model's first reply.

        Args:
            messages: System message, replayed history and the question.
            repeats: Argument by tool name, for tools whose result only repeats that argument, such as an extractor:
                their result is evidence only if the argument is. Otherwise a model could ground a code by passing it to
                a tool.
        """
        self._texts = [text for message in messages for text in _texts_of(message)]
        self._repeats = dict(repeats or {})

    @property
    def texts(self) -> Sequence[str]:
        """Return all texts, in the order they were added."""
        return self._texts

    def holds(self, text: str) -> bool:
        """True if `text` is part of a text here, ignoring differences in whitespace."""
        wanted = " ".join(text.split())
        return any(text in seen or wanted in " ".join(seen.split()) for seen in self._texts)

    def add(self, steps: Iterable[Step]) -> None:
        """Add the results of `steps`."""
        for step in steps:
            argument = self._repeats.get(step.tool)
            if argument is not None and not self.holds(str(step.tool_input.get(argument, ""))):
                continue
            self._texts.append(step.observation)
            if step.result is not None and step.result.content != step.observation:
                self._texts.append(step.result.content)


def ungrounded(answer: str, evidence: Evidence, finders: Iterable[FindsCodes]) -> list[Match]:
    """Return the codes that `finders` find in `answer` and that occur nowhere in `evidence`; each value once.

    Spellings that the patterns read as one code are one code. A code in the evidence counts even if the patterns do not
    find it there (because a context word is missing, say), if no letter or digit adjoins it. Text that is a code except
    for the case of its letters counts as a code if it has a digit; otherwise it may be a word.
    """
    loose: list[Match] = []
    for finder in finders:
        found = {(m.pattern, m.value): m for text in _readings(answer) for m in reversed(finder.extract(text))}
        if found:
            known = {
                (m.pattern, m.value) for seen in evidence.texts for r in _readings(seen) for m in finder.extract(r)
            }
            missing = [match for key, match in found.items() if key not in known]
            loose += [match for match in missing if not _stands_in(match, evidence.texts)]
        for change in (_UPPER, _LOWER):
            loose += _loose_in_other_case(answer, evidence, finder, change)
    values: dict[str, Match] = {}
    for match in sorted(loose, key=lambda match: match.start):
        values.setdefault(match.value, match)
    return list(values.values())


def _loose_in_other_case(answer: str, evidence: Evidence, finder: FindsCodes, change: Mapping[int, int]) -> list[Match]:
    """Return texts in `answer` that are codes in another letter case, and occur in the evidence in no case."""
    from agentkit.tools.regex.scanner import overlaps

    found: dict[tuple[str, str], Match] = {}
    for text in _readings(answer):
        changed = text.translate(change)
        if changed == text:
            continue
        taken = [(match.start, match.end) for match in finder.extract(text)]
        for match in finder.extract(changed):
            own = text[match.start : match.end]
            if own != match.raw and any(map(str.isdigit, own)) and not overlaps(taken, match.start, match.end):
                found.setdefault((match.pattern, match.value), match._replace(raw=own))
    if not found:
        return []
    texts = [reading.translate(change) for seen in evidence.texts for reading in _readings(seen)]
    known = {(match.pattern, match.value) for text in texts for match in finder.extract(text)}
    changed_raw = {key: match._replace(raw=match.raw.translate(change)) for key, match in found.items()}
    return [m for key, m in found.items() if key not in known and not _stands_in(changed_raw[key], texts)]


def grounding_error(matches: Sequence[Match]) -> GroundingError:
    """Return the error that names the codes a model invented."""
    named = ", ".join(f"{match.parameter} {shorten(match.raw)}" for match in matches[:5])
    more = f" and {len(matches) - 5} more" if len(matches) > 5 else ""
    return GroundingError(
        f"The answer holds codes that stand neither in the question, the history, the system message nor any tool's "
        f"result, even after the model was asked to correct it: {named}{more}. "
        "Ask again, or look at the steps in memory.",
        codes=tuple(match.raw for match in matches),
    )


@dataclass(frozen=True, slots=True)
class CitationCheck:
    """The result of checking one citation.

    Attributes:
        citation: The citation.
        problems: The problems, in words; empty if there are none.
        flags: The problems without words of the answer, as `Turn.citation_flags` stores them.
        overlap: Share of the cited words that occur in the sources, from 0 to 1; None if there is no text to compare. A
            low value is a hint, never a fault: answers use other words than their sources.
    """

    citation: Citation
    problems: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    overlap: float | None = None

    @property
    def ok(self) -> bool:
        """True if there are no problems."""
        return not self.problems


def check_citations(
    turn: Turn, *, documents: Mapping[str, str] | None = None, calls: Collection[str] = ()
) -> list[CitationCheck]:
    """Check each citation of `turn` against the answer and its sources.

    Args:
        turn: The turn.
        documents: Texts the model was given in addition to tool results, by the id that citations use.
        calls: Ids of calls of earlier turns that were replayed to the model.
    """
    steps = {step.call_id: step for step in turn.steps}
    return [_checked(citation, turn.output, steps, documents or {}, calls) for citation in turn.citations]


def flagged(turn: Turn, given: Iterable[BaseMessage], documents: Callable[[], Mapping[str, str]]) -> Turn:
    """Return `turn` with `citation_flags` for the problems of its citations.

    Args:
        turn: The turn.
        given: The messages the model was given before its first reply, whose calls may be cited.
        documents: Returns the other texts it was given, by id; called only if there are citations.
    """
    if not turn.citations:
        return turn
    calls = {call["id"] or "" for message in given if isinstance(message, AIMessage) for call in message.tool_calls}
    checks = check_citations(turn, documents=documents(), calls=calls)
    flags = tuple(dict.fromkeys(flag for check in checks for flag in check.flags))
    return turn.model_copy(update={"citation_flags": flags}) if flags else turn


def _checked(
    citation: Citation,
    answer: str,
    steps: Mapping[str, Step],
    documents: Mapping[str, str],
    calls: Collection[str],
) -> CitationCheck:
    problems, flags = [], []
    start, end = citation.start, citation.end
    place = f"the citation of {start}:{end}"
    cited = answer[start:end] if 0 <= start < end <= len(answer) else ""
    if not cited:
        problems.append(f"{start}:{end} is no part of the answer, which has {len(answer)} characters")
        flags.append(f"{place} is outside the answer, which has {len(answer)} characters")
    elif citation.text and cited != citation.text:
        problems.append(
            f"{start}:{end} of the answer is {shorten(cited)!r}, the citation says {shorten(citation.text)!r}"
        )
        flags.append(f"{place} has another text than the answer there")
    if not citation.sources and not citation.call_ids:
        problems.append("it names no source")
        flags.append(f"{place} names no source")
    texts: list[str] = []
    for source in citation.sources or citation.call_ids:
        call = _call_of(source, steps, calls)
        if source in documents:
            texts.append(documents[source])
        elif call in steps:
            step = steps[call]
            texts += [step.observation] + ([step.result.content] if step.result is not None else [])
        elif call not in calls:
            problems.append(f"its source {shorten(source)!r} is no call of this turn and no document")
            flags.append(f"{place} has the source {shorten(source)!r}, which is no call of this turn and no document")
    return CitationCheck(citation, tuple(problems), tuple(flags), overlap(cited or citation.text, texts))


def _call_of(source: str, steps: Mapping[str, Step], calls: Collection[str]) -> str:
    """Return the call id in a source, which Cohere writes as ``<call id>:<number of its document>``."""
    if source in steps or source in calls:
        return source
    head, colon, number = source.rpartition(":")
    return head if colon and number.isdecimal() else source


def overlap(cited: str, sources: Sequence[str]) -> float | None:
    """Return the share of the words of `cited` that occur in `sources`; None if there are no words or no sources."""
    words = _WORD.findall(cited.casefold())
    if not words or not sources:
        return None
    known = {word for source in sources for reading in _readings(source) for word in _WORD.findall(reading.casefold())}
    return sum(word in known for word in words) / len(words)


def _texts_of(message: BaseMessage) -> list[str]:
    texts = [str(message.text)]
    if isinstance(message, AIMessage):
        # A replayed call's arguments are part of the history too.
        texts += [str(value) for call in message.tool_calls for value in call["args"].values()]
    return [text for text in texts if text]


def _readings(text: str) -> list[str]:
    r"""Return `text`, and its variants with JSON, Python or URL escapes decoded and odd characters normalised."""
    readings = [text]
    if "\\" in text:
        readings.append(_ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else " ", text))
    if "%" in text:
        readings.append(_PERCENT.sub(lambda found: chr(int(found[0][1:], 16)), text))
    if not text.isascii():
        from agentkit.tools.regex.text_view import without_zero_width

        # Full-width letters and zero-width characters: a person still sees the code.
        readings.append(without_zero_width(unicodedata.normalize("NFKC", text)))
    return list(dict.fromkeys(readings))


def _stands_in(match: Match, texts: Iterable[str]) -> bool:
    return any(_stands_apart(wanted, text) for text in texts for wanted in {match.raw, match.value})


def _stands_apart(wanted: str, text: str) -> bool:
    at = text.find(wanted)
    while at >= 0:
        before, after = text[at - 1 : at] if at else "", text[at + len(wanted) : at + len(wanted) + 1]
        if not ((before.isalnum() and wanted[0].isalnum()) or (after.isalnum() and wanted[-1].isalnum())):
            return True
        at = text.find(wanted, at + 1)
    return False
