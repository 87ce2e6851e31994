"""The regex extractor: the right answers for the cookbook's codes, every field of a pattern, every bad input."""

from __future__ import annotations

import copy
import pickle
import unicodedata
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.tools import BaseTool
from support.product_codes import CODES, NMGS, OBJREF, UUID, one
from support.property_tests import PATIENT

from agentkit.errors import ConfigError, InputError
from agentkit.policy import ToolPolicy, policy_of, with_policy
from agentkit.tools import Match, NearMiss, Pattern, RegexExtractor
from agentkit.tools.regex import extractor as extractor_module
from agentkit.tools.regex import scanner as scanner_module
from agentkit.tools.regex.checks import CHECKS, CONVERTERS, CheckName, ConverterName, luhn, mod97, uuid
from agentkit.tools.regex.text_view import View, folded, normalised, unwrapped

URN = f"urn:{UUID}"
HYPHENS = "\u2010\u2011\u2012\u2013\u2014\u2212\ufe63\uff0d"


def reasons(extractor: RegexExtractor, text: str) -> list[tuple[str, str, str]]:
    for miss in extractor.near_misses(text):
        assert miss.raw == text[miss.start : miss.end]
    return [(miss.parameter, miss.raw, miss.reason) for miss in extractor.near_misses(text)]


# The cookbook's own queries


def test_first_query_of_the_cookbook_as_printed_there() -> None:
    query = (
        "Look for urn:75f2b737-06dd-4399-9206-a6c11b65138e, GLCMS004AGTCAMIS; 0000234GLCMS0100ANORAKCAA, "
        "GLCHL000CGUCHALE"
    )
    assert str(CODES.invoke({"user_query": query})) == (
        "{'nmgs': ['0000234GLCMS0100ANORAKCAA'], 'objref': ['GLCMS004AGTCAMIS', 'GLCHL000CGUCHALE'], "
        "'urn': ['urn:75f2b737-06dd-4399-9206-a6c11b65138e']}"
    )
    assert CODES.near_misses(query) == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("I need tennis products", {}),
        (
            "Look for GLBRL0000GACHALE, nmg 0000234GLCZD0000GUREDTOAA and car products",
            {"nmgs": ["0000234GLCZD0000GUREDTOAA"], "objref": ["GLBRL0000GACHALE"]},
        ),
        (
            f"Retrieve id {UUID} 8bb21b93-2ddf-4a63-af63-ddb6b1be49a1, "
            f"ref GLPNT0005GUJOGGE GLSBR000BGASOBRE, nmg {NMGS}'",
            {
                "uuid": [UUID, "8bb21b93-2ddf-4a63-af63-ddb6b1be49a1"],
                "nmgs": [NMGS],
                "objref": ["GLPNT0005GUJOGGE", "GLSBR000BGASOBRE"],
            },
        ),
    ],
)
def test_other_queries_of_the_cookbook(query: str, expected: dict[str, list[str]]) -> None:
    assert CODES.values(query) == expected
    assert list(CODES.values(query)) == list(expected)
    assert CODES.near_misses(query) == []


# Traps: codes it missed


@pytest.mark.parametrize("code", [UUID, NMGS, OBJREF, URN])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("(", ")"),
        (",", ","),
        ('"', '"'),
        ("{", "}"),
        (":", ";"),
        ("id_", "_x"),
        ("\u00a0", "\u00a0"),
        ("\u200b", "\u200b"),
        ("\u3000", "\u2028"),
        ("😀\ufe0f", "😀"),
        ("\x00", "\x00"),
        ("\ud800", "\udfff"),
        ("日本。", "、"),
        ("\n", "\r\n"),
    ],
)
def test_a_code_stands_between_anything_but_letters_and_digits(code: str, before: str, after: str) -> None:
    text = before + code + after
    (match,) = CODES.extract(text)
    assert (match.value, match.raw, match.start, match.end) == (code, code, len(before), len(before) + len(code))
    assert CODES.near_misses(text) == []


@pytest.mark.parametrize("code", [UUID, NMGS, OBJREF, URN])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x", ""),
        ("", "x"),
        ("7", ""),
        ("", "7"),
        ("é", ""),
        ("", "é"),
        ("日", ""),
        ("", "٣"),
        ("e\u0301", ""),
        ("", "\u0301"),
    ],
)
def test_a_glued_code_is_a_near_miss(code: str, before: str, after: str) -> None:
    text = f"see {before}{code}{after}."
    # What follows the colon of a urn that begins too early is a whole uuid.
    expected = {"uuid": [UUID]} if code == URN and before else {}
    assert CODES.values(text) == expected
    if not expected:
        (miss,) = CODES.near_misses(text)
        assert "has more letters or digits" in miss.reason
        assert code in miss.raw


def test_upper_case_uuid_is_sent_in_lower_case() -> None:
    (match,) = CODES.extract(f"ID {UUID.upper()}.")
    assert (match.value, match.raw) == (UUID, UUID.upper())


@pytest.mark.parametrize("raw", [f"urn:uuid:{UUID}", f"URN:{UUID.upper()}", f"Urn:UUID:{UUID}", f"urn:{UUID}"])
def test_every_way_to_write_a_urn_gives_the_same_value(raw: str) -> None:
    (match,) = CODES.extract(f"get {raw}, please")
    assert (match.parameter, match.value, match.raw) == ("urn", URN, raw)


