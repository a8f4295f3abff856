"""Storage of evaluations of applications, their datasets' snapshots and test cases, and their results.

Conventions as in `ports.storage`.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from assay.core.application_evaluations import ApplicationEvaluation, ApplicationSetup, EvaluationQuery, Settlement
from assay.core.application_outputs import ApplicationOutput, Interaction, OutputFilter
from assay.core.applications import ApplicationVariant
from assay.core.datasets import Dataset, DatasetItem, DatasetVersion
from assay.core.evaluations import Evaluation, Item
from assay.core.paging import NumberedPage, Page, PageRequest, Slice
from assay.core.test_case_results import Computing, LabellingFigures, LabelStatus, TestCaseResult
from assay.ports.catalogue import Catalogue


class VariantCatalogue(Catalogue[ApplicationVariant], Protocol):
    """The application variants, which are also listed by cursor."""

    async def page(
        self,
        account_id: str,
        page: PageRequest,
        *,
        include_archived: bool = False,
        application_spec_id: str | None = None,
    ) -> Page[ApplicationVariant]:
        """A page of the account's variants, of one spec where it is named. Orders: created_at, name, id."""
        ...


class ApplicationEvaluationRepository(Protocol):
    """Every evaluation of an account, whichever version made it, with its setup if it has one."""

    async def add(self, evaluation: Evaluation, setup: ApplicationSetup) -> ApplicationEvaluation:
        """Add an evaluation with its setup, linked to the dataset that the setup names."""
        ...

    async def get(
        self, account_ids: Sequence[str], evaluation_id: str, *, include_archived: bool = True
    ) -> ApplicationEvaluation | None:
        """The evaluation with that id in one of the accounts. In a writing transaction nobody else changes it
        before this one ends."""
        ...

    async def is_labelled(self, evaluation_seq: int) -> bool:
        """Whether the evaluation has a setup, so that its items are results with labels."""
        ...

    async def list(self, query: EvaluationQuery) -> Slice[ApplicationEvaluation]:
        """A page of the matching evaluations."""
        ...

    async def select(self, query: EvaluationQuery) -> tuple[Sequence[int], int]:
        """The sequence numbers of that page, in order, and how many match."""
        ...

    async def save(self, changed: ApplicationEvaluation) -> None:
        """Write what a user edits of the evaluation and of its setup; never status or counts."""
        ...

    async def settle(self, evaluation: Evaluation, settlement: Settlement) -> None:
        """Write what the results make of the evaluation: counts, status, reason and times; and its columns."""
        ...

    async def link(self, evaluation: Evaluation, dataset_ids: Sequence[str]) -> None:
        """Link datasets that are not linked yet; `evaluation.datasets` are those that are."""
        ...

    async def archive_of_dataset(self, dataset_id: str, at: datetime) -> Sequence[str]:
        """Archive the evaluations with a setup that use the dataset, and their items, under one time; their ids."""
        ...

    async def restore_of_dataset(self, dataset_id: str, archived_at: datetime, at: datetime) -> None:
        """Undo `archive_of_dataset`, for exactly what it archived."""
        ...


class TestCaseRepository(Protocol):
    """Items of datasets, by page number."""

    async def list(
        self, dataset_id: str, page: NumberedPage, *, version: int | None = None, include_archived: bool = False
    ) -> Slice[DatasetItem]:
        """A page of a dataset's items as of a version, or now, oldest first; with include_archived removed ones
        too."""
        ...

    async def get_many(self, item_ids: Sequence[str], version: int) -> Mapping[str, DatasetItem]:
        """The items with those ids as of a version, of whatever dataset."""
        ...

    async def counts(self, dataset_ids: Sequence[str]) -> Mapping[str, int]:
        """How many items each dataset has now; datasets without any are absent."""
        ...

    async def purge(self, item: DatasetItem) -> None:
        """Remove an item from every version."""
        ...


class DatasetVersionRepository(Protocol):
    """Snapshots of datasets that hold test cases."""

    async def list_datasets(
        self, account_ids: Sequence[str], page: NumberedPage, *, include_archived: bool = False
    ) -> Slice[Dataset]:
        """A page of the accounts' datasets, newest first."""
        ...

    async def get_dataset(self, account_id: str, dataset_id: str) -> Dataset | None:
        """The account's dataset, archived or not. Unlike `datasets.get`, a writing transaction that reads it does
        not keep others from changing it: its versions never change."""
        ...

    async def add(self, dataset: Dataset, version: DatasetVersion) -> None:
        """Add a snapshot."""
        ...

    async def get(self, dataset: Dataset, version_id: str) -> DatasetVersion | None:
        """The dataset's snapshot with that id."""
        ...

    async def get_num(self, dataset: Dataset, num: int) -> DatasetVersion | None:
        """The dataset's snapshot with that number."""
        ...

    async def newest(self, dataset: Dataset, *, published: bool = False) -> DatasetVersion | None:
        """The dataset's newest snapshot, or newest published one."""
        ...

    async def publish(self, version: DatasetVersion) -> None:
        """Write a snapshot's `draft` and `published_at`."""
        ...

    async def list(self, dataset: Dataset, page: NumberedPage) -> Slice[DatasetVersion]:
        """A page of the dataset's snapshots, by number."""
        ...


