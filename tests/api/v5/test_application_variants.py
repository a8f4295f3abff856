"""`/v5/application-variants`: registering what can be called, and trying it once."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from assay.api.v5.schemas.application_variants import ApplicationDryRun, RegisteredVariant, RegisteredVariantPage
from tests.builders.evaluating import EvaluatingApi, evaluating_api
from tests.fakes.application_endpoint import FakeApplication

MAPPING = {"output": "answer", "extra_info": "sources", "spans": "trace.spans"}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[EvaluatingApi]:
    async with evaluating_api(tmp_path) as api:
        yield api


@pytest.fixture
async def application() -> AsyncIterator[FakeApplication]:
    async with FakeApplication() as fake:
        yield fake


async def registered(api: EvaluatingApi, url: str = "http://127.0.0.1:9/answer", **more: Any) -> dict[str, Any]:
    body = {"name": "bot", "endpoint": {"url": url, "response": MAPPING, **more}}
    reply = await api.served.raw.post("/v5/application-variants", json=body)
    assert reply.status_code == 200, reply.text
    RegisteredVariant.model_validate_json(reply.content)
    made: dict[str, Any] = reply.json()
    return made


def places(reply: httpx.Response) -> list[str]:
    assert reply.status_code == 422, reply.text
    return [".".join(str(part) for part in problem["loc"]) for problem in reply.json()["detail"]]


async def test_a_variant_is_registered_by_its_endpoint_and_is_the_same_in_version_4(api: EvaluatingApi) -> None:
    made = await registered(api)

    assert (await api.served.raw.get(f"/v5/application-variants/{made['id']}")).json() == made
    fourth = (await api.served.raw.get(f"/v4/application-variants/{made['id']}")).json()
    assert fourth["version"] == "V0"
    assert fourth["configuration"] == {"nodes": [], "edges": [], "endpoint": made["endpoint"]}
    spec = (await api.served.raw.get(f"/v4/application-specs/{made['application_spec_id']}")).json()
    assert spec["name"] == "bot"


async def test_variants_are_paged_by_cursor_and_by_application(api: EvaluatingApi) -> None:
    first = await registered(api)
    body = {"name": "another", "endpoint": {"url": "http://127.0.0.1:9"}}
    same_spec = {**body, "application_spec_id": first["application_spec_id"]}
    second = (await api.served.raw.post("/v5/application-variants", json=same_spec)).json()
    third = (await api.served.raw.post("/v5/application-variants", json=body)).json()

    async def listed(**query: Any) -> list[str]:
        reply = await api.served.raw.get("/v5/application-variants", params=query)
        page = RegisteredVariantPage.model_validate_json(reply.content)
        return [each.id for each in page.items]

    assert await listed() == [first["id"], second["id"], third["id"]]
    assert await listed(limit=1, starting_after=first["id"]) == [second["id"]]
    assert await listed(sort_by="name", sort_order="asc", limit=2) == [second["id"], third["id"]]
    assert await listed(application_spec_id=first["application_spec_id"]) == [first["id"], second["id"]]
    deleted = await api.served.raw.delete(f"/v5/application-variants/{first['id']}")
    assert deleted.json() == {"id": first["id"], "object": "application_variant", "deleted": True}
    assert await listed() == [second["id"], third["id"]]
    assert len(await listed(include_archived=True)) == 3


async def test_what_is_wrong_with_an_endpoint_is_named_at_its_place_and_no_key_is_shown(api: EvaluatingApi) -> None:
    endpoint = {
        "url": "http://169.254.169.254/latest",
        "headers": {"Authorization": "Bearer sesame", "X-Key": {"secret": "nobodys"}},
        "request": {"q": "{{item.x}}"},
        "response": {"outputs": "x"},
    }
    reply = await api.served.raw.post("/v5/application-variants", json={"name": "b", "endpoint": endpoint})

    assert places(reply) == [
        "body.endpoint.headers.Authorization",
        "body.endpoint.request.q",
        "body.endpoint.response.outputs",
    ]
    assert "sesame" not in reply.text
    callable_from_here = {"url": endpoint["url"], "headers": {"X-Key": {"secret": "nobodys"}}}
    reply = await api.served.raw.post("/v5/application-variants", json={"name": "b", "endpoint": callable_from_here})
    assert sorted(places(reply)) == ["body.endpoint.headers.X-Key.secret", "body.endpoint.url"]
    assert places(await api.served.raw.post("/v5/application-variants", json={"name": "b"})) == ["body.endpoint"]


async def test_version_4_names_the_same_faults_in_the_configuration(api: EvaluatingApi) -> None:
    made = await registered(api)
    url = f"/v4/application-variants/{made['id']}"

    for endpoint in ({"url": "file:///etc/passwd"}, {"url": "http://169.254.169.254/"}):
        reply = await api.served.raw.patch(url, json={"configuration": {"endpoint": endpoint}})
        assert places(reply) == ["body.configuration.endpoint.url"]
    offline = {"name": "x", "version": "OFFLINE", "application_spec_id": made["application_spec_id"]}
    reply = await api.served.raw.post(
        "/v4/application-variants", json={**offline, "configuration": {"endpoint": {"url": "http://127.0.0.1"}}}
    )
    assert places(reply) == ["body.configuration.endpoint"]


async def test_only_what_is_sent_changes_and_an_endpoint_changes_as_a_whole(api: EvaluatingApi) -> None:
    made = await registered(api)
    url = f"/v5/application-variants/{made['id']}"

    changed = (await api.served.raw.patch(url, json={"endpoint": {"url": "http://127.0.0.1:10"}})).json()
    named = (await api.served.raw.patch(url, json={"name": "bot 2", "description": "d"})).json()

    assert changed["endpoint"] == {"url": "http://127.0.0.1:10"}
    assert (named["name"], named["description"], named["endpoint"]) == ("bot 2", "d", changed["endpoint"])
    assert places(await api.served.raw.patch(url, json={"endpoint": {"url": "ftp://x"}})) == ["body.endpoint.url"]
    assert places(await api.served.raw.patch(url, json={"endpoint": None, "name": None})) == [
        "body.name",
        "body.endpoint",
    ]


async def test_variants_of_other_accounts_are_not_there(api: EvaluatingApi) -> None:
    made = await registered(api)
    url = f"/v5/application-variants/{made['id']}"

    replies = [
        await api.served.stranger.get(url),
        await api.served.stranger.patch(url, json={"name": "mine"}),
        await api.served.stranger.delete(url),
        await api.served.stranger.post(f"{url}/dry-run", json={"inputs": {}}),
        await api.served.stranger.post(f"/v4/applications/{made['id']}/process", json={"inputs": {}}),
    ]

    assert [reply.status_code for reply in replies] == [404] * 5
    assert (await api.served.stranger.get("/v5/application-variants")).json()["total"] == 0


async def test_a_dry_run_shows_what_was_sent_and_what_was_mapped(
    api: EvaluatingApi, application: FakeApplication
) -> None:
    made = await registered(api, application.url + "/answer")
    body = {"inputs": {"question": "why?"}, "history": [{"request": "a", "response": "b"}]}

    reply = await api.served.raw.post(f"/v5/application-variants/{made['id']}/dry-run", json=body)

    assert reply.status_code == 200, reply.text
    run = ApplicationDryRun.model_validate_json(reply.content)
    assert (run.request, run.output, run.extra_info) == (body, "WHY?", ["a", "b"])
    assert [span["name"] for span in run.spans] == ["retrieve", "generate"]
    assert (run.usage.attempts, run.error, run.raw) == (1, None, None)


async def test_a_dry_run_that_fails_says_how(api: EvaluatingApi, application: FakeApplication) -> None:
    made = await registered(api, application.url + "/html")

    reply = await api.served.raw.post(f"/v5/application-variants/{made['id']}/dry-run", json={"inputs": {}})

    run = ApplicationDryRun.model_validate_json(reply.content)
    assert run.error is not None
    assert run.error.type == "invalid_output"
    assert run.raw == "<!DOCTYPE html><p>Sign in, sesame</p>"


async def test_an_archived_variant_or_one_without_endpoint_is_not_called(api: EvaluatingApi) -> None:
    made = await registered(api)
    body = {"name": "x", "version": "OFFLINE", "configuration": {}, "application_spec_id": made["application_spec_id"]}
    offline = (await api.served.raw.post("/v4/application-variants", json=body)).json()
    agent = await api.served.raw.post(
        "/v5/application-variants",
        json={"name": "a", "endpoint": {"url": "http://127.0.0.1:9", "protocol": "agent"}},
    )
    await api.served.raw.delete(f"/v5/application-variants/{made['id']}")

    for variant, words in (
        (made["id"], "is archived; restore it first"),
        (offline["id"], "is OFFLINE: its outputs are uploaded, it cannot be called"),
        (agent.json()["id"], "its endpoint speaks the protocol 'agent', and 'http' is needed"),
    ):
        reply = await api.served.raw.post(f"/v5/application-variants/{variant}/dry-run", json={"inputs": {}})
        assert reply.status_code == 400
        assert words in reply.json()["detail"]


async def test_version_4_processes_an_input_and_finds_its_text(
    api: EvaluatingApi, application: FakeApplication
) -> None:
    made = await registered(api, application.url + "/answer")
    whole = await registered(api, application.url + "/answer", response={})
    body = {"inputs": {"input_node": {"input-text": "why?"}}}

    text = await api.served.raw.post(f"/v4/applications/{made['id']}/process", json=body)
    document = await api.served.raw.post(f"/v4/applications/{whole['id']}/process", json=body)

    assert text.json() == {"output-text": "WHY?"}
    assert document.json()["output-text"] == "WHY?"
    assert application.calls[0].body == body


async def test_an_agents_service_variant_is_run_at_its_endpoint_too(
    api: EvaluatingApi, application: FakeApplication
) -> None:
    spec = (await registered(api))["application_spec_id"]
    at = {"url": application.url + "/answer", "response": {"output": {"text": "answer", "from": "sources"}}}
    configuration = {"type": "WORKFLOW", "params": {}, "endpoint": at}
    body = {"name": "x", "version": "AGENTS_SERVICE", "configuration": configuration, "application_spec_id": spec}
    made = (await api.served.raw.post("/v4/application-variants", json=body)).json()

    reply = await api.served.raw.post(f"/v4/applications/{made['id']}/process", json={"inputs": {"question": "a"}})

    assert reply.json() == {"text": "A", "from": ["a", "b"]}


async def test_version_4_says_when_an_application_fails_and_does_not_stream(
    api: EvaluatingApi, application: FakeApplication
) -> None:
    made = await registered(api, application.url + "/status/500")
    url = f"/v4/applications/{made['id']}/process"

    failed = await api.served.raw.post(url, json={"inputs": {}})
    streamed = await api.served.raw.post(url, json={"inputs": {}, "stream": True})

    assert (failed.status_code, failed.json()["code"]) == (502, "application_failed")
    assert failed.json()["detail"] == f"inference_error: 127.0.0.1:{application.port}: HTTP 500"
    assert failed.headers["x-should-retry"] == "false", "a client must not call it again by itself"
    assert streamed.status_code == 501
    assert (await api.served.raw.post("/v4/applications/process", json={})).status_code == 501


@pytest.mark.parametrize("task_type", ["application_variant", "agentex_output"])
async def test_an_evaluation_of_what_cannot_be_called_is_refused_naming_what_is_missing(
    api: EvaluatingApi, task_type: str
) -> None:
    made = await registered(api)
    body = {
        "name": "x",
        "version": "V0",
        "configuration": {"nodes": [], "edges": []},
        "application_spec_id": made["application_spec_id"],
    }
    without = (await api.served.raw.post("/v4/application-variants", json=body)).json()
    theirs = await api.served.stranger.post(
        "/v5/application-variants", json={"name": "b", "endpoint": {"url": "http://127.0.0.1:9"}}
    )
    name = "application_variant_id" if task_type == "application_variant" else "agentex_agent_id"

    async def detail(variant: str) -> str:
        configuration = {name: variant, "inputs": {}, "input_column": "item.answer"}
        task = {"task_type": task_type, "configuration": configuration}
        reply = await api.served.raw.post(
            "/v5/evaluations", json={"name": "e", "data": [{"answer": 1}], "tasks": [task]}
        )
        assert reply.status_code == 400, reply.text
        said: str = reply.json()["detail"]
        return said

    place = f"tasks.0.configuration.{name}: "
    assert await detail("nobody's") == f"{place}application variant not found: nobody's"
    assert (await detail(theirs.json()["id"])).startswith(f"{place}application variant not found")
    assert (await detail(without["id"])).endswith(
        "has no endpoint: give it one in configuration.endpoint, with at least a url"
    )
    if task_type == "agentex_output":
        assert (await detail(made["id"])).endswith(
            "its endpoint speaks the protocol 'http', and 'agent' is needed (configuration.endpoint.protocol)"
        )
