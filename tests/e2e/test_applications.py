"""Applications and agents of the user's own, evaluated by a real server through the official clients."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from scale_gp import SGPClient as V4Client
from scale_gp_beta import SGPClient

from tests.builders.wire import eventually, metric, run, standalone
from tests.fakes.agent import running_example
from tests.fakes.application_endpoint import ApplicationProcess
from tests.fakes.server_process import ServerProcess

TOKEN = "sesame-open-4711"
ENVIRONMENT = {
    "BOT_TOKEN": TOKEN,
    "ASSAY_SECRETS__BOT__ENV": "BOT_TOKEN",
    "ASSAY_SECRETS__BOT__HOSTS": "127.0.0.1",
    "ASSAY_APPLICATION_MAX_RESPONSE_BYTES": "1000000",
}
MAPPING = {
    "output": "answer",
    "extra_info": "sources",
    "spans": "trace.spans",
    "usage": {"prompt_tokens": "usage.in", "completion_tokens": "usage.out"},
}


@pytest.fixture(scope="module")
def application() -> Iterator[ApplicationProcess]:
    with ApplicationProcess(latency=0.02) as process:
        yield process


@pytest.fixture(scope="module")
def server_environment() -> dict[str, str]:
    return ENVIRONMENT


@pytest.fixture
def v4(server: ServerProcess) -> Iterator[V4Client]:
    """Version 4's client. Its own type for a variant is not fully defined, so that it is not strict here."""
    with V4Client(api_key=server.api_key, base_url=server.base_url, max_retries=0) as client:
        yield client


def endpoint(url: str, **more: Any) -> dict[str, Any]:
    headers = {"Authorization": {"secret": "bot", "prefix": "Bearer "}}
    return {"url": f"{url}/answer", "headers": headers, "response": MAPPING, "timeout_seconds": 2, **more}


def v4_variant(v4: V4Client, at: dict[str, Any]) -> str:
    spec = v4.application_specs.create(account_id="default", name="bot", description="")
    variant = v4.application_variants.create(
        account_id="default",
        application_spec_id=spec.id,
        name="first",
        version="V0",
        configuration={"nodes": [], "edges": [], "endpoint": at},  # type: ignore[typeddict-unknown-key]
    )
    return str(variant.id)


def details(raw: httpx.Client, item_id: str) -> dict[str, Any]:
    """What the tasks noted beside an item's values, by alias."""
    results = raw.get(f"/v5/evaluation-items/{item_id}/results").json()["items"]
    return {result["alias"]: result["detail"] for result in results}


def task(variant: str, inputs: Any, **more: Any) -> dict[str, Any]:
    configuration = {"application_variant_id": variant, "inputs": inputs, **more}
    return {"task_type": "application_variant", "alias": "answer", "configuration": configuration}


def test_a_variant_of_version_4_is_evaluated_in_version_5(
    strict: SGPClient, v4: V4Client, raw: httpx.Client, server: ServerProcess, application: ApplicationProcess
) -> None:
    variant = v4_variant(v4, endpoint(application.url))
    rows = [{"q": f"why {number}?", "loud": f"WHY {number}?", "past": [{"request": "a"}]} for number in range(50)]
    asked = task(variant, {"question": "item.q"}, history="item.past", overrides={"concurrent": True})

    done, items = run(strict, standalone(rows, asked, metric("exact_match", "answer", "loud")))

    assert done.status == "completed"
    assert [item.data["answer"] for item in items] == [row["loud"] for row in rows]
    assert {item.data["exact_match"] for item in items} == {1}
    calls = [call for call in application.calls() if call["body"]["inputs"]["question"].startswith("why ")]
    assert Counter(call["body"]["inputs"]["question"] for call in calls) == Counter(row["q"] for row in rows)
    assert {call["headers"]["authorization"] for call in calls} == {f"Bearer {TOKEN}"}
    assert calls[0]["body"]["history"] == [{"request": "a"}]
    assert calls[0]["body"]["overrides"] == {"concurrent": True}
    (aggregate, _) = raw.get(f"/v5/evaluations/{done.id}/aggregates").json()["tasks"]
    assert aggregate["tokens"] == {"prompt": 550, "completion": 200}
    detail = details(raw, items[0].id)["answer"]
    assert detail["extra_info"] == ["a", "b"]
    trace_id = detail["trace_id"]
    spans = list(strict.spans.search(trace_ids=[trace_id], sort_order="asc"))
    (root,) = [span for span in spans if span.parent_id is None]
    assert (root.name, root.type, root.application_variant_id) == ("first", "EXTERNAL_ENDPOINT", variant)
    assert (root.input, root.output) == ({"question": "why 0?"}, {"output": "WHY 0?"})
    assert {(span.name, span.parent_id) for span in spans} - {("first", None)} == {
        ("retrieve", root.id),
        ("generate", root.id),
    }
    assert TOKEN not in server.log


