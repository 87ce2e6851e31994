"""`agentkit ask`, against a scripted server on loopback and real databases."""

import json
import signal
import subprocess
import sys
from pathlib import Path

from support.command_line import FOUND, LOOKUP, assert_explained, process, stored
from support.product_codes import OBJREF

from agentkit import Turn
from agentkit.memory import Memory
from agentkit.testing import reply


def test_ask_prints_the_run_as_the_cookbooks_do(cli, serve, folder):
    serve(LOOKUP, FOUND)
    code, out, err = cli("ask", f"find {OBJREF}", "--toml", "codes.toml")
    assert (code, err) == (0, "")
    assert out == (
        "> Entering new agent chain...\n\n"
        "I will look for codes.\n"
        f"{{'tool_name': 'regex_extractor', 'parameters': {{'user_query': 'find {OBJREF}'}}}}\n"
        f'{{"objref": ["{OBJREF}"]}}\n'
        "Relevant Documents: 0\nCited Documents: 0\n"
        f"Answer: It is {OBJREF}.\nGrounded answer: It is <co: 0>{OBJREF}</co: 0>.\n\n"
        "> Finished chain.\n"
    )
    assert not list(folder.glob("*.db"))


def test_ask_json_is_the_whole_turn(cli, serve):
    serve(LOOKUP, FOUND)
    code, out, _ = cli("ask", f"find {OBJREF}", "--toml", "codes.toml", "--json")
    turn = Turn.model_validate_json(out)
    assert (code, turn.output, turn.steps[0].tool) == (0, f"It is {OBJREF}.", "regex_extractor")


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


def test_an_empty_question_is_told_before_a_missing_key(cli):
    code, _, err = cli("ask", " ")
    assert code == 2 and "question is empty" in err


def test_a_question_that_is_not_unicode_is_answered(serve):
    server = serve("Hello.")
    done = process("ask", b"caf\xe9 \x1b[2J")
    assert (done.returncode, done.stderr) == (0, b"")
    assert server.requests[0].body["messages"][-1]["content"].startswith("caf")
    assert b"\x1b" not in done.stdout


def test_a_model_error_is_one_line_without_a_traceback(cli, serve):
    serve(reply(status=400, body={"message": "bad\nthing \x1b[2J"}))
    assert_explained(cli("ask", "Hi"), "bad thing \\x1b[2J")