@pytest.mark.parametrize("hyphen", HYPHENS)
@pytest.mark.parametrize("code", [UUID, URN])
def test_typographic_hyphens_are_read_as_hyphens(code: str, hyphen: str) -> None:
    raw = code.replace("-", hyphen)
    text = f"prix 5 € — voir {raw}, merci"
    (match,) = CODES.extract(text)
    assert (match.value, match.raw) == (code, raw)
    assert text[match.start : match.end] == raw
    assert match.warnings == (f"written with U+{ord(hyphen):04X} {unicodedata.name(hyphen)}",)


@pytest.mark.parametrize("code", [NMGS, OBJREF, UUID])
@pytest.mark.parametrize("wrap", ["\n", "\r\n", " \n  ", "\u2028"])
def test_a_code_broken_over_a_line_is_a_near_miss_and_never_joined(code: str, wrap: str) -> None:
    raw = code[:9] + wrap + code[9:]
    text = f"Voilà {raw} end"
    assert CODES.values(text) == {}
    assert [(miss.raw, miss.reason) for miss in CODES.near_misses(text)] == [(raw, "is broken over a line")]


def test_what_is_glued_is_not_a_code_broken_over_a_line() -> None:
    extractor = one(regex=r"K\d{4}")
    assert [reason for *_, reason in reasons(extractor, "K12\n34")] == ["is broken over a line"]
    assert reasons(extractor, "xK12\n34") == reasons(extractor, "K12\n345") == []


def test_codes_on_lines_of_their_own_are_no_near_misses() -> None:
    text = "\n".join([NMGS, OBJREF, UUID, URN, OBJREF])
    assert CODES.values(text) == {"uuid": [UUID], "nmgs": [NMGS], "objref": [OBJREF], "urn": [URN]}
    assert CODES.near_misses(text) == []


# Traps: wrong values it sent on


@pytest.mark.parametrize(
    ("text", "parameter", "reason"),
    [
        (UUID + "ff", "uuid", "has more letters or digits after it"),
        (NMGS + "X", "nmgs", "has more letters or digits after it"),
        ("0" + NMGS, "nmgs", "has more letters or digits after it"),
        ("ABC" + NMGS, "nmgs", "has more letters or digits before it"),
        (OBJREF + "LONGTAIL", "objref", "has more letters or digits after it"),
        ("X" + OBJREF + "X", "objref", "has more letters or digits before and after it"),
        (URN + "0", "urn", "has more letters or digits after it"),
        (NMGS[:-1], "nmgs", "does not fit the pattern: 0000 and 21 capital letters or digits, 25 characters in all"),
        (
            OBJREF.lower(),
            "objref",
            "does not fit the pattern: GL and 14 capital letters or digits, 16 characters in all",
        ),
        (UUID[:-1], "uuid", "does not fit the pattern: 8-4-4-4-12 hexadecimal digits"),
    ],
)
def test_a_bad_code_gives_nothing_but_one_near_miss(text: str, parameter: str, reason: str) -> None:
    assert CODES.values(f"ref {text}, ok") == {}
    assert reasons(CODES, f"ref {text}, ok") == [(parameter, text, reason)]


@pytest.mark.parametrize(
    "text", ["OFFICE2024PROFESS", "no code here", "GLASGOW 2024", "", "\n\n", "urn:isbn:0451450523"]
)
def test_no_code_is_no_near_miss_either(text: str) -> None:
    assert CODES.values(text) == {}
    assert CODES.near_misses(text) == []


def test_objref_inside_nmgs_is_not_claimed() -> None:
    assert [match.pattern for match in CODES.extract(f"{NMGS} {OBJREF}")] == ["nmgs", "objref"]
    assert CODES.near_misses(f"{NMGS} {OBJREF}") == []


def test_the_uuid_of_a_urn_counts_once_as_the_urn() -> None:
    assert CODES.values(f"{URN} {UUID}x {URN}") == {"urn": [URN]}
    assert CODES.values(f"{URN} {UUID}") == {"uuid": [UUID], "urn": [URN]}


def test_a_word_that_ends_in_urn_leaves_the_uuid() -> None:
    assert CODES.values(f"return:{UUID}") == {"uuid": [UUID]}
    assert CODES.near_misses(f"return:{UUID}") == []


def test_duplicates_count_once_in_order_of_first_appearance() -> None:
    other = "GLAAA0005GUJOGGE"
    text = f"{OBJREF} {other} {OBJREF} {UUID.upper()} {UUID}"
    assert CODES.values(text) == {"uuid": [UUID], "objref": [OBJREF, other]}
    assert [match.start for match in CODES.extract(text)] == [0, 17, 51]


@pytest.mark.parametrize("digit", ["\u0660", "\u06f0", "\u0966", "\uff10", "\U0001d7ce"])
def test_only_ascii_digits_make_a_code(digit: str) -> None:
    raw = OBJREF.replace("0", digit, 1)
    assert CODES.values(f"ref {raw}.") == {}
    name = f"U+{ord(digit):04X} {unicodedata.name(digit)}"
    assert reasons(CODES, f"ref {raw}.") == [
        ("objref", raw, f"has {name} where the pattern asks for another character"),
    ]


