"""Requests to Cohere over the SDK's own HTTP client, so with its key, address and timeout, and with our retries.

The SDK's methods are passed by: they retry by themselves, and their reader of streams loses characters that the
network cuts in two.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import httpx

from agentkit.base.text import shorten
from agentkit.cohere.retry import Retry, RetryPolicy, Timing, retry_after_s
from agentkit.cohere.stream import BrokenStreamError, CohereChunk, StreamReader, retry_chunk
from agentkit.errors import DeadlineError, ModelError, UserError

_PATH = "v2/chat"
_HEADERS = {"content-type": "application/json"}
_NEXT_STEP = {
    400: "check the request named above",
    401: "check that COHERE_API_KEY holds a valid key",
    403: "check that this key may use this model",
    404: "check the model's name and CO_API_URL",
    408: "try again later",
    422: "check the request named above",
    429: "wait, or raise the rate limit of the key",
    499: "try again",
}
_ALMOST_S = 0.005
"""A wait that was cut at the deadline may end this much before it."""
_NEVER_RETRIED = (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.DecodingError, httpx.TooManyRedirects)


@dataclass(kw_only=True)
class Call:
    """One request and what is known of its tries.

    Attributes:
        body: The JSON body.
        where: The server's name, for messages.
        policy: When it is sent again.
        timing: The clock and the waits.
        deadline: On `Timing.clock`: no wait goes past it, no answer is waited for longer; None for no deadline.
        on_retry: Told of each further try before the wait.
        tells_retries: Whether a stream tells of each further try with a chunk of its own.
        timeout_s: Seconds to wait for the server each time, None for no bound.
        request_options: More of the SDK's request options, such as ``additional_headers``.
        tries: How many requests have been sent.
        last_retry: The further try that was told of last.
    """

    body: Mapping[str, Any]
    where: str
    policy: RetryPolicy
    timing: Timing
    deadline: float | None = None
    on_retry: Callable[[Retry], object] | None = None
    tells_retries: bool = False
    timeout_s: float | None = None
    request_options: Mapping[str, Any] = field(default_factory=dict)
    tries: int = 0
    last_retry: Retry | None = None

    def begin(self) -> dict[str, Any]:
        """Count a try; the arguments of the SDK's HTTP client for it.

        Raises:
            DeadlineError: The deadline has passed.
        """
        left = self._seconds_left()
        if left is not None and left <= 0:
            raise DeadlineError(f"No time is left to ask {self.where}: the deadline has passed. Next: allow more time.")
        self.tries += 1
        options = {**self.request_options, "max_retries": 0}
        bounds = [s for s in (options.get("timeout_in_seconds", self.timeout_s), left) if s is not None]
        if bounds:
            options["timeout_in_seconds"] = min(bounds)
        return {"method": "POST", "json": self.body, "headers": _HEADERS, "request_options": options}

    def failed(self, failure: Failure) -> float:
        """Seconds to wait before the next try.

        Raises:
            ModelError: There is none.
            DeadlineError: There is no time for it.
        """
        if failure.again:
            self.check_time(failure.reason)
        if not failure.again or self.tries >= self.policy.max_tries:
            raise self._error(failure)
        wait = self.policy.wait_s(self.tries, failure.retry_after_s)
        if wait > self.policy.max_s:
            raise self._error(failure, f"it asks to wait {wait:g} s, more than the {self.policy.max_s:g} s allowed")
        left = self._seconds_left()
        if left is not None and wait >= left:
            why = f"the deadline is in {max(left, 0):.3g} s and the next try in {wait:.3g} s"
            raise DeadlineError(str(self._error(failure, why)))
        self.last_retry = Retry(self.tries, wait, failure.reason, failure.status)
        if self.on_retry is not None:
            self.on_retry(self.last_retry)
        return wait

    def check_time(self, reason: str = "has not finished its reply") -> None:
        """See whether the deadline has come.

        Raises:
            DeadlineError: It has.
        """
        left = self._seconds_left()
        if left is not None and left <= _ALMOST_S:
            raise DeadlineError(f"{self.where} {reason}, and the deadline has passed. Next: allow more time.")

    def _seconds_left(self) -> float | None:
        return None if self.deadline is None else self.deadline - self.timing.clock()

    def _error(self, failure: Failure, why_not: str = "") -> ModelError:
        tries = f" after {self.tries} tries" if self.tries > 1 else ""
        not_again = f" ({why_not})" if why_not else ""
        return ModelError(f"{self.where} {failure.reason}{tries}{not_again}. Next: {failure.next_step}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a try failed, as the end of a sentence, and whether another may succeed."""

    reason: str
    next_step: str
    again: bool
    status: int | None = None
    retry_after_s: float | None = None


