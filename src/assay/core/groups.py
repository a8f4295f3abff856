"""Groups: evaluations that are compared, and the column that joins their items."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from assay.core.evaluations import Evaluation
from assay.core.identity import Identity


@dataclass(frozen=True, slots=True)
class GroupMember:
    """An evaluation in a group. `evaluation` is filled on reads that show members."""

    evaluation_id: str
    created_at: datetime
    deleted_at: datetime | None = None
    row_identifier: str | None = None
    evaluation: Evaluation | None = None


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
