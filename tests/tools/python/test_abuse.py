"""The abuse suite: each case at each level, as root and as an ordinary user, in a host of its own (`abuse.host`).

A case holds where nothing is seen from outside, the host answers, the next call works and the cause is named. Where a
case declares a gap, exactly that must be seen: a gap that closes is news too. The table of cases by level:
``PYTHONPATH=tests:. python -m abuse.table``.
"""

import json
import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from abuse.case import LEVELS
from abuse.cases import CASES
from abuse.table import table
from support.isolation import need

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is seen from outside is seen through /proc")

ANSWER_S = 100

# In a mount namespace of its own: all temporary files on a small file system, so that nothing fills the disk or is
# written to it; and as a Python below /root is not reachable for others, /root is replaced there.
SETUP = """
set -e
mount --make-rprivate /
mount -t tmpfs -o size=640m,mode=1777 tmpfs "$TMPDIR"
case "$1" in /root/*)
    [ "$2" = root ] || {
        mkdir "$TMPDIR/hold"; mount --bind "$1" "$TMPDIR/hold"; mount -t tmpfs -o mode=755 tmpfs /root
        mkdir -p "$1"; mount --bind "$TMPDIR/hold" "$1"; umount "$TMPDIR/hold"; rmdir "$TMPDIR/hold"
    };;
esac
who=$2
shift 2
if [ "$who" = root ]; then exec "$@"; fi
exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
"""


class Battery:
    """A host at one level, as one user."""

    def __init__(self, level: str, who: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="abuse-", dir="/tmp"))
        self.folder.chmod(0o755)
        base = Path(sys.base_prefix)
        root = next((p for p in base.parents if p.parent == Path("/root")), base)
        tests = str(Path(__file__).parents[2])
        paths = [tests, str(Path(tests).parent), *filter(None, sys.path)]
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": ":".join(paths), "TMPDIR": str(self.folder)}
        env |= {"HOME": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}
        own = os.geteuid() == 0 and bool(shutil.which("unshare"))
        ahead = ["unshare", "-m", "sh", "-c", SETUP, "sh", str(root), who] if own else []
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed with the battery)
        self.process = subprocess.Popen(
            [*ahead, sys.executable, "-m", "abuse.host", level, "small" if own else "large"],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            cwd="/",
        )
        self.hello = self._answer()

    def _answer(self):
        if not select.select([self.process.stdout], [], [], ANSWER_S)[0]:
            self.process.kill()
            return None
        line = self.process.stdout.readline()
        return json.loads(line) if line else None

    def said(self) -> str:
        self.errors.seek(0)
        return self.errors.read()[-2000:]

    def run(self, case):
        self.process.stdin.write(f"{case.id}\n")
        self.process.stdin.flush()
        answer = self._answer()
        assert answer is not None, f"the host did not survive: {self.said()}"
        return answer

    def close(self):
        self.process.stdin.close()
        last = self._answer()
        self.process.stdout.close()
        self.process.wait(30)
        self.errors.close()
        self.folder.rmdir()
        return last


@pytest.fixture(scope="module")
def batteries():
    found = {}
    yield found
    for battery in found.values():
        if battery is not None:
            battery.close()


def get(batteries, level, who):
    need(level)
    if who == "user" and os.geteuid() != 0:
        pytest.skip("this is an ordinary user: the cases without a change of user show it")
    if who == "user" and not (shutil.which("setpriv") and shutil.which("unshare")):
        pytest.skip("needs setpriv and unshare (util-linux) to become an ordinary user")
    if (level, who) not in batteries:
        battery = Battery(level, "root" if who == "self" else "user")
        if battery.hello is None:
            said = battery.said()
            battery.close()
            if who == "user" and re.search("Permission denied|No module named|PermissionError", said):
                pytest.skip(f"this Python cannot be read by others: {said[-300:]}")
            pytest.fail(f"the host did not start: {said}")
        batteries[level, who] = battery
    return batteries[level, who]


@pytest.mark.parametrize("who", ["self", "user"])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_abuse(batteries, case, level, who):
    battery = get(batteries, level, who)
    assert battery.hello["uid"] == (65534 if who == "user" else os.geteuid())
    found = battery.run(case)
    effects, gap = set(found["effects"]), case.gaps.get(level)
    assert found["reached"], f"it did not come to the attempt: {found['said']}"
    assert found["level"] == level
    assert found["next"] == "2", found
    assert found.get("descriptors", 0) <= 0, found
    if gap is not None and (gap.always or effects):
        assert effects == gap.effects, found
        return
    assert effects == set(), found
    assert re.search(case.says, found["said"], re.DOTALL), found
    if found.get("cause") == "died":
        assert "The next call starts a new one" in found["said"], found


@pytest.mark.parametrize("level", LEVELS)
def test_nothing_is_left_after_the_worst(level):
    worst = ("fork bomb", "thread flood", "os._exit", "closed connection", "symlinked workspace", "ignored SIGINT")
    own = {}
    battery = get(own, level, "self")
    for case in CASES:
        if case.name in worst:
            battery.run(case)
    left = battery.close()
    assert left["left"] == [] and left["children"] == []


def test_every_case_has_its_place():
    assert sorted({case.number for case in CASES}) == list(range(1, 63))
    assert len({case.id for case in CASES}) == len(CASES)
    assert all(case.kind == "downgrade" or re.search(r"reached\(\)|use\(|@use", case.code) for case in CASES)
    assert all(set(case.gaps) <= {"L1", "L2"} for case in CASES), "nothing may be open at L3"
    assert table().splitlines()[-1]
