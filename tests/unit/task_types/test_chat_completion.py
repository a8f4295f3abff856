"""`chat_completion`: its schema, its checks and its run, over the real HTTP adapter and a local endpoint."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import ValidationError

from assay.adapters.models import HttpModels
from assay.core.locators import bind
from assay.core.results import ErrorType, Outcome
from assay.registry.task_types import Services
from assay.settings import VendorSettings
from assay.task_types.chat_completion import TaskType
from tests.fakes.model_endpoint import FakeEndpoint, Step

TASK = TaskType()
MESSAGES = [{"role": "user", "content": "hello"}]


@pytest.fixture
async def endpoint() -> AsyncIterator[FakeEndpoint]:
    async with FakeEndpoint() as running:
        yield running


@pytest.fixture
async def services(endpoint: FakeEndpoint) -> AsyncIterator[Services]:
    models = HttpModels({"fake": VendorSettings(base_url=endpoint.url, max_attempts=1)}, {})
    yield Services(models=models, sandbox=None, metrics={})  # type: ignore[arg-type]
    await models.close()


async def run(services: Services, values: dict[str, Any] | None = None, **configuration: Any) -> Outcome:
    """Validate, resolve and run, as an evaluation does."""
    given = {"model": "fake/m", "messages": MESSAGES, **configuration}
    stored = TASK.Configuration.model_validate(given).model_dump(exclude_unset=True)
    assert TASK.resolved is not None
    columns = set(values or {})
    resolved = {
        key: bind(value, columns).resolve(values or {}) if key in TASK.resolved else value
        for key, value in stored.items()
    }
    return await TASK.run(resolved, services)


def failure(outcome: Outcome) -> tuple[ErrorType, str]:
    assert outcome.error is not None
    assert outcome.value is None
    return outcome.error.type, outcome.error.message


class TestResult:
    async def test_the_assistants_text_is_the_result(self, services: Services) -> None:
        outcome = await run(services)
        assert outcome.value == "hello"
        assert outcome.error is None
        assert outcome.detail is None
        assert outcome.usage is not None
        assert (outcome.usage.attempts, outcome.usage.completion_tokens) == (1, 2)

    async def test_several_choices_are_a_list_of_texts(self, services: Services) -> None:
        assert (await run(services, n=3)).value == ["hello", "hello", "hello"]
        assert (await run(services, n=1)).value == "hello"

    async def test_a_call_of_a_tool_without_text_is_the_message(
        self, services: Services, endpoint: FakeEndpoint
    ) -> None:
        endpoint.script(Step("tool_calls"))
        tool = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}
        outcome = await run(services, tools=[tool])
        assert outcome.value["role"] == "assistant"
        assert outcome.value["tool_calls"][0]["function"]["name"] == "find"

    @pytest.mark.parametrize(
        ("message", "value"),
        [
            ({"content": ""}, ""),
            ({"content": None, "refusal": "I will not."}, "I will not."),
            ({"content": "text", "tool_calls": [{"id": "x"}]}, "text"),
            ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "ab"),
        ],
    )
    async def test_what_counts_as_text(
        self, services: Services, endpoint: FakeEndpoint, message: dict[str, Any], value: str
    ) -> None:
        endpoint.script(Step("json", body={"choices": [{"message": message}]}))
        assert (await run(services)).value == value

    async def test_an_answer_that_was_cut_short_says_so(self, services: Services, endpoint: FakeEndpoint) -> None:
        choice = {"finish_reason": "length", "message": {"content": "half of"}}
        endpoint.script(Step("json", body={"choices": [choice]}))
        outcome = await run(services)
        assert (outcome.value, outcome.detail) == ("half of", {"finish_reason": "length"})

    @pytest.mark.parametrize(
        "body",
        [
            {"choices": []},
            {"choices": None},
            {"choices": ["text"]},
            {"choices": [{"message": "text"}]},
            {"choices": [{"message": {"content": None}, "finish_reason": "length"}]},
            {"choices": [{"message": {"content": 7}}]},
            ["not", "an", "object"],
            None,
        ],
    )
    async def test_an_answer_without_a_message_is_an_invalid_output_and_kept(
        self, services: Services, endpoint: FakeEndpoint, body: Any
    ) -> None:
        endpoint.script(Step("json", body=body))
        outcome = await run(services)
        assert failure(outcome)[0] == ErrorType.INVALID_OUTPUT
        assert outcome.detail is not None
        assert json.loads(outcome.detail["raw"]) == body
        assert outcome.usage is not None

    async def test_what_is_kept_of_an_unreadable_answer_is_bounded(
        self, services: Services, endpoint: FakeEndpoint
    ) -> None:
        endpoint.script(Step("json", body={"odd": "x" * 50_000}))
        outcome = await run(services)
        assert outcome.detail is not None
        assert len(outcome.detail["raw"]) == 10_000

    async def test_a_vendors_refusal_is_the_items_error_with_its_usage(self, services: Services) -> None:
        outcome = await run(services, messages=[{"role": "user", "content": "!status 400"}])
        kind, message = failure(outcome)
        assert kind == ErrorType.INFERENCE_ERROR
        assert message == "fake/m: HTTP 400: scripted 400"
        assert outcome.usage is not None
        assert outcome.usage.attempts == 1


class TestRequest:
    async def test_nulls_are_dropped_and_unknown_keys_passed_on(
        self, services: Services, endpoint: FakeEndpoint
    ) -> None:
        await run(services, temperature=None, top_k=5, guided_regex="[0-9]+", stop=["END"])
        assert json.loads(endpoint.last_body) == {
            "model": "m",
            "messages": MESSAGES,
            "top_k": 5,
            "guided_regex": "[0-9]+",
            "stop": ["END"],
        }

    async def test_locators_and_templates_reach_the_model_resolved(
        self, services: Services, endpoint: FakeEndpoint
    ) -> None:
        messages = [{"role": "system", "content": "Say {{item.word}}."}, {"role": "user", "content": "item.question"}]
        values = {"word": "please", "question": "why?", "heat": 0.25, "stop": "nobody"}
        outcome = await run(services, values, messages=messages, temperature="item.heat", stop="item.stop")
        assert outcome.value == "why?"
        sent = json.loads(endpoint.last_body)
        assert sent["messages"][0]["content"] == "Say please."
        assert sent["temperature"] == 0.25
        assert sent["stop"] == "item.stop"

    async def test_messages_can_come_from_a_column(self, services: Services) -> None:
        values = {"chat": [{"role": "user", "content": "from the row"}]}
        assert (await run(services, values, messages="item.chat")).value == "from the row"

    @pytest.mark.parametrize(
        ("content", "text"), [(42, "42"), ({"a": [1]}, '{"a":[1]}'), (["x", "y"], '["x","y"]'), (True, "true")]
    )
    async def test_a_located_content_that_is_data_is_sent_as_its_json(
        self, services: Services, content: Any, text: str
    ) -> None:
        messages = [{"role": "user", "content": "item.data"}]
        assert (await run(services, {"data": content}, messages=messages)).value == text

    async def test_parts_of_content_are_sent_as_they_are(self, services: Services, endpoint: FakeEndpoint) -> None:
        parts = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "https://x/y.png"}}]
        await run(services, messages=[{"role": "user", "content": parts}])
        assert json.loads(endpoint.last_body)["messages"][0]["content"] == parts

    @pytest.mark.parametrize(
        "located",
        ["text", 7, None, [], ["text"], {"role": "user", "content": "x"}, [{"content": "x"}], [{"role": "user"}]],
    )
    async def test_located_messages_that_are_none_are_an_invalid_input(
        self, services: Services, endpoint: FakeEndpoint, located: Any
    ) -> None:
        kind, message = failure(await run(services, {"chat": located}, messages="item.chat"))
        assert kind == ErrorType.INVALID_INPUT
        assert message.startswith("messages: ")
        assert endpoint.calls == []

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("temperature", "0.5"),
            ("temperature", -1),
            ("presence_penalty", 2.5),
            ("n", 0),
            ("max_tokens", 1.5),
            ("logprobs", 1),
            ("response_format", ["x"]),
            ("tools", {"x": 1}),
            ("seed", "item.other"),
        ],
    )
    async def test_a_located_value_of_the_wrong_kind_names_its_field_and_not_itself(
        self, services: Services, endpoint: FakeEndpoint, field: str, value: Any
    ) -> None:
        kind, message = failure(await run(services, {"v": value}, **{field: "item.v"}))
        assert kind == ErrorType.INVALID_INPUT
        assert message.startswith(f"{field}: ")
        assert repr(value) not in message
        assert endpoint.calls == []


class TestConfiguration:
    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("model", None),
            ("model", ""),
            ("messages", None),
            ("messages", []),
            ("messages", ["item.x"]),
            ("messages", [{"content": "no role"}]),
            ("messages", [{"role": "user"}]),
            ("messages", "hello"),
            ("frequency_penalty", 2.01),
            ("presence_penalty", -2.01),
            ("temperature", "warm"),
            ("temperature", float("nan")),
            ("n", 0),
            ("n", True),
            ("max_tokens", "100"),
            ("logprobs", "yes"),
            ("response_format", "json"),
            ("stop", 3),
        ],
    )
    def test_a_wrong_value_is_refused_at_its_field(self, field: str, value: Any) -> None:
        with pytest.raises(ValidationError) as caught:
            TASK.Configuration.model_validate({"model": "fake/m", "messages": MESSAGES, field: value})
        assert {error["loc"][0] for error in caught.value.errors()} == {field}

    def test_the_edges_of_the_ranges_are_accepted(self) -> None:
        given = {"frequency_penalty": -2, "presence_penalty": 2.0, "n": 1, "top_p": 1, "temperature": 0}
        stored = TASK.Configuration.model_validate({"model": "a/b", "messages": MESSAGES, **given})
        assert stored.model_dump(exclude_unset=True) == {"model": "a/b", "messages": MESSAGES, **given}

    def test_text_that_stands_for_another_type_must_be_a_locator(self) -> None:
        configuration = {"model": "item.m", "messages": "item.chat", "seed": "item.seed", "stop": "item.stop"}
        assert TASK.required_locators(configuration) == [(("messages",), "item.chat"), (("seed",), "item.seed")]

    def test_names_are_as_the_contract_has_them(self) -> None:
        assert TASK.name == TASK.default_alias({}) == "chat_completion"
        assert TASK.output_aliases({}) == ()

    async def test_a_model_that_cannot_be_called_is_a_problem_at_the_model(self, services: Services) -> None:
        assert TASK.check({"model": "fake/m"}, services) == []
        (problem,) = TASK.check({"model": "other/m"}, services)
        assert problem.loc == ("model",)
        assert "vendors.other" in problem.message
