"""Changing many annotation tasks at once, all or none: assigning them, settling them, and naming auditors."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from assay.core.annotation import (
    HIGHEST_LEVEL,
    AnnotationStatus,
    AnnotationTask,
    Queueing,
    Work,
    assigned,
    due,
    reinstated,
    with_changes,
)
from assay.core.errors import NotFound, RuleViolation
from assay.core.identity import Caller
from assay.core.sheets import CONTRIBUTOR_KINDS
from assay.ports.clock import Clock
from assay.ports.storage import Storage, UnitOfWork
from assay.services.annotation import assign_locked, lock, send_back
from assay.services.contributor_answers import publish
from assay.services.contributor_sheets import Sheets


@dataclass(frozen=True, slots=True)
class TaskChanges:
    """What becomes of tasks: whom they are reserved for, and PENDING_REDO or COMPLETED; None: stays."""

    assigned_to: str | None = None
    status: AnnotationStatus | None = None


@dataclass(frozen=True, slots=True)
class Auditors:
    """Who audits items of one queue of an evaluation, by level; None: stays."""

    evaluation_id: str
    queue_id: str
    item_ids: tuple[str, ...]
    level_1: str | None = None
    level_2: str | None = None


class AnnotationBatches:
    """The use cases that change many annotation tasks."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._sheets = Sheets()

    async def change(self, caller: Caller, task_ids: Sequence[str], changes: TaskChanges) -> Sequence[AnnotationTask]:
        """Change tasks; the tasks as they are then, in the order of the ids. Unknown ids are passed over.

        Raises RuleViolation, and changes nothing, when any task cannot be changed so: a done one cannot be reassigned,
        only a done answer can be done again, and only one that has answers counts as done.
        """
        now = self._clock.now()
        async with self._storage.write() as unit:
            found = await unit.annotation_tasks.get_many((caller.account_id,), task_ids)
            in_order = sorted(found.values(), key=lambda task: (task.item_seq, task.seq))
            changed = {task.id: await self._change(unit, caller, task, changes, now) for task in in_order}
        return [changed[task_id] for task_id in dict.fromkeys(task_ids) if task_id in changed]

    async def _change(
        self, unit: UnitOfWork, caller: Caller, found: AnnotationTask, changes: TaskChanges, now: datetime
    ) -> AnnotationTask:
        locked = await lock(unit, caller, found.id)
        work = Work(caller.identity.id, now)
        wanted = changes.assigned_to
        if wanted is not None and not (locked.task.is_done and locked.task.assigned_to == wanted):
            task = await assign_locked(unit, locked, caller.identity, wanted, work)
            locked = locked.after([task])
        if changes.status is None:
            return locked.task
        if locked.task.kind not in CONTRIBUTOR_KINDS:
            raise RuleViolation(f"its state follows its test case result, in version 4 of the API: {found.id}")
        if changes.status is AnnotationStatus.COMPLETED:
            settled = reinstated(locked.task, locked.tasks, now)
            await unit.annotation_tasks.save(settled)
            locked = locked.after(settled)
        elif locked.task.status is not AnnotationStatus.PENDING_REDO:
            locked = await send_back(unit, locked, caller.identity, work)
        await publish(unit, (await self._sheets.of(unit, locked.task)).sheet, locked)
        return locked.task

    async def assign_audits(self, caller: Caller, auditors: Auditors) -> Sequence[AnnotationTask]:
        """Name who audits items; audits that are missing are made. The audits of the levels named, in order.

        Items that are unknown, or that nobody is asked about in that queue, are passed over. Raises NotFound for an
        unknown evaluation; RuleViolation, and changes nothing, for an audit that is done, for somebody who answered
        the item, and for an auditor of level 2 where level 1 has none.
        """
        now = self._clock.now()
        async with self._storage.write() as unit:
            evaluation = await unit.evaluations.get(caller.account_id, auditors.evaluation_id)
            if evaluation is None:
                raise NotFound("evaluation", auditors.evaluation_id)
            items = [await unit.items.get(caller.account_id, item_id) for item_id in dict.fromkeys(auditors.item_ids)]
            seqs = sorted(item.seq for item in items if item is not None and item.evaluation_id == evaluation.id)
            changed: list[AnnotationTask] = []
            for item_seq in seqs:
                changed.extend(await _assign_audits(unit, caller, item_seq, auditors, now))
        return changed


async def _assign_audits(
    unit: UnitOfWork, caller: Caller, item_seq: int, auditors: Auditors, now: datetime
) -> list[AnnotationTask]:
    named = {level: name for level, name in ((1, auditors.level_1), (2, auditors.level_2)) if name is not None}
    tasks = await unit.annotation_tasks.of_item(item_seq, auditors.queue_id)
    answers = [task for task in tasks if task.level == 0]
    if not answers:
        return []
    first = [task for task in tasks if task.level == 1]
    if 1 not in named and not (first and all(task.assigned_to is not None for task in first)):
        raise RuleViolation(f"level 2 needs an auditor of level 1 first, for the item {answers[0].item_id}")
    levels = max(named, default=0)
    assert levels <= HIGHEST_LEVEL
    made = Queueing(answers[0].kind, auditors.queue_id, len(answers), levels, answers[0].priority, ready=False)
    await unit.annotation_tasks.add(caller.account_id, answers[0].evaluation_seq, [item_seq], made, now)
    tasks = await unit.annotation_tasks.of_item(item_seq, auditors.queue_id)
    ready = due(tasks, now)
    await unit.annotation_tasks.save(ready)
    tasks = with_changes(tasks, ready)
    changed = []
    for task in [each for each in tasks if each.level in named]:
        new = assigned(task, tasks, named[task.level], now)
        tasks = with_changes(tasks, [new])
        changed.append(new)
    await unit.annotation_tasks.save(changed)
    return changed
