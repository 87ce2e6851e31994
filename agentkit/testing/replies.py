"""The parts of a script: `reply` makes one reply of the model, `cite` a citation in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentkit.base.text import shorten
from agentkit.errors import InputError


class ScriptError(AssertionError):
    """A script has too few replies for the run it was written for, or too many."""


@dataclass(frozen=True, slots=True)
class Cite:
    """A slice of an answer and its sources; made with `cite`."""

    text: str
    calls: tuple[int, ...] = ()
    documents: tuple[str, ...] = ()
    occurrence: int = 0


@dataclass(frozen=True, slots=True)
class ScriptedCall:
    """A tool call of a scripted reply.

    Attributes:
        name: The tool's name.
        arguments: The arguments; a str is sent as it is, so broken JSON can be scripted.
        id: The call's id; None lets the scripted model or server number it.
    """

    name: str
    arguments: Mapping[str, Any] | str
    id: str | None = None

    def arguments_json(self, *, indent: int | None = None) -> str:
        """Return the arguments as the API writes them: compact, or over several lines as in a stream."""
        if isinstance(self.arguments, str):
            return self.arguments
        separators = (",", ":") if indent is None else None
        return json.dumps(self.arguments, ensure_ascii=False, indent=indent, separators=separators)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedReply:
    """One scripted answer; made with `reply`, whose arguments explain the fields."""

    text: str = ""
    plan: str = ""
    calls: tuple[ScriptedCall, ...] = ()
    thinking: str = ""
    citations: tuple[Cite, ...] = ()
    finish: str = "COMPLETE"
    usage: tuple[int, int] | None = None
    billed: tuple[int, int] | None = None
    delay_s: float = 0.0
    event_delay_s: float = 0.0
    cut_after: int | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | str | bytes | None = None

    @property
    def is_plain_http(self) -> bool:
        """True if this is a bare HTTP response, such as an error, and not a reply of a model."""
        return self.status != 200 or self.body is not None


def reply(
    text: str = "",
    *,
    plan: str = "",
    calls: Iterable[tuple[Any, ...]] = (),
    thinking: str = "",
    citations: Iterable[Cite] = (),
    finish: str | None = None,
    usage: tuple[int, int] | None = None,
    billed: tuple[int, int] | None = None,
    delay_s: float = 0.0,
    event_delay_s: float = 0.0,
    cut_after: int | None = None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    body: Mapping[str, Any] | str | bytes | None = None,
) -> ScriptedReply:
    """Return one reply for the script of a `ScriptedChat` or a `CohereServer`.

    Args:
        text: The answer.
        plan: The plan beside calls.
        calls: ``(name, arguments)`` or ``(name, arguments, id)`` each. Arguments given as a str are sent as they
            are, so broken JSON can be scripted; without an id the calls are numbered.
        thinking: The thinking of a reasoning model.
        citations: Made with `cite`; their text must occur in `text`.
        finish: Cohere's word for why it stopped; None means TOOL_CALL beside calls, else COMPLETE.
        usage: Input and output tokens. None: a `CohereServer` counts roughly, a `ScriptedChat` reports none.
        billed: Input and output billed units (`CohereServer`); None means counted roughly, or as `usage`.
        delay_s: Seconds to wait before answering.
        event_delay_s: Seconds to wait between the events or chunks of a stream.
        cut_after: Drop the connection after that many events of a stream (in the middle of the body of a JSON
            answer); 0 drops it before a byte is sent; None never.
        status: HTTP status (`CohereServer`); anything but 200 makes this an error response.
        headers: More HTTP headers, such as ``{"Retry-After": "1"}`` (`CohereServer`).
        body: The HTTP body as it is, instead of a reply (`CohereServer`); a mapping is sent as JSON.
            None with an error status sends a message in Cohere's form.

    Raises:
        InputError: A citation that does not occur in the text, or a call that is not a tuple of a name and arguments.
    """
    made = ScriptedReply(
        text=text,
        plan=plan,
        calls=tuple(_call(call) for call in calls),
        thinking=thinking,
        citations=tuple(citations),
        usage=usage,
        billed=billed,
        delay_s=delay_s,
        event_delay_s=event_delay_s,
        cut_after=cut_after,
        status=status,
        headers=dict(headers or {}),
        body=body,
        finish=finish or ("TOOL_CALL" if calls else "COMPLETE"),
    )
    for citation in made.citations:
        place(citation, text)
    return made


def cite(
    text: str,
    *,
    call: int | Sequence[int] | None = None,
    document: str | Sequence[str] | None = None,
    occurrence: int = 0,
) -> Cite:
    """Return a citation of the slice `text` of an answer; start and end are found by looking for it.

    Args:
        text: The slice, exactly as in the answer.
        call: The number of the tool result of this turn it rests on, from 0, or several; results are counted in
            the request after the last message of the user.
        document: The id of the document it rests on, or several, when documents were sent with the request.
        occurrence: The number of the slice among equal ones, from 0.

    Raises:
        InputError: No text, or neither a call nor a document.
    """
    calls = (call,) if isinstance(call, int) else tuple(call or ())
    documents = (document,) if isinstance(document, str) else tuple(document or ())
    if not text or not (calls or documents):
        raise InputError(f"cite({shorten(text)!r}) needs a text and a source: give it call=0 or document='doc-0'.")
    return Cite(text, calls, documents, occurrence)


def place(citation: Cite, text: str) -> tuple[int, int]:
    """Return start and end of a citation in `text`.

    Raises:
        InputError: It does not occur there (often enough).
    """
    start = -1
    for _ in range(citation.occurrence + 1):
        start = text.find(citation.text, start + 1)
        if start < 0:
            raise InputError(
                f"The citation {shorten(citation.text)!r} (occurrence {citation.occurrence}) is not in the answer "
                f"{shorten(text)!r}; cite a slice exactly as in the text."
            )
    return start, start + len(citation.text)


def as_reply(entry: object, asked: Any) -> ScriptedReply:
    """Return the reply that an entry of a script means.

    Args:
        entry: A str, a `ScriptedReply`, a LangChain AIMessage, or a function that returns one of these.
        asked: The argument of such a function.

    Raises:
        InputError: The entry is none of these.
    """
    if isinstance(entry, ScriptedReply):
        return entry
    if isinstance(entry, str):
        return reply(entry)
    if callable(entry):
        return as_reply(entry(asked), asked)
    if getattr(entry, "type", None) == "ai":
        return _from_message(entry)
    raise InputError(
        f"A script cannot hold {shorten(repr(entry))} ({type(entry).__name__}); "
        "write a str, reply(...), an AIMessage, or a function that returns one of them."
    )


def _from_message(message: Any) -> ScriptedReply:
    calls = [(c["name"], c["args"], c["id"]) for c in [*message.tool_calls, *message.invalid_tool_calls]]
    used = message.usage_metadata
    return reply(
        "" if calls else message.text,
        plan=message.text if calls else "",
        calls=calls,
        usage=(used["input_tokens"], used["output_tokens"]) if used else None,
    )


def _call(call: tuple[Any, ...]) -> ScriptedCall:
    match call:
        case (str(name), Mapping() | str() as arguments):
            return ScriptedCall(name, arguments)
        case (str(name), Mapping() | str() as arguments, str() | None as call_id):
            return ScriptedCall(name, arguments, call_id)
    raise InputError(
        f"A scripted call is a tuple ('tool', {{...}}) or ('tool', {{...}}, 'id'), not {shorten(repr(call))}."
    )


_PIECE = re.compile(r"'\w+| ?[^\W\d]+| ?\d| ?[^\w\s]|\s+(?=\s)|\s")


def pieces(text: str) -> list[str]:
    """Return `text` cut as a model streams it: into words with the space before them, and punctuation."""
    return _PIECE.findall(text)
