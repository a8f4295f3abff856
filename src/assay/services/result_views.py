"""What may be shown with results of test cases: what they were made from, what was computed and answered, and whose
work they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from assay.core.annotation import AnnotationKind, AnnotationTask
from assay.core.application_evaluations import ApplicationEvaluation
from assay.core.application_outputs import ApplicationOutput
from assay.core.datasets import Dataset, DatasetItem
from assay.core.evaluations import Item
from assay.core.identity import Caller
from assay.core.questions import Choice
from assay.core.results import Result, ResultStatus
from assay.core.test_case_results import Labels, LabelStatus, TestCaseResult
from assay.ports.storage import UnitOfWork
from assay.services.application_outputs import Trace, traces_of
from assay.services.application_tasks import (
    ANSWER_PREFIX,
    COMPUTED,
    JUDGE_PREFIX,
    JUDGED,
    PEOPLED,
    ExpandedConfig,
    shown_metrics,
)
from assay.services.dataset_versions import found_dataset
from assay.services.labelling import wire_answer
from assay.services.labels import is_answer

QUESTION_TASKS = (PEOPLED, JUDGED)


@dataclass(frozen=True, slots=True)
class ResultViews:
    """What is to be shown with results."""

    cases: bool = False
    annotations: bool = False
    custom_metrics: bool = False
    client_metrics: bool = False
    tasks: bool = False
    traces: bool = False

    @property
    def of_items(self) -> bool:
        """Whether what tasks left for the items is needed."""
        return self.annotations or self.custom_metrics

    @property
    def of_outputs(self) -> bool:
        """Whether the outputs are needed that results were made from."""
        return self.client_metrics or self.traces


NO_VIEWS = ResultViews()


@dataclass(frozen=True, slots=True)
class CustomMetric:
    """A number that a metric task gave for a result."""

    id: str
    name: str
    type: str
    output: float


@dataclass(frozen=True, slots=True)
class Annotation:
    """An answer to a question about a result, a person's or a judge's. `value` is the answer, `chosen` the choices that
    it is, for a question with choices: one, or several where it takes many."""

    id: str
    kind: Literal["human", "llm_auto"]
    question_id: str
    value: Any
    created_at: datetime
    chosen: Choice | tuple[Choice, ...] | None = None
    judgement: Result | None = None


@dataclass(frozen=True, slots=True)
class ShownResult:
    """A result with what its views show; what was not asked for is empty."""

    result: TestCaseResult
    test_case: tuple[Dataset, DatasetItem] | None = None
    custom_metrics: Sequence[CustomMetric] = ()
    annotations: Sequence[Annotation] = ()
    tasks: Sequence[AnnotationTask] = ()
    output: ApplicationOutput | None = None
    trace: Trace | None = None

    @property
    def task(self) -> AnnotationTask | None:
        """The task to annotate it."""
        return next((each for each in self.tasks if each.kind is AnnotationKind.EVALUATION_ANNOTATION), None)

    @property
    def audit_tasks(self) -> Sequence[AnnotationTask]:
        """The tasks to audit its annotation."""
        return [each for each in self.tasks if each.kind is AnnotationKind.EVALUATION_AUDIT]


async def with_views(
    work: UnitOfWork,
    caller: Caller,
    found: ApplicationEvaluation,
    results: Sequence[TestCaseResult],
    config: ExpandedConfig | None,
    views: ResultViews,
) -> list[ShownResult]:
    """The results, in order, of an evaluation with a setup, with the views asked for."""
    if not results:
        return []
    seqs = [result.seq for result in results]
    items: Mapping[int, Item] = {}
    if views.of_items:
        span = await work.items.range(found.evaluation.seq, min(seqs), max(seqs))
        items = {item.seq: item for item in span}
    tasks: Mapping[int, Sequence[AnnotationTask]] = {}
    if views.tasks:
        tasks = await work.annotation_tasks.of_items(found.evaluation.seq, seqs)
    outputs: Mapping[str, ApplicationOutput] = {}
    traces: Mapping[str, Trace] = {}
    if views.of_outputs:
        wanted = [result.output_id for result in results if result.output_id]
        outputs = await work.application_outputs.get_many(found.evaluation.account_id, wanted)
        traces = await traces_of(work, list(outputs.values())) if views.traces else {}
    shown = []
    for result in results:
        item, output = items.get(result.seq), outputs.get(result.output_id or "")
        left = item.results if item is not None else {}
        shown.append(
            ShownResult(
                result,
                custom_metrics=list(_custom_metrics(found, result, left)) if views.custom_metrics else (),
                annotations=annotations_of(result, left, config) if views.annotations else (),
                tasks=tasks.get(result.seq, ()),
                output=output,
                trace=traces.get(output.interaction_id or "") if output is not None else None,
            )
        )
    return await with_cases(work, caller, shown) if views.cases else shown


def _custom_metrics(
    found: ApplicationEvaluation, result: TestCaseResult, left: Mapping[str, Result]
) -> Sequence[CustomMetric]:
    assert found.setup is not None
    return [
        CustomMetric(f"{result.id}:{alias}", name, kind, number)
        for alias, name, kind in shown_metrics(found.setup)
        if (each := left.get(alias)) is not None
        and each.status is ResultStatus.COMPLETED
        and (number := each.number) is not None
    ]


def annotations_of(
    result: TestCaseResult, left: Mapping[str, Result], config: ExpandedConfig | None
) -> list[Annotation]:
    """The answers to the questions about a result, the judge's first, each in the order of the questions."""
    questions = {question.id: question for question in config.questions} if config else {}

    def annotation(kind: Literal["human", "llm_auto"], question_id: str, value: Any, **more: Any) -> Annotation:
        question = questions.get(question_id)
        choices = {repr(choice.value): choice for choice in (question.choices or ())} if question else {}
        chosen: Any = None
        if choices:
            each = [
                choices[repr(one)] for one in (value if isinstance(value, list) else [value]) if repr(one) in choices
            ]
            chosen = tuple(each) if isinstance(value, list) else (each[0] if each else None)
        return Annotation(f"{result.id}:{kind}:{question_id}", kind, question_id, value, chosen=chosen, **more)

    made = []
    for alias, each in left.items():
        prefix = next((prefix for prefix in (JUDGE_PREFIX, ANSWER_PREFIX) if alias.startswith(prefix)), None)
        judged = prefix is not None and each.usage is not None and each.status is ResultStatus.COMPLETED
        if prefix is not None and judged:
            question_id = alias.removeprefix(prefix)
            value = wire_answer(each.value)
            made.append(annotation("llm_auto", question_id, value, created_at=result.updated_at, judgement=each))
    labels = result.labels
    if labels.annotated_by is not None or labels.edited_by is not None:
        at = labels.completed_at or result.updated_at
        made += [annotation("human", name, value, created_at=at) for name, value in (labels.answers or {}).items()]
    order = {question_id: number for number, question_id in enumerate(questions)}
    return sorted(made, key=lambda each: (each.kind == "human", order.get(each.question_id, len(order))))


async def with_cases(work: UnitOfWork, caller: Caller, shown: Sequence[ShownResult]) -> list[ShownResult]:
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


def projected(found: ApplicationEvaluation, item: Item) -> ShownResult:
    """An item of an evaluation that version 5 made, as a result: its tasks' values are the output."""
    evaluation = found.evaluation
    tasks = {task.alias: task for task in evaluation.tasks}
    metrics = {alias for alias, task in tasks.items() if task.task_type == COMPUTED}
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
    answers = {alias: value for alias, value in values.items() if alias in questions and is_answer(value)}
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
    return ShownResult(result, custom_metrics=shown)
