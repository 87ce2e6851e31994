"""Augmented memory: memory objects, the store that keeps them, and their replay as chat messages."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentkit.memory.langchain.chat_history import AugmentedChatMessageHistory
    from agentkit.memory.langchain.middleware import AugmentedMemoryMiddleware as AugmentedMemoryMiddleware
    from agentkit.memory.memory import Memory
    from agentkit.memory.objects import Action, MemoryObject
    from agentkit.memory.recall import RecallTool
    from agentkit.memory.replay.messages import estimate_tokens
    from agentkit.memory.store.open_turn import OpenTurn
    from agentkit.memory.store.reader import SessionInfo
    from agentkit.memory.store.search_text import Hit

_MODULE_OF = {
    "Action": "objects",
    "AugmentedChatMessageHistory": "langchain.chat_history",
    "AugmentedMemoryMiddleware": "langchain.middleware",  # needs the extra langchain, so it is not in __all__
    "Hit": "store.search_text",
    "Memory": "memory",
    "MemoryObject": "objects",
    "OpenTurn": "store.open_turn",
    "RecallTool": "recall",
    "SessionInfo": "store.reader",
    "estimate_tokens": "replay.messages",
}

__all__ = [
    "Action",
    "AugmentedChatMessageHistory",
    "Hit",
    "Memory",
    "MemoryObject",
    "OpenTurn",
    "RecallTool",
    "SessionInfo",
    "estimate_tokens",
]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'agentkit.memory' has no attribute {name!r}")
    value = getattr(import_module(f"agentkit.memory.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, imported or not."""
    return sorted(__all__)
