"""API requests built in code: codes go from the user's text into typed requests without passing through a model.

What needs an understanding of language, such as a product category, a model may choose from a closed list.
"""

from __future__ import annotations

import json
import keyword
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

from langchain_core.tools import BaseTool
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, create_model

from agentkit.base.text import shorten
from agentkit.errors import ConfigError, InputError, ModelError
from agentkit.policy import ToolPolicy
from agentkit.tools.json_reader import read_json
from agentkit.tools.regex.extractor import QueryArguments, RegexExtractor

DESCRIPTION = (
    "Function which, given the query from the user, returns the API requests for the codes in it, ready to send."
)
"""The tool's description as the model sees it, unless the caller gives another."""

_FROZEN = ConfigDict(
    frozen=True, extra="forbid", protected_namespaces=(), validate_by_name=True, validate_by_alias=True
)


class RequestBuilder(BaseTool):
    """Turn the codes that an extractor finds into request objects.

    Use it as a tool or directly (``builder.build(text)``). It keeps no state between calls.

    Attributes:
        extractor: The extractor that finds the codes.
        parameters: The parameters, in the order of the requests.
        choices: The closed lists, by key.
        policy: No time limit, as for the extractor.
        question_argument: The argument that takes the user's own message; see `Agent`'s ``prefetch``.
    """

    policy: ClassVar[ToolPolicy] = ToolPolicy(timeout_s=None)
    question_argument: ClassVar[str] = "user_query"
    _extractor: RegexExtractor = PrivateAttr()
    _parameters: tuple[str, ...] = PrivateAttr()
    _fields: dict[str, Any] = PrivateAttr()
    _choices: dict[str, tuple[str, ...]] = PrivateAttr()
    _template: Any = PrivateAttr()
    _models: dict[str, type[BaseModel]] = PrivateAttr()

    def __init__(
        self,
        extractor: RegexExtractor,
        *,
        layout: Literal["each", "merged"] = "each",
        template: Mapping[str, Any] | None = None,
        fields: Mapping[str, Any] | None = None,
        choices: Mapping[str, Sequence[str]] | None = None,
        order: Sequence[str] = (),
        models: Mapping[str, type[BaseModel]] | type[BaseModel] | None = None,
        name: str = "request_builder",
        description: str = DESCRIPTION,
        **options: Any,
    ) -> None:
        """Set the shape of the requests.

        Args:
            extractor: Finds the codes.
            layout: "each": one request for each parameter that has values. "merged": one request with all of them.
            template: The shape of the one request, instead of a layout: a JSON object in which the text ``"{uuid}"``
                stands for the list of that parameter's values; parts without a value are omitted.
            fields: What every request holds beside the values, such as ``{"page": 0, "size": 10}``.
            choices: Closed lists that a model may choose from, such as ``{"taxonomies": ["CARS", "SPORT"]}``.
            order: Parameters whose requests come first, in this order; the others follow in declared order.
            models: Your own pydantic models of a request: a mapping with one for each parameter and key of `choices`,
                or, with "merged" or a template, a single model. None makes models with a list of texts for each
                parameter.
            name: The tool's name as the model sees it.
            description: The tool's description as the model sees it.
            **options: Fields of LangChain's BaseTool.

        Raises:
            ConfigError: A name collides or does not exist, or a template or model cannot work.
        """
        super().__init__(name=name, description=description, args_schema=QueryArguments, **options)
        if not isinstance(extractor, RegexExtractor):
            raise ConfigError(f"RequestBuilder takes a RegexExtractor, not {shorten(repr(extractor))}.")
        if layout not in ("each", "merged"):
            raise ConfigError(f"layout is {shorten(repr(layout))}: write 'each' or 'merged', or give a template.")
        self._extractor = extractor
        self._choices = _checked_choices(choices or {})
        self._parameters = _ordered(dict.fromkeys(pattern.key for pattern in extractor.patterns), order)
        self._fields = _checked_fields(fields or {})
        self._template = None if template is None else _checked_template(template, self._keys)
        _check_apart(self._parameters, self._choices, self._fields)
        self._models = self._made_models("merged" if template is not None else layout, models)

    @property
    def extractor(self) -> RegexExtractor:
        """Return the extractor that finds the codes."""
        return self._extractor

    @property
    def parameters(self) -> tuple[str, ...]:
        """Return the parameters, in the order of the requests."""
        return self._parameters

    @property
    def choices(self) -> Mapping[str, tuple[str, ...]]:
        """Return the closed lists, by key."""
        return self._choices

    @property
    def _keys(self) -> tuple[str, ...]:
        return (*self._parameters, *self._choices)

    def build(self, text: str, *, choices: Mapping[str, Sequence[str]] | None = None) -> list[BaseModel]:
        """Return the requests for the codes in `text` and for `choices`; an empty list if there is neither.

        Args:
            text: The user's own words.
            choices: What a model chose, such as ``{"taxonomies": ["CARS"]}``.

        Raises:
            InputError: `text` is not a string, a choice is not on its list, or your own model refuses the values.
        """
        values = self._extractor.values(text)
        chosen = _on_the_list(choices or {}, self._choices, InputError)
        found = {key: both for key in self._keys if (both := [*values.get(key, ()), *chosen.get(key, ())])}
        if not found:
            return []
        if self._template is not None:
            filled = _filled(self._template, found)
            return [self._made("", filled)] if _names_in(self._template) & set(found) else []
        if "" in self._models:
            return [self._made("", {**found, **self._fields})]
        return [self._made(key, {key: listed, **self._fields}) for key, listed in found.items()]

    def complete(self, text: str, answer: str) -> list[BaseModel]:
        """Return the requests for the codes in `text` and for what the model chose in its answer.

        Only the keys of `choices` are read from the answer: codes come from `text`, whatever the answer says.

        Args:
            text: The user's own words.
            answer: The model's answer, with the JSON somewhere in it.

        Raises:
            ModelError: The answer holds no JSON, an unknown key, or a choice that is not on its list.
        """
        return self.build(text, choices=self.read_choices(answer))

    def read_choices(self, answer: str) -> dict[str, list[str]]:
        """Return what a model chose in its answer, which is one JSON object or a list of them.

        Raises:
            ModelError: The answer holds no such JSON, an unknown key, or a choice that is not on its list.
        """
        try:
            content = read_json(answer)
        except InputError as error:
            raise ModelError(f"The model's answer cannot be read as choices: {error}") from error
        chosen: dict[str, list[str]] = {}
        known = {*self._keys, *self._fields}
        for part in content if isinstance(content, list) else [content]:
            if not isinstance(part, Mapping):
                raise ModelError(f"The model's answer holds {shorten(repr(part))} where an object is needed.")
            for key, listed in part.items():
                if key in self._choices:
                    chosen.setdefault(key, []).extend([listed] if isinstance(listed, str) else listed or [])
                elif key not in known:
                    only = ", ".join(sorted(known))
                    raise ModelError(f"The model's answer has the key {shorten(repr(key))}: only {only} are known.")
        return _on_the_list(chosen, self._choices, ModelError)

    def choices_model(self) -> type[BaseModel]:
        """Return a pydantic model of the choices, for structured output: a list of literals for each key.

        Raises:
            ConfigError: The builder has no choices.
        """
        if not self._choices:
            raise ConfigError("This RequestBuilder has no choices: give choices={'taxonomies': [...]}.")
        fields: dict[str, Any] = {key: (list[Literal[*items]], []) for key, items in self._choices.items()}  # type: ignore[valid-type]
        return create_model("Choices", __config__=_FROZEN, **fields)

    def instructions(self) -> str:
        """Return a text for the system message that asks a model to choose; "" if there are no choices."""
        if not self._choices:
            return ""
        lists = "\n".join(f"{key}: {', '.join(items)}" for key, items in self._choices.items())
        empty = json.dumps({key: [] for key in self._choices})
        return (
            "The codes in the user's message are taken care of. Choose, from the lists below, what the message asks "
            f"for or what is closely related to it.\n{lists}\nAnswer with one JSON object and nothing else. It has "
            f"these keys, each with a list, which is empty where nothing fits: {empty}"
        )

    def covers(self, text: str) -> bool:
        """Return True if nothing is left to choose: see `RegexExtractor.covers`."""
        return self._extractor.covers(text)

    def _run(self, user_query: str) -> list[dict[str, Any]] | dict[str, Any]:
        requests = plain(self.build(user_query))
        warnings = self._extractor.left_out(user_query)
        return {"requests": requests, "warnings": warnings} if warnings else requests

    def _made_models(self, layout: str, given: object) -> dict[str, type[BaseModel]]:
        wanted = [""] if layout == "merged" else list(self._keys)
        if isinstance(given, type) and issubclass(given, BaseModel):
            if wanted != [""]:
                raise ConfigError("models is one model: give one for each parameter, or layout='merged'.")
            return {"": given}
        if given is None:
            given = {}
        if not isinstance(given, Mapping) or (given and wanted == [""]):
            needed = "one pydantic model, as there is one request" if wanted == [""] else "one for each parameter"
            raise ConfigError(f"models is {shorten(repr(given))}: give {needed}.")
        for key, model in given.items():
            if key not in wanted:
                raise ConfigError(f"models names {shorten(repr(key))}, which is no parameter: {', '.join(wanted)}.")
            if not (isinstance(model, type) and issubclass(model, BaseModel)):
                raise ConfigError(f"models[{key!r}] is {shorten(repr(model))}: give a pydantic model.")
        if wanted == [""]:
            return {"": _any_model() if self._template is not None else _model("Request", self._keys, (), self._fields)}
        return {key: given.get(key) or _model(_title(key), (), (key,), self._fields) for key in wanted}

    def _made(self, key: str, content: object) -> BaseModel:
        model = self._models[key]
        try:
            return model.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "the request"
            raise InputError(
                f"The request {shorten(json.dumps(content, ensure_ascii=False))} does not fit {model.__name__}: "
                f"{place}: {first['msg']}. Change the model, the fields or the patterns."
            ) from error


