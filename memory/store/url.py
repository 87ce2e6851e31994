"""Where a memory is: as it may be shown (in errors and logs there must be no password), and whether it is one."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path


def without_password(location: str) -> str:
    """A URL as it may be shown."""
    hidden = re.sub(r"(://[^:/@]*):.*@", r"\1:***@", location)
    return re.sub(r"([?&](?:ssl)?password=)[^&]*", r"\1***", hidden, flags=re.IGNORECASE)


def is_foreign(path: str) -> bool:
    """Whether the file at `path` is an SQLite database without a memory in it, or empty; it is only read.

    A file that is no database is not foreign: opening it says what is wrong with it.
    """
    try:
        with closing(sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True)) as connection:
            found = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'agentkit_meta'").fetchone()
    except sqlite3.Error:
        return False
    return bool(found == (0,))
