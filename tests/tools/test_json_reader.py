"""The lenient JSON reader: what stands around a value is forgiven, the value itself is never touched."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.property_tests import PATIENT

from agentkit.errors import InputError
from agentkit.tools import read_json
from agentkit.tools.json_reader import MAX_DEPTH

# A loaded machine must not fail a test.
NBSP = "\u00a0"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1}', {"a": 1}),
        (
            '```json JSON\n[\n    {\n        "taxonomies": [\n            "SPORT"\n        ]\n    }\n]\n```',
            [{"taxonomies": ["SPORT"]}],
        ),
        (f'```json JSON\n[\n{NBSP}{NBSP} {{\n{NBSP} "urn":{NBSP}["urn:1"]\n{NBSP}}}\n]\n```', [{"urn": ["urn:1"]}]),
        ("[{'taxonomies': ['CARS', 'TRUCKS']}]", [{"taxonomies": ["CARS", "TRUCKS"]}]),
        ("{'a': None, 'b': True, 'c': False, 'd': -1.5e3}", {"a": None, "b": True, "c": False, "d": -1500.0}),
        ('{"a": [1, 2,], }', {"a": [1, 2]}),
        ('Here you are: {"a": 1}. Anything else?', {"a": 1}),
        ('\ufeff \u200b\n{"a": 1}\u2028', {"a": 1}),
        ("```\n[1, 2]\n```", [1, 2]),
        ("~~~json\n[1, 2]\n~~~", [1, 2]),
        ("````json\n[1, 2]\n````", [1, 2]),
        ('Sure:\n```json\n{"a": 1}', {"a": 1}),
        ('Inline ```json {"a": 1}``` it is.', {"a": 1}),
        ('```json\n// the answer\n{"a": 1}\n```', {"a": 1}),
        ('```python\nresult = {"a": 1}\n```', {"a": 1}),
        ("[]", []),
        ("{}", {}),
        ("42", 42),
        ("  -0.5\n", -0.5),
        ('"text"', "text"),
        ("null", None),
        ("```json\ntrue\n```", True),
        ('```\n"a ``` b"\n```', "a ``` b"),
    ],
)
def test_what_it_reads(text: str, expected: object) -> None:
    assert read_json(text) == expected


@pytest.mark.parametrize(
    "value",
    [
        {"json": "the word json", "a": "`code` and ```json fences```"},
        {"a": f"nbsp{NBSP}stays", "b": "it's", "c": "O'Brien says 'hi'"},
        {"a": "{not: an object}", "b": "[1, 2,]", "c": "True, None and NaN"},
        {"a": "trailing , ]", "b": "// no comment", "c": 'tab\tnewline\nquote" backslash\\ slash/ \u2028'},
        ["", " ", "\u200b", "\ufeff", "\x00", "😀", "\ud800", "é"],
    ],
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_no_character_inside_a_string_changes(value: object, ascii_only: bool) -> None:
    written = json.dumps(value, ensure_ascii=ascii_only)
    assert read_json(written) == value
    assert read_json(f"Here:\n```json JSON\n{written}\n```\nDone.") == value
    assert read_json(f"The answer {{so far}} is {written} [as asked].") == value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)
TRICKY = st.text(st.sampled_from("\"'`\\{}[],:/ njsonu\u00a0\n0"), max_size=12)
TRICKY_JSON = st.recursive(
    TRICKY, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TRICKY, inner, max_size=3), max_leaves=8
)
CONTAINERS = st.one_of(JSON, TRICKY_JSON).map(lambda value: value if isinstance(value, (list, dict)) else [value])
PROSE = st.text(st.characters(exclude_characters="`~{}[]", exclude_categories=["Cs"]), max_size=30)


def same(left: object, right: object) -> bool:
    return json.dumps(left) == json.dumps(right)


@PATIENT
@given(st.one_of(JSON, TRICKY_JSON), st.sampled_from([None, 1, "\u00a0\u00a0"]), st.booleans(), PROSE, PROSE)
def test_any_value_in_a_fence_reads_back_equal(
    value: object, indent: int | str | None, ascii_only: bool, before: str, after: str
) -> None:
    written = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    for info in ("", "json", "json JSON"):
        assert same(read_json(f"{before}\n```{info}\n{written}\n```\n{after}"), value)


@PATIENT
@given(CONTAINERS, PROSE, PROSE)
def test_any_array_or_object_in_prose_reads_back_equal(value: object, before: str, after: str) -> None:
    assert same(read_json(f"So {before}{json.dumps(value)}{after}"), value)
    assert same(read_json(f"use {{x}} like [this one] {before} {json.dumps(value)} {after} (see {{y}})"), value)


@PATIENT
@given(CONTAINERS)
def test_a_python_literal_reads_back_equal(value: object) -> None:
    assert same(read_json(repr(value)), value)


@PATIENT
@given(CONTAINERS, st.data())
def test_a_value_that_is_cut_is_never_read_in_part(value: object, data: st.DataObject) -> None:
    written = json.dumps({"items": value})
    cut = data.draw(st.integers(len('{"items":'), len(written) - 1))
    with pytest.raises(InputError, match="cannot be read on at"):
        read_json(f"Here it is: {written[:cut]}")


@PATIENT
@given(st.text(st.sampled_from("{}[]\"'`~,:\\ \n\u00a0truenl1aJ-.")))
def test_any_text_gives_a_value_or_an_input_error(text: str) -> None:
    try:
        read_json(text)
    except InputError as error:
        assert str(error)


def test_a_fence_that_holds_only_a_value_comes_before_prose() -> None:
    assert read_json('Template: {"a": <value>} or [1].\n```json\n{"a": 1}\n```\nSee [2].') == {"a": 1}
    assert read_json('First {"a": "```"} then\n```json\n{"a": 1}\n```') == {"a": 1}


def test_strict_json_in_a_fence_comes_before_a_python_literal_in_another() -> None:
    assert read_json("```python\n{'a': 1}\n```\n```json\n{\"a\": 2}\n```") == {"a": 2}


def test_a_closing_fence_does_not_open_another() -> None:
    assert read_json('```python\nprint()\n```\nso {"a": 1}\n```text\nbye\n```') == {"a": 1}


def test_the_same_value_twice_is_one_value() -> None:
    assert read_json('{"a": [1], "b": 2} and again {"b": 2, "a": [1]}') == {"a": [1], "b": 2}
    with pytest.raises(InputError, match="2 different JSON values"):
        read_json("[1] [true]")


def test_raw_line_breaks_in_strings_are_kept() -> None:
    assert read_json('["two\nlines"]') == ["two\nlines"]


def test_escapes() -> None:
    assert read_json(r"""["\u00e9\ud83d\ude00\n\"\\\/", 'it\'s "so"', '\xa0\U0001f600']""") == [
        'é😀\n"\\/',
        'it\'s "so"',
        "\u00a0😀",
    ]


def test_nan_and_infinities_are_read_as_the_json_module_reads_them() -> None:
    nan, most, least = read_json("[NaN, Infinity, -Infinity]")
    assert math.isnan(nan)
    assert (most, least) == (math.inf, -math.inf)


def test_a_key_given_twice() -> None:
    assert read_json('{"a": 1, "a": 1}') == {"a": 1}
    with pytest.raises(InputError, match=r"The key 'a' is given twice with different values, again at line 1, char"):
        read_json('{"a": 1, "a": true}')


def test_nesting_up_to_the_limit() -> None:
    value = read_json("see " + "[" * MAX_DEPTH + "]" * MAX_DEPTH)
    assert json.dumps(value) == "[" * MAX_DEPTH + "]" * MAX_DEPTH
    for text in ("[" * 200_000, '{"a":' * 200_000, "x" + "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)):
        with pytest.raises(InputError, match=r"nested more than 100 deep at line 1, character .*flatter"):
            read_json(text)


@pytest.mark.parametrize(
    "piece", ['["', "['", "[ ", "{ ", "```", "```\n", "~~~ ", "[1,", '["\\', "[[]", '{"a" ', "\u00a0", "[{", "[-"]
)
def test_hostile_repetition_is_read_once(piece: str) -> None:
    # Quadratic work on this would outlast the suite's time limit many times over.
    with pytest.raises(InputError):
        read_json(piece * 100_000)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"no JSON array or object in the answer \(0 characters.*ask the model for the JSON alone"),
        ("I am sorry.", r"no JSON array or object in the answer \(11 characters: 'I am sorry.'\)"),
        ("use {x} like [y]", "no JSON array or object"),
        ("The answer is 42.", "no JSON array or object"),
        ("None", "no JSON array or object"),
        ("9" * 5000, "no JSON array or object"),
        ("[1 1]", r"begins at line 1, character 1 cannot be read on at line 1, character 4: a comma or \] must follow"),
        ('["a', "cannot be read on at line 1, character 2: the string is never closed"),
        (
            '[1] and {"a": 1}',
            r"2 different JSON values .*\[1\] at line 1, character 1, {\"a\": 1} at line 1, character 9",
        ),
        ('```\n{"a": 1}\n```\n```\n{"a": 2}\n```', "2 different JSON values.*ask the model for one"),
        (
            'ok:\n[{"a": 1}, {"b": [1, 2',
            "begins at line 2, character 1 .* seen the end of the answer. If the answer was",
        ),
        ('[{"a": 1}, oops, {"b": 2}]', "cannot be read on at line 1, character 12: a value must follow, seen 'oops"),
        ('{"a": 1 "b": 2}', "a comma or } must follow, seen '\"b\": 2}'"),
        ('{"a": 1, b: 2}', "a key must be in quotes, seen 'b: 2}'"),
        ("{a: [1, 2]}", "a key must be in quotes, seen 'a:"),
        ('{"a": 1, 2: 3}', "a key must be in quotes"),
        ('{"a" "b"}', "a colon must follow the key"),
        ('{"a": "\\d"}', "this escape is unknown"),
        ('{"a": "\\u12"}', "this escape is unknown"),
        ('{"a": "\\U00110000"}', "this escape is unknown"),
        ('{"a": 01}', "a comma or } must follow, seen '1}'"),
        ('{"a": .5}', "a value must follow, seen '.5}'"),
        ('{"a": ' + "9" * 5000 + "}", "the number has too many digits"),
        ("{'name': 'O'Brien'}", 'a comma or } must follow, seen "Brien\'}"'),
        ('{"a": ...}', "a value must follow, seen '...}'"),
        ('{"a": 1', "a comma or } must follow, seen the end of the answer"),
    ],
)
def test_what_it_cannot_read_and_what_it_says(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_json(text)


@pytest.mark.parametrize("text", [b"{}", None, {"a": 1}])
def test_what_is_no_text(text: object) -> None:
    with pytest.raises(InputError, match=f"read_json takes a str, got {type(text).__name__}"):
        read_json(text)
