import os
import subprocess
import sys
import threading
from contextvars import ContextVar
from pathlib import Path

import pytest

from agentkit.base import workers


def test_value_error_and_reuse():
    first = workers.start(lambda: threading.current_thread())
    assert first.wait(10)
    failed = workers.start(lambda: 1 / 0)
    assert failed.wait(10)
    assert isinstance(failed.error, ZeroDivisionError)
    assert first.value.daemon


def test_waiting_ends_but_the_work_goes_on():
    go = threading.Event()
    job = workers.start(lambda: go.wait(10))
    assert not job.wait(0.01)
    assert not job.done
    go.set()
    while not job.done:
        threading.Event().wait(0.01)
    assert job.value is True


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="this system does not list descriptors in /proc")
def test_neither_abandoned_workers_nor_idle_ones_pile_up():
    code = (
        "import threading, os\nfrom agentkit.base import workers\n"
        "count = lambda: len(os.listdir('/proc/self/fd'))\n"
        "before = count()\ngo = threading.Event()\n"
        "jobs = [workers.start(go.wait) for _ in range(50)]\n"
        "assert not any(job.wait(0) for job in jobs)\ngo.set()\n"
        "while threading.active_count() > 1 + workers.MAX_IDLE: threading.Event().wait(0.01)\n"
        "assert count() == before, (count(), before)\n"
        "jobs = [workers.start(int) for _ in range(50)]\n"
        "assert all(job.wait(10) for job in jobs)\n"
        "while threading.active_count() > 1 + workers.MAX_IDLE: threading.Event().wait(0.01)\n"
        "assert count() == before, (count(), before)\n"
        "job = workers.start(lambda: 'again'); assert job.wait(10) and job.value == 'again'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_callback_instead_of_waiting():
    told = threading.Event()
    job = workers.start(lambda: 7, told.set)
    assert told.wait(10)
    assert (job.done, job.value) == (True, 7)


def test_a_callback_that_raises_does_not_take_the_worker_with_it():
    def fail() -> None:
        raise RuntimeError("Event loop is closed")

    for _ in range(3):
        assert workers.start(int, fail).wait(10)
        assert workers.start(int).wait(10)


def test_context_variables_come_along():
    name: ContextVar[str] = ContextVar("name")
    name.set("outer")
    job = workers.start(name.get)
    assert job.wait(10)
    assert job.value == "outer"


def test_a_stuck_worker_does_not_hold_up_exit():
    code = "from agentkit.base import workers; import time; print(workers.start(lambda: time.sleep(60)).wait(0.01))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.stdout.strip(), done.returncode) == ("False", 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_gets_workers_of_its_own():
    code = (
        "import os\nfrom agentkit.base import workers\nassert workers.start(int).wait(10)\n"
        "import time; time.sleep(0.1)\npid = os.fork()\n"
        "if pid == 0:\n    os._exit(0 if workers.start(int).wait(10) else 1)\n"
        "raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=60)
    assert done.returncode == 0
