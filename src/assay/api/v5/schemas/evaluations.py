"""Evaluations on the v5 wire."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, TypeAdapter, WithJsonSchema

from assay.api.shared.bodies import BodyModel
from assay.api.v5.schemas.entities import Dataset, Identity, Name, Restore, Tags
from assay.api.v5.schemas.tasks import Task
from assay.core.model_calls import CacheMode

Rows = Annotated[Any, WithJsonSchema({"type": "array", "items": {"type": "object"}, "title": "Rows"})]
"""Rows are checked by one plain loop in the service: a model for each would cost more than everything else."""


Cache = Annotated[
    Literal["auto", "on", "read", "off"],
    Field(description="Whether calls of models may be answered by what the same call was answered before."),
]
MaxCost = Annotated[
    float, Field(gt=0, le=1e9, allow_inf_nan=False, description="US dollars that the calls of models may cost in all.")
]


class NewDatasetBody(BodyModel):
    """A dataset to make from an evaluation's rows; `keys` limits which columns it gets (default: all)."""

    name: Name
    description: str | None = None
    tags: Tags | None = None
    keys: list[str] | None = None


class CreateEvaluation(BodyModel):
    """A new evaluation, in one of three forms: rows (`data`), an existing dataset (`dataset_id`, with `data`
    as references to its items if given), or rows that also become a new dataset (`data` and `dataset`)."""

    name: Name
    description: str | None = None
    tags: Tags | None = None
    metadata: dict[str, Any] | None = None
    tasks: list[Task] | None = None
    data: Rows | None = None
    files: list[dict[str, str]] | None = None
    dataset_id: str | None = None
    dataset: NewDatasetBody | None = None
    skip_prefilled_rows: bool | None = None
    taxonomy_params: dict[str, Any] | None = None
    cache: Cache | None = None
    max_cost: MaxCost | None = None


class ResumeEvaluation(BodyModel):
    """Under what a stopped evaluation goes on; as before where nothing is sent."""

    cache: Cache | None = None
    max_cost: MaxCost | None = None


class UpdateEvaluation(BodyModel):
    """Changes to an evaluation: only what is sent changes. `metadata` is a merge patch (null removes a key);
    `restore` brings an archived evaluation back."""

    restore: Restore | None = None
    name: Name | None = None
    description: str | None = None
    tags: Tags | None = None
    metadata: dict[str, Any] | None = None


class WorkflowProgress(BaseModel):
    """Counters of the evaluation's job."""

    total: int
    completed: int
    failed: int
    pending: int


class FailedItem(BaseModel):
    """An item with at least one task error, and the first of them."""

    item_id: str
    error: str | None
    error_type: str | None


class ItemProgress(BaseModel):
    """Counters of items: total = successful + failed + pending."""

    total: int
    successful: int
    failed: int
    pending: int
    failed_items: list[FailedItem] = Field(description="At most 100; filled when one evaluation is retrieved.")


class AnnotationProgress(BaseModel):
    """Counters of people's work, answers and audits alike: total = completed + pending. An addition of Assay's."""

    total: int
    completed: int
    pending: int


class Progress(BaseModel):
    """How far an evaluation is; `workflows` is null when it has no job, `annotation` when people are not asked."""

    workflows: WorkflowProgress | None
    items: ItemProgress
    annotation: AnnotationProgress | None


class Evaluation(BaseModel):
    """A named set of items and the tasks that are run on them."""

    id: str
    object: Literal["evaluation"]
    name: str
    description: str | None
    created_at: datetime
    created_by: Identity
    archived_at: datetime | None
    tags: list[str]
    datasets: list[Dataset]
    status: Literal["running", "completed", "failed"]
    status_reason: str | None
    progress: Progress
    tasks: list[Task] | None = Field(description="Filled when `views` has `tasks`.")
    metadata: dict[str, Any] | None
    error_count: int


class EvaluationPage(BaseModel):
    """A page of evaluations."""

    object: Literal["list"]
    items: list[Evaluation]
    total: int
    has_more: bool
    limit: int


class MetadataFilter(BaseModel):
    """One condition on an evaluation."""

    key: str = Field(description="A metadata key, dotted for nested ones; or `status` or `tag`.")
    operator: Literal["==", "!=", ">=", "<=", "IN", "NOT_IN"]
    value: str = Field(description="Text for every type; for IN and NOT_IN a list by commas, or a JSON array.")
    object: Literal["metadata_filter"] = "metadata_filter"


