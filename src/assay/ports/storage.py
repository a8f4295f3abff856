"""Storage: one unit of work is one transaction; repositories take and return core dataclasses, never rows.

`seq` fields are insertion sequences that the store assigns; pass 0 when adding. Lookups are limited to the
account that is given. Ids are UUIDs made by the caller. Times are aware UTC.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from assay.core.applications import ApplicationSpec
from assay.core.datasets import Dataset, DatasetItem
from assay.core.evaluation_configs import EvaluationConfig
from assay.core.evaluations import Evaluation, Item
from assay.core.filters import Filter, MetadataKeys
from assay.core.groups import Group
from assay.core.identity import Account, ApiKey
from assay.core.model_records import ModelTemplate
from assay.core.paging import Page, PageRequest
from assay.core.questions import QuestionSet
from assay.core.results import Result
from assay.core.selection import Selection
from assay.core.studio_projects import StudioProject
from assay.ports.annotation import AnnotationTaskRepository
from assay.ports.application_storage import (
    ApplicationEvaluationRepository,
    ApplicationOutputRepository,
    DatasetVersionRepository,
    TestCaseRepository,
    TestCaseResultRepository,
    VariantCatalogue,
)
from assay.ports.catalogue import Catalogue, QuestionCatalogue
from assay.ports.files import FileRepository
from assay.ports.generation import DraftCatalogue, GenerationJobCatalogue
from assay.ports.model_calls import ModelCallRepository
from assay.ports.records import DeploymentCatalogue, InstanceCatalogue, ReportCatalogue
from assay.ports.registered_models import RegisteredModelRepository
from assay.ports.rubrics import RubricRepository
from assay.ports.spans import SpanAssessmentRepository, SpanRepository


@dataclass(frozen=True, slots=True)
class NewItem:
    """An evaluation's row to add; its order in the sequence given is its order for ever."""

    id: str
    data: Mapping[str, Any]
    files: Mapping[str, str] | None = None
    dataset_item_id: str | None = None
    dataset_item_version_num: int | None = None


@dataclass(frozen=True, slots=True)
class TextFilter:
    """Filters that lists share. `name`: case-insensitive substring. `tags`: has all, case-insensitively."""

    name: str | None = None
    tags: tuple[str, ...] = ()
    include_archived: bool = False


@dataclass(frozen=True, slots=True)
class ResultTotals:
    """One alias of an evaluation in numbers, over its stored results.

    `statuses` counts results by status word; pending ones have no row and are not here. `cached` counts
    results answered from a cache. `numbers`, `mean`, `squares` (sum of squared deviations from the mean),
    `minimum`, `maximum` are over completed or prefilled results whose value is a number; `binary` says that
    all of those are 0 or 1. Latency figures are seconds over results that carry usage; tokens are sums over
    results that carry them.
    """

    alias: str
    statuses: Mapping[str, int]
    cached: int = 0
    numbers: int = 0
    mean: float | None = None
    squares: float = 0.0
    minimum: float | None = None
    maximum: float | None = None
    binary: bool = False
    latency_count: int = 0
    latency_sum: float = 0.0
    latency_p50: float | None = None
    latency_p95: float | None = None
    attempts: int = 0
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: float | None = None
    """US dollars; None where no result's price is known."""
    error_types: Mapping[str, int] | None = None
    sandboxes: tuple[str, ...] = ()
    values: Mapping[str, int] | None = None
    """Counts of text or boolean values when there are at most 20 different ones, else None."""


@dataclass(frozen=True, slots=True)
class ColumnSchema:
    """A flattened column of an evaluation: see contract §4.9."""

    field_name: str
    data_type: str
    item_count: int
    source: Literal["data", "task_result_cache"]


class AccountRepository(Protocol):
    async def ensure(self, account: Account) -> None:
        """Add the account unless one with its id exists."""
        ...

    async def get(self, account_id: str) -> Account | None: ...

    async def list(self) -> Sequence[Account]: ...


