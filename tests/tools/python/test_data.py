"""Tables for the interpreter, and tables it shows."""

import os
from pathlib import Path

import pandas as pd
import pytest

from agentkit import ConfigError
from agentkit.tools import PythonInterpreter

TABLE = pd.DataFrame({"month": range(1, 31), "name": ["x"] * 30, "day": pd.date_range("2024-01-01", periods=30)})


@pytest.fixture(scope="module")
def python():
    other = Path(__file__).parents[3] / "examples" / "revenue_table.csv"
    data = {"sales": TABLE, "kept.pkl": TABLE.set_index("name"), "renamed.csv": other}
    with PythonInterpreter(data=data) as interpreter:
        assert "sales.csv, kept.pkl, renamed.csv" in interpreter.description
        yield interpreter


def shown(python, code):
    done = python.execute(f"import numpy as np, pandas as pd\n{code}")
    assert done.ok, done
    return str(done)


def test_a_long_table_is_summarised(python):
    assert shown(python, "pd.read_csv('sales.csv', parse_dates=['day'])") == (
        "DataFrame, 30 rows, 3 columns: month (int64), name (text), day (datetime)\n"
        "   month name        day\n"
        "0      1    x 2024-01-01\n"
        "1      2    x 2024-01-02\n"
        "2      3    x 2024-01-03\n"
        "3      4    x 2024-01-04\n"
        "4      5    x 2024-01-05\n"
        "[… 25 more rows …]"
    )


def test_a_pickled_table_keeps_types_and_index(python):
    assert shown(python, "pd.read_pickle('kept.pkl').head(1)") == (
        "DataFrame, 1 rows, 2 columns: month (int64), day (datetime)\n"
        "      month        day\n"
        "name                  \n"
        "x         1 2024-01-01"
    )


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("len(pd.read_csv('renamed.csv'))", "12"),
        ("pd.DataFrame()", "DataFrame, 0 rows, 0 columns"),
        ("pd.Series([1, 2], name='a')", "Series a, 2 values (int64)\n0    1\n1    2"),
        (
            "pd.DataFrame([[1, 2]], columns=['a', 'a'])",
            "DataFrame, 1 rows, 2 columns: a (int64), a (int64)\n   a  a\n0  1  2",
        ),
        ("np.arange(3)", "array([0, 1, 2])"),
        ("np.arange(1000)", "ndarray, shape (1000,), int64\n[  0   1   2 ... 997 998 999]"),
    ],
)
def test_what_is_shown(python, code, text):
    assert shown(python, code) == text


def test_many_columns_are_counted(python):
    text = shown(python, "pd.DataFrame([range(60)])")
    assert text.startswith("DataFrame, 1 rows, 60 columns: 0 (int64), 1 (int64), ")
    assert ", 49 (int64) and 10 more\n" in text


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([TABLE], "DataFrame without a name: give a dict"),
        ({"a/b": TABLE}, "the name 'a/b': give the name of a file, without a folder"),
        ({"": TABLE}, "the name '': give"),
        ({1: TABLE}, "the name 1: give"),
        ({"a.xlsx": TABLE}, r"'a\.xlsx' cannot be written: let its name end in \.csv or \.pkl"),
        ({"a.csv": 5}, "data holds 5: give paths"),
        ({"a.csv": "nope.csv"}, r"'nope\.csv' does not exist"),
        ({"a": TABLE, "a.csv": TABLE}, r"Two data files are named 'a\.csv'"),
    ],
)
def test_data_that_cannot_be_used(data, message):
    with pytest.raises(ConfigError, match=message):
        PythonInterpreter(data=data)


def test_tables_are_gone_with_the_interpreter():
    interpreter = PythonInterpreter(data={"sales.csv": TABLE})
    (path,) = interpreter._data.paths
    assert path.is_file()
    interpreter.close()
    assert path.is_file(), "a later call starts afresh"
    folder = path.parent
    del interpreter
    for _ in range(1000):
        if not os.path.lexists(folder):
            break
        __import__("gc").collect()
    assert not os.path.lexists(folder)
