"""The extractor beyond the four codes: a second engine, scores, deny lists, glue, conversions, traces, tables."""

from __future__ import annotations

import copy
import pickle
import runpy
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.product_codes import CODES, NMGS, OBJREF, UUID, one

from agentkit.errors import ConfigError, InputError
from agentkit.tools import Decision, Pattern, PatternTimeoutError, RegexExtractor, TraceEntry
from agentkit.tools.regex.scanner import Scanner
from agentkit.tools.regex.text_view import View


def reasons(extractor: RegexExtractor, text: str) -> list[tuple[str, str]]:
    return [(miss.raw, miss.reason) for miss in extractor.near_misses(text)]


# --- engine = "regex" ------------------------------------------------------------------------------------------------


def test_lookaround_and_back_references_work_with_the_second_engine() -> None:
    extractor = one(regex=r"(?<!\$)\b\d{4}(?= EUR)", engine="regex")
    assert extractor.values("$1234 EUR 5678 EUR 9012 USD") == {"p": ["5678"]}
    assert one(regex=r"(\w)\1{3}", engine="regex").values("aaaa abab bbbb") == {"p": ["aaaa", "bbbb"]}


def test_the_second_engine_keeps_every_rule_of_the_first() -> None:
    fields = {"regex": r"urn:(?P<id>[a-z]{2}\d)", "template": "<{id}>", "ignore_case": True, "normalize": ["lower"]}
    text = "é urn:ab1 URN:CD2, urn:ef33 xurn:gh4 \ud800urn:ij5"
    both = [RegexExtractor([Pattern(name="p", engine=e, **fields)]) for e in ("re2", "regex")]  # type: ignore[arg-type]
    assert both[0].extract(text) == both[1].extract(text)
    assert both[0].near_misses(text) == both[1].near_misses(text) != []
    assert both[1].values(text) == {"p": ["<ab1>", "<cd2>", "<ij5>"]}


def test_the_second_engine_reads_only_ascii_digits_as_digits() -> None:
    assert one(regex=r"\d{3}", engine="regex").values("123 \u0661\u0662\u0663") == {"p": ["123"]}


def test_the_search_goes_on_behind_the_word_that_was_glued_with_both_engines() -> None:
    for engine in ("re2", "regex"):
        extractor = one(regex=r"\d{4}-\d{4}", engine=engine)
        assert extractor.values("x1111-2222-3333 é1111-2222-3333") == {"p": ["2222-3333"]}
        # As in the scanner's own test: a million searches would not come back.
        assert one(regex=r"[\w-]+Z", engine=engine, timeout_s=100).values("a-" * 20_000 + "Z9 b-Z") == {"p": ["b-Z"]}


def test_patterns_of_both_engines_share_a_text_and_its_overlaps() -> None:
    extractor = RegexExtractor(
        [
            Pattern(name="re2", regex=r"A\d"),
            Pattern(name="back", regex=r"(?<=x )B\d", engine="regex"),
            Pattern(name="long", regex=r"A\d B\d"),
        ]
    )
    assert extractor.values("x B1 A2 B3 A4") == {"back": ["B1"], "long": ["A2 B3"], "re2": ["A4"]}
    assert extractor.values("x B1") == {"back": ["B1"]}
    for twin in (copy.deepcopy(extractor), pickle.loads(pickle.dumps(extractor))):
        assert twin.extract("x B1 A2") == extractor.extract("x B1 A2")


CATASTROPHE = {"regex": r"(?:a|aa)+[bc](?!d)", "engine": "regex", "timeout_s": 0.05}
HANGING = "a" * 40 + "!"


@pytest.mark.parametrize("method", ["values", "extract", "near_misses", "rest"])
def test_a_catastrophic_pattern_is_an_error_that_names_pattern_and_limit(method: str) -> None:
    extractor = one(**CATASTROPHE)
    assert extractor.values("aab") == {"p": ["aab"]}
    message = (
        r"pattern 'p', field 'regex', value '\(\?:a\|aa\)\+\[bc\]\(\?!d\)': the search of a text of 41 characters was "
        r"given up at its limit of 0\.05 s \(timeout_s\); make the regex stricter"
    )
    with pytest.raises(PatternTimeoutError, match=message) as caught:
        getattr(extractor, method)(HANGING)
    assert isinstance(caught.value, ConfigError)
    assert (caught.value.pattern, caught.value.timeout_s) == ("p", 0.05)


