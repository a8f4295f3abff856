"""The indexes of evaluations in this process: built when first needed, and brought up to date at each question.

A question reads the account's version in its own snapshot, takes the changes since from the log, and answers
from exactly that state; the page's rows come from the same snapshot.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, ColumnElement, Select, Text, bindparam, case, func, literal, select, type_coerce

from assay.adapters.storage.changes import changed_since, read_counts
from assay.adapters.storage.codec import load_all_json, load_json
from assay.adapters.storage.session import Session, in_lists
from assay.adapters.storage.tables import Words, application_setups, evaluation_datasets, evaluations
from assay.core.application_evaluations import RESERVED_SPEC_PREFIX
from assay.core.errors import InvalidCursor
from assay.core.filters import NEGATIONS, Filter, compare, read, resolve
from assay.core.selection import Found, Selection

if TYPE_CHECKING:
    from assay.adapters.storage.evaluation_index import AccountIndex

CHUNK = 1_000
"""Rows read at once while an index is built: what the event loop waits for between two requests."""
LONGEST_REST = 0.02
"""Seconds that a build for which nobody waits rests at most after each of them."""

_columns = evaluations.c


def _of_setup(value: ColumnElement[Any]) -> ColumnElement[Any]:
    of_evaluation = application_setups.c.evaluation_seq == _columns.seq
    return select(value).where(of_evaluation).correlate(evaluations).scalar_subquery()


KEPT: Mapping[str, tuple[ColumnElement[Any], bool]] = {
    **{
        name: (type_coerce(_columns[name], BigInteger), True)
        for name in ("created_at", "updated_at", "archived_at", "finished_at", "item_total", "error_count")
    },
    **{name: (type_coerce(_columns[name], Text), False) for name in ("name", "name_folded", "id", "status")},
    **{name: (type_coerce(_columns[name], Text), False) for name in ("description", "created_by_id", "tags")},
    "item_done": (_columns.item_successful + _columns.item_failed, True),
    "item_successful": (_columns.item_successful, True),
    "completed_at": (case((_columns.status == "completed", type_coerce(_columns.finished_at, BigInteger))), True),
    "description_or_empty": (func.coalesce(_columns.description, ""), False),
    "created_by_type": (type_coerce(_columns.created_by_type, Text), False),
    "spec_id": (
        func.coalesce(
            _of_setup(application_setups.c.application_spec_id),
            literal(RESERVED_SPEC_PREFIX, Words()) + _columns.account_id,
            type_=Words(),
        ),
        False,
    ),
    "variant_id": (_of_setup(application_setups.c.application_variant_id), False),
    "configuration_id": (_of_setup(application_setups.c.configuration_id), False),
    "is_builder": (func.coalesce(_of_setup(case((application_setups.c.kind == "builder", 1), else_=0)), 0), True),
    "datasets": (
        select(func.count())
        .where(evaluation_datasets.c.evaluation_seq == _columns.seq)
        .correlate(evaluations)
        .scalar_subquery(),
        True,
    ),
}
"""Columns that an index can keep for orders and for searching names, and whether they are numbers. Whatever changes one
of them notes that the evaluation has changed."""

_ROW = (
    _columns.seq,
    _columns.archived_at.is_not(None),
    _columns.status,
    type_coerce(_columns.tags, Text),
    type_coerce(_columns["metadata"], Text),
)


@dataclass(slots=True)
class _Entry:
    """An account's index, the lock that its readers take turns with, the build that is under way, and whether
    somebody waits for it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    index: "AccountIndex | None" = None
    building: "asyncio.Task[AccountIndex] | None" = None
    wanted: bool = False


