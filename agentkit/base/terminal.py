"""Printing for the command line: text whose control characters are escaped, JSON, and one-line errors."""

from __future__ import annotations

import json
import os
import re
import sys

from agentkit.base.text import clean

# All control characters but tab and line feed; NUL is already spelled out by `clean`.
_CONTROLS = re.compile("[\x01-\x08\x0b-\x1f\x7f-\x9f]")
# Characters that `json.dumps` does not escape, but a terminal obeys or an encoding cannot write.
_NOT_FOR_JSON = re.compile("[\x7f-\x9f\ud800-\udfff]")


def escape_controls(text: str) -> str:
    r"""Return `text` with control characters spelled out, as ``\x1b`` for an escape, so that a terminal obeys none.

    Tabs and line ends stay, and so does every other character; ``\r\n`` counts as a line end.
    """
    text = clean(text).replace("\r\n", "\n")
    return _CONTROLS.sub(lambda match: f"\\x{ord(match.group()):02x}", text)


def say(text: str) -> None:
    """Print a line, or several, to standard output."""
    sys.stdout.write(f"{escape_controls(text)}\n")


def say_json(value: object) -> None:
    """Print `value` as JSON that every encoding can write and no terminal obeys."""
    is_utf = (sys.stdout.encoding or "").lower().startswith("utf")
    text = json.dumps(value, ensure_ascii=not is_utf, indent=2)
    text = _NOT_FOR_JSON.sub(lambda match: f"\\u{ord(match.group()):04x}", text)
    sys.stdout.write(f"{text}\n")


def say_on_stderr(text: str) -> None:
    """Print a line to standard error, where it is no part of the result."""
    sys.stderr.write(f"{escape_controls(text)}\n")


def say_error(error: object) -> None:
    """Print the error as one line on standard error."""
    say_on_stderr("agentkit: " + " ".join(str(error).split()))


def silence_stdout() -> None:
    """Send standard output to the null device, so that Python's flush at exit raises nothing."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
