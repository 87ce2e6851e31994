"""Precision and recall on the labelled corpus, ours and the cookbook's."""

from __future__ import annotations

import importlib.util
import sys

import pytest
from support.product_codes import CODES
from support.repository import ROOT


def _load():
    spec = importlib.util.spec_from_file_location("codes_corpus", ROOT / "tests" / "data" / "codes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


corpus = _load()


def test_the_corpus_is_large_enough_and_half_of_it_is_planted():
    by_hand, planted = corpus.by_hand(), corpus.planted()
    assert len(by_hand) + len(planted) >= 300
    assert len(planted) >= (len(by_hand) + len(planted)) / 2
    for lines in (by_hand, planted):
        assert {label.parameter for line in lines for label in line.labels} == {"uuid", "urn", "nmgs", "objref"}
        assert sum(not line.labels for line in lines) > 20, "lines without a code"


def test_the_planted_lines_are_what_the_planter_plants():
    assert (ROOT / "tests" / "data" / "codes_planted.jsonl").read_text(encoding="utf-8") == corpus.plant()


@pytest.mark.parametrize("part", ["by_hand", "planted"])
def test_precision_and_recall_are_100_percent_and_every_span_is_right(part):
    wrong = []
    for line in getattr(corpus, part)():
        found = [(m.parameter, m.start, m.end, m.value) for m in CODES.extract(line.text)]
        if found != [tuple(label) for label in line.labels]:
            wrong.append((line.text, found, line.labels))
    assert wrong == []


def test_the_score_counts_what_is_missed_and_what_is_made_up():
    line = corpus.Line("x", (corpus.Label("uuid", 0, 1, "a"), corpus.Label("uuid", 0, 1, "b")))
    assert corpus.score([line], lambda _: {"uuid": ["a", "c", "d"]}) == (1, 3, 2)
    assert corpus.score(corpus.load(), CODES.values)[:2] == corpus.score(corpus.load(), CODES.values)[1:]
    assert corpus.score(corpus.load(), lambda _: {}).recall == 0


@pytest.mark.parametrize("part", ["by_hand", "planted"])
def test_the_cookbooks_own_regexes_are_worse_at_both(part):
    lines = getattr(corpus, part)()
    ours, theirs = corpus.score(lines, CODES.values), corpus.score(lines, corpus.cookbook)
    assert (ours.precision, ours.recall) == (1.0, 1.0)
    assert theirs.precision < 0.9
    assert theirs.recall < 0.6
