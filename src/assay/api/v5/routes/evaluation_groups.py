"""Groups of evaluations: `/v5/evaluation-groups`."""

import contextlib
from typing import Annotated, Any

from fastapi import Depends, Query, Response

from assay.api.shared.auth import FromCaller
from assay.api.shared.bodies import JsonBody
from assay.api.shared.queries import RawList, page_of, split_list, split_words
from assay.api.shared.rendering import json_response, page_response
from assay.api.shared.services import FromServices
from assay.api.shared.versions import version_router
from assay.api.v5.schemas import evaluation_groups as wire
from assay.api.v5.translate import render_evaluation, render_schema
from assay.core.errors import InvalidInput, NotFound, RuleViolation
from assay.core.groups import Group, GroupMember
from assay.core.paging import PageRequest
from assay.ports.storage import TextFilter
from assay.services.groups import GroupChanges, GroupReplacement, NewGroup

VIEWS = frozenset({"members", "row_identifiers"})
MAX_LIMIT = 1000
METADATA_KEYS = frozenset({"metadata", "evaluation_group_metadata"})

router = version_router("/v5", "Evaluation groups")


def group_filter(
    name: Annotated[str | None, Query(description="Part of the name, in any case.")] = None,
    tags: RawList = None,
    include_deleted: bool = False,
) -> TextFilter:
    """The filters of the list of groups, from the query."""
    return TextFilter(name or None, split_list(tags), include_deleted)


@router.post("/evaluation-groups", response_model=wire.EvaluationGroup)
async def create_evaluation_group(
    services: FromServices,
    caller: FromCaller,
    body: Annotated[wire.CreateEvaluationGroup, Depends(JsonBody(wire.CreateEvaluationGroup))],
) -> Response:
    """Put one evaluation or more into a new group. When one is unknown or archived nothing is made."""
    new = NewGroup(
        name=body.name,
        evaluation_ids=tuple(body.evaluation_ids),
        description=body.description,
        tags=tuple(body.tags or ()),
        metadata=_metadata(body),
        row_identifiers=body.row_identifiers or {},
    )
    return json_response(_with_memberships(await services.groups.create(caller, new), with_tasks=True))


@router.get("/evaluation-groups", response_model=wire.EvaluationGroupPage)
async def list_evaluation_groups(
    services: FromServices,
    caller: FromCaller,
    page: Annotated[PageRequest, page_of("created_at", "name", "id", max_limit=MAX_LIMIT)],
    where: Annotated[TextFilter, Depends(group_filter)],
    evaluation_id: Annotated[str | None, Query(description="Only groups that it is a member of.")] = None,
    views: RawList = None,
) -> Response:
    """The account's groups, those that have all of `tags`.

    Without `views` a member is the evaluation itself, with its tasks. With `views` it is a membership record
    that also carries the evaluation's fields, its tasks when `members` is among the views.
    """
    wanted = split_words("views", views, VIEWS)
    found = await services.groups.list(caller, page, where, evaluation_id=evaluation_id or None)
    rendered: Rendered = {}
    if views is None:
        items = [_with_evaluations(group, rendered) for group in found.items]
    else:
        items = [_with_memberships(group, rendered, with_tasks="members" in wanted) for group in found.items]
    return page_response(items, total=found.total, has_more=found.has_more, limit=page.limit)


@router.get("/evaluation-groups/{group_id}", response_model=wire.EvaluationGroup)
async def retrieve_evaluation_group(
    group_id: str, services: FromServices, caller: FromCaller, include_deleted: bool = False, views: RawList = None
) -> Response:
    """One group with all its members. A deleted one is not found unless `include_deleted` asks for it."""
    split_words("views", views, VIEWS)
    group = await services.groups.get(caller, group_id, include_deleted=include_deleted)
    return json_response(_with_memberships(group, with_tasks=True))


@router.patch("/evaluation-groups/{group_id}", response_model=wire.EvaluationGroup)
async def update_evaluation_group(
    group_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[wire.UpdateEvaluationGroup, Depends(JsonBody(wire.UpdateEvaluationGroup))],
) -> Response:
    """Change the fields that are sent. `metadata` is merged key by key; `row_identifiers` replaces the whole set.

    Members cannot change here; PUT replaces them.
    """
    sent = body.model_fields_set
    if "evaluation_ids" in sent:
        raise RuleViolation("evaluation_ids: PATCH cannot change a group's members; PUT replaces them")
    changes: GroupChanges = {}
    if "name" in sent:
        if body.name is None:
            raise InvalidInput.at(("body", "name"), "must not be null", type="string_type")
        changes["name"] = body.name
    if "description" in sent:
        changes["description"] = body.description
    if "tags" in sent:
        changes["tags"] = tuple(body.tags or ())
    if sent & METADATA_KEYS:
        changes["metadata"] = _metadata(body)
    row_identifiers = (body.row_identifiers or {}) if "row_identifiers" in sent else None
    group = await services.groups.update(caller, group_id, changes, row_identifiers)
    return json_response(_with_memberships(group, with_tasks=True))