def test_as_a_tool_it_gives_the_other_patterns_values_and_a_warning() -> None:
    extractor = RegexExtractor([Pattern(name="p", **CATASTROPHE), Pattern(name="n", regex=r"\d{3}")])  # type: ignore[arg-type]
    result = extractor.invoke({"user_query": f"aab 123 {HANGING}"})
    assert result["n"] == ["123"]
    assert "p" not in result, "what a search that was given up had found is not used"
    assert "pattern 'p'" in result["warnings"][0]
    assert not extractor.covers(f"aab 123 {HANGING}")


def test_a_trace_tells_a_search_that_was_given_up() -> None:
    extractor = RegexExtractor([Pattern(name="p", **CATASTROPHE), Pattern(name="n", regex=r"\d{3}")])  # type: ignore[arg-type]
    given_up, found = extractor.trace(f"123 {HANGING}")
    assert (given_up.outcome, given_up.pattern, found.outcome) == ("given up", "p", "found")
    assert "at its limit of 0.05 s" in str(given_up)


def test_a_catastrophic_example_stops_the_file_from_loading(tmp_path: Path) -> None:
    path = tmp_path / "slow.toml"
    path.write_text(
        "[[pattern]]\nname = 'slow'\nregex = '(?:a|aa)+[bc](?!d)'\nengine = 'regex'\ntimeout_s = 0.05\n"
        f"non_examples = ['{HANGING}']\n"
    )
    with pytest.raises(ConfigError, match=r"slow\.toml: pattern 'slow', field 'regex'.* its limit of 0\.05 s"):
        RegexExtractor.from_toml(path)


def test_without_the_package_the_engine_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "regex", None)
    with pytest.raises(ConfigError, match=r"field 'engine', value 'regex'.*pip install 'agentkit-cohere\[regex\]'"):
        one(regex="a", engine="regex")


# --- glue ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["re2", "regex"])
def test_glue_makes_one_token_of_what_it_joins(engine: str) -> None:
    extractor = one(regex=r"\d+(?:\.\d+){3}", glue=".", engine=engine)
    assert extractor.values("1.2.3.4 (5.6.7.8). 9.9.9.9.") == {"p": ["1.2.3.4", "5.6.7.8", "9.9.9.9"]}
    assert extractor.values("é1.2.3.4.5 1.2.3.4.x v.1.2.3.4") == {}
    assert reasons(extractor, "a 1.2.3.4.5.6, v.1.2.3.4") == [
        ("1.2.3.4.5.6", "has more letters or digits after it"),
        ("v.1.2.3.4", "has more letters or digits before it"),
    ]


@pytest.mark.parametrize("engine", ["re2", "regex"])
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("-12-", True),
        ("--12", True),
        ("12--", True),
        ("a -12", True),
        ("a-12", False),
        ("12-a", False),
        ("1-12", False),
        ("-a-12", False),
        ("12-", True),
        ("-12", True),
        ("é-12", False),
    ],
)
def test_glue_needs_a_letter_or_digit_behind_it(text: str, found: bool, engine: str) -> None:
    assert one(regex=r"\d\d", glue="-", engine=engine).values(text) == ({"p": ["12"]} if found else {})


@pytest.mark.parametrize("engine", ["re2", "regex"])
def test_glue_joins_only_at_an_edge_that_is_a_letter_or_digit(engine: str) -> None:
    for regex, text in ((r"K\d!", "K1!.x"), (r"!K\d", "x.!K1")):
        assert len(one(regex=regex, glue=".", engine=engine).extract(text)) == 1


def test_an_endless_token_is_told_once() -> None:
    # Widening each of its parts to the whole would be quadratic.
    text = "1." * 50_000 + "1"
    assert reasons(one(regex=r"\d\.\d", glue="."), text) == [(text, "has more letters or digits after it")]
    odd = "\u0661" * 50_000
    assert [raw for raw, _ in reasons(one(regex=r"\d\d"), odd)] == [odd]


# --- deny, convert, scores -----------------------------------------------------------------------------------------


def test_denied_values_are_never_codes() -> None:
    extractor = one(regex=r"AB\d", deny=["AB1"])
    assert extractor.values("AB1 AB2") == {"p": ["AB2"]}
    assert reasons(extractor, "AB1") == [("AB1", "stands on the list of denied values")]
    assert one(regex=r"ab\d", ignore_case=True, deny=["Ab1"]).values("aB1 ab2") == {"p": ["ab2"]}
    assert one(regex=r"ab\d", deny=["AB1"]).values("ab1") == {"p": ["ab1"]}


