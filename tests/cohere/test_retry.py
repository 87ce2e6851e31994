"""When a request to Cohere is sent again, over real HTTP, with a clock and a sleep that only count."""

import asyncio
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage
from pydantic import SecretStr
from support.cohere_chat import QUESTION, chat
from support.manual_clock import ManualClock

from agentkit import CohereChat, ConfigError, ModelError
from agentkit.cohere.retry import Retry, RetryPolicy, retry_after_s
from agentkit.cohere.stream import retry_of
from agentkit.errors import DeadlineError
from agentkit.testing import CohereServer, reply

NOON = datetime(2031, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def time():
    return ManualClock(now=NOON.timestamp)


POLICY = RetryPolicy(max_tries=3, base_s=2, max_s=30, jitter=0)


@pytest.fixture(params=["invoke", "ainvoke", "stream", "astream"])
def ask(request, time):
    """One way to ask, over a server; the answer's text."""

    def run(server, *, policy=POLICY, **kwargs):
        model = chat(server, retry=policy, timing=time.timing, timeout_seconds=5)

        async def astream():
            return "".join([chunk.text async for chunk in model.astream(QUESTION, **kwargs)])

        match request.param:
            case "invoke":
                return model.invoke(QUESTION, **kwargs).text
            case "ainvoke":
                return asyncio.run(model.ainvoke(QUESTION, **kwargs)).text
            case "stream":
                return "".join(chunk.text for chunk in model.stream(QUESTION, **kwargs))
            case _:
                return asyncio.run(astream())

    return run


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_what_passes_is_tried_again(ask, time, status):
    seen = []
    with CohereServer([reply(status=status), reply(status=status), "There."]) as server:
        assert ask(server, on_retry=seen.append) == "There."
    assert time.slept == [2, 4]
    assert [(r.tries, r.wait_s, r.status) for r in seen] == [(1, 2, status), (2, 4, status)]
    assert f"status {status}" in seen[0].reason


@pytest.mark.parametrize("status", [400, 401, 499, 501])
def test_what_stays_wrong_is_not_tried_again(ask, time, status):
    script = [reply(status=status, body={"message": "no."})]
    with CohereServer(script) as server, pytest.raises(ModelError, match=rf"status {status}: no\. Next: ") as told:
        ask(server)
    assert (time.slept, len(server.requests)) == ([], 1)
    assert "attempts" not in str(told.value)


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (400, "request"),
        (401, "COHERE_API_KEY"),
        (403, "this key"),
        (404, "CO_API_URL"),
        (422, "request"),
        (429, "rate limit"),
    ],
)
def test_each_status_says_what_to_do_next(time, status, hint):
    model_error = pytest.raises(ModelError, match=rf"status {status}: no\..* Next: .*{hint}")
    with CohereServer([reply(status=status, body={"message": "no."})]) as server, model_error:
        chat(server, retry=RetryPolicy(max_tries=1), timing=time.timing).invoke(QUESTION)


def test_the_last_error_says_how_many_tries_there_were(ask, time):
    script = [reply(status=503, body={"message": "busy"})] * 3
    with CohereServer(script) as server:
        with pytest.raises(ModelError, match=r"status 503: busy after 3 attempts\. Next: try again later"):
            ask(server)
        server.assert_all_used()
    assert time.slept == [2, 4]


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_stream_tells_of_each_retry_and_sends_no_request_too_many(time, way):
    told = []
    with CohereServer([reply(status=503)] * 9) as server:
        model = chat(server, retry=POLICY, timing=time.timing)

        def stream():
            for chunk in model.stream(QUESTION, tell_retries=True):
                told.append(retry_of(chunk))

        async def astream():
            async for chunk in model.astream(QUESTION, tell_retries=True):
                told.append(retry_of(chunk))

        with pytest.raises(ModelError, match="after 3 attempts"):
            asyncio.run(astream()) if way == "astream" else stream()
        assert len(server.requests) == 3
    assert [(retry.tries, retry.wait_s, retry.status) for retry in told] == [(1, 2, 503), (2, 4, 503)]


def test_an_error_of_on_retry_is_the_callers(ask):
    def refuse(retry):
        raise ValueError("mine")

    with CohereServer([reply(status=503), "There."]) as server, pytest.raises(ValueError, match="mine"):
        ask(server, on_retry=refuse)
    assert len(server.requests) == 1