_FILTERS = {**TypeAdapter(list[MetadataFilter]).json_schema(), "maxItems": 10, "title": "Filters"}
_FILTERS["items"] = _FILTERS.pop("$defs")["MetadataFilter"]


class FilterEvaluations(BodyModel):
    """Filters that must all hold; none: every evaluation passes."""

    filters: Annotated[Any, WithJsonSchema(_FILTERS)]


class MetadataKey(BaseModel):
    """A metadata key of the account's evaluations, dotted where it lies in nested objects."""

    object: Literal["metadata_key"]
    key: str
    count: int = Field(description="How many evaluations have it.")
    types: dict[Literal["number", "date", "boolean", "text"], int] = Field(description="As what filters read it.")
    values: dict[str, int] | None = Field(description="How often each value, if there are at most 50.")


class MetadataKeyList(BaseModel):
    """Every metadata key by name. `complete` is false when the account has more than are kept track of."""

    object: Literal["list"]
    items: list[MetadataKey]
    total: int
    complete: bool


class ColumnSchema(BaseModel):
    """A column, flattened to a dotted path."""

    object: Literal["field_schema"]
    field_name: str
    data_type: Literal["string", "number", "boolean", "object", "array", "null"]
    item_count: int
    source: Literal["data", "task_result_cache"]


class EvaluationSchema(BaseModel):
    """The columns of an evaluation's items."""

    object: Literal["evaluation_schema"]
    evaluation_id: str
    fields: list[ColumnSchema]
    total_items: int
    is_sampled: bool
    sample_size: int


class IntervalBody(BaseModel):
    """A confidence interval of a mean."""

    low: float
    high: float
    level: float
    method: str


class Share(BaseModel):
    """How much of the values one value is, and the interval of that."""

    share: float
    interval: IntervalBody


class Latency(BaseModel):
    """Seconds that a task took on an item."""

    mean: float
    p50: float | None
    p95: float | None


class Tokens(BaseModel):
    """Tokens that an endpoint counted; null where it did not say."""

    prompt: int | None
    completion: int | None


class TaskAggregate(BaseModel):
    """One alias in numbers. `n` results are in the mean; `missing` items have no value: pending, skipped or
    errored ones, which are counted apart and never as zero."""

    alias: str
    task_type: str
    n: int
    mean: float | None
    interval: IntervalBody | None
    std: float | None
    min: float | None
    max: float | None
    completed: int
    missing: int
    pending: int
    skipped: int
    errored: int
    cached: int
    error_types: dict[str, int]
    values: dict[str, int] | None
    shares: dict[str, Share] | None = Field(description="Of `values`, each with its interval.")
    latency: Latency | None
    tokens: Tokens
    cost: float | None
    attempts: int
    sandbox: str | None


class EstimateTotal(BaseModel):
    """What would be asked: `cached_calls` of the `calls` would be answered from the cache; tokens and costs (US
    dollars) are of the others: expected ones by past calls of the model, `at_most` by what the requests allow; null
    where nothing tells, and in a sum where one of its parts is null."""

    calls: int
    cached_calls: int
    prompt_tokens: int
    completion_tokens: int | None
    completion_tokens_at_most: int | None
    prompt_cost: float | None
    cost: float | None
    cost_at_most: float | None


class TaskEstimate(EstimateTotal):
    """What one task would ask of one model."""

    alias: str
    task_type: str
    model: str
    characters_a_token: float
    past_calls: int


class ForgottenAnswers(BaseModel):
    """How many answers were kept until now."""

    object: Literal["model_answers"]
    forgotten: int


class Estimate(BaseModel):
    """What an evaluation would ask of models. `sampled` of its `items` were looked at."""

    object: Literal["evaluation.estimate"]
    items: int
    sampled: int
    tasks: list[TaskEstimate]
    total: EstimateTotal
    unpriced: list[str]


class Aggregates(BaseModel):
    """An evaluation in numbers."""

    object: Literal["evaluation_aggregates"]
    evaluation_id: str
    status: Literal["running", "completed", "failed"]
    items: int
    progress: Progress
    seconds: float | None
    cache: CacheMode
    max_cost: float | None
    cost: float | None
    tasks: list[TaskAggregate]
