"""Results of test cases: items of evaluations with their labels, and the revisions that newer ones replaced."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, bindparam, case, func, insert, select, text, update

from assay.adapters.storage.codec import from_micros, to_micros
from assay.adapters.storage.items import SqlItems
from assay.adapters.storage.session import Session
from assay.adapters.storage.tables import evaluations, item_label_revisions, item_labels, items
from assay.core.evaluations import Evaluation, Item
from assay.core.identity import Identity
from assay.core.paging import NumberedPage, Slice
from assay.core.test_case_results import (
    AuditStatus,
    Computing,
    LabellingFigures,
    Labels,
    LabelStatus,
    TestCaseResult,
)
from assay.ports.storage import NewItem

_label, _item = item_labels.c, items.c
_SLICE = 1000
_WAITING = _label.computing == "waiting"
_BOUNDS = text(
    "SELECT MIN(item_seq), MAX(item_seq) FROM ("
    "SELECT item_seq, (ROW_NUMBER() OVER (ORDER BY item_seq) - 1) / :size AS chunk FROM item_labels"
    " WHERE evaluation_seq = :evaluation AND computing = 'waiting'"
    ") AS numbered GROUP BY chunk ORDER BY chunk"
)
_PUT_COLUMNS = (
    "evaluation_data",
    "output_id",
    "status",
    "answers",
    "completed_at",
    "audit_required",
    "updated_at",
    "computing",
)
"""What the engine's work changes of a result."""
_PUT = (
    update(item_labels)
    .where(_label.item_seq == bindparam("of_item"))
    .values({name: bindparam(f"new_{name}") for name in _PUT_COLUMNS})
)


def _selected() -> Select[Any]:
    return (
        select(
            item_labels,
            _item.id,
            _item.archived_at,
            evaluations.c.id.label("evaluation_id"),
            evaluations.c.account_id,
        )
        .join(items, _item.seq == _label.item_seq)
        .join(evaluations, evaluations.c.seq == _label.evaluation_seq)
    )


