"""The schema's age: whether a database fits this version of Assay, and bringing it up to date."""

from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection

from assay.adapters.storage.dialects import Dialect, dialect_for
from assay.adapters.storage.session import translated
from assay.core.errors import NotConfigured

HEAD = "0012"
"""The newest revision in migrations/versions; revisions are numbers that sort as text."""
VERSION_TABLE = "assay_schema"

SchemaState = Literal["empty", "older", "current", "newer"]


async def schema_state(url: str) -> SchemaState:
    """How old the database's schema is. `empty`: none of ours. Makes no file. Loads no migration."""
    dialect = dialect_for(url)
    if dialect.is_absent():
        return "empty"
    with translated(dialect):
        engine = dialect.writers()
        try:
            async with engine.connect() as connection:
                return await connection.run_sync(_state)
        finally:
            await engine.dispose()


async def upgrade(url: str) -> None:
    """Bring the schema up to date in one transaction, alone; nothing to do when it is current. Raises
    NotConfigured when a newer Assay has been here."""
    dialect = dialect_for(url)
    with translated(dialect):
        engine = dialect.writers()
        try:
            async with engine.connect() as connection:
                await _upgrade(dialect, connection)
        finally:
            await engine.dispose()


async def _upgrade(dialect: Dialect, connection: AsyncConnection) -> None:
    await connection.run_sync(dialect.begin_upgrade)
    state = await connection.run_sync(_state)
    if state == "newer":
        raise NotConfigured("database_url: this database belongs to a newer Assay; install that one")
    if state != "current":
        await connection.run_sync(_migrate)
    await connection.commit()


def _state(connection: Connection) -> SchemaState:
    if not inspect(connection).has_table(VERSION_TABLE):
        return "empty"
    revision = connection.execute(text(f"SELECT MAX(version_num) FROM {VERSION_TABLE}")).scalar()  # noqa: S608
    if revision is None:
        return "empty"
    if revision == HEAD:
        return "current"
    return "older" if revision < HEAD else "newer"


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    place = Path(__file__).parent / "migrations"
    config.set_main_option("script_location", str(place).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