def test_convert_rewrites_the_value_or_refuses_it() -> None:
    assert one(regex=r"[\d -]{4,}\d", convert="compact").values("12-34 5") == {"p": ["12345"]}

    def double(value: str) -> str | None:
        return None if value == "13" else str(2 * int(value))

    extractor = one(regex=r"\d+", convert=double, validate=lambda value: value != "8", description="a number")
    assert extractor.values("2 13 4 5") == {"p": ["4", "10"]}
    assert reasons(extractor, "13 4") == [("13", "cannot be read as a number"), ("4", "fails the check <lambda>")]


@pytest.mark.parametrize(
    ("convert", "message"),
    [(lambda _: 1 / 0, "failed on '1' with ZeroDivisionError"), (lambda _: 3, "it returned 3 for '1'")],
)
def test_a_conversion_that_does_not_work_is_named(convert: object, message: str) -> None:
    with pytest.raises(ConfigError, match=f"pattern 'p', field 'convert'.*{message}"):
        one(regex=r"\d", convert=convert).values("1")


def test_scores_rise_with_context_and_min_score_draws_the_line() -> None:
    pattern = Pattern(name="p", regex=r"\d{6}", score=0.4, context=["order"], context_score=0.9, id="ORD-1")
    lax, strict = RegexExtractor([pattern]), RegexExtractor([pattern], min_score=0.5)
    text = "order 123456" + "." * 60 + "654321"
    assert [(m.value, m.score, m.id) for m in lax.extract(text)] == [("123456", 0.9, "ORD-1"), ("654321", 0.4, "ORD-1")]
    assert strict.values(text) == {"p": ["123456"]}
    assert reasons(strict, text) == [("654321", "scores 0.4, less than the 0.5 that min_score asks for")]
    assert pickle.loads(pickle.dumps(strict)).values(text) == {"p": ["123456"]}
    even = Pattern(name="p", regex=r"\d{6}", score=0.4, context=["order"], context_score=0.5)
    assert RegexExtractor([even], min_score=0.5).values("order 123456") == {"p": ["123456"]}
    plain = Pattern(name="q", regex="x", score=0.3)
    assert RegexExtractor([plain], min_score=0.3).values("x") == {"q": ["x"]}
    assert RegexExtractor([plain], min_score=0.31).values("x") == {}


def test_a_word_cut_by_the_edge_of_the_window_is_no_context() -> None:
    def found(text: str, word: str, chars: int) -> bool:
        return bool(one(regex=r"\d{6}", context=[word], context_chars=chars).values(text))

    assert not found("123456 orders", "o", 2)
    assert not found("border 123456", "r", 2)
    assert found("123456 o", "o", 2)
    assert found("123456 o rders", "o", 2)
    assert found("o 123456", "o", 2)
    assert found("123456 ok orders", "ok", 5)
    assert not found("123456 ok", "ok", 2)