@pytest.mark.parametrize("hidden", ["\u200b", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u202e"])
@pytest.mark.parametrize("code", [UUID, NMGS, OBJREF])
def test_something_of_zero_width_inside_a_code_makes_a_near_miss(code: str, hidden: str) -> None:
    raw = code[:6] + hidden + code[6:]
    assert CODES.values(f"ref {raw}.") == {}
    ((_, seen, reason),) = reasons(CODES, f"ref {raw}.")
    assert seen == raw
    assert reason.startswith(f"has U+{ord(hidden):04X}")
    assert reason.endswith("which has no width, inside")


def test_something_of_zero_width_beside_a_code_is_a_boundary_and_a_warning() -> None:
    (match,) = CODES.extract(f"\u200b{OBJREF}")
    assert match.warnings == (
        "touches U+200B ZERO WIDTH SPACE, which has no width: it may be a piece of something longer",
    )


def test_near_misses_and_matches_of_one_text_do_not_meet() -> None:
    text = f"{OBJREF}X {OBJREF}, {NMGS[:20]} {NMGS} {UUID[:30]}, {UUID} {OBJREF[:8]}\u200b{OBJREF[8:]}"
    covered = [(m.start, m.end) for m in [*CODES.extract(text), *CODES.near_misses(text)]]
    covered.sort()
    assert all(end <= start for (_, end), (start, _) in pairwise(covered))
    assert [miss.pattern for miss in CODES.near_misses(text)] == ["objref", "nmgs", "uuid", "objref"]


# Properties

FILLER = st.text(
    alphabet=st.one_of(
        st.sampled_from(list(" \n\t.,;:(){}\"'-_/\x00\u00a0\u200b\u2011\u2028é日٣0AGLé\u0301\ud800x7")),
        st.characters(),
    ),
    max_size=12,
)
CODE = st.sampled_from(
    [UUID, UUID.upper(), NMGS, OBJREF, URN, URN.upper(), UUID.replace("-", "\u2011"), NMGS + "Z", "GL"]
)


@PATIENT
@given(st.lists(st.tuples(FILLER, CODE), max_size=6), FILLER)
def test_against_an_oracle_that_tries_every_span(pieces: list[tuple[str, str]], tail: str) -> None:
    text = "".join(filler + code for filler, code in pieces) + tail
    assert [(m.pattern, m.start, m.end, m.value) for m in CODES.extract(text)] == oracle(text)


def oracle(text: str) -> list[tuple[str, int, int, str]]:
    """The definition of the four codes, spelled out position by position, without a regex."""
    plain = "".join("-" if c in HYPHENS + "\u2015\u2043\ufe58" else c for c in text)
    hexa, capital = "0123456789abcdefABCDEF", "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

    def is_uuid(s: str) -> bool:
        parts = s.split("-")
        return [len(p) for p in parts] == [8, 4, 4, 4, 12] and all(c in hexa for p in parts for c in p)

    def glued(start: int, end: int) -> bool:
        def mark(c: str) -> bool:
            hidden = c == "\u034f" or "\ufe00" <= c <= "\ufe0f"
            return unicodedata.category(c) in ("Mn", "Mc") and not hidden

        base = start - 1
        while base > 0 and mark(text[base]):
            base -= 1
        left = start > 0 and text[base].isalnum()
        return left or (end < len(text) and (text[end].isalnum() or mark(text[end])))

    found = []
    for start in range(len(text)):
        for size, name in ((45, "urn"), (40, "urn"), (36, "uuid"), (25, "nmgs"), (16, "objref")):
            end = start + size
            seen = text[start:end] if name in ("nmgs", "objref") else plain[start:end]
            if len(seen) < size or glued(start, end):
                continue
            head = {45: "urn:uuid:", 40: "urn:"}.get(size, "")
            if name in ("urn", "uuid"):
                good = seen.isascii() and seen.lower().startswith(head) and is_uuid(seen[len(head) :])
                value = ("urn:" if head else "") + seen[len(head) :].lower()
            else:
                good = seen.startswith("0000" if name == "nmgs" else "GL") and all(c in capital for c in seen)
                value = seen
            if good:
                found.append((name, start, end, value))
    found.sort(key=lambda f: f[1] - f[2])
    kept: list[tuple[str, int, int, str]] = []
    for item in found:
        if all(item[2] <= other[1] or item[1] >= other[2] for other in kept):
            kept.append(item)
    first: dict[tuple[str, str], tuple[str, int, int, str]] = {}
    for item in sorted(kept, key=lambda f: f[1]):
        first.setdefault((item[0], item[3]), item)
    return list(first.values())


@PATIENT
@given(st.lists(st.one_of(FILLER, CODE), max_size=8).map("".join))
def test_spans_are_slices_of_the_text_as_given(text: str) -> None:
    for match in CODES.extract(text):
        assert match.raw == text[match.start : match.end] != ""
    for miss in CODES.near_misses(text):
        assert miss.raw == text[miss.start : miss.end] != ""


ODD_TEXT = st.text(
    alphabet=st.one_of(
        st.sampled_from(list("aeiou kﬁ½①…é각각ｶﾞ\u0301\u0327\u0345\u200b\ufb2c\u0e33\u09c7\u09be \n\r٣A\uff21-\u2011")),
        st.characters(),
    ),
    max_size=30,
)


@PATIENT
@given(ODD_TEXT)
def test_normalising_piece_by_piece_equals_normalising_the_whole(text: str) -> None:
    view = normalised(View(text), ("nfkc",))
    assert view.text == unicodedata.normalize("NFKC", text)


@PATIENT
@given(ODD_TEXT, st.data())
def test_the_way_back_from_a_view_covers_what_it_was_made_from(text: str, data: st.DataObject) -> None:
    for make in (lambda v: normalised(v, ("nfkc", "hyphens")), folded, unwrapped, lambda v: unwrapped(folded(v))):
        view = make(View(text))
        if not view.text:
            continue
        start = data.draw(st.integers(0, len(view.text) - 1))
        end = data.draw(st.integers(start + 1, len(view.text)))
        first, last = view.origin(start, end)
        assert 0 <= first <= last <= len(text)
        assert view.origin(0, len(view.text))[0] <= first
        # Made again from the stretch it came from, the view holds what was asked for.
        assert view.text[start:end] in make(View(text[first:last])).text


# Fields of a pattern


def test_group_is_the_code_and_its_span() -> None:
    extractor = one(regex=r"order no\.? (?P<number>\d+)(?:/(\d+))?", group="number")
    (match,) = extractor.extract("né: order no. 1234/5")
    assert (match.value, match.raw, match.start, match.end) == ("1234", "1234", 14, 18)
    assert one(regex=r"(a)?b(\d)", group=1).values("b1 ab2") == {"p": ["a"]}


def test_template_writes_the_value_from_groups() -> None:
    extractor = one(regex=r"(?P<day>\d\d)\.(\d\d)\.(\d{4})", template="{3}-{2}-{day} {{x}}")
    (match,) = extractor.extract("am 24.12.2024 é")
    assert (match.value, match.raw) == ("2024-12-24 {x}", "24.12.2024")
    assert one(regex=r"(a)?b", template="<{1}>").values("b ab") == {"p": ["<>", "<a>"]}


def test_boundary_none_takes_pieces_of_words() -> None:
    assert one(regex="[A-Z]{3}").values("xABCD") == {}
    assert one(regex="[A-Z]{3}", boundary="none").values("xABCD") == {"p": ["ABC"]}


def test_a_match_with_blanks_at_its_edges_is_not_glued_by_the_words_beside_them() -> None:
    assert one(regex=r"\s(\d{4})\s", group=1).values("year 2024 was") == {"p": ["2024"]}


def test_the_search_goes_on_behind_the_word_that_was_glued() -> None:
    extractor = one(regex=r"\d{4}-\d{4}")
    assert extractor.values("x1111-2222-3333") == {"p": ["2222-3333"]}
    assert extractor.values("é1111-2222-3333 1111-22223-4444-5555é 1234-5678") == {"p": ["2222-3333", "1234-5678"]}


def test_ignore_case_and_the_case_of_the_value() -> None:
    assert one(regex="ab[0-9]").values("AB1 ab1") == {"p": ["ab1"]}
    assert one(regex="ab[0-9]", ignore_case=True).values("AB1 ab1") == {"p": ["AB1", "ab1"]}
    assert one(regex="ab[0-9]", ignore_case=True, normalize=["upper"]).values("AB1 ab1") == {"p": ["AB1"]}
    assert one(regex="ab[0-9]", ignore_case=True, normalize=["lower"]).values("AB1 ab1") == {"p": ["ab1"]}


def test_nfkc_reads_compatibility_characters_and_spans_stay_in_the_original() -> None:
    text = "été ① \uff21\uff22\uff11\uff12 ﬁ12 e\u0301x"
    assert one(regex=r"[A-Z]{2}\d\d").values(text) == {}
    (match,) = one(regex=r"[A-Z]{2}\d\d", normalize=["nfkc"]).extract(text)
    assert (match.value, match.raw, match.start, match.end) == ("AB12", "\uff21\uff22\uff11\uff12", 6, 10)
    (match,) = one(regex=r"fi\d\d", normalize=["nfkc"]).extract(text)
    assert (match.value, match.raw) == ("fi12", "ﬁ12")
    (match,) = one(regex="éx", normalize=["nfkc"]).extract(text)
    assert (match.value, match.raw) == ("éx", "e\u0301x")


def test_patterns_with_different_normalising_share_a_text() -> None:
    extractor = RegexExtractor(
        [
            Pattern(name="raw", regex=r"\d\x{2011}\d"),
            Pattern(name="plain", regex=r"\d-\d", normalize=("hyphens",)),
            Pattern(name="wide", regex=r"W\d", normalize=("nfkc",)),
        ]
    )
    assert extractor.values("1\u20112 3-4 \uff37\uff15") == {"raw": ["1\u20112"], "plain": ["3-4"], "wide": ["W5"]}


def test_validate_by_name() -> None:
    cards = one(regex=r"\d{4}(?: ?\d{4}){3}", validate="luhn")
    text = "4111 1111 1111 1111 or 4111 1111 1111 1112"
    assert cards.values(text) == {"p": ["4111 1111 1111 1111"]}
    assert reasons(cards, text) == [("p", "4111 1111 1111 1112", "fails the check luhn")]


def test_validate_by_a_function() -> None:
    def even(value: str) -> bool:
        return int(value) % 2 == 0

    extractor = one(regex=r"\d+", validate=even)
    assert extractor.values("1 2 3 4") == {"p": ["2", "4"]}
    assert [miss.reason for miss in extractor.near_misses("1 2")] == ["fails the check even"]


def test_a_validate_function_that_raises_is_named() -> None:
    extractor = one(regex="[a-z]+", validate=lambda value: bool(int(value)))
    with pytest.raises(ConfigError, match=r"pattern 'p', field 'validate'.*failed on 'abc' with ValueError"):
        extractor.values("abc")


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (luhn, ["4111111111111111", "79927398713", "5500-0000-0000-0004"], ["4111111111111112", "", "41x1", "٤١١١"]),
        (mod97, ["GB82 WEST 1234 5698 7654 32", "DE89370400440532013000"], ["GB82WEST12345698765431", "GB8", "é" * 9]),
        (uuid, [UUID, URN, UUID.upper()], [UUID.replace("402e", "902e"), UUID.replace("984e", "784e"), "x" + UUID[1:]]),
    ],
)
def test_checks(check: object, good: list[str], bad: list[str]) -> None:
    assert callable(check)
    assert [check(value) for value in good] == [True] * len(good)
    assert [check(value) for value in bad] == [False] * len(bad)


