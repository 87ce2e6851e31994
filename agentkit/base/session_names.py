"""What a session may be called."""

from __future__ import annotations

from typing import Any

from agentkit.base.text import shorten
from agentkit.errors import SessionError

MAX_SESSION_CHARS = 200


def check_session(name: Any) -> str:
    """`name`, if a session may be called that.

    Raises:
        SessionError: Not text, empty, longer than 200 characters, or with characters that do not print.
    """
    if not isinstance(name, str) or not name.strip():
        raise SessionError(f"The session name is {shorten(repr(name))}: give 1 to {MAX_SESSION_CHARS} characters.")
    if len(name) > MAX_SESSION_CHARS:
        raise SessionError(
            f"The session name {shorten(name, 40)!r} has {len(name)} characters: the limit is {MAX_SESSION_CHARS}."
        )
    if not name.isprintable():
        raise SessionError(
            f"The session name {shorten(repr(name))} has characters that do not print: use letters, digits and signs."
        )
    return name
