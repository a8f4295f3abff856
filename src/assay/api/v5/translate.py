"""From the core to the v5 wire: plain dicts that are rendered once and not validated again."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from assay.api.shared.rendering import render_identity
from assay.core.datasets import Dataset
from assay.core.evaluations import AnnotationProgress, Evaluation, EvaluationStatus, Item
from assay.core.filters import MetadataKeys
from assay.core.groups import MemberEvaluation
from assay.core.results import Outcome, Result, ResultStatus
from assay.services.aggregates import EvaluationAggregates, TaskAggregate
from assay.services.estimates import Estimate
from assay.services.items import EvaluationColumns
from assay.stats.intervals import Interval


def render_dataset(dataset: Dataset) -> dict[str, Any]:
    """A dataset's wire object."""
    return {
        "id": dataset.id,
        "object": "dataset",
        "name": dataset.name,
        "description": dataset.description,
        "tags": dataset.tags,
        "current_version_num": dataset.current_version_num,
        "created_at": dataset.created_at,
        "created_by": render_identity(dataset.created_by),
        "archived_at": dataset.archived_at,
    }


def render_evaluation(
    evaluation: Evaluation | MemberEvaluation, *, with_tasks: bool = False, failed_items: Sequence[Item] = ()
) -> dict[str, Any]:
    """An evaluation's wire object; `tasks` is null unless asked for."""
    return {
        "id": evaluation.id,
        "object": "evaluation",
        "name": evaluation.name,
        "description": evaluation.description,
        "created_at": evaluation.created_at,
        "created_by": render_identity(evaluation.created_by),
        "archived_at": evaluation.archived_at,
        "tags": evaluation.tags,
        "datasets": [render_dataset(dataset) for dataset in evaluation.datasets],
        "status": evaluation.status,
        "status_reason": _status_reason(evaluation),
        "progress": render_progress(evaluation, failed_items),
        "tasks": render_tasks(evaluation) if with_tasks else None,
        "metadata": evaluation.metadata,
        "error_count": evaluation.progress.errors,
    }


def _annotation(evaluation: Evaluation | MemberEvaluation) -> AnnotationProgress | None:
    """The progress of people's work; a group says nothing of it, nor does a list."""
    return evaluation.annotation if isinstance(evaluation, Evaluation) else None


def _status_reason(evaluation: Evaluation | MemberEvaluation) -> str | None:
    """Why the evaluation is as it is; of one whose job is done, also how much is still waiting for people."""
    annotation = _annotation(evaluation)
    waiting = None if annotation is None else annotation.waiting
    if waiting is None or evaluation.status is not EvaluationStatus.COMPLETED:
        return evaluation.status_reason
    return waiting if evaluation.status_reason is None else f"{evaluation.status_reason}; {waiting}"


def render_tasks(evaluation: Evaluation | MemberEvaluation) -> list[dict[str, Any]]:
    """The tasks with their aliases resolved, in the caller's order."""
    return [
        {"task_type": task.task_type, "alias": task.alias, "configuration": task.configuration}
        for task in evaluation.tasks
    ]


def render_progress(evaluation: Evaluation | MemberEvaluation, failed_items: Sequence[Item] = ()) -> dict[str, Any]:
    """The counters of the job (one workflow, or null without a job) and of the items."""
    progress = evaluation.progress
    workflows = None
    if evaluation.has_job:
        status = evaluation.status
        workflows = {
            "total": 1,
            "completed": int(status == EvaluationStatus.COMPLETED),
            "failed": int(status == EvaluationStatus.FAILED),
            "pending": int(status == EvaluationStatus.RUNNING),
        }
    return {
        "workflows": workflows,
        "items": {
            "total": progress.total,
            "successful": progress.successful,
            "failed": progress.failed,
            "pending": progress.pending,
            "failed_items": [_failed_item(item) for item in failed_items],
        },
        "annotation": _annotation_progress(_annotation(evaluation)),
    }


def _annotation_progress(progress: AnnotationProgress | None) -> dict[str, int] | None:
    if progress is None:
        return None
    return {"total": progress.total, "completed": progress.completed, "pending": progress.pending}


def _failed_item(item: Item) -> dict[str, Any]:
    error = next((result.error for result in item.results.values() if result.error is not None), None)
    return {
        "item_id": item.id,
        "error": error.message if error else None,
        "error_type": error.type if error else None,
    }


def render_item(item: Item, aliases: Sequence[str], created_by: Mapping[str, str] | None = None) -> dict[str, Any]:
    """An item's wire object. `aliases` are those whose task is pending when the item has no result for them;
    `created_by` may be given rendered, since the items of a page share it."""
    results = item.results
    if results:
        statuses: dict[str, str] = dict.fromkeys(aliases, "pending")
        errors: dict[str, Any] = {}
        data = dict(item.data)
        for alias, result in results.items():
            status = result.status
            statuses[alias] = status
            if status is ResultStatus.COMPLETED or status is ResultStatus.PREFILLED:
                data[alias] = result.value
                continue
            data.pop(alias, None)
            if result.error is not None:
                errors[alias] = {"type": result.error.type, "message": result.error.message}
    else:
        statuses, errors, data = dict.fromkeys(aliases, "pending"), {}, dict(item.data)
    return {
        "id": item.id,
        "object": "evaluation.item",
        "evaluation_id": item.evaluation_id,
        "data": data,
        "created_at": item.created_at,
        "created_by": created_by or render_identity(item.created_by),
        "archived_at": item.archived_at,
        "dataset_item_id": item.dataset_item_id,
        "dataset_item_version_num": item.dataset_item_version_num,
        "files": item.files,
        "task_errors": errors,
        "task_result_statuses": statuses or None,
    }


