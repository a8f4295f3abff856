"""The task type `agentex_output`: turns of agents that answer, dawdle, fail and talk nonsense."""

from typing import Any

import pytest
from pydantic import ValidationError

from assay.adapters.applications import HttpApplications
from assay.core.results import ErrorType, Outcome
from assay.registry.task_types import Reference, Services
from assay.settings import Settings
from assay.task_types.agentex_output import AgentexOutputConfiguration, TaskType
from tests.fakes.agent import FakeAgent, running_example, said

TASK = TaskType()
URL = "http://agent.example/rpc?x=1"


async def run(agent: Any, url: str = URL, **given: Any) -> Outcome:
    services = Services(models=None, sandbox=None, metrics={}, applications=agent)  # type: ignore[arg-type]
    material = {"id": "v1", "name": "bot", "endpoint": {"url": url, "protocol": "agent"}}
    return await TASK.run({"input_column": "why?", **given, "agent": material}, services)


def sent(agent: FakeAgent, method: str) -> Any:
    return next(params for called, params in agent.calls if called == method)


async def test_the_first_message_is_the_value() -> None:
    agent = FakeAgent(said(), said(), said("because", "and more"))

    outcome = await run(agent)

    assert outcome.value == "because"
    assert outcome.detail == {"task_id": "t1", "status": "RUNNING", "messages": ["because", "and more"]}
    assert [method for method, _ in agent.calls] == ["task/create", "message/send", "task/get", "task/get"]
    assert sent(agent, "message/send") == {
        "task_id": "t1",
        "message": {"author": "user", "type": "text", "content": "why?"},
    }
    assert len(set(agent.ids)) == 4
    assert outcome.spans == ()


async def test_an_agent_that_answers_at_once_is_not_asked_again() -> None:
    agent = FakeAgent(said("because"))

    assert (await run(agent)).value == "because"
    assert [method for method, _ in agent.calls] == ["task/create", "message/send"]


async def test_a_turn_is_over_when_nothing_has_changed_for_a_while_and_its_last_message_counts() -> None:
    agent = FakeAgent(said("one"), said("one"), said("one"), said("one", "tw"), said("one", "two"))

    outcome = await run(agent, completion_mode="turn_quiescence", quiescence_seconds=1)

    assert outcome.value == "two"
    assert outcome.usage is not None
    assert outcome.usage.latency > 1.5, "each change begins the wait anew"
    assert outcome.detail is not None
    assert outcome.detail["messages"] == ["one", "two"]


@pytest.mark.parametrize("mode", ["first_message", "turn_quiescence"])
async def test_a_completed_task_ends_the_turn(mode: str) -> None:
    agent = FakeAgent(said(), said("done", status="completed"))

    outcome = await run(agent, completion_mode=mode, quiescence_seconds=1000)

    assert outcome.value == "done"


async def test_a_message_that_is_being_written_is_not_the_first() -> None:
    agent = FakeAgent(said("be", done=False), said("because", done=True))

    assert (await run(agent)).value == "because"


@pytest.mark.parametrize("status", ["FAILED", "CANCELED", "TERMINATED", "TIMED_OUT"])
async def test_a_task_that_failed_is_an_error(status: str) -> None:
    outcome = await run(FakeAgent(said(), said("half an answer", status=status)))

    assert outcome.error is not None
    assert outcome.error.type == ErrorType.INFERENCE_ERROR
    assert outcome.error.message == f"agent.example:80: the agent's task ended as {status}"
    assert outcome.value is None


async def test_an_agent_that_never_answers_is_a_timeout() -> None:
    outcome = await run(FakeAgent(said()), timeout_seconds=1)

    assert outcome.error is not None
    assert outcome.error.type == ErrorType.TIMEOUT
    assert outcome.error.message == "agent.example:80: the turn is not over after 1 s"
    assert outcome.detail == {"task_id": "t1", "status": "RUNNING"}


@pytest.mark.parametrize(
    ("agent", "kind", "words"),
    [
        (FakeAgent(said(status="COMPLETED")), ErrorType.INVALID_OUTPUT, "the task ended without a message"),
        (FakeAgent(ErrorType.INFERENCE_ERROR), ErrorType.INFERENCE_ERROR, "HTTP 500 (message/send)"),
        (
            FakeAgent(task_create={"error": {"code": -32601, "message": "sesame"}}),
            ErrorType.INFERENCE_ERROR,
            "task/create gives the error -32601",
        ),
        (
            FakeAgent(task_create={"error": "sesame"}),
            ErrorType.INFERENCE_ERROR,
            "task/create gives the error without a code",
        ),
        (FakeAgent(task_create={}), ErrorType.INVALID_OUTPUT, "task/create gives no task with an id"),
        (
            FakeAgent(task_create={"jsonrpc": "2.0"}),
            ErrorType.INVALID_OUTPUT,
            "what task/create gives is no answer of JSON-RPC with an object as its result",
        ),
        (FakeAgent({"messages": "none", "status": 7}), ErrorType.TIMEOUT, "the turn is not over after 1 s"),
        (FakeAgent(said(None)), ErrorType.INVALID_OUTPUT, "the agent's message has no content"),
    ],
)
async def test_what_an_agent_may_do_is_an_error_without_its_words(agent: Any, kind: ErrorType, words: str) -> None:
    outcome = await run(agent, timeout_seconds=1)

    assert outcome.error is not None
    assert (outcome.error.type, outcome.error.message.removeprefix("agent.example:80: ")) == (kind, words)
    assert "sesame" not in outcome.error.message


