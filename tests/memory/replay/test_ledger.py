"""A replay says what was observed last, or marks the place: never what is no longer so."""

import csv
import io
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit import Step, Turn
from agentkit.memory import Memory
from agentkit.memory.condense.tree import CUT, cut_text, fit, node_of, write


def session(*calls, mode="objects") -> Memory:
    """A turn for each call: tool, arguments, result, and the answer if there is one."""
    memory = Memory(replay=mode)
    for tool, arguments, result, *answer in calls:
        text = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
        step = Step(tool=tool, tool_input=arguments, observation=text)
        memory.append("s", Turn(input="Look.", steps=(step,), output=answer[0] if answer else "Done."))
    return memory


def results(*calls, mode="objects", max_tokens=None) -> list[str]:
    """What is written of each result."""
    messages = session(*calls, mode=mode).replay("s", max_tokens)
    if mode == "calls":
        return [m.text for m in messages if m.type == "tool"]
    return [m.text.partition("→")[2].strip() for m in messages if "→" in m.text]


LONG = "the printer on the third floor"
ORDERS = [{"id": "ORD-1", "status": "open", "what": LONG}, {"id": "ORD-2", "status": "paid", "what": LONG}]


@pytest.mark.parametrize("mode", ["objects", "calls"])
@pytest.mark.parametrize(
    ("calls", "written"),
    [
        ([("stock", {"sku": "S-77"}, {"n": n}) for n in (40, 12, 40)], ['{"n":40}', '{"n":12}', '{"n":40}']),
        (
            [("door", {"id": "D-12"}, {"open": open}) for open in (True, False, True)],
            ['{"open":true}', '{"open":false}', '{"open":true}'],
        ),
        (
            [("list", {}, ORDERS), ("list", {}, [{**ORDERS[0], "status": "paid"}, ORDERS[1]])],
            [
                f'{{"all":{{"what":"{LONG}"}},"rows":[{{"id":"ORD-1","status":"open"}},{{"id":"ORD-2","status":"paid"}}]}}',
                f'[{{"id":"ORD-1","status":"paid","what":"{LONG}"}}] … rest unchanged since t1.s1',
            ],
        ),
        (
            [("get", {"id": 1}, {"by": by, "of": LONG}) for by in ("bo", None)] + [("get", {"id": 1}, {"of": LONG})],
            [
                f'{{"by":"bo","of":"{LONG}"}}',
                '{"by":null} … rest unchanged since t1.s1',
                "… unchanged since t1.s1; no longer: by",
            ],
        ),
        (
            [("get", {"id": 1}, {"a": LONG, "b": 2}), *[("get", {"id": 1}, {"a": LONG})] * 2],
            [f'{{"a":"{LONG}","b":2}}', "… unchanged since t1.s1; no longer: b", "… unchanged since t2.s1"],
        ),
        (
            [("cart", {}, {"items": [{"sku": "A"}, {"sku": "B"}]}), ("cart", {}, {"items": []})],
            ['{"items":[{"sku":"A"},{"sku":"B"}]}', '{"items":[]}'],
        ),
        (
            [("weather", {"city": "Berlin"}, {"temp": 20}), ("sensor", {"room": "kitchen"}, {"temp": 20})],
            ['{"temp":20}', '{"temp":20}'],
        ),
        ([("find", {}, {"results": None, "total": 0})], ['{"results":null,"total":0}']),
        ([("find", {}, [])], ["[]"]),
        (
            [("book", {"at": "13:45", "for": 2}, {"at": "13:30", "for": 2, "ref": "B-1"})],
            ['{"at":"13:30","ref":"B-1"}'],
        ),
        (
            [
                ("get", {"name": "web"}, {"name": "web", "replicas": 3, "image": LONG}),
                ("scale", {"name": "web", "replicas": 5}, {"ok": True}),
                ("get", {"name": "web"}, {"name": "web", "replicas": 3, "image": LONG}),
            ],
            [f'{{"replicas":3,"image":"{LONG}"}}', '{"ok":true}', '{"replicas":3} … rest unchanged since t1.s1'],
        ),
        ([("list", {}, "['ORD-1001' 'ORD-1002']")], ["['ORD-1001' 'ORD-1002']"]),
        ([("read", {}, "-375.50")], ["-375.50"]),
        ([("read", {}, ".env.production")], [".env.production"]),
    ],
)
def test_what_is_written(calls, written, mode):
    assert results(*calls, mode=mode) == written


def test_the_thing_an_argument_names_is_known_across_tools():
    rows = [{"place": f"{n} {LONG}", "name": f"House {n}", "phone": f"707-{n}", "rent": 1000 + n} for n in range(3)]
    visit = {**rows[1], "when": "Monday"}
    assert results(("find", {"area": "X"}, rows), ("visit", {"name": "House 1"}, visit))[1] == (
        '{"when":"Monday"} … rest unchanged since t1.s1'
    )


def test_what_another_tool_said_otherwise_meanwhile_is_said_again():
    first = ("list", {"of": "P"}, ORDERS)
    said = results(first, ("get", {"id": "ORD-1"}, {**ORDERS[0], "status": "held"}), first)
    assert '"status":"held"' in said[1] and '"id":"ORD-1","status":"open"' in said[2]


def test_code_that_is_run_again_is_named():
    code = "import pandas as pd\ndf = pd.read_csv('a.csv')"
    first, second = (m.text for m in session(*[("py", {"code": code}, "ok")] * 2).replay("s") if m.type == "human")
    assert "\n import pandas as pd\n df = " in first and "code: … as in t1.s1" in second


