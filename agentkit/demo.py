"""Plays both cookbooks from the scripts in examples/ and their cassettes, wherever agentkit is installed.

Live, code of a model needs walls (level 2); replayed, `short_term_memory.py` accepts level 1, as that code is ours.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from agentkit.errors import ConfigError

if TYPE_CHECKING:
    from agentkit.testing import Recording

EXAMPLES = ("api_requests", "short_term_memory")


def play() -> None:
    """Run the examples, always from their cassettes, and print what they print.

    Raises:
        ConfigError: The example scripts are not where they were installed, or the current folder, which their
            plots go into, cannot be written to.
    """
    if not os.access(os.curdir, os.W_OK):
        raise ConfigError("The demo writes its plots into the current folder, and it cannot: start it in another one.")
    print(
        "This demo replays scripted cassettes: the model's replies were written after the cookbooks'\n"
        "transcripts and are no evidence of what a model does. The loop, the tools and the memory are real."
    )
    # With a key in the environment the examples would call the live API.
    for variable in ("COHERE_API_KEY", "CO_API_URL"):
        os.environ.pop(variable, None)
    for name in EXAMPLES:
        print(f"\n==================== {name}.py ====================", flush=True)
        if name == "short_term_memory" and sys.platform == "win32":
            print("Omitted: it runs Python code, and PythonInterpreter does not run on Windows (use WSL).")
            continue
        _load(name).main()


@contextmanager
def recorded(script: str | os.PathLike[str]) -> Iterator[Recording]:
    """Run the block against the live API where COHERE_API_KEY is set, else against the script's cassette.

    Prints which of the two it is, and yields the `agentkit.testing.Recording` that says so to the script.

    Args:
        script: The example's ``__file__``. Its cassette is ``<name>.yaml``, in ``cassettes/`` beside the script
            (installed) or in ``cassettes/test_examples/`` of the checkout.

    Raises:
        CassetteError: There is neither a key nor a cassette.
    """
    from agentkit.testing import use_cassette

    path = Path(script).resolve()
    beside = path.parent / "cassettes" / f"{path.stem}.yaml"
    checkout = path.parent.parent / "cassettes" / "test_examples" / f"{path.stem}.yaml"
    with use_cassette(beside if beside.is_file() else checkout, mode="auto") as recording:
        print(f"[{recording.note}]", flush=True)
        yield recording


def _load(name: str) -> ModuleType:
    """Return the script as a module: in a wheel it lies inside the package, in a checkout beside it."""
    here = Path(__file__).resolve().parent
    for folder in (here / "examples", here.parent / "examples"):
        path = folder / f"{name}.py"
        spec = spec_from_file_location(f"agentkit.examples.{name}", path)
        if path.is_file() and spec is not None and spec.loader is not None:
            module = module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    raise ConfigError(f"The example {name}.py is missing from this installation: install agentkit-cohere again.")
