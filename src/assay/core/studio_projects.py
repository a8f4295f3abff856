"""Studio projects: names for places where people label with the vendor's own tool, which Assay never calls."""

from dataclasses import dataclass
from datetime import datetime

from assay.core.identity import Identity


@dataclass(frozen=True, slots=True)
class StudioProject:
    """A project's name and what it is about. There is no key: who has no use for a secret does not keep it."""

    id: str
    seq: int
    account_id: str
    name: str
    description: str
    created_at: datetime
    created_by: Identity
    archived_at: datetime | None = None
