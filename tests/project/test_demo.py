"""The demo plays on every machine: with walls, without, and on Windows, where one half is omitted."""

import os
import subprocess
import sys

import pytest

from agentkit.tools.python import levels

L1 = "from agentkit.tools.python import levels; levels.probe = lambda: levels.Machine(0, False, None, '')"
WINDOWS = "import types; agentkit.demo.sys = types.SimpleNamespace(platform='win32')"


def play(folder, before):
    """Run the demo in a process of its own, after the statements `before`; return what it prints."""
    env = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    program = f"import agentkit.demo\n{before}\nagentkit.demo.play()"
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert "[{'taxonomies': ['SPORT']}]\n" in done.stdout
    return done.stdout


@pytest.mark.parametrize("before", ["", L1], ids=["as it is", "level L1"])
def test_both_conversations_are_played(tmp_path, before):
    if not before and levels.best(levels.probe()).level == "L1":
        pytest.skip("there is no higher level here: the other case shows it")
    printed = play(tmp_path, before)
    assert "[objects] Its y axis runs from 0 to 1000.\n" in printed
    assert (tmp_path / "objects_revenue_plot.png").read_bytes().startswith(b"\x89PNG")
    assert ("[level L1, no walls: " in printed) == bool(before)


def test_on_windows_it_says_which_half_it_omits(tmp_path):
    assert "Omitted: it runs Python code, and PythonInterpreter does not run on Windows" in play(tmp_path, WINDOWS)


def test_a_live_run_needs_walls(tmp_path):
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "COHERE_API_KEY": "key"}
    program = f"from agentkit import demo\n{L1}\ndemo._load('short_term_memory').main()"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 1 and "live: the answers come from the API" in done.stdout
    assert "what can be had is L1 only" in done.stderr
