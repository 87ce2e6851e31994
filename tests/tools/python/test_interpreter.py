import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from langchain_core.utils.function_calling import convert_to_openai_tool

from agentkit.errors import ConfigError, InputError, SessionError, ToolError
from agentkit.policy import Outcome, ToolPolicy, policy_of, with_policy
from agentkit.tools import PythonInterpreter
from agentkit.tools.python.execution import Execution
from agentkit.tools.python.host.frames import (
    MAX_FRAME_BYTES,
    CellReply,
    FrameError,
    FrameReader,
    Hello,
    Output,
    decode,
    encode,
)


@pytest.fixture(params=["L1", "L3"])
def python(request):
    """One at the lowest level, and one at the highest there is here."""
    with PythonInterpreter(max_isolation=request.param, allow_weak=True, timeout_s=60) as interpreter:
        yield interpreter


@pytest.fixture
def weak():
    """Not walled in: its code may start programs, and the test sees its files and process numbers."""
    with PythonInterpreter(max_isolation="L1", allow_weak=True, timeout_s=60) as interpreter:
        yield interpreter


def gone(pid: int) -> bool:
    """True if the process ends soon; a zombie that its parent has yet to reap has ended."""
    for _ in range(500):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
            os.kill(pid, 0)
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.01)
    return False


# --- what a cell gives back ----------------------------------------------------------------------------------


def test_variables_output_and_the_last_value(python):
    assert python.execute("x = [1, 2]").value is None
    done = python.execute("import sys; print('out'); print('err', file=sys.stderr); x + [3]")
    assert (done.ok, done.stdout, done.stderr, done.value, done.error) == (True, "out\n", "err\n", "[1, 2, 3]", None)
    assert str(done) == "out\nstderr:\nerr\n[1, 2, 3]"
    assert str(python.execute("print('just this')")) == "just this"
    assert str(python.execute("y = 1")) == "(no output)"
    assert python.execute("x;").value is None
    assert python.execute("x  # shown;").value == "[1, 2]"
    assert python.execute("'a\\n'").value == "'a\\n'"
    assert python.execute("object()").value == "<object object>"
    assert python.execute("'<a at 0x12>'").value == "'<a at 0x12>'"
    assert python.execute("__name__").value == "'__main__'"


def test_raw_writes_and_programs_are_captured(weak):
    python = weak
    done = python.execute("import os; os.write(1, b'one\\n'); os.write(2, b'two\\n'); os.system('echo three'); None")
    assert (done.stdout, done.stderr) == ("one\nthree\n", "two\n")
    python.execute("import os, sys; os.close(1); sys.stdout.close(); sys.stderr = None")
    assert python.execute("print('again')").stdout == "again\n"


def test_sessions_do_not_share_variables(python):
    python.execute("x = 1", session="a")
    assert not python.execute("x", session="b").ok
    assert python.execute("x", session="a").value == "1"


def test_errors_show_only_the_lines_of_the_code(python):
    python.execute("def half(n):\n    return 1 / n")
    done = python.execute("import json\n\njson.loads('{')\n")
    assert (done.ok, done.cause) == (False, "exception")
    assert done.error == (
        "  line 3, in <cell>\n    json.loads('{')\nJSONDecodeError: Expecting property name enclosed in double quotes: "
        "line 1 column 2 (char 1)"
    )
    assert python.execute("half(0)").error == (
        "  line 1, in <cell>\n    half(0)\n  line 2, in half (an earlier cell)\n    return 1 / n\n"
        "ZeroDivisionError: division by zero"
    )
    wrong = python.execute("print('not run')\nx = = 1")
    assert wrong.stdout == "" and wrong.error == "  line 2, in <cell>\n    x = = 1\nSyntaxError: invalid syntax"
    assert "raise KeyError('k') from" not in python.execute("raise KeyError('k')").error.splitlines()[-1]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("exit()", "SystemExit: exit() does not end the session."),
        ("import sys; sys.exit(3)", "exit(3) does not end"),
        ("input('name? ')", "EOFError"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("def f(): f()\nf()", "RecursionError"),
        ("class R:\n    def __repr__(self): raise ValueError('no')\nR()", "ValueError: no"),
        ("class E(Exception):\n    def __str__(self): raise ValueError\nraise E", "its message cannot be shown"),
        ("bytearray(1 << 40)", "MemoryError"),
        ("raise ExceptionGroup('both', [ValueError('inner')])", "  - ValueError: inner"),
        ("open('nul\\0')", "ValueError: embedded null"),
    ],
)
def test_a_cell_that_fails_does_not_end_the_session(shared, code, said):
    shared.execute("kept = 1", session="failing")
    done = shared.execute(code, session="failing")
    assert said in str(done)
    assert (done.ok, done.cause) == (False, "exception")
    assert shared.execute("kept", session="failing").value == "1"


