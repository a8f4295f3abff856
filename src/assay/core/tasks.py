"""A task as an evaluation holds it: its type, its alias, its configuration and what that refers to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """One task of an evaluation, with its alias resolved. `configuration` is the validated wire object.

    `material` is what the configuration refers to by id (a question, a rubric), as it was when the evaluation
    was made: an evaluation means the same whatever becomes of that. It never goes over the wire.
    """

    task_type: str
    alias: str
    configuration: Mapping[str, Any]
    material: Mapping[str, Any] = field(default_factory=dict)
