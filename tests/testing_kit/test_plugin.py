"""The plugin as its users meet it: each test here runs pytest on a small project of its own."""

import subprocess
import sys

import httpx
import pytest
import yaml

from agentkit.testing import network, use_cassette

pytestmark = pytest.mark.usefixtures("no_api_key")

# Plain HTTP instead of the SDK, which imports itself bit by bit (see Modules).
HEAD = """
import os
import httpx
import pytest

def ask(text="Hello?"):
    url = os.environ.get("CO_API_URL", "https://api.cohere.com")
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    key = {"authorization": "Bearer " + os.environ["COHERE_API_KEY"]}
    return httpx.post(url + "/v2/chat", json=body, headers=key).json()["message"]["content"][0]["text"]
"""

ONE = (
    HEAD
    + """
@pytest.mark.cassette(script=["Hi."], follows="the example of the manual")
def test_hello(cassette):
    assert ask() == "Hi."
"""
)


PLUGINS_OFF = ("randomly", "cacheprovider", "hypothesispytest", "inline_snapshot")
QUIET = [part for name in PLUGINS_OFF for part in ("-p", f"no:{name}")]


@pytest.fixture(autouse=True, scope="module")
def everything_imported(tmp_path_factory):
    path = tmp_path_factory.mktemp("warm") / "x.yaml"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COHERE_API_KEY", raising=False)
        with use_cassette(path, mode="record", script=["Hi."]) as recording:
            assert recording.server
            body = {"model": "m", "messages": [{"role": "user", "content": "Hello?"}]}
            httpx.post(f"{recording.server.url}/v2/chat", json=body, headers={"authorization": "Bearer key"})


@pytest.fixture
def project(pytester):
    """A project whose only test is `ONE`, recorded."""
    pytester.makepyfile(test_one=ONE)
    run(pytester, "--record").assert_outcomes(passed=1)
    return pytester


class Modules:
    """What an inner run imports is forgotten after it; a library imported twice has every class twice."""

    def pytest_configure(self):
        self.before = set(sys.modules)

    def pytest_unconfigure(self):
        self.new = {name for name in set(sys.modules) - self.before if not name.startswith(("test_", "conftest"))}


def run(pytester, *options):
    modules = Modules()
    result = pytester.runpytest_inprocess(*QUIET, *options, plugins=[modules])
    assert not modules.new, "have these imported by everything_imported"
    return result


def cassette(pytester, name="test_one/test_hello"):
    return pytester.path / "cassettes" / f"{name}.yaml"


def test_without_a_cassette_the_test_fails_and_says_how_to_record(pytester):
    pytester.makepyfile(test_one=ONE)
    result = run(pytester)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*CassetteError: There is no cassette *test_hello.yaml; record it with `pytest --record`*"]
    )


def test_record_then_replay_without_network(project):
    lines = cassette(project).read_text(encoding="utf-8").splitlines()
    assert lines[:2] == ["provenance: scripted", "follows: the example of the manual"]
    project.makeini("[pytest]\nagentkit_block_network = true")
    run(project).assert_outcomes(passed=1)


def test_the_marker_alone_is_enough_and_comes_before_other_fixtures(pytester):
    pytester.makepyfile(
        test_one=HEAD
        + """
@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    monkeypatch.delenv("COHERE_API_KEY", raising=False)
    monkeypatch.delenv("CO_API_URL", raising=False)

@pytest.fixture
def answer():
    return ask()

@pytest.mark.cassette(script=["Hi."], name="shared")
class TestAll:
    def test_hello(self, answer):
        assert answer == "Hi."
"""
    )
    run(pytester, "--record").assert_outcomes(passed=1)
    assert cassette(pytester, "test_one/shared").is_file()
    run(pytester).assert_outcomes(passed=1)


def test_files_are_named_after_class_and_parameters(pytester):
    pytester.makepyfile(
        test_one=HEAD
        + """
@pytest.mark.cassette(script=["Hi."])
class TestAll:
    @pytest.mark.parametrize("question", ["a b/c", "ü"])
    def test_hello(self, question):
        ask(question)
"""
    )
    run(pytester, "--record").assert_outcomes(passed=2)
    names = sorted(path.name for path in (pytester.path / "cassettes" / "test_one").iterdir())
    assert names == [r"TestAll.test_hello-a-b-c.yaml", r"TestAll.test_hello-xfc.yaml"]


def test_a_stale_cassette_fails_with_the_difference(project):
    project.makepyfile(test_one=ONE.replace("ask()", 'ask("Good morning?")'))
    result = run(project)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*nearest recorded request differs:*", "*-    content: Hello[?]*", "*+    content: Good morning[?]*"]
    )


