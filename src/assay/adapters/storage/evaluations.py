"""Evaluations: their description, their progress and the datasets they came from."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Row, Text, case, func, insert, select, text, type_coerce, update

from assay.adapters.storage.changes import read_counts
from assay.adapters.storage.codec import from_micros, is_storable, load_json
from assay.adapters.storage.datasets import naming, to_dataset
from assay.adapters.storage.paging import Listing, null_last, page_cursor, page_rows, text_conditions, unknown_order
from assay.adapters.storage.session import Session, in_lists
from assay.adapters.storage.tables import (
    Document,
    Moment,
    Words,
    application_setups,
    datasets,
    evaluation_datasets,
    evaluations,
    results,
)
from assay.core.datasets import Dataset
from assay.core.errors import InvalidInput
from assay.core.evaluations import Evaluation, EvaluationStatus, Progress
from assay.core.filters import Filter, MetadataKey, MetadataKeys
from assay.core.identity import Identity
from assay.core.paging import Page, PageRequest
from assay.core.selection import Selection, Sort
from assay.core.tasks import TaskSpec
from assay.ports.storage import TextFilter

_setup = application_setups.c
_ORDERS = {
    "created_at": (evaluations.c.created_at, evaluations.c.seq),
    "updated_at": (evaluations.c.updated_at, evaluations.c.seq),
    "archived_at": (null_last(evaluations.c.archived_at), evaluations.c.seq),
    "name": (evaluations.c.name, evaluations.c.seq),
    "status": (evaluations.c.status, evaluations.c.seq),
    "error_count": (evaluations.c.error_count, evaluations.c.seq),
    "id": (evaluations.c.id,),
}
_RAW: Mapping[type[Any], type[Any]] = {Moment: BigInteger, Document: Text, Words: Text}
_COLUMNS: Sequence[Any] = [
    type_coerce(column, _RAW.get(type(column.type), type(column.type))).label(column.name)
    for column in evaluations.c
    if column.name not in ("name_folded", "tags_folded")
]
"""What an evaluation is made of, in the order of the table, without any conversion on the way."""


class SqlEvaluations:
    """Implements `ports.storage.EvaluationRepository`. Alone writes the table, and notes each change for the counters
    and the indexes."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, evaluation: Evaluation, dataset_ids: Sequence[str] = ()) -> Evaluation:
        """Add it, linked to datasets; returns it with its seq."""
        seq = await self._session.added(
            insert(evaluations).values(
                id=evaluation.id,
                account_id=evaluation.account_id,
                **_editable(evaluation),
                status=str(evaluation.status),
                status_reason=evaluation.status_reason,
                item_total=evaluation.progress.total,
                item_successful=evaluation.progress.successful,
                item_failed=evaluation.progress.failed,
                error_count=evaluation.progress.errors,
                has_job=evaluation.has_job,
                created_at=evaluation.created_at,
                created_by_id=evaluation.created_by.id,
                created_by_type=evaluation.created_by.type,
                started_at=evaluation.started_at,
                finished_at=evaluation.finished_at,
                column_names=list(evaluation.column_names),
                taxonomy=evaluation.taxonomy,
                skip_prefilled_rows=evaluation.skip_prefilled_rows,
            )
        )
        gone = evaluation.archived_at is not None
        self._session.changes.note(seq, evaluation.account_id, active=not gone, archived=gone)
        linked = await self._link(seq, evaluation.account_id, dataset_ids)
        return replace(evaluation, seq=seq, datasets=linked)

    async def _link(self, seq: int, account_id: str, dataset_ids: Sequence[str]) -> tuple[Dataset, ...]:
        wanted = list(dict.fromkeys(dataset_ids))
        if not wanted:
            return ()
        statement = select(datasets).where(datasets.c.account_id == account_id, datasets.c.id.in_(wanted))
        found = {row.id: to_dataset(row) for row in await self._session.rows(statement)}
        linked = tuple(found[dataset_id] for dataset_id in wanted if dataset_id in found)
        if linked:
            links = [
                {"evaluation_seq": seq, "position": position, "dataset_seq": dataset.seq}
                for position, dataset in enumerate(linked)
            ]
            await self._session.run(insert(evaluation_datasets), links)
        return linked

    async def get(
        self, account_id: str | None, evaluation_id: str, *, include_archived: bool = False
    ) -> Evaluation | None:
        """The evaluation with that id, with its datasets; account_id None: in any account."""
        statement = select(*_COLUMNS).where(evaluations.c.id == evaluation_id)
        if account_id is not None:
            statement = statement.where(evaluations.c.account_id == account_id)
        row = await self._session.row(statement)
        if row is None or (row.archived_at is not None and not include_archived):
            return None
        return (await self._complete([row]))[0]

    async def list(
        self, account_id: str, page: PageRequest, where: TextFilter, filters: Sequence[Filter] = ()
    ) -> Page[Evaluation]:
        """A page of the account's evaluations, with their datasets.

        In order of creation the database has an index and the writers have counted; anything else, and its
        total, is found in memory.
        """
        if page.sort_by not in _ORDERS:
            raise unknown_order(page.sort_by, _ORDERS)
        if not all(map(is_storable, (where.name or "", *where.tags))):
            raise InvalidInput.at(("text",), "text may not hold NUL characters or lone surrogates")
        if filters or (not self._session.writing and (where.name or where.tags or page.sort_by != "created_at")):
            return await self._selected(account_id, _selection(page, where, filters), page_cursor(page))
        members = select(*_COLUMNS).where(evaluations.c.account_id == account_id)
        matches = members.where(*text_conditions(evaluations, where))
        if not where.include_archived:
            matches = matches.where(evaluations.c.archived_at.is_(None))
        total = None
        if not self._session.writing:
            counts = await read_counts(self._session, account_id)
            total = counts.active + (counts.archived if where.include_archived else 0)
        listing = Listing(matches, members, evaluations.c.id, _ORDERS, total)
        rows, total, has_more = await page_rows(self._session, listing, page)
        return Page(await self._complete(rows), total, has_more)

    async def select(self, account_id: str, selection: Selection) -> Page[Evaluation]:
        """A page by number of the account's evaluations, in any order; with their datasets."""
        return await self._selected(account_id, selection, None)

    async def _selected(
        self, account_id: str, selection: Selection, cursor: tuple[str, str] | None
    ) -> Page[Evaluation]:
        async with self._session.indexes.select(self._session, account_id, selection, cursor) as (found, live):
            rows = await SqlEvaluations(live).by_seq(found.seqs)
        return Page([rows[seq] for seq in found.seqs], found.total, found.has_more)

    async def metadata_keys(self, account_id: str, *, include_archived: bool = False) -> MetadataKeys:
        """The keys of the account's metadata that filters can name, by name."""
        keys, complete = await self._session.indexes.keys(self._session, account_id, include_archived=include_archived)
        described = [MetadataKey(name, sum(types.values()), types, values) for name, types, values in keys]
        return MetadataKeys(sorted(described, key=lambda each: each.name), complete)

    async def get_many(self, account_id: str, evaluation_ids: Sequence[str]) -> Mapping[str, Evaluation]:
        """The account's unarchived ones among these, by id, with their datasets."""
        rows: list[Row[Any]] = []
        for some in in_lists(list(dict.fromkeys(evaluation_ids))):
            statement = select(*_COLUMNS).where(
                evaluations.c.account_id == account_id,
                evaluations.c.id.in_(some),
                evaluations.c.archived_at.is_(None),
            )
            rows.extend(await self._session.rows(statement))
        return {evaluation.id: evaluation for evaluation in await self._complete(rows)}

    async def by_seq(self, seqs: Sequence[int]) -> dict[int, Evaluation]:
        """Evaluations by sequence number, archived ones too, with their datasets."""
        rows: list[Row[Any]] = []
        for some in in_lists(list(dict.fromkeys(seqs))):
            rows.extend(await self._session.rows(select(*_COLUMNS).where(evaluations.c.seq.in_(some))))
        return {evaluation.seq: evaluation for evaluation in await self._complete(rows)}

    async def save(self, evaluation: Evaluation) -> None:
        """Write what a user edits; never progress or status."""
        chosen = evaluations.c.id == evaluation.id
        before = await self._session.row(select(evaluations.c.seq, evaluations.c.archived_at).where(chosen))
        if before is None:
            return
        await self._session.run(update(evaluations).where(chosen).values(**_editable(evaluation)))
        more = (evaluation.archived_at is not None) - (before.archived_at is not None)
        self._session.changes.note(before.seq, evaluation.account_id, active=-more, archived=more)

    async def set_status(
        self,
        evaluation_seq: int,
        status: str,
        reason: str | None,
        *,
        started_at: datetime | None = None,
        finished_at: datetime | None = None,
        only_if: str | None = None,
    ) -> bool:
        """Set the status (and the times given); with only_if, only from that status. Whether it changed."""
        values: dict[str, Any] = {"status": str(status), "status_reason": reason}
        if started_at is not None:
            values["started_at"] = started_at
        if finished_at is not None or status == EvaluationStatus.RUNNING:
            values["finished_at"] = finished_at
        statement = update(evaluations).where(evaluations.c.seq == evaluation_seq)
        if only_if is not None:
            statement = statement.where(evaluations.c.status == str(only_if))
        changed = (await self._session.run(statement.values(**values))).rowcount > 0
        if changed:
            self._session.changes.note(evaluation_seq)
        return changed

    async def add_progress(self, evaluation_seq: int, *, successful: int, failed: int, errors: int) -> None:
        """Add to the counters."""
        self._session.changes.note(evaluation_seq)
        await self._session.run(
            _ADD_PROGRESS,
            {"seq": evaluation_seq, "successful": successful, "failed": failed, "errors": errors},
        )

    async def recount(self, evaluation_seq: int, aliases: Sequence[str]) -> None:
        """Set the counters from the stored results, with every writer of progress waiting outside. An evaluation
        of an application counts its items by their labels."""
        await self._session.row(select(evaluations.c.seq).where(evaluations.c.seq == evaluation_seq))
        self._session.changes.note(evaluation_seq)
        wanted = list(dict.fromkeys(aliases))
        statement = update(evaluations).where(evaluations.c.seq == evaluation_seq)
        labelled = select(_setup.evaluation_seq).where(_setup.evaluation_seq == evaluation_seq)
        counts_labels = bool(await self._session.rows(labelled))
        if not wanted and counts_labels:
            return
        if not wanted:
            values = {"item_successful": evaluations.c.item_total, "item_failed": 0, "error_count": 0}
            await self._session.run(statement.values(**values))
            return
        errors = func.sum(case((results.c.status == "errored", 1), else_=0)).label("errors")
        items = (
            select(errors, func.count().label("done"))
            .where(results.c.evaluation_seq == evaluation_seq, results.c.alias.in_(wanted))
            .group_by(results.c.item_seq)
            .subquery()
        )
        finished = items.c.done == len(wanted)
        counts = select(
            func.coalesce(func.sum(case((finished & (items.c.errors == 0), 1), else_=0)), 0),
            func.coalesce(func.sum(case((finished & (items.c.errors > 0), 1), else_=0)), 0),
            func.coalesce(func.sum(items.c.errors), 0),
        )
        successful, failed, errored = (await self._session.rows(counts))[0]
        if counts_labels:
            await self._session.run(statement.values(error_count=errored))
            return
        await self._session.run(statement.values(item_successful=successful, item_failed=failed, error_count=errored))

    async def settle(self, evaluation_seq: int, values: Mapping[str, Any]) -> None:
        """Set counters and what follows from them, by column name, for work that no engine does."""
        self._session.changes.note(evaluation_seq)
        await self._session.run(update(evaluations).where(evaluations.c.seq == evaluation_seq).values(**values))

    async def archive_many(self, owners: Mapping[int, str], archived_at: datetime | None, at: datetime) -> None:
        """Archive evaluations that are not archived, or restore archived ones (archived_at None); `owners` has
        their accounts by sequence number."""
        more = 1 if archived_at is not None else -1
        for seq, account_id in owners.items():
            self._session.changes.note(seq, account_id, active=-more, archived=more)
        for some in in_lists(list(owners)):
            chosen = update(evaluations).where(evaluations.c.seq.in_(some))
            await self._session.run(chosen.values(archived_at=archived_at, updated_at=at))

    async def list_running(self) -> Sequence[Evaluation]:
        """Every evaluation in any account whose status is running and that has a job."""
        statement = select(*_COLUMNS).where(evaluations.c.status == "running", evaluations.c.has_job)
        return await self._complete(await self._session.rows(statement.order_by(evaluations.c.seq)))

    async def _complete(self, rows: Sequence[Row[Any]]) -> Sequence[Evaluation]:
        linked: dict[int, list[Dataset]] = {}
        for some in in_lists([row[0] for row in rows]):
            statement = (
                select(evaluation_datasets.c.evaluation_seq, *datasets.c)
                .join_from(evaluation_datasets, datasets, evaluation_datasets.c.dataset_seq == datasets.c.seq)
                .where(evaluation_datasets.c.evaluation_seq.in_(some))
                .order_by(evaluation_datasets.c.evaluation_seq, evaluation_datasets.c.position)
            )
            for row in await self._session.rows(statement):
                linked.setdefault(row.evaluation_seq, []).append(to_dataset(row))
        return [_to_evaluation(row, tuple(linked.get(row[0], ()))) for row in rows]


