"""A folder to run in, a scripted server, and the command line in this process."""

import io
import sys

import pytest
from support.command_line import CODES

from agentkit.cli.app import main
from agentkit.testing import CohereServer


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder to run in, and no key."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COHERE_API_KEY", raising=False)
    monkeypatch.delenv("CO_API_URL", raising=False)
    (tmp_path / "codes.toml").write_text(CODES)
    return tmp_path


@pytest.fixture
def serve(monkeypatch):
    """Start a scripted server and point agentkit at it; what it was to say must be asked for."""
    servers = []

    def start(*script) -> CohereServer:
        server = CohereServer(script).__enter__()
        servers.append(server)
        monkeypatch.setenv("CO_API_URL", server.url)
        monkeypatch.setenv("COHERE_API_KEY", "k")
        return server

    yield start
    for server in servers:
        server.__exit__(None, None, None)
    for server in servers:
        server.assert_all_used()


@pytest.fixture
def cli(capsys, monkeypatch):
    """Run the command line in this process: exit code, standard output, standard error."""

    def run(*arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit:
            main(arguments)
        out, err = capsys.readouterr()
        return int(exit.value.code or 0), out, err

    return run
