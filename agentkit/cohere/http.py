"""Requests to Cohere over an httpx client of our own, with our retries.

The flow of a request (`reply_json`, `reply_chunks`) is a generator without IO, as httpx writes its auth flow: it yields
what to do next and is sent the result, and one short driver each does it with or without blocking.

The SDK's methods are not used: they retry and sleep by themselves, their stream reader loses characters that the
network cuts in two, and its HTTP client is private.
"""

from __future__ import annotations

import asyncio
import json
import threading
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from agentkit.base.text import shorten
from agentkit.cohere.http_failures import WIRE_ERRORS, Failure, breakdown, refusal
from agentkit.cohere.retry import Retry, RetryPolicy, Timing
from agentkit.cohere.stream import BrokenStreamError, StreamReader, retry_chunk
from agentkit.errors import DeadlineError, ModelError, UserError

_HEADERS = {"user-agent": "agentkit-cohere"}
_ALMOST_S = 0.005  # by hand: a wait that was cut at the deadline may end this much before it


@dataclass(kw_only=True)
class Call:
    """One request and its attempts.

    Attributes:
        url: The address.
        headers: The headers, with the key.
        body: The JSON body.
        where: The server's name, for messages.
        policy: When the request is sent again.
        timing: The clock and the waits.
        deadline: On `Timing.clock`: no wait ends after it, no answer is awaited for longer; None for no deadline.
        on_retry: Called with a `Retry` before each retry's wait.
        tells_retries: True makes the flow yield a chunk for each retry, see `agentkit.cohere.stream.retry_of`.
        timeout_s: Seconds to wait for the server in each attempt.
        params: More query parameters.
        attempts: How many requests have been sent.
    """

    url: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    where: str
    policy: RetryPolicy
    timing: Timing
    timeout_s: float
    deadline: float | None = None
    on_retry: Callable[[Retry], object] | None = None
    tells_retries: bool = False
    params: Mapping[str, Any] = field(default_factory=dict)
    attempts: int = 0

    def next_attempt(self, content: bytes) -> Send:
        """Count an attempt and return what to send.

        Raises:
            DeadlineError: The deadline has passed.
        """
        left = self._seconds_left()
        if left is not None and left <= 0:
            raise DeadlineError(f"No time is left to ask {self.where}: the deadline has passed. Next: allow more time.")
        self.attempts += 1
        request = {"url": self.url, "headers": self.headers, "content": content}
        if self.params:  # httpx takes even an empty mapping as a wish to drop the query of the address
            request["params"] = self.params
        return Send({**request, "timeout": self.timeout_s if left is None else min(self.timeout_s, left)})

    def retry(self, failure: Failure, cause: Exception | None = None) -> Retry:
        """Return the retry that follows `failure`, after telling `on_retry` of it.

        Raises:
            ModelError: There is none.
            DeadlineError: There is no time for it.
        """
        if failure.retryable:
            self.check_time(failure.reason)
        if not failure.retryable or self.attempts >= self.policy.max_tries:
            raise self._error(failure) from cause
        wait = self.policy.wait_s(self.attempts, failure.retry_after_s)
        if wait > self.policy.max_s:
            why = f"it asks to wait {wait:g} s, more than the {self.policy.max_s:g} s allowed"
            raise self._error(failure, why) from cause
        left = self._seconds_left()
        if left is not None and wait >= left:
            why = f"the deadline is in {max(left, 0):.3g} s and the next attempt in {wait:.3g} s"
            raise DeadlineError(str(self._error(failure, why))) from cause
        retry = Retry(self.attempts, wait, failure.reason, failure.status)
        if self.on_retry is not None:
            self.on_retry(retry)
        return retry

    def check_time(self, reason: str = "has not finished its reply") -> None:
        """Check that the deadline has not come.

        Raises:
            DeadlineError: It has.
        """
        left = self._seconds_left()
        if left is not None and left <= _ALMOST_S:
            raise DeadlineError(f"{self.where} {reason}, and the deadline has passed. Next: allow more time.")

    def _seconds_left(self) -> float | None:
        return None if self.deadline is None else self.deadline - self.timing.clock()

    def _error(self, failure: Failure, why_no_retry: str = "") -> ModelError:
        attempts = f" after {self.attempts} attempts" if self.attempts > 1 else ""
        why = f" ({why_no_retry})" if why_no_retry else ""
        return ModelError(f"{self.where} {failure.reason}{attempts}{why}. Next: {failure.next_step}.")


