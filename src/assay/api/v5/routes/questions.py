"""Questions: `/v5/questions`. What a question asks never changes; its name may."""

from typing import Annotated

from fastapi import Depends, Response

from assay.api.shared.auth import FromCaller
from assay.api.shared.bodies import JsonBody
from assay.api.shared.queries import RawList, page_of, split_list
from assay.api.shared.rendering import json_response, page_response
from assay.api.shared.services import FromServices
from assay.api.shared.versions import version_router
from assay.api.v5.questions import QuestionBody, in_wire_words, new_question, render_question
from assay.api.v5.schemas.questions import CreateV5Question, Question, QuestionPage, UpdateQuestion
from assay.core.errors import InvalidInput
from assay.core.paging import PageRequest
from assay.services.questions import InvalidQuestion

MOST_IDS = 10_000
_COLUMNS = {"name": "title", "question_type": "type"}

router = version_router("/v5", "Questions")


@router.post("/questions", response_model=Question)
async def create_question(
    services: FromServices, caller: FromCaller, body: Annotated[CreateV5Question, Depends(QuestionBody())]
) -> Response:
    """Make a question of one of the six types. `conditions` are kept and shown as they are."""
    try:
        question = await services.questions.create(caller, new_question(body))
    except InvalidQuestion as error:
        raise in_wire_words(error) from error
    return json_response(render_question(question))


@router.get("/questions", response_model=QuestionPage)
async def list_questions(
    services: FromServices,
    caller: FromCaller,
    page: Annotated[PageRequest, page_of("created_at", "name", "question_type", "id")],
    ids: RawList = None,
    include_archived: bool = False,
) -> Response:
    """The account's questions; `ids` leaves only those of them that it names."""
    wanted = split_list(ids)
    if len(wanted) > MOST_IDS:
        raise InvalidInput.at(("query", "ids"), f"at most {MOST_IDS} ids, not {len(wanted)}", type="too_long")
    order = PageRequest(
        page.limit,
        page.starting_after,
        page.ending_before,
        _COLUMNS.get(page.sort_by, page.sort_by),
        page.sort_order,
    )
    found = await services.questions.page(caller, order, ids=wanted or None, include_archived=include_archived)
    items = [render_question(question) for question in found.items]
    return page_response(items, total=found.total, has_more=found.has_more, limit=page.limit)


@router.get("/questions/{question_id}", response_model=Question)
async def retrieve_question(question_id: str, services: FromServices, caller: FromCaller) -> Response:
    """One question, archived or not."""
    return json_response(render_question(await services.questions.get(caller.narrowed(), question_id)))


@router.patch("/questions/{question_id}", response_model=Question)
async def update_question(
    question_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[UpdateQuestion, Depends(JsonBody(UpdateQuestion, wrapper="question"))],
) -> Response:
    """Give a question another name. An archived one must be restored first."""
    return json_response(render_question(await services.questions.rename(caller.narrowed(), question_id, body.name)))


@router.delete("/questions/{question_id}", response_model=Question)
async def archive_question(question_id: str, services: FromServices, caller: FromCaller) -> Response:
    """Archive a question; what refers to it keeps it. An archived one stays as it is."""
    return json_response(render_question(await services.questions.archive(caller.narrowed(), question_id)))


@router.post("/questions/{question_id}/restore", response_model=Question)
async def restore_question(question_id: str, services: FromServices, caller: FromCaller) -> Response:
    """Bring an archived question back; one that is not archived stays as it is."""
    return json_response(render_question(await services.questions.restore(caller.narrowed(), question_id)))
