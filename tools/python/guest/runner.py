"""The process the model's code runs in: it reads requests from a socket, runs each, answers with one JSON frame.

Started as a script by `agentkit.tools.python.host.child`, or loaded by `zygote`, whose forks call `serve`. One file,
standard library only and nothing of agentkit. The host trusts nothing it sends.
"""

from __future__ import annotations

import ast
import builtins
import ctypes
import functools
import json
import linecache
import math
import os
import re
import resource
import signal
import struct
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

MAX_TEXT_CHARS = 10_000
"""Longest value or error, in characters; of a longer one the head and the tail are kept. Like the numbers below,
chosen by hand: what a model can use of one result, about 2,500 tokens at most."""
MAX_VARIABLES = 100
MAX_NAMES = 1_000
MAX_COLUMNS = 50
SHOWN_ROWS = 10
"""A table of at most so many rows is shown complete; of a longer one the first `HEAD_ROWS`."""
HEAD_ROWS = 5
SHOWN_COLUMNS = 50
WIDE_COLUMNS = 20
SHOWN_ITEMS = 100
"""An array of at most so many items is shown complete."""
MAX_FIGURES = 20
MAX_FRAMES = 15

# Chosen by hand: with pandas and pyplot loaded 0.22 of 2 GiB of addresses are taken; few analyses open more files.
ADDRESS_SPACE_BYTES = 2 * 1024**3
FILE_BYTES = 256 * 1024**2
OPEN_FILES = 256
PR_SET_PDEATHSIG = 1

# A cell may replace or delete builtins; these two names restore them without looking up any name there.
_BUILTINS: dict[str, Any] = builtins.__dict__
_SAVED_BUILTINS = dict(_BUILTINS)
_MISSING = object()
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_ADDRESS = re.compile(r"<([^<>]*?) at 0x[0-9A-Fa-f]+>")


# --- frames: four bytes of length, then JSON ---------------------------------------------------------------------


def read_exactly(channel: int, size: int) -> bytes | None:
    """Return `size` bytes, or None if the host has closed the connection."""
    parts = []
    while size > 0:
        part = os.read(channel, min(size, 1 << 16))
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def receive(channel: int) -> dict[str, Any] | None:
    """Return the next request, or None if the host has closed the connection."""
    header = read_exactly(channel, 4)
    body = read_exactly(channel, struct.unpack(">I", header)[0]) if header else None
    return None if body is None else json.loads(body)


def send(channel: int, message: dict[str, Any]) -> None:
    """Write one frame."""
    body = json.dumps(message).encode("ascii")
    view = memoryview(struct.pack(">I", len(body)) + body)
    while view:
        view = view[os.write(channel, view) :]


# --- what the process may use ------------------------------------------------------------------------------------


def set_limits() -> list[str]:
    """Set the resource limits and return the names of those that this system refuses."""
    refused = []
    for name, limit in (
        ("RLIMIT_AS", ADDRESS_SPACE_BYTES),
        ("RLIMIT_FSIZE", FILE_BYTES),
        ("RLIMIT_NOFILE", OPEN_FILES),
        ("RLIMIT_CORE", 0),
    ):
        try:
            kind = getattr(resource, name)
            hard = resource.getrlimit(kind)[1]
            value = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
            resource.setrlimit(kind, (value, value))
        except (AttributeError, ValueError, OSError):
            refused.append(name)
    return refused


