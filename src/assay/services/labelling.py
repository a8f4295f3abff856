"""The engine's side of evaluations of applications: makes a builder's results, turns what tasks left for an item into
the result's labels, and settles the evaluation. Everything here may be repeated after a crash and does what is left."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import uuid_utils

from assay.core.application_evaluations import (
    ApplicationEvaluation,
    ApplicationSetup,
    ResultCounts,
    Settlement,
    status_after,
)
from assay.core.application_outputs import ApplicationOutput, Interaction
from assay.core.datasets import Dataset, DatasetItem
from assay.core.evaluations import Evaluation, EvaluationStatus, Item
from assay.core.locators import render
from assay.core.paging import NumberedPage
from assay.core.results import Result, ResultStatus
from assay.core.spans import Span
from assay.core.test_case_results import Computing, Labels, LabelStatus, TestCaseResult, row_of
from assay.ports.clock import Clock
from assay.ports.storage import Storage, UnitOfWork
from assay.registry.task_types import TaskType
from assay.services.application_outputs import as_object
from assay.services.application_tasks import (
    ANSWER_PREFIX,
    JUDGED,
    OUTPUT_ALIAS,
    PEOPLED,
    RUN,
    ExpandedConfig,
    trace_nodes,
)
from assay.services.evaluation_configs import expanded_config
from assay.services.evaluations import was_cancelled
from assay.services.labels import flags_review
from assay.services.planning import executed_aliases
from assay.services.result_tasks import asks_people, queue_results
from assay.services.test_cases import case_data

EVERY = NumberedPage(limit=2**31 - 1)
NO_CASES = "the version of the dataset has no test cases with outputs"
ALL_FAILED = "every result failed; see the items' task_errors"


class Labelling:
    """What the engine does for evaluations of applications beside running their tasks. Belongs to the engine's loop."""

    def __init__(self, storage: Storage, task_types: Mapping[str, TaskType], clock: Clock) -> None:
        self._storage = storage
        self._task_types = task_types
        self._clock = clock

    async def generate(self, evaluation: Evaluation) -> None:
        """Make the results of a builder, one for each test case that has an output, or will have; nothing when it is
        done. All or none."""
        async with self._storage.write() as work:
            found = await _locked(work, evaluation)
            if found is None or found.setup is None or not found.setup.is_building:
                return
            await self._generate(work, found, found.setup)

    async def _generate(self, work: UnitOfWork, found: ApplicationEvaluation, setup: ApplicationSetup) -> None:
        now = self._clock.now()
        config = await expanded_config(work, found.evaluation.account_id, setup.configuration_id)
        sources = await sources_of(work, found.evaluation.account_id, setup)
        computing = Computing.WAITING if executed_aliases(found.evaluation, self._task_types) else Computing.DONE
        labels = Labels()
        if computing is Computing.DONE and not asks(setup, config):
            labels = Labels(LabelStatus.COMPLETED, completed_at=now)
        made = [_result(found, source, computing, labels, now) for source in sources]
        rows = [source.row for source in sources]
        setup = replace(setup, generated_at=now)
        found = replace(found, setup=setup)
        added = await work.test_case_results.add(found.evaluation, made, rows)
        await work.application_evaluations.save(found)
        if asks_people(config):
            await queue_results(work, found.evaluation, added, now, ready=setup.output_group_id is not None)
        await settle(work, found, [], added, rows)

    async def label(self, evaluation: Evaluation, first_seq: int, last_seq: int) -> None:
        """Label the results in a range whose tasks have all left their results."""
        async with self._storage.write() as work:
            found = await _locked(work, evaluation)
            if found is None or found.setup is None:
                return
            waiting = await work.test_case_results.waiting(found.evaluation, first_seq, last_seq)
            aliases = executed_aliases(found.evaluation, self._task_types)
            items = {item.seq: item for item in await work.items.range(evaluation.seq, first_seq, last_seq)}
            done = [each for each in waiting if all(alias in items[each.seq].results for alias in aliases)]
            if not done:
                return
            config = await expanded_config(work, evaluation.account_id, found.setup.configuration_id)
            rules = _Rules(found, found.setup, config, aliases, self._clock.now())
            after = [rules.labelled(each, items[each.seq].results) for each in done]
            if rules.runs_variant:
                after = await _with_outputs(work, found, found.setup, after, items, rules.at)
            await work.test_case_results.put(after)
            if rules.runs_variant:
                await work.annotation_tasks.make_ready(
                    evaluation.seq, rules.at, first_item=first_seq, last_item=last_seq
                )
            await settle(work, found, done, after, [])

    async def finish(self, evaluation: Evaluation, failure: str | None) -> None:
        """Settle the evaluation once nothing of it waits for the engine, or at once when the job failed."""
        async with self._storage.read() as work:
            if failure is None and await work.test_case_results.count_waiting(evaluation.seq):
                return
        async with self._storage.write() as work:
            found = await _locked(work, evaluation)
            if found is None:
                return
            if failure is not None:
                now = self._clock.now()
                await work.evaluations.set_status(
                    evaluation.seq, EvaluationStatus.FAILED, failure, finished_at=now, only_if=EvaluationStatus.RUNNING
                )
            else:
                await settle(work, found, [], [], [])


