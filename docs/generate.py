"""Write the generated parts of the documentation anew; `make docs` runs it before it builds the site.

- ``docs/reference/``: every public name, out of its docstring.
- ``docs/cli.md``: what each command's ``--help`` prints.
- in every page: what the blocks of code print (see `code_blocks`).

The pages are checked in, so that they can be read on a code host too, where a directive of a site generator shows
nothing; a test compares them with what is written here. The docstrings are read by griffe, without importing anything.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import code_blocks

DOCS = Path(__file__).parent
NOTE = "<!-- Written by docs/generate.py: change the {source}, then run `make docs`. -->"


class Page(NamedTuple):
    """A page of the reference: its file, its title, a sentence, and its names by the module they are imported from.

    A star stands for all that the module's ``__all__`` lists.
    """

    file: str
    title: str
    about: str
    names: dict[str, str]


REFERENCE = [
    Page(
        "agent.md",
        "Agent, limits, policies, approvals, hooks",
        "What you make an agent from.",
        {
            "agentkit": "Agent Limits Price ToolPolicy with_policy policy_of Outcome Approve Deny Edit Resume Hooks "
            "Refuse validate_history __version__"
        },
    ),
    Page(
        "turn.md",
        "Turns and steps",
        "What a run returns: frozen pydantic models that make a round trip through JSON.",
        {"agentkit": "Turn Step ToolCall Observation Artifact Citation Usage StopReason", "agentkit.turn": "ErrorKind"},
    ),
    Page(
        "events.md",
        "Events",
        "What `Agent.stream` and `Agent.astream` yield.",
        {
            "agentkit.events": "TurnStarted ThinkingDelta PlanDelta TextDelta ToolCallDelta ToolStarted ToolFinished "
            "ApprovalNeeded Retrying CitationFound LimitReached TurnFinished"
        },
    ),
    Page(
        "settings.md",
        "Cohere's settings",
        "How a Cohere model is called.",
        {"agentkit": "CohereOptions RetryPolicy CohereChat image"},
    ),
    Page(
        "tools.md",
        "Tools",
        "The deterministic tools.",
        {
            "agentkit.tools": "*",
            "agentkit.tools.patterns": "*",
        },
    ),
    Page(
        "memory.md",
        "Memory",
        "Where turns are kept, and how they are replayed.",
        {
            "agentkit.memory": "* AugmentedMemoryMiddleware",
            "agentkit.memory.evaluate": "run_eval",
        },
    ),
    Page(
        "testing.md",
        "Testing",
        "Scripted models, a scripted server, recorded HTTP.",
        {"agentkit.testing": "*"},
    ),
    Page(
        "output.md",
        "Printing and checking",
        "Functions for what an agent returned.",
        {
            "agentkit.console": "render_turn turn_text render_messages messages_text",
            "agentkit.grounding": "check_citations",
            "agentkit.demo": "recorded",
        },
    ),
    Page(
        "errors.md",
        "Errors",
        "Every error is an `AgentKitError`. [Failures](../failures.md#errors) says what to do about each.",
        {
            "agentkit": "AgentKitError UserError InputError ConfigError SessionError SessionBusyError HookError "
            "CassetteError ModelError DeadlineError HistoryError GroundingError ToolError StoreError StoreVersionError"
        },
    ),
]

COMMANDS = ["", "demo", "ask", "chat", "sessions", "show", "extract", "mcp", "doctor", "memory", "memory eval"]


def main() -> None:
    """Write everything, and say which files have changed."""
    for path, text in generated().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"written: {path.relative_to(DOCS.parent)}")
    for page in code_blocks.PAGES:
        with tempfile.TemporaryDirectory() as folder:
            if code_blocks.refresh_page(page, Path(folder)):
                print(f"refreshed: {page.relative_to(DOCS.parent)}")


def generated() -> dict[Path, str]:
    """Return the text of each file that is written whole."""
    return {DOCS / "cli.md": command_line(), **reference()}


# --- the command line ------------------------------------------------------------------------------------


def command_line() -> str:
    """Return the page of the commands, with what `--help` prints in a terminal of 100 columns."""
    os.environ |= {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
    parts = [
        "# Command line",
        NOTE.format(source="help texts in agentkit/cli"),
        "In a checkout, after `make demo`: `. .venv/bin/activate`, or write `.venv/bin/agentkit`.\n"
        "The key of a Cohere model is read from `COHERE_API_KEY`.",
    ]
    for command in COMMANDS:
        parts += [f"## agentkit {command}".strip(), f"```text\n{_help_of(command)}```"]
    return "\n\n".join(parts) + "\n"


def _help_of(command: str) -> str:
    from agentkit.cli.app import main

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main([*command.split(), "--help"])
    lines = printed.getvalue().strip("\n").splitlines()
    return "".join(f"{line.rstrip()}\n" for line in lines)


# --- the reference ---------------------------------------------------------------------------------------


def reference() -> dict[Path, str]:
    """Return the text of each page of the reference."""
    import griffe

    loader = griffe.GriffeLoader(search_paths=[str(DOCS.parent)], docstring_parser=griffe.Parser.google)
    package = loader.load("agentkit")
    loader.resolve_aliases(external=False)
    note = NOTE.format(source="docstrings")
    index = [
        "# Reference",
        note,
        "Every public name, with the first line of its docstring.",
        "| name | what it is |\n|---|---|",
    ]
    pages = {}
    for page in REFERENCE:
        parts = [f"# {page.title}", note, page.about]
        for module, names in page.names.items():
            for name in _listed(package, module, names):
                found = _found(package, module, name)
                parts += _entry(found, name, module)
                index[-1] += f"\n| [`{name}`]({page.file}#{_anchor(name)}) | {_cell(_first_line(found))} |"
        pages[DOCS / "reference" / page.file] = "\n\n".join(part for part in parts if part) + "\n"
    return {DOCS / "reference" / "index.md": "\n\n".join(index) + "\n", **pages}


def _listed(package: Any, module: str, names: str) -> list[str]:
    listed = [str(name).strip("'") for name in _module(package, module).exports or ()]
    return [one for name in names.split() for one in (listed if name == "*" else [name])]


def _module(package: Any, module: str) -> Any:
    return package if module == "agentkit" else package[module.removeprefix("agentkit.")]


def _found(package: Any, module: str, name: str) -> Any:
    found = _module(package, module)[name]
    return found.final_target if found.is_alias else found


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def _first_line(found: Any) -> str:
    text = found.docstring.value if found.docstring else ""
    return " ".join(text.split("\n\n")[0].split())


def _entry(found: Any, name: str, module: str) -> list[str]:
    parts = ["## " + name.replace("__", r"\_\_"), f"`from {module} import {name}`"]
    if found.is_class:
        return [*parts, *_class(found, name)]
    if found.is_function:
        return [*parts, _signature(found, name), *_sections(found)]
    return [*parts, f"```text\n{name} = {found.value}\n```" if name != "__version__" else "", *_sections(found)]


def _class(found: Any, name: str) -> list[str]:
    init = found.members.get("__init__")
    own_init = init is not None and init.is_function and not init.is_alias and found.docstring is not None
    parts = [_signature(init, name)] if own_init else []
    parts += _sections(found)
    if own_init:
        parts += [part for part in _sections(init) if part.startswith(("**Arguments**", "**Raises**"))]
    for member in found.members.values():
        if member.is_alias or member.name.startswith("_") or not (member.is_function or "property" in member.labels):
            continue
        if member.is_function:
            parts += [f"### {name}.{member.name}", _signature(member, member.name), *_sections(member)]
        elif member.name not in _documented(found):
            parts += [f"### {name}.{member.name}", f"A property: `{_type(member)}`.", *_sections(member)]
    return parts


def _documented(found: Any) -> dict[str, str]:
    """Return the attributes that the docstring of a class explains."""
    if not found.docstring:
        return {}
    return {
        item.name: item.description
        for section in found.docstring.parsed
        if section.kind.value == "attributes"
        for item in section.value
    }


def _sections(found: Any) -> list[str]:
    parts: list[str] = []
    for section in found.docstring.parsed if found.docstring else ():
        kind = section.kind.value
        if kind == "text":
            parts.append(_markdown(section.value))
        elif kind == "parameters":
            rows = [(i.name, _annotation(i.annotation, found), i.description) for i in section.value]
            parts.append("**Arguments**\n\n" + _table(rows))
        elif kind == "attributes":
            rows = [(i.name, *_kind_of(found, i.name), i.description) for i in section.value]
            parts.append(_table(rows, default=True))
        elif kind in ("returns", "yields"):
            parts.append(f"**{kind.capitalize()}** " + " ".join(_line(i.description) for i in section.value))
        elif kind == "raises":
            items = [f"- `{i.annotation}`: {_line(i.description)}" for i in section.value]
            parts.append("**Raises**\n\n" + "\n".join(items))
    return parts


def _kind_of(found: Any, name: str) -> tuple[str, str]:
    """Return the type and the default of an attribute."""
    member = found.members.get(name)
    if member is None or member.is_function:
        return "", ""
    default = "" if member.value is None or "property" in member.labels else str(member.value)
    field = re.match(r"Field\((?:default=)?(.+?)(?:,.*)?\)$|field\(.*\)$", default)
    return _type(member), (field[1] or "" if field else default)


def _type(member: Any) -> str:
    return _annotation(member.annotation if member.is_attribute else member.returns, member)


def _annotation(annotation: Any, found: Any) -> str:
    """Return an annotation as a reader needs it: private aliases resolved, constraints of pydantic omitted."""
    text = "" if annotation is None else str(annotation)
    resolved: set[str] = set()
    while names := set(re.findall(r"\b[A-Z_]\w*", text)) - resolved:
        resolved |= names
        for name in sorted(names):
            if _hides_constraints(value := _value(found.module, name), name):
                text = re.sub(rf"\b{name}\b", lambda _, value=value: value, text)
    while (start := text.find("Annotated[")) >= 0:
        first, end = _first_argument(text, start + len("Annotated["))
        text = text[:start] + first + text[end:]
    return text


def _hides_constraints(value: str | None, name: str) -> bool:
    """True if a name stands for an annotation with constraints, which only pydantic reads, or is private."""
    return value is not None and ("Annotated[" in value or (name.startswith("_") and "TypeVar" not in value))


def _value(module: Any, name: str) -> str | None:
    member = module.members.get(name)
    if member is not None and member.is_alias:
        try:
            member = member.final_target
        except Exception:  # a name of another package
            return None
    return str(member.value) if member is not None and member.is_attribute and member.value is not None else None


def _first_argument(text: str, start: int) -> tuple[str, int]:
    """Return the first of the arguments in brackets that begin at `start`, and the index behind the closing bracket."""
    depth, first = 0, ""
    for at in range(start, len(text)):
        if text[at] in "[(":
            depth += 1
        elif text[at] in "])":
            if depth == 0:
                return first or text[start:at], at + 1
            depth -= 1
        elif text[at] == "," and depth == 0 and not first:
            first = text[start:at]
    return text[start:], len(text)


def _signature(found: Any, name: str) -> str:
    """Return the call of a function or a class, an argument a line where one line is too short."""
    given, star = [], False
    for parameter in found.parameters:
        if parameter.name == "self" or parameter.name == "cls":
            continue
        kind = str(parameter.kind.value)
        if kind == "keyword-only" and not star:
            given.append("*")
            star = True
        prefix = {"variadic positional": "*", "variadic keyword": "**"}.get(kind, "")
        star = star or prefix == "*"
        annotation = _annotation(parameter.annotation, found)
        default = "" if parameter.default is None or prefix else f" = {parameter.default}"
        given.append(f"{prefix}{parameter.name}{': ' + annotation if annotation else ''}{default}")
    returns = _annotation(found.returns, found)
    ending = f" -> {returns}" if returns and found.name != "__init__" else ""
    word = "async def " if "async" in found.labels else ""
    line = f"{word}{name}({', '.join(given)}){ending}"
    if len(line) > 100:
        line = f"{word}{name}(\n" + "".join(f"    {one},\n" for one in given) + f"){ending}"
    return f"```py\n{line}\n```"


def _table(rows: list[tuple[str, ...]], *, default: bool = False) -> str:
    head = (
        "| name | type | default | meaning |\n|---|---|---|---|"
        if default
        else "| name | type | meaning |\n|---|---|---|"
    )
    lines = []
    for name, *kinds, meaning in rows:
        cells = [_code(kind) for kind in kinds]
        lines.append(f"| `{name}` | {' | '.join(cells)} | {_cell(meaning)} |")
    return "\n".join([head, *lines])


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|") if text else ""


def _line(text: str) -> str:
    return " ".join(_markdown(text).split())


def _cell(text: str) -> str:
    return _line(text).replace("|", "\\|")


def _markdown(text: str) -> str:
    """Return a docstring's text as markdown: two backticks of reStructuredText are one, a literal block is fenced."""
    lines: list[str] = []
    literal = False
    for line in text.replace("``", "`").splitlines():
        if literal and line and not line.startswith(" "):
            lines.insert(len(lines) - (1 if lines and not lines[-1] else 0), "```")
            literal = False
        if not literal and lines and line.startswith("    ") and not lines[-1] and _announced(lines):
            lines.append("```py")
            literal = True
        lines.append(line[4:] if literal else line)
    if literal:
        lines.append("```")
    return "\n".join(lines).replace("::\n", ":\n")


def _announced(lines: list[str]) -> bool:
    return any(line.endswith("::") for line in lines[-2:])


if __name__ == "__main__":
    main()
