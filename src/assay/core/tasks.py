"""A task as an evaluation holds it: its type, its alias and its configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """One task of an evaluation, with its alias resolved. `configuration` is the validated wire object."""

    task_type: str
    alias: str
    configuration: Mapping[str, Any]