def test_min_score_and_filler_come_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "codes.toml"
    path.write_text("filler = ['look', 'for']\nmin_score = 0.5\n[[pattern]]\nname = 'p'\nregex = 'a'\nscore = 0.5\n")
    extractor = RegexExtractor.from_toml(path)
    assert extractor.covers("Look for a")
    assert not extractor.covers("Look at a")
    for bad, message in (("filler = 'look'", "filler is 'look'"), ("min_score = 2", "min_score is 2")):
        path.write_text(f"{bad}\n[[pattern]]\nname = 'p'\nregex = 'a'\n")
        with pytest.raises(ConfigError, match=message) as caught:
            RegexExtractor.from_toml(path)
        assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"engine": "re"}, "field 'engine', value 're': give 're2' or 'regex'"),
        ({"engine": 3}, "field 'engine', value 3: give 're2' or 'regex'"),
        ({"regex": "(", "engine": "regex"}, "field 'regex', value '\\(': the package regex cannot read it: missing"),
        ({"regex": "a*", "engine": "regex"}, "matches the empty text"),
        ({"regex": "(?=a)b"}, 'RE2 does not have lookahead.*else set engine = "regex"'),
        ({"regex": r"(a)\1"}, 'RE2 does not have back-references.*or set engine = "regex"'),
        ({"regex": "(?<=a)b", "engine": "regex", "group": 1}, "field 'group', value 1: the regex has no such group"),
        ({"timeout_s": 0}, "field 'timeout_s', value 0: give a number above 0"),
        ({"timeout_s": "1"}, "field 'timeout_s', value '1': give a number above 0"),
        ({"timeout_s": float("nan")}, "field 'timeout_s', value nan: give a number above 0"),
        ({"timeout_s": True}, "field 'timeout_s', value True: give a number above 0"),
        ({"score": 1.1}, "field 'score', value 1.1: give a number from 0 to 1"),
        ({"score": -0.1}, "field 'score', value -0.1: give a number from 0 to 1"),
        ({"context_score": 0.5}, "field 'context_score', value 0.5: there are no context words"),
        ({"glue": "a."}, "field 'glue', value 'a.': give punctuation"),
        ({"glue": " "}, "field 'glue', value ' ': give punctuation"),
        ({"glue": ".", "boundary": "none"}, "field 'glue', value '.': it needs boundary = \"token\""),
        ({"glue": None}, "field 'glue', value None: give a text"),
        ({"deny": "a"}, "field 'deny', value 'a': give a list of texts"),
        ({"convert": "upper"}, "field 'convert', value 'upper': give 'compact' or 'ip', a function, or None"),
        ({"convert": 3}, "field 'convert', value 3: give 'compact' or 'ip', a function, or None"),
        ({"id": 3}, "field 'id', value 3: give a text"),
    ],
)
def test_a_field_that_cannot_work(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        one(**{"regex": "a", **fields})
    assert "pattern 'p'" in str(caught.value)


@pytest.mark.parametrize("score", [-1, 2, "1", True, None])
def test_a_min_score_that_cannot_work(score: object) -> None:
    with pytest.raises(ConfigError, match="min_score is .*: give a number from 0 to 1"):
        RegexExtractor(CODES.patterns, min_score=score)


# --- trace -----------------------------------------------------------------------------------------------------------


def test_a_trace_tells_every_candidate_and_why() -> None:
    text = f"urn:{UUID} {OBJREF} {OBJREF} {NMGS}X {NMGS[:-2]} x{OBJREF}"
    told = [(d.outcome, d.pattern, d.start, d.reason) for d in CODES.trace(text)]
    assert told == [
        ("found", "urn", 0, ""),
        ("overlapped", "uuid", 4, "overlaps urn at 0-40, which is longer"),
        ("found", "objref", 41, ""),
        ("duplicate", "objref", 58, "the same value stands at 41"),
        ("rejected", "nmgs", 75, "has more letters or digits after it"),
        ("rejected", "objref", 75, "has more letters or digits before and after it"),
        ("rejected", "objref", 102, "has more letters or digits before it"),
        (
            "near miss",
            "nmgs",
            102,
            "does not fit the pattern: 0000 and 21 capital letters or digits, 25 characters in all",
        ),
        ("rejected", "objref", 126, "has more letters or digits before it"),
    ]
    assert Decision is TraceEntry
    for entry in CODES.trace(text):
        assert isinstance(entry, TraceEntry)
        assert entry.raw == text[entry.start : entry.end]
    assert str(CODES.trace(OBJREF)[0]) == f"     0-16  found           objref: '{OBJREF}'"


def test_a_trace_names_the_rule_that_decided_an_overlap() -> None:
    def rule(**second: object) -> str:
        first = Pattern(name="first", regex="b c")
        (lost,) = [
            d for d in RegexExtractor([first, Pattern(name="second", **second)]).trace("a b c") if d.outcome != "found"
        ]
        return f"{lost.pattern}: {lost.reason}"

    assert rule(regex="a b", priority=1) == "first: overlaps second at 0-3, which has the higher priority"
    assert rule(regex="a b c") == "first: overlaps second at 0-5, which is longer"
    assert rule(regex="a b") == "second: overlaps first at 2-5, which was declared first"


def test_a_trace_tells_what_came_after_the_limit_and_low_scores() -> None:
    extractor = RegexExtractor([Pattern(name="p", regex=r"\d", max_matches=1, score=0.5)])
    assert [(d.outcome, d.value, d.reason) for d in extractor.trace("1 2")] == [
        ("found", "1", "score 0.5"),
        ("over the limit", "2", "comes after the 1 matches that max_matches allows"),
    ]


def test_a_trace_and_the_values_agree() -> None:
    text = f"{OBJREF}, {NMGS}; urn:{UUID} {UUID} {OBJREF}"
    found = [(d.pattern, d.start, d.value) for d in CODES.trace(text) if d.outcome == "found"]
    assert found == [(m.pattern, m.start, m.value) for m in CODES.extract(text)]


# --- tables ----------------------------------------------------------------------------------------------------------


def test_a_column_becomes_one_row_for_each_code() -> None:
    texts = pd.Series([f"{OBJREF} {NMGS}", None, "nothing", float("nan"), f"é {OBJREF}"], index=list("vwxyz"))
    frame = CODES.frame(texts)
    assert list(frame.columns) == ["row", "parameter", "value", "raw", "start", "end", "pattern", "score", "id"]
    assert frame[["row", "parameter", "value", "start"]].values.tolist() == [
        ["v", "objref", OBJREF, 0],
        ["v", "nmgs", NMGS, 17],
        ["z", "objref", OBJREF, 2],
    ]
    assert CODES.frame(pd.Series([], dtype=object)).empty
    assert CODES.frame([OBJREF, None, f"x {OBJREF}"])["row"].tolist() == [0, 2]


def test_a_column_becomes_a_column_for_each_parameter() -> None:
    table = pd.DataFrame({"text": [f"{OBJREF} {NMGS}", pd.NA, "x"]}, index=[7, 7, 9])
    columns = CODES.columns(table["text"])
    assert list(columns.columns) == ["uuid", "nmgs", "objref", "urn"]
    assert list(columns.index) == [7, 7, 9]
    assert columns["objref"].tolist() == [[OBJREF], [], []]
    assert columns["nmgs"].tolist() == [[NMGS], [], []]
    assert CODES.columns([OBJREF]).iloc[0]["objref"] == [OBJREF]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (pd.Series(["a", 3], index=["x", "y"]), r"The row 'y' holds int \(3\), not text: convert the column first"),
        (pd.Series([b"a"]), "The row 0 holds bytes"),
        ([["a"]], "The row 0 holds list"),
        ({"a": "x"}, "A column of texts is needed, not dict"),
        ("text", "A column of texts is needed, not str"),
        (pd.DataFrame({"a": ["x"]}), "A column of texts is needed, not DataFrame: pass one Series"),
        (3, "A column of texts is needed, not int"),
    ],
)
def test_what_is_no_column_of_texts(texts: object, message: str) -> None:
    for method in (CODES.frame, CODES.columns):
        with pytest.raises(InputError, match=message):
            method(texts)