@pytest.fixture(scope="module", params=["L1", "L3"])
def shared(request):
    with PythonInterpreter(max_isolation=request.param, allow_weak=True, timeout_s=60) as interpreter:
        yield interpreter


@pytest.fixture(scope="module")
def weak_shared():
    with PythonInterpreter(max_isolation="L1", allow_weak=True, timeout_s=60) as interpreter:
        yield interpreter


def test_nul_and_surrogates_are_spelled_out(shared):
    assert shared.execute("len('\0')").value == "1"
    assert shared.execute("print('\\ud800'); '\\udfff'").ok
    done = shared.execute("x = 'a\ud800'")
    assert done.ok or "SyntaxError" in done.error
    Execution.model_validate_json(shared.execute("raise ValueError('\\ud800')").model_dump_json())


@pytest.mark.parametrize(
    "code",
    [
        "raise ValueError('\\x00' * 9000)",
        "raise ValueError(chr(0xD800) * 9000)",
        "class R:\n    def __repr__(self): return chr(0xD800) * 9000\nR()",
        "globals()[chr(0xD800) * 80] = 1",
        "class M(type): __name__ = property(lambda self: [1])\nclass B(metaclass=M): pass\nb = B()",
    ],
)
def test_texts_that_grow_when_spelled_out_do_not_end_the_session(shared, code):
    shared.execute("kept = 1", session="growing")
    done = shared.execute(code, session="growing")
    assert done.cause != "died" and len(str(done)) < 11_000
    assert shared.execute("kept", session="growing").value == "1"


@pytest.mark.parametrize("code", ["", "  \n", "1" * 1_000_001], ids=["empty", "blank", "long"])
def test_code_that_is_not_run(shared, code):
    done = shared.execute(code)
    assert not done.ok and done.error and done.isolation == shared.execute("1").isolation


def test_calls_that_make_no_sense(shared):
    with pytest.raises(InputError, match="give a text"):
        shared.execute(3)
    with pytest.raises(SessionError):
        shared.execute("1", session="")
    with pytest.raises(ConfigError, match="timeout_s"):
        shared.execute("1", timeout_s=0)


def test_much_output_keeps_its_head_and_tail(shared):
    done = shared.execute("print('first'); print('x' * 3_000_000); print('last')")
    assert done.stdout.startswith("first\n") and done.stdout.endswith("last\n") and len(done.stdout) < 70_000
    assert "bytes left out" in done.stdout
    value = shared.execute("'a' * 100_000 + 'z'").value
    assert len(value) < 11_000 and value.endswith("z'") and "characters left out" in value


def test_a_cell_cannot_break_the_runner(shared):
    session = "breaker"
    shared.execute("print = len = repr = str = None", session=session)
    assert shared.execute("1 + 1", session=session).value == "2"
    code = "import builtins\nfor n in list(vars(builtins)):\n    if n != 'delattr': delattr(builtins, n)"
    shared.execute(code, session=session)
    assert shared.execute("del print, len; print(len('ab'))", session=session).stdout == "2\n"
    shared.execute("import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); globals().clear()", session=session)
    done = shared.execute("while True: pass", session=session, timeout_s=0.3)
    assert "Variables are kept" in done.error


def test_a_copy_of_the_process_does_not_answer(weak_shared):
    weak_shared.execute("import os\nif os.fork() == 0: print('copy')\nelse: os.wait()", session="copied")
    assert weak_shared.execute("5", session="copied").value == "5"


