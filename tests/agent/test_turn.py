import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agentkit import Artifact, Citation, Observation, Step, Turn, Usage

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
OBSERVATIONS = st.builds(
    Observation,
    content=TEXT,
    ok=st.booleans(),
    error=st.sampled_from([None, "timeout", "exception"]),
    artifacts=st.lists(st.builds(Artifact, name=TEXT, data=st.binary(max_size=20)), max_size=2).map(tuple),
    duration_s=st.floats(0, 1e6),
    facts=st.none() | st.dictionaries(TEXT, st.integers(), max_size=2),
)
STEPS = st.builds(
    Step,
    tool=TEXT,
    tool_input=st.dictionaries(TEXT, TEXT | st.integers() | st.lists(TEXT, max_size=2), max_size=2),
    observation=TEXT,
    ok=st.booleans(),
    call_id=TEXT,
    round=st.integers(0, 99),
    result=st.none() | OBSERVATIONS,
)
TURNS = st.builds(Turn, input=TEXT, steps=st.lists(STEPS, max_size=3).map(tuple), output=TEXT, session=TEXT)


@given(TURNS)
def test_round_trip(turn):
    assert Turn.model_validate_json(turn.model_dump_json()) == turn
    assert Turn.model_validate(json.loads(turn.model_dump_json())) == turn
    assert Turn.model_validate(turn.model_dump()) == turn


def test_the_observation_is_written_once():
    long = "x" * 1000
    step = Step(tool="t", observation=long, result=Observation(content=long))
    assert step.model_dump_json().count(long) == 1
    shown_less = Step(tool="t", observation="x", result=Observation(content=long))
    assert Step.model_validate_json(shown_less.model_dump_json()).result == Observation(content=long)


def test_the_return_value_stays_in_the_process():
    observation = Observation(content="{}", value=object())
    assert "value" not in json.loads(observation.model_dump_json())


def test_frozen_and_closed():
    turn = Turn(input="q")
    with pytest.raises(ValidationError):
        turn.output = "x"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Turn(input="q", answer="x")  # type: ignore[call-arg]
    with pytest.raises(ValidationError):
        Turn.model_validate({"input": "q", "version": 2})


def test_as_the_contract_writes_it():
    steps = [Step(tool="t", tool_input={"a": 1}, observation="seen", ok=True)]
    turn = Turn(input="q", steps=steps, output="a")  # type: ignore[arg-type]
    assert turn.steps == tuple(steps)
    assert turn.stop_reason == "answered"


def test_usage_adds():
    one = Usage(input_tokens=1, output_tokens=2, model_calls=1)
    assert one + one == Usage(input_tokens=2, output_tokens=4, model_calls=2)


def grounded(output, *citations):
    steps = tuple(Step(tool="t", call_id=i) for i in "abc")
    return Turn(input="q", steps=steps, output=output, citations=citations).grounded_output()


def test_grounded_output():
    codes = '["GLCMS004AGTCAMIS", "GLCHL000CGUCHALE"]'
    assert (
        grounded(
            codes,
            Citation(start=2, end=18, text="GLCMS004AGTCAMIS", call_ids=("a",)),
            Citation(start=22, end=38, text="GLCHL000CGUCHALE", call_ids=("c", "b")),
        )
        == '["<co: 0>GLCMS004AGTCAMIS</co: 0>", "<co: 2,1>GLCHL000CGUCHALE</co: 2,1>"]'
    )


@pytest.mark.parametrize(
    "citation",
    [
        Citation(start=0, end=99, text="past the end", call_ids=("a",)),
        Citation(start=3, end=3, text="", call_ids=("a",)),
        Citation(start=0, end=2, text="of a document", sources=("doc-0",)),
        Citation(start=0, end=2, text="of an unknown call", call_ids=("z",)),
    ],
)
def test_a_citation_that_does_not_resolve_leaves_the_answer_alone(citation):
    assert grounded("answer", citation) == "answer"


def test_overlapping_citations_mark_the_first():
    text = grounded(
        "abcdef",
        Citation(start=2, end=5, text="cde", call_ids=("b",)),
        Citation(start=0, end=3, text="abc", call_ids=("a",)),
    )
    assert text == "<co: 0>abc</co: 0>def"
