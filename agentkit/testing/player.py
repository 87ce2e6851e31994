"""vcrpy, made strict: a request that was not recorded raises a `CassetteError` that shows the difference."""

from __future__ import annotations

import contextlib
import difflib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import vcr
import yaml
from vcr.cassette import Cassette
from vcr.record_mode import RecordMode

from agentkit.base.text import shorten
from agentkit.errors import CassetteError
from agentkit.testing.cassette_file import CassetteFile, Dumper, body_tree

MATCH_ON = ("method", "scheme", "host", "port", "path", "query", "body")
_MAX_DIFF_LINES = 60  # by hand


class Player(Cassette):  # type: ignore[misc]
    """A vcrpy cassette that refuses an unknown request in replay, and remembers it.

    Attributes:
        unknown: The errors of the requests that were not recorded.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Begin to play; vcrpy does it."""
        super().__init__(*args, **kwargs)
        self._playing = threading.RLock()
        self.unknown: list[str] = []

    def can_play_response_for(self, request: Any) -> bool:
        """True if `request` is recorded and was not played yet; in replay, anything else raises.

        Raises:
            CassetteError: It is not, with the difference to the nearest recorded request.
        """
        filtered = self.filter_request(request)
        if filtered is None or self.record_mode != RecordMode.NONE:
            return bool(super().can_play_response_for(request))
        with self._playing:
            if filtered in self:
                return True
            message = self._explain(filtered)
            self.unknown.append(message)
        raise CassetteError(message)

    def play_response(self, request: Any) -> Any:
        """Return the recorded response; two threads never get the same one."""
        with self._playing:
            return super().play_response(request)

    def check_all_played(self) -> None:
        """Check that the requests sent are the requests recorded.

        Raises:
            CassetteError: A request was not recorded (even if the error was swallowed), or a recorded one was not sent.
        """
        if self.unknown:
            raise CassetteError(self.unknown[0])
        unplayed = [i for i in range(len(self)) if not self.play_counts[i]]
        if unplayed:
            raise CassetteError(
                f"The cassette {self.path} holds {len(self)} requests and {len(unplayed)} were not sent; the first, "
                f"number {unplayed[0] + 1}: {_summary(self.requests[unplayed[0]])}. "
                "If that is right, record it again with --record."
            )

    def check_something_recorded(self) -> None:
        """Check that a recording is not empty.

        Raises:
            CassetteError: Nothing was sent.
        """
        if not len(self):
            raise CassetteError(f"Nothing was sent while {self.path} was recorded; it was not written.")

    def _explain(self, request: Any) -> str:
        fresh = [r for i, r in enumerate(self.requests) if not self.play_counts[i]]
        again = [r for i, r in enumerate(self.requests) if self.play_counts[i]]
        head = f"The cassette {self.path} does not hold this request: {_summary(request)}."
        tail = "If the request is right, record it again with --record."
        text = _readable(request)
        if any(_readable(old) == text for old in again):
            return f"{head} It was recorded and has been played already. {tail}"
        candidates = fresh or again
        if not candidates:
            return f"{head} The cassette is empty. {tail}"
        nearest = max(candidates, key=lambda old: _likeness(_readable(old), text))
        diff = list(difflib.unified_diff(_readable(nearest), text, "recorded", "sent", n=2, lineterm=""))
        cut = f"\n… {len(diff) - _MAX_DIFF_LINES} more lines" if len(diff) > _MAX_DIFF_LINES else ""
        played = "" if fresh else " (which has been played already)"
        shown = "\n".join(diff[:_MAX_DIFF_LINES])
        return f"{head} {tail}\nThe nearest recorded request{played} differs:\n{shown}{cut}"


@contextlib.contextmanager
def player(file: CassetteFile, *, record_mode: str, before_record_request: Callable[[Any], Any]) -> Iterator[Player]:
    """Patch the HTTP clients for the block and play, or record into, `file`."""
    config = vcr.VCR(
        match_on=MATCH_ON,
        record_mode=RecordMode(record_mode),
        decode_compressed_response=True,
        record_on_exception=False,
        before_record_request=before_record_request,
    ).get_merged_config(path=str(file.path), persister=file)
    with Player.use(**config) as playing:
        yield playing


def _likeness(old: list[str], new: list[str]) -> float:
    return difflib.SequenceMatcher(None, old, new, autojunk=False).ratio()


def _readable(request: Any) -> list[str]:
    body = request.body
    text = body.decode(errors="replace") if isinstance(body, bytes) else body
    shown = {"request": f"{request.method} {request.uri}", "body": body_tree(text) if text else None}
    dumped: str = yaml.dump(shown, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=10**9)
    return dumped.splitlines()


def _summary(request: Any) -> str:
    body = request.body
    tree = body_tree(body.decode(errors="replace")) if isinstance(body, bytes) else None
    messages = tree.get("messages") if isinstance(tree, dict) else None
    if not messages:
        return f"{request.method} {request.uri}"
    last = messages[-1]
    return f"{request.method} {request.uri}, {len(messages)} messages, the last {last.get('role')}: " + repr(
        shorten(str(last.get("content")))
    )
