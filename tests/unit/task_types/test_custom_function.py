"""The `custom_function` task type, in the sandbox that is in force."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import ValidationError

from assay.adapters.sandbox import open_sandbox
from assay.core.results import ErrorType, Outcome
from assay.registry.task_types import Services, TaskType
from assay.settings import Settings
from assay.task_types.custom_function import TaskType as CustomFunction

TASK: TaskType = CustomFunction()
SOURCE = "def length(text, limit=10, *, unit='c'):\n    return min(len(text), limit)\n"


@pytest.fixture
async def services() -> AsyncIterator[Services]:
    sandbox = await open_sandbox(Settings())
    yield Services(models=None, sandbox=sandbox, metrics={})  # type: ignore[arg-type]
    await sandbox.close()


def configured(source: str = SOURCE, **rest: Any) -> dict[str, Any]:
    model = TASK.Configuration.model_validate({"function_source": source, **rest})
    return model.model_dump(mode="json", by_alias=True, exclude_unset=True)


def faults(configuration: dict[str, Any]) -> list[str]:
    return [problem.message for problem in TASK.check(configuration, None)]  # type: ignore[arg-type]


async def outcome(services: Services, source: str, values: dict[str, Any], **rest: Any) -> Outcome:
    configuration = {**configured(source, **rest), "arg_mapping": values}
    return await TASK.run(configuration, services)


@pytest.mark.parametrize("rest", [{}, {"arg_mapping": None}, {"arg_mapping": {}}])
def test_an_omitted_mapping_reads_the_columns_named_as_the_parameters(rest):
    assert configured(**rest)["arg_mapping"] == {"text": "item.text", "limit": "item.limit", "unit": "item.unit"}


def test_a_literal_takes_the_place_of_an_omitted_mapping():
    assert configured(config_args={"limit": 3})["arg_mapping"] == {"text": "item.text", "unit": "item.unit"}


def test_a_given_mapping_is_kept_as_it_is():
    assert configured(arg_mapping={"text": "item.a.b"})["arg_mapping"] == {"text": "item.a.b"}


def test_a_stored_configuration_reads_back_unchanged():
    first = configured(outputs=[{"path": "a.b"}], config_args={"unit": "w"})
    assert configured(first.pop("function_source"), **first) == {"function_source": SOURCE, **first}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def f(*a): return 1", "not accepted"),
        ("def f(:", "syntax error"),
        ("async def f(): pass", "async"),
        ("def f():\n    import os", "import of 'os'"),
        ("x" + ".a" * 10_000, "nested too deeply"),
    ],
)
def test_broken_source_is_refused_at_its_field(source, said):
    with pytest.raises(ValidationError) as caught:
        configured(source)
    (problem,) = caught.value.errors()
    assert problem["loc"] == ("function_source",)
    assert said in problem["msg"]


@pytest.mark.parametrize(
    "rest",
    [
        {"arg_mapping": {"text": 5}},
        {"arg_mapping": ["item.text"]},
        {"config_args": [1]},
        {"config_args": {"limit": "x" * 10_001}},
        {"config_args": {"limit": float("nan")}},
        {"outputs": [{"alias": "a"}]},
        {"outputs": [{"path": ""}]},
        {"outputs": [{"path": "a", "more": 1}]},
        {"unknown": 1},
    ],
)
def test_a_configuration_of_a_wrong_shape_is_refused(rest):
    with pytest.raises(ValidationError):
        configured(**rest)


def test_literals_of_ten_thousand_characters_are_accepted():
    assert configured(config_args={"unit": "x" * (10_000 - len('{"unit": ""}'))})


def test_the_default_alias_is_the_functions_name():
    assert TASK.default_alias(configured()) == "length"


def test_outputs_are_columns_named_by_alias_or_path():
    configuration = configured(outputs=[{"path": "a.b.c"}, {"path": "d", "alias": "delta"}])
    assert list(TASK.output_aliases(configuration)) == ["a_b_c", "delta"]
    assert list(TASK.output_aliases(configured())) == []


def test_parameters_without_a_default_must_be_located_and_those_with_one_may_be():
    configuration = configured()
    assert TASK.required_locators(configuration) == [(("arg_mapping", "text"), "item.text")]
    assert [loc[1] for loc, _ in TASK.optional_locators(configuration)] == ["limit", "unit"]


def test_a_parameter_mapped_to_another_column_must_be_located_default_or_not():
    configuration = configured(arg_mapping={"text": "item.text", "limit": "item.cap"})
    assert [loc[1] for loc, _ in TASK.required_locators(configuration)] == ["text", "limit"]


def test_a_mapping_that_a_literal_overrides_need_not_be_located():
    configuration = configured(arg_mapping={"text": "item.nowhere"}, config_args={"text": "x"})
    assert TASK.required_locators(configuration) == []


def test_a_good_configuration_has_no_faults():
    assert faults(configured()) == []
    assert faults(configured(arg_mapping={"text": "item.a"})) == []
    assert faults(configured(arg_mapping={"unit": "item.a"}, config_args={"text": "x"})) == []


def test_a_parameter_that_gets_no_value_is_a_fault():
    assert faults(configured(arg_mapping={"limit": "item.a"})) == ["the parameter 'text' of length gets no value"]


def test_values_for_unknown_parameters_are_faults():
    configuration = configured(arg_mapping={"text": "item.a", "txet": "item.b"}, config_args={"cap": 1})
    assert faults(configuration) == ["length has no parameter 'txet'", "length has no parameter 'cap'"]


def test_two_outputs_in_one_column_are_a_fault():
    (said,) = faults(configured(outputs=[{"path": "a.b"}, {"path": "a_b"}]))
    assert "'a_b' is written twice" in said


async def test_the_returned_number_is_the_value(services):
    result = await outcome(services, SOURCE, {"text": "abc"})
    assert (result.value, result.error) == (3, None)
    assert result.usage is not None
    assert result.detail == {"sandbox": services.sandbox.name}


async def test_a_literal_wins_over_the_mapping(services):
    assert (await outcome(services, SOURCE, {"text": "abc", "limit": 9}, config_args={"limit": 2})).value == 2


@pytest.mark.parametrize(
    ("returned", "named"),
    [("True", "bool"), ("'1'", "str"), ("None", "None"), ("[1]", "list"), ("{'a': 1}", "dict"), ("{1}", "set")],
)
async def test_anything_but_a_number_is_an_error_that_names_it(services, returned, named):
    result = await outcome(services, f"def f():\n    return {returned}\n", {})
    assert result.value is None
    assert result.error.type is ErrorType.INVALID_OUTPUT
    assert named in result.error.message


@pytest.mark.parametrize("returned", ["float('nan')", "float('inf')", "10 ** 400"])
async def test_a_number_that_is_not_finite_or_too_long_is_an_error(services, returned):
    result = await outcome(services, f"def f():\n    return {returned}\n", {})
    assert result.error.type is ErrorType.INVALID_OUTPUT


async def test_an_exception_is_a_function_error(services):
    result = await outcome(services, "def f(a):\n    return a / 0\n", {"a": 1})
    assert result.error.type is ErrorType.FUNCTION_ERROR
    assert "ZeroDivisionError" in result.error.message


async def test_outputs_are_taken_out_of_the_object(services):
    source = "def f():\n    return {'a': {'b': 1, 'c.d': True}, 'e': ['x', None]}\n"
    outputs = [{"path": "a.b"}, {"path": "a.c.d", "alias": "flag"}, {"path": "e.1"}]
    result = await outcome(services, source, {}, outputs=outputs)
    assert result.value == {"a": {"b": 1, "c.d": True}, "e": ["x", None]}
    assert dict(result.columns) == {"a_b": 1, "flag": True, "e_1": None}


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("{'a': {'b': 1}}", "nothing at the output 'x'"),
        ("{'x': [1]}", "a list"),
        ("{'x': {}}", "a dict"),
        ("3", "must return a dict"),
        ("[1]", "must return a dict"),
    ],
)
async def test_an_output_that_is_not_there_or_no_scalar_is_an_error(services, returned, said):
    result = await outcome(services, f"def f():\n    return {returned}\n", {}, outputs=[{"path": "x"}])
    assert result.error.type is ErrorType.INVALID_OUTPUT
    assert said in result.error.message
    assert dict(result.columns) == {}