def test_the_names_a_pattern_takes_are_those_of_the_checks_and_conversions() -> None:
    assert get_args(CheckName) == tuple(CHECKS)
    assert get_args(ConverterName) == tuple(CONVERTERS)


def test_checks_of_one_uuid_version() -> None:
    seven = "019309c7-8e6a-7c3b-9d2e-1f4a5b6c7d8e"
    regex = "[0-9a-f-]{36}"
    assert one(regex=regex, validate="uuid").values(f"{UUID} {seven}") == {"p": [UUID, seven]}
    assert one(regex=regex, validate="uuid4").values(f"{UUID} {seven}") == {"p": [UUID]}
    assert one(regex=regex, validate="uuid7").values(f"{UUID} {seven}") == {"p": [seven]}


def test_context_asks_for_a_word_nearby() -> None:
    extractor = one(regex=r"\d{6}", context=["order", "Bestellung"], context_chars=12)
    assert extractor.values("Order no. 123456") == {"p": ["123456"]}
    assert extractor.values("123456 (order)") == {"p": ["123456"]}
    assert extractor.values("border 123456") == {}
    assert extractor.values("order, as I told you, 123456") == {}
    for cut in ("xxborder   : 123456", "123456      orderly", "123456     orders"):
        assert extractor.values(cut) == {}
    assert reasons(extractor, "border 123456") == [
        ("p", "123456", "none of the words 'order, Bestellung' stands within 12 characters")
    ]


