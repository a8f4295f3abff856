"""People's work on the v5 wire. Only the batch call is the vendor's; the rest is an addition of Assay's."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from assay.api.shared.bodies import BodyModel
from assay.api.v5.schemas.questions import Question

MOST_TASKS = 10_000
MOST_SECONDS = 1_000_000_000

Status = Literal["NOT_READY", "PENDING", "PENDING_REDO", "COMPLETED", "FIXED"]
Kind = Literal["EVALUATION_ANNOTATION", "EVALUATION_AUDIT", "CONTRIBUTOR_ANNOTATION", "CONTRIBUTOR_AUDIT"]
IdentityId = Annotated[str, Field(min_length=1, max_length=256)]
Answers = dict[str, Any]
Seconds = Annotated[int, Field(ge=0, le=MOST_SECONDS)]
Comment = Annotated[str, Field(max_length=100_000)]


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


class AnnotationTask(BaseModel):
    """One queued piece of people's work. `level` is 0 for an answer, 1 or 2 for an audit; `slot` counts an item's
    answers from 0."""

    id: str
    object: Literal["annotation_task"]
    evaluation_id: str
    evaluation_item_id: str
    queue_id: str
    priority: int
    status: Status
    task_type: Kind
    level: int
    slot: int
    updated_at: datetime
    assigned_to: str | None = Field(description="Who has it, or did it.")
    assignment_expires_at: datetime | None
    completed_at: datetime | None
    duration_seconds: int | None
    flagged_for_review: bool | None
    review_comment: str | None


class AnnotationTaskPage(BaseModel):
    """A page of annotation tasks."""

    object: Literal["list"]
    items: list[AnnotationTask]
    total: int
    has_more: bool
    limit: int


class AnnotationTaskList(BaseModel):
    """Annotation tasks, all of them."""

    object: Literal["list"]
    items: list[AnnotationTask]


class AuditAssignment(BodyModel):
    """Who audits the items of a queue. Audits that are missing are made."""

    evaluation_id: str
    queue_id: str
    evaluation_item_ids: Annotated[list[str], Field(max_length=MOST_TASKS)]
    level_1_assigned_to: IdentityId | None = None
    level_2_assigned_to: IdentityId | None = None

    @model_validator(mode="after")
    def _names_somebody(self) -> Self:
        if self.level_1_assigned_to is None and self.level_2_assigned_to is None:
            raise ValueError("name an auditor: level_1_assigned_to, level_2_assigned_to or both")
        return self


class BatchUpdate(BodyModel):
    """Changes to the tasks in `ids`, or `audit_assignment`: one of the two."""

    ids: Annotated[list[str], Field(max_length=MOST_TASKS)] | None = None
    assigned_to: IdentityId | None = None
    status: Annotated[Literal["PENDING_REDO", "COMPLETED"], BeforeValidator(_upper)] | None = None
    audit_assignment: AuditAssignment | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.ids is None) == (self.audit_assignment is None):
            raise ValueError("send either ids or audit_assignment")
        changes = self.assigned_to is not None or self.status is not None
        if self.ids is not None and not changes:
            raise ValueError("ids needs assigned_to, status or both")
        if self.audit_assignment is not None and changes:
            raise ValueError("assigned_to and status go with ids")
        return self


class Claim(BodyModel):
    """What to do next: from a queue (`default`, unless named or an evaluation is), from an evaluation, or both."""

    queue_id: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    evaluation_id: str | None = None
    task_type: Kind | None = Field(default=None, description="By default CONTRIBUTOR_ANNOTATION.")
    skip_current: bool | None = Field(default=None, description="Give back what is held, for another.")


class GiveAnswers(BodyModel):
    """Answers by alias. A `draft` is kept with the task and is not final."""

    answers: Answers
    duration_seconds: Seconds | None = None
    flagged_for_review: bool | None = None
    comment: Comment | None = None
    draft: bool | None = None


class GiveVerdict(BodyModel):
    """A verdict on another's answers. A fix needs the `answers` that it changes."""

    verdict: Literal["approve", "fix", "redo"]
    answers: Answers | None = None
    duration_seconds: Seconds | None = None
    comment: Comment | None = None


class Flag(BodyModel):
    """Marks a task for review, or unmarks it."""

    flagged_for_review: bool = True
    comment: Comment | None = None


class Redo(BodyModel):
    """Sends an answer back to the one who gave it."""

    comment: Comment | None = None


class ShownComponent(BaseModel):
    """A value of the item as it is shown; `missing` when the item has none there."""

    data: str
    label: str
    value: Any
    missing: bool


class ShownContainer(BaseModel):
    """Values and containers, side by side (`row`) or one below the other (`column`)."""

    direction: Literal["row", "column"]
    children: list["ShownContainer | ShownComponent"]


class ShownCriterion(BaseModel):
    """A criterion as it was when the evaluation was made."""

    id: str
    version: int
    title: str
    weight: float


class ShownRubric(BaseModel):
    """A rubric as it was when the evaluation was made."""

    version: int
    title: str
    tags: list[str]
    criteria: list[ShownCriterion]


class AskedQuestion(BaseModel):
    """A question of the task, and the rubric to answer by. `prefilled` is the answer that the item brings along, null
    when it brings none."""

    alias: str
    required: bool
    question: Question
    layout: ShownContainer
    prefilled: Any
    rubric: ShownRubric | None


class AnnotationHistory(BaseModel):
    """What somebody did to a task."""

    action: str
    by: str
    at: datetime
    answers: Answers | None
    duration_seconds: int | None
    comment: str | None


class AnnotationTaskDetail(AnnotationTask):
    """A task with what it shows and asks. `answers` are the task's own (a draft, while it is open) or, of an audit,
    those that it looks at; null when the reader may not see them, or there are none."""

    questions: list[AskedQuestion]
    answers: Answers | None
    history: list[AnnotationHistory]


class Claimed(BaseModel):
    """The task that was claimed; null when there is none."""

    object: Literal["annotation_task.claim"]
    task: AnnotationTaskDetail | None


class Queue(BaseModel):
    """A queue in numbers: tasks that are not done and have no holder (`free`), that somebody has (`taken`), that cannot
    begin yet (`not_ready`), and that are done (`completed`)."""

    object: Literal["annotation_queue"]
    queue_id: str
    task_type: Kind
    free: int
    taken: int
    not_ready: int
    completed: int
    total: int


class QueueList(BaseModel):
    """Every queue of the account, one entry for each kind of task in it."""

    object: Literal["list"]
    items: list[Queue]


class GivenAnswers(BaseModel):
    """One contributor's answers to an item: as `given`, and `answers` as they stand after audits. Both are null where
    the reader could still answer the item."""

    object: Literal["evaluation.answers"]
    annotation_task_id: str
    evaluation_item_id: str
    queue_id: str
    slot: int
    contributor: str | None
    completed_at: datetime | None
    duration_seconds: int | None
    flagged_for_review: bool | None
    review_comment: str | None
    given: Answers | None
    answers: Answers | None
    audits: list[AnnotationTask]


class GivenAnswersPage(BaseModel):
    """A page of single answers."""

    object: Literal["list"]
    items: list[GivenAnswers]
    total: int
    has_more: bool
    limit: int