def test_a_forged_reply_ends_the_session_and_not_the_host(shared):
    for forged in ("b'\\xff' * 8", "b'\\0\\0\\0\\2[]'", "b'\\0\\0\\0\\2{}'"):
        done = shared.execute(
            f"import os, sys\nfor fd in range(3, 256):\n    try: os.write(fd, {forged})\n    except OSError: pass",
            session="forger",
        )
        assert done.cause == "died" and "frame" in done.error
        assert shared.execute("1", session="forger").value == "1"


# --- variables, files, figures -------------------------------------------------------------------------------


def test_variables_are_summarised_when_they_change(shared):
    session = "vars"
    done = shared.execute("import math\na = [1]\n_b = 2\nn = 5.0", session=session)
    assert [(v.name, v.type, v.shape) for v in done.variables] == [("a", "list", (1,)), ("n", "float", None)]
    assert [v.name for v in shared.execute("a.append(2)", session=session).variables] == ["a"]
    assert shared.execute("a", session=session).variables == ()
    assert [v.name for v in shared.execute("n = 6.0", session=session).variables] == ["n"]


def test_tables_and_figures(shared):
    session = "plots"
    done = shared.execute("import pandas as pd\ndf = pd.DataFrame({'t': [1, 2], 'revenue': [3, 900]})", session=session)
    assert shared.execute("df.revenue.max()", session=session).value == "900"
    assert done.variables[0].model_dump() == {
        "name": "df",
        "type": "DataFrame",
        "shape": (2, 2),
        "columns": ("t", "revenue"),
    }
    done = shared.execute(
        "import matplotlib.pyplot as plt\nplt.plot(df.t, df.revenue)\nplt.title('Revenue')\nplt.ylim(0, 1000)\n"
        "plt.savefig('revenue.png')\nplt.show()",
        session=session,
    )
    assert (done.files, done.stderr) == (("revenue.png",), "")
    assert done.artifacts[0].data.startswith(b"\x89PNG") and done.artifacts[0].media_type == "image/png"
    assert (done.figures[0].file, done.figures[0].title, done.figures[0].ylim) == ("revenue.png", "Revenue", (0, 1000))
    assert str(done) == "Files written: revenue.png"
    assert isinstance(done, Outcome)
    assert json.loads(json.dumps(done.facts)) == {
        "files": ["revenue.png"],
        "figures": [{"file": "revenue.png", "title": "Revenue", "xlim": [0.95, 2.05], "ylim": [0.0, 1000.0]}],
    }
    done = shared.execute("fig, ax = plt.subplots(); ax.set_ylim(0, 7); plt.figure()\nplt.plot([1]);", session=session)
    assert [(f.file, f.ylim and f.ylim[1] == 7) for f in done.figures] == [("figure_1.png", True), ("figure_2.png", 0)]
    assert shared.execute("plt.get_fignums()", session=session).value == "[]"
    done = shared.execute("ax.set_ylim(0, 8)\nfig", session=session)
    assert [(f.file, f.ylim) for f in done.figures] == [("figure_3.png", (0, 8))]
    done = shared.execute("fig.savefig('a/b.png')", session=session)
    assert done.cause == "exception" and "FileNotFoundError" in done.error
    done = shared.execute("fig.savefig('plain'); plt.plot([1]); raise ValueError('late')", session=session)
    assert [f.file for f in done.figures] == ["plain.png"] and done.files == ("plain.png",)


