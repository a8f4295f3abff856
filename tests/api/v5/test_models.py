"""Registered models over HTTP on the real SQLite storage: the official client, conflicts, hostile input, accounts."""

import asyncio
from datetime import datetime
from typing import Any

import pytest
from scale_gp_beta import BadRequestError, ConflictError, InternalServerError, NotFoundError
from scale_gp_beta.types import InferenceModel

from assay.api.v5.schemas import models as schemas
from tests.builders.inferring import inferring_api


@pytest.fixture
async def api(tmp_path):
    async with inferring_api(tmp_path) as inferring:
        yield inferring


HOSTED: dict[str, Any] = {"name": "gpt-x", "model_vendor": "openai", "model_type": "chat_completion"}


async def test_the_bytes_are_what_the_document_and_the_official_client_say(api):
    made = await api.register(model_metadata={"n": 1})
    page = await api.served.raw.get("/v5/models")
    schemas.ModelPage.model_validate_json(page.content)
    schemas.Model.model_validate(made)
    assert set(made) == set(schemas.Model.model_fields)
    wanted = {field.alias or name for name, field in InferenceModel.model_fields.items()}
    assert wanted == set(made)
    InferenceModel.model_validate(made)
    assert (made["status"], made["model_availability"], made["status_reason"]) == ("ready", "unknown", None)
    assert made["created_at"].endswith("Z")
    assert datetime.fromisoformat(made["created_at"]).tzinfo is not None
    assert made["created_by_identity_type"] == "service_account"


async def test_the_official_client_in_strict_mode_registers_reads_changes_and_deletes(api):
    client = api.served.official
    model = await client.models.create(model={**HOSTED, "model_metadata": {"owner": "me"}})
    assert (model.name, model.api_model_vendor, model.status) == ("gpt-x", "openai", "ready")
    assert (await client.models.retrieve(model.id)).metadata == {"owner": "me"}
    assert (await client.models.update(model.id, model={"model_metadata": {"owner": "you"}})).metadata == {
        "owner": "you"
    }
    assert (await client.models.update(model.id, model={"name": "gpt-y"})).name == "gpt-y"
    assert [one.id async for one in client.models.list(name="PT-Y", model_vendor="openai")] == [model.id]
    assert [one async for one in client.models.list(model_vendor="anthropic")] == []
    gone = await client.models.delete(model.id)
    assert (gone.id, gone.deleted, gone.object) == (model.id, True, "model")
    for call in (client.models.retrieve(model.id), client.models.delete(model.id)):
        with pytest.raises(NotFoundError):
            await call


async def test_a_registered_model_is_called_as_any_other_is(api):
    client = api.served.official
    await client.models.create(model={**HOSTED, "name": "org/mine"})
    for name in ("openai/org/mine", "openai/never-registered"):
        answer = await client.chat.completions.create(model=name, messages=[{"role": "user", "content": "hi"}])
        assert answer.choices[0].message.content == "hi"


async def test_a_taken_name_is_a_conflict_that_is_never_repeated_unless_it_updates(api):
    made = await api.register("gpt-x", model_metadata={"n": 1})
    answer = await api.served.raw.post("/v5/models", json=HOSTED)
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert answer.headers["x-should-retry"] == "false"
    assert made["id"] in answer.json()["detail"]
    updated = await api.register("gpt-x", model_type="generic", model_metadata={"n": 2}, on_conflict="update")
    assert updated == {**made, "model_type": "generic", "model_metadata": {"n": 2}}
    assert (await api.register("gpt-x", "anthropic"))["id"] != made["id"]
    stranger = await api.served.stranger.post("/v5/models", json=HOSTED)
    assert stranger.status_code == 200
    assert (await api.served.raw.get("/v5/models")).json()["total"] == 2


