"""Mutation testing: small changes to the code, each of which the tests of its subject should notice.

``python tests/mutation/mutate.py --subject store --count 20`` prints each change that no test noticed.

Written by hand, because of the kept-up tools mutmut writes its mutants into the tree, and cosmic-ray changes the files
in place and takes no sample by a seed. Here each worker changes a copy of the tree in the folder for temporary files.
A sample changes only where the code does: mutants are taken in the order of a hash of file, line and change.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("agentkit", "memory", "tools", "tests", "examples", "cassettes", "pyproject.toml", "README.md")
SEED = 1
TOKENS = {
    ast.Eq: ("==", "!="), ast.NotEq: ("!=", "=="), ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="), ast.GtE: (">=", ">"), ast.Is: ("is", "is not"), ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"), ast.NotIn: ("not in", "in"), ast.And: ("and", "or"), ast.Or: ("or", "and"),
    ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "+"),
}  # fmt: skip
# A string is changed where it reads like a key or a name; the wording of messages is not behaviour.
NAME = re.compile(r"[A-Za-z_][\w.-]*")
TEST_TIMEOUT_S = 60  # of one test; a change that makes a test wait for ever has been noticed
RUN_TIMEOUT_S = 900


@dataclass(frozen=True)
class Subject:
    """Files to change, and the tests that should notice, the nearest first; both as patterns of paths."""

    files: tuple[str, ...]
    tests: tuple[str, ...]


RUNS = ("tests/agent/test_agent.py", "tests/agent/test_run_*.py", "tests/agent/test_resume.py")
SUBJECTS = {
    "loop": Subject(("agentkit/loop/*.py",), ("tests/loop", *RUNS)),
    "toolbox": Subject(("agentkit/toolbox/*.py",), ("tests/toolbox", *RUNS)),
    "store": Subject(("memory/store/*.py",), ("tests/memory/store", "tests/memory/test_*.py")),
    "regex": Subject(
        ("tools/regex/scanner.py", "tools/regex/candidates.py", "tools/regex/boundaries.py"), ("tests/tools/regex",)
    ),
    "http": Subject(("agentkit/cohere/http*.py", "agentkit/cohere/retry.py"), ("tests/cohere", RUNS[1])),
}


@cache
def _source(file: str) -> bytes:
    return (ROOT / file).read_bytes()


@dataclass(frozen=True)
class Mutant:
    """One change: the bytes from `start` to `end` of `file` replaced by `text`."""

    kind: str
    file: str
    start: int
    end: int
    text: str

    def applied(self) -> bytes:
        """Return the changed content of the file."""
        source = _source(self.file)
        return source[: self.start] + self.text.encode() + source[self.end :]

    def lines(self) -> tuple[str, str]:
        """Return the lines that differ, before and after, with single spaces."""
        source = _source(self.file)
        first, last = source.rfind(b"\n", 0, self.start) + 1, source.index(b"\n", self.end)
        after = source[first : self.start] + self.text.encode() + source[self.end : last]
        return " ".join(source[first:last].decode().split()), " ".join(after.decode().split())

    def __str__(self) -> str:
        number = _source(self.file).count(b"\n", 0, self.start) + 1
        return "{}:{}\n- {}\n+ {}".format(self.file, number, *self.lines())


def mutants(file: str) -> Iterator[Mutant]:
    """Yield every change that can be made to a file."""
    source = _source(file)
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def span(node: ast.AST) -> tuple[int, int]:
        return starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset

    for node in _code_of(ast.parse(source)):
        for left, operator, right in _operators(node):
            token, other = TOKENS[type(operator)]
            start, end = span(left)[1], span(right)[0]
            found = source[start:end].decode().find(token)
            if found >= 0:
                yield Mutant("operator", file, start + found, start + found + len(token), other)
        kind = type(getattr(node, "value", None) if isinstance(node, ast.Constant) else node).__name__
        for text in _replacements(node, source[slice(*span(node))].decode() if hasattr(node, "lineno") else ""):
            yield Mutant(kind, file, *span(node), text)


def _code_of(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes below that run: no annotations, docstrings, f-strings or imports for type checkers."""
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            skipped = (
                not isinstance(child, ast.AST)
                or name in ("annotation", "returns", "decorator_list")
                or isinstance(child, ast.JoinedStr | ast.Import | ast.ImportFrom)
                or (isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant))
                or (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING")
            )
            if not skipped:
                yield child
                yield from _code_of(child)


def _operators(node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST, ast.AST]]:
    """Yield the binary operators of a node, each between its operands."""
    if isinstance(node, ast.Compare):
        yield from zip([node.left, *node.comparators], node.ops, node.comparators, strict=False)
    elif isinstance(node, ast.BoolOp):
        for left, right in zip(node.values, node.values[1:], strict=False):
            yield left, node.op, right
    elif isinstance(node, ast.BinOp) and type(node.op) in TOKENS:
        yield node.left, node.op, node.right


