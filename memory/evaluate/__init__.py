"""How much of what later calls needed a memory keeps, measured on your own sessions."""

from __future__ import annotations

from agentkit.memory.evaluate.evaluation import run_eval

__all__ = ["run_eval"]
