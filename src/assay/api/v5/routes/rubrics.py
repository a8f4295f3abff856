"""Rubrics and their criteria: `/v5/rubrics`. Every change is a new version of what was changed."""

from typing import Annotated, Any

from fastapi import Depends, Query, Response

from assay.api.shared.auth import FromCaller
from assay.api.shared.bodies import JsonBody
from assay.api.shared.queries import RawList, page_of, page_parameters, split_list
from assay.api.shared.rendering import json_response, page_response, render_identity
from assay.api.shared.services import FromServices
from assay.api.shared.versions import version_router
from assay.api.v5.schemas.rubrics import (
    CreateCriterion,
    CreateRubric,
    Criterion,
    CriterionPage,
    DeletedRubric,
    Rubric,
    RubricPage,
    UpdateCriterion,
    UpdateRubric,
)
from assay.core import rubrics as core
from assay.core.paging import PageRequest
from assay.services.rubrics import DEFAULT_WEIGHT, FilledRubric, NewCriterion

router = version_router("/v5", "Rubrics")


@router.post("/rubrics", response_model=Rubric)
async def create_rubric(
    services: FromServices, caller: FromCaller, body: Annotated[CreateRubric, Depends(JsonBody(CreateRubric))]
) -> Response:
    """Make a rubric at version 1 with its criteria, if any are given."""
    criteria = [_new_criterion(each) for each in body.criteria or ()]
    return json_response(_render(await services.rubrics.create(caller, body.title, tuple(body.tags or ()), criteria)))


@router.get("/rubrics", response_model=RubricPage)
async def list_rubrics(
    services: FromServices,
    caller: FromCaller,
    page: Annotated[PageRequest, page_of("created_at", "updated_at", "title", "version", "id")],
    title: Annotated[str | None, Query(description="Part of the title, in any case.")] = None,
    tags: RawList = None,
) -> Response:
    """The account's rubrics that have all of `tags`, without archived ones; criteria by title and weight."""
    found = await services.rubrics.list(caller, page, title=title or None, tags=split_list(tags))
    items = [
        {**_render(each), "criteria": [{"title": one.title, "weight": one.weight} for one in each.criteria]}
        for each in found.items
    ]
    return page_response(items, total=found.total, has_more=found.has_more, limit=page.limit)


@router.get("/rubrics/{rubric_id}", response_model=Rubric)
async def retrieve_rubric(rubric_id: str, services: FromServices, caller: FromCaller) -> Response:
    """One rubric with its criteria as they are now, archived or not."""
    return json_response(_render(await services.rubrics.get(caller, rubric_id)))


@router.patch("/rubrics/{rubric_id}", response_model=Rubric)
async def update_rubric(
    rubric_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[UpdateRubric, Depends(JsonBody(UpdateRubric, wrapper="rubric"))],
) -> Response:
    """Change the title or the tags, as a new version; or bring an archived rubric back with `restore`."""
    if body.restore:
        return json_response(_render(await services.rubrics.restore(caller, rubric_id)))
    changes: dict[str, Any] = {} if body.title is None else {"title": body.title}
    if "tags" in body.model_fields_set:
        changes["tags"] = tuple(body.tags or ())
    return json_response(_render(await services.rubrics.update(caller, rubric_id, changes)))


@router.delete("/rubrics/{rubric_id}", response_model=DeletedRubric)
async def archive_rubric(rubric_id: str, services: FromServices, caller: FromCaller) -> Response:
    """Archive a rubric; `restore` undoes it. An archived one cannot be archived again."""
    archived = await services.rubrics.archive(caller, rubric_id)
    return json_response({"id": archived.id, "object": "rubric", "deleted": True})


@router.post("/rubrics/{rubric_id}/criteria", response_model=Criterion)
async def create_criterion(
    rubric_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[CreateCriterion, Depends(JsonBody(CreateCriterion))],
) -> Response:
    """Add a criterion at the end. The rubric's version stays."""
    return json_response(
        _render_criterion(await services.rubrics.add_criterion(caller, rubric_id, _new_criterion(body)))
    )


@router.patch("/rubrics/{rubric_id}/criteria/{criterion_id}", response_model=Criterion)
async def update_criterion(
    rubric_id: str,
    criterion_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[UpdateCriterion, Depends(JsonBody(UpdateCriterion))],
) -> Response:
    """Change a criterion, as a new version of it. The rubric's version stays."""
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    return json_response(
        _render_criterion(await services.rubrics.update_criterion(caller, rubric_id, criterion_id, changes))
    )


@router.get("/rubrics/{rubric_id}/criteria/{criterion_id}/versions", response_model=CriterionPage)
async def list_criterion_versions(
    rubric_id: str,
    criterion_id: str,
    services: FromServices,
    caller: FromCaller,
    page: Annotated[PageRequest, Depends(page_parameters(("version",), default_order="desc"))],
) -> Response:
    """A criterion's versions, newest first. Cursors are version numbers."""
    found = await services.rubrics.criterion_versions(caller, rubric_id, criterion_id, page)
    items = [_render_criterion(each) for each in found.items]
    return page_response(items, total=found.total, has_more=found.has_more, limit=page.limit)


def _new_criterion(body: CreateCriterion) -> NewCriterion:
    return NewCriterion(body.title, DEFAULT_WEIGHT if body.weight is None else body.weight, body.annotations)


def _render(filled: FilledRubric) -> dict[str, Any]:
    rubric = filled.rubric
    return {
        "id": rubric.id,
        "object": "rubric",
        "title": rubric.title,
        "tags": rubric.tags,
        "version": rubric.version,
        "criteria": [_render_criterion(each) for each in filled.criteria],
        "created_at": rubric.created_at,
        "created_by": render_identity(rubric.created_by),
        "updated_at": rubric.updated_at,
        "archived_at": rubric.archived_at,
    }


def _render_criterion(criterion: core.Criterion) -> dict[str, Any]:
    return {
        "id": criterion.id,
        "object": "rubric_criteria",
        "rubric_id": criterion.rubric_id,
        "title": criterion.title,
        "version": criterion.version,
        "weight": criterion.weight,
        "annotations": criterion.annotations,
        "created_at": criterion.created_at,
    }