def limit_cpu(seconds: float) -> None:
    """Let the process use this much more processor time; then the kernel ends it."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    soft = math.ceil(usage.ru_utime + usage.ru_stime + seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def die_with_parent(parent: int) -> None:
    """End with the host, also inside a C call that never reads the socket (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


# --- text --------------------------------------------------------------------------------------------------------


def spell_out(text: str) -> str:
    """Return `text` as the host will store it; done here too, as that is longer and the host checks lengths."""
    if text.isascii() and "\0" not in text:
        return text
    return _UNSTORABLE.sub(lambda found: "\\x00" if found[0] == "\0" else f"\\u{ord(found[0]):04x}", text)


def short(value: object, max_chars: int) -> str:
    """Return `value` as a text of at most `max_chars`."""
    return spell_out(str(value)[:max_chars])[:max_chars]


def head_and_tail(text: str) -> str:
    """Return `text`, or its head and tail with a line between them that counts the omitted characters."""
    text = spell_out(text)
    cut = len(text) - MAX_TEXT_CHARS
    if cut <= 0:
        return text
    head = MAX_TEXT_CHARS * 2 // 3
    return f"{text[:head]}\n[… {cut} of {len(text)} characters left out …]\n{text[head + cut :]}"


def describe_value(value: Any) -> str:
    """Return the value's repr without memory addresses, which differ from run to run; a numpy number as a plain one."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, (numpy.number, numpy.bool_)):
        return str(value)  # its repr is 612 or np.int64(612), depending on the version of numpy
    if numpy is not None and type(value) is numpy.ndarray and value.size > SHOWN_ITEMS:
        shown = numpy.array2string(value, threshold=SHOWN_ITEMS)
        return head_and_tail(f"ndarray, shape {value.shape}, {value.dtype}\n{shown}")
    pandas = sys.modules.get("pandas")
    if pandas is not None and type(value) in (pandas.DataFrame, pandas.Series):
        return head_and_tail(describe_table(value, is_column=type(value) is pandas.Series))
    text = repr(value)
    if isinstance(value, (str, bytes)):
        return head_and_tail(text)
    return _ADDRESS.sub(r"<\1>", head_and_tail(text))


def describe_table(table: Any, *, is_column: bool) -> str:
    """Return a DataFrame's or Series' size, columns with their kinds and first rows, alike for each pandas."""
    rows = len(table)
    shown = table if rows <= SHOWN_ROWS else table.head(HEAD_ROWS)
    if is_column:
        name = "" if table.name is None else f" {table.name!s}"
        head, body = f"Series{name}, {rows} values ({_kind(table)})", shown.to_string(name=False, dtype=False)
    else:
        columns = [
            f"{name!s} ({_kind(table.iloc[:, place])})" for place, name in enumerate(table.columns[:SHOWN_COLUMNS])
        ]
        more = table.shape[1] - len(columns)
        listed = ", ".join(columns) + (f" and {more} more" if more > 0 else "")
        head = f"DataFrame, {rows} rows, {table.shape[1]} columns" + (f": {listed}" if listed else "")
        body = shown.to_string(max_cols=WIDE_COLUMNS, max_colwidth=60)
    left = f"\n[… {rows - HEAD_ROWS} more rows …]" if rows > SHOWN_ROWS else ""
    return f"{head}\n{body}{left}" if rows else head


def _kind(column: Any) -> str:
    """Return the kind of a column's values, in words that do not depend on the version of pandas."""
    kind = str(column.dtype)
    if kind == "object":
        only_text = sys.modules["pandas"].api.types.infer_dtype(column.head(1_000), skipna=True) == "string"
        return "text" if only_text else kind
    if kind in ("str", "string"):
        return "text"
    return "datetime" if kind.startswith("datetime64") and "," not in kind else kind


def describe_error(error: BaseException, cell: str) -> str:
    """Return the lines of the model's code that an exception passed through, then its type and message."""
    if isinstance(error, SyntaxError) and (error.filename or "").startswith("<cell "):
        frames, message = [_frame(error.filename or "", error.lineno or 0, "<module>", cell)], error.msg
    else:
        frames, message = list(_own_frames(error.__traceback__, cell)), _message(error)
    if len(frames) > MAX_FRAMES:
        left_out = len(frames) - MAX_FRAMES
        # Without their number, which depends on the version of Python.
        frames = [*frames[:5], "  [… more calls …]", *frames[5 + left_out :]]
    if isinstance(error, SystemExit):
        message = f"exit({'' if error.code is None else repr(error.code)[:200]}) does not end the session."
    kind = type(error).__name__
    lines = [*frames, f"{kind}: {message}" if message else kind]
    lines += [str(note) for note in getattr(error, "__notes__", None) or ()]
    if isinstance(error, BaseExceptionGroup):
        lines += [f"  - {type(inner).__name__}: {_message(inner)}" for inner in error.exceptions[:5]]
    return head_and_tail("\n".join(lines))


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as second:
        return f"(its message cannot be shown: {type(second).__name__})"


def _own_frames(traceback: types.TracebackType | None, cell: str) -> Iterator[str]:
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if code.co_filename.startswith("<cell "):
            yield _frame(code.co_filename, traceback.tb_lineno, code.co_name, cell)
        traceback = traceback.tb_next


def _frame(filename: str, line: int, function: str, cell: str) -> str:
    where = "<cell>" if function == "<module>" else function
    earlier = "" if filename == cell else " (an earlier cell)"
    source = linecache.getline(filename, line).strip()
    return f"  line {line}, in {where}{earlier}" + (f"\n    {source[:200]}" if source else "")


# --- variables ---------------------------------------------------------------------------------------------------


def summary(name: str, value: Any) -> dict[str, Any]:
    """Return name and type, with shape and columns if they are cheap to get."""
    found: dict[str, Any] = {"name": name, "type": short(type(value).__name__, 80)}
    if type(value) in (str, bytes, list, tuple, dict, set, frozenset):
        found["shape"] = [len(value)]
        return found
    pandas, numpy = sys.modules.get("pandas"), sys.modules.get("numpy")
    kinds: tuple[Any, ...] = tuple(
        kind
        for kind in (
            getattr(pandas, "DataFrame", None),
            getattr(pandas, "Series", None),
            getattr(numpy, "ndarray", None),
        )
        if isinstance(kind, type)
    )
    if isinstance(value, kinds):
        table: Any = value
        found["shape"] = [int(n) for n in table.shape]
        if len(found["shape"]) == 2 and hasattr(table, "columns"):
            found["columns"] = [short(column, 80) for column in table.columns[:MAX_COLUMNS]]
    return found


def fingerprints(namespace: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Return for each of the model's names a mark that changes with its value, without keeping the value."""
    found = {}
    for name, value in list(namespace.items()):
        if not isinstance(name, str) or name.startswith("_") or isinstance(value, types.ModuleType):
            continue
        scalar = value if type(value) in (int, float, bool, complex) else None
        if type(value) in (str, bytes):
            scalar = hash(value)
        try:
            shown = summary(short(name, 80), value)
        except Exception:  # a class of the model's own can raise anything here
            shown = {"name": short(name, 80), "type": "object"}
        found[name] = (id(value), scalar, shown)
    return found


# --- figures -----------------------------------------------------------------------------------------------------


class Figures:
    """Knows which matplotlib figures a cell saved, and saves those it left open."""

    def __init__(self, folder: str) -> None:
        """Watch for the import of matplotlib; figures are saved into `folder`."""
        self.folder = folder
        self.begin()
        sys.meta_path.insert(0, self)

    def begin(self) -> None:
        """Start a new cell."""
        self.records: dict[str, dict[str, Any]] = {}
        self.saved: list[Any] = []
        figure = sys.modules.get("matplotlib.figure")
        if figure is not None:
            self._watch(figure)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """As an import hook, watch the savefig of a newly imported matplotlib."""
        if name == "matplotlib":
            import logging

            # The machine's fonts, and the time to list them, are noise to the model.
            logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
        if name != "matplotlib.figure":
            return None
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target) if finder is not self else None
            if spec is not None and spec.loader is not None:
                loader: Any = spec.loader
                load = loader.exec_module

                def load_and_watch(module: types.ModuleType, load: Callable[[Any], None] = load) -> None:
                    load(module)
                    self._watch(module)

                loader.exec_module = load_and_watch
                return spec
        return None

    def _watch(self, module: Any) -> None:
        original = module.Figure.savefig
        if getattr(original, "watched", False):
            return

        @functools.wraps(original)
        def savefig(figure: Any, fname: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(figure, fname, *args, **kwargs)
            if isinstance(fname, (str, os.PathLike)):
                name = os.fspath(fname)
                if not os.path.splitext(name)[1] and not kwargs.get("format"):  # noqa: PTH122 (no pathlib here)
                    name += "." + sys.modules["matplotlib"].rcParams["savefig.format"]
                self.record(figure, name)
            return result

        savefig.watched = True  # type: ignore[attr-defined]
        module.Figure.savefig = savefig

    def record(self, figure: Any, name: str) -> None:
        """Note that `figure` was saved as `name`."""
        full = os.path.join(os.getcwd(), name)  # noqa: PTH118, PTH109
        inside = os.path.relpath(os.path.realpath(full), os.path.realpath(self.folder))
        shown = name if inside.startswith("..") else inside
        found: dict[str, Any] = {"file": short(shown, 200), "title": "", "xlim": None, "ylim": None}
        if figure.axes:
            axes = figure.axes[0]
            found["title"] = short(axes.get_title(), 200)
            found["xlim"], found["ylim"] = _limits(axes.get_xlim()), _limits(axes.get_ylim())
        heading = getattr(figure, "_suptitle", None)
        found["title"] = short(heading.get_text(), 200) if heading is not None else found["title"]
        self.records[shown] = found
        self.saved.append(figure)

    def finish(self, value: object, save: bool) -> list[str]:
        """Save the figures that the cell left open, close all, and return what could not be saved."""
        pyplot, module = sys.modules.get("matplotlib.pyplot"), sys.modules.get("matplotlib.figure")
        problems: list[str] = []
        try:
            figures = [pyplot.figure(number) for number in pyplot.get_fignums()] if pyplot else []
            if module and isinstance(value, module.Figure) and not any(figure is value for figure in figures):
                figures.append(value)  # shown as the cell's value, as in a notebook
            figures = [figure for figure in figures if not any(figure is known for known in self.saved)]
            for figure in figures[:MAX_FIGURES] if save else ():
                problems += self._save(figure)
            if save and len(figures) > MAX_FIGURES:
                problems.append(f"{len(figures) - MAX_FIGURES} more figures were open: only {MAX_FIGURES} are saved.")
        finally:
            if pyplot:
                pyplot.close("all")
        return problems

    def _save(self, figure: Any) -> list[str]:
        number = 1
        while os.path.lexists(path := os.path.join(self.folder, f"figure_{number}.png")):  # noqa: PTH118
            number += 1
        try:
            figure.savefig(path)
        except Exception as error:
            return [f"A figure could not be saved: {type(error).__name__}: {_message(error)[:500]}"]
        return []


def _limits(pair: Any) -> list[float] | None:
    numbers = [float(number) for number in pair]
    return numbers if all(map(math.isfinite, numbers)) else None


# --- cells -------------------------------------------------------------------------------------------------------


class Runner:
    """Runs cells, one after the other, in one namespace."""

    def __init__(self) -> None:
        """Prepare the namespace and the standard streams."""
        self.running = False
        self.interrupted = False
        self.cells = 0
        self.process = os.getpid()
        self.folder = os.getcwd()  # noqa: PTH109
        self.streams = {fd: os.dup(fd) for fd in (0, 1, 2)}
        self.module = types.ModuleType("__main__")
        self.module.__dict__["__builtins__"] = builtins
        self.own_main = sys.modules["__main__"]  # keeps its globals alive after it leaves sys.modules
        sys.modules["__main__"] = self.module
        sys.argv = [""]
        sys.path.append(self.folder)  # last: the model can import its own modules, but replace no library
        warnings.filterwarnings("ignore", message="FigureCanvasAgg is non-interactive")
        self.figures = Figures(self.folder)
        self.names: list[str] = []

    def interrupt(self, _signal: int, _frame: object) -> None:
        """Stop the model's code, never the runner's; once per cell, so that the code's clean-up can end."""
        if self.running and not self.interrupted:
            self.interrupted = True
            raise KeyboardInterrupt

    def run(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run one cell and return the reply, whatever the cell does, unless it ends the process."""
        self.cells += 1
        cell = f"<cell {self.cells}>"
        reply: dict[str, Any] = {"id": request["id"], "ok": True, "value": None, "error": None}
        reply |= {"variables": [], "names": self.names, "figures": [], "problems": []}
        signal.signal(signal.SIGINT, self.interrupt)
        limit_cpu(request["cpu_s"])
        self._open_streams()
        self.interrupted = False
        self.running = True
        try:
            self._fill(reply, request["code"], cell)
            self.running = False
        except BaseException as error:
            self.running = False
            _BUILTINS.update(_SAVED_BUILTINS)
            reply["ok"], reply["error"] = False, describe_error(error, cell)
        if os.getpid() != self.process:  # a copy made by the cell's os.fork(): only the original may answer
            os._exit(0)
        self._flush()
        return reply

    def _fill(self, reply: dict[str, Any], code: str, cell: str) -> None:
        before = fingerprints(self.module.__dict__)
        self.figures.begin()
        value, interrupted = None, False
        try:
            value = self._evaluate(code, cell)
            _BUILTINS.update(_SAVED_BUILTINS)
            reply["value"] = None if value is None else describe_value(value)
        except BaseException as error:
            _BUILTINS.update(_SAVED_BUILTINS)
            interrupted = isinstance(error, KeyboardInterrupt)
            reply["ok"], reply["error"] = False, describe_error(error, cell)
        # Half-drawn figures of a cell that failed are no result.
        reply["problems"] = self.figures.finish(value, save=reply["ok"] and not interrupted)
        reply["figures"] = list(self.figures.records.values())[:MAX_FIGURES]
        after = fingerprints(self.module.__dict__)
        self.names = reply["names"] = [short(name, 80) for name in list(after)[:MAX_NAMES]]
        changed = [now[2] for name, now in after.items() if before.get(name) != now]
        reply["variables"] = changed[:MAX_VARIABLES]

    def _evaluate(self, code: str, cell: str) -> Any:
        linecache.cache[cell] = (len(code), None, code.splitlines(keepends=True), cell)
        namespace = self.module.__dict__
        namespace["__builtins__"] = builtins
        tree = ast.parse(code, cell)
        last = tree.body[-1] if tree.body else None
        if not isinstance(last, ast.Expr) or _silenced(code, last):
            exec(compile(tree, cell, "exec", dont_inherit=True), namespace)
            return None
        body = ast.Module(tree.body[:-1], tree.type_ignores)
        # Both are compiled before either runs, so that with a mistake in the last line nothing runs.
        steps = compile(body, cell, "exec", dont_inherit=True)
        result = compile(ast.Expression(last.value), cell, "eval", dont_inherit=True)
        exec(steps, namespace)
        return eval(result, namespace)

    def _open_streams(self) -> None:
        """Undo what an earlier cell did to the standard streams."""
        for fd, saved in self.streams.items():
            os.dup2(saved, fd)
        for name, fd, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
            stream: Any = getattr(sys, f"__{name}__", None)
            if stream is None or getattr(stream, "closed", True):
                stream = open(fd, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
                setattr(sys, f"__{name}__", stream)
            if mode == "w":
                stream.reconfigure(errors="backslashreplace", line_buffering=True)
            setattr(sys, name, stream)

    def _flush(self) -> None:
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            try:
                stream.flush()  # type: ignore[union-attr]
            except Exception:  # closed, or replaced by an object of the model's own
                continue


def _silenced(code: str, last: ast.Expr) -> bool:
    """True if a semicolon ends the last expression, which hides its value as in a notebook."""
    line = code.splitlines()[(last.end_lineno or 1) - 1] if last.end_lineno else ""
    return line.encode()[last.end_col_offset or 0 :].lstrip().startswith(b";")


def main() -> None:
    """Run as a program of its own (level 1), with limits but without walls."""
    die_with_parent(int(sys.argv[2]))
    serve(int(sys.argv[1]), set_limits())


def serve(channel: int, refused: list[str]) -> None:
    """Serve the host until it closes the connection."""
    runner = Runner()
    signal.signal(signal.SIGINT, runner.interrupt)
    send(channel, {"refused": refused})
    while (request := receive(channel)) is not None:
        send(channel, runner.run(request))
    os._exit(0)  # without the exit functions that the model's code registered


if __name__ == "__main__":
    main()
