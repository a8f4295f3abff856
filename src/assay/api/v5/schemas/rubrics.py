"""Rubrics and their criteria on the v5 wire."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, field_validator, model_validator

from assay.api.shared.bodies import BodyModel
from assay.api.v5.schemas.entities import Identity, Restore, Tags

Title = Annotated[str, Field(min_length=1, max_length=100_000)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False, description="How much it counts; 1 unless given.")]


class CreateCriterion(BodyModel):
    """A new criterion. `annotations` are kept and shown as they are; judges are not shown them."""

    title: Title
    weight: Weight | None = None
    annotations: dict[str, Any] | None = None


class UpdateCriterion(BodyModel):
    """Changes to a criterion: only what is sent changes, as a new version."""

    title: Title | None = None
    weight: Weight | None = None
    annotations: dict[str, Any] | None = None

    @field_validator("title", "weight")
    @classmethod
    def _stay(cls, value: object) -> object:
        if value is None:
            raise ValueError("a criterion has a title and a weight; leave out what stays")
        return value


class CreateRubric(BodyModel):
    """A new rubric, with its criteria in order."""

    title: Title
    tags: Tags | None = None
    criteria: Annotated[list[CreateCriterion], Field(min_length=1, max_length=1000)] | None = None


class UpdateRubric(BodyModel):
    """Changes to a rubric: only what is sent changes, as a new version. Or `restore`, alone."""

    restore: Restore | None = None
    title: Title | None = None
    tags: Tags | None = None

    @field_validator("title")
    @classmethod
    def _titled(cls, title: str | None) -> str:
        if title is None:
            raise ValueError("a rubric needs a title")
        return title

    @model_validator(mode="after")
    def _restore_stands_alone(self) -> Self:
        if self.restore and self.model_fields_set - {"restore"}:
            raise ValueError("restore goes alone; send the other changes after it")
        return self


class Criterion(BaseModel):
    """A criterion in one of its versions, which all have the same id."""

    id: str
    object: Literal["rubric_criteria"]
    rubric_id: str
    title: str
    version: int
    weight: float
    annotations: dict[str, Any] | None
    created_at: datetime


class CriterionSummary(BaseModel):
    """A criterion in a list of rubrics."""

    title: str
    weight: float


class _Rubric(BaseModel):
    id: str
    object: Literal["rubric"]
    title: str
    tags: list[str]
    version: int
    created_at: datetime
    created_by: Identity
    updated_at: datetime | None
    archived_at: datetime | None


class Rubric(_Rubric):
    """A rubric with its criteria as they are now."""

    criteria: list[Criterion]


class ListedRubric(_Rubric):
    """A rubric in a list."""

    criteria: list[CriterionSummary]


class RubricPage(BaseModel):
    """A page of rubrics."""

    object: Literal["list"]
    items: list[ListedRubric]
    total: int
    has_more: bool
    limit: int


class CriterionPage(BaseModel):
    """A page of a criterion's versions; its cursors are version numbers."""

    object: Literal["list"]
    items: list[Criterion]
    total: int
    has_more: bool
    limit: int


class DeletedRubric(BaseModel):
    """Says that a rubric was archived."""

    id: str
    object: Literal["rubric"]
    deleted: Literal[True]
