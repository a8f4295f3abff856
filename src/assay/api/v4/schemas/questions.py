"""Questions and question sets on the v4 wire. Some of a question's keys are camelCase, and only a question's."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from assay.api.shared.bodies import BodyModel
from assay.api.v4.bodies import Changes
from assay.api.v4.schemas.entities import Entity, Text
from assay.core.questions import QuestionType


class CategoricalChoice(BodyModel):
    """One of the answers; `value` is what is kept."""

    label: str
    value: str | bool | int | float
    audit_required: bool | None = None


class RatingOptions(BodyModel):
    """A scale from 1 to `scaleSteps`."""

    min_label: str = Field(alias="minLabel")
    max_label: str = Field(alias="maxLabel")
    scale_steps: int = Field(alias="scaleSteps")


class NumberOptions(BodyModel):
    """The least and the greatest number that is allowed."""

    min: float | None = None
    max: float | None = None


class CharacterLimit(BodyModel):
    """The shortest and the longest text that is allowed, in characters."""

    min: int | None = None
    max: int | None = None


class FreeTextOptions(BodyModel):
    """What is asked of a text."""

    character_limit: CharacterLimit = Field(alias="characterLimit")


class CreateQuestion(BodyModel):
    """A new question."""

    account_id: str | None = None
    type: Annotated[QuestionType, Field(strict=False)]
    title: Text
    prompt: Text
    choices: list[CategoricalChoice] | None = None
    multi: bool | None = None
    dropdown: bool | None = None
    rating_options: RatingOptions | None = Field(default=None, alias="ratingOptions")
    number_options: NumberOptions | None = Field(default=None, alias="numberOptions")
    free_text_options: FreeTextOptions | None = Field(default=None, alias="freeTextOptions")
    form_schema: dict[str, Any] | None = None
    allow_multi_timestamps: bool | None = Field(default=None, alias="allowMultiTimestamps")
    default: Any = None
    required: bool | None = None
    conditions: list[dict[str, Any]] | None = None


class V4Question(Entity):
    """A question; what its type does not have is null."""

    type: QuestionType
    title: str
    prompt: str
    choices: list[CategoricalChoice] | None
    multi: bool | None
    dropdown: bool | None
    ratingOptions: RatingOptions | None  # noqa: N815
    numberOptions: NumberOptions | None  # noqa: N815
    freeTextOptions: FreeTextOptions | None  # noqa: N815
    form_schema: dict[str, Any] | None
    allowMultiTimestamps: bool | None  # noqa: N815
    default: Any
    required: bool | None
    conditions: list[dict[str, Any]] | None


class QuestionSetQuestionConfig(BodyModel):
    """What a set says about one of its questions."""

    required: bool | None = None


class CreateQuestionSet(BodyModel):
    """A new question set; the order of `question_ids` is its order."""

    account_id: str | None = None
    name: Text
    question_ids: list[str]
    instructions: str | None = None
    question_id_to_config: dict[str, QuestionSetQuestionConfig] | None = None


class UpdateQuestionSet(Changes):
    """Changes to a question set, or `restore`. `question_ids` are all questions, not more of them."""

    clearable: ClassVar[frozenset[str]] = frozenset({"instructions"})

    name: Text | None = None
    instructions: str | None = None
    question_ids: list[str] | None = None


class QuestionSet(Entity):
    """A question set, without its questions."""

    name: str
    instructions: str | None
    question_id_to_config: dict[str, QuestionSetQuestionConfig] | None


class QuestionSetWithQuestions(QuestionSet):
    """A question set with its questions, in its order."""

    questions: list[V4Question]


class QuestionSetItem(QuestionSet):
    """A question set in a list; its questions are there when `view` names them."""

    questions: list[V4Question] | None = None
