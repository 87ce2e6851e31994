import io
import json

import pytest

from agentkit import Artifact, InputError, Observation, SessionError, Step, Turn
from agentkit.memory import Memory


def fill(memory: Memory) -> None:
    picture = Artifact(name="a.png", data=b"\x00\xff", media_type="image/png")
    result = Observation(content="the whole text", artifacts=(picture,), facts={"a": [1]}, duration_s=0.25)
    step = Step(tool="look", tool_input={"q": "Zoë\n"}, observation="the wh…", result=result, call_id="c1", round=1)
    memory.append(
        "shop", Turn(input="Which?", steps=(step,), output="That one."), condense={"look": lambda s: {"x": 1}}
    )
    running = memory.begin("shop", "And?")
    running.calls([step.model_copy(update={"result": None, "observation": "", "ok": False})])
    running.interrupt()
    memory.append("другая", Turn(input="hello", output="hi\x00\ud800"))


@pytest.fixture
def exported(tmp_path):
    with Memory(clock=lambda: 1.7e9) as memory:
        fill(memory)
        memory.export(tmp_path / "all.jsonl")
    return tmp_path / "all.jsonl"


def test_a_round_trip(memory, exported, tmp_path):
    assert memory.import_(exported) == 3
    with Memory() as first:
        fill(first)
        for session in ("shop", "другая"):
            assert memory.turns(session) == first.turns(session)
            assert memory.objects(session) == first.objects(session), "as condensed when it was stored"
            assert memory.replay(session) == first.replay(session)
    assert memory.search("shop", "zoe whole")[0].reference == "t1.s1"
    assert {info.last_used for info in memory.sessions()} == {1.7e9}
    assert memory.append("shop", Turn(input="next")).number == 3
    memory.delete("shop")
    with exported.open() as lines, pytest.raises(SessionError, match="session 'другая' exists already"):
        memory.import_(lines)
    memory.delete("другая")
    memory.import_(exported)
    memory.export(tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == exported.read_bytes()


def test_the_format(exported):
    header, *lines = [json.loads(line) for line in exported.read_text().splitlines()]
    assert header == {"agentkit": "memory", "version": 1}
    assert [(line["session"], line["number"], line["state"]) for line in lines] == [
        ("shop", 1, "closed"),
        ("shop", 2, "interrupted"),
        ("другая", 1, "closed"),
    ]
    assert set(lines[0]) == {"session", "number", "at", "state", "turn", "object"}
    assert Turn.model_validate(lines[0]["turn"]).steps[0].tool == "look"


def test_one_session_to_a_stream(memory):
    fill(memory)
    out = io.StringIO()
    assert memory.export(out, session="shop") == 2
    assert len(out.getvalue().splitlines()) == 3
    with pytest.raises(SessionError, match="no session 'nowhere'"):
        memory.export(out, session="nowhere")


def test_export_overwrites_nothing(memory, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        memory.export(tmp_path / "notes.txt")
    with pytest.raises(InputError, match="cannot be written: No such file or directory"):
        memory.export(tmp_path / "no" / "x.jsonl")
    assert memory.export(tmp_path / "empty.jsonl") == 0
    assert memory.import_(tmp_path / "empty.jsonl") == 0
    assert sorted(p.name for p in tmp_path.iterdir() if not p.name.startswith("m.db")) == ["empty.jsonl", "notes.txt"]


def test_import_overwrites_nothing_and_is_all_or_nothing(memory, exported):
    memory.append("shop", Turn(input="mine"))
    with pytest.raises(SessionError, match="Nothing was imported: session 'shop' exists already"):
        memory.import_(exported)
    assert [t.input for t in memory.turns("shop")] == ["mine"]
    assert [info.name for info in memory.sessions()] == ["shop"]


def test_bad_lines_are_named_by_number(memory, exported):
    header, first, second, other = exported.read_text().splitlines()
    bad = [
        header,
        first,
        "",
        "not JSON",
        "[]",
        second.replace('"number": 2', '"number": 3'),
        second.replace('"stop_reason":"interrupted"', '"stop_reason":"bored"', 1),
        first,
        "a sixth one",
        other,
    ]
    with pytest.raises(InputError) as caught:
        memory.import_(io.StringIO("\n".join(bad)))
    said = str(caught.value)
    for line, problem in [(4, "Invalid JSON"), (5, ""), (6, "its Turn is turn 2"), (7, "turn.stop_reason"), (8, "")]:
        assert f"line {line}: {problem}" in said
    assert "turn 1 of session 'shop' comes where 2 is expected" in said
    assert "line 9" not in said, "five are named"
    assert memory.sessions() == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a memory's export: line 1 is ''"),
        ("\n\nhello\n", "not a memory's export: line 3 is 'hello'"),
        ('{"id": "a", "turns": []}', "not a memory's export"),
        ('{"agentkit": "memory", "version": 2}', "an export of version 2, this agentkit reads version 1"),
    ],
)
def test_other_files(memory, tmp_path, text, said):
    (tmp_path / "x.jsonl").write_text(text)
    with pytest.raises(InputError, match=said):
        memory.import_(tmp_path / "x.jsonl")


def test_files_that_cannot_be_read(memory, tmp_path):
    (tmp_path / "x.jsonl").write_bytes(b'{"agentkit": "\xff"}')
    with pytest.raises(InputError, match="no UTF-8 text"):
        memory.import_(tmp_path / "x.jsonl")
    with pytest.raises(InputError, match="No such file"):
        memory.import_(tmp_path / "nothing.jsonl")
    with pytest.raises(InputError, match="Is a directory"):
        memory.import_(tmp_path)
