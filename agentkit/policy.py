"""`ToolPolicy`: settings of a tool that LangChain's BaseTool lacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, runtime_checkable

from pydantic import Field

from agentkit.base.settings import Give, settings
from agentkit.turn import Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.tools import BaseTool

    from agentkit.turn import Artifact

Inherit = Literal["inherit"]


@settings
class ToolPolicy:
    """Settings of one tool: timeout, retries, approval, condensing.

    Attributes:
        timeout_s: Wall-clock seconds a call may take. ``"inherit"`` takes `Limits.tool_timeout_s`; None means
            no limit, and a lone call then runs on the caller's own thread.
        retry: Retries of a call that raised, 0 or more, within the same time limit: the first after 0.1 s, each next
            one after twice the previous wait. A call that ran out of time is never retried.
        approval: True if a person must approve each call; or a function of the call's arguments (checked, with
            defaults filled in) that returns True if so. The agent's ``approve`` is asked; without an answer the run
            pauses until `Agent.resume`. A call whose arguments do not fit is never asked about.
        condense: Returns the facts memory keeps of a finished step, as JSON-ready keys and values. None takes the facts
            of the tool's result, or else has memory read the text.

    Raises:
        ConfigError: A value outside its range.
    """

    timeout_s: Annotated[
        Annotated[float, Field(gt=0)] | Inherit | None,
        Give("seconds above 0, None for no limit, or 'inherit'"),
    ] = "inherit"
    retry: Annotated[int, Field(ge=0)] = 0
    approval: Annotated[
        bool | Callable[[Mapping[str, Any]], bool], Give("True, False, or a function of the arguments")
    ] = False
    condense: Callable[[Step], Mapping[str, Any]] | None = None


@runtime_checkable
class Outcome(Protocol):
    """An artifact of a LangChain ``content_and_artifact`` result that reports status, files and facts.

    An artifact with these three attributes tells the agent whether the call succeeded, which files it made, and what
    memory should keep; any other artifact is passed on unchanged.
    """

    @property
    def ok(self) -> bool:
        """True if the call did what it was asked to do."""
        ...

    @property
    def artifacts(self) -> Sequence[Artifact]:
        """Return the files the call made."""
        ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """Return facts about the call for memory, ready for JSON."""
        ...


def with_policy(tool: BaseTool, policy: ToolPolicy) -> BaseTool:
    """Return a copy of `tool` that carries `policy`; the original is unchanged."""
    copy = tool.model_copy()
    # BaseTool refuses unknown attributes, and the policy must not become a field of the schema.
    object.__setattr__(copy, "policy", policy)
    return copy


def policy_of(tool: BaseTool) -> ToolPolicy:
    """Return the policy `tool` carries, or the default one."""
    policy = getattr(tool, "policy", None)
    return policy if isinstance(policy, ToolPolicy) else ToolPolicy()
