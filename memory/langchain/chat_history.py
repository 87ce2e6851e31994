"""`AugmentedChatMessageHistory`: a session of a memory as a LangChain chat history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage

from agentkit.base.sessions import check_session
from agentkit.base.text import shorten
from agentkit.errors import ConfigError, InputError
from agentkit.memory.langchain.messages import folded, is_answered, is_of_a_turn, split_turns, turn_of_messages

if TYPE_CHECKING:
    from agentkit.memory.memory import Memory


class AugmentedChatMessageHistory(BaseChatMessageHistory):
    """A session of a `Memory` as a LangChain chat history, for ``RunnableWithMessageHistory``.

    Added messages are stored whole, as turns; reading returns the memory's replay, which shows calls and results in
    a fraction of the tokens. A question stays in this object until its answer is added.
    """

    def __init__(
        self, memory: Memory, session: str, *, max_tokens: int | None = None, system_notes: bool = True
    ) -> None:
        """Open a session.

        Args:
            memory: The memory that stores the turns.
            session: The session; it need not exist.
            max_tokens: The budget of the replay, by the memory's counter; None for no limit.
            system_notes: True to replay the record of steps as system messages; False to put it into the question
                before it, for models that take a system message only at the beginning.

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
        """Return the replay of the session, and the question that has no answer yet."""
        replayed = self.memory.replay(self.session, self.max_tokens)
        return [*(replayed if self.system_notes else folded(replayed)), *self._pending]

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Add messages: each question with its calls, results and answer becomes a turn.

        The messages of one call are taken as one run or several whole ones: a question after results belongs to the
        turn it interrupts, and results at the end are the answer if their question is among the messages too.
        System messages are not stored. Messages that could not be stored stay in this object until the next call.

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
        added = list(filter(is_of_a_turn, added))
        if not added:
            return
        has_pending_steps = not all(isinstance(m, HumanMessage) for m in self._pending)
        if has_pending_steps and isinstance(added[0], HumanMessage):
            turns = [*split_turns(self._pending), *split_turns(added)]
        else:
            turns = list(split_turns([*self._pending, *added]))
        is_whole_run = isinstance(added[0], HumanMessage) and isinstance(added[-1], ToolMessage)
        self._pending = [message for turn in turns for message in turn]
        while len(turns) > 1 or (turns and (is_answered(turns[0]) or is_whole_run)):
            turn = turns.pop(0)
            self.memory.append(self.session, turn_of_messages(turn, ended=is_whole_run and not turns))
            del self._pending[: len(turn)]

    def clear(self) -> None:
        """Delete the session."""
        self._pending = []
        if any(info.name == self.session for info in self.memory.sessions()):
            self.memory.delete(self.session)


def checked_memory(memory: object, max_tokens: object) -> Memory:
    """Return `memory`.

    Raises:
        ConfigError: It is no Memory, or `max_tokens` is no budget.
    """
    from agentkit.memory.memory import Memory, check_budget

    if not isinstance(memory, Memory):
        raise ConfigError(f"memory is {shorten(repr(memory))}: give a Memory.")
    try:
        check_budget(max_tokens)
    except InputError as error:
        raise ConfigError(str(error)) from None
    return memory
