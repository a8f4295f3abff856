"""Annotation tasks of any evaluation: claiming, giving back, assigning and reading them, and the moves by which answers
and audits change their state. What an answer is and where it is kept is the business of who calls."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

from assay.core.annotation import (
    DEFAULT_QUEUE,
    AnnotationKind,
    AnnotationTask,
    Verdict,
    Work,
    answered,
    assigned,
    audited,
    check_holder,
    drafted,
    released,
    sent_back,
    with_changes,
)
from assay.core.errors import Forbidden, NotFound, RuleViolation
from assay.core.identity import Caller, Identity
from assay.core.paging import Page, PageRequest
from assay.ports.annotation import AnnotationCount, AnnotationEvent, AnnotationFilter, Claiming, QueueCount
from assay.ports.clock import Clock
from assay.ports.storage import Storage, UnitOfWork

LEASE_SECONDS = 1800.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """What somebody wants to do next. Without an evaluation it is from a queue, `default` unless one is named; with
    one, from any of its queues unless one is named. `skip_current` gives back what they hold first."""

    kind: AnnotationKind
    queue_id: str | None = None
    evaluation_id: str | None = None
    skip_current: bool = False


@dataclass(frozen=True, slots=True)
class Locked:
    """A task and all tasks of its item in its queue, which nobody else changes while the transaction lasts."""

    task: AnnotationTask
    tasks: Sequence[AnnotationTask]

    def after(self, changed: Sequence[AnnotationTask]) -> "Locked":
        """As they are after some have changed."""
        tasks = with_changes(self.tasks, changed)
        return Locked(next(each for each in tasks if each.id == self.task.id), tasks)


class AnnotationTasks:
    """The use cases that are the same whatever is asked."""

    def __init__(self, storage: Storage, clock: Clock, *, lease_seconds: float = LEASE_SECONDS) -> None:
        self._storage = storage
        self._clock = clock
        self._lease = timedelta(seconds=lease_seconds)

    async def claim(self, caller: Caller, wanted: ClaimRequest) -> AnnotationTask | None:
        """A task for the caller until its lease ends; the one that they hold already, with a new lease; or None.

        Raises NotFound for an unknown evaluation; of an archived one nothing can be claimed.
        """
        evaluation_seq = await self._seq_of(caller, wanted)
        async with self._storage.write() as unit:
            return await self._claim(unit, caller, wanted, evaluation_seq)

    async def claim_with(
        self, caller: Caller, wanted: ClaimRequest, use: Callable[[UnitOfWork, AnnotationTask], Awaitable[T]]
    ) -> T | None:
        """The same, and what `use` makes of the task in the same transaction; when that raises, nothing is claimed."""
        evaluation_seq = await self._seq_of(caller, wanted)
        async with self._storage.write() as unit:
            found = await self._claim(unit, caller, wanted, evaluation_seq)
            return None if found is None else await use(unit, found)

    async def _seq_of(self, caller: Caller, wanted: ClaimRequest) -> int | None:
        if wanted.evaluation_id is None:
            return None
        async with self._storage.read() as unit:
            evaluation = await unit.evaluations.get(caller.account_id, wanted.evaluation_id, include_archived=True)
        if evaluation is None:
            raise NotFound("evaluation", wanted.evaluation_id)
        return evaluation.seq

    async def _claim(
        self, unit: UnitOfWork, caller: Caller, wanted: ClaimRequest, evaluation_seq: int | None
    ) -> AnnotationTask | None:
        queue_id = wanted.queue_id
        if queue_id is None and evaluation_seq is None:
            queue_id = DEFAULT_QUEUE
        now = self._clock.now()
        claiming = Claiming(
            caller.account_id, caller.identity.id, wanted.kind, now, now + self._lease, queue_id, evaluation_seq
        )
        found = await unit.annotation_tasks.claim(claiming)
        if found is None or not wanted.skip_current:
            return found
        await unit.annotation_tasks.save([released(found, now)])
        return await unit.annotation_tasks.claim(replace(claiming, passing=found.id))

    async def get(self, caller: Caller, task_id: str) -> AnnotationTask:
        """One task, of an archived evaluation too. Raises NotFound."""
        async with self._storage.read() as unit:
            return await found_task(unit, caller, task_id)

    async def list(self, caller: Caller, page: PageRequest, where: AnnotationFilter) -> Page[AnnotationTask]:
        """A page of the account's tasks; for a contributor, of their own."""
        if caller.role == "contributor":
            where = replace(where, assigned_to=caller.identity.id)
        async with self._storage.read() as unit:
            return await unit.annotation_tasks.list(caller.account_id, page, where)

    async def queues(self, caller: Caller) -> Sequence[QueueCount]:
        """The account's queues in numbers."""
        async with self._storage.read() as unit:
            return await unit.annotation_tasks.queues(caller.account_id)

    async def counts(self, evaluation_seqs: Sequence[int]) -> Mapping[int, Sequence[AnnotationCount]]:
        """The tasks of evaluations in numbers, by evaluation; those without tasks are absent."""
        found: dict[int, list[AnnotationCount]] = {}
        async with self._storage.read() as unit:
            for each in await unit.annotation_tasks.counts(evaluation_seqs):
                found.setdefault(each.evaluation_seq, []).append(each)
        return found

    async def release(self, caller: Caller, task_id: str) -> AnnotationTask:
        """Give a task back, with its draft, if there is one. Raises Forbidden when it is not the caller's."""
        async with self._storage.write() as unit:
            locked = await lock(unit, caller, task_id)
            check_holder(locked.task, caller.identity.id)
            return await _save(unit, locked, [released(locked.task, self._clock.now())])

    async def skip(self, caller: Caller, task_id: str) -> AnnotationTask:
        """Give a task back for others: the caller is not offered it again. One that is reserved for the caller goes
        to everybody, unless it is an answer to be done again, which only they can do: RuleViolation."""
        now = self._clock.now()
        async with self._storage.write() as unit:
            locked = await lock(unit, caller, task_id)
            check_holder(locked.task, caller.identity.id)
            if locked.task.answers is not None and locked.task.reserved:
                raise RuleViolation(f"an answer to be done again cannot be skipped, only released: {task_id}")
            free = replace(released(replace(locked.task, reserved=False), now), answers=None, flagged=None)
            await unit.annotation_tasks.skip(locked.task, caller.identity.id)
            await unit.annotation_tasks.record([AnnotationEvent(locked.task.seq, "skip", caller.identity, now)])
            return await _save(unit, locked, [free])

    async def flag(self, caller: Caller, task_id: str, *, flagged: bool, comment: str | None) -> AnnotationTask:
        """Mark a task for review, or unmark it; by whoever has or had it, or anybody once it is done."""
        now = self._clock.now()
        async with self._storage.write() as unit:
            locked = await lock(unit, caller, task_id)
            if not locked.task.is_done:
                check_holder(locked.task, caller.identity.id)
            said = locked.task.comment if comment is None else comment
            action = "flag" if flagged else "unflag"
            event = AnnotationEvent(locked.task.seq, action, caller.identity, now, comment=comment)
            await unit.annotation_tasks.record([event])
            return await _save(unit, locked, [replace(locked.task, flagged=flagged, comment=said, updated_at=now)])

    async def assign(self, caller: Caller, task_id: str, identity_id: str | None) -> AnnotationTask:
        """Reserve a task that is not done for somebody, or (None) for nobody. Raises RuleViolation for somebody who
        may not do it: see `core.annotation.may_work`."""
        now = self._clock.now()
        async with self._storage.write() as unit:
            locked = await lock(unit, caller, task_id)
            return await assign_locked(unit, locked, caller.identity, identity_id, Work(caller.identity.id, now))


