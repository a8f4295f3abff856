"""`inference`: its schema, its checks and its run, over the real HTTP adapter and a local endpoint."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import ValidationError

from assay.adapters.models import HttpModels
from assay.core.results import ErrorType
from assay.registry.task_types import Services
from assay.settings import VendorSettings
from assay.task_types.inference import TaskType
from tests.fakes.model_endpoint import FakeEndpoint, Step

TASK = TaskType()


@pytest.fixture
async def endpoint() -> AsyncIterator[FakeEndpoint]:
    async with FakeEndpoint() as running:
        yield running


@pytest.fixture
async def services(endpoint: FakeEndpoint) -> AsyncIterator[Services]:
    models = HttpModels({"fake": VendorSettings(base_url=endpoint.url, max_attempts=2)}, {})
    yield Services(models=models, sandbox=None, metrics={})  # type: ignore[arg-type]
    await models.close()


async def test_the_vendors_whole_answer_is_the_result(services: Services, endpoint: FakeEndpoint) -> None:
    outcome = await TASK.run({"model": "fake/a/b", "args": {"input": ["x"], "dimensions": 3}}, services)
    sent = {"input": ["x"], "dimensions": 3, "model": "a/b"}
    assert outcome.value == {"path": "/v1/embeddings", "received": sent}
    assert json.loads(endpoint.last_body) == sent
    assert outcome.usage is not None
    assert outcome.usage.attempts == 1


async def test_a_call_without_arguments_is_made(services: Services) -> None:
    outcome = await TASK.run({"model": "fake/m"}, services)
    assert outcome.value == {"path": "/v1", "received": {"model": "m"}}


async def test_tokens_are_counted_where_the_vendor_says(services: Services) -> None:
    args = {"messages": [{"role": "user", "content": "four"}]}
    outcome = await TASK.run({"model": "fake/m", "args": args}, services)
    assert outcome.usage is not None
    assert outcome.usage.prompt_tokens == 2


async def test_retries_and_time_are_obeyed(services: Services, endpoint: FakeEndpoint) -> None:
    endpoint.script(Step("hang", times=9))
    attempts = {"num_retries": 0, "timeout_seconds": 0.05}
    outcome = await TASK.run({"model": "fake/m", "inference_configuration": attempts}, services)
    assert outcome.error is not None
    assert outcome.error.type == ErrorType.TIMEOUT
    assert len(endpoint.calls) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("args", "text"),
        ("args", [1]),
        ("args", 0),
        ("inference_configuration", "text"),
        ("inference_configuration", {"num_retries": -1}),
        ("inference_configuration", {"num_retries": "item.x"}),
        ("inference_configuration", {"timeout_seconds": 0}),
    ],
)
async def test_a_located_value_of_the_wrong_kind_is_an_invalid_input(
    services: Services, endpoint: FakeEndpoint, field: str, value: Any
) -> None:
    outcome = await TASK.run({"model": "fake/m", field: value}, services)
    assert outcome.error is not None
    assert outcome.error.type == ErrorType.INVALID_INPUT
    assert outcome.error.message.startswith(field)
    assert endpoint.calls == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", 3),
        ("args", "text"),
        ("args", ["x"]),
        ("inference_configuration", {"num_retries": 1.5}),
        ("inference_configuration", {"timeout_seconds": -1}),
        ("inference_configuration", "soon"),
    ],
)
def test_a_wrong_value_is_refused_at_its_field(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        TASK.Configuration.model_validate({"model": "fake/m", field: value})
    assert {error["loc"][0] for error in caught.value.errors()} == {field}


def test_text_that_stands_for_another_type_must_be_a_locator() -> None:
    configuration = {"model": "item.m", "args": "item.a", "inference_configuration": {"num_retries": "item.n"}}
    TASK.Configuration.model_validate(configuration)
    assert TASK.required_locators(configuration) == [
        (("args",), "item.a"),
        (("inference_configuration", "num_retries"), "item.n"),
    ]


async def test_a_model_that_cannot_be_called_is_a_problem_at_the_model(services: Services) -> None:
    assert TASK.check({"model": "fake/m"}, services) == []
    (problem,) = TASK.check({"model": "m"}, services)
    assert problem.loc == ("model",)


def test_names_are_as_the_contract_has_them() -> None:
    assert TASK.name == TASK.default_alias({}) == "inference"
    assert TASK.output_aliases({}) == ()
