"""`agentkit extract`: the regex extractor alone, without a model."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from agentkit.base.terminal import say_json, say_on_stderr


def extract(
    text: Annotated[str, typer.Argument(help="The text; - reads standard input.")],
    toml: Annotated[str, typer.Option(help="The pattern file.")],
    matches: Annotated[
        bool, typer.Option("--matches", help="Print matches and near misses with their places.")
    ] = False,
) -> None:
    """Run the extractor alone, without a model, and print JSON."""
    from agentkit.tools import RegexExtractor

    extractor = RegexExtractor.from_toml(toml)
    if text == "-":
        text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    if matches:
        found = [match._asdict() for match in extractor.extract(text)]
        say_json({"matches": found, "near_misses": [miss._asdict() for miss in extractor.near_misses(text)]})
        return
    say_json(extractor.values(text))
    if missed := len(extractor.near_misses(text)):
        say_on_stderr(f"{missed} near {'miss' if missed == 1 else 'misses'}: --matches prints what and why.")
