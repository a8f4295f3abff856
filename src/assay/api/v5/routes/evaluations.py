"""Evaluations: create in three forms, read, change, archive, restore, cancel, and their numbers."""

from typing import Annotated, Any

from fastapi import Depends, Query, Response

from assay.api.shared.auth import FromCaller
from assay.api.shared.bodies import JsonBody
from assay.api.shared.queries import RawList, page_of, split_list, split_words
from assay.api.shared.rendering import json_response, page_response
from assay.api.shared.services import FromServices
from assay.api.shared.versions import version_router
from assay.api.v5 import translate
from assay.api.v5.schemas import evaluations as wire
from assay.api.v5.schemas import tasks as task_wire
from assay.core.errors import InvalidInput
from assay.core.filters import parse_filters
from assay.core.model_calls import CacheMode, CallPolicy
from assay.core.paging import PageRequest
from assay.ports.storage import TextFilter
from assay.services.evaluations import DatasetFromRows, NewEvaluation

router = version_router("/v5", "Evaluations")

VIEWS = ("tasks",)
EvaluationPageRequest = Annotated[
    PageRequest,
    page_of("created_at", "updated_at", "name", "status", "id", "archived_at", "error_count"),
]
FilterPageRequest = Annotated[
    PageRequest,
    page_of("created_at", "updated_at", "name", "status", "id", "archived_at", "error_count", max_limit=1000),
]
IncludeArchived = Annotated[bool, Query(description="Whether archived ones count as there.")]


@router.post("/evaluations", response_model=wire.Evaluation)
async def create_evaluation(
    caller: FromCaller,
    services: FromServices,
    body: Annotated[wire.CreateEvaluation, Depends(JsonBody(wire.CreateEvaluation, wrapper="evaluation"))],
) -> Response:
    """Create an evaluation from rows, from a dataset, or from rows that also become a dataset.

    Answers at once: `running` when any task needs execution, else `completed`.
    """
    evaluation = await services.evaluations.create(caller, _new_evaluation(body))
    return json_response(translate.render_evaluation(evaluation))


@router.get("/evaluations", response_model=wire.EvaluationPage)
async def list_evaluations(
    caller: FromCaller,
    services: FromServices,
    page: EvaluationPageRequest,
    name: Annotated[str | None, Query(description="A part of the name, in any case.")] = None,
    tags: RawList = None,
    views: RawList = None,
    include_archived: IncludeArchived = False,
) -> Response:
    """List evaluations. `tags`: those that have all of them; `views=tasks` adds the tasks."""
    with_tasks = "tasks" in split_words("views", views, VIEWS)
    where = TextFilter(name or None, split_list(tags), include_archived)
    found = await services.evaluations.list(caller, page, where)
    items = [translate.render_evaluation(each, with_tasks=with_tasks) for each in found.items]
    return page_response(items, total=found.total, has_more=found.has_more, limit=page.limit)


@router.post("/evaluations/filter", response_model=wire.EvaluationPage)
async def filter_evaluations(
    caller: FromCaller,
    services: FromServices,
    body: Annotated[wire.FilterEvaluations, Depends(JsonBody(wire.FilterEvaluations))],
    page: FilterPageRequest,
    views: RawList = None,
    include_archived: IncludeArchived = False,
) -> Response:
    """Evaluations that pass all of up to ten filters, over metadata keys (dotted ones lead into nested objects) and
    the built-in keys `status` and `tag`. `total` is exact."""
    with_tasks = "tasks" in split_words("views", views, VIEWS)
    filters = parse_filters(body.filters)
    found = await services.evaluations.filter(caller, page, filters, include_archived=include_archived)
    items = [translate.render_evaluation(each, with_tasks=with_tasks) for each in found.items]
    return page_response(items, total=found.total, has_more=found.has_more, limit=page.limit)


@router.get("/evaluations/metadata-keys", response_model=wire.MetadataKeyList)
async def list_metadata_keys(
    caller: FromCaller, services: FromServices, include_archived: IncludeArchived = False
) -> Response:
    """The metadata keys of the account's evaluations: on how many each is, as what it reads, and its values where
    there are at most 50 different ones. An addition of Assay's."""
    found = await services.evaluations.metadata_keys(caller, include_archived=include_archived)
    return json_response(translate.render_metadata_keys(found))