def plain(requests: Iterable[BaseModel]) -> list[dict[str, Any]]:
    """Return requests as JSON-ready dicts; parameters without a value are omitted."""
    return [request.model_dump(mode="json", by_alias=True, exclude_none=True) for request in requests]


def _model(name: str, optional: Iterable[str], needed: Iterable[str], fields: Mapping[str, Any]) -> type[BaseModel]:
    made: dict[str, Any] = {}
    for key in needed:
        made[_attribute(key)] = (list[str], Field(alias=key))
    for key in optional:
        made[_attribute(key)] = (list[str] | None, Field(default=None, alias=key))
    for key, value in fields.items():
        made[_attribute(key)] = (Any if value is None else type(value), Field(default=value, alias=key))
    return create_model(name, __config__=_FROZEN, **made)


def _any_model() -> type[BaseModel]:
    return create_model("Request", __config__=ConfigDict(frozen=True, extra="allow", protected_namespaces=()))


def _attribute(key: str) -> str:
    """Return `key` as a name that an attribute of a pydantic model can have; the key itself stays the alias."""
    name = "".join(char if char.isalnum() or char == "_" else "_" for char in key).strip("_") or "values"
    if not name.isidentifier():
        name = f"p_{name}"
    return f"{name}_" if keyword.iskeyword(name) or hasattr(BaseModel, name) else name


