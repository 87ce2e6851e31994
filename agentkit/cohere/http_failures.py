"""Why an HTTP attempt failed, in words: what the server or the network did, whether a retry may help, the next step."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from agentkit.base.text import shorten
from agentkit.cohere.retry import retry_after_s
from agentkit.cohere.stream import BrokenStreamError

WIRE_ERRORS = (httpx.HTTPError, httpx.InvalidURL, ValueError, BrokenStreamError)
"""Exceptions an attempt may raise. ValueError: httpx and the name lookup raise it for bad addresses and bad headers."""

_NEVER_RETRIED = (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.DecodingError, httpx.TooManyRedirects)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an attempt failed.

    Attributes:
        reason: What happened, as the end of a sentence that begins with the server's name.
        next_step: What the caller can do.
        retryable: True if the same request may succeed later.
        status: The HTTP status, None where there was no response.
        retry_after_s: Seconds the server asked to wait, None where it did not.
    """

    reason: str
    next_step: str
    retryable: bool
    status: int | None = None
    retry_after_s: float | None = None


def refusal(response: httpx.Response, now: float) -> Failure:
    """Return the failure of an attempt that was answered with an error status.

    Args:
        response: The response, read to its end.
        now: Seconds since 1970, for a ``Retry-After`` that is a date.
    """
    try:
        body = response.json()
    except ValueError:
        body = response.text
    text = body.get("message", body) if isinstance(body, dict) else body
    status = response.status_code
    return Failure(
        reason=f"answered with status {status}: {shorten(text, 300).rstrip('.')}",
        next_step=_NEXT_STEP.get(status, "try again later" if status >= 500 else "check the request"),
        # 501 and 505 say that the server will never do it.
        retryable=status in (408, 429) or (status >= 500 and status not in (501, 505)),
        status=status,
        retry_after_s=retry_after_s(response.headers.get("retry-after"), now),
    )


def breakdown(error: Exception) -> Failure:
    """Return the failure of an attempt that raised one of `WIRE_ERRORS`."""
    kind = type(error).__name__
    text = f"{kind}: {shorten(error, 200)}" if str(error) else kind
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return Failure(
            reason=f"did not answer in time ({kind})", next_step="try again, or allow more time", retryable=True
        )
    if isinstance(error, (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)):
        return Failure(reason=f"broke the connection off: {text}", next_step="run again", retryable=True)
    if isinstance(error, BrokenStreamError):
        return Failure(reason=f"sent no reply: {error}", next_step="run again", retryable=True)
    if isinstance(error, UnicodeEncodeError) and error.encoding == "ascii":
        # The error quotes what it could not write, which is the key or stands next to it.
        text = "a header, such as the one with the key, holds characters that are not ASCII"
    return Failure(
        reason=f"cannot be reached: {text.rstrip('.')}",
        next_step="check the network, COHERE_API_KEY and CO_API_URL, then run again",
        # An error that is not HTTP's was raised before anything was sent, and would be raised again.
        retryable=isinstance(error, httpx.HTTPError) and not isinstance(error, _NEVER_RETRIED),
    )
