"""People's work on an evaluation's results: tasks, and how the labelling goes on."""

from typing import Annotated

from fastapi import Depends, Query, Response

from assay.api.shared.auth import FromCaller
from assay.api.shared.rendering import json_response
from assay.api.shared.services import FromServices
from assay.api.shared.versions import version_router
from assay.api.v4.bodies import CreateBody
from assay.api.v4.labelling import render_agreement, render_contributor_metrics, render_evaluation_metrics
from assay.api.v4.paging import FromPage, page_answer
from assay.api.v4.results import render_task
from assay.api.v4.schemas import labelling as wire
from assay.api.v4.schemas.entities import Numbered
from assay.core.annotation import AnnotationKind

router = version_router("/v4", "Labelling (v4)")

_EVALUATION = "/evaluations/{evaluation_id}"


@router.post(f"{_EVALUATION}/claim-task", response_model=wire.Task | None)
async def claim_task(
    evaluation_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[wire.ClaimTask, Depends(CreateBody(wire.ClaimTask))],
    task_type: Annotated[wire.TaskType, Query()] = "EVALUATION_ANNOTATION",
) -> Response:
    """Take a task for half an hour, or the one that is held already for half an hour more; null when there is none.
    An audit goes to somebody else than who annotated."""
    found = await services.result_claims.claim(
        caller, evaluation_id, AnnotationKind(task_type), skip_current=body.skip_current
    )
    return json_response(None if found is None else render_task(found.task, found.result))


@router.patch(f"{_EVALUATION}/tasks/batch-assign", response_model=list[wire.Task | None])
async def assign_tasks(
    evaluation_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[wire.AssignTasks, Depends(CreateBody(wire.AssignTasks))],
) -> Response:
    """Reserve tasks for somebody, all or none; null stands for a task that the evaluation does not have."""
    made = await services.result_claims.assign_many(caller, evaluation_id, body.task_ids, body.assigned_to)
    return json_response([None if each is None else render_task(each.task, each.result) for each in made])


@router.patch(f"{_EVALUATION}/tasks/{{task_id}}", response_model=wire.Task)
async def assign_task(
    evaluation_id: str,
    task_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[wire.AssignTask, Depends(CreateBody(wire.AssignTask))],
) -> Response:
    """Reserve a task for somebody, or for nobody."""
    made = await services.result_claims.assign(caller, evaluation_id, task_id, body.assigned_to)
    return json_response(render_task(made.task, made.result))


@router.get(f"{_EVALUATION}/evaluation-metrics", response_model=wire.EvaluationMetrics)
async def retrieve_evaluation_metrics(evaluation_id: str, services: FromServices, caller: FromCaller) -> Response:
    """How the labelling goes on."""
    found = await services.labelling_metrics.evaluation(caller, evaluation_id)
    return json_response(render_evaluation_metrics(found))


@router.get(f"{_EVALUATION}/contributor-metrics", response_model=Numbered[wire.ContributorMetrics])
async def list_contributor_metrics(
    evaluation_id: str, services: FromServices, caller: FromCaller, page: FromPage
) -> Response:
    """Those who labelled results, in the order of their ids."""
    found = await services.labelling_metrics.contributors(caller, evaluation_id, page)
    return page_answer([render_contributor_metrics(evaluation_id, each) for each in found.items], found, page)


@router.get(f"{_EVALUATION}/contributor-metrics/{{contributor_id}}", response_model=wire.ContributorMetrics | None)
async def retrieve_contributor_metrics(
    evaluation_id: str, contributor_id: str, services: FromServices, caller: FromCaller
) -> Response:
    """One contributor; null for somebody who labelled nothing."""
    found = await services.labelling_metrics.contributor(caller, evaluation_id, contributor_id)
    return json_response(None if found is None else render_contributor_metrics(evaluation_id, found))


@router.get(f"{_EVALUATION}/hybrid-eval-metrics", response_model=wire.HybridMetrics)
async def retrieve_hybrid_metrics(evaluation_id: str, services: FromServices, caller: FromCaller) -> Response:
    """People beside the judge, by question."""
    found = await services.labelling_metrics.agreement(caller, evaluation_id)
    return json_response({"all_question_info": {each.question.id: render_agreement(each) for each in found}})
