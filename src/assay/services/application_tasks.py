"""From an evaluation of an application to the tasks that compute and ask what it wants: one core, one engine.

the variant's endpoint      application_variant                `output`
a component of metrics      metric                             `metric:<name>`, with several types `...:<type>`
a question to a judge       auto_evaluation.question           `q:<id>`, beside people `llm:<id>`
a question to people        contributor_evaluation.question    `q:<id>`
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from assay.core.application_evaluations import ApplicationSetup
from assay.core.data_locs import EXPECTED, OUTPUT, locator_of, places_in
from assay.core.errors import InvalidInput, NotConfigured, Problem, RuleViolation
from assay.core.evaluation_configs import EvaluationConfig, EvaluationType
from assay.core.judge_prompts import judge_prompt
from assay.core.questions import Question, QuestionSet
from assay.core.tasks import TaskSpec
from assay.core.test_case_results import CASE_COLUMNS
from assay.ports.storage import UnitOfWork
from assay.registry.task_types import Services, TaskType
from assay.services.planning import plan_tasks
from assay.services.references import with_material

JUDGED, PEOPLED, COMPUTED, RUN = (
    "auto_evaluation.question",
    "contributor_evaluation.question",
    "metric",
    "application_variant",
)
OUTPUT_ALIAS = "output"
METRIC_PREFIX, ANSWER_PREFIX, JUDGE_PREFIX = "metric:", "q:", "llm:"
ROUGE_TYPES = ("rouge1", "rouge2", "rougeL")
METRIC_TYPES = ("rouge", *ROUGE_TYPES, "bleu", "meteor", "cosine_similarity", "f1")
_SYNONYMS: Mapping[str, str] = {
    **dict.fromkeys(
        ("candidate", "prediction", "hypothesis", "generated", "output", "summary", "translation"), "candidate"
    ),
    **dict.fromkeys(("reference", "ground_truth", "expected", "expected_output", "target", "label"), "reference"),
}
"""The names that a mapping's parameters may have, and what they mean."""

Loc = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class ExpandedConfig:
    """An evaluation config with its question set and the questions, in the set's order."""

    config: EvaluationConfig
    question_set: QuestionSet
    questions: Sequence[Question]


@dataclass(frozen=True, slots=True)
class _Raw:
    """A task as it would be sent, and where in the request it comes from."""

    task: Mapping[str, Any]
    loc: Loc


class ApplicationTasks:
    """Makes tasks of setups. `resolve_model` gives the `vendor/model` that a judge's name means."""

    def __init__(
        self, task_types: Mapping[str, TaskType], services: Services, *, resolve_model: Callable[[str], str]
    ) -> None:
        self._task_types = task_types
        self._services = services
        self._resolve_model = resolve_model

    async def make(
        self,
        work: UnitOfWork,
        account_id: str,
        setup: ApplicationSetup,
        expanded: ExpandedConfig | None,
        *,
        runs_variant: bool,
    ) -> tuple[TaskSpec, ...]:
        """The tasks of an evaluation, with what they refer to. `runs_variant`: outputs come from its endpoint.

        Raises InvalidInput for metrics that cannot be computed, RuleViolation for a data location that is none and
        for what may not be referred to, and NotConfigured for a judge that cannot be called.
        """
        raw = [*_variant_task(setup, runs_variant=runs_variant), *_metric_tasks(setup)]
        if expanded is not None:
            raw += self._question_tasks(setup, expanded)
        try:
            plan = plan_tasks([each.task for each in raw], CASE_COLUMNS, self._task_types, self._services)
            return await with_material(work, account_id, plan.specs, self._task_types)
        except InvalidInput as invalid:
            raise _relocated(invalid, raw) from None

    def _question_tasks(self, setup: ApplicationSetup, expanded: ExpandedConfig) -> Iterator[_Raw]:
        kind = expanded.config.evaluation_type
        if kind.has_judge:
            model = self._judge(expanded.config)
            prefix = JUDGE_PREFIX if kind is EvaluationType.LLM_BENCHMARK else ANSWER_PREFIX
            for question in expanded.questions:
                yield _Raw(_judged(setup, expanded, question, model, prefix), ("body", "annotation_config"))
        if kind in (EvaluationType.HUMAN, EvaluationType.LLM_BENCHMARK) and PEOPLED in self._task_types:
            for question in expanded.questions:
                required = expanded.question_set.requires(question)
                yield _Raw(_peopled(setup, question, required=required), ("body", "evaluation_config_id"))

    def _judge(self, config: EvaluationConfig) -> str:
        name = config.auto_evaluation_model or ""
        model = self._resolve_model(name)
        problem = self._services.models.problem(model)
        if problem is not None:
            raise NotConfigured(
                f"auto_evaluation_model {name!r} means {model!r} here, which cannot be called: {problem}"
                " (the setting model_aliases says what a name means, judge_model is the judge of configs without one)"
            )
        return model


def config_of(setup: ApplicationSetup, question_id: str) -> Mapping[str, Any] | None:
    """The annotation config by which a question is shown: its own, else the evaluation's."""
    return (setup.question_annotation_configs or {}).get(question_id) or setup.annotation_config


def trace_nodes(setup: ApplicationSetup) -> frozenset[str]:
    """The nodes of traces that the setup points at."""
    places = [tuple(place) for config in annotation_configs(setup) for place, _ in places_in(config)]
    for component in (setup.metric_config or {}).get("components") or ():
        places += [tuple(place) for place in (component.get("mappings") or {}).values()]
    return frozenset(place[1] for place in places if len(place) > 1 and place[0] == "trace")


def annotation_configs(setup: ApplicationSetup) -> list[Mapping[str, Any]]:
    """Every annotation config of a setup."""
    own = [setup.annotation_config] if setup.annotation_config else []
    return [*own, *(setup.question_annotation_configs or {}).values()]


