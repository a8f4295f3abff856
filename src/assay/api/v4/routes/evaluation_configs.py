"""Evaluation configs: `/v4/evaluation-configs`. They never change."""

from typing import Annotated

from fastapi import Depends, Response

from assay.api.shared.auth import FromCaller
from assay.api.shared.rendering import json_response
from assay.api.shared.services import FromServices
from assay.api.shared.versions import version_router
from assay.api.v4.bodies import CreateBody
from assay.api.v4.catalogue import new_evaluation_config, render_evaluation_config
from assay.api.v4.paging import FromPage, page_answer
from assay.api.v4.rendering import Deleted, deleted_answer
from assay.api.v4.schemas.entities import Numbered
from assay.api.v4.schemas.evaluation_configs import CreateEvaluationConfig, EvaluationConfig
from assay.api.v4.tenancy import FromAccounts

router = version_router("/v4", "Evaluation configs (v4)")


@router.post("/evaluation-configs", response_model=EvaluationConfig)
async def create_evaluation_config(
    services: FromServices,
    caller: FromCaller,
    body: Annotated[CreateEvaluationConfig, Depends(CreateBody(CreateEvaluationConfig))],
) -> Response:
    """Make an evaluation config. Without a type it is for a judge when a model is named, else for people."""
    acting = caller.within(body.account_id)
    return json_response(
        render_evaluation_config(await services.evaluation_configs.create(acting, new_evaluation_config(body)))
    )


@router.get("/evaluation-configs", response_model=Numbered[EvaluationConfig])
async def list_evaluation_configs(services: FromServices, accounts: FromAccounts, page: FromPage) -> Response:
    """Evaluation configs, newest first."""
    found = await services.evaluation_configs.list(accounts, page)
    return page_answer([render_evaluation_config(config) for config in found.items], found, page)


@router.get("/evaluation-configs/{evaluation_config_id}", response_model=EvaluationConfig)
async def retrieve_evaluation_config(evaluation_config_id: str, services: FromServices, caller: FromCaller) -> Response:
    """One evaluation config, archived or not."""
    return json_response(render_evaluation_config(await services.evaluation_configs.get(caller, evaluation_config_id)))


@router.delete("/evaluation-configs/{evaluation_config_id}", response_model=Deleted)
async def delete_evaluation_config(evaluation_config_id: str, services: FromServices, caller: FromCaller) -> Response:
    """Hide an evaluation config; evaluations that use it stay as they are."""
    return deleted_answer(await services.evaluation_configs.archive(caller, evaluation_config_id))
