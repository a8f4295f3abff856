"""The union of the task types, made from the registry when the server is built."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, create_model
from pydantic.json_schema import models_json_schema

from assay.api.shared.bodies import BodyModel
from assay.api.shared.document import PLACEHOLDER, REF_TEMPLATE
from assay.registry.task_types import TaskType

Task = Annotated[Any, WithJsonSchema({PLACEHOLDER: "Task"})]
"""A task as it travels: `{task_type, alias, configuration}`; checked by `services.planning`, not here."""


class AddTask(BodyModel):
    """Adds a task to an evaluation."""

    task: Task


class ReplaceConfiguration(BodyModel):
    """Replaces the configuration of a task as a whole."""

    configuration: dict[str, Any]


class DryRunTask(BodyModel):
    """Runs a task on sample rows; nothing is stored."""

    task_type: str
    configuration: dict[str, Any]
    sample_data: list[dict[str, Any]] = Field(min_length=1)


class DryRunFault(BaseModel):
    """Why a row has no value."""

    type: str
    message: str


class DryRunRow(BaseModel):
    """What the function gave for one row."""

    index: int
    result: Any
    outputs: dict[str, Any]
    error: DryRunFault | None


class DryRun(BaseModel):
    """What the function gave for each sample row."""

    object: Literal["evaluation.task.dry_run"]
    results: list[DryRunRow]
    total: int
    succeeded: int
    failed: int


def task_components(task_types: Mapping[str, TaskType]) -> dict[str, Any]:
    """The document's schemas of the task types and of `Task`, their union by `task_type`."""
    models = {name: _task_model(name, task_types[name]) for name in sorted(task_types)}
    if not models:
        return {"Task": {"type": "object"}}
    _, definitions = models_json_schema([(model, "validation") for model in models.values()], ref_template=REF_TEMPLATE)
    schemas: dict[str, Any] = definitions["$defs"]
    refs = {name: REF_TEMPLATE.format(model=model.__name__) for name, model in models.items()}
    schemas["Task"] = {
        "title": "Task",
        "oneOf": [{"$ref": ref} for ref in refs.values()],
        "discriminator": {"propertyName": "task_type", "mapping": refs},
    }
    return schemas


def _task_model(name: str, task_type: TaskType) -> type[BaseModel]:
    title = "".join(part.capitalize() for part in name.replace(".", "_").split("_"))
    # A subclass has a name of its own: every task type calls its schema Configuration.
    configuration = create_model(f"{title}Configuration", __base__=task_type.Configuration)
    configuration.__doc__ = task_type.Configuration.__doc__
    literal: Any = Literal
    model: type[BaseModel] = create_model(
        f"{title}Task",
        __config__=ConfigDict(title=f"{title}Task"),
        __doc__=f"A task of the type `{name}`.",
        task_type=(literal[name], ...),
        alias=(str | None, Field(default=None, description="The task's name in its evaluation; names its column.")),
        configuration=(configuration, ...),
    )
    return model
