"""How an evaluation's questions are answered: by people, by a judge model, by both, or elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from assay.core.identity import Identity


class EvaluationType(StrEnum):
    """Who answers the questions. LLM_BENCHMARK is both, so that they can be compared."""

    LLM_AUTO = "llm_auto"
    LLM_BENCHMARK = "llm_benchmark"
    HUMAN = "human"
    STUDIO = "studio"

    @property
    def has_judge(self) -> bool:
        """Whether a model answers."""
        return self in (EvaluationType.LLM_AUTO, EvaluationType.LLM_BENCHMARK)


@dataclass(frozen=True, slots=True)
class EvaluationConfig:
    """A question set and who answers it; never changes. Archived ones are only hidden from lists.

    `auto_evaluation_model` is the judge, there exactly when the type has one. `auto_evaluation_parameters` are
    kept as given: `temperature` and `batch_size`.
    """

    id: str
    seq: int
    account_id: str
    question_set_id: str
    evaluation_type: EvaluationType
    created_at: datetime
    created_by: Identity
    auto_evaluation_model: str | None = None
    auto_evaluation_parameters: Mapping[str, Any] | None = None
    studio_project_id: str | None = None
    archived_at: datetime | None = None
