"""The events of a run: one frozen class for each kind.

``Agent.stream`` and ``Agent.astream`` yield them in order. The last one is `TurnFinished`, which has the same turn that
`Agent.run` would return. The deltas of a reply, joined, are its text.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentkit.turn import Citation, Step, StopReason, ToolCall, Turn


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """A turn has started; memory has it as running.

    Attributes:
        session: The session of the turn.
        input: The question.
    """

    session: str
    input: str


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    """A piece of the model's thinking.

    Attributes:
        text: The piece.
    """

    text: str


@dataclass(frozen=True, slots=True)
class PlanDelta:
    """A piece of the model's plan: what it writes beside its tool calls.

    Attributes:
        text: The piece.
    """

    text: str


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the answer.

    Attributes:
        text: The piece.
    """

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of a call the model is writing.

    Attributes:
        index: Which call of this reply, from 0.
        name: The tool's name, in the first piece of a call; "" after that.
        arguments: A piece of the arguments' JSON text.
    """

    index: int
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """A call is about to run.

    Attributes:
        step: The call; it has no result yet.
    """

    step: Step


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A call has its result, success or failure. The results of one reply come in the order of its calls.

    Attributes:
        step: The call and its result.
    """

    step: Step


@dataclass(frozen=True, slots=True)
class ApprovalNeeded:
    """A call needs a person's approval: the turn will pause until `Agent.resume`.

    Attributes:
        call: The call; a decision can refer to its ``id``.
    """

    call: ToolCall


@dataclass(frozen=True, slots=True)
class Retrying:
    """A request to the model failed and will be retried; yielded before the wait.

    Attributes:
        tries: Number of failed attempts so far, from 1.
        wait_s: Seconds until the retry.
        reason: What went wrong.
        status: The HTTP status, None if there was no response.
    """

    tries: int
    wait_s: float
    reason: str
    status: int | None = None


@dataclass(frozen=True, slots=True)
class CitationFound:
    """The answer cites a result or a document.

    Attributes:
        citation: The citation.
    """

    citation: Citation


@dataclass(frozen=True, slots=True)
class LimitReached:
    """A limit of the run is reached; the model is asked for a last answer without tools.

    Attributes:
        limit: The limit, as in `Turn.stop_reason`.
    """

    limit: StopReason


@dataclass(frozen=True, slots=True)
class TurnFinished:
    """The turn is over; the last event.

    Attributes:
        turn: The whole turn.
    """

    turn: Turn


Event = (
    TurnStarted
    | ThinkingDelta
    | PlanDelta
    | TextDelta
    | ToolCallDelta
    | ToolStarted
    | ToolFinished
    | ApprovalNeeded
    | Retrying
    | CitationFound
    | LimitReached
    | TurnFinished
)
