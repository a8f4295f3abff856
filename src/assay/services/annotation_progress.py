"""How much of people's work on evaluations is done, for whoever shows evaluations."""

from collections.abc import Sequence
from dataclasses import replace

from assay.core.annotation import DONE
from assay.core.evaluations import AnnotationProgress, Evaluation
from assay.core.sheets import CONTRIBUTOR_TASK
from assay.ports.annotation import AnnotationCount
from assay.ports.storage import UnitOfWork


async def with_annotation(unit: UnitOfWork, evaluations: Sequence[Evaluation]) -> Sequence[Evaluation]:
    """The evaluations, those that ask people with the progress of that."""
    asking = {each.seq for each in evaluations if any(task.task_type == CONTRIBUTOR_TASK for task in each.tasks)}
    if not asking:
        return evaluations
    counts: dict[int, list[AnnotationCount]] = {seq: [] for seq in asking}
    for count in await unit.annotation_tasks.counts(sorted(asking)):
        counts[count.evaluation_seq].append(count)
    return [
        replace(each, annotation=annotation_progress(counts[each.seq])) if each.seq in asking else each
        for each in evaluations
    ]


def annotation_progress(counts: Sequence[AnnotationCount]) -> AnnotationProgress:
    """The counts of one evaluation's tasks, summed up."""
    left = dict.fromkeys(count.queue_id for count in counts if count.status not in DONE and count.count)
    completed = sum(count.count for count in counts if count.status in DONE)
    return AnnotationProgress(sum(count.count for count in counts), completed, tuple(left))
