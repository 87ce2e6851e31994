"""The command line, against a scripted server on loopback, real databases and real processes."""

import io
import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import agentkit
from agentkit import Step, Turn
from agentkit.cli.app import main
from agentkit.memory import Memory
from agentkit.testing import CohereServer, cite, reply

CODES = """
[[pattern]]
name = "objref"
regex = 'GL[A-Z0-9]{14}'
"""
CODE = "GLPNT0005GUJOGGE"
LOOKUP = reply(plan="I will look for codes.", calls=[("regex_extractor", {"user_query": f"find {CODE}"})])
FOUND = reply(f"It is {CODE}.", citations=[cite(CODE, call=0)])


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder to run in, and no key."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COHERE_API_KEY", raising=False)
    monkeypatch.delenv("CO_API_URL", raising=False)
    (tmp_path / "codes.toml").write_text(CODES)
    return tmp_path


@pytest.fixture
def serve(monkeypatch):
    """Start a scripted server and point agentkit at it; what it was to say must be asked for."""
    servers = []

    def start(*script) -> CohereServer:
        server = CohereServer(script).__enter__()
        servers.append(server)
        monkeypatch.setenv("CO_API_URL", server.url)
        monkeypatch.setenv("COHERE_API_KEY", "k")
        return server

    yield start
    for server in servers:
        server.__exit__(None, None, None)
    for server in servers:
        server.assert_all_used()


@pytest.fixture
def cli(capsys, monkeypatch):
    """Run the command line in this process: exit code, standard output, standard error."""

    def run(*arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit:
            main(arguments)
        out, err = capsys.readouterr()
        return int(exit.value.code or 0), out, err

    return run


def stored(path: str, method: Callable[..., Any], *arguments: Any) -> Any:
    with Memory(path) as memory:
        return method(memory, *arguments)


def process(*arguments: str | bytes, **options) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "agentkit", *arguments]
    return subprocess.run(command, capture_output=True, check=False, **options)


# --- help and the like -----------------------------------------------------------------------------------


def test_help_lists_the_commands(cli):
    code, out, err = cli("--help")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.partition("Commands:\n")[2].splitlines() if line.startswith("  ")] == [
        "demo",
        "ask",
        "chat",
        "sessions",
        "show",
        "extract",
        "mcp",
        "doctor",
        "memory",
    ]


