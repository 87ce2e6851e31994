"""`AugmentedChatMessageHistory`: this memory behind LangChain's chat history, and turns made of LangChain messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from agentkit.base.session_names import check_session
from agentkit.base.text import shorten
from agentkit.errors import ConfigError, InputError
from agentkit.memory.store.stored_json import UNKNOWN
from agentkit.observe import observe
from agentkit.turn import Observation, Step, StopReason, Turn, Usage

if TYPE_CHECKING:
    from agentkit.memory.memory import Memory


class AugmentedChatMessageHistory(BaseChatMessageHistory):
    """One session of a `Memory` as a LangChain chat history, for ``RunnableWithMessageHistory``.

    What is added is kept whole, as turns; what is read is the memory's replay, which remembers tool calls and what
    came of them in a fraction of the tokens. A question is kept in this object until its answer is added.
    """

    def __init__(
        self, memory: Memory, session: str, *, max_tokens: int | None = None, system_notes: bool = True
    ) -> None:
        """Open a session.

        Args:
            memory: Where turns are kept.
            session: The session; it need not exist.
            max_tokens: Tokens of the replay, by the memory's counter; None for no limit.
            system_notes: Whether the record of what was done stands in system messages of its own; False puts it
                into the question before it, for models that take a system message only at the beginning.

        Raises:
            ConfigError: `memory` is no Memory, or `max_tokens` no budget.
            SessionError: An impossible session name.
        """
        self.system_notes = system_notes
        self.memory = checked_memory(memory, max_tokens)
        self.session = check_session(session)
        self.max_tokens = max_tokens
        self._pending: list[BaseMessage] = []

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]
        """The replay of the session, and a question that has no answer yet."""
        replayed = self.memory.replay(self.session, self.max_tokens)
        return [*(replayed if self.system_notes else folded(replayed)), *self._pending]

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Add what was said: each question with its calls, results and answer becomes a turn.

        System messages are not kept: a turn is what was asked and done. What could not be stored is kept in this
        object, and stored with what is added next.

        Raises:
            InputError: One of them is no message.
            SessionBusyError: A turn of the session is running elsewhere.
            StoreError: The database cannot be used.
        """
        added = list(messages)
        for message in added:
            if not isinstance(message, BaseMessage):
                raise InputError(
                    f"add_messages() was given {shorten(repr(message))}: give LangChain messages, such as HumanMessage."
                )
        turns = list(_turns([*self._pending, *added]))
        self._pending = [message for said in turns for message in said]
        while len(turns) > 1 or (turns and _is_complete(turns[0])):
            said = turns.pop(0)
            self.memory.append(self.session, turn_of_messages(said))
            del self._pending[: len(said)]

    def clear(self) -> None:
        """Delete the session for good."""
        self._pending = []
        if any(info.name == self.session for info in self.memory.sessions()):
            self.memory.delete(self.session)


def checked_memory(memory: object, max_tokens: object) -> Memory:
    """The memory, if it is one and this may be a budget.

    Raises:
        ConfigError: It is none, or may not.
    """
    from agentkit.memory.memory import Memory, check_budget

    if not isinstance(memory, Memory):
        raise ConfigError(f"memory is {shorten(repr(memory))}: give a Memory.")
    try:
        check_budget(max_tokens)
    except InputError as error:
        raise ConfigError(str(error)) from None
    return memory


def turn_of_messages(messages: Sequence[BaseMessage]) -> Turn:
    """A turn made of the messages of one: the question, calls with their results, and the answer."""
    question = "\n".join(m.text for m in messages if isinstance(m, HumanMessage))
    results = {m.tool_call_id: m for m in messages if isinstance(m, ToolMessage)}
    replies = [m for m in messages if isinstance(m, AIMessage)]
    steps = [step for n, m in enumerate(replies, 1) for step in _steps(m, n, results)]
    last = replies[-1] if replies else None
    answered = last is not None and not last.tool_calls and last is messages[-1]
    usage = sum((_usage(m) for m in replies), Usage())
    output = last.text if last is not None and answered else ""
    stop: StopReason = "interrupted" if not answered else "answered" if output.strip() else "empty_reply"
    return Turn(input=question, steps=tuple(steps), output=output, usage=usage, stop_reason=stop)


def folded(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """The messages without system messages, whose text goes into the question before, or else after, them."""
    made: list[BaseMessage] = []
    above = ""
    for message in messages:
        if isinstance(message, SystemMessage):
            if made and isinstance(made[-1], HumanMessage):
                made[-1] = HumanMessage(f"{made[-1].text}\n\n{message.text}")
            else:
                above += message.text + "\n\n"
        elif above and isinstance(message, HumanMessage):
            made.append(HumanMessage(above + message.text))
            above = ""
        else:
            made.append(message)
    return [*made, HumanMessage(above.strip())] if above else made


def _turns(messages: Sequence[BaseMessage]) -> Iterator[list[BaseMessage]]:
    """The messages of each turn: a question that follows an answer, or calls, begins a new one."""
    said: list[BaseMessage] = []
    for message in messages:
        if not isinstance(message, (HumanMessage, AIMessage, ToolMessage)):
            continue
        asks_again = isinstance(message, HumanMessage) and not all(isinstance(m, HumanMessage) for m in said)
        if said and (asks_again or _is_complete(said)):
            yield said
            said = []
        said.append(message)
    if said:
        yield said


def _is_complete(said: Sequence[BaseMessage]) -> bool:
    last = said[-1]
    return isinstance(last, AIMessage) and not last.tool_calls


def _steps(message: AIMessage, number: int, results: dict[str, ToolMessage]) -> Iterator[Step]:
    for i, call in enumerate(message.tool_calls):
        plan = message.additional_kwargs.get("tool_plan") or message.text
        step = Step(
            tool=call["name"],
            tool_input=call["args"],
            call_id=call["id"] or "",
            round=number,
            plan=plan if i == 0 else "",
        )
        result = results.get(call["id"] or "")
        seen = (
            Observation(content=UNKNOWN, ok=False, error="interrupted")
            if result is None
            else observe(result.name or "", result)
        )
        yield step.model_copy(update={"observation": seen.content, "ok": seen.ok, "result": seen})


def _usage(message: AIMessage) -> Usage:
    counted = message.usage_metadata
    if counted is None:
        return Usage(model_calls=1)
    return Usage(input_tokens=counted["input_tokens"], output_tokens=counted["output_tokens"], model_calls=1)
