"""Builds applications, questions, question sets and evaluation configs."""

from typing import Any

from assay.core.applications import ApplicationSpec, ApplicationVariant, VariantVersion
from assay.core.evaluation_configs import EvaluationConfig, EvaluationType
from assay.core.identity import DEFAULT_ACCOUNT_ID
from assay.core.questions import Question, QuestionSet, QuestionType
from tests.builders.identity import ALICE, NOW, new_id


def _entity(**fields: Any) -> dict[str, Any]:
    common = {"id": new_id(), "seq": 0, "account_id": DEFAULT_ACCOUNT_ID, "created_at": NOW, "created_by": ALICE}
    return {**common, **fields}


def make_spec(**changes: Any) -> ApplicationSpec:
    """An application spec of the default account."""
    return ApplicationSpec(**_entity(name="bot", description="", **changes))


def make_variant(spec: ApplicationSpec, **changes: Any) -> ApplicationVariant:
    """An offline variant of a spec."""
    defaults = {
        "account_id": spec.account_id,
        "application_spec_id": spec.id,
        "name": "first",
        "version": VariantVersion.OFFLINE,
        "configuration": {},
        "updated_at": NOW,
    }
    return ApplicationVariant(**_entity(**{**defaults, **changes}))


def make_question(**changes: Any) -> Question:
    """A free-text question of the default account."""
    defaults = {"type": QuestionType.FREE_TEXT, "title": "why", "prompt": "Why?"}
    return Question(**_entity(**{**defaults, **changes}))


def make_question_set(*questions: Question, **changes: Any) -> QuestionSet:
    """A set of questions, of the default account."""
    ids = tuple(question.id for question in questions)
    return QuestionSet(**_entity(**{"name": "set", "question_ids": ids, **changes}))


def make_config(question_set: QuestionSet, **changes: Any) -> EvaluationConfig:
    """A config by which people answer a set."""
    defaults = {
        "account_id": question_set.account_id,
        "question_set_id": question_set.id,
        "evaluation_type": EvaluationType.HUMAN,
    }
    return EvaluationConfig(**_entity(**{**defaults, **changes}))
