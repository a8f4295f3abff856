"""Everything in which SQLite and PostgreSQL differ; the rest of the package knows only `Dialect`.

SQLite has one writer's connection and a few read-only ones, so that a reader never waits for a writer.
PostgreSQL has one pool; its readers are read-only transactions that see one snapshot.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

import aiosqlite
from sqlalchemy import ColumnElement, Connection, Table, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import Insert
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import Integer, NullType, Text

from assay.adapters.storage.sqlite_connection import connect
from assay.core.errors import AssayError, InvalidInput, NotConfigured, Unavailable

BUSY_SLICE = 1.0
"""Seconds that one attempt at SQLite's write lock waits; attempts follow each other as long as patience lasts."""

ITEM_COLUMNS = ("id", "evaluation_seq", "data", "files", "dataset_item_id", "dataset_item_version_num")
RESULT_COLUMNS = (
    "evaluation_seq",
    "item_seq",
    "alias",
    "status",
    "value",
    "kind",
    "number",
    "error_type",
    "error_message",
    "latency",
    "attempts",
    "prompt_tokens",
    "completion_tokens",
    "cached",
    "cost",
    "sandbox",
    "detail",
)
ANNOTATION_COLUMNS = (
    "id",
    "account_id",
    "evaluation_seq",
    "item_seq",
    "queue_id",
    "kind",
    "slot",
    "level",
    "priority",
    "status",
    "open",
    "archived",
    "updated_at",
    "reserved",
)
_TYPES = {
    "evaluation_seq": "bigint",
    "item_seq": "bigint",
    "slot": "smallint",
    "level": "smallint",
    "priority": "bigint",
    "open": "smallint",
    "archived": "smallint",
    "updated_at": "bigint",
    "reserved": "smallint",
    "number": "double precision",
    "latency": "double precision",
    "attempts": "integer",
    "prompt_tokens": "bigint",
    "completion_tokens": "bigint",
    "kind": "smallint",
    "cached": "smallint",
    "cost": "double precision",
    "dataset_item_version_num": "integer",
}


class position_in(FunctionElement[int]):  # noqa: N801
    """Where the second text begins in the first, counted from 1; 0 when it is not there. No wildcards."""

    type = Integer()
    inherit_cache = True
    name = "position_in"


@compiles(position_in, "sqlite")
def _instr(element: position_in, compiler: SQLCompiler, **kw: Any) -> str:
    return f"instr({compiler.process(element.clauses, **kw)})"


@compiles(position_in, "postgresql")
def _strpos(element: position_in, compiler: SQLCompiler, **kw: Any) -> str:
    return f"strpos({compiler.process(element.clauses, **kw)})"


_UPGRADE_LOCK = 4702111234474983745
_SERVER_LOCK = 4702111234474983746
"""Advisory locks on PostgreSQL; any numbers that nobody else uses."""


class one_of(FunctionElement[Any]):  # noqa: N801
    """Whether a sequence number is among those of a text, joined by commas: the same statement for any number of
    them, where an IN is another statement for each."""

    type = NullType()  # a Boolean would be compared with 1 on SQLite, and then no index is of use
    inherit_cache = True
    name = "one_of"


@compiles(one_of, "sqlite")
def _in_json(element: one_of, compiler: SQLCompiler, **kw: Any) -> str:
    number, joined = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"{number} IN (SELECT value FROM json_each('[' || {joined} || ']'))"  # noqa: S608


@compiles(one_of, "postgresql")
def _any_of(element: one_of, compiler: SQLCompiler, **kw: Any) -> str:
    number, joined = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"{number} = ANY(CAST(string_to_array({joined}, ',') AS BIGINT[]))"


class by_code_point(FunctionElement[str]):  # noqa: N801
    """A text of any column as a sort key in the order of its code points, which PostgreSQL must be told."""

    type = Text()
    inherit_cache = True
    name = "by_code_point"


@compiles(by_code_point, "sqlite")
def _as_it_is(element: by_code_point, compiler: SQLCompiler, **kw: Any) -> str:
    return compiler.process(element.clauses, **kw)


@compiles(by_code_point, "postgresql")
def _collated(element: by_code_point, compiler: SQLCompiler, **kw: Any) -> str:
    return f'{compiler.process(element.clauses, **kw)} COLLATE "C"'


Allowed = Callable[[ReadOnlyColumnCollection[str, Any]], ColumnElement[bool] | None]
"""Of the row that comes: the condition under which it replaces the one that is there; None: always."""