class ApiKeyRepository(Protocol):
    async def add(self, key: ApiKey) -> None: ...

    async def get_by_hash(self, secret_hash: str) -> ApiKey | None:
        """The key with that hash, revoked ones too."""
        ...

    async def list(self) -> Sequence[ApiKey]:
        """All keys, oldest first."""
        ...

    async def add_account(self, key_id: str, account_id: str) -> None:
        """Let an existing key open one more existing account, its last. Nothing when it does already."""
        ...

    async def revoke(self, key_id: str, at: datetime) -> bool:
        """Mark it revoked; False when unknown or revoked already."""
        ...


class DatasetRepository(Protocol):
    async def add(self, dataset: Dataset) -> Dataset:
        """Add it; returns it with its seq."""
        ...

    async def get(self, account_id: str, dataset_id: str, *, include_archived: bool = False) -> Dataset | None: ...

    async def list(self, account_id: str, page: PageRequest, where: TextFilter) -> Page[Dataset]:
        """sort_by: created_at, name, id, current_version_num. Unknown cursor: InvalidCursor; see core.paging."""
        ...

    async def save(self, dataset: Dataset) -> None:
        """Write the changed fields of an existing dataset (name, description, tags, version, archived_at)."""
        ...


class DatasetItemRepository(Protocol):
    async def add(self, dataset: Dataset, items: Sequence[DatasetItem]) -> None:
        """Add item versions in order."""
        ...

    async def close_versions(
        self,
        dataset_id: str,
        item_ids: Sequence[str],
        end_version: int,
        *,
        at: datetime | None = None,
        removed_at: datetime | None = None,
    ) -> None:
        """Set end_version on the open versions of the items, and `at`, the time of it. `removed_at` instead: they
        leave the dataset, and are read with that archived_at from then on, except as of a version that still had
        them."""
        ...

    async def get(
        self, account_id: str, item_id: str, *, version: int | None = None, include_archived: bool = False
    ) -> DatasetItem | None:
        """The item as of `version`; None: its newest version, unless it was removed and include_archived is
        False."""
        ...

    async def list(
        self,
        account_id: str,
        page: PageRequest,
        *,
        dataset_id: str | None = None,
        version: int | None = None,
        include_archived: bool = False,
    ) -> Page[DatasetItem]:
        """Items as of `version` of `dataset_id` (None: now). Order: insertion of the item's first version.
        sort_by: created_at, updated_at, id."""
        ...

    async def get_many(self, dataset_id: str, item_ids: Sequence[str]) -> Mapping[str, DatasetItem]:
        """Current versions by id; unknown and removed ones are absent."""
        ...

    def stream_current(self, dataset_id: str) -> AsyncIterator[DatasetItem]:
        """All current items in order."""
        ...

    async def set_archived(self, dataset_id: str, at: datetime | None, *, only_at: datetime | None = None) -> None:
        """Archive the items that are not archived (at given), or restore those archived at `only_at`."""
        ...


