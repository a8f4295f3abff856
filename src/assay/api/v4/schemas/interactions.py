"""Interactions that applications tell of, on the v4 wire."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from assay.api.shared.bodies import BodyModel
from assay.api.v4.schemas.entities import Time
from assay.api.v4.schemas.outputs import Milliseconds, Number

OperationType = Literal["COMPLETION", "RERANKING", "RETRIEVAL", "CUSTOM"]
OperationStatus = Literal["SUCCESS", "ERROR"]


class _Kept(BodyModel):
    """A part of a body that is kept whole, with keys that only its sender knows."""

    model_config = ConfigDict(strict=True, extra="allow")


class InteractionInput(_Kept):
    """What was asked."""

    query: str


class InteractionContext(_Kept):
    """Something that the answer rests on."""

    text: str
    score: Number | None = None


class InteractionOutput(_Kept):
    """What was answered."""

    response: str
    context: list[InteractionContext] | None = None


class CreateInteractionSpan(BodyModel):
    """A step on the way to the answer. Without an end it is as long as `duration_ms`, or takes no time."""

    node_id: Annotated[str, Field(min_length=1, max_length=500)]
    operation_type: OperationType
    start_timestamp: Time
    account_id: str | None = None
    duration_ms: Milliseconds | None = None
    end_timestamp: Time | None = None
    operation_input: dict[str, Any] | None = None
    operation_output: dict[str, Any] | None = None
    operation_metadata: dict[str, Any] | None = None
    operation_status: OperationStatus | None = None


class CreateInteraction(BodyModel):
    """An exchange of an application with somebody."""

    application_variant_id: str
    input: InteractionInput
    output: InteractionOutput
    start_timestamp: Time
    duration_ms: Milliseconds | None = None
    operation_metadata: dict[str, Any] | None = None
    operation_status: OperationStatus | None = None
    thread_id: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    trace_spans: list[CreateInteractionSpan] | None = None


class InteractionSpan(BaseModel):
    """A step, as it is stored."""

    id: str
    account_id: str
    application_interaction_id: str
    node_id: str
    operation_type: OperationType
    operation_status: OperationStatus
    operation_input: dict[str, Any] | None
    operation_output: dict[str, Any] | None
    operation_metadata: dict[str, Any] | None
    start_timestamp: datetime
    end_timestamp: datetime | None
    duration_ms: int


class CreatedInteraction(BaseModel):
    """An exchange, as it is stored."""

    id: str
    application_variant_id: str
    input: dict[str, Any]
    output: dict[str, Any]
    start_timestamp: datetime
    duration_ms: int
    operation_metadata: dict[str, Any] | None
    operation_status: OperationStatus
    thread_id: str | None
    trace_spans: list[InteractionSpan]
