"""The facts of a result in the most detail that fits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentkit.memory.condense.values import keyed
from agentkit.memory.replay.already_said import Known
from agentkit.memory.replay.detail import DETAILS, EVERYTHING, USUAL_DETAILS
from agentkit.memory.replay.news import Call
from agentkit.memory.replay.writer import FactWriter

SMALL, LARGE = 230, 600
STRICT = 160
"""Characters of a result that is written whole, whatever the replay shows of other things."""


def facts_text(
    known: Known, tool: str, facts: Mapping[str, Any], *, cap: int | None, first: int = 0, call: Call | None = None
) -> tuple[str, FactWriter]:
    """Facts in the most detail that fits.

    Args:
        known: What the replay says already; left as it is.
        tool: The tool they come from.
        facts: The facts.
        cap: Characters that may be taken; None for a share of what all of it would take.
        first: The most detail that is tried.
        call: The call, which need not be said again.
    """
    text, writer = _facts_text(known, tool, facts, cap=cap, first=first, call=call)
    if not text.strip():  # whatever the reason is, that something was left out is not lost
        writer.cut += writer.misses_any(keyed(facts))
    return text, writer


def _facts_text(
    known: Known, tool: str, facts: Mapping[str, Any], *, cap: int | None, first: int = 0, call: Call | None = None
) -> tuple[str, FactWriter]:
    """As `facts_text`, which may be nothing."""
    if list(facts) == ["result"] and isinstance(facts["result"], str):
        writer = FactWriter(known, tool, DETAILS[0], call)
        text = facts["result"]
        return writer.text(text, share(len(text)) if cap is None else cap), writer
    writer = FactWriter(known, tool, DETAILS[first], call)
    text = writer.facts(facts)
    if len(text) <= (STRICT if cap is None else min(STRICT, cap)):
        return text, writer
    exact = cap is not None
    for detail in DETAILS[first:] if exact else DETAILS[first:USUAL_DETAILS]:
        writer = FactWriter(known, tool, detail, call, loose=True)
        text = writer.facts(facts)
        if writer.has_trifles():
            continue
        if cap is None:
            cap = share(len(text))
        if len(text) <= cap:
            return text, writer
    if exact:
        writer = FactWriter(known, tool, DETAILS[-1], call, loose=True)
        text = writer.facts(facts, cap)
    return text, writer


def fact_lines(tool: str, facts: Mapping[str, Any]) -> list[str]:
    """All facts for a person, one of the outermost keys on a line."""
    return [line for line in FactWriter(Known(), tool, EVERYTHING).lines(facts) if line]


def share(chars: int) -> int:
    """How many characters of a result that takes `chars` are written where nothing else limits them."""
    return int(min(chars, SMALL + max(0, chars - SMALL) * 0.25, LARGE))
