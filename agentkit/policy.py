"""The tool seam: what an agent must know about a tool that LangChain's BaseTool does not say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from agentkit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.tools import BaseTool

    from agentkit.turn import Artifact, Step

Inherit = Literal["inherit"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolPolicy:
    """How an agent treats one tool.

    Attributes:
        timeout_s: Wall-clock seconds a call may take. ``"inherit"`` takes `Limits.tool_timeout_s`; None means
            no limit, and a lone call then runs on the caller's own thread.
        retry: How often a call that raised is tried again, within the same time limit, waiting 0.1 s before the
            second try and twice as long before each further one. A call that ran out of time is never tried again.
        approval: Whether a person must approve each call; or a function that says so of a call's arguments (checked,
            with defaults filled in). The agent's ``approve`` is asked; without an answer the run pauses, to be gone
            on with by `Agent.resume`. A call whose arguments do not fit is never asked about.
        condense: Turns a finished step into the facts memory keeps of it, as JSON-ready keys and values.
            None takes what the tool's result offers, else memory's own reading of the text.

    Raises:
        ConfigError: A value outside its range.
    """

    timeout_s: float | Inherit | None = "inherit"
    retry: int = 0
    approval: bool | Callable[[Mapping[str, Any]], bool] = False
    condense: Callable[[Step], Mapping[str, Any]] | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        if isinstance(self.timeout_s, str) and self.timeout_s != "inherit":
            raise ConfigError(
                f"ToolPolicy.timeout_s is {self.timeout_s!r}: give seconds, None for no limit, or 'inherit'."
            )
        if isinstance(self.timeout_s, (int, float)) and not 0 < self.timeout_s < inf:
            raise ConfigError(f"ToolPolicy.timeout_s is {self.timeout_s}: it must be above 0; None means no limit.")
        if isinstance(self.retry, bool) or not isinstance(self.retry, int) or self.retry < 0:
            raise ConfigError(f"ToolPolicy.retry is {self.retry!r}: give a whole number from 0.")
        if not isinstance(self.approval, bool) and not callable(self.approval):
            raise ConfigError(
                f"ToolPolicy.approval is {self.approval!r}: give True, False, or a function of the arguments."
            )


@runtime_checkable
class Outcome(Protocol):
    """What a tool may return as the artifact of a LangChain ``content_and_artifact`` result.

    An artifact with these three attributes tells the agent whether the call worked, which files it made, and
    what memory should keep; any other artifact is handed through untouched.
    """

    @property
    def ok(self) -> bool:
        """Whether the call did what it was asked to."""
        ...

    @property
    def artifacts(self) -> Sequence[Artifact]:
        """Files the call made."""
        ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """JSON-ready facts about the call for memory."""
        ...


def with_policy(tool: BaseTool, policy: ToolPolicy) -> BaseTool:
    """A copy of `tool` that carries `policy`; the original is left alone."""
    copy = tool.model_copy()
    # BaseTool refuses unknown attributes; the policy must ride along without becoming a field of the schema.
    object.__setattr__(copy, "policy", policy)
    return copy


def policy_of(tool: BaseTool) -> ToolPolicy:
    """The policy `tool` carries, or the default one."""
    policy = getattr(tool, "policy", None)
    return policy if isinstance(policy, ToolPolicy) else ToolPolicy()
