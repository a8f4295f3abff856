"""Questions on the v5 wire: one shape for each type, told apart by `question_type`."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from assay.api.shared.bodies import BodyModel
from assay.api.v5.schemas.entities import Identity, Name

Prompt = Annotated[str, Field(min_length=1, max_length=100_000, description="What is asked.")]
Conditions = list[dict[str, Any]]
Choice = Annotated[str, Field(min_length=1)]


class CategoricalConfiguration(BodyModel):
    """The answers to choose from. `multi` allows several of them; `dropdown` is for the screen."""

    choices: Annotated[list[Choice], Field(min_length=1)]
    multi: bool | None = None
    dropdown: bool | None = None


class RatingConfiguration(BodyModel):
    """A scale of whole numbers from 1 to `steps`, with a label at each end."""

    steps: Annotated[int, Field(ge=2, le=1_000_000)]
    min_label: str
    max_label: str


class NumberConfiguration(BodyModel):
    """The least and the greatest number that is allowed."""

    min: float | None = None
    max: float | None = None


class FreeTextConfiguration(BodyModel):
    """The shortest and the longest text that is allowed, in characters."""

    min_length: Annotated[int, Field(ge=0)] | None = None
    max_length: Annotated[int, Field(ge=0)] | None = None


class FormConfiguration(BodyModel):
    """The JSON Schema of the object that is the answer."""

    form_schema: dict[str, Any]


class TimestampConfiguration(BodyModel):
    """Whether several times may be answered."""

    multi: bool | None = None


class _NewQuestion(BodyModel):
    name: Name
    prompt: Prompt
    conditions: Conditions | None = None


class CreateCategoricalQuestion(_NewQuestion):
    """A question whose answer is one or several of its choices."""

    question_type: Literal["categorical"]
    configuration: CategoricalConfiguration


class CreateRatingQuestion(_NewQuestion):
    """A question whose answer is a step of a scale."""

    question_type: Literal["rating"]
    configuration: RatingConfiguration


class CreateNumberQuestion(_NewQuestion):
    """A question whose answer is a number."""

    question_type: Literal["number"]
    configuration: NumberConfiguration | None = None


class CreateFreeTextQuestion(_NewQuestion):
    """A question whose answer is text."""

    question_type: Literal["free_text"]
    configuration: FreeTextConfiguration | None = None


class CreateFormQuestion(_NewQuestion):
    """A question whose answer is an object."""

    question_type: Literal["form"]
    configuration: FormConfiguration


class CreateTimestampQuestion(_NewQuestion):
    """A question whose answer is a time, in seconds, or several."""

    question_type: Literal["timestamp"]
    configuration: TimestampConfiguration | None = None


NewQuestionBody = (
    CreateCategoricalQuestion
    | CreateRatingQuestion
    | CreateNumberQuestion
    | CreateFreeTextQuestion
    | CreateFormQuestion
    | CreateTimestampQuestion
)


class CreateV5Question(RootModel[Annotated[NewQuestionBody, Field(discriminator="question_type")]]):
    """A new question of one of the types."""


class UpdateQuestion(BodyModel):
    """A question's new name; nothing else about a question changes."""

    model_config = ConfigDict(strict=True, extra="forbid")

    name: Name


class _Question(BaseModel):
    id: str
    object: Literal["question"]
    name: str
    prompt: str
    conditions: Conditions | None
    created_at: datetime
    created_by: Identity
    archived_at: datetime | None


class CategoricalQuestion(_Question):
    """A question whose answer is one or several of its choices."""

    question_type: Literal["categorical"]
    configuration: CategoricalConfiguration


class RatingQuestion(_Question):
    """A question whose answer is a step of a scale."""

    question_type: Literal["rating"]
    configuration: RatingConfiguration


class NumberQuestion(_Question):
    """A question whose answer is a number."""

    question_type: Literal["number"]
    configuration: NumberConfiguration | None


class FreeTextQuestion(_Question):
    """A question whose answer is text."""

    question_type: Literal["free_text"]
    configuration: FreeTextConfiguration | None


class FormQuestion(_Question):
    """A question whose answer is an object."""

    question_type: Literal["form"]
    configuration: FormConfiguration


class TimestampQuestion(_Question):
    """A question whose answer is a time or several."""

    question_type: Literal["timestamp"]
    configuration: TimestampConfiguration | None


V5Question = Annotated[
    CategoricalQuestion | RatingQuestion | NumberQuestion | FreeTextQuestion | FormQuestion | TimestampQuestion,
    Field(discriminator="question_type"),
]


class Question(RootModel[V5Question]):
    """A question. One that was made by version 4 of the API shows the labels of its choices."""


class QuestionPage(BaseModel):
    """A page of questions."""

    object: Literal["list"]
    items: list[V5Question]
    total: int
    has_more: bool
    limit: int
