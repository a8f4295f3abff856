"""Questions between the v5 wire and the core, which has one kind of question for every version."""

from typing import Any, get_args

from fastapi import Request

from assay.api.shared.bodies import JsonBody, read_json_object, validate
from assay.api.shared.rendering import render_identity
from assay.api.v5.schemas import questions as schemas
from assay.core.errors import InvalidInput, Problem
from assay.core.questions import Bounds, Choice, Question, QuestionType, Scale
from assay.services.questions import InvalidQuestion, NewQuestion

_MODELS = {
    get_args(model.model_fields["question_type"].annotation)[0]: model for model in get_args(schemas.NewQuestionBody)
}


class QuestionBody(JsonBody[schemas.CreateV5Question]):
    """The dependency that reads a new question. Its type decides what it is held to, so that what is wrong is
    said of that type alone."""

    def __init__(self) -> None:
        super().__init__(schemas.CreateV5Question)

    async def __call__(self, request: Request) -> schemas.CreateV5Question:
        """The validated body, bare or as `{"question": {...}}`. Raises TooLarge and InvalidInput."""
        body = await read_json_object(request)
        if isinstance(inner := body.get("question"), dict) and "name" not in body:
            body = inner
        kind = body.get("question_type")
        if not isinstance(kind, str) or kind not in _MODELS:
            message = f"must be one of: {', '.join(sorted(_MODELS))}"
            type_ = "missing" if kind is None else "enum"
            raise InvalidInput([Problem(("body", "question_type"), message, type_, kind)])
        return schemas.CreateV5Question.model_construct(validate(_MODELS[kind], body))


def new_question(body: schemas.CreateV5Question) -> NewQuestion:
    """The question that a body describes. A choice is kept by its text."""
    given = body.root
    settings: dict[str, Any] = {}
    match given.configuration:
        case schemas.CategoricalConfiguration() as categorical:
            settings["choices"] = tuple(Choice(choice, choice) for choice in categorical.choices)
            settings.update(multi=categorical.multi, dropdown=categorical.dropdown)
        case schemas.RatingConfiguration() as rating:
            settings["scale"] = Scale(rating.steps, rating.min_label, rating.max_label)
        case schemas.NumberConfiguration() as number:
            settings["bounds"] = Bounds(number.min, number.max)
        case schemas.FreeTextConfiguration() as text:
            settings["lengths"] = Bounds(text.min_length, text.max_length)
        case schemas.FormConfiguration() as form:
            settings["form_schema"] = form.form_schema
        case schemas.TimestampConfiguration() as timestamp:
            settings["multi"] = timestamp.multi
    return NewQuestion(
        type=QuestionType(given.question_type),
        title=given.name,
        prompt=given.prompt,
        conditions=None if given.conditions is None else tuple(given.conditions),
        **settings,
    )


_PLACES: dict[tuple[str, str | int | None], tuple[str, ...]] = {
    ("bounds", "minimum"): ("min",),
    ("lengths", "minimum"): ("min_length",),
    ("scale", "steps"): ("steps",),
}


def in_wire_words(error: InvalidQuestion) -> InvalidInput:
    """The error with the names that version 5 has for a question's parts."""
    problems = []
    seen = set()
    for name, problem in error.faults:
        first = problem.loc[0] if problem.loc else None
        if name == "choices":
            # A choice is label and value at once: two that are the same are said once.
            parts: tuple[str | int, ...] = ("choices", *problem.loc[:1])
        else:
            parts = _PLACES.get((name, first), (name,))
        place = ("body", "configuration", *parts)
        if place in seen:
            continue
        seen.add(place)
        message = problem.message.replace("has this label", "is the same")
        problems.append(Problem(place, message, problem.type, problem.input))
    return InvalidInput(problems)


def render_question(question: Question) -> dict[str, Any]:
    """A question's wire object, whichever version made it."""
    return {
        "id": question.id,
        "object": "question",
        "question_type": question.type.value,
        "name": question.title,
        "prompt": question.prompt,
        "configuration": _configuration(question),
        "conditions": question.conditions,
        "created_at": question.created_at,
        "created_by": render_identity(question.created_by),
        "archived_at": question.archived_at,
    }


def _configuration(question: Question) -> dict[str, Any] | None:
    """The settings of the question's type; null where it may have none and has none."""
    match question.type:
        case QuestionType.CATEGORICAL:
            choices = [choice.label for choice in question.choices or ()]
            return {"choices": choices, "multi": question.multi, "dropdown": question.dropdown}
        case QuestionType.RATING:
            scale = question.scale or Scale(0, "", "")
            return {"steps": scale.steps, "min_label": scale.min_label, "max_label": scale.max_label}
        case QuestionType.NUMBER:
            bounds = question.bounds
            return None if bounds is None else {"min": bounds.minimum, "max": bounds.maximum}
        case QuestionType.FREE_TEXT:
            lengths = question.lengths
            return None if lengths is None else {"min_length": lengths.minimum, "max_length": lengths.maximum}
        case QuestionType.FORM:
            return {"form_schema": question.form_schema or {}}
        case _:
            given = question.multi is not None or question.allow_multi_timestamps is not None
            return {"multi": question.takes_many} if given else None
