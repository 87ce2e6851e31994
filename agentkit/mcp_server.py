"""A server of the Model Context Protocol for the extractor and the interpreter, or any LangChain tools.

One connection over standard input and output is one session of the interpreter; it ends with the connection. Calls go
through the same toolbox as an agent's: an error comes back as text that says what was wrong and what exists.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Sequence
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool

from agentkit import __version__
from agentkit.base.jsonable import json_ready
from agentkit.base.text import clean
from agentkit.errors import ConfigError
from agentkit.limits import Limits
from agentkit.loop.protocol import Act
from agentkit.toolbox.toolbox import Toolbox
from agentkit.turn import Artifact, Observation, ToolCall

if TYPE_CHECKING:
    from mcp import types
    from mcp.server import Server

SESSION = "mcp"
MAX_INLINE_BYTES = 8 * 1024 * 1024
"""Bytes that the files sent with one result may have together; of other files only the names are sent.

Chosen by hand: base64 makes a third more of it, and stdio carries one result as one line of JSON.
"""


def serve(tools: Sequence[BaseTool]) -> None:
    """Serve `tools` over this process's standard input and output until the client goes away.

    Args:
        tools: LangChain tools with different names, such as a RegexExtractor and a PythonInterpreter.

    Raises:
        ConfigError: There is no tool, two have the same name, or the extra "mcp" is not installed.
    """
    asyncio.run(_over_stdio(make_server(tools)))


def make_server(tools: Sequence[BaseTool]) -> Server[Any]:
    """Return the official SDK's server with `tools`, to be run over a transport of your own.

    Raises:
        ConfigError: As for `serve`.
    """
    try:
        from mcp import types
        from mcp.server import Server
    except ImportError as error:
        raise ConfigError("The MCP server needs the extra: pip install 'agentkit-cohere[mcp]'.") from error
    if not tools:
        raise ConfigError("There is no tool to serve: give at least one.")
    toolbox, numbers = Toolbox(tools, Limits().tool_timeout_s), count(1)
    listed = [
        types.Tool(name=tool.name, description=tool.description, input_schema=_schema(tool)) for tool in toolbox.tools
    ]

    async def on_list_tools(_: object, __: object) -> types.ListToolsResult:
        return types.ListToolsResult(tools=listed)

    async def on_call_tool(_: object, request: types.CallToolRequestParams) -> types.CallToolResult:
        arguments = json_ready(request.arguments or {})
        call = ToolCall(id=f"mcp_{next(numbers)}", name=clean(request.name), arguments=arguments)
        config: RunnableConfig = {"configurable": {"session": SESSION}}
        (observation,) = [found async for found in toolbox.aact(Act(calls=(call,), steps=()), config)]
        return types.CallToolResult(
            content=_content(observation),
            structured_content=_structured(observation),
            is_error=not observation.ok,
        )

    return Server("agentkit", version=__version__, on_list_tools=on_list_tools, on_call_tool=on_call_tool)


async def _over_stdio(server: Server[Any]) -> None:
    from mcp.server.stdio import stdio_server

    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


def _schema(tool: BaseTool) -> dict[str, Any]:
    schema: Any = tool.tool_call_schema
    return dict(schema if isinstance(schema, dict) else schema.model_json_schema())


def _content(observation: Observation) -> list[Any]:
    from mcp import types

    content: list[Any] = [types.TextContent(type="text", text=observation.content)]
    room, omitted = MAX_INLINE_BYTES, []
    for artifact in observation.artifacts:
        if len(artifact.data) <= room:
            room -= len(artifact.data)
            content.append(_file(artifact))
        else:
            omitted.append(artifact.name)
    if omitted:
        note = f"Not sent: the files of a call may have {MAX_INLINE_BYTES:,} bytes together: {', '.join(omitted)}."
        content.append(types.TextContent(type="text", text=note))
    return content


def _file(artifact: Artifact) -> types.ImageContent | types.EmbeddedResource:
    from mcp import types

    data = b64encode(artifact.data).decode("ascii")
    if artifact.media_type.startswith("image/"):
        return types.ImageContent(type="image", data=data, mime_type=artifact.media_type)
    # The name is a path in the session's folder, which no client can open: a file:// address would promise that.
    uri = f"agentkit:///{quote(artifact.name)}"
    contents = types.BlobResourceContents(uri=uri, mime_type=artifact.media_type, blob=data)
    return types.EmbeddedResource(type="resource", resource=contents)


def _structured(observation: Observation) -> dict[str, Any] | None:
    """Return the JSON object that a result consists of, as the extractor's does; None where it is other text.

    Hostile code may have printed it: what a strict JSON reader would refuse stays text.
    """
    if not (observation.ok and observation.content.startswith("{")):
        return None
    try:
        found = json.loads(observation.content, parse_constant=_refuse_constant)
        return json_ready(found) if isinstance(found, dict) else None
    except (ValueError, RecursionError):  # from Python 3.14 on the reader goes deeper than the cleaner
        return None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
