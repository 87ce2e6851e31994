"""The data files of an interpreter: paths stay as they are, tables and renamed files are written into a folder."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, TypeGuard

from agentkit.base.text import shorten
from agentkit.errors import ConfigError
from agentkit.tools.python.host.workspace import check_data

if TYPE_CHECKING:
    import pandas as pd

    Data = Sequence[str | os.PathLike[str]] | Mapping[str, str | os.PathLike[str] | pd.DataFrame]

_WRITERS = (".csv", ".pkl")


class DataFiles:
    """The files that each session gets in its working folder.

    Attributes:
        paths: The files, each under the name it has in the working folder.
    """

    def __init__(self, data: Data) -> None:
        """Check the files and write the tables.

        Args:
            data: Paths; or a mapping from names in the working folder to paths and pandas DataFrames. A table's name
                ends in .csv, which is added to a name without an ending, or in .pkl, which keeps types and index.

        Raises:
            ConfigError: A name or value that cannot be a file, a file that cannot be read, a table that cannot be
                written.
        """
        if not isinstance(data, Mapping):
            if not isinstance(data, (str, bytes)) and isinstance(data, Sequence):
                _refuse_unnamed(data)
            self.paths = check_data(data)
            return
        folder = Path(tempfile.mkdtemp(prefix="agentkit-data-"))
        weakref.finalize(self, _remove, str(folder), os.getpid())
        self.paths = check_data([_placed(folder, name, value) for name, value in data.items()])


def _remove(folder: str, owner: int) -> None:
    # A forked child inherits the clean-up, but the folder is its parent's.
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def _refuse_unnamed(data: Sequence[Any]) -> None:
    for item in data:
        if _is_table(item):
            raise ConfigError(
                "data holds a DataFrame without a name: give a dict, such as data={'sales.csv': frame, "
                "'costs.csv': 'costs.csv'}."
            )


def _placed(folder: Path, name: object, value: Any) -> Path:
    if not isinstance(name, str) or not name or name != PurePath(name).name or name in (".", ".."):
        raise ConfigError(f"data has the name {shorten(repr(name))}: give the name of a file, without a folder.")
    if not _is_table(value):
        (source,) = check_data([value])
        target = folder / name
        try:
            shutil.copyfile(source, target)
        except (OSError, ValueError) as error:
            raise ConfigError(f"The data file {shorten(str(source), 200)!r} cannot be copied: {error}.") from error
        return target
    target = folder / (name if PurePath(name).suffix else f"{name}.csv")
    if target.suffix not in _WRITERS:
        raise ConfigError(f"The table {shorten(name)!r} cannot be written: let its name end in .csv or .pkl.")
    try:
        if target.suffix == ".pkl":
            value.to_pickle(target)
        else:
            value.to_csv(target, index=not _is_plain(value.index))
    except Exception as error:  # pandas raises what the cells raise
        raise ConfigError(
            f"The table {shorten(name)!r} cannot be written ({type(error).__name__}: {shorten(error, 200)})."
        ) from error
    return target


def _is_table(value: object) -> TypeGuard[pd.DataFrame]:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.DataFrame)


def _is_plain(index: Any) -> bool:
    """True if an index is just 0, 1, 2 and so on, which reading the file makes again."""
    return index.name is None and type(index).__name__ == "RangeIndex" and index.start == 0 and index.step == 1