@router.put("/evaluation-groups/{group_id}", response_model=wire.EvaluationGroup)
async def replace_evaluation_group(
    group_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[wire.ReplaceEvaluationGroup, Depends(JsonBody(wire.ReplaceEvaluationGroup))],
) -> Response:
    """Replace a group: what is left out is cleared, except the name, the members and their row identifiers,
    which stay. `evaluation_ids` is the whole new membership."""
    new = GroupReplacement(
        name=body.name,
        description=body.description,
        tags=tuple(body.tags or ()),
        metadata=_metadata(body),
        evaluation_ids=None if body.evaluation_ids is None else tuple(body.evaluation_ids),
        row_identifiers=(body.row_identifiers or {}) if "row_identifiers" in body.model_fields_set else None,
    )
    return json_response(_with_memberships(await services.groups.replace(caller, group_id, new), with_tasks=True))


@router.delete("/evaluation-groups/{group_id}", response_model=wire.EvaluationGroup)
async def archive_evaluation_group(group_id: str, services: FromServices, caller: FromCaller) -> Response:
    """Delete a group. Its evaluations stay; `include_deleted` still shows it, with the members that it had."""
    return json_response(_with_memberships(await services.groups.archive(caller, group_id), with_tasks=True))


@router.get("/evaluation-groups/{group_id}/schema", response_model=wire.EvaluationGroupSchema)
async def retrieve_evaluation_group_schema(
    group_id: str, services: FromServices, caller: FromCaller, include_archived: bool = False
) -> Response:
    """The columns of each member's items. An archived evaluation is no member, so that `include_archived` only
    matters for one that is archived while this is read."""
    group = await services.groups.get(caller, group_id)
    schemas = []
    for member in group.members:
        with contextlib.suppress(NotFound):
            found = await services.items.columns(caller, member.evaluation_id, include_archived=include_archived)
            schemas.append(render_schema(member.evaluation_id, found))
    return json_response(
        {"object": "evaluation_group_schema", "evaluation_group_id": group.id, "evaluation_schemas": schemas}
    )


def _metadata(body: wire.GroupBody) -> dict[str, Any] | None:
    """The metadata under either of its names. InvalidInput when both are sent and differ."""
    sent = [getattr(body, key) for key in ("metadata", "evaluation_group_metadata") if key in body.model_fields_set]
    if len(sent) == 2 and sent[0] != sent[1]:
        message = "is another name of metadata, which says something else; send one of them"
        raise InvalidInput.at(("body", "evaluation_group_metadata"), message, type="conflicting_fields")
    return sent[0] if sent else None


Rendered = dict[str, dict[str, Any]]
"""Evaluations rendered already for this answer, by id: one may be a member of many groups."""


def _with_evaluations(group: Group, rendered: Rendered) -> dict[str, Any]:
    """The group as the vendor's page of the list shows it: members are evaluations."""
    return _render_group(group, [_rendered(member, rendered, with_tasks=True) for member in group.members])


def _with_memberships(group: Group, rendered: Rendered | None = None, *, with_tasks: bool) -> dict[str, Any]:
    """The group as the newer client reads it: members are membership records."""
    known = {} if rendered is None else rendered
    return _render_group(
        group,
        [_render_member(group, member, _rendered(member, known, with_tasks=with_tasks)) for member in group.members],
    )


def _rendered(member: GroupMember, rendered: Rendered, *, with_tasks: bool) -> dict[str, Any]:
    found = rendered.get(member.evaluation_id)
    if found is None:
        assert member.evaluation is not None
        found = rendered[member.evaluation_id] = render_evaluation(member.evaluation, with_tasks=with_tasks)
    return found


def _render_group(group: Group, members: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": group.id,
        "object": "evaluation_group",
        "account_id": group.account_id,
        "name": group.name,
        "description": group.description,
        "tags": group.tags,
        "metadata": group.metadata,
        "evaluation_group_metadata": group.metadata,
        "created_at": group.created_at,
        "deleted_at": group.deleted_at,
        "members": members,
        "row_identifiers": [
            {
                "object": "evaluation_group.row_identifier",
                "evaluation_id": member.evaluation_id,
                "column_name": member.row_identifier,
            }
            for member in group.members
            if member.row_identifier is not None
        ],
    }


def _render_member(group: Group, member: GroupMember, evaluation: dict[str, Any]) -> dict[str, Any]:
    return {
        **evaluation,
        "object": "evaluation_group.member",
        "evaluation_group_id": group.id,
        "evaluation_id": member.evaluation_id,
        "created_at": member.created_at,
        "deleted_at": member.deleted_at,
        "evaluation_name": evaluation["name"],
        "evaluation_tags": evaluation["tags"],
        "evaluation_created_at": evaluation["created_at"],
    }