@pytest.mark.parametrize("level", ["L1", "L2", "L3"])
def test_files(tmp_path, level):
    (tmp_path / "in.csv").write_text("a\n1\n")
    (tmp_path / "elsewhere" / "below").mkdir(parents=True)
    (tmp_path / "elsewhere" / "below").chmod(0o755)
    (tmp_path / "elsewhere" / "below" / "f").write_text("kept")
    with PythonInterpreter(data=[tmp_path / "in.csv"], max_isolation=level, allow_weak=True) as python:
        code = (
            "import os\nprint(open('in.csv').read())\nos.mkdir('out')\nopen('out/t.csv', 'w').write('b')\n"
            "os.symlink('/etc/hostname', 'link.txt'); os.link('in.csv', 'hard.csv'); os.mkfifo('pipe')\n"
            "open('.hidden', 'w').write('x'); f = open('big.bin', 'wb'); f.truncate(40 << 20); f.close()"
        )
        done = python.execute(code)
        assert "a\n1" in done.stdout
        assert [(a.name, a.data, a.media_type) for a in done.artifacts] == [("out/t.csv", b"b", "text/csv")]
        assert set(done.files) == {"big.bin", "hard.csv", "in.csv", "out/t.csv"}  # a new link changes in.csv
        assert "big.bin (the limit is 32 MiB" in str(done) and "hard.csv (not a plain file)" in str(done)
        assert python.execute("open('in.csv').read()").files == ()
        assert python.execute("open('out/t.csv', 'w').write('c');").files == ("out/t.csv",)
        python.execute(
            "import os, shutil\nd = os.getcwd(); os.rename(d, d + 'x')\n" + f"os.symlink('{tmp_path}/elsewhere', d)"
        )
        assert python.execute("1").artifacts == ()
    assert (tmp_path / "in.csv").read_text() == "a\n1\n"
    # What a planted link points to is neither deleted nor opened up.
    assert stat.S_IMODE((tmp_path / "elsewhere" / "below").stat().st_mode) == 0o755
    assert (tmp_path / "elsewhere" / "below" / "f").read_text() == "kept"


def test_many_files_are_counted_not_listed(shared):
    done = shared.execute("for i in range(300): open(f'f{i:03}.txt', 'w').close()", session="many files")
    assert (len(done.files), len(done.artifacts), len(done.omitted)) == (300, 50, 250)
    assert "f049.txt, and 250 more\n" in str(done) and str(done).endswith("and 200 more") and "f299" not in str(done)
    assert len(done.facts["files"]) == 100


def test_a_working_folder_that_is_gone_is_made_anew(tmp_path):
    (tmp_path / "in.csv").write_text("a")
    with PythonInterpreter(data=[tmp_path / "in.csv"], max_isolation="L1", allow_weak=True) as python:
        for away in ("shutil.rmtree(d)", f"os.rename(d, d + 'x'); os.symlink('{tmp_path}', d)"):
            python.execute(f"import os, shutil; d = os.getcwd(); {away}; os._exit(0)")
            done = python.execute("import os; open('new', 'w').close(); sorted(os.listdir())")
            assert done.value == "['in.csv', 'new']" and "working folder was gone" in str(done)
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_folders_are_removed_whatever_the_code_made_of_them(weak, tmp_path):
    python = weak
    (tmp_path / "below").mkdir(mode=0o755)
    code = (
        "import os; d = os.getcwd()\nos.mkdir('shut'); os.symlink({!r}, 'shut/link'); os.chmod('shut', 0)\n"
        "for _ in range(1100): os.mkdir('n'); os.chdir('n')\nos.chmod(d, 0); d"
    )
    done = python.execute(code.format(str(tmp_path)))
    python.close()
    assert not Path(done.value.strip("'")).parent.exists()
    assert stat.S_IMODE((tmp_path / "below").stat().st_mode) == 0o755


def test_the_environment_is_empty(shared, monkeypatch):
    monkeypatch.setenv("COHERE_API_KEY", "secret")
    done = shared.execute("import os, sys; sorted(os.environ), hash('a') == hash('a'), sys.flags.hash_randomization")
    assert "COHERE" not in done.value and "PATH" not in done.value and done.value.endswith("True, 0)")


# --- the end of a process ------------------------------------------------------------------------------------


def test_a_loop_is_stopped_and_variables_are_kept(shared):
    session = "loop"
    shared.execute("x = 1", session=session)
    done = shared.execute("print('on')\nwhile True:\n    pass", session=session, timeout_s=0.3)
    assert (done.cause, done.stdout, done.lost) == ("timeout", "on\n", ())
    assert "line " in done.error and "longer than the limit of 0.3 s" in done.error
    assert shared.execute("x", session=session).value == "1"