def _selection(page: PageRequest, where: TextFilter, filters: Sequence[Filter]) -> Selection:
    return Selection(
        tuple(filters),
        where.name,
        where.tags,
        where.include_archived,
        (Sort(page.sort_by, page.sort_order == "desc"),),
        page.limit,
        backwards=page.ending_before is not None,
    )


_ADD_PROGRESS = text(
    "UPDATE evaluations SET item_successful = item_successful + :successful,"
    " item_failed = item_failed + :failed, error_count = error_count + :errors WHERE seq = :seq"
)


def _task_document(task: TaskSpec) -> dict[str, Any]:
    document = {"task_type": task.task_type, "alias": task.alias, "configuration": task.configuration}
    return {**document, "material": task.material} if task.material else document


def _editable(evaluation: Evaluation) -> dict[str, Any]:
    return {
        **naming(evaluation.name, evaluation.description, evaluation.tags),
        "metadata": evaluation.metadata,
        "tasks": [_task_document(task) for task in evaluation.tasks],
        "updated_at": evaluation.updated_at,
        "archived_at": evaluation.archived_at,
    }


def _to_evaluation(row: Sequence[Any], linked: tuple[Dataset, ...]) -> Evaluation:
    """The evaluation of a row of `_COLUMNS`, which come as the driver gives them: a page of groups has hundreds."""
    seq, identifier, account_id, name, description, tags, document, tasks, status, reason, *rest = row
    total, successful, failed, errors, has_job, created_at, created_by_id, created_by_type, updated_at, *rest = rest
    archived_at, started_at, finished_at, column_names, taxonomy, skip_prefilled_rows = rest
    return Evaluation(
        id=identifier,
        seq=seq,
        account_id=account_id,
        name=name,
        description=description,
        tags=tuple(load_json(tags)),
        metadata=None if document is None else load_json(document),
        tasks=tuple([TaskSpec(**each) for each in load_json(tasks)]),
        status=EvaluationStatus(status),
        status_reason=reason,
        progress=Progress(total, successful, failed, errors),
        has_job=bool(has_job),
        created_at=from_micros(created_at),
        created_by=Identity(created_by_id, created_by_type),
        updated_at=from_micros(updated_at),
        archived_at=None if archived_at is None else from_micros(archived_at),
        started_at=None if started_at is None else from_micros(started_at),
        finished_at=None if finished_at is None else from_micros(finished_at),
        datasets=linked,
        column_names=tuple(load_json(column_names)),
        taxonomy=None if taxonomy is None else load_json(taxonomy),
        skip_prefilled_rows=bool(skip_prefilled_rows),
    )