def _title(key: str) -> str:
    return "".join(part.title() for part in _attribute(key).split("_")) + "Request"


def _ordered(known: Iterable[str], order: Sequence[str]) -> tuple[str, ...]:
    listed = list(known)
    for name in order:
        if name not in listed:
            raise ConfigError(f"order names {shorten(repr(name))}, which is no parameter: {', '.join(listed)}.")
    return tuple(dict.fromkeys([*order, *listed]))


def _checked_choices(choices: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    checked: dict[str, tuple[str, ...]] = {}
    for key, items in choices.items():
        listed = items if isinstance(items, str) else tuple(items)
        if isinstance(listed, str) or not listed or not all(isinstance(item, str) and item for item in listed):
            raise ConfigError(f"choices[{key!r}] is {shorten(repr(items))}: give a list of texts, at least one.")
        if len({item.casefold() for item in listed}) < len(listed):
            raise ConfigError(f"choices[{key!r}] holds a text twice (in any case): remove one.")
        checked[key] = listed
    return checked


def _checked_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(dict(fields))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"fields is {shorten(repr(fields))}: give JSON, such as {{'page': 0}} ({error}).") from error
    return dict(fields)


def _check_apart(*groups: Iterable[str]) -> None:
    seen: set[str] = set()
    for key in (key for group in groups for key in group):
        if key in seen:
            raise ConfigError(
                f"The key {shorten(repr(key))} is used twice: parameters, choices and fields need names of their own."
            )
        seen.add(key)


