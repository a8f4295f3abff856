"""What clients write down about models that somebody hosts: templates, models and deployments. Assay hosts none."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from assay.core.identity import Identity


@dataclass(frozen=True, slots=True)
class ModelTemplate:
    """How a model would be launched. `details` are its fields beside the name, as they came."""

    id: str
    seq: int
    account_id: str
    name: str
    details: Mapping[str, Any]
    created_at: datetime
    created_by: Identity
    archived_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ModelInstance:
    """A model, perhaps of a template. `details` are its fields beside the name, as they came."""

    id: str
    seq: int
    account_id: str
    name: str
    details: Mapping[str, Any]
    created_at: datetime
    created_by: Identity
    archived_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ModelDeployment:
    """A deployment of a model. `details` are its fields beside the name, as they came."""

    id: str
    seq: int
    account_id: str
    instance_id: str
    name: str
    details: Mapping[str, Any]
    created_at: datetime
    created_by: Identity
    archived_at: datetime | None = None