@router.post("/evaluations/tasks/dry-run", response_model=task_wire.DryRun)
async def dry_run_task(
    _caller: FromCaller,
    services: FromServices,
    body: Annotated[task_wire.DryRunTask, Depends(JsonBody(task_wire.DryRunTask))],
) -> Response:
    """Run a custom function on sample rows. A row's failure is in its result and never fails the call."""
    outcomes = await services.dry_runs.run(body.task_type, body.configuration, body.sample_data)
    return json_response(translate.render_dry_run(outcomes))


@router.get("/evaluations/{evaluation_id}", response_model=wire.Evaluation)
async def retrieve_evaluation(
    caller: FromCaller,
    services: FromServices,
    evaluation_id: str,
    views: RawList = None,
    include_archived: IncludeArchived = False,
) -> Response:
    """Retrieve an evaluation, with its failed items (at most 100) under `progress.items.failed_items`."""
    with_tasks = "tasks" in split_words("views", views, VIEWS)
    evaluation = await services.evaluations.get(caller, evaluation_id, include_archived=include_archived)
    failed = await services.evaluations.failed_items(evaluation)
    return json_response(translate.render_evaluation(evaluation, with_tasks=with_tasks, failed_items=failed))


@router.patch("/evaluations/{evaluation_id}", response_model=wire.Evaluation)
async def update_evaluation(
    caller: FromCaller,
    services: FromServices,
    evaluation_id: str,
    body: Annotated[wire.UpdateEvaluation, Depends(JsonBody(wire.UpdateEvaluation, wrapper="evaluation"))],
) -> Response:
    """Change an evaluation's name, description, tags or metadata, or restore an archived one."""
    changes = {field: getattr(body, field) for field in body.model_fields_set - {"restore"}}
    if "name" in changes and body.name is None:
        raise InvalidInput.at(("body", "name"), "must not be null", type="string_type")
    if "tags" in changes:
        changes["tags"] = tuple(body.tags or ())
    evaluation = await services.evaluations.update(caller, evaluation_id, changes, restore=bool(body.restore))
    return json_response(translate.render_evaluation(evaluation))


@router.delete("/evaluations/{evaluation_id}", response_model=wire.Evaluation)
async def archive_evaluation(caller: FromCaller, services: FromServices, evaluation_id: str) -> Response:
    """Archive an evaluation with its items; it leaves all its groups."""
    return json_response(translate.render_evaluation(await services.evaluations.archive(caller, evaluation_id)))


@router.post("/evaluations/estimate", response_model=wire.Estimate)
async def estimate_evaluation(
    caller: FromCaller,
    services: FromServices,
    body: Annotated[wire.CreateEvaluation, Depends(JsonBody(wire.CreateEvaluation, wrapper="evaluation"))],
) -> Response:
    """What an evaluation would ask of models, and what that would cost by the prices that are set. The body is that
    of creating it; nothing is made. An addition of Assay's."""
    estimate = await services.estimates.estimate(caller, _new_evaluation(body))
    return json_response(translate.render_estimate(estimate))


@router.delete("/model-answers", response_model=wire.ForgottenAnswers)
async def forget_answers(caller: FromCaller, services: FromServices) -> Response:
    """Forget every answer of a model that is kept for the account, so that calls are made anew. An addition of
    Assay's."""
    return json_response({"object": "model_answers", "forgotten": await services.estimates.forget_answers(caller)})


@router.post("/evaluations/{evaluation_id}/resume", response_model=wire.Evaluation)
async def resume_evaluation(
    caller: FromCaller,
    services: FromServices,
    evaluation_id: str,
    body: Annotated[wire.ResumeEvaluation, Depends(JsonBody(wire.ResumeEvaluation, optional=True))],
) -> Response:
    """Let a stopped evaluation (cancelled, at its `max_cost`, or failed half-way) go on with what has no result
    yet. An addition of Assay's."""
    cache = None if body.cache is None else CacheMode(body.cache)
    evaluation = await services.evaluations.resume(caller, evaluation_id, max_cost=body.max_cost, cache=cache)
    return json_response(translate.render_evaluation(evaluation))


