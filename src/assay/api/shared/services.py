"""The objects that routes call, gathered at start by `bootstrap` and found again on each request."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from assay.ports.storage import Storage
from assay.registry.task_types import TaskType
from assay.settings import Settings

if TYPE_CHECKING:
    from assay.services.access import Access
    from assay.services.aggregates import Aggregates
    from assay.services.agreement import Agreement
    from assay.services.annotation import AnnotationTasks
    from assay.services.annotation_batches import AnnotationBatches
    from assay.services.application_evaluations import ApplicationEvaluations
    from assay.services.application_outputs import ApplicationOutputs
    from assay.services.application_runs import ApplicationRuns
    from assay.services.applications import ApplicationSpecs, ApplicationVariants
    from assay.services.contributor_answers import ContributorAnswers
    from assay.services.dataset_versions import DatasetVersions
    from assay.services.datasets import Datasets
    from assay.services.draft_test_cases import DraftTestCases
    from assay.services.dry_runs import DryRuns
    from assay.services.estimates import Estimates
    from assay.services.evaluation_configs import EvaluationConfigs
    from assay.services.evaluations import Evaluations
    from assay.services.exports import Exports
    from assay.services.files import Files
    from assay.services.generation import GenerationJobs
    from assay.services.groups import Groups
    from assay.services.inference import InferenceCalls
    from assay.services.interactions import Interactions
    from assay.services.items import Items
    from assay.services.labelling_metrics import LabellingMetrics
    from assay.services.model_records import ModelDeployments, ModelInstances, ModelTemplates
    from assay.services.questions import Questions, QuestionSets
    from assay.services.registered_models import RegisteredModels
    from assay.services.result_claims import ResultClaims
    from assay.services.rubrics import Rubrics
    from assay.services.spans import SpanAssessments, Spans
    from assay.services.studio_projects import StudioProjects
    from assay.services.test_case_results import TestCaseResults
    from assay.services.test_cases import TestCases
    from assay.services.variant_reports import VariantReports


@dataclass(frozen=True, slots=True)
class ApiServices:
    """Every service that a version's routes may call."""

    storage: Storage
    access: "Access"
    agreement: "Agreement"
    annotation_batches: "AnnotationBatches"
    annotation_tasks: "AnnotationTasks"
    contributor_answers: "ContributorAnswers"
    evaluations: "Evaluations"
    items: "Items"
    exports: "Exports"
    aggregates: "Aggregates"
    datasets: "Datasets"
    files: "Files"
    estimates: "Estimates"
    groups: "Groups"
    spans: "Spans"
    span_assessments: "SpanAssessments"
    dry_runs: "DryRuns"
    application_runs: "ApplicationRuns"
    application_specs: "ApplicationSpecs"
    application_variants: "ApplicationVariants"
    questions: "Questions"
    question_sets: "QuestionSets"
    rubrics: "Rubrics"
    evaluation_configs: "EvaluationConfigs"
    application_evaluations: "ApplicationEvaluations"
    application_outputs: "ApplicationOutputs"
    dataset_versions: "DatasetVersions"
    test_cases: "TestCases"
    test_case_results: "TestCaseResults"
    result_claims: "ResultClaims"
    labelling_metrics: "LabellingMetrics"
    inference: "InferenceCalls"
    registered_models: "RegisteredModels"
    studio_projects: "StudioProjects"
    model_templates: "ModelTemplates"
    model_instances: "ModelInstances"
    model_deployments: "ModelDeployments"
    interactions: "Interactions"
    variant_reports: "VariantReports"
    generation_jobs: "GenerationJobs"
    draft_test_cases: "DraftTestCases"
    task_types: Mapping[str, TaskType]


def services_of(request: Request) -> ApiServices:
    """The services of the application that answers this request."""
    services: ApiServices = request.app.state.services
    return services


def settings_of(request: Request) -> Settings:
    """The settings of the application that answers this request."""
    settings: Settings = request.app.state.settings
    return settings


FromServices = Annotated[ApiServices, Depends(services_of)]
"""A route's parameter: `services: FromServices`."""