def test_an_interrupt_before_the_code_begins_is_not_lost(shared):
    shared.execute("x = 1", session="early")
    for size in (0, 1, 10, 100) * 3:
        done = shared.execute("1\n" * size + "while True: pass", session="early", timeout_s=0.0001)
        assert (done.cause, done.lost) == ("timeout", ())
    assert shared.execute("x", session="early").value == "1"


def test_code_that_swallows_the_interrupt_is_told(shared):
    code = "import time\ntry: time.sleep(99)\nexcept BaseException: print('failed')"
    done = shared.execute(code, session="swallow", timeout_s=0.2)
    assert done.ok and done.stdout == "failed\n" and "longer than the limit of 0.2 s" in str(done)


def test_clean_up_of_interrupted_code_is_not_interrupted_again(shared):
    code = "import time\ntry: time.sleep(99)\nfinally: time.sleep(0.4); print('clean')"
    done = shared.execute(code, session="finally", timeout_s=0.2)
    assert (done.cause, done.stdout, done.lost) == ("timeout", "clean\n", ())


def test_what_does_not_stop_is_killed_with_its_children(weak_shared):
    shared = weak_shared
    session = "stubborn"
    child = shared.execute("import subprocess; x = 1; p = subprocess.Popen(['sleep', '99']); p.pid", session=session)
    code = "import time\nwhile True:\n    try: time.sleep(99)\n    except BaseException: pass"
    done = shared.execute(code, session=session, timeout_s=0.2)
    assert (done.cause, done.lost) == ("timeout", ("x", "p"))
    assert "These variables are gone: x, p." in done.error
    assert gone(int(child.value))
    assert "NameError" in shared.execute("x", session=session).error


@pytest.mark.parametrize(
    ("code", "how"),
    [("import os; os._exit(3)", "status 3"), ("import ctypes; ctypes.string_at(0)", "SIGSEGV")],
)
def test_a_process_that_ends(shared, code, how):
    shared.execute("open('kept', 'w').write('1'); x = 1", session="ending")
    done = shared.execute(f"print('last words'); {code}", session="ending")
    assert (done.cause, done.stdout, done.lost) == ("died", "last words\n", ("x",)) and how in done.error
    assert shared.execute("open('kept').read()", session="ending").value == "'1'"


def test_a_process_that_ends_between_calls_is_told(shared):
    shared.execute("import threading, os; x = 1; threading.Timer(0.05, os._exit, [4]).start()", session="later")
    for _ in range(100):
        done = shared.execute("2", session="later")
        if done.lost:
            break
        time.sleep(0.02)
    assert done.lost == ("x",) or done.cause == "died"
    assert "x" in done.lost and "status 4" in str(done)


def test_the_oldest_idle_session_is_closed_and_told(python):
    python.execute("x = 1", session="first")
    for n in range(16):
        python.execute("1", session=f"s{n}")
    done = python.execute("2", session="first")
    assert (done.ok, done.lost) == (True, ("x",)) and "more than 16" in str(done)
    assert python.execute("2", session="first").notice == ""


def test_close_ends_processes_and_folders(weak):
    python = weak
    done = python.execute("import os; os.getpid(), os.getcwd()")
    pid, folder = eval(done.value)
    other = int(python.execute("import os; os.getpid()", session="other").value)
    python.execute("import os; os.mkdir('shut'); open('shut/f', 'w'); os.chmod('shut', 0)")
    python.close("s1")
    assert gone(pid) and not Path(folder).exists()
    assert python.execute("1", session="other").ok
    python.close()
    assert gone(other) and not Path(folder).parent.exists()
    assert python.execute("1 + 1").value == "2"


def test_closing_a_session_that_runs(shared):
    results = []
    shared.execute("1", session="closed")
    thread = threading.Thread(target=lambda: results.append(shared.execute("while True: pass", session="closed")))
    thread.start()
    time.sleep(0.2)
    shared.close("closed")
    thread.join()
    assert results[0].cause == "died" and "closed" in results[0].error


