"""The labelled corpus of the four codes: lines labelled by hand, and prose with codes planted in it.

No label comes from running a pattern: labels by hand are markup, and in the prose a label is the place where the code
was planted. `python tests/data/codes.py` writes codes_planted.jsonl again, with the same bytes every time.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
PLANTED_LINES = 240
SEED = 20241123

HEX, CAPITAL = "0123456789abcdef", "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_MARK = re.compile(r"\[\[(uuid|urn|nmgs|objref)\|([^|\]]*)(?:\|([^|\]]*))?\]\]")
_ESCAPE = re.compile(r"\\(n|t|r|x[0-9a-f]{2}|u[0-9a-f]{4})")


class Label(NamedTuple):
    """A code that must be found: its parameter, its place in the text, and the value that is sent on."""

    parameter: str
    start: int
    end: int
    value: str


class Line(NamedTuple):
    """A text and all that must be found in it; of equal values the first."""

    text: str
    labels: tuple[Label, ...]


class Score(NamedTuple):
    """How many values were rightly found, were found, and were to be found."""

    right: int
    found: int
    wanted: int

    @property
    def precision(self) -> float:
        return self.right / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        return self.right / self.wanted


def load() -> list[Line]:
    """Return the whole corpus."""
    return [*by_hand(), *planted()]


def by_hand() -> list[Line]:
    lines = (HERE / "codes_by_hand.txt").read_text(encoding="utf-8").split("\n")
    return [_marked(line) for line in lines if line and not line.startswith("# ")]


def planted() -> list[Line]:
    lines = (HERE / "codes_planted.jsonl").read_text(encoding="utf-8").splitlines()
    return [Line(row["text"], tuple(Label(*label) for label in row["labels"])) for row in map(json.loads, lines)]


def score(lines: Iterable[Line], values: Callable[[str], dict[str, list[str]]]) -> Score:
    """Return the score of `values` on `lines`; each value of a line counts once, whatever its place."""
    right = found = wanted = 0
    for line in lines:
        said = {(key, value) for key, listed in values(line.text).items() for value in listed}
        meant = {(label.parameter, label.value) for label in line.labels}
        right, found, wanted = right + len(said & meant), found + len(said), wanted + len(meant)
    return Score(right, found, wanted)


def cookbook(user_query: str) -> dict[str, list[str]]:
    """Run the extractor of Cohere's cookbook "Building an LLM Agent with the Cohere API" with its own four regexes."""
    uuid = re.findall(r"\s([a-f0-9]{8}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{12})", user_query)
    nmgs = re.findall("(0000[A-Z0-9]{21})", user_query)
    objref = re.findall(r"\s([A-Z]{5,9}\d{3,4}[A-Z]{3,8})", user_query)
    urn = re.findall("urn:[a-f0-9]{8}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{12}", user_query)
    d = {"uuid": uuid, "nmgs": nmgs, "objref": objref, "urn": urn}
    return {k: v for k, v in d.items() if v != []}


def _marked(line: str) -> Line:
    text, labels, at = "", [], 0
    for mark in _MARK.finditer(line):
        text += _plain(line[at : mark.start()])
        code = _plain(mark[2])
        labels.append(Label(mark[1], len(text), len(text) + len(code), mark[3] or code))
        text += code
        at = mark.end()
    return Line(text + _plain(line[at:]), tuple(labels))


def _plain(text: str) -> str:
    controls = {"n": "\n", "t": "\t", "r": "\r"}
    return _ESCAPE.sub(lambda found: controls.get(found[1]) or chr(int(found[1][1:], 16)), text)


# --- planting --------------------------------------------------------------------------------------------------------


class _Planter:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    # Of all of random only random() is the same in every version of Python.
    def below(self, n: int) -> int:
        return int(self._random.random() * n)

    def one(self, items: list[str] | str) -> str:
        return items[self.below(len(items))]

    def some(self, alphabet: str, n: int) -> str:
        return "".join(self.one(alphabet) for _ in range(n))

    def uuid(self) -> str:
        return "-".join(self.some(HEX, n) for n in (8, 4, 4, 4, 12))

    def code(self) -> tuple[str, str, str]:
        """Parameter, the code as it is written, and the value it stands for."""
        kind = self.one(["uuid", "urn", "nmgs", "objref"])
        if kind == "nmgs":
            value = "0000" + self.some(CAPITAL, 21)
            return kind, value, value
        if kind == "objref":
            value = "GL" + self.some(CAPITAL, 14)
            return kind, value, value
        value = self.uuid()
        written = value.upper() if self.below(4) == 0 else value
        if self.below(4) == 0:
            written = written.replace("-", self.one("\u2010\u2011\u2013\u2212\uff0d"))
        if kind == "urn":
            return kind, self.one(["urn:", "URN:", "urn:uuid:", "URN:UUID:"]) + written, "urn:" + value
        return kind, written, value

    def decoy(self) -> str:
        """Something that looks like a code and is none, by the table of the four codes."""
        nmgs, objref, uuid = "0000" + self.some(CAPITAL, 21), "GL" + self.some(CAPITAL, 14), self.uuid()
        return self.one(
            [
                nmgs + self.some(CAPITAL, 1 + self.below(5)),
                "9" + nmgs,
                nmgs[:-1],
                nmgs[:11] + "-" + nmgs[11:],
                "0000" + self.some("abcdefghij", 21),
                objref + self.some(CAPITAL, 1 + self.below(8)),
                "A" + objref,
                objref[:-1],
                objref.lower(),
                objref[:7] + "\u200b" + objref[7:],
                objref[:9] + "\n" + objref[9:],
                "OFFICE2024PROFESS",
                uuid + self.some(HEX, 1 + self.below(4)),
                "z" + uuid,
                uuid[:-1],
                uuid.replace("-", ""),
                uuid[:-1] + "g",
                "urn:" + uuid[:-2],
                "\u00e9" + uuid,
                objref + "\u0301",
            ]
        )

    def line(self, prose: list[str]) -> Line:
        words = self.one(prose).split(" ")
        first = self.below(max(1, len(words) - 12))
        words = words[first : first + 6 + self.below(24)]
        planted: list[tuple[int, tuple[str, str, str] | None, str]]
        planted = [(self.below(len(words) + 1), self.code(), "") for _ in range(self.below(4))]
        planted += [(self.below(len(words) + 1), None, self.decoy()) for _ in range(self.below(3))]
        planted.sort(key=lambda item: item[0])
        text, labels = "", []
        for place, word in enumerate([*words, ""]):
            for _, code, decoy in (item for item in planted if item[0] == place):
                before, after = self.one([" ;", "()", "[]", '""', "''", ",,", ":.", "\n\n", "  ", "«»", "/?", "=&"])
                text += before
                if code is None:
                    text += decoy
                else:
                    parameter, written, value = code
                    labels.append(Label(parameter, len(text), len(text) + len(written), value))
                    text += written
                    if self.below(8) == 0:  # a duplicate, which is not listed again
                        text += f", {written}"
                text += after
            text += word + " "
        return Line(text, tuple(labels))


def plant() -> str:
    """Return the text of codes_planted.jsonl."""
    planter = _Planter(SEED)
    prose = (HERE / "prose.txt").read_text(encoding="utf-8").splitlines()
    rows = (planter.line(prose) for _ in range(PLANTED_LINES))
    return "".join(json.dumps({"text": r.text, "labels": r.labels}, ensure_ascii=False) + "\n" for r in rows)


if __name__ == "__main__":
    (HERE / "codes_planted.jsonl").write_text(plant(), encoding="utf-8", newline="\n")
