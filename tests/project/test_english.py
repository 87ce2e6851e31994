"""Docstrings and comments are plain English: the field's words, one word per idea. Every public name is described."""

import ast
import dataclasses
import inspect
import io
import re
import tokenize
from importlib import import_module
from itertools import pairwise

import pytest
from support.repository import ROOT

from agentkit import Artifact, Citation, CohereOptions, Limits, Observation, Price, RetryPolicy, Step, ToolPolicy, Turn
from agentkit.tools import Pattern
from agentkit.turn import ToolCall, Usage

PACKAGES = ("agentkit", "agentkit.tools", "agentkit.memory", "agentkit.testing")
DESCRIBED = (
    *(Turn, Step, Observation, Artifact, Citation, Usage, ToolCall),
    *(Limits, Price, ToolPolicy, CohereOptions, RetryPolicy, Pattern),
)

ODD_BEGINNING = re.compile(r"(?:Whether|What|Those|The same|Of|How|Whom?|Whose|So many|None)\b|As `")
"""A docstring begins with what it returns or does ("Return ...", "True if ..."), or with a noun."""

ODD_FUNCTION = re.compile(r"(?:The|An?)\b|`")
"""A function's docstring begins with a verb, or with "True if ..."."""

PLAIN = {
    r"(?:go|goes|going|gone) on with|(?:go|goes) on(?=[.,;:])": "continue",
    r"(?:further|another|second|next|one|each) (?:try|tries)": "attempt, retry",
    r"further (?:retry|retries)": "retry",
    r"(?:leave|leaves|left) out": "omit",
    r"(?:leave|leaves|left) behind": "abandon",
    r"(?:break|breaks|broke|broken) off": "interrupt",
    r"mend|mends|mended|mending": "correct, fix",
    r"say again|said again": "repeat",
    r"stands? nowhere": "occur nowhere",
    r"(?:make|makes|made) up (?:a |the )?(?:code|name|value)s?": "invent",
    r"what came of": "result",
    r"hardly ever": "rarely",
    r"nobody (?:knows|said|named|gave)": "unknown",
    r"whoever": "caller",
    r"in vain": "without result",
}
"""Odd words, and the project's word for the idea."""

QUOTED = re.compile(r"``.*?``")
"""Code in a docstring. The model's texts are quoted so, such as the mark ``left out`` of a note."""


def sources():
    paths = {path.resolve() for top in ("agentkit", "memory", "tools") for path in (ROOT / top).rglob("*.py")}
    return sorted(path.relative_to(ROOT.resolve()).as_posix() for path in paths)


def docstrings(source):
    """Yield line and text of each docstring, constants' and fields' included, and True if it is a function's."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            for child in node.body:
                match child:
                    case ast.Expr(value=ast.Constant(value=str(text))):
                        is_function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
                        yield child.lineno, inspect.cleandoc(text), is_function


def comments(source):
    """Yield line and text of each comment; the lines of a block are one text."""
    block, start, end = [], 0, 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            if block and token.start[0] > end + 1:
                yield start, " ".join(block)
                block = []
            start = start if block else token.start[0]
            end = token.start[0]
            block.append(token.string.lstrip("# "))
    if block:
        yield start, " ".join(block)


def odd_words(text):
    text = QUOTED.sub("", " ".join(text.split()))
    for odd, plain in PLAIN.items():
        for found in re.finditer(rf"\b(?:{odd})(?!\w)", text, re.IGNORECASE):
            yield f"{found.group()!r}: write {plain}"


@pytest.mark.parametrize("path", sources())
def test_docstrings_and_comments_are_plain(path):
    source = (ROOT / path).read_text(encoding="utf-8")
    odd = []
    for line, text, is_function in docstrings(source):
        if ODD_BEGINNING.match(text) or (is_function and ODD_FUNCTION.match(text)):
            odd.append(f"{path}:{line}: begins {text.splitlines()[0]!r}")
    for line, text, *_ in [*docstrings(source), *comments(source)]:
        odd += [f"{path}:{line}: {found}" for found in odd_words(text)]
    assert not odd, "\n" + "\n".join(odd)


@pytest.mark.parametrize(
    "text",
    ["The run is paused, to be gone on with by `resume`.", "Wait before each further\ntry.", "It is left out."],
)
def test_odd_words_are_found(text):
    assert list(odd_words(text))


@pytest.mark.parametrize(
    "text", ["The mark ``left out`` of a note.", "Amended.", "Retry each attempt.", "Goes on top."]
)
def test_plain_words_and_quoted_texts_are_not(text):
    assert not list(odd_words(text))


@pytest.mark.parametrize(
    ("package", "name"), [(p, name) for p in PACKAGES for name in import_module(p).__all__ if name != "__version__"]
)
def test_every_public_name_has_a_docstring(package, name):
    public = getattr(import_module(package), name)
    if inspect.isclass(public):
        assert vars(public).get("__doc__"), "a class needs its own docstring, not an inherited one"
        assert not (dataclasses.is_dataclass(public) and public.__doc__.startswith(f"{name}(")), "made by dataclass"
    elif inspect.isfunction(public):
        assert public.__doc__
    else:
        assert name in described_constants(), "a constant needs a text below it"


def described_constants():
    """Return the names of all constants with a text below them."""
    names = set()
    for path in sources():
        body = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
        for before, after in pairwise(body):
            match before, after:
                case ast.Assign(targets=[ast.Name(id=name)]), ast.Expr(value=ast.Constant(value=str())):
                    names.add(name)
    return names


@pytest.mark.parametrize("described", DESCRIBED, ids=lambda c: c.__name__)
def test_every_field_is_described(described):
    fields = getattr(described, "model_fields", None) or {f.name for f in dataclasses.fields(described)}
    section = inspect.getdoc(described).partition("\nAttributes:\n")[2].partition("\n\n")[0]
    assert set(re.findall(r"^    (\w+): \S", section, re.MULTILINE)) == {f for f in fields if not f.startswith("_")}