@pytest.mark.parametrize("ending", ["", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "del python"])
def test_no_process_outlives_the_program(tmp_path, ending):
    program = (
        "import time, threading\nfrom agentkit.tools import PythonInterpreter\n"
        "python = PythonInterpreter(max_isolation='L1', allow_weak=True)\n"
        "print(python.execute('import os; os.getpid()').value, flush=True)\n"
        "threading.Thread(target=python.execute, args=('import time\\ntime.sleep(99)',), daemon=True).start()\n"
        f"time.sleep(0.3)\n{ending}\n"
    )
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=60)
    assert done.stderr == "" and gone(int(done.stdout))
    if "SIGKILL" not in ending:
        assert list(tmp_path.iterdir()) == []


def test_a_process_survives_the_thread_that_made_it(python):
    thread = threading.Thread(target=python.execute, args=("x = 1",))
    thread.start()
    thread.join()
    assert python.execute("x").value == "1"


# --- side by side --------------------------------------------------------------------------------------------


def test_sessions_run_at_once_and_calls_of_one_in_turn(weak):
    python = weak

    async def run():
        meet = "import os, time\nopen({!r}, 'w').close()\nwhile not os.path.exists({!r}): time.sleep(0.01)"
        home = Path(python.execute("import os, time; n = 0; os.getcwd()").value.strip("'"))
        a, b = str(home / "a"), str(home / "b")
        return await asyncio.gather(
            python.aexecute(meet.format(a, b), session="a"),
            python.aexecute(meet.format(b, a), session="b"),
            *(
                python.aexecute("n = globals().get('n', 0); time = __import__('time'); time.sleep(0.02); n += 1")
                for _ in "1234"
            ),
        )

    assert all(done.ok for done in asyncio.run(run()))
    assert python.execute("n").value == "4"


def test_a_call_that_waits_too_long_is_not_run(python):
    first = threading.Thread(target=python.execute, args=("import time; time.sleep(1.2)",))
    python.execute("1")
    first.start()
    time.sleep(0.2)
    done = python.execute("x = 1", timeout_s=0.3)
    first.join()
    assert done.cause == "timeout" and "Not run" in done.error
    assert not python.execute("x").ok


def test_cancelling_interrupts_the_code(python):
    async def run():
        await python.aexecute("x = 1")
        task = asyncio.create_task(python.aexecute("while True: pass"))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await python.aexecute("x")

    assert asyncio.run(run()).value == "1"


def test_a_call_cancelled_while_it_waits_is_not_run(weak):
    python = weak

    async def run():
        home = Path((await python.aexecute("import os; os.getcwd()")).value.strip("'"))
        first = asyncio.create_task(python.aexecute("import time\nwhile not os.path.exists('go'): time.sleep(0.01)"))
        await asyncio.sleep(0.1)
        second = asyncio.create_task(python.aexecute("ran = 1"))
        await asyncio.sleep(0.1)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        (home / "go").touch()
        await first
        return await python.aexecute("'ran' in globals()")

    assert asyncio.run(run()).value == "False"


def test_cancelling_at_once_keeps_the_session(python):
    async def run():
        await python.aexecute("x = 1")
        for _ in range(5):
            task = asyncio.create_task(python.aexecute("while True: pass"))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return await python.aexecute("x")

    assert asyncio.run(run()).value == "1"


def test_ctrl_c_in_the_host_ends_the_process_and_is_told(python):
    python.execute("x = 1")
    timer = threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        python.execute("while True: pass")
    done = python.execute("2")
    assert (done.value, done.lost) == ("2", ("x",)) and "had ended" in str(done)


# --- as a tool -----------------------------------------------------------------------------------------------


def test_as_a_langchain_tool(shared):
    config = {"configurable": {"session": "tool"}}
    call = {"name": "python_interpreter", "args": {"code": "x = 4\nx"}, "id": "1", "type": "tool_call"}
    message = shared.invoke(call, config)
    assert message.content == "4" and isinstance(message.artifact, Execution)
    assert shared.invoke({"code": "x + 1"}, config) == "5"
    assert asyncio.run(shared.ainvoke({"code": "x + 2"}, config)) == "6"
    assert "NameError" in shared.invoke({"code": "x"})  # the session "default"
    function = convert_to_openai_tool(shared)["function"]
    assert list(function["parameters"]["properties"]) == ["code"] and function["name"] == "python_interpreter"


