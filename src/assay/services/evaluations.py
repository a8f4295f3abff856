"""Evaluations: making them in three forms, reading, changing, archiving and cancelling them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import structlog
import uuid_utils

from assay.core.datasets import DatasetItem
from assay.core.errors import InvalidInput, NotFound, Problem, RuleViolation
from assay.core.evaluations import Evaluation, EvaluationStatus, Item, Progress
from assay.core.filters import Filter, MetadataKeys
from assay.core.identity import Caller
from assay.core.model_calls import CacheMode, CallPolicy
from assay.core.paging import Page, PageRequest
from assay.core.sheets import CONTRIBUTOR_TASK
from assay.ports.clock import Clock
from assay.ports.engine import Engine
from assay.ports.storage import NewItem, Storage, TextFilter, UnitOfWork
from assay.registry.task_types import Services, TaskType
from assay.services.annotation_progress import with_annotation
from assay.services.contributor_queueing import queue_anew, queue_new, refuse_begun
from assay.services.datasets import NewDataset, add_dataset
from assay.services.files import require_files
from assay.services.model_calls import PriceTable, check_priced
from assay.services.planning import Plan, RunnableTask, compile_tasks, plan_tasks
from assay.services.references import with_material
from assay.services.rows import Row, check_files, check_rows, columns_of

log = structlog.get_logger(__name__)

BATCH = 1000
MAX_FAILED_ITEMS = 100
CANCELLED = "Cancelled"


@dataclass(frozen=True, slots=True)
class DatasetFromRows:
    """A dataset to make from an evaluation's rows; `keys` limits which columns it gets (None: all)."""

    name: str
    description: str | None = None
    tags: tuple[str, ...] = ()
    keys: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class NewEvaluation:
    """An evaluation to make. `rows` is raw: a list of objects, or references to items with `dataset_id`."""

    name: str
    rows: Any = None
    tasks: Sequence[Any] = ()
    description: str | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] | None = None
    files: Sequence[Mapping[str, str]] | None = None
    dataset_id: str | None = None
    dataset: DatasetFromRows | None = None
    skip_prefilled_rows: bool = False
    taxonomy: Mapping[str, Any] | None = None
    policy: CallPolicy = field(default_factory=CallPolicy)


@dataclass(frozen=True, slots=True)
class _Source:
    """Where an evaluation's rows come from: the rows (made one by one), how many, and their columns."""

    rows: Sequence[Mapping[str, Any]]
    columns: tuple[str, ...]
    dataset_id: str | None = None
    origins: Sequence[Row] = field(default=())


@dataclass(frozen=True, slots=True)
class Draft:
    """An evaluation that could be made: its rows, and its tasks ready to run."""

    rows: Sequence[Mapping[str, Any]]
    tasks: tuple[RunnableTask, ...]


