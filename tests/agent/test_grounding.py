"""What an answer rests on: codes against everything the model was given, citations against answer and sources."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from pydantic import SecretStr
from support.product_codes import CODES, UUID

from agentkit import Agent, Citation, GroundingError, Observation, Step, Turn
from agentkit.cohere.chat import CohereChat
from agentkit.cohere.options import CohereOptions
from agentkit.console import turn_text
from agentkit.grounding import Evidence, check_citations, grounding_error, overlap, ungrounded
from agentkit.memory import Memory
from agentkit.testing import CohereServer, ScriptedChat, cite, reply
from agentkit.testing.replies import Cite
from agentkit.tools import Pattern, RegexExtractor

CODE, OTHER = "GLPNT0005GUJOGGE", "GLCMS004AGTCAMIS"


def loose(answer: str, *given: str, finder: RegexExtractor = CODES) -> list[str]:
    return [match.raw for match in ungrounded(answer, Evidence([HumanMessage(text) for text in given]), [finder])]


@pytest.mark.parametrize(
    ("answer", "given", "expected"),
    [
        ("nothing to see", "", []),
        (f"It is {CODE}.", f"see {CODE}", []),
        (f"It is {CODE}.", f"see {OTHER}", [CODE]),
        (f"{OTHER} {CODE} {OTHER}", "x", [OTHER, CODE]),
        (UUID.upper(), f"id {UUID}", []),
        (f"urn:{UUID}", f"URN:UUID:{UUID}", []),
        (f"urn:{UUID}", UUID, [f"urn:{UUID}"]),
        (UUID.replace("-", "\u2011"), UUID, []),
        (CODE, f"{CODE}X", [CODE]),
        (CODE, f"X{CODE}", [CODE]),
        (f'["{CODE}"]', '{"text": "codes:\\n' + CODE + '\\nend"}', []),
        (f'"a\\n{CODE}"', "x", [CODE]),
        (f'"a\\n{CODE}"', CODE, []),
        (CODE, "\\u0047" + CODE[1:], []),
        (CODE, CODE[:8] + " " + CODE[8:], [CODE]),
        (CODE.lower(), "x", [CODE.lower()]),
        (f"see `{CODE.lower()}`, {OTHER}", CODE, [CODE.lower(), OTHER][1:]),
        (CODE.lower(), CODE, []),
        (CODE.title(), CODE.lower(), []),
        (f"id {UUID.upper()}", "x", [UUID.upper()]),
        ("gleichberechtigt", "x", []),  # sixteen letters, and a word
        (f"https://a.b/c?next=https%3A%2F%2F{CODE}", "x", [CODE]),
        (CODE, f"https://a.b/c?next=https%3A%2F%2F{CODE}", []),
        (CODE[:8] + "\u200b" + CODE[8:], "x", [CODE]),
        (CODE[:8] + "\u200b" + CODE[8:], CODE, []),
        ("".join(chr(ord(char) + 0xFEE0) for char in CODE), "x", [CODE]),
        (f"**{CODE}**, _{CODE}_ and [it](https://a.b/{CODE})", "x", [CODE]),
    ],
)
def test_a_code_is_grounded_where_the_same_code_stands(answer: str, given: str, expected: list[str]) -> None:
    assert loose(answer, given or "x") == expected


def test_a_code_whose_context_word_stands_only_in_the_answer_is_grounded_by_its_characters() -> None:
    orders = RegexExtractor([Pattern(name="order", regex=r"\d{6}", context=["order"])])
    assert loose("order 123456", "123456", finder=orders) == []
    assert loose("order 123456", "1234567 and 0123456", finder=orders) == ["123456"]
    assert loose("order 123456", "1234567 then 123456!", finder=orders) == []


def test_a_value_listed_once_or_stopped_by_max_matches_in_a_source_is_evidence_all_the_same() -> None:
    one = RegexExtractor([Pattern(name="n", regex=r"\d{3}", max_matches=1)])
    assert loose("222", "111 222", finder=one) == []


def test_evidence_holds_results_and_the_whole_of_a_shortened_one() -> None:
    evidence = Evidence([HumanMessage("q")])
    evidence.add([Step(tool="t", observation="shown", result=Observation(content=f"whole {CODE}")), Step(tool="u")])
    assert ungrounded(CODE, evidence, [CODES]) == []
    assert ungrounded(OTHER, evidence, [CODES])[0].raw == OTHER


def test_evidence_holds_the_arguments_of_replayed_calls() -> None:
    call = {"name": "t", "args": {"a": CODE, "n": 3}, "id": "t1.s1", "type": "tool_call"}
    history = [SystemMessage("s"), AIMessage("", tool_calls=[call]), ToolMessage("ok", tool_call_id="t1.s1")]
    assert ungrounded(CODE, Evidence(history), [CODES]) == []


def test_a_tool_that_only_repeats_its_argument_proves_nothing_by_itself() -> None:
    evidence = Evidence([HumanMessage(f"my  code is {CODE}")], {"regex_extractor": "user_query"})
    made_up = Step(tool="regex_extractor", tool_input={"user_query": OTHER}, observation=f'["{OTHER}"]')
    evidence.add([made_up])
    assert [m.raw for m in ungrounded(OTHER, evidence, [CODES])] == [OTHER]
    assert evidence.holds("my code\nis")
    assert not evidence.holds(OTHER)
    evidence.add([Step(tool="search", tool_input={"q": "x"}, observation=f"found {OTHER}"), made_up])
    assert ungrounded(OTHER, evidence, [CODES]) == []


def test_the_error_names_five_codes_and_counts_the_rest() -> None:
    answer = " ".join(f"GLAAA000{i}GUJOGGE" for i in range(7))
    found = ungrounded(answer, Evidence([HumanMessage("q")]), [CODES])
    error = grounding_error(found)
    assert isinstance(error, GroundingError)
    assert len(error.codes) == 7
    assert "objref GLAAA0004GUJOGGE and 2 more." in str(error)


# --- citations -----------------------------------------------------------------------------------------------------

ANSWER = f'[{{"objref": ["{CODE}"]}}]'
STEP = Step(tool="regex_extractor", call_id="c1", observation=f'{{"objref": ["{CODE}"]}}')


def citation(text: str, *, start: int | None = None, source: str = "c1:0") -> Citation:
    at = ANSWER.index(text) if start is None else start
    return Citation(start=at, end=at + len(text), text=text, sources=(source,) if source else ())


def checked(*citations: Citation, **given: object):
    return check_citations(Turn(input="q", steps=(STEP,), output=ANSWER, citations=citations), **given)  # type: ignore[arg-type]


def test_a_real_citation_with_the_answers_quote_is_no_fault() -> None:
    (check,) = checked(citation(f'"{CODE}'))
    assert check.ok
    assert check.overlap == 1.0


@pytest.mark.parametrize(
    ("cited", "problem"),
    [
        (citation(CODE, start=3), "of the answer is .* the citation says"),
        (citation(CODE, start=len(ANSWER)), f"is no part of the answer, which has {len(ANSWER)} characters"),
        (Citation(start=5, end=5, text="", sources=("c1:0",)), "5:5 is no part of the answer"),
        (citation(CODE, source="c9:0"), "its source 'c9:0' is no call of this turn and no document"),
        (citation(CODE, source="doc_1"), "its source 'doc_1' is no call"),
        (citation(CODE, source=""), "it names no source"),
    ],
)
def test_a_citation_that_points_nowhere_is_flagged(cited: Citation, problem: str) -> None:
    import re

    (check,) = checked(cited)
    assert not check.ok
    assert re.search(problem, check.problems[0])


def test_documents_replayed_calls_and_bare_ids_resolve() -> None:
    cites = [citation(CODE, source=name) for name in ("doc_1", "t1.s1:0", "t1.s1", "c1")]
    checks = checked(*cites, documents={"doc_1": "other words"}, calls=["t1.s1"])
    assert [check.ok for check in checks] == [True] * 4
    assert [check.overlap for check in checks] == [0.0, None, None, 1.0]


def test_a_low_overlap_is_a_score_and_never_a_fault() -> None:
    (check,) = checked(citation("objref"), documents={})
    assert check.ok
    assert overlap("the tallest tower", ["A tower, tall."]) == pytest.approx(1 / 3)
    assert overlap("…", ["x"]) is None
    assert overlap("word", []) is None


# --- what a turn keeps of it ---------------------------------------------------------------------------------------


def answering(citation: Cite | dict[str, object], **fields: object) -> Agent:
    if isinstance(citation, Cite):
        answer: object = reply(ANSWER, citations=[citation])
    else:
        answer = AIMessage(ANSWER, additional_kwargs={"citations": [citation]})
    model = ScriptedChat([reply(calls=[("regex_extractor", {"user_query": CODE})]), answer])  # type: ignore[list-item]
    return Agent(model=model, tools=[CODES], **fields)  # type: ignore[arg-type]


def test_a_sound_citation_leaves_no_flag_and_no_key_that_an_older_reader_does_not_know() -> None:
    turn = answering(cite(f'"{CODE}', call=0)).run(CODE)
    assert turn.citations
    assert turn.citation_flags == ()
    assert "citation_flags" not in json.loads(turn.model_dump_json())
    assert Turn.model_validate_json(turn.model_dump_json()).model_dump() == turn.model_dump()


def wrong(*, source: str = "nowhere:0", start: int = 0, text: str = "[{") -> dict[str, object]:
    return {"start": start, "end": start + len(text), "text": text, "sources": [{"type": "tool", "id": source}]}


@pytest.mark.parametrize("way", ["run", "arun", "stream", "invoke"])
def test_a_flag_is_kept_with_the_turn_in_memory_and_shown(way: str, tmp_path: Path) -> None:
    expected = ("the citation of 0:2 has the source 'nowhere:0', which is no call of this turn and no document",)
    with Memory(tmp_path / "chat.db") as memory:
        agent = answering(wrong(), memory=memory)
        if way == "run":
            turn = agent.run(CODE, session="s")
        elif way == "arun":
            turn = asyncio.run(agent.arun(CODE, session="s"))
        elif way == "stream":
            turn = list(agent.stream(CODE, session="s"))[-1].turn  # type: ignore[union-attr]
        else:
            turn = agent.invoke(CODE, {"configurable": {"session": "s"}})["turn"]
        (kept,) = memory.turns("s")
    assert turn.citation_flags == expected
    assert kept.citation_flags == expected
    assert Turn.model_validate_json(turn.model_dump_json()).citation_flags == expected
    assert f"Citation flagged: {expected[0]}\n" in turn_text(turn)


def test_a_flag_repeats_no_word_of_the_answer_so_that_redaction_cannot_miss_one() -> None:
    turn = answering(wrong(text="secret words")).run(CODE)
    assert turn.citation_flags[0] == "the citation of 0:12 has another text than the answer there"
    assert not any(word in flag for flag in turn.citation_flags for word in ("secret", "objref"))


def test_a_call_of_the_chat_history_may_be_cited() -> None:
    call = {"name": "look_up", "args": {"a": CODE}, "id": "old", "type": "tool_call"}
    history = [HumanMessage("q"), AIMessage("", tool_calls=[call]), ToolMessage("ok", tool_call_id="old")]
    answer = AIMessage(ANSWER, additional_kwargs={"citations": [wrong(source="old:0")]})
    agent = Agent(model=ScriptedChat([answer]))
    turn = agent.invoke({"input": "again", "chat_history": [*history, AIMessage("done")]})["turn"]
    assert turn.citations
    assert turn.citation_flags == ()


def test_a_document_given_with_the_models_options_may_be_cited() -> None:
    with CohereServer([reply("Paris", citations=[cite("Paris", document="doc-0")])]) as server:
        options = CohereOptions(documents=["Paris is the capital of France."])
        key = SecretStr("k")
        model = CohereChat(model="command-a-03-2025", cohere_api_key=key, base_url=server.url, options=options)
        turn = Agent(model=model).run("which?")
    assert turn.citations[0].sources == ("doc-0",)
    assert turn.citation_flags == ()
