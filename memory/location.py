"""Where a memory is, as it may be shown: in errors and logs there must be no password."""

from __future__ import annotations

import re


def without_password(location: str) -> str:
    """A URL as it may be shown."""
    hidden = re.sub(r"(://[^:/@]*):.*@", r"\1:***@", location)
    return re.sub(r"([?&]password=)[^&]*", r"\1***", hidden)