@router.post("/evaluations/{evaluation_id}/cancel", response_model=wire.Evaluation)
async def cancel_evaluation(caller: FromCaller, services: FromServices, evaluation_id: str) -> Response:
    """Stop a running evaluation: it becomes `failed` with a reason that begins with `Cancelled`, and keeps the
    results that are there. An addition of Assay's."""
    return json_response(translate.render_evaluation(await services.evaluations.cancel(caller, evaluation_id)))


@router.get("/evaluations/{evaluation_id}/aggregates", response_model=wire.Aggregates)
async def retrieve_aggregates(
    caller: FromCaller, services: FromServices, evaluation_id: str, include_archived: IncludeArchived = False
) -> Response:
    """An evaluation in numbers: for each task its mean with a 95 % interval, and beside it what is missing,
    skipped, errored and cached. An addition of Assay's."""
    found = await services.aggregates.get(caller, evaluation_id, include_archived=include_archived)
    return json_response(translate.render_aggregates(found))


@router.get("/evaluations/{evaluation_id}/schema", response_model=wire.EvaluationSchema)
async def retrieve_schema(
    caller: FromCaller, services: FromServices, evaluation_id: str, include_archived: IncludeArchived = False
) -> Response:
    """The columns of an evaluation's items, flattened: the users' data and the tasks' results apart."""
    found = await services.items.columns(caller, evaluation_id, include_archived=include_archived)
    return json_response(translate.render_schema(evaluation_id, found))


@router.get("/evaluations/{evaluation_id}/taxonomy", response_model=dict[str, Any])
async def retrieve_taxonomy(caller: FromCaller, services: FromServices, evaluation_id: str) -> Response:
    """The document that was given as `taxonomy_params`; 404 when there is none."""
    return json_response(await services.evaluations.taxonomy(caller, evaluation_id))


@router.post("/evaluations/{evaluation_id}/tasks", response_model=wire.Evaluation)
async def add_task(
    caller: FromCaller,
    services: FromServices,
    evaluation_id: str,
    body: Annotated[task_wire.AddTask, Depends(JsonBody(task_wire.AddTask))],
) -> Response:
    """Add a contributor task and queue the items for people; refused once people have begun, and other types always."""
    evaluation = await services.evaluations.add_task(caller, evaluation_id, body.task)
    return json_response(translate.render_evaluation(evaluation, with_tasks=True))


@router.patch("/evaluations/{evaluation_id}/tasks/{alias:path}", response_model=wire.Evaluation)
async def replace_task_configuration(
    caller: FromCaller,
    services: FromServices,
    evaluation_id: str,
    alias: str,
    body: Annotated[task_wire.ReplaceConfiguration, Depends(JsonBody(task_wire.ReplaceConfiguration))],
) -> Response:
    """Replace a task's configuration as a whole. Nothing runs again. The alias travels percent-encoded and may
    hold slashes and spaces."""
    evaluation = await services.evaluations.replace_configuration(caller, evaluation_id, alias, body.configuration)
    return json_response(translate.render_evaluation(evaluation, with_tasks=True))


def _new_evaluation(body: wire.CreateEvaluation) -> NewEvaluation:
    dataset = None
    if body.dataset is not None:
        keys = body.dataset.keys
        dataset = DatasetFromRows(
            body.dataset.name,
            body.dataset.description,
            tuple(body.dataset.tags or ()),
            None if keys is None else tuple(dict.fromkeys(keys)),
        )
    return NewEvaluation(
        name=body.name,
        rows=body.data,
        tasks=body.tasks or (),
        description=body.description,
        tags=tuple(body.tags or ()),
        metadata=body.metadata,
        files=body.files,
        dataset_id=body.dataset_id,
        dataset=dataset,
        skip_prefilled_rows=bool(body.skip_prefilled_rows),
        taxonomy=body.taxonomy_params,
        policy=CallPolicy(CacheMode(body.cache or "auto"), body.max_cost),
    )
