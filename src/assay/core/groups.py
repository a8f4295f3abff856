"""Groups: evaluations that are compared, and the column that joins their items."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from assay.core.datasets import Dataset
from assay.core.evaluations import EvaluationStatus, Progress
from assay.core.identity import Identity
from assay.core.tasks import TaskSpec


@dataclass(frozen=True, slots=True)
class MemberEvaluation:
    """What a group shows of an evaluation: its fields without those that only its own pages need, since a page of
    groups has hundreds of them."""

    id: str
    seq: int
    name: str
    description: str | None
    tags: tuple[str, ...]
    metadata: Mapping[str, Any] | None
    tasks: tuple[TaskSpec, ...]
    status: EvaluationStatus
    status_reason: str | None
    progress: Progress
    has_job: bool
    created_at: datetime
    created_by: Identity
    archived_at: datetime | None = None
    datasets: tuple[Dataset, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupMember:
    """An evaluation in a group. `evaluation` is filled on reads that show members."""

    evaluation_id: str
    created_at: datetime
    deleted_at: datetime | None = None
    row_identifier: str | None = None
    evaluation: MemberEvaluation | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Evaluations compared with one another."""

    id: str
    seq: int
    account_id: str
    name: str
    description: str | None
    tags: tuple[str, ...]
    metadata: Mapping[str, Any] | None
    created_at: datetime
    created_by: Identity
    deleted_at: datetime | None = None
    members: tuple[GroupMember, ...] = ()
