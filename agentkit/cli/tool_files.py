"""The files that tools make, written into the folder that --files names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from agentkit.base.terminal import say_on_stderr
from agentkit.base.text import shorten
from agentkit.errors import ConfigError

if TYPE_CHECKING:
    from agentkit.turn import Turn


def check_folder(folder: str) -> None:
    """Raise if files cannot be written into `folder`; called before a model is paid for them.

    Raises:
        ConfigError: It is a file, or cannot be made or written to.
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
    """Write the files the tools of `turn` made into `folder`, never over an existing file.

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
            say_on_stderr(f"Wrote {target}")
