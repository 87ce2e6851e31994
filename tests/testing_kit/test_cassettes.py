import asyncio
import gzip
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import cohere
import httpx
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_cohere import ChatCohere
from support.cohere_chat import MODEL
from support.repository import ROOT

from agentkit.errors import CassetteError, InputError
from agentkit.testing import CohereServer, ScriptError, cite, reply, use_cassette
from agentkit.testing.cassette_file import CassetteFile
from agentkit.testing.cassettes import public_uri

pytestmark = pytest.mark.usefixtures("no_api_key")

SCRIPT = (
    reply(plan="I will look.", calls=[("extract", {"q": "a\nb"})]),
    reply("Der Code ist „GLC“ 🎉.\nSchluss.", citations=[cite("GLC", call=0)]),
)
# Nothing of who recorded, on what machine, with which key; nothing a person cannot read.
FORBIDDEN = re.compile(
    r"authorization|set-cookie|api[-_]key|bearer|x-fern|user-agent|127\.0\.0\.1|localhost|!!binary", re.IGNORECASE
)
PROVENANCE = re.compile(r"\A(provenance: live\n(?!follows)|provenance: scripted\nfollows: \S)")


def settings_of_client():
    return {"api_key": os.environ["COHERE_API_KEY"], "base_url": os.environ.get("CO_API_URL")}


def follow_up(first):
    calls = [{"role": "tool", "tool_call_id": c.id, "content": "GLC"} for c in first.tool_calls]
    return [{"role": "user", "content": "Look."}, first, *calls]


def talk(question="Look."):
    """A question asked plainly, then its follow-up, streamed."""
    # Any: in the SDK's types everything is optional.
    sdk: Any = cohere.ClientV2(**settings_of_client())
    first = sdk.chat(model=MODEL, messages=[{"role": "user", "content": question}])
    return first, list(sdk.chat_stream(model=MODEL, messages=follow_up(first.message)))


async def talk_async():
    sdk: Any = cohere.AsyncClientV2(**settings_of_client())
    first = await sdk.chat(model=MODEL, messages=[{"role": "user", "content": "Look."}])
    return first, [e async for e in sdk.chat_stream(model=MODEL, messages=follow_up(first.message))]


@pytest.fixture
def recorded(tmp_path):
    path = tmp_path / "deep" / "talk.yaml"
    with use_cassette(path, mode="record", script=SCRIPT, follows="nothing") as recording:
        talk()
        assert (recording.mode, recording.provenance) == ("record", "scripted")
    return path


def ask(text):
    sdk: Any = cohere.ClientV2(**settings_of_client())
    return sdk.chat(model=MODEL, messages=[{"role": "user", "content": text}]).message.content[0].text


def test_what_was_recorded_is_replayed_to_sync_and_async_clients(tmp_path):
    path = tmp_path / "talk.yaml"
    with use_cassette(path, mode="record", script=SCRIPT):
        first = talk()
    text = path.read_text(encoding="utf-8")
    with use_cassette(path) as recording:
        assert talk() == first
        assert (recording.mode, recording.provenance) == ("replay", "scripted")
    with use_cassette(path):
        assert asyncio.run(talk_async()) == first
    with use_cassette(path, mode="record", script=SCRIPT):
        asyncio.run(talk_async())
    assert path.read_text(encoding="utf-8") == text


def test_chat_cohere_is_replayed_too(tmp_path):
    def chat():
        env = settings_of_client()
        return ChatCohere(model=MODEL, cohere_api_key=env["api_key"], base_url=env["base_url"]).invoke("Hello?").text

    with use_cassette(tmp_path / "x.yaml", mode="record", script=["Hi."]):
        chat()
    with use_cassette(tmp_path / "x.yaml"):
        assert chat() == "Hi."


