"""Rubrics: lists of criteria to judge by. A rubric and each of its criteria keep every version that they had."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from assay.core.identity import Identity


@dataclass(frozen=True, slots=True)
class Rubric:
    """A rubric as it is now. `version` counts from 1 and grows when the title or the tags change; a change of
    its criteria is a version of theirs and not of the rubric."""

    id: str
    seq: int
    account_id: str
    title: str
    tags: tuple[str, ...]
    version: int
    created_at: datetime
    created_by: Identity
    updated_at: datetime | None = None
    archived_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RubricVersion:
    """What a rubric was called in one of its versions, and when that was made."""

    version: int
    title: str
    tags: tuple[str, ...]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Criterion:
    """One version of a criterion; all of them share its id. `created_at` is this version's time; `position` is
    its place in the rubric, the same in all versions."""

    id: str
    rubric_id: str
    position: int
    version: int
    title: str
    weight: float
    annotations: Mapping[str, Any] | None
    created_at: datetime


def rubric_document(rubric: RubricVersion, criteria: Sequence[Criterion]) -> dict[str, Any]:
    """A version of a rubric with its criteria as a JSON object, for a judge and for the record."""
    return {
        "version": rubric.version,
        "title": rubric.title,
        "tags": list(rubric.tags),
        "criteria": [
            {"id": each.id, "version": each.version, "title": each.title, "weight": each.weight} for each in criteria
        ],
    }
