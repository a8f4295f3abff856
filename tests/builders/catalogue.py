"""Builds applications, questions, question sets and evaluation configs."""

from typing import Any

from assay.core.applications import ApplicationSpec, ApplicationVariant, VariantVersion
from assay.core.evaluation_configs import EvaluationConfig, EvaluationType
from assay.core.generation import DraftTestCase, GenerationJob, GenerationRequest, GenerationStatus
from assay.core.identity import DEFAULT_ACCOUNT_ID
from assay.core.model_records import ModelDeployment, ModelInstance, ModelTemplate
from assay.core.questions import Question, QuestionSet, QuestionType
from assay.core.studio_projects import StudioProject
from assay.core.variant_reports import VariantReport
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


def make_project(**changes: Any) -> StudioProject:
    """A studio project of the default account."""
    return StudioProject(**_entity(**{"name": "project", "description": "", **changes}))


def make_template(**changes: Any) -> ModelTemplate:
    """A model template of the default account."""
    return ModelTemplate(**_entity(**{"name": "template", "details": {"model_type": "GENERIC"}, **changes}))


def make_instance(**changes: Any) -> ModelInstance:
    """A model of the default account."""
    return ModelInstance(**_entity(**{"name": "model", "details": {"model_type": "GENERIC"}, **changes}))


def make_deployment(instance: ModelInstance, **changes: Any) -> ModelDeployment:
    """A deployment of a model."""
    defaults = {"account_id": instance.account_id, "instance_id": instance.id, "name": "deployment", "details": {}}
    return ModelDeployment(**_entity(**{**defaults, **changes}))


def make_report(**changes: Any) -> VariantReport:
    """A report about a variant over two datasets."""
    defaults = {"spec_id": "s", "variant_id": "v", "datasets": (("d", 1), ("e", 2))}
    return VariantReport(**_entity(**{**defaults, **changes}))


def make_job(dataset_id: str, **changes: Any) -> GenerationJob:
    """A running job for a dataset."""
    defaults = {
        "dataset_id": dataset_id,
        "model": "fake/judge",
        "request": GenerationRequest(3, ("a", "b"), {"tone": ["kind"]}, "be brief"),
        "status": GenerationStatus.RUNNING,
        "updated_at": NOW,
    }
    return GenerationJob(**_entity(**{**defaults, **changes}))


def make_draft(dataset_id: str, **changes: Any) -> DraftTestCase:
    """A draft for a dataset."""
    defaults = {"dataset_id": dataset_id, "data": {"input": "q"}, "updated_at": NOW}
    return DraftTestCase(**_entity(**{**defaults, **changes}))
