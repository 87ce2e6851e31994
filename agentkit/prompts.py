"""Every text agentkit itself puts before the model: short, specific and the same every time."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from agentkit.text import shorten

EMPTY_RESULT = "(no output)"
EMPTY_ANSWER = "(no answer)"


def answer_now(limit: str) -> str:
    """Asks for the last answer once a limit is reached."""
    return f"Stop here: {limit} is reached and no more tools can be called. Answer now from the results above."


def no_answer(limit: str) -> str:
    """Stands for the answer where the model gave none after a limit was reached."""
    return f"No answer: {limit} was reached before the model answered."


def mend_codes(codes: Iterable[str]) -> str:
    """Asks for the answer once more, because it holds codes that nobody gave."""
    listed = list(codes)
    more = f" and {len(listed) - 20} more" if len(listed) > 20 else ""
    return (
        f"These codes of your answer stand neither in the conversation nor in any result: "
        f"{', '.join(shorten(code) for code in listed[:20])}{more}. Give the whole answer again: copy codes exactly "
        "from where they stand, and leave out what stands nowhere."
    )


def not_their_words(argument: str) -> str:
    """Below the result of a call whose argument should have been a copy, and is none."""
    return (
        f"(Note: {argument} is not a part of the user's message or of any result, so what was found in it may not be "
        "what the user wrote.)"
    )


def unknown_tool(name: str, known: Iterable[str]) -> str:
    """Names the tools that exist, the nearest first."""
    names = list(known)
    if not names:
        return f"There is no tool named {shorten(name)!r}; this agent has no tools. Answer without calling one."
    near = get_close_matches(name, names, 1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"There is no tool named {shorten(name)!r}.{hint} Available tools: {', '.join(names)}."


def invalid_json(name: str, raw: str, error: str) -> str:
    """The arguments could not be read as a JSON object."""
    return (
        f"{name} was not called: its arguments are not a valid JSON object ({shorten(error, 120)}). "
        f"Received: {shorten(raw, 200)}. Send one JSON object."
    )


def invalid_arguments(name: str, problems: Iterable[str], expected: str) -> str:
    """The arguments do not fit the tool's schema."""
    return f"{name} was not called: invalid arguments. {'; '.join(problems)}. Expected: {expected}."


def tool_failed(name: str, error: BaseException) -> str:
    """The tool raised."""
    text = shorten(str(error), 2000)
    return f"{name} failed: {type(error).__name__}{': ' + text if text else ''}"


def tool_timed_out(name: str, timeout_s: float) -> str:
    """The tool ran out of time; nobody knows how far it got."""
    return (
        f"{name} timed out after {timeout_s:g} s: outcome unknown, it may still take effect. "
        f"Check before repeating it, or ask for less."
    )


def not_representable(name: str, type_name: str) -> str:
    """The tool returned something that has no text."""
    return (
        f"{name} returned an object of type {type_name}, which is neither text nor JSON, so its content cannot be "
        "shown. The call itself did run."
    )
