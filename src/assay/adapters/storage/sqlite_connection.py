"""SQLite's connection in its own thread, with one change of threads a statement instead of four.

Each change of threads waits for the interpreter's lock, which is what a page costs while an evaluation runs.
"""

import asyncio
import sqlite3
from typing import Any

import aiosqlite


class OneHopCursor:
    """A cursor whose `execute` also fetches every row and closes, all in the connection's thread."""

    def __init__(self, connection: "OneHopConnection") -> None:
        self._connection = connection
        self._rows: list[Any] = []
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self.arraysize = 1

    async def __aenter__(self) -> "OneHopCursor":
        return self

    async def execute(self, operation: str, parameters: Any = ()) -> None:
        """Run one statement and keep its rows."""
        await self._connection.in_thread(self._run, sqlite3.Connection.execute, operation, parameters)

    async def executemany(self, operation: str, parameters: Any) -> None:
        """Run one statement for each tuple of parameters."""
        await self._connection.in_thread(self._run, sqlite3.Connection.executemany, operation, parameters)

    def _run(self, method: Any, operation: str, parameters: Any) -> None:
        cursor = method(self._connection.raw, operation, parameters)
        try:
            self.description = cursor.description
            self._rows = cursor.fetchall() if cursor.description else []
            self.rowcount = cursor.rowcount
            self.lastrowid = cursor.lastrowid
        finally:
            cursor.close()

    async def fetchall(self) -> list[Any]:
        """The rows, once."""
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        """Nothing is left open."""


class OneHopConnection(aiosqlite.Connection):
    """An aiosqlite connection with such cursors, whose thread has ended when opening the file has failed."""

    _stopping: "asyncio.Future[Any] | None" = None

    async def _connect(self) -> aiosqlite.Connection:
        try:
            return await super()._connect()
        except sqlite3.Error:
            if self._stopping is not None:
                await self._stopping
            raise

    def stop(self) -> "asyncio.Future[Any] | None":
        """End the thread once it has done what it was given."""
        self._stopping = super().stop()
        return self._stopping

    @property
    def raw(self) -> sqlite3.Connection:
        """The connection itself, for use in its thread."""
        return self._conn

    async def in_thread(self, function: Any, *arguments: Any) -> Any:
        """Call a function in the connection's thread."""
        return await self._execute(function, *arguments)  # type: ignore[no-untyped-call]

    def cursor(self) -> Any:
        """A cursor that changes threads once a statement."""
        return OneHopCursor(self)


def connect(database: str, **options: Any) -> OneHopConnection:
    """A connection to a file, not yet opened: await it. Its thread does not keep the process alive."""
    connection = OneHopConnection(lambda: sqlite3.connect(database, **options), iter_chunk_size=64)
    connection._thread.daemon = True
    return connection
