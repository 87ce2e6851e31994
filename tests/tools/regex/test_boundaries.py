"""Boundary and glue check, against its definition spelled out in regexes, on every short text of a small alphabet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product

import pytest

from agentkit.tools.regex.boundaries import end_of_run, glued_after, glued_before, is_glued, whole_token

MARK, HIDDEN = "\u0301", "\ufe0f"  # HIDDEN is a combining mark to Unicode, and has no width


def texts() -> Iterator[str]:
    for length in range(1, 6):
        yield from map("".join, product(f"a. {MARK}{HIDDEN}", repeat=length))


@pytest.mark.parametrize("glue", ["", "."])
def test_every_span_of_every_short_text(glue: str) -> None:
    dot = r"\." if glue else r"(?!)"
    before = re.compile(rf"a(?:{MARK}*|{dot})$")
    after = re.compile(rf"a|{MARK}|{dot}a")
    left, right = re.compile(rf"(?:a{dot}|a)*$"), re.compile(rf"(?:{dot}a|a)*")
    for text in texts():
        for start in range(len(text)):
            run = re.compile("a+").match(text, start)
            assert end_of_run(text, start) == (run.end() if run else start + 1)
            for end in range(start + 1, len(text) + 1):
                begins = text[start] == "a" and before.search(text[:start]) is not None
                ends = text[end - 1] == "a" and after.match(text[end:]) is not None
                assert glued_before(text, start, glue) == begins, (text, start)
                assert glued_after(text, end, glue) == ends, (text, end)
                assert is_glued(text, start, end, glue) == (begins or ends), (text, start, end)
                first, last = start, end
                if text[start] == "a":
                    first -= len(left.search(text[:start])[0])  # type: ignore[index]
                if text[end - 1] == "a":
                    last += len(right.match(text[end:])[0])  # type: ignore[index]
                assert whole_token(text, start, end, glue) == (first, last), (text, start, end)


def test_marks_are_followed_to_their_letter_up_to_32_of_them() -> None:
    assert glued_before("a" + MARK * 32 + "b", 33)
    assert not glued_before("a" + MARK * 33 + "b", 34)


@pytest.mark.parametrize(
    ("neighbour", "glued"), [("_", False), ("é", True), ("٣", True), ("-", False), ("\u2011", False)]
)
def test_neighbours(neighbour: str, glued: bool) -> None:
    assert is_glued(neighbour + "K1", 1, 3) == is_glued("K1" + neighbour, 0, 2) == glued
