"""Recorded traffic: `use_cassette` replays a file instead of calling the API, or records one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from agentkit.errors import CassetteError, InputError
from agentkit.testing.network import allow_network, is_this_machine
from agentkit.testing.server import CohereServer

if TYPE_CHECKING:
    from agentkit.testing.cassette_file import CassetteFile, Provenance
    from agentkit.testing.player import Player

API_URL = "https://api.cohere.com"
NO_TRANSCRIPT = "no documented transcript: written for this recording"


class Recording:
    """A cassette in use.

    Attributes:
        path: The file.
        mode: ``replay``, ``record``, or ``live`` (the API is called, nothing is recorded).
        provenance: ``scripted`` or ``live``: whose answers these are.
        server: The server that plays the script while a scripted cassette is recorded, else None.
        discarded: True after `discard`.
    """

    def __init__(
        self,
        path: Path,
        mode: Literal["replay", "record", "live"],
        provenance: str,
        server: CohereServer | None = None,
    ) -> None:
        """Begin a recording; `use_cassette` does it."""
        self.path = path
        self.mode = mode
        self.provenance = provenance
        self.server = server
        self.discarded = False

    @property
    def note(self) -> str:
        """Return a line for the user that says whose answers these are."""
        if self.mode == "live":
            return "live: the answers come from the API."
        doing = "recording" if self.mode == "record" else "replaying"
        whose = "answers of a script, no model is called" if self.provenance == "scripted" else "answers of the API"
        return f"{doing} {self.path.name} ({whose})."

    def discard(self) -> None:
        """Write nothing and check nothing when the block ends, as its code has failed."""
        self.discarded = True


_active: ContextVar[Recording | None] = ContextVar("agentkit_recording", default=None)


@contextlib.contextmanager
def use_cassette(
    path: str | os.PathLike[str],
    *,
    mode: Literal["replay", "record", "auto"] = "replay",
    script: Sequence[Any] | None = None,
    follows: str | None = None,
) -> Iterator[Recording]:
    """Replay or record the HTTP traffic of a block.

    COHERE_API_KEY and CO_API_URL are set for the block, so make the agent inside it. A request is matched on method,
    address and body; one that is not recorded raises, and at the end every recorded request must have been sent.
    Traffic on loopback is neither replayed nor recorded.

    Args:
        path: The YAML file.
        mode: ``replay``: nothing leaves this machine. ``record``: the file is written again, from the API where
            COHERE_API_KEY is set, otherwise from `script`. ``auto``: call the API where COHERE_API_KEY is set,
            otherwise replay; inside another cassette, that one is used.
        script: Replies for a `CohereServer` that replaces the API while recording without a key.
        follows: Which documented transcript the script follows; written into the file.

    Raises:
        CassetteError: The file is missing, unreadable or stale; or there is neither a key nor a script to record
            from; or nothing was sent.
        ScriptError: Replies of the script are left over.
    """
    path = Path(path)
    key = os.environ.get("COHERE_API_KEY", "").strip()
    outer = _active.get()
    if mode == "auto" and (outer or key):
        yield outer or Recording(path, "live", "live")
        return
    if mode in ("replay", "auto"):
        with _replay(path, or_live=mode == "auto") as recording:
            yield recording
    elif mode == "record" and key:
        with _record(path, live_key=key, follows=None) as recording:
            yield recording
    elif mode == "record" and script is not None:
        with _record(path, script=script, follows=follows or NO_TRANSCRIPT) as recording:
            yield recording
    elif mode == "record":
        raise CassetteError(f"Cannot record {path}: set COHERE_API_KEY to record the API, or give a script.")
    else:
        raise InputError(f"mode={mode!r} is not known; use 'replay', 'record' or 'auto'.")


@contextlib.contextmanager
def _replay(path: Path, *, or_live: bool) -> Iterator[Recording]:
    from agentkit.testing.cassette_file import CassetteFile

    if not path.is_file():
        instead = ", or set COHERE_API_KEY to call the API" if or_live else ""
        raise CassetteError(f"There is no cassette {path}; record it with `pytest --record`{instead}.")
    file = CassetteFile(path)
    with _environment("replayed", None), _playing(file, "none", None) as player:
        recording = Recording(path, "replay", file.provenance or "scripted")
        with _as_active(recording):
            yield recording
        if not recording.discarded:
            player.check_all_played()


@contextlib.contextmanager
def _record(
    path: Path, *, follows: str | None, live_key: str | None = None, script: Sequence[Any] | None = None
) -> Iterator[Recording]:
    from agentkit.testing.cassette_file import CassetteFile

    provenance: Provenance = "live" if live_key else "scripted"
    file = CassetteFile(path, provenance=provenance, follows=follows, secret=live_key or "")
    with contextlib.ExitStack() as stack:
        server = None
        if script is None:
            stack.enter_context(allow_network())
            api = os.environ.get("CO_API_URL")
        else:
            server = stack.enter_context(CohereServer(script))
            api = server.url
            stack.enter_context(_environment("scripted", api))
        player = stack.enter_context(_playing(file, "all", api))
        recording = Recording(path, "record", provenance, server)
        with _as_active(recording):
            yield recording
        if recording.discarded:
            return
        if server is not None:
            server.assert_all_used()
        player.check_something_recorded()
    file.write()


@contextlib.contextmanager
def _playing(file: CassetteFile, record_mode: str, api_url: str | None) -> Iterator[Player]:
    from agentkit.testing.player import player

    def rewrite(request: Any) -> Any:
        request.uri = public_uri(request.uri, api_url)
        return None if is_loopback(request.uri) else request

    with player(file, record_mode=record_mode, before_record_request=rewrite) as playing:
        yield playing


def public_uri(uri: str, api_url: str | None) -> str:
    """Return `uri` with the address of the server at `api_url` replaced by that of the public API."""
    base = (api_url or "").rstrip("/")
    if not base or not uri.startswith(base + "/"):
        return uri
    return API_URL + uri[len(base) :]


def is_loopback(uri: str) -> bool:
    """True if `uri` is on this machine."""
    return is_this_machine(urlsplit(uri).hostname)


@contextlib.contextmanager
def _as_active(recording: Recording) -> Iterator[None]:
    token = _active.set(recording)
    try:
        yield
    finally:
        _active.reset(token)


@contextlib.contextmanager
def _environment(key: str, url: str | None) -> Iterator[None]:
    """Set COHERE_API_KEY and CO_API_URL for the block; None unsets."""
    wanted = {"COHERE_API_KEY": key, "CO_API_URL": url}
    before = {name: os.environ.get(name) for name in wanted}
    try:
        _set_environment(wanted)
        yield
    finally:
        _set_environment(before)


def _set_environment(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