async def test_a_greeting_is_no_answer() -> None:
    greeting = {"id": "t1", "messages": [{"author": "agent", "content": "hello"}]}
    agent = FakeAgent(said("hello"), said("hello", "because"), task_create=greeting)

    assert (await run(agent)).value == "because"


async def test_task_parameters_always_say_that_it_is_an_evaluation() -> None:
    agent = FakeAgent(said("x"))

    await run(agent, agent_task_params={"model": "m", "is_eval": False})

    assert sent(agent, "task/create") == {"params": {"model": "m", "is_eval": True}}


async def test_a_deployment_has_a_path_of_its_own() -> None:
    agent = FakeAgent(said("x"))

    await run(agent, deployment_id="blue.1")

    assert set(agent.urls) == {"http://agent.example/rpc/deployments/blue.1?x=1"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"input_column": {"a": 1}}, {"type": "text", "content": '{"a":1}'}),
        ({"input_column": 7}, {"type": "text", "content": "7"}),
        ({"input_column": {"a": 1}, "input_mode": "data"}, {"type": "data", "content": {"a": 1}}),
        ({"input_column": '{"a": 1}', "input_mode": "data"}, {"type": "data", "content": {"a": 1}}),
    ],
)
async def test_the_input_is_sent_as_text_or_as_data(given: dict[str, Any], message: dict[str, Any]) -> None:
    agent = FakeAgent(said("x"))

    await run(agent, **given)

    assert sent(agent, "message/send")["message"] == {"author": "user", **message}


@pytest.mark.parametrize(
    "given",
    [
        {"input_column": "text", "input_mode": "data"},
        {"input_column": [1], "input_mode": "data"},
        {"timeout_seconds": "5"},
        {"timeout_seconds": 1501},
        {"timeout_seconds": True},
        {"quiescence_seconds": 0},
        {"agent_task_params": [1]},
        {"include_traces": "yes"},
    ],
)
async def test_a_located_value_of_another_kind_is_invalid_input_and_no_call(given: dict[str, Any]) -> None:
    agent = FakeAgent(said("x"))

    outcome = await run(agent, **given)

    assert outcome.error is not None
    assert outcome.error.type == ErrorType.INVALID_INPUT
    assert agent.calls == []


async def test_traces_come_along_when_they_are_asked_for_and_an_agent_without_any_has_answered_all_the_same() -> None:
    told = {"spans": [{"name": "think"}]}

    with_spans = await run(FakeAgent(said("x"), span_list=told), include_traces=True)
    without = await run(FakeAgent(said("x"), span_list={"error": {"code": 1}}), include_traces=True)

    assert [span.name for span in with_spans.spans] == ["bot", "think"]
    assert without.value == "x"
    assert without.detail is not None
    assert without.detail["ignored"] == "agent.example:80: span/list gives the error 1"


async def test_the_agent_in_the_documentation_works() -> None:
    applications = HttpApplications(Settings(), {})
    with running_example() as url:
        quick = await run(applications, url, include_traces=True)
        quiet = await run(applications, url, completion_mode="turn_quiescence", quiescence_seconds=1)
        pinned = await run(applications, url, deployment_id="v1")
    await applications.close()

    assert (quick.value, quiet.value, pinned.value) == ("?yhw", "?yhw", "?yhw")
    assert [span.name for span in quick.spans] == ["bot", "turn around"]


def test_it_refers_to_its_agent_and_asks_for_locators_where_text_stands() -> None:
    configuration = {"agentex_agent_id": "v", "input_column": "item.q", "timeout_seconds": "item.t"}

    assert TASK.references(configuration) == [Reference("agent", "v", "agent", ("agentex_agent_id",))]
    assert TASK.required_locators(configuration) == [(("timeout_seconds",), "item.t"), (("input_column",), "item.q")]
    assert TASK.default_alias(configuration) == "agentex_output"


@pytest.mark.parametrize(
    "wrong",
    [
        {"agentex_agent_id": ""},
        {"input_column": None},
        {"input_mode": "audio"},
        {"completion_mode": "never"},
        {"timeout_seconds": 1501},
        {"timeout_seconds": "soon"},
        {"deployment_id": "../../x"},
        {"deployment_id": ".."},
        {"agent_task_params": [1]},
        {"include_traces": 1},
    ],
)
def test_a_configuration_of_another_shape_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AgentexOutputConfiguration.model_validate({"agentex_agent_id": "v", "input_column": "x", **wrong})