def _checked_template(template: Mapping[str, Any], known: Sequence[str]) -> Mapping[str, Any]:
    if not isinstance(template, Mapping):
        raise ConfigError(f"template is {shorten(repr(template))}: give a dict, such as {{'filter': '{{uuid}}'}}.")
    for name in _names_in(template):
        if name not in known:
            raise ConfigError(f"The template asks for {{{name}}}, which is no parameter: {', '.join(known)}.")
    if not _names_in(template):
        raise ConfigError(f"The template has no place for values: write one as '{{{known[0]}}}'.")
    return template


def _placeholder(value: object) -> str | None:
    return value[1:-1] if isinstance(value, str) and len(value) > 2 and value[0] == "{" and value[-1] == "}" else None


def _names_in(template: object) -> set[str]:
    """Return the parameters that `template` has a place for."""
    if isinstance(template, Mapping):
        return {name for value in template.values() for name in _names_in(value)}
    if isinstance(template, (list, tuple)):
        return {name for value in template for name in _names_in(value)}
    name = _placeholder(template)
    return {name} if name else set()


def _filled(template: object, found: Mapping[str, list[str]]) -> object:
    """Return `template` with the values in their places, without the parts that have none."""
    if isinstance(template, Mapping):
        return {key: _filled(value, found) for key, value in template.items() if _stays(value, found)}
    if isinstance(template, (list, tuple)):
        return [_filled(value, found) for value in template if _stays(value, found)]
    name = _placeholder(template)
    return template if name is None else found[name]


def _stays(value: object, found: Mapping[str, list[str]]) -> bool:
    """Return True if `value` asks for no parameter, or for one that has values."""
    names = _names_in(value)
    return not names or bool(names & set(found))


def _on_the_list(
    chosen: Mapping[str, Any], lists: Mapping[str, Sequence[str]], kind: type[InputError] | type[ModelError]
) -> dict[str, list[str]]:
    """Return `chosen` as the lists write it, each once, in the order of the list.

    Raises:
        InputError: A key or a choice is not on the lists; ModelError if that is `kind`.
    """
    result: dict[str, list[str]] = {}
    for key, items in chosen.items():
        if key not in lists:
            raise kind(f"There is no list {shorten(repr(key))} to choose from: {', '.join(lists) or 'there is none'}.")
        known = {item.casefold(): item for item in lists[key]}
        wanted = [items] if isinstance(items, str) else list(items)
        for item in wanted:
            if not isinstance(item, str) or item.strip().casefold() not in known:
                raise kind(f"{shorten(repr(item))} is not one of {key}: choose from {', '.join(lists[key])}.")
        taken = {item.strip().casefold() for item in wanted}
        if taken:
            result[key] = [item for folded, item in known.items() if folded in taken]
    return result
