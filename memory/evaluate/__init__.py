"""Measures, on your own sessions, the share of the values later calls needed that memory keeps."""

from __future__ import annotations

from agentkit.memory.evaluate.evaluation import run_eval

__all__ = ["run_eval"]
