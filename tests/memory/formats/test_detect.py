"""Results are read whatever they are written in."""

import datetime
import json
from collections import OrderedDict, defaultdict
from dataclasses import dataclass
from decimal import Decimal

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from agentkit.memory.formats.detect import read
from agentkit.memory.formats.yaml_text import parse_yaml, read_yaml

ORDER = {
    "id": "A-17",
    "at": {"city": "Köln", "zip": "02134"},
    "items": [{"sku": "S-1", "qty": 2}, {"sku": "S-2", "qty": 3}],
}
TEXTS = {
    "json": json.dumps(ORDER),
    "indented": json.dumps(ORDER, indent=2),
    "python": repr(ORDER),
    "yaml": yaml.safe_dump(ORDER, sort_keys=False, allow_unicode=True),
    "markdown": """- **id**: A-17
- **at**:
  - **city**: Köln
  - **zip**: "02134"
- **items**:
  1. **sku**: S-1
     **qty**: 2
  2. **sku**: S-2
     **qty**: 3""",
    "paths": """id: A-17
at.city: Köln
at.zip: '02134'
items[0].sku: S-1
items[0].qty: 2
items[1].sku: S-2
items[1].qty: 3""",
    "a block of text": json.dumps([{"type": "text", "text": json.dumps(ORDER)}]),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_the_same_tree_whatever_it_is_written_in(text):
    assert read(text) == ORDER


def test_xml():
    text = (
        '<?xml version="1.0"?>\n<order id="A-17"><at><city>Köln</city></at>'
        '<item sku="S-1"><qty>2</qty></item><item sku="S-2"/></order>'
    )
    items = [{"sku": "S-1", "qty": "2"}, {"sku": "S-2"}]
    assert read(text) == {"order": {"id": "A-17", "at": {"city": "Köln"}, "item": items}}
    assert read("<a>1</a>\n<a>2</a>") == {"a": ["1", "2"]}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (f"Result: {json.dumps(ORDER)}", {"Result": ORDER}),
        (f"Result: {ORDER!r}", {"Result": ORDER}),
        (
            f"Here is what I found:\n```json\n{json.dumps(ORDER)}\n```\nIs it this one?",
            {"text": "Here is what I found: … Is it this one?", **ORDER},
        ),
        ('2 found. [{"a": 1}, {"a": 2}]', {"text": "2 found.", "result": [{"a": 1}, {"a": 2}]}),
        ('{"body": "{\\"id\\": \\"A-17\\"}", "status": 200}', {"body": {"id": "A-17"}, "status": 200}),
        ('{"content": [{"type": "text", "text": "a: 1\\nb: x"}]}', {"content": {"a": 1, "b": "x"}}),
        (
            '{"content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]}',
            {"content": ["one", "two"]},
        ),
        ("Order: A-1\nQty: 2\n\nOrder: B-2\nQty: 3", [{"Order": "A-1", "Qty": 2}, {"Order": "B-2", "Qty": 3}]),
        (
            "Found 2:\n- id: A-1\n  qty: 2\n- id: B-2\n  qty: 3",
            {"Found 2": [{"id": "A-1", "qty": 2}, {"id": "B-2", "qty": 3}]},
        ),
        ("a: |\n  one\n  b: two\nc: 3", {"a": "one\nb: two\n", "c": 3}),
        ("- a: one and\n    the rest\n  b: 2\n- a: x", [{"a": "one and the rest", "b": 2}, {"a": "x"}]),
        ("HOME=/root\nN=3", {"HOME": "/root", "N": 3}),
        ('{"a": 1}\n{"a": 2}', {"rows": [{"a": 1}, {"a": 2}]}),
    ],
)
def test_what_stands_in_other_text(text, value):
    assert read(text) == value


@dataclass
class Line:
    sku: str
    qty: int


class Order(BaseModel):
    id: str
    lines: list[str]


@pytest.mark.parametrize(
    ("value", "tree"),
    [
        (Line("S-1", 2), {"Line": {"sku": "S-1", "qty": 2}}),
        ([Line("S-1", 2), Line("S-2", 3)], [{"sku": "S-1", "qty": 2}, {"sku": "S-2", "qty": 3}]),
        (Order(id="A-17", lines=["S-1"]), {"id": "A-17", "lines": ["S-1"]}),
        ({"at": datetime.date(2024, 5, 1), "price": Decimal("1.50")}, {"at": "2024-05-01", "price": "1.50"}),
        ([datetime.datetime(2024, 5, 1, 12)], ["2024-05-01T12:00"]),
        ([datetime.datetime(2024, 5, 1, 12, 30, 15, 7)], ["2024-05-01T12:30:15"]),
        ([datetime.timedelta(1, 2, 3)], [{"days": 1, "seconds": 2, "microseconds": 3}]),
        (defaultdict(list, {"a": [1]}), {"a": [1]}),
        (OrderedDict(a=1), {"a": 1}),
        ({1: b"x", "t": (1,), "no": None, "f": float("nan")}, {"1": "x", "t": [1], "no": None, "f": "nan"}),
    ],
)
def test_what_python_prints(value, tree):
    assert read(str(value)) == tree