@dataclass(frozen=True, slots=True)
class Source:
    """What a builder's result is made of: the test case, and its output if that is there."""

    case: DatasetItem
    dataset: Dataset
    output: ApplicationOutput | None
    row: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Rules:
    """How the results of an evaluation are labelled from what its tasks left."""

    found: ApplicationEvaluation
    setup: ApplicationSetup
    config: ExpandedConfig | None
    aliases: Sequence[str]
    at: datetime

    def labelled(self, result: TestCaseResult, left: Mapping[str, Result]) -> TestCaseResult:
        """A result after the engine's work; labels that people gave meanwhile stay."""
        failed = self._has_failed(left)
        after = replace(result, computing=Computing.FAILED if failed else Computing.DONE, updated_at=self.at)
        output = left.get(OUTPUT_ALIAS) if self.runs_variant else None
        if output is not None and output.status is ResultStatus.COMPLETED:
            after = replace(after, evaluation_data=output_data(output, result.schema_type))
        if result.labels.status is not LabelStatus.PENDING:
            return after
        if output is not None and output.status is ResultStatus.ERRORED:
            return replace(after, labels=replace(result.labels, status=LabelStatus.FAILED))
        return replace(after, labels=self._labels(result.labels, left))

    def _has_failed(self, left: Mapping[str, Result]) -> bool:
        """Whether the engine's work on a result came to nothing that counts: the output or a metric failed, or the
        judge left what it had to answer. A voluntary question that it could not answer is no failure."""
        judged = {
            task.alias: str(task.configuration["question_id"])
            for task in self.found.evaluation.tasks
            if task.task_type == JUDGED
        }
        errored = (alias for alias in self.aliases if left[alias].status is ResultStatus.ERRORED)
        if any(alias not in judged for alias in errored):
            return True
        return self._is_unjudged({question_id: left[alias] for alias, question_id in judged.items() if alias in left})

    @property
    def runs_variant(self) -> bool:
        """Whether the outputs are the application's own, made here."""
        return any(task.task_type == RUN for task in self.found.evaluation.tasks)

    def _labels(self, before: Labels, left: Mapping[str, Result]) -> Labels:
        judged = [
            task
            for task in self.found.evaluation.tasks
            if task.task_type == JUDGED and task.alias.startswith(ANSWER_PREFIX)
        ]
        if judged:
            questions = {task.alias: str(task.configuration["question_id"]) for task in judged}
            return self._judged(before, {questions[alias]: left[alias] for alias in questions})
        if self.setup.kind == "builder" and not asks(self.setup, self.config):
            return replace(before, status=LabelStatus.COMPLETED, completed_at=self.at)
        return before

    def _judged(self, before: Labels, left: Mapping[str, Result]) -> Labels:
        """The judge's answers: failed when a required question has none though it was asked, or none has one."""
        answers = {
            question_id: wire_answer(result.value)
            for question_id, result in left.items()
            if result.status is ResultStatus.COMPLETED
        }
        if self._is_unjudged(left):
            return replace(before, status=LabelStatus.FAILED, answers=answers or None)
        flagged = True if flags_review(self.config, answers) else before.audit_required
        return replace(
            before, status=LabelStatus.COMPLETED, answers=answers, completed_at=self.at, audit_required=flagged
        )

    def _is_unjudged(self, left: Mapping[str, Result]) -> bool:
        """Whether a judge's results by question lack an answer that there must be: a required one, or any."""
        unanswered = [question_id for question_id, each in left.items() if each.status is ResultStatus.ERRORED]
        if not unanswered:
            return False
        required = {
            each.id
            for each in (self.config.questions if self.config else ())
            if self.config and self.config.question_set.requires(each)
        }
        answered = any(each.status is ResultStatus.COMPLETED for each in left.values())
        return not answered or bool(required.intersection(unanswered))


def asks(setup: ApplicationSetup, config: ExpandedConfig | None) -> bool:
    """Whether anybody is asked about the results: else they are complete once they are computed."""
    return config is not None or bool((setup.configuration or {}).get("questions"))


