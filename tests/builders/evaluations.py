"""Builds evaluations, their items and results."""

from typing import Any

from assay.core.evaluations import Evaluation, EvaluationStatus, Progress
from assay.core.identity import DEFAULT_ACCOUNT_ID
from assay.core.results import ErrorType, Result, ResultStatus, TaskError
from assay.core.tasks import TaskSpec
from assay.ports.storage import NewItem
from tests.builders.identity import ALICE, NOW, new_id


def make_task(alias: str = "score", task_type: str = "metric", **configuration: Any) -> TaskSpec:
    """A task; its configuration is a metric's unless given."""
    wire = {"type": "exact_match", "candidate": "item.answer", "reference": "item.expected"}
    return TaskSpec(task_type, alias, configuration or wire)


def make_evaluation(**changes: Any) -> Evaluation:
    """A running evaluation of the default account with one task and no items yet."""
    defaults = {
        "id": new_id(),
        "seq": 0,
        "account_id": DEFAULT_ACCOUNT_ID,
        "name": "capital cities",
        "description": None,
        "tags": (),
        "metadata": None,
        "tasks": (make_task(),),
        "status": EvaluationStatus.RUNNING,
        "status_reason": None,
        "progress": Progress(),
        "has_job": True,
        "created_at": NOW,
        "created_by": ALICE,
        "updated_at": NOW,
    }
    return Evaluation(**{**defaults, **changes})


def make_item(number: int = 0, **changes: Any) -> NewItem:
    """A row with a question, an answer and what was expected."""
    data = {"question": f"question {number}", "answer": f"answer {number}", "expected": "answer 1"}
    return NewItem(**{"id": new_id(), "data": data, **changes})


def make_items(count: int) -> list[NewItem]:
    """Rows numbered from 0."""
    return [make_item(number) for number in range(count)]


def make_result(evaluation: Evaluation, item_seq: int, alias: str = "score", **changes: Any) -> Result:
    """A completed result of 1.0."""
    defaults = {"status": ResultStatus.COMPLETED, "value": 1.0}
    return Result(**{"evaluation_seq": evaluation.seq, "item_seq": item_seq, "alias": alias, **defaults, **changes})


def make_error(evaluation: Evaluation, item_seq: int, alias: str = "score", **changes: Any) -> Result:
    """An errored result: a missing field."""
    error = TaskError(ErrorType.MISSING_FIELD, "item.answer: nothing there in this item")
    defaults = {"status": ResultStatus.ERRORED, "value": None, "error": error}
    return make_result(evaluation, item_seq, alias, **{**defaults, **changes})