class SqlTestCaseResults:
    """Implements `ports.application_storage.TestCaseResultRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._items = SqlItems(session)

    async def add(
        self, evaluation: Evaluation, results: Sequence[TestCaseResult], rows: Sequence[Mapping[str, Any]]
    ) -> Sequence[TestCaseResult]:
        """Add results in order, each with its item's row."""
        added: list[TestCaseResult] = []
        for start in range(0, len(results), _SLICE):
            some = results[start : start + _SLICE]
            fresh = [
                NewItem(result.id, row, None, result.test_case_id, _number(result.dataset_version))
                for result, row in zip(some, rows[start : start + _SLICE], strict=True)
            ]
            await self._items.add(evaluation, fresh)
            found = await self._session.rows(
                select(_item.id, _item.seq).where(_item.id.in_([each.id for each in some]))
            )
            seqs = dict(map(tuple, found))
            placed = [replace(result, seq=seqs[result.id]) for result in some]
            await self._session.run(insert(item_labels), [_columns(result) for result in placed])
            added.extend(placed)
        return added

    async def get(self, evaluation: Evaluation, result_id: str) -> TestCaseResult | None:
        """The evaluation's result with that id."""
        statement = _selected().where(_label.evaluation_seq == evaluation.seq, _item.id == result_id)
        rows = await self._session.rows(statement)
        return _to_result(rows[0]) if rows else None

    async def list(
        self,
        evaluation: Evaluation,
        page: NumberedPage,
        *,
        version: str | None = None,
        include_archived: bool = False,
    ) -> Slice[TestCaseResult]:
        """A page of an evaluation's results in the order of their making; `version`: of that dataset version."""
        members = _selected().where(_label.evaluation_seq == evaluation.seq)
        if version is not None:
            members = members.where(_label.dataset_version == version)
        if not include_archived:
            members = members.where(_item.archived_at.is_(None))
        counted = members.with_only_columns(func.count(), maintain_column_froms=True)
        total = int((await self._session.rows(counted))[0][0])
        rows = await self._session.rows(members.order_by(_label.item_seq).limit(page.limit).offset(page.offset))
        return Slice([_to_result(row) for row in rows], total)

    async def list_items(
        self, evaluation: Evaluation, page: NumberedPage, *, include_archived: bool = False
    ) -> Slice[Item]:
        """A page of an evaluation's items, with their tasks' results, in order."""
        members = select(_item.seq).where(_item.evaluation_seq == evaluation.seq)
        if not include_archived:
            members = members.where(_item.archived_at.is_(None))
        total = int((await self._session.rows(members.with_only_columns(func.count())))[0][0])
        rows = await self._session.rows(members.order_by(_item.seq).limit(page.limit).offset(page.offset))
        if not rows:
            return Slice([], total)
        wanted = {row[0] for row in rows}
        found = await self._items.range(evaluation.seq, rows[0][0], rows[-1][0])
        return Slice([item for item in found if item.seq in wanted], total)

    async def replace(
        self, before: TestCaseResult, after: TestCaseResult, row: Mapping[str, Any] | None, at: datetime
    ) -> None:
        """Write a new revision and keep the one before; `row` is the item's new row, if it changes."""
        kept = _columns(before)
        moments = {name: to_micros(value) for name, value in kept.items() if isinstance(value, datetime)}
        await self._session.run(
            insert(item_label_revisions).values(item_seq=before.seq, invalidated_at=at, replaced={**kept, **moments})
        )
        await self._session.run(update(item_labels).where(_label.item_seq == before.seq).values(**_columns(after)))
        if row is not None:
            number = _number(after.dataset_version)
            await self._session.run(
                update(items)
                .where(_item.seq == before.seq)
                .values(data=row, dataset_item_id=after.test_case_id, dataset_item_version_num=number)
            )

    async def revisions(self, result: TestCaseResult) -> Sequence[TestCaseResult]:
        """The revisions that newer ones replaced, oldest first."""
        kept = item_label_revisions.c
        rows = await self._session.rows(
            select(kept.invalidated_at, kept.replaced).where(kept.item_seq == result.seq).order_by(kept.seq)
        )
        return [_revised(result, row.replaced, row.invalidated_at) for row in rows]

    async def put(self, results: Sequence[TestCaseResult]) -> None:
        """Write the labels, the data and the state of results as they are, with no revision."""
        for start in range(0, len(results), _SLICE):
            rows = [(each.seq, _columns(each)) for each in results[start : start + _SLICE]]
            put = [{"of_item": seq, **{f"new_{name}": row[name] for name in _PUT_COLUMNS}} for seq, row in rows]
            await self._session.run(_PUT, put)

    async def await_engine(self, evaluation_seq: int) -> None:
        """Let every result of an evaluation wait for the engine."""
        chosen = update(item_labels).where(_label.evaluation_seq == evaluation_seq)
        await self._session.run(chosen.values(computing=str(Computing.WAITING)))

    async def reopen(self, evaluation_seq: int, at: datetime) -> None:
        """Take away the answers of every result that nobody annotated: it is pending again."""
        chosen = update(item_labels).where(
            _label.evaluation_seq == evaluation_seq, _label.annotated_by_id.is_(None), _label.status != "PENDING"
        )
        pending = {"status": "PENDING", "answers": None, "completed_at": None, "updated_at": at}
        await self._session.run(chosen.values(pending))

    async def waiting(self, evaluation: Evaluation, first_seq: int, last_seq: int) -> Sequence[TestCaseResult]:
        """The results in a range of sequence numbers that wait for the engine, in order."""
        chosen = _selected().where(
            _label.evaluation_seq == evaluation.seq, _WAITING, _label.item_seq.between(first_seq, last_seq)
        )
        return [_to_result(row) for row in await self._session.rows(chosen.order_by(_label.item_seq))]

    async def waiting_bounds(self, evaluation_seq: int, chunk_size: int) -> Sequence[tuple[int, int]]:
        """(first_seq, last_seq) of runs of at most chunk_size results that wait for the engine, in order."""
        rows = await self._session.rows(_BOUNDS, {"evaluation": evaluation_seq, "size": chunk_size})
        return [(first, last) for first, last in rows]

    async def tally(self, evaluation_seq: int) -> Mapping[tuple[LabelStatus, Computing], int]:
        """How many results there are by label status and by how far the engine is."""
        statement = (
            select(_label.status, _label.computing, func.count())
            .where(_label.evaluation_seq == evaluation_seq)
            .group_by(_label.status, _label.computing)
        )
        rows = await self._session.rows(statement)
        return {(LabelStatus(status), Computing(computing)): count for status, computing, count in rows}

    async def count_waiting(self, evaluation_seq: int) -> int:
        """How many results wait for the engine."""
        statement = select(func.count()).where(_label.evaluation_seq == evaluation_seq, _WAITING)
        return int((await self._session.rows(statement))[0][0])

    async def stream(
        self, evaluation: Evaluation, *, batch: int = 1000
    ) -> AsyncIterator[Sequence[tuple[TestCaseResult, Item]]]:
        """All results that are not archived, with their items and what tasks left for those, in order."""
        members = _selected().where(_label.evaluation_seq == evaluation.seq, _item.archived_at.is_(None))
        members = members.order_by(_label.item_seq).limit(batch)
        last = -1
        while True:
            results = [_to_result(row) for row in await self._session.rows(members.where(_label.item_seq > last))]
            if not results:
                return
            found = await self._items.range(evaluation.seq, results[0].seq, results[-1].seq)
            by_seq = {item.seq: item for item in found}
            yield [(result, by_seq[result.seq]) for result in results]
            last = results[-1].seq

    async def labelling(self, evaluation: Evaluation, annotated_by: str | None = None) -> LabellingFigures:
        """The labelling of an evaluation in numbers; `annotated_by`: only what that identity labelled."""
        done = _label.status == "COMPLETED"
        timed = done & _label.seconds_spent.is_not(None)

        def counted(condition: Any) -> Any:
            return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)

        statement = (
            select(
                func.count(),
                counted(_label.audit_required.is_(True)),
                counted(done),
                counted(done & (_label.audit_status == "APPROVED")),
                counted(done & (_label.audit_status == "FIXED")),
                func.coalesce(func.sum(case((timed, _label.seconds_spent), else_=0)), 0),
                counted(timed),
                func.min(case((done, _label.completed_at))),
                func.max(case((done, _label.completed_at))),
            )
            .join(items, _item.seq == _label.item_seq)
            .where(_label.evaluation_seq == evaluation.seq, _item.archived_at.is_(None))
        )
        if annotated_by is not None:
            statement = statement.where(_label.annotated_by_id == annotated_by)
        row = (await self._session.rows(statement))[0]
        total, flagged, labelled, approved, fixed, seconds, count = map(int, row[:7])
        return LabellingFigures(total, flagged, labelled, approved, fixed, seconds, count, row[7], row[8])

    async def contributors(self, evaluation: Evaluation, page: NumberedPage) -> Slice[str]:
        """A page of the ids of those who labelled results that are completed, in order."""
        chosen = (
            select(_label.annotated_by_id)
            .join(items, _item.seq == _label.item_seq)
            .where(
                _label.evaluation_seq == evaluation.seq,
                _label.status == "COMPLETED",
                _label.annotated_by_id.is_not(None),
                _item.archived_at.is_(None),
            )
            .distinct()
        )
        total = int((await self._session.rows(select(func.count()).select_from(chosen.subquery())))[0][0])
        rows = await self._session.rows(chosen.order_by(_label.annotated_by_id).limit(page.limit).offset(page.offset))
        return Slice([row[0] for row in rows], total)

    async def last_completed(self, evaluation_seq: int) -> datetime | None:
        """When the last of the completed results completed."""
        statement = select(func.max(_label.completed_at)).where(
            _label.evaluation_seq == evaluation_seq, _label.status == "COMPLETED"
        )
        last: datetime | None = (await self._session.rows(statement))[0][0]
        return last


