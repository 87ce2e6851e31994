"""What the command line writes: text that cannot steer a terminal, JSON, one-line complaints, and files."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentkit.base.text import clean, shorten
from agentkit.errors import ConfigError

if TYPE_CHECKING:
    from agentkit.turn import Turn

_STEERING = re.compile("[\x01-\x08\x0b-\x1f\x7f-\x9f]")
# What JSON leaves as it is, but a terminal obeys or an encoding lacks.
_NOT_FOR_JSON = re.compile("[\x7f-\x9f\ud800-\udfff]")


def neutral(text: str) -> str:
    r"""Spell out what would steer a terminal: ``\x1b`` for an escape, ``\x0d`` for a lone carriage return.

    Line ends and tabs stay, and so does every other character; ``\r\n`` counts as a line end.
    """
    text = clean(text).replace("\r\n", "\n")
    return _STEERING.sub(lambda match: f"\\x{ord(match.group()):02x}", text)


def say(text: str) -> None:
    """Print a line, or several, to standard output."""
    sys.stdout.write(f"{neutral(text)}\n")


def say_json(value: Any) -> None:
    """Print `value` as JSON that is valid in any encoding and harmless in any terminal."""
    is_utf = (sys.stdout.encoding or "").lower().startswith("utf")
    text = json.dumps(value, ensure_ascii=not is_utf, indent=2)
    text = _NOT_FOR_JSON.sub(lambda match: f"\\u{ord(match.group()):04x}", text)
    sys.stdout.write(f"{text}\n")


def tell(text: str) -> None:
    """Print a line beside the result: to standard error."""
    sys.stderr.write(f"{neutral(text)}\n")


def complain(error: object) -> None:
    """Print what went wrong as one line on standard error."""
    tell("agentkit: " + " ".join(str(error).split()))


def stop_writing() -> None:
    """Point standard output at nothing, so that the interpreter's own last flush stays silent."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def check_folder(folder: str) -> None:
    """See that files can go into `folder`, before a model is paid for them.

    Raises:
        ConfigError: It is a file, or can neither be made nor written to.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return
        why = "no permission to write"
    except (OSError, ValueError) as error:
        why = str(error)
    raise ConfigError(f"Files cannot be written into {shorten(folder)!r} ({why}): give another folder with --files.")


def write_files(turn: Turn, folder: str) -> None:
    """Write the files the tools of `turn` made into `folder`, never over one that is there.

    Raises:
        ConfigError: A file cannot be written.
    """
    for step in turn.steps:
        for artifact in step.result.artifacts if step.result else ():
            name = Path(Path(artifact.name).name or "file")
            target, number = Path(folder) / name, 1
            while target.exists():
                number += 1
                target = Path(folder) / f"{name.stem}-{number}{name.suffix}"
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(artifact.data)
            except (OSError, ValueError) as error:
                raise ConfigError(f"{target} cannot be written ({error}): give another folder with --files.") from error
            tell(f"Wrote {target}")
