"""`Agent`: the public object. It gathers what a turn needs, drives the loop, and stores what came of it."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.agents import AgentAction
from langchain_core.callbacks import AsyncCallbackManagerForChainRun, CallbackManagerForChainRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage, convert_to_messages
from langchain_core.runnables import Runnable, RunnableConfig, ensure_config
from langchain_core.runnables.config import get_callback_manager_for_config
from langchain_core.tools import BaseTool

from agentkit.errors import InputError, SessionBusyError
from agentkit.limits import Limits
from agentkit.loop import Act, Ask, finished, react
from agentkit.model import Edge
from agentkit.sessions import check_session
from agentkit.text import clean, shorten
from agentkit.toolbox import Toolbox
from agentkit.turn import Observation, Step, Turn

if TYPE_CHECKING:
    from agentkit.memory import Memory
    from agentkit.memory.open_turn import OpenTurn


@dataclass(frozen=True, slots=True)
class _Request:
    """One call of the agent, with everything checked."""

    question: str
    session: str
    system: str
    history: tuple[BaseMessage, ...] | None
    named_session: bool


@dataclass(frozen=True, slots=True)
class _Kit:
    """Tools, and the model that is offered them."""

    toolbox: Toolbox
    edge: Edge


class Agent(Runnable[Any, Any]):
    """Answers questions with tools, and remembers how.

    An agent holds no state of a conversation itself: that is in its memory, by session. One agent can serve
    many sessions at once, from threads and from asyncio; two runs at once in one session are refused.

    As a LangChain `Runnable` it takes ``{"input": ..., "preamble": ..., "chat_history": ...}`` or a string
    and returns a dict: see `invoke`.
    """

    def __init__(
        self,
        model: str | BaseChatModel = "command-a-03-2025",
        tools: Sequence[BaseTool] = (),
        *,
        system: str = "",
        memory: Memory | None = None,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
        new_session: Callable[[], str] | None = None,
    ) -> None:
        """Make an agent.

        Args:
            model: A Cohere model's name, called at temperature 0 with COHERE_API_KEY and CO_API_URL as the
                environment holds them now; or any LangChain chat model.
            tools: LangChain tools, with names that differ.
            system: The system message ("preamble"), sent first and verbatim; "" sends none.
            memory: Where turns are kept and earlier ones replayed from; None keeps and replays nothing.
            limits: Bounds of a run; None for ``Limits()``: 15 steps, 30 s a tool.
            clock: Seconds from any fixed point, for `Limits.max_seconds` and durations.
            new_session: Makes the id of a session nobody named; by default a random UUID in hex.

        Raises:
            ConfigError: No key, a model or tool of the wrong kind, or tools that cannot be told apart.
        """
        self.limits = limits or Limits()
        self.system = clean(system)
        self.memory = memory
        self._toolbox = Toolbox(tools, self.limits.tool_timeout_s)
        self._edge = Edge(model, self._toolbox.tools)
        self._clock = clock
        self._new_session = new_session or (lambda: uuid.uuid4().hex)
        self._running: set[str] = set()
        self._lock = threading.Lock()
        recall = None if memory is None else memory.recall_tool()
        everything = Toolbox(tools, self.limits.tool_timeout_s, own=[] if recall is None else [recall])
        self._everything = everything
        self._plain = _Kit(self._toolbox, self._edge)
        self._recalling: _Kit | None = None  # made when it is needed, because it needs the model
        self._condense = {
            name: policy.condense
            for name in everything.names
            if (policy := everything.policy(name)) is not None and policy.condense is not None
        }

    @property
    def tools(self) -> tuple[BaseTool, ...]:
        """The tools, in the order they were given."""
        return self._toolbox.tools

    @property
    def model(self) -> BaseChatModel:
        """The chat model; one given by name is built at first use."""
        return self._edge.model

    # --- the four ways to run a turn ---------------------------------------------------------------------

    def run(self, question: str, *, session: str | None = None, config: RunnableConfig | None = None) -> Turn:
        """Answer one question and wait for it.

        Args:
            question: What the user asks; not empty.
            session: The conversation it belongs to, 1 to 200 printable characters; None starts a new one,
                whose id stands in `Turn.session`.
            config: LangChain config: callbacks, tags and metadata reach the model and the tools.

        Raises:
            InputError: An empty question, or a call from inside a running event loop (there: ``await
                agent.arun(...)``; in a notebook cell both work).
            SessionError: An impossible session name.
            SessionBusyError: The session is running already.
            ModelError: The model could not be reached or refused; the steps so far are kept in memory.
            StoreError: Memory could not be read or written.
        """
        _refuse_running_loop()
        request = self._request({"input": question}, session, config)
        return self._traced(request, config)

    async def arun(self, question: str, *, session: str | None = None, config: RunnableConfig | None = None) -> Turn:
        """As `run`, without blocking the event loop."""
        request = self._request({"input": question}, session, config)
        return await self._atraced(request, config)

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> dict[str, Any]:
        """Answer one question the way LangChain's AgentExecutor does.

        Args:
            input: The question; or a dict with ``input``, and optionally ``preamble`` (instead of the agent's
                system message) and ``chat_history`` (messages, instead of the replay of memory).
            config: LangChain config; ``config["configurable"]["session"]`` names the session.
            kwargs: None are taken.

        Returns:
            The input's own keys, and ``output``, ``intermediate_steps`` (pairs of AgentAction and the tool's
            own return value), ``citations``, ``grounded_output`` and ``turn``.

        Raises:
            InputError: No question, or keys of the wrong type; otherwise as `run`.
        """
        _refuse_kwargs(kwargs)
        request = self._request(input, None, config)
        return _as_dict(input, self._traced(request, config))

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> dict[str, Any]:
        """As `invoke`, without blocking the event loop."""
        _refuse_kwargs(kwargs)
        request = self._request(input, None, config)
        return _as_dict(input, await self._atraced(request, config))

    # --- one turn ------------------------------------------------------------------------------------------

    def _traced(self, request: _Request, config: RunnableConfig | None) -> Turn:
        """Run under a LangChain run of its own, so that callbacks see one tree: the agent, its model, its tools."""
        config = _with_session(config, request.session)
        if not get_callback_manager_for_config(config).handlers:
            return self._run(request, _unwatched(config))

        def run(_: Any, run_manager: CallbackManagerForChainRun, config: RunnableConfig) -> Turn:
            return self._run(request, config)

        turn: Turn = self._call_with_config(run, {"input": request.question}, config)
        return turn

    async def _atraced(self, request: _Request, config: RunnableConfig | None) -> Turn:
        config = _with_session(config, request.session)
        if not get_callback_manager_for_config(config).handlers:
            return await self._arun(request, _unwatched(config))

        async def run(_: Any, run_manager: AsyncCallbackManagerForChainRun, config: RunnableConfig) -> Turn:
            return await self._arun(request, config)

        turn: Turn = await self._acall_with_config(run, {"input": request.question}, config)
        return turn

    def _run(self, request: _Request, config: RunnableConfig) -> Turn:
        with self._turn(request) as (flow, journal, kit):
            edge, toolbox = kit.edge, kit.toolbox
            wanted = _advance(flow, None)
            while not isinstance(wanted, Turn):
                if isinstance(wanted, Ask):
                    wanted = _advance(flow, edge.ask(wanted, config))
                else:
                    journal.calls(wanted.steps)
                    wanted = _advance(flow, self._finish(wanted, toolbox.act(wanted, config), journal))
            return journal.finish(wanted)

    async def _arun(self, request: _Request, config: RunnableConfig) -> Turn:
        with self._turn(request) as (flow, journal, kit):
            edge, toolbox = kit.edge, kit.toolbox
            wanted = _advance(flow, None)
            while not isinstance(wanted, Turn):
                if isinstance(wanted, Ask):
                    wanted = _advance(flow, await edge.aask(wanted, config))
                else:
                    journal.calls(wanted.steps)
                    wanted = _advance(flow, self._finish(wanted, await toolbox.aact(wanted, config), journal))
            return journal.finish(wanted)

    def _finish(self, act: Act, observations: Sequence[Observation], journal: _Journal) -> list[Step]:
        max_chars = self.limits.max_observation_chars
        steps = [finished(step, seen, max_chars) for step, seen in zip(act.steps, observations, strict=True)]
        journal.results(steps)
        return steps

    @contextmanager
    def _turn(self, request: _Request) -> Iterator[tuple[Generator[Ask | Act, Any, Turn], _Journal, _Kit]]:
        """The loop, the journal it is written to (closed if it is broken off), and what the model is offered."""
        with self._alone(request.session):
            journal = _Journal(self.memory, request, self._condense)
            try:
                history, kit = self._history(request)
                system = [SystemMessage(request.system)] if request.system else []
                messages = [*system, *history, HumanMessage(request.question)]
                yield react(messages, limits=self.limits, clock=self._clock), journal, kit
            except BaseException:
                journal.interrupt()
                raise

    @contextmanager
    def _alone(self, session: str) -> Iterator[None]:
        with self._lock:
            if session in self._running:
                raise SessionBusyError(
                    f"Session {shorten(session)!r} is running already: wait for its answer, or use another session."
                )
            self._running.add(session)
        try:
            yield
        finally:
            self._running.discard(session)

    def _history(self, request: _Request) -> tuple[Sequence[BaseMessage], _Kit]:
        """The messages before the question; where memory leaves something out of them, `recall` is offered too."""
        if request.history is not None:
            return request.history, self._plain
        if self.memory is None or not request.named_session:
            return [], self._plain
        history = self.memory.replay(request.session)
        if self.memory.recall_tool(request.session, history) is None:
            return history, self._plain
        return history, self._with_recall()

    def _with_recall(self) -> _Kit:
        if type(self.model).bind_tools is BaseChatModel.bind_tools:
            return self._plain  # a model that calls no tools goes without
        with self._lock:
            if self._recalling is None:
                self._recalling = _Kit(self._everything, Edge(self._edge.model, self._everything.tools))
            return self._recalling

    def _request(self, input: Any, session: str | None, config: RunnableConfig | None) -> _Request:
        fields: Mapping[str, Any] = {"input": input} if isinstance(input, str) else input
        if not isinstance(fields, Mapping) or "input" not in fields:
            raise InputError(f"The agent was given {shorten(repr(input))}: give a question, or a dict with 'input'.")
        question, system, history = fields["input"], fields.get("preamble"), fields.get("chat_history")
        if not isinstance(question, str) or not question.strip():
            raise InputError(f"The question is {shorten(repr(question))}: ask something, as text.")
        if system is not None and not isinstance(system, str):
            raise InputError(f"The preamble is {shorten(repr(system))}: give text, or leave it out.")
        if session is None and config is not None:
            session = (config.get("configurable") or {}).get("session")
        named = session is not None
        return _Request(
            question=clean(question),
            session=check_session(self._new_session() if session is None else session),
            system=self.system if system is None else clean(system),
            history=None if history is None else _messages_of(history),
            named_session=named,
        )


class _Journal:
    """Writes a running turn to memory; without memory it only gives the turn its session."""

    def __init__(self, memory: Memory | None, request: _Request, condense: Mapping[str, Any]) -> None:
        self._session = request.session
        self._open: OpenTurn | None = None
        if memory is not None:
            self._open = memory.begin(request.session, request.question, condense=condense)

    def calls(self, steps: Sequence[Step]) -> None:
        if self._open is not None:
            self._open.calls(steps)

    def results(self, steps: Sequence[Step]) -> None:
        if self._open is not None:
            self._open.results(steps)

    def finish(self, turn: Turn) -> Turn:
        if self._open is None:
            return turn.model_copy(update={"session": self._session})
        return self._open.finish(turn)

    def interrupt(self) -> None:
        if self._open is not None:
            self._open.interrupt()


def _advance(flow: Generator[Ask | Act, Any, Turn], answer: Any) -> Ask | Act | Turn:
    try:
        return flow.send(answer)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


def _with_session(config: RunnableConfig | None, session: str) -> RunnableConfig:
    """The config under which model and tools are called: the caller's, with the session in it."""
    whole = ensure_config(config)
    whole["configurable"] = {**whole.get("configurable", {}), "session": session}
    whole.setdefault("run_name", "agentkit")
    return whole