def _number(version: str) -> int | None:
    return int(version) if version.isdigit() else None


def _columns(result: TestCaseResult) -> dict[str, Any]:
    labels, annotated, edited = result.labels, result.labels.annotated_by, result.labels.edited_by
    return {
        "item_seq": result.seq,
        "evaluation_seq": result.evaluation_seq,
        "application_spec_id": result.spec_id,
        "dataset_id": result.dataset_id,
        "dataset_version": result.dataset_version,
        "test_case_id": result.test_case_id,
        "schema_type": result.schema_type,
        "evaluation_data": result.evaluation_data,
        "output_id": result.output_id,
        "status": str(labels.status),
        "answers": labels.answers,
        "completed_at": labels.completed_at,
        "annotated_by_id": annotated and annotated.id,
        "annotated_by_type": annotated and annotated.type,
        "edited_by_id": edited and edited.id,
        "edited_by_type": edited and edited.type,
        "audit_status": str(labels.audit_status),
        "audit_required": labels.audit_required,
        "audit_comment": labels.audit_comment,
        "seconds_spent": labels.seconds_spent,
        "created_at": result.created_at,
        "created_by_id": result.created_by.id,
        "created_by_type": result.created_by.type,
        "updated_at": result.updated_at,
        "computing": str(result.computing),
    }


