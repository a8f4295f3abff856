"""Results of test cases: posted by clients, labelled by people; every change is a revision.

The counts and the status of the evaluation follow in the same transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import uuid_utils

from assay.core.application_evaluations import ApplicationEvaluation
from assay.core.datasets import Dataset, DatasetItem
from assay.core.errors import InvalidInput, NotFound, RuleViolation
from assay.core.identity import Caller
from assay.core.paging import NumberedPage, Slice
from assay.core.results import Result, ResultStatus
from assay.core.test_case_results import Computing, Labels, TestCaseResult, row_of
from assay.ports.clock import Clock
from assay.ports.storage import Storage, UnitOfWork
from assay.registry.task_types import TaskType
from assay.services.application_evaluations import found_evaluation, runs_variant
from assay.services.application_outputs import output_problems
from assay.services.application_tasks import OUTPUT_ALIAS, ExpandedConfig
from assay.services.dataset_versions import version_at
from assay.services.evaluation_configs import expanded_config
from assay.services.labelling import settle
from assay.services.labels import LabelChanges, labelled_by
from assay.services.planning import executed_aliases
from assay.services.result_tasks import asks_people, follow, follow_new, queue_results
from assay.services.result_views import NO_VIEWS, ResultViews, ShownResult, projected, with_cases, with_views
from assay.services.resumption import Resumption
from assay.services.test_cases import case_data

Loc = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class NewTestCaseResult:
    """A result to make, or (with None for what stays) to change."""

    spec_id: str | None = None
    dataset_version: str | None = None
    test_case_id: str | None = None
    evaluation_data: Mapping[str, Any] | None = None
    labels: LabelChanges = field(default_factory=LabelChanges)


class TestCaseResults:
    """The use cases of results of test cases."""

    __test__ = False

    def __init__(
        self, storage: Storage, clock: Clock, task_types: Mapping[str, TaskType], resumption: Resumption
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._task_types = task_types
        self._resumption = resumption

    async def create(
        self, caller: Caller, evaluation_id: str, new: Sequence[NewTestCaseResult], *, batch: bool
    ) -> Sequence[TestCaseResult]:
        """Add results in order, all or none. `batch`: problems name the place in a list.

        Raises NotFound, InvalidInput for data or answers that do not fit, RuleViolation for an archived evaluation,
        one that version 5 made, or a test case that is not in the version named.
        """
        async with self._storage.write() as work:
            found = await _labelled(work, caller, evaluation_id)
            if not new:
                return []
            config = await _config(work, found)
            waits = bool(executed_aliases(found.evaluation, self._task_types))
            computing = Computing.WAITING if waits else Computing.DONE
            made: list[TestCaseResult] = []
            rows: list[Mapping[str, Any]] = []
            sources = _Sources(work, found)
            await sources.prepare(new)
            for index, each in enumerate(new):
                loc: Loc = ("body", index) if batch else ("body",)
                dataset, case = await sources.case(each.test_case_id or "", each.dataset_version or "")
                result = self._new_result(caller, found, dataset, each, computing)
                await sources.check_spec(result.spec_id)
                _check_evaluation_data(result, loc)
                labels = labelled_by(caller, result.labels, each.labels, config, self._clock.now(), loc)
                made.append(replace(result, labels=labels))
                rows.append(row_of(case_data(dataset, case.data), result.evaluation_data))
            added = await work.test_case_results.add(found.evaluation, made, rows)
            await work.application_evaluations.link(found.evaluation, [each.dataset_id for each in made])
            if runs_variant(found.evaluation):
                await work.results.add([_given_output(each) for each in added])
            if asks_people(config):
                await queue_results(work, found.evaluation, added, self._clock.now(), ready=True)
                await follow_new(work, caller, found, added, self._clock.now())
            await settle(work, found, [], made, rows)
        if waits:
            self._resumption.soon(evaluation_id)
        return added

    def _new_result(
        self,
        caller: Caller,
        found: ApplicationEvaluation,
        dataset: Dataset,
        new: NewTestCaseResult,
        computing: Computing,
    ) -> TestCaseResult:
        now = self._clock.now()
        assert new.spec_id is not None
        assert new.test_case_id is not None
        assert new.evaluation_data is not None
        return TestCaseResult(
            id=str(uuid_utils.uuid7()),
            seq=0,
            account_id=found.evaluation.account_id,
            evaluation_id=found.evaluation.id,
            evaluation_seq=found.evaluation.seq,
            spec_id=new.spec_id,
            dataset_id=dataset.id,
            dataset_version=new.dataset_version or "",
            test_case_id=new.test_case_id,
            schema_type=dataset.schema_type or "FLEXIBLE",
            evaluation_data=new.evaluation_data,
            labels=Labels(),
            created_at=now,
            created_by=caller.identity,
            updated_at=now,
            computing=computing,
        )

    async def get(
        self, caller: Caller, evaluation_id: str, result_id: str, views: ResultViews = NO_VIEWS
    ) -> ShownResult:
        """One result. Raises NotFound."""
        async with self._storage.read() as work:
            found = await found_evaluation(work, caller, evaluation_id)
            if found.setup is None:
                item = await work.items.get(found.evaluation.account_id, result_id, include_archived=True)
                if item is None or item.evaluation_id != evaluation_id:
                    raise NotFound("test case result", result_id)
                shown = projected(found, item)
                return (await with_cases(work, caller, [shown]))[0] if views.cases else shown
            result = await _result(work, found, result_id)
            config = await _config(work, found) if views.annotations else None
            return (await with_views(work, caller, found, [result], config, views))[0]

    async def list(
        self,
        caller: Caller,
        evaluation_id: str,
        page: NumberedPage,
        views: ResultViews = NO_VIEWS,
        *,
        include_archived: bool = False,
    ) -> Slice[ShownResult]:
        """A page of an evaluation's results, in the order of their making."""
        async with self._storage.read() as work:
            found = await found_evaluation(work, caller, evaluation_id)
            archived = include_archived or found.evaluation.archived_at is not None
            return await _shown(work, caller, found, page, views, archived=archived)

    async def of_evaluations(
        self, caller: Caller, found: Sequence[ApplicationEvaluation], page: NumberedPage, views: ResultViews
    ) -> dict[str, Sequence[ShownResult]]:
        """The first results of each evaluation, by the evaluation's id."""
        async with self._storage.read() as work:
            return {
                each.evaluation.id: (
                    await _shown(work, caller, each, page, views, archived=each.evaluation.archived_at is not None)
                ).items
                for each in found
            }

    async def update(
        self, caller: Caller, evaluation_id: str, result_id: str, changes: NewTestCaseResult
    ) -> TestCaseResult:
        """Change a result: a new revision. Answers complete it unless the same change says PENDING; InvalidInput
        when a required question that is asked stays without one."""
        async with self._storage.write() as work:
            found = await _labelled(work, caller, evaluation_id)
            before = await _result(work, found, result_id)
            now = self._clock.now()
            sources = _Sources(work, found)
            after = replace(
                before,
                spec_id=changes.spec_id or before.spec_id,
                dataset_version=changes.dataset_version or before.dataset_version,
                test_case_id=changes.test_case_id or before.test_case_id,
                evaluation_data=before.evaluation_data if changes.evaluation_data is None else changes.evaluation_data,
                updated_at=now,
            )
            row = None
            if after != replace(before, updated_at=now):
                await sources.check_spec(after.spec_id)
                dataset, case = await sources.case(after.test_case_id, after.dataset_version)
                after = replace(after, dataset_id=dataset.id, schema_type=dataset.schema_type or "FLEXIBLE")
                _check_evaluation_data(after, ("body",))
                row = row_of(case_data(dataset, case.data), after.evaluation_data)
                await work.application_evaluations.link(found.evaluation, [dataset.id])
            config = await _config(work, found)
            after = replace(after, labels=labelled_by(caller, before.labels, changes.labels, config, now, ("body",)))
            await work.test_case_results.replace(before, after, row, now)
            await follow(work, caller, found, before, after, now)
            await settle(work, found, [before], [after], [] if row is None else [row])
        return after

    async def history(
        self, caller: Caller, evaluation_id: str, version: str, page: NumberedPage
    ) -> Slice[TestCaseResult]:
        """A page of the results of one version of a dataset. NotFound when there is none."""
        async with self._storage.read() as work:
            found = await found_evaluation(work, caller, evaluation_id)
            shown = await work.test_case_results.list(
                found.evaluation, page, version=version, include_archived=found.evaluation.archived_at is not None
            )
        if not shown.total:
            raise NotFound("version with results", version)
        return shown

    async def history_of(self, caller: Caller, evaluation_id: str, result_id: str, version: str) -> TestCaseResult:
        """A result's newest revision for a version of its dataset. Raises NotFound."""
        async with self._storage.read() as work:
            found = await found_evaluation(work, caller, evaluation_id)
            now = await _result(work, found, result_id)
            revisions = [*await work.test_case_results.revisions(now), now]
        for revision in reversed(revisions):
            if revision.dataset_version == version:
                return revision
        raise NotFound("version of the test case result", version)

    async def revisions(self, caller: Caller, evaluation_id: str, result_id: str) -> Sequence[TestCaseResult]:
        """Every revision of a result, oldest first, the current one last."""
        async with self._storage.read() as work:
            found = await found_evaluation(work, caller, evaluation_id)
            now = await _result(work, found, result_id)
            return [*await work.test_case_results.revisions(now), now]


