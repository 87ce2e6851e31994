"""The walls of the Python interpreter: real sessions that try to get out, seen from inside and from outside."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from support.isolation import BEST, need
from support.processes import gone

import agentkit
from agentkit.errors import ConfigError, ToolError
from agentkit.tools import PythonInterpreter
from agentkit.tools.python import levels
from agentkit.tools.python.guest import seccomp_rules
from agentkit.tools.python.guest.seccomp_filters import FILTERS
from agentkit.tools.python.host.readable import GUEST, readable
from agentkit.tools.python.host.walls import SLOT_BYTES
from agentkit.tools.python.levels import Machine


@pytest.fixture(scope="module", params=["L2", "L3"])
def walled(request):
    need(request.param)
    with PythonInterpreter(max_isolation=request.param, timeout_s=60) as python:
        assert python.execute("1").isolation.level == request.param
        yield python


@pytest.fixture(params=["L2", "L3"])
def own(request):
    """As `walled`, for one test alone."""
    need(request.param)
    with PythonInterpreter(max_isolation=request.param, timeout_s=60) as python:
        yield python


def sessions(python):
    """The numbers of the sessions' processes, as the host counts."""
    return {name: session.process._child.pid for name, session in python._sessions._live.items()}


# --- getting out ---------------------------------------------------------------------------------------------

SYSCALL = (
    "import ctypes, os\nc = ctypes.CDLL(None, use_errno=True)\ndef call(*a): return c.syscall(*a), ctypes.get_errno()\n"
)
X86 = os.uname().machine == "x86_64"

ATTEMPTS = {
    "fork": "import os; os.fork()",
    "exec": "import os; os.execv('/bin/true', ['true'])",
    "subprocess": "import subprocess; subprocess.run(['true'])",
    "pty": "import pty; pty.fork()",
    "tcp": "import socket; socket.create_connection(('127.0.0.1', {port}), 2)",
    "udp": "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {port}))",
    "unix": "import socket; socket.socket(socket.AF_UNIX).connect('{unix}')",
    "datagram pair": "import socket; socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)",
    "netlink": "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "read": "open('{secret}').read()",
    "read a root file": "open('/etc/shadow').read()",
    "append": "open('{secret}', 'a')",
    "plant": "open('{folder}/planted', 'w')",
    "plant in site-packages": "import pandas; open(pandas.__path__[0] + '/planted.py', 'w')",
    "list": "import os; os.listdir('{folder}')",
    "truncate": "import os; os.truncate('{secret}', 0)",
    "truncate by reading": "import os; os.open('{secret}', os.O_RDONLY | os.O_TRUNC)",
    "truncate by mode 3": "import os; os.open('{secret}', 3 | os.O_TRUNC)",
    "chmod": "import os; os.chmod('{secret}', 0o777)",
    "chown": "import os; os.chown('{secret}', os.getuid(), os.getgid())",
    "utime": "import os; os.utime('{secret}', (1, 1))",
    "xattr": "import os; os.setxattr('{secret}', 'user.x', b'1')",
    "delete": "import os; os.remove('{secret}')",
    "rename": "import os; os.rename('{secret}', 'mine')",
    "hard link": "import os; os.link('{secret}', 'mine')",
    "environment": "open('/proc/{pid}/environ').read()",
    "own memory through /proc": "open('/proc/self/mem', 'rb')",
    "signal": "import os; os.kill({pid}, 0)",
    "signal the parent": "import os; os.kill(os.getppid(), 9)",
    "signal the group": "import os; os.kill(0, 9)",
    "signal all": "import os; os.kill(-1, 9)",
    "pidfd": "import os; os.pidfd_open(os.getppid())",
    "rlimit of another": "import resource; resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (0, 0))",
    "raise a limit": "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
    "memfd": "import os; os.memfd_create('x')",
    "chroot": "import os; os.chroot('.')",
    "setuid": "import os; os.setuid(65534)",
    "own session": "import os; os.setsid()",
    "signal by a descriptor": "import fcntl, os; fcntl.fcntl(os.pipe()[0], fcntl.F_SETOWN, {pid})",
    "lease": "import fcntl; open('leased', 'w'); fcntl.fcntl(open('leased'), fcntl.F_SETLEASE, fcntl.F_RDLCK)",
    "device": "import os; os.mknod('device', 0o020666, os.makedev(1, 1))",
    "memory": "bytearray(3 << 30)",
    "shared memory": "from multiprocessing import shared_memory as s; s.SharedMemory(create=True, size=10)",
}


