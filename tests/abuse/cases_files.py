"""44 to 51: terminals, descriptors, files and folders."""

from abuse.case import DENIED, NO_WALL, Case, gap

WRITES = {"L1": gap("write", reason=NO_WALL)}

CASES = [
    Case(
        44,
        "TIOCSTI",
        "import fcntl, os\nreached()\nrefused = None\n"
        "for fd in (0, 1, 2):\n    try: fcntl.ioctl(fd, 0x5412, b'x'); got('typed')\n"
        "    except OSError as e: refused = e\n"
        "fd = os.open(C['terminal'], os.O_WRONLY | os.O_NOCTTY)\nos.write(fd, b'x')",
        says=DENIED,
        gaps={"L1": gap("terminal", reason=NO_WALL)},
    ),
    Case(
        45,
        "inherited descriptors and folder",
        "import os\nreached()\n"
        "for fd in range(3, 4096):\n    try: print(os.pread(fd, 100, 0))\n    except OSError: pass\n"
        "if os.getcwd() == C['cwd']: got('folder')\nraise PermissionError('nothing inherited')",
        says="nothing inherited",
    ),
    Case(
        46,
        "symlink artifact",
        "import os\nreached()\nos.symlink(C['secret'], 'link.txt')\nos.symlink(C['folder'], 'folder')\nprint('made')",
        says="made",
    ),
    Case(
        47,
        "hard link",
        "import os\nreached()\nos.link(C['secret'], 'hard.txt')",
        says=f"{DENIED}|Invalid cross-device link",
        gaps=WRITES,
    ),
    Case(
        47,
        "rename",
        "import os\nreached()\nos.rename(C['folder'] + '/note', 'mine.txt')",
        says=f"{DENIED}|Invalid cross-device link",
        gaps={"L1": gap("read", "write", reason=NO_WALL)},
    ),
    Case(
        47,
        "parent move",
        "import os\nreached()\nhere = os.getcwd()\nos.rename(here, C['folder'] + '/moved')",
        says=f"{DENIED}|Device or resource busy|cross-device",
        gaps=WRITES,
    ),
    Case(
        48,
        "FIFO and device artifacts",
        "import os\nreached()\nos.mkfifo('pipe.csv')\ntry: os.mknod('null.csv', 0o020666, os.makedev(1, 3))\n"
        "except OSError as e: print(type(e).__name__)\nos.mkdir('folder.csv')\nprint('made')",
        says="made",
    ),
    Case(
        48,
        "huge sparse artifact",
        "reached()\nwith open('big.csv', 'wb') as f:\n    try: f.truncate(40 << 30)\n"
        "    except OSError as e: print(e)\n    f.truncate(200 << 20)",
        says=r"big\.csv \(the limit is 32 MiB",
    ),
    *(
        Case(49, f"{name} outside", f"import os\nreached()\nos.{call}", says=DENIED, gaps=WRITES)
        for name, call in (
            ("chmod", "chmod(C['secret'], 0o777)"),
            ("utime", "utime(C['secret'], (1, 1))"),
            ("truncate", "truncate(C['secret'], 0)"),
            ("truncate by opening", "open(C['secret'], os.O_RDONLY | os.O_TRUNC)"),
            ("remove", "remove(C['secret'])"),
        )
    ),
    Case(
        49,
        "chown outside",
        "import os\nreached()\nos.chown(C['secret'], C['uid'], 65533)",
        says=DENIED,
        gaps={"L1": gap("write", reason=f"{NO_WALL}; as root, any owner", always=False)},
    ),
    Case(
        49,
        "xattr outside",
        "import os\nreached()\nos.setxattr(C['secret'], 'user.planted', b'1')",
        says=DENIED,
        gaps={"L1": gap("write", reason=f"{NO_WALL}, where the file system has attributes", always=False)},
    ),
    Case(
        50,
        "symlinked workspace",
        "import os\nreached()\nhere = os.getcwd()\nos.rename(here, here + '-away')\nos.symlink(C['folder'], here)\n"
        "print('swapped')",
        says=f"swapped|{DENIED}|Device or resource busy|Read-only",
        then="open('mine.txt', 'w').write('x')",
    ),
    Case(
        51,
        "planted bashrc",
        "reached()\nopen(C['folder'] + '/home/.bashrc', 'a').write('touch started')",
        says=DENIED,
        gaps=WRITES,
    ),
    Case(
        51,
        "planted git hook",
        "reached()\nopen(C['folder'] + '/home/.git/hooks/pre-commit', 'w').write('touch started')",
        says=DENIED,
        gaps=WRITES,
    ),
    Case(
        51,
        "planted sitecustomize",  # without walls the canary's packages stand in for the real ones
        "import sys, sysconfig\nreached()\n"
        "place = C['folder'] + '/home/site' if C['level'] == 'L1' else sysconfig.get_path('purelib')\n"
        "open(place + '/agentkit_planted.txt', 'w').write('x')\ngot('planted')",
        says=f"{DENIED}|Read-only",
        gaps={"L1": gap("write", "claim:planted", reason=NO_WALL)},
    ),
    Case(
        51,
        "modules planted in the working folder",
        "import os\nreached()\nfor name in ('sitecustomize', 'usercustomize', 'json', 'runner', 'landlock'):\n"
        "    open(name + '.py', 'w').write('print(\"GOT imported\", flush=True)')\nos._exit(0)",
        says="exited with status 0.*The next call starts a new one",
        then="1",
    ),
]
