"""Evaluations of applications as version 4 shows them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from assay.api.v4.catalogue import render_application_spec, render_evaluation_config, render_filled_question_set
from assay.api.v4.datasets import render_dataset
from assay.api.v4.jobs import render_jobs
from assay.api.v4.rendering import render_creator
from assay.api.v4.results import render_shown
from assay.core.application_evaluations import ApplicationEvaluation
from assay.core.evaluations import Evaluation, EvaluationStatus
from assay.core.tasks import TaskSpec
from assay.services.application_evaluations import Surroundings
from assay.services.application_tasks import ExpandedConfig
from assay.services.questions import FilledQuestionSet
from assay.services.result_views import QUESTION_TASKS, ShownResult

STATUS = {
    EvaluationStatus.RUNNING: "PENDING",
    EvaluationStatus.COMPLETED: "COMPLETED",
    EvaluationStatus.FAILED: "FAILED",
}

LEGACY_VIEWS = ("AnnotationResults", "Task", "TestCaseVersion")
"""What older clients see of results inside evaluations."""


def render_evaluation(found: ApplicationEvaluation) -> dict[str, Any]:
    """An evaluation without views."""
    evaluation, setup = found.evaluation, found.setup
    return {
        "id": evaluation.id,
        "account_id": evaluation.account_id,
        "created_at": evaluation.created_at,
        **render_creator(evaluation.created_by),
        "archived_at": evaluation.archived_at,
        "name": evaluation.name,
        "description": evaluation.description or "",
        "status": STATUS[evaluation.status],
        "application_spec_id": found.spec_id,
        "application_variant_id": setup and setup.variant_id,
        "tags": evaluation.metadata,
        "evaluation_config": setup.configuration if setup else None,
        "evaluation_config_id": setup and setup.configuration_id,
        "completed_at": found.completed_at,
        "total_test_case_result_count": evaluation.progress.total,
        "completed_test_case_result_count": evaluation.progress.successful,
        "annotation_config": setup.annotation_config if setup else None,
        "question_id_to_annotation_config": setup.question_annotation_configs if setup else None,
        "metric_config": setup.metric_config if setup else None,
    }


def render_with_views(
    found: ApplicationEvaluation,
    views: Collection[str],
    around: Surroundings,
    results: Mapping[str, Sequence[ShownResult]],
) -> dict[str, Any]:
    """An evaluation with the views asked for."""
    shown = render_evaluation(found)
    evaluation = found.evaluation
    if "ApplicationSpec" in views:
        spec = around.specs.get(found.spec_id)
        shown["application_spec"] = None if spec is None else render_application_spec(spec)
    if "AsyncJobs" in views:
        shown["async_jobs"] = render_jobs(found, around)
    if "EvaluationConfig" in views:
        config_id = found.setup.configuration_id if found.setup else None
        config = around.configs.get(config_id) if config_id else None
        shown["evaluation_config_expanded"] = _expanded(config) if config else _legacy_config(found)
    if "EvaluationDatasets" in views:
        shown["evaluation_datasets"] = [render_dataset(dataset) for dataset in evaluation.datasets]
    if "TestCaseResults" in views:
        shown["test_case_results"] = [render_shown(each, LEGACY_VIEWS) for each in results.get(evaluation.id, ())]
    return shown


def _expanded(config: ExpandedConfig) -> dict[str, Any]:
    filled = FilledQuestionSet(config.question_set, tuple(config.questions))
    return {**render_evaluation_config(config.config), "question_set": render_filled_question_set(filled)}


def _legacy_config(found: ApplicationEvaluation) -> dict[str, Any] | None:
    """The legacy form: of an inline config, or of the question tasks that version 5 gave the evaluation."""
    if found.setup is None:
        return _of_tasks(found.evaluation)
    inline = found.setup.configuration
    if inline is None:
        return None
    kind = inline.get("evaluation_type")
    project = inline.get("studio_project_id")
    questions = inline.get("questions")
    return {
        "evaluation_type": kind if kind in ("studio", "llm_auto", "human", "llm_benchmark") else "human",
        "question_set": {
            "questions": [_legacy_question(each) for each in questions if isinstance(each, Mapping)]
            if isinstance(questions, list)
            else []
        },
        "studio_project_id": project if isinstance(project, str) else None,
    }


_QUESTION_TYPES = ("categorical", "free_text", "rating", "number", "form", "timestamp")


def _legacy_question(question: Mapping[str, Any]) -> dict[str, Any]:
    kind = question.get("type")
    choices, conditions = question.get("choices"), question.get("conditions")
    return {
        "id": str(question.get("question_id") or question.get("id") or ""),
        "type": kind if kind in _QUESTION_TYPES else "free_text",
        "title": str(question.get("title") or ""),
        "prompt": str(question.get("prompt") or ""),
        "choices": choices if _are_objects(choices) else None,
        "multi": question["multi"] if isinstance(question.get("multi"), bool) else None,
        "required": question["required"] if isinstance(question.get("required"), bool) else None,
        "conditions": conditions if _are_objects(conditions) else None,
    }


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _of_tasks(evaluation: Evaluation) -> dict[str, Any]:
    kinds = {task.task_type for task in evaluation.tasks} & set(QUESTION_TASKS)
    by_people, by_judge = (task in kinds for task in QUESTION_TASKS)
    kind = "llm_auto"
    if by_people:
        kind = "llm_benchmark" if by_judge else "human"
    questions = [_question_of(task) for task in evaluation.tasks if task.task_type in QUESTION_TASKS]
    return {"evaluation_type": kind, "question_set": {"questions": questions}, "studio_project_id": None}


def _question_of(task: TaskSpec) -> dict[str, Any]:
    asked = task.configuration
    return _legacy_question({**asked, "question_id": task.alias, "title": asked.get("name") or task.alias})
