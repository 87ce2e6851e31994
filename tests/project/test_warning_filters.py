"""The filters of pyproject.toml: our own warnings fail a test, other projects' deprecations do not."""

import tomllib
from pathlib import Path

FILTERS = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"][
    "filterwarnings"
]
OTHER = """
    import warnings

    def in_here():
        warnings.warn("old", DeprecationWarning)

    def in_the_caller():
        warnings.warn("old", DeprecationWarning, stacklevel=2)

    in_here()
"""
TESTS = """
    import types

    import other


    def call_from(name):
        module = types.ModuleType(name)
        exec("import other; other.in_the_caller()", module.__dict__)


    def test_raised_by_another_project_passes():
        other.in_here()


    def test_attributed_to_another_project_passes():
        call_from("agentkitten.chat")


    def test_raised_by_our_tests_fails():
        other.in_the_caller()


    def test_attributed_to_our_package_fails():
        call_from("agentkit.memory.store.reader")


    def test_a_leak_fails():
        open(__file__)
"""


def test_only_our_own_warnings_are_errors(pytester):
    """The module ``other`` warns when it is imported, as a plugin before the collection, and in the tests."""
    filters = "".join(f"\n    {line}" for line in FILTERS)
    pytester.makeini(f"[pytest]\naddopts = --import-mode=importlib\npythonpath = .\nfilterwarnings ={filters}\n")
    pytester.makepyfile(other=OTHER, test_it=TESTS)
    result = pytester.runpytest_subprocess("-p", "other", "-p", "no:randomly", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, failed=3, warnings=0)
    result.stdout.fnmatch_lines_random(["FAILED *our_tests_fails*", "FAILED *package_fails*", "FAILED *leak_fails*"])