class TestCaseResultRepository(Protocol):
    """Results of evaluations that have a setup."""

    async def add(
        self, evaluation: Evaluation, results: Sequence[TestCaseResult], rows: Sequence[Mapping[str, Any]]
    ) -> Sequence[TestCaseResult]:
        """Add results in order, each with its item's row; returns them with their seq. Touches no counter."""
        ...

    async def get(self, evaluation: Evaluation, result_id: str) -> TestCaseResult | None:
        """The evaluation's result with that id."""
        ...

    async def list(
        self,
        evaluation: Evaluation,
        page: NumberedPage,
        *,
        version: str | None = None,
        include_archived: bool = False,
    ) -> Slice[TestCaseResult]:
        """A page of the evaluation's results, oldest first; `version`: those of that dataset version."""
        ...

    async def list_items(
        self, evaluation: Evaluation, page: NumberedPage, *, include_archived: bool = False
    ) -> Slice[Item]:
        """A page of any evaluation's items, with their tasks' results, in order."""
        ...

    async def replace(
        self, before: TestCaseResult, after: TestCaseResult, row: Mapping[str, Any] | None, at: datetime
    ) -> None:
        """Write a new revision and keep the one before, invalidated at `at`. `row`: the item's new row, if it
        changes. Touches no counter."""
        ...

    async def revisions(self, result: TestCaseResult) -> Sequence[TestCaseResult]:
        """The revisions that newer ones replaced, oldest first."""
        ...

    async def put(self, results: Sequence[TestCaseResult]) -> None:
        """Write the labels, the data and the state of results as they are, with no revision. Touches no counter."""
        ...

    async def await_engine(self, evaluation_seq: int) -> None:
        """Let every result of an evaluation wait for the engine."""
        ...

    async def reopen(self, evaluation_seq: int, at: datetime) -> None:
        """Take away the answers of every result that nobody annotated: it is pending again."""
        ...

    async def waiting(self, evaluation: Evaluation, first_seq: int, last_seq: int) -> Sequence[TestCaseResult]:
        """The results in a range of sequence numbers that wait for the engine, in order."""
        ...

    async def waiting_bounds(self, evaluation_seq: int, chunk_size: int) -> Sequence[tuple[int, int]]:
        """(first_seq, last_seq) of runs of at most chunk_size results that wait for the engine, in order."""
        ...

    async def tally(self, evaluation_seq: int) -> Mapping[tuple[LabelStatus, Computing], int]:
        """How many results there are by label status and by how far the engine is."""
        ...

    async def count_waiting(self, evaluation_seq: int) -> int:
        """How many results wait for the engine."""
        ...

    def stream(
        self, evaluation: Evaluation, *, batch: int = 1000
    ) -> AsyncIterator[Sequence[tuple[TestCaseResult, Item]]]:
        """All results that are not archived, with their items and what tasks left for those, in order, in batches."""
        ...

    async def labelling(self, evaluation: Evaluation, annotated_by: str | None = None) -> LabellingFigures:
        """The labelling of an evaluation in numbers; `annotated_by`: only what that identity labelled."""
        ...

    async def contributors(self, evaluation: Evaluation, page: NumberedPage) -> Slice[str]:
        """A page of the ids of those who labelled results that are completed, in order."""
        ...

    async def last_completed(self, evaluation_seq: int) -> datetime | None:
        """When the last of the completed results completed."""
        ...


class ApplicationOutputRepository(Protocol):
    """What applications gave for test cases. Outputs and interactions never change."""

    async def add(self, outputs: Sequence[ApplicationOutput], interactions: Sequence[Interaction]) -> None:
        """Add outputs in order, with the interactions that they came from."""
        ...

    async def get(self, account_ids: Sequence[str], output_id: str) -> ApplicationOutput | None:
        """The output with that id in one of the accounts."""
        ...

    async def get_many(self, account_id: str, output_ids: Sequence[str]) -> Mapping[str, ApplicationOutput]:
        """Those of the outputs that are in the account, by id."""
        ...

    async def list(self, page: NumberedPage, where: OutputFilter) -> Slice[ApplicationOutput]:
        """A page of outputs, in the order in which they came."""
        ...

    async def newest_group(self, where: OutputFilter) -> str | None:
        """The group of the newest output that matches."""
        ...

    async def of_group(self, account_id: str, group_id: str) -> Sequence[ApplicationOutput]:
        """A group's outputs, in the order in which they came."""
        ...

    async def interactions(self, account_id: str, interaction_ids: Sequence[str]) -> Mapping[str, Interaction]:
        """Those of the interactions that are in the account, by id."""
        ...