def _identity(identifier: str | None, kind: Any) -> Identity | None:
    return None if identifier is None else Identity(identifier, kind)


def _labels(row: Any) -> Labels:
    return Labels(
        status=LabelStatus(row["status"]),
        answers=row["answers"],
        completed_at=row["completed_at"],
        annotated_by=_identity(row["annotated_by_id"], row["annotated_by_type"]),
        edited_by=_identity(row["edited_by_id"], row["edited_by_type"]),
        audit_status=AuditStatus(row["audit_status"]),
        audit_required=row["audit_required"],
        audit_comment=row["audit_comment"],
        seconds_spent=row["seconds_spent"],
    )


def _to_result(row: Row[Any]) -> TestCaseResult:
    return TestCaseResult(
        id=row.id,
        seq=row.item_seq,
        account_id=row.account_id,
        evaluation_id=row.evaluation_id,
        evaluation_seq=row.evaluation_seq,
        spec_id=row.application_spec_id,
        dataset_id=row.dataset_id,
        dataset_version=row.dataset_version,
        test_case_id=row.test_case_id,
        schema_type=row.schema_type,
        evaluation_data=row.evaluation_data,
        labels=_labels(row._mapping),
        created_at=row.created_at,
        created_by=Identity(row.created_by_id, row.created_by_type),
        updated_at=row.updated_at,
        archived_at=row.archived_at,
        output_id=row.output_id,
        computing=Computing(row.computing),
    )


def _revised(now: TestCaseResult, kept: Mapping[str, Any], invalidated_at: datetime) -> TestCaseResult:
    completed_at = kept["completed_at"]
    labels = _labels({**kept, "completed_at": None if completed_at is None else from_micros(completed_at)})
    return replace(
        now,
        spec_id=kept["application_spec_id"],
        dataset_id=kept["dataset_id"],
        dataset_version=kept["dataset_version"],
        test_case_id=kept["test_case_id"],
        schema_type=kept["schema_type"],
        evaluation_data=kept["evaluation_data"],
        labels=labels,
        updated_at=from_micros(kept["updated_at"]),
        invalidated_at=invalidated_at,
    )
