"""A database as the rest of Assay sees it: transactions to read, transactions to write, and the server's secrets."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from assay.adapters.storage.changes import read_sizes, record
from assay.adapters.storage.dialects import Dialect, dialect_for
from assay.adapters.storage.indexes import Indexes
from assay.adapters.storage.session import Session, meaning, translated
from assay.adapters.storage.tables import secrets
from assay.adapters.storage.unit_of_work import SqlUnitOfWork
from assay.core.errors import Unavailable
from assay.ports.storage import UnitOfWork

PATIENCE = 30.0
"""Seconds that a writing transaction waits for its turn, or for the database to come back."""
SIDE_BY_SIDE_AFTER = 0.03
"""Seconds that a writing transaction waits for the one before it on a database that takes both at a time."""
WARM_FROM = 2_000
"""Evaluations of an account from which its index is built ahead; that of a smaller one is quickly built when needed."""
CLAIM_CHECK_SECONDS = 1.0
"""How often a server looks whether it still has the database for itself."""


class SqlStorage:
    """Implements `ports.storage.Storage` on SQLite or PostgreSQL. Belongs to the event loop that first uses it."""

    def __init__(self, dialect: Dialect, *, patience: float = PATIENCE) -> None:
        self._dialect = dialect
        self._patience = patience
        self._writers: AsyncEngine = dialect.writers()
        self._readers: AsyncEngine = dialect.readers(self._writers)
        self._indexes = Indexes(self._reading)
        self._turn = asyncio.Lock()
        self._closed = False

    @asynccontextmanager
    async def read(self) -> AsyncIterator[UnitOfWork]:
        """A consistent snapshot for reading."""
        async with self._reading() as session:
            yield SqlUnitOfWork(session)

    def write(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """A transaction that commits when the block ends and rolls back when it raises."""
        return self._write()

    @asynccontextmanager
    async def _write(self) -> AsyncIterator[UnitOfWork]:
        async with self._writing() as session:
            yield SqlUnitOfWork(session)

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Session]:
        self._check_open()
        with translated(self._dialect):
            connection = await self._readers.connect()
        try:
            with translated(self._dialect):
                await self._dialect.begin_read(connection)
            yield Session(connection, self._dialect, self._indexes, writing=False)
        finally:
            await self._release(connection)

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[Session]:
        self._check_open()
        deadline = time.monotonic() + self._patience
        async with self._turn_to_write():
            connection = await self._begin(deadline)
            try:
                session = Session(connection, self._dialect, self._indexes, writing=True)
                yield session
                await record(session)
                with translated(self._dialect):
                    await connection.commit()
            finally:
                await self._release(connection)

    @asynccontextmanager
    async def _turn_to_write(self) -> AsyncIterator[None]:
        """One transaction after the other, since several share this process and readers would wait for each of them;
        but where the database takes more than one, nobody waits long for a slow one."""
        one = self._dialect.one_writer()
        try:
            async with asyncio.timeout(self._patience if one else SIDE_BY_SIDE_AFTER):
                mine: bool = await self._turn.acquire()
        except TimeoutError:
            if one:
                raise Unavailable(f"the database stayed busy for {self._patience:g} seconds") from None
            mine = False
        try:
            yield
        finally:
            if mine:
                self._turn.release()

    async def _begin(self, deadline: float) -> AsyncConnection:
        """A connection in a writing transaction, however often it takes until the deadline."""
        pause = 0.01
        while True:
            try:
                return await self._try_begin()
            except (SQLAlchemyError, OSError) as error:
                if not self._dialect.is_busy(error) or time.monotonic() + pause > deadline:
                    ours = meaning(self._dialect, error)
                    if ours is None:
                        raise
                    raise ours from error
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.5)

    async def _try_begin(self) -> AsyncConnection:
        connection = await self._writers.connect()
        try:
            await self._dialect.begin_write(connection)
        except BaseException:
            await self._release(connection)
            raise
        return connection

    async def _release(self, connection: AsyncConnection) -> None:
        """Give a connection back, undoing what was not committed, even while being cancelled."""
        closing = asyncio.ensure_future(self._close_quietly(connection))
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            await closing
            raise

    @staticmethod
    async def _close_quietly(connection: AsyncConnection) -> None:
        try:
            await connection.close()
        except (SQLAlchemyError, OSError):
            # A close that failed has sometimes closed it all the same, and then there is nothing to invalidate.
            with contextlib.suppress(SQLAlchemyError, OSError):
                await connection.invalidate()

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the storage is closed")

    async def secret(self, name: str, make: str) -> str:
        """The secret of that name; `make` is stored when there is none."""
        wanted = select(secrets.c.value).where(secrets.c.name == name)
        async with self._reading() as session:
            row = await session.row(wanted)
        if row is None:
            async with self._writing() as session:
                await session.run(self._dialect.insert_unless_exists(secrets).values(name=name, value=make))
                row = await session.row(wanted)
        return make if row is None else str(row.value)

    async def warm(self, evaluations: int) -> int:
        """Build the indexes of the largest accounts that have at most so many evaluations together, one after the
        other, and say how many those are."""
        async with self._reading() as session:
            sizes = await read_sizes(session)
        warmed = 0
        for account_id, size in sizes:
            if WARM_FROM <= size <= evaluations - warmed:
                await self._indexes.warm(account_id)
                warmed += size
        return warmed

    async def ping(self) -> None:
        """Raise Unavailable unless a trivial query succeeds."""
        async with self._reading() as session:
            with translated(self._dialect):
                await session.connection.exec_driver_sql("SELECT 1")

    @asynccontextmanager
    async def sole_server(self, lost: Callable[[], None] = lambda: None) -> AsyncIterator[None]:
        """Keep the database for this server alone while the block runs. Raises Unavailable when another has it.

        On PostgreSQL by a lock of a session. When that session ends, as in a restart of the database, the lock is
        taken again; `lost` is called if another server was faster. A file on SQLite is kept by whoever opens it
        (`bootstrap.hold`).
        """
        with translated(self._dialect):
            connection = await self._dialect.claim_server(self._writers)
        if connection is None:
            yield
            return
        keeping = asyncio.create_task(self._keep(connection, lost), name="sole-server")
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def _keep(self, connection: AsyncConnection | None, lost: Callable[[], None]) -> None:
        """Hold the claim, and take it again whenever its session has ended."""
        try:
            while connection is not None:
                await asyncio.sleep(CLAIM_CHECK_SECONDS)
                try:
                    await connection.exec_driver_sql("SELECT 1")
                    await connection.commit()
                except (SQLAlchemyError, OSError):
                    await self._release(connection)
                    connection = await self._claim_again()
            lost()
        finally:
            if connection is not None:
                with contextlib.suppress(SQLAlchemyError, OSError):
                    await connection.invalidate()  # ends the session, and with it the lock
                await self._release(connection)

    async def _claim_again(self) -> AsyncConnection | None:
        """The claim, once the database answers; None when another server has it."""
        while True:
            try:
                return await self._dialect.claim_server(self._writers)
            except Unavailable:
                return None
            except (SQLAlchemyError, OSError):
                await asyncio.sleep(0.2)

    async def close(self) -> None:
        """Release connections. Idempotent."""
        if not self._closed:
            self._closed = True
            await self._indexes.close()
            await self._readers.dispose()
            await self._writers.dispose()


def open_storage(url: str, *, patience: float = PATIENCE) -> SqlStorage:
    """The storage of a database URL, `sqlite:///PATH` or `postgresql://...`; connects when first used."""
    return SqlStorage(dialect_for(url), patience=patience)
