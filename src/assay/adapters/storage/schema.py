"""The schema's age: whether a database fits this version of Assay, and bringing it up to date."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from assay.adapters.storage.dialects import Dialect, dialect_for
from assay.adapters.storage.session import translated
from assay.core.errors import NotConfigured

HEAD = "0014"
"""The newest revision in migrations/versions; revisions are numbers that sort as text."""
VERSION_TABLE = "assay_schema"
PATIENCE = 60.0
"""Seconds that a lock on the database is waited for."""
PAUSE = 0.05

SchemaState = Literal["empty", "older", "current", "newer"]
Begin = Callable[[Connection], None]


async def schema_state(url: str) -> SchemaState:
    """How old the database's schema is. `empty`: none of ours. Makes no file. Loads no migration."""
    dialect = dialect_for(url)
    if dialect.is_absent():
        return "empty"
    async with _connected(dialect) as connection:
        return await connection.run_sync(_state)


async def upgrade(url: str) -> None:
    """Bring the schema up to date in one transaction, alone; nothing to do when it is current. Who comes second
    waits for the first. Raises NotConfigured when a newer Assay has been here."""
    dialect = dialect_for(url)
    async with _connected(dialect, dialect.begin_upgrade) as connection:
        state = await connection.run_sync(_state)
        if state == "newer":
            raise NotConfigured("database_url: this database belongs to a newer Assay; install that one")
        if state != "current":
            await connection.run_sync(migrate)
        await connection.commit()


@asynccontextmanager
async def _connected(dialect: Dialect, begin: Begin | None = None) -> AsyncIterator[AsyncConnection]:
    """A connection of its own, on which `begin` was called. Locks are waited for: another upgrade has SQLite's for
    as long as it takes, and making a new file one for many readers is refused at once while somebody has it open."""
    deadline = time.monotonic() + PATIENCE
    with translated(dialect):
        engine = dialect.writers()
        try:
            while (connection := await _begun(dialect, engine, begin, deadline)) is None:
                pass
            try:
                yield connection
            finally:
                await connection.close()
        finally:
            await engine.dispose()


async def _begun(dialect: Dialect, engine: AsyncEngine, begin: Begin | None, deadline: float) -> AsyncConnection | None:
    """A connection that has begun; None, after a pause, when a lock was in the way and there is time to try again."""
    connection = None
    try:
        connection = await engine.connect()
        if begin is not None:
            await connection.run_sync(begin)
    except BaseException as error:
        if connection is not None:
            await connection.close()
        if isinstance(error, DBAPIError) and dialect.is_locked(error) and time.monotonic() < deadline:
            await asyncio.sleep(PAUSE)
            return None
        raise
    return connection


def _state(connection: Connection) -> SchemaState:
    if not inspect(connection).has_table(VERSION_TABLE):
        return "empty"
    revision = connection.execute(text(f"SELECT MAX(version_num) FROM {VERSION_TABLE}")).scalar()  # noqa: S608
    if revision is None:
        return "empty"
    if revision == HEAD:
        return "current"
    return "older" if revision < HEAD else "newer"


def migrate(connection: Connection, revision: str = "head") -> None:
    """Bring the database to a revision, within the connection's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    place = Path(__file__).parent / "migrations"
    config.set_main_option("script_location", str(place).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