COMMANDS = ["demo", "ask", "chat", "sessions", "show", "extract", "doctor", "memory", "memory eval"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(cli, command):
    code, out, _ = cli(*command.split(), "--help")
    assert code == 0
    assert out.startswith(f"Usage: agentkit {command} ")


def test_version(cli):
    assert cli("--version") == (0, f"agentkit {agentkit.__version__}\n", "")


def test_python_m_agentkit_is_the_same_command():
    done = process("--version")
    assert (done.returncode, done.stdout.decode()) == (0, f"agentkit {agentkit.__version__}\n")


# --- ask -------------------------------------------------------------------------------------------------


def test_ask_prints_the_run_as_the_cookbooks_do(cli, serve, folder):
    serve(LOOKUP, FOUND)
    code, out, err = cli("ask", f"find {CODE}", "--toml", "codes.toml")
    assert (code, err) == (0, "")
    assert out == (
        "> Entering new agent chain...\n\n"
        "I will look for codes.\n"
        f"{{'tool_name': 'regex_extractor', 'parameters': {{'user_query': 'find {CODE}'}}}}\n"
        f'{{"objref": ["{CODE}"]}}\n'
        "Relevant Documents: 0\nCited Documents: 0\n"
        f"Answer: It is {CODE}.\nGrounded answer: It is <co: 0>{CODE}</co: 0>.\n\n"
        "> Finished chain.\n"
    )
    assert not list(folder.glob("*.db"))


def test_ask_json_is_the_whole_turn(cli, serve):
    serve(LOOKUP, FOUND)
    code, out, _ = cli("ask", f"find {CODE}", "--toml", "codes.toml", "--json")
    turn = Turn.model_validate_json(out)
    assert (code, turn.output, turn.steps[0].tool) == (0, f"It is {CODE}.", "regex_extractor")


def test_ask_sends_model_system_and_question(cli, serve):
    server = serve("Hello.")
    assert cli("ask", "Hi", "--model", "command-r7b-12-2024", "--system", "Be [brief].")[0] == 0
    body = server.requests[0].body
    assert body["model"] == "command-r7b-12-2024"
    assert [m["content"] for m in body["messages"]] == ["Be [brief].", "Hi"]


def test_max_steps_bounds_the_run_and_the_reason_is_told(cli, serve):
    serve(LOOKUP, "Enough.")
    code, out, _ = cli("ask", "find it", "--toml", "codes.toml", "--max-steps", "1")
    assert code == 0
    assert "\nStopped: max_steps (" in out


def test_a_withdrawn_model_is_told_in_one_line(cli, serve):
    serve("Hello.")
    code, _, err = cli("ask", "Hi", "--model", "command-r")
    assert code == 0
    assert err.startswith("agentkit: ") and "command-r-08-2024" in err and err.count("\n") == 1


def test_ask_keeps_a_named_session_and_goes_on_with_it(cli, serve, folder):
    server = serve("Hello Ann.", "Ann.")
    assert cli("ask", "I am Ann.", "--session", "s1")[0] == 0
    assert (folder / "agentkit.db").is_file()
    code, _, err = cli("ask", "Who am I?", "--session", "s1")
    assert code == 0
    assert "--session s1 --memory agentkit.db" in err
    assert "I am Ann." in json.dumps(server.requests[1].body["messages"])


def test_ask_with_a_database_but_no_session_tells_the_new_one(cli, serve):
    serve("Hello.")
    code, _, err = cli("ask", "Hi", "--memory", "my.db")
    (info,) = stored("my.db", Memory.sessions)
    assert code == 0
    assert f"--session {info.name} --memory my.db" in err


PLOT = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.savefig('plot.png')"


def test_files_of_the_interpreter_are_written_and_never_over_others(cli, serve, folder):
    (folder / "numbers.csv").write_text("a\n1\n")
    (folder / "out").mkdir()
    (folder / "out" / "plot.png").write_text("mine")
    serve(reply(plan="Plot.", calls=[("python_interpreter", {"code": PLOT})]), "Done.")
    code, out, err = cli("ask", "plot", "--data", "numbers.csv", "--files", "out")
    assert code == 0
    assert "\nFiles: plot.png\n" in out
    assert f"Wrote {Path('out/plot-2.png')}\n" in err
    assert (folder / "out" / "plot.png").read_text() == "mine"
    assert (folder / "out" / "plot-2.png").read_bytes().startswith(b"\x89PNG")


# --- chat, sessions, show --------------------------------------------------------------------------------


def test_chat_keeps_one_session_over_its_lines_and_shows_it_later(cli, serve):
    server = serve("Hello Ann.", LOOKUP, FOUND, "Bye.")
    code, out, err = cli("chat", "--toml", "codes.toml", stdin=f"I am Ann.\n\n  \nfind {CODE}\n".encode())
    assert code == 0
    assert out.count("> Entering new agent chain...") == 2
    assert "I am Ann." in json.dumps(server.requests[1].body["messages"])
    (info,) = stored("agentkit.db", Memory.sessions)
    assert f"--session {info.name} --memory agentkit.db" in err

    assert cli("chat", "--session", info.name, stdin=b"Bye")[0] == 0
    code, out, _ = cli("sessions")
    assert code == 0
    assert info.name in out

    code, out, _ = cli("show", info.name)
    assert code == 0
    assert [line for line in out.splitlines() if line.startswith("Question ")] == [
        "Question 1: I am Ann.",
        f"Question 2: find {CODE}",
        "Question 3: Bye",
    ]
    assert out.count("> Finished chain.") == out.count("Memory object:\n") == 3
    assert str(stored("agentkit.db", Memory.objects, info.name)[1]) in out

    code, out, _ = cli("show", info.name, "--explain", "--max-tokens", "100")
    assert code == 0
    assert out.startswith(f"Before turn 4 of session {info.name!r}: replay=objects, a budget of 100 tokens.\n")
    assert str(stored("agentkit.db", lambda m: m.explain(info.name, max_tokens=100))) in out
    assert "human: I am Ann." in out


def test_memory_eval_measures_exported_sessions(cli, folder):
    find = Step(tool="find", tool_input={"name": "Ann"}, observation='{"order": "A-4471"}')
    refund = Step(tool="refund", tool_input={"order": "A-4471"}, observation="ok")
    with Memory() as memory:
        memory.append("s", Turn(input="Find it.", steps=(find,), output="Found."))
        memory.append("s", Turn(input="Refund it.", steps=(refund,), output="Done."))
        memory.export("sessions.jsonl")
    code, out, err = cli("memory", "eval", "sessions.jsonl", "--budget", "60", "--plot", "recall.png")
    assert (code, err) == (0, "")
    recall = {name.strip(): found for line in out.splitlines() for name, _, found in [line.partition("  ")]}
    assert recall["human + AI"].split()[:2] == ["0.0", "0.0"]
    assert recall["agentkit"].split()[:2] == ["100.0", "100.0"]
    assert "agentkit at 60 tokens" in recall
    assert (folder / "recall.png").read_bytes().startswith(b"\x89PNG")


def test_chat_without_a_question_keeps_nothing_and_says_nothing(cli, serve):
    serve()
    assert cli("chat", stdin=b"\n") == (0, "", "")


def test_a_person_can_chat_on_after_a_model_error_and_sees_colours(serve, folder):
    serve(reply(status=400, body={"message": "no such thing"}), "Hello.")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "agentkit", "chat", "--session", "s"]
    env = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen(command, env=env, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE) as chat:
        os.close(theirs)
        shown = ""
        # Typed one by one, as a person does: readline throws away what was typed before its prompt.
        for typed in (b"Hi\n", b"Hi again\n", b"\x04"):
            shown += read_until(ours, "> ")
            os.write(ours, typed)
        _, err = chat.communicate()
    os.close(ours)
    assert chat.returncode == 0
    assert err.startswith(b"Ask one question per line; Ctrl-D ends the chat.\nagentkit: ") and b"no such thing" in err
    assert "\x1b[1m> Entering new agent chain..." in shown
    assert "Answer: Hello." in shown


