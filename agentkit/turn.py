"""The vocabulary: a turn is a question with its chain of steps and answer; a step is a call and its result.

Everything here is a frozen pydantic model that round-trips through JSON (``model_dump_json`` and
``model_validate_json``). ``Turn.version`` names the shape; a reader refuses a version it does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

StopReason = Literal[
    "answered",
    "max_steps",
    "max_tool_calls",
    "max_seconds",
    "max_total_tokens",
    "max_cost",
    "repeated_failure",
    "max_tokens",
    "model_error",
    "empty_reply",
    "call_as_text",
    "invalid_output",
    "needs_approval",
    "refused",
    "interrupted",
]
"""The reason a turn ended: it was answered; a limit of the run was reached (named as in `Limits`); a tool failed
repeatedly in the same way (``repeated_failure``); the model's reply was cut at its token limit (``max_tokens``); the
model ended with an error (``model_error``); even after a correction was asked for, the reply was empty
(``empty_reply``), had a tool call as text (``call_as_text``) or did not have the requested form (``invalid_output``);
calls wait for a person's approval (``needs_approval``); a hook refused to continue (``refused``); the run was
interrupted (``interrupted``)."""

ErrorKind = Literal[
    "unknown_tool",
    "invalid_arguments",
    "exception",
    "timeout",
    "failed",
    "interrupted",
    "not_run",
    "refused",
    "needs_approval",
]
"""The kind of failure of a call: no tool has that name; the arguments do not fit; the tool raised; it timed out
(outcome unknown); it reported a failure; it was interrupted before its result was stored (outcome unknown); it did not
run, because a limit was reached, because a person or a hook refused it, or because it waits for a person's approval."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ToolCall(_Frozen):
    """A call the model asked for.

    Attributes:
        id: Unique within the turn.
        name: The tool's name as the model wrote it.
        arguments: The parsed arguments; empty if they could not be parsed.
        error: Why the arguments could not be parsed, or None.
        raw: The arguments as the model wrote them, if they could not be parsed; else None.
    """

    id: str
    name: str
    arguments: dict[str, Any] = {}
    error: str | None = None
    raw: str | None = None


