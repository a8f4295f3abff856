"""Evaluations of applications: what version 4 of the API says of an evaluation beside the core's own fields."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from assay.core.evaluations import Evaluation, EvaluationStatus
from assay.core.paging import NumberedPage

Kind = Literal["default", "builder"]
RESERVED_SPEC_NAME = "v5 evaluations"
RESERVED_SPEC_PREFIX = "v5-evaluations-"


@dataclass(frozen=True, slots=True)
class ApplicationSetup:
    """How an application is evaluated. Documents are the caller's: None when absent, an empty one when empty.

    A `default` evaluation gets its results from a client; a `builder` makes them from a dataset's version by
    its job `job_id`: from the outputs of the group, or (without one) by running the variant. `generated_at` is when
    it made them.
    """

    spec_id: str
    kind: Kind = "default"
    variant_id: str | None = None
    configuration: Mapping[str, Any] | None = None
    configuration_id: str | None = None
    annotation_config: Mapping[str, Any] | None = None
    question_annotation_configs: Mapping[str, Any] | None = None
    metric_config: Mapping[str, Any] | None = None
    dataset_id: str | None = None
    dataset_version: int | None = None
    output_group_id: str | None = None
    job_id: str | None = None
    generated_at: datetime | None = None

    @property
    def is_building(self) -> bool:
        """Whether its results are yet to be made."""
        return self.kind == "builder" and self.generated_at is None


@dataclass(frozen=True, slots=True)
class ApplicationEvaluation:
    """An evaluation and its setup; None for one that version 5 of the API made."""

    evaluation: Evaluation
    setup: ApplicationSetup | None

    @property
    def spec_id(self) -> str:
        """The application spec that it belongs to; those without a setup share one reserved for their account."""
        return self.setup.spec_id if self.setup else reserved_spec_id(self.evaluation.account_id)

    @property
    def completed_at(self) -> datetime | None:
        """When the last result completed, while all are."""
        return self.evaluation.finished_at if self.evaluation.status is EvaluationStatus.COMPLETED else None


SORT_KEYS = (
    "status",
    "application_spec_id",
    "application_spec",
    "application_variant_id",
    "application_variant",
    "evaluation_config_id",
    "completed_at",
    "total_test_case_result_count",
    "completed_test_case_result_count",
    "annotation_config",
    "question_id_to_annotation_config",
    "metric_config",
    "evaluation_config_expanded",
    "test_case_results",
    "async_jobs",
    "evaluation_datasets",
    "id",
    "created_at",
    "account_id",
    "created_by_user_id",
    "created_by_identity_type",
    "archived_at",
    "created_by_user",
    "name",
    "description",
    "tags",
    "evaluation_config",
)
"""What evaluations can be ordered by, in the API's words."""


@dataclass(frozen=True, slots=True)
class EvaluationQuery:
    """Which evaluations, and which page of them in which order: keys of `SORT_KEYS`, newest first among equals
    and by default. Missing values come last when ascending, else first."""

    account_ids: tuple[str, ...]
    page: NumberedPage = field(default_factory=NumberedPage)
    spec_id: str | None = None
    include_archived: bool = False


def reserved_spec_id(account_id: str) -> str:
    """The id of the application spec under which an account's evaluations without a setup are shown."""
    return f"{RESERVED_SPEC_PREFIX}{account_id}"


@dataclass(frozen=True, slots=True)
class ResultCounts:
    """How many results an evaluation has, how many of them are completed and failed, and with how many the engine
    still has work."""

    total: int
    completed: int
    failed: int
    waiting: int = 0


def status_after(counts: ResultCounts, setup: ApplicationSetup) -> EvaluationStatus:
    """The status that results give: completed once none is pending and one is completed, failed once all failed.

    It runs while a builder's results are not made, while the engine works on some, and while somebody may still add
    the first: but a builder that made none has failed.
    """
    if setup.is_building or counts.waiting or counts.completed + counts.failed < counts.total:
        return EvaluationStatus.RUNNING
    if counts.total == 0 and setup.kind == "default":
        return EvaluationStatus.RUNNING
    return EvaluationStatus.COMPLETED if counts.completed else EvaluationStatus.FAILED


@dataclass(frozen=True, slots=True)
class Settlement:
    """What results make of an evaluation. `has_job`: whether the engine has, or had, something to do for it."""

    counts: ResultCounts
    status: EvaluationStatus
    has_job: bool
    reason: str | None = None
    finished_at: datetime | None = None
