"""Evaluations on the v4 wire."""

from datetime import datetime
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field

from assay.api.shared.bodies import BodyModel
from assay.api.v4.bodies import Changes
from assay.api.v4.schemas.applications import ApplicationSpec
from assay.api.v4.schemas.datasets import EvaluationDataset
from assay.api.v4.schemas.entities import Entity, Text
from assay.api.v4.schemas.evaluation_configs import CreateEvaluationConfig
from assay.api.v4.schemas.results import TestCaseResultWithViews

MetricType = Literal["rouge", "rouge1", "rouge2", "rougeL", "bleu", "meteor", "cosine_similarity", "f1"]


class MetricComponent(BodyModel):
    """A metric to compute for each result."""

    name: Text
    type: MetricType
    mappings: dict[str, list[str]] | None = None
    params: dict[str, Any] | None = None


class MetricConfig(BodyModel):
    """The metrics to compute."""

    components: list[MetricComponent]


class CreateApplicationEvaluation(BodyModel):
    """A new evaluation. Without a `type` it is a builder when a dataset and a variant are named."""

    account_id: str | None = None
    name: Text
    description: str
    application_spec_id: str
    application_variant_id: str | None = None
    evaluation_dataset_id: str | None = None
    evaluation_dataset_version: int | None = Field(default=None, ge=1, lt=2**31)
    application_test_case_output_group_id: str | None = None
    evaluation_config_id: str | None = None
    inline_evaluation_config: CreateEvaluationConfig | None = None
    evaluation_config: dict[str, Any] | None = None
    annotation_config: dict[str, Any] | None = None
    question_id_to_annotation_config: dict[str, dict[str, Any]] | None = None
    metric_config: MetricConfig | None = None
    tags: dict[str, Any] | None = None
    type: Literal["builder", "default"] | None = None


class UpdateApplicationEvaluation(Changes):
    """Changes to an evaluation; objects are replaced as a whole and null clears them."""

    clearable: ClassVar[frozenset[str]] = frozenset(
        {
            "application_variant_id",
            "evaluation_config_id",
            "evaluation_config",
            "annotation_config",
            "question_id_to_annotation_config",
            "tags",
        }
    )

    name: Text | None = None
    description: str | None = None
    application_spec_id: str | None = None
    application_variant_id: str | None = None
    evaluation_config_id: str | None = None
    evaluation_config: dict[str, Any] | None = None
    annotation_config: dict[str, Any] | None = None
    question_id_to_annotation_config: dict[str, dict[str, Any]] | None = None
    tags: dict[str, Any] | None = None
    evaluation_type: Literal["llm_benchmark"] | None = None


class ApplicationEvaluation(Entity):
    """An evaluation of an application."""

    name: str
    description: str
    status: Literal["PENDING", "COMPLETED", "FAILED"]
    application_spec_id: str
    application_variant_id: str | None
    tags: dict[str, Any] | None
    evaluation_config: dict[str, Any] | None
    evaluation_config_id: str | None
    completed_at: datetime | None
    total_test_case_result_count: int
    completed_test_case_result_count: int
    annotation_config: dict[str, Any] | None
    question_id_to_annotation_config: dict[str, Any] | None
    metric_config: MetricConfig | None


class AsyncJob(BaseModel):
    """A job of an evaluation."""

    id: str
    created_at: datetime
    updated_at: datetime
    status: str
    job_type: str
    parent_job_id: str | None
    progress: dict[str, Any] | None
    job_metadata: dict[str, Any] | None
    status_reason: str | None


class ApplicationEvaluationWithViews(ApplicationEvaluation):
    """An evaluation with what `view` asks for; the other views' keys are absent."""

    application_spec: ApplicationSpec | None = None
    async_jobs: list[AsyncJob] | None = None
    evaluation_config_expanded: dict[str, Any] | None = None
    evaluation_datasets: list[EvaluationDataset] | None = None
    test_case_results: list[TestCaseResultWithViews] | None = None
