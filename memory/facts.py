"""What is worth keeping of a result that no tool has condensed itself."""

from __future__ import annotations

import json
from typing import Any

from agentkit.text import shorten
from agentkit.turn import Step

MAX_RESULT_CHARS = 200
MAX_JSON_CHARS = 1000


def default_facts(step: Step) -> dict[str, Any]:
    """Facts of a step whose tool says nothing about it: a small JSON object as it is, else the text's beginning."""
    text = step.observation.strip()
    if text.startswith("{") and len(text) <= MAX_JSON_CHARS:
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        if isinstance(value, dict):
            return value
    return {"result": shorten(text, MAX_RESULT_CHARS)}