def test_a_mismatch_that_the_program_swallows_fails_all_the_same(project):
    swallowing = ONE.replace('assert ask() == "Hi."', 'ask()\n    try: ask("again")\n    except ValueError: pass')
    project.makepyfile(test_one=swallowing)
    result = run(project)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*CassetteError: * does not hold this request: *'again'*"])


def test_a_recorded_request_that_is_not_sent_fails(project):
    project.makepyfile(test_one=ONE.replace('assert ask() == "Hi."', "pass"))
    result = run(project)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*holds 1 requests and 1 were not sent*'Hello[?]'*--record*"])


def test_recording_anew_keeps_nothing_stale(project):
    project.makepyfile(test_one=ONE.replace("ask()", 'ask("Good morning?")'))
    run(project, "--record").assert_outcomes(passed=1)
    (interaction,) = yaml.safe_load(cassette(project).read_text(encoding="utf-8"))["interactions"]
    assert interaction["request"]["body"]["messages"][0]["content"] == "Good morning?"


@pytest.mark.parametrize(
    ("change", "outcome", "message"),
    [
        (('== "Hi."', '== "Ho."'), {"failed": 1}, "*assert 'Hi.' == 'Ho.'*"),
        (('script=["Hi."]', 'script=["Hi.", "Ho."]'), {"passed": 1, "errors": 1}, "*would have been 'Ho.'*"),
        (('assert ask() == "Hi."', "pass"), {"passed": 1, "errors": 1}, "*would have been 'Hi.'*"),
        (('script=["Hi."], ', ""), {"errors": 1}, "*Cannot record*COHERE_API_KEY*script*"),
    ],
)
def test_a_recording_that_fails_leaves_the_old_one(project, change, outcome, message):
    before = cassette(project).read_bytes()
    project.makepyfile(test_one=ONE.replace(*change))
    result = run(project, "--record")
    result.assert_outcomes(**outcome)
    result.stdout.fnmatch_lines([message])
    assert cassette(project).read_bytes() == before
    assert [path.name for path in cassette(project).parent.iterdir()] == ["test_hello.yaml"]


def test_the_folder_can_be_set(pytester):
    pytester.makepyfile(test_one=ONE)
    pytester.makeini("[pytest]\nagentkit_cassettes = data/recorded")
    run(pytester, "--record").assert_outcomes(passed=1)
    assert (pytester.path / "data/recorded/test_one/test_hello.yaml").is_file()


NETWORK = """
import socket
from agentkit.testing import NetworkBlockedError

def is_blocked():
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect_ex(("192.0.2.1", 53))
    except NetworkBlockedError:
        return True
    return False

def test_plain():
    assert is_blocked() is BLOCKED

def test_asked_for(block_network):
    assert is_blocked()
"""


BLOCK = "agentkit_block_network = true"


@pytest.mark.parametrize(
    ("ini", "blocked", "workers"), [("", False, []), (BLOCK, True, []), (BLOCK, True, ["-n", "2"])]
)
def test_the_network_is_blocked_only_where_it_is_asked_for(pytester, ini, blocked, workers):
    pytester.makepyfile(test_net=NETWORK.replace("BLOCKED", str(blocked)))
    pytester.makeini(f"[pytest]\n{ini}")
    pytester.runpytest_subprocess(*QUIET, *workers).assert_outcomes(passed=2)


def test_the_block_is_gone_after_the_run(pytester):
    pytester.makepyfile("def test_it(): pass")
    pytester.makeini("[pytest]\nagentkit_block_network = true")
    before = network._blocking
    run(pytester).assert_outcomes(passed=1)
    assert network._blocking == before


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_loading_the_plugin_imports_nothing_heavy():
    heavy = ["langchain_core", "cohere", "vcr", "yaml", "httpx", "pydantic", "http.server", "asyncio"]
    code = f"import pytest, sys, agentkit.testing.plugin; print([m for m in {heavy} if m in sys.modules])"
    assert python(code) == "[]"


def test_everything_but_the_plugin_works_without_pytest(project):
    code = f"""
import sys
sys.modules["pytest"] = None
import agentkit.testing
from agentkit.testing import *
assert all(hasattr(agentkit.testing, name) for name in agentkit.testing.__all__)
import httpx
with use_cassette({str(cassette(project))!r}):
    body = {{"model": "m", "messages": [{{"role": "user", "content": "Hello?"}}]}}
    print(httpx.post("https://api.cohere.com/v2/chat", json=body).json()["id"])
"""
    assert python(code) == "scripted-0001"


def test_the_marker_is_registered(pytester):
    result = run(pytester, "--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.cassette(*"])