class _Sources:
    """Looks test cases and specs up once each, and locks none of them: results of many evaluations name the same."""

    def __init__(self, work: UnitOfWork, found: ApplicationEvaluation) -> None:
        self._work = work
        self._account_id = found.evaluation.account_id
        self._datasets: dict[str, Dataset] = {}
        self._versions: set[tuple[str, int]] = set()
        self._specs: set[str] = set()
        self._prepared: dict[tuple[str, int], DatasetItem] = {}

    async def prepare(self, new: Sequence[NewTestCaseResult]) -> None:
        """Read the test cases of many results at once."""
        wanted: dict[int, list[str]] = {}
        for each in new:
            wanted.setdefault(int(each.dataset_version or 0), []).append(each.test_case_id or "")
        for num, ids in wanted.items():
            for case_id, case in (await self._work.test_cases.get_many(ids, num)).items():
                self._prepared[case_id, num] = case

    async def case(self, case_id: str, version: str) -> tuple[Dataset, DatasetItem]:
        """A test case as of a version of its dataset. NotFound when unknown, RuleViolation when not in it."""
        work, account_id = self._work, self._account_id
        num = int(version)
        case = self._prepared.get((case_id, num))
        known = case or await work.dataset_items.get(account_id, case_id, include_archived=True)
        if known is None:
            raise NotFound("test case", case_id)
        dataset = self._datasets.get(known.dataset_id) or await self._dataset(known.dataset_id, case_id)
        if (dataset.id, num) not in self._versions:
            if await version_at(work, dataset, num) is None:
                raise RuleViolation(f"evaluation dataset {dataset.id} has no version {version}")
            self._versions.add((dataset.id, num))
        if case is None:
            case = await work.dataset_items.get(account_id, case_id, version=num, include_archived=True)
        if case is None:
            raise RuleViolation(f"test case {case_id} is not in version {version} of its dataset")
        return dataset, case

    async def _dataset(self, dataset_id: str, case_id: str) -> Dataset:
        dataset = await self._work.dataset_versions.get_dataset(self._account_id, dataset_id)
        if dataset is None:
            raise NotFound("test case", case_id)
        self._datasets[dataset_id] = dataset
        return dataset

    async def check_spec(self, spec_id: str) -> None:
        """Raise NotFound unless the spec is in the evaluation's account."""
        if spec_id in self._specs:
            return
        if spec_id not in await self._work.application_specs.get_many((self._account_id,), [spec_id]):
            raise NotFound("application spec", spec_id)
        self._specs.add(spec_id)


