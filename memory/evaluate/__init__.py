"""Measures on your own sessions how much of what later calls needed a memory keeps."""

from __future__ import annotations

from agentkit.memory.evaluate.evaluation import run_eval

__all__ = ["run_eval"]
