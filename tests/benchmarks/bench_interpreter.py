"""What a session of the Python interpreter costs: start, call, plot, memory, interrupt, end.

python tests/benchmarks/bench_interpreter.py [--rounds 30]

Beside it, in the same run and shuffled each round: a Jupyter kernel (ipykernel through jupyter_client), smolagents'
LocalPythonExecutor and a plain `python -I` process. A peer that is not installed is named and omitted.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from agentkit.tools import PythonInterpreter

IMPORTS = "import pandas as pd\nimport matplotlib\nmatplotlib.use('Agg')\nimport matplotlib.pyplot as plt\nprint(1)"
PLOT = (
    "import matplotlib.pyplot as plt\nplt.close('all')\nplt.plot(range(100))\nplt.title('t')\nplt.savefig('p.png')\n"
    "plt.close('all')\nprint(1)"
)
Run = Callable[[str], None]


@contextlib.contextmanager
def agentkit(interpreter: PythonInterpreter, name: str) -> Iterator[Run]:
    def run(code: str) -> None:
        done = interpreter.execute(code, name)
        assert done.ok, done

    yield run
    interpreter.close(name)


@contextlib.contextmanager
def jupyter() -> Iterator[Run]:
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name="python3", extra_arguments=["--log-level=ERROR"])

    def run(code: str) -> None:
        done = client.execute_interactive(code, timeout=60, output_hook=lambda _: None)
        assert done["content"]["status"] == "ok", done

    yield run
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@contextlib.contextmanager
def smolagents() -> Iterator[Run]:
    from smolagents.local_python_executor import LocalPythonExecutor

    executor = LocalPythonExecutor(["pandas", "matplotlib", "matplotlib.pyplot"])
    executor.send_tools({})
    yield lambda code: executor(code) and None


@contextlib.contextmanager
def plain() -> Iterator[Run]:
    def run(code: str) -> None:
        subprocess.run([sys.executable, "-I", "-c", code], check=True, stdout=subprocess.DEVNULL)

    yield run


def installed(peers: dict[str, Callable[[], contextlib.AbstractContextManager[Run]]]) -> Iterator[str]:
    for name, peer in peers.items():
        try:
            with peer() as run:
                run("print(1)")
        except Exception as error:  # an error of one peer must not end the measurement of the others
            print(f"{name}: omitted ({type(error).__name__}: {str(error)[:80]})")
        else:
            yield name


def milliseconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1e3


def spread(taken: list[float]) -> str:
    ordered = sorted(taken)
    return f"p50 {statistics.median(ordered):9.2f}   p95 {ordered[int(len(ordered) * 0.95)]:9.2f} ms"


def sessions_beside_peers(interpreter: PythonInterpreter, level: str, rounds: int) -> None:
    numbers = iter(range(10**6))
    peers = {
        f"agentkit, {level}": lambda: agentkit(interpreter, f"new{next(numbers)}"),
        "ipykernel": jupyter,
        "smolagents": smolagents,
        "python -I": plain,
    }
    started: dict[str, list[float]] = {}
    called: dict[str, list[float]] = {}
    drawn: dict[str, list[float]] = {}
    names = list(installed(peers))
    # Five rounds for the peers: a session of ipykernel takes half a second to start.
    for turn in range(rounds):
        for name in random.sample(names, len(names)):
            if turn >= 5 and not name.startswith("agentkit"):
                continue
            began = time.perf_counter()
            with peers[name]() as run:
                run(IMPORTS)
                started.setdefault(name, []).append((time.perf_counter() - began) * 1e3)
                run(PLOT)  # the first one fills caches of fonts
                drawn.setdefault(name, []).append(milliseconds(lambda run=run: run(PLOT)))
                called.setdefault(name, []).extend(milliseconds(lambda run=run: run("1 + 1")) for _ in range(10))
    for what, target, taken in (
        ("a new session with pandas and pyplot", "p50 20, p95 40", started),
        ("a call", "p50 0.3", called),
        ("a PNG plot, warm", "65", drawn),
    ):
        print(f"\n{what} (target: {target} ms)")
        for name, values in taken.items():
            print(f"  {name:20s} {spread(values)}   of {len(values)}")


def first_session() -> None:
    began = time.perf_counter()
    with PythonInterpreter() as interpreter:
        made = (time.perf_counter() - began) * 1e3
        time.sleep(1.0)
        waited = milliseconds(lambda: interpreter.execute("1", "a"))
    print(f"\nmaking an interpreter {made:.1f} ms; its first call, begun 1 s later, {waited:.1f} ms")
    with PythonInterpreter() as interpreter:
        print(f"first call begun at once {milliseconds(lambda: interpreter.execute('1', 'a')):.0f} ms (target: 1,000)")


def children(parent: int) -> set[int]:
    """Return the process ids of all descendants of `parent`."""
    below: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                below.setdefault(int(fields[1]), []).append(int(entry.name))
    found, todo = set(), [parent]
    while todo:
        for child in below.get(todo.pop(), []):
            found.add(child)
            todo.append(child)
    return found


def private_kib(pid: int) -> int:
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean", "Private_Dirty")))
    return 0


def idle_sessions(interpreter: PythonInterpreter) -> None:
    before = children(os.getpid())
    for number in range(10):
        interpreter.execute("import pandas as pd\nx = pd.DataFrame({'a': range(1000)})", f"idle{number}")
    new = children(os.getpid()) - before
    held = sum(map(private_kib, new)) / 1024
    print(f"\nten idle sessions, each with a small table: {held:.0f} MiB private in {len(new)} processes (target: 130)")
    for number in range(10):
        interpreter.close(f"idle{number}")


def interrupting(interpreter: PythonInterpreter) -> None:
    late = []
    interpreter.execute("kept = 41", "busy")
    for _ in range(10):
        began = time.perf_counter()
        done = interpreter.execute("while True: pass", "busy", timeout_s=0.2)
        late.append((time.perf_counter() - began) * 1e3 - 200)
        assert done.cause == "timeout", done
    assert interpreter.execute("kept + 1", "busy").value == "42"
    print(f"a loop is interrupted, its variables kept, {statistics.median(late):.1f} ms after its time (target: 5)")


def killing(interpreter: PythonInterpreter) -> None:
    before, taken = children(os.getpid()), []
    for number in range(10):
        interpreter.execute("kept = 1", f"dead{number}")
        taken.append(milliseconds(lambda n=number: interpreter.execute("import os\nos._exit(9)", f"dead{n}")))
    names = [f"dead{number}" for number in range(10)]
    closing = [threading.Thread(target=interpreter.close, args=(name,)) for name in names]
    for thread in closing:
        thread.start()
    for thread in closing:
        thread.join()
    left = children(os.getpid()) - before
    print(
        f"a session that kills itself is reported after {statistics.median(taken):.1f} ms (target: 20); "
        f"processes left of ten: {len(left)} (target: 0)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    os.chdir(tempfile.mkdtemp(prefix="bench-"))  # the peers write into the working directory
    first_session()
    with PythonInterpreter() as interpreter:
        level = interpreter.execute("1", "warm").isolation.level
        time.sleep(1)
        sessions_beside_peers(interpreter, level, rounds)
        idle_sessions(interpreter)
        interrupting(interpreter)
        killing(interpreter)


if __name__ == "__main__":
    main()
