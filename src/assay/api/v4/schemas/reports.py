"""Reports about application variants on the v4 wire."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from assay.api.shared.bodies import BodyModel
from assay.api.v4.schemas.datasets import EvaluationDataset
from assay.api.v4.schemas.entities import Entity


class CreateReport(BodyModel):
    """A report to make over datasets' newest published versions."""

    account_id: str | None = None
    application_variant_id: str
    evaluation_dataset_ids: Annotated[list[str], Field(min_length=1, max_length=100)]
    application_test_case_output_group_ids: Annotated[list[str], Field(max_length=100)] | None = None


class ReportedDataset(BaseModel):
    """A dataset that a report is over."""

    evaluation_dataset: EvaluationDataset
    evaluation_dataset_version_num: int
    generation_status: Literal["Completed"]
    scored_test_case_count: int


class ReportJob(BaseModel):
    """The job of a report, which is over as soon as there is one."""

    id: str
    created_at: datetime
    updated_at: datetime
    job_type: Literal["application-variant-report-generation"]
    status: Literal["Completed"]
    progress: dict[str, int]
    job_metadata: dict[str, Any] | None
    status_reason: str


class ApplicationVariantReport(Entity):
    """A report. Every score is null; `async_jobs` is there when `view` asks for it."""

    application_spec_id: str
    application_variant_id: str
    updated_at: datetime
    score: None
    category_scores: list[dict[str, Any]]
    evaluation_datasets: list[ReportedDataset]
    async_jobs: list[ReportJob] | None = None