@pytest.mark.parametrize("name", ATTEMPTS)
def test_nothing_gets_out(walled, name, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    before = secret.stat()
    with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket(1) as unix:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        port = tcp.getsockname()[1]
        udp.bind(("127.0.0.1", port))
        place = f"/tmp/agentkit-walls-{os.getpid()}"
        unix.bind(place)
        unix.listen()
        try:
            given = {"port": port, "unix": place, "secret": secret, "folder": tmp_path, "pid": os.getpid()}
            done = walled.execute("import os\n" + ATTEMPTS[name].format(**given), session="attempts")
            for listener in (tcp, udp, unix):
                listener.setblocking(False)
                with pytest.raises(BlockingIOError):
                    listener.recvfrom(1) if listener is udp else listener.accept()
        finally:
            Path(place).unlink()
    assert done.cause == "exception", done
    assert any(kind in done.error for kind in ("PermissionError", "OSError", "FileNotFoundError", "MemoryError")) or (
        "not allowed to raise maximum limit" in done.error
    )
    assert secret.read_text() == "secret" and [path.name for path in tmp_path.iterdir()] == ["secret"]
    after = secret.stat()
    assert (after.st_mode, after.st_mtime_ns, after.st_nlink, after.st_uid) == (
        before.st_mode,
        before.st_mtime_ns,
        before.st_nlink,
        before.st_uid,
    )
    assert walled.execute("1 + 1", session="attempts").value == "2"


CALLS = {  # number on x86-64, arguments, the error
    "clone3": (435, "0, 0", 38),
    "clone a process": (56, "17, 0, 0, 0, 0", 1),
    "vfork": (58, "", 1),
    "unshare": (272, "0x10000000", 1),
    "setns": (308, "0, 0", 1),
    "mount": (165, "0, 0, 0, 0, 0", 1),
    "ptrace": (101, "16, 1, 0, 0", 1),
    "process_vm_writev": (311, "1, 0, 0, 0, 0, 0", 1),
    "io_uring_setup": (425, "1, 0", 1),
    "bpf": (321, "0, 0, 0", 1),
    "userfaultfd": (323, "0", 1),
    "perf_event_open": (298, "0, 0, 0, 0, 0", 1),
    "keyctl": (250, "0, 0, 0, 0, 0", 1),
    "personality": (135, "0x40000", 1),
    "execveat": (322, "0, 0, 0, 0, 0", 1),
    "open_by_handle_at": (304, "0, 0, 0", 1),
    "seccomp": (317, "1, 0, 0", 1),
    "prctl dumpable": (157, "4, 1, 0, 0, 0", 1),
    "prctl parent-death signal": (157, "1, 0, 0, 0, 0", 1),
    "ioctl TIOCSTI": (16, "0, 0x5412, b'x'", 25),
    "openat2": (437, "0, 0, 0, 0", 38),
    "x32 getpid": (0x40000000 + 39, "", 38),
    "a call to come": (999, "", 38),
}


@pytest.mark.skipif(not X86, reason="numbers of x86-64")
def test_system_calls_are_refused(walled):
    lines = [SYSCALL, "found = {}"]
    lines += [
        f"found[{name!r}] = call({number}{', ' if args else ''}{args})" for name, (number, args, _) in CALLS.items()
    ]
    done = walled.execute("\n".join([*lines, "import json; print(json.dumps(found))"]), session="calls")
    assert done.ok, done
    assert json.loads(done.stdout) == {name: [-1, error] for name, (_, _, error) in CALLS.items()}


@pytest.mark.skipif(not X86, reason="machine code of x86-64")
def test_a_32_bit_call_ends_the_session(walled):
    # mov eax, 20 (getpid); int 0x80; ret
    code = """
        import ctypes, mmap
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(bytes.fromhex("b814000000cd80c3"))
        ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
    """
    done = walled.execute(textwrap.dedent(code), session="32 bit")
    assert done.cause == "died" and "SIGSYS" in done.error
    assert walled.execute("1", session="32 bit").ok


def test_what_analyses_need_works(walled):
    code = """
        import asyncio, os, shutil, signal, sqlite3, tempfile, threading, time, zipfile, zoneinfo
        import numpy as np, pandas as pd
        threading.Thread(target=lambda: None).start()
        asyncio.run(asyncio.sleep(0))
        open("a", "w").write("1"); shutil.copy("a", "b"); shutil.copy2("a", "c"); os.rename("c", "d"); os.remove("d")
        os.makedirs("x/y"); shutil.copytree("x", "z"); shutil.rmtree("x"); os.symlink("a", "l"); os.link("a", "h")
        open("b", "w").write("2"); os.ftruncate(os.open("b", os.O_WRONLY), 0)
        with zipfile.ZipFile("a.zip", "w") as z: z.write("a")
        with zipfile.ZipFile("a.zip") as z: z.extractall("unzipped")
        with sqlite3.connect("d.db") as db: db.execute("create table t (x)")
        with tempfile.NamedTemporaryFile() as f: f.write(b"1")
        pd.DataFrame({"a": [1]}).to_csv("t.csv"); pd.read_csv("t.csv"); open(os.devnull, "w").write("x")
        zoneinfo.ZoneInfo("Europe/Berlin"); time.localtime(); os.urandom(4); open("/dev/urandom", "rb").read(1)
        np.linalg.svd(np.random.rand(50, 50)); signal.raise_signal(0); os.isatty(1)
    """
    done = walled.execute(textwrap.dedent(code), session="works")
    assert (done.ok, done.error) == (True, None)


def test_sessions_do_not_reach_each_other(walled):
    here = walled.execute("import os\nopen('own', 'w').write('x')\nos.getcwd()", session="one").value
    pid = walled.execute("os.getpid()", session="one").value
    for code in (
        f"open({here} + '/own').read()",
        f"open({here} + '/planted', 'w')",
        f"import os; os.listdir({here})",
        f"import os; os.chmod({here}, 0)",
        f"import os; os.kill({pid}, 9)",
        f"open('/proc/{pid}/mem', 'rb')",
        "import os; os.listdir('/tmp')",
    ):
        assert "Error" in (walled.execute(code, session="two").error or ""), code
    assert walled.execute("open('own').read()", session="one").value == "'x'"


def test_of_agentkit_nothing_is_readable_and_at_the_highest_level_only_the_guest_is_there(walled):
    package = Path(agentkit.__file__).resolve().parent
    if any(package.is_relative_to(path) for path in readable()):
        pytest.skip("agentkit is installed among the packages, which the code may read")
    folders = {"package": package, "host": GUEST.with_name("host"), "tool": GUEST.parent, "guest": GUEST}
    there = {name: str(next(path for path in sorted(folder.glob("*.py")))) for name, folder in folders.items()}
    code = (
        f"import os\nthere = {there!r}\nfound = {{name: [] for name in there}}\nfor name, path in there.items():\n"
        "    for look in (lambda: os.stat(path), lambda: open(path), lambda: os.listdir(os.path.dirname(path))):\n"
        "        try: look(); found[name].append('seen')\n"
        "        except FileNotFoundError: found[name].append('nothing')\n"
        "        except PermissionError: found[name].append('refused')\nfound"
    )
    done = walled.execute(code, session="agentkit")
    found = eval(done.value)
    assert found.pop("guest") == ["seen", "refused", "refused"]
    if done.isolation.level == "L3":
        assert found.pop("tool") == ["nothing", "nothing", "refused"]  # an empty folder, to hold the guest's
        assert set(map(tuple, found.values())) == {("nothing", "nothing", "nothing")}
    else:
        assert set(map(tuple, found.values())) == {("seen", "refused", "refused")}


def test_sessions_draw_different_numbers_and_share_no_state(walled):
    code = "import random, numpy as np, pandas as pd\npd.planted = 1\n(random.random(), np.random.rand())"
    assert walled.execute(code, session="drawn").value != walled.execute(code, session="drawn too").value
    assert "AttributeError" in walled.execute("import pandas as pd; pd.planted", session="unplanted").error


def test_only_its_own_descriptors_and_no_capability(walled):
    code = SYSCALL + (
        "def is_open(fd):\n    try: os.fstat(fd); return True\n    except OSError: return False\n"
        "data = (ctypes.c_uint32 * 6)()\nc.capget((ctypes.c_uint32 * 2)(0x20080522, 0), data)\n"
        "[fd for fd in range(5000) if is_open(fd)], list(data), dict(os.environ)"
    )
    fds, capabilities, environment = eval(walled.execute(code, session="bare").value)
    assert fds == list(range(7)) and capabilities == [0] * 6  # 0 to 2, the channel, and the runner's copies of 0 to 2
    assert set(environment) == {
        "HOME", "TMPDIR", "LANG", "MPLBACKEND", "MPLCONFIGDIR", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS",
        "PYTHONHASHSEED",
    } | ({"PWD"} & set(environment))  # fmt: skip


def test_the_highest_level_sees_no_other_process_and_no_network_device():
    need("L3")
    with PythonInterpreter() as python:
        python.execute("1")
        (pid,) = sessions(python).values()
        if os.geteuid() == 0:
            mounts = Path(f"/proc/{pid}/mountinfo").read_text()
            assert "/etc/shadow" not in mounts and " / / rw" not in mounts
            for name in ("ipc", "mnt", "net", "pid", "uts"):
                assert Path(f"/proc/{pid}/ns/{name}").readlink() != Path(f"/proc/self/ns/{name}").readlink()
        assert "NoNewPrivs:\t1" in Path(f"/proc/{pid}/status").read_text()
        assert "Seccomp:\t2" in Path(f"/proc/{pid}/status").read_text()
        assert "FileNotFoundError" in str(python.execute(f"import os; os.stat({str(Path(__file__))!r})"))


# --- using things up -----------------------------------------------------------------------------------------


def test_a_flood_of_threads_is_ended_and_named(own):
    code = (
        "import threading, time\nthreading.stack_size(65536)\nx = 1\nwhile True:\n"
        "    try: threading.Thread(target=time.sleep, args=(99,), daemon=True).start()\n    except RuntimeError: pass"
    )
    done = own.execute(code, timeout_s=20)
    # Root is not bound by the kernel's own limit on tasks; others are, at level 3, and just wait for the time limit.
    assert done.cause in ("died", "timeout")
    assert done.cause == "timeout" or "threads, and the limit is 512" in done.error
    assert own.execute("2").value == "2"


def test_a_flood_of_files_is_ended_and_named():
    need("L3")
    with PythonInterpreter() as python:
        done = python.execute("n = 0\nwhile True: open(str(n), 'w').close(); n += 1")
        assert done.cause == "died" and "more than 20000 files" in str(done)
        assert python.execute("2").value == "2"


def test_memory_that_grows_slowly_is_refused(walled):
    done = walled.execute("x = []\nwhile True: x.append(bytes(10_000_000))", session="memory")
    assert done.cause == "exception" and "MemoryError" in done.error
    assert walled.execute("del x; 2", session="memory").value == "2"


def test_a_full_disk_is_the_sessions_own():
    need("L3")
    with PythonInterpreter() as python:
        code = (
            "for n in range(3):\n    with open(f'f{n}', 'wb') as f:\n        for _ in range(120): f.write(bytes(1<<20))"
        )
        done = python.execute(code)
        assert done.cause == "exception" and "No space left" in str(done)
        assert python.execute("open('x', 'w').write('here is room')", session="other").ok
        python.close("s1")
        for name in "abc":  # the folder is used again, and empty
            assert python.execute("import os; os.listdir()", session=name).value == "[]"
            assert python.execute("open('left', 'w').write('x')", session=name).ok
            python.close(name)


def test_data_files_larger_than_a_folder(tmp_path):
    need("L3")
    with (tmp_path / "big.bin").open("wb") as file:
        file.truncate(SLOT_BYTES + 1)
    with PythonInterpreter(data=[tmp_path / "big.bin"]) as python:
        assert python.execute("import os; os.path.getsize('big.bin')").value == str(SLOT_BYTES + 1)


def test_hard_kills_leave_nothing(own):
    own.execute("1")
    descriptors, made = len(list(Path("/proc/self/fd").iterdir())), set()
    for _ in range(10):
        own.execute("x = 1", session="killed")
        made.add(sessions(own)["killed"])
        done = own.execute("import os; os._exit(9)", session="killed")
        assert done.lost == ("x",) and "status 9" in done.error
    own.close("killed")
    assert all(gone(pid) for pid in made) and len(made) == 10
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


def test_a_session_that_hangs_up_is_named(walled):
    done = walled.execute("import os\nos.close(3)\nwhile True: pass", session="hangs up")
    assert done.cause == "died" and "closed its connection" in done.error
    assert walled.execute("1", session="hangs up").ok


def test_c_code_that_never_looks_up_is_killed(own):
    own.execute("x = 1")
    done = own.execute("sum(range(10 ** 12))", timeout_s=0.2)
    assert (done.cause, done.lost) == ("timeout", ("x",)) and "did not stop within 1 s" in done.error


# --- the process all come from -------------------------------------------------------------------------------


def test_sessions_are_lost_with_the_zygote_and_made_anew(own):
    own.execute("x = 1; open('f', 'w').write('1')")
    (zygote,) = own._sessions._walls.zygotes
    (pid,) = sessions(own).values()
    zygote._process.kill()
    assert gone(pid)
    done = own.execute("2")
    assert (done.value, done.lost) == ("2", ("x",)) and "had ended" in str(done)
    assert done.isolation == own.execute("1").isolation and done.isolation.level in ("L2", "L3")


def test_more_sessions_than_a_sandbox_has_folders():
    need("L3")
    with PythonInterpreter(max_idle_sessions=100) as python:
        for n in range(66):
            assert python.execute(f"x = {n}", session=str(n)).ok
        assert len(python._sessions._walls.zygotes) == 2
        assert python.execute("x", session="3").value == "3" and python.execute("x", session="65").value == "65"


def test_closing_ends_all_processes(own):
    for name in "ab":
        own.execute("1", session=name)
    pids = [*sessions(own).values(), *(z._process.pid for z in own._sessions._walls.zygotes)]
    own.close()
    assert all(gone(pid) for pid in pids) and len(pids) == 3
    assert own.execute("3").value == "3"


@pytest.mark.parametrize("level", ["L2", "L3"])
@pytest.mark.parametrize("ending", ["", "os.kill(os.getpid(), signal.SIGKILL)", "del python"])
def test_no_process_outlives_the_program(tmp_path, level, ending):
    need(level)
    program = (
        "import os, signal, threading, time\nfrom agentkit.tools import PythonInterpreter\n"
        f"python = PythonInterpreter(max_isolation={level!r})\npython.execute('1')\n"
        "walls = python._sessions._walls\n"
        "(session,) = python._sessions._live.values()\n"
        "print(session.process._child.pid, walls.zygotes[0]._process.pid, flush=True)\n"
        "threading.Thread(target=python.execute, args=('while True: pass',), daemon=True).start()\n"
        f"time.sleep(0.3)\n{ending}\n"
    )
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=60)
    assert done.stderr == "" and all(gone(int(pid)) for pid in done.stdout.split()) and len(done.stdout.split()) == 2
    if "SIGKILL" not in ending:
        assert list(tmp_path.iterdir()) == []


