"""The deterministic path around the loop: tools run on the user's own words, and answers are checked.

`ExactPath.turn` wraps `agentkit.loop.react.react` and, like the loop, does no IO but yields requests. Before the first
model call it runs the prefetch tools and adds their results to the message list as finished calls; if they cover the
question, it answers without the model. During the loop it supplies the results of calls already made, and flags calls
whose argument occurs nowhere in the conversation. At the end it checks the answer's codes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import BaseTool
from pydantic import BaseModel

from agentkit import prompts
from agentkit.base.text import shorten
from agentkit.errors import ConfigError
from agentkit.grounding import Evidence, FindsCodes, grounding_error, ungrounded
from agentkit.loop.protocol import Act, Ask, Reply
from agentkit.loop.react import LAST_ANSWER_S, STOPPED_BY, retold
from agentkit.turn import Citation, Observation, Step, StopReason, ToolCall, Turn

Flow = Generator[Ask | Act, Any, Turn]


class ExactPath:
    """The work one agent does without its model."""

    def __init__(
        self,
        tools: Sequence[BaseTool],
        *,
        prefetch: Sequence[BaseTool] = (),
        deterministic_only: bool = False,
        guard: Sequence[FindsCodes] = (),
    ) -> None:
        """Check the settings.

        Args:
            tools: The agent's tools.
            prefetch: Tools to run on the question before the first model call; those not in `tools` are added.
            deterministic_only: True to answer without the model if a prefetch tool covers the question.
            guard: Extractors whose codes an answer may not invent.

        Raises:
            ConfigError: A prefetch tool has no argument for the question, no tool can cover a question, or a guard
                finds no codes.
        """
        for given, name in ((prefetch, "prefetch"), (guard, "guard")):
            if isinstance(given, (str, BaseTool)) or not isinstance(given, Sequence):
                raise ConfigError(f"{name} is {shorten(repr(given))}: give a list, as in {name}=[extractor].")
        for tool in prefetch:
            if not isinstance(tool, BaseTool):
                raise ConfigError(f"prefetch holds {shorten(repr(tool))}, which is not a LangChain tool.")
        for finder in guard:
            if not isinstance(finder, FindsCodes):
                raise ConfigError(f"guard holds {shorten(repr(finder))}, which finds no codes: give a RegexExtractor.")
        known = {id(tool) for tool in tools}
        self.tools: tuple[BaseTool, ...] = (*tools, *(tool for tool in prefetch if id(tool) not in known))
        self._prefetch = [(tool, _question_argument(tool)) for tool in prefetch]
        self._guard = tuple(guard)
        self._covering = [tool for tool in prefetch if hasattr(tool, "covers")] if deterministic_only else []
        if deterministic_only and not self._covering:
            raise ConfigError(
                "deterministic_only=True needs a prefetch tool that can tell that a question is covered: "
                "give prefetch=[extractor], a RegexExtractor or RequestBuilder with filler words."
            )
        # Tools that declare an argument for the user's message return nothing that is not in it.
        self._repeats: dict[str, str] = {
            tool.name: argument for tool in self.tools if isinstance(argument := _declared(tool), str)
        }
        self.does_nothing = not (self._prefetch or self._guard or self._repeats)

    def turn(
        self,
        messages: list[BaseMessage],
        start: Callable[..., Flow],
        *,
        clock: Callable[[], float],
        max_seconds: float | None = None,
        so_far: Sequence[Step] = (),
    ) -> Flow:
        """Run the whole turn, the loop included.

        Args:
            messages: System message, replayed history and the question, in order.
            start: Starts the loop with a message list, and with earlier steps as ``so_far``.
            clock: Returns seconds from any fixed point; only differences are used.
            max_seconds: Seconds the whole turn may take; None for no limit.
            so_far: Steps of the turn from before it was interrupted or paused; nothing is prefetched again.

        Raises:
            GroundingError: The answer has invented codes, even after the model was asked to correct it.
        """
        began = clock()
        question = messages[-1].text
        evidence = Evidence(messages, self._repeats)
        steps = tuple(step for step in so_far if step.round == 0)
        so_far = so_far[len(steps) :]
        if self._prefetch and not steps and not so_far:
            steps = tuple((yield _prefetched(self._prefetch, question, messages, max_seconds)))
        if not so_far and (covering := self._covers(question, steps)) is not None:
            return _answered_by(covering, question, steps, clock() - began)
        if steps:
            messages = [*messages, *_as_messages(steps)]
            evidence.add(steps)
        evidence.add(so_far)
        turn, asked = yield from self._attended(start(messages, so_far=so_far), question, steps, evidence)
        if self._guard and turn.output and turn.stop_reason != "refused":
            until = None if max_seconds is None else max(began + max_seconds, clock() + LAST_ANSWER_S)
            turn = yield from _guarded(turn, asked, evidence, self._guard, until)
        return turn.model_copy(
            update={"input": question, "steps": (*steps, *turn.steps), "duration_s": clock() - began}
        )

    def _covers(self, question: str, steps: Sequence[Step]) -> Step | None:
        for (tool, _), step in zip(self._prefetch, steps, strict=False):  # a resumed turn may come from another agent
            same = step.tool == tool.name and any(tool is covering for covering in self._covering)
            if same and step.ok and tool.covers(question):  # type: ignore[attr-defined]
                return step
        return None

    def _attended(
        self, flow: Flow, question: str, steps: Sequence[Step], evidence: Evidence
    ) -> Generator[Ask | Act, Any, tuple[Turn, list[BaseMessage]]]:
        """Yield the loop's requests, each `Act` with known results and notes; return the turn and its messages."""
        answer: Any = None
        asked: list[BaseMessage] = []
        while True:
            try:
                wanted = flow.send(answer)
            except StopIteration as stop:
                return stop.value, asked
            if isinstance(wanted, Ask):
                asked = wanted.messages
                answer = yield wanted
            else:
                answer = yield self._told(wanted, question, steps, evidence)
                evidence.add(answer)

    def _told(self, act: Act, question: str, steps: Sequence[Step], evidence: Evidence) -> Act:
        known: dict[str, Observation] = {}
        notes: dict[str, str] = {}
        for call in act.calls:
            if (seen := _already_made(call, question, steps, self._repeats)) is not None:
                known[call.id] = seen
            elif (argument := self._repeats.get(call.name)) is not None:
                copied = call.arguments.get(argument)
                if isinstance(copied, str) and not evidence.holds(copied):
                    notes[call.id] = prompts.not_their_words(argument)
        return replace(act, known=known, notes=notes) if known or notes else act


