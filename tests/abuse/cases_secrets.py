"""31 to 36: the host's secrets and processes."""

from abuse.case import DENIED, NO_WALL, Case, gap

CASES = [
    Case(
        31,
        "environment and keys",
        "import os, subprocess, sys\nreached()\nprint(dict(os.environ))\nimport ctypes\n"
        "ctypes.CDLL(None).getenv.restype = ctypes.c_char_p\nprint(ctypes.CDLL(None).getenv(b'AGENTKIT_ABUSE_KEY'))\n"
        "print([k for k in os.environ if 'KEY' in k or 'TOKEN' in k])",
        says=r"\[\]",
    ),
    Case(
        32,
        "ssh keys",
        "reached()\nprint(open(C['folder'] + '/home/.ssh/id_rsa').read())",
        says=DENIED,
        gaps={"L1": gap("read", reason=NO_WALL)},
    ),
    Case(
        32,
        "etc shadow",  # without walls the canary stands in for the file
        "reached()\nimport os\nif C['level'] == 'L1': print(open(C['folder'] + '/home/shadow').read())\n"
        "for name in ('/etc/shadow', '/etc/passwd'):\n"
        "    try: os.close(os.open(name, os.O_RDONLY)); got('etc') if C['level'] != 'L1' else None\n"
        "    except OSError as e: refused = e\n"
        "if C['level'] != 'L1': raise refused",
        says=DENIED,
        gaps={"L1": gap("read", reason=NO_WALL)},
    ),
    Case(
        33,
        "proc environ of others",
        "reached()\nrefused = None\nfor pid in (C['host'], C['victim']):\n"
        "    try: print(open(f'/proc/{pid}/environ').read())\n    except OSError as e: refused = e\n"
        "if refused: raise refused",
        says=DENIED,
        gaps={"L1": gap("read", reason=NO_WALL)},
    ),
    Case(
        33,
        "proc listing",
        "reached()\nimport os\n"
        "seen = [p for p in os.listdir('/proc') if p.isdigit()]\nfound = []\n"
        "for pid in seen:\n    try: found.append(open(f'/proc/{pid}/cmdline').read())\n    except OSError: pass\n"
        "if len(found) > 1: got('processes')\nraise PermissionError('only its own')",
        says=DENIED,
        gaps={"L1": gap("claim:processes", reason=NO_WALL)},
    ),
    Case(
        34,
        "proc self mem",
        "reached()\nrefused = None\nfor pid in ('self', C['host']):\n"
        "    try:\n        with open(f'/proc/{pid}/mem', 'rb') as f:\n"
        "            if pid != 'self': f.seek(C['address']); print(f.read(200))\n"
        "    except OSError as e: refused = e\nif refused: raise refused",
        says=DENIED,
        gaps={"L1": gap("read", reason=f"{NO_WALL}, unless the kernel limits tracing (yama)", always=False)},
    ),
    Case(
        35,
        "ptrace",
        "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\nreached()\n"
        "if libc.ptrace(16, C['victim'], 0, 0) != 0: raise OSError(ctypes.get_errno(), 'ptrace')\n"
        "os.waitpid(C['victim'], 0)\nlibc.ptrace(17, C['victim'], 0, 0)\ngot('ptrace')",
        says=DENIED,
        gaps={"L1": gap("claim:ptrace", reason=f"{NO_WALL}, unless the kernel limits tracing (yama)", always=False)},
    ),
    Case(
        35,
        "process_vm_readv",
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nbuffer = ctypes.create_string_buffer(200)\n"
        "class V(ctypes.Structure): _fields_ = [('base', ctypes.c_void_p), ('len', ctypes.c_size_t)]\n"
        "here, there = V(ctypes.addressof(buffer), 200), V(C['address'], 200)\nreached()\n"
        "if libc.process_vm_readv(C['host'], ctypes.byref(here), 1, ctypes.byref(there), 1, 0) < 0:\n"
        "    raise OSError(ctypes.get_errno(), 'process_vm_readv')\nprint(buffer.raw)",
        says=DENIED,
        gaps={"L1": gap("read", reason=f"{NO_WALL}, unless the kernel limits tracing (yama)", always=False)},
    ),
    Case(
        36,
        "signalling another process",
        "import os\nreached()\nos.kill(C['victim'], 15)",
        says=f"{DENIED}|ProcessLookupError",
        gaps={"L1": gap("signal", reason=NO_WALL)},
    ),
    Case(
        36,
        "signalling the parent",  # with signal 0, which asks and does nothing
        "import os\nreached()\nrefused = None\n"
        "for pid in (C['host'], os.getppid(), 1, 0, -1):\n    try: os.kill(pid, 0); got('signal')\n"
        "    except OSError as e: refused = e\nif refused: raise refused",
        says=f"{DENIED}|ProcessLookupError",
        gaps={"L1": gap("claim:signal", reason=NO_WALL)},
    ),
]
