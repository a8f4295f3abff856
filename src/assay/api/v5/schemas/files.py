"""Files on the v5 wire."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

from assay.api.shared.bodies import BodyModel
from assay.api.v5.schemas.entities import Identity


class UpdateFile(BodyModel):
    """A file's new tags, which replace the old as a whole; null takes them away."""

    tags: dict[str, Any] | None = None


class File(BaseModel):
    """An uploaded file. `mime_type` is what its bytes look like; `duration_seconds` is not measured."""

    id: str
    object: Literal["file"]
    filename: str
    mime_type: str
    size: int
    md5_checksum: str
    tags: dict[str, Any] | None
    duration_seconds: int | None
    created_at: datetime
    created_by: Identity


class DeletedFile(BaseModel):
    """Says that a file was removed for good."""

    id: str
    object: Literal["file"]
    deleted: Literal[True]


class FilePage(BaseModel):
    """A page of files."""

    object: Literal["list"]
    items: list[File]
    total: int
    has_more: bool
    limit: int
