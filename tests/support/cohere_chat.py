"""A Cohere chat model on a server of a test."""

from typing import Any

from langchain_core.messages import HumanMessage
from pydantic import SecretStr

from agentkit import CohereChat

MODEL = "command-a-03-2025"
QUESTION = [HumanMessage("where?")]
END = {"type": "message-end", "delta": {"finish_reason": "COMPLETE"}}  # the last event of a stream


def chat(server: Any, **settings: Any) -> CohereChat:
    return CohereChat(**{"model": MODEL, "cohere_api_key": SecretStr("k"), "base_url": server.url, **settings})


async def acollect(model: CohereChat, messages: list = QUESTION) -> list:
    """Return every chunk of one async stream."""
    return [chunk async for chunk in model.astream(messages)]
