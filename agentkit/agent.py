"""`Agent`: the public object. It gathers what a turn needs, drives the loop, and stores what came of it."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from langchain_core.agents import AgentAction
from langchain_core.callbacks import AsyncCallbackManagerForChainRun, CallbackManagerForChainRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage, convert_to_messages
from langchain_core.runnables import Runnable, RunnableConfig, ensure_config
from langchain_core.runnables.config import get_callback_manager_for_config
from langchain_core.tools import BaseTool
from pydantic import BaseModel

from agentkit.answers import AnswerCheck, CallAsText, StructuredOutput, empty_reply
from agentkit.errors import ConfigError, InputError, SessionBusyError
from agentkit.events import Event, LimitReached, ToolFinished, ToolStarted, TurnFinished, TurnStarted
from agentkit.grounding import flagged
from agentkit.limits import Limits, Price
from agentkit.loop import Act, Ask, Reply, finished, react
from agentkit.model import Edge
from agentkit.prefetch import ExactPath, noted
from agentkit.sessions import check_session
from agentkit.text import clean, clean_json, is_clean, shorten
from agentkit.toolbox import Toolbox
from agentkit.turn import Observation, Step, Turn

if TYPE_CHECKING:
    from agentkit.grounding import FindsCodes
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
        price: Price | Mapping[str, Price] | None = None,
        output: type[BaseModel] | None = None,
        clock: Callable[[], float] = time.monotonic,
        new_session: Callable[[], str] | None = None,
        prefetch: Sequence[BaseTool] = (),
        deterministic_only: bool = False,
        guard: Sequence[FindsCodes] = (),
    ) -> None:
        """Make an agent.

        Args:
            model: A Cohere model's name, called at temperature 0 with COHERE_API_KEY and CO_API_URL as the
                environment holds them now; or any LangChain chat model.
            tools: LangChain tools, with names that differ.
            system: The system message ("preamble"), sent first and verbatim; "" sends none.
            memory: Where turns are kept and earlier ones replayed from; None keeps and replays nothing.
            limits: Bounds of a run; None for ``Limits()``: 15 steps, 30 s a tool, 5 equal failures in a row.
            price: What the model's tokens cost, or a table of prices by model name, for `Usage.cost` and
                `Limits.max_cost`; None counts no cost.
            output: The pydantic model an answer must fit, as JSON; `Turn.data` is then one of it. An answer that does
                not fit is shown to the model with what is wrong, twice at most. None takes any answer.
            clock: Seconds from any fixed point, for `Limits.max_seconds` and durations.
            new_session: Makes the id of a session nobody named; by default a random UUID in hex.
            prefetch: Tools to run on the question itself before the first model call, such as a RegexExtractor: the
                model gets their results with the question, as a call already made, and need not ask. They are tools
                of the agent as well, and their steps have round 0.
            deterministic_only: Answer without the model where a prefetch tool covers the question (see
                `RegexExtractor.covers`): the answer is then the tool's result.
            guard: Extractors whose codes the answer may not make up. A code that nothing the model was given holds
                is sent back to be mended, once; then the run ends with a `GroundingError`.

        Raises:
            ConfigError: No key, a model or tool of the wrong kind, or tools that cannot be told apart.
        """
        self.limits = limits or Limits()
        self.system = clean(system)
        self.memory = memory
        if memory is not None and not hasattr(memory, "begin"):
            raise ConfigError(f"memory is {shorten(repr(memory))}: give a Memory, as in Memory('chat.db').")
        if not isinstance(self.limits, Limits):
            raise ConfigError(f"limits is {shorten(repr(limits))}: give Limits(...).")
        if self.limits.max_cost is not None and price is None:
            raise ConfigError("Limits.max_cost needs to know what tokens cost: give the agent a price.")
        self._exact = ExactPath(tools, prefetch=prefetch, deterministic_only=deterministic_only, guard=guard)
        self._toolbox = Toolbox(self._exact.tools, self.limits.tool_timeout_s, max_parallel=self.limits.max_parallel)
        self._output = None if output is None else StructuredOutput(output)
        self._checks: list[AnswerCheck] = [empty_reply, CallAsText(frozenset(self._toolbox.names))]
        if self._output is not None:
            self._checks.append(self._output)
        self._edge = Edge(model, self._toolbox.tools, price, self._output.schema if self._output else None)
        self._clock = clock
        self._new_session = new_session or (lambda: uuid.uuid4().hex)
        self._running: set[str] = set()
        self._lock = threading.Lock()
        recall = None if memory is None else memory.recall_tool()
        everything = Toolbox(
            self._exact.tools,
            self.limits.tool_timeout_s,
            max_parallel=self.limits.max_parallel,
            own=[] if recall is None else [recall],
        )
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
            GroundingError: With a `guard`: the answer holds codes that stand nowhere, also when asked to mend it.
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
        _refuse_kwargs("invoke", kwargs)
        request = self._request(input, None, config)
        return _as_dict(input, self._traced(request, config))

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> dict[str, Any]:
        """As `invoke`, without blocking the event loop."""
        _refuse_kwargs("invoke", kwargs)
        request = self._request(input, None, config)
        return _as_dict(input, await self._atraced(request, config))

    def stream(
        self, input: Any, config: RunnableConfig | None = None, *, session: str | None = None, **kwargs: Any
    ) -> Iterator[Event]:
        """Answer one question, and tell what happens while it does.

        Args:
            input: As for `invoke`.
            config: As for `invoke`.
            session: The conversation; it goes before the one the config names.
            kwargs: None are taken.

        Returns:
            The events of `agentkit.events`, `TurnFinished` last, which has the turn. Left early, the model call is
            closed, tools that are running are left behind (`astream` cancels async ones), and the turn is kept as
            interrupted. Leave `astream` through ``contextlib.aclosing``, or the session stays busy until the event loop
            has cleaned up.

        Raises:
            InputError: As `run`; bad input is refused at once, the rest is raised while the events are read.
        """
        _refuse_running_loop("stream()", "async for event in agent.astream(...)")
        _refuse_kwargs("stream", kwargs)
        request, given = self._request(input, session, config), config
        config = _with_session(config, request.session)
        if not get_callback_manager_for_config(config).handlers:
            return self._events(request, _unwatched(config, given))

        def events(_: Any, run_manager: CallbackManagerForChainRun, config: RunnableConfig) -> Iterator[Event]:
            return self._events(request, config)

        return self._transform_stream_with_config(iter([{"input": request.question}]), events, config)

    async def astream(
        self, input: Any, config: RunnableConfig | None = None, *, session: str | None = None, **kwargs: Any
    ) -> AsyncIterator[Event]:
        """As `stream`, without blocking the event loop."""
        _refuse_kwargs("astream", kwargs)
        request, given = self._request(input, session, config), config
        config = _with_session(config, request.session)
        if not get_callback_manager_for_config(config).handlers:
            stream = self._aevents(request, _unwatched(config, given))
        else:

            def events(_: Any, run_manager: AsyncCallbackManagerForChainRun, config: RunnableConfig) -> Any:
                return self._aevents(request, config)

            async def question() -> AsyncIterator[Any]:
                yield {"input": request.question}

            stream = self._atransform_stream_with_config(question(), events, config)
        async with aclosing(stream):  # type: ignore[type-var]
            async for event in stream:
                yield event

    # --- one turn ------------------------------------------------------------------------------------------

    def _traced(self, request: _Request, given: RunnableConfig | None) -> Turn:
        """Run under a LangChain run of its own, so that callbacks see one tree: the agent, its model, its tools."""
        config = _with_session(given, request.session)
        if not get_callback_manager_for_config(config).handlers:
            return self._run(request, _unwatched(config, given))

        def run(_: Any, run_manager: CallbackManagerForChainRun, config: RunnableConfig) -> Turn:
            return self._run(request, config)

        turn: Turn = self._call_with_config(run, {"input": request.question}, config)
        return turn

    async def _atraced(self, request: _Request, given: RunnableConfig | None) -> Turn:
        config = _with_session(given, request.session)
        if not get_callback_manager_for_config(config).handlers:
            return await self._arun(request, _unwatched(config, given))

        async def run(_: Any, run_manager: AsyncCallbackManagerForChainRun, config: RunnableConfig) -> Turn:
            return await self._arun(request, config)

        turn: Turn = await self._acall_with_config(run, {"input": request.question}, config)
        return turn

    def _run(self, request: _Request, config: RunnableConfig) -> Turn:
        with self._turn(request) as (flow, journal, kit):
            wanted = _advance(flow, None)
            while not isinstance(wanted, Turn):
                if isinstance(wanted, Ask):
                    wanted = _advance(flow, kit.edge.ask(wanted, config))
                else:
                    journal.calls(wanted.steps)
                    seen = zip(wanted.steps, kit.toolbox.act(wanted, config), strict=True)
                    wanted = _advance(flow, [self._finished(wanted, step, result, journal) for step, result in seen])
            return self._with_data(journal.finish(wanted))

    async def _arun(self, request: _Request, config: RunnableConfig) -> Turn:
        with self._turn(request) as (flow, journal, kit):
            wanted = _advance(flow, None)
            while not isinstance(wanted, Turn):
                if isinstance(wanted, Ask):
                    wanted = _advance(flow, await kit.edge.aask(wanted, config))
                else:
                    journal.calls(wanted.steps)
                    done: list[Step] = []
                    async with aclosing(kit.toolbox.aact(wanted, config)) as seen:  # type: ignore[type-var]
                        async for observation in seen:
                            done.append(self._finished(wanted, wanted.steps[len(done)], observation, journal))
                    wanted = _advance(flow, done)
            return self._with_data(journal.finish(wanted))

    def _events(self, request: _Request, config: RunnableConfig) -> Iterator[Event]:
        with self._turn(request) as (flow, journal, kit):
            yield TurnStarted(request.session, request.question)
            wanted = _advance(flow, None)
            while not isinstance(wanted, Turn):
                answer: Any = None
                if isinstance(wanted, Ask):
                    yield from _limit_event(wanted)
                    for event in kit.edge.stream(wanted, config):
                        if isinstance(event, Reply):
                            answer = event
                        else:
                            yield event
                else:
                    journal.calls(wanted.steps)
                    yield from map(ToolStarted, wanted.steps)
                    answer = []
                    for step, seen in zip(wanted.steps, kit.toolbox.act(wanted, config), strict=True):
                        answer.append(self._finished(wanted, step, seen, journal))
                        yield ToolFinished(answer[-1])
                wanted = _advance(flow, answer)
            turn = self._with_data(journal.finish(wanted))
        yield TurnFinished(turn)

    async def _aevents(self, request: _Request, config: RunnableConfig) -> AsyncIterator[Event]:
        with self._turn(request) as (flow, journal, kit):
            yield TurnStarted(request.session, request.question)
            wanted = _advance(flow, None)
            while not isinstance(wanted, Turn):
                answer: Any = None
                if isinstance(wanted, Ask):
                    for limit in _limit_event(wanted):
                        yield limit
                    async with aclosing(kit.edge.astream(wanted, config)) as events:  # type: ignore[type-var]
                        async for event in events:
                            if isinstance(event, Reply):
                                answer = event
                            else:
                                yield event
                else:
                    journal.calls(wanted.steps)
                    for step in wanted.steps:
                        yield ToolStarted(step)
                    answer = []
                    async with aclosing(kit.toolbox.aact(wanted, config)) as seen:  # type: ignore[type-var]
                        async for observation in seen:
                            answer.append(self._finished(wanted, wanted.steps[len(answer)], observation, journal))
                            yield ToolFinished(answer[-1])
                wanted = _advance(flow, answer)
            turn = self._with_data(journal.finish(wanted))
        yield TurnFinished(turn)

    def _with_data(self, turn: Turn) -> Turn:
        if self._output is None or turn.stop_reason == "invalid_output":
            return turn
        try:
            return turn.model_copy(update={"data": self._output.read(turn.output)})
        except ValueError:  # a turn that ended at a limit or was cut
            return turn

    def _finished(self, act: Act, step: Step, seen: Observation, journal: _Journal) -> Step:
        done = finished(step, noted(act, step, seen), self.limits.max_observation_chars)
        journal.results([done])
        return done

    @contextmanager
    def _turn(self, request: _Request) -> Iterator[tuple[Generator[Ask | Act, Any, Turn], _Journal, _Kit]]:
        """The loop, the journal it is written to (closed if it is broken off), and what the model is offered."""
        with self._alone(request.session):
            journal = _Journal(self.memory, request, self._condense)
            try:
                history, kit = self._history(request)
                system = [SystemMessage(request.system)] if request.system else []
                messages = [*system, *history, HumanMessage(request.question)]
                start = partial(react, limits=self.limits, clock=self._clock, checks=self._checks)
                limit = self.limits.max_seconds
                flow = self._exact.turn(messages, start, clock=self._clock, max_seconds=limit)
                yield self._flagged(flow, messages, kit), journal, kit
            except BaseException:
                journal.interrupt()
                raise

    def _flagged(
        self, flow: Generator[Ask | Act, Any, Turn], messages: list[BaseMessage], kit: _Kit
    ) -> Generator[Ask | Act, Any, Turn]:
        turn = yield from flow
        return flagged(turn, messages, kit.edge.documents) if turn.citations else turn

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
                self._recalling = _Kit(self._everything, self._edge.offering(self._everything.tools))
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


def _unwatched(config: RunnableConfig, given: RunnableConfig | None) -> RunnableConfig:
    """The config where nobody is watching: what the caller gave, and no defaults, which cost 70 us a step."""
    own: Any = {key: value for key, value in (given or {}).items() if key != "callbacks"}
    own["configurable"] = config.get("configurable", {})
    return cast("RunnableConfig", own)


def _clean_message(message: BaseMessage) -> BaseMessage:
    return message if is_clean(message.content) else message.model_copy(update={"content": clean_json(message.content)})


def _messages_of(history: Any) -> tuple[BaseMessage, ...]:
    try:
        return tuple(map(_clean_message, convert_to_messages(history)))
    except (TypeError, ValueError, NotImplementedError) as error:
        raise InputError(
            f"chat_history is {shorten(repr(history))}: give LangChain messages, such as HumanMessage and AIMessage."
        ) from error


def _refuse_kwargs(call: str, kwargs: Mapping[str, Any]) -> None:
    if kwargs:
        raise InputError(f"{call} takes no {', '.join(sorted(kwargs))}: put settings on the Agent or its model.")


def _limit_event(ask: Ask) -> Iterator[Event]:
    if ask.limit is not None:
        yield LimitReached(ask.limit)


def _refuse_running_loop(call: str = "run()", instead: str = "await agent.arun(...)") -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    if "IPython" in sys.modules and sys.modules["IPython"].get_ipython() is not None:
        return  # a notebook cell runs inside a loop of its own, and blocking it harms nobody
    raise InputError(f"{call} would block the event loop that is running here: use `{instead}`.")


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