@pytest.mark.cassette(
    script=[
        reply(plan="I will look.", calls=[("extract", {"q": "a\nb"})]),
        reply("The code is GLC.", citations=[cite("GLC", call=0)]),
    ],
    follows="the shape of a recorded tool call, then of a recorded stream",
)
def test_this_suite_replays_its_own_cassettes(cassette):
    first, events = talk()
    assert first.message.tool_calls[0].id == "extract_0001"
    assert events[-1].delta.finish_reason == "COMPLETE"
    assert cassette.path.parent.name == "test_cassettes"


def test_a_cassette_reads_like_this(recorded):
    text = recorded.read_text(encoding="utf-8")
    assert text.startswith(
        """\
provenance: scripted
follows: nothing
interactions:
- request:
    method: POST
    uri: https://api.cohere.com/v2/chat
    headers:
      accept: '*/*'
      content-type: application/json
    body:
      model: command-a-03-2025
      messages:
      - role: user
        content: Look.
      stream: false
  response:
    status: 200
    headers:
      content-type: application/json
    body:
      id: scripted-0001
      message:
        role: assistant
        tool_plan: I will look.
"""
    )
    assert "    body: |+\n      event: message-start\n      data: {" in text
    assert "„GLC" not in text.encode("ascii", "ignore").decode()
    assert '"text":" 🎉"' in text
    assert not FORBIDDEN.search(text)


@pytest.mark.parametrize(
    "leak",
    [
        "Authorization: Bearer x",
        "set-cookie: a",
        "x-fern-sdk-name: cohere",
        "user-agent: x",
        "http://127.0.0.1:80",
        "!!binary |",
    ],
)
def test_the_search_for_leaks_finds_them(leak):
    assert FORBIDDEN.search(f"provenance: live\n{leak}\n")


def test_no_cassette_of_this_project_leaks_and_each_says_where_it_is_from():
    folder = ROOT / "cassettes"
    paths = sorted(folder.rglob("*.yaml"))
    assert paths
    texts = {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in paths}
    leaks = {name: found.group() for name, text in texts.items() if (found := FORBIDDEN.search(text))}
    unclear = [name for name, text in texts.items() if not PROVENANCE.match(text)]
    assert (leaks, unclear) == ({}, [])


def test_the_environment_is_set_for_the_block_only(recorded, monkeypatch):
    monkeypatch.setenv("COHERE_API_KEY", "mine")
    monkeypatch.setenv("CO_API_URL", "https://private.example")
    with use_cassette(recorded) as recording:
        assert (os.environ["COHERE_API_KEY"], os.environ.get("CO_API_URL")) == ("replayed", None)
        talk()
    assert recording.mode == "replay"
    assert (os.environ["COHERE_API_KEY"], os.environ["CO_API_URL"]) == ("mine", "https://private.example")


def test_another_question_is_not_answered_with_the_old_answer(recorded):
    with pytest.raises(CassetteError) as caught, use_cassette(recorded):
        talk("Look again.")
    message = str(caught.value)
    assert f"The cassette {recorded} does not hold this request: POST https://api.cohere.com/v2/chat" in message
    assert "\n-    content: Look.\n+    content: Look again.\n" in message
    assert "--record" in message


def test_a_request_asked_twice_says_so(recorded):
    with pytest.raises(CassetteError, match="has been played already"), use_cassette(recorded):
        talk()
        talk()


def test_a_swallowed_mismatch_is_raised_at_the_end(recorded):
    swallowed = []
    with pytest.raises(CassetteError, match="Look again"), use_cassette(recorded):
        talk()
        try:
            talk("Look again.")
        except CassetteError as error:
            swallowed.append(error)
    assert len(swallowed) == 1


def test_a_recorded_request_that_was_not_sent_is_named(recorded):
    told = r"holds 2 requests and 2 were not sent; the first, number 1: .*'Look\.'"
    with pytest.raises(CassetteError, match=told), use_cassette(recorded):
        pass


def test_an_error_in_the_block_comes_through_unchanged(recorded):
    with pytest.raises(ZeroDivisionError), use_cassette(recorded):
        _ = 1 / 0


