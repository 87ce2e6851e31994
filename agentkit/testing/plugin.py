"""The pytest plugin: the fixtures ``cassette`` and ``block_network`` and the option ``--record``.

Loaded in every run of pytest where agentkit is installed, so it imports nothing until a fixture is used, and
changes nothing by itself. ``agentkit_block_network = true`` in the ini file blocks the network for the
whole run.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from agentkit.testing.cassettes import Recording

_failed = pytest.StashKey[bool]()
_blocking = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--record`` and the ini options."""
    parser.getgroup("agentkit").addoption(
        "--record",
        action="store_true",
        dest="agentkit_record",
        help="record the selected tests' cassettes again: from the API with COHERE_API_KEY set, else from scripts",
    )
    parser.addini(
        "agentkit_block_network",
        "block sockets and DNS outside loopback in the whole run",
        type="bool",
        default=False,
    )
    parser.addini("agentkit_cassettes", "folder of the cassettes, from the root folder", default="cassettes")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and block the network where the ini file says so."""
    config.addinivalue_line(
        "markers",
        "cassette(name=None, script=None, follows=None): replay this test's HTTP traffic from "
        "cassettes/<module>/<name>.yaml; --record records it, without a key from the script",
    )
    if config.getini("agentkit_block_network"):
        from agentkit.testing.network import start_blocking

        start_blocking()
        config.stash[_blocking] = True


def pytest_unconfigure(config: pytest.Config) -> None:
    """Lift the block."""
    if config.stash.get(_blocking, False):
        from agentkit.testing.network import stop_blocking

        config.stash[_blocking] = False
        stop_blocking()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give a test with the marker the fixture: after autouse fixtures, before those the test asks for.

    Autouse fixtures may clear the environment, the others may make the agent.
    """
    if isinstance(item, pytest.Function) and item.get_closest_marker("cassette"):
        names = item.fixturenames
        if "cassette" in names:
            names.remove("cassette")
        parameters = inspect.signature(item.function).parameters
        names.insert(next((i for i, name in enumerate(names) if name in parameters), len(names)), "cassette")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember a test that failed: its recording is discarded."""
    report = yield
    if report.when != "teardown" and not report.passed:
        item.stash[_failed] = True
    return report


@pytest.fixture
def cassette(request: pytest.FixtureRequest) -> Iterator[Recording]:
    """Yield the test's HTTP traffic, replayed from ``cassettes/<test module>/<test>.yaml``.

    ``@pytest.mark.cassette(name=..., script=[...], follows=...)`` names the file and says what to record it from
    without an API key; the marker alone is enough to get the fixture. ``pytest --record`` records it again.
    """
    from agentkit.testing.cassettes import use_cassette

    marker = request.node.get_closest_marker("cassette")
    options: dict[str, Any] = dict(marker.kwargs) if marker else {}
    path = _path(request, options.pop("name", None))
    mode: Any = "record" if request.config.getoption("agentkit_record") else "replay"
    with use_cassette(path, mode=mode, **options) as recording:
        yield recording
        if request.node.stash.get(_failed, False):
            recording.discard()


@pytest.fixture
def block_network() -> Iterator[None]:
    """Block sockets and DNS outside loopback for this test."""
    from agentkit.testing.network import block_network

    with block_network():
        yield


def _path(request: pytest.FixtureRequest, name: str | None) -> Path:
    node = request.node
    within = [part.name for part in node.listchain() if isinstance(part, pytest.Class)]
    name = name or re.sub(r"[^\w.-]+", "-", ".".join([*within, node.name])).strip("-")
    folder = request.config.rootpath / str(request.config.getini("agentkit_cassettes"))
    return folder / str(node.path.stem) / f"{name}.yaml"
