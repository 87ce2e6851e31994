"""Codes in a table column: a frame with a row for each code, or with a column for each parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from agentkit.base.text import shorten
from agentkit.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from agentkit.tools.regex.scanner import Match

COLUMNS = ["row", "parameter", "value", "raw", "start", "end", "pattern", "score", "id"]


def matches_frame(texts: Iterable[Any], extract: Callable[[str], list[Match]]) -> pd.DataFrame:
    """Return a frame with one row for each match, in order; ``row`` is the index label of its text."""
    import pandas as pd

    rows = []
    for label, text in _labelled(texts):
        if text is None:
            continue
        for found in extract(text):
            place = (found.raw, found.start, found.end)
            rows.append((label, found.parameter, found.value, *place, found.pattern, found.score, found.id))
    return pd.DataFrame(rows, columns=COLUMNS)


def values_frame(
    texts: Iterable[Any], values: Callable[[str], dict[str, list[str]]], parameters: Iterable[str]
) -> pd.DataFrame:
    """Return a frame with the index of `texts` and a column for each parameter; a cell is a list of values."""
    import pandas as pd

    names = list(dict.fromkeys(parameters))
    labels: list[Any] = []
    columns: dict[str, list[list[str]]] = {name: [] for name in names}
    for label, text in _labelled(texts):
        labels.append(label)
        found = {} if text is None else values(text)
        for name in names:
            columns[name].append(found.get(name, []))
    index = texts.index if isinstance(texts, pd.Series) else labels
    return pd.DataFrame(columns, index=index, columns=names, dtype=object)


def _labelled(texts: Iterable[Any]) -> Iterator[tuple[Any, str | None]]:
    """Yield each text with its label; a missing value is None."""
    import pandas as pd

    if isinstance(texts, (str, bytes, Mapping, pd.DataFrame)) or not isinstance(texts, Iterable):
        raise InputError(
            f"A column of texts is needed, not {type(texts).__name__}: pass one Series, such as frame['text']."
        )
    pairs = texts.items() if isinstance(texts, pd.Series) else enumerate(texts)
    for label, text in pairs:
        if isinstance(text, str):
            yield label, text
        elif text is None or (pd.api.types.is_scalar(text) and pd.isna(text)):
            yield label, None
        else:
            raise InputError(
                f"The row {shorten(repr(label))} holds {type(text).__name__} ({shorten(repr(text))}), not text: "
                "convert the column first, as in frame['text'].astype('string')."
            )