def test_a_forked_host_gets_sessions_of_its_own(own):
    own.execute("x = 1")
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            own.close()
            os.write(writing, str(own.execute("'x' in globals()").value).encode())
            own.close()
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(pid, 0)
    with os.fdopen(reading) as answer:
        assert answer.read() == "False"
    assert own.execute("x").value == "1"


def test_the_event_loop_is_never_blocked(own):
    async def run():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.01)

        ticking = asyncio.create_task(tick())
        await own.aexecute("1")
        await own.aexecute("while True: pass", timeout_s=0.3)
        ticking.cancel()
        return ticks

    assert asyncio.run(run()) > 10


def test_sessions_run_side_by_side(own):
    running = threading.Thread(target=own.execute, args=("while True: pass",), kwargs={"session": "busy"})
    running.start()
    try:
        assert own.execute("1", session="quick").ok and running.is_alive()
    finally:
        own.close("busy")
        running.join()


def test_sessions_unused_for_long_are_closed_and_told():
    with PythonInterpreter(max_idle_s=0.2) as python:
        python.execute("x = 1")
        for _ in range(500):
            if not python._sessions._live:
                break
            time.sleep(0.01)
        done = python.execute("2")
        assert (done.value, done.lost) == ("2", ("x",)) and "not been used for 0.2 s" in str(done)


