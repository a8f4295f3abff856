"""Builds annotation tasks: in memory, and queued in a storage."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from assay.core.annotation import AnnotationKind, AnnotationStatus, AnnotationTask, Queueing
from assay.core.evaluations import Evaluation, Item
from assay.ports.annotation import Claiming
from assay.ports.storage import Storage
from tests.builders.evaluations import make_evaluation, make_items
from tests.builders.identity import NOW

LEASE = timedelta(minutes=30)
CONTRIBUTORS = AnnotationKind.CONTRIBUTOR_ANNOTATION


def make_tasks(overlap: int = 1, audit_levels: int = 0, **changes: Any) -> list[AnnotationTask]:
    """All tasks of one item in one queue, as they are queued."""
    places = Queueing(CONTRIBUTORS, "q", overlap, audit_levels).places()
    return [
        AnnotationTask(
            **{
                "id": f"{'abc'[level]}{slot}",
                "seq": number,
                "account_id": "default",
                "evaluation_id": "e",
                "evaluation_seq": 1,
                "item_id": "i",
                "item_seq": 1,
                "queue_id": "q",
                "kind": kind,
                "status": status,
                "updated_at": NOW,
                "slot": slot,
                "level": level,
                **changes,
            }
        )
        for number, (kind, slot, level, status) in enumerate(places, 1)
    ]


async def queued(
    storage: Storage, items: int = 3, *, account_id: str = "default", **queueing: Any
) -> tuple[Evaluation, Sequence[Item]]:
    """An evaluation with items whose tasks are queued for contributors, in the queue `q` unless told otherwise."""
    async with storage.write() as work:
        evaluation = await work.evaluations.add(make_evaluation(account_id=account_id))
        await work.items.add(evaluation, make_items(items))
        stored = [item async for batch in work.items.stream(evaluation.seq) for item in batch]
        plan = Queueing(**{"kind": CONTRIBUTORS, "queue_id": "q", **queueing})
        await work.annotation_tasks.add(account_id, evaluation.seq, [item.seq for item in stored], plan, NOW)
    return evaluation, stored


def claiming(identity_id: str = "ann", **changes: Any) -> Claiming:
    """A claim on the queue `q`, for half an hour from NOW."""
    at = changes.pop("at", NOW)
    given = {"kind": CONTRIBUTORS, "queue_id": "q", "at": at, "lease_until": at + LEASE, **changes}
    return Claiming(**{"account_id": "default", "identity_id": identity_id, **given})


async def claim(storage: Storage, identity_id: str = "ann", **changes: Any) -> AnnotationTask | None:
    """One claim, in a transaction of its own."""
    async with storage.write() as work:
        return await work.annotation_tasks.claim(claiming(identity_id, **changes))


def by_id(tasks: Sequence[AnnotationTask]) -> dict[str, AnnotationStatus]:
    """The states of tasks."""
    return {task.id: task.status for task in tasks}
