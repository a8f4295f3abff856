"""Reports about application variants: what they are over. Nothing scores them: every score is missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import uuid_utils

from assay.core.application_outputs import OutputFilter
from assay.core.applications import ApplicationVariant
from assay.core.datasets import Dataset
from assay.core.errors import NotFound, RuleViolation
from assay.core.identity import Caller
from assay.core.paging import NumberedPage, Slice
from assay.core.variant_reports import VariantReport
from assay.ports.clock import Clock
from assay.ports.storage import Storage, UnitOfWork
from assay.services.catalogue import find, find_to_use
from assay.services.dataset_versions import newest_published


@dataclass(frozen=True, slots=True)
class ShownReport:
    """A report and the datasets that it is over, by id."""

    report: VariantReport
    datasets: Mapping[str, Dataset]


class VariantReports:
    """The use cases of reports."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def create(
        self, caller: Caller, variant_id: str, dataset_ids: Sequence[str], output_group_ids: Sequence[str]
    ) -> ShownReport:
        """Make a report over the newest published versions of datasets, each once.

        Raises NotFound for a variant, dataset or group of outputs that is not in the account, RuleViolation for an
        archived one, for a dataset that has no published version and for a group of another variant's outputs.
        """
        async with self._storage.write() as work:
            variant = await find_to_use(work.application_variants, ApplicationVariant, caller.account_id, variant_id)
            datasets = [await _dataset(work, caller, each) for each in dict.fromkeys(dataset_ids)]
            for group_id in output_group_ids:
                await _check_group(work, variant, group_id)
            report = await work.variant_reports.add(
                VariantReport(
                    id=str(uuid_utils.uuid7()),
                    seq=0,
                    account_id=caller.account_id,
                    spec_id=variant.application_spec_id,
                    variant_id=variant.id,
                    datasets=tuple((dataset.id, num) for dataset, num in datasets),
                    output_group_ids=tuple(output_group_ids),
                    created_at=self._clock.now(),
                    created_by=caller.identity,
                )
            )
        return ShownReport(report, {dataset.id: dataset for dataset, _ in datasets})

    async def get(self, caller: Caller, report_id: str) -> ShownReport:
        """One report in any of the caller's accounts. Raises NotFound."""
        async with self._storage.read() as work:
            report = await find(work.variant_reports, VariantReport, caller, report_id)
            return (await _shown(work, [report]))[0]

    async def list(
        self,
        account_ids: Sequence[str],
        page: NumberedPage,
        *,
        spec_id: str | None = None,
        variant_id: str | None = None,
    ) -> Slice[ShownReport]:
        """A page of the reports about a spec's variants or a variant, where they are named, newest first."""
        async with self._storage.read() as work:
            found = await work.variant_reports.about(account_ids, page, spec_id=spec_id, variant_id=variant_id)
            return Slice(await _shown(work, found.items), found.total)


async def _dataset(work: UnitOfWork, caller: Caller, dataset_id: str) -> tuple[Dataset, int]:
    """A dataset and the number of its newest published version."""
    dataset = await work.datasets.get(caller.account_id, dataset_id, include_archived=True)
    if dataset is None:
        raise NotFound("evaluation dataset", dataset_id)
    if dataset.archived_at is not None:
        raise RuleViolation(f"evaluation dataset {dataset_id} is archived; restore it first")
    version = await newest_published(work, dataset)
    if version is None:
        raise RuleViolation(f"evaluation dataset {dataset_id} has no published version; publish it first")
    return dataset, version.num


async def _check_group(work: UnitOfWork, variant: ApplicationVariant, group_id: str) -> None:
    where = OutputFilter((variant.account_id,), group_id=group_id)
    found = (await work.application_outputs.list(NumberedPage(limit=1), where)).items
    if not found:
        raise NotFound("application test case output group", group_id)
    if found[0].variant_id != variant.id:
        raise RuleViolation(f"application test case output group {group_id} is of another variant than {variant.id}")


async def _shown(work: UnitOfWork, reports: Sequence[VariantReport]) -> list[ShownReport]:
    known: dict[str, Dataset] = {}
    for report in reports:
        for dataset_id, _ in report.datasets:
            if dataset_id not in known:
                dataset = await work.datasets.get(report.account_id, dataset_id, include_archived=True)
                if dataset is not None:
                    known[dataset_id] = dataset
    return [ShownReport(report, known) for report in reports]
