"""The command line: ask, chat, look at what was remembered, run the extractor alone, play the demo.

Everything heavy is imported inside the command that needs it, so that ``agentkit --help`` answers at once.
Every error agentkit raises on purpose becomes one line on standard error and exit code 2.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentkit.base.terminal import check_folder, complain, say, say_json, stop_writing, tell, write_files
from agentkit.base.text import shorten
from agentkit.cli.memory import memory_commands
from agentkit.errors import AgentKitError, ConfigError, InputError, ModelError

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

    from agentkit import Agent, Turn
    from agentkit.memory import Memory
    from agentkit.tools import PythonInterpreter

DEFAULT_MODEL = "command-a-03-2025"
DEFAULT_DATABASE = "agentkit.db"

app = typer.Typer(
    name="agentkit",
    help="An agent for Cohere chat with deterministic tools and a memory of how it got its answers.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

app.add_typer(memory_commands, name="memory")

Question = Annotated[str, typer.Argument(help="What to ask.")]
Model = Annotated[str, typer.Option(help="Name of a Cohere chat model. The key is read from COHERE_API_KEY.")]
Session = Annotated[str | None, typer.Option(help="Session to go on with. Default: a new one.")]
Store = Annotated[str, typer.Option(help="Database file, or SQLAlchemy URL, that keeps the sessions.")]
Toml = Annotated[str | None, typer.Option(help="Patterns: gives the model the regex extractor.")]
Data = Annotated[
    list[str] | None,
    typer.Option(help="File for the Python interpreter (may be repeated); gives the model the interpreter."),
]
Python = Annotated[bool, typer.Option("--python", help="Give the model the Python interpreter.")]
Weak = Annotated[
    bool,
    typer.Option("--allow-weak", help="Let the interpreter run where code cannot be walled in (`agentkit doctor`)."),
]
System = Annotated[str | None, typer.Option(help="System message, sent verbatim.")]
MaxSteps = Annotated[int | None, typer.Option(help="Model replies that may ask for tools. Default: 15.")]
Files = Annotated[
    str | None, typer.Option(help="Folder for the files the tools make, such as plots. Default: not written.")
]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    Exit codes: 0 done; 1 the reader of the output went away; 2 bad input or a failure that was explained in
    one line; 130 Ctrl-C.

    Args:
        argv: Arguments without the program's name; None takes the process's.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            app(args=None if argv is None else list(argv), prog_name="agentkit", standalone_mode=True)
        finally:
            sys.stdout.flush()
    except AgentKitError as error:
        complain(error)
        sys.exit(2)
    except BrokenPipeError:
        stop_writing()
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _version(wanted: bool) -> None:
    if wanted:
        from agentkit import __version__

        say(f"agentkit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def demo() -> None:
    """Play both cookbooks without a key or a network."""
    from agentkit.demo import play

    play()


@app.command()
def ask(
    question: Question,
    model: Model = DEFAULT_MODEL,
    session: Session = None,
    memory: Annotated[
        str | None,
        typer.Option(help=f"Database file or URL for the turn. Default: {DEFAULT_DATABASE} with --session, else none."),
    ] = None,
    toml: Toml = None,
    data: Data = None,
    python: Python = False,
    allow_weak: Weak = False,
    system: System = None,
    max_steps: MaxSteps = None,
    files: Files = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole turn as JSON.")] = False,
) -> None:
    """Ask one question and print how it was answered."""
    if not question.strip():
        raise InputError("The question is empty: give the text to ask.")
    if files is not None:
        check_folder(files)
    store = DEFAULT_DATABASE if memory is None and session is not None else memory
    with _agent(model, store, toml, data, python, allow_weak, system, max_steps) as agent:
        turn = agent.run(question, session=session)
    _show_turn(turn, as_json=as_json)
    if files is not None:
        write_files(turn, files)
    if store is not None:
        _tell_session(turn.session, store)


@app.command()
def chat(
    model: Model = DEFAULT_MODEL,
    session: Session = None,
    memory: Store = DEFAULT_DATABASE,
    toml: Toml = None,
    data: Data = None,
    python: Python = False,
    allow_weak: Weak = False,
    system: System = None,
    max_steps: MaxSteps = None,
    files: Files = None,
) -> None:
    """Ask question after question, one a line, in one session. Ctrl-D ends it; --session goes on with it."""
    typed, kept = sys.stdin.isatty(), False
    if files is not None:
        check_folder(files)
    if typed:
        tell("Ask a question a line; Ctrl-D ends the chat.")
    try:
        with _agent(model, memory, toml, data, python, allow_weak, system, max_steps) as agent:
            for question in _questions(typed):
                try:
                    turn = agent.run(question, session=session)
                except ModelError as error:
                    if not typed:
                        raise
                    complain(error)
                    continue
                session, kept = turn.session, True
                _show_turn(turn)
                if files is not None:
                    write_files(turn, files)
    finally:
        if session is not None and kept:
            _tell_session(session, memory)


@app.command()
def sessions(memory: Store = DEFAULT_DATABASE) -> None:
    """List the sessions of a database."""
    with _existing(memory) as store:
        listed = store.sessions()
    for info in listed:
        say(str(info))
    if not listed:
        tell(f"No sessions yet in {memory}.")


@app.command()
def show(
    session: Annotated[str, typer.Argument(help="A session, as `agentkit sessions` lists it.")],
    memory: Store = DEFAULT_DATABASE,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say instead what the next turn's model is shown of each turn.")
    ] = False,
    max_tokens: Annotated[int | None, typer.Option(help="Budget that --explain replays under. Default: none.")] = None,
) -> None:
    """Print the chain and the memory object of each turn of a session."""
    from agentkit.console import render_turn

    if max_tokens is not None and not explain:
        raise ConfigError("--max-tokens is the budget of --explain: give both, or neither.")
    with _existing(memory) as store:
        if explain:
            said = store.explain(session, max_tokens=max_tokens)
            say(f"{said}\n\n{said.text}")
            return
        turns = store.turns(session)
        objects = {item.number: item for item in store.objects(session)}
    for turn in turns:
        say(f"Question {turn.number}: {turn.input}")
        render_turn(turn)
        if turn.number in objects:
            say(f"Memory object:\n{objects[turn.number]}\n")


@app.command()
def extract(
    text: Annotated[str, typer.Argument(help="The text; - reads standard input.")],
    toml: Annotated[str, typer.Option(help="The patterns.")],
    matches: Annotated[
        bool, typer.Option("--matches", help="Print matches and near misses with their places.")
    ] = False,
) -> None:
    """Run the extractor alone, without a model, and print JSON."""
    from agentkit.tools import RegexExtractor

    extractor = RegexExtractor.from_toml(toml)
    if text == "-":
        text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    if not matches:
        say_json(extractor.values(text))
        if missed := len(extractor.near_misses(text)):
            tell(f"{missed} near {'miss' if missed == 1 else 'misses'}: --matches shows what and why.")
        return
    found = [match._asdict() for match in extractor.extract(text)]
    say_json({"matches": found, "near_misses": [miss._asdict() for miss in extractor.near_misses(text)]})


@app.command()
def mcp(
    toml: Toml = None,
    data: Data = None,
    no_python: Annotated[bool, typer.Option("--no-python", help="Serve the extractor alone.")] = False,
    allow_weak: Weak = False,
) -> None:
    """Serve the extractor and the Python interpreter to other agents: MCP over standard input and output."""
    from agentkit.mcp_server import serve

    if no_python and toml is None:
        raise ConfigError("There is nothing to serve: give patterns with --toml, or leave out --no-python.")
    tools: list[BaseTool] = []
    with ExitStack() as stack:
        if toml is not None:
            from agentkit.tools import RegexExtractor

            tools.append(RegexExtractor.from_toml(toml))
        if not no_python:
            tools.append(stack.enter_context(_interpreter(data or [], allow_weak)))
        serve(tools)


@app.command()
def doctor() -> None:
    """Look how far the Python interpreter can wall code in here, by trying to break out. Exit code 0: far enough."""
    from agentkit.cli.doctor import examine

    raise typer.Exit(0 if examine() else 1)


@contextmanager
def _agent(
    model: str,
    memory: str | None,
    toml: str | None,
    data: list[str] | None,
    python: bool,
    allow_weak: bool,
    system: str | None,
    max_steps: int | None,
) -> Iterator[Agent]:
    """An agent, and the end of what it started: the interpreter's processes, the database's connections."""
    from agentkit import Agent, Limits

    tools: list[BaseTool] = []
    with ExitStack() as stack:
        if toml is not None:
            from agentkit.tools import RegexExtractor

            tools.append(RegexExtractor.from_toml(toml))
        if data or python or allow_weak:
            tools.append(stack.enter_context(_interpreter(data or [], allow_weak)))
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", FutureWarning)
            agent = Agent(
                model=model,
                tools=tools,
                system=system or "",
                memory=None if memory is None else stack.enter_context(_opened(memory)),
                limits=None if max_steps is None else Limits(max_steps=max_steps),
            )
        for warning in told:
            complain(warning.message)
        yield agent


def _interpreter(data: list[str], allow_weak: bool) -> PythonInterpreter:
    from agentkit.tools import PythonInterpreter

    try:
        return PythonInterpreter(data=data, allow_weak=allow_weak)
    except ConfigError as error:
        raise ConfigError(str(error).replace("allow_weak=True", "--allow-weak")) from error


def _opened(memory: str) -> Memory:
    from agentkit.memory import Memory

    return Memory(memory)


def _existing(memory: str) -> Memory:
    """The store, but never a new one: a mistyped name must not look like an empty database."""
    from agentkit.memory.store.url import is_foreign

    is_url = "://" in memory
    path = memory.removeprefix("sqlite:///").partition("?")[0] if is_url else memory
    if "://" not in path and not Path(path).is_file():
        raise ConfigError(f"There is no database {shorten(path)!r}: give the file of `agentkit chat` with --memory.")
    if not is_url and is_foreign(path):
        raise ConfigError(
            f"{shorten(path)!r} is not a database of agentkit: give the file of `agentkit chat` with --memory."
        )
    return _opened(memory)


def _questions(typed: bool) -> Iterator[str]:
    """Lines of standard input that hold something; a prompt is shown to a person only."""
    if typed:
        with suppress(ImportError):
            import readline  # noqa: F401  (importing it gives input() line editing and a history)
    elif isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")
    while True:
        try:
            line = input("> " if typed else "")
        except EOFError:
            return
        if line.strip():
            yield line


def _show_turn(turn: Turn, *, as_json: bool = False) -> None:
    if as_json:
        say_json(turn.model_dump(mode="json"))
    else:
        from agentkit.console import render_turn

        render_turn(turn)


def _tell_session(session: str, memory: str) -> None:
    import shlex

    tell(f"Kept in {memory}. Go on with: --session {shlex.quote(session)} --memory {shlex.quote(memory)}")
