"""Tasks of results, as people claim them and are given them; each with the result that it is about."""

from collections.abc import Sequence
from dataclasses import dataclass

from assay.core.annotation import AnnotationKind, AnnotationTask, Work
from assay.core.application_evaluations import ApplicationEvaluation
from assay.core.errors import NotFound
from assay.core.identity import Caller
from assay.core.paging import PageRequest
from assay.core.test_case_results import TestCaseResult
from assay.ports.annotation import AnnotationFilter
from assay.ports.clock import Clock
from assay.ports.storage import Storage, UnitOfWork
from assay.services.annotation import AnnotationTasks, ClaimRequest, assign_locked, lock
from assay.services.application_evaluations import found_evaluation
from assay.services.result_views import projected

MOST_HELD = 1000


@dataclass(frozen=True, slots=True)
class ResultTask:
    """A task and the result that it is about."""

    task: AnnotationTask
    result: TestCaseResult | None


class ResultClaims:
    """The use cases of tasks of results."""

    def __init__(self, storage: Storage, clock: Clock, tasks: AnnotationTasks) -> None:
        self._storage = storage
        self._clock = clock
        self._tasks = tasks

    async def claim(
        self, caller: Caller, evaluation_id: str, kind: AnnotationKind, *, skip_current: bool
    ) -> ResultTask | None:
        """A task of an evaluation for the caller, as `AnnotationTasks.claim`; `skip_current` gives back the one that
        they hold, if they hold one. Raises NotFound."""
        async with self._storage.read() as work:
            found = await found_evaluation(work, caller, evaluation_id)
            acting = caller.within(found.evaluation.account_id)
            skips = skip_current and await self._holds(work, acting, evaluation_id, kind)
        task = await self._tasks.claim(acting, ClaimRequest(kind, evaluation_id=evaluation_id, skip_current=skips))
        if task is None:
            return None
        async with self._storage.read() as work:
            return await _with_result(work, found, task)

    async def _holds(self, work: UnitOfWork, caller: Caller, evaluation_id: str, kind: AnnotationKind) -> bool:
        where = AnnotationFilter(evaluation_id=evaluation_id, kind=kind, assigned_to=caller.identity.id)
        theirs = await work.annotation_tasks.list(caller.account_id, PageRequest(limit=MOST_HELD), where)
        now = self._clock.now()
        return any(each.is_open and each.lease_until is not None and each.lease_until > now for each in theirs.items)

    async def assign(self, caller: Caller, evaluation_id: str, task_id: str, assigned_to: str | None) -> ResultTask:
        """Reserve a task for somebody, or (None) for nobody. Raises NotFound, and RuleViolation as
        `AnnotationTasks.assign` does."""
        (assigned,) = await self._assign(caller, evaluation_id, [task_id], assigned_to)
        if assigned is None:
            raise NotFound("task", task_id)
        return assigned

    async def assign_many(
        self, caller: Caller, evaluation_id: str, task_ids: Sequence[str], assigned_to: str | None
    ) -> Sequence[ResultTask | None]:
        """Reserve tasks, all or none; in their order, with None for those that the evaluation does not have."""
        return await self._assign(caller, evaluation_id, task_ids, assigned_to)

    async def _assign(
        self, caller: Caller, evaluation_id: str, task_ids: Sequence[str], assigned_to: str | None
    ) -> list[ResultTask | None]:
        async with self._storage.write() as work:
            found = await found_evaluation(work, caller, evaluation_id)
            acting = caller.within(found.evaluation.account_id)
            known = await work.annotation_tasks.get_many((acting.account_id,), task_ids)
            made: list[ResultTask | None] = []
            for task_id in task_ids:
                task = known.get(task_id)
                if task is None or task.evaluation_id != evaluation_id:
                    made.append(None)
                    continue
                locked = await lock(work, acting, task_id)
                said = Work(caller.identity.id, self._clock.now())
                changed = await assign_locked(work, locked, caller.identity, assigned_to, said)
                made.append(await _with_result(work, found, changed))
            return made


async def _with_result(work: UnitOfWork, found: ApplicationEvaluation, task: AnnotationTask) -> ResultTask:
    if found.setup is not None:
        return ResultTask(task, await work.test_case_results.get(found.evaluation, task.item_id))
    item = await work.items.get(found.evaluation.account_id, task.item_id, include_archived=True)
    return ResultTask(task, None if item is None else projected(found, item).result)
