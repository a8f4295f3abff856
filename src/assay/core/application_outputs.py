"""What applications gave for test cases: outputs, in groups, and the interactions that led to them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from assay.core.datasets import SchemaType
from assay.core.identity import Identity

InteractionSource = Literal["EXTERNAL_AI", "EVALUATION"]
"""Who called the application: somebody else, who told of it, or an evaluation."""


@dataclass(frozen=True, slots=True)
class Interaction:
    """One exchange with an application: what it was asked and what it answered. Its steps are the spans with its id
    as `application_interaction_id`. `input` and `output` are JSON objects; durations are milliseconds."""

    id: str
    seq: int
    account_id: str
    spec_id: str
    variant_id: str
    source: InteractionSource
    started_at: datetime
    duration_ms: int
    status: Literal["SUCCESS", "ERROR", "CANCELED"]
    input: Mapping[str, Any]
    output: Mapping[str, Any]
    created_at: datetime
    created_by: Identity
    metadata: Mapping[str, Any] | None = None
    thread_id: str | None = None


@dataclass(frozen=True, slots=True)
class ApplicationOutput:
    """A variant's output for a test case as of a version of its dataset. Outputs that came together share a group.

    `output` is `{generation_output, generation_extra_info?}` as it came; `metrics` are the client's own numbers.
    """

    id: str
    seq: int
    account_id: str
    variant_id: str
    dataset_id: str
    dataset_version: int
    test_case_id: str
    group_id: str
    schema_type: SchemaType
    output: Mapping[str, Any]
    created_at: datetime
    created_by: Identity
    metrics: Mapping[str, float] | None = None
    interaction_id: str | None = None


@dataclass(frozen=True, slots=True)
class OutputFilter:
    """Which outputs: those that meet every condition that is not None."""

    account_ids: tuple[str, ...]
    group_id: str | None = None
    variant_id: str | None = None
    dataset_id: str | None = None
    dataset_version: int | None = None
