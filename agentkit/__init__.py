"""agentkit: an agent for Cohere chat with deterministic tools and a memory of how it got its answers.

Public names come from here, from `agentkit.tools`, `agentkit.memory` and `agentkit.testing`. They are loaded
when first used, so that ``import agentkit`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentkit.agent import Agent
    from agentkit.approval import Approve, Deny, Edit, Resume
    from agentkit.cohere.chat import CohereChat
    from agentkit.cohere.images import image
    from agentkit.cohere.options import CohereOptions
    from agentkit.cohere.retry import RetryPolicy
    from agentkit.errors import (
        AgentKitError,
        CassetteError,
        ConfigError,
        DeadlineError,
        GroundingError,
        HistoryError,
        HookError,
        InputError,
        ModelError,
        SessionBusyError,
        SessionError,
        StoreError,
        StoreVersionError,
        ToolError,
        UserError,
    )
    from agentkit.limits import Limits, Price
    from agentkit.loop.history_rules import validate_history
    from agentkit.policy import Outcome, ToolPolicy, policy_of, with_policy
    from agentkit.run.hooks import Hooks, Refuse
    from agentkit.turn import Artifact, Citation, Observation, Step, StopReason, ToolCall, Turn, Usage

__version__ = "0.1.0"
"""The installed version."""

_WHERE = {
    "agent": ["Agent"],
    "cohere.chat": ["CohereChat"],
    "cohere.options": ["CohereOptions"],
    "cohere.retry": ["RetryPolicy"],
    "approval": ["Approve", "Deny", "Edit", "Resume"],
    "errors": [
        "AgentKitError",
        "CassetteError",
        "ConfigError",
        "DeadlineError",
        "GroundingError",
        "HistoryError",
        "HookError",
        "InputError",
        "ModelError",
        "SessionBusyError",
        "SessionError",
        "StoreError",
        "StoreVersionError",
        "ToolError",
        "UserError",
    ],
    "loop.history_rules": ["validate_history"],
    "run.hooks": ["Hooks", "Refuse"],
    "cohere.images": ["image"],
    "limits": ["Limits", "Price"],
    "policy": ["Outcome", "ToolPolicy", "policy_of", "with_policy"],
    "turn": ["Artifact", "Citation", "Observation", "Step", "StopReason", "ToolCall", "Turn", "Usage"],
}
_MODULE_OF = {name: f"agentkit.{module}" for module, names in _WHERE.items() for name in names}

__all__ = [
    "Agent",
    "AgentKitError",
    "Approve",
    "Artifact",
    "CassetteError",
    "Citation",
    "CohereChat",
    "CohereOptions",
    "ConfigError",
    "DeadlineError",
    "Deny",
    "Edit",
    "GroundingError",
    "HistoryError",
    "HookError",
    "Hooks",
    "InputError",
    "Limits",
    "ModelError",
    "Observation",
    "Outcome",
    "Price",
    "Refuse",
    "Resume",
    "RetryPolicy",
    "SessionBusyError",
    "SessionError",
    "Step",
    "StopReason",
    "StoreError",
    "StoreVersionError",
    "ToolCall",
    "ToolError",
    "ToolPolicy",
    "Turn",
    "Usage",
    "UserError",
    "__version__",
    "image",
    "policy_of",
    "validate_history",
    "with_policy",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'agentkit' has no attribute {name!r}")
    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, loaded or not."""
    return sorted(__all__)