def _unwatched(config: RunnableConfig) -> RunnableConfig:
    """What a tool may read of the config; the rest is for callbacks, and costs 70 us a step where there are none."""
    return {"configurable": config["configurable"]}


def _messages_of(history: Any) -> tuple[BaseMessage, ...]:
    try:
        return tuple(convert_to_messages(history))
    except (TypeError, ValueError, NotImplementedError) as error:
        raise InputError(
            f"chat_history is {shorten(repr(history))}: give LangChain messages, such as HumanMessage and AIMessage."
        ) from error


def _refuse_kwargs(kwargs: Mapping[str, Any]) -> None:
    if kwargs:
        raise InputError(f"invoke takes no {', '.join(sorted(kwargs))}: put settings on the Agent or its model.")


def _refuse_running_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    if "IPython" in sys.modules and sys.modules["IPython"].get_ipython() is not None:
        return  # a notebook cell runs inside a loop of its own, and blocking it harms nobody
    raise InputError("run() would block the event loop that is running here: use `await agent.arun(...)`.")


def _as_dict(input: Any, turn: Turn) -> dict[str, Any]:
    given = dict(input) if isinstance(input, Mapping) else {"input": input}
    steps = [
        (
            AgentAction(tool=step.tool, tool_input=step.tool_input, log=step.plan),
            step.observation if step.result is None or not step.ok else step.result.value,
        )
        for step in turn.steps
    ]
    return {
        **given,
        "output": turn.output,
        "intermediate_steps": steps,
        "citations": list(turn.citations),
        "grounded_output": turn.grounded_output(),
        "turn": turn,
    }
