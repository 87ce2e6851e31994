"""The MCP server: real processes over stdio and the official SDK's own client."""

import asyncio
import json
import subprocess
import sys
from base64 import b64decode
from types import SimpleNamespace

import pytest
from langchain_core.tools import tool
from support.product_codes import OBJREF, PATTERN_FILE

from agentkit import ConfigError
from agentkit.mcp_server import make_server

mcp = pytest.importorskip("mcp", reason="needs the extra: pip install 'agentkit-cohere[mcp]'")


def over_stdio(tmp_path, use, *options):
    """Start `agentkit mcp` as a client would, and run `use` on the connected client."""
    parameters = mcp.StdioServerParameters(
        command=sys.executable, args=["-m", "agentkit", "mcp", *map(str, options)], cwd=tmp_path
    )

    async def talk():
        async with mcp.Client(parameters) as client:
            return await use(client)

    return asyncio.run(talk())


def texts(result):
    return [part.text for part in result.content if part.type == "text"]


def test_both_tools_over_stdio(tmp_path):
    (tmp_path / "sales.csv").write_text("month,euros\n1,10\n2,32\n")

    async def use(client):
        names = {found.name: found for found in (await client.list_tools()).tools}
        assert list(names) == ["regex_extractor", "python_interpreter"]
        assert names["regex_extractor"].input_schema["required"] == ["user_query"]

        found = await client.call_tool("regex_extractor", {"user_query": f"ref {OBJREF}, please"})
        assert (found.is_error, found.structured_content) == (False, {"objref": [OBJREF]})
        assert json.loads(texts(found)[0]) == found.structured_content

        read = "import pandas as pd\ntable = pd.read_csv('sales.csv')\ntable.euros.sum()"
        assert texts(await client.call_tool("python_interpreter", {"code": read})) == ["42"]
        kept = await client.call_tool("python_interpreter", {"code": "len(table)"})
        assert texts(kept) == ["2"], "variables are kept in a connection"

        draw = "import matplotlib.pyplot as plt\nplt.plot(table.month, table.euros)\nopen('note.txt', 'w').write('hi')"
        drawn = await client.call_tool("python_interpreter", {"code": draw})
        (image,) = [part for part in drawn.content if part.type == "image"]
        assert image.mime_type == "image/png" and b64decode(image.data).startswith(b"\x89PNG")
        (file,) = [part.resource for part in drawn.content if part.type == "resource"]
        assert (file.uri, b64decode(file.blob)) == ("agentkit:///note.txt", b"hi")

        failed = await client.call_tool("python_interpreter", {"code": "print('so far')\n1 / 0"})
        assert failed.is_error
        assert "so far" in texts(failed)[0] and "ZeroDivisionError" in texts(failed)[0]
        return True

    options = ("--toml", PATTERN_FILE, "--data", tmp_path / "sales.csv")
    assert over_stdio(tmp_path, use, *options)


def test_what_is_wrong_with_a_call_is_told(tmp_path):
    async def use(client):
        assert [found.name for found in (await client.list_tools()).tools] == ["regex_extractor"]
        return [
            await client.call_tool("regex_extractr", {"user_query": "x"}),
            await client.call_tool("regex_extractor", {"query": "x"}),
            await client.call_tool("regex_extractor", {"user_query": 5}),
            await client.call_tool("regex_extractor", {"user_query": f"\x00 {OBJREF}"}),
        ]

    unknown, missing, wrong, fine = over_stdio(tmp_path, use, "--toml", PATTERN_FILE, "--no-python")
    assert [result.is_error for result in (unknown, missing, wrong, fine)] == [True, True, True, False]
    assert "regex_extractor" in texts(unknown)[0]
    assert "user_query" in texts(missing)[0] and "user_query" in texts(wrong)[0]
    assert fine.structured_content == {"objref": [OBJREF]}


def test_each_connection_has_a_session_of_its_own(tmp_path):
    async def use(client):
        return texts(await client.call_tool("python_interpreter", {"code": "x = globals().get('x', 0) + 1\nx"}))

    assert [over_stdio(tmp_path, use) for _ in range(2)] == [["1"], ["1"]]


def test_files_that_are_too_large_are_named(monkeypatch):
    from agentkit import mcp_server
    from agentkit.turn import Artifact

    monkeypatch.setattr(mcp_server, "MAX_INLINE_BYTES", 10)

    @tool(response_format="content_and_artifact")
    def make() -> tuple[str, SimpleNamespace]:
        """Make files."""
        files = [Artifact(name=name, data=b"12345678") for name in ("a.bin", "b.bin")]
        return "made", SimpleNamespace(ok=True, artifacts=files, facts=None)

    async def talk():
        async with mcp.Client(make_server([make])) as client:
            return await client.call_tool("make", {})

    result = asyncio.run(talk())
    assert [part.type for part in result.content] == ["text", "resource", "text"]
    assert texts(result)[-1].endswith("10 bytes together: b.bin.")


def test_nothing_to_serve(tmp_path):
    with pytest.raises(ConfigError, match="no tool to serve"):
        make_server([])
    command = [sys.executable, "-m", "agentkit", "mcp", "--no-python"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--toml" in done.stderr and "Traceback" not in done.stderr


def test_standard_output_carries_only_the_protocol(tmp_path):
    command = [sys.executable, "-m", "agentkit", "mcp", "--toml", str(PATTERN_FILE), "--no-python"]
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, check=False, input=b"not json\n")
    assert done.returncode == 0
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    "printed", [r'{"a": "\ud800"}', '{"a": NaN}', '{"a":' + "[" * 20000 + "]" * 20000 + "}", "{not json"]
)
def test_what_code_prints_cannot_break_the_connection(printed):
    @tool
    def say() -> str:
        """Say it."""
        return printed

    async def talk():
        async with mcp.Client(make_server([say])) as client:
            return await client.call_tool("say", {}), await client.call_tool("say", {})

    first, second = asyncio.run(talk())
    assert first == second
    assert texts(first) == [printed]
    json.dumps(first.structured_content).encode()


def test_a_name_of_a_file_is_escaped():
    from agentkit.turn import Artifact

    @tool(response_format="content_and_artifact")
    def make() -> tuple[str, SimpleNamespace]:
        """Make a file."""
        return "made", SimpleNamespace(ok=True, artifacts=[Artifact(name="a#b?%/c d.bin", data=b"1")], facts=None)

    async def talk():
        async with mcp.Client(make_server([make])) as client:
            return await client.call_tool("make", {})

    assert asyncio.run(talk()).content[1].resource.uri == "agentkit:///a%23b%3F%25/c%20d.bin"
