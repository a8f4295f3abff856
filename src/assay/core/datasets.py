"""Reusable datasets: rows with versions. Every change of rows makes a new version."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from assay.core.identity import Identity


@dataclass(frozen=True, slots=True)
class Dataset:
    """A named list of rows. `seq` orders datasets by insertion; `id` is the public name."""

    id: str
    seq: int
    account_id: str
    name: str
    description: str | None
    tags: tuple[str, ...]
    current_version_num: int
    created_at: datetime
    created_by: Identity
    archived_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DatasetItem:
    """A row of a dataset as of a version: valid for versions start_version <= v < end_version (None: still)."""

    id: str
    seq: int
    dataset_id: str
    data: Mapping[str, Any]
    files: Mapping[str, str] | None
    content_hash: str
    start_version: int
    end_version: int | None
    created_at: datetime
    updated_at: datetime
    created_by: Identity
    archived_at: datetime | None = None


def content_hash(data: Mapping[str, Any], files: Mapping[str, str] | None) -> str:
    """Hex SHA-256 of the canonical JSON (sorted keys, no spaces, UTF-8) of a row's data and files."""
    canonical = json.dumps(
        {"data": data, "files": files or {}}, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    return hashlib.sha256(canonical.encode()).hexdigest()
