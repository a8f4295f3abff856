"""Databases for the storage suite: every test that asks for `storage` or `database_url` runs on both kinds."""

import asyncio
import functools
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from assay.adapters.storage import SqlStorage, open_storage, upgrade
from tests.builders.identity import make_account
from tests.fakes.postgres import fresh_database

DatabaseMaker = Callable[[Path], str]


def _upgraded(url: str) -> str:
    thread = threading.Thread(target=asyncio.run, args=(upgrade(url),))
    thread.start()
    thread.join()
    return url


@functools.cache
def _sqlite_template() -> Path:
    file = Path(tempfile.mkdtemp(prefix="assay-template-")) / "assay.db"
    _upgraded(f"sqlite:///{file}")
    return file


@functools.cache
def _postgres_template() -> str:
    return _upgraded(fresh_database())


def new_sqlite(folder: Path) -> str:
    """The URL of a new SQLite file with the current schema."""
    file = Path(tempfile.mkdtemp(dir=folder)) / "assay.db"
    shutil.copyfile(_sqlite_template(), file)
    return f"sqlite:///{file}"


def new_postgres(_folder: Path) -> str:
    """The URL of a new PostgreSQL database with the current schema."""
    return fresh_database(like=_postgres_template())


@pytest.fixture(scope="session", autouse=True)
def _templates_go() -> object:
    yield
    if _sqlite_template.cache_info().currsize:
        shutil.rmtree(_sqlite_template().parent)


@pytest.fixture(params=[new_sqlite, new_postgres], ids=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with the current schema and nothing in it, of each kind."""
    make: DatabaseMaker = request.param
    return make(tmp_path)


@pytest.fixture
async def storage(database_url: str) -> AsyncIterator[SqlStorage]:
    """An open storage with the accounts `default` and `other`."""
    opened = open_storage(database_url, patience=10)
    async with opened.write() as work:
        await work.accounts.ensure(make_account())
        await work.accounts.ensure(make_account("other"))
    yield opened
    await opened.close()