# --- the flow: what to do next --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request with these arguments of httpx's ``build_request``; answered with the response, body unread."""

    request: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ReadAll:
    """Read the response's body to its end."""


@dataclass(frozen=True, slots=True)
class ReadSome:
    """Read on in the response's body; answered with the bytes, none at its end."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Leave the response and wait."""

    seconds: float


Flow = Generator[Any, Any, None]
"""Yields `Send`, `ReadAll`, `ReadSome` and `Wait`, and between them what the caller gets: chunks, or one JSON body."""


def reply_json(call: Call) -> Flow:
    """Yield the steps of a request that is not streamed, and the JSON object of its reply.

    Raises:
        ModelError: No reply, after as many attempts as the policy allows.
    """

    def read(response: httpx.Response) -> Flow:
        yield ReadAll()
        try:
            body = response.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise ModelError(
                f"{call.where} answered with something that is not a JSON object: "
                f"{shorten(repr(response.text), 120)}. Next: check that CO_API_URL is the address of Cohere's API."
            )
        yield body

    return _attempts(call, read)


def reply_chunks(call: Call, model: str | None) -> Flow:
    """Yield the steps of a streamed request, and each chunk of its reply as soon as it has come.

    A request is sent again only as long as no chunk has been yielded.

    Raises:
        ModelError: No reply, or it was cut off.
    """

    def read(response: httpx.Response) -> Flow:
        reader, begun = StreamReader(model), False
        try:
            while received := (yield ReadSome()):
                call.check_time()
                for chunk in reader.feed(received):
                    begun = True
                    yield chunk
                if reader.done and not _is_framed(response):
                    break
            for chunk in reader.close():
                begun = True
                yield chunk
        except WIRE_ERRORS as error:
            if reader.ended:
                return
            if not begun:
                raise
            call.check_time(f"cut the reply off after {reader.progress()}")
            why = shorten(error, 200) if isinstance(error, BrokenStreamError) else breakdown(error).reason
            raise ModelError(
                f"{call.where} cut the reply off after {reader.progress()}: {why}. "
                "Next: run again; what has come so far is not the whole reply."
            ) from error

    return _attempts(call, read)


def _attempts(call: Call, read: Callable[[httpx.Response], Flow]) -> Flow:
    content = _encoded(call)
    while True:
        try:
            response = yield call.next_attempt(content)
            if response.is_success:
                yield from read(response)
                return
            yield ReadAll()
        except UserError:
            raise  # a missing recording, a blocked network: not the wire's failure
        except WIRE_ERRORS as error:
            retry = call.retry(breakdown(error), error)
        else:
            retry = call.retry(refusal(response, call.timing.now()))
        if call.tells_retries:
            yield retry_chunk(retry)
        yield Wait(retry.wait_s)


def _encoded(call: Call) -> bytes:
    try:
        return json.dumps(call.body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"{call.where} was not asked: the request cannot be written as JSON "
            f"({type(error).__name__}: {shorten(error, 200)}). "
            "Next: take out of the messages what JSON cannot hold, such as lone surrogates and NaN."
        ) from error


def _is_framed(response: httpx.Response) -> bool:
    """True if the body is framed (Content-Length, chunked, HTTP/2); draining it lets the connection be reused."""
    framed = "content-length" in response.headers or "transfer-encoding" in response.headers
    return framed or response.http_version == "HTTP/2"


