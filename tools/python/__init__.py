"""Python in a process of its own for each session."""

from __future__ import annotations

from agentkit.tools.python.execution import Execution, Figure, Isolation, Variable
from agentkit.tools.python.interpreter import PythonInterpreter

__all__ = ["Execution", "Figure", "Isolation", "PythonInterpreter", "Variable"]
