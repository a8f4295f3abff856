"""Questions: `/v4/questions`. They never change."""

from typing import Annotated

from fastapi import Depends, Response

from assay.api.shared.auth import FromCaller
from assay.api.shared.rendering import json_response
from assay.api.shared.services import FromServices
from assay.api.shared.versions import version_router
from assay.api.v4.bodies import CreateBody
from assay.api.v4.catalogue import in_wire_words, new_question, render_question
from assay.api.v4.paging import FromPage, page_answer
from assay.api.v4.schemas.entities import Numbered
from assay.api.v4.schemas.questions import CreateQuestion, V4Question
from assay.api.v4.tenancy import FromAccounts
from assay.services.questions import InvalidQuestion

router = version_router("/v4", "Questions (v4)")


@router.post("/questions", response_model=V4Question)
async def create_v4_question(
    services: FromServices,
    caller: FromCaller,
    body: Annotated[CreateQuestion, Depends(CreateBody(CreateQuestion))],
) -> Response:
    """Make a question. A categorical one needs choices, a rating its scale, a form its schema."""
    try:
        question = await services.questions.create(caller.within(body.account_id), new_question(body))
    except InvalidQuestion as error:
        raise in_wire_words(error) from error
    return json_response(render_question(question))


@router.get("/questions", response_model=Numbered[V4Question])
async def list_v4_questions(
    services: FromServices, accounts: FromAccounts, page: FromPage, include_archived: bool = False
) -> Response:
    """Questions, newest first."""
    found = await services.questions.list(accounts, page, include_archived=include_archived)
    return page_answer([render_question(question) for question in found.items], found, page)


@router.get("/questions/{question_id}", response_model=V4Question)
async def retrieve_v4_question(question_id: str, services: FromServices, caller: FromCaller) -> Response:
    """One question."""
    return json_response(render_question(await services.questions.get(caller, question_id)))
