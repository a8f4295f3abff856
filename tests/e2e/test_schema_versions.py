"""A server and the age of its database's schema: older, newer, empty, and `assay db upgrade`."""

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from assay.adapters.storage import schema_state, upgrade
from assay.adapters.storage.dialects import dialect_for
from assay.adapters.storage.migrations.versions import v0001_first_schema as first
from assay.adapters.storage.schema import HEAD, VERSION_TABLE
from tests.fakes.postgres import fresh_database
from tests.fakes.server_process import ASSAY, ServerProcess, clean_environment


def sqlite(folder: Path) -> str:
    return f"sqlite:///{folder}/there.db"


def postgresql(_folder: Path) -> str:
    return fresh_database()


@pytest.fixture(params=[sqlite, postgresql])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    make: Callable[[Path], str] = request.param
    return make(tmp_path)


def statements(url: str, *each: str) -> None:
    """Change a database by hand."""

    async def run() -> None:
        engine = dialect_for(url).writers()
        try:
            async with engine.begin() as connection:
                for statement in each:
                    await connection.execute(text(statement))
        finally:
            await engine.dispose()

    asyncio.run(run())


def set_revision(url: str, revision: str) -> None:
    statements(url, f"UPDATE {VERSION_TABLE} SET version_num = '{revision}'")


def make_first_schema(url: str) -> None:
    """A database as the first revision left it, with two groups of which one is deleted."""

    async def run() -> None:
        engine = dialect_for(url).writers()
        try:
            async with engine.begin() as connection:
                await connection.run_sync(first.metadata.create_all)
        finally:
            await engine.dispose()

    asyncio.run(run())
    group = "INSERT INTO groups (id, account_id, name, name_folded, tags, tags_folded, created_at, created_by_id,"
    statements(
        url,
        f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL PRIMARY KEY)",
        f"INSERT INTO {VERSION_TABLE} VALUES ('0001')",
        "INSERT INTO accounts (id, name, created_at) VALUES ('default', 'Default', 1)",
        f"{group} created_by_type) VALUES ('here', 'default', 'g', 'g', '[]', '', 1, 'x', 'user')",
        f"{group} created_by_type, deleted_at) VALUES ('gone', 'default', 'g', 'g', '[]', '', 1, 'x', 'user', 2)",
    )


def refused(folder: Path, url: str) -> str:
    """Start a server that must refuse; what it said."""
    server = ServerProcess(folder / "data", arguments=("--database-url", url))
    try:
        with pytest.raises(RuntimeError, match="ended with 2"):
            server.start()
    finally:
        server.stop()
    assert "Traceback" not in server.log
    return server.log


def db_upgrade(folder: Path, url: str) -> "subprocess.CompletedProcess[str]":
    home = folder / "home"
    home.mkdir(exist_ok=True)
    return subprocess.run(
        [ASSAY, "db", "upgrade", "--database-url", url, "--data-dir", folder / "data"],
        env=clean_environment(home),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_server_refuses_a_database_of_a_newer_assay_and_leaves_it_alone(database: str, tmp_path: Path) -> None:
    asyncio.run(upgrade(database))
    set_revision(database, "9999")
    assert "newer Assay" in refused(tmp_path, database)
    upgrading = db_upgrade(tmp_path, database)
    assert (upgrading.returncode, upgrading.stdout) == (3, "")
    assert "newer Assay" in upgrading.stderr
    assert "Traceback" not in upgrading.stderr
    assert asyncio.run(schema_state(database)) == "newer"
    set_revision(database, HEAD)
    assert asyncio.run(schema_state(database)) == "current"


def groups_of(server: ServerProcess, query: str = "") -> list[str]:
    """The ids of the groups that a server lists; it counts as many."""
    url = f"{server.base_url}/v5/evaluation-groups{query}"
    page = httpx.get(url, headers={"x-api-key": server.api_key}, trust_env=False, timeout=30).json()
    assert page["total"] == len(page["items"])
    return [group["id"] for group in page["items"]]


def check_serves(folder: Path, url: str) -> str:
    """A server starts on the database and finds what was there before; what it said."""
    server = ServerProcess(folder / "data", arguments=("--database-url", url))
    try:
        server.start()
        assert groups_of(server) == ["here"]
        assert groups_of(server, "?include_deleted=true") == ["here", "gone"]
    finally:
        server.stop()
    return server.log


def test_a_server_tells_how_to_upgrade_an_older_shared_database(tmp_path: Path) -> None:
    url = fresh_database()
    make_first_schema(url)
    said = refused(tmp_path, url)
    assert "older than this Assay" in said
    assert "assay db upgrade" in said
    assert asyncio.run(schema_state(url)) == "older"
    upgrading = db_upgrade(tmp_path, url)
    assert (upgrading.returncode, upgrading.stderr) == (0, ""), upgrading.stderr
    assert "up to date" in upgrading.stdout
    check_serves(tmp_path, url)


def test_a_server_upgrades_its_own_older_file_and_says_so_once(tmp_path: Path) -> None:
    url = sqlite(tmp_path)
    make_first_schema(url)
    said = "the database was of an older Assay; its schema is up to date now"
    assert check_serves(tmp_path, url).count(said) == 1
    assert check_serves(tmp_path, url).count(said) == 1, "the log goes on"
    assert asyncio.run(schema_state(url)) == "current"


def test_an_upgrade_makes_the_schema_of_an_empty_database_and_repeating_it_changes_nothing(
    database: str, tmp_path: Path
) -> None:
    for _ in range(2):
        upgrading = db_upgrade(tmp_path, database)
        assert (upgrading.returncode, upgrading.stderr) == (0, ""), upgrading.stderr
        assert asyncio.run(schema_state(database)) == "current"
