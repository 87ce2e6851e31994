"""`CohereServer`: the v2 chat API over real HTTP on loopback, answering from a script."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Self

from agentkit.base.text import shorten
from agentkit.errors import InputError
from agentkit.testing import wire
from agentkit.testing.replies import ScriptedReply, ScriptError, as_reply
from agentkit.testing.v2_rules import problem_with


@dataclass(frozen=True, slots=True)
class ServerRequest:
    """One request to a `CohereServer`.

    Attributes:
        body: The decoded JSON body.
        headers: The headers in lower case, without authorization.
        path: The path, ``/v2/chat``.
    """

    body: dict[str, Any]
    headers: dict[str, str]
    path: str


class CohereServer:
    """A server on 127.0.0.1 that speaks POST /v2/chat, as JSON and as server-sent events, from a script.

    Use it as a context manager and point a client at `url` (agentkit reads it from ``CO_API_URL``)::

        with CohereServer([reply(calls=[("search", {"q": "shoes"})]), "Two pairs."]) as server:
            ...
            server.assert_all_used()

    A reply is a str (the answer), `agentkit.testing.reply` (which also scripts delays, error responses and dropped
    connections), an AIMessage, or a function from the decoded request body to one of these. Ids are
    deterministic: responses ``scripted-0001``, calls ``<tool>_0001``, counted over the server's life. A request the
    real API would refuse (see `refused`) gets status 400 and uses no reply; a request after the last reply gets
    status 500. Without a bearer token the answer is 401.

    Args:
        script: The replies, one per request.
        keep_alive: Keep connections open between requests. Off by default: a client that is never closed, such as
            the SDK's, makes Python warn (``ResourceWarning``) about each open connection.

    Attributes:
        requests: Every request that got a reply of the script, in order.
        refused: The reasons of refused requests, in order.
    """

    def __init__(self, script: Sequence[Any], *, keep_alive: bool = False) -> None:
        """Prepare to answer from `script`; the server starts with ``with``.

        Raises:
            InputError: The script holds an exception, which HTTP cannot raise.
        """
        for entry in script:
            if isinstance(entry, BaseException):
                raise InputError(
                    f"A CohereServer cannot raise {shorten(repr(entry))}; "
                    "script reply(status=...) or reply(cut_after=0)."
                )
        self.script = list(script)
        self.keep_alive = keep_alive
        self.requests: list[ServerRequest] = []
        self.refused: list[str] = []
        self._lock = threading.Lock()
        self._calls = 0
        self._http: _Listener | None = None

    @property
    def url(self) -> str:
        """Return the base URL, such as ``http://127.0.0.1:40123``.

        Raises:
            InputError: The server is not running.
        """
        if self._http is None:
            raise InputError("This CohereServer is not running; use it as `with CohereServer(script) as server:`.")
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Self:
        """Start to listen on a port the system chooses."""
        self._http = _Listener(self, self._reply_to)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), name="CohereServer", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop: close open connections and wait until every thread has ended."""
        if self._http is not None:
            self._http.stop()
            self._thread.join()
            self._http = None

    def assert_all_used(self) -> None:
        """Check that each reply of the script was asked for, and nothing was refused.

        Raises:
            ScriptError: Replies are left over, or requests were refused.
        """
        if self.refused:
            raise ScriptError(f"CohereServer refused {len(self.refused)} request(s); the first: {self.refused[0]}")
        left = self.script[len(self.requests) :]
        if left:
            raise ScriptError(
                f"CohereServer was asked {len(self.requests)} times and has {len(self.script)} replies: the next would "
                f"have been {shorten(repr(left[0]))}; remove the replies that are not needed, or find out why the run "
                "ended early."
            )

    def _reply_to(self, request: ServerRequest) -> tuple[ScriptedReply, wire.Answer | None]:
        """Return the reply to `request`, and its answer unless it is plain HTTP.

        Raises:
            _RefusedError: The API would not take it, or the script cannot answer it.
        """
        with self._lock:
            problem = problem_with(request.body)
            if problem:
                raise _RefusedError(HTTPStatus.BAD_REQUEST, f"invalid request: {problem}")
            number = len(self.requests)
            if number >= len(self.script):
                last = shorten(str(request.body["messages"][-1].get("content")))
                raise _RefusedError(
                    HTTPStatus.INTERNAL_SERVER_ERROR,
                    f"CohereServer has no reply for request {number + 1}: its script has {len(self.script)}. The last "
                    f"message was {last!r}; add a reply, or find out why the model is asked again.",
                )
            self.requests.append(request)
            try:
                script = as_reply(self.script[number], request.body)
                if script.is_plain_http:
                    return script, None
                ids = [call.id or self._call_id(call.name) for call in script.calls]
                response_id = f"scripted-{number + 1:04d}"
                return script, wire.answer(script, request.body, response_id=response_id, call_ids=ids)
            # An error of a scripted function must reach the test: as a response now, from assert_all_used later.
            except Exception as error:
                raise _RefusedError(
                    HTTPStatus.INTERNAL_SERVER_ERROR, f"The script failed at request {number + 1}: {error!r}"
                ) from error

    def _call_id(self, name: str) -> str:
        self._calls += 1
        return f"{name}_{self._calls:04d}"


