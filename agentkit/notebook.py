"""A turn as HTML for a notebook: small, without scripts, and with everything a model or a tool wrote escaped."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING

from agentkit.base.text import clean, head_and_tail, shorten

if TYPE_CHECKING:
    from agentkit.turn import Step, Turn

MAX_SHOWN_CHARS = 2000
"""Longer texts are cut to so many characters: the page holds every text of the turn. Chosen by hand."""


def turn_html(turn: Turn) -> str:
    """Return the question, each step folded, the answer, and the usage as HTML."""
    used = turn.usage
    facts = [turn.stop_reason, f"{used.model_calls} model calls", f"{used.total_tokens} tokens"]
    facts += [f"cost {used.cost:g}"] if used.cost else []
    facts += [f"{turn.duration_s:.2f} s"]
    waiting = ", ".join(f"{call.name} ({call.id})" for call in turn.pending)
    parts = [
        f"<p><b>{_text(turn.input)}</b></p>",
        *map(_step_html, turn.steps),
        f"<p><i>waiting for approval: {_text(waiting)}</i></p>" if waiting else "",
        f'<p style="white-space:pre-wrap">{_text(turn.output)}</p>',
        f"<p><small>{_text(', '.join(facts))}</small></p>",
    ]
    return f"<div>{''.join(parts)}</div>"


def _step_html(step: Step) -> str:
    mark = "&#10003;" if step.ok else "&#10007;"
    arguments = json.dumps(step.tool_input, ensure_ascii=False, default=repr)
    plan = f"<p><i>{_text(step.plan)}</i></p>" if step.plan.strip() else ""
    head = f"{mark} <code>{_text(step.tool)}</code> {_text(shorten(arguments))}"
    tokens = f"<small>{step.usage.total_tokens} tokens</small>" if step.usage is not None else ""
    return (
        f"<details><summary>{head}</summary>{plan}<pre>{_text(arguments)}</pre>"
        f"<pre>{_text(step.observation)}</pre>{tokens}</details>"
    )


def _text(text: str) -> str:
    return escape(head_and_tail(clean(text), MAX_SHOWN_CHARS))
