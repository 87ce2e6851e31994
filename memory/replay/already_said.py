"""What already stands in a replay, so that nothing is written twice."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from agentkit.memory.condense.values import Kind, is_telling, kind_of, spell, words

_PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


class Known:
    """What the replay says so far. It only grows, in the order of the replay, so that prefixes stay as they are."""

    def __init__(self) -> None:
        """Nothing stands in the replay yet."""
        self.argument_keys: set[str] = set()
        self.blocks: dict[str, str] = {}
        self.calls: dict[str, dict[str, Any]] = {}
        self.texts: set[str] = set()
        self.titles: dict[str, tuple[str, ...]] = {}
        self.question = ""
        self._pointed = ""
        self._words: set[str] = set()
        self._answer: set[str] = set()
        self._pairs: set[tuple[str, str]] = set()
        self._latest: dict[tuple[str, str], str] = {}
        self._latest_by: dict[str, tuple[str, str, str]] = {}
        self._of_thing: dict[str, frozenset[tuple[str, str]]] = {}

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

    def said_of(self, names: Iterable[str]) -> frozenset[tuple[str, str]]:
        """The keys and values that the replay says of a thing with all of these names."""
        found = [self._of_thing.get(name, frozenset()) for name in names]
        return frozenset.intersection(*found) if found else frozenset()

    def say_of(self, names: Iterable[str], said: Iterable[tuple[str, str]]) -> None:
        """Take what the replay says of a thing, under each of its names."""
        said = frozenset(said)
        for name in names:
            self._of_thing[name] = self._of_thing.get(name, frozenset()) | said

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

    def add(self, place: str, key: str, value: Any, tool: str = "", call: str = "") -> None:
        """Take a value shown under a key; `place` is where exactly, `tool` and `call` who said it."""
        text = spell(value)
        self._latest_by[key] = text, tool, call
        self._pairs.add((key, text))
        self._latest[place, key] = self._latest["", key] = text

    def is_unchanged(self, key: str, text: str, tool: str, call: str) -> bool:
        """Whether the last value shown under a key was the same, and that of the same thing as far as one can tell.

        For calls that name nothing: the same tool called otherwise is about something else.
        """
        latest, by, how = self._latest_by.get(key, ("", "", ""))
        return bool(by) and latest == text and (by != tool or how == call)

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
        if len(found) == 1 and found[0] not in _WORKED:
            return False
        return (
            len(found) <= 16
            and any(
                word in _WORKED or word in _DONE or (word[:4] in stems and word.endswith(("ed", "ing")))
                for word in found
            )
            and not any(word in _BUT or word.endswith("n't") for word in found)
            and all(
                word in _WORKED or word in _DONE or word in _FILLERS or self._knows(word) or word[:4] in stems
                for word in found
            )
        )


def _is_past_of(word: str, verb: str) -> bool:
    """Whether a word says that `verb` was done: locked for lock, cancelled for cancel, applied for apply."""
    stem = verb.removesuffix("e").removesuffix("y")
    return len(verb) >= 3 and word.startswith(stem) and word.endswith("ed") and len(word) <= len(verb) + 3


_WORKED = frozenset(
    "success successful successfully succeeded ok okay done completed complete executed finished".split()  # noqa: SIM905
)
_DONE = frozenset(
    """created added updated changed edited saved stored written sent posted submitted received removed deleted cleared
    copied moved renamed set opened closed resolved cancelled canceled booked logged""".split()  # noqa: SIM905
)
_FILLERS = frozenset(
    "has have been was were is are the a an to from in into of on at with by for as your you and user".split()  # noqa: SIM905
)
_BUT = frozenset(
    "not no never none nothing nobody but only except without cannot failed fail fails error already".split()  # noqa: SIM905
)
