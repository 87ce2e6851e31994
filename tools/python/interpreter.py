"""The tool: it runs Python code in a process of its own for each session, for a model or for a program."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Literal

from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from pydantic import BaseModel, Field, PrivateAttr

from agentkit.base import workers
from agentkit.base.sessions import check_session
from agentkit.base.settings import Give, settings
from agentkit.base.text import clean, shorten
from agentkit.errors import InputError
from agentkit.policy import ToolPolicy
from agentkit.tools.python.data import DataFiles
from agentkit.tools.python.execution import Execution, Isolation, Level
from agentkit.tools.python.host.sessions import MAX_IDLE_SESSIONS, Sessions
from agentkit.tools.python.host.walls import Walls, data_bytes
from agentkit.tools.python.levels import choose

DEFAULT_SESSION = "default"
"""The session of a call through LangChain whose config names none."""
MAX_CODE_CHARS = 1_000_000
"""Chosen by hand: far more than a model writes; the frame that carries it has at most 12 MB."""
MARGIN_S = 40.0
"""Seconds an agent waits beyond the tool's own limit. Chosen by hand: the start of a process may take 30 s
(`process.START_S`), and stopping it and reading its files take time too."""


if TYPE_CHECKING:
    from agentkit.tools.python.data import Data


@settings
class InterpreterSettings:
    """The checked arguments of a `PythonInterpreter`, which documents them; all but its data."""

    timeout_s: Annotated[float, Field(gt=0, le=86_400), Give("seconds above 0 to 86,400 (a day), such as 30")] = 30
    min_isolation: Level = "L2"
    max_isolation: Level = "L3"
    allow_weak: bool = False
    max_idle_sessions: Annotated[int, Field(ge=0)] = MAX_IDLE_SESSIONS
    max_idle_s: Annotated[float, Field(gt=0, le=1e6), Give("seconds above 0 to 1,000,000")] | None = 3_600


class PythonInput(BaseModel):
    """Arguments of the tool."""

    code: str = Field(description="Python code to execute.")


class PythonInterpreter(BaseTool):
    """Runs Python code in a process of its own for each session; variables are kept between calls.

    Code is isolated as far as the machine allows, and every result says how far. At level 3 (Linux with bubblewrap)
    and 2 (Linux with Landlock and seccomp) the kernel denies it files outside its working folder, the network, other
    programs and processes; at level 1 there are only limits. At every level the process has limits on time, memory
    (2 GiB of address space), file size (256 MiB) and open files, and none of the host's environment variables.
    SECURITY.md says what is promised. Sessions are forked from a process that starts in the background with this
    object and has pandas, numpy and matplotlib loaded.

    Files the code writes in its working folder come back as artifacts: at most 50 a call, 32 MiB each, 64 MiB
    together. Names that start with a dot are omitted. The first call after a session was closed or died says so.
    Use it as a context manager, or call `close`, to end its processes; they end with the program in any case.

    Args:
        data: Paths of files that are copied into each session's working folder under their own names; or a dict of
            paths and pandas DataFrames by name: ``{"sales.csv": frame}`` is written as CSV, ``"sales.pkl"`` keeps
            types and index.
        timeout_s: Seconds a call may take, with the wait for an earlier call of its session; above 0, at most 86,400.
            It is then interrupted, and killed 1 s later. Time to start a process does not count.
        min_isolation: The lowest level of isolation to accept: L1, L2 or L3.
        max_isolation: The highest level to use; for tests, and to see what a weaker machine does.
        allow_weak: True to run at a lower level than `min_isolation`, or at L1.
        max_idle_sessions: How many idle sessions are kept; of more, the least recently used is closed. 0: none, each
            call starts a new session.
        max_idle_s: Seconds a session is kept after its last call, at most 1,000,000; None: no limit.

    Raises:
        ConfigError: A data file that is missing, unreadable or named like another; an impossible limit or level;
            a machine that offers less than `min_isolation`; Windows.
    """

    name: str = "python_interpreter"
    description: str = ""
    args_schema: Any = PythonInput
    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"
    policy: Any = Field(default=None, exclude=True, repr=False)
    """The `ToolPolicy` that agents follow; its time limit is longer than the tool's own, which thus comes first."""

    _sessions: Sessions = PrivateAttr()
    _timeout_s: float = PrivateAttr()
    _data: DataFiles = PrivateAttr()

    def __init__(
        self,
        data: Data = (),
        *,
        timeout_s: float = 30,
        min_isolation: Level = "L2",
        max_isolation: Level = "L3",
        allow_weak: bool = False,
        max_idle_sessions: int = MAX_IDLE_SESSIONS,
        max_idle_s: float | None = 3_600,
    ) -> None:
        """See the class."""
        given = InterpreterSettings(
            timeout_s=timeout_s,
            min_isolation=min_isolation,
            max_isolation=max_isolation,
            allow_weak=allow_weak,
            max_idle_sessions=max_idle_sessions,
            max_idle_s=max_idle_s,
        )
        isolation, files = choose(min_isolation, max_isolation, allow_weak), DataFiles(data)
        super().__init__(
            description=_describe([path.name for path in files.paths]),
            policy=ToolPolicy(timeout_s=given.timeout_s + MARGIN_S),
        )
        self._timeout_s, self._data = given.timeout_s, files
        walls = Walls(isolation, min_isolation=min_isolation, allow_weak=allow_weak, data_bytes=data_bytes(files.paths))
        self._sessions = Sessions(files.paths, walls, max_idle=max_idle_sessions, max_idle_s=max_idle_s)
        self._sessions.start()

    def execute(self, code: str, session: str = "s1", timeout_s: float | None = None) -> Execution:
        """Run `code` in `session` and wait for it.

        Args:
            code: Python code, at most 1,000,000 characters. A NUL or lone surrogate is escaped first.
            session: Calls of one session share variables and run one after the other; sessions run side by side.
            timeout_s: Seconds for this call; None takes the interpreter's.

        Raises:
            InputError: `code` is not a text.
            SessionError: A session name that is empty or not allowed.
            ConfigError: A `timeout_s` that is not above 0.
            ToolError: No process can be started, or a data file is gone.
        """
        return self._run_cell(code, session, timeout_s, threading.Event())

    async def aexecute(self, code: str, session: str = "s1", timeout_s: float | None = None) -> Execution:
        """Run `code` as `execute` does, without blocking the event loop; a cancellation interrupts the code."""
        loop, done, cancelled = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

        def tell() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(done.set)

        job = workers.start(partial(self._run_cell, code, session, timeout_s, cancelled), tell)
        try:
            await done.wait()
        except asyncio.CancelledError:
            cancelled.set()
            if isinstance(session, str):
                self._sessions.wake(session)
            raise
        if job.error is not None:
            raise job.error
        execution: Execution = job.value
        return execution

    def _run_cell(self, code: str, session: str, timeout_s: float | None, cancelled: threading.Event) -> Execution:
        if not isinstance(code, str):
            raise InputError(f"code is {shorten(repr(code))}: give a text with Python code.")
        name, limit = check_session(session), self._timeout_s
        if timeout_s is not None:
            limit = InterpreterSettings(timeout_s=timeout_s).timeout_s
        if not code.strip():
            return self._sessions.failure("exception", "There is no code to run: give at least one line of Python.")
        if len(code) > MAX_CODE_CHARS:
            return self._sessions.failure(
                "exception", f"The code has {len(code)} characters: the limit is {MAX_CODE_CHARS}. Send less of it."
            )
        return self._sessions.run(name, clean(code), limit, cancelled.is_set)

    @property
    def isolation(self) -> Isolation:
        """Return the isolation of the next session; each `Execution` has the isolation it ran with."""
        return self._sessions.isolation

    def close(self, session: str | None = None) -> None:
        """End one session, or (None) all: processes and working folders. A later call starts a new session."""
        self._sessions.close(session)

    def __enter__(self) -> PythonInterpreter:
        """Return the interpreter itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all sessions."""
        self.close()

    def _run(self, code: str, *, config: RunnableConfig) -> tuple[str, Execution]:
        execution = self.execute(code, _session_of(config))
        return str(execution), execution

    async def _arun(self, code: str, *, config: RunnableConfig) -> tuple[str, Execution]:
        execution = await self.aexecute(code, _session_of(config))
        return str(execution), execution


def _session_of(config: RunnableConfig) -> str:
    return (config.get("configurable") or {}).get("session") or DEFAULT_SESSION


def _describe(names: Sequence[str]) -> str:
    there = [name for name in ("pandas", "numpy", "matplotlib") if find_spec(name) is not None]
    packages = f"{_and(there)} {'is' if len(there) == 1 else 'are'} available. " if there else ""
    files = f"The data files in its working folder: {', '.join(names)}. " if names else ""
    # True at each level, so that a model is asked the same on machines that differ only in that.
    walls = "Do without network, other programs and files outside the working folder. "
    return (
        "Runs Python code and returns what it prints and the value of its last expression. Variables are kept "
        f"between calls. {packages}{files}{walls}Figures left open are saved as PNG; files written in the working "
        "folder are returned."
    )


def _and(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
