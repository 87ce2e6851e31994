import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentkit.memory import Memory

pytest_plugins = ["pytester"]

NO_SERVER = (
    "no PostgreSQL server: install one (Debian: apt-get install postgresql), or put the URL of a server, whose "
    "databases may be made and dropped, into AGENTKIT_TEST_POSTGRES_URL"
)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Yield the URL of a server: that of AGENTKIT_TEST_POSTGRES_URL, else of one that lives as long as this run."""
    given = os.environ.get("AGENTKIT_TEST_POSTGRES_URL")
    if given:
        yield given
        return
    programs = _postgres_programs()
    if programs is None:
        if os.environ.get("CI") == "true":
            pytest.fail(NO_SERVER)
        pytest.skip(NO_SERVER)
    folder = Path(tempfile.mkdtemp(prefix="agentkit-pg-", dir="/tmp"))  # short: a socket's path has its limit
    user = None
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        user = "postgres" if _exists("postgres") else "nobody"
        shutil.chown(folder, user)
    groups = None if user is None else ()
    data = folder / "data"
    initdb = [programs / "initdb", "-D", data, "-U", "postgres", "-E", "UTF8", "--locale=C", "-A", "trust", "-N"]
    made = subprocess.run(initdb, cwd=folder, capture_output=True, text=True, user=user, extra_groups=groups)
    assert made.returncode == 0, made.stdout + made.stderr
    with (folder / "log").open("w") as log:
        command = [programs / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"]
        server = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, text=True, user=user, extra_groups=groups
        )
    try:
        url = f"postgresql+psycopg://postgres@/postgres?host={folder}"
        _wait_for(url, server, folder / "log")
        yield url
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """Yield the URL of an empty database for one test."""
    from sqlalchemy import create_engine, make_url, text

    name = f"agentkit_test_{os.getpid()}_{time.monotonic_ns()}"
    engine = create_engine(postgres_server, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0"))
        yield make_url(postgres_server).set(database=name).render_as_string(hide_password=False)
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    finally:
        engine.dispose()


@pytest.fixture(params=["file", "process", pytest.param("postgres", marks=pytest.mark.postgres)])
def memory_place(request, tmp_path):
    """Return each place a memory can be in, as the argument of `Memory`."""
    if request.param == "postgres":
        return request.getfixturevalue("postgres_url")
    return tmp_path / "m.db" if request.param == "file" else None


@pytest.fixture
def memory(memory_place):
    """A memory in each of the places."""
    with Memory(memory_place) as memory:
        yield memory


@pytest.fixture
def no_api_key(monkeypatch):
    """No settings of the machine's own for Cohere."""
    monkeypatch.delenv("COHERE_API_KEY", raising=False)
    monkeypatch.delenv("CO_API_URL", raising=False)


@pytest.fixture
def cohere_at(monkeypatch):
    """A function that makes a `CohereServer` the one that models named by a string talk to."""

    def use(server):
        monkeypatch.setenv("COHERE_API_KEY", "test-key")
        monkeypatch.setenv("CO_API_URL", server.url)

    return use


def _postgres_programs() -> Path | None:
    found = [Path(path).parent for path in [shutil.which("initdb")] if path]
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: float(p.parent.name), reverse=True)
    return next((p for p in [*found, *versions] if (p / "initdb").exists() and (p / "postgres").exists()), None)


def _exists(user: str) -> bool:
    import pwd

    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _wait_for(url: str, server: "subprocess.Popen[str]", log: Path) -> None:
    from sqlalchemy import create_engine
    from sqlalchemy.exc import OperationalError

    engine = create_engine(url)
    until = time.monotonic() + 30
    while True:
        assert server.poll() is None, f"PostgreSQL ended: {log.read_text()}"
        try:
            engine.connect().close()
        except OperationalError as error:
            assert time.monotonic() < until, f"{error}: {log.read_text()}"
            time.sleep(0.05)
        else:
            engine.dispose()
            return
