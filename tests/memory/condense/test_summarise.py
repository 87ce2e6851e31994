import json

from hypothesis import given
from hypothesis import strategies as st

from agentkit import Observation, Step, Turn
from agentkit.memory import MemoryObject
from agentkit.memory.condense.summarise import summarise

CODE = "import pandas as pd\ndf = pd.read_csv('revenue_table.csv')\nprint(list(df.columns))"


def turn(*steps: Step, **more) -> Turn:
    return Turn(input="q", output="a", session="s", number=3, **{"steps": steps, **more})


def step(observation: str, ok: bool = True, **more) -> Step:
    return Step(tool="t", tool_input={"x": 1}, observation=observation, ok=ok, **more)


def test_failures_go_by_status_not_by_the_word_error():
    remembered = summarise(turn(step("0 errors found"), step("all is well", ok=False)))
    worked, failed = remembered.actions
    assert (worked.ok, worked.facts) == (True, {"result": "0 errors found"})
    assert (failed.ok, failed.failure, failed.facts) == (False, "all is well", {})


def test_of_a_traceback_the_last_line_is_kept():
    text = 'Traceback (most recent call last):\n  line 3, in <cell>\nKeyError: "revenu"\n'
    (failed,) = summarise(turn(step(text, ok=False))).actions
    assert failed.failure == 'KeyError: "revenu"'


def test_references_name_the_stored_steps():
    remembered = summarise(turn(step("a"), step("b")))
    assert [a.reference for a in remembered.actions] == ["t3.s1", "t3.s2"]


def test_facts_come_from_the_policy_then_the_result_then_the_text():
    offered = Observation(content="x", facts={"from": "result"})
    own = {"t": lambda step: {"from": "policy", "saw": step.observation}}
    one = turn(step("x", result=offered))
    assert summarise(one, own).actions[0].facts == {"from": "policy", "saw": "x"}
    assert summarise(one).actions[0].facts == {"from": "result"}
    assert summarise(turn(step('{"objref": ["G"]}'))).actions[0].facts == {"objref": ["G"]}
    assert summarise(turn(step("word " * 500))).actions[0].facts["result"] == ("word " * 500).rstrip()
    assert "…" in summarise(turn(step("word " * 50_000))).actions[0].facts["result"]


def test_variables_and_files_are_the_state_after_the_turn():
    first = {"variables": [{"name": "df", "type": "DataFrame"}], "files": ["a.png"]}
    second = {
        "variables": [{"name": "df", "type": "Series"}, {"name": "n", "type": "int"}],
        "files": ["a.png", "b.png"],
    }
    remembered = summarise(turn(*(step("x", result=Observation(content="x", facts=f)) for f in (first, second))))
    assert remembered.variables == ({"name": "df", "type": "Series"}, {"name": "n", "type": "int"})
    assert remembered.files == ("a.png", "b.png")


def test_a_person_can_read_it():
    chain = (
        Step(tool="python_interpreter", tool_input={"code": CODE}, observation="['time', 'revenue']"),
        Step(tool="look_up", tool_input={"city": "Paris", "n": 2}, observation="no such city", ok=False),
    )
    assert str(summarise(turn(*chain))) == (
        "Turn 3: q\n"
        "t3.s1 python_interpreter\n"
        "  code:\n"
        "    import pandas as pd\n"
        "    df = pd.read_csv('revenue_table.csv')\n"
        "    print(list(df.columns))\n"
        "  result: time, revenue\n"
        "t3.s2 look_up city=Paris n=2\n"
        "  failed: no such city\n"
        "Answer: a"
    )


ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.lists(st.builds(Step, tool=ANY, observation=ANY, ok=st.booleans(), tool_input=st.dictionaries(ANY, ANY))))
def test_the_same_turn_gives_the_same_bytes_and_round_trips(steps):
    one, two = (summarise(turn(*steps)) for _ in range(2))
    assert one.model_dump_json() == two.model_dump_json()
    assert MemoryObject.model_validate_json(one.model_dump_json()) == one
    assert len(one.actions) == len(steps)
    json.loads(one.model_dump_json())
