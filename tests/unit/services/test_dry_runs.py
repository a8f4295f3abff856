"""Dry runs of custom functions, with the real task type in the sandbox that is in force."""

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from assay.adapters.sandbox import open_sandbox
from assay.core.errors import InvalidInput
from assay.core.results import ErrorType
from assay.registry.discovery import load_task_types
from assay.registry.task_types import Services
from assay.services import dry_runs
from assay.services.dry_runs import DryRuns
from assay.settings import Settings


@pytest.fixture
async def runs() -> AsyncIterator[DryRuns]:
    sandbox = await open_sandbox(Settings())
    services = Services(models=None, sandbox=sandbox, metrics={})  # type: ignore[arg-type]
    yield DryRuns(load_task_types(), services)
    await sandbox.close()


def function(body: str, parameters: str = "a", **rest: Any) -> dict[str, Any]:
    return {"function_source": f"def f({parameters}):\n    {body}\n", **rest}


async def refused(runs: DryRuns, *arguments: Any) -> tuple[tuple[str | int, ...], str]:
    with pytest.raises(InvalidInput) as caught:
        await runs.run(*arguments)
    return caught.value.problems[0].loc, caught.value.problems[0].message


async def test_each_row_gets_its_value_in_order(runs):
    configuration = function("return a * 2", arg_mapping={"a": "item.q"})
    outcomes = await runs.run("custom_function", configuration, [{"q": 1}, {"q": 2.5}])
    assert [outcome.value for outcome in outcomes] == [2, 5.0]


async def test_an_omitted_mapping_reads_the_columns_of_the_parameters_names(runs):
    outcomes = await runs.run("custom_function", function("return a + b", "a, b"), [{"a": 1, "b": 2, "c": 3}])
    assert outcomes[0].value == 3


async def test_a_default_is_taken_where_a_row_lacks_the_column(runs):
    outcomes = await runs.run("custom_function", function("return a + b", "a, b=40"), [{"a": 1}, {"a": 1, "b": 1}])
    assert [outcome.value for outcome in outcomes] == [41, 2]


async def test_a_default_is_taken_where_no_row_has_the_column(runs):
    outcomes = await runs.run("custom_function", function("return a + b", "a, b=40"), [{"a": 1}])
    assert outcomes[0].value == 41


async def test_rows_that_fail_do_not_fail_the_others(runs):
    rows = [{"a": 1}, {"a": 0}, {"b": 1}, {"a": "x"}]
    outcomes = await runs.run("custom_function", function("return 6 / a"), rows)
    assert outcomes[0].value == 6.0
    assert [outcome.error.type for outcome in outcomes[1:]] == [
        ErrorType.FUNCTION_ERROR,
        ErrorType.MISSING_FIELD,
        ErrorType.FUNCTION_ERROR,
    ]


async def test_a_column_that_no_row_has_is_an_error_of_each_row(runs):
    outcomes = await runs.run("custom_function", function("return a"), [{"q": 1}, {"q": 2}])
    assert [outcome.error.type for outcome in outcomes] == [ErrorType.MISSING_FIELD] * 2


async def test_a_path_into_a_column_is_followed(runs):
    configuration = function("return a", arg_mapping={"a": "item.q.deep.0"})
    outcomes = await runs.run("custom_function", configuration, [{"q": {"deep": [7]}}, {"q": 1}])
    assert outcomes[0].value == 7
    assert outcomes[1].error.type is ErrorType.MISSING_FIELD


async def test_outputs_are_returned_as_columns(runs):
    configuration = function("return {'x': {'y': a}}", outputs=[{"path": "x.y"}])
    (outcome,) = await runs.run("custom_function", configuration, [{"a": 5}])
    assert dict(outcome.columns) == {"x_y": 5}


async def test_no_rows_give_no_outcomes(runs):
    assert await runs.run("custom_function", function("return a"), []) == []


@pytest.mark.parametrize("name", ["metric", "chat_completion", "nothing", ""])
async def test_other_task_types_have_no_dry_run(runs, name):
    loc, _ = await refused(runs, name, function("return a"), [{"a": 1}])
    assert loc == ("body", "task_type")


async def test_broken_source_is_refused_at_its_place(runs):
    loc, message = await refused(runs, "custom_function", {"function_source": "def f(:"}, [{"a": 1}])
    assert loc == ("body", "configuration", "function_source")
    assert "syntax error" in message


@pytest.mark.parametrize("configuration", [None, [], "x", {}, {"function_source": 5}])
async def test_a_configuration_of_a_wrong_shape_is_refused(runs, configuration):
    loc, _ = await refused(runs, "custom_function", configuration, [{"a": 1}])
    assert loc[:2] == ("body", "configuration")


async def test_a_mapping_that_is_no_locator_is_refused(runs):
    configuration = function("return a", arg_mapping={"a": "q"})
    loc, message = await refused(runs, "custom_function", configuration, [{"q": 1}])
    assert loc == ("body", "configuration", "arg_mapping", "a")
    assert "item.<column>" in message


async def test_an_unknown_parameter_is_refused(runs):
    loc, _ = await refused(runs, "custom_function", function("return a", config_args={"z": 1}), [{"a": 1}])
    assert loc == ("body", "configuration", "config_args", "z")


async def test_more_than_a_hundred_rows_are_refused(runs):
    assert len(await runs.run("custom_function", function("return a"), [{"a": 1}] * 100)) == 100
    loc, message = await refused(runs, "custom_function", function("return a"), [{"a": 1}] * 101)
    assert loc == ("body", "sample_data")
    assert "at most 100" in message


async def test_a_row_that_is_no_object_is_refused(runs):
    loc, _ = await refused(runs, "custom_function", function("return a"), [{"a": 1}, 5])
    assert loc == ("body", "sample_data", 1)


async def test_all_rows_together_end_at_the_total_time(runs, monkeypatch):
    monkeypatch.setattr(dry_runs, "TOTAL_SECONDS", 1.0)
    started = time.monotonic()
    configuration = function("while a:\n        pass\n    return a")
    outcomes = await runs.run("custom_function", configuration, [{"a": 0}, {"a": 1}, {"a": 1}])
    assert time.monotonic() - started < 3
    assert outcomes[0].value == 0
    assert [outcome.error.type for outcome in outcomes[1:]] == [ErrorType.TIMEOUT] * 2
