"""Requests built in code: every layout, types, closed lists, and what cannot work."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, ValidationError
from support.product_codes import CODES, OBJREF

from agentkit.errors import ConfigError, InputError, ModelError
from agentkit.policy import ToolPolicy, policy_of
from agentkit.tools import Pattern, RegexExtractor, RequestBuilder
from agentkit.tools.request_builder import plain

PAGE = {"page": 0, "size": 10}
TAXONOMIES = {"taxonomies": ["CARS", "TRUCKS", "CLOTHES", "SPORT"]}
MOTIVATION = (
    "Retrieve id 7410e652-639d-402e-984e-8fd7025f0aac 8bb21b93-2ddf-4a63-af63-ddb6b1be49a1, "
    "ref GLPNT0005GUJOGGE GLSBR000BGASOBRE, nmg 0000234GLCHL0200ARTINDIUS'"
)
UUIDS = ["7410e652-639d-402e-984e-8fd7025f0aac", "8bb21b93-2ddf-4a63-af63-ddb6b1be49a1"]
OBJREFS, NMGS = ["GLPNT0005GUJOGGE", "GLSBR000BGASOBRE"], ["0000234GLCHL0200ARTINDIUS"]


def test_the_request_of_the_cookbooks_motivation_to_the_letter() -> None:
    builder = RequestBuilder(CODES, fields=PAGE, order=["uuid", "objref", "nmgs"])
    assert json.dumps(plain(builder.build(MOTIVATION)), separators=(",", ":")) == (
        '[{"uuid":["7410e652-639d-402e-984e-8fd7025f0aac","8bb21b93-2ddf-4a63-af63-ddb6b1be49a1"],"page":0,"size":10},'
        '{"objref":["GLPNT0005GUJOGGE","GLSBR000BGASOBRE"],"page":0,"size":10},'
        '{"nmgs":["0000234GLCHL0200ARTINDIUS"],"page":0,"size":10}]'
    )
    assert builder.parameters == ("uuid", "objref", "nmgs", "urn")


def test_requests_are_typed_frozen_models() -> None:
    request = RequestBuilder(CODES, fields=PAGE).build(OBJREF)[0]
    assert type(request).__name__ == "ObjrefRequest"
    assert (request.objref, request.page, request.size) == ([OBJREF], 0, 10)  # type: ignore[attr-defined]
    with pytest.raises(ValidationError):
        request.page = 1  # type: ignore[attr-defined]


def test_merged_is_one_request() -> None:
    builder = RequestBuilder(CODES, layout="merged", fields=PAGE, order=["uuid", "objref"])
    (request,) = plain(builder.build(MOTIVATION))
    assert request == {"uuid": UUIDS, "objref": OBJREFS, "nmgs": NMGS, **PAGE}
    assert list(request) == ["uuid", "objref", "nmgs", "page", "size"]
    assert builder.build("nothing here") == []


def test_a_template_is_filled_and_what_stands_for_nothing_is_left_out() -> None:
    template = {
        "filter": {"any": [{"id": "{uuid}"}, {"ref": "{objref}"}, {"urn": "{urn}"}]},
        "tags": {"of": "{taxonomies}"},
        "note": "{literal braces}s stay",
        "size": 5,
    }
    builder = RequestBuilder(CODES, template=template, choices=TAXONOMIES)
    (request,) = plain(builder.build(MOTIVATION))
    assert request == {
        "filter": {"any": [{"id": UUIDS}, {"ref": OBJREFS}]},
        "note": "{literal braces}s stay",
        "size": 5,
    }
    assert plain(builder.build("x", choices={"taxonomies": ["cars"]}))[0]["tags"] == {"of": ["CARS"]}
    assert builder.build("x") == []
    assert RequestBuilder(CODES, template={"u": "{uuid}"}).build(OBJREF) == []


def test_your_own_models_check_the_values() -> None:
    class ByReference(BaseModel):
        objref: Annotated[list[str], Field(max_length=1)]
        page: int = 0

    builder = RequestBuilder(CODES, models={"objref": ByReference})
    assert builder.build(OBJREF) == [ByReference(objref=[OBJREF])]
    with pytest.raises(InputError, match="does not fit ByReference: objref: List should have at most 1 item"):
        builder.build(f"{OBJREF} GLCMS004AGTCAMIS")
    assert RequestBuilder(CODES, layout="merged", models=ByReference).build(OBJREF) == [ByReference(objref=[OBJREF])]


def test_any_name_of_a_parameter_can_be_a_request() -> None:
    names = ["order-no", "class", "json", "model_x", "2nd", "größe", "_", "copy"]
    for index, name in enumerate(names):
        extractor = RegexExtractor([Pattern(name="p", parameter=name, regex=f"K{index}")])
        for layout in ("each", "merged"):
            builder = RequestBuilder(extractor, layout=layout, fields={"page": 0})  # type: ignore[arg-type]
            assert plain(builder.build(f"K{index}")) == [{name: [f"K{index}"], "page": 0}]


def test_a_model_adds_only_what_is_on_the_list() -> None:
    builder = RequestBuilder(CODES, fields=PAGE, choices=TAXONOMIES)
    answer = (
        'Sure:\n```json\n[{"objref": ["GLXXX000INVENTED"], "page": 3}, {"taxonomies": ["sport", "CARS", "cars"]}]\n```'
    )
    assert plain(builder.complete(f"ref {OBJREF}", answer)) == [
        {"objref": [OBJREF], **PAGE},
        {"taxonomies": ["CARS", "SPORT"], **PAGE},
    ], "codes come from the text, choices in the order and case of the list"
    assert plain(builder.complete("x", '{"taxonomies": "TRUCKS"}')) == [{"taxonomies": ["TRUCKS"], **PAGE}]
    assert builder.complete("x", '{"taxonomies": []}') == builder.complete("x", '{"taxonomies": null}') == []
    merged = RequestBuilder(CODES, layout="merged", choices=TAXONOMIES)
    assert plain(merged.complete(OBJREF, '{"taxonomies": ["CARS"]}')) == [{"objref": [OBJREF], "taxonomies": ["CARS"]}]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("no JSON at all", "The model's answer cannot be read as choices"),
        ("[1]", "holds 1 where an object is needed"),
        ('{"taxonomies": ["BOATS"]}', "'BOATS' is not one of taxonomies: choose from CARS, TRUCKS, CLOTHES, SPORT"),
        ('{"taxonomies": [3]}', "3 is not one of taxonomies"),
        ('{"colour": ["RED"]}', "has the key 'colour': only nmgs, objref, page, size, taxonomies, urn, uuid are known"),
    ],
)
def test_an_answer_that_is_no_choice_is_the_models_error(answer: str, message: str) -> None:
    builder = RequestBuilder(CODES, fields=PAGE, choices=TAXONOMIES)
    with pytest.raises(ModelError, match=message):
        builder.complete(OBJREF, answer)


def test_what_the_caller_chooses_is_checked_too() -> None:
    builder = RequestBuilder(CODES, choices=TAXONOMIES)
    with pytest.raises(InputError, match="'BOATS' is not one of taxonomies"):
        builder.build("x", choices={"taxonomies": ["BOATS"]})
    with pytest.raises(InputError, match="There is no list 'tags' to choose from: taxonomies"):
        builder.build("x", choices={"tags": ["CARS"]})
    with pytest.raises(InputError, match="decode it first"):
        builder.build(b"x")  # type: ignore[arg-type]


def test_the_closed_list_as_a_schema_and_as_words() -> None:
    builder = RequestBuilder(CODES, choices=TAXONOMIES)
    made = builder.choices_model()
    assert made.model_json_schema()["properties"]["taxonomies"]["items"]["enum"] == TAXONOMIES["taxonomies"]
    with pytest.raises(ValidationError):
        made(taxonomies=["BOATS"])
    assert "taxonomies: CARS, TRUCKS, CLOTHES, SPORT" in builder.instructions()
    assert '{"taxonomies": []}' in builder.instructions()
    assert RequestBuilder(CODES).instructions() == ""
    with pytest.raises(ConfigError, match="has no choices"):
        RequestBuilder(CODES).choices_model()


def test_it_is_a_tool_as_the_extractor_is() -> None:
    builder = RequestBuilder(CODES, fields=PAGE)
    assert builder.invoke({"user_query": OBJREF}) == [{"objref": [OBJREF], **PAGE}]
    assert policy_of(builder) == ToolPolicy(timeout_s=None)
    assert (builder.name, builder.extractor, dict(builder.choices)) == ("request_builder", CODES, {})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"layout": "pages"}, "layout is 'pages': write 'each' or 'merged'"),
        ({"order": ["isbn"]}, "order names 'isbn', which is no parameter: uuid, nmgs, objref, urn"),
        ({"fields": {"a": object()}}, "fields is .*: give JSON"),
        ({"fields": {"uuid": 1}}, "The key 'uuid' is used twice"),
        ({"choices": {"uuid": ["A"]}}, "The key 'uuid' is used twice"),
        ({"choices": {"t": "CARS"}}, "give a list of texts"),
        ({"choices": {"t": []}}, "give a list of texts, at least one"),
        ({"choices": {"t": ["A", "a"]}}, "holds a text twice"),
        ({"template": ["{uuid}"]}, "template is .*: give a dict"),
        ({"template": {"a": "{isbn}"}}, "The template asks for {isbn}, which is no parameter"),
        ({"template": {"a": 1}}, "The template has no place for values: write one as '{uuid}'"),
        ({"models": BaseModel}, "models is one model: give one for each parameter"),
        ({"models": {"isbn": BaseModel}}, "models names 'isbn', which is no parameter"),
        ({"models": {"uuid": dict}}, "give a pydantic model"),
        ({"models": {"uuid": BaseModel}, "layout": "merged"}, "give one pydantic model, as there is one request"),
        ({"models": 3}, "models is 3: give one for each parameter"),
        ({"models": 3, "layout": "merged"}, "models is 3: give one pydantic model, as there is one request"),
    ],
)
def test_what_cannot_work(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RequestBuilder(CODES, **fields)


def test_it_takes_an_extractor() -> None:
    with pytest.raises(ConfigError, match="RequestBuilder takes a RegexExtractor, not 'x'"):
        RequestBuilder("x")  # type: ignore[arg-type]


def test_a_near_miss_is_told_beside_the_requests() -> None:
    tool = RequestBuilder(CODES, fields={"page": 0})
    told = tool.invoke({"user_query": "GLPNT0005GUJOGGE, GLCMS004AGTCAMISXX"})
    assert told == {
        "requests": [{"objref": ["GLPNT0005GUJOGGE"], "page": 0}],
        "warnings": ["objref 'GLCMS004AGTCAMISXX' is left out: it has more letters or digits after it"],
    }
