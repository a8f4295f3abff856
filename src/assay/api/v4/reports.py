"""Reports about application variants as version 4 shows them."""

import uuid
from collections.abc import Collection
from typing import Any

from assay.api.v4.catalogue import render_entity
from assay.api.v4.datasets import render_dataset
from assay.core.variant_reports import VariantReport
from assay.services.variant_reports import ShownReport

JOBS = uuid.UUID("0b2c7a6e-98d4-4f0a-8b38-0d5b0b4b7c11")
"""The name space of report jobs' ids, which are made from the report's."""

NO_SCORES = "made without scores: Assay has no measure for the categories of a report"

_CATEGORIES = {
    "accuracy": ("answer-correctness", "answer-relevance"),
    "retrieval": ("faithfulness", "context-recall"),
    "quality": ("coherence", "grammar"),
    "trust-and-safety": ("safety", "moderation"),
}
_SAFETY = (
    "safety-bias-and-stereotyping",
    "safety-opinions-disputed-topics",
    "safety-unethical-harmful-activities",
    "safety-copyright-violations",
    "safety-harmful-content",
    "safety-privacy-violations",
)


def render_report(shown: ShownReport, views: Collection[str]) -> dict[str, Any]:
    """A report with the views asked for."""
    report = shown.report
    rendered = {
        **render_entity(report),
        "application_spec_id": report.spec_id,
        "application_variant_id": report.variant_id,
        "updated_at": report.created_at,
        "score": None,
        "category_scores": [_category(name, metrics) for name, metrics in _CATEGORIES.items()],
        "evaluation_datasets": [
            {
                "evaluation_dataset": render_dataset(shown.datasets[dataset_id]),
                "evaluation_dataset_version_num": num,
                "generation_status": "Completed",
                "scored_test_case_count": 0,
            }
            for dataset_id, num in report.datasets
        ],
    }
    if "AsyncJobs" in views:
        rendered["async_jobs"] = [_job(report)]
    return rendered


def _job(report: VariantReport) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid5(JOBS, report.id)),
        "created_at": report.created_at,
        "updated_at": report.created_at,
        "job_type": "application-variant-report-generation",
        "status": "Completed",
        "progress": {"completed": 0, "failed": 0, "pending": 0},
        "job_metadata": None,
        "status_reason": NO_SCORES,
    }


def _category(name: str, metrics: tuple[str, ...]) -> dict[str, Any]:
    return {"category": name, "score": None, "metric_scores": [_metric(name, metric) for metric in metrics]}


def _metric(category: str, metric: str) -> dict[str, Any]:
    shown: dict[str, Any] = {"category": category, "metric_type": metric, "score": None}
    if metric == "safety":
        shown["sub_metric_scores"] = [_metric(category, each) for each in _SAFETY]
    return shown