def read_until(terminal: int, end: str) -> str:
    shown = b""
    while not shown.endswith(end.encode()):
        shown += os.read(terminal, 10_000)
    return shown.decode()


def test_ctrl_c_ends_a_run_with_130_and_keeps_the_question(serve):
    server = serve(reply("Too late.", delay_s=60))
    command = [sys.executable, "-m", "agentkit", "ask", "Hi", "--session", "s"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as asking:
        while not server.requests:
            assert asking.poll() is None
        asking.send_signal(signal.SIGINT)
        out, err = asking.communicate()
    assert (asking.returncode, out, err) == (130, b"", b"")
    (turn,) = stored("agentkit.db", Memory.turns, "s")
    assert (turn.input, turn.stop_reason) == ("Hi", "interrupted")


def test_a_database_of_something_else_is_only_read(cli, folder):
    for name, tables in (("other.db", ["CREATE TABLE mine (x)"]), ("empty.db", [])):
        with closing(sqlite3.connect(folder / name)) as other:
            for statement in tables:
                other.execute(statement)
            other.commit()
        (folder / name).touch()
        before = (folder / name).read_bytes()
        for command in (["sessions"], ["show", "s"]):
            code, out, err = cli(*command, "--memory", name)
            assert (code, out) == (2, "")
            assert f"'{name}' is not a database of agentkit" in err
        assert (folder / name).read_bytes() == before


def test_no_session_yet_is_said(cli, folder):
    stored("new.db", Memory.sessions)
    assert cli("sessions", "--memory", "new.db") == (0, "", "No sessions yet in new.db.\n")


@pytest.mark.parametrize("command", [["ask", "Hi"], ["chat"]])
def test_a_folder_for_files_that_is_none_is_refused_before_the_model_is_asked(cli, serve, command):
    server = serve()
    code, out, err = cli(*command, "--files", "codes.toml", stdin=b"Hi\n")
    assert (code, out, server.requests) == (2, "", [])
    assert "Files cannot be written into 'codes.toml'" in err and "--files" in err


def test_an_empty_question_is_told_before_a_missing_key(cli):
    code, _, err = cli("ask", " ")
    assert code == 2 and "question is empty" in err


# --- extract ---------------------------------------------------------------------------------------------


def test_extract_prints_the_values_as_json(cli):
    assert cli("extract", f"ref {CODE}", "--toml", "codes.toml") == (
        0,
        f'{{\n  "objref": [\n    "{CODE}"\n  ]\n}}\n',
        "",
    )


def test_extract_prints_matches_with_their_places(cli):
    code, out, _ = cli("extract", f"é {CODE} {CODE}X", "--toml", "codes.toml", "--matches")
    printed = json.loads(out)
    (match,), (near,) = printed["matches"], printed["near_misses"]
    assert code == 0
    assert (match["parameter"], match["value"], match["start"], match["end"]) == ("objref", CODE, 2, 18)
    assert (near["raw"], near["start"], near["reason"]) == (
        f"{CODE}X",
        19,
        "has more letters or digits after it",
    )


def test_extract_reads_standard_input(cli):
    code, out, _ = cli("extract", "-", "--toml", "codes.toml", stdin=f"\xff\x00\x1b {CODE}\r\n".encode("latin-1"))
    assert (code, json.loads(out)) == (0, {"objref": [CODE]})


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_extract_prints_valid_json_whatever_the_text_and_the_encoding(folder, encoding):
    (folder / "any.toml").write_text("[[pattern]]\nname = 'any'\nregex = '(?s:.)+'\nboundary = 'none'\n")
    text = "é漢\x1b[2J\x9b\x7f".encode() + b"\xff"
    done = process("extract", text, "--toml", "any.toml", env={**os.environ, "PYTHONIOENCODING": encoding})
    assert (done.returncode, done.stderr) == (0, b"")
    assert not [byte for byte in done.stdout if byte < 32 and byte != 10]
    (value,) = json.loads(done.stdout.decode(encoding))["any"]
    assert value.startswith("é漢\x1b[2J\x9b\x7f")
    assert encoding == "utf-8" or done.stdout.isascii()


def test_a_closed_pipe_ends_it_silently(folder):
    (folder / "text").write_text(" ".join(f"GL{i:014}" for i in range(10_000)))
    command = [sys.executable, "-m", "agentkit", "extract", "-", "--matches", "--toml", "codes.toml"]
    # Unbuffered, Python takes a half-done write for a whole one and never hears that the reader is gone.
    env = {**os.environ, "PYTHONUNBUFFERED": ""}
    with (
        (folder / "text").open() as text,
        subprocess.Popen(command, stdin=text, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as done,
    ):
        assert done.stdout is not None and done.stderr is not None
        done.stdout.readline()
        done.stdout.close()
        err = done.stderr.read()
    assert (done.returncode, err) == (1, b"")


# --- demo ------------------------------------------------------------------------------------------------


def test_the_demo_never_calls_the_api_even_where_there_is_a_key(serve, cli, monkeypatch):
    monkeypatch.setattr("agentkit.demo.EXAMPLES", ("api_requests",))
    server = serve()
    code, out, _ = cli("demo")
    assert code == 0
    assert "scripted cassettes" in out
    assert server.requests == server.refused == []


# --- bad input: one line, exit code 2 --------------------------------------------------------------------


def assert_explained(result: tuple[int, str, str], *words: str) -> None:
    code, out, err = result
    assert (code, out) == (2, "")
    assert err.startswith("agentkit: ") and err.count("\n") == 1, err
    for word in words:
        assert word in err


@pytest.mark.parametrize("command", [["ask", "Hi", "--session", "s"], ["chat"]])
def test_without_a_key_it_says_which_variable_to_set_and_leaves_no_database(cli, folder, command):
    assert_explained(cli(*command), "COHERE_API_KEY", "agentkit demo")
    assert not list(folder.glob("*.db"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ask", ""], ["question"]),
        (["ask", " \n"], ["question"]),
        (["ask", "Hi", "--session", ""], ["session"]),
        (["ask", "Hi", "--session", "x" * 500], ["session", "500"]),
        (["ask", "Hi", "--session", "a\x1b[2J"], ["session"]),
        (["ask", "Hi", "--model", ""], ["model"]),
        (["ask", "Hi", "--max-steps", "0"], ["max_steps", "0"]),
        (["ask", "Hi", "--toml", "absent.toml"], ["absent.toml"]),
        (["ask", "Hi", "--data", "absent.csv"], ["absent.csv"]),
        (["ask", "Hi", "--memory", "codes.toml"], ["codes.toml"]),
        (["ask", "Hi", "--memory", "absent/folder/x.db"], ["absent"]),
        (["extract", "x", "--toml", "absent.toml"], ["absent.toml"]),
        (["extract", "x", "--toml", "broken.toml"], ["broken.toml"]),
        (["extract", "x", "--toml", "."], ["."]),
        (["sessions"], ["agentkit.db", "--memory"]),
        (["sessions", "--memory", "sqlite:///absent.db"], ["absent.db", "--memory"]),
        (["sessions", "--memory", "codes.toml"], ["codes.toml"]),
        (["show", "s", "--memory", "absent.db"], ["absent.db", "--memory"]),
        (["show", "s", "--memory", "good.db"], ["'s'"]),
        (["show", "other", "--memory", "good.db", "--max-tokens", "9"], ["--explain"]),
        (["show", "other", "--memory", "good.db", "--explain", "--max-tokens", "0"], ["max_tokens", "0"]),
        (["memory", "eval", "absent.jsonl"], ["absent.jsonl"]),
        (["memory", "eval", "codes.toml"], ["codes.toml", "line 1"]),
        (["memory", "eval", "codes.toml", "--system", "absent.txt"], ["absent.txt"]),
    ],
)
def test_bad_input_is_one_clear_line(cli, serve, folder, arguments, words):
    serve()
    (folder / "broken.toml").write_text("[[pattern]\nname=")
    if "good.db" in arguments:
        stored("good.db", Memory.append, "other", Turn(input="q", output="a"))
    before = sorted(folder.iterdir())
    assert_explained(cli(*arguments), *words)
    assert sorted(path for path in folder.iterdir() if "good" not in path.name) == sorted(
        path for path in before if "good" not in path.name
    )


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["ask"], ["ask", "Hi", "--max-steps", "x"], ["extract", "x"]])
def test_wrong_usage_is_code_2(cli, arguments):
    code, out, err = cli(*arguments)
    assert code == 2
    assert "Usage: agentkit" in out + err


def test_a_question_that_is_not_unicode_is_answered(serve):
    server = serve("Hello.")
    done = process("ask", b"caf\xe9 \x1b[2J")
    assert (done.returncode, done.stderr) == (0, b"")
    assert server.requests[0].body["messages"][-1]["content"].startswith("caf")
    assert b"\x1b" not in done.stdout


def test_a_model_error_is_one_line_without_a_traceback(cli, serve):
    serve(reply(status=400, body={"message": "bad\nthing \x1b[2J"}))
    assert_explained(cli("ask", "Hi"), "bad thing \\x1b[2J")


def test_piped_questions_stop_at_the_first_error_and_keep_what_was_answered(cli, serve):
    serve("Hello.", reply(status=400, body={"message": "no"}))
    code, out, err = cli("chat", "--session", "s", stdin=b"one\ntwo\nthree\n")
    assert (code, out.count("> Finished chain.")) == (2, 1)
    assert err.startswith("Kept in agentkit.db. Continue with: --session s") and "\nagentkit: " in err
    assert "Traceback" not in err
    assert stored("agentkit.db", Memory.turns, "s")[0].output == "Hello."