async def _labelled(work: UnitOfWork, caller: Caller, evaluation_id: str) -> ApplicationEvaluation:
    """An evaluation whose results can be written through here."""
    found = await found_evaluation(work, caller, evaluation_id)
    if found.evaluation.archived_at is not None:
        raise RuleViolation(f"the evaluation is archived; restore it first: {evaluation_id}")
    if found.setup is None:
        raise RuleViolation("this evaluation was made by version 5 of the API; version 4 cannot write its results")
    return found


async def _config(work: UnitOfWork, found: ApplicationEvaluation) -> ExpandedConfig | None:
    config_id = found.setup.configuration_id if found.setup else None
    return await expanded_config(work, found.evaluation.account_id, config_id)


async def _result(work: UnitOfWork, found: ApplicationEvaluation, result_id: str) -> TestCaseResult:
    result = await work.test_case_results.get(found.evaluation, result_id)
    if result is None:
        raise NotFound("test case result", result_id)
    return result


def _given_output(result: TestCaseResult) -> Result:
    """The output that came with a result, in the place of what its application would be asked for."""
    value = result.evaluation_data.get("generation_output")
    return Result(result.evaluation_seq, result.seq, OUTPUT_ALIAS, ResultStatus.PREFILLED, value)


def _check_evaluation_data(result: TestCaseResult, loc: Loc) -> None:
    problems = output_problems(result.evaluation_data, result.schema_type, (*loc, "test_case_evaluation_data"))
    if problems:
        raise InvalidInput(problems)


async def _shown(
    work: UnitOfWork,
    caller: Caller,
    found: ApplicationEvaluation,
    page: NumberedPage,
    views: ResultViews,
    *,
    archived: bool,
) -> Slice[ShownResult]:
    results = work.test_case_results
    if found.setup is None:
        items = await results.list_items(found.evaluation, page, include_archived=archived)
        shown = [projected(found, item) for item in items.items]
        return Slice(await with_cases(work, caller, shown) if views.cases else shown, items.total)
    listed = await results.list(found.evaluation, page, include_archived=archived)
    config = await _config(work, found) if views.annotations else None
    return Slice(await with_views(work, caller, found, listed.items, config, views), listed.total)
