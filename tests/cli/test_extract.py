"""`agentkit extract`: JSON that holds in any encoding, whatever the text."""

import json
import os
import subprocess
import sys

import pytest
from support.command_line import process
from support.product_codes import OBJREF


def test_extract_prints_the_values_as_json(cli):
    assert cli("extract", f"ref {OBJREF}", "--toml", "codes.toml") == (
        0,
        f'{{\n  "objref": [\n    "{OBJREF}"\n  ]\n}}\n',
        "",
    )


def test_extract_prints_matches_with_their_places(cli):
    code, out, _ = cli("extract", f"é {OBJREF} {OBJREF}X", "--toml", "codes.toml", "--matches")
    printed = json.loads(out)
    (match,), (near,) = printed["matches"], printed["near_misses"]
    assert code == 0
    assert (match["parameter"], match["value"], match["start"], match["end"]) == ("objref", OBJREF, 2, 18)
    assert (near["raw"], near["start"], near["reason"]) == (
        f"{OBJREF}X",
        19,
        "has more letters or digits after it",
    )


def test_extract_reads_standard_input(cli):
    code, out, _ = cli("extract", "-", "--toml", "codes.toml", stdin=f"\xff\x00\x1b {OBJREF}\r\n".encode("latin-1"))
    assert (code, json.loads(out)) == (0, {"objref": [OBJREF]})


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