def test_discarding_checks_and_writes_nothing(recorded, tmp_path):
    with use_cassette(recorded) as recording:
        recording.discard()
    with use_cassette(tmp_path / "new.yaml", mode="record", script=["a", "b"]) as recording:
        ask("x")
        recording.discard()
    assert not (tmp_path / "new.yaml").exists()


def test_a_missing_cassette_names_the_file_and_the_next_step(tmp_path):
    with (
        pytest.raises(CassetteError, match=r"no cassette .*none\.yaml; record it with `pytest --record`\.$"),
        use_cassette(tmp_path / "none.yaml"),
    ):
        pass
    with (
        pytest.raises(CassetteError, match=r"record it with `pytest --record`, or set COHERE_API_KEY"),
        use_cassette(tmp_path / "none.yaml", mode="auto"),
    ):
        pass


@pytest.mark.parametrize(
    "text",
    ["", "provenance: live", "[1, 2]", "a: {", "interactions: []", "\x00", "provenance: live\ninteractions: [{}]"],
)
def test_a_file_that_is_no_cassette_is_a_clear_error(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CassetteError, match=r"bad\.yaml cannot be read .*--record"), use_cassette(path):
        pass


def test_recording_needs_a_key_or_a_script_and_a_request(tmp_path):
    path = tmp_path / "new.yaml"
    with (
        pytest.raises(CassetteError, match=r"Cannot record .*COHERE_API_KEY.*script"),
        use_cassette(path, mode="record"),
    ):
        pass
    with pytest.raises(CassetteError, match="Nothing was sent"), use_cassette(path, mode="record", script=[]):
        pass
    with pytest.raises(ScriptError, match="would have been 'b'"), use_cassette(path, mode="record", script=["a", "b"]):
        ask("x")
    with pytest.raises(InputError, match="mode='rec'"), use_cassette(path, mode=cast(Any, "rec")):
        pass
    assert list(tmp_path.iterdir()) == []


# A server on loopback stands in for the API: what is tested is the live path, not whose answers they are.
def test_with_a_key_the_api_is_recorded_and_the_key_is_not_written(tmp_path, monkeypatch):
    path = tmp_path / "live.yaml"
    with CohereServer(["Hi."]) as server:
        monkeypatch.setenv("COHERE_API_KEY", "a-secret-of-some-length")
        monkeypatch.setenv("CO_API_URL", server.url)
        with use_cassette(path, mode="record", script=["never used"], follows="never used") as recording:
            assert ask("Hello?") == "Hi."
        assert (recording.provenance, recording.server) == ("live", None)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("provenance: live\ninteractions:\n")
    assert "secret" not in text
    assert "uri: https://api.cohere.com/v2/chat" in text
    assert not FORBIDDEN.search(text)
    with use_cassette(path):
        assert ask("Hello?") == "Hi."


def test_a_key_in_a_body_is_never_written(tmp_path, monkeypatch):
    with CohereServer(["Hi."]) as server:
        monkeypatch.setenv("COHERE_API_KEY", "a-secret-of-some-length")
        monkeypatch.setenv("CO_API_URL", server.url)
        path = tmp_path / "live.yaml"
        with pytest.raises(CassetteError, match="would hold the API key"), use_cassette(path, mode="record"):
            ask("My key is a-secret-of-some-length.")
    assert list(tmp_path.iterdir()) == []


def test_auto_replays_without_a_key_and_is_live_with_one(recorded, monkeypatch):
    with use_cassette(recorded, mode="auto") as recording:
        talk()
    assert recording.note == "replaying talk.yaml (answers of a script, no model is called)."
    with CohereServer(["Hi."]) as server:
        monkeypatch.setenv("COHERE_API_KEY", "key")
        monkeypatch.setenv("CO_API_URL", server.url)
        with use_cassette("no such file", mode="auto") as recording:
            assert ask("Hello?") == "Hi."
    assert (recording.mode, recording.note) == ("live", "live: the answers come from the API.")


