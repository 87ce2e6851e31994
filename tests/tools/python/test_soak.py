"""The Python interpreter in the long run (``make soak``), and what its host makes of frames nobody should send."""

import json
import os
import struct
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.isolation import BEST, need
from support.processes import children

from agentkit.tools import PythonInterpreter
from agentkit.tools.python.execution import Execution, Isolation
from agentkit.tools.python.host.frames import MAX_FRAME_BYTES, FrameError, FrameReader, Hello, Reply, decode

AT_EACH_LEVEL = pytest.mark.parametrize("level", ["L1", "L2", "L3"])
REPLY = {
    "id": 1, "ok": True, "value": "1", "error": None, "names": ["x"], "problems": [],
    "variables": [{"name": "x", "type": "int", "shape": None, "columns": None}],
    "figures": [{"file": "a.png", "title": "", "xlim": [0, 1], "ylim": None}],
}  # fmt: skip


def at(level, **options):
    need(level)
    return PythonInterpreter(min_isolation=level, max_isolation=level, allow_weak=level == "L1", **options)


# --- frames --------------------------------------------------------------------------------------------------

NUMBERS = st.integers() | st.floats() | st.sampled_from([2**31, 2**63, 2**64, 10**400, -1, 1e308])
TEXTS = st.text(st.characters(exclude_categories=())) | st.sampled_from(
    ["\0", "\ud800", "x" * 30_000, "{0}", "\x1b[2J"]
)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=20,
)
NEARLY = st.builds(
    lambda changed, dropped: {key: value for key, value in (REPLY | changed).items() if key not in dropped},
    st.dictionaries(st.sampled_from(sorted(REPLY)) | TEXTS, JSON, max_size=3),
    st.sets(st.sampled_from(sorted(REPLY)), max_size=1),
)
FRAMES = st.one_of(
    st.binary(max_size=200),
    st.builds(lambda body: struct.pack(">I", len(body)) + body, st.binary(max_size=200)),
    st.builds(lambda value: (lambda b: struct.pack(">I", len(b)) + b)(json.dumps(value).encode()), NEARLY | JSON),
    st.builds(lambda size, body: struct.pack(">I", size) + body, st.integers(0, 2**32 - 1), st.binary(max_size=50)),
)


def cut(data):
    """The frames in the bytes, and whether they end in one that is too long: what `FrameReader` should find."""
    found = []
    while len(data) >= 4:
        size = int.from_bytes(data[:4], "big")
        if size > MAX_FRAME_BYTES:
            return found, True
        if len(data) < 4 + size:
            break
        found.append(data[4 : 4 + size])
        data = data[4 + size :]
    return found, False


def frames_are_cut_as_they_should(parts):
    reader, found, too_long = FrameReader(), [], False
    try:
        for part in parts:
            body = reader.feed(part)
            while body is not None:
                found.append(body)
                body = reader.feed(b"")
    except FrameError:
        too_long = True
    assert (found, too_long) == cut(b"".join(parts))


def a_frame_is_taken_or_refused(body):
    for kind in (Hello, Reply):
        try:
            frame = decode(body, kind)
        except FrameError:
            continue
        frame.model_dump_json().encode("utf-8")
        if isinstance(frame, Reply):
            done = Execution(
                ok=frame.ok,
                value=frame.value,
                error=frame.error,
                variables=tuple(frame.variables),
                figures=tuple(frame.figures),
                isolation=Isolation(level="L3"),
            )
            assert Execution.model_validate_json(done.model_dump_json()) == done
            str(done).encode("utf-8")
            json.dumps(done.facts, allow_nan=False)


PARTS = st.lists(FRAMES | st.binary(max_size=9), max_size=8)
BODIES = st.one_of(st.binary(max_size=300), st.builds(lambda value: json.dumps(value).encode(), NEARLY | JSON))
FEW = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
MANY = settings(max_examples=50_000, deadline=None, suppress_health_check=list(HealthCheck))

test_streams_of_anything = FEW(given(PARTS)(frames_are_cut_as_they_should))
test_frames_of_anything = FEW(given(BODIES)(a_frame_is_taken_or_refused))
test_many_streams_of_anything = pytest.mark.soak(MANY(given(PARTS)(frames_are_cut_as_they_should)))
test_many_frames_of_anything = pytest.mark.soak(MANY(given(BODIES)(a_frame_is_taken_or_refused)))


@pytest.fixture(scope="module")
def python():
    with at(BEST) as interpreter:
        yield interpreter


def sent_by_a_session(python, data):
    done = python.execute(f"import os\nos.write(3, {data!r})", session="fuzz", timeout_s=0.3)
    assert done.cause in (None, "died", "timeout", "exception")
    for _ in range(2):  # what comes too late ends the next call, and is named there
        after = python.execute("6 * 7", session="fuzz")
        if after.value == "42":
            return
        assert after.cause == "died" and "The next call starts a new one" in after.error
    raise AssertionError(after)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=FRAMES)
def test_frames_a_session_sends(python, data):
    sent_by_a_session(python, data)


@pytest.mark.soak
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=FRAMES)
def test_many_frames_a_session_sends(python, data):
    sent_by_a_session(python, data)


# --- many sessions -------------------------------------------------------------------------------------------


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def in_the_end(holds):
    """True if it comes to hold: the kernel takes a moment to clean up."""
    for _ in range(1000):
        if holds():
            return True
        time.sleep(0.01)
    return False


@pytest.mark.soak
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@AT_EACH_LEVEL
def test_a_thousand_sessions_leave_nothing(tmp_path, monkeypatch, level):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    before, open_before = children(os.getpid()), descriptors()
    with at(level) as python:
        for n in range(1000):
            done = python.execute(f"open('f', 'w').write('x' * {n}); x = {n}; x", session=f"s{n}")
            assert (done.value, done.files, done.isolation.level) == (str(n), ("f",), level)
            if n % 10 == 9:  # one in ten dies instead of being closed
                assert python.execute("import os; os._exit(1)", session=f"s{n}").cause == "died"
            python.close(f"s{n}")
            if n == 10:
                warm, processes = descriptors(), len(children(os.getpid()))
        assert descriptors() == warm
        assert in_the_end(lambda: len(children(os.getpid())) <= processes)
    assert list(tmp_path.iterdir()) == []
    assert descriptors() == open_before and in_the_end(lambda: children(os.getpid()) <= before)


@pytest.mark.soak
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@AT_EACH_LEVEL
def test_fifty_sessions_at_once_and_each_killed(level):
    before, open_before = children(os.getpid()), descriptors()
    with at(level, max_idle_sessions=100) as python:
        found = {}

        def call(n):
            python.execute(f"x = {n}", session=str(n), timeout_s=300)
            found[n] = python.execute("while True: pass", session=str(n), timeout_s=300)

        threads = [threading.Thread(target=call, args=(n,)) for n in range(50)]
        for thread in threads:
            thread.start()

        def all_run():
            live = list(python._sessions._live.values())
            return len(live) == 50 and all(session.names and session.process for session in live)

        while not all_run():
            time.sleep(0.05)
        time.sleep(1)
        for session in list(python._sessions._live.values()):
            os.kill(session.process._child.pid, 9)
        for thread in threads:
            thread.join()
        assert all(done.cause == "died" and done.lost == ("x",) and "SIGKILL" in done.error for done in found.values())
        assert sorted(found) == list(range(50))
        assert all(python.execute("7", session=str(n)).value == "7" for n in range(50))
    assert descriptors() == open_before and in_the_end(lambda: children(os.getpid()) <= before)
