"""Results of test cases and the tasks of people who label them, as version 4 shows them."""

from collections.abc import Collection
from typing import Any

from assay.api.v4.datasets import render_test_case
from assay.api.v4.outputs import render_traced_output
from assay.api.v4.rendering import render_creator
from assay.core.annotation import AnnotationTask
from assay.core.questions import Choice
from assay.core.test_case_results import TestCaseResult
from assay.services.result_views import Annotation, ResultViews, ShownResult


def wanted_views(views: Collection[str]) -> ResultViews:
    """What the words of `view` ask for."""
    return ResultViews(
        cases="TestCaseVersion" in views,
        annotations="AnnotationResults" in views,
        custom_metrics="CustomMetrics" in views,
        client_metrics="Metrics" in views,
        tasks="Task" in views or "AuditTasks" in views,
        traces="Trace" in views,
    )


def render_result(result: TestCaseResult) -> dict[str, Any]:
    """A result without views. While its application has yet to answer, or if it failed, its output is empty text."""
    labels = result.labels
    annotator, editor = labels.annotated_by, labels.edited_by
    return {
        "id": result.id,
        "account_id": result.account_id,
        "created_at": result.created_at,
        **render_creator(result.created_by),
        "archived_at": result.archived_at,
        "updated_at": result.updated_at,
        "application_spec_id": result.spec_id,
        "evaluation_id": result.evaluation_id,
        "evaluation_dataset_id": result.dataset_id,
        "evaluation_dataset_version_num": result.dataset_version,
        "test_case_id": result.test_case_id,
        "test_case_evaluation_data": result.evaluation_data or {"generation_output": ""},
        "test_case_evaluation_data_schema": result.schema_type,
        "label_status": labels.status,
        "result": labels.answers,
        "completed_at": labels.completed_at,
        "audit_status": labels.audit_status,
        "audit_required": labels.audit_required,
        "audit_comment": labels.audit_comment,
        "time_spent_labeling_s": labels.seconds_spent,
        "application_test_case_output_id": result.output_id,
        "annotated_by_user_id": annotator and annotator.id,
        "annotated_by_identity_type": annotator and annotator.type,
        "edited_by_user_id": editor and editor.id,
        "edited_by_identity_type": editor and editor.type,
        "edited_by": None if editor is None else render_user(editor.id),
        "invalidated_at": result.invalidated_at,
    }


def render_user(identity_id: str) -> dict[str, Any]:
    """Somebody, as results and their tasks show them."""
    return {
        "id": identity_id,
        "email": identity_id if "@" in identity_id else "",
        "first_name": None,
        "last_name": None,
        "preferences": {},
    }


def render_shown(shown: ShownResult, views: Collection[str]) -> dict[str, Any]:
    """A result with the views asked for."""
    rendered = render_result(shown.result)
    if "AnnotationResults" in views:
        rendered["annotation_results"] = [_annotation(shown.result, each) for each in shown.annotations]
    if "AuditTasks" in views:
        rendered["audit_tasks"] = [_task_of_result(each) for each in shown.audit_tasks]
    if "CustomMetrics" in views:
        rendered["custom_metrics"] = [
            {"id": each.id, "name": each.name, "type": each.type, "output": each.output}
            for each in shown.custom_metrics
        ]
    if "Metrics" in views:
        rendered["metrics"] = shown.output.metrics if shown.output is not None else None
    if "Task" in views:
        rendered["task"] = None if shown.task is None else _task_of_result(shown.task)
    if "TestCaseVersion" in views:
        case = shown.test_case
        rendered["test_case_version"] = None if case is None else render_test_case(*case, now=False)
    if "Trace" in views:
        output = shown.output
        rendered["application_test_case_output"] = None if output is None else render_traced_output(output, shown.trace)
    return rendered


def render_task(task: AnnotationTask, result: TestCaseResult | None) -> dict[str, Any]:
    """A task by itself, with the result that it is about."""
    return {
        **_task(task),
        "assigned_to": task.assigned_to,
        "task_entity": None if result is None else render_result(result),
    }


def _task_of_result(task: AnnotationTask) -> dict[str, Any]:
    return {**_task(task), "assigned_to": None if task.assigned_to is None else render_user(task.assigned_to)}


def _task(task: AnnotationTask) -> dict[str, Any]:
    return {
        "id": task.id,
        "account_id": task.account_id,
        "task_type": task.kind,
        "task_entity_parent_id": task.evaluation_id,
        "task_entity_id": task.item_id,
        "status": task.status,
        "priority": task.priority,
        "assignment_expires_at": task.lease_until,
    }


def _annotation(result: TestCaseResult, annotation: Annotation) -> dict[str, Any]:
    chosen: Any = annotation.value
    if isinstance(annotation.chosen, tuple):
        chosen = [_choice(each) for each in annotation.chosen]
    elif annotation.chosen is not None:
        chosen = _choice(annotation.chosen)
    judgement = annotation.judgement
    metadata = None
    if judgement is not None and judgement.usage is not None:
        usage = judgement.usage
        metadata = {
            "annotation_result_id": annotation.id,
            "prompt_tokens": usage.prompt_tokens or 0,
            "completion_tokens": usage.completion_tokens or 0,
            "llm_reasoning": str((judgement.detail or {}).get("reasoning") or ""),
            "time_elapsed_s": round(usage.latency),
            "cost": None,
        }
    return {
        "id": annotation.id,
        "annotation_type": annotation.kind,
        "created_at": annotation.created_at,
        "question_id": annotation.question_id,
        "selected_choice": chosen,
        "test_case_result_lineage_id": result.id,
        "llm_auto_eval_metadata": metadata,
    }


def _choice(choice: Choice) -> dict[str, Any]:
    shown: dict[str, Any] = {"label": choice.label, "value": choice.value}
    return shown if choice.audit_required is None else {**shown, "audit_required": choice.audit_required}
