"""The schema: how old a database is, and that migrations lead to exactly the tables that the code expects."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from assay.adapters import storage as package
from assay.adapters.storage import open_storage, schema_state, upgrade
from assay.adapters.storage.dialects import BUSY_SLICE, dialect_for
from assay.adapters.storage.schema import HEAD, VERSION_TABLE
from assay.adapters.storage.tables import Words, metadata
from assay.core.errors import NotConfigured, Unavailable
from tests.contract.conftest import DatabaseMaker, new_postgres
from tests.fakes.postgres import fresh_database
from tests.fakes.server_process import free_port


def empty_sqlite(folder: Path) -> str:
    return f"sqlite:///{folder}/empty.db"


def empty_postgres(_folder: Path) -> str:
    return fresh_database()


@pytest.fixture(params=[empty_sqlite, empty_postgres], ids=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    make: DatabaseMaker = request.param
    return make(tmp_path)


async def on_connection(url: str, work: Callable[[Connection], Any]) -> Any:
    engine = dialect_for(url).writers()
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(work)
    finally:
        await engine.dispose()


async def test_an_upgrade_makes_an_empty_database_current(empty_url: str, tmp_path: Path) -> None:
    assert await schema_state(empty_url) == "empty"
    assert list(tmp_path.iterdir()) == []
    await upgrade(empty_url)
    assert await schema_state(empty_url) == "current"
    await upgrade(empty_url)
    assert await schema_state(empty_url) == "current"


@pytest.mark.parametrize(("revision", "state"), [("0000", "older"), ("9999", "newer")])
async def test_a_database_of_another_age_is_told_apart(empty_url: str, revision: str, state: str) -> None:
    await upgrade(empty_url)
    change = text(f"UPDATE {VERSION_TABLE} SET version_num = '{revision}'")
    await on_connection(empty_url, lambda connection: connection.execute(change))
    assert await schema_state(empty_url) == state


async def test_a_newer_database_is_left_alone(empty_url: str) -> None:
    await upgrade(empty_url)
    change = text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    await on_connection(empty_url, lambda connection: connection.execute(change))
    with pytest.raises(NotConfigured, match="newer"):
        await upgrade(empty_url)
    assert await schema_state(empty_url) == "newer"


async def test_two_upgrades_at_once_do_not_collide(empty_url: str) -> None:
    await asyncio.gather(*(asyncio.to_thread(asyncio.run, upgrade(empty_url)) for _ in range(2)))
    assert await schema_state(empty_url) == "current"


async def test_an_upgrade_waits_for_one_that_takes_longer_than_an_attempt_at_a_lock(empty_url: str) -> None:
    dialect = dialect_for(empty_url)
    engine = dialect.writers()
    try:
        async with engine.connect() as other:
            await other.run_sync(dialect.begin_upgrade)
            waiting = asyncio.create_task(upgrade(empty_url))
            await asyncio.sleep(BUSY_SLICE + 0.3)
            assert not waiting.done()
            await other.rollback()
        await waiting
    finally:
        await engine.dispose()
    assert await schema_state(empty_url) == "current"


async def test_migrations_make_the_tables_that_the_code_expects(database_url: str) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True, "version_table": VERSION_TABLE}
        )
        return list(compare_metadata(context, metadata))

    assert await on_connection(database_url, differences) == []


async def test_postgresql_sorts_text_by_code_point_whatever_its_language(tmp_path: Path) -> None:
    columns = [column for table in metadata.tables.values() for column in table.c]
    sorted_texts = [(column.table.name, column.name) for column in columns if type(column.type) is Words]
    found = text("SELECT table_name, column_name FROM information_schema.columns WHERE collation_name = 'C'")
    rows = await on_connection(new_postgres(tmp_path), lambda connection: connection.execute(found).all())
    assert set(sorted_texts) <= {tuple(row) for row in rows}
    assert ("evaluations", "name") in sorted_texts


async def test_results_are_stored_in_the_order_of_their_key(tmp_path: Path) -> None:
    url = empty_sqlite(tmp_path)
    await upgrade(url)
    with closing(sqlite3.connect(tmp_path / "empty.db")) as connection:
        (made,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'results'").fetchone()
    assert "WITHOUT ROWID" in made


def test_the_newest_revision_is_the_one_that_the_code_expects() -> None:
    scripts = ScriptDirectory(str(Path(package.__file__).parent / "migrations"))
    assert scripts.get_heads() == [HEAD]
    assert max(script.revision for script in scripts.walk_revisions()) == HEAD


@pytest.mark.parametrize(
    "url",
    [
        "mysql://root:hunter2@localhost/x",
        "not a url with hunter2",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///x?mode=ro",
    ],
)
def test_a_url_of_no_use_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(NotConfigured, match="database_url") as caught:
        open_storage(url)
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg", "postgresql+psycopg"])
def test_every_spelling_of_postgresql_leads_to_the_same_driver(scheme: str) -> None:
    url = dialect_for(f"{scheme}://me:secret@db:5433/assay?sslmode=require").url
    assert url.drivername == "postgresql+asyncpg"
    assert (url.host, url.port, url.database, dict(url.query)) == ("db", 5433, "assay", {"ssl": "require"})


async def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "letter.db").write_text("Dear Sir or Madam, " * 100)
    with pytest.raises(NotConfigured, match=r"letter\.db"):
        await schema_state(f"sqlite:///{tmp_path}/letter.db")


async def test_a_folder_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/missing/assay.db", patience=0.1)
    with pytest.raises(Unavailable, match="opened"):
        await storage.ping()
    await storage.close()


async def test_a_server_that_is_away_is_unavailable() -> None:
    storage = open_storage(f"postgresql://me:hunter2@127.0.0.1:{free_port()}/assay", patience=0.3)
    for use in (storage.read, storage.write):
        with pytest.raises(Unavailable) as caught:
            async with use():
                pass
        assert "hunter2" not in caught.value.message
    await storage.close()


async def test_a_database_that_is_not_there_is_a_matter_of_settings() -> None:
    url = fresh_database() + "_missing"
    with pytest.raises(NotConfigured, match="database_url"):
        await schema_state(url)
