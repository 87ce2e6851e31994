"""The searchable text of a turn, its words, and the snippet of a hit: pure functions, the same in any database.

A change to `words` or `passages` needs a new schema version that rebuilds the index: to remove a text, SQLite's index
must be given exactly the words that were indexed.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agentkit.base.text import shorten
from agentkit.turn import Step, Turn

RECALL = "recall"
"""The tool whose results repeat what is stored already, so they are not searched."""

WORDS_A_PIECE = 4000  # x 64 characters x 4 bytes: below the 1 MB that a tsvector of PostgreSQL may have
WORD_CHARS = 64  # longer words are cut: data, not language
SNIPPET_CHARS = 240  # three lines of a terminal; chosen by hand

# Scripts written without spaces (Thai, Lao, kana, Han) are indexed character by character.
_UNSPACED = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(f"[{_UNSPACED}]|[^\\W_{_UNSPACED}]+")


@dataclass(frozen=True, slots=True)
class Hit:
    """Something found in a session.

    Attributes:
        reference: The place: ``t3.s2`` is the second step of turn 3, ``t3`` is the turn's question and answer.
        number: The turn.
        tool: The step's tool; "" for question and answer.
        text: The part of it that matches, on one line.
        score: The score; only the order within one search is meaningful.
    """

    reference: str
    number: int
    tool: str
    text: str
    score: float

    def __str__(self) -> str:
        """Return one line: reference, tool, text."""
        return f"{self.reference}{' ' + self.tool if self.tool else ''}: {self.text}"


def words(text: str) -> list[str]:
    """Return the words of a text as they are indexed: lower case, without accents, at most 64 characters each."""
    if not text.isascii():
        folded = unicodedata.normalize("NFKD", text.casefold())
        text = "".join(c for c in folded if unicodedata.category(c) != "Mn")
    return [word[:WORD_CHARS] for word in _WORD.findall(text.lower())]


def phrases(query: str) -> list[tuple[str, ...]]:
    """Return the phrases of a query, one for each part between spaces (``ORD-4471`` is two words), without repeats."""
    return list(dict.fromkeys(tuple(found) for part in query.split() if (found := words(part))))


def passages(turn: Turn) -> Iterator[tuple[int, str]]:
    """Yield place and text of what is searched in a turn: 0 is question and answer, steps count from 1."""
    yield 0, f"{turn.input}\n{turn.output}"
    for place, step in enumerate(turn.steps, 1):
        if step.tool != RECALL:
            yield place, step_text(step)


def step_text(step: Step) -> str:
    """Return a step as one text: tool, input, whole result."""
    return f"{step.tool} {input_text(step)}\n{whole(step)}"


def input_text(step: Step) -> str:
    """Return a step's input as JSON; "" if it has none."""
    return json.dumps(step.tool_input, ensure_ascii=False, default=repr) if step.tool_input else ""


def whole(step: Step) -> str:
    """Return a step's whole result, which may be longer than what the model was shown."""
    return step.observation if step.result is None else step.result.content or step.observation


def pieces(found: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield words in pieces that any database can index."""
    for start in range(0, len(found), WORDS_A_PIECE):
        yield found[start : start + WORDS_A_PIECE]


def snippet(text: str, query: str) -> str:
    """Return the part of a text with the most searched words, on one line; its beginning if it has none."""
    wanted = {word for phrase in phrases(query) for word in phrase}
    places = [(m.start(), word) for m in _WORD.finditer(text) for word in words(m.group()) if word in wanted]
    best, most = 0, 0
    for i, (start, _) in enumerate(places):
        within = {word for at, word in places[i : i + 50] if at < start + SNIPPET_CHARS - 40}
        if len(within) > most:
            best, most = start, len(within)
    start = max(0, best - 40)
    if start:  # not in the middle of a word
        space = text.find(" ", start, best)
        start = space + 1 if space >= 0 else start
    return ("…" if start else "") + shorten(text[start : start + 4 * SNIPPET_CHARS], SNIPPET_CHARS)