class Dialect(Protocol):
    """One kind of database."""

    url: URL

    def writers(self) -> AsyncEngine:
        """The engine whose transactions may write."""
        ...

    def readers(self, writers: AsyncEngine) -> AsyncEngine:
        """The engine whose transactions read one snapshot and cannot write; may be `writers` in disguise."""
        ...

    def one_writer(self) -> bool:
        """Whether transactions that write must come one after the other."""
        ...

    async def begin_read(self, connection: AsyncConnection) -> None:
        """Start a reading transaction."""
        ...

    async def begin_write(self, connection: AsyncConnection) -> None:
        """Start a writing transaction; may raise a fault for which `is_busy` holds."""
        ...

    def begin_upgrade(self, connection: Connection) -> None:
        """Start a transaction that changes the schema, alone."""
        ...

    async def claim_server(self, writers: AsyncEngine) -> AsyncConnection | None:
        """Keep the database for one server: the connection that does so while it lives, None where nothing has
        to. Raises Unavailable when another server has it."""
        ...

    def is_absent(self) -> bool:
        """Whether there is surely no database, so that asking would make one."""
        ...

    def insert_unless_exists(self, table: Table) -> Insert:
        """An insert that does nothing when the row's key is taken."""
        ...

    def insert_or_update(self, table: Table, key: Sequence[str], update: Sequence[str], when: Allowed) -> Insert:
        """An insert that, when the row's key is taken, writes the columns of `update` over the row that is there,
        where `when` of the row that comes allows it."""
        ...

    async def add_items(self, connection: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows of ITEM_COLUMNS in order."""
        ...

    async def add_results(self, connection: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> int:
        """Insert rows of RESULT_COLUMNS whose keys are free; how many those were."""
        ...

    async def replace_results(self, connection: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write rows of RESULT_COLUMNS over those with their keys."""
        ...

    async def add_annotation_tasks(self, connection: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> int:
        """Insert rows of ANNOTATION_COLUMNS in order, those whose keys are free; how many those were."""
        ...

    async def one_at_a_time(self, connection: AsyncConnection, key: str) -> None:
        """Until this transaction ends, let no other one pass this call with the same key."""
        ...

    def unlocked(self, statement: str) -> str:
        """A SELECT that locks its rows and passes over those that another transaction has locked."""
        ...

    def fault(self, error: BaseException) -> AssayError | None:
        """The error that a driver's error means to a caller; None when it is a defect of ours."""
        ...

    def is_busy(self, error: BaseException) -> bool:
        """Whether trying to begin again may help."""
        ...

    def is_locked(self, error: BaseException) -> bool:
        """Whether somebody else holds the lock that was asked for."""
        ...


def _values(table: str, columns: Sequence[str]) -> str:
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608


_OVERWRITE = " ON CONFLICT (evaluation_seq, item_seq, alias) DO UPDATE SET " + ", ".join(
    f"{name} = excluded.{name}" for name in RESULT_COLUMNS[3:]
)


class SqliteDialect:
    """SQLite in WAL mode: readers never wait, writers take turns from BEGIN IMMEDIATE on."""

    _insert_item = _values("items", ITEM_COLUMNS)
    _insert_result = _values("results", RESULT_COLUMNS) + " ON CONFLICT DO NOTHING"
    _replace_result = _values("results", RESULT_COLUMNS) + _OVERWRITE
    _insert_annotation = _values("annotation_tasks", ANNOTATION_COLUMNS) + " ON CONFLICT DO NOTHING"
    _away: ClassVar[Mapping[int, str]] = {
        5: "is locked by another process",
        6: "is locked by another process",
        7: "has no memory left",
        8: "is read-only",
        10: "cannot be read or written (input/output error)",
        13: "has no room: the disk is full",
        14: "cannot be opened",
        15: "is locked by another process",
    }

    def __init__(self, url: URL) -> None:
        if not url.database or url.database == ":memory:" or url.query:
            raise NotConfigured("database_url: SQLite needs a plain file, as in sqlite:////var/lib/assay/assay.db")
        self.url = url.set(drivername="sqlite+aiosqlite")
        self._file = Path(url.database)

    def _engine(self, *pragmas: str, size: int, overflow: int) -> AsyncEngine:
        engine = create_async_engine(
            self.url,
            pool_size=size,
            max_overflow=overflow,
            pool_timeout=30,
            hide_parameters=True,
            connect_args={"timeout": BUSY_SLICE, "isolation_level": None, "async_creator_fn": connect},
        )

        @event.listens_for(engine.sync_engine, "connect")
        def prepare(connection: Any, _record: Any) -> None:
            cursor = connection.cursor()
            for pragma in ("foreign_keys = ON", "synchronous = NORMAL", "temp_store = DEFAULT", *pragmas):
                cursor.execute(f"PRAGMA {pragma}")
            cursor.close()

        return engine

    def writers(self) -> AsyncEngine:
        return self._engine("journal_mode = WAL", "cache_size = -4000", size=1, overflow=0)

    def readers(self, writers: AsyncEngine) -> AsyncEngine:
        return self._engine("query_only = ON", "cache_size = -2000", size=2, overflow=30)

    def one_writer(self) -> bool:
        return True

    async def begin_read(self, connection: AsyncConnection) -> None:
        await connection.exec_driver_sql("BEGIN")

    async def begin_write(self, connection: AsyncConnection) -> None:
        await connection.exec_driver_sql("BEGIN IMMEDIATE")

    def begin_upgrade(self, connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    async def claim_server(self, writers: AsyncEngine) -> AsyncConnection | None:
        return None

    def is_absent(self) -> bool:
        return not self._file.exists()

    def insert_unless_exists(self, table: Table) -> Insert:
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table).on_conflict_do_nothing()

    def insert_or_update(self, table: Table, key: Sequence[str], update: Sequence[str], when: Allowed) -> Insert:
        from sqlalchemy.dialects import sqlite

        insert = sqlite.insert(table)
        coming = {name: insert.excluded[name] for name in update}
        return insert.on_conflict_do_update(index_elements=key, set_=coming, where=when(insert.excluded))

    async def add_items(self, connection: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> None:
        await connection.exec_driver_sql(self._insert_item, list(rows))

    async def add_results(self, connection: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> int:
        done = await connection.exec_driver_sql(self._insert_result, list(rows))
        return done.rowcount

    async def replace_results(self, connection: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> None:
        await connection.exec_driver_sql(self._replace_result, list(rows))

    async def add_annotation_tasks(self, connection: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> int:
        return (await connection.exec_driver_sql(self._insert_annotation, list(rows))).rowcount

    async def one_at_a_time(self, connection: AsyncConnection, key: str) -> None:
        """Whoever writes is alone."""

    def unlocked(self, statement: str) -> str:
        return statement

    def fault(self, error: BaseException) -> AssayError | None:
        code = _sqlite_code(error)
        if code in self._away:
            return Unavailable(f"the database {self._file.name} {self._away[code]}")
        if code == 26:
            return NotConfigured(f"database_url: {self._file.name} is no SQLite database")
        return None

    def is_busy(self, error: BaseException) -> bool:
        return self.is_locked(error)

    def is_locked(self, error: BaseException) -> bool:
        return _sqlite_code(error) in (5, 6, 15)


def _sqlite_code(error: BaseException) -> int:
    original = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(original, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) and isinstance(original, aiosqlite.Error) else 0


class PostgresDialect:
    """PostgreSQL through asyncpg. What one writing transaction gets for changing stays locked until it ends."""

    _refused: ClassVar[tuple[str, ...]] = ("28", "3D")
    _away: ClassVar[tuple[str, ...]] = ("08", "40", "53", "57", "58", "55P03", "25006", "25P03")

    def __init__(self, url: URL) -> None:
        query = dict(url.query)
        mode = query.pop("sslmode", None)
        if mode is not None:
            query["ssl"] = mode
        self.url = url.set(drivername="postgresql+asyncpg", query=query)
        self._insert_item = self._unnest("items", ITEM_COLUMNS)
        self._insert_result = self._unnest("results", RESULT_COLUMNS) + " ON CONFLICT DO NOTHING"
        self._replace_result = self._unnest("results", RESULT_COLUMNS) + _OVERWRITE
        annotation = self._unnest("annotation_tasks", ANNOTATION_COLUMNS, {"kind": "text"})
        self._insert_annotation = annotation + " ON CONFLICT DO NOTHING"

    @staticmethod
    def _unnest(table: str, columns: Sequence[str], types: Mapping[str, str] = MappingProxyType({})) -> str:
        known = {**_TYPES, **types}
        arrays = ", ".join(f"${n}::{known.get(name, 'text')}[]" for n, name in enumerate(columns, 1))
        names = ", ".join(columns)
        return (
            f"INSERT INTO {table} ({names}) SELECT {names}"  # noqa: S608
            f" FROM unnest({arrays}) WITH ORDINALITY AS r({names}, place) ORDER BY place"
        )

    def writers(self) -> AsyncEngine:
        return create_async_engine(
            self.url,
            pool_size=16,
            max_overflow=0,
            pool_timeout=30,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={
                "timeout": 10,
                "server_settings": {
                    "application_name": "assay",
                    "lock_timeout": "30000",
                    "idle_in_transaction_session_timeout": "600000",
                    "jit": "off",
                },
            },
        )

    def readers(self, writers: AsyncEngine) -> AsyncEngine:
        return writers.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    def one_writer(self) -> bool:
        return False

    async def begin_read(self, connection: AsyncConnection) -> None:
        """The driver begins with the first statement."""

    async def begin_write(self, connection: AsyncConnection) -> None:
        """The driver begins with the first statement."""

    def begin_upgrade(self, connection: Connection) -> None:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_UPGRADE_LOCK})")

    async def claim_server(self, writers: AsyncEngine) -> AsyncConnection | None:
        connection = await writers.connect()
        claimed = await connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({_SERVER_LOCK})")
        held = bool(claimed.scalar_one())
        await connection.commit()
        if held:
            return connection
        await connection.close()
        raise Unavailable("another server already uses this database; stop it first")

    def is_absent(self) -> bool:
        return False

    def insert_unless_exists(self, table: Table) -> Insert:
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table).on_conflict_do_nothing()

    def insert_or_update(self, table: Table, key: Sequence[str], update: Sequence[str], when: Allowed) -> Insert:
        from sqlalchemy.dialects import postgresql

        insert = postgresql.insert(table)
        coming = {name: insert.excluded[name] for name in update}
        return insert.on_conflict_do_update(index_elements=key, set_=coming, where=when(insert.excluded))

    async def add_items(self, connection: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> None:
        await connection.exec_driver_sql(self._insert_item, tuple(map(list, zip(*rows, strict=True))))

    async def add_results(self, connection: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> int:
        ordered = sorted(rows, key=lambda row: row[:3])  # one order of locks, so that writers cannot deadlock
        done = await connection.exec_driver_sql(self._insert_result, tuple(map(list, zip(*ordered, strict=True))))
        return done.rowcount

    async def replace_results(self, connection: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> None:
        await connection.exec_driver_sql(self._replace_result, tuple(map(list, zip(*rows, strict=True))))

    async def add_annotation_tasks(self, connection: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> int:
        columns = tuple(map(list, zip(*rows, strict=True)))
        return (await connection.exec_driver_sql(self._insert_annotation, columns)).rowcount

    async def one_at_a_time(self, connection: AsyncConnection, key: str) -> None:
        lock = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), signed=True)
        await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({lock})")

    def unlocked(self, statement: str) -> str:
        return statement + " FOR UPDATE SKIP LOCKED"

    def fault(self, error: BaseException) -> AssayError | None:
        if isinstance(error, OSError | InterfaceError) or getattr(error, "connection_invalidated", False):
            return Unavailable("the database cannot be reached")
        state = _sqlstate(error)
        if state.startswith(self._refused):
            return NotConfigured("database_url: PostgreSQL refuses this user, password or database name")
        if state.startswith(self._away):
            return Unavailable(f"the database cannot do this now (SQLSTATE {state})")
        if state in ("22021", "22P05"):
            return InvalidInput.at(("text",), "text may not hold NUL characters or lone surrogates")
        return None

    def is_busy(self, error: BaseException) -> bool:
        return isinstance(self.fault(error), Unavailable)

    def is_locked(self, error: BaseException) -> bool:
        return _sqlstate(error) == "55P03"


def _sqlstate(error: BaseException) -> str:
    original = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)
    return state if isinstance(state, str) else ""


def dialect_for(url: str) -> "SqliteDialect | PostgresDialect":
    """The dialect of a database URL. Raises NotConfigured, without the URL's password, for any other."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise NotConfigured("database_url: not a URL; use sqlite:///PATH or postgresql://...") from None
    kind = parsed.drivername.partition("+")[0]
    if kind == "sqlite":
        return SqliteDialect(parsed)
    if kind in ("postgresql", "postgres"):
        return PostgresDialect(parsed)
    raise NotConfigured(f"database_url: {kind}: use sqlite:///PATH or postgresql://...")


def is_pool_timeout(error: BaseException) -> bool:
    """Whether no connection came free in time."""
    return isinstance(error, PoolTimeout)
