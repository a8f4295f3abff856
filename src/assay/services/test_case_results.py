"""Results of test cases: posted by clients, labelled by people; every change is a revision.

The counts and the status of the evaluation follow in the same transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import uuid_utils

from assay.core.application_evaluations import ApplicationEvaluation, ResultCounts, status_after
from assay.core.datasets import Dataset, DatasetItem
from assay.core.errors import InvalidInput, NotFound, Problem, RuleViolation
from assay.core.evaluations import EvaluationStatus, Item
from assay.core.identity import Caller, Identity
from assay.core.paging import NumberedPage, Slice
from assay.core.questions import answer_problem, is_asked
from assay.core.results import ResultStatus
from assay.core.test_case_results import AuditStatus, Labels, LabelStatus, TestCaseResult, row_of
from assay.ports.clock import Clock
from assay.ports.storage import Storage, UnitOfWork
from assay.services.application_evaluations import ExpandedConfig, expanded_configs, found_evaluation
from assay.services.dataset_versions import found_dataset, version_at
from assay.services.test_cases import case_data, extra_info_problems

Loc = tuple[str | int, ...]
QUESTION_TASKS = ("contributor_evaluation.question", "auto_evaluation.question")


@dataclass(frozen=True, slots=True)
class LabelChanges:
    """What a request says of a result's labels. `given` names the fields that it has, None among their values."""

    status: LabelStatus | None = None
    answers: Mapping[str, Any] | None = None
    annotated_by_id: str | None = None
    annotated_by_type: str | None = None
    edited_by_type: str | None = None
    audit_status: AuditStatus | None = None
    audit_required: bool | None = None
    audit_comment: str | None = None
    seconds_spent: int | None = None
    given: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class NewTestCaseResult:
    """A result to make, or (with None for what stays) to change."""

    spec_id: str | None = None
    dataset_version: str | None = None
    test_case_id: str | None = None
    evaluation_data: Mapping[str, Any] | None = None
    labels: LabelChanges = field(default_factory=LabelChanges)


@dataclass(frozen=True, slots=True)
class CustomMetric:
    """A number that a metric task gave for a result."""

    id: str
    name: str
    type: str
    output: float


@dataclass(frozen=True, slots=True)
class ShownResult:
    """A result with what its views may show."""

    result: TestCaseResult
    test_case: tuple[Dataset, DatasetItem] | None = None
    custom_metrics: Sequence[CustomMetric] = ()


