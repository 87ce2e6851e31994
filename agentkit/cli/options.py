"""Options that several commands share, and their defaults."""

from __future__ import annotations

from typing import Annotated

import typer

DEFAULT_MODEL = "command-a-03-2025"
DEFAULT_DATABASE = "agentkit.db"

Model = Annotated[str, typer.Option(help="Name of a Cohere chat model. The key is read from COHERE_API_KEY.")]
Session = Annotated[str | None, typer.Option(help="Session to continue. Default: a new one.")]
Database = Annotated[str, typer.Option(help="Database file, or SQLAlchemy URL, that keeps the sessions.")]
Toml = Annotated[str | None, typer.Option(help="Pattern file: gives the model the regex extractor.")]
Data = Annotated[
    list[str] | None,
    typer.Option(help="File for the Python interpreter (may be repeated); gives the model the interpreter."),
]
Python = Annotated[bool, typer.Option("--python", help="Give the model the Python interpreter.")]
AllowWeak = Annotated[
    bool,
    typer.Option("--allow-weak", help="Let the interpreter run where code cannot be walled in (`agentkit doctor`)."),
]
System = Annotated[str | None, typer.Option(help="System message, sent verbatim.")]
MaxSteps = Annotated[int | None, typer.Option(help="Model replies that may ask for tools. Default: 15.")]
Files = Annotated[
    str | None, typer.Option(help="Folder for the files the tools make, such as plots. Default: not written.")
]
