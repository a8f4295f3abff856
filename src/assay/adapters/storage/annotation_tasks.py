"""Annotation tasks: queued in bulk, claimed one by one, and what was done to them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import uuid_utils
from sqlalchemy import Row, Select, and_, bindparam, case, delete, func, insert, or_, select, tuple_, update

from assay.adapters.storage.annotation_claims import claim_row
from assay.adapters.storage.annotation_tables import annotation_events, annotation_skips, annotation_tasks
from assay.adapters.storage.codec import to_micros
from assay.adapters.storage.paging import Listing, page_rows
from assay.adapters.storage.session import Session, in_lists, slices
from assay.adapters.storage.tables import Moment, evaluations, items
from assay.core.annotation import OPEN, AnnotationKind, AnnotationStatus, AnnotationTask, Queueing
from assay.core.identity import Identity
from assay.core.paging import Page, PageRequest
from assay.ports.annotation import AnnotationCount, AnnotationEvent, AnnotationFilter, Claiming, QueueCount

_BATCH = 5000
_task = annotation_tasks.c
_JOINED = annotation_tasks.join(evaluations, evaluations.c.seq == _task.evaluation_seq).join(
    items, items.c.seq == _task.item_seq
)
_SHOWN: Select[Any] = select(
    annotation_tasks,
    evaluations.c.id.label("evaluation_id"),
    evaluations.c.updated_at.label("evaluation_updated_at"),
    items.c.id.label("item_id"),
).select_from(_JOINED)
# What every claim and answer needs is made once: putting a statement together costs more than running it.
_BY_ID = _SHOWN.where(_task.id == bindparam("id"), _task.account_id.in_(bindparam("accounts", expanding=True)))
_OF_ITEM = _SHOWN.where(_task.item_seq == bindparam("item"), _task.queue_id == bindparam("queue")).order_by(_task.seq)
_OF_ITEM_LOCKED = _OF_ITEM.with_for_update(of=annotation_tasks)
_asked_for = annotation_tasks.alias("asked_for")
_WITH_ID = (
    _SHOWN.where(
        tuple_(_task.item_seq, _task.queue_id).in_(
            select(_asked_for.c.item_seq, _asked_for.c.queue_id).where(
                _asked_for.c.id == bindparam("id"), _asked_for.c.account_id.in_(bindparam("accounts", expanding=True))
            )
        )
    )
    .order_by(_task.seq)
    .with_for_update(of=annotation_tasks)
)
_at = bindparam("at", type_=Moment())
_TAKE = (
    update(annotation_tasks)
    .where(
        _task.seq == bindparam("at_seq"),
        _task.open == 1,
        or_(
            _task.assigned_to.is_(None),
            _task.assigned_to == bindparam("holder"),
            and_(_task.reserved == 0, _task.lease_until <= _at),
        ),
    )
    .values(assigned_to=bindparam("holder"), lease_until=bindparam("until", type_=Moment()), updated_at=_at)
    .returning(
        annotation_tasks,
        *(
            select(column).where(table.c.seq == of).scalar_subquery().label(name)
            for table, column, of, name in (
                (evaluations, evaluations.c.id, _task.evaluation_seq, "evaluation_id"),
                (evaluations, evaluations.c.updated_at, _task.evaluation_seq, "evaluation_updated_at"),
                (items, items.c.id, _task.item_seq, "item_id"),
            )
        ),
    )
)
_CHANGEABLE = (
    "priority",
    "status",
    "open",
    "updated_at",
    "assigned_to",
    "reserved",
    "lease_until",
    "completed_at",
    "duration_seconds",
    "flagged",
    "comment",
    "answers",
)
_SAVE = (
    update(annotation_tasks)
    .where(_task.seq == bindparam("at_seq"))
    .values({name: bindparam(f"new_{name}") for name in _CHANGEABLE})
)
_RECORD = insert(annotation_events)
_ORDERS = {"created_at": (_task.seq,), "id": (_task.id,)}
_OPEN = sorted(OPEN)
_is_open = case((_task.status.in_(_OPEN), 1), else_=0)


class SqlAnnotationTasks:
    """Implements `ports.annotation.AnnotationTaskRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(
        self, account_id: str, evaluation_seq: int, item_seqs: Sequence[int], queueing: Queueing, at: datetime
    ) -> int:
        """Queue the tasks of items in order, all first answers before all second ones."""
        added = 0
        for kind, slot, level, status in queueing.places():
            fixed = (queueing.queue_id, str(kind), slot, level, queueing.priority, str(status))
            state = (int(status in OPEN), 0, to_micros(at), 0)
            for some in slices(item_seqs, _BATCH):
                rows = [
                    (str(uuid_utils.uuid7()), account_id, evaluation_seq, item_seq, *fixed, *state) for item_seq in some
                ]
                added += await self._session.add_annotation_tasks(rows)
        return added

    async def get(self, account_ids: Sequence[str], task_id: str) -> AnnotationTask | None:
        """The task with that id in one of the accounts."""
        rows = await self._session.rows(_BY_ID, {"id": task_id, "accounts": list(account_ids)})
        return _to_task(rows[0]) if rows else None

    async def get_many(self, account_ids: Sequence[str], task_ids: Sequence[str]) -> Mapping[str, AnnotationTask]:
        """Those of the tasks by id that are in one of the accounts."""
        found: dict[str, AnnotationTask] = {}
        for some in in_lists(list(dict.fromkeys(task_ids))):
            statement = _SHOWN.where(_task.id.in_(some), _task.account_id.in_(account_ids))
            found.update({row.id: _to_task(row) for row in await self._session.rows(statement)})
        return found

    async def of_item(self, item_seq: int, queue_id: str) -> Sequence[AnnotationTask]:
        """All tasks of one item in one queue, locked in one order."""
        statement = _OF_ITEM_LOCKED if self._session.writing else _OF_ITEM
        rows = await self._session.rows(statement, {"item": item_seq, "queue": queue_id})
        return [_to_task(row) for row in rows]

    async def with_id(self, account_ids: Sequence[str], task_id: str) -> Sequence[AnnotationTask]:
        """All tasks of the item and queue of the task with that id, locked in one order."""
        rows = await self._session.rows(_WITH_ID, {"id": task_id, "accounts": list(account_ids)})
        return [_to_task(row) for row in rows]

    async def of_items(self, evaluation_seq: int, item_seqs: Sequence[int]) -> Mapping[int, Sequence[AnnotationTask]]:
        """All tasks of each of the items, by item."""
        found: dict[int, list[AnnotationTask]] = {}
        for some in in_lists(list(dict.fromkeys(item_seqs))):
            chosen = _SHOWN.where(_task.item_seq.in_(some), _task.evaluation_seq == evaluation_seq)
            for row in await self._session.rows(chosen.order_by(_task.seq)):
                found.setdefault(row.item_seq, []).append(_to_task(row))
        return found

    async def list(self, account_id: str, page: PageRequest, where: AnnotationFilter) -> Page[AnnotationTask]:
        """A page, in order of insertion or of id."""
        members = _SHOWN.where(_task.account_id == account_id)
        matches = members if where.include_archived else members.where(_task.archived == 0)
        for column, wanted in (
            (_task.queue_id, where.queue_id),
            (evaluations.c.id, where.evaluation_id),
            (_task.status, where.status),
            (_task.kind, where.kind),
            (_task.assigned_to, where.assigned_to),
        ):
            if wanted is not None:
                matches = matches.where(column == str(wanted))
        rows, total, has_more = await page_rows(self._session, Listing(matches, members, _task.id, _ORDERS), page)
        return Page([_to_task(row) for row in rows], total, has_more)

    async def save(self, tasks: Sequence[AnnotationTask]) -> None:
        """Write everything about existing tasks that can change."""
        if tasks:
            await self._session.run(_SAVE, [_changeable(task) for task in tasks])

    async def claim(self, claiming: Claiming) -> AnnotationTask | None:
        """Take a task: it is the caller's until the lease ends. None when there is none for them."""
        row = await claim_row(self._session, claiming, _TAKE)
        return None if row is None else _to_task(row)

    async def skip(self, task: AnnotationTask, identity_id: str) -> None:
        """Never give this task to somebody again."""
        new = self._session.dialect.insert_unless_exists(annotation_skips)
        await self._session.run(new.values(task_seq=task.seq, identity_id=identity_id))

    async def record(self, events: Sequence[AnnotationEvent]) -> None:
        """Keep what was done."""
        rows = [
            {
                "task_seq": event.task_seq,
                "action": event.action,
                "by_id": event.by.id,
                "by_type": event.by.type,
                "at": event.at,
                "answers": event.answers,
                "duration_seconds": event.duration_seconds,
                "comment": event.comment,
            }
            for event in events
        ]
        if rows:
            await self._session.run(_RECORD, rows)

    async def events(self, task_seqs: Sequence[int]) -> Sequence[AnnotationEvent]:
        """What was done to some tasks, oldest first."""
        found: list[Row[Any]] = []
        for some in in_lists(list(dict.fromkeys(task_seqs))):
            found.extend(
                await self._session.rows(select(annotation_events).where(annotation_events.c.task_seq.in_(some)))
            )
        return [
            AnnotationEvent(
                row.task_seq,
                row.action,
                Identity(row.by_id, row.by_type),
                row.at,
                row.answers,
                row.duration_seconds,
                row.comment,
            )
            for row in sorted(found, key=lambda row: row.seq)
        ]

    async def counts(self, evaluation_seqs: Sequence[int]) -> Sequence[AnnotationCount]:
        """The tasks of evaluations by queue, kind and state."""
        found: list[AnnotationCount] = []
        columns = (_task.evaluation_seq, _task.queue_id, _task.kind, _task.status)
        for some in in_lists(list(dict.fromkeys(evaluation_seqs))):
            statement = select(*columns, func.count()).where(_task.evaluation_seq.in_(some)).group_by(*columns)
            found.extend(
                AnnotationCount(seq, queue_id, AnnotationKind(kind), AnnotationStatus(status), count)
                for seq, queue_id, kind, status, count in await self._session.rows(statement.order_by(*columns))
            )
        return found

    async def queues(self, account_id: str) -> Sequence[QueueCount]:
        """The tasks of an account by queue, kind and state."""
        columns = (_task.queue_id, _task.kind, _task.status)
        taken = func.sum(case((_task.assigned_to.is_not(None), 1), else_=0))
        statement = (
            select(*columns, func.count(), taken)
            .where(_task.account_id == account_id, _task.archived == 0)
            .group_by(*columns)
            .order_by(*columns)
        )
        return [
            QueueCount(queue_id, AnnotationKind(kind), AnnotationStatus(status), count, held)
            for queue_id, kind, status, count, held in await self._session.rows(statement)
        ]

    async def has_begun(self, evaluation_seq: int, kinds: Sequence[AnnotationKind]) -> bool:
        """Whether anybody has taken or done any task of those kinds."""
        statement = select(_task.seq).where(
            _task.evaluation_seq == evaluation_seq,
            _task.kind.in_(list(map(str, kinds))),
            _task.assigned_to.is_not(None),
        )
        return bool(await self._session.rows(statement.limit(1)))

    async def remove(self, evaluation_seq: int, kinds: Sequence[AnnotationKind]) -> None:
        """Take an evaluation's tasks of those kinds that nobody has taken or done out of their queues, for good."""
        free = _task.assigned_to.is_(None)
        chosen = (_task.evaluation_seq == evaluation_seq, _task.kind.in_(list(map(str, kinds))), free)
        for table in (annotation_skips, annotation_events):
            await self._session.run(delete(table).where(table.c.task_seq.in_(select(_task.seq).where(*chosen))))
        await self._session.run(delete(annotation_tasks).where(*chosen))

    async def make_ready(
        self, evaluation_seq: int, at: datetime, *, first_item: int | None = None, last_item: int | None = None
    ) -> int:
        """Make answer tasks PENDING that are NOT_READY."""
        statement = update(annotation_tasks).where(
            _task.evaluation_seq == evaluation_seq, _task.level == 0, _task.status == "NOT_READY"
        )
        if first_item is not None:
            statement = statement.where(_task.item_seq >= first_item)
        if last_item is not None:
            statement = statement.where(_task.item_seq <= last_item)
        values = {"status": "PENDING", "open": 1 - _task.archived, "updated_at": at}
        return (await self._session.run(statement.values(**values))).rowcount

    async def set_archived(self, evaluation_seqs: Sequence[int], archived: bool) -> None:
        """Hide the tasks of evaluations from claims and lists, or show them again."""
        for some in in_lists(list(dict.fromkeys(evaluation_seqs))):
            statement = update(annotation_tasks).where(_task.evaluation_seq.in_(some))
            values = {"archived": int(archived), "open": 0 if archived else _is_open}
            await self._session.run(statement.values(**values))

    async def stream(
        self, evaluation_seq: int, *, kinds: Sequence[AnnotationKind], batch: int = 2000
    ) -> AsyncIterator[Sequence[AnnotationTask]]:
        """The done tasks of those kinds, in batches."""
        statement = _SHOWN.where(
            _task.evaluation_seq == evaluation_seq,
            _task.kind.in_(list(map(str, kinds))),
            _task.status.in_(["COMPLETED", "FIXED"]),
        )
        last = -1
        while True:
            rows = await self._session.rows(statement.where(_task.seq > last).order_by(_task.seq).limit(batch))
            if rows:
                last = rows[-1].seq
                yield [_to_task(row) for row in rows]
            if len(rows) < batch:
                return


def _changeable(task: AnnotationTask) -> dict[str, Any]:
    values = (
        task.priority,
        str(task.status),
        int(task.is_open and not task.archived),
        task.updated_at,
        task.assigned_to,
        int(task.reserved),
        task.lease_until,
        task.completed_at,
        task.duration_seconds,
        task.flagged,
        task.comment,
        None if task.answers is None else dict(task.answers),
    )
    new = {f"new_{name}": value for name, value in zip(_CHANGEABLE, values, strict=True)}
    return {"at_seq": task.seq, **new}


def _to_task(row: Row[Any]) -> AnnotationTask:
    return AnnotationTask(
        id=row.id,
        seq=row.seq,
        account_id=row.account_id,
        evaluation_id=row.evaluation_id,
        evaluation_seq=row.evaluation_seq,
        item_id=row.item_id,
        item_seq=row.item_seq,
        queue_id=row.queue_id,
        kind=AnnotationKind(row.kind),
        status=AnnotationStatus(row.status),
        updated_at=row.updated_at,
        slot=row.slot,
        level=row.level,
        priority=row.priority,
        assigned_to=row.assigned_to,
        reserved=bool(row.reserved),
        lease_until=row.lease_until,
        completed_at=row.completed_at,
        duration_seconds=row.duration_seconds,
        flagged=row.flagged,
        comment=row.comment,
        answers=row.answers,
        archived=bool(row.archived),
        evaluation_updated_at=row.evaluation_updated_at,
    )