def wire_answer(value: Any) -> Any:
    """A judge's answer as labels hold it: a form's is its JSON text."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value


def output_data(output: Result, schema_type: str) -> dict[str, Any]:
    """`{generation_output, generation_extra_info?}` of what an application gave: text, where the schema type allows
    an object also that; anything else as its JSON text."""
    kinds: tuple[type, ...] = (str, dict) if schema_type == "FLEXIBLE" else (str,)
    data = {"generation_output": output.value if isinstance(output.value, kinds) else render(output.value)}
    extra = (output.detail or {}).get("extra_info")
    if extra is not None:
        info = {"schema_type": "STRING", "info": render(extra)}
        data["generation_extra_info"] = extra if isinstance(extra, dict) and "schema_type" in extra else info
    return data


async def _with_outputs(
    work: UnitOfWork,
    found: ApplicationEvaluation,
    setup: ApplicationSetup,
    results: Sequence[TestCaseResult],
    items: Mapping[int, Item],
    at: datetime,
) -> list[TestCaseResult]:
    """The results of a variant that was run, each with what it gave stored as an output and its interaction; all of an
    evaluation are one group."""
    outputs: list[ApplicationOutput] = []
    interactions: list[Interaction] = []
    linked = []
    for result in results:
        given = items[result.seq].results[OUTPUT_ALIAS]
        if given.status is not ResultStatus.COMPLETED or result.output_id is not None:
            linked.append(result)
            continue
        interaction = _interaction(found, setup, items[result.seq], given, at)
        output = ApplicationOutput(
            id=str(uuid_utils.uuid7()),
            seq=0,
            account_id=result.account_id,
            variant_id=setup.variant_id or "",
            dataset_id=result.dataset_id,
            dataset_version=int(result.dataset_version),
            test_case_id=result.test_case_id,
            group_id=setup.job_id or found.evaluation.id,
            schema_type=result.schema_type,
            output=result.evaluation_data,
            created_at=at,
            created_by=found.evaluation.created_by,
            interaction_id=interaction.id,
        )
        interactions.append(interaction)
        outputs.append(output)
        linked.append(replace(result, output_id=output.id))
    await work.application_outputs.add(outputs, interactions)
    return linked


def _interaction(
    found: ApplicationEvaluation, setup: ApplicationSetup, item: Item, given: Result, at: datetime
) -> Interaction:
    """The call that gave an output; its id is its trace's, where it told one."""
    seconds = given.usage.latency if given.usage is not None else 0.0
    trace_id = (given.detail or {}).get("trace_id")
    return Interaction(
        id=trace_id if isinstance(trace_id, str) else str(uuid_utils.uuid7()),
        seq=0,
        account_id=found.evaluation.account_id,
        spec_id=setup.spec_id,
        variant_id=setup.variant_id or "",
        source="EVALUATION",
        started_at=at - timedelta(seconds=seconds),
        duration_ms=round(1000 * seconds),
        status="SUCCESS",
        input={"input": item.data.get("input")},
        output=as_object(given.value, "output"),
        created_at=at,
        created_by=found.evaluation.created_by,
    )


async def settle(
    work: UnitOfWork,
    found: ApplicationEvaluation,
    before: Sequence[TestCaseResult],
    after: Sequence[TestCaseResult],
    rows: Sequence[Mapping[str, Any]],
) -> None:
    """Write the counts and the status that results give, from what they were before and are now, in the transaction
    that wrote them; `rows` are new ones. A cancelled evaluation stays cancelled."""
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
        await work.test_case_results.count_waiting(evaluation.seq),
    )
    await _write(work, found, setup, counts, rows)


async def recount(work: UnitOfWork, found: ApplicationEvaluation) -> None:
    """As `settle`, after many results have changed at once: they are counted anew."""
    assert found.setup is not None
    tally = await work.test_case_results.tally(found.evaluation.seq)

    def counted(status: LabelStatus) -> int:
        return sum(count for (each, _), count in tally.items() if each is status)

    waiting = sum(count for (_, computing), count in tally.items() if computing is Computing.WAITING)
    counts = ResultCounts(sum(tally.values()), counted(LabelStatus.COMPLETED), counted(LabelStatus.FAILED), waiting)
    await _write(work, found, found.setup, counts, [])


async def _write(
    work: UnitOfWork,
    found: ApplicationEvaluation,
    setup: ApplicationSetup,
    counts: ResultCounts,
    rows: Sequence[Mapping[str, Any]],
) -> None:
    evaluation = found.evaluation
    columns = dict.fromkeys(evaluation.column_names)
    for row in rows:
        columns.update(dict.fromkeys(row))
    evaluation = replace(evaluation, column_names=tuple(columns))
    await work.application_evaluations.settle(evaluation, await _settlement(work, found, setup, counts))


