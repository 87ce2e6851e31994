import gzip
import json

import pytest

from agentkit import InputError, Step, Turn
from agentkit.memory import Memory
from agentkit.memory.evaluate.baselines import BASELINES
from agentkit.memory.evaluate.evaluation import draw, evaluate, run_eval
from agentkit.memory.evaluate.needed_values import Keys, holds, identifiers, is_bound, needed, normal
from agentkit.memory.evaluate.session_files import load


def turn(question: str, answer: str, *steps: tuple[str, dict, str]) -> Turn:
    chain = tuple(Step(tool=tool, tool_input=given, observation=seen) for tool, given, seen in steps)
    return Turn(input=question, output=answer, steps=chain)


ORDER = '{"order_id": "ORD-4471", "items": [{"sku": "B-17"}], "total": 1250.5}'
FIND = turn("Find Anna's order.", "Found it.", ("find_order", {"name": "Anna"}, ORDER))
REFUND = turn("Refund it.", "Done.", ("refund", {"order": "ORD-4471", "sum": 1250.5, "count": 1, "why": "late"}, "ok"))


@pytest.mark.parametrize(
    ("text", "value", "there"),
    [
        ("id ORD-4471.", "ord-4471", True),
        ("id XORD-4471", "ord-4471", False),
        ("id 44713", "4471", False),
        ("costs 1,250.5 now", "1250.5", True),
        ("costs 1250.5", "1250", False),
        ("costs 3.1250", "1250", False),
        ("it is 1250. Then", "1250", True),
        ("anything", "", True),
    ],
)
def test_a_value_stands_for_itself_only(text, value, there):
    assert holds(normal(text), value) is there


def test_identifiers():
    text = "See ORD-4471, read report.csv at anna@example.com: max_size of three things."
    assert identifiers(text) == ["ORD-4471", "report.csv", "anna@example.com", "max_size"]


def test_needed_values():
    history = normal(BASELINES["full history"]([FIND]))
    assert needed(REFUND, [FIND], history) == ["ORD-4471", "1250.5"], "not 1, and nothing that stood nowhere"
    assert needed(REFUND, [FIND], history, system="order ord-4471") == ["1250.5"]
    asked = REFUND.model_copy(update={"input": "Refund ORD-4471."})
    assert needed(asked, [FIND], history) == ["1250.5"]
    assert needed(FIND, [], "") == []
    again = turn("q", "a", ("find_order", {"name": "Bob"}, ORDER), ("refund", {"order": "ORD-4471"}, "ok"))
    assert needed(again, [FIND], history) == [], "an earlier result of the same turn holds it"


def test_bound_means_near_its_key():
    keys = Keys()
    keys.add(FIND)
    assert keys.of("ORD-4471") == {"order_id"}
    assert keys.of("B-17") == {"sku"}
    assert is_bound("order_id=ord-4471", "ORD-4471", keys.of("ORD-4471"), "")
    assert not is_bound("ord-4471 order_id", "ORD-4471", {"order_id"}, "")
    assert not is_bound("order_id" + " " * 400 + "ord-4471", "ORD-4471", {"order_id"}, "")
    assert is_bound("ord-4471", "ORD-4471", {"order_id"}, "it is ord-4471"), "said in words"
    assert is_bound("ord-4471", "ORD-4471", set(), "")


def test_evaluate_tells_the_ways_apart():
    result = evaluate({"a": [FIND, REFUND], "b": [FIND, turn("Thanks.", "Welcome.")]}, budgets=[0.5, 60])
    assert (result.sessions, result.turns, result.needed) == (2, 1, 2)
    assert [row.name for row in result.rows][-3:] == ["agentkit", "agentkit at 50 %", "agentkit at 60 tokens"]
    assert (result.row("full history").recall, result.row("full history").share) == (100, 100)
    assert result.row("human + AI").recall == 0
    assert result.row("cookbook object").recall == 0, "it drops results"
    assert result.row("masking, keep 0").recall == 0
    assert result.row("masking, keep 1").bound == 100
    assert result.row("agentkit").bound == 100
    assert result.row("agentkit at 60 tokens").tokens <= 60
    assert result.row("agentkit at 60 tokens").budget == 60