# --- the edges of the scanner, one by one: each of these kills a change of a comparison in it ------------------------


@pytest.mark.parametrize("engine", ["re2", "regex"])
@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("K12", [(0, 3)]),
        ("K12 K13", [(0, 3), (4, 7)]),
        ("K12,K13", [(0, 3), (4, 7)]),
        ("xK12 K13", [(5, 8)]),
        ("K12x K13", [(5, 8)]),
        ("K12K13 K14", [(7, 10)]),
        ("éK12 K13", [(5, 8)]),
        ("K12é K13", [(5, 8)]),
        ("K12\u0301 K13", [(5, 8)]),
        ("e\u0301K12 K13", [(6, 9)]),
        ("\u0301K12", [(1, 4)]),
        (" K12", [(1, 4)]),
        ("K12 ", [(0, 3)]),
        ("😀K12😀", [(1, 4)]),
        ("\ud800K12\udfff", [(1, 4)]),
        ("日K12 日 K13", [(7, 10)]),
        ("aK1K12 K13", [(7, 10)]),
        ("aK12-K13", [(5, 8)]),
        ("K123-K13", [(5, 8)]),
    ],
)
def test_edges(text: str, spans: list[tuple[int, int]], engine: str) -> None:
    extractor = one(regex=r"K\d\d", engine=engine, unique=False)
    assert [(m.start, m.end) for m in extractor.extract(text)] == spans


@pytest.mark.parametrize("engine", ["re2", "regex"])
def test_behind_a_glued_match_that_begins_with_punctuation_the_next_character_is_tried(engine: str) -> None:
    assert one(regex=r"#\d\d", engine=engine).values("a #123 #45") == {"p": ["#45"]}
    assert one(regex=r"##\d\d|#\d{3}", engine=engine).values("a ##123") == {"p": ["#123"]}


def test_a_rejected_match_over_the_length_of_any_code_is_left_whole() -> None:
    for engine in ("re2", "regex"):
        extractor = one(regex=r"(?:b-)+b", engine=engine)
        short, long = "a" + "b-" * 499 + "b", "a" + "b-" * 600 + "b"
        assert [m.start for m in extractor.extract(short)] == [3], "the search goes on behind its first word"
        assert extractor.extract(long) == [], "what is longer than any code is not tried from every word in it"
        assert [m.raw for m in extractor.extract(long + " b-b")] == ["b-b"]