class TestCaseResults:
    """The use cases of results of test cases."""

    __test__ = False

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

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
            made: list[TestCaseResult] = []
            rows: list[Mapping[str, Any]] = []
            sources = _Sources(work, found)
            await sources.prepare(new)
            for index, each in enumerate(new):
                loc: Loc = ("body", index) if batch else ("body",)
                dataset, case = await sources.case(each.test_case_id or "", each.dataset_version or "")
                result = self._new_result(caller, found, dataset, each, loc)
                await sources.check_spec(result.spec_id)
                _check_evaluation_data(result, loc)
                labels = _labelled_by(caller, result.labels, each.labels, config, self._clock.now(), loc)
                made.append(replace(result, labels=labels))
                rows.append(row_of(case_data(dataset, case.data), result.evaluation_data))
            added = await work.test_case_results.add(found.evaluation, made, rows)
            await work.application_evaluations.link(found.evaluation, [each.dataset_id for each in made])
            await _settle(work, found, [], made, rows)
        return added

    def _new_result(
        self, caller: Caller, found: ApplicationEvaluation, dataset: Dataset, new: NewTestCaseResult, loc: Loc
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
        )

    async def get(self, caller: Caller, evaluation_id: str, result_id: str, *, with_case: bool) -> ShownResult:
        """One result. Raises NotFound."""
        async with self._storage.read() as work:
            found = await found_evaluation(work, caller, evaluation_id)
            if found.setup is None:
                item = await work.items.get(found.evaluation.account_id, result_id, include_archived=True)
                if item is None or item.evaluation_id != evaluation_id:
                    raise NotFound("test case result", result_id)
                shown = [_projected(found, item)]
            else:
                shown = [ShownResult(await _result(work, found, result_id))]
            return (await _with_cases(work, caller, shown) if with_case else shown)[0]

    async def list(
        self,
        caller: Caller,
        evaluation_id: str,
        page: NumberedPage,
        *,
        include_archived: bool = False,
        with_cases: bool = False,
    ) -> Slice[ShownResult]:
        """A page of an evaluation's results, in the order of their making."""
        async with self._storage.read() as work:
            found = await found_evaluation(work, caller, evaluation_id)
            archived = include_archived or found.evaluation.archived_at is not None
            return await _shown(work, caller, found, page, archived=archived, with_cases=with_cases)

    async def of_evaluations(
        self, caller: Caller, found: Sequence[ApplicationEvaluation], page: NumberedPage
    ) -> dict[str, Sequence[ShownResult]]:
        """The first results of each evaluation, with their test cases, by the evaluation's id."""
        async with self._storage.read() as work:
            return {
                each.evaluation.id: (
                    await _shown(
                        work, caller, each, page, archived=each.evaluation.archived_at is not None, with_cases=True
                    )
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
            after = replace(after, labels=_labelled_by(caller, before.labels, changes.labels, config, now, ("body",)))
            await work.test_case_results.replace(before, after, row, now)
            await _settle(work, found, [before], [after], [] if row is None else [row])
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
    if config_id is None:
        return None
    return (await expanded_configs(work, [found.evaluation.account_id], [config_id])).get(config_id)


async def _result(work: UnitOfWork, found: ApplicationEvaluation, result_id: str) -> TestCaseResult:
    result = await work.test_case_results.get(found.evaluation, result_id)
    if result is None:
        raise NotFound("test case result", result_id)
    return result


def _check_evaluation_data(result: TestCaseResult, loc: Loc) -> None:
    flexible = result.schema_type == "FLEXIBLE"
    place: Loc = (*loc, "test_case_evaluation_data")
    problems = list(
        extra_info_problems(result.evaluation_data.get("generation_extra_info"), (*place, "generation_extra_info"))
    )
    output = result.evaluation_data.get("generation_output")
    if not isinstance(output, (str, dict) if flexible else str):
        words = "text or an object" if flexible else "text, for the dataset is of the type GENERATION"
        problems.append(Problem((*place, "generation_output"), f"must be {words}", "type", output))
    if problems:
        raise InvalidInput(problems)


def _labelled_by(
    caller: Caller, before: Labels, changes: LabelChanges, config: ExpandedConfig | None, at: datetime, loc: Loc
) -> Labels:
    """The labels after a change."""
    given = changes.given
    values: dict[str, Any] = {
        name: getattr(changes, name)
        for name in ("answers", "audit_required", "audit_comment", "seconds_spent", "audit_status")
        if name in given and not (name == "audit_status" and changes.audit_status is None)
    }
    labels = replace(before, **values)
    answered = changes.answers is not None
    if answered:
        problems = _answer_problems(config, labels.answers or {}, (*loc, "result"))
        if problems:
            raise InvalidInput(problems)
        if _flags(config, labels.answers or {}) and "audit_required" not in given:
            labels = replace(labels, audit_required=True)
    status = changes.status or (LabelStatus.COMPLETED if answered else labels.status)
    if answered and status is not LabelStatus.PENDING:
        status = LabelStatus.COMPLETED
    elif "answers" in given and not answered and changes.status is None:
        status = LabelStatus.PENDING
    if status is LabelStatus.COMPLETED and (changes.status or answered):
        missing = _unanswered(config, labels.answers or {}, (*loc, "result"))
        if missing:
            raise InvalidInput(missing)
    completed_at = labels.completed_at if before.status is LabelStatus.COMPLETED else at
    labels = replace(labels, status=status, completed_at=completed_at if status is LabelStatus.COMPLETED else None)
    return _signed(caller, before, labels, changes, answered=answered)


def _signed(caller: Caller, before: Labels, labels: Labels, changes: LabelChanges, *, answered: bool) -> Labels:
    """Who annotated, and who edited what somebody else had annotated."""
    annotator = before.annotated_by
    if changes.annotated_by_id is not None:
        kind: Any = changes.annotated_by_type or "user"
        annotator = Identity(changes.annotated_by_id, kind)
    elif annotator is None and answered and labels.status is LabelStatus.COMPLETED:
        annotator = caller.identity
    by_another = answered and before.annotated_by is not None and before.annotated_by != caller.identity
    fixed = changes.audit_status is AuditStatus.FIXED
    editor = caller.identity if by_another or fixed else before.edited_by
    return replace(labels, annotated_by=annotator, edited_by=editor)


def _answer_problems(config: ExpandedConfig | None, answers: Mapping[str, Any], loc: Loc) -> list[Problem]:
    """What is wrong with answers; without a config there are no questions to check them against."""
    problems = []
    questions = {question.id: question for question in config.questions} if config else None
    for question_id, answer in answers.items():
        place = (*loc, question_id)
        if not _is_answer(answer):
            problems.append(Problem(place, "must be text, a number, true or false, or a list of those", "type"))
        elif questions is not None and question_id not in questions:
            problems.append(Problem(place, "the question set has no such question", "unknown_question", question_id))
        elif questions is not None and (fault := answer_problem(questions[question_id], answer)):
            problems.append(Problem(place, fault, "answer", answer))
        elif questions is not None and not is_asked(questions[question_id], answers):
            problems.append(Problem(place, "is not asked, given the other answers", "not_asked"))
    return problems


def _is_answer(answer: Any) -> bool:
    plain = (str, bool, int, float)
    return isinstance(answer, plain) or (isinstance(answer, list) and all(isinstance(each, plain) for each in answer))


def _unanswered(config: ExpandedConfig | None, answers: Mapping[str, Any], loc: Loc) -> list[Problem]:
    if config is None:
        return []
    return [
        Problem((*loc, question.id), "is required; send label_status PENDING to save a draft", "missing")
        for question in config.questions
        if config.question_set.requires(question) and question.id not in answers and is_asked(question, answers)
    ]


def _flags(config: ExpandedConfig | None, answers: Mapping[str, Any]) -> bool:
    """Whether an answer is a choice that asks for a review."""
    for question in config.questions if config else ():
        if question.id in answers:
            answer = answers[question.id]
            chosen = answer if isinstance(answer, list) else [answer]
            if any(choice.audit_required and choice.value in chosen for choice in question.choices or ()):
                return True
    return False


async def _settle(
    work: UnitOfWork,
    found: ApplicationEvaluation,
    before: Sequence[TestCaseResult],
    after: Sequence[TestCaseResult],
    rows: Sequence[Mapping[str, Any]],
) -> None:
    """Write the counts and the status that results give, from what they were before and are now."""
    evaluation, setup = found.evaluation, found.setup
    assert setup is not None
    progress = evaluation.progress

    def gained(status: LabelStatus) -> int:
        return sum(each.labels.status is status for each in after) - sum(
            each.labels.status is status for each in before
        )

    counts = ResultCounts(
        progress.total + len(after) - len(before),
        progress.successful + gained(LabelStatus.COMPLETED),
        progress.failed + gained(LabelStatus.FAILED),
    )
    status = status_after(counts, setup.kind)
    finished_at = None
    if status is EvaluationStatus.COMPLETED:
        finished_at = await work.test_case_results.last_completed(evaluation.seq)
    columns = dict.fromkeys(evaluation.column_names)
    for row in rows:
        columns.update(dict.fromkeys(row))
    await work.application_evaluations.settle(
        replace(evaluation, column_names=tuple(columns)), counts, status, finished_at
    )


async def _shown(
    work: UnitOfWork,
    caller: Caller,
    found: ApplicationEvaluation,
    page: NumberedPage,
    *,
    archived: bool,
    with_cases: bool,
) -> Slice[ShownResult]:
    results = work.test_case_results
    if found.setup is None:
        items = await results.list_items(found.evaluation, page, include_archived=archived)
        shown, total = [_projected(found, item) for item in items.items], items.total
    else:
        listed = await results.list(found.evaluation, page, include_archived=archived)
        shown, total = [ShownResult(result) for result in listed.items], listed.total
    return Slice(await _with_cases(work, caller, shown) if with_cases else shown, total)


async def _with_cases(work: UnitOfWork, caller: Caller, shown: Sequence[ShownResult]) -> list[ShownResult]:
    """The results with their test cases as of the versions that they are of."""
    wanted: dict[int, list[str]] = {}
    for each in shown:
        if each.test_case is None:
            wanted.setdefault(int(each.result.dataset_version), []).append(each.result.test_case_id)
    cases = {num: await work.test_cases.get_many(ids, num) for num, ids in wanted.items()}
    datasets: dict[str, Dataset] = {}
    filled = []
    for each in shown:
        case = cases.get(int(each.result.dataset_version), {}).get(each.result.test_case_id)
        if each.test_case is None and case is not None:
            if case.dataset_id not in datasets:
                datasets[case.dataset_id] = await found_dataset(work, caller, case.dataset_id)
            filled.append(replace(each, test_case=(datasets[case.dataset_id], case)))
        else:
            filled.append(each)
    return filled


def _projected(found: ApplicationEvaluation, item: Item) -> ShownResult:
    """An item of an evaluation that version 5 made, as a result: its tasks' values are the output."""
    evaluation = found.evaluation
    tasks = {task.alias: task for task in evaluation.tasks}
    metrics = {alias for alias, task in tasks.items() if task.task_type == "metric"}
    questions = {alias for alias, task in tasks.items() if task.task_type in QUESTION_TASKS}
    values = {
        alias: result.value
        for alias, result in item.results.items()
        if result.status in (ResultStatus.COMPLETED, ResultStatus.PREFILLED)
    }
    failed = any(result.status is ResultStatus.ERRORED for result in item.results.values())
    done = all(alias in item.results for alias in tasks)
    status = LabelStatus.FAILED if failed else LabelStatus.COMPLETED if done else LabelStatus.PENDING
    dataset_id = evaluation.datasets[0].id if evaluation.datasets and item.dataset_item_id else ""
    answers = {alias: value for alias, value in values.items() if alias in questions and _is_answer(value)}
    result = TestCaseResult(
        id=item.id,
        seq=item.seq,
        account_id=evaluation.account_id,
        evaluation_id=evaluation.id,
        evaluation_seq=evaluation.seq,
        spec_id=found.spec_id,
        dataset_id=dataset_id,
        dataset_version=str(item.dataset_item_version_num or 0),
        test_case_id=item.dataset_item_id or item.id,
        schema_type="FLEXIBLE",
        evaluation_data={"generation_output": {k: v for k, v in values.items() if k not in metrics | questions}},
        labels=Labels(
            status=status,
            answers=answers or None,
            completed_at=evaluation.finished_at if status is LabelStatus.COMPLETED else None,
        ),
        created_at=item.created_at,
        created_by=item.created_by,
        updated_at=evaluation.updated_at,
        archived_at=item.archived_at,
    )
    shown = [
        CustomMetric(f"{item.id}:{alias}", alias, str(tasks[alias].configuration.get("type")), float(value))
        for alias, value in values.items()
        if alias in metrics and isinstance(value, int | float)
    ]
    return ShownResult(result, None, shown)