def _variant_task(setup: ApplicationSetup, *, runs_variant: bool) -> Iterator[_Raw]:
    if runs_variant:
        configuration = {"application_variant_id": setup.variant_id, "inputs": {"input": "item.input"}}
        task = {"task_type": RUN, "alias": OUTPUT_ALIAS, "configuration": configuration}
        yield _Raw(task, ("body", "application_variant_id"))


def _metric_tasks(setup: ApplicationSetup) -> Iterator[_Raw]:
    for index, component in enumerate((setup.metric_config or {}).get("components") or ()):
        loc: Loc = ("body", "metric_config", "components", index)
        sides = _sides(component, loc)
        types = _metric_types(component, loc)
        for each in types:
            alias = metric_alias(component["name"], None if len(types) == 1 and component["type"] != "rouge" else each)
            configuration = {"type": each, **sides, "missing": "skip", "structured": "json"}
            yield _Raw({"task_type": COMPUTED, "alias": alias, "configuration": configuration}, loc)


def metric_alias(name: str, metric_type: str | None) -> str:
    """The column of a metric's component; `metric_type` for one that gives several."""
    return METRIC_PREFIX + name if metric_type is None else f"{METRIC_PREFIX}{name}:{metric_type}"


def shown_metrics(setup: ApplicationSetup) -> Iterator[tuple[str, str, str]]:
    """(alias, name, type) of each number that the metric config gives for a result."""
    for component in (setup.metric_config or {}).get("components") or ():
        name, kind = component["name"], component["type"]
        if kind != "rouge":
            yield metric_alias(name, None), name, kind
        else:
            for each in _metric_types(component, ()):
                yield metric_alias(name, each), name, each


def _metric_types(component: Mapping[str, Any], loc: Loc) -> Sequence[str]:
    if component["type"] != "rouge":
        return (component["type"],)
    types = (component.get("params") or {}).get("score_types", ROUGE_TYPES)
    known = isinstance(types, list | tuple) and bool(types) and all(each in ROUGE_TYPES for each in types)
    if not known:
        message = f"must be a list of some of {', '.join(ROUGE_TYPES)}"
        raise InvalidInput([Problem((*loc, "params", "score_types"), message, "enum")])
    return tuple(dict.fromkeys(types))


def _sides(component: Mapping[str, Any], loc: Loc) -> dict[str, str]:
    """The locators of candidate and reference."""
    places: dict[str, Sequence[str]] = {"candidate": OUTPUT, "reference": EXPECTED}
    for name, place in (component.get("mappings") or {}).items():
        if name not in _SYNONYMS:
            known = ", ".join(_SYNONYMS)
            raise InvalidInput.at((*loc, "mappings", name), f"unknown parameter; there are: {known}", type="unknown")
        places[_SYNONYMS[name]] = place
    located = {side: locator_of(place) for side, place in places.items()}
    for side, locator in located.items():
        if locator is None:
            raise InvalidInput.at((*loc, "mappings"), f"{list(places[side])} is no data_loc", type="data_loc")
    return {side: str(locator) for side, locator in located.items()}


def _judged(
    setup: ApplicationSetup, expanded: ExpandedConfig, question: Question, model: str, prefix: str
) -> dict[str, Any]:
    try:
        prompt = judge_prompt(config_of(setup, question.id), question.prompt)
    except ValueError as error:
        raise RuleViolation(f"annotation config for question {question.id}: {error}") from None
    temperature = (expanded.config.auto_evaluation_parameters or {}).get("temperature")
    asked = {each.id for each in expanded.questions}
    named = {name for condition in question.conditions or () for name in condition}
    configuration = {
        "model": model,
        "prompt": prompt.text,
        "question_id": question.id,
        "optional": list(dict.fromkeys(prompt.optional)),
        "answers": {each: f"item.{prefix}{each}" for each in sorted(named & asked)},
        **({} if temperature is None else {"inference_args": {"temperature": temperature}}),
    }
    return {"task_type": JUDGED, "alias": prefix + question.id, "configuration": configuration}


def _peopled(setup: ApplicationSetup, question: Question, *, required: bool) -> dict[str, Any]:
    configuration = {
        "question_id": question.id,
        "layout": layout_of(config_of(setup, question.id)),
        "required": required,
    }
    return {"task_type": PEOPLED, "alias": ANSWER_PREFIX + question.id, "configuration": configuration}


def layout_of(config: Mapping[str, Any] | None) -> dict[str, Any]:
    """What people are shown, as containers and components: an annotation config's rows, or its columns."""
    rows = (config or {}).get("components") or [[{"data_loc": ["test_case_data", "input"]}], [{"data_loc": [*OUTPUT]}]]
    inner, outer = ("row", "column") if (config or {}).get("direction") != "col" else ("column", "row")
    children = []
    for row in rows:
        located = [(locator_of(each["data_loc"]), each) for each in row]
        shown = [
            {"data": locator, **({"label": each["label"]} if each.get("label") else {})}
            for locator, each in located
            if locator is not None
        ]
        if shown:
            children.append({"direction": inner, "children": shown})
    return {"direction": outer, "children": children} if children else layout_of(None)


def _relocated(invalid: InvalidInput, raw: Sequence[_Raw]) -> InvalidInput:
    """The problems at the places of the request that their tasks come from."""
    moved = []
    for problem in invalid.problems:
        match problem.loc:
            case ("body", "tasks", int(index), *rest):
                kept = rest[1:] if rest[:1] == ["configuration"] else rest
                moved.append(replace(problem, loc=(*raw[index].loc, *kept)))
            case _:
                moved.append(problem)
    return InvalidInput(moved)
