"""`AugmentedMemoryMiddleware`: this memory in LangChain's ``create_agent``; needs the extra ``langchain``.

A run is known from its first hook, before_agent: every message that is neither stored by then nor part of what the
memory knows belongs to it. The messages of the run are collected in the agent's state, as other middleware may remove
them, and stored as one turn by after_agent, or by the call of a model or tool that raises.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from itertools import takewhile
from typing import TYPE_CHECKING, Annotated, Any, NotRequired

from langchain_core.messages import AnyMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import BaseTool, ToolException
from typing_extensions import TypedDict

from agentkit.errors import AgentKitError, ConfigError, SessionError
from agentkit.memory.condense.condensing import Condense
from agentkit.memory.langchain.chat_history import checked_memory
from agentkit.memory.langchain.messages import folded, is_answered, is_of_a_turn, split_turns, turn_of_messages
from agentkit.memory.recall import session_of
from agentkit.memory.store.search_text import RECALL
from agentkit.policy import policy_of
from agentkit.turn import Turn

try:
    from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse
    from langchain.agents.middleware.types import PrivateStateAttr, ToolCallRequest
    from langgraph.config import get_config
    from langgraph.errors import GraphBubbleUp
    from langgraph.runtime import Runtime
    from langgraph.types import Command
except ImportError as error:
    raise ConfigError(
        "AugmentedMemoryMiddleware needs LangChain's agents: pip install 'agentkit-cohere[langchain]'."
    ) from error

if TYPE_CHECKING:
    from agentkit.memory.memory import Memory

MOST_BROKEN_RUNS = 1000
"""Runs that raised and are remembered in this process, in case they continue. Chosen by hand: a retry comes soon."""


class RunOfAgent(TypedDict):
    """Where the run began, and its messages so far.

    Attributes:
        stored: Ids of the messages that the memory holds: the replay is shown in their place.
        messages: The run's messages, also those that other middleware removed.
        is_over: True once the run is stored.
    """

    stored: list[str]
    messages: list[AnyMessage]
    is_over: bool


class AugmentedMemoryState(AgentState[Any]):
    """The agent's state with the run in it, where a checkpointer keeps it too."""

    agentkit_run: NotRequired[Annotated[RunOfAgent, PrivateStateAttr]]