class Evaluations:
    """The use cases of evaluations."""

    def __init__(
        self,
        storage: Storage,
        engine: Engine,
        clock: Clock,
        task_types: Mapping[str, TaskType],
        task_services: Services,
        prices: PriceTable | None = None,
    ) -> None:
        self._storage = storage
        self._engine = engine
        self._clock = clock
        self._task_types = task_types
        self._task_services = task_services
        self._prices = prices or PriceTable()

    async def create(self, caller: Caller, new: NewEvaluation) -> Evaluation:
        """Make an evaluation with its items in one transaction and start its job, if it has one.

        What tasks refer to by id is kept as it is now. Raises InvalidInput, NotFound (the dataset) and
        RuleViolation before anything is written.
        """
        source = await self._source(caller, new)
        plan = self._plan(new, source.columns)
        now = self._clock.now()
        async with self._storage.write() as unit:
            specs = await with_material(unit, caller.account_id, plan.specs, self._task_types)
            evaluation = _new_evaluation(caller, new, replace(plan, specs=specs), source, now)
            dataset_ids = [source.dataset_id] if source.dataset_id else []
            origins: Sequence[Row] = source.origins
            if new.dataset is not None:
                rows = _projected(new.rows, new.dataset.keys)
                spec = NewDataset(new.dataset.name, rows, new.files, new.dataset.description, new.dataset.tags)
                dataset, dataset_items = await add_dataset(unit, caller, spec, now)
                dataset_ids = [dataset.id]
                origins = [Row({}, item.files, item.id, dataset.current_version_num) for item in dataset_items]
            else:
                await require_files(unit, caller.account_id, new.files or ())
            added = await unit.evaluations.add(evaluation, dataset_ids)
            if new.policy != CallPolicy():
                await unit.model_calls.set_policy(added.seq, new.policy)
            for batch in _new_items(source.rows, origins):
                await unit.items.add(added, batch)
            await queue_new(unit, added, source.rows, plan.columns, now)
            stored = await unit.evaluations.get(caller.account_id, added.id)
            (shown,) = await with_annotation(unit, [stored or added])
        if plan.has_job:
            await self._engine.start(added.id)
        return shown

    async def draft(self, caller: Caller, new: NewEvaluation) -> Draft:
        """What `create` would make; nothing is written. Raises what `create` raises."""
        source = await self._source(caller, new)
        plan = self._plan(new, source.columns)
        async with self._storage.read() as unit:
            specs = await with_material(unit, caller.account_id, plan.specs, self._task_types)
        return Draft(source.rows, compile_tasks(specs, source.columns, self._task_types))

    async def get(self, caller: Caller, evaluation_id: str, *, include_archived: bool = False) -> Evaluation:
        """One evaluation. Raises NotFound."""
        async with self._storage.read() as unit:
            found = await _found(unit, caller, evaluation_id, include_archived=include_archived)
            return (await with_annotation(unit, [found]))[0]

    async def list(self, caller: Caller, page: PageRequest, where: TextFilter) -> Page[Evaluation]:
        """A page of the account's evaluations, without the progress of people's work, which would have to be
        counted."""
        async with self._storage.read() as unit:
            return await unit.evaluations.list(caller.account_id, page, where)

    async def filter(
        self, caller: Caller, page: PageRequest, filters: Sequence[Filter], *, include_archived: bool = False
    ) -> Page[Evaluation]:
        """A page of the account's evaluations that pass all filters, with the exact number of those."""
        async with self._storage.read() as unit:
            where = TextFilter(include_archived=include_archived)
            return await unit.evaluations.list(caller.account_id, page, where, filters)

    async def metadata_keys(self, caller: Caller, *, include_archived: bool = False) -> MetadataKeys:
        """The metadata keys that the account's evaluations have, to make filters from."""
        async with self._storage.read() as unit:
            return await unit.evaluations.metadata_keys(caller.account_id, include_archived=include_archived)

    async def failed_items(self, evaluation: Evaluation) -> Sequence[Item]:
        """The first items with a task error, at most 100."""
        if not evaluation.progress.failed:
            return ()
        async with self._storage.read() as unit:
            page = await unit.items.list(
                evaluation.account_id,
                PageRequest(limit=MAX_FAILED_ITEMS),
                evaluation_id=evaluation.id,
                completion="failed",
                include_archived=evaluation.archived_at is not None,
            )
        return page.items

    async def update(
        self, caller: Caller, evaluation_id: str, changes: Mapping[str, Any], *, restore: bool = False
    ) -> Evaluation:
        """Change `name`, `description`, `tags` or `metadata` (a merge patch), those that `changes` has.

        With `restore` an archived evaluation comes back first, with the items that were archived with it; its
        group memberships do not. RuleViolation for an archived one otherwise, and for no change at all.
        """
        if not changes and not restore:
            raise RuleViolation("nothing to change: send restore or at least one of name, description, tags, metadata")
        async with self._storage.write() as unit:
            evaluation = await _found(unit, caller, evaluation_id, include_archived=True)
            if restore and evaluation.archived_at is not None:
                await unit.items.set_archived(evaluation.seq, None, only_at=evaluation.archived_at)
                await unit.annotation_tasks.set_archived([evaluation.seq], archived=False)
                evaluation = replace(evaluation, archived_at=None)
            elif restore and not changes:
                return (await with_annotation(unit, [evaluation]))[0]
            _refuse_archived(evaluation)
            values = dict(changes)
            if "metadata" in values:
                values["metadata"] = merge_patch(evaluation.metadata, values["metadata"])
            evaluation = replace(evaluation, **values, updated_at=self._clock.now())
            await unit.evaluations.save(evaluation)
            return (await with_annotation(unit, [evaluation]))[0]

    async def archive(self, caller: Caller, evaluation_id: str) -> Evaluation:
        """Hide an evaluation with its items and take it out of its groups. NotFound when archived already."""
        now = self._clock.now()
        async with self._storage.write() as unit:
            evaluation = await _found(unit, caller, evaluation_id)
            evaluation = replace(evaluation, archived_at=now, updated_at=now)
            await unit.evaluations.save(evaluation)
            await unit.items.set_archived(evaluation.seq, now)
            await unit.annotation_tasks.set_archived([evaluation.seq], archived=True)
            await unit.groups.remove_evaluations([evaluation.id], now)
            return (await with_annotation(unit, [evaluation]))[0]

    async def cancel(self, caller: Caller, evaluation_id: str) -> Evaluation:
        """Stop a running evaluation: it becomes `failed`, and results that are there stay.

        Cancelling twice changes nothing; RuleViolation for one that ended by itself.
        """
        now = self._clock.now()
        async with self._storage.write() as unit:
            evaluation = await _found(unit, caller, evaluation_id)
            reason = f"{CANCELLED} by {caller.identity.type.replace('_', ' ')} {caller.identity.id}"
            changed = evaluation.has_job and await unit.evaluations.set_status(
                evaluation.seq,
                EvaluationStatus.FAILED,
                reason,
                finished_at=now,
                only_if=EvaluationStatus.RUNNING,
            )
            if changed:
                evaluation = await _found(unit, caller, evaluation_id)
        if not changed and not was_cancelled(evaluation):
            state = "runs no tasks" if evaluation.status is EvaluationStatus.RUNNING else f"is {evaluation.status}"
            raise RuleViolation(f"only a running evaluation can be cancelled; this one {state}")
        await self._engine.cancel(evaluation.id)  # again too: the first time may not have reached the engine
        return evaluation

    async def resume(
        self, caller: Caller, evaluation_id: str, *, max_cost: float | None = None, cache: CacheMode | None = None
    ) -> Evaluation:
        """Let a stopped evaluation go on with what it has no results for, under another `max_cost` or `cache` if
        one is given. Nothing to do for one that runs.

        RuleViolation for one without anything left to do, and for a `max_cost` that is spent already.
        """
        async with self._storage.write() as unit:
            evaluation = await _found(unit, caller, evaluation_id)
            if evaluation.status is not EvaluationStatus.FAILED or not evaluation.progress.pending:
                if evaluation.status is EvaluationStatus.RUNNING:
                    return evaluation
                raise RuleViolation("nothing is left to do: every item has all of its results")
            policy = await unit.model_calls.policy(evaluation.seq)
            policy = CallPolicy(cache or policy.cache, policy.max_cost if max_cost is None else max_cost)
            spent = await unit.model_calls.spent(evaluation.seq)
            if policy.max_cost is not None and spent >= policy.max_cost:
                raise RuleViolation(f"max_cost: {spent:.4g} US dollars are spent already; send a higher one")
            await unit.model_calls.set_policy(evaluation.seq, policy)
            await unit.evaluations.set_status(
                evaluation.seq, EvaluationStatus.RUNNING, None, only_if=EvaluationStatus.FAILED
            )
            evaluation = await _found(unit, caller, evaluation_id)
        await self._engine.resume(evaluation.id)
        return evaluation

    async def taxonomy(self, caller: Caller, evaluation_id: str) -> Mapping[str, Any]:
        """The document given as `taxonomy_params`. NotFound when there is none."""
        evaluation = await self.get(caller, evaluation_id)
        if evaluation.taxonomy is None:
            raise NotFound("taxonomy of evaluation", evaluation_id)
        return evaluation.taxonomy

    async def add_task(self, caller: Caller, evaluation_id: str, task: Any) -> Evaluation:
        """Add a contributor task to an evaluation that is there, and queue its items; other types would need a new
        run. RuleViolation for those, for an archived evaluation, and once people have begun to answer."""
        task_type = task.get("task_type") if isinstance(task, Mapping) else None
        if not isinstance(task_type, str) or not task_type:
            raise InvalidInput.at(("body", "task", "task_type"), "task_type is missing", type="missing")
        if task_type not in self._task_types:
            message = f"unknown: {task_type[:100]!r}"
            raise InvalidInput.at(("body", "task", "task_type"), message, type="unknown_task_type")
        if task_type != CONTRIBUTOR_TASK:
            message = f"only {CONTRIBUTOR_TASK} tasks can be added later; make a new evaluation for {task_type}"
            raise RuleViolation(message)
        async with self._storage.write() as unit:
            before = await _changeable(unit, caller, evaluation_id)
            return await self._change_tasks(unit, before, [*_raw(before), task], len(before.tasks), ("body", "task"))

    async def replace_configuration(
        self, caller: Caller, evaluation_id: str, alias: str, configuration: Mapping[str, Any]
    ) -> Evaluation:
        """Replace one task's configuration as a whole, checked against the items that are there. Results that
        are there stay; nothing runs again. A contributor task's items are queued anew.

        NotFound for an unknown alias; RuleViolation for an evaluation that is archived or that runs, and once people
        have begun to answer.
        """
        async with self._storage.write() as unit:
            before = await _changeable(unit, caller, evaluation_id)
            index = next((i for i, task in enumerate(before.tasks) if task.alias == alias), None)
            if index is None:
                raise NotFound("task", alias)
            if before.status is EvaluationStatus.RUNNING:
                raise RuleViolation("the evaluation runs: its results would mix two configurations; wait or cancel it")
            raw = _raw(before)
            raw[index]["configuration"] = configuration
            return await self._change_tasks(unit, before, raw, index, ("body",))

    async def _change_tasks(
        self, unit: UnitOfWork, before: Evaluation, raw: Sequence[Any], index: int, loc: tuple[str, ...]
    ) -> Evaluation:
        """Give an evaluation other tasks, of which the one at `index` is new or changed; its faults are at `loc`. The
        others keep what they refer to as it was."""
        try:
            plan = plan_tasks(raw, before.column_names, self._task_types, self._task_services)
            (changed,) = await with_material(unit, before.account_id, [plan.specs[index]], self._task_types)
            specs = [replace(spec, material=old.material) for spec, old in zip(plan.specs, before.tasks, strict=False)]
            specs[index : index + 1] = [changed]
            now = self._clock.now()
            evaluation = replace(before, tasks=tuple(specs), updated_at=now)
            if changed.task_type == CONTRIBUTOR_TASK:
                await queue_anew(unit, before, evaluation, plan.columns, now)
        except InvalidInput as invalid:
            raise _relocated(invalid, index, loc) from None
        await unit.evaluations.save(evaluation)
        return (await with_annotation(unit, [evaluation]))[0]

    def expected_aliases(self, evaluation: Evaluation) -> tuple[str, ...]:
        """The aliases of all tasks: pending on an item without a result."""
        return tuple(task.alias for task in evaluation.tasks)

    def _plan(self, new: NewEvaluation, columns: Sequence[str]) -> Plan:
        plan = plan_tasks(new.tasks, columns, self._task_types, self._task_services)
        if new.policy.max_cost is not None:
            check_priced(plan.specs, self._task_types, self._prices)
        return plan

    async def _source(self, caller: Caller, new: NewEvaluation) -> _Source:
        if new.dataset_id is not None:
            if new.dataset is not None:
                message = "send dataset_id (an existing dataset) or dataset (a new one), not both"
                raise InvalidInput.at(("body", "dataset"), message, type="conflicting_fields")
            if new.files is not None:
                message = "not accepted with dataset_id: the dataset's items bring their own files"
                raise InvalidInput.at(("body", "files"), message, type="conflicting_fields")
            return await self._from_dataset(caller, new.dataset_id, new.rows)
        if new.rows is None:
            raise InvalidInput.at(("body", "data"), "is needed without a dataset_id", type="missing")
        columns = check_rows(new.rows)
        check_files(new.files, len(new.rows))
        if new.dataset is not None and new.dataset.keys is not None:
            _check_keys(new.dataset.keys, columns)
        return _Source(new.rows, columns, origins=[Row({}, files or None) for files in new.files or ()])

    async def _from_dataset(self, caller: Caller, dataset_id: str, references: Any) -> _Source:
        """The rows of a dataset as it is now; with references, only those items, with extra keys laid over."""
        if references is not None:
            _check_references(references)
        async with self._storage.read() as unit:
            dataset = await unit.datasets.get(caller.account_id, dataset_id, include_archived=True)
            if dataset is None:
                raise NotFound("dataset", dataset_id)
            if dataset.archived_at is not None:
                raise RuleViolation(f"the dataset is archived: {dataset_id}")
            version = dataset.current_version_num
            if references is None:
                origins = [
                    Row(item.data, item.files, item.id, version)
                    async for item in unit.dataset_items.stream_current(dataset_id)
                ]
            else:
                origins = await _referenced(unit, dataset_id, version, references)
        if not origins:
            raise RuleViolation(f"the dataset has no items: {dataset_id}")
        rows = [origin.data for origin in origins]
        return _Source(rows, columns_of(rows), dataset_id, origins)


