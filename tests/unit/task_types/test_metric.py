"""The `metric` task type."""

from typing import Any

import pytest
from pydantic import ValidationError

from assay.core.results import ErrorType
from assay.registry.discovery import load_metrics
from assay.registry.task_types import Services, TaskType
from assay.task_types.metric import TaskType as MetricTask

TASK: TaskType = MetricTask()
SERVICES = Services(models=None, sandbox=None, metrics=load_metrics())  # type: ignore[arg-type]


def configuration(candidate: Any = "a cat", reference: Any = "a cat", metric: str = "exact_match") -> dict[str, Any]:
    return {"type": metric, "candidate": candidate, "reference": reference}


def test_the_score_is_the_value():
    assert TASK.run(configuration(), SERVICES).value == 1.0
    assert TASK.run(configuration("a dog"), SERVICES).value == 0.0


@pytest.mark.parametrize("metric", list(SERVICES.metrics))
def test_every_metric_runs(metric):
    outcome = TASK.run(configuration("the cat sat here", "the cat sat there", metric), SERVICES)
    assert outcome.error is None
    assert 0.0 <= outcome.value <= 1.0


@pytest.mark.parametrize(
    ("value", "text"), [(5, "5"), (5.0, "5.0"), (True, "true"), (False, "false"), (1e30, "1e+30"), (-3, "-3")]
)
def test_a_number_or_boolean_is_scored_by_its_json_text(value, text):
    assert TASK.run(configuration(value, text), SERVICES).value == 1.0
    assert TASK.run(configuration(text, value), SERVICES).value == 1.0


@pytest.mark.parametrize("side", ["candidate", "reference"])
def test_null_is_a_missing_field_that_says_so(side):
    outcome = TASK.run({**configuration(), side: None}, SERVICES)
    assert outcome.value is None
    assert outcome.error.type is ErrorType.MISSING_FIELD
    assert side in outcome.error.message
    assert "null" in outcome.error.message


@pytest.mark.parametrize("side", ["candidate", "reference"])
@pytest.mark.parametrize(("value", "kind"), [([], "a list"), (["secret"], "a list"), ({"a": "secret"}, "an object")])
def test_a_list_or_object_is_invalid_input(side, value, kind):
    outcome = TASK.run({**configuration(), side: value}, SERVICES)
    assert outcome.error.type is ErrorType.INVALID_INPUT
    assert kind in outcome.error.message
    assert "secret" not in outcome.error.message


def test_a_text_that_the_metric_refuses_is_invalid_input_with_its_reason():
    outcome = TASK.run(configuration("a" * 1_000_001, "b", "bleu"), SERVICES)
    assert outcome.error.type is ErrorType.INVALID_INPUT
    assert "at most 1,000,000" in outcome.error.message


def test_the_default_alias_is_the_metric():
    assert TASK.default_alias(configuration(metric="rougeL")) == "rougeL"


def test_both_texts_must_be_locators():
    assert TASK.required_locators(configuration("item.a", "item.b")) == [
        (("candidate",), "item.a"),
        (("reference",), "item.b"),
    ]


def test_a_known_metric_has_no_problem():
    assert list(TASK.check(configuration(metric="rougeL"), SERVICES)) == []


def test_an_unknown_metric_is_a_problem_that_lists_the_known_ones():
    (problem,) = TASK.check(configuration(metric="rouge-l"), SERVICES)
    assert problem.loc == ("type",)
    assert "'rouge-l'" in problem.message
    for name in SERVICES.metrics:
        assert name in problem.message


@pytest.mark.parametrize("missing", ["type", "candidate", "reference"])
def test_all_three_fields_are_required(missing):
    given = configuration()
    del given[missing]
    with pytest.raises(ValidationError, match=missing):
        TASK.Configuration.model_validate(given)


@pytest.mark.parametrize("field", ["type", "candidate", "reference"])
@pytest.mark.parametrize("value", [1, None, ["item.a"], {}])
def test_a_field_that_is_no_text_is_refused(field, value):
    with pytest.raises(ValidationError, match=field):
        TASK.Configuration.model_validate({**configuration(), field: value})


@pytest.mark.parametrize("side", ["candidate", "reference"])
def test_an_item_without_a_value_may_be_skipped(side):
    skipping = {**configuration(), "missing": "skip"}
    outcome = TASK.run({**skipping, side: None}, SERVICES)
    assert (outcome.skipped, outcome.value, outcome.error) == (True, None, None)
    assert TASK.run(skipping, SERVICES).value == 1.0


def test_lists_and_objects_may_be_scored_by_their_json_text():
    as_json = {**configuration({"a": [1]}, '{"a":[1]}'), "structured": "json"}
    assert TASK.run(as_json, SERVICES).value == 1.0