class Indexes:
    """The indexes of all accounts that were asked about."""

    def __init__(self, reading: Callable[[], AbstractAsyncContextManager[Session]]) -> None:
        self._reading = reading
        self._entries: dict[str, _Entry] = {}

    async def close(self) -> None:
        """Stop what is being built."""
        building = [entry.building for entry in self._entries.values() if entry.building is not None]
        for task in building:
            task.cancel()
        await asyncio.gather(*building, return_exceptions=True)
        self._entries.clear()

    async def warm(self, account_id: str) -> None:
        """Build an account's index now, so that no request waits for it; half as fast until one does."""
        await self._built(self._entries.setdefault(account_id, _Entry()), account_id)

    @asynccontextmanager
    async def select(
        self, session: Session, account_id: str, selection: Selection, cursor: tuple[str, str] | None
    ) -> AsyncIterator[tuple[Found, Session]]:
        """A page of a selection and the transaction to read its rows in. `cursor` is the parameter's name and the
        row's id."""
        wanted = [each.column for each in selection.sort] + (["name_folded"] if selection.name else [])
        async with AsyncExitStack() as stack:
            async with self._current(session, account_id, stack) as (index, live):
                at = None if cursor is None else await _cursor_seq(live, account_id, cursor)
                if cursor is not None and (at is None or not index.has(at)):
                    raise InvalidCursor(*cursor)
                for name in wanted:
                    if name not in index.extra:
                        values = await _kept_values(live, account_id, name)
                        await _in_thread(partial(index.keep, name, values, numeric=KEPT[name][1]))
                passing = {
                    each: await _scan(live, account_id, each) for each in selection.filters if not index.holds(each.key)
                }
                if len(index) > CHUNK and index.needs(selection.sort):
                    await _in_thread(partial(index.sort, selection.sort))
                found = index.select(selection, at, passing)
            yield found, live

    async def keys(
        self, session: Session, account_id: str, *, include_archived: bool
    ) -> tuple[list[tuple[str, dict[str, int], dict[str, int] | None]], bool]:
        """Every metadata key with its counts, and whether those are really all."""
        async with AsyncExitStack() as stack, self._current(session, account_id, stack) as (index, _):
            return index.keys(include_archived=include_archived), not index.overflowed

    @asynccontextmanager
    async def _current(
        self, session: Session, account_id: str, stack: AsyncExitStack
    ) -> AsyncIterator[tuple["AccountIndex", Session]]:
        """The account's index, for this task alone, in the state of `session`; or, where that is older than the
        index, in the state of a new transaction that `stack` ends. A writing transaction sees what it wrote
        itself, in an index of its own."""
        if session.writing:
            yield await _build(session, account_id), session
            return
        entry = self._entries.setdefault(account_id, _Entry())
        entry.wanted = True
        if entry.index is None:
            await self._built(entry, account_id)
        async with entry.lock:
            index, live = await self._built(entry, account_id), session
            while not await _catch_up(index, live, account_id):
                if live is not session:
                    entry.index = None
                    index = await self._built(entry, account_id)
                live = await stack.enter_async_context(self._reading())
            yield index, live

    async def _built(self, entry: _Entry, account_id: str) -> "AccountIndex":
        """The index, built once for everybody who waits; whoever gives up waiting does not stop it."""
        if entry.index is not None:
            return entry.index
        if entry.building is None:
            entry.building = asyncio.create_task(self._build_alone(entry, account_id))
        task = entry.building
        try:
            built = await asyncio.shield(task)
        finally:
            if task.done() and entry.building is task:
                entry.building = None
        if entry.index is None:
            entry.index = built
        return entry.index

    async def _build_alone(self, entry: _Entry, account_id: str) -> "AccountIndex":
        async with self._reading() as session:
            return await _build(session, account_id, lambda: entry.wanted)


async def _catch_up(index: "AccountIndex", session: Session, account_id: str) -> bool:
    """Bring the index to the state that the transaction sees. False when that cannot be done: the transaction is
    older than the index, or the log begins after the index's version."""
    counts = await read_counts(session, account_id)
    if counts.version == index.version:
        return True
    if counts.version < index.version or counts.pruned > index.version:
        return False
    seqs = await changed_since(session, account_id, index.version)
    for some in in_lists(seqs, CHUNK):
        rows = await session.pairs(_statement(index.extra).where(_columns.seq.in_(some)))
        _take(index, rows, tuple(set(some).difference(row[0] for row in rows)))
    index.version = counts.version
    return True