def _declared(tool: BaseTool) -> object:
    return getattr(tool, "question_argument", None)


def _question_argument(tool: BaseTool) -> str:
    """Return the argument for the question: the one the tool declares, else its only one if that is a text."""
    declared = _declared(tool)
    if isinstance(declared, str):
        return declared
    schema = tool.tool_call_schema
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        schema = schema.model_json_schema()
    spec = schema if isinstance(schema, dict) else {}
    fields = spec.get("properties", {})
    needed = spec.get("required", ())
    texts = [name for name in needed if fields[name].get("type") == "string"]
    if len(needed) == len(texts) == 1:
        return str(texts[0])
    raise ConfigError(
        f"The prefetch tool {tool.name!r} cannot be given the question: it needs {', '.join(needed) or 'no argument'}. "
        "Give a tool with one required text argument, such as a RegexExtractor."
    )


def _prefetched(
    tools: Sequence[tuple[BaseTool, str]], question: str, messages: Sequence[BaseMessage], seconds: float | None
) -> Act:
    taken = {call["id"] for message in messages if isinstance(message, AIMessage) for call in message.tool_calls}
    calls: list[ToolCall] = []
    for tool, argument in tools:
        wanted = call_id = f"{tool.name}_0_{len(calls)}"
        n = 1
        while call_id in taken:
            n += 1
            call_id = f"{wanted}~{n}"
        calls.append(ToolCall(id=call_id, name=tool.name, arguments={argument: question}))
    steps = tuple(Step(tool=call.name, tool_input=call.arguments, ok=False, call_id=call.id, round=0) for call in calls)
    return Act(tuple(calls), steps, seconds)


def _as_messages(steps: Sequence[Step]) -> list[BaseMessage]:
    results = [ToolMessage(step.observation, tool_call_id=step.call_id, name=step.tool) for step in steps]
    return [retold(steps), *results]


def _answered_by(step: Step, question: str, steps: tuple[Step, ...], duration_s: float) -> Turn:
    """Return a turn without a model: the tool's result is the answer, and cites itself."""
    output = step.result.content if step.result is not None else step.observation
    source = Citation(start=0, end=len(output), text=output, sources=(f"{step.call_id}:0",), call_ids=(step.call_id,))
    return Turn(input=question, steps=steps, output=output, citations=(source,), duration_s=duration_s)


def _already_made(call: ToolCall, question: str, steps: Sequence[Step], repeats: dict[str, str]) -> Observation | None:
    """Return the result of `call` if it was prefetched; whitespace and quotes around a copied argument are ignored."""
    for step in steps:
        if step.tool != call.name or step.result is None or not step.ok:  # a failed call may be retried
            continue
        if step.tool_input == call.arguments:
            return step.result
        copied = call.arguments.get(repeats.get(call.name, ""))
        if isinstance(copied, str) and len(call.arguments) == 1 and _bare(copied) == _bare(question):
            return step.result
    return None


def _bare(text: str) -> str:
    return " ".join(text.split()).strip("\"'` ")


def _guarded(
    turn: Turn, asked: list[BaseMessage], evidence: Evidence, guard: Sequence[FindsCodes], until: float | None
) -> Flow:
    """Return `turn`, or the corrected one: the model is asked once to omit or correct the codes it invented."""
    loose = ungrounded(turn.output, evidence, guard)
    if not loose:
        return turn
    mend = HumanMessage(prompts.mend_codes([match.raw for match in loose]))
    reply: Reply = yield Ask([*asked, AIMessage(turn.output), mend], offer_tools=False, until=until)
    loose = ungrounded(reply.text, evidence, guard)
    if loose:
        raise grounding_error(loose)
    stop: StopReason = turn.stop_reason
    if stop in ("answered", "max_tokens", "model_error"):
        stop = "answered" if reply.text.strip() else "empty_reply"
    stop = STOPPED_BY.get(reply.finish, stop)
    return turn.model_copy(
        update={
            "output": reply.text,
            "citations": reply.citations,
            "thinking": reply.thinking,
            "usage": turn.usage + reply.usage,
            "stop_reason": stop,
        }
    )