def was_cancelled(evaluation: Evaluation) -> bool:
    """Whether an evaluation is `failed` because somebody cancelled it."""
    return evaluation.status is EvaluationStatus.FAILED and (evaluation.status_reason or "").startswith(CANCELLED)


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396: objects merge recursively, null removes a key, anything else replaces."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


async def _found(unit: UnitOfWork, caller: Caller, evaluation_id: str, *, include_archived: bool = False) -> Evaluation:
    evaluation = await unit.evaluations.get(caller.account_id, evaluation_id, include_archived=include_archived)
    if evaluation is None:
        raise NotFound("evaluation", evaluation_id)
    return evaluation


def _refuse_archived(evaluation: Evaluation) -> None:
    if evaluation.archived_at is not None:
        raise RuleViolation(f"the evaluation is archived; restore it first: {evaluation.id}")


def _new_evaluation(caller: Caller, new: NewEvaluation, plan: Plan, source: _Source, now: datetime) -> Evaluation:
    total = len(source.rows)
    done = 0 if plan.has_job else total
    return Evaluation(
        id=str(uuid_utils.uuid7()),
        seq=0,
        account_id=caller.account_id,
        name=new.name,
        description=new.description,
        tags=new.tags,
        metadata=new.metadata,
        tasks=plan.specs,
        status=EvaluationStatus.RUNNING if plan.has_job else EvaluationStatus.COMPLETED,
        status_reason=None,
        progress=Progress(total=total, successful=done),
        has_job=plan.has_job,
        created_at=now,
        created_by=caller.identity,
        updated_at=now,
        finished_at=None if plan.has_job else now,
        column_names=source.columns,
        taxonomy=new.taxonomy,
        skip_prefilled_rows=new.skip_prefilled_rows,
    )