async def _build(session: Session, account_id: str, hurried: Callable[[], bool] = lambda: True) -> "AccountIndex":
    """A new index of what the transaction sees. The rows are taken in by another thread, so that the event loop
    answers meanwhile; while it is not hurried, it rests about as long as it works, and leaves requests their time."""
    from assay.adapters.storage.evaluation_index import AccountIndex

    index = AccountIndex((await read_counts(session, account_id)).version)
    index.keep("created_at", {}, numeric=True)
    statement = (
        _statement(index.extra)
        .where(_columns.account_id == account_id, _columns.seq > bindparam("after"))
        .order_by(_columns.seq)
        .limit(CHUNK)
    )
    last, begun = 0, time.perf_counter()
    while rows := await session.pairs(statement, {"after": last}):
        await asyncio.to_thread(_take, index, rows)
        last = rows[-1][0]
        if len(rows) < CHUNK:
            break
        if not hurried():
            await asyncio.sleep(min(time.perf_counter() - begun, LONGEST_REST))
        begun = time.perf_counter()
    return index


def _statement(kept: Iterable[str]) -> Select[Any]:
    """What an index takes of each row, the further columns that it keeps last."""
    return select(*_ROW, *(KEPT[name][0] for name in kept))


def _take(index: "AccountIndex", rows: Sequence[Any], gone: Sequence[int] = ()) -> None:
    """Take in rows of `_statement`. Tags that repeat are decoded once, and all metadata at once."""
    from assay.adapters.storage.evaluation_index import IndexRows

    if not rows:
        index.apply(IndexRows((), (), (), (), ()), gone)
        return
    seqs, archived, statuses, tags, metadata, *extra = zip(*rows, strict=True)
    known = {stored: tuple(load_json(stored)) for stored in set(tags)}
    taken = IndexRows(
        seqs,
        archived,
        statuses,
        [known[stored] for stored in tags],
        load_all_json(metadata),
        dict(zip(index.extra, extra, strict=True)),
    )
    index.apply(taken, gone)


async def _in_thread(work: Callable[[], None]) -> None:
    """Do work on an index in another thread; whoever is cancelled meanwhile still keeps the index to the end."""
    working = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(working)
    except asyncio.CancelledError:
        await working
        raise


async def _kept_values(session: Session, account_id: str, name: str) -> dict[int, Any]:
    """A further column of an account's rows, by sequence number."""
    statement = (
        select(_columns.seq, KEPT[name][0])
        .where(_columns.account_id == account_id, _columns.seq > bindparam("after"))
        .order_by(_columns.seq)
        .limit(CHUNK)
    )
    values: dict[int, Any] = {}
    last = 0
    while rows := await session.pairs(statement, {"after": last}):
        values.update(rows)
        last = rows[-1][0]
    return values


async def _cursor_seq(session: Session, account_id: str, cursor: tuple[str, str]) -> int | None:
    statement = select(_columns.seq).where(_columns.id == cursor[1], _columns.account_id == account_id)
    found = await session.rows(statement)
    return found[0][0] if found else None


async def _scan(session: Session, account_id: str, wanted: Filter) -> frozenset[int]:
    """The rows that pass a filter whose key no index holds, found by reading all of them."""
    metadata = type_coerce(_columns["metadata"], Text)
    statement = (
        select(_columns.seq, metadata)
        .where(_columns.account_id == account_id, _columns.seq > bindparam("after"))
        .order_by(_columns.seq)
        .limit(CHUNK)
    )
    operator = NEGATIONS.get(wanted.operator, wanted.operator)
    passing: list[int] = []
    last = 0
    while rows := await session.pairs(statement, {"after": last}):
        for seq, document in rows:
            stored = None if document is None else resolve(load_json(document), wanted.key)
            if compare(read(stored), operator, wanted.values):
                passing.append(seq)
        last = rows[-1][0]
    return frozenset(passing)
