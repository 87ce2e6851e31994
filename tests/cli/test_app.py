"""The command line as a whole: help, exit codes, and errors in one line."""

import pytest
from support.command_line import assert_explained, process, stored

import agentkit
from agentkit import Turn
from agentkit.memory import Memory


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


def test_the_demo_never_calls_the_api_even_where_there_is_a_key(serve, cli, monkeypatch):
    monkeypatch.setattr("agentkit.demo.EXAMPLES", ("api_requests",))
    server = serve()
    code, out, _ = cli("demo")
    assert code == 0
    assert "scripted cassettes" in out
    assert server.requests == server.refused == []


@pytest.mark.parametrize("command", [["ask", "Hi", "--session", "s"], ["chat"]])
def test_without_a_key_it_says_which_variable_to_set_and_leaves_no_database(cli, folder, command):
    assert_explained(cli(*command), "COHERE_API_KEY", "agentkit demo")
    assert not list(folder.glob("*.db"))


@pytest.mark.parametrize("command", [["ask", "Hi"], ["chat"]])
def test_a_folder_for_files_that_is_none_is_refused_before_the_model_is_asked(cli, serve, command):
    server = serve()
    code, out, err = cli(*command, "--files", "codes.toml", stdin=b"Hi\n")
    assert (code, out, server.requests) == (2, "", [])
    assert "Files cannot be written into 'codes.toml'" in err and "--files" in err


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
