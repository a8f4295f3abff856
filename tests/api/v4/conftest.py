"""The API served to version 4's official client, on a new SQLite database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.v4.served import ServedV4, served_v4
from tests.builders.stored import sqlite_storage


@pytest.fixture
async def v4(tmp_path: Path) -> AsyncIterator[ServedV4]:
    """Ways to call version 4; see `ServedV4`."""
    async with sqlite_storage(tmp_path) as storage, served_v4(storage) as served:
        yield served
