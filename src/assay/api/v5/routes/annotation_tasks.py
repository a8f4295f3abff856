"""People's work: `/v5/annotation-tasks`. Only the batch call is the vendor's; the rest is an addition of Assay's."""

from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response

from assay.api.shared.auth import FromAnybody, FromCaller
from assay.api.shared.bodies import JsonBody, read_json_object, validate
from assay.api.shared.queries import OptionalWord, page_of
from assay.api.shared.rendering import json_response, page_response
from assay.api.shared.services import FromServices
from assay.api.shared.versions import version_router
from assay.api.v5.annotation import render_given, render_queues, render_task, render_view
from assay.api.v5.schemas import annotation_tasks as wire
from assay.core.annotation import AnnotationKind, AnnotationStatus, Verdict
from assay.core.paging import PageRequest
from assay.ports.annotation import AnnotationFilter
from assay.services.annotation import ClaimRequest
from assay.services.annotation_batches import Auditors, TaskChanges
from assay.services.contributor_answers import Answering, Auditing

router = version_router("/v5", "Annotation tasks")

ME = "me"
"""Stands for the caller in `assigned_to`."""


class _OptionalBody(JsonBody[Any]):
    """A body that may be absent."""

    async def __call__(self, request: Request) -> Any:
        return validate(self.model, await read_json_object(request, when_empty=b"{}"))


async def _wanted(
    caller: FromAnybody,
    queue_id: Annotated[str | None, Query()] = None,
    evaluation_id: Annotated[str | None, Query()] = None,
    status: Annotated[wire.Status | None, OptionalWord, Query()] = None,
    task_type: Annotated[wire.Kind | None, OptionalWord, Query()] = None,
    assigned_to: Annotated[str | None, Query(description="An identity's id, or `me`.")] = None,
    include_archived: Annotated[bool, Query(description="Whether those of archived evaluations are listed.")] = False,
) -> AnnotationFilter:
    return AnnotationFilter(
        queue_id or None,
        evaluation_id or None,
        None if status is None else AnnotationStatus(status),
        None if task_type is None else AnnotationKind(task_type),
        caller.identity.id if assigned_to == ME else assigned_to or None,
        include_archived,
    )


@router.get("/annotation-tasks", response_model=wire.AnnotationTaskPage)
async def list_annotation_tasks(
    caller: FromAnybody,
    services: FromServices,
    page: Annotated[PageRequest, page_of("created_at", "id")],
    where: Annotated[AnnotationFilter, Depends(_wanted)],
) -> Response:
    """List annotation tasks, in the order in which they were queued. What was answered is not in it. With a
    contributor's key, their own."""
    found = await services.annotation_tasks.list(caller, page, where)
    items = [render_task(task) for task in found.items]
    return page_response(items, total=found.total, has_more=found.has_more, limit=page.limit)


@router.get("/annotation-tasks/queues", response_model=wire.QueueList)
async def list_queues(caller: FromAnybody, services: FromServices) -> Response:
    """Every queue of the account in numbers."""
    queues = render_queues(await services.annotation_tasks.queues(caller))
    return json_response({"object": "list", "items": queues})


@router.patch("/annotation-tasks/batch", response_model=wire.AnnotationTaskList)
async def update_annotation_tasks(
    caller: FromCaller, services: FromServices, body: Annotated[wire.BatchUpdate, Depends(JsonBody(wire.BatchUpdate))]
) -> Response:
    """Assign tasks, send them back or settle them, or name auditors; all of it or nothing. Unknown ids are passed
    over."""
    if body.audit_assignment is not None:
        given = body.audit_assignment
        auditors = Auditors(
            given.evaluation_id,
            given.queue_id,
            tuple(given.evaluation_item_ids),
            given.level_1_assigned_to,
            given.level_2_assigned_to,
        )
        changed = await services.annotation_batches.assign_audits(caller, auditors)
    else:
        status = None if body.status is None else AnnotationStatus(body.status)
        changes = TaskChanges(body.assigned_to, status)
        changed = await services.annotation_batches.change(caller, body.ids or (), changes)
    return json_response({"object": "list", "items": [render_task(task) for task in changed]})