@pytest.mark.parametrize("given", [{"max_idle_sessions": -1}, {"max_idle_sessions": True}, {"max_idle_s": 0}])
def test_impossible_numbers_of_idle_sessions(given):
    with pytest.raises(ConfigError, match="max_idle"):
        PythonInterpreter(**given)


# --- levels --------------------------------------------------------------------------------------------------


def test_what_a_machine_offers_is_named():
    assert levels.best(Machine(7, True, "/usr/bin/bwrap", "")).level == "L3"
    without = levels.best(Machine(7, True, None, ""))
    assert (without.level, without.missing) == ("L2", ("namespaces",)) and "apt install bubblewrap" in without.fix
    broken = levels.best(Machine(1, True, "/usr/bin/bwrap", "No permissions to create a new namespace"))
    assert broken.level == "L2" and "No permissions" in broken.reason and "doctor" in broken.fix
    old = levels.best(Machine(0, True, "/usr/bin/bwrap", ""))
    assert (old.level, old.missing) == ("L1", ("namespaces", "landlock")) and old.fix
    assert levels.best(Machine(7, False, None, "")).missing == ("namespaces", "seccomp")


def test_too_little_is_refused_with_what_to_do():
    weak = levels.best(Machine(0, False, None, ""))
    for least in ("L1", "L2", "L3"):
        assert "allow_weak=True" in levels.too_weak(weak, least, False)
        assert levels.too_weak(weak, least, True) == ""
    middle = levels.best(Machine(7, True, None, ""))
    assert levels.too_weak(middle, "L2", False) == "" and "min_isolation='L2'" in levels.too_weak(middle, "L3", False)