def test_one_try_only(ask, time):
    with CohereServer([reply(status=500)]) as server, pytest.raises(ModelError, match="status 500"):
        ask(server, policy=RetryPolicy(max_tries=1))
    assert time.slept == []


def test_a_connection_that_is_dropped_before_an_answer_is_tried_again(ask, time):
    with CohereServer([reply(cut_after=0), "There."]) as server:
        assert ask(server) == "There."
    assert time.slept == [2]


def test_a_server_that_is_not_there_is_tried_again(ask, time):
    with CohereServer([]) as server:
        url = server.url

    class Gone:
        pass

    gone = Gone()
    gone.url = url
    with pytest.raises(ModelError, match="cannot be reached: ConnectError.* after 3 attempts") as told:
        ask(gone)
    assert time.slept == [2, 4]
    assert told.value.__cause__ is not None


def test_a_stream_is_not_begun_again_once_words_have_come(time):
    words = []
    with CohereServer([reply("One two three.", cut_after=4), "never sent"]) as server:
        model = CohereChat(
            model="m", cohere_api_key=SecretStr("k"), base_url=server.url, retry=POLICY, timing=time.timing
        )
        with pytest.raises(ModelError, match="cut the reply off"):
            words.extend(chunk.text for chunk in model.stream(QUESTION))
        assert len(server.requests) == 1
    assert time.slept == []


def test_a_stream_cut_before_its_first_words_is_begun_again(ask, time):
    with CohereServer([reply("One two.", cut_after=1), "There."]) as server:
        assert ask(server) == "There."
    assert time.slept == [2]


# --- Retry-After ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "wait"),
    [("7", 7), ("0", 0), ("1.5", 1.5), (format_datetime(NOON.replace(second=9), usegmt=True), 9), ("soon", 2)],
)
def test_retry_after_is_kept(ask, time, header, wait):
    with CohereServer([reply(status=429, headers={"Retry-After": header}), "There."]) as server:
        assert ask(server) == "There."
    assert time.slept == [wait]


def test_a_server_that_asks_for_more_than_the_policy_allows_is_not_asked_again(ask, time):
    with (
        CohereServer([reply(status=429, headers={"Retry-After": "3600"})]) as server,
        pytest.raises(ModelError, match=r"status 429.*\(it asks to wait 3600 s, more than the 30 s allowed\)"),
    ):
        ask(server)
    assert time.slept == []


@pytest.mark.parametrize("header", [None, "", " ", "-5", "nan", "inf", "Thu, 99 Foo", "1.2.3"])
def test_a_header_that_says_nothing(header):
    assert retry_after_s(header, 0.0) is None


def test_a_date_that_has_passed_is_now():
    assert retry_after_s(format_datetime(NOON, usegmt=True), NOON.timestamp() + 5) == 0


# --- the deadline ---------------------------------------------------------------------------------------------


def test_no_wait_goes_past_the_deadline(ask, time):
    script = [reply(status=503), reply(status=503), "too late"]
    with (
        CohereServer(script) as server,
        pytest.raises(ModelError, match=r"after 2 attempts \(the deadline is in 3 s and the next attempt in 4 s\)"),
    ):
        ask(server, deadline=time.seconds + 5)
    assert (time.slept, len(server.requests)) == ([2], 2)


def test_nothing_is_sent_after_the_deadline(ask, time):
    with CohereServer(["There."]) as server, pytest.raises(ModelError, match="the deadline has passed"):
        ask(server, deadline=time.seconds)
    assert server.requests == []


def test_a_failure_at_the_deadline_is_the_deadlines(ask, time):
    def late(body):
        time.seconds += 5
        return reply(status=503)

    with (
        CohereServer([late]) as server,
        pytest.raises(DeadlineError, match="answered with status 503: .*, and the deadline has passed"),
    ):
        ask(server, deadline=time.seconds + 5, policy=RetryPolicy(max_tries=1))


def test_an_answer_is_not_waited_for_past_the_deadline(ask, time):
    with (
        CohereServer([reply("late", delay_s=30)]) as server,
        pytest.raises(ModelError, match="did not answer in time .ReadTimeout"),
    ):
        ask(server, deadline=time.seconds + 0.2, policy=RetryPolicy(max_tries=1))


def test_a_deadline_that_is_kept_does_nothing(ask, time):
    with CohereServer([reply(status=503), "There."]) as server:
        assert ask(server, deadline=time.seconds + 100) == "There."


