"""Exit codes of the commands, and how a command ends with one and a message."""

import sys
from typing import NoReturn

import typer

OK = 0
MISSED = 1
"""A threshold was missed: the evaluation ran, and its numbers are not good enough."""
WRONG = 2
"""The file or the command line is wrong; the message names the line, key or option."""
COULD_NOT_RUN = 3
"""The server could not be reached, refused, or the evaluation failed."""


def fail(code: int, message: str) -> NoReturn:
    """End the command with a message on the error stream."""
    sys.stdout.flush()
    typer.echo(f"assay: {message}", err=True)
    raise typer.Exit(code)
