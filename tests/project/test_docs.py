"""README.md and the pages of docs/: their programs run, their links lead somewhere, their generated parts are fresh."""

import dataclasses
import re
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest
from langchain_core.runnables import RunnableSerializable

from agentkit import StopReason, errors, events

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))

import code_blocks  # noqa: E402
import generate  # noqa: E402

TEXTS = [*code_blocks.PAGES, *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"))]
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def name_of(page):
    return page.relative_to(ROOT).as_posix()


def text_of(page):
    return page.read_text(encoding="utf-8")


def have_walls():
    from agentkit import ConfigError
    from agentkit.tools import PythonInterpreter

    try:
        PythonInterpreter().close()
    except ConfigError:
        return False
    return True


@pytest.mark.parametrize("page", code_blocks.PAGES, ids=name_of)
def test_the_programs_of_a_page_run_and_print_what_it_says(page, tmp_path):
    if name_of(page) in code_blocks.NEEDS_WALLS and not have_walls():
        pytest.skip("the Python interpreter has no walls on this machine")
    differences = code_blocks.run_page(page, tmp_path)
    assert not differences, "\n\n".join([*map(str, differences), "`make docs` writes what is printed into the page."])


def test_the_first_program_is_short():
    first = next(b for b in code_blocks.blocks_of(text_of(ROOT / "README.md")) if b.language == "python")
    assert len(first.code.splitlines()) <= 8


def test_the_readme_is_short():
    assert len(text_of(ROOT / "README.md").encode()) <= 6_000


@pytest.mark.parametrize("page", TEXTS, ids=name_of)
def test_the_links_of_a_page_lead_somewhere(page):
    assert [link for link in links(page) if not leads(page, link)] == []


def links(page):
    """The links of a page that stay in the repository."""
    found = re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", text_of(page)))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def leads(page, link):
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return target.exists() and (not anchor or anchor in anchors(target))


def anchors(page):
    """The anchors a code host gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text_of(page)).replace("\\_", "_"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def test_every_page_can_be_reached():
    pages = code_blocks.PAGES
    linked = {(page.parent / link.partition("#")[0]).resolve() for page in pages for link in links(page)}
    assert [name_of(page) for page in pages if page not in linked and page.name != "README.md"] == []


@pytest.mark.parametrize("page", code_blocks.PAGES, ids=name_of)
def test_commands_that_are_only_shown_exist(page):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for block in code_blocks.blocks_of(text_of(page)):
        if block.language == "sh":
            for target in re.findall(r"^make ([a-z]+)", block.code, re.MULTILINE):
                assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_a_block_that_prints_something_else_is_reported_and_can_be_refreshed(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(1)\n```\n\n```output\n2\n```\n\n```console\n$ echo 3\n```\n", encoding="utf-8")
    for folder in ("a", "b", "c"):
        (tmp_path / folder).mkdir()
    assert [found.printed for found in code_blocks.run_page(page, tmp_path / "a")] == ["1\n", "$ echo 3\n3\n"]
    assert code_blocks.refresh_page(page, tmp_path / "b") == 2
    assert code_blocks.run_page(page, tmp_path / "c") == []
    assert text_of(page).count("\n3\n") == 1


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("took ... s\n", "took 0.5 s\n", True),
        ("a\n...\nz\n", "a\nb\nc\nz\n", True),
        ("a.c\n", "abc\n", False),
        ("1\n", "1\n2\n", False),
    ],
)
def test_three_dots_stand_for_what_differs(expected, printed, same):
    assert code_blocks.fits(expected, printed) is same


MADE_BY = {"Cite": "cite", "ScriptedReply": "reply"}  # the arguments of these functions explain the fields
PUBLIC = ["agentkit", "agentkit.tools", "agentkit.tools.patterns", "agentkit.memory", "agentkit.testing"]


def public_names():
    for module in PUBLIC:
        for name in import_module(module).__all__:
            yield module, name
    for event in get_args(events.Event):
        yield "agentkit.events", event.__name__


def entries():
    """The text below each heading of the reference, by the line that says where a name is imported from."""
    text = "\n".join(text_of(page) for page in (ROOT / "docs" / "reference").glob("*.md"))
    return {part.split("`")[1]: part for part in re.split(r"^## ", text, flags=re.MULTILINE) if "`from " in part}


def test_the_reference_has_every_public_name_with_its_docstring():
    found = entries()
    for module, name in public_names():
        entry = found[f"from {module} import {name}"]
        prose = FENCE.sub("", entry).split("\n", 1)[1].replace(f"`from {module} import {name}`", "")
        assert prose.strip(), f"{module}.{name} has no docstring"


def test_the_reference_has_every_field_with_its_meaning():
    found = entries()
    missing = [
        f"{module}.{name}.{field}"
        for module, name in public_names()
        for field in fields_of(getattr(import_module(module), name))
        if not re.search(row_of(field), found[f"from {module} import {name}"].replace("\\|", "/"), re.MULTILINE)
    ]
    assert missing == []


def row_of(field):
    """A row of a table that begins with the field and ends with words."""
    return rf"^\| `{field}` \|.*\| [^|]*\w[^|]* \|$"


def test_the_reference_is_what_the_docstrings_say():
    pytest.importorskip("griffe", reason="the extra docs is not installed; `make docs` installs it")
    assert stale(generate.reference()) == [], "`make docs` writes the reference anew."


def test_the_page_of_the_command_line_is_what_the_program_prints(monkeypatch):
    for name in ("COLUMNS", "NO_COLOR", "TERM"):
        monkeypatch.setenv(name, "")  # set anew by what is tested, and restored after it
    assert stale({ROOT / "docs" / "cli.md": generate.command_line()}) == [], "`make docs` writes the page anew."


def test_the_page_of_the_command_line_has_every_command():
    from agentkit.cli.app import app

    groups = {group.name: group.typer_instance.registered_commands for group in app.registered_groups}
    names = [command.name or command.callback.__name__ for command in app.registered_commands]
    names += [f"{group} {c.name or c.callback.__name__}" for group, found in groups.items() for c in found]
    assert set(names) <= set(generate.COMMANDS)


def stale(pages):
    return [name_of(page) for page, text in pages.items() if not page.exists() or text_of(page) != text]


def fields_of(value):
    if getattr(value, "__name__", "") in MADE_BY:
        return []
    if dataclasses.is_dataclass(value):
        return [field.name for field in dataclasses.fields(value) if not field.name.startswith("_")]
    own = getattr(value, "model_fields", {}) if isinstance(value, type) else {}
    is_tool_or_model = isinstance(value, type) and issubclass(value, RunnableSerializable)
    return [] if is_tool_or_model else list(own)


def test_the_directions_of_imports_are_those_that_are_held():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = "".join(f"{layer.replace(' | ', ', ')}\n" for layer in contracts[0]["layers"])
    assert f"```text\n{layers}```" in text_of(ROOT / "docs" / "architecture.md")


def test_the_tree_of_folders_is_there():
    (tree,) = [b.code for b in code_blocks.blocks_of(text_of(ROOT / "docs" / "architecture.md")) if "loop/" in b.code]
    top, found = "", set()
    for indent, name in re.findall(r"^( *)(\w+)/ ", tree, re.MULTILINE):
        top = top if indent else name
        found.add(f"{top}/{name}" if indent else name)
    packages = {path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("*/*/__init__.py")}
    assert packages - {"agentkit/memory", "agentkit/tools"} <= found
    assert [name for name in found if not (ROOT / name).is_dir()] == []


def test_the_failures_page_has_every_error_and_every_stop_reason():
    page = text_of(ROOT / "docs" / "failures.md")
    classes = [name for name, found in vars(errors).items() if isinstance(found, type)]
    tables = [name for _, name in public_names() if name.endswith("Error")]
    assert [name for name in [*classes, *tables, *get_args(StopReason)] if f"`{name}`" not in page] == []


@pytest.mark.parametrize("page", code_blocks.PAGES, ids=name_of)
def test_sequence_diagrams_hold_no_semicolon_which_would_end_a_line(page):
    diagrams = [block.code for block in code_blocks.blocks_of(text_of(page)) if block.language == "mermaid"]
    assert [code for code in diagrams if code.startswith("sequence") and ";" in code] == []