def test_near_is_only_ever_a_near_miss() -> None:
    extractor = one(regex=r"AB-\d{4}", near=r"(?i)ab-?\d+", description="AB, a hyphen and four digits")
    assert extractor.values("AB-1234 ab1234 AB-12345") == {"p": ["AB-1234"]}
    assert reasons(extractor, "AB-1234 ab1234 AB-12345") == [
        ("p", "ab1234", "does not fit the pattern: AB, a hyphen and four digits"),
        ("p", "AB-12345", "has more letters or digits after it"),
    ]


def test_a_token_is_one_near_miss_and_those_beside_and_behind_it_are_others() -> None:
    odd = "has U+0661 ARABIC-INDIC DIGIT ONE where the pattern asks for another character"
    one_digit, two_digits = one(regex=r"#\d"), one(regex=r"\d\d")
    assert reasons(one_digit, "#\u0661#\u0661") == [("p", "#\u0661", odd), ("p", "#\u0661", odd)]
    assert reasons(two_digits, "\u0661" * 4 + " \u0661\u0661") == [
        ("p", "\u0661" * 4, odd),
        ("p", "\u0661\u0661", odd),
    ]
    near = one(regex=r"#\d\d", near=r"#?\d")
    assert [raw for _, raw, _ in reasons(near, "#1#2 345, 6")] == ["#1", "#2", "345", "6"]


def test_overlaps_go_by_priority_then_length_then_order() -> None:
    def winner(**priorities: int) -> list[str]:
        regexes = {"short": "b c", "long": "a b", "longer": "b c d", "again": "b c d"}
        patterns = [Pattern(name=n, regex=r, priority=priorities.get(n, 0)) for n, r in regexes.items()]
        return [match.pattern for match in RegexExtractor(patterns).extract("a b c d")]

    assert winner() == ["longer"]
    assert winner(again=1) == ["again"]
    assert winner(short=1) == ["short"]
    assert winner(long=1) == ["long"]
    chain = RegexExtractor([Pattern(name=n, regex=n) for n in ("a b", "b c", "c d e f")])
    assert [match.pattern for match in chain.extract("a b c d e f")] == ["a b", "c d e f"]


def test_unique_and_not() -> None:
    assert one(regex=r"\d").values("1 2 1") == {"p": ["1", "2"]}
    assert one(regex=r"\d", unique=False).values("1 2 1") == {"p": ["1", "2", "1"]}
    assert len(one(regex=r"\d", unique=False).extract("1 2 1")) == 3


def test_max_matches_and_what_it_leaves_out() -> None:
    extractor = one(regex=r"\d", max_matches=2)
    assert extractor.values("1 1 2 3") == {"p": ["1", "2"]}
    assert reasons(extractor, "1 1 2 3") == [("p", "3", "comes after the 2 matches that max_matches allows")]