def test_the_policy_and_copies(python):
    limit = policy_of(python).timeout_s
    assert isinstance(limit, float) and limit > 60
    copy = with_policy(python, ToolPolicy(timeout_s=5))
    assert isinstance(copy, PythonInterpreter)
    python.execute("x = 1")
    assert copy.execute("x").value == "1" and policy_of(copy).timeout_s == 5
    assert "policy" not in python.model_dump()


def test_the_description_names_what_is_there(tmp_path):
    (tmp_path / "revenue.csv").write_text("")
    described = PythonInterpreter(data=[tmp_path / "revenue.csv"], allow_weak=True).description
    for word in ("revenue.csv", "pandas", "kept between calls", "last expression", "PNG"):
        assert word in described


# --- making one ----------------------------------------------------------------------------------------------


def test_weak_isolation_must_be_accepted(weak_shared):
    for level in ("L1", "L2", "L3"):
        with pytest.raises(ConfigError, match=r"L1 only.*allow_weak=True"):
            PythonInterpreter(min_isolation=level, max_isolation="L1")
    with pytest.raises(ConfigError, match="'L1', 'L2' or 'L3'"):
        PythonInterpreter(min_isolation="L4", allow_weak=True)
    isolation = weak_shared.execute("1").isolation
    assert isolation.level == "L1" and "seccomp" in isolation.missing and isolation.fix


@pytest.mark.parametrize("timeout_s", [0, -1, float("nan"), float("inf"), None, True, "30", 1e6])
def test_impossible_limits(timeout_s):
    with pytest.raises(ConfigError, match="timeout_s is"):
        PythonInterpreter(timeout_s=timeout_s, allow_weak=True)


def test_data_that_cannot_work(tmp_path):
    file, other = tmp_path / "a.csv", tmp_path / "sub" / "a.csv"
    other.parent.mkdir()
    file.write_text("")
    other.write_text("")
    for data, said in (
        ("a.csv", "give a list"),
        ([3], "give paths"),
        ([tmp_path / "no.csv"], "does not exist"),
        ([tmp_path], "is a folder"),
        ([file, other], "Two data files are named 'a.csv'"),
        (["a\0b"], "give paths"),
    ):
        with pytest.raises(ConfigError, match=said):
            PythonInterpreter(data=data, allow_weak=True)  # type: ignore[arg-type]
    python = PythonInterpreter(data=[file], allow_weak=True)
    file.unlink()
    with pytest.raises(ToolError, match="can no longer be copied"):
        python.execute("1")


def test_windows_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ConfigError, match="Windows"):
        PythonInterpreter(allow_weak=True)


# --- frames --------------------------------------------------------------------------------------------------


def test_frames_are_cut_anywhere():
    data, reader = encode({"refused": []}) + encode({"refused": ["RLIMIT_AS"]}), FrameReader()
    found = [decode(body, Hello) for i in range(len(data)) if (body := reader.feed(data[i : i + 1])) is not None]
    assert [hello.refused for hello in found] == [[], ["RLIMIT_AS"]]


@pytest.mark.parametrize(
    "body", [b"", b"[" * 100_000, b"\xff", b'{"refused": 1}', b'{"refused": [], "x": 1}', b"1" * 9999]
)
def test_hostile_frames(body):
    with pytest.raises(FrameError):
        decode(body, Hello)
    with pytest.raises(FrameError):
        decode(body, CellReply)


def test_a_frame_may_not_be_too_long():
    with pytest.raises(FrameError):
        FrameReader().feed((MAX_FRAME_BYTES + 1).to_bytes(4, "big"))


def test_output_cut_inside_a_character():
    output = Output(max_bytes=10)
    for _ in range(100):
        output.add("ä€".encode())
    assert output.text().startswith("ä€\n[… ") and output.text().endswith("€") and "\ufffd" not in output.text()
