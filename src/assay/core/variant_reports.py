"""Reports about application variants: which datasets a variant is to be scored on."""

from dataclasses import dataclass
from datetime import datetime

from assay.core.identity import Identity


@dataclass(frozen=True, slots=True)
class VariantReport:
    """A report about a variant over versions of datasets (pairs of dataset id and version), without scores."""

    id: str
    seq: int
    account_id: str
    spec_id: str
    variant_id: str
    datasets: tuple[tuple[str, int], ...]
    created_at: datetime
    created_by: Identity
    output_group_ids: tuple[str, ...] = ()
    archived_at: datetime | None = None