def _new_items(rows: Sequence[Mapping[str, Any]], origins: Sequence[Row]) -> Iterator[list[NewItem]]:
    """Batches of items to add; version 7 UUIDs ascend with the rows."""
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        if not origins:
            yield [NewItem(str(uuid_utils.uuid7()), row) for row in batch]
            continue
        yield [
            NewItem(str(uuid_utils.uuid7()), row, origin.files, origin.dataset_item_id, origin.dataset_item_version_num)
            for row, origin in zip(batch, origins[start : start + BATCH], strict=True)
        ]


def _projected(rows: list[dict[str, Any]], keys: tuple[str, ...] | None) -> list[dict[str, Any]]:
    if keys is None:
        return rows
    return [{key: row[key] for key in keys if key in row} for row in rows]


def _check_keys(keys: tuple[str, ...], columns: tuple[str, ...]) -> None:
    known = frozenset(columns)
    problems = [
        Problem(("body", "dataset", "keys", index), "no row has this column", "unknown_column", key)
        for index, key in enumerate(keys)
        if key not in known
    ]
    if problems:
        raise InvalidInput(problems)


def _check_references(references: Any) -> None:
    check_rows(references)
    problems = [
        Problem(("body", "data", index, "dataset_item_id"), "must be the id of a dataset item", "missing")
        for index, reference in enumerate(references)
        if not isinstance(reference.get("dataset_item_id"), str)
    ]
    if problems:
        raise InvalidInput(problems[:20])