async def _settlement(
    work: UnitOfWork, found: ApplicationEvaluation, setup: ApplicationSetup, counts: ResultCounts
) -> Settlement:
    evaluation = found.evaluation
    if was_cancelled(evaluation):
        return Settlement(
            counts, evaluation.status, evaluation.has_job, evaluation.status_reason, evaluation.finished_at
        )
    status = status_after(counts, setup)
    engine_works = setup.is_building or counts.waiting > 0
    engine_worked = setup.kind == "builder" or any(task.task_type != PEOPLED for task in evaluation.tasks)
    has_job = engine_works if status is EvaluationStatus.RUNNING else engine_worked
    if status is EvaluationStatus.COMPLETED:
        finished_at = await work.test_case_results.last_completed(evaluation.seq)
        reason = f"{counts.failed} of {counts.total} results failed" if counts.failed else None
        return Settlement(counts, status, has_job, reason, finished_at)
    if status is EvaluationStatus.FAILED:
        return Settlement(counts, status, has_job, ALL_FAILED if counts.total else NO_CASES)
    return Settlement(counts, status, has_job)


async def _locked(work: UnitOfWork, evaluation: Evaluation) -> ApplicationEvaluation | None:
    """The evaluation as it is now, which nobody else changes before this transaction ends; None when it is gone or
    no longer running."""
    found = await work.application_evaluations.get((evaluation.account_id,), evaluation.id)
    if found is None or found.setup is None or found.evaluation.status is not EvaluationStatus.RUNNING:
        return None
    return found


async def sources_of(work: UnitOfWork, account_id: str, setup: ApplicationSetup) -> list[Source]:
    """What a builder's results are made of, in the order of the test cases: those that its outputs cover, or all
    of the version when it runs its variant."""
    dataset = await work.dataset_versions.get_dataset(account_id, setup.dataset_id or "")
    assert dataset is not None
    cases = (await work.test_cases.list(dataset.id, EVERY, version=setup.dataset_version)).items
    if setup.output_group_id is None:
        return [Source(case, dataset, None, row_of(case_data(dataset, case.data), {})) for case in cases]
    outputs = await work.application_outputs.of_group(account_id, setup.output_group_id)
    by_case = {output.test_case_id: output for output in outputs}
    traces = await traces_by_output(work, account_id, outputs, trace_nodes(setup))
    sources = []
    for case in cases:
        output = by_case.get(case.id)
        if output is not None:
            row = row_of(case_data(dataset, case.data), output.output)
            if output.id in traces:
                row["trace"] = traces[output.id]
            sources.append(Source(case, dataset, output, row))
    return sources


async def traces_by_output(
    work: UnitOfWork, account_id: str, outputs: Sequence[ApplicationOutput], nodes: frozenset[str]
) -> dict[str, dict[str, Any]]:
    """What the spans of some nodes hold, by output and node: `{input, output, expected}`, of several spans of a node
    the latest; outputs without any are absent."""
    interactions = {output.interaction_id: output.id for output in outputs if output.interaction_id}
    if not nodes or not interactions:
        return {}
    found = await work.spans.of_interactions(account_id, list(interactions))
    return {
        interactions[interaction_id]: held
        for interaction_id, spans in found.items()
        if (held := {span.name: _held(span) for span in spans if span.name in nodes})
    }


def _held(span: Span) -> dict[str, Any]:
    parts = {"input": span.input, "output": span.output, "expected": span.expected}
    return {name: value for name, value in parts.items() if value is not None}


def _result(
    found: ApplicationEvaluation, source: Source, computing: Computing, labels: Labels, at: datetime
) -> TestCaseResult:
    evaluation, setup = found.evaluation, found.setup
    assert setup is not None
    return TestCaseResult(
        id=str(uuid_utils.uuid7()),
        seq=0,
        account_id=evaluation.account_id,
        evaluation_id=evaluation.id,
        evaluation_seq=evaluation.seq,
        spec_id=setup.spec_id,
        dataset_id=source.dataset.id,
        dataset_version=str(setup.dataset_version),
        test_case_id=source.case.id,
        schema_type=source.dataset.schema_type or "FLEXIBLE",
        evaluation_data=source.output.output if source.output else {},
        labels=labels,
        created_at=at,
        created_by=evaluation.created_by,
        updated_at=at,
        output_id=source.output.id if source.output else None,
        computing=computing,
    )