class AsyncClients:
    """The SDK's asynchronous HTTP client, one for each event loop.

    Connections belong to the loop they were opened in: a second ``asyncio.run`` that met the first one's would
    fail with "Event loop is closed".
    """

    def __init__(self) -> None:
        """None made yet."""
        self._of: WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = WeakKeyDictionary()

    def here(self, client: Any) -> Any:
        """The HTTP client of `client`, the SDK's, for the running loop."""
        loop = asyncio.get_running_loop()
        if loop not in self._of:
            http = http_of(client)
            # A client of the user's own making cannot be made again; it serves all loops.
            if len(self._of) and type(http.httpx_client) is httpx.AsyncClient and not http.httpx_client._mounts:
                http = copy(http)
                http.httpx_client = httpx.AsyncClient(timeout=http.httpx_client.timeout, follow_redirects=True)
            self._of[loop] = http
        return self._of[loop]


def http_of(client: Any) -> Any:
    """The HTTP client of the SDK's `client`: it adds the key, the address and the timeout."""
    return client._client_wrapper.httpx_client


def post(http: Any, call: Call) -> dict[str, Any]:
    """The JSON of a reply that is not streamed.

    Args:
        http: From `http_of`.
        call: What to send.

    Raises:
        ModelError: No reply, after as many tries as the policy allows.
    """
    while True:
        try:
            response = http.request(_PATH, **call.begin())
            if response.is_success:
                return _json(response, call)
            wait = call.failed(_refusal(response, call))
        except UserError:
            raise  # a missing recording, a blocked network: not the wire's failure
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            wait = _failed(call, error)
        call.timing.sleep(wait)


async def apost(http: Any, call: Call) -> dict[str, Any]:
    """As `post`, without blocking the event loop; `http` is from `AsyncClients`."""
    while True:
        try:
            response = await http.request(_PATH, **call.begin())
            if response.is_success:
                return _json(response, call)
            wait = call.failed(_refusal(response, call))
        except UserError:
            raise  # a missing recording, a blocked network: not the wire's failure
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            wait = _failed(call, error)
        await call.timing.asleep(wait)


def stream(http: Any, call: Call, model: str | None) -> Iterator[CohereChunk]:
    """The chunks of a streamed reply, each as soon as it has come.

    Closing the iterator closes the connection. A request is sent again only as long as nothing has been yielded.

    Raises:
        ModelError: No reply, or it was cut off.
    """
    while True:
        reader, yielded = StreamReader(model), False
        try:
            with http.stream(_PATH, **call.begin()) as response:
                if response.is_success:
                    for received in response.iter_bytes():
                        call.check_time()
                        for chunk in reader.feed(received):
                            yielded = True
                            yield chunk
                        if reader.done and not _has_an_end(response):
                            break
                    for chunk in reader.close():
                        yielded = True
                        yield chunk
                    return
                response.read()
            wait = call.failed(_refusal(response, call))
        except UserError:
            raise  # a missing recording, a blocked network: not the wire's failure
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, BrokenStreamError) as error:
            if reader.ended:
                return
            wait = _cut(call, error, reader) if yielded else _failed(call, error)
        if call.tells_retries and call.last_retry is not None:
            yield retry_chunk(call.last_retry)
        call.timing.sleep(wait)