@router.post("/annotation-tasks/claim", response_model=wire.Claimed)
async def claim_annotation_task(
    caller: FromAnybody, services: FromServices, body: Annotated[wire.Claim, Depends(_OptionalBody(wire.Claim))]
) -> Response:
    """Take the next task, or get the one that is held already with a new lease; `task` is null when there is none."""
    kind = AnnotationKind(body.task_type or AnnotationKind.CONTRIBUTOR_ANNOTATION)
    wanted = ClaimRequest(kind, body.queue_id, body.evaluation_id, bool(body.skip_current))
    view = await services.contributor_answers.claim(caller, wanted)
    return json_response({"object": "annotation_task.claim", "task": None if view is None else render_view(view)})


@router.get("/annotation-tasks/{task_id}", response_model=wire.AnnotationTaskDetail)
async def retrieve_annotation_task(caller: FromAnybody, services: FromServices, task_id: str) -> Response:
    """Retrieve a task with its item as it is laid out, its questions, and the answers that the reader may see."""
    return json_response(render_view(await services.contributor_answers.view(caller, task_id)))


@router.post("/annotation-tasks/{task_id}/answer", response_model=wire.AnnotationTask)
async def answer_annotation_task(
    caller: FromAnybody,
    services: FromServices,
    task_id: str,
    body: Annotated[wire.GiveAnswers, Depends(JsonBody(wire.GiveAnswers))],
) -> Response:
    """Answer a task that the caller has claimed. Answers are checked against their questions."""
    said = Answering(body.answers, body.duration_seconds, body.flagged_for_review, body.comment, draft=bool(body.draft))
    return json_response(render_task(await services.contributor_answers.answer(caller, task_id, said)))


@router.post("/annotation-tasks/{task_id}/audit", response_model=wire.AnnotationTask)
async def audit_annotation_task(
    caller: FromAnybody,
    services: FromServices,
    task_id: str,
    body: Annotated[wire.GiveVerdict, Depends(JsonBody(wire.GiveVerdict))],
) -> Response:
    """Give a verdict in an audit that the caller has claimed: approve, fix, or redo."""
    said = Auditing(Verdict(body.verdict), body.answers, body.duration_seconds, body.comment)
    return json_response(render_task(await services.contributor_answers.audit(caller, task_id, said)))


@router.post("/annotation-tasks/{task_id}/release", response_model=wire.AnnotationTask)
async def release_annotation_task(caller: FromAnybody, services: FromServices, task_id: str) -> Response:
    """Give a claimed task back."""
    return json_response(render_task(await services.annotation_tasks.release(caller, task_id)))


@router.post("/annotation-tasks/{task_id}/skip", response_model=wire.AnnotationTask)
async def skip_annotation_task(caller: FromAnybody, services: FromServices, task_id: str) -> Response:
    """Leave a claimed task to others; the caller is not offered it again."""
    return json_response(render_task(await services.annotation_tasks.skip(caller, task_id)))


@router.post("/annotation-tasks/{task_id}/flag", response_model=wire.AnnotationTask)
async def flag_annotation_task(
    caller: FromAnybody,
    services: FromServices,
    task_id: str,
    body: Annotated[wire.Flag, Depends(_OptionalBody(wire.Flag))],
) -> Response:
    """Mark a task for review, or unmark it."""
    task = await services.annotation_tasks.flag(caller, task_id, flagged=body.flagged_for_review, comment=body.comment)
    return json_response(render_task(task))


@router.post("/annotation-tasks/{task_id}/redo", response_model=wire.AnnotationTask)
async def redo_annotation_task(
    caller: FromCaller,
    services: FromServices,
    task_id: str,
    body: Annotated[wire.Redo, Depends(_OptionalBody(wire.Redo))],
) -> Response:
    """Send a given answer back to the one who gave it. Its result is withdrawn until it is done again."""
    return json_response(render_task(await services.contributor_answers.redo(caller, task_id, body.comment)))


@router.get("/evaluations/{evaluation_id}/answers", response_model=wire.GivenAnswersPage)
async def list_answers(
    caller: FromCaller,
    services: FromServices,
    evaluation_id: str,
    page: Annotated[PageRequest, page_of("created_at", "id")],
    queue_id: Annotated[str | None, Query()] = None,
) -> Response:
    """The single answers behind an evaluation's results. Where the caller could still answer the item they are
    hidden."""
    found = await services.contributor_answers.of_evaluation(caller, evaluation_id, page, queue_id=queue_id or None)
    items = [render_given(given) for given in found.items]
    return page_response(items, total=found.total, has_more=found.has_more, limit=page.limit)
