"""Applications' outputs for test cases, as clients upload them: a batch is a group, and brings its traces."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import uuid_utils

from assay.core.application_outputs import ApplicationOutput, Interaction, OutputFilter
from assay.core.applications import ApplicationVariant
from assay.core.datasets import Dataset, DatasetItem
from assay.core.errors import InvalidInput, NotFound, Problem, RuleViolation
from assay.core.identity import Caller
from assay.core.paging import NumberedPage, Slice
from assay.core.spans import NewSpan, Span, SpanStatus, SpanType
from assay.ports.clock import Clock
from assay.ports.storage import Storage, UnitOfWork
from assay.services.catalogue import find_to_use
from assay.services.dataset_versions import version_at
from assay.services.spans import Teller, store_spans
from assay.services.test_cases import case_data, extra_info_problems

Loc = tuple[str | int, ...]
SHOWN_IDS = 5


@dataclass(frozen=True, slots=True)
class NewTraceSpan:
    """A step of the application on its way to an output. `node_id` names the step; durations are milliseconds."""

    node_id: str
    started_at: datetime
    input: Mapping[str, Any]
    output: Mapping[str, Any]
    expected: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] | None = None
    status: SpanStatus = SpanStatus.SUCCESS
    type: SpanType = SpanType.CUSTOM
    ended_at: datetime | None = None
    duration_ms: int | None = None


@dataclass(frozen=True, slots=True)
class NewOutput:
    """An output to store. `ignore_missing` of any of a batch lets it leave test cases out."""

    variant_id: str
    dataset_version: int
    test_case_id: str
    output: Mapping[str, Any]
    metrics: Mapping[str, float] | None = None
    spans: Sequence[NewTraceSpan] = ()
    ignore_missing: bool = False


@dataclass(frozen=True, slots=True)
class Trace:
    """An interaction and its steps, in the order in which they started."""

    interaction: Interaction
    spans: Sequence[Span] = ()


@dataclass(frozen=True, slots=True)
class ShownOutput:
    """An output with what its views show."""

    output: ApplicationOutput
    test_case: tuple[Dataset, DatasetItem] | None = None
    trace: Trace | None = None


class ApplicationOutputs:
    """The use cases of applications' outputs."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def create(self, caller: Caller, new: Sequence[NewOutput]) -> Sequence[ApplicationOutput]:
        """Store a batch as one new group, all or none, in order; each output with spans becomes an interaction.

        Raises NotFound for an unknown variant or test case, InvalidInput for an output that the dataset's schema
        type cannot have, RuleViolation for mixed variants, versions or datasets, a test case that comes twice or is
        not in the version, and for test cases that are left out unless `ignore_missing`.
        """
        if not new:
            return []
        async with self._storage.write() as work:
            variant = await self._variant(work, caller, new)
            dataset, cases = await _cases_of(work, caller, new)
            batch = _Batch(caller, variant, dataset, self._clock.now())
            for index, each in enumerate(new):
                batch.add(each, cases[each.test_case_id], ("body", index))
            await work.application_outputs.add(batch.outputs, batch.interactions)
            await store_spans(work, Teller(caller.account_id, caller.identity, batch.at), batch.spans)
        return batch.outputs

    async def _variant(self, work: UnitOfWork, caller: Caller, new: Sequence[NewOutput]) -> ApplicationVariant:
        for name in ("variant_id", "dataset_version"):
            if len({getattr(each, name) for each in new}) > 1:
                word = "application variant" if name == "variant_id" else "dataset version"
                raise RuleViolation(f"the outputs of one batch are of one {word}; send a batch for each")
        return await find_to_use(work.application_variants, ApplicationVariant, caller.account_id, new[0].variant_id)

    async def list(
        self, caller: Caller, page: NumberedPage, where: OutputFilter, *, cases: bool, traces: bool
    ) -> Slice[ShownOutput]:
        """A page of outputs, in the order in which they came, with the views asked for."""
        async with self._storage.read() as work:
            found = await work.application_outputs.list(page, where)
            return Slice(await _shown(work, caller, found.items, cases=cases, traces=traces), found.total)

    async def get(self, caller: Caller, output_id: str, *, cases: bool, traces: bool) -> ShownOutput:
        """One output of the caller's accounts. Raises NotFound."""
        async with self._storage.read() as work:
            found = await work.application_outputs.get(caller.accounts, output_id)
            if found is None:
                raise NotFound("application test case output", output_id)
            return (await _shown(work, caller, [found], cases=cases, traces=traces))[0]