class EvaluationRepository(Protocol):
    async def add(self, evaluation: Evaluation, dataset_ids: Sequence[str] = ()) -> Evaluation:
        """Add it, linked to datasets; returns it with its seq."""
        ...

    async def get(
        self, account_id: str | None, evaluation_id: str, *, include_archived: bool = False
    ) -> Evaluation | None:
        """With `datasets` filled. account_id None: any account (the engine's view, never a request's)."""
        ...

    async def list(
        self, account_id: str, page: PageRequest, where: TextFilter, filters: Sequence[Filter] = ()
    ) -> Page[Evaluation]:
        """Those that pass `where` and all `filters` (see core.filters), with `datasets` filled. sort_by:
        created_at, updated_at, name, status, id, archived_at, error_count.

        Lists with filters, a name, tags or another order than created_at are at least as new as the unit's
        snapshot. In a writing unit filters see what it wrote, at the price of reading the whole account.
        """
        ...

    async def select(self, account_id: str, selection: Selection) -> Page[Evaluation]:
        """A page by number, for any order: the `limit` matches from the `offset`-th (counted from 0), with
        `datasets`, and the exact total. Columns to sort by: created_at, updated_at, archived_at, finished_at,
        item_total, item_done, error_count, name, id, status, description, created_by_id, tags (as JSON text).

        As new as `list`'s filters. The first use of an order sorts the whole account once; afterwards its pages
        cost the same wherever they lie, and changes are merged in.
        """
        ...

    async def metadata_keys(self, account_id: str, *, include_archived: bool = False) -> MetadataKeys:
        """The dotted metadata keys of the account's evaluations, with counts."""
        ...

    async def get_many(self, account_id: str, evaluation_ids: Sequence[str]) -> Mapping[str, Evaluation]:
        """Unarchived evaluations by id, with `datasets`; unknown and foreign ones are absent."""
        ...

    async def save(self, evaluation: Evaluation) -> None:
        """Write the fields a user edits: name, description, tags, metadata, tasks, archived_at, updated_at.
        Never touches progress or status."""
        ...

    async def set_status(
        self,
        evaluation_seq: int,
        status: str,
        reason: str | None,
        *,
        started_at: datetime | None = None,
        finished_at: datetime | None = None,
        only_if: str | None = None,
    ) -> bool:
        """Set the status (and the times given; what runs has no `finished_at`); with only_if, only from that
        status. Whether it changed."""
        ...

    async def add_progress(self, evaluation_seq: int, *, successful: int, failed: int, errors: int) -> None:
        """Add to the counters."""
        ...

    async def recount(self, evaluation_seq: int, aliases: Sequence[str]) -> None:
        """Set the counters from the stored results: an item is finished when it has a result for each of
        `aliases`; failed when one of them is errored."""
        ...

    async def list_running(self) -> Sequence[Evaluation]:
        """Every evaluation in any account whose status is running and that has a job."""
        ...


class ItemRepository(Protocol):
    async def add(self, evaluation: Evaluation, items: Sequence[NewItem]) -> None:
        """Add rows in order. May be called several times in one transaction."""
        ...

    async def get(self, account_id: str, item_id: str, *, include_archived: bool = False) -> Item | None:
        """With `results`."""
        ...

    async def list(
        self,
        account_id: str,
        page: PageRequest,
        *,
        evaluation_id: str | None = None,
        completion: Literal["failed", "passed"] | None = None,
        include_archived: bool = False,
    ) -> Page[Item]:
        """With `results`. sort_by: created_at, id. passed: no errored result; failed: at least one."""
        ...

    async def data(self, item_seq: int) -> Mapping[str, Any]:
        """An item's own values, without results; {} when there is no such item."""
        ...

    async def seqs(self, evaluation_seq: int) -> Sequence[int]:
        """The sequence numbers of all items in order, archived ones too."""
        ...

    async def bounds(self, evaluation_seq: int, chunk_size: int) -> Sequence[tuple[int, int]]:
        """(first_seq, last_seq) of consecutive runs of at most chunk_size items, in order."""
        ...

    async def range(self, evaluation_seq: int, first_seq: int, last_seq: int) -> Sequence[Item]:
        """The items of an evaluation in a seq range, in order, with `results`."""
        ...

    def stream(
        self, evaluation_seq: int, *, include_archived: bool = False, batch: int = 1000
    ) -> AsyncIterator[Sequence[Item]]:
        """All items in order, in batches, with `results`."""
        ...

    async def set_archived(self, evaluation_seq: int, at: datetime | None, *, only_at: datetime | None = None) -> None:
        """Archive the items that are not archived, or (at None) restore those archived at `only_at`."""
        ...


class ResultRepository(Protocol):
    async def add(self, results: Sequence[Result]) -> int:
        """Insert results, first write wins; returns how many were really inserted."""
        ...

    async def replace(self, results: Sequence[Result]) -> None:
        """Write results, over what is there: only those that people gave ever change."""
        ...

    async def remove(self, evaluation_seq: int, aliases: Sequence[str], *, item_seq: int | None = None) -> None:
        """Take results back, of one item or of all: only those that people gave are ever taken back."""
        ...

    async def rename(self, evaluation_seq: int, aliases: Mapping[str, str]) -> None:
        """Give the results of aliases new ones, by the old."""
        ...

    async def totals(self, evaluation_seq: int) -> Sequence[ResultTotals]:
        """Every alias with stored results, in no particular order."""
        ...

    async def values(self, evaluation_seq: int, alias: str) -> Mapping[int, Any]:
        """item_seq to value, for completed results: neither prefilled ones nor errors."""
        ...

    async def numbers(self, evaluation_seq: int, alias: str) -> Mapping[int, float]:
        """item_seq to number, for completed or prefilled numeric results."""
        ...


