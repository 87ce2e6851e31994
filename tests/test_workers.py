import os
import subprocess
import sys
import threading
from contextvars import ContextVar

import pytest

from agentkit import workers


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
    go.set()
    assert job.wait(10)
    assert job.value is True


def test_context_variables_come_along():
    name: ContextVar[str] = ContextVar("name")
    name.set("outer")
    job = workers.start(name.get)
    assert job.wait(10)
    assert job.value == "outer"


def test_a_stuck_worker_does_not_hold_up_exit():
    code = "from agentkit import workers; import time; print(workers.start(lambda: time.sleep(60)).wait(0.01))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.stdout.strip(), done.returncode) == ("False", 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_gets_workers_of_its_own():
    code = (
        "import os\nfrom agentkit import workers\nassert workers.start(int).wait(10)\n"
        "import time; time.sleep(0.1)\npid = os.fork()\n"
        "if pid == 0:\n    os._exit(0 if workers.start(int).wait(10) else 1)\n"
        "raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=60)
    assert done.returncode == 0
