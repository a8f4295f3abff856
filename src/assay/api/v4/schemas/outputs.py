"""Applications' outputs for test cases, and interactions with their spans, on the v4 wire."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from assay.api.shared.bodies import BodyModel
from assay.api.v4.schemas.datasets import SchemaType, TestCase
from assay.api.v4.schemas.entities import Time

Milliseconds = Annotated[int, Field(ge=0, lt=2**53)]
Number = Annotated[float, Field(strict=False, allow_inf_nan=False)]


class CreateTraceSpan(BodyModel):
    """A step of the application. Without an end it is as long as `duration_ms`, or takes no time."""

    node_id: Annotated[str, Field(min_length=1, max_length=500)]
    operation_input: dict[str, Any]
    operation_output: dict[str, Any]
    start_timestamp: Time
    account_id: str | None = None
    duration_ms: Milliseconds | None = None
    end_timestamp: Time | None = None
    operation_expected: dict[str, Any] | None = None
    operation_metadata: dict[str, Any] | None = None
    operation_status: Literal["SUCCESS", "ERROR", "CANCELED"] | None = None
    operation_type: str | None = None


class CreateApplicationOutput(BodyModel):
    """An output of a variant for a test case."""

    account_id: str | None = None
    application_variant_id: str
    evaluation_dataset_version_num: Annotated[int, Field(ge=1, lt=2**31)]
    test_case_id: str
    output: dict[str, Any]
    ignore_missing: bool | None = None
    metrics: dict[str, Number] | None = None
    trace_spans: list[CreateTraceSpan] | None = None


class ApplicationOutput(BaseModel):
    """An output. Those that came in one batch share `application_test_case_output_group_id`."""

    id: str
    account_id: str
    created_at: datetime
    application_variant_id: str
    evaluation_dataset_id: str
    test_case_id: str
    output: dict[str, Any]
    schema_type: SchemaType
    application_interaction_id: str | None
    application_test_case_output_group_id: str | None
    metrics: dict[str, float] | None


class TraceSpan(BaseModel):
    """A step of an interaction."""

    id: str
    account_id: str
    application_interaction_id: str | None
    application_variant_id: str | None
    created_by_user_id: str
    created_by_identity_type: Literal["user", "service_account"]
    node_id: str
    operation_type: str
    operation_status: str
    operation_input: dict[str, Any]
    operation_output: dict[str, Any]
    operation_expected: dict[str, Any] | None
    operation_metadata: dict[str, Any] | None
    start_timestamp: datetime
    end_timestamp: datetime | None
    duration_ms: int
    parent_id: str | None
    group_id: str | None
    trace_id: str


class Interaction(BaseModel):
    """One exchange with an application, with its steps."""

    id: str
    account_id: str
    aggregated: bool
    application_spec_id: str
    application_variant_id: str
    chat_thread_id: str | None
    created_at: datetime
    duration_ms: int
    input: dict[str, Any]
    output: dict[str, Any]
    interaction_source: str
    models: list[str] | None
    operation_metadata: dict[str, Any] | None
    operation_status: str
    start_timestamp: datetime
    trace_spans: list[TraceSpan]


class ApplicationOutputWithViews(ApplicationOutput):
    """An output with what `view` asks for; the other views' keys are absent."""

    metric_scores: list[dict[str, Any]] | None = None
    test_case_version: TestCase | None = None
    interaction: Interaction | None = None