class AugmentedMemoryMiddleware(AgentMiddleware[AugmentedMemoryState, Any]):
    """Gives an agent of ``create_agent`` this memory: the model is shown the replay of earlier turns.

    Each run is stored as a turn, and as an interrupted one if the model or a tool raises. Before each model call the
    messages that the memory holds are replaced by its replay; all others are shown unchanged. Turns among the
    messages before the run that the memory does not hold (an older thread, a transcript) are stored first. So it works
    with a checkpointer and without one. The model is offered ``recall`` if the replay omits something. The session is
    ``config["configurable"]["session"]``, or else ``"thread_id"``.
    """

    state_schema = AugmentedMemoryState

    def __init__(self, memory: Memory, *, max_tokens: int | None = None, system_notes: bool = True) -> None:
        """Make the middleware.

        Args:
            memory: The memory that stores the turns.
            max_tokens: The budget of the replay, by the memory's counter; None for no limit.
            system_notes: True to replay the record of steps as system messages; False to put it into the question
                before it, for models that take a system message only at the beginning.

        Raises:
            ConfigError: `memory` is no Memory, or `max_tokens` is no budget.
        """
        super().__init__()
        recall = checked_memory(memory, max_tokens).recall_tool()
        assert recall is not None
        self.tools: Sequence[BaseTool] = [recall]
        self.memory = memory
        self.max_tokens = max_tokens
        self.system_notes = system_notes
        self._condense: dict[str, Condense] = {}
        self._broken: dict[tuple[str, str], int] = {}  # session and id of a run's first message -> number of its turn
        self._interrupting = threading.Lock()  # of two parallel calls that raise, the second adds to the first's turn

    # --- LangChain's hooks, in the order in which a run calls them -------------------------------------------

    def before_agent(self, state: AugmentedMemoryState, runtime: Runtime[Any]) -> dict[str, Any]:
        """Note where the run begins; store the turns before it that the memory does not hold."""
        return {"agentkit_run": self._begun(state, _session())}

    async def abefore_agent(self, state: AugmentedMemoryState, runtime: Runtime[Any]) -> dict[str, Any]:
        """Do as `before_agent`, without blocking the event loop."""
        return {"agentkit_run": await asyncio.to_thread(self._begun, state, _session())}

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Show the model the replay and the run's messages."""
        session = _session()
        shown = self._with_memory(request, session)
        try:
            return _with_new_ids(handler(shown), request.state)
        except BaseException as error:
            self._interrupt(error, request.state, session)
            raise

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        """Do as `wrap_model_call`, without blocking the event loop."""
        session = _session()
        shown = await asyncio.to_thread(self._with_memory, request, session)
        try:
            return _with_new_ids(await handler(shown), request.state)
        except BaseException as error:
            await asyncio.to_thread(self._interrupt, error, request.state, session)
            raise

    def after_model(self, state: AugmentedMemoryState, runtime: Runtime[Any]) -> dict[str, Any]:
        """Collect the run's messages before other middleware can remove them."""
        return {"agentkit_run": _collected(state)}

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]]
    ) -> ToolMessage | Command[Any]:
        """Store the turn as interrupted if a tool raises."""
        try:
            return handler(request)
        except BaseException as error:
            self._interrupt(error, request.state, _session())
            raise

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]]
    ) -> ToolMessage | Command[Any]:
        """Do as `wrap_tool_call`, without blocking the event loop."""
        try:
            return await handler(request)
        except BaseException as error:
            await asyncio.to_thread(self._interrupt, error, request.state, _session())
            raise

    def after_agent(self, state: AugmentedMemoryState, runtime: Runtime[Any]) -> dict[str, Any]:
        """Store the turn."""
        return {"agentkit_run": self._finished(state, _session())}

    async def aafter_agent(self, state: AugmentedMemoryState, runtime: Runtime[Any]) -> dict[str, Any]:
        """Do as `after_agent`, without blocking the event loop."""
        return {"agentkit_run": await asyncio.to_thread(self._finished, state, _session())}

    # --- what they do ----------------------------------------------------------------------------------------

    def _begun(self, state: AugmentedMemoryState, session: str) -> RunOfAgent:
        earlier, messages = _split_at_the_run(state)
        if earlier:
            known = self.memory.turns(session) if _exists(self.memory, session) else []
            for messages_of_it in earlier:
                turn = turn_of_messages(messages_of_it)
                if not _holds(known, self.memory.as_stored(turn)):
                    self.memory.append(session, turn, condense=self._condense)
        own = set(_ids(messages))
        stored = _ids(m for m in state["messages"] if m.id not in own and is_of_a_turn(m))
        return {"stored": stored, "messages": messages, "is_over": False}

    def _with_memory(self, request: ModelRequest[Any], session: str) -> ModelRequest[Any]:
        for tool in request.tools:
            condense = policy_of(tool).condense if isinstance(tool, BaseTool) else None
            if isinstance(tool, BaseTool) and condense is not None:
                self._condense[tool.name] = condense
        history = self.memory.replay(session, self.max_tokens)
        recall = self.memory.recall_tool(session, history)
        tools = [tool for tool in request.tools if not isinstance(tool, BaseTool) or tool.name != RECALL]
        tools += [] if recall is None else [recall]
        # System messages at the beginning stay there, as many models take them nowhere else.
        head = list(takewhile(lambda message: isinstance(message, SystemMessage), request.messages))
        stored = set(_run_of(request.state)["stored"])
        rest = [m for m in request.messages[len(head) :] if m.id is None or m.id not in stored]
        shown: list[Any] = [*head, *(history if self.system_notes else folded(history)), *rest]
        return request.override(messages=shown, tools=tools)

    def _finished(self, state: AugmentedMemoryState, session: str) -> RunOfAgent:
        # A guard that ends the run before our before_agent leaves us the state of the run before.
        run = self._begun(state, session) if _run_of(state)["is_over"] else _collected(state)
        over: RunOfAgent = {"stored": _ids(filter(is_of_a_turn, state["messages"])), "messages": [], "is_over": True}
        if not run["messages"]:
            return over
        turn = turn_of_messages(run["messages"], ended=True, structured=state.get("structured_response"))
        number = self._broken.pop(_key(run, session), None)
        last = None if number is None else self.memory.unfinished(session)
        if last is not None and last.number == number:  # it was retried, or continued from its checkpoint
            self.memory.resume(session, condense=self._condense)[0].finish(turn)
        else:
            self.memory.append(session, turn, condense=self._condense)
        return over

    def _interrupt(self, error: BaseException, state: Any, session: str) -> None:
        """Store the run as an interrupted turn; if it continues after all, `_finished` completes that turn."""
        if isinstance(error, GraphBubbleUp):  # a pause, or a jump to another graph
            return
        with self._interrupting, suppress(AgentKitError):  # it must not hide the error that ended the run
            run = _collected(state)
            turn = turn_of_messages(run["messages"])
            number = self._broken.get(_key(run, session))
            last = None if number is None else self.memory.unfinished(session)
            if last is not None and last.number == number:
                open_turn, _ = self.memory.resume(session, condense=self._condense)
            else:
                open_turn = self.memory.begin(session, turn.input, condense=self._condense)
            open_turn.interrupt(turn)
            while len(self._broken) >= MOST_BROKEN_RUNS:
                del self._broken[next(iter(self._broken))]
            self._broken[_key(run, session)] = open_turn.number


