"""All texts that agentkit sends to the model: short, specific and the same every time."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from agentkit.base.text import shorten
from agentkit.limits import Limits
from agentkit.turn import StopReason

EMPTY_RESULT = "(no output)"
CUT_SHORT = "the reply was cut at the model's token limit; send a shorter call"
EMPTY_REPLY = "Your last reply was empty. Answer the question, or call a tool."


def limit_reached(stop: StopReason, limits: Limits) -> str:
    """Return the words for the limit a run reached."""
    said = {
        "max_steps": f"the limit of {limits.max_steps} steps is reached",
        "max_tool_calls": f"the limit of {limits.max_tool_calls} tool calls is reached",
        "max_seconds": f"the limit of {_number(limits.max_seconds)} s is reached",
        "max_total_tokens": f"the limit of {limits.max_total_tokens} tokens is reached",
        "max_cost": f"the limit of {_number(limits.max_cost)} on the cost is reached",
        "repeated_failure": f"the same call has failed {limits.max_same_failures} times in a row with the same error",
    }
    return said[stop]


def answer_now(reason: str) -> str:
    """Ask for the last answer after a limit is reached."""
    return f"Stop here: {reason}, and no more tools can be called. Answer now from the results above."


def no_answer(reason: str) -> str:
    """Return the output of a turn if the model gave no answer after a limit was reached."""
    return f"No answer: {reason}, and the model did not answer without tools."


def call_as_text(name: str) -> str:
    """Tell the model that it wrote a call as text."""
    return f"You wrote a call of {name} as text, so nothing was called. Call the tool, or answer in words."


def invalid_output(problem: str, schema: str) -> str:
    """Tell the model that its answer does not have the requested form."""
    return (
        f"Your answer does not have the form that is needed: {problem}. Answer with JSON only, of this schema: {schema}"
    )


def not_run(name: str) -> str:
    """Tell the model that the call exceeded the limit of tool calls."""
    return f"{shorten(name)} was not called: the limit of tool calls of this run is reached."


def needs_approval(name: str) -> str:
    """Tell the model that the call needs an approval it does not have."""
    return f"{shorten(name)} was not called: it needs a person's approval, which was not given."


def denied(name: str, reason: str) -> str:
    """Tell the model that a person or a hook refused the call."""
    return f"{shorten(name)} was not called: it was refused{': ' + shorten(reason, 500).rstrip('.') if reason else ''}."


def edited(arguments: str) -> str:
    """Return the note below the result of a call whose arguments a person changed."""
    return f"(Note: a person changed the arguments before the call, to {shorten(arguments, 1000)}.)"


def withheld(name: str) -> str:
    """Tell the model that the tool ran, but a hook failed on its result."""
    return f"{shorten(name)} has run, but its result could not be shown. Do not repeat it without need."


def outcome_unknown(name: str) -> str:
    """Tell the model that the program ended while the call ran."""
    return (
        f"{shorten(name)} was running when the program was broken off: outcome unknown, it may have taken effect. "
        "Check before repeating it."
    )


def out_of_time(reason: str) -> str:
    """Return the output of a turn whose time was over before the model answered."""
    return f"No answer: {reason}."


def mend_codes(codes: Iterable[str]) -> str:
    """Ask for a corrected answer, without the codes the model invented."""
    listed = list(codes)
    more = f" and {len(listed) - 20} more" if len(listed) > 20 else ""
    return (
        f"These codes of your answer stand neither in the conversation nor in any result: "
        f"{', '.join(shorten(code) for code in listed[:20])}{more}. Give the whole answer again: copy codes exactly "
        "from where they stand, and leave out what stands nowhere."
    )


def not_their_words(argument: str) -> str:
    """Return the note below the result of a call whose argument should be a copy of text, and is not."""
    return (
        f"(Note: {argument} is not a part of the user's message or of any result, so what was found in it may not be "
        "what the user wrote.)"
    )


def unknown_tool(name: str, known: Iterable[str]) -> str:
    """Tell the model that there is no such tool, and name those that exist."""
    names = list(known)
    if not names:
        return f"There is no tool named {shorten(name)!r}; this agent has no tools. Answer without calling one."
    near = get_close_matches(name, names, 1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"There is no tool named {shorten(name)!r}.{hint} Available tools: {', '.join(names)}."


def invalid_json(name: str, raw: str, error: str) -> str:
    """Tell the model that the arguments are not a JSON object."""
    return (
        f"{name} was not called: its arguments are not a valid JSON object ({shorten(error, 120)}). "
        f"Received: {shorten(raw, 200)}. Send one JSON object."
    )


def invalid_arguments(name: str, problems: Iterable[str], expected: str) -> str:
    """Tell the model that the arguments do not fit the tool's schema."""
    return f"{name} was not called: invalid arguments. {'; '.join(problems)}. Expected: {expected}."


def no_time(name: str) -> str:
    """Tell the model that there was no time left for the call."""
    return f"{shorten(name)} was not called: no time of this run is left."


def tool_failed(name: str, error: BaseException) -> str:
    """Tell the model that the tool raised."""
    text = shorten(str(error), 2000)
    return f"{name} failed: {type(error).__name__}{': ' + text if text else ''}"


def tool_timed_out(name: str, timeout_s: float) -> str:
    """Tell the model that the tool timed out, and that its outcome is unknown."""
    return (
        f"{name} timed out after {round(timeout_s, 2):g} s: outcome unknown, it may still take effect. "
        f"Check before repeating it, or ask for less."
    )


def not_representable(name: str, type_name: str) -> str:
    """Tell the model that the tool's result has no text."""
    return (
        f"{name} returned an object of type {type_name}, which is neither text nor JSON, so its content cannot be "
        "shown. The call itself did run."
    )


def _number(value: float | None) -> str:
    """Return a number without a decimal zero: ``10``, not ``10.0``."""
    return f"{value:.0f}" if value is not None and value == round(value) else str(value)
