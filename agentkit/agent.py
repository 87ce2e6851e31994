"""`Agent`: the public object. It prepares a turn, runs it, and stores the result."""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import aclosing, closing, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import AsyncCallbackManagerForChainRun, CallbackManagerForChainRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import get_callback_manager_for_config
from langchain_core.tools import BaseTool
from pydantic import BaseModel

from agentkit.approval import Decisions, Resume
from agentkit.base import log
from agentkit.base.sessions import BusySessions
from agentkit.base.text import clean, shorten
from agentkit.errors import ConfigError
from agentkit.events import Event, TurnFinished, TurnStarted
from agentkit.grounding import flagged
from agentkit.limits import Limits, Price
from agentkit.loop.answer_checks import AnswerCheck, CallAsText, StructuredOutput, empty_reply
from agentkit.loop.history_rules import apart
from agentkit.loop.prefetch import ExactPath
from agentkit.loop.protocol import Act, Ask
from agentkit.loop.react import react
from agentkit.models.chat_model import Edge
from agentkit.run.approval_gate import Approver, Gate, checked_approver
from agentkit.run.driver import TurnRun
from agentkit.run.event_stream import EventStream
from agentkit.run.hooks import HookChain, Hooks, checked_hooks
from agentkit.run.request import (
    Request,
    as_dict,
    refuse_kwargs,
    refuse_running_loop,
    request_of,
    unwatched,
    with_session,
)
from agentkit.run.turn_record import NoMemory, TurnRecord
from agentkit.toolbox.toolbox import Toolbox
from agentkit.turn import Step, Turn

if TYPE_CHECKING:
    from agentkit.cohere.options import CohereOptions
    from agentkit.cohere.retry import RetryPolicy
    from agentkit.grounding import FindsCodes
    from agentkit.memory import Memory


@dataclass(frozen=True, slots=True)
class _Offer:
    """Tools, and the model that can call them."""

    toolbox: Toolbox
    edge: Edge