def _replacements(node: ast.AST, source: str) -> Iterator[str]:
    """Yield what a whole node can be replaced by."""
    match node:
        case ast.Constant(value=bool(value)):
            yield str(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield repr(value + 1)
            yield repr(value - 1)
        case ast.Constant(value=str(value)) if NAME.fullmatch(value) and source[:1] in "\"'":
            yield repr(value + "X")
        case ast.UnaryOp(op=ast.Not()):
            yield source.removeprefix("not").strip()
        case ast.Continue():
            yield "break"
        case ast.Break():
            yield "continue"
        case ast.Return(value=ast.expr()) if source != "return None":
            yield "return None"
        case ast.Expr() | ast.AugAssign() | ast.Raise() | ast.Delete():
            yield "pass"


def sample(subject: str, count: int, seed: int = SEED, skip: int = 0) -> list[Mutant]:
    """Return `count` of the subject's mutants after the first `skip`: of each kind in turn, in the order of a hash."""
    files = sorted(p.relative_to(ROOT).as_posix() for pattern in SUBJECTS[subject].files for p in ROOT.glob(pattern))
    found = {(mutant.file, *mutant.lines()): mutant for file in files for mutant in mutants(file)}
    kinds: dict[str, list[Mutant]] = {}
    for key in sorted(found, key=lambda key: hashlib.sha256(repr((seed, *key)).encode()).digest()):
        kinds.setdefault(found[key].kind, []).append(found[key])
    turns = zip_longest(*(kinds[kind] for kind in sorted(kinds)))
    return [mutant for turn in turns for mutant in turn if mutant is not None][skip : skip + count]


def survivors(work: Sequence[tuple[str, Mutant]], workers: int | None = None) -> list[Mutant]:
    """Return the mutants that the tests of their subjects do not notice; in copies of the tree, `workers` at a time."""
    copies: SimpleQueue[Path] = SimpleQueue()
    workers = workers or os.cpu_count() or 1

    def is_unnoticed(one: tuple[str, Mutant]) -> bool:
        copy = copies.get()
        try:
            return _passes_with(copy, *one)
        finally:
            copies.put(copy)

    with tempfile.TemporaryDirectory(prefix="agentkit-mutants-") as folder, ThreadPoolExecutor(workers) as pool:
        for number in range(workers):
            copies.put(_copy_of_tree(Path(folder) / str(number)))
        for subject in sorted({subject for subject, _ in work}):
            assert _tests_pass(Path(folder) / "0", subject, quiet=False), f"{subject}: its tests fail without a change"
        unnoticed = list(pool.map(is_unnoticed, work))
    return [mutant for (_, mutant), is_alive in zip(work, unnoticed, strict=True) if is_alive]


def _copy_of_tree(target: Path) -> Path:
    target.mkdir()
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, target / name)
    folders = [target / name for name in ("agentkit", "memory", "tools", "tests")]
    subprocess.run([sys.executable, "-m", "compileall", "-q", *folders], check=True, stdout=subprocess.DEVNULL)
    return target


def _passes_with(copy: Path, subject: str, mutant: Mutant) -> bool:
    file = copy / mutant.file
    # The compiled file goes for good: it is trusted by size and second, which a change may leave as they were.
    for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
        compiled.unlink()
    file.write_bytes(mutant.applied())
    try:
        return _tests_pass(copy, subject)
    finally:
        file.write_bytes(_source(mutant.file))


def _tests_pass(copy: Path, subject: str, *, quiet: bool = True) -> bool:
    tests = [str(path) for pattern in SUBJECTS[subject].tests for path in sorted(copy.glob(pattern))]
    options = ["-x", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-seed=0"]
    options += ["-m", "not soak and not postgres", "--timeout", str(TEST_TIMEOUT_S)]
    env = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", *options, *tests]
    output = subprocess.DEVNULL if quiet else None
    run = subprocess.Popen(command, cwd=copy, env=env, stdout=output, stderr=output, start_new_session=True)
    try:
        return run.wait(RUN_TIMEOUT_S) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        with suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)  # what a changed test run has started
        run.wait()


def equal_in_effect() -> dict[tuple[str, str, str], str]:
    """Return the reviewed mutants that change nothing a user could notice, each with the reason."""
    listed = tomllib.loads((ROOT / "tests/mutation/equal_in_effect.toml").read_text(encoding="utf-8"))["mutant"]
    return {(item["file"], item["before"], item["after"]): item["reason"] for item in listed}


def main() -> None:
    """Print the survivors of one subject, or of all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subject", choices=SUBJECTS, action="append")
    parser.add_argument("--count", type=int, default=12, help="mutants for each subject")
    parser.add_argument("--skip", type=int, default=0, help="pass over so many first")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--workers", type=int)
    given = parser.parse_args()
    known = equal_in_effect()
    for subject in given.subject or SUBJECTS:
        work = [(subject, mutant) for mutant in sample(subject, given.count, given.seed, given.skip)]
        alive = survivors(work, given.workers)
        print(f"== {subject}: {len(work)} mutants, {len(work) - len(alive)} noticed", flush=True)
        for mutant in alive:
            reason = known.get((mutant.file, *mutant.lines()))
            print(mutant, *([f"equal in effect: {reason}"] if reason else []), sep="\n", flush=True)


if __name__ == "__main__":
    main()
