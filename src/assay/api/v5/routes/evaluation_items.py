"""Evaluation items: lists with results merged in, single items, and exports as files."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from assay.api.shared.auth import FromCaller
from assay.api.shared.bodies import JsonBody
from assay.api.shared.queries import OptionalWord, page_of
from assay.api.shared.rendering import json_response, page_response, render_identity, to_json
from assay.api.shared.services import FromServices
from assay.api.shared.versions import version_router
from assay.api.v5 import translate
from assay.api.v5.schemas import evaluation_items as wire
from assay.core.evaluations import Evaluation, Item
from assay.core.identity import Identity
from assay.core.paging import PageRequest
from assay.services.evaluations import Evaluations
from assay.services.exports import ExportFormat, RenderItem, filename

router = version_router("/v5", "Evaluation items")

ItemPageRequest = Annotated[PageRequest, page_of("created_at", "id")]
IncludeArchived = Annotated[bool, Query(description="Whether archived ones count as there.")]


@router.get("/evaluation-items", response_model=wire.EvaluationItemPage)
async def list_evaluation_items(
    caller: FromCaller,
    services: FromServices,
    page: ItemPageRequest,
    evaluation_id: Annotated[str | None, OptionalWord, Query()] = None,
    completion_status: Annotated[
        Literal["failed", "passed", "all"] | None,
        OptionalWord,
        Query(description="failed: with a task error; passed: without one."),
    ] = None,
    include_archived: IncludeArchived = False,
) -> Response:
    """List items with the results of their tasks merged into `data`; of one evaluation or of the account."""
    found, evaluations = await services.items.list(
        caller,
        page,
        evaluation_id=evaluation_id,
        completion=None if completion_status == "all" else completion_status,
        include_archived=include_archived,
    )
    items = _render_items(found.items, evaluations, services.evaluations)
    return page_response(items, total=found.total, has_more=found.has_more, limit=page.limit)


@router.post("/evaluation-items/export", response_model=wire.Export)
async def export_evaluation_items(
    caller: FromCaller,
    services: FromServices,
    request: Request,
    body: Annotated[wire.ExportItems, Depends(JsonBody(wire.ExportItems))],
) -> Response:
    """Export an evaluation's items as json, jsonl or csv: as text in the answer (`direct`), or as a link that
    needs no key and expires (`signed_url`, the default)."""
    export_format = ExportFormat(body.export_format or "json")
    archived = bool(body.include_archived)
    evaluation = await services.exports.evaluation(caller.account_id, body.evaluation_id, include_archived=archived)
    answer: dict[str, Any] = {"filename": filename(evaluation, export_format), "content": None, "signed_url": None}
    if body.export_method == "direct":
        pieces = services.exports.stream(
            evaluation, export_format, _renderer(services.evaluations), include_archived=archived
        )
        answer["content"] = b"".join([piece async for piece in pieces]).decode()
    else:
        token = await services.exports.sign(caller, evaluation, export_format, include_archived=archived)
        answer["signed_url"] = f"{request.base_url}v5/evaluation-items/exports/{quote(token)}"
    return json_response(answer)


@router.get(
    "/evaluation-items/exports/{token}",
    response_class=StreamingResponse,
    responses={200: {"content": {each.media_type: {} for each in ExportFormat}, "description": "The file."}},
)
async def download_export(services: FromServices, token: str) -> Response:
    """The file behind a signed link. Needs no key; 403 once the link has expired or when it was altered."""
    link = await services.exports.open(token)
    evaluation = await services.exports.evaluation(
        link.account_id, link.evaluation_id, include_archived=link.include_archived
    )
    pieces = services.exports.stream(
        evaluation, link.format, _renderer(services.evaluations), include_archived=link.include_archived
    )
    name = filename(evaluation, link.format)
    headers = {
        "content-disposition": f'attachment; filename="{name}"',
        "cache-control": "private, no-store",
        "x-content-type-options": "nosniff",
    }
    return StreamingResponse(pieces, media_type=link.format.media_type, headers=headers)


@router.get("/evaluation-items/{evaluation_item_id}", response_model=wire.EvaluationItem)
async def retrieve_evaluation_item(
    caller: FromCaller,
    services: FromServices,
    evaluation_item_id: str,
    include_archived: IncludeArchived = False,
) -> Response:
    """Retrieve an item."""
    item, evaluation = await services.items.get(caller, evaluation_item_id, include_archived=include_archived)
    return json_response(translate.render_item(item, services.evaluations.expected_aliases(evaluation)))


@router.get("/evaluation-items/{evaluation_item_id}/results", response_model=wire.ItemResults)
async def list_item_results(
    caller: FromCaller,
    services: FromServices,
    evaluation_item_id: str,
    include_archived: IncludeArchived = False,
) -> Response:
    """What the tasks left for an item, with what each result cost and what is kept beside it for a reader: a
    judge's reasons, the text of an answer that could not be read."""
    item, _ = await services.items.get(caller, evaluation_item_id, include_archived=include_archived)
    return json_response({"object": "list", "items": [translate.render_result(each) for each in item.results.values()]})


def _render_items(
    items: Sequence[Item], evaluations: Mapping[str, Evaluation], service: Evaluations
) -> list[dict[str, Any]]:
    """The items' wire objects; what the items of a page share is rendered once."""
    aliases = {key: service.expected_aliases(evaluation) for key, evaluation in evaluations.items()}
    identities: dict[Identity, dict[str, str]] = {}
    rendered = []
    for item in items:
        created_by = identities.get(item.created_by)
        if created_by is None:
            created_by = identities[item.created_by] = render_identity(item.created_by)
        rendered.append(translate.render_item(item, aliases.get(item.evaluation_id, ()), created_by))
    return rendered


def _renderer(service: Evaluations) -> RenderItem:
    """Renders exported items one by one; remembers the aliases of the evaluation that they belong to."""
    aliases: dict[str, tuple[str, ...]] = {}

    def render(evaluation: Evaluation, item: Item) -> bytes:
        known = aliases.get(evaluation.id)
        if known is None:
            known = aliases[evaluation.id] = service.expected_aliases(evaluation)
        return to_json(translate.render_item(item, known))

    return render
