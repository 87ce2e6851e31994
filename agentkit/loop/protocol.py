"""Messages between the loop and its driver: `Ask` and `Act` go out, a `Reply` or finished steps come back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from langchain_core.messages import AIMessage, BaseMessage

from agentkit.turn import Citation, Observation, Step, StopReason, ToolCall, Usage

Finish = Literal["complete", "tool_call", "max_tokens", "error", "deadline", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One reply of any model.

    Attributes:
        message: The reply as it is added to the message list.
        text: The answer; empty if tools are called.
        plan: The text beside the calls; empty without calls.
        thinking: The model's thinking; "" if there is none.
        calls: The calls the model asks for, in its order.
        citations: Spans of `text` with their sources.
        usage: Tokens of this reply.
        finish: Why it ended: ``deadline`` if there was no time left, ``refused`` if a hook refused it.
    """

    message: AIMessage
    text: str = ""
    plan: str = ""
    thinking: str = ""
    calls: tuple[ToolCall, ...] = ()
    citations: tuple[Citation, ...] = ()
    usage: Usage = field(default_factory=Usage)
    finish: Finish = "complete"


@dataclass(frozen=True, slots=True)
class Complaint:
    """A reason to reject an answer.

    Attributes:
        stop: The stop reason of the turn if the model does not correct its answer.
        text: The text the model is sent.
        wants_json: True if the next answer must be JSON, so no tools are offered with it.
    """

    stop: StopReason
    text: str
    wants_json: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """Send `messages` to the model.

    Attributes:
        messages: The whole list.
        offer_tools: True if the model may call tools.
        limit: The limit that was reached, so that the model must answer without tools; None if none was.
        wants_json: True if the reply must be JSON of the agent's output model.
        until: The deadline of the reply, on the loop's clock; None for no deadline.
    """

    messages: list[BaseMessage]
    offer_tools: bool = True
    limit: StopReason | None = None
    wants_json: bool = False
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """Run `calls` in parallel; answer with the finished `steps`, in the same order.

    Attributes:
        calls: The calls to run.
        steps: The same calls as steps without a result, to be stored before they run.
        seconds_left: Seconds left of `Limits.max_seconds`; None if there is no such limit.
        allowed: Number of calls that may run, from the first; None for all. The model is told that the others did not
            run.
        known: Results, by call id, of calls that need not run.
        notes: Texts to add below a result, by call id.
        resumed: True if these calls were already waiting for approval before the run was resumed.
    """

    calls: tuple[ToolCall, ...]
    steps: tuple[Step, ...]
    seconds_left: float | None = None
    allowed: int | None = None
    known: Mapping[str, Observation] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    resumed: bool = False
