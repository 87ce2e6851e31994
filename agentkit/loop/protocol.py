"""What the loop and its driver say to each other: `Ask` and `Act` go out, a `Reply` or finished steps come back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from langchain_core.messages import AIMessage, BaseMessage

from agentkit.turn import Citation, Observation, Step, StopReason, ToolCall, Usage

Finish = Literal["complete", "tool_call", "max_tokens", "error", "deadline", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One reply of the model, whichever model it was.

    Attributes:
        message: What the model said, as it goes back into the message list.
        text: The answer; empty where tools are called.
        plan: What it says it will do; only beside calls.
        thinking: Its thinking, "" where it showed none.
        calls: The calls it asks for, in its order.
        citations: What in `text` rests on what.
        usage: Tokens of this reply.
        finish: Why it stopped: ``deadline`` where there was no time for it, ``refused`` where a hook refused it.
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
    """What is wrong with an answer.

    Attributes:
        stop: How the turn ends if the model does not mend it.
        text: What the model is told.
        wants_json: Whether the next answer must be JSON, so that no tools are offered with it.
    """

    stop: StopReason
    text: str
    wants_json: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """Send `messages` to the model.

    Attributes:
        messages: The whole list.
        offer_tools: Whether the model may call tools.
        limit: The limit that was reached, after which the model answers without tools; None where none was.
        wants_json: Whether the reply must be JSON of the agent's output, and nothing else.
        until: When there must be a reply, on the loop's clock; None for whenever.
    """

    messages: list[BaseMessage]
    offer_tools: bool = True
    limit: StopReason | None = None
    wants_json: bool = False
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """Run `calls`, side by side; answer with the finished `steps`, in the same order.

    Attributes:
        calls: What to run.
        steps: The same calls as steps without a result, to be written down before they run.
        seconds_left: What is left of `Limits.max_seconds`, None where there is no such limit.
        allowed: How many of the calls may run, from the first; None for all. The others are told that they were not.
        known: Results, by call id, of calls that were already made and need not run again.
        notes: What to add below a result, by call id.
        resumed: Whether these calls have waited for approval since before the run was resumed.
    """

    calls: tuple[ToolCall, ...]
    steps: tuple[Step, ...]
    seconds_left: float | None = None
    allowed: int | None = None
    known: Mapping[str, Observation] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    resumed: bool = False