async def astream(http: Any, call: Call, model: str | None) -> AsyncIterator[CohereChunk]:
    """As `stream`, without blocking the event loop; `http` is from `AsyncClients`."""
    while True:
        reader, yielded = StreamReader(model), False
        try:
            async with http.stream(_PATH, **call.begin()) as response:
                if response.is_success:
                    async for received in response.aiter_bytes():
                        call.check_time()
                        for chunk in reader.feed(received):
                            yielded = True
                            yield chunk
                        if reader.done and not _has_an_end(response):
                            break
                    for chunk in reader.close():
                        yielded = True
                        yield chunk
                    return
                await response.aread()
            wait = call.failed(_refusal(response, call))
        except UserError:
            raise  # a missing recording, a blocked network: not the wire's failure
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, BrokenStreamError) as error:
            if reader.ended:
                return
            wait = _cut(call, error, reader) if yielded else _failed(call, error)
        if call.tells_retries and call.last_retry is not None:
            yield retry_chunk(call.last_retry)
        await call.timing.asleep(wait)


def _has_an_end(response: Any) -> bool:
    """Whether the body ends by itself, and not with the connection: then it is read out, to use that once more."""
    framed = "content-length" in response.headers or "transfer-encoding" in response.headers
    return framed or response.http_version == "HTTP/2"


def _json(response: Any, call: Call) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise ModelError(
            f"{call.where} answered with something that is not a JSON object: {shorten(repr(response.text), 120)}. "
            "Next: check that CO_API_URL is the address of Cohere's API."
        )
    return body


def _refusal(response: Any, call: Call) -> Failure:
    try:
        body = response.json()
    except ValueError:
        body = response.text
    said = body.get("message", body) if isinstance(body, dict) else body
    status = response.status_code
    step = _NEXT_STEP.get(status, "try again later" if status >= 500 else "check the request")
    return Failure(
        reason=f"answered with status {status}: {shorten(said, 300).rstrip('.')}",
        next_step=step,
        again=status in (408, 429) or (status >= 500 and status not in (501, 505)),
        status=status,
        retry_after_s=retry_after_s(response.headers.get("retry-after"), call.timing.now()),
    )


def _failed(call: Call, error: Exception) -> float:
    try:
        return call.failed(_failure(error, call))
    except ModelError as final:
        raise final from error


def _failure(error: Exception, call: Call) -> Failure:
    kind = type(error).__name__
    said = f"{kind}: {shorten(error, 200)}" if str(error) else kind
    again = not isinstance(error, _NEVER_RETRIED)
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return Failure(reason=f"did not answer in time ({kind})", next_step="try again, or allow more time", again=True)
    if isinstance(error, (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)):
        return Failure(reason=f"broke the connection off: {said}", next_step="run again", again=True)
    if isinstance(error, BrokenStreamError):
        return Failure(reason=f"sent no reply: {error}", next_step="run again", again=True)
    if not isinstance(error, (httpx.HTTPError, httpx.InvalidURL)):
        # Whatever is no failure of HTTP was found wrong before anything was sent.
        again = False
        if not _is_json(call.body):
            return Failure(
                reason=f"was not asked: the request cannot be written as JSON ({said})", next_step=_CLEAN, again=False
            )
        if isinstance(error, UnicodeEncodeError) and error.encoding == "ascii":
            # The error quotes what it could not write, and that is the key, or next to it.
            said = "a header, such as the one with the key, holds characters that are not ASCII"
    return Failure(
        reason=f"cannot be reached: {said.rstrip('.')}",
        next_step="check the network, COHERE_API_KEY and CO_API_URL, then run again",
        again=again and not isinstance(error, httpx.InvalidURL),
    )


def _is_json(body: Any) -> bool:
    try:
        json.dumps(body, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError):
        return False
    return True


_CLEAN = "take out of the messages what JSON cannot hold, such as lone surrogates and NaN"


def _cut(call: Call, error: Exception, reader: StreamReader) -> float:
    why = shorten(error, 200) if isinstance(error, BrokenStreamError) else _failure(error, call).reason
    call.check_time(f"cut the reply off after {reader.progress()}")
    raise ModelError(
        f"{call.where} cut the reply off after {reader.progress()}: {why}. "
        "Next: run again; what has come so far is not the whole reply."
    ) from error
