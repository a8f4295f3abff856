"""Agreement on the wire: an addition of Assay's."""

from typing import Literal

from pydantic import BaseModel, Field

from assay.api.v5.schemas.evaluations import IntervalBody

Scale = Literal["nominal", "ordinal", "interval"]


class Figure(BaseModel):
    """A figure of agreement over `items` items with `answers` answers. `value` is null where it is not defined: when
    all answers are the same, chance alone would give full agreement."""

    value: float | None
    interval: IntervalBody | None
    items: int
    answers: int


class PairAgreement(BaseModel):
    """Two contributors on the items that both answered."""

    contributors: list[str]
    items: int
    percent_agreement: Figure | None
    cohens_kappa: Figure | None


class QuestionAgreement(BaseModel):
    """Contributors among themselves on one question, by what each said before any audit. `items` have two answers or
    more, `missing` fewer. `scale` is null where answers cannot be compared, and then there are no figures."""

    alias: str
    question_id: str
    question_type: str
    scale: Scale | None
    contributors: list[str]
    items: int
    missing: int
    answers: int
    percent_agreement: Figure | None
    krippendorffs_alpha: Figure | None
    pairs: list[PairAgreement] = Field(description="At most 50, those with the most items in common first.")
    pairs_total: int


class Comparison(BaseModel):
    """Two columns, such as a judge's and people's, on the items that have both. `missing` counts, for each, the items
    without a value."""

    aliases: list[str]
    scale: Scale | None
    items: int
    missing: list[int]
    percent_agreement: Figure | None
    cohens_kappa: Figure | None
    krippendorffs_alpha: Figure | None


class Agreement(BaseModel):
    """How far answers agree, beyond chance."""

    object: Literal["evaluation_agreement"]
    evaluation_id: str
    items: int
    questions: list[QuestionAgreement]
    comparisons: list[Comparison]
