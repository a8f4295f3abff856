"""The jobs of an evaluation, as version 4 shows them: made of what the engine has done, for there is one job."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from assay.core.application_evaluations import ApplicationEvaluation
from assay.core.evaluations import EvaluationStatus
from assay.core.test_case_results import Computing, LabelStatus
from assay.services.application_evaluations import Surroundings
from assay.services.application_tasks import COMPUTED, JUDGED
from assay.services.evaluations import was_cancelled

IDS = uuid.UUID("8b3a1c8e-70f7-4d0c-9d5b-3f2a64a0e1c7")
"""The name space of jobs' ids, which are made from the evaluation and the job's type."""

BUILDER, GENERATION, JUDGING, METRICS = (
    "evaluation-builder",
    "evaluation-test-cases-result-gen",
    "evaluation-auto-eval",
    "evaluation-metrics-gen",
)
Tally = Mapping[tuple[LabelStatus, Computing], int]


def render_jobs(found: ApplicationEvaluation, around: Surroundings) -> list[dict[str, Any]]:
    """The job of a builder and its parts; of another evaluation the parts that it has."""
    setup = found.setup
    if setup is None:
        return []
    tally = around.tallies.get(found.evaluation.id, {})
    kinds = {task.task_type for task in found.evaluation.tasks}
    parts = [(JUDGING, JUDGED in kinds), (METRICS, COMPUTED in kinds)]
    if setup.kind == "builder":
        parts.insert(0, (GENERATION, True))
    names = [name for name, there in parts if there]
    shown = [
        _job(found, name, _part_status(found, name, tally), setup.job_id, _progress(name, tally)) for name in names
    ]
    if setup.kind == "builder":
        status = _whole([each["status"] for each in shown])
        return [{**_job(found, BUILDER, status, None, None), "id": setup.job_id}, *shown]
    return shown


def _job(
    found: ApplicationEvaluation, name: str, status: str, parent: str | None, progress: dict[str, int] | None
) -> dict[str, Any]:
    evaluation = found.evaluation
    return {
        "id": str(uuid.uuid5(IDS, f"{evaluation.id}\n{name}")),
        "created_at": evaluation.created_at,
        "updated_at": _updated_at(found),
        "status": status,
        "job_type": name,
        "parent_job_id": parent,
        "progress": progress,
        "job_metadata": None,
        "status_reason": evaluation.status_reason,
    }


def _updated_at(found: ApplicationEvaluation) -> datetime:
    evaluation, setup = found.evaluation, found.setup
    generated_at = None if setup is None else setup.generated_at
    moments = (evaluation.finished_at, generated_at, evaluation.started_at, evaluation.created_at)
    return max(moment for moment in moments if moment is not None)


def _part_status(found: ApplicationEvaluation, name: str, tally: Tally) -> str:
    evaluation, setup = found.evaluation, found.setup
    waiting = sum(count for (_, computing), count in tally.items() if computing is Computing.WAITING)
    building = setup is not None and setup.is_building
    if building or (waiting and name != GENERATION):
        if was_cancelled(evaluation):
            return "Canceled"
        if evaluation.status is EvaluationStatus.FAILED:
            return "Failed"
        return "Pending" if evaluation.started_at is None or building else "Running"
    total = sum(tally.values())
    if name == GENERATION:
        return "Completed" if total else "Failed"
    failed = sum(count for (_, computing), count in tally.items() if computing is Computing.FAILED)
    return "Failed" if total and failed == total else "Completed"


def _progress(name: str, tally: Tally) -> dict[str, int]:
    counts = dict.fromkeys(Computing, 0)
    for (_, computing), count in tally.items():
        counts[computing] += count
    if name == GENERATION:
        return {"completed": sum(counts.values()), "failed": 0, "pending": 0}
    return {
        "completed": counts[Computing.DONE],
        "failed": counts[Computing.FAILED],
        "pending": counts[Computing.WAITING],
    }


def _whole(parts: list[str]) -> str:
    """The status of a job by those of its parts."""
    for status in ("Canceled", "Running"):
        if status in parts:
            return status
    if "Pending" in parts:
        return "Pending" if all(each == "Pending" for each in parts) else "Running"
    return "Failed" if "Failed" in parts else "Completed"
