"""One transaction as the repositories see it: runs statements and turns drivers' errors into ours."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import Executable, Row, Select
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import DBAPIError, PendingRollbackError, ResourceClosedError, SQLAlchemyError, StatementError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import Insert, ReturningInsert

from assay.adapters.storage.changes import Changes
from assay.adapters.storage.dialects import Dialect, is_pool_timeout
from assay.core.errors import AssayError, Unavailable

if TYPE_CHECKING:
    from assay.adapters.storage.indexes import Indexes

IN_LIST = 5000
"""The most values given to one IN."""


def meaning(dialect: Dialect, error: BaseException) -> AssayError | None:
    """What an error from below means to a caller; None when it is a defect of ours."""
    if isinstance(error, AssayError):
        return error
    if is_pool_timeout(error):
        return Unavailable("every connection to the database is in use")
    if isinstance(error, ResourceClosedError | PendingRollbackError):
        return Unavailable("the connection to the database was lost in the middle of a transaction")
    if isinstance(error, StatementError) and not isinstance(error, DBAPIError):
        return error.orig if isinstance(error.orig, AssayError) else None
    return dialect.fault(error)


@contextmanager
def translated(dialect: Dialect) -> Iterator[None]:
    """Raise our errors for the drivers'."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        ours = meaning(dialect, error)
        if ours is None:
            raise
        raise ours from error


class Session:
    """A transaction's connection, what it has changed so far, and the process's indexes. In a writing one, `row`
    keeps what it found as it is."""

    def __init__(self, connection: AsyncConnection, dialect: Dialect, indexes: "Indexes", *, writing: bool) -> None:
        self.connection = connection
        self.dialect = dialect
        self.indexes = indexes
        self.writing = writing
        self.changes = Changes()

    async def run(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        """Execute; the rows, if any, are all there."""
        with translated(self.dialect):
            return await self.connection.execute(statement, parameters)

    async def rows(self, statement: Executable, parameters: Any = None) -> Sequence[Any]:
        """All rows."""
        return (await self.run(statement, parameters)).all()

    async def pairs(self, statement: Select[Any], parameters: Any = None) -> Sequence[tuple[Any, ...]]:
        """All rows as plain tuples, for thousands of them."""
        found = await self.run(statement, parameters)
        return [tuple(row) for row in found.all()]

    async def row(self, statement: Select[Any], parameters: Any = None) -> Row[Any] | None:
        """The first row; in a writing transaction nobody else changes it before this one ends."""
        if self.writing:
            statement = statement.with_for_update(key_share=True)
        return (await self.run(statement, parameters)).first()

    async def added(self, statement: Insert | ReturningInsert[Any]) -> int:
        """Insert one row; its sequence number."""
        key = (await self.run(statement)).inserted_primary_key
        return int(key[0]) if key is not None else 0

    async def add_items(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert items in bulk, see `Dialect.add_items`."""
        with translated(self.dialect):
            await self.dialect.add_items(self.connection, rows)

    async def add_results(self, rows: Sequence[tuple[Any, ...]]) -> int:
        """Insert results in bulk, see `Dialect.add_results`."""
        with translated(self.dialect):
            return await self.dialect.add_results(self.connection, rows)

    async def replace_results(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write results over what is there, see `Dialect.replace_results`."""
        with translated(self.dialect):
            await self.dialect.replace_results(self.connection, rows)

    async def add_annotation_tasks(self, rows: Sequence[tuple[Any, ...]]) -> int:
        """Insert annotation tasks in bulk, see `Dialect.add_annotation_tasks`."""
        with translated(self.dialect):
            return await self.dialect.add_annotation_tasks(self.connection, rows)

    async def one_at_a_time(self, key: str) -> None:
        """Wait for other transactions that do the same thing, see `Dialect.one_at_a_time`."""
        with translated(self.dialect):
            await self.dialect.one_at_a_time(self.connection, key)


def slices(values: Sequence[Any], size: int = IN_LIST) -> Iterator[Sequence[Any]]:
    """The values in runs of at most `size`."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def in_lists(values: Sequence[Any], size: int = IN_LIST) -> Iterator[Sequence[Any]]:
    """The values in lists for IN, the last value repeated so that lists have few different lengths: a database
    prepares each length anew, which costs more than the rows do."""
    for some in slices(values, size):
        room = 1 << (len(some) - 1).bit_length()
        yield [*some, *[some[-1]] * (min(room, size) - len(some))]
