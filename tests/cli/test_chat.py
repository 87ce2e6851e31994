"""`agentkit chat`, piped and typed."""

import json
import os
import pty
import subprocess
import sys

from support.command_line import FOUND, LOOKUP, stored
from support.product_codes import OBJREF

from agentkit.memory import Memory
from agentkit.testing import reply


def test_chat_keeps_one_session_over_its_lines_and_shows_it_later(cli, serve):
    server = serve("Hello Ann.", LOOKUP, FOUND, "Bye.")
    code, out, err = cli("chat", "--toml", "codes.toml", stdin=f"I am Ann.\n\n  \nfind {OBJREF}\n".encode())
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
        f"Question 2: find {OBJREF}",
        "Question 3: Bye",
    ]
    assert out.count("> Finished chain.") == out.count("Memory object:\n") == 3
    assert str(stored("agentkit.db", Memory.objects, info.name)[1]) in out

    code, out, _ = cli("show", info.name, "--explain", "--max-tokens", "100")
    assert code == 0
    assert out.startswith(f"Before turn 4 of session {info.name!r}: replay=objects, a budget of 100 tokens.\n")
    assert str(stored("agentkit.db", lambda m: m.explain(info.name, max_tokens=100))) in out
    assert "human: I am Ann." in out


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


def test_piped_questions_stop_at_the_first_error_and_keep_what_was_answered(cli, serve):
    serve("Hello.", reply(status=400, body={"message": "no"}))
    code, out, err = cli("chat", "--session", "s", stdin=b"one\ntwo\nthree\n")
    assert (code, out.count("> Finished chain.")) == (2, 1)
    assert err.startswith("Kept in agentkit.db. Continue with: --session s") and "\nagentkit: " in err
    assert "Traceback" not in err
    assert stored("agentkit.db", Memory.turns, "s")[0].output == "Hello."
