"""Test cases made by a model: `/v4/evaluation-datasets/{id}/generation-jobs`."""

from typing import Annotated

from fastapi import Depends, Response

from assay.api.shared.auth import FromCaller
from assay.api.shared.rendering import json_response
from assay.api.shared.services import FromServices
from assay.api.shared.versions import version_router
from assay.api.v4.bodies import CreateBody
from assay.api.v4.generation import render_job
from assay.api.v4.schemas.generation import CreateGenerationJob, GenerationJob, GenerationJobs
from assay.services.generation import NewGeneration

router = version_router("/v4", "Generated test cases (v4)")

_JOBS = "/evaluation-datasets/{evaluation_dataset_id}/generation-jobs"


@router.post(_JOBS, response_model=GenerationJob)
async def create_generation_job(
    evaluation_dataset_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[CreateGenerationJob, Depends(CreateBody(CreateGenerationJob))],
) -> Response:
    """Have drafts made. Answers when they are, or with `Running` after three quarters of a minute: then the job
    goes on by itself."""
    new = NewGeneration(body.num_test_cases, body.harms_list, body.advanced_config, body.custom_instructions)
    return json_response(render_job(await services.generation_jobs.create(caller, evaluation_dataset_id, new)))


@router.get(_JOBS, response_model=GenerationJobs)
async def list_generation_jobs(evaluation_dataset_id: str, services: FromServices, caller: FromCaller) -> Response:
    """A dataset's jobs, newest first."""
    jobs = await services.generation_jobs.list(caller, evaluation_dataset_id)
    return json_response({"generation_jobs": [render_job(job) for job in jobs]})


@router.get(_JOBS + "/{generation_job_id}", response_model=GenerationJob)
async def retrieve_generation_job(
    evaluation_dataset_id: str, generation_job_id: str, services: FromServices, caller: FromCaller
) -> Response:
    """One job."""
    return json_response(
        render_job(await services.generation_jobs.get(caller, evaluation_dataset_id, generation_job_id))
    )


@router.post(_JOBS + "/{generation_job_id}/cancel", response_model=GenerationJob)
async def cancel_generation_job(
    evaluation_dataset_id: str, generation_job_id: str, services: FromServices, caller: FromCaller
) -> Response:
    """Stop a job; what it has made stays."""
    return json_response(
        render_job(await services.generation_jobs.cancel(caller, evaluation_dataset_id, generation_job_id))
    )