async def found_task(unit: UnitOfWork, caller: Caller, task_id: str) -> AnnotationTask:
    """The task in the caller's account. Raises NotFound, and Forbidden for a contributor when it is not theirs."""
    return _allowed(caller, await unit.annotation_tasks.get((caller.account_id,), task_id), task_id)


def _allowed(caller: Caller, found: AnnotationTask | None, task_id: str) -> AnnotationTask:
    if found is None:
        raise NotFound("annotation task", task_id)
    if caller.role == "contributor" and found.assigned_to != caller.identity.id:
        raise Forbidden(f"this task is not yours; claim it first: {task_id}")
    return found


async def lock(unit: UnitOfWork, caller: Caller, task_id: str) -> Locked:
    """A task and its item's other tasks, for changing them. Raises NotFound, and RuleViolation when the evaluation is
    archived."""
    tasks = await unit.annotation_tasks.with_id((caller.account_id,), task_id)
    task = _allowed(caller, next((each for each in tasks if each.id == task_id), None), task_id)
    if task.archived:
        raise RuleViolation(f"the evaluation of this task is archived; restore it first: {task.evaluation_id}")
    return Locked(task, tasks)


async def keep_draft(unit: UnitOfWork, locked: Locked, work: Work) -> Locked:
    """Keep answers that are not final; the task stays whose it is."""
    return await _saved(unit, locked, [drafted(locked.task, work)])


async def give_answer(unit: UnitOfWork, locked: Locked, by: Identity, work: Work) -> Locked:
    """An answer is given, whoever has the task; the tasks as they are then."""
    event = _event(locked.task, "answer", by, work)
    await unit.annotation_tasks.record([event])
    return await _saved(unit, locked, answered(locked.task, locked.tasks, work))


async def give_verdict(unit: UnitOfWork, locked: Locked, by: Identity, verdict: Verdict, work: Work) -> Locked:
    """An audit's verdict is given, whoever has the task; the tasks as they are then."""
    await unit.annotation_tasks.record([_event(locked.task, str(verdict), by, work)])
    return await _saved(unit, locked, audited(locked.task, locked.tasks, verdict, work))


async def send_back(unit: UnitOfWork, locked: Locked, by: Identity, work: Work) -> Locked:
    """An answer is to be done again; the tasks as they are then."""
    changed = sent_back(locked.task, locked.tasks, work.at, comment=work.comment)
    await unit.annotation_tasks.record([_event(locked.task, str(Verdict.REDO), by, work)])
    return await _saved(unit, locked, changed)


async def assign_locked(
    unit: UnitOfWork, locked: Locked, by: Identity, identity_id: str | None, work: Work
) -> AnnotationTask:
    """The task, reserved for somebody or nobody."""
    changed = assigned(locked.task, locked.tasks, identity_id, work.at)
    said = replace(work, answers=None, comment="nobody" if identity_id is None else identity_id)
    await unit.annotation_tasks.record([_event(locked.task, "assign", by, said)])
    return await _save(unit, locked, [changed])


def _event(task: AnnotationTask, action: str, by: Identity, work: Work) -> AnnotationEvent:
    return AnnotationEvent(task.seq, action, by, work.at, work.answers, work.duration_seconds, work.comment)


async def _saved(unit: UnitOfWork, locked: Locked, changed: Sequence[AnnotationTask]) -> Locked:
    await unit.annotation_tasks.save(changed)
    return locked.after(changed)


async def _save(unit: UnitOfWork, locked: Locked, changed: Sequence[AnnotationTask]) -> AnnotationTask:
    return (await _saved(unit, locked, changed)).task