def test_what_belongs_to_one_call_is_sent_nowhere(ask, time):
    with CohereServer(["There."]) as server:
        ask(
            server,
            deadline=time.seconds + 9,
            on_retry=print,
            request_options={"additional_headers": {"X-Trace": "t1"}},
        )
    (request,) = server.requests
    assert set(request.body) == {"model", "messages", "stream"}
    assert request.headers["x-trace"] == "t1"


def test_traces_do_not_hold_what_belongs_to_one_call():
    model = CohereChat(model="m", cohere_api_key=SecretStr("k"), base_url="http://127.0.0.1:9")
    kwargs = {"deadline": 5.0, "on_retry": print, "seed": 3}
    assert "deadline" not in (params := model._get_invocation_params(**kwargs)) and "on_retry" not in params
    assert params["seed"] == 3
    assert model._get_llm_string(**kwargs) == model._get_llm_string(seed=3)


@pytest.mark.parametrize("way", ["invoke", "stream"])
def test_a_calls_own_timeout_replaces_the_models(way):
    with CohereServer([reply("late", delay_s=1)]) as server:
        model = chat(server, retry=RetryPolicy(max_tries=1), timeout_seconds=0.2)
        options = {"timeout_in_seconds": 20}
        if way == "invoke":
            assert model.invoke(QUESTION, request_options=options).text == "late"
        else:
            assert "".join(chunk.text for chunk in model.stream(QUESTION, request_options=options)) == "late"


# --- the policy -----------------------------------------------------------------------------------------------


@given(st.integers(0, 99), st.integers(1, 5000), st.floats(0, 1), st.floats(0.001, 100), st.floats(0, 100))
def test_waits_grow_and_stay_within_bounds(seed, tries, jitter, base_s, max_s):
    policy = RetryPolicy(base_s=base_s, max_s=max_s, jitter=jitter, seed=seed)
    whole = min(base_s * 2.0 ** min(tries - 1, 60), max_s)
    wait = policy.wait_s(tries)
    assert whole * (1 - jitter) <= wait * (1 + 1e-9) and wait <= whole * (1 + 1e-9)
    assert wait == policy.wait_s(tries), "the seed decides"
    assert policy.wait_s(tries, retry_after_s=3.5) == 3.5


def test_the_waits_of_the_default_policy():
    assert [RetryPolicy(jitter=0).wait_s(failed) for failed in (1, 2, 3, 8, 20)] == [0.5, 1, 2, 60, 60]


def test_the_random_part_differs_from_seed_to_seed_and_try_to_try():
    def waits(seed):
        return [RetryPolicy(base_s=1, max_s=1, jitter=0.5, seed=seed).wait_s(tries) for tries in (1, 2, 3)]

    assert len({*waits(1), *waits(2)}) == 6
    assert len({RetryPolicy().wait_s(1) for _ in range(9)}) > 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_tries": 0},
        {"max_tries": True},
        {"max_tries": 2.5},
        {"base_s": -1},
        {"base_s": float("nan")},
        {"max_s": "9"},
        {"jitter": 1.5},
        {"jitter": None},
    ],
)
def test_a_policy_that_cannot_be(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ConfigError, match=rf"RetryPolicy\.{name} is {value!r}: give "):
        RetryPolicy(**wrong)


def test_the_models_own_on_retry_is_told_too(time):
    seen = []
    with CohereServer([reply(status=500), "There."]) as server:
        model = CohereChat(
            model="m",
            cohere_api_key=SecretStr("k"),
            base_url=server.url,
            retry=POLICY,
            timing=time.timing,
            on_retry=seen.append,
        )
        assert model.invoke(QUESTION).text == "There."
    assert seen == [Retry(1, 2, seen[0].reason, 500)]


def test_what_is_no_json_is_said(ask):
    with (
        CohereServer([reply(body="<html>", headers={"content-type": "text/html"})]) as server,
        pytest.raises(ModelError, match="not a JSON object: '<html>'.*CO_API_URL|ended before the reply"),
    ):
        ask(server, policy=RetryPolicy(max_tries=1))


def test_messages_that_json_cannot_hold():
    model = CohereChat(model="m", cohere_api_key=SecretStr("k"), base_url="http://127.0.0.1:9")
    with pytest.raises(ModelError, match="cannot be written as JSON .*surrogates"):
        model.invoke([HumanMessage("a\ud800b")])
    with pytest.raises(ModelError, match="cannot be written as JSON"):
        list(model.stream([HumanMessage("a\ud800b")]))
