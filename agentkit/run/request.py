"""Checks the arguments of a run, prepares its config, and turns its result into a dict."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.agents import AgentAction
from langchain_core.messages import BaseMessage, convert_to_messages
from langchain_core.runnables import RunnableConfig, ensure_config

from agentkit.approval import Resume
from agentkit.base.jsonable import json_ready
from agentkit.base.sessions import check_session
from agentkit.base.text import clean, shorten
from agentkit.errors import InputError
from agentkit.turn import Turn


@dataclass(frozen=True, slots=True)
class Request:
    """One call of an agent.

    Attributes:
        question: The user's question; "" if a turn is resumed.
        session: The session.
        system: The system message; "" for none.
        history: Messages instead of the replay of memory; None for the replay.
        named_session: True if the caller named the session, so that there may be turns to replay.
        resume: The `Resume` of the caller; None for a new turn.
    """

    question: str
    session: str
    system: str
    history: tuple[BaseMessage, ...] | None
    named_session: bool
    resume: Resume | None = None

    @property
    def shown(self) -> dict[str, Any]:
        """Return the input as traces show it."""
        return {"input": self.question} if self.resume is None else {"resume": self.session}


def request_of(
    input: Any, session: str | None, config: RunnableConfig | None, *, system: str, new_session: Callable[[], str]
) -> Request:
    """Return the checked request of a caller.

    Args:
        input: A question, a dict with ``input``, or a `Resume`.
        session: The session; it overrides the one in `config`.
        config: LangChain config.
        system: The system message if the input has none.
        new_session: Returns the id of a new session if the caller gives none.

    Raises:
        InputError: There is no question, a key has the wrong type, or a `Resume` comes without a session.
        SessionError: An impossible session name.
    """
    if session is None and config is not None:
        session = (config.get("configurable") or {}).get("session")
    if isinstance(input, Resume):
        if session is None:
            raise InputError("Resume(...) needs the session to continue: give session=..., or name it in the config.")
        return Request("", check_session(session), system, None, True, input)
    fields: Mapping[str, Any] = {"input": input} if isinstance(input, str) else input
    if not isinstance(fields, Mapping) or "input" not in fields:
        raise InputError(f"The agent was given {shorten(repr(input))}: give a question, or a dict with 'input'.")
    question, preamble, history = fields["input"], fields.get("preamble"), fields.get("chat_history")
    if not isinstance(question, str) or not question.strip():
        raise InputError(f"The question is {shorten(repr(question))}: ask something, as text.")
    if preamble is not None and not isinstance(preamble, str):
        raise InputError(f"The preamble is {shorten(repr(preamble))}: give text, or omit it.")
    return Request(
        question=clean(question),
        session=check_session(new_session() if session is None else session),
        system=system if preamble is None else clean(preamble),
        history=None if history is None else _messages_of(history),
        named_session=session is not None,
    )


def with_session(config: RunnableConfig | None, session: str) -> RunnableConfig:
    """Return the config for calls of model and tools: the caller's, with the session added."""
    whole = ensure_config(config)
    whole["configurable"] = {**whole.get("configurable", {}), "session": session}
    whole.setdefault("run_name", "agentkit")
    return whole


def unwatched(config: RunnableConfig, given: RunnableConfig | None) -> RunnableConfig:
    """Return the config for a run without callbacks: no defaults, which would cost 70 us a step."""
    own: Any = {key: value for key, value in (given or {}).items() if key != "callbacks"}
    own["configurable"] = config.get("configurable", {})
    return cast("RunnableConfig", own)


def refuse_kwargs(call: str, kwargs: Mapping[str, Any]) -> None:
    """Refuse unknown arguments.

    Raises:
        InputError: There are unknown arguments.
    """
    if kwargs:
        raise InputError(f"{call} takes no {', '.join(sorted(kwargs))}: put settings on the Agent or its model.")


def refuse_running_loop(call: str = "run()", instead: str = "await agent.arun(...)") -> None:
    """Refuse a call that would block the event loop.

    Raises:
        InputError: An event loop is running here.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    if "IPython" in sys.modules and sys.modules["IPython"].get_ipython() is not None:
        return  # a notebook cell runs inside an event loop, and blocking that one does no harm
    raise InputError(f"{call} would block the event loop that is running here: use `{instead}`.")


def as_dict(input: Any, turn: Turn) -> dict[str, Any]:
    """Return a turn as the dict of LangChain's AgentExecutor, with the keys of the input."""
    given = dict(input) if isinstance(input, Mapping) else {"input": turn.input}
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


def _messages_of(history: Any) -> tuple[BaseMessage, ...]:
    try:
        return tuple(map(_clean_message, convert_to_messages(history)))
    except (TypeError, ValueError, NotImplementedError) as error:
        raise InputError(
            f"chat_history is {shorten(repr(history))}: give LangChain messages, such as HumanMessage and AIMessage."
        ) from error


def _clean_message(message: BaseMessage) -> BaseMessage:
    content = json_ready(message.content)
    return message if content is message.content else message.model_copy(update={"content": content})