@dataclass(slots=True)
class _Batch:
    """A group that is being made."""

    caller: Caller
    variant: ApplicationVariant
    dataset: Dataset
    at: datetime
    group_id: str = field(default_factory=lambda: str(uuid_utils.uuid7()))
    outputs: list[ApplicationOutput] = field(default_factory=list)
    interactions: list[Interaction] = field(default_factory=list)
    spans: list[NewSpan] = field(default_factory=list)

    def add(self, new: NewOutput, case: DatasetItem, loc: Loc) -> None:
        """Add an output with its interaction and spans; InvalidInput when it is none."""
        schema_type = self.dataset.schema_type or "FLEXIBLE"
        problems = output_problems(new.output, schema_type, (*loc, "output"))
        if problems:
            raise InvalidInput(problems)
        interaction = None
        if new.spans:
            interaction = self._interaction(new, case)
            self.interactions.append(interaction)
            self.spans.extend(_told(interaction, each) for each in new.spans)
        self.outputs.append(
            ApplicationOutput(
                id=str(uuid_utils.uuid7()),
                seq=0,
                account_id=self.caller.account_id,
                variant_id=self.variant.id,
                dataset_id=self.dataset.id,
                dataset_version=new.dataset_version,
                test_case_id=new.test_case_id,
                group_id=self.group_id,
                schema_type=schema_type,
                output=new.output,
                created_at=self.at,
                created_by=self.caller.identity,
                metrics=new.metrics,
                interaction_id=None if interaction is None else interaction.id,
            )
        )

    def _interaction(self, new: NewOutput, case: DatasetItem) -> Interaction:
        starts = [span.started_at for span in new.spans]
        ends = [_end(span) or span.started_at for span in new.spans]
        failed = any(span.status is SpanStatus.ERROR for span in new.spans)
        return Interaction(
            id=str(uuid_utils.uuid7()),
            seq=0,
            account_id=self.caller.account_id,
            spec_id=self.variant.application_spec_id,
            variant_id=self.variant.id,
            source="EXTERNAL_AI",
            started_at=min(starts),
            duration_ms=max(0, (max(ends) - min(starts)) // timedelta(milliseconds=1)),
            status="ERROR" if failed else "SUCCESS",
            input=as_object(case_data(self.dataset, case.data).get("input"), "input"),
            output=as_object(new.output.get("generation_output"), "output"),
            created_at=self.at,
            created_by=self.caller.identity,
        )


def as_object(value: Any, key: str) -> Mapping[str, Any]:
    """The value if it is an object, else an object that holds it."""
    return value if isinstance(value, Mapping) else {key: value}


def output_problems(output: Mapping[str, Any], schema_type: str, loc: Loc) -> list[Problem]:
    """What is wrong with `{generation_output, generation_extra_info?}` for a dataset of that schema type."""
    flexible = schema_type == "FLEXIBLE"
    problems = list(extra_info_problems(output.get("generation_extra_info"), (*loc, "generation_extra_info")))
    given = output.get("generation_output")
    if not isinstance(given, (str, dict) if flexible else str):
        words = "text or an object" if flexible else "text, for the dataset is of the type GENERATION"
        problems.append(Problem((*loc, "generation_output"), f"must be {words}", "type", given))
    return problems


def _end(span: NewTraceSpan) -> datetime | None:
    if span.ended_at is not None:
        return span.ended_at
    return None if span.duration_ms is None else span.started_at + timedelta(milliseconds=span.duration_ms)


def _told(interaction: Interaction, span: NewTraceSpan) -> NewSpan:
    return NewSpan(
        trace_id=interaction.id,
        name=span.node_id,
        started_at=span.started_at,
        ended_at=_end(span),
        input=span.input,
        output=span.output,
        expected=span.expected,
        metadata=span.metadata,
        status=span.status,
        type=span.type,
        application_interaction_id=interaction.id,
        application_variant_id=interaction.variant_id,
    )


async def _cases_of(
    work: UnitOfWork, caller: Caller, new: Sequence[NewOutput]
) -> tuple[Dataset, Mapping[str, DatasetItem]]:
    """The test cases of a batch as of its version, and their dataset."""
    ids = [each.test_case_id for each in new]
    if len(set(ids)) < len(ids):
        twice = next(each for number, each in enumerate(ids) if each in ids[:number])
        raise RuleViolation(f"test case {twice} comes twice in the batch")
    num = new[0].dataset_version
    found = await work.test_cases.get_many(ids, num)
    known = found.get(ids[0]) or await work.dataset_items.get(caller.account_id, ids[0], include_archived=True)
    dataset = await work.dataset_versions.get_dataset(caller.account_id, known.dataset_id) if known else None
    if dataset is None:
        raise NotFound("test case", ids[0])
    if await version_at(work, dataset, num) is None:
        raise RuleViolation(f"evaluation dataset {dataset.id} has no version {num}")
    for case_id in ids:
        case = found.get(case_id)
        if case is not None and case.dataset_id == dataset.id:
            continue
        there = await work.dataset_items.get(caller.account_id, case_id, include_archived=True)
        if there is None:
            raise NotFound("test case", case_id)
        if there.dataset_id != dataset.id:
            raise RuleViolation(f"test case {case_id} is of another dataset than the batch's first, {dataset.id}")
        raise RuleViolation(f"test case {case_id} is not in version {num} of its dataset")
    if not any(each.ignore_missing for each in new):
        await _refuse_missing(work, dataset, num, frozenset(ids))
    return dataset, found


async def _refuse_missing(work: UnitOfWork, dataset: Dataset, num: int, given: frozenset[str]) -> None:
    total = (await work.test_cases.list(dataset.id, NumberedPage(limit=1), version=num)).total
    if total == len(given):
        return
    every = await work.test_cases.list(dataset.id, NumberedPage(limit=max(total, 1)), version=num)
    missing = [case.id for case in every.items if case.id not in given]
    shown = ", ".join(missing[:SHOWN_IDS]) + (", ..." if len(missing) > SHOWN_IDS else "")
    raise RuleViolation(
        f"{len(missing)} of {total} test cases of version {num} have no output in the batch ({shown});"
        " send ignore_missing: true to leave them out"
    )


async def _shown(
    work: UnitOfWork, caller: Caller, outputs: Sequence[ApplicationOutput], *, cases: bool, traces: bool
) -> list[ShownOutput]:
    by_case = await test_cases_of(work, caller, outputs) if cases else {}
    by_interaction = await traces_of(work, outputs) if traces else {}
    return [
        ShownOutput(
            each,
            by_case.get((each.test_case_id, each.dataset_version)),
            by_interaction.get(each.interaction_id or ""),
        )
        for each in outputs
    ]


async def test_cases_of(
    work: UnitOfWork, caller: Caller, outputs: Sequence[ApplicationOutput]
) -> dict[tuple[str, int], tuple[Dataset, DatasetItem]]:
    """The test cases of outputs as of their versions, by id and version."""
    wanted: dict[int, list[str]] = {}
    owners = {each.dataset_id: each.account_id for each in outputs}
    for each in outputs:
        wanted.setdefault(each.dataset_version, []).append(each.test_case_id)
    datasets = {
        dataset_id: await work.dataset_versions.get_dataset(account_id, dataset_id)
        for dataset_id, account_id in owners.items()
    }
    found: dict[tuple[str, int], tuple[Dataset, DatasetItem]] = {}
    for num, ids in wanted.items():
        for case_id, case in (await work.test_cases.get_many(ids, num)).items():
            dataset = datasets.get(case.dataset_id)
            if dataset is not None:
                found[case_id, num] = (dataset, case)
    return found


async def traces_of(work: UnitOfWork, outputs: Sequence[ApplicationOutput]) -> dict[str, Trace]:
    """The interactions of outputs with their spans, by id."""
    found: dict[str, Trace] = {}
    for account_id in {each.account_id for each in outputs}:
        ids = [each.interaction_id for each in outputs if each.account_id == account_id and each.interaction_id]
        if not ids:
            continue
        spans = await work.spans.of_interactions(account_id, ids)
        for interaction in (await work.application_outputs.interactions(account_id, ids)).values():
            found[interaction.id] = Trace(interaction, spans.get(interaction.id, ()))
    return found