class GroupRepository(Protocol):
    async def add(self, group: Group) -> Group:
        """Add it with its members (which need only evaluation_id, created_at, row_identifier). RuleViolation,
        naming them, when evaluations are unknown in its account or archived; none is before this commits."""
        ...

    async def get(self, account_id: str, group_id: str, *, include_deleted: bool = False) -> Group | None:
        """With members and their evaluations (with datasets)."""
        ...

    async def list(
        self, account_id: str, page: PageRequest, where: TextFilter, *, evaluation_id: str | None = None
    ) -> Page[Group]:
        """With members and their evaluations. sort_by: created_at, name, id. where.include_archived means
        deleted ones."""
        ...

    async def save(self, group: Group) -> None:
        """Write name, description, tags, metadata; never its members."""
        ...

    async def save_row_identifiers(self, group: Group, row_identifiers: Mapping[str, str]) -> None:
        """Make these, by evaluation id, the present members' row identifiers; members not named have none."""
        ...

    async def replace_members(self, group: Group, evaluation_ids: Sequence[str], at: datetime) -> None:
        """Make exactly these its members, in this order. Those that stay keep when they joined and their row
        identifier, the others' memberships end. RuleViolation as for `add`."""
        ...

    async def delete(self, group: Group, at: datetime) -> None:
        """Mark it and its present memberships deleted, all at one time."""
        ...

    async def remove_evaluations(self, evaluation_ids: Sequence[str], at: datetime) -> None:
        """Mark the evaluations' memberships deleted."""
        ...


class UnitOfWork(Protocol):
    """One transaction and the repositories that act in it."""

    accounts: AccountRepository
    annotation_tasks: AnnotationTaskRepository
    api_keys: ApiKeyRepository
    datasets: DatasetRepository
    dataset_items: DatasetItemRepository
    evaluations: EvaluationRepository
    items: ItemRepository
    results: ResultRepository
    groups: GroupRepository
    model_calls: ModelCallRepository
    application_specs: Catalogue[ApplicationSpec]
    application_variants: VariantCatalogue
    questions: QuestionCatalogue
    question_sets: Catalogue[QuestionSet]
    rubrics: RubricRepository
    evaluation_configs: Catalogue[EvaluationConfig]
    registered_models: RegisteredModelRepository
    application_evaluations: ApplicationEvaluationRepository
    application_outputs: ApplicationOutputRepository
    dataset_versions: DatasetVersionRepository
    test_cases: TestCaseRepository
    test_case_results: TestCaseResultRepository
    files: FileRepository
    spans: SpanRepository
    span_assessments: SpanAssessmentRepository
    studio_projects: Catalogue[StudioProject]
    model_templates: Catalogue[ModelTemplate]
    model_instances: InstanceCatalogue
    model_deployments: DeploymentCatalogue
    variant_reports: ReportCatalogue
    generation_jobs: GenerationJobCatalogue
    draft_test_cases: DraftCatalogue


class Storage(Protocol):
    """A database. An object belongs to the event loop that first used it."""

    def read(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """A consistent snapshot for reading."""
        ...

    def write(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """A transaction that holds the write lock from its start (SQLite: BEGIN IMMEDIATE), commits when the
        block ends and rolls back when it raises. Raises Unavailable when the database stays locked or away
        longer than the store's patience (30 s)."""
        ...

    async def secret(self, name: str, make: str) -> str:
        """A server secret kept in the database (the signing key of links): `make` is stored when there is
        none; returns what is stored."""
        ...

    async def warm(self, evaluations: int) -> int:
        """Make ready what the first filter of an account would otherwise wait for, a few seconds for each million
        evaluations, while other requests are answered: for the largest accounts with at most so many evaluations
        together. Returns how many those are."""
        ...

    async def ping(self) -> None:
        """Raise Unavailable unless a trivial query succeeds."""
        ...

    async def close(self) -> None:
        """Release connections. Idempotent."""
        ...
