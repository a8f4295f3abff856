"""Question sets: `/v4/question-sets`."""

from typing import Annotated, Any

from fastapi import Depends, Response

from assay.api.shared.auth import FromCaller
from assay.api.shared.rendering import json_response
from assay.api.shared.services import FromServices
from assay.api.shared.versions import version_router
from assay.api.v4.bodies import CreateBody, PatchBody
from assay.api.v4.catalogue import render_filled_question_set, render_question_set
from assay.api.v4.paging import FromPage, list_of, page_answer
from assay.api.v4.rendering import Deleted, deleted_answer
from assay.api.v4.schemas.entities import Numbered
from assay.api.v4.schemas.questions import (
    CreateQuestionSet,
    QuestionSet,
    QuestionSetItem,
    QuestionSetWithQuestions,
    UpdateQuestionSet,
)
from assay.api.v4.tenancy import FromAccounts
from assay.services.questions import NewQuestionSet

router = version_router("/v4", "Question sets (v4)")


@router.post("/question-sets", response_model=QuestionSet)
async def create_question_set(
    services: FromServices,
    caller: FromCaller,
    body: Annotated[CreateQuestionSet, Depends(CreateBody(CreateQuestionSet))],
) -> Response:
    """Make a question set of questions in the same account."""
    given = body.question_id_to_config
    configs = None if given is None else {key: each.model_dump(exclude_unset=True) for key, each in given.items()}
    new = NewQuestionSet(body.name, tuple(body.question_ids), body.instructions, configs)
    question_set = await services.question_sets.create(caller.within(body.account_id), new)
    return json_response(render_question_set(question_set))


@router.get("/question-sets", response_model=Numbered[QuestionSetItem])
async def list_question_sets(
    services: FromServices,
    accounts: FromAccounts,
    page: FromPage,
    view: Annotated[tuple[str, ...], list_of("view", ("Questions",))],
    include_archived: bool = False,
) -> Response:
    """Question sets, newest first; with their questions when `view` is `Questions`."""
    filled = "Questions" in view
    found = await services.question_sets.list(accounts, page, include_archived=include_archived, with_questions=filled)
    items = [
        render_filled_question_set(each) if filled else render_question_set(each.question_set) for each in found.items
    ]
    return page_answer(items, found, page)


@router.get("/question-sets/{question_set_id}", response_model=QuestionSetWithQuestions)
async def retrieve_question_set(question_set_id: str, services: FromServices, caller: FromCaller) -> Response:
    """One question set with its questions, archived or not."""
    return json_response(render_filled_question_set(await services.question_sets.get(caller, question_set_id)))


@router.patch("/question-sets/{question_set_id}", response_model=QuestionSet)
async def update_question_set(
    question_set_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[UpdateQuestionSet, Depends(PatchBody(UpdateQuestionSet))],
) -> Response:
    """Change what is sent, or bring an archived set back with `restore`."""
    if body.restore:
        question_set = await services.question_sets.restore(caller, question_set_id)
    else:
        changes: dict[str, Any] = body.changes()
        if body.question_ids is not None:
            changes["question_ids"] = tuple(body.question_ids)
        question_set = await services.question_sets.update(caller, question_set_id, changes)
    return json_response(render_question_set(question_set))


@router.delete("/question-sets/{question_set_id}", response_model=Deleted)
async def delete_question_set(question_set_id: str, services: FromServices, caller: FromCaller) -> Response:
    """Archive a question set; configs that use it stay."""
    return deleted_answer(await services.question_sets.archive(caller, question_set_id))
