"""Evaluations as version 4 of the API sees them: with their setups, in any order, by page number."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, case, func, insert, literal, select, union_all, update

from assay.adapters.storage.annotation_tasks import SqlAnnotationTasks
from assay.adapters.storage.catalogue_tables import application_specs, application_variants
from assay.adapters.storage.changes import read_counts
from assay.adapters.storage.dialects import by_code_point
from assay.adapters.storage.evaluations import SqlEvaluations
from assay.adapters.storage.session import Session, slices
from assay.adapters.storage.tables import (
    Words,
    application_setups,
    datasets,
    evaluation_datasets,
    evaluations,
    items,
)
from assay.core.application_evaluations import (
    RESERVED_SPEC_NAME,
    RESERVED_SPEC_PREFIX,
    ApplicationEvaluation,
    ApplicationSetup,
    EvaluationQuery,
    Settlement,
)
from assay.core.evaluations import Evaluation
from assay.core.paging import Slice, SortKey
from assay.core.selection import Selection, Sort

_evaluation, _setup = evaluations.c, application_setups.c
_JOINED = evaluations.outerjoin(application_setups, _setup.evaluation_seq == _evaluation.seq)
_spec_id = func.coalesce(
    _setup.application_spec_id, literal(RESERVED_SPEC_PREFIX, Words()) + _evaluation.account_id, type_=Words()
)


def _name_of(table: Any, identifier: ColumnElement[Any]) -> ColumnElement[Any]:
    return select(table.c.name).where(table.c.id == identifier).scalar_subquery()


def _orders() -> Mapping[str, ColumnElement[Any]]:
    linked = select(func.count()).where(evaluation_datasets.c.evaluation_seq == _evaluation.seq).scalar_subquery()
    return {
        "status": _evaluation.status,
        "application_spec_id": _spec_id,
        "application_spec": func.coalesce(_name_of(application_specs, _spec_id), RESERVED_SPEC_NAME),
        "application_variant_id": _setup.application_variant_id,
        "application_variant": _name_of(application_variants, _setup.application_variant_id),
        "evaluation_config_id": _setup.configuration_id,
        "evaluation_config_expanded": _setup.configuration_id,
        "completed_at": case((_evaluation.status == "completed", _evaluation.finished_at)),
        "total_test_case_result_count": _evaluation.item_total,
        "test_case_results": _evaluation.item_total,
        "completed_test_case_result_count": _evaluation.item_successful,
        "annotation_config": by_code_point(_setup.annotation_config),
        "question_id_to_annotation_config": by_code_point(_setup.question_annotation_configs),
        "metric_config": by_code_point(_setup.metric_config),
        "async_jobs": case((_setup.kind == "builder", 1), else_=0),
        "evaluation_datasets": linked,
        "id": _evaluation.id,
        "created_at": _evaluation.created_at,
        "account_id": _evaluation.account_id,
        "created_by_user_id": _evaluation.created_by_id,
        "created_by_user": _evaluation.created_by_id,
        "created_by_identity_type": _evaluation.created_by_type,
        "archived_at": _evaluation.archived_at,
        "name": _evaluation.name,
        "description": func.coalesce(_evaluation.description, ""),
        "tags": by_code_point(_evaluation.metadata),
        "evaluation_config": by_code_point(_setup.configuration),
    }


_OF_SETUPS = frozenset(
    {
        "application_spec",
        "application_spec_id",
        "application_variant",
        "application_variant_id",
        "evaluation_config_id",
        "evaluation_config_expanded",
        "evaluation_config",
        "annotation_config",
        "question_id_to_annotation_config",
        "metric_config",
        "async_jobs",
    }
)
"""The keys for which a list must look at setups."""
_INDEXED = {
    "status": "status",
    "name": "name",
    "id": "id",
    "created_at": "created_at",
    "archived_at": "archived_at",
    "completed_at": "completed_at",
    "total_test_case_result_count": "item_total",
    "test_case_results": "item_total",
    "completed_test_case_result_count": "item_successful",
    "description": "description_or_empty",
    "created_by_user_id": "created_by_id",
    "created_by_user": "created_by_id",
    "created_by_identity_type": "created_by_type",
    "application_spec_id": "spec_id",
    "application_variant_id": "variant_id",
    "evaluation_config_id": "configuration_id",
    "evaluation_config_expanded": "configuration_id",
    "async_jobs": "is_builder",
    "evaluation_datasets": "datasets",
}
"""The keys that the index of evaluations in memory has, and its columns for them. It lacks JSON documents, which would
take as much memory as all else, and the names of specs and variants, which change without the evaluations."""
_UNION = 20
"""The most accounts whose newest evaluations are read one account after the other."""
_NEWEST_FIRST = (_evaluation.created_at.desc(), _evaluation.seq.desc())


class SqlApplicationEvaluations:
    """Implements `ports.application_storage.ApplicationEvaluationRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._evaluations = SqlEvaluations(session)

    async def add(self, evaluation: Evaluation, setup: ApplicationSetup) -> ApplicationEvaluation:
        """Add an evaluation with its setup, linked to the dataset that the setup names."""
        linked = [setup.dataset_id] if setup.dataset_id else []
        added = await self._evaluations.add(evaluation, linked)
        await self._session.run(insert(application_setups).values(evaluation_seq=added.seq, **_columns(setup)))
        return ApplicationEvaluation(added, setup)

    async def get(
        self, account_ids: Sequence[str], evaluation_id: str, *, include_archived: bool = True
    ) -> ApplicationEvaluation | None:
        """The evaluation with that id in one of the accounts; in a writing transaction it stays as it is."""
        found = await self._evaluations.get(None, evaluation_id, include_archived=include_archived)
        if found is None or found.account_id not in account_ids:
            return None
        return (await self._with_setups([found]))[0]

    async def is_labelled(self, evaluation_seq: int) -> bool:
        """Whether the evaluation has a setup, so that its items are results with labels."""
        statement = select(_setup.evaluation_seq).where(_setup.evaluation_seq == evaluation_seq)
        return bool(await self._session.rows(statement))

    async def list(self, query: EvaluationQuery) -> Slice[ApplicationEvaluation]:
        """A part of the matching evaluations in the order asked for, and how many match."""
        selection = _selection(query)
        if selection is not None and not self._session.writing:
            page = await self._evaluations.select(query.account_ids[0], selection)
            return Slice(await self._with_setups(page.items), page.total)
        seqs, total = await self.select(query)
        found = await self._evaluations.by_seq(seqs)
        return Slice(await self._with_setups([found[seq] for seq in seqs]), total)

    async def select(self, query: EvaluationQuery) -> tuple[Sequence[int], int]:
        """The sequence numbers of that part, and how many match, by the database's own sorting: for orders that
        the index in memory does not have, and for several accounts at once."""
        conditions = self._conditions(query)
        joined = query.spec_id is not None or not {key.field for key in query.page.order}.isdisjoint(_OF_SETUPS)
        source = _JOINED if joined else evaluations
        matching = select(_evaluation.seq).select_from(source).where(*conditions)
        if query.spec_id is None and not self._session.writing:
            total = await self._kept_total(query)
        else:
            total = int((await self._session.rows(matching.with_only_columns(func.count())))[0][0])
        if query.page.offset >= total:
            return [], total
        return [row[0] for row in await self._session.rows(self._part(matching, query, total))], total

    async def _kept_total(self, query: EvaluationQuery) -> int:
        """The number of all evaluations of the accounts, which the writers count."""
        total = 0
        for account_id in dict.fromkeys(query.account_ids):
            counts = await read_counts(self._session, account_id)
            total += counts.active + (counts.archived if query.include_archived else 0)
        return total

    def _part(self, matching: Select[Any], query: EvaluationQuery, total: int) -> Select[Any]:
        """The rows asked for; the default order is read from its nearer end."""
        beyond = total - query.page.offset - query.page.limit
        if not query.page.order and query.spec_id is None and 1 < len(query.account_ids) <= _UNION:
            return self._newest_of_each(query, beyond)
        if not query.page.order and 0 <= beyond < query.page.offset:
            nearer = matching.add_columns(_evaluation.created_at)
            nearer = nearer.order_by(_evaluation.created_at.asc(), _evaluation.seq.asc())
            part = nearer.limit(query.page.limit).offset(beyond).subquery()
            return select(part.c.seq).order_by(part.c.created_at.desc(), part.c.seq.desc())
        return matching.order_by(*_order_by(query.page.order)).limit(query.page.limit).offset(query.page.offset)

    def _newest_of_each(self, query: EvaluationQuery, beyond: int) -> Select[Any]:
        """The same for several accounts: each has an index in this order, all of them together have none."""
        page = query.page
        from_end = 0 <= beyond < page.offset
        skipped = beyond if from_end else page.offset
        order = (_evaluation.created_at.asc(), _evaluation.seq.asc()) if from_end else _NEWEST_FIRST
        each = []
        for account_id in dict.fromkeys(query.account_ids):
            conditions = self._conditions(replace(query, account_ids=(account_id,)))
            of_account = select(_evaluation.seq, _evaluation.created_at).where(*conditions).order_by(*order)
            each.append(select(of_account.limit(skipped + page.limit).subquery()))
        found = union_all(*each).subquery()
        ways = (found.c.created_at, found.c.seq)
        part = select(found).order_by(*[way.asc() if from_end else way.desc() for way in ways])
        part = part.limit(page.limit).offset(skipped)
        if not from_end:
            return part.with_only_columns(found.c.seq)
        turned = part.subquery()
        return select(turned.c.seq).order_by(turned.c.created_at.desc(), turned.c.seq.desc())

    def _conditions(self, query: EvaluationQuery) -> Sequence[ColumnElement[bool]]:
        accounts = query.account_ids
        one = len(accounts) == 1
        conditions = [_evaluation.account_id == accounts[0] if one else _evaluation.account_id.in_(accounts)]
        if not query.include_archived:
            conditions.append(_evaluation.archived_at.is_(None))
        if query.spec_id is not None:
            of_spec = _setup.application_spec_id == query.spec_id
            account_id = query.spec_id.removeprefix(RESERVED_SPEC_PREFIX)
            if account_id != query.spec_id:
                of_spec |= _setup.application_spec_id.is_(None) & (_evaluation.account_id == account_id)
            conditions.append(of_spec)
        return conditions

    async def save(self, changed: ApplicationEvaluation) -> None:
        """Write what a user edits of the evaluation and of its setup; never status or counts."""
        await self._evaluations.save(changed.evaluation)
        if changed.setup is not None:
            await self._session.run(
                update(application_setups)
                .where(_setup.evaluation_seq == changed.evaluation.seq)
                .values(**_columns(changed.setup))
            )

    async def settle(self, evaluation: Evaluation, settlement: Settlement) -> None:
        """Write what the results make of the evaluation, and the columns of the rows."""
        counts = settlement.counts
        await self._evaluations.settle(
            evaluation.seq,
            {
                "item_total": counts.total,
                "item_successful": counts.completed,
                "item_failed": counts.failed,
                "status": str(settlement.status),
                "status_reason": settlement.reason,
                "finished_at": settlement.finished_at,
                "has_job": settlement.has_job,
                "column_names": list(evaluation.column_names),
            },
        )

    async def link(self, evaluation: Evaluation, dataset_ids: Sequence[str]) -> None:
        """Link datasets that are not linked yet."""
        linked = {dataset.id for dataset in evaluation.datasets}
        fresh = [dataset_id for dataset_id in dict.fromkeys(dataset_ids) if dataset_id not in linked]
        if not fresh:
            return
        rows = await self._session.rows(select(datasets.c.id, datasets.c.seq).where(datasets.c.id.in_(fresh)))
        seqs = dict(map(tuple, rows))
        links = [
            {"evaluation_seq": evaluation.seq, "position": len(linked) + number, "dataset_seq": seqs[dataset_id]}
            for number, dataset_id in enumerate(fresh)
        ]
        await self._session.run(insert(evaluation_datasets), links)
        self._session.changes.note(evaluation.seq, evaluation.account_id)

    async def archive_of_dataset(self, dataset_id: str, at: datetime) -> Sequence[str]:
        """Archive the evaluations with a setup that use the dataset, and their items, under one time; their ids."""
        return await self._move(dataset_id, None, at, at)

    async def restore_of_dataset(self, dataset_id: str, archived_at: datetime, at: datetime) -> None:
        """Undo `archive_of_dataset`, for exactly what it archived."""
        await self._move(dataset_id, archived_at, None, at)

    async def _move(
        self, dataset_id: str, before: datetime | None, after: datetime | None, at: datetime
    ) -> Sequence[str]:
        """Give the evaluations of a dataset that were archived at `before`, and their items, the time `after`. They
        are held first, in the order in which groups hold theirs: what another transaction archives meanwhile must
        not be counted twice."""
        using = (
            select(evaluation_datasets.c.evaluation_seq)
            .join(datasets, datasets.c.seq == evaluation_datasets.c.dataset_seq)
            .join(application_setups, _setup.evaluation_seq == evaluation_datasets.c.evaluation_seq)
            .where(datasets.c.id == dataset_id)
        )
        moving = (
            select(_evaluation.id, _evaluation.seq, _evaluation.account_id)
            .where(_evaluation.seq.in_(using), _evaluation.archived_at == before)
            .order_by(_evaluation.id)
            .with_for_update(of=evaluations, key_share=True)
        )
        found = await self._session.pairs(moving)
        owners = {seq: account_id for _, seq, account_id in found}
        for some in slices(list(owners)):
            of_items = update(items).where(items.c.evaluation_seq.in_(some), items.c.archived_at == before)
            await self._session.run(of_items.values(archived_at=after))
        await SqlAnnotationTasks(self._session).set_archived(list(owners), archived=after is not None)
        await self._evaluations.archive_many(owners, after, at)
        return [identifier for identifier, _, _ in found]

    async def _with_setups(self, found: Sequence[Evaluation]) -> Sequence[ApplicationEvaluation]:
        setups: dict[int, ApplicationSetup] = {}
        for some in slices([evaluation.seq for evaluation in found]):
            statement = select(application_setups).where(_setup.evaluation_seq.in_(some))
            for row in await self._session.rows(statement):
                setups[row.evaluation_seq] = _to_setup(row)
        return [ApplicationEvaluation(evaluation, setups.get(evaluation.seq)) for evaluation in found]


def _selection(query: EvaluationQuery) -> Selection | None:
    """The query for the index of evaluations in memory; None when it cannot answer it."""
    if len(query.account_ids) != 1 or query.spec_id is not None:
        return None
    keys = [key for key in query.page.order if key.field != "account_id"]  # one account: all are equal
    if any(key.field not in _INDEXED for key in keys):
        return None
    order = tuple(Sort(_INDEXED[key.field], key.descending) for key in keys)
    return Selection(
        include_archived=query.include_archived,
        sort=(*order, Sort("created_at", descending=True)),
        limit=query.page.limit,
        offset=query.page.offset,
    )


def _order_by(sort: Sequence[SortKey]) -> list[ColumnElement[Any]]:
    known = _orders()
    order: list[ColumnElement[Any]] = []
    for key in sort:
        column = known[key.field]
        missing = case((column.is_(None), 1), else_=0)
        order.extend((missing.desc(), column.desc()) if key.descending else (missing.asc(), column.asc()))
    return [*order, *_NEWEST_FIRST]


def _columns(setup: ApplicationSetup) -> dict[str, Any]:
    return {
        "application_spec_id": setup.spec_id,
        "application_variant_id": setup.variant_id,
        "kind": setup.kind,
        "configuration": setup.configuration,
        "configuration_id": setup.configuration_id,
        "annotation_config": setup.annotation_config,
        "question_annotation_configs": setup.question_annotation_configs,
        "metric_config": setup.metric_config,
        "dataset_id": setup.dataset_id,
        "dataset_version": setup.dataset_version,
        "output_group_id": setup.output_group_id,
        "job_id": setup.job_id,
        "generated_at": setup.generated_at,
    }


def _to_setup(row: Row[Any]) -> ApplicationSetup:
    return ApplicationSetup(
        spec_id=row.application_spec_id,
        kind=row.kind,
        variant_id=row.application_variant_id,
        configuration=row.configuration,
        configuration_id=row.configuration_id,
        annotation_config=row.annotation_config,
        question_annotation_configs=row.question_annotation_configs,
        metric_config=row.metric_config,
        dataset_id=row.dataset_id,
        dataset_version=row.dataset_version,
        output_group_id=row.output_group_id,
        job_id=row.job_id,
        generated_at=row.generated_at,
    )