def test_an_application_that_does_its_worst_is_an_error_on_that_item_and_nothing_else(
    client: SGPClient, v4: V4Client, raw: httpx.Client, server: ServerProcess, application: ApplicationProcess
) -> None:
    variant = v4_variant(v4, endpoint(application.url))
    worst = {
        "!hang": "timeout",
        "!drip": "timeout",
        "!redirect": "inference_error",
        "!html": "invalid_output",
        "!endless": "invalid_output",
        "!declared_gigabyte": "invalid_output",
        "!malformed": "invalid_output",
        "!wrong_shape": "invalid_output",
        "!status/500": "inference_error",
        "!secretive_error": "inference_error",
        "!reset": "inference_error",
        "!garbage": "invalid_output",
        "!deep_elsewhere": "invalid_output",
        "!surrogate": "invalid_output",
        "!long_number": "invalid_output",
        "!nan": "invalid_output",
    }
    questions = [question for bad in worst for question in (bad, f"fine after {bad[1:]}")]

    done, items = run(client, standalone([{"q": each} for each in questions], task(variant, {"question": "item.q"})))

    assert done.status == "completed"
    assert done.error_count == len(worst)
    for question, item in zip(questions, items, strict=True):
        if question in worst:
            assert item.task_errors is not None
            error = item.task_errors["answer"]
            assert (question, error.type) == (question, worst[question])
            assert "sesame" not in error.message
        else:
            assert item.data["answer"] == question.upper()
    shown = [raw.get(f"/v5/evaluation-items/{item.id}/results").text for item in items]
    assert not any(TOKEN in each for each in shown)
    assert TOKEN not in server.log
    assert max(member.memory_info().rss for member in server.members()) < 1 << 30


def test_a_strange_answer_is_kept_or_an_error_and_its_neighbours_are_fine(
    client: SGPClient, v4: V4Client, application: ApplicationProcess
) -> None:
    variant = v4_variant(v4, endpoint(application.url))

    done, items = run(
        client,
        standalone(
            [{"q": "!deep"}, {"q": "fine"}, {"q": "!nul"}, {"q": "also fine"}], task(variant, {"question": "item.q"})
        ),
    )

    assert done.status == "completed"
    assert [items[1].data["answer"], items[3].data["answer"]] == ["FINE", "ALSO FINE"]
    for item in (items[0], items[2]):
        assert item.task_result_statuses is not None
        assert item.task_result_statuses["answer"] in ("completed", "errored")


def test_an_input_that_an_item_lacks_is_that_items_error(
    client: SGPClient, v4: V4Client, application: ApplicationProcess
) -> None:
    variant = v4_variant(v4, endpoint(application.url, request={"inputs": {"question": "{{inputs.deep.q}}"}}))
    rows = [{"in": {"deep": {"q": "why?"}}}, {"in": {"deep": {}}}, {"in": "text"}, {}]

    _, items = run(client, standalone(rows, task(variant, "item.in")))

    assert items[0].data["answer"] == "WHY?"
    kinds = [(item.task_errors or {})["answer"].type for item in items[1:]]
    assert kinds == ["missing_field", "invalid_input", "missing_field"]


