"""Evaluations of applications: making, reading, listing, changing and removing them, whichever API made them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import uuid_utils

from assay.core.annotation_configs import normal_form, places_given
from assay.core.application_evaluations import (
    RESERVED_SPEC_NAME,
    ApplicationEvaluation,
    ApplicationSetup,
    EvaluationQuery,
    Kind,
    reserved_spec_id,
)
from assay.core.application_outputs import OutputFilter
from assay.core.applications import ApplicationSpec, ApplicationVariant
from assay.core.data_locs import FORMS, is_there, path_of, places_in
from assay.core.errors import InvalidInput, NotFound, Problem, RuleViolation
from assay.core.evaluation_configs import EvaluationConfig, EvaluationType
from assay.core.evaluations import Evaluation, EvaluationStatus, Progress
from assay.core.identity import Caller, Identity
from assay.core.paging import Slice
from assay.core.tasks import TaskSpec
from assay.core.test_case_results import Computing, LabelStatus
from assay.ports.clock import Clock
from assay.ports.engine import Engine
from assay.ports.storage import Storage, UnitOfWork
from assay.services.application_tasks import (
    ANSWER_PREFIX,
    JUDGE_PREFIX,
    RUN,
    ApplicationTasks,
    ExpandedConfig,
    annotation_configs,
)
from assay.services.catalogue import find_to_use
from assay.services.dataset_versions import newest_published, version_at, writable_dataset
from assay.services.evaluation_configs import (
    EvaluationConfigs,
    NewEvaluationConfig,
    expanded_config,
    expanded_configs,
)
from assay.services.labelling import recount, sources_of
from assay.services.result_tasks import queue_every_result

_SETUP_FIELDS = {
    "application_spec_id": "spec_id",
    "application_variant_id": "variant_id",
    "evaluation_config": "configuration",
    "evaluation_config_id": "configuration_id",
    "annotation_config": "annotation_config",
    "question_id_to_annotation_config": "question_annotation_configs",
}
"""The names of what a change may have, on the wire and here; `name`, `description`, `tags` besides."""
_TASK_FIELDS = frozenset(
    {"evaluation_config_id", "annotation_config", "question_id_to_annotation_config", "application_variant_id"}
)
"""Those that the tasks are made from."""


@dataclass(frozen=True, slots=True)
class NewApplicationEvaluation:
    """An evaluation of an application to make. `kind` None: a builder when dataset and variant are named."""

    name: str
    description: str
    spec_id: str
    kind: Kind | None = None
    variant_id: str | None = None
    tags: Mapping[str, Any] | None = None
    configuration: Mapping[str, Any] | None = None
    configuration_id: str | None = None
    inline_configuration: NewEvaluationConfig | None = None
    annotation_config: Mapping[str, Any] | None = None
    question_annotation_configs: Mapping[str, Any] | None = None
    metric_config: Mapping[str, Any] | None = None
    dataset_id: str | None = None
    dataset_version: int | None = None
    output_group_id: str | None = None

    @property
    def resolved_kind(self) -> Kind:
        """The kind that is meant."""
        if self.kind is not None:
            return self.kind
        return "builder" if self.dataset_id is not None and self.variant_id is not None else "default"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What belongs to evaluations and may be shown with them, by id. `tallies` count their results."""

    specs: Mapping[str, ApplicationSpec]
    configs: Mapping[str, ExpandedConfig]
    tallies: Mapping[str, Mapping[tuple[LabelStatus, Computing], int]] = field(default_factory=dict)