async def test_many_at_once_register_a_name_once(api):
    answers = await asyncio.gather(*(api.served.raw.post("/v5/models", json=HOSTED) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7


async def test_a_rename_takes_a_free_name_or_swaps(api):
    client = api.served.official
    one, other = await api.register("one"), await api.register("other")
    with pytest.raises(ConflictError):
        await client.models.update(one["id"], model={"name": "other"})
    with pytest.raises(ConflictError):
        await client.models.update(one["id"], model={"name": "other", "on_conflict": "error"})
    swapped = await client.models.update(one["id"], model={"name": "other", "on_conflict": "swap"})
    assert swapped.name == "other"
    assert (await client.models.retrieve(other["id"])).name == "one"
    assert (await client.models.update(one["id"], model={"name": "other"})).name == "other"
    assert (await client.models.update(one["id"], model={"name": "free", "on_conflict": "swap"})).name == "free"
    answer = await api.served.raw.patch(f"/v5/models/{one['id']}", json={"name": "x", "model_metadata": None})
    assert (answer.json()["name"], answer.json()["model_metadata"]) == ("x", None)


async def test_deploying_is_left_out_and_says_what_to_do_instead(api):
    image = {"registry": "r", "repository": "r", "tag": "t", "command": ["c"]}
    for vendor, configuration in (("launch", {"model_image": image, "model_infra": {}}), ("llmengine", {"model": "m"})):
        body = {"name": "m", "model_vendor": vendor, "vendor_configuration": configuration}
        answer = await api.served.raw.post("/v5/models", json=body)
        assert (answer.status_code, answer.json()["code"]) == (501, "not_offered")
        assert answer.headers["x-should-retry"] == "false"
        assert "register it" in answer.json()["detail"]
        with pytest.raises(InternalServerError):
            await api.served.official.models.create(model=body)  # type: ignore[arg-type]
    made = await api.register()
    with pytest.raises(BadRequestError):
        await api.served.official.models.update(made["id"], model={"vendor_configuration": {"model": "m"}})


async def test_a_vendor_without_settings_is_refused_and_one_without_its_key_says_so(api):
    answer = await api.served.raw.post("/v5/models", json={**HOSTED, "model_vendor": "cohere"})
    assert (answer.status_code, answer.json()["code"]) == (400, "not_configured")
    assert "[vendors.cohere]" in answer.json()["detail"]
    made = await api.register("m", "keyless")
    assert (made["status"], made["model_availability"]) == ("ready", "unavailable")
    assert "NO_SUCH_KEY" in made["status_reason"]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"name": None}, ["name"]),
        ({"name": ""}, ["name"]),
        ({"name": "x" * 501}, ["name"]),
        ({"name": "a\nb"}, ["name"]),
        ({"name": " a"}, ["name"]),
        ({"name": "\x00"}, ["name"]),
        ({"model_vendor": None}, ["model_vendor"]),
        ({"model_vendor": 5}, ["model_vendor"]),
        ({"model_type": "image"}, ["model_type"]),
        ({"model_type": None}, ["model_type"]),
        ({"model_metadata": []}, ["model_metadata"]),
        ({"on_conflict": "swap"}, ["on_conflict"]),
        ({"vendor_configuration": {}}, ["vendor_configuration"]),
    ],
)
async def test_a_malformed_model_is_refused_at_its_fault_and_nothing_is_written(api, change, where):
    answer = await api.served.raw.post("/v5/models", json={**HOSTED, **change})
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"][0]["loc"] == ["body", *where]
    assert (await api.served.raw.get("/v5/models")).json()["total"] == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"unknown": 1}, 400),
        ({"on_conflict": "swap"}, 400),
        ({"name": None}, 422),
        ({"name": 5}, 422),
        ({"model_metadata": 5}, 422),
        ({"name": "x", "on_conflict": "update"}, 422),
    ],
)
async def test_a_change_that_is_none_is_refused(api, body, status):
    made = await api.register()
    answer = await api.served.raw.patch(f"/v5/models/{made['id']}", json=body)
    assert answer.status_code == status, answer.text
    assert (await api.served.raw.get(f"/v5/models/{made['id']}")).json() == made


async def test_another_accounts_models_are_not_there(api):
    made = await api.register()
    path = f"/v5/models/{made['id']}"
    for method, body in (("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None)):
        answer = await api.served.stranger.request(method, path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    page = await api.served.stranger.get("/v5/models", params={"starting_after": made["id"]})
    assert page.status_code == 400
    assert (await api.served.raw.get(path)).json() == made


async def test_models_page_both_ways_and_sort(api):
    made = []
    for name in ("b", "a", "c"):
        made.append((await api.register(name))["id"])
        api.clock.tick()
    client = api.served.official
    assert [one.id async for one in client.models.list(limit=1)] == made
    assert [one.name async for one in client.models.list(sort_by="name", sort_order="desc", limit=2)] == ["c", "b", "a"]
    backward = await api.served.raw.get("/v5/models", params={"ending_before": made[2], "limit": 1})
    assert ([one["id"] for one in backward.json()["items"]], backward.json()["has_more"]) == ([made[1]], True)
    for query in ("sort_by=vendor", "limit=0", f"starting_after={made[0]}&ending_before={made[1]}"):
        assert (await api.served.raw.get(f"/v5/models?{query}")).status_code == 422
