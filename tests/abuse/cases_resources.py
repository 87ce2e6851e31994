"""52 to 62: the kernel's rarer ways, and using things up. Where there is no wall, all of it is bounded."""

from abuse.case import DENIED, NO_WALL, Case, gap

CALL = (
    "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
    "def call(*args):\n    if libc.syscall(*args) < 0:\n        n = ctypes.get_errno()\n"
    "        raise OSError(n, os.strerror(n))\n"
    "reached()\n"
)
REFUSED = f"{DENIED}|Function not implemented"
NEXT = ".*The next call starts a new"
FRAME = (
    "import gc, json, os, socket, struct\n"
    "fds = {o.fileno() for o in gc.get_objects() if isinstance(o, socket.socket)} | set(range(3, 64))\n"
    "def forge(data):\n    for fd in fds:\n        try: os.write(fd, data)\n        except OSError: pass\n"
    "def frame(body): return struct.pack('>I', len(body)) + body\nreached()\n"
)
REPLY = "dict(id={}, ok=True, value='forged', error=None, variables=[], names=[], figures=[], problems=[])"

CASES = [
    Case(
        52,
        "user namespace",
        CALL + "call(272, 0x10000000)\ngot('namespace')",
        says=REFUSED,
        gaps={"L1": gap("claim:namespace", reason=f"{NO_WALL}, where the kernel lets it", always=False)},
    ),
    Case(
        52,
        "mount",
        CALL + "if C['level'] == 'L1': raise PermissionError('not tried without walls')\n"
        "call(165, b'none', b'.', b'tmpfs', 0, 0)\ngot('mount')",
        says=REFUSED,
        gaps={"L1": gap("claim:mount", reason=f"{NO_WALL}; not tried, as root could do harm", always=False)},
    ),
    Case(
        52,
        "chroot",  # without walls a process of its own goes in, as the session would not find its libraries
        CALL + "if C['level'] == 'L1':\n"
        "    pid = os.fork()\n    if pid == 0:\n        try: os.chroot('.')\n        except OSError: os._exit(1)\n"
        "        os._exit(0)\n    if os.waitpid(pid, 0)[1] == 0: got('chroot')\n"
        "    else: raise PermissionError('chroot')\n"
        "else: os.chroot('.'); got('chroot')",
        says=REFUSED,
        gaps={"L1": gap("claim:chroot", reason=f"{NO_WALL}; only root can", always=False)},
    ),
    *(
        Case(
            53,
            name,
            CALL + f"if os.uname().machine != 'x86_64': raise PermissionError('other numbers')\n{code}",
            says=REFUSED,
            gaps=gaps,
        )
        for name, code, gaps in (
            (
                "io_uring",
                "call(425, 4, ctypes.create_string_buffer(120))\ngot('io_uring')",
                {"L1": gap("claim:io_uring", reason=f"{NO_WALL}, where the kernel has it", always=False)},
            ),
            ("memfd", "call(319, b'x', 0)\ngot('memfd')", {"L1": gap("claim:memfd", reason=NO_WALL)}),
            (
                "clone3",  # a structure of no size: known calls say it is invalid
                "try: call(435, 0, 0)\nexcept OSError as e:\n    if e.errno == 22: got('clone3')\n    raise",
                {"L1": gap("claim:clone3", reason=NO_WALL, always=False)},
            ),
            (
                "x32",
                "call(0x40000000 + 39)\ngot('x32')",
                {"L1": gap("claim:x32", reason=f"{NO_WALL}, where the kernel has it", always=False)},
            ),
        )
    ),
    Case(
        54,
        "fork bomb",
        "import os, time\nreached()\nfor _ in range(40):\n    pid = os.fork()\n"
        "    if pid == 0: time.sleep(30); os._exit(0)\n    print('CHILD', pid, flush=True)\ngot('processes')",
        says=DENIED,
        gaps={"L1": gap("claim:processes", reason=f"{NO_WALL}; they end with the session")},
    ),
    Case(
        54,
        "thread flood",
        # Python 3.14 wants 53,248 bytes at least.
        "import threading, time\nreached()\nthreading.stack_size(65536)\nn = 0\nwhile n < 800:\n"
        "    try: threading.Thread(target=time.sleep, args=(60,), daemon=True).start(); n += 1\n"
        "    except RuntimeError: break\nif n < 800: raise PermissionError(f'{n} threads')\ntime.sleep(20)",
        says=r"threads, and the limit is 512|PermissionError: \d\d?\d? threads",
    ),
    Case(55, "memory bomb at once", "reached()\nx = bytearray(3 << 30)", says="MemoryError"),
    Case(
        55,
        "memory bomb slowly",
        "reached()\nx = []\nwhile True: x.append(bytes(50 << 20))",
        says="MemoryError",
        then="del x",
    ),
    Case(
        56,
        "output flood",
        "reached()\nfor _ in range(200): print('x' * 100_000)",
        says="bytes left out",
    ),
    Case(
        56,
        "raw write to fd 1",
        "import os\nreached()\n"
        "for _ in range(100): os.write(1, b'\\xff\\x00\\x1b[2J' * 20_000); os.write(2, b'y' * 65_536)",
        says="bytes left out",
    ),
    Case(
        57,
        "forged frame of another call",
        FRAME + f"forge(frame(json.dumps({REPLY.format(999)}).encode()))",
        says=f"reply to another call{NEXT}",
    ),
    Case(
        57,
        "forged reply besides the true one",
        FRAME + f"n = 0\nwhile n < 9: forge(frame(json.dumps({REPLY.format('n')}).encode())); n += 1",
        says=f"(reply to another call|more than one reply){NEXT}",
    ),
    Case(57, "oversized frame", FRAME + "forge(b'\\xff' * 8)", says=f"over the limit{NEXT}"),
    Case(57, "invalid frame", FRAME + "forge(frame(b'[' * 100_000))", says=f"an invalid frame{NEXT}"),
    Case(
        57,
        "half a frame",
        FRAME + "forge(struct.pack('>I', 1000) + b'{')",
        says=f"(an invalid frame|longer than the limit){NEXT}",
        timeout_s=0.5,
    ),
    Case(
        57,
        "closed connection",
        FRAME + "for fd in fds:\n    try: os.close(fd)\n    except OSError: pass",
        says=f"(ended|closed){NEXT}",
    ),
    Case(
        58,
        "ignored SIGINT",
        "import signal\nreached()\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True:\n"
        "    try:\n        while True: pass\n    except BaseException: pass",
        says=f"Killed: the code ran longer than the limit of 0.5 s{NEXT}",
        timeout_s=0.5,
    ),
    Case(
        59,
        "endless big int",
        "reached()\nx = 7 ** (10 ** 9)",
        says="longer than the limit",
        timeout_s=0.5,
    ),
    Case(
        59,
        "endless sum",  # which looks at no signals
        "reached()\nsum(range(10 ** 13))",
        says=f"Killed: the code ran longer than the limit{NEXT}",
        timeout_s=0.5,
    ),
    Case(
        59,
        "endless regex",
        "import re\nreached()\nre.match('(a+)+$', 'a' * 60 + 'b')",
        says="longer than the limit",
        timeout_s=0.5,
    ),
    Case(
        59,
        "endless numpy",
        "reached()\nimport numpy as np\na = np.random.rand(3000, 3000)\nnp.linalg.svd(a)",
        says="longer than the limit",
        timeout_s=1,
    ),
    Case(
        59,
        "endless merge",
        "import pandas as pd\nreached()\na = pd.DataFrame({'k': [1] * 100_000, 'v': 1})\na.merge(a, on='k')",
        says="MemoryError|longer than the limit",
        timeout_s=8,
    ),
    Case(60, "deep recursion", "reached()\ndef f(): return f()\nf()", says="RecursionError"),
    Case(
        60,
        "stack overflow",
        "import sys\nreached()\nsys.setrecursionlimit(10 ** 9)\ndef f(_=0): return list(map(f, [1]))\nf()",
        # From 3.12 on Python stops a recursion in C by itself.
        says=f"SIGSEGV{NEXT}|RecursionError",
    ),
    Case(60, "segfault", "import ctypes\nreached()\nctypes.string_at(0)", says=f"SIGSEGV{NEXT}"),
    Case(60, "os._exit", "import os\nkept = 1\nreached()\nos._exit(3)", says=f"exited with status 3{NEXT}"),
    Case(
        61,
        "repr that never ends",
        "class R:\n    def __repr__(self):\n        while True: pass\nreached()\nR()",
        says="longer than the limit",
        timeout_s=0.5,
    ),
    Case(
        61,
        "repr that raises",
        "class R:\n    def __repr__(self): raise SystemExit('no')\nreached()\nR()",
        says="SystemExit",
    ),
    Case(
        61,
        "repr that floods",
        "class R:\n    def __repr__(self): return 'z' * 100_000_000\nreached()\nR()",
        says="characters left out",
    ),
    Case(
        61,
        "type that lies",
        "class M(type):\n    __name__ = property(lambda self: 1 / 0)\n    def __instancecheck__(self, o): return True\n"
        "class R(metaclass=M):\n    __class__ = property(lambda self: int)\n"
        "    shape = property(lambda self: [self] * 10 ** 6)\n"
        "    columns = shape\n    def __len__(self): return 2 ** 62\nreached()\nr = R()\nprint('lied')",
        says="lied",
    ),
    Case(
        61,
        "many figures",
        "import matplotlib.pyplot as plt, warnings\nwarnings.simplefilter('ignore')\nreached()\n"
        "for _ in range(150): plt.figure(figsize=(1, 1))",
        says="130 more figures were open",
        timeout_s=60,
    ),
    Case(
        62,
        "orphans",
        "import os, time\nreached()\npid = os.fork()\nif pid == 0:\n"
        "    os.setsid()\n    time.sleep(25)\n    os._exit(0)\n"
        "print('CHILD', pid, flush=True)\nos._exit(0)",
        says=DENIED,
        gaps={"L1": gap("orphan", reason="a process that leaves its group is not found when the session is ended")},
    ),
    Case(
        62,
        "full disk",  # without a folder of fixed size only in the suite's own small file system
        "reached()\nimport time\nif not C['small'] and C['level'] != 'L3':\n"
        "    with open('big', 'wb') as f: f.truncate(1 << 30)\n"
        "for n in range(8):\n    with open(f'f{n}', 'wb') as f:\n"
        "        for _ in range(40): f.write(bytes(1 << 20)); time.sleep(0.01 if C['level'] != 'L3' else 0)",
        says="No space left|disk is nearly full|File too large",
    ),
    Case(62, "silent downgrade", kind="downgrade", says="no more namespaces|max_isolation is"),
]