@pytest.mark.parametrize(
    "text",
    [
        "",
        "one line",
        "{broken",
        "Dear all,\nthe meeting is on 3 May.",
        "def f(x):\n    return x",
        "- first, open the door\n- then go in",
        "print('x', 2)",
        "<p>Hello <b>you</b> there</p>",
        "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
        "Look at this long text, in which a small {'a': 1} stands somewhere that does not matter",
        "```\na\n```\nand\n```\nb\n```",
        "a: 1\n  b: 2\n c: 3",
    ],
)
def test_what_is_left_as_text(text):
    assert read(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        "{'a':" * 50_000,
        "[" + "-" * 200_000 + "1]",
        "f(" * 100_000,
        "<a>" * 100_000 + "</a>" * 100_000,
        "- " * 50_000 + "a: 1\nb: 2",
        "\n".join(" " * n + "k:" for n in range(1000)),
        "x: " + "{[" * 100_000,
        "```\n" * 50_000,
        "a[99999].b[99999].c: 1\n" + "\n".join(f"a[{n}].b: {n}" for n in range(2000)),
    ],
)
def test_no_text_brings_it_down(text):
    read(text)


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("ab1 \n-:={}[]()'\"<>/,.`*…"), max_size=200))
def test_any_text_can_be_read(text):
    read(text)


PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**12), 10**12),
    st.floats(-1e6, 1e6, allow_nan=False),
    st.text("ab: -'\"\\é\n", max_size=12),
)
TREE = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("xy z", min_size=1), inner, max_size=4)
).filter(lambda value: isinstance(value, (dict, list)))


def test_escapes_python_does_not_know_stay_as_they_are():
    assert read(r"{'a': '\d\x41\u00e9\U0001F600\n\'', 'b': b'\x00'}") == {"a": "\\dAé😀\n'", "b": r"\x00"}


@settings(max_examples=300, deadline=None)
@given(TREE)
def test_whatever_python_prints_is_what_it_was(tree):
    assert read(repr(tree)) == tree


KEY = st.sampled_from(["id", "name", "ship_to", "q__", "total_2", "n-a", "zip code"])
NAME = st.sampled_from(
    [
        "Ann",
        "Lisbon Porto Faro " * 9 + "Rome",
        "Jo Li",
        "A-17",
        "2024-05-01",
        "02134",
        "a/b.txt",
        "x (y)",
        "10:30",
        "1.5 kg",
    ]
)
RECORD = st.dictionaries(KEY, NAME | st.integers(0, 10**6), min_size=2, max_size=4)
RECORDS = st.dictionaries(KEY, RECORD | NAME | st.lists(RECORD, min_size=2, max_size=3), min_size=2, max_size=4)


@settings(max_examples=200, deadline=None)
@given(RECORDS)
def test_records_in_yaml_are_read(tree):
    assert read(yaml.safe_dump(tree, sort_keys=False)) == tree


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("# who\nname: Ann\nage: 3  # years", {"name": "Ann", "age": 3}),
        ("---\nname: Ann\nage: 3", {"name": "Ann", "age": 3}),
        ("kind: Pod\n---\nkind: Service\n", [{"kind": "Pod"}, {"kind": "Service"}]),
        ("tags: [a, b, 3]\nat: {x: 1, y: 2}", {"tags": ["a", "b", 3], "at": {"x": 1, "y": 2}}),
        ("{name: Ann, tags: [a, b]}", {"name": "Ann", "tags": ["a", "b"]}),
        ("a: >\n  one\n  two\n\n  three\nb: 1", {"a": "one two\nthree\n", "b": 1}),
        ("a: >-\n  one\n  two\nb: 1", {"a": "one two", "b": 1}),
        ("a: |-\n  one\n   two\nb: 1", {"a": "one\n two", "b": 1}),
        ("a: \"x\\ty\"\nb: 'it''s'", {"a": "x\ty", "b": "it's"}),
        ("- id: 1\n  to:\n  - x\n- id: 2", [{"id": 1, "to": ["x"]}, {"id": 2}]),
        ("zip: 00501\nphone: +1\noctal: 0852\nday: 2026-05-01\non: yes\nat: 12:30", None),
        ("ref: #4471\nn: 2", {"ref": "#4471", "n": 2}),
        ("empty:\nnull: ~\nno: null", {"empty": None, "null": None, "no": None}),
    ],
)
def test_yaml(text, value):
    as_written = dict(line.split(": ") for line in text.splitlines()) if value is None else value
    assert read(text) == as_written


@pytest.mark.parametrize(
    "text",
    ["a: &x 1\nb: *x", "a: &x [1]\nb: 2", "- &a {b: 1}\n- *a", "a: 1\na: 2", "? [a, b]\n: 1\nc: 2", "if x:\n    y()"],
)
def test_what_is_no_tree_or_might_grow_is_refused(text):
    assert read_yaml(text) is None


def as_yaml_reads(value):
    """A tree with the floats that YAML prints otherwise than Python as the text they were printed as."""
    if isinstance(value, dict):
        return {key: as_yaml_reads(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [as_yaml_reads(inner) for inner in value]
    printed = yaml.safe_dump(value).splitlines()[0] if isinstance(value, float) else ""
    return value if not printed or printed == str(value) else printed


YAML_KEY = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
YAML_TREE = st.recursive(
    PLAIN | st.text(max_size=30) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(YAML_KEY, inner, max_size=4),
)


@settings(max_examples=400, deadline=None)
@given(
    st.dictionaries(YAML_KEY, YAML_TREE, min_size=1, max_size=4),
    st.sampled_from([None, False]),
    st.booleans(),
    st.booleans(),
)
def test_whatever_yaml_dumps_is_what_it_was(tree, flow, unicode, indented):
    text = yaml.safe_dump(
        tree, sort_keys=False, default_flow_style=flow, allow_unicode=unicode, indent=4 if indented else None
    )
    assume(yaml.safe_load(text) == tree)  # PyYAML itself loses a lone \x85
    assert parse_yaml(text) == [as_yaml_reads(tree)]
    if len(text.splitlines()) > 1 or text.startswith("{"):
        assert read_yaml(text) == as_yaml_reads(tree)