class Agent(Runnable[Any, Any]):
    """Answers questions with tools, and remembers how it found the answers.

    An agent holds no state of a conversation: its memory does, by session. One agent can serve many sessions at once,
    from threads and from asyncio; a second run in a session that is running is refused.

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
        options: CohereOptions | None = None,
        retry: RetryPolicy | None = None,
        approve: Approver | None = None,
        hooks: Hooks | Sequence[Hooks] = (),
    ) -> None:
        """Make an agent.

        Args:
            model: A Cohere model's name, called at temperature 0 with COHERE_API_KEY and CO_API_URL from the
                environment, read now; or any LangChain chat model.
            tools: LangChain tools with different names.
            system: The system message ("preamble"), sent first and unchanged; "" sends none.
            memory: Stores turns and replays earlier ones; None stores and replays nothing.
            limits: Limits of a run; None for ``Limits()``: 15 steps, 30 s for each tool call, 5 equal failures in a
                row.
            price: The price of the model's tokens, or a table of prices by model name, for `Usage.cost` and
                `Limits.max_cost`; None counts no cost.
            output: A pydantic model: the answer must be JSON that fits it, and `Turn.data` is then an instance. If an
                answer does not fit, the model is told why and asked again, twice at most. None accepts any answer.
            clock: Returns seconds from any fixed point, for `Limits.max_seconds` and durations.
            new_session: Returns the id of a new session if the caller gives none; by default a random UUID in hex.
            prefetch: Tools to run on the question before the first model call, such as a RegexExtractor: the model gets
                their results with the question, as calls already made. The agent has them as tools too; their steps
                have round 0.
            deterministic_only: If a prefetch tool covers the question (see `RegexExtractor.covers`), answer with the
                tool's result and do not call the model.
            guard: Extractors whose codes the answer may not invent. If a code occurs in nothing the model was given,
                the model is asked once to correct its answer; if that fails, the run ends with a `GroundingError`.
            options: Settings of every request to a Cohere model; they override those of a model object.
            retry: How failed requests to a Cohere model are retried; None for ``RetryPolicy()``, or the policy of a
                model object.
            approve: Called with each `ToolCall` that needs approval by its `ToolPolicy`; returns True or ``Approve()``,
                False or ``Deny("why")``, ``Edit({...})`` with other arguments, or None to pause the run until `resume`,
                which needs a memory. With `arun` and `astream` it may be a coroutine function. Its time counts in
                `Limits.max_seconds`. None pauses the run at each such call.
            hooks: Functions that see, and may change or refuse, what is sent to and received from model and tools.

        Raises:
            ConfigError: No key, a model or tool of the wrong type, two tools of one name, options the model cannot
                take, or tools that need approval without ``approve`` or a memory.
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
        toolbox = self._tools_with(())
        self._output = None if output is None else StructuredOutput(output)
        self._checks: list[AnswerCheck] = [empty_reply, CallAsText(frozenset(toolbox.names))]
        if self._output is not None:
            self._checks.append(self._output)
        schema = self._output.schema if self._output else None
        edge = Edge(model, toolbox.tools, price, schema, options=options, retry=retry, clock=clock)
        self._offer = _Offer(toolbox, edge)
        self._store = NoMemory() if memory is None else memory
        self._clock = clock
        self._hooks = checked_hooks(hooks)
        self._approve = checked_approver(approve)
        self._check_approval(prefetch)
        self._new_session = new_session or (lambda: uuid.uuid4().hex)
        self._busy = BusySessions()

    def _tools_with(self, own: Sequence[BaseTool]) -> Toolbox:
        limits = self.limits
        return Toolbox(self._exact.tools, limits.tool_timeout_s, max_parallel=limits.max_parallel, own=own)

    def _check_approval(self, prefetch: Sequence[BaseTool]) -> None:
        asking = [name for name, policy in self._offer.toolbox.policies.items() if policy.approval]
        if asking and self._approve is None and self.memory is None:
            raise ConfigError(
                f"The tool {asking[0]!r} needs approval, which nobody could give: pass approve=..., or a memory, in "
                "which a paused run waits for resume()."
            )
        early = [tool.name for tool in prefetch if tool.name in asking]
        if early:
            raise ConfigError(f"The prefetch tool {early[0]!r} cannot need approval: it runs before anything is asked.")

    @property
    def tools(self) -> tuple[BaseTool, ...]:
        """Return the tools, in the order given."""
        return self._offer.toolbox.tools

    @property
    def model(self) -> BaseChatModel:
        """Return the chat model; one given by name is built at first use."""
        return self._offer.edge.model

    # --- the four ways to run a turn ---------------------------------------------------------------------

    def run(self, question: str, *, session: str | None = None, config: RunnableConfig | None = None) -> Turn:
        """Answer one question and return the turn.

        Args:
            question: The user's question; not empty.
            session: The conversation, 1 to 200 printable characters; None starts a new one, whose id is in
                `Turn.session`.
            config: LangChain config: callbacks, tags and metadata reach the model and the tools.

        Returns:
            The turn. If calls wait for approval, it is paused: `Turn.stop_reason` is ``needs_approval``, `Turn.pending`
            has the calls, and `resume` continues it.

        Raises:
            InputError: An empty question, or a call from inside a running event loop (there: ``await
                agent.arun(...)``; in a notebook cell both work).
            SessionError: An impossible session name.
            SessionBusyError: The session is already running.
            ModelError: The model could not be reached, or refused the request; memory keeps the steps so far.
            GroundingError: With a `guard`: the answer has invented codes, even after the model was asked to correct it.
            HookError: A hook, `approve` or an approval function raised an exception.
            StoreError: Memory could not be read or written.
        """
        refuse_running_loop()
        return self._traced(self._request({"input": question}, session, config), config)

    async def arun(self, question: str, *, session: str | None = None, config: RunnableConfig | None = None) -> Turn:
        """Do as `run` does, without blocking the event loop."""
        return await self._atraced(self._request({"input": question}, session, config), config)

    def resume(self, session: str, decision: Decisions | None = None, *, config: RunnableConfig | None = None) -> Turn:
        """Continue the session's last turn, if it was interrupted or paused.

        Calls that have a result are not repeated. Nor are calls that were running when the program ended: the model is
        told that their outcome is unknown. Limits continue to count, except seconds, which restart. The agent's system
        message and the replay of memory precede the question, as in `run`. If the memory redacts, the model sees the
        redacted steps.

        Args:
            session: The session.
            decision: The decision on all pending calls: True, False, ``Approve()``, ``Deny("why")`` or, for a single
                call, ``Edit({...})``; or a dict of these by call id. `approve` is asked about calls not in the dict;
                without it they keep waiting, and the turn stays paused.
            config: As for `run`.

        Returns:
            The whole turn, earlier steps included.

        Raises:
            InputError: The last turn is over, so there is nothing to resume; or a decision fits no pending call.
            ConfigError: The agent has no memory.
            SessionError: There is no such session.
            SessionBusyError: The session is running.
            AgentKitError: As for `run`.
        """
        refuse_running_loop("resume()", "await agent.aresume(...)")
        return self._traced(self._request(Resume(decision), session, config), config)

    async def aresume(
        self, session: str, decision: Decisions | None = None, *, config: RunnableConfig | None = None
    ) -> Turn:
        """Do as `resume` does, without blocking the event loop."""
        return await self._atraced(self._request(Resume(decision), session, config), config)

    def invoke(
        self, input: Any, config: RunnableConfig | None = None, *, session: str | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Answer one question and return a dict as LangChain's AgentExecutor does.

        Args:
            input: The question; or a dict with ``input``, and optionally ``preamble`` (instead of the agent's
                system message) and ``chat_history`` (messages, instead of the replay of memory); or a `Resume`.
            config: LangChain config; ``config["configurable"]["session"]`` names the session.
            session: The session; it overrides the one in `config`.
            kwargs: None are taken.

        Returns:
            The keys of the input, and ``output``, ``intermediate_steps`` (pairs of AgentAction and the tool's return
            value), ``citations``, ``grounded_output`` and ``turn``.

        Raises:
            InputError: There is no question, or a key has the wrong type; otherwise as for `run`.
        """
        refuse_kwargs("invoke", kwargs)
        return as_dict(input, self._traced(self._request(input, session, config), config))

    async def ainvoke(
        self, input: Any, config: RunnableConfig | None = None, *, session: str | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Do as `invoke` does, without blocking the event loop."""
        refuse_kwargs("invoke", kwargs)
        return as_dict(input, await self._atraced(self._request(input, session, config), config))

    def stream(
        self, input: Any, config: RunnableConfig | None = None, *, session: str | None = None, **kwargs: Any
    ) -> Iterator[Event]:
        """Answer one question, and yield events as they happen.

        Args:
            input: As for `invoke`; a `Resume` continues the last turn, as `resume` does.
            config: As for `invoke`.
            session: The conversation; it overrides the one in `config`.
            kwargs: None are taken.

        Returns:
            The events of `agentkit.events`; the last is `TurnFinished`, which has the turn. If you stop reading early,
            the model call is closed, running tools are abandoned (`astream` cancels async ones), and the turn is stored
            as interrupted. After a bare ``break`` out of `astream` the event loop closes the stream a little later, and
            the next `arun` or `astream` in the session waits for that; ``contextlib.aclosing`` closes it at once.

        Raises:
            InputError: As for `run`; this error is raised at once, the others of `run` while the events are read.
        """
        refuse_running_loop("stream()", "async for event in agent.astream(...)")
        refuse_kwargs("stream", kwargs)
        request, given = self._request(input, session, config), config
        config = with_session(config, request.session)
        if not get_callback_manager_for_config(config).handlers:
            return self._events(request, unwatched(config, given))

        def events(_: Any, run_manager: CallbackManagerForChainRun, config: RunnableConfig) -> Iterator[Event]:
            return self._events(request, config)

        return self._transform_stream_with_config(iter([request.shown]), events, config)

    def astream(
        self, input: Any, config: RunnableConfig | None = None, *, session: str | None = None, **kwargs: Any
    ) -> AsyncIterator[Event]:
        """Do as `stream` does, without blocking the event loop."""
        refuse_kwargs("astream", kwargs)
        request = self._request(input, session, config)
        return EventStream(self._astream(request, config), partial(self._busy.dropped, request.session))

    async def _astream(self, request: Request, given: RunnableConfig | None) -> AsyncGenerator[Event, None]:
        config = with_session(given, request.session)
        if not get_callback_manager_for_config(config).handlers:
            stream: AsyncIterator[Event] = self._aevents(request, unwatched(config, given))
        else:

            def events(_: Any, run_manager: AsyncCallbackManagerForChainRun, config: RunnableConfig) -> Any:
                return self._aevents(request, config)

            async def question() -> AsyncIterator[Any]:
                yield request.shown

            stream = self._atransform_stream_with_config(question(), events, config)
        async with aclosing(stream):  # type: ignore[type-var]
            async for event in stream:
                yield event

    # --- one turn ------------------------------------------------------------------------------------------

    def _traced(self, request: Request, given: RunnableConfig | None) -> Turn:
        """Run the turn as one LangChain run, so that callbacks see one tree: agent, model, tools."""
        config = with_session(given, request.session)
        if not get_callback_manager_for_config(config).handlers:
            return self._run(request, unwatched(config, given))

        def run(_: Any, run_manager: CallbackManagerForChainRun, config: RunnableConfig) -> Turn:
            return self._run(request, config)

        turn: Turn = self._call_with_config(run, request.shown, config)
        return turn

    async def _atraced(self, request: Request, given: RunnableConfig | None) -> Turn:
        config = with_session(given, request.session)
        if not get_callback_manager_for_config(config).handlers:
            return await self._arun(request, unwatched(config, given))

        async def run(_: Any, run_manager: AsyncCallbackManagerForChainRun, config: RunnableConfig) -> Turn:
            return await self._arun(request, config)

        turn: Turn = await self._acall_with_config(run, request.shown, config)
        return turn

    def _run(self, request: Request, config: RunnableConfig) -> Turn:
        with closing(self._events(request, config, streamed=False)) as events:
            return _turn_of(deque(events, maxlen=1).pop())

    async def _arun(self, request: Request, config: RunnableConfig) -> Turn:
        last: Event | None = None
        async with aclosing(self._aevents(request, config, streamed=False)) as events:
            async for event in events:
                last = event
        return _turn_of(last)

    def _events(self, request: Request, config: RunnableConfig, *, streamed: bool = True) -> Generator[Event]:
        with self._turn(request, config, streamed=streamed) as run:
            yield TurnStarted(request.session, run.record.question)
            turn = self._with_data((yield from run.events()))
        yield TurnFinished(self._ended(turn, run))

    async def _aevents(
        self, request: Request, config: RunnableConfig, *, streamed: bool = True
    ) -> AsyncGenerator[Event]:
        turn = None
        await self._busy.closed(request.session)
        with self._turn(request, config, streamed=streamed) as run:
            yield TurnStarted(request.session, run.record.question)
            async with aclosing(run.aevents()) as events:  # type: ignore[type-var]
                async for event in events:
                    if isinstance(event, Turn):
                        turn = self._with_data(event)
                    else:
                        yield event
        assert turn is not None
        yield TurnFinished(self._ended(turn, run))

    def _ended(self, turn: Turn, run: TurnRun) -> Turn:
        log.turn_finished(turn)
        if run.hooks is not None:
            run.hooks.on_turn(turn)
        return turn

    def _with_data(self, turn: Turn) -> Turn:
        if self._output is None or turn.stop_reason == "invalid_output":
            return turn
        try:
            return turn.model_copy(update={"data": self._output.read(turn.output)})
        except ValueError:  # if a limit ended the turn or its answer was cut
            return turn

    @contextmanager
    def _turn(self, request: Request, config: RunnableConfig, *, streamed: bool) -> Iterator[TurnRun]:
        """Yield the run of the turn; if the block raises, close the turn as interrupted."""
        with self._busy.alone(request.session):
            log.turn_started(request.session, resumed=request.resume is not None)
            record = TurnRecord(self._store, request, self._condense)
            try:
                yield self._turn_run(request, record, config, streamed=streamed)
            except BaseException as error:
                log.turn_broken(request.session, error)
                record.interrupt()
                raise

    def _turn_run(self, request: Request, record: TurnRecord, config: RunnableConfig, *, streamed: bool) -> TurnRun:
        history, offer = self._history(request)
        history = apart(history, [step.call_id for step in record.so_far])
        system = [SystemMessage(request.system)] if request.system else []
        messages = [*system, *history, HumanMessage(record.question)]
        start = partial(react, limits=self.limits, clock=self._clock, checks=self._checks)
        if self._exact.does_nothing:
            flow = start(messages, so_far=record.so_far)
        else:
            flow = self._exact.turn(
                messages, start, clock=self._clock, max_seconds=self.limits.max_seconds, so_far=record.so_far
            )
        hooks = HookChain(self._hooks, request.session) if self._hooks else None
        gate = None
        if hooks is not None or self._asks or request.resume is not None:
            gate = Gate(offer.toolbox, hooks, self._approve, record.decisions)
        return TurnRun(
            flow=_flagged(flow, messages, offer.edge),
            record=record,
            toolbox=offer.toolbox,
            edge=offer.edge,
            gate=gate,
            hooks=hooks,
            max_chars=self.limits.max_observation_chars,
            config=config,
            streamed=streamed,
        )

    def _history(self, request: Request) -> tuple[Sequence[BaseMessage], _Offer]:
        """Return the messages before the question, and the tools: with `recall` if memory omitted something."""
        if request.history is not None:
            return request.history, self._offer
        if not request.named_session:
            return [], self._offer
        history = self._store.replay(request.session)
        if self._store.recall_tool(request.session, history) is None:
            return history, self._offer
        return history, self._offer_with_recall

    @cached_property
    def _condense(self) -> dict[str, Callable[[Step], Mapping[str, Any]]]:
        policies = self._all_tools.policies
        return {name: policy.condense for name, policy in policies.items() if policy.condense is not None}

    @cached_property
    def _asks(self) -> bool:
        """True if a tool may need approval."""
        return any(policy.approval for policy in self._offer.toolbox.policies.values())

    @cached_property
    def _all_tools(self) -> Toolbox:
        """Return the agent's tools and `recall`."""
        recall = self._store.recall_tool()
        return self._tools_with([] if recall is None else [recall])

    @cached_property
    def _offer_with_recall(self) -> _Offer:
        if type(self.model).bind_tools is BaseChatModel.bind_tools:
            return self._offer  # the model calls no tools, so it gets no `recall`
        return _Offer(self._all_tools, self._offer.edge.offering(self._all_tools.tools))

    def _request(self, input: Any, session: str | None, config: RunnableConfig | None) -> Request:
        return request_of(input, session, config, system=self.system, new_session=self._new_session)


def _flagged(
    flow: Generator[Ask | Act, Any, Turn], messages: list[BaseMessage], edge: Edge
) -> Generator[Ask | Act, Any, Turn]:
    """Run the loop, and flag the citations of its turn that no source supports."""
    turn = yield from flow
    return flagged(turn, messages, edge.documents) if turn.citations else turn


def _turn_of(last: Event | None) -> Turn:
    """Return the turn in a run's last event."""
    assert isinstance(last, TurnFinished)
    return last.turn
