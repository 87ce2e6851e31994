"""Helpers for testing programs that use agentkit: scripted models, a scripted server, recorded traffic.

Three ways to test without a model, from the simplest to the most realistic::

    from agentkit.testing import CohereServer, ScriptedChat, cite, reply

    model = ScriptedChat([reply(plan="I will look.", calls=[("search", {"q": "shoes"})]), "Here they are."])
    agent = Agent(model=model, tools=[search])          # in this process, no HTTP

    with CohereServer(["Hello."]) as server:            # real HTTP on loopback
        ...                                             # CO_API_URL=server.url, any COHERE_API_KEY

    @pytest.mark.cassette(script=["Hello."])            # recorded once, then replayed
    def test_hello(cassette): ...                       # pytest --record records it again

The pytest plugin (fixtures ``cassette`` and ``block_network``, option ``--record``) comes with the package.
A scripted answer shows what a program sends and how it reads the response, never what a model would do.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentkit.testing.cassettes import Recording, use_cassette
    from agentkit.testing.network import NetworkBlockedError, block_network
    from agentkit.testing.replies import Cite, ScriptedReply, ScriptError, cite, reply
    from agentkit.testing.scripted import ScriptedChat, ScriptedRequest
    from agentkit.testing.server import CohereServer, ServerRequest

_WHERE = {
    "Cite": "replies",
    "CohereServer": "server",
    "NetworkBlockedError": "network",
    "Recording": "cassettes",
    "ScriptError": "replies",
    "ScriptedChat": "scripted",
    "ScriptedReply": "replies",
    "ScriptedRequest": "scripted",
    "ServerRequest": "server",
    "block_network": "network",
    "cite": "replies",
    "reply": "replies",
    "use_cassette": "cassettes",
}

__all__ = [
    "Cite",
    "CohereServer",
    "NetworkBlockedError",
    "Recording",
    "ScriptError",
    "ScriptedChat",
    "ScriptedReply",
    "ScriptedRequest",
    "ServerRequest",
    "block_network",
    "cite",
    "reply",
    "use_cassette",
]


# The pytest plugin lives in this package and is loaded in every run of pytest: nothing heavy until it is used.
def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"agentkit.testing.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
