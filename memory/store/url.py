"""A memory's URL without its password, for errors and logs, and a check of a file before it is opened."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path


def without_password(location: str) -> str:
    """Return a URL without its password."""
    hidden = re.sub(r"(://[^:/@]*):.*@", r"\1:***@", location)
    return re.sub(r"([?&](?:ssl)?password=)[^&]*", r"\1***", hidden, flags=re.IGNORECASE)


def is_foreign(path: str) -> bool:
    """True if the file at `path` is an SQLite database that holds no memory; it is opened read-only.

    A file that is no database is not foreign: opening it raises an error that says what is wrong.
    """
    try:
        with closing(sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True)) as connection:
            found = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'agentkit_meta'").fetchone()
    except sqlite3.Error:
        return False
    return bool(found == (0,))