class _RefusedError(Exception):
    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class _Listener(socketserver.ThreadingTCPServer):
    """Accepts connections, each in a thread, and can end them all."""

    daemon_threads = False
    block_on_close = True
    request_queue_size = 128  # by hand: with the default of 5, clients that connect at once are refused

    def __init__(
        self, owner: CohereServer, reply_to: Callable[[ServerRequest], tuple[ScriptedReply, wire.Answer | None]]
    ) -> None:
        self.owner = owner
        self.reply_to = reply_to
        self.stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def stop(self) -> None:
        self.stopping.set()
        self.shutdown()
        # Clients keep connections alive: their threads wait for a next request until the socket is shut.
        with self._open_lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that hang up."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        self._fail(HTTPStatus.NOT_FOUND, f"CohereServer speaks POST /v2/chat, not GET {shorten(self.path)}")

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.path != "/v2/chat":
            self._fail(HTTPStatus.NOT_FOUND, f"CohereServer speaks POST /v2/chat, not POST {shorten(self.path)}")
            return
        if not (self.headers.get("authorization") or "").removeprefix("Bearer").strip():
            self._fail(HTTPStatus.UNAUTHORIZED, "no api key supplied")
            return
        try:
            body = json.loads(raw)
        except ValueError:
            self._fail(HTTPStatus.BAD_REQUEST, "invalid request: the body is not JSON")
            return
        headers = {k.lower(): v for k, v in self.headers.items() if k.lower() != "authorization"}
        try:
            script, answer = self.server.reply_to(ServerRequest(body, headers, self.path))
        except _RefusedError as error:
            self._fail(error.status, error.message)
            return
        self.server.stopping.wait(script.delay_s)
        if script.cut_after == 0:
            self.close_connection = True
        elif answer is None:
            self._send_plain(script)
        elif body.get("stream"):
            self._send_events(script, answer)
        else:
            self._send(HTTPStatus.OK, wire.as_json(answer), script.headers, cut=script.cut_after is not None)

    def _fail(self, status: HTTPStatus, message: str) -> None:
        self.server.owner.refused.append(message)
        self._send(status, {"id": f"refused-{len(self.server.owner.refused):04d}", "message": message})

    def _send_plain(self, script: ScriptedReply) -> None:
        body = script.body
        if body is None:
            phrase = HTTPStatus(script.status).phrase.lower()
            body = {
                "id": f"scripted-{len(self.server.owner.requests):04d}",
                "message": f"scripted error: {phrase}",
            }
        self._send(script.status, body, script.headers)

    def _send(self, status: int, body: Any, headers: Any = None, *, cut: bool = False) -> None:
        data = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
        more = {name.lower(): value for name, value in dict(headers or {}).items()}
        self.send_response(status)
        self.send_header("content-type", more.pop("content-type", "application/json"))
        self.send_header("content-length", str(len(data)))
        self._end_headers(more)
        self.wfile.write(data[: len(data) // 2] if cut else data)
        self.close_connection = self.close_connection or cut

    def _end_headers(self, more: Mapping[str, str]) -> None:
        for name, value in more.items():
            self.send_header(name, value)
        if not self.server.owner.keep_alive:
            self.send_header("connection", "close")
        self.end_headers()

    def _send_events(self, script: ScriptedReply, answer: wire.Answer) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self._end_headers(script.headers)
        for number, event in enumerate(wire.as_events(answer)):
            if number == script.cut_after:
                self.close_connection = True
                return
            if number:
                self.server.stopping.wait(script.event_delay_s)
            self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
        self.wfile.write(b"0\r\n\r\n")
