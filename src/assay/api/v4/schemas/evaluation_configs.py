"""Evaluation configs on the v4 wire."""

from typing import Annotated

from pydantic import Field

from assay.api.shared.bodies import BodyModel
from assay.api.v4.schemas.entities import Entity, Text
from assay.core.evaluation_configs import EvaluationType


class AutoEvaluationParameters(BodyModel):
    """What the judge is told besides its question."""

    temperature: float | None = Field(default=None, ge=0, le=2)
    batch_size: int | None = Field(default=None, ge=1)


class CreateEvaluationConfig(BodyModel):
    """A new evaluation config. It can stand inside the body of an evaluation as well."""

    account_id: str | None = None
    question_set_id: str
    evaluation_type: Annotated[EvaluationType, Field(strict=False)] | None = None
    auto_evaluation_model: Text | None = None
    auto_evaluation_parameters: AutoEvaluationParameters | None = None
    studio_project_id: str | None = None


class EvaluationConfig(Entity):
    """A question set and who answers it."""

    question_set_id: str
    evaluation_type: EvaluationType
    auto_evaluation_model: str | None
    auto_evaluation_parameters: AutoEvaluationParameters | None
    studio_project_id: str | None
