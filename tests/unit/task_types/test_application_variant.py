"""The task type `application_variant`, against an application on loopback."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import ValidationError

from assay.adapters.applications import HttpApplications
from assay.core.results import ErrorType, Outcome
from assay.registry.task_types import Reference, Services
from assay.settings import Settings
from assay.task_types.application_variant import ApplicationVariantConfiguration, TaskType
from tests.fakes.application_endpoint import FakeApplication

TASK = TaskType()


@pytest.fixture
async def application() -> AsyncIterator[FakeApplication]:
    async with FakeApplication() as fake:
        yield fake


@pytest.fixture
async def services() -> AsyncIterator[Services]:
    applications = HttpApplications(Settings(), {})
    yield Services(models=None, sandbox=None, metrics={}, applications=applications)  # type: ignore[arg-type]
    await applications.close()


async def run(services: Services, application: FakeApplication, path: str = "/answer", **given: Any) -> Outcome:
    endpoint = {"url": application.url + path, "response": {"output": "answer", "extra_info": "sources"}}
    configuration = {"inputs": {"question": "why?"}, **given, "application_variant": {"endpoint": endpoint}}
    return await TASK.run(configuration, services)


async def test_the_mapped_output_is_the_value(services: Services, application: FakeApplication) -> None:
    outcome = await run(services, application)

    assert outcome.value == "WHY?"
    assert outcome.error is None
    assert outcome.detail == {"extra_info": ["a", "b"]}
    assert outcome.usage is not None
    assert outcome.usage.attempts == 1


async def test_history_overrides_and_metadata_are_passed_on(services: Services, application: FakeApplication) -> None:
    given = {
        "history": [{"request": "hi", "response": "hello", "session_data": {"a": 1}}],
        "operation_metadata": {"who": "me"},
        "overrides": {"concurrent": True},
    }

    await run(services, application, **given)

    assert application.calls[0].body == {"inputs": {"question": "why?"}, **given}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"inputs": "text"}, "inputs: an object is needed"),
        ({"inputs": None}, "inputs: an object is needed"),
        ({"history": "text"}, "history: a list of objects is needed"),
        ({"history": ["text"]}, "history: a list of objects is needed"),
        ({"overrides": [1]}, "overrides: an object is needed"),
    ],
)
async def test_a_located_value_of_another_kind_is_invalid_input_and_no_call(
    services: Services, application: FakeApplication, given: dict[str, Any], words: str
) -> None:
    outcome = await run(services, application, **given)

    assert outcome.error is not None
    assert (outcome.error.type, outcome.error.message) == (ErrorType.INVALID_INPUT, words)
    assert application.calls == []


async def test_an_answer_that_cannot_be_used_keeps_its_beginning(
    services: Services, application: FakeApplication
) -> None:
    outcome = await run(services, application, "/html")

    assert outcome.error is not None
    assert outcome.error.type == ErrorType.INVALID_OUTPUT
    assert outcome.detail == {"raw": "<!DOCTYPE html><p>Sign in, sesame</p>"}
    assert outcome.value is None


def test_it_refers_to_its_variant_and_asks_for_locators_where_text_stands() -> None:
    configuration = {"application_variant_id": "v", "inputs": "item.x", "history": "item.h", "overrides": {"a": "b"}}

    assert TASK.references(configuration) == [
        Reference("application_variant", "v", "application_variant", ("application_variant_id",))
    ]
    assert TASK.required_locators(configuration) == [(("inputs",), "item.x"), (("history",), "item.h")]
    assert TASK.default_alias(configuration) == "application_variant"


@pytest.mark.parametrize(
    "wrong",
    [{}, {"inputs": "text"}, {"inputs": [1]}, {"history": {}}, {"application_variant_id": ""}, {"overrides": 1}],
)
def test_a_configuration_of_another_shape_is_refused(wrong: dict[str, Any]) -> None:
    good = {"application_variant_id": "v", "inputs": {}}
    with pytest.raises(ValidationError):
        ApplicationVariantConfiguration.model_validate({**good, **wrong} if wrong else {})
