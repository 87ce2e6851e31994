"""`AugmentedMemoryMiddleware`: this memory under LangChain's ``create_agent``; needs the extra ``langchain``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.tools import BaseTool, ToolException

from agentkit.errors import ConfigError, SessionError
from agentkit.memory.condense.condensing import Condense
from agentkit.memory.langchain.chat_history import checked_memory, folded, turn_of_messages
from agentkit.memory.recall import session_of
from agentkit.memory.store.search_text import RECALL
from agentkit.policy import policy_of

try:
    from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse
    from langgraph.config import get_config
    from langgraph.runtime import Runtime
except ImportError as error:
    raise ConfigError(
        "AugmentedMemoryMiddleware needs LangChain's agents: pip install 'agentkit-cohere[langchain]'."
    ) from error

if TYPE_CHECKING:
    from agentkit.memory.memory import Memory


class AugmentedMemoryMiddleware(AgentMiddleware[AgentState[Any], Any]):
    """Gives an agent of ``create_agent`` this memory: what the model is shown of earlier turns is the replay.

    Each run is stored as a turn when it is done. Before each call of the model everything before the newest question
    is replaced by the memory's replay, so it works with a checkpointer, which keeps all messages, and without one.
    The model is offered ``recall`` where the replay leaves something out. The session is
    ``config["configurable"]["session"]``, or else ``"thread_id"``.
    """

    def __init__(self, memory: Memory, *, max_tokens: int | None = None, system_notes: bool = True) -> None:
        """Make the middleware.

        Args:
            memory: Where turns are kept.
            max_tokens: Tokens of the replay, by the memory's counter; None for no limit.
            system_notes: Whether the record of what was done stands in system messages of its own; False puts it
                into the question before it, for models that take a system message only at the beginning.

        Raises:
            ConfigError: `memory` is no Memory, or `max_tokens` no budget.
        """
        super().__init__()
        recall = checked_memory(memory, max_tokens).recall_tool()
        assert recall is not None
        self.tools: Sequence[BaseTool] = [recall]
        self.memory = memory
        self.max_tokens = max_tokens
        self.system_notes = system_notes
        self._condense: dict[str, Condense] = {}

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Show the model the replay and this turn's messages."""
        return handler(self._with_memory(request, _session()))

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        """As `wrap_model_call`, without blocking the event loop."""
        return await handler(await asyncio.to_thread(self._with_memory, request, _session()))

    def after_agent(self, state: AgentState[Any], runtime: Runtime[Any]) -> None:
        """Store the turn."""
        self._store(state["messages"], _session())

    async def aafter_agent(self, state: AgentState[Any], runtime: Runtime[Any]) -> None:
        """As `after_agent`, without blocking the event loop."""
        await asyncio.to_thread(self._store, state["messages"], _session())

    def _with_memory(self, request: ModelRequest[Any], session: str) -> ModelRequest[Any]:
        for tool in request.tools:
            condense = policy_of(tool).condense if isinstance(tool, BaseTool) else None
            if isinstance(tool, BaseTool) and condense is not None:
                self._condense[tool.name] = condense
        history = self.memory.replay(session, self.max_tokens)
        recall = self.memory.recall_tool(session, history)
        tools = [tool for tool in request.tools if not isinstance(tool, BaseTool) or tool.name != RECALL]
        tools += [] if recall is None else [recall]
        shown: list[Any] = [*(history if self.system_notes else folded(history)), *_this_turn(request.messages)]
        return request.override(messages=shown, tools=tools)

    def _store(self, messages: Sequence[BaseMessage], session: str) -> None:
        self.memory.append(session, turn_of_messages(_this_turn(messages)), condense=self._condense)


def _session() -> str:
    try:
        return session_of(get_config())
    except ToolException as error:
        raise SessionError(str(error)) from error


def _this_turn(messages: Sequence[BaseMessage]) -> Sequence[BaseMessage]:
    """From the newest question on; several messages of the user in a row are one question."""
    start = max((i for i, m in enumerate(messages) if isinstance(m, HumanMessage)), default=0)
    while start > 0 and isinstance(messages[start - 1], HumanMessage):
        start -= 1
    return messages[start:]