# --- the drivers ----------------------------------------------------------------------------------------------


def drive(flow: Flow, client: Callable[[], httpx.Client], timing: Timing) -> Generator[Any, None, None]:
    """Do the steps of `flow` and yield the rest, which is for the caller.

    Closing the iterator closes the connection.
    """
    response: Any = None
    answer: Any = None
    try:
        step = next(flow)
        while True:
            try:
                match step:
                    case Send(request):
                        http = client()
                        answer = response = http.send(http.build_request("POST", **request), stream=True)
                        body = response.iter_bytes()
                    case ReadAll():
                        assert response is not None  # a flow reads only what it has sent for
                        answer = response.read()
                    case ReadSome():
                        answer = next(body, b"")
                    case Wait(seconds):
                        if response is not None:
                            response.close()
                        timing.sleep(seconds)
                    case _:
                        yield step
            except WIRE_ERRORS as error:
                step = flow.throw(error)
            else:
                step = flow.send(answer)
    except StopIteration:
        return
    finally:
        if response is not None:
            response.close()


async def adrive(
    flow: Flow, client: Callable[[], Awaitable[httpx.AsyncClient]], timing: Timing
) -> AsyncGenerator[Any, None]:
    """Do as `drive`, without blocking the event loop."""
    response: Any = None
    answer: Any = None
    try:
        step = next(flow)
        while True:
            try:
                match step:
                    case Send(request):
                        http = await client()
                        answer = response = await http.send(http.build_request("POST", **request), stream=True)
                        body = response.aiter_bytes()
                    case ReadAll():
                        assert response is not None
                        answer = await response.aread()
                    case ReadSome():
                        answer = await anext(body, b"")
                    case Wait(seconds):
                        if response is not None:
                            await response.aclose()
                        await timing.asleep(seconds)
                    case _:
                        yield step
            except WIRE_ERRORS as error:
                step = flow.throw(error)
            else:
                step = flow.send(answer)
    except StopIteration:
        return
    finally:
        if response is not None:
            await response.aclose()


# --- the clients ----------------------------------------------------------------------------------------------


class HttpClients:
    """The httpx clients of one model: one for all threads, and one for each event loop.

    They hold connections and nothing else: address, key and timeout come with each request. An asynchronous
    connection belongs to the loop it was opened in: a second ``asyncio.run`` that met one of the first would fail
    with "Event loop is closed". Every client is closed by itself: the blocking one together with this object, an
    asynchronous one at the end of its ``asyncio.run``.
    """

    def __init__(self) -> None:
        """Make no client yet: each costs about 20 ms, most of it for reading the certificates."""
        self._lock = threading.Lock()
        self._client: httpx.Client | None = None
        self._of_loop: dict[asyncio.AbstractEventLoop, tuple[httpx.AsyncClient, AsyncGenerator[None, None]]] = {}

    def client(self) -> httpx.Client:
        """Return the client for calls that block."""
        with self._lock:
            if self._client is None:
                self._client = httpx.Client(headers=_HEADERS, follow_redirects=True)
                weakref.finalize(self, self._client.close)
            return self._client

    async def async_client(self) -> httpx.AsyncClient:
        """Return the client of the running event loop."""
        loop = asyncio.get_running_loop()
        if loop not in self._of_loop:
            for old in [loop for loop in self._of_loop if loop.is_closed()]:
                self._of_loop.pop(old, None)
            client = httpx.AsyncClient(headers=_HEADERS, follow_redirects=True)
            closing = _close_with_loop(client)
            self._of_loop[loop] = (client, closing)
            await anext(closing)
        return self._of_loop[loop][0]


async def _close_with_loop(client: httpx.AsyncClient) -> AsyncGenerator[None, None]:
    # An event loop closes, at its end, the asynchronous generators that were begun in it (shutdown_asyncgens).
    try:
        yield
    finally:
        await client.aclose()