def render_result(result: Result) -> dict[str, Any]:
    """A stored result of an item, whole."""
    usage, error = result.usage, result.error
    return {
        "object": "evaluation.item_result",
        "alias": result.alias,
        "status": result.status,
        "value": result.value,
        "error": error and {"type": error.type, "message": error.message},
        "usage": usage
        and {
            "latency": usage.latency,
            "attempts": usage.attempts,
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "cached": usage.cached,
            "cost": usage.cost,
        },
        "detail": result.detail,
    }


def render_schema(evaluation_id: str, found: EvaluationColumns) -> dict[str, Any]:
    """The columns of an evaluation."""
    return {
        "object": "evaluation_schema",
        "evaluation_id": evaluation_id,
        "fields": [
            {
                "object": "field_schema",
                "field_name": column.field_name,
                "data_type": column.data_type,
                "item_count": column.item_count,
                "source": column.source,
            }
            for column in found.columns
        ],
        "total_items": found.total_items,
        "is_sampled": found.is_sampled,
        "sample_size": found.sample_size,
    }


def render_metadata_keys(found: MetadataKeys) -> dict[str, Any]:
    """The metadata keys of an account."""
    items = [
        {"object": "metadata_key", "key": each.name, "count": each.count, "types": each.types, "values": each.values}
        for each in found.keys
    ]
    return {"object": "list", "items": items, "total": len(items), "complete": found.complete}


def render_aggregates(found: EvaluationAggregates) -> dict[str, Any]:
    """An evaluation in numbers."""
    evaluation = found.evaluation
    costs = [task.totals.cost for task in found.tasks if task.totals.cost is not None]
    return {
        "object": "evaluation_aggregates",
        "evaluation_id": evaluation.id,
        "status": evaluation.status,
        "items": evaluation.progress.total,
        "progress": render_progress(evaluation),
        "seconds": found.seconds,
        "cache": found.policy.cache,
        "max_cost": found.policy.max_cost,
        "cost": sum(costs) if costs else None,
        "tasks": [_task_aggregate(task) for task in found.tasks],
    }


def _task_aggregate(task: TaskAggregate) -> dict[str, Any]:
    totals = task.totals
    latency = None
    if totals.latency_count:
        mean = totals.latency_sum / totals.latency_count
        latency = {"mean": mean, "p50": totals.latency_p50, "p95": totals.latency_p95}
    return {
        "alias": totals.alias,
        "task_type": task.task_type,
        "n": totals.numbers,
        "mean": totals.mean,
        "interval": task.interval and _interval(task.interval),
        "std": task.std,
        "min": totals.minimum,
        "max": totals.maximum,
        "completed": task.completed,
        "missing": task.missing,
        "pending": task.pending,
        "skipped": task.skipped,
        "errored": task.errored,
        "cached": totals.cached,
        "error_types": totals.error_types or {},
        "values": totals.values,
        "shares": _shares(task),
        "latency": latency,
        "tokens": {"prompt": totals.prompt_tokens, "completion": totals.completion_tokens},
        "cost": totals.cost,
        "attempts": totals.attempts,
        "sandbox": ", ".join(totals.sandboxes) or None,
    }


def _shares(task: TaskAggregate) -> dict[str, Any] | None:
    if task.shares is None or task.totals.values is None:
        return None
    count = sum(task.totals.values.values())
    return {
        value: {"share": task.totals.values[value] / count, "interval": _interval(interval)}
        for value, interval in task.shares.items()
    }


def _interval(interval: Interval) -> dict[str, Any]:
    return {"low": interval.low, "high": interval.high, "level": interval.level, "method": interval.method}


_ESTIMATED = (
    "calls",
    "cached_calls",
    "prompt_tokens",
    "completion_tokens",
    "completion_tokens_at_most",
    "prompt_cost",
    "cost",
    "cost_at_most",
)


def render_estimate(estimate: Estimate) -> dict[str, Any]:
    """An estimate; a sum is null where one of its parts is."""
    total: dict[str, Any] = {}
    for name in _ESTIMATED:
        parts = [getattr(task, name) for task in estimate.tasks]
        total[name] = None if None in parts else sum(parts)
    return {
        "object": "evaluation.estimate",
        "items": estimate.items,
        "sampled": estimate.sampled,
        "tasks": [asdict(task) for task in estimate.tasks],
        "total": total,
        "unpriced": estimate.unpriced,
    }


def render_dry_run(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """What a task gave for each sample row; `outputs` are the further columns that it would write."""
    failed = sum(outcome.error is not None for outcome in outcomes)
    return {
        "object": "evaluation.task.dry_run",
        "results": [
            {
                "index": index,
                "result": outcome.value,
                "outputs": outcome.columns,
                "error": outcome.error and {"type": outcome.error.type, "message": outcome.error.message},
            }
            for index, outcome in enumerate(outcomes)
        ],
        "total": len(outcomes),
        "succeeded": len(outcomes) - failed,
        "failed": failed,
    }