def test_a_match_of_a_thousand_characters_is_still_taken_apart_and_one_more_is_not() -> None:
    for engine in ("re2", "regex"):
        extractor = one(regex=r"(?:b-)+b{1,3}", engine=engine, unique=False)
        for size, starts in ((1000, [3]), (1001, [])):
            code = "b-" * 499 + "b" * (size - 998)
            assert len(code) == size
            assert [m.start for m in extractor.extract("a" + code)] == starts


def test_of_two_claims_to_one_place_the_larger_is_told_wherever_it_stands() -> None:
    def never(_: str) -> bool:
        return False

    def told(*regexes: str) -> list[str]:
        extractor = RegexExtractor([Pattern(name=r, regex=r, validate=never) for r in regexes])
        return [miss.pattern for miss in extractor.near_misses("abc de f")]

    assert told("de f", "abc de") == told("abc de", "de f") == ["abc de"]
    assert told("abc d", "c de f") == ["c de f"]
    assert told("abc", "de f") == ["abc", "de f"]


@pytest.mark.parametrize(
    ("spans", "kept"),
    [
        ("ab bc", ["ab"]),
        ("abc bcd cde", ["abc"]),
        ("ab bcd", ["bcd"]),
        ("ab bcd de", ["bcd"]),
        ("ab cd", ["ab", "cd"]),
        ("abcd bc de", ["abcd"]),
        ("abc cd de", ["abc", "de"]),
        ("abcde bc fg", ["abcde", "fg"]),
        ("ab bc cd de", ["ab", "cd"]),
        ("ab bc cdef fg", ["ab", "cdef"]),
    ],
)
def test_overlaps(spans: str, kept: list[str]) -> None:
    patterns = [Pattern(name=span, regex=span, boundary="none") for span in spans.split()]
    assert [match.raw for match in RegexExtractor(patterns).extract("abcdefg")] == kept


def test_a_match_that_ends_where_another_begins_does_not_overlap_it() -> None:
    patterns = [Pattern(name="a", regex="a+", boundary="none"), Pattern(name="b", regex="b+", boundary="none")]
    assert [(m.raw, m.start) for m in RegexExtractor(patterns).extract("aabbaab")] == [("aa", 0), ("bb", 2), ("b", 6)]
    every = [Pattern(name=n, regex=f"{n}+", boundary="none", unique=False) for n in "ab"]
    assert [(m.raw, m.start) for m in RegexExtractor(every).extract("aabbaa")] == [("aa", 0), ("bb", 2), ("aa", 4)]


def test_a_pattern_that_the_prefilter_rules_out_is_not_run() -> None:
    scanner = Scanner([Pattern(name="absent", regex=r"Z\d"), Pattern(name="code", regex=r"K\d")])
    absent, code = scanner.compiled
    scanner.compiled = (replace(absent, regex=None), code)  # running it would be an error
    assert [value for *_, value, _ in scanner.scan(View("K1 Z")).accepted] == ["K1"]
    with pytest.raises(AttributeError):
        scanner.scan(View("K1 Z9"))


def test_a_code_in_plain_characters_has_no_warning_in_any_text() -> None:
    assert [match.warnings for match in CODES.extract(f"é {UUID}, {OBJREF}")] == [(), ()]
    assert [match.warnings for match in one(regex="é+").extract("é")] == [()], "it is what the pattern asks for"


def test_views_are_shared_and_each_pattern_sees_its_own() -> None:
    scanner = Scanner(CODES.patterns)
    view = View(f"{UUID.replace('-', chr(0x2011))} {OBJREF}")
    assert [found[2] for found in scanner.scan(view).accepted] == [0, 2]


# --- patterns made to hang a backtracking engine --------------------------------------------------------------------

BENCH = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "bench_extractor.py"), run_name="bench")


@pytest.mark.parametrize(("regex", "text"), BENCH["HOSTILE"], ids=lambda value: value[:20])
def test_a_hostile_pattern_comes_back_from_its_worst_text(regex: str, text: str) -> None:
    # A backtracking engine would outlast the suite's time limit: it doubles its time with each character.
    extractor = one(regex=regex, boundary="none")
    assert extractor.values(text) == extractor.values(text * 1000) == {}
    assert extractor.near_misses(text) == []
