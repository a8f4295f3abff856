"""Applications, questions, question sets and evaluation configs as version 4 shows them."""

from typing import Any, Protocol

from assay.api.v4.rendering import render_creator
from assay.api.v4.schemas.evaluation_configs import CreateEvaluationConfig
from assay.api.v4.schemas.questions import CreateQuestion
from assay.core.applications import ApplicationSpec, ApplicationVariant
from assay.core.errors import InvalidInput, Problem
from assay.core.evaluation_configs import EvaluationConfig
from assay.core.identity import Identity
from assay.core.questions import Bounds, Choice, Question, QuestionSet, Scale
from assay.core.studio_projects import StudioProject
from assay.services.evaluation_configs import NewEvaluationConfig
from assay.services.questions import FilledQuestionSet, InvalidQuestion, NewQuestion


class Stored(Protocol):
    """What every stored thing has."""

    @property
    def id(self) -> str: ...

    @property
    def account_id(self) -> str: ...

    @property
    def created_at(self) -> Any: ...

    @property
    def created_by(self) -> Identity: ...

    @property
    def archived_at(self) -> Any: ...


def render_entity(entity: Stored) -> dict[str, Any]:
    """What every stored thing shows."""
    return {
        "id": entity.id,
        "account_id": entity.account_id,
        "created_at": entity.created_at,
        **render_creator(entity.created_by),
        "archived_at": entity.archived_at,
    }


def render_application_spec(spec: ApplicationSpec) -> dict[str, Any]:
    """An application spec."""
    return {
        **render_entity(spec),
        "name": spec.name,
        "description": spec.description,
        "run_online_evaluation": spec.run_online_evaluation,
        "theme_id": spec.theme_id,
        "parent_application_spec_id": None,
    }


def render_application_variant(variant: ApplicationVariant) -> dict[str, Any]:
    """An application variant."""
    return {
        **render_entity(variant),
        "application_spec_id": variant.application_spec_id,
        "name": variant.name,
        "version": variant.version.value,
        "configuration": variant.configuration,
        "description": variant.description,
        "draft": variant.draft,
        "published_at": variant.published_at,
        "updated_at": variant.updated_at,
    }


def render_studio_project(project: StudioProject) -> dict[str, Any]:
    """A studio project."""
    return {**render_entity(project), "name": project.name, "description": project.description}


def new_question(body: CreateQuestion) -> NewQuestion:
    """The question that a body describes."""
    rating, number, text = body.rating_options, body.number_options, body.free_text_options
    choices = body.choices
    return NewQuestion(
        type=body.type,
        title=body.title,
        prompt=body.prompt,
        choices=None
        if choices is None
        else tuple(Choice(each.label, each.value, each.audit_required) for each in choices),
        multi=body.multi,
        dropdown=body.dropdown,
        scale=None if rating is None else Scale(rating.scale_steps, rating.min_label, rating.max_label),
        bounds=None if number is None else Bounds(number.min, number.max),
        lengths=None if text is None else Bounds(text.character_limit.min, text.character_limit.max),
        form_schema=body.form_schema,
        allow_multi_timestamps=body.allow_multi_timestamps,
        default=body.default,
        required=body.required,
        conditions=None if body.conditions is None else tuple(body.conditions),
    )


_WIRE_NAMES: dict[str, tuple[str, ...]] = {
    "scale": ("ratingOptions",),
    "bounds": ("numberOptions",),
    "lengths": ("freeTextOptions", "characterLimit"),
    "steps": ("scaleSteps",),
    "minimum": ("min",),
    "maximum": ("max",),
}


def in_wire_words(error: InvalidQuestion) -> InvalidInput:
    """The error with the names that version 4 has for a question's parts."""
    problems = []
    for name, problem in error.faults:
        parts = [part for each in (name, *problem.loc) for part in _WIRE_NAMES.get(str(each), (each,))]
        problems.append(Problem(("body", *parts), problem.message, problem.type, problem.input))
    return InvalidInput(problems)


def render_question(question: Question) -> dict[str, Any]:
    """A question."""
    scale, bounds, lengths = question.scale, question.bounds, question.lengths
    return {
        **render_entity(question),
        "type": question.type.value,
        "title": question.title,
        "prompt": question.prompt,
        "choices": None if question.choices is None else [_choice(each) for each in question.choices],
        "multi": question.multi,
        "dropdown": question.dropdown,
        "ratingOptions": None
        if scale is None
        else {"minLabel": scale.min_label, "maxLabel": scale.max_label, "scaleSteps": scale.steps},
        "numberOptions": None if bounds is None else _limits(bounds),
        "freeTextOptions": None if lengths is None else {"characterLimit": _limits(lengths)},
        "form_schema": question.form_schema,
        "allowMultiTimestamps": question.allow_multi_timestamps,
        "default": question.default,
        "required": question.required,
        "conditions": question.conditions,
    }


def _choice(choice: Choice) -> dict[str, Any]:
    return {"label": choice.label, "value": choice.value, "audit_required": choice.audit_required}


def _limits(bounds: Bounds) -> dict[str, Any]:
    return {"min": bounds.minimum, "max": bounds.maximum}


def render_question_set(question_set: QuestionSet) -> dict[str, Any]:
    """A question set without its questions."""
    return {
        **render_entity(question_set),
        "name": question_set.name,
        "instructions": question_set.instructions,
        "question_id_to_config": question_set.question_id_to_config,
    }


def render_filled_question_set(filled: FilledQuestionSet) -> dict[str, Any]:
    """A question set with its questions."""
    questions = [render_question(question) for question in filled.questions]
    return {**render_question_set(filled.question_set), "questions": questions}


def new_evaluation_config(body: CreateEvaluationConfig) -> NewEvaluationConfig:
    """The evaluation config that a body describes."""
    parameters = body.auto_evaluation_parameters
    return NewEvaluationConfig(
        question_set_id=body.question_set_id,
        evaluation_type=body.evaluation_type,
        auto_evaluation_model=body.auto_evaluation_model,
        auto_evaluation_parameters=None if parameters is None else parameters.model_dump(exclude_unset=True),
        studio_project_id=body.studio_project_id,
    )


def render_evaluation_config(config: EvaluationConfig) -> dict[str, Any]:
    """An evaluation config."""
    return {
        **render_entity(config),
        "question_set_id": config.question_set_id,
        "evaluation_type": config.evaluation_type.value,
        "auto_evaluation_model": config.auto_evaluation_model,
        "auto_evaluation_parameters": config.auto_evaluation_parameters,
        "studio_project_id": config.studio_project_id,
    }
