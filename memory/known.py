"""What already stands in a replay, so that nothing is written twice."""

from __future__ import annotations

import re
from typing import Any

from agentkit.memory.values import Kind, is_telling, kind_of, spell, words

_PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


class Known:
    """What the replay says so far. It only grows, in the order of the replay, so that prefixes stay as they are."""

    def __init__(self) -> None:
        """Nothing stands in the replay yet."""
        self.argument_keys: set[str] = set()
        self.blocks: dict[str, str] = {}
        self.calls: dict[str, dict[str, Any]] = {}
        self.titles: dict[str, tuple[str, ...]] = {}
        self.question = ""
        self._pointed = ""
        self._words: set[str] = set()
        self._answer: set[str] = set()
        self._pairs: set[tuple[str, str]] = set()
        self._latest: dict[tuple[str, str], str] = {}

    def copy(self) -> Known:
        """The same, to be gone on with by itself."""
        other = Known()
        for name, value in vars(self).items():
            setattr(other, name, value if isinstance(value, str) else value.copy())
        return other

    def read(self, text: str) -> None:
        """Take the words of a text that the replay shows."""
        self._words.update(words(text))

    def turn(self, question: str, answer: str) -> None:
        """Begin with a turn, whose question and answer the replay shows."""
        self.read(question)
        self.question = question
        self._answer = set(words(answer))
        self._words |= self._answer

    def pointer(self, reference: str) -> str:
        """What is put where a step is not shown in full: its reference, behind the first of a turn a mere ellipsis."""
        turn = reference.partition(".")[0]
        if self._pointed == turn:
            return "…"
        self._pointed = turn
        return f"… {reference}"

    def answers(self, text: str) -> bool:
        """Whether the turn's own answer says `text`."""
        return all(word in self._answer for word in words(text))

    def says(self, text: str) -> bool:
        """Whether every word of `text` stands in some text of the replay."""
        return all(word in self._words for word in words(text))

    def add(self, place: str, key: str, value: Any) -> None:
        """Take a value shown under a key; `place` is where exactly, for values that only mean themselves there."""
        text = spell(value)
        self._pairs.add((key, text))
        self._latest[place, key] = self._latest["", key] = text

    def is_latest(self, place: str, key: str, value: Any) -> bool:
        """Whether the last value shown at this very place was the same."""
        return self._latest.get((place, key)) == spell(value)

    def has(self, place: str, key: str, value: Any) -> bool:
        """Whether a value need not be written again.

        One that names something (an identifier, a date) need not where it stood under this key before, or in some
        text; any other need not where the last value shown at this very place was the same.
        """
        text = spell(value)
        if self._latest.get((place, key)) == text:
            return True
        kind = kind_of(value)
        if kind is not Kind.TRIVIAL and self._latest.get(("", key)) == text:
            return True
        if kind in (Kind.IDENTIFIER, Kind.DATE) or (kind in (Kind.CODE, Kind.NAME, Kind.PROSE) and len(text) >= 5):
            return (key, text) in self._pairs or (
                kind not in (Kind.CODE, Kind.NAME) and is_telling(text) and self.says(text)
            )
        return kind == Kind.NUMBER and is_telling(text) and self.says(text)

    def _knows(self, word: str) -> bool:
        """Whether a word stands in the replay, or is a path of words that do."""
        return word in self._words or ("/" in word and all(part in self._words for part in word.split("/") if part))

    def acknowledges(self, text: str, tool: str = "") -> bool:
        """Whether a text says no more than that a call of `tool` has worked: in words known, or words of success."""
        found = list(words(text))
        parts = [part.lower() for part in _PARTS.findall(tool)]
        stems = {part[:4] for part in parts if len(part) >= 4}
        if len(found) == 1 and parts and _is_past_of(found[0], parts[0]):
            return True
        return (
            len(found) <= 16
            and any(word in _SUCCESS for word in found)
            and all(word in _SUCCESS or self._knows(word) or word[:4] in stems for word in found)
        )


def _is_past_of(word: str, verb: str) -> bool:
    """Whether a word says that `verb` was done: locked for lock, cancelled for cancel, applied for apply."""
    stem = verb.removesuffix("e").removesuffix("y")
    return len(verb) >= 3 and word.startswith(stem) and word.endswith("ed") and len(word) <= len(verb) + 3


_SUCCESS = frozenset(
    [
        "success",
        "successful",
        "successfully",
        "succeeded",
        "ok",
        "okay",
        "done",
        "completed",
        "complete",
        "executed",
        "finished",
        "created",
        "added",
        "updated",
        "changed",
        "edited",
        "saved",
        "stored",
        "written",
        "sent",
        "posted",
        "submitted",
        "received",
        "removed",
        "deleted",
        "cleared",
        "copied",
        "moved",
        "renamed",
        "set",
        "opened",
        "closed",
        "resolved",
        "cancelled",
        "canceled",
        "booked",
        "logged",
        "has",
        "have",
        "been",
        "was",
        "were",
        "is",
        "are",
        "the",
        "a",
        "an",
        "to",
        "from",
        "in",
        "into",
        "of",
        "on",
        "at",
        "with",
        "by",
        "for",
        "as",
        "your",
        "you",
        "and",
        "user",
    ]
)