def test_what_comes_after_a_match_over_the_limit_is_still_found() -> None:
    patterns = [Pattern(name="digit", regex=r"\d", max_matches=1), Pattern(name="word", regex="w+")]
    extractor = RegexExtractor(patterns)
    assert extractor.values("1 2 w 3 ww") == {"digit": ["1"], "word": ["w", "ww"]}
    assert [miss.raw for miss in extractor.near_misses("1 2 w 3 ww")] == ["2", "3"]


def test_patterns_may_share_a_parameter_and_keys_keep_declared_order() -> None:
    extractor = RegexExtractor(
        [
            Pattern(name="z", regex="z+"),
            Pattern(name="short", parameter="id", regex=r"A\d"),
            Pattern(name="long", parameter="id", regex=r"B\d\d"),
        ]
    )
    assert list(extractor.values("B12 A1 zz B12").items()) == [("z", ["zz"]), ("id", ["B12", "A1"])]
    assert [(m.parameter, m.pattern) for m in extractor.extract("B12 A1")] == [("id", "long"), ("id", "short")]


def test_empty_matches_are_no_codes() -> None:
    assert one(regex=r"x+|\b").values("a xx b") == {"p": ["xx"]}


def test_anchors_and_dots_see_the_whole_text() -> None:
    assert one(regex=r"^\w+").values("one two") == {"p": ["one"]}
    assert one(regex=r"(?m)^\w+$").values("one\ntwo\né") == {"p": ["one", "two"]}
    assert one(regex=r"a.b").values("a\x00b a\ud800b") == {"p": ["a\x00b", "a\ud800b"]}


@pytest.mark.parametrize("room", [1000, 64 << 20])
def test_patterns_too_large_for_a_common_prefilter_are_run_one_by_one(
    monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    monkeypatch.setattr(scanner_module, "_PREFILTER_BYTES", room)
    scanner = scanner_module.Scanner([Pattern(name="wide", regex="W[^x]{900}"), Pattern(name="code", regex=r"K\d{3}")])
    assert (scanner.prefilter is None) == (room == 1000)
    view = View("é" * 3000 + " K123")
    assert list(scanner.present(view)) == ([0, 1] if room == 1000 else [1])
    assert [found[3] for found in scanner.scan(view).accepted] == ["K123"]


def test_a_prefilter_that_fails_on_a_text_does_not_hide_its_codes() -> None:
    scanner = scanner_module.Scanner([Pattern(name="other", regex="Z9"), Pattern(name="code", regex=r"K\d{3}")])
    # A set that says nothing of its always-matching last member, as RE2 does when it runs out of memory.
    failing = re2.Set.SearchSet()
    failing.Add("never")
    failing.Compile()
    scanner.prefilter = failing
    assert [found[3] for found in scanner.scan(View("K123")).accepted] == ["K123"]


def test_a_text_of_one_endless_word_is_scanned_once() -> None:
    # Quadratic work on this would outlast the suite's time limit many times over.
    text = "GLPNT0005GUJOGGE" * 60_000
    assert CODES.values(text) == {}
    ((parameter, raw, _),) = reasons(CODES, text)
    assert (parameter, len(raw)) == ("objref", len(text))


def test_a_long_rejected_match_is_not_tried_again_from_every_word_in_it() -> None:
    # As above: a million searches to the end of a million characters would not come back.
    assert one(regex=r"[\w-]+Z").values("a-" * 500_000 + "Z9 b-Z") == {"p": ["b-Z"]}


# The tool


def test_it_is_a_langchain_tool_with_the_cookbooks_schema() -> None:
    assert isinstance(CODES, BaseTool)
    assert CODES.name == "regex_extractor"
    assert CODES.description == "Function which, given the query from the user, returns a dictionary parameter:value."
    assert CODES.tool_call_schema.model_json_schema()["properties"] == {  # type: ignore[union-attr]
        "user_query": {
            "description": (
                "This is the full input query as received from the user. "
                "Do not truncate or modify the query in any way."
            ),
            "title": "User Query",
            "type": "string",
        }
    }
    other = RegexExtractor([Pattern(name="a", regex="a")], name="codes", description="Finds a.")
    assert (other.name, other.description, other.invoke({"user_query": "a"})) == ("codes", "Finds a.", {"a": ["a"]})


def test_its_policy_sets_no_time_limit_and_can_be_replaced() -> None:
    assert policy_of(CODES) == ToolPolicy(timeout_s=None)
    slow = with_policy(CODES, ToolPolicy(timeout_s=5))
    assert policy_of(slow).timeout_s == 5
    assert policy_of(CODES).timeout_s is None
    assert slow.invoke({"user_query": OBJREF}) == {"objref": [OBJREF]}


def test_copies_and_pickles_find_the_same() -> None:
    for twin in (copy.deepcopy(CODES), pickle.loads(pickle.dumps(CODES))):
        assert twin.extract(f"{URN} {OBJREF}") == CODES.extract(f"{URN} {OBJREF}")
        assert twin.patterns == CODES.patterns


def test_matches_and_near_misses_cannot_be_changed() -> None:
    (match,) = CODES.extract(OBJREF)
    (miss,) = CODES.near_misses(OBJREF + "X")
    assert isinstance(match, Match)
    assert isinstance(miss, NearMiss)
    for item in (match, miss, CODES.patterns[0]):
        with pytest.raises(AttributeError):
            item.pattern = "x"  # type: ignore[misc, union-attr]


# Bad input


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"GL", "The text is bytes, not str: decode it first"),
        (bytearray(b"GL"), "The text is bytearray, not str: decode it first"),
        (None, r"The text is NoneType \(None\), not str"),
        (["GL"], "The text is list"),
    ],
)
@pytest.mark.parametrize("method", ["values", "extract", "near_misses"])
def test_a_text_that_is_none(text: object, message: str, method: str) -> None:
    with pytest.raises(InputError, match=message):
        getattr(CODES, method)(text)


