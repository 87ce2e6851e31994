"""A turn printed the way Cohere's cookbooks print a run: plan, call, observation, documents, answers.

Text of a model or a tool is printed as it is: no markup is read in it, and control characters are escaped. A terminal
gets colours; a file or a pipe gets the same text without colours, unwrapped.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.segment import Segment, Segments
from rich.style import Style

from agentkit.base.terminal import escape_controls
from agentkit.turn import StopReason

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

    from agentkit.turn import Step, Turn

# Results that hold nothing, which are not listed as relevant documents.
_NO_CONTENT = frozenset({"", "{}", "[]", "()", '""', "''", "None", "null"})
_STYLES = {
    "frame": Style(bold=True),
    "plan": Style(color="green"),
    "call": Style(color="cyan"),
    "observation": Style(color="blue"),
    "failure": Style(color="red"),
    "note": Style(dim=True),
    "answer": Style.null(),
}
_STOPPED: dict[StopReason, str] = {
    "max_steps": "the run reached its limit of steps",
    "max_tool_calls": "the run reached its limit of tool calls",
    "max_seconds": "the run reached its limit of seconds",
    "max_total_tokens": "the run reached its limit of tokens",
    "max_cost": "the run reached its limit of cost",
    "repeated_failure": "a tool failed repeatedly in the same way",
    "max_tokens": "the model's reply was cut at its token limit",
    "model_error": "the model ended with an error",
    "empty_reply": "the model ended without an answer",
    "call_as_text": "the model wrote a tool call as text",
    "invalid_output": "the answer does not have the requested form",
    "needs_approval": "calls wait for a person's approval",
    "refused": "a hook refused to continue",
    "interrupted": "the run was interrupted before it ended",
}
_ROLES = {"human": "user", "ai": "assistant"}

_Part = tuple[str, str]
"""The name of a style, and the text (with its line ends) printed in it."""


def turn_text(turn: Turn) -> str:
    """Return the turn as the cookbooks print it, without colours, each part on its own line or lines."""
    return "".join(text for _, text in _turn_parts(turn))


def render_turn(turn: Turn, console: Console | None = None) -> None:
    """Print `turn_text`, coloured where the console is a terminal.

    Args:
        turn: The turn.
        console: Where to print; None means standard output.
    """
    _print(_turn_parts(turn), console)


def messages_text(messages: Iterable[BaseMessage]) -> str:
    """Return the messages as lines of ``role: text``, each assistant message followed by its tool calls."""
    return "".join(text for _, text in _message_parts(messages))


def render_messages(messages: Iterable[BaseMessage], console: Console | None = None) -> None:
    """Print `messages_text`, coloured where the console is a terminal.

    Args:
        messages: LangChain messages, such as what a memory replays.
        console: Where to print; None means standard output.
    """
    _print(_message_parts(messages), console)


def _turn_parts(turn: Turn) -> list[_Part]:
    parts: list[_Part] = [("frame", "> Entering new agent chain...\n\n")]
    for step in turn.steps:
        parts += _step_parts(step)
    cited = set(turn.cited_calls())
    parts += [
        (
            "note",
            _numbers("Relevant Documents", (i for i, step in enumerate(turn.steps) if _has_content(step))),
        ),
        (
            "note",
            _numbers("Cited Documents", (i for i, step in enumerate(turn.steps) if step.call_id in cited)),
        ),
        ("answer", _line(f"Answer: {turn.output}")),
        ("answer", _line(f"Grounded answer: {turn.grounded_output()}")),
    ]
    parts += [("failure", _line(f"Citation flagged: {flag}")) for flag in turn.citation_flags]
    if turn.stop_reason != "answered":
        parts.append(("failure", f"Stopped: {turn.stop_reason} ({_STOPPED[turn.stop_reason]})\n"))
    return [*parts, ("frame", "\n> Finished chain.\n")]


def _step_parts(step: Step) -> list[_Part]:
    parts: list[_Part] = [("plan", _line(step.plan))] if step.plan.strip() else []
    parts.append(("call", _line(repr({"tool_name": step.tool, "parameters": step.tool_input}))))
    if step.observation:
        parts.append(("observation" if step.ok else "failure", _line(step.observation)))
    if step.result is not None and step.result.artifacts:
        names = ", ".join(artifact.name for artifact in step.result.artifacts)
        parts.append(("note", _line(f"Files: {names}")))
    return parts


def _has_content(step: Step) -> bool:
    shown = step.observation if step.result is None else step.result.content
    return shown.strip() not in _NO_CONTENT


def _numbers(title: str, numbers: Iterable[int]) -> str:
    return f"{title}: {','.join(map(str, numbers)) or 'None'}\n"


def _message_parts(messages: Iterable[BaseMessage]) -> list[_Part]:
    parts: list[_Part] = []
    for message in messages:
        parts.append(("note", f"{_ROLES.get(message.type, message.type)}: "))
        parts.append(("answer", _line(_content_text(message.content))))
        calls = getattr(message, "tool_calls", ())
        parts += [("call", _line(repr({"tool_name": call["name"], "parameters": call["args"]}))) for call in calls]
    return parts


def _content_text(content: str | list[Any]) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(block if isinstance(block, str) else str(block.get("text", block)) for block in content)


def _line(text: str) -> str:
    text = escape_controls(text)
    return text if text.endswith("\n") else f"{text}\n"


def _print(parts: Iterable[_Part], console: Console | None) -> None:
    # Segments: every other way to print through rich expands tabs, wraps lines or reads markup in the text.
    segments = Segments([Segment(text, _STYLES[style]) for style, text in parts])
    (console or Console()).print(segments, soft_wrap=True, end="")
