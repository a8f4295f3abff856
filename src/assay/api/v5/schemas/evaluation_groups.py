"""Evaluation groups on the v5 wire."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field
from pydantic.json_schema import SkipJsonSchema

from assay.api.shared.bodies import BodyModel
from assay.api.v5.schemas.entities import Dataset, Identity, Tags
from assay.api.v5.schemas.evaluations import Evaluation, EvaluationSchema, Progress
from assay.api.v5.schemas.tasks import Task

GroupName = Annotated[str, Field(min_length=1, max_length=128)]


class GroupBody(BodyModel):
    """What every request about a group may say of it. `row_identifiers` names, by evaluation id, the column that
    joins its items with the others'. `evaluation_group_metadata` is another name of `metadata`."""

    description: str | None = None
    tags: Tags | None = None
    metadata: dict[str, Any] | None = None
    evaluation_group_metadata: dict[str, Any] | None = None
    row_identifiers: dict[str, str] | None = None


class CreateEvaluationGroup(GroupBody):
    """A new group of evaluations, in the order given."""

    name: GroupName
    evaluation_ids: Annotated[list[str], Field(min_length=1)]


class UpdateEvaluationGroup(GroupBody):
    """Changes to a group: only what is sent changes. `metadata` is merged key by key; `row_identifiers` replaces
    the whole set, and an empty one clears it. Members change by PUT only."""

    name: GroupName | None = None
    evaluation_ids: SkipJsonSchema[Any] = None


class ReplaceEvaluationGroup(GroupBody):
    """What a group becomes. Without `name` the old one stays; without `evaluation_ids` the members stay, and
    without `row_identifiers` those of the members that stay. Everything else that is left out is cleared."""

    name: GroupName | None = None
    evaluation_ids: list[str] | None = None


class EvaluationGroupMember(BaseModel):
    """An evaluation's membership in a group, and the evaluation's own fields beside it. `id` is the
    evaluation's; `created_at` is when it was added, `evaluation_created_at` when it was made."""

    id: str
    object: Literal["evaluation_group.member"]
    evaluation_group_id: str
    evaluation_id: str
    created_at: datetime
    deleted_at: datetime | None
    evaluation_name: str | None
    evaluation_tags: list[str] | None
    evaluation_created_at: datetime | None
    name: str | None
    description: str | None
    created_by: Identity | None
    archived_at: datetime | None
    tags: list[str]
    datasets: list[Dataset]
    status: Literal["running", "completed", "failed"] | None
    status_reason: str | None
    progress: Progress | None
    tasks: list[Task] | None
    metadata: dict[str, Any] | None
    error_count: int | None


class RowIdentifier(BaseModel):
    """The column of a member whose values join its items with those of the other members."""

    object: Literal["evaluation_group.row_identifier"]
    evaluation_id: str
    column_name: str


class EvaluationGroup(BaseModel):
    """Evaluations that are compared. `metadata` is there under both of its names."""

    id: str
    object: Literal["evaluation_group"]
    account_id: str
    name: str
    description: str | None
    tags: list[str]
    metadata: dict[str, Any] | None
    evaluation_group_metadata: dict[str, Any] | None
    created_at: datetime
    deleted_at: datetime | None
    members: list[Annotated[Evaluation | EvaluationGroupMember, Field(discriminator="object")]] = Field(
        description="Memberships; in a list without `views`, the member evaluations themselves."
    )
    row_identifiers: list[RowIdentifier]


class EvaluationGroupPage(BaseModel):
    """A page of groups."""

    object: Literal["list"]
    items: list[EvaluationGroup]
    total: int
    has_more: bool
    limit: int


class EvaluationGroupSchema(BaseModel):
    """The columns of every member, in the order of the members."""

    object: Literal["evaluation_group_schema"]
    evaluation_group_id: str
    evaluation_schemas: list[EvaluationSchema]
