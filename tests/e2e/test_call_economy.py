"""The cache, budgets and estimates with a real server: what is called, what it costs, what goes on afterwards."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.builders.judging import agent_task, guided_task, question_task
from tests.builders.wire import chat, eventually, function, metric, standalone
from tests.e2e.conftest import Clients
from tests.fakes.model_endpoint import EndpointProcess
from tests.fakes.server_process import ServerProcess, fake_vendor

PRICES = {"ASSAY_VENDORS__FAKE__PRICES": json.dumps({"echo": {"input": 0, "output": 1_000_000}})}
"""A dollar a token of answers. The endpoint answers what it was told, and counts one token for up to 3 characters."""


@pytest.fixture(scope="module")
def server_environment() -> dict[str, str]:
    return PRICES


@pytest.fixture
def calls(model_endpoint: EndpointProcess) -> Any:
    """How many calls reached the endpoint since the test began."""
    before = len(model_endpoint.calls())
    return lambda: len(model_endpoint.calls()) - before


def rows(count: int, word: str = "q") -> list[dict[str, Any]]:
    return [{"question": f"{word}{n}", "answer": f"{word}{n}"} for n in range(count)]


def post(raw: httpx.Client, path: str, body: Any = None, status: int = 200) -> Any:
    answer = raw.post(path, json=body) if body is not None else raw.post(path)
    assert answer.status_code == status, answer.text
    return answer.json()


def finished(raw: httpx.Client, evaluation_id: str) -> Any:
    return eventually(
        lambda: raw.get(f"/v5/evaluations/{evaluation_id}").json(), lambda found: found["status"] != "running", 60
    )


def ran(raw: httpx.Client, body: dict[str, Any]) -> tuple[Any, Any]:
    """An evaluation that has ended, and its numbers."""
    evaluation = finished(raw, post(raw, "/v5/evaluations", body)["id"])
    return evaluation, raw.get(f"/v5/evaluations/{evaluation['id']}/aggregates").json()


def test_a_second_run_of_repeatable_calls_asks_the_model_nothing_and_says_so(clients: Clients, calls: Any) -> None:
    body = standalone(rows(40, "first"), chat(alias="reply", temperature=0), metric("exact_match", "reply", "answer"))

    _, once = ran(clients.raw, body)
    evaluation, again = ran(clients.raw, body)

    assert calls() == 40
    assert [task["cached"] for task in once["tasks"]] == [0, 0]
    assert [task["cached"] for task in again["tasks"]] == [40, 0]
    assert (evaluation["status"], again["tasks"][1]["mean"]) == ("completed", 1.0)
    assert once["cost"] > 0
    assert again["cost"] == 0


def test_calls_that_may_differ_are_made_each_time_unless_the_evaluation_says_on(clients: Clients, calls: Any) -> None:
    body = standalone(rows(5, "free"), chat(alias="reply"))

    ran(clients.raw, body)
    ran(clients.raw, {**body, "cache": "on"})
    assert calls() == 10
    _, kept = ran(clients.raw, {**body, "cache": "read"})
    ran(clients.raw, {**body, "cache": "off"})

    assert calls() == 15
    assert kept["tasks"][0]["cached"] == 5
    assert kept["cache"] == "read"


def test_answers_are_forgotten_when_that_is_asked(clients: Clients, calls: Any) -> None:
    body = standalone(rows(3, "gone"), chat(alias="reply", seed=1))
    ran(clients.raw, body)

    eventually(
        lambda: post(clients.raw, "/v5/evaluations/estimate", body)["total"]["cached_calls"], lambda kept: kept == 3, 5
    )

    forgotten = clients.raw.delete("/v5/model-answers").json()
    ran(clients.raw, body)

    assert forgotten["forgotten"] >= 3
    assert calls() == 6


def test_an_evaluation_stops_at_its_budget_and_goes_on_with_a_higher_one(clients: Clients, calls: Any) -> None:
    task = chat(alias="reply", max_tokens=1)
    body = {**standalone(rows(30, "p"), task, metric("exact_match", "reply", "answer")), "max_cost": 10.5}

    stopped, numbers = ran(clients.raw, body)

    assert stopped["status"] == "failed"
    assert stopped["status_reason"].startswith("Stopped at max_cost 10.5: its calls cost ")
    assert calls() == 10
    assert (numbers["cost"], numbers["max_cost"]) == (10.0, 10.5)
    assert stopped["progress"]["items"] == {
        **stopped["progress"]["items"],
        "total": 30,
        "successful": 10,
        "failed": 0,
        "pending": 20,
    }
    where = f"/v5/evaluations/{stopped['id']}/resume"
    assert "10 US dollars are spent already" in post(clients.raw, where, {"max_cost": 9}, 400)["detail"]

    assert post(clients.raw, where, {"max_cost": 1000})["status"] == "running"
    done = finished(clients.raw, stopped["id"])

    assert (done["status"], done["status_reason"]) == ("completed", None)
    assert calls() == 30
    assert clients.raw.get(f"/v5/evaluations/{stopped['id']}/aggregates").json()["cost"] == 30.0
    assert "nothing is left to do" in post(clients.raw, where, status=400)["detail"]


def test_a_cancelled_evaluation_goes_on_when_it_is_resumed(clients: Clients) -> None:
    made = post(clients.raw, "/v5/evaluations", standalone(rows(200, "halt"), chat()))
    cancelled = post(clients.raw, f"/v5/evaluations/{made['id']}/cancel")
    assert cancelled["status"] == "failed"

    post(clients.raw, f"/v5/evaluations/{made['id']}/resume")

    done = finished(clients.raw, made["id"])
    assert done["progress"]["items"]["successful"] == 200


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ({"max_cost": 0}, "max_cost"),
        ({"max_cost": -1}, "max_cost"),
        ({"max_cost": "much"}, "max_cost"),
        ({"cache": "always"}, "cache"),
    ],
)
def test_a_bad_policy_is_refused_where_it_is(clients: Clients, more: dict[str, Any], where: str) -> None:
    for path in ("/v5/evaluations", "/v5/evaluations/estimate"):
        detail = post(clients.raw, path, {**standalone(rows(1), chat()), **more}, 422)["detail"]
        assert detail[0]["loc"] == ["body", where]


def test_a_budget_needs_the_price_of_every_model(clients: Clients) -> None:
    body = {**standalone(rows(1), chat(model="fake/unknown")), "max_cost": 1}

    detail = post(clients.raw, "/v5/evaluations", body, 422)["detail"]

    assert detail[0]["loc"] == ["body", "max_cost"]
    assert '[vendors.fake.prices."unknown"]' in detail[0]["msg"]


def test_an_estimate_says_what_would_be_asked_and_asks_nothing(clients: Clients, calls: Any) -> None:
    source = "def length(text):\n    return len(text)\n"
    same = [{"question": "0123456789ab"}] * 3 + [{"question": "another text"}, {"other": 1}]
    tasks = [
        chat(alias="reply", max_tokens=7, temperature=0),
        chat("{{item.reply}}!", alias="second", model="fake/unknown"),
        function(source, arg_mapping={"text": "item.reply"}),
    ]

    found = post(clients.raw, "/v5/evaluations/estimate", standalone(same, *tasks))

    assert calls() == 0
    assert (found["items"], found["sampled"], found["unpriced"]) == (5, 5, ["fake/unknown"])
    reply, second = found["tasks"]
    # The row without a question is not asked about, and equal calls are made once.
    assert (reply["calls"], reply["cached_calls"]) == (4, 2)
    assert reply["completion_tokens_at_most"] == 14
    assert reply["cost_at_most"] == pytest.approx(reply["prompt_cost"] + 14)
    assert (second["calls"], second["completion_tokens_at_most"], second["cost"]) == (5, None, None)
    assert found["total"]["calls"] == 9
    assert found["total"]["cost_at_most"] is None


def test_an_estimate_learns_from_what_was_called_and_knows_what_is_kept(clients: Clients) -> None:
    model = "fake/learned"
    ran(clients.raw, standalone(rows(25, "two words "), chat(alias="reply", model=model, seed=5)))
    body = standalone(rows(50, "two words "), chat(alias="reply", model=model, seed=5))

    (task,) = eventually(
        lambda: post(clients.raw, "/v5/evaluations/estimate", body)["tasks"],
        lambda found: found[0]["past_calls"] == 25,
        5,
    )

    assert (task["calls"], task["cached_calls"]) == (50, 25)
    assert task["completion_tokens"] == pytest.approx(25 * 3, rel=0.4)


def test_a_large_evaluation_is_reckoned_from_a_part_of_it(clients: Clients) -> None:
    (task,) = (found := post(clients.raw, "/v5/evaluations/estimate", standalone(rows(5000), chat())))["tasks"]

    assert (found["items"], task["calls"]) == (5000, 5000)
    assert found["sampled"] < 2001


def test_a_killed_server_still_keeps_the_budget(tmp_path: Path) -> None:
    with EndpointProcess(latency=0.1) as endpoint:
        environment = {**fake_vendor(endpoint.url), **PRICES, "ASSAY_VENDORS__FAKE__CONCURRENCY": "5"}
        server = ServerProcess(tmp_path / "data", environment)
        server.start()
        try:
            headers = {"x-api-key": server.api_key}
            with httpx.Client(base_url=server.base_url, headers=headers, trust_env=False, timeout=30) as raw:
                body = {**standalone(rows(100), chat(max_tokens=1)), "max_cost": 30.5}
                made = post(raw, "/v5/evaluations", body)
                eventually(lambda: len(endpoint.calls()), lambda count: count > 12, 30)
                server.kill()
                server.start()
                stopped = finished(raw, made["id"])
                numbers = raw.get(f"/v5/evaluations/{made['id']}/aggregates").json()
        finally:
            server.stop()

    assert stopped["status_reason"].startswith("Stopped at max_cost 30.5")
    assert numbers["cost"] == 30.0
    assert numbers["tasks"][0]["completed"] == 30


def test_a_judge_is_cached_priced_and_estimated_like_any_call(clients: Clients, calls: Any) -> None:
    judged = guided_task(choices=["Yes"], model="fake/echo", inference_args={"temperature": 0}, alias="judged")
    question = {"question_type": "number", "name": "n", "prompt": "How many?"}
    asked = post(clients.raw, "/v5/questions", question)["id"]
    counted = question_task(asked, model="fake/echo", inference_args={"temperature": 0}, alias="counted")
    agent = agent_task(designated_to={"agent_name": "APEAgent", "config": {"model": "fake/echo", "temperature": 0}})
    rows = [{"text": f"[[Yes]] {n}"} for n in range(4)] + [{"text": '[[hm]] [[{"answer": "Yes"}]]'}]
    body = standalone(rows, judged, counted, agent)

    before = post(clients.raw, "/v5/evaluations/estimate", body)
    _, once = ran(clients.raw, body)
    made = calls()
    eventually(
        lambda: post(clients.raw, "/v5/evaluations/estimate", body)["total"]["cached_calls"], lambda kept: kept == 15, 5
    )
    _, again = ran(clients.raw, body)

    assert [(task["alias"], task["calls"]) for task in before["tasks"]] == [
        ("judged", 5),
        ("counted", 5),
        ("auto_evaluation_agent", 5),
    ]
    assert before["total"]["cached_calls"] == 0
    assert before["total"]["prompt_tokens"] > 15
    assert calls() == made, "the second attempts are kept too"
    judged_once, judged_again = once["tasks"][0], again["tasks"][0]
    assert (judged_once["cached"], judged_once["attempts"], judged_once["values"]) == (0, 6, {"Yes": 5})
    assert (judged_again["cached"], judged_again["attempts"], judged_again["values"]) == (5, 0, {"Yes": 5})
    assert (judged_once["cost"], judged_again["cost"]) == (18.0, 0.0), "three tokens a call, a dollar each"


def test_a_condition_on_a_result_that_is_not_there_yet_is_estimated_as_true(clients: Clients) -> None:
    def on(path: str) -> dict[str, Any]:
        return {"op": "eq", "left": {"op": "var", "path": path}, "right": "Yes"}

    tasks = (
        guided_task(choices=["Yes"], model="fake/echo", alias="judged"),
        guided_task(choices=["Yes"], model="fake/echo", alias="after", run_condition=on("judged")),
        guided_task(choices=["Yes"], model="fake/echo", alias="told", run_condition=on("text")),
        guided_task(choices=["Yes"], model="fake/echo", alias="never", run_condition=False),
    )
    found = post(clients.raw, "/v5/evaluations/estimate", standalone([{"text": "Yes"}, {"text": "No"}], *tasks))

    assert {task["alias"]: task["calls"] for task in found["tasks"]} == {
        "judged": 2,
        "after": 2,
        "told": 1,
        "never": 0,
    }


def test_a_budget_wants_a_price_for_every_judge_the_servers_own_too(clients: Clients) -> None:
    rows = [{"text": "x"}]
    for task in (
        guided_task(choices=["a"], model="fake/dear"),
        agent_task(designated_to={"config": {"model": "fake/dear"}}),
    ):
        problems = post(clients.raw, "/v5/evaluations", {**standalone(rows, task), "max_cost": 1}, 422)["detail"]
        assert "no price is set for fake/dear" in problems[0]["msg"]
    unnamed = agent_task()
    del unnamed["configuration"]["designated_to"]
    (problem,) = post(clients.raw, "/v5/evaluations", standalone(rows, unnamed), 422)["detail"]
    assert problem["loc"][-3:] == ["designated_to", "config", "model"], "the server's judge needs a key here"
    assert "OPENAI_API_KEY" in problem["msg"]