def test_stability_of_prefixes():
    turns = [turn(f"q{n}", "a", ("look", {"n": n}, f'{{"id": "X-{n}"}}')) for n in range(6)]
    result = evaluate({"a": turns}, budgets=[])
    assert result.row("agentkit").stable == 100
    assert result.row("last 3 turns").stable < 100
    assert result.row("masking, keep 1").stable == 0


@pytest.mark.parametrize("budget", [0, -1, True, "half"])
def test_impossible_budgets(budget):
    with pytest.raises(InputError, match=r"budgets \(--budget\) is"):
        evaluate({"a": [FIND]}, budgets=[budget])


SIMPLE = {
    "id": "a",
    "turns": [
        {
            "user": t.input,
            "output": t.output,
            "steps": [
                {"tool": s.tool, "input": s.tool_input, "observation": s.observation, "ok": s.ok} for s in t.steps
            ],
        }
        for t in (FIND, REFUND)
    ],
}


def test_both_formats_give_the_same(tmp_path):
    with Memory() as memory:
        memory.append("a", FIND)
        memory.append("a", REFUND)
        memory.export(tmp_path / "export.jsonl")
    (tmp_path / "simple.jsonl").write_text(json.dumps(SIMPLE) + "\n\n")
    with gzip.open(tmp_path / "simple.jsonl.gz", "wt") as file:
        file.write(json.dumps(SIMPLE))
    results = [evaluate(load([tmp_path / n])) for n in ("export.jsonl", "simple.jsonl", "simple.jsonl.gz")]
    assert results[0] == results[1] == results[2]
    names = list(load([tmp_path / "export.jsonl", tmp_path / "simple.jsonl", tmp_path / "simple.jsonl"]))
    assert names == ["a", "simple.jsonl: a", "simple.jsonl: a (2)"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"hello\n", "line 1 is no session: Invalid JSON"),
        (b'{"id": "a", "turns": []}\n{"id": "b", "turns": [{"output": ""}]}', r"line 2 is no session: turns.0.user: "),
        (b"\xff\xfe", "it is no UTF-8 text"),
        (b'{"agentkit": "memory", "version": 9}', "an export of version 9"),
    ],
)
def test_files_that_are_no_sessions(tmp_path, content, said):
    (tmp_path / "x.jsonl").write_bytes(content)
    with pytest.raises(InputError, match=said):
        load([tmp_path / "x.jsonl"])
    with pytest.raises(InputError, match="No such file"):
        load([tmp_path / "nothing.jsonl"])
    (tmp_path / "x.jsonl.gz").write_bytes(content)
    with pytest.raises(InputError, match="cannot be read"):
        load([tmp_path / "x.jsonl.gz"])


def test_run_eval_prints_a_table_and_draws(tmp_path, capsys):
    (tmp_path / "s.jsonl").write_text(json.dumps(SIMPLE))
    run_eval([tmp_path / "s.jsonl"], budgets=[0.5], plot=tmp_path / "p.png")
    printed = capsys.readouterr().out
    assert "Sessions: 1. Turns with calls, after others: 1. Values they needed from those: 2." in printed
    for name in (*BASELINES, "agentkit", "agentkit at 50 %"):
        assert f"\n{name} " in printed
    assert "\nids  " in printed, "what the columns mean"
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="plot .* cannot be written"):
        draw(evaluate({"a": [FIND, REFUND]}), tmp_path / "no" / "p.png")


def test_nothing_to_measure(tmp_path):
    (tmp_path / "s.jsonl").write_text(json.dumps(SIMPLE | {"turns": SIMPLE["turns"][:1]}))
    with pytest.raises(InputError, match="No call needed a value from an earlier turn"):
        run_eval([tmp_path / "s.jsonl"], plot=tmp_path / "p.png")
    assert not (tmp_path / "p.png").exists()
    with pytest.raises(InputError, match=r"p.txt would be a PNG: give a path that ends with .png"):
        run_eval([tmp_path / "s.jsonl"], plot=tmp_path / "p.txt")