@pytest.mark.parametrize("max_tokens", [100, 120])
def test_the_newest_result_does_not_go_first(max_tokens):
    rows = [{"id": f"ORD-{n}", "item": f"thing number {n}", "status": "open"} for n in range(1, 9)]
    paid = [{**row, "status": "paid"} if row["id"] == "ORD-3" else row for row in rows]
    calls = [("list", {}, {"orders": rows}), ("pay", {"id": "ORD-3"}, {"ok": True}), ("list", {}, {"orders": paid})]
    text = session(*calls).replay("s", max_tokens)[-2].text
    assert '"id":"ORD-1","item":"thing number 1"' in text and "more" in text and "… t3.s1" in text


# --- a changing world --------------------------------------------------------------------------------------------

NAMES, FIELDS = ("KA-1", "LO-2", "MU-3"), ("status", "owner", "due")
VALUES = {(e, f): [f"{f}{i}of{e.replace('-', '')}{v}" for v in "xyz"] for i, e in enumerate(NAMES) for f in FIELDS}
CHANGES = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from((*FIELDS, "")), st.sampled_from((0, 1, 2, None))), max_size=3
)
FORMS = ("record", "bare", "rows", "mapping", "csv", "nested")
LOOKS = st.lists(st.tuples(CHANGES, st.sampled_from(FORMS), st.sampled_from(NAMES)), min_size=1, max_size=7)


def observed(world, form, name):
    """A call that shows the world, its result, and the things it shows."""
    if form in ("record", "bare", "nested"):
        record = {"id": name, **world.get(name, {})} if form != "bare" else dict(world.get(name, {}))
        shown = {"data": {"item": record}} if form == "nested" else record
        return form, {"item": name}, json.dumps(shown), [name]
    if form == "rows":
        return form, {"of": "P"}, json.dumps([{"id": e, **fields} for e, fields in world.items()]), list(world)
    if form == "mapping":
        return form, {}, json.dumps(world), list(world)
    out = io.StringIO()
    csv.writer(out).writerows([["id", *FIELDS], *([e, *map(f.get, FIELDS)] for e, f in world.items())])
    return form, {}, out.getvalue(), list(world)


@settings(max_examples=300, deadline=None)
@given(LOOKS, st.sampled_from(["objects", "calls"]), st.sampled_from([None, 0.7, 0.4]))
def test_what_is_stated_last_is_what_was_observed_last_or_marked(looks, mode, share):
    world = {e: {f: VALUES[e, f][0] for f in FIELDS} for e in NAMES}
    calls, last = [], {}
    for changes, form, name in looks:
        for entity, field, value in changes:
            if not field:
                world.pop(entity, None)
            elif entity in world:
                world[entity][field] = None if value is None else VALUES[entity, field][value]
        if name not in world and form in ("record", "bare", "nested"):
            continue
        tool, arguments, result, things = observed(world, form, name)
        calls.append((tool, arguments, result))
        last |= {(e, f): world[e][f] for e in things for f in FIELDS}
    if not calls:
        return
    memory = session(*calls, mode=mode)
    budget = None if share is None else max(60, int(share * sum(len(str(call)) for call in calls) / 3))
    replayed = memory.replay("s", budget)
    assert replayed == memory.replay("s", budget)
    text = "\n".join([str(m.content) + json.dumps(getattr(m, "tool_calls", [])) for m in replayed])
    for (entity, field), truth in last.items():
        places = [(m.start(), v) for v in VALUES[entity, field] for m in re.finditer(rf"\b{v}\b", text)]
        at, shown = max(places, default=(0, None))
        after = text[at:]
        if truth is None:
            others = [v for f in FIELDS if f != field and (v := last[entity, f]) is not None]
            assert shown is None or field in after or CUT in after or all(v in after for v in others)
        else:
            assert shown == truth or CUT in after or (budget is not None and CUT in text and shown is None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=8), inner, max_size=6),
    max_leaves=40,
)


def scalars(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return [repr(value)] if inner is None else [leaf for item in inner for leaf in scalars(item)]


@settings(max_examples=300, deadline=None)
@given(JSON, st.integers(10, 400))
def test_a_tree_is_cut_to_json_whose_values_are_its_own(value, room):
    node = node_of(value)
    fit(node, room)
    assert write(node_of(value)) == json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    written = json.loads(write(node))
    known = {*scalars(value), *(repr(key) for key in re.findall(r'"((?:[^"\\]|\\.)*)":', json.dumps(value)))}
    marked = [leaf for leaf in scalars(written) if leaf not in known]
    assert all(CUT in leaf for leaf in marked) or CUT in json.dumps(written, ensure_ascii=False)


@settings(max_examples=200, deadline=None)
@given(st.text("ab \n", max_size=400), st.integers(1, 200))
def test_a_text_is_cut_by_whole_lines_or_words(text, room):
    cut = cut_text(text, room)
    pieces = [piece for piece in re.split(r"…(?: \d+ lines …)?", cut) if piece.strip()]
    assert all(piece.strip() in text for piece in pieces)
    assert len(cut) <= room + 30 or cut == text


def test_rows_stay_whole_and_those_that_are_named_stay():
    rows = [{"id": f"R-{n}", "price": n * 7, "city": f"town {n}"} for n in range(40)]
    calls = [("list", {}, rows, "R-33 is the best."), ("other", {}, "x")]
    text = results(*calls)[0]
    body, _, mark = text.rpartition(" … ")
    *kept, more = json.loads(body)
    assert all(row in rows for row in kept) and rows[33] in kept and mark == "t1.s1"
    ((count, names),) = more.items()
    assert count == f"… {40 - len(kept)} more" and names["id"][0] == rows[len(kept) - 1]["id"]
