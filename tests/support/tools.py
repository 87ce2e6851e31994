"""Tools that many tests give an agent."""

from langchain_core.tools import tool


@tool(description="Add two integers.")
def add(a: int, b: int) -> int:
    return a + b