class Artifact(_Frozen):
    """A file a tool made: a plot, a table, a document.

    Attributes:
        name: File name, or relative path with forward slashes; never absolute.
        data: The bytes (base64 in JSON).
        media_type: MIME type, such as ``image/png``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")

    name: str
    data: bytes
    media_type: str = "application/octet-stream"


class Observation(_Frozen):
    """The result of a call, success or failure.

    Attributes:
        content: The whole text of the result; the model may see less (`Step.observation`).
        ok: True if the call succeeded.
        error: The kind of failure, None if `ok`.
        artifacts: Files the tool made.
        duration_s: Wall-clock seconds of the call, all attempts together.
        tries: Number of attempts; more than 1 only if the tool's policy allows retries.
        facts: Facts about the call that the tool gives to memory, as JSON; None if it gives none.
        value: The tool's return value, unchanged; kept in this process only, never in JSON.
    """

    content: str
    ok: bool = True
    error: ErrorKind | None = None
    artifacts: tuple[Artifact, ...] = ()
    duration_s: float = 0.0
    tries: int = 1
    facts: dict[str, Any] | None = None
    value: Any = Field(default=None, exclude=True, repr=False)


class Usage(_Frozen):
    """Tokens, summed over the model calls they belong to.

    Attributes:
        input_tokens: Tokens the model read.
        output_tokens: Tokens it wrote.
        model_calls: Number of model calls.
        cost: Their cost, in the currency of the agent's `Price`; 0 without a price.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    model_calls: int = 0
    cost: float = 0.0

    @property
    def total_tokens(self) -> int:
        """Return the tokens read and written."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        """Return the sum of both."""
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            model_calls=self.model_calls + other.model_calls,
            cost=self.cost + other.cost,
        )


class Step(_Frozen):
    """One call and its result.

    Attributes:
        tool: The tool's name.
        tool_input: The arguments it was called with.
        observation: The text the model was shown.
        ok: True if the call succeeded.
        call_id: The call's id in the chat; citations refer to it.
        round: Number of the model reply that asked for it, from 1; 0 if it was prefetched.
        plan: The model's text beside its calls; on the first step of its round.
        thinking: The model's thinking before this round; on the first step of its round.
        usage: Tokens and cost of the reply that asked for it; on the first step of its round, None on the others.
        result: The whole `Observation`; None for a step created by hand.
    """

    tool: str
    tool_input: dict[str, Any] = {}
    observation: str = ""
    ok: bool = True
    call_id: str = ""
    round: int = 0
    plan: str = ""
    thinking: str = ""
    usage: Usage | None = None
    result: Observation | None = None

    @property
    def waits(self) -> bool:
        """True if the call waits for a person's approval and has not run."""
        return self.result is not None and self.result.error == "needs_approval"

    # The result's content nearly always equals the observation, so it is written once.
    @model_serializer(mode="wrap")
    def _write_content_once(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = handler(self)
        if self.usage is None:
            data.pop("usage", None)
        if self.result is not None and self.result.content == self.observation and data.get("result"):
            data["result"] = {k: v for k, v in data["result"].items() if k != "content"}
        return data

    @model_validator(mode="before")
    @classmethod
    def _read_content_once(cls, data: Any) -> Any:
        if isinstance(data, dict):
            result = data.get("result")
            if isinstance(result, dict) and "content" not in result:
                data = {**data, "result": {**result, "content": data.get("observation", "")}}
        return data


class Citation(_Frozen):
    """A span of the answer and the calls or documents that support it.

    Attributes:
        start: First character in the answer, from 0.
        end: One past the last character.
        text: The cited text as the model gives it; its punctuation may differ from the answer's.
        sources: Ids from the API: ``<call id>:<n>`` for a tool's result, else a document's id.
        call_ids: The `Step.call_id` of each source that is a tool's result, without duplicates.
    """

    start: int
    end: int
    text: str
    sources: tuple[str, ...] = ()
    call_ids: tuple[str, ...] = ()


class Turn(_Frozen):
    """A question, its chain of steps, and the answer.

    Attributes:
        input: The question.
        steps: The calls and their results, in the order the model asked for them.
        output: The answer.
        session: The session of the turn.
        number: Its number in the session, from 1; 0 until it is stored.
        citations: Spans of the answer, each with the calls or documents that support it.
        usage: Tokens of all model calls of the turn.
        stop_reason: The reason the turn ended.
        thinking: The model's thinking before the answer.
        duration_s: Wall-clock seconds of the turn; after `Agent.resume`, seconds since it was resumed.
        pending: The calls that wait for approval, if `stop_reason` is ``needs_approval``; see `Agent.resume`.
        citation_flags: Problems of citations, one text each, without words of the answer; empty for most turns. See
            `agentkit.grounding.check_citations`.
        data: The answer as an instance of the agent's ``output`` model; None without such a model or if the answer did
            not fit. Kept in this process only, never in JSON, where `output` has it as text.
        version: The shape of this JSON.
    """

    input: str
    steps: tuple[Step, ...] = ()
    output: str = ""
    session: str = ""
    number: int = 0
    citations: tuple[Citation, ...] = ()
    usage: Usage = Usage()
    stop_reason: StopReason = "answered"
    thinking: str = ""
    duration_s: float = 0.0
    pending: tuple[ToolCall, ...] = ()
    citation_flags: tuple[str, ...] = ()
    data: Any = Field(default=None, exclude=True, repr=False)
    version: Literal[1] = 1

    # Omitted if empty, so that an older agentkit, which does not know the field, can read nearly every turn.
    @model_serializer(mode="wrap")
    def _write_flags_if_any(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = handler(self)
        if not self.citation_flags:
            data.pop("citation_flags", None)
        return data

    def cited_calls(self) -> tuple[str, ...]:
        """Return the ids of the cited calls, in order of first citation."""
        return tuple(dict.fromkeys(c for citation in self.citations for c in citation.call_ids))

    def grounded_output(self, mark: Callable[[tuple[int, ...]], str] | None = None) -> str:
        """Return the answer with ``<co: n>...</co: n>`` around each cited span; n is the number of the step, from 0.

        Args:
            mark: Returns the label for some step numbers; by default they are joined with a comma.
        """
        index: Mapping[str, int] = {step.call_id: i for i, step in enumerate(self.steps)}
        label = mark or (lambda numbers: ",".join(map(str, numbers)))
        parts, at = [], 0
        for citation in sorted(self.citations, key=lambda c: (c.start, c.end)):
            numbers = tuple(dict.fromkeys(index[c] for c in citation.call_ids if c in index))
            if not numbers or citation.start < at or not citation.start < citation.end <= len(self.output):
                continue
            name = label(numbers)
            cited = self.output[citation.start : citation.end]
            parts.append(f"{self.output[at : citation.start]}<co: {name}>{cited}</co: {name}>")
            at = citation.end
        return "".join(parts) + self.output[at:]

    def _repr_html_(self) -> str:
        """Return the turn as HTML for a notebook, each step folded."""
        from agentkit.notebook import turn_html

        return turn_html(self)
