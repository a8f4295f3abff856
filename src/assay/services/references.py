"""What tasks' configurations name by id is looked up when an evaluation is made, and kept with its tasks."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from assay.core.applications import ApplicationVariant
from assay.core.errors import InvalidInput, NotFound, Problem, RuleViolation
from assay.core.questions import Question, question_document
from assay.core.tasks import TaskSpec
from assay.ports.storage import UnitOfWork
from assay.registry.task_types import Reference, TaskType
from assay.services.applications import endpoint_of
from assay.services.catalogue import find_to_use
from assay.services.rubrics import rubric_material

Lookup = Callable[[UnitOfWork, str, Reference], Awaitable[dict[str, Any]]]


async def with_material(
    unit: UnitOfWork, account_id: str, specs: Sequence[TaskSpec], task_types: Mapping[str, TaskType]
) -> tuple[TaskSpec, ...]:
    """The tasks, each with what its configuration refers to, as that is now.

    Raises RuleViolation, saying where, for what is not in the account or is archived, and InvalidInput for what
    the task cannot work with.
    """
    filled = []
    for index, spec in enumerate(specs):
        references = getattr(task_types[spec.task_type], "references", None)
        found: dict[str, Any] = {}
        for reference in references(spec.configuration) if references is not None else ():
            place = ".".join(str(part) for part in ("tasks", index, "configuration", *reference.loc))
            try:
                found[reference.key] = await _LOOKUPS[reference.kind](unit, account_id, reference)
            except (NotFound, RuleViolation) as error:
                raise RuleViolation(f"{place}: {error.message}") from error
        if found:
            _check(index, spec, task_types[spec.task_type], found)
        filled.append(replace(spec, material=found))
    return tuple(filled)


def _check(index: int, spec: TaskSpec, task_type: TaskType, found: Mapping[str, Any]) -> None:
    problems = getattr(task_type, "material_problems", None)
    faults = problems(spec.configuration, found) if problems is not None else ()
    if faults:
        loc = ("body", "tasks", index, "configuration")
        raise InvalidInput([Problem((*loc, *fault.loc), fault.message, "invalid_configuration") for fault in faults])


async def _question(unit: UnitOfWork, account_id: str, reference: Reference) -> dict[str, Any]:
    return question_document(await find_to_use(unit.questions, Question, account_id, reference.id))


async def _application_variant(unit: UnitOfWork, account_id: str, reference: Reference) -> dict[str, Any]:
    variant = await find_to_use(unit.application_variants, ApplicationVariant, account_id, reference.id)
    endpoint_of(variant, "http")
    return {"id": variant.id, "name": variant.name, "endpoint": variant.configuration["endpoint"]}


async def _agent(unit: UnitOfWork, account_id: str, reference: Reference) -> dict[str, Any]:
    variant = await find_to_use(unit.application_variants, ApplicationVariant, account_id, reference.id)
    endpoint_of(variant, "agent")
    return {"id": variant.id, "name": variant.name, "endpoint": variant.configuration["endpoint"]}


async def _rubric(unit: UnitOfWork, account_id: str, reference: Reference) -> dict[str, Any]:
    return await rubric_material(unit, account_id, reference.id, reference.version)


_LOOKUPS: Mapping[str, Lookup] = {
    "agent": _agent,
    "application_variant": _application_variant,
    "question": _question,
    "rubric": _rubric,
}
"""What can be referred to, by the word for it in `Reference.kind`; each gives a JSON object."""