class ApplicationEvaluations:
    """The use cases of evaluations of applications. Each change is one transaction."""

    def __init__(
        self, storage: Storage, clock: Clock, configs: EvaluationConfigs, tasks: ApplicationTasks, engine: Engine
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._configs = configs
        self._tasks = tasks
        self._engine = engine
        self._reserved: set[str] = set()

    async def create(self, caller: Caller, new: NewApplicationEvaluation) -> ApplicationEvaluation:
        """Make an evaluation in the caller's account, with its inline config if it has one. It has no results yet: a
        builder's job makes them.

        Raises InvalidInput, NotFound for anything named that is not in the account; RuleViolation for a variant of
        another spec, two configs at once, a dataset without a published version, a variant that neither answers nor
        has outputs, and a data location that points at nothing in a test case; NotConfigured for a judge that cannot
        be called.
        """
        _check_form(new)
        kind = new.resolved_kind
        now = self._clock.now()
        annotation, overrides = _normal_configs(new.annotation_config, new.question_annotation_configs)
        async with self._storage.write() as work:
            variant = await _check_application(work, caller.account_id, new.spec_id, new.variant_id)
            config_id = await self._config_id(work, caller, new)
            setup = ApplicationSetup(
                spec_id=new.spec_id,
                kind=kind,
                variant_id=new.variant_id,
                configuration=new.configuration,
                configuration_id=config_id,
                annotation_config=annotation,
                question_annotation_configs=overrides,
                metric_config=new.metric_config,
            )
            if kind == "builder" and variant is not None:
                setup = await _builder(work, caller, new, variant, setup)
                await _check_places(work, caller.account_id, setup, places_given(new.annotation_config or {}))
            expanded = await expanded_config(work, caller.account_id, config_id)
            runs = kind == "builder" and setup.output_group_id is None
            specs = await self._tasks.make(work, caller.account_id, setup, expanded, runs_variant=runs)
            made = await work.application_evaluations.add(_evaluation(caller, new, specs, setup, now), setup)
        if setup.is_building:
            await self._engine.start(made.evaluation.id)
        return made

    async def _config_id(self, work: UnitOfWork, caller: Caller, new: NewApplicationEvaluation) -> str | None:
        if new.inline_configuration is not None:
            made = await self._configs.add(
                work, caller, new.inline_configuration, loc=("body", "inline_evaluation_config")
            )
            return made.id
        if new.configuration_id is not None:
            await find_to_use(work.evaluation_configs, EvaluationConfig, caller.account_id, new.configuration_id)
        return new.configuration_id

    async def get(self, caller: Caller, evaluation_id: str) -> ApplicationEvaluation:
        """One evaluation of the caller's accounts, archived ones too. Raises NotFound."""
        async with self._storage.read() as work:
            found = await found_evaluation(work, caller, evaluation_id)
        await self._reserve([found])
        return found

    async def list(self, query: EvaluationQuery) -> Slice[ApplicationEvaluation]:
        """A page of evaluations."""
        async with self._storage.read() as work:
            found = await work.application_evaluations.list(query)
        await self._reserve(found.items)
        return found

    async def surroundings(
        self, found: Sequence[ApplicationEvaluation], *, specs: bool, configs: bool, jobs: bool = False
    ) -> Surroundings:
        """The specs, the expanded configs and the tallies of evaluations, those that are asked for."""
        accounts = list({each.evaluation.account_id for each in found})
        async with self._storage.read() as work:
            by_spec: Mapping[str, ApplicationSpec] = {}
            if specs:
                by_spec = await work.application_specs.get_many(accounts, list({each.spec_id for each in found}))
            by_config: Mapping[str, ExpandedConfig] = {}
            if configs or jobs:
                wanted = {each.setup.configuration_id for each in found if each.setup is not None} - {None}
                by_config = await expanded_configs(work, accounts, [each for each in wanted if each is not None])
            tallies = {}
            if jobs:
                with_setup = [each.evaluation for each in found if each.setup is not None]
                tallies = {each.id: await work.test_case_results.tally(each.seq) for each in with_setup}
        return Surroundings(by_spec, by_config, tallies)

    async def update(self, caller: Caller, evaluation_id: str, changes: Mapping[str, Any]) -> ApplicationEvaluation:
        """Change what `changes` has, by the names on the wire; objects are replaced, None clears. Another config or
        variant is for results to come: those that are there stay as they are labelled.

        RuleViolation when it is archived, when it has no setup and more than name, description and tags is to
        change, or when the evaluation type cannot become hybrid.
        """
        async with self._storage.write() as work:
            found = await found_evaluation(work, caller, evaluation_id)
            if found.evaluation.archived_at is not None:
                raise RuleViolation(f"the evaluation is archived; restore it first: {evaluation_id}")
            wanted = dict(changes)
            hybrid = wanted.pop("evaluation_type", None) is not None and await self._to_hybrid(work, caller, found)
            if hybrid:
                found = await found_evaluation(work, caller, evaluation_id)
            if wanted:
                found = await self._changed(work, found, wanted)
        if hybrid and found.evaluation.has_job:
            await self._engine.resume(evaluation_id)
        return found

    async def _changed(
        self, work: UnitOfWork, found: ApplicationEvaluation, wanted: dict[str, Any]
    ) -> ApplicationEvaluation:
        evaluation = found.evaluation
        plain: dict[str, Any] = {name: wanted.pop(name) for name in ("name", "description") if name in wanted}
        if "tags" in wanted:
            plain["metadata"] = wanted.pop("tags")
        setup = await _changed_setup(work, found, wanted) if wanted else found.setup
        if setup is not None and _TASK_FIELDS & wanted.keys():
            expanded = await expanded_config(work, evaluation.account_id, setup.configuration_id)
            runs = runs_variant(evaluation)
            plain["tasks"] = await self._tasks.make(work, evaluation.account_id, setup, expanded, runs_variant=runs)
        evaluation = replace(evaluation, **plain, updated_at=self._clock.now())
        changed = ApplicationEvaluation(evaluation, setup)
        await work.application_evaluations.save(changed)
        return changed

    async def _to_hybrid(self, work: UnitOfWork, caller: Caller, found: ApplicationEvaluation) -> bool:
        """Let people and a judge answer: the judge what people have, people what the judge has. Whether that was not
        so already."""
        evaluation, setup = found.evaluation, found.setup
        expanded = await expanded_config(work, evaluation.account_id, setup.configuration_id if setup else None)
        if setup is None or expanded is None or expanded.config.evaluation_type is EvaluationType.STUDIO:
            raise RuleViolation(
                "only an evaluation with a human or llm_auto evaluation config can become llm_benchmark"
            )
        before = expanded.config.evaluation_type
        if before is EvaluationType.LLM_BENCHMARK:
            return False
        if before is EvaluationType.LLM_AUTO and await work.test_case_results.count_waiting(evaluation.seq):
            raise RuleViolation("the judge is still at work; an evaluation can become llm_benchmark once it is done")
        now = self._clock.now()
        config = await self._configs.add_hybrid(work, caller, expanded.config)
        setup = replace(setup, configuration_id=config.id)
        specs = await self._tasks.make(
            work,
            evaluation.account_id,
            setup,
            replace(expanded, config=config),
            runs_variant=runs_variant(evaluation),
        )
        found = ApplicationEvaluation(replace(evaluation, tasks=specs, updated_at=now), setup)
        await work.application_evaluations.save(found)
        if before is EvaluationType.LLM_AUTO:
            names = {f"{ANSWER_PREFIX}{each.id}": f"{JUDGE_PREFIX}{each.id}" for each in expanded.questions}
            await work.results.rename(evaluation.seq, names)
            await work.test_case_results.reopen(evaluation.seq, now)
            await queue_every_result(work, evaluation, now)
        else:
            await work.test_case_results.await_engine(evaluation.seq)
        await recount(work, found)
        return True

    async def delete(self, caller: Caller, evaluation_id: str) -> int:
        """Archive an evaluation and its results, and take it out of its groups. 1, or 0 when it was archived."""
        now = self._clock.now()
        async with self._storage.write() as work:
            found = await found_evaluation(work, caller, evaluation_id)
            if found.evaluation.archived_at is not None:
                return 0
            evaluation = replace(found.evaluation, archived_at=now, updated_at=now)
            await work.evaluations.save(evaluation)
            await work.items.set_archived(evaluation.seq, now)
            await work.annotation_tasks.set_archived([evaluation.seq], True)
            await work.groups.remove_evaluations([evaluation.id], now)
        return 1

    async def restore(self, caller: Caller, evaluation_id: str) -> ApplicationEvaluation:
        """Bring an archived evaluation back with the results that were archived with it."""
        async with self._storage.write() as work:
            found = await found_evaluation(work, caller, evaluation_id)
            before = found.evaluation
            if before.archived_at is None:
                return found
            await work.items.set_archived(before.seq, None, only_at=before.archived_at)
            await work.annotation_tasks.set_archived([before.seq], False)
            evaluation = replace(before, archived_at=None, updated_at=self._clock.now())
            await work.evaluations.save(evaluation)
        return ApplicationEvaluation(evaluation, found.setup)

    async def _reserve(self, found: Sequence[ApplicationEvaluation]) -> None:
        """See to it that the spec exists under which evaluations without a setup are shown."""
        for account_id in {each.evaluation.account_id for each in found if each.setup is None} - self._reserved:
            spec_id = reserved_spec_id(account_id)
            async with self._storage.read() as work:
                known = await work.application_specs.get((account_id,), spec_id)
            if known is None:
                async with self._storage.write() as work:
                    if await work.application_specs.get((account_id,), spec_id) is None:
                        await work.application_specs.add(_reserved_spec(account_id, self._clock.now()))
            self._reserved.add(account_id)


async def found_evaluation(work: UnitOfWork, caller: Caller, evaluation_id: str) -> ApplicationEvaluation:
    """An evaluation in one of the caller's accounts, archived or not. Raises NotFound."""
    found = await work.application_evaluations.get(caller.accounts, evaluation_id)
    if found is None:
        raise NotFound("evaluation", evaluation_id)
    return found


def _check_form(new: NewApplicationEvaluation) -> None:
    if new.configuration_id is not None and new.inline_configuration is not None:
        raise RuleViolation("send evaluation_config_id or inline_evaluation_config, not both")
    problems = []
    if new.resolved_kind == "builder":
        named = {"evaluation_dataset_id": new.dataset_id, "application_variant_id": new.variant_id}
        problems = [
            Problem(("body", name), "a builder evaluation needs it", "missing")
            for name, value in named.items()
            if value is None
        ]
    if new.metric_config is not None:
        problems.extend(_metric_problems(new.metric_config))
    if problems:
        raise InvalidInput(problems)


def _metric_problems(config: Mapping[str, Any]) -> list[Problem]:
    """The rules that a schema cannot say: names are unique."""
    names: set[str] = set()
    problems = []
    for index, component in enumerate(config["components"]):
        if component["name"] in names:
            loc = ("body", "metric_config", "components", index, "name")
            problems.append(Problem(loc, "another component has this name", "duplicate", component["name"]))
        names.add(component["name"])
    return problems


def _normal_configs(
    annotation: Mapping[str, Any] | None, overrides: Mapping[str, Any] | None
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    normal = None if annotation is None else normal_form(annotation, ("body", "annotation_config"))
    if overrides is None:
        return normal, None
    loc = ("body", "question_id_to_annotation_config")
    return normal, {key: normal_form(each, (*loc, key)) for key, each in overrides.items()}


async def _check_application(
    work: UnitOfWork, account_id: str, spec_id: str, variant_id: str | None
) -> ApplicationVariant | None:
    spec = await find_to_use(work.application_specs, ApplicationSpec, account_id, spec_id)
    if variant_id is None:
        return None
    variant = await find_to_use(work.application_variants, ApplicationVariant, account_id, variant_id)
    if variant.application_spec_id != spec.id:
        raise RuleViolation(f"application variant {variant_id} is not of the application spec {spec_id}")
    return variant


async def _builder(
    work: UnitOfWork,
    caller: Caller,
    new: NewApplicationEvaluation,
    variant: ApplicationVariant,
    setup: ApplicationSetup,
) -> ApplicationSetup:
    """The setup with what a builder makes its results from: a published version, and the outputs of a group, unless
    the variant has an endpoint that gives them."""
    version = await _dataset_version(work, caller, new)
    where = OutputFilter((caller.account_id,), new.output_group_id, variant.id, new.dataset_id, version)
    group = None
    if new.output_group_id is not None or "endpoint" not in variant.configuration:
        group = await work.application_outputs.newest_group(where)
    if group is None and new.output_group_id is not None:
        if await work.application_outputs.newest_group(OutputFilter((caller.account_id,), new.output_group_id)):
            raise RuleViolation(
                f"the outputs of group {new.output_group_id} are not of variant {variant.id} for version {version} of"
                f" evaluation dataset {new.dataset_id}"
            )
        raise NotFound("application test case output group", new.output_group_id)
    if group is None and "endpoint" not in variant.configuration:
        raise RuleViolation(
            f"application variant {variant.id} has no outputs for version {version} of evaluation dataset"
            f" {new.dataset_id}; upload them, or give the variant an endpoint (configuration.endpoint) to run it"
        )
    return replace(
        setup,
        dataset_id=new.dataset_id,
        dataset_version=version,
        output_group_id=group,
        job_id=str(uuid_utils.uuid7()),
    )


async def _check_places(
    work: UnitOfWork, account_id: str, setup: ApplicationSetup, lenient: Collection[tuple[str, ...]]
) -> None:
    """Raise RuleViolation for a data location that points at nothing in one of the test cases, or is none. What an
    application has yet to give is not looked at."""
    given = setup.output_group_id is not None
    wanted: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
    for place, optional in (each for config in annotation_configs(setup) for each in places_in(config)):
        path = path_of(place)
        if path is None:
            raise RuleViolation(f"{list(place)} is no data_loc: {FORMS}")
        if not optional and place not in lenient and (given or place[0] == "test_case_data"):
            wanted.append((place, path))
    if not wanted:
        return
    for source in await sources_of(work, account_id, setup):
        for place, path in wanted:
            if not is_there(path, source.row):
                raise RuleViolation(
                    f"data_loc {list(place)} points at nothing in test case {source.case.id};"
                    " mark it optional: true if it may be missing"
                )


async def _dataset_version(work: UnitOfWork, caller: Caller, new: NewApplicationEvaluation) -> int:
    """The published version that a builder evaluates."""
    assert new.dataset_id is not None
    dataset = await writable_dataset(work, caller, new.dataset_id)
    if dataset.account_id != caller.account_id:
        raise NotFound("evaluation dataset", new.dataset_id)
    num = new.dataset_version
    version = await newest_published(work, dataset) if num is None else await version_at(work, dataset, num)
    if version is None and num is not None:
        raise NotFound(f"version of evaluation dataset {dataset.id}", str(num))
    if version is None or version.draft:
        raise RuleViolation(f"evaluation dataset {dataset.id} has no published version to evaluate; publish it first")
    return version.num


def runs_variant(evaluation: Evaluation) -> bool:
    """Whether an evaluation's outputs come from running its variant."""
    return any(task.task_type == RUN for task in evaluation.tasks)


async def _changed_setup(work: UnitOfWork, found: ApplicationEvaluation, wanted: Mapping[str, Any]) -> ApplicationSetup:
    if found.setup is None:
        names = ", ".join(sorted(wanted))
        raise RuleViolation(f"this evaluation was made by version 5 of the API; version 4 cannot change its {names}")
    values = {_SETUP_FIELDS[name]: value for name, value in wanted.items()}
    annotation, overrides = _normal_configs(values.get("annotation_config"), values.get("question_annotation_configs"))
    if "annotation_config" in values:
        values["annotation_config"] = annotation
    if "question_annotation_configs" in values:
        values["question_annotation_configs"] = overrides
    setup = replace(found.setup, **values)
    account_id = found.evaluation.account_id
    if {"spec_id", "variant_id"} & values.keys():
        await _check_application(work, account_id, setup.spec_id, setup.variant_id)
    if values.get("configuration_id") is not None:
        await find_to_use(work.evaluation_configs, EvaluationConfig, account_id, values["configuration_id"])
    return setup


def _evaluation(
    caller: Caller,
    new: NewApplicationEvaluation,
    specs: tuple[TaskSpec, ...],
    setup: ApplicationSetup,
    now: datetime,
) -> Evaluation:
    return Evaluation(
        id=str(uuid_utils.uuid7()),
        seq=0,
        account_id=caller.account_id,
        name=new.name,
        description=new.description,
        tags=(),
        metadata=new.tags,
        tasks=specs,
        status=EvaluationStatus.RUNNING,
        status_reason=None,
        progress=Progress(),
        has_job=setup.is_building,
        created_at=now,
        created_by=caller.identity,
        updated_at=now,
    )


def _reserved_spec(account_id: str, now: datetime) -> ApplicationSpec:
    return ApplicationSpec(
        id=reserved_spec_id(account_id),
        seq=0,
        account_id=account_id,
        name=RESERVED_SPEC_NAME,
        description="Evaluations that version 5 of the API made.",
        created_at=now,
        created_by=Identity("assay", "service_account"),
    )
