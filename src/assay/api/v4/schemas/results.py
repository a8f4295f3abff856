"""Results of test cases on the v4 wire."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from assay.api.shared.bodies import BodyModel
from assay.api.v4.bodies import Changes
from assay.api.v4.schemas.datasets import SchemaType, TestCase
from assay.api.v4.schemas.entities import Entity

LabelStatus = Literal["PENDING", "COMPLETED", "FAILED"]
AuditStatus = Literal["UNAUDITED", "FIXED", "APPROVED"]
IdentityType = Literal["user", "service_account"]


def _as_text(value: Any) -> Any:
    return str(value) if type(value) is int else value


VersionNum = Annotated[str, BeforeValidator(_as_text), Field(pattern=r"^[0-9]{1,9}$")]
"""A version's number as text, as version 4 has it here; a number is accepted."""

_Seconds = Annotated[int, Field(ge=0, lt=2**53)]


class CreateTestCaseResult(BodyModel):
    """A new result: an application's output for a test case, with labels if they are there already."""

    __test__: ClassVar[bool] = False

    account_id: str | None = None
    application_spec_id: str
    evaluation_dataset_version_num: VersionNum
    test_case_id: str
    test_case_evaluation_data: dict[str, Any]
    annotated_by_user_id: str | None = None
    annotated_by_identity_type: IdentityType | None = None
    edited_by_identity_type: IdentityType | None = None
    label_status: LabelStatus | None = None
    audit_status: AuditStatus | None = None
    audit_required: bool | None = None
    audit_comment: str | None = None
    result: dict[str, Any] | None = None
    time_spent_labeling_s: _Seconds | None = None


class UpdateTestCaseResult(Changes):
    """Changes to a result. `result` completes it unless `label_status` is PENDING."""

    clearable: ClassVar[frozenset[str]] = frozenset(
        {"result", "audit_required", "audit_comment", "time_spent_labeling_s"}
    )

    application_spec_id: str | None = None
    evaluation_dataset_version_num: VersionNum | None = None
    test_case_id: str | None = None
    test_case_evaluation_data: dict[str, Any] | None = None
    annotated_by_user_id: str | None = None
    annotated_by_identity_type: IdentityType | None = None
    edited_by_identity_type: IdentityType | None = None
    label_status: LabelStatus | None = None
    audit_status: AuditStatus | None = None
    audit_required: bool | None = None
    audit_comment: str | None = None
    result: dict[str, Any] | None = None
    time_spent_labeling_s: _Seconds | None = None


class TestCaseResult(Entity):
    """A result: an application's output for a test case, and its labels."""

    __test__: ClassVar[bool] = False

    updated_at: datetime
    application_spec_id: str
    evaluation_id: str
    evaluation_dataset_id: str
    evaluation_dataset_version_num: str
    test_case_id: str
    test_case_evaluation_data: dict[str, Any]
    test_case_evaluation_data_schema: SchemaType
    label_status: LabelStatus
    result: dict[str, Any] | None
    completed_at: datetime | None
    audit_status: AuditStatus | None
    audit_required: bool | None
    audit_comment: str | None
    time_spent_labeling_s: int | None
    application_test_case_output_id: str | None
    annotated_by_user_id: str | None
    annotated_by_identity_type: IdentityType | None
    edited_by_user_id: str | None
    edited_by_identity_type: IdentityType | None
    edited_by: dict[str, Any] | None
    invalidated_at: datetime | None


class TestCaseResultWithViews(TestCaseResult):
    """A result with what `view` asks for; the other views' keys are absent."""

    annotation_results: list[dict[str, Any]] | None = None
    audit_tasks: list[dict[str, Any]] | None = None
    custom_metrics: list[dict[str, Any]] | None = None
    metrics: dict[str, float] | None = None
    task: dict[str, Any] | None = None
    test_case_version: TestCase | None = None
    application_test_case_output: dict[str, Any] | None = None