def test_a_text_over_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert extractor_module.MAX_CHARS == 64 * 1024 * 1024
    monkeypatch.setattr(extractor_module, "MAX_CHARS", 10)
    assert CODES.values("x" * 10) == {}
    with pytest.raises(InputError, match="The text has 11 characters, the limit is 10: extract from parts of it"):
        CODES.values("x" * 11)


CHECK_NAMES = "give 'luhn', 'mod97', 'uuid', 'uuid4', 'uuid7' or 'isbn', a function, or None"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": ""}, "pattern '', field 'name', value '': give a text that is not blank"),
        ({"name": " "}, "pattern '', field 'name', value ' ': give a text that is not blank"),
        ({"name": 3}, "pattern '3', field 'name', value 3: give a text that is not blank"),
        ({"regex": ""}, "field 'regex', value '': it matches the empty text; ask for at least one character"),
        ({"regex": 5}, "field 'regex', value 5: give a text"),
        ({"regex": "("}, r"field 'regex', value '\(': RE2 cannot read it: missing \)"),
        ({"regex": "a*"}, "field 'regex'.*matches the empty text"),
        ({"regex": "(?=a)b"}, r"RE2 does not have lookahead \(invalid perl operator: \(\?=\).*boundary"),
        ({"regex": "(?!a)b"}, "RE2 does not have lookahead"),
        ({"regex": r"(?<!\d)b"}, "RE2 does not have lookbehind"),
        ({"regex": "(?>a)b"}, "RE2 does not have atomic groups"),
        ({"regex": r"(a)\1"}, "RE2 does not have back-references"),
        ({"regex": r"a\Z"}, r"RE2 writes the end of the text \\z"),
        ({"regex": "a{2000}"}, "invalid repetition size"),
        ({"regex": r"a\C"}, r"\\C matches half a character"),
        ({"regex": "a\ud800"}, "holds a lone surrogate"),
        ({"near": "("}, r"field 'near', value '\(': RE2 cannot read it"),
        ({"near": ""}, "field 'near', value '': give a text that is not blank, or None"),
        ({"parameter": ""}, "field 'parameter', value '': give a text that is not blank, or None"),
        ({"group": 1}, "field 'group', value 1: the regex has no such group; it has 0"),
        (
            {"regex": "(?P<id>a)", "group": "ids"},
            "field 'group', value 'ids': the regex has no such group; it has 0, 1, id",
        ),
        ({"regex": "(a)", "group": "1"}, "field 'group', value '1'"),
        ({"group": True}, "field 'group', value True: give the number or the name"),
        ({"template": ""}, "field 'template', value '': give a text that is not blank, or None"),
        ({"template": "{id}"}, "field 'template', value '{id}': the regex has no group 'id'; it has 0"),
        ({"template": "{0.real}"}, "field 'template'.*not the name or number of a group"),
        ({"template": "{0:>9}"}, "field 'template'.*not the name or number of a group"),
        ({"template": "{0!r}"}, "field 'template'.*not the name or number of a group"),
        ({"template": "{}"}, "field 'template'.*not the name or number of a group"),
        ({"template": "{0"}, "field 'template'.*double any other brace"),
        ({"boundary": "word"}, "field 'boundary', value 'word': give 'token' or 'none'"),
        ({"ignore_case": 1}, "field 'ignore_case', value 1: give true or false"),
        ({"unique": "yes"}, "field 'unique', value 'yes': give true or false"),
        (
            {"normalize": ["nfc"]},
            r"field 'normalize', value \['nfc'\]: "
            'give a list of texts out of "nfkc", "hyphens", "lower" and "upper"',
        ),
        ({"normalize": "lower"}, "field 'normalize', value 'lower': give a list of texts out of"),
        ({"normalize": ["lower", "upper"]}, "lower and upper exclude each other"),
        ({"validate": "iban"}, f"field 'validate', value 'iban': {CHECK_NAMES}"),
        ({"validate": 5}, f"field 'validate', value 5: {CHECK_NAMES}"),
        ({"context": "order"}, "field 'context', value 'order': give a list of texts"),
        ({"context": [" "]}, "field 'context'.*a word is empty"),
        ({"context_chars": 0}, "field 'context_chars', value 0: give a whole number from 1"),
        ({"priority": 1.5}, "field 'priority', value 1.5: give a whole number"),
        ({"max_matches": 0}, "field 'max_matches', value 0: give a whole number from 1"),
        ({"max_matches": True}, "field 'max_matches', value True: give a whole number from 1, or None"),
        ({"description": None}, "field 'description', value None: give a text"),
        ({"examples": [1]}, r"field 'examples', value \[1\]: give a list of texts"),
        ({"examples": ["b"]}, "field 'examples', value 'b': nothing is found in it; fix the regex or the example"),
        (
            {"examples": ["xa"]},
            "field 'examples', value 'xa': nothing is found in it .has more letters or digits before",
        ),
        ({"non_examples": ["-a"]}, "field 'non_examples', value '-a': 'a' is found in it"),
    ],
)
def test_a_pattern_that_cannot_work(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        one(**{"regex": "a", **fields})
    if "name" not in fields:
        assert "pattern 'p'" in str(caught.value)


def test_patterns_that_cannot_work_together() -> None:
    pattern = Pattern(name="p", regex="a")
    with pytest.raises(ConfigError, match="pattern 'p', field 'name', value 'p': two patterns have it"):
        RegexExtractor([pattern, pattern])
    with pytest.raises(
        ConfigError, match=r"RegexExtractor: patterns is \(\): give a list of Pattern, at least one: \[Pattern"
    ):
        RegexExtractor([])
    with pytest.raises(ConfigError, match=r"RegexExtractor: patterns is Pattern\(.*: give a list of Pattern"):
        RegexExtractor(pattern)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"RegexExtractor: patterns is \('a',\): give a list of Pattern"):
        RegexExtractor(["a"])  # type: ignore[list-item]


