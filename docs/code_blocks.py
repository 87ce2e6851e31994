"""Run the code blocks of a page, top to bottom, as a reader would, and compare what they print.

A page is run in an empty folder with `examples` beside it. What the fences mean:

- ``python``: run, in one namespace for the whole page.
- ``console``: each line that starts with ``$ `` is run by a shell; the lines below it are what it prints.
- ``output``: what the block above it prints. A line ``...`` stands for any lines, ``...`` within a line for any text.
- a language and ``title="name"``: the block is saved under that name.
- everything else (``sh``, ``text``, ``mermaid``, ...) is for reading only.

A page that calls a Cohere model by name has the model's replies in a comment, ``<!-- model: [...] -->``: a
`CohereServer` plays them.
"""

from __future__ import annotations

import ast
import contextlib
import io
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
NEEDS_WALLS = ("docs/interpreter.md", "docs/notebooks.md", "docs/quickstart.md")
"""Pages that run the Python interpreter, which needs a machine with walls."""

_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
_MODEL = re.compile(r"<!-- model: (.*?) -->", re.DOTALL)
_TITLE = re.compile(r'title="([^"]+)"')


class Block(NamedTuple):
    """A fenced block of a page: its language, its text, and where in the page that text stands."""

    language: str
    title: str
    code: str
    start: int
    end: int
    line: int


class Difference(NamedTuple):
    """A block that printed something else than the page says."""

    block: Block
    printed: str

    def __str__(self) -> str:
        """What the page says and what was printed."""
        return f"line {self.block.line}: the page says\n{self.block.code}\nbut this is printed:\n{self.printed}"


def blocks_of(page: str) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    found = []
    for match in _FENCE.finditer(page):
        language, _, rest = match["info"].partition(" ")
        title = _TITLE.search(rest)
        line = page.count("\n", 0, match.start()) + 2
        found.append(Block(language, title[1] if title else "", match["code"], *match.span("code"), line))
    return found


def run_page(path: Path, folder: Path) -> list[Difference]:
    """Run the blocks of a page in `folder` and return where it printed something else than the page says.

    Raises:
        Exception: Whatever a block raises.
    """
    text = path.read_text(encoding="utf-8")
    (folder / "examples").symlink_to(ROOT / "examples")
    differences: list[Difference] = []
    namespace: dict[str, Any] = {"__name__": "__main__"}
    with _in_folder(folder), _model(text), _logging_restored():
        try:
            printed = None
            for block in blocks_of(text):
                if block.title:
                    (folder / block.title).write_text(block.code, encoding="utf-8")
                elif block.language == "python":
                    printed = _run_python(block, path, namespace)
                elif block.language == "console":
                    session = _run_console(block, folder)
                    if not fits(block.code, session):
                        differences.append(Difference(block, session))
                elif block.language == "output":
                    if printed is None:
                        raise ValueError(f"{path}, line {block.line}: no python block stands above this output.")
                    if not fits(block.code, printed):
                        differences.append(Difference(block, printed))
                    printed = None
        finally:
            _close(namespace)
    return differences


def refresh_page(path: Path, folder: Path) -> int:
    """Write what its blocks print into the page; return how many blocks have changed."""
    text = path.read_text(encoding="utf-8")
    differences = run_page(path, folder)
    for block, printed in reversed(differences):
        text = text[: block.start] + printed + text[block.end :]
    path.write_text(text, encoding="utf-8")
    return len(differences)


def fits(expected: str, printed: str) -> bool:
    """True if `printed` is what the page says, with ``...`` for what differs from run to run."""
    whole = re.escape(expected).replace(r"\.\.\.", ".*?")
    return re.fullmatch(whole, printed, re.DOTALL) is not None


def _run_python(block: Block, path: Path, namespace: dict[str, Any]) -> str:
    # Padded, so that a traceback names the line of the page.
    source = "\n" * (block.line - 1) + block.code
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(source, str(path), "exec"), namespace)
    return _text(out.getvalue().splitlines())


def _run_console(block: Block, folder: Path) -> str:
    session = []
    for line in block.code.splitlines():
        if not line.startswith("$ "):
            continue
        done = subprocess.run(line[2:], shell=True, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"line {block.line}: {line} ended with {done.returncode}: {done.stderr or done.stdout}")
        session += [line, *(done.stdout + done.stderr).splitlines()]
    return _text(session)


def _text(lines: list[str]) -> str:
    """Return the lines without blanks at their ends and at the end of the text, which editors remove."""
    return "".join(f"{line.rstrip()}\n" for line in lines).rstrip("\n") + "\n"


@contextlib.contextmanager
def _in_folder(folder: Path) -> Iterator[None]:
    before, here, modules = dict(os.environ), Path.cwd(), set(sys.modules)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    os.environ |= {"PATH": path, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb", "MPLBACKEND": "agg"}
    for name in [*os.environ]:
        if name in ("COHERE_API_KEY", "CO_API_URL", "FORCE_COLOR") or name.startswith("PYTEST_"):
            del os.environ[name]
    os.chdir(folder)
    sys.path.insert(0, str(folder))  # as for a program that is run in it
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - modules:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(f"{folder}{os.sep}"):
                del sys.modules[name]
        os.chdir(here)
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _model(page: str) -> Iterator[None]:
    """Play the replies that the page's comments hold, for the length of the page."""
    from agentkit.testing import CohereServer, cite, reply

    script = [
        entry
        for comment in _MODEL.findall(page)
        for entry in eval(compile(ast.parse(comment, mode="eval"), "model", "eval"), {"reply": reply, "cite": cite})
    ]
    if not script:
        yield
        return
    with CohereServer(script) as server:
        os.environ |= {"COHERE_API_KEY": "not-a-key", "CO_API_URL": server.url}
        yield
        server.assert_all_used()


@contextlib.contextmanager
def _logging_restored() -> Iterator[None]:
    loggers = [logging.getLogger(), logging.getLogger("agentkit")]
    before = [(logger, logger.level, list(logger.handlers)) for logger in loggers]
    try:
        yield
    finally:
        for logger, level, handlers in before:
            logger.setLevel(level)
            logger.handlers[:] = handlers


def _close(namespace: dict[str, Any]) -> None:
    """Close the databases and processes that the page's programs left open; a program's end would."""
    from agentkit import Agent
    from agentkit.memory import Memory
    from agentkit.tools import PythonInterpreter

    for value in list(namespace.values()):
        held = [value.memory, *value.tools] if isinstance(value, Agent) else [value]
        for one in held:
            if isinstance(one, (Memory, PythonInterpreter)):
                one.close()
