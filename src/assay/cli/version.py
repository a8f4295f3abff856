"""`assay version`: which version this is."""

import typer

from assay import __version__


def version() -> None:
    """Print the version."""
    typer.echo(__version__)
