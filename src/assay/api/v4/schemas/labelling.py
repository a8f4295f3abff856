"""Tasks of results, and the labelling of evaluations in numbers, on the v4 wire."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from assay.api.shared.bodies import BodyModel
from assay.api.v4.schemas.entities import Text
from assay.api.v4.schemas.results import TestCaseResult

TaskType = Literal["EVALUATION_ANNOTATION", "EVALUATION_AUDIT", "CONTRIBUTOR_ANNOTATION", "CONTRIBUTOR_AUDIT"]
TaskStatus = Literal["NOT_READY", "PENDING", "PENDING_REDO", "COMPLETED", "FIXED"]


class ClaimTask(BodyModel):
    """What is claimed: `skip_current` gives back the task that the caller holds."""

    skip_current: bool = False


class AssignTask(BodyModel):
    """Whom a task is for; nobody when it is left out."""

    assigned_to: Text | None = None


class AssignTasks(BodyModel):
    """Whom tasks are for; nobody when it is left out."""

    task_ids: list[str] = Field(max_length=10_000)
    assigned_to: Text | None = None


class Task(BaseModel):
    """A piece of somebody's work on a result."""

    id: str
    account_id: str
    task_type: TaskType
    task_entity_parent_id: str
    task_entity_id: str
    status: TaskStatus
    priority: int
    assigned_to: str | None
    assignment_expires_at: datetime | None
    task_entity: TestCaseResult | None


class EvaluationMetrics(BaseModel):
    """How the labelling of an evaluation goes on. Percentages are of the labelled results, from 0 to 100."""

    evaluation_id: str
    num_total_test_cases: int
    num_test_cases_labeled: int
    num_test_cases_flagged: int
    num_test_cases_approved: int
    num_test_cases_fixed: int
    num_test_cases_unaudited: int
    percentage_test_cases_approved: float
    percentage_test_cases_fixed: float
    percentage_test_cases_unaudited: float
    avg_labeling_time_per_test_case: float
    avg_num_test_cases_labeled_per_day: float


class ContributorMetrics(BaseModel):
    """What one contributor has labelled."""

    evaluation_id: str
    annotated_by_user_id: str
    total_num_test_cases_labeled: int
    num_test_cases_fixed: int
    percentage_test_cases_fixed: float
    total_time_spent_labeling_sec: int | None
    avg_time_spent_labeling_sec: float | None


class QuestionAgreement(BaseModel):
    """How far people's answers to a question are those of the judge."""

    question_title: str
    evaluation_question: str
    question_type: str
    is_conditional_question: bool
    choices: list[dict[str, Any]] | None
    num_correct: int
    num_wrong: int
    num_inconclusive: int
    num_free_text: int
    agreement_rate: float
    total_time: float
    total_tokens: float


class HybridMetrics(BaseModel):
    """People beside the judge, by question id; empty unless both answer."""

    all_question_info: dict[str, QuestionAgreement]