def test_auto_inside_a_cassette_uses_that_one(recorded):
    with use_cassette(recorded) as outer, use_cassette("no such file", mode="auto") as inner:
        talk()
    assert inner is outer


def test_traffic_on_this_machine_is_neither_recorded_nor_replayed(recorded, tmp_path):
    path = tmp_path / "x.yaml"
    with CohereServer([]) as other:
        with use_cassette(path, mode="record", script=["Hi."]):
            ask("Hello?")
            assert httpx.get(other.url).status_code == 404
        with use_cassette(path):
            ask("Hello?")
            assert httpx.get(other.url).status_code == 404
    assert "GET" not in path.read_text(encoding="utf-8")


def test_compressed_answers_and_errors_are_written_as_text(tmp_path):
    squeezed = reply(body=gzip.compress(b'{"message": "packed"}'), headers={"Content-Encoding": "gzip"}, status=400)
    path = tmp_path / "x.yaml"
    for mode in ("record", "replay"):
        with use_cassette(path, mode=mode, script=[squeezed]), pytest.raises(cohere.BadRequestError, match="packed"):
            ask("Hello?")
    (interaction,) = yaml.safe_load(path.read_text(encoding="utf-8"))["interactions"]
    assert interaction["response"] == {
        "status": 400,
        "headers": {"content-type": "application/json"},
        "body": {"message": "packed"},
    }


def test_a_body_that_is_no_text_cannot_be_recorded(tmp_path):
    with pytest.raises(CassetteError, match="not text"):
        script = [reply(body=b"\xff\xfe", status=400)]
        with use_cassette(tmp_path / "x.yaml", mode="record", script=script), pytest.raises(cohere.core.ApiError):
            ask("Hello?")


def test_threads_get_a_recorded_answer_each(tmp_path):
    path = tmp_path / "x.yaml"
    script = [str(n) for n in range(12)]
    for mode in ("record", "replay"):
        with use_cassette(path, mode=mode, script=script), ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda _: ask("same"), range(12)))
        assert sorted(answers, key=int) == script


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
TEXT = st.text(st.characters(codec="utf-8") | st.sampled_from(" \n\t:#-|'\"é\x85\u2028"), max_size=40)


@settings(max_examples=150, deadline=None)
@given(
    sent=st.dictionaries(st.text(min_size=1), JSON | TEXT, min_size=1),
    got=TEXT | st.just("event: x\ndata: {}\n\ndata: [DONE]\n\n"),
)
def test_any_json_and_any_text_comes_back_as_it_was(sent, got):
    file = CassetteFile(Path("x.yaml"), provenance="scripted", follows="x")
    written = {
        "request": {"method": "POST", "uri": "https://x/", "headers": {"accept": "a"}, "body": json.dumps(sent)},
        "response": {"status": {"code": 200, "message": "OK"}, "headers": {}, "body": {"string": got}},
    }
    text = file.serialize({"interactions": [written]})
    (read,) = file.deserialize(text)["interactions"]
    assert json.loads(read["request"]["body"]) == sent
    body = read["response"]["body"]["string"]
    assert body == got or json.loads(body) == json.loads(got)
    assert "!!binary" not in text


@pytest.mark.parametrize(
    ("uri", "api", "public"),
    [
        ("http://127.0.0.1:80/v2/chat", "http://127.0.0.1:80", "https://api.cohere.com/v2/chat"),
        ("http://127.0.0.1:80/v2/chat", "http://127.0.0.1:80/", "https://api.cohere.com/v2/chat"),
        ("http://127.0.0.1:8080/v2/chat", "http://127.0.0.1:80", "http://127.0.0.1:8080/v2/chat"),
        ("https://api.cohere.com/v2/chat", None, "https://api.cohere.com/v2/chat"),
        ("https://other.example/x?y=1", "http://127.0.0.1:80", "https://other.example/x?y=1"),
    ],
)
def test_only_the_address_of_the_api_is_rewritten(uri, api, public):
    assert public_uri(uri, api) == public
