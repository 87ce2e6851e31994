"""The command line as a process, and what its tests ask and expect."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

from support.product_codes import OBJREF

from agentkit.memory import Memory
from agentkit.testing import cite, reply

CODES = """
[[pattern]]
name = "objref"
regex = 'GL[A-Z0-9]{14}'
"""


LOOKUP = reply(plan="I will look for codes.", calls=[("regex_extractor", {"user_query": f"find {OBJREF}"})])


FOUND = reply(f"It is {OBJREF}.", citations=[cite(OBJREF, call=0)])


def stored(path: str, method: Callable[..., Any], *arguments: Any) -> Any:
    with Memory(path) as memory:
        return method(memory, *arguments)


def process(*arguments: str | bytes, **options) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "agentkit", *arguments]
    return subprocess.run(command, capture_output=True, check=False, **options)


def assert_explained(result: tuple[int, str, str], *words: str) -> None:
    code, out, err = result
    assert (code, out) == (2, "")
    assert err.startswith("agentkit: ") and err.count("\n") == 1, err
    for word in words:
        assert word in err