async def _referenced(
    unit: UnitOfWork, dataset_id: str, version: int, references: Sequence[Mapping[str, Any]]
) -> list[Row]:
    wanted = list(dict.fromkeys(reference["dataset_item_id"] for reference in references))
    items: dict[str, DatasetItem] = {}
    for start in range(0, len(wanted), BATCH):
        items.update(await unit.dataset_items.get_many(dataset_id, wanted[start : start + BATCH]))
    unknown = [item_id for item_id in wanted if item_id not in items]
    if unknown:
        shown = ", ".join(item_id[:100] for item_id in unknown[:5])
        raise RuleViolation(f"the dataset has no such item now: {shown}")
    rows = []
    for reference in references:
        item = items[reference["dataset_item_id"]]
        extra = {key: value for key, value in reference.items() if key != "dataset_item_id"}
        rows.append(Row({**item.data, **extra} if extra else item.data, item.files, item.id, version))
    return rows


async def _changeable(unit: UnitOfWork, caller: Caller, evaluation_id: str) -> Evaluation:
    """The evaluation, whose tasks may be changed: it is not archived and people have not begun."""
    evaluation = await _found(unit, caller, evaluation_id, include_archived=True)
    _refuse_archived(evaluation)
    await refuse_begun(unit, evaluation)
    if await unit.application_evaluations.is_labelled(evaluation.seq):
        raise RuleViolation("this evaluation was made by version 4 of the API; change its config there")
    return evaluation


def _raw(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The tasks as they travel."""
    return [
        {"task_type": task.task_type, "alias": task.alias, "configuration": task.configuration}
        for task in evaluation.tasks
    ]


def _relocated(invalid: InvalidInput, index: int, loc: tuple[str, ...]) -> InvalidInput:
    """Problems of the task being changed, moved from the plan's places to those of the request."""
    prefix = ("body", "tasks", index)
    return InvalidInput(
        [
            replace(problem, loc=(*loc, *problem.loc[3:])) if problem.loc[:3] == prefix else problem
            for problem in invalid.problems
        ]
    )
