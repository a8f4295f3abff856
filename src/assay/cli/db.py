"""`assay db`: the database's schema."""

import asyncio

import typer

from assay.cli.configuration import load_settings
from assay.cli.exits import COULD_NOT_RUN, fail
from assay.cli.options import DatabaseUrl, DataDir

db = typer.Typer(help="Bring the database's schema up to date.", no_args_is_help=True)


@db.callback()
def _group() -> None:
    """Bring the database's schema up to date."""


@db.command()
def upgrade(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Bring the schema up to date. A server does so itself for SQLite; for PostgreSQL it asks for this."""
    from assay import bootstrap
    from assay.core.errors import AssayError

    try:
        asyncio.run(bootstrap.upgrade(load_settings(data_dir=data_dir, database_url=database_url)))
    except AssayError as error:
        fail(COULD_NOT_RUN, str(error))
    typer.echo("The database is up to date.")
