"""Results of test cases: an application's output for a test case, and how it was labelled."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from assay.core.datasets import SchemaType
from assay.core.identity import Identity


class LabelStatus(StrEnum):
    """Whether a result is labelled: waiting, labelled, or unusable."""

    PENDING = "PENDING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


class AuditStatus(StrEnum):
    """What an auditor made of a result's labels."""

    UNAUDITED = "UNAUDITED"
    FIXED = "FIXED"
    APPROVED = "APPROVED"


class Computing(StrEnum):
    """How far the engine is with a result: it has work to do, has done all of it, or has failed at some of it."""

    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of a result: `answers` by question id (None until answered), who gave them, and their audit."""

    status: LabelStatus = LabelStatus.PENDING
    answers: Mapping[str, Any] | None = None
    completed_at: datetime | None = None
    annotated_by: Identity | None = None
    edited_by: Identity | None = None
    audit_status: AuditStatus = AuditStatus.UNAUDITED
    audit_required: bool | None = None
    audit_comment: str | None = None
    seconds_spent: int | None = None


@dataclass(frozen=True, slots=True)
class TestCaseResult:
    """A result: an evaluation's item that came from a test case as of a dataset version. `id` is the item's and
    stays through revisions; a revision that was replaced has `invalidated_at`.

    `evaluation_data` is `{generation_output, generation_extra_info?}` as it came; empty while an application has yet
    to give it. `output_id` is the stored output that it was made from.
    """

    __test__ = False

    id: str
    seq: int
    account_id: str
    evaluation_id: str
    evaluation_seq: int
    spec_id: str
    dataset_id: str
    dataset_version: str
    test_case_id: str
    schema_type: SchemaType
    evaluation_data: Mapping[str, Any]
    labels: Labels
    created_at: datetime
    created_by: Identity
    updated_at: datetime
    archived_at: datetime | None = None
    invalidated_at: datetime | None = None
    output_id: str | None = None
    computing: Computing = Computing.DONE


@dataclass(frozen=True, slots=True)
class LabellingFigures:
    """The labelling of results in numbers. `total` and `flagged` are of all, the rest of those that are completed.

    `seconds` sums the time that labelling took over the `timed` results that say so; the times are of the first and
    the last completion.
    """

    total: int = 0
    flagged: int = 0
    labelled: int = 0
    approved: int = 0
    fixed: int = 0
    seconds: int = 0
    timed: int = 0
    first_completed_at: datetime | None = None
    last_completed_at: datetime | None = None


CASE_COLUMNS = (
    "input",
    "expected_output",
    "expected_extra_info",
    "artifact_ids_filter",
    "output",
    "extra_info",
    "trace",
)
"""The columns that a result's row may have."""


def row_of(test_case_data: Mapping[str, Any], evaluation_data: Mapping[str, Any]) -> dict[str, Any]:
    """The item's row: the test case's own columns, with the application's `output` and `extra_info` beside; without
    those while the application has yet to give them."""
    if "generation_output" not in evaluation_data:
        return dict(test_case_data)
    row = {**test_case_data, "output": evaluation_data["generation_output"]}
    if evaluation_data.get("generation_extra_info") is not None:
        row["extra_info"] = evaluation_data["generation_extra_info"]
    return row