@pytest.mark.parametrize("hidden", [False, True], ids=["as it is", "without bubblewrap"])
def test_a_maximum_below_the_minimum_is_what_to_mend(monkeypatch, tmp_path, hidden):
    need("L2")
    if hidden:
        monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"\(max_isolation is L2\)\. To raise it: omit max_isolation\."):
        PythonInterpreter(min_isolation="L3", max_isolation="L2")


def test_without_bubblewrap_the_level_is_two_and_says_why(monkeypatch, tmp_path):
    need("L2")
    monkeypatch.setenv("PATH", str(tmp_path))
    with PythonInterpreter() as python:
        isolation = python.execute("1").isolation
    assert (isolation.level, isolation.missing) == ("L2", ("namespaces",)) and "not installed" in isolation.reason
    with pytest.raises(ConfigError, match="apt install bubblewrap"):
        PythonInterpreter(min_isolation="L3")


@pytest.fixture
def fickle(monkeypatch, tmp_path):
    """A bubblewrap that works when it is tried and fails when it matters."""
    need("L3")
    script = tmp_path / "bwrap"
    script.write_text(
        f'#!/bin/sh\nfor last; do :; done\n[ -z "$last" ] && exec {shutil.which("bwrap")} "$@"\n'
        "echo 'bwrap: no more namespaces' >&2\nexit 1\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.usefixtures("fickle")
def test_a_sandbox_that_fails_when_it_matters_is_never_silent():
    with PythonInterpreter() as python:
        isolation = python.execute("1").isolation
        assert (isolation.level, isolation.missing) == (
            "L2",
            ("namespaces",),
        ) and "no more namespaces" in isolation.reason
        assert "PermissionError" in str(python.execute("open('/etc/hostname')"))
    with PythonInterpreter(min_isolation="L3") as python, pytest.raises(ToolError, match=r"no more namespaces.*doctor"):
        python.execute("1")


def test_the_doctor_says_what_holds(capsys, monkeypatch, tmp_path):
    need("L2")
    from agentkit.cli.doctor import examine

    assert examine() is True
    said = capsys.readouterr().out
    assert f"Level {BEST}:" in said and "NO  read" not in said and "it got out" not in said
    monkeypatch.setenv("PATH", str(tmp_path))
    assert examine() is True
    assert "Level L2:" in (said := capsys.readouterr().out) and "apt install bubblewrap" in said


# --- the filter ----------------------------------------------------------------------------------------------


def decide(program, number, args=(), architecture="x86_64"):
    """Return the kernel's decision: a machine for the few instructions of the filters."""
    data = {0: number, 4: seccomp_rules.ARCHITECTURES[architecture]}
    data |= {16 + 8 * index: value for index, value in enumerate((*args, *[0] * 6)[:6])}
    at, register = 0, 0
    while True:
        code, yes, no, constant = program[at]
        at += 1
        if code == 0x20:
            register = data[constant]
        elif code == 0x54:
            register &= constant
        elif code == 0x05:
            at += constant
        elif code == 0x06:
            return constant
        else:
            met = {0x15: register == constant, 0x35: register >= constant, 0x45: bool(register & constant)}[code]
            at += yes if met else no


@pytest.mark.parametrize("architecture", ["x86_64", "aarch64"])
def test_the_filters_decide_as_their_rules_say(architecture):
    program = seccomp_rules.program(architecture)
    every = seccomp_rules.numbers(seccomp_rules._ALLOWED, architecture)
    denied = seccomp_rules.numbers(seccomp_rules._DENIED, architecture)
    checked = seccomp_rules.numbers(seccomp_rules._CHECKED, architecture)

    def of(number, *args):
        return decide(program, number, args, architecture)

    assert all(of(number) == seccomp_rules.ALLOW for number in every.values())
    assert all(of(number) == seccomp_rules.EPERM for number in denied.values())
    known = {*every.values(), *denied.values(), *checked.values()}
    assert len(known) == len(every) + len(denied) + len(checked)
    for number in {*range(1000), 0x40000000, 0x40000027, 0xFFFFFFFF} - known:
        assert of(number) == seccomp_rules.ENOSYS
    allow, deny, pid = seccomp_rules.ALLOW, seccomp_rules.EPERM, seccomp_rules.PID
    assert [of(checked["clone"], flags) for flags in (0x3D0F00, 0x1200011, 0x3D0F00 | 0x10000000)] == [
        allow,
        deny,
        deny,
    ]
    assert [of(checked["kill"], target, 9) for target in (pid, 0, 1, 0xFFFFFFFF)] == [allow, deny, deny, deny]
    assert [of(checked["openat"], 0, 0, flags) for flags in (0, 0o1101, 0o1002, 0o1000, 0o1003)] == [allow] * 3 + [
        deny
    ] * 2
    assert [of(checked["socketpair"], *pair) for pair in ((1, 0x80001), (1, 2), (2, 1))] == [allow, deny, deny]
    assert [of(checked["fcntl"], 5, command) for command in (1, 3, 8, 10, 15, 1024)] == [allow] * 2 + [deny] * 4
    assert of(checked["clone3"]) == seccomp_rules.ENOSYS and of(checked["ioctl"], 0, 0x5412) == seccomp_rules.ENOTTY
    other = "aarch64" if architecture == "x86_64" else "x86_64"
    assert decide(program, 0, (), other) == seccomp_rules.KILL


def test_the_filters_are_what_their_generator_makes():
    assert {name: bytes.fromhex(text) for name, text in FILTERS.items()} == {
        name: seccomp_rules.pack(seccomp_rules.program(name)) for name in seccomp_rules.ARCHITECTURES
    }
    source = Path(seccomp_rules.__file__).with_name("seccomp_filters.py").read_text()
    assert source == seccomp_rules.source()


# --- as an ordinary user -------------------------------------------------------------------------------------

# A Python below /root is not reachable for others: in a mount namespace of its own /root is replaced.
AS_NOBODY = """
set -e
case "$1" in /root/*)
    mount --make-rprivate /
    mkdir "$HOLD"; mount --bind "$1" "$HOLD"; mount -t tmpfs -o mode=755 tmpfs /root
    mkdir -p "$1"; mount --bind "$HOLD" "$1"; umount "$HOLD";;
esac
shift
exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
"""


@pytest.mark.parametrize("level", ["L2", "L3"])
def test_as_an_ordinary_user(level):
    need(level)
    if os.geteuid() != 0:
        pytest.skip("this is one: the other tests show it")
    if not shutil.which("setpriv") or not shutil.which("unshare"):
        pytest.skip("needs setpriv and unshare (util-linux)")
    folder = Path(subprocess.check_output(["mktemp", "-d", "/tmp/agentkit-user-XXXXXX"], text=True).strip())
    try:
        shutil.chown(folder, 65534, 65534)
        root = next((p for p in Path(sys.base_prefix).parents if p.parent == Path("/root")), Path(sys.base_prefix))
        program = (
            "from agentkit.tools import PythonInterpreter\n"
            f"with PythonInterpreter(max_isolation={level!r}) as python:\n"
            "    python.execute('x = 1')\n"
            "    for code in ('x', 'open(\"/etc/passwd\")', 'import os; os.fork()', 'import socket; socket.socket()',\n"
            "                 'import pandas, os; os.getuid()'):\n"
            "        done = python.execute(code)\n"
            "        print(done.isolation.level, done.value or done.error.splitlines()[-1].split(':')[0])\n"
        )
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": ":".join(filter(None, sys.path)), "TMPDIR": str(folder)}
        env |= {"HOME": str(folder), "HOLD": str(folder / "hold"), "PYTHONDONTWRITEBYTECODE": "1"}
        command = ["unshare", "-m", "sh", "-c", AS_NOBODY, "sh", str(root), sys.executable, "-c", program]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
        if "AgentKit" in done.stderr or "Permission denied" in done.stderr:
            pytest.skip(f"this Python cannot be read by others: {done.stderr[-200:]}")
        denied = "FileNotFoundError" if level == "L3" else "PermissionError"
        assert done.stdout.splitlines() == [
            f"{level} 1", f"{level} {denied}", f"{level} PermissionError", f"{level} PermissionError", f"{level} 65534"
        ], done.stderr  # fmt: skip
        assert list(folder.glob("agentkit-*")) == []
    finally:
        shutil.rmtree(folder)


# --- long runs (make soak) -----------------------------------------------------------------------------------
