"""From people's work in the core to the v5 wire."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from assay.api.shared.rendering import render_identity
from assay.api.v5.questions import render_question
from assay.core.annotation import AnnotationStatus, AnnotationTask
from assay.ports.annotation import AnnotationEvent, QueueCount
from assay.services.contributor_answers import GivenAnswers, TaskView


def render_task(task: AnnotationTask) -> dict[str, Any]:
    """A task's wire object."""
    return {
        "id": task.id,
        "object": "annotation_task",
        "evaluation_id": task.evaluation_id,
        "evaluation_item_id": task.item_id,
        "queue_id": task.queue_id,
        "priority": task.priority,
        "status": task.status,
        "task_type": task.kind,
        "level": task.level,
        "slot": task.slot,
        "updated_at": task.updated_at,
        "assigned_to": task.assigned_to,
        "assignment_expires_at": task.lease_until,
        "completed_at": task.completed_at,
        "duration_seconds": task.duration_seconds,
        "flagged_for_review": task.flagged,
        "review_comment": task.comment,
    }


def render_view(view: TaskView) -> dict[str, Any]:
    """A task with what it shows and asks."""
    questions = []
    for asked in view.asking.sheet.asked:
        # A question is kept as it was when the evaluation was made, so that its making is the evaluation's.
        question = {
            **render_question(asked.question),
            "created_at": view.asking.evaluation.created_at,
            "created_by": render_identity(view.asking.evaluation.created_by),
        }
        questions.append(
            {
                "alias": asked.alias,
                "required": asked.required,
                "question": question,
                "layout": _container(asked.layout, view),
                "prefilled": view.prefilled.get(asked.alias),
                "rubric": asked.rubric,
            }
        )
    answers = None if view.answers is None else dict(view.answers)
    return {
        **render_task(view.task),
        "questions": questions,
        "answers": answers,
        "history": [_event(event) for event in view.history],
    }


def _container(node: Mapping[str, Any], view: TaskView) -> dict[str, Any]:
    children = [
        _container(child, view) if "children" in child else _component(child, view) for child in node["children"]
    ]
    return {"direction": node.get("direction", "row"), "children": children}


def _component(node: Mapping[str, Any], view: TaskView) -> dict[str, Any]:
    there, value = view.shown(node["data"])
    label = node.get("label")
    shown = node["data"].removeprefix("item.") if label is None else label
    return {"data": node["data"], "label": shown, "value": value, "missing": not there}


def _event(event: AnnotationEvent) -> dict[str, Any]:
    return {
        "action": event.action,
        "by": event.by.id,
        "at": event.at,
        "answers": event.answers,
        "duration_seconds": event.duration_seconds,
        "comment": event.comment,
    }


def render_queues(counts: Sequence[QueueCount]) -> list[dict[str, Any]]:
    """Queues in numbers, one for each kind of task in it; `counts` in the order of queue and kind."""
    queues = []
    for (queue_id, kind), group in groupby(counts, key=lambda each: (each.queue_id, each.kind)):
        states = {each.status: each for each in group}
        open_ = [
            states[status] for status in (AnnotationStatus.PENDING, AnnotationStatus.PENDING_REDO) if status in states
        ]
        done = [states[status] for status in (AnnotationStatus.COMPLETED, AnnotationStatus.FIXED) if status in states]
        waiting = states.get(AnnotationStatus.NOT_READY)
        queues.append(
            {
                "object": "annotation_queue",
                "queue_id": queue_id,
                "task_type": kind,
                "free": sum(each.count - each.taken for each in open_),
                "taken": sum(each.taken for each in open_),
                "not_ready": 0 if waiting is None else waiting.count,
                "completed": sum(each.count for each in done),
                "total": sum(each.count for each in states.values()),
            }
        )
    return queues


def render_given(given: GivenAnswers) -> dict[str, Any]:
    """One contributor's answers to an item."""
    task = given.task
    return {
        "object": "evaluation.answers",
        "annotation_task_id": task.id,
        "evaluation_item_id": task.item_id,
        "queue_id": task.queue_id,
        "slot": task.slot,
        "contributor": task.assigned_to,
        "completed_at": task.completed_at,
        "duration_seconds": task.duration_seconds,
        "flagged_for_review": task.flagged,
        "review_comment": task.comment,
        "given": given.given,
        "answers": given.answers,
        "audits": [render_task(audit) for audit in given.audits],
    }