def _session() -> str:
    try:
        return session_of(get_config())
    except ToolException as error:
        raise SessionError(str(error)) from error


def _run_of(state: Any) -> RunOfAgent:
    none: RunOfAgent = {"stored": [], "messages": [], "is_over": True}
    return state.get("agentkit_run") or none


def _ids(messages: Iterable[BaseMessage]) -> list[str]:
    return [m.id for m in messages if m.id is not None]


def _key(run: RunOfAgent, session: str) -> tuple[str, str]:
    return session, next(iter(_ids(run["messages"])), "")


def _with_new_ids(response: ModelResponse[Any], state: Any) -> ModelResponse[Any]:
    """Take an id from replies that repeat one of the thread: LangGraph would overwrite the message that has it."""
    taken = set(_ids(state["messages"])) | set(_ids(_run_of(state)["messages"]))
    response.result = [m.model_copy(update={"id": None}) if m.id in taken else m for m in response.result]
    return response


def _collected(state: Any) -> RunOfAgent:
    """Return the run with the messages that were added since; one that was changed is replaced."""
    run = _run_of(state)
    stored = set(run["stored"])
    messages = {m.id: m for m in run["messages"]}
    messages |= {m.id: m for m in state["messages"] if m.id not in stored and is_of_a_turn(m)}
    return {**run, "messages": list(messages.values())}


def _split_at_the_run(state: AugmentedMemoryState) -> tuple[list[list[BaseMessage]], list[AnyMessage]]:
    """Return the turns before the run that may not be stored yet, and the messages that the run begins with."""
    run = _run_of(state)
    stored = set(run["stored"])
    fresh = [m for m in state["messages"] if m.id not in stored and is_of_a_turn(m)]
    # The run before this one may have raised: what it had, and the replies and results after that, are not of this one.
    broken = set() if run["is_over"] else {m.id for m in run["messages"]}
    start = 1 + max((i for i, m in enumerate(fresh) if m.id in broken), default=-1)
    while 0 < start < len(fresh) and not isinstance(fresh[start], HumanMessage):
        start += 1
    turns = list(split_turns(fresh[start:]))
    own: list[Any] = turns.pop() if turns and not is_answered(turns[-1]) else []
    return [*split_turns(fresh[:start]), *turns], own


def _exists(memory: Memory, session: str) -> bool:
    return any(info.name == session for info in memory.sessions())


def _holds(known: Sequence[Turn], turn: Turn) -> bool:
    """True if one of the known turns has the question, the calls and the answer of `turn`."""
    calls = [(step.tool, step.tool_input) for step in turn.steps]
    return any(
        turn.input in other.input
        and turn.output in ("", other.output)
        and all(call in [(step.tool, step.tool_input) for step in other.steps] for call in calls)
        for other in known
    )
