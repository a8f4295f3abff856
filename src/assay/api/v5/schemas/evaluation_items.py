"""Evaluation items on the v5 wire."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

from assay.api.shared.bodies import BodyModel
from assay.api.v5.schemas.entities import Identity


class TaskError(BaseModel):
    """Why a task has no value for an item."""

    type: str
    message: str


class EvaluationItem(BaseModel):
    """A row of an evaluation, with the results of its tasks merged into `data` under their aliases."""

    id: str
    object: Literal["evaluation.item"]
    evaluation_id: str
    data: dict[str, Any]
    created_at: datetime
    created_by: Identity
    archived_at: datetime | None
    dataset_item_id: str | None
    dataset_item_version_num: int | None
    files: dict[str, str] | None
    task_errors: dict[str, TaskError]
    task_result_statuses: dict[str, Literal["completed", "skipped", "errored", "pending", "prefilled"]] | None


class EvaluationItemPage(BaseModel):
    """A page of items."""

    object: Literal["list"]
    items: list[EvaluationItem]
    total: int
    has_more: bool
    limit: int


class ExportItems(BodyModel):
    """Asks for an evaluation's items as a file: its text in the answer, or a link to it."""

    evaluation_id: str
    export_format: Literal["json", "jsonl", "csv"] | None = None
    export_method: Literal["signed_url", "direct"] | None = None
    include_archived: bool | None = None


class Export(BaseModel):
    """A file's name, and either its text or a link that needs no key and expires."""

    filename: str
    content: str | None
    signed_url: str | None


class ResultUsage(BaseModel):
    """What a result cost: seconds, calls, and the tokens that the endpoint counted."""

    latency: float
    attempts: int
    prompt_tokens: int | None
    completion_tokens: int | None
    cached: bool
    cost: float | None


class ItemResult(BaseModel):
    """What a task left for an item. `detail` is for a reader and is in no figure."""

    object: Literal["evaluation.item_result"]
    alias: str
    status: Literal["completed", "skipped", "errored", "prefilled"]
    value: Any
    error: TaskError | None
    usage: ResultUsage | None
    detail: dict[str, Any] | None


class ItemResults(BaseModel):
    """The results that an item has so far."""

    object: Literal["list"]
    items: list[ItemResult]