GOOD = "[[pattern]]\nname = 'p'\nregex = 'a'\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"has no pattern; add a \[\[pattern\]\] table"),
        ("pattern = []", "has no pattern"),
        ("[[pattern]", r"is not valid TOML: .*line 1"),
        ('[[pattern]]\nname = "p"\nregex = "\\d"\n', "is not valid TOML.*single quotes"),
        ("[pattern]\nname = 'p'\n", "'pattern' is a dict; write .*double brackets"),
        ("pattern = ['a']", r"pattern 1 is 'a'; write a \[\[pattern\]\] table"),
        ("[[patterns]]\nname = 'p'\n", "unknown key 'patterns'"),
        (GOOD + "regexp = 'b'\n", "pattern 'p', field 'regexp': no such field; choose from name, regex, parameter"),
        (GOOD + "engine = 're'\n", "pattern 'p', field 'engine', value 're': give 're2' or 'regex'"),
        (GOOD + "[[pattern]]\nregex = 'b'\n", "pattern 2, field 'name': it is missing; write name"),
        ("[[pattern]]\nname = 'p'\n", "pattern 'p', field 'regex': it is missing"),
        (GOOD + "group = 2\n", "pattern 'p', field 'group', value 2"),
        (GOOD + "self = 2\n", "pattern 'p', field 'self': no such field"),
        (GOOD + "ignore_case = 'yes'\n", "pattern 'p', field 'ignore_case', value 'yes': give true or false"),
        (GOOD + "examples = ['b']\n", "pattern 'p', field 'examples', value 'b': nothing is found"),
        (GOOD + GOOD, "pattern 'p', field 'name', value 'p': two patterns have it"),
        ("[[pattern]]\nname = 'p'\nregex = '(?=x)a'\n", "pattern 'p', field 'regex'.*RE2 does not have lookahead"),
    ],
)
def test_a_file_that_cannot_work(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "codes.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=message) as caught:
        RegexExtractor.from_toml(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file; check the path"):
        RegexExtractor.from_toml(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        RegexExtractor.from_toml(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"[[pattern]]\nname = '\xe9'\n")
    with pytest.raises(ConfigError, match=r"is not UTF-8 \(byte 20\); save it as UTF-8"):
        RegexExtractor.from_toml(tmp_path / "latin.toml")


def test_a_file_with_a_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "codes.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert RegexExtractor.from_toml(str(path), name="mine").invoke({"user_query": "a"}) == {"p": ["a"]}


# What a model is told is left out


def test_a_near_miss_is_told_to_the_model_beside_the_values() -> None:
    result = CODES.invoke({"user_query": f"ref {OBJREF} and {OBJREF}XXXX"})
    assert result == {
        "objref": [OBJREF],
        "warnings": [f"objref '{OBJREF}XXXX' is left out: it has more letters or digits after it"],
    }
    assert CODES.values(f"{OBJREF}XXXX") == {}


def test_only_the_first_near_misses_are_told_and_the_others_are_counted() -> None:
    many = " ".join(f"GLPNT{number:04}GUJOGGEXX" for number in range(8))
    told = CODES.invoke({"user_query": many})["warnings"]
    assert len(told) == extractor_module.MAX_TOLD + 1
    assert told[-1] == "and 3 more like these"


def test_no_parameter_may_be_called_warnings() -> None:
    with pytest.raises(ConfigError, match="pattern 'p', field 'parameter', value 'warnings'.*use another"):
        one(regex="a", parameter="warnings")


@pytest.mark.parametrize("blanks", [" ", "\t ", "\u00a0", "\n", "\n \n"])
def test_long_runs_of_blanks_are_gone_over_once(blanks: str) -> None:
    # Square time would take an hour here, and be stopped by the limit of every test.
    text = f"{OBJREF}{blanks * (500_000 // len(blanks))}{OBJREF}"
    assert CODES.near_misses(text) == []
    assert "warnings" not in CODES.invoke({"user_query": text})


def test_a_file_of_brackets_and_a_path_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "codes.toml"
    path.write_text("a = " + "[" * 50_000)
    with pytest.raises(ConfigError, match=r"codes.toml: is nested too deep"):
        RegexExtractor.from_toml(path)
    with pytest.raises(ConfigError, match=r"The path to the patterns is None: give the path of a TOML file"):
        RegexExtractor.from_toml(None)  # type: ignore[arg-type]