def test_version_4_runs_a_variant_by_its_client(v4: V4Client, application: ApplicationProcess) -> None:
    variant = v4_variant(v4, endpoint(application.url))

    answer: Any = v4.application_variants.process(variant, inputs={"input_node": {"input-text": "why?"}})

    assert answer == {"output-text": "WHY?"}


def test_an_agent_is_evaluated_by_its_turns(client: SGPClient, raw: httpx.Client) -> None:
    with running_example() as url:
        body = {"name": "turner", "endpoint": {"url": url, "protocol": "agent"}}
        agent = raw.post("/v5/application-variants", json=body).json()["id"]
        configuration = {
            "agentex_agent_id": agent,
            "input_column": "say {{item.q}}",
            "agent_task_params": {"who": "item.q"},
            "include_traces": True,
            "timeout_seconds": "item.patience",
        }
        rows = [{"q": "abc", "patience": 20}, {"q": "xyz", "patience": 20}, {"q": "x", "patience": "none"}]

        _, items = run(client, standalone(rows, {"task_type": "agentex_output", "configuration": configuration}))

    assert [item.data.get("agentex_output") for item in items] == ["cba yas", "zyx yas", None]
    assert items[2].task_errors is not None
    assert items[2].task_errors["agentex_output"].type == "invalid_input"
    detail = details(raw, items[0].id)["agentex_output"]
    assert detail.keys() >= {"task_id", "status", "trace_id"}
    roots = client.spans.search(agentex_agent_ids=[agent])
    assert {span.trace_id for span in roots} >= {detail["trace_id"]}


def test_a_kill_in_the_middle_repeats_no_finished_item_and_loses_none(tmp_path: Path) -> None:
    count = 400
    with ApplicationProcess(latency=0.1) as application:
        server = ServerProcess(tmp_path / "data", {**ENVIRONMENT, "ASSAY_APPLICATION_CONCURRENCY": "20"})
        server.start()
        ask = httpx.Client(base_url=server.base_url, headers={"x-api-key": server.api_key}, trust_env=False)
        try:
            body = {"name": "bot", "endpoint": endpoint(application.url)}
            variant = ask.post("/v5/application-variants", json=body).json()["id"]
            rows = [{"q": f"why {number}?"} for number in range(count)]
            made = ask.post("/v5/evaluations", json=standalone(rows, task(variant, {"question": "item.q"}))).json()[
                "id"
            ]

            def progress() -> Any:
                return ask.get(f"/v5/evaluations/{made}").json()

            eventually(progress, lambda seen: seen["progress"]["items"]["successful"] > count // 3)
            stored = progress()["progress"]["items"]["successful"]
            server.kill()
            before = len(application.calls())
            server.start()
            done = eventually(progress, lambda seen: seen["status"] != "running", 60)
            items = ask.get("/v5/evaluation-items", params={"evaluation_id": made, "limit": 1000}).json()["items"]
            query = {"group_id": made, "parents_only": False}
            spans = ask.post("/v5/spans/search", json=query, params={"limit": 10_000}).json()["items"]
            time.sleep(0.2)
        finally:
            ask.close()
            server.stop()
        calls = Counter(call["body"]["inputs"]["question"] for call in application.calls())

    assert (done["status"], done["error_count"]) == ("completed", 0)
    assert [item["data"]["answer"] for item in items] == [row["q"].upper() for row in rows]
    assert before < count
    assert len(spans) == len({span["id"] for span in spans}) == 3 * count
    assert len({span["trace_id"] for span in spans}) == count
    repeated = sum(times - 1 for times in calls.values())
    assert repeated <= before - stored, "only calls whose results were not stored yet are made again"
    assert max(calls.values()) <= 2
