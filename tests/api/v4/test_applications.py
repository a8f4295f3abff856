"""Application specs and variants, through the official client, and its strict mode where that works."""

from datetime import UTC, datetime
from typing import Any

import pytest
from scale_gp import NotFoundError
from scale_gp.types import (
    ApplicationVariantAgentsServiceResponse,
    ApplicationVariantV0Response,
    OfflineApplicationVariantResponse,
)

from tests.api.v4.served import ServedV4, faults, same

V0 = {
    "nodes": [{"id": "n", "application_node_schema_id": "text_input_schema", "configuration": {"k": {"value": 1}}}],
    "edges": [{"from_node": "n", "from_field": "a", "to_node": "n", "to_field": "b"}],
}
# With the pydantic of today, the client cannot list variants, and it takes each for a V0 one.
KINDS: dict[str, Any] = {
    "V0": ApplicationVariantV0Response,
    "AGENTS_SERVICE": ApplicationVariantAgentsServiceResponse,
    "OFFLINE": OfflineApplicationVariantResponse,
}
AGENTS = {"type": "PLAN", "params": {"depth": 1}, "raw_configuration": "steps: []"}


async def a_spec(v4: ServedV4, **fields: Any) -> Any:
    return await v4.official.application_specs.create(
        **{"account_id": "default", "name": "bot", "description": "", **fields}
    )


async def a_variant(v4: ServedV4, spec_id: str, **fields: Any) -> Any:
    defaults = {"account_id": "default", "name": "first", "version": "OFFLINE", "configuration": {}}
    made = await v4.lenient.application_variants.create(**{**defaults, "application_spec_id": spec_id, **fields})
    return KINDS[made.version].model_validate(made.to_dict())


async def test_a_spec_comes_back_as_it_was_made(v4: ServedV4) -> None:
    made = await a_spec(v4, description="helps", run_online_evaluation=False, theme_id="dark")
    assert (made.name, made.description, made.run_online_evaluation, made.theme_id) == ("bot", "helps", False, "dark")
    assert (made.account_id, made.created_by_identity_type, made.archived_at) == ("default", "service_account", None)
    assert made.created_at.tzinfo is not None
    assert same(await v4.official.application_specs.retrieve(made.id), made)


async def test_a_specs_time_ends_in_z_and_a_parent_is_shown_to_the_seed(v4: ServedV4) -> None:
    made = (await v4.raw.get(f"/v4/application-specs/{(await a_spec(v4)).id}")).json()
    assert made["created_at"].endswith("Z")
    assert made["parent_application_spec_id"] is None


async def test_null_clears_what_can_be_empty_and_is_ignored_elsewhere(v4: ServedV4) -> None:
    made = await a_spec(v4, theme_id="dark", run_online_evaluation=True)
    body = {"name": None, "description": None, "theme_id": None, "run_online_evaluation": None, "unknown": 1}
    changed = (await v4.raw.patch(f"/v4/application-specs/{made.id}", json=body)).json()
    assert (changed["name"], changed["description"]) == ("bot", "")
    assert (changed["theme_id"], changed["run_online_evaluation"]) == (None, None)


async def test_only_what_is_sent_changes(v4: ServedV4) -> None:
    made = await a_spec(v4, theme_id="dark", run_online_evaluation=True)
    changed = await v4.official.application_specs.update(made.id, name="new")
    assert changed.to_dict() == {**made.to_dict(), "name": "new"}
    assert same(await v4.official.application_specs.update(made.id), changed)
    assert same(await v4.official.application_specs.retrieve(made.id), changed)


async def test_a_deleted_spec_is_hidden_and_restorable(v4: ServedV4) -> None:
    made = await a_spec(v4)
    deleted = await v4.official.application_specs.delete(made.id)
    assert (deleted.success, deleted.count) == (True, 1)
    again = await v4.official.application_specs.delete(made.id)
    assert (again.success, again.count) == (True, 0)
    assert type(again.count) is int
    assert [each.id async for each in v4.official.application_specs.list()] == []
    listed = v4.official.application_specs.list(include_archived=True)
    assert [each.id async for each in listed] == [made.id]
    assert (await v4.official.application_specs.retrieve(made.id)).archived_at is not None
    refused = await v4.raw.patch(f"/v4/application-specs/{made.id}", json={"name": "x"})
    assert (refused.status_code, made.id in refused.json()["detail"]) == (400, True)
    body = {"restore": True, "name": "ignored"}
    restored = (await v4.raw.patch(f"/v4/application-specs/{made.id}", json=body)).json()
    assert (restored["archived_at"], restored["name"]) == (None, "bot")
    assert same(await v4.official.application_specs.update(made.id, restore=True), made)


async def test_an_unknown_spec_is_404_for_every_verb(v4: ServedV4) -> None:
    specs = v4.official.application_specs
    for call in (specs.retrieve, specs.update, specs.delete):
        with pytest.raises(NotFoundError):
            await call("nobody's")


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"description": ""}, ["body", "name"]),
        ({"name": "x"}, ["body", "description"]),
        ({"name": "x", "description": None}, ["body", "description"]),
        ({"name": "", "description": ""}, ["body", "name"]),
        ({"name": 1, "description": ""}, ["body", "name"]),
        ({"name": "x", "description": "", "run_online_evaluation": "yes"}, ["body", "run_online_evaluation"]),
    ],
)
async def test_a_bad_spec_is_422_at_its_place(v4: ServedV4, body: dict[str, Any], place: list[str]) -> None:
    assert faults(await v4.raw.post("/v4/application-specs", json=body)) == [place]


@pytest.mark.parametrize(("version", "configuration"), [("OFFLINE", {}), ("V0", V0), ("AGENTS_SERVICE", AGENTS)])
async def test_every_version_of_variant_is_kept_as_given(v4: ServedV4, version: str, configuration: Any) -> None:
    spec = await a_spec(v4)
    made = await a_variant(v4, spec.id, version=version, configuration=configuration)
    assert (made.version, made.draft, made.description, made.published_at) == (version, False, None, None)
    assert made.application_spec_id == spec.id
    assert same(await v4.lenient.application_variants.retrieve(made.id), made)
    raw = (await v4.raw.get(f"/v4/application-variants/{made.id}")).json()
    assert raw["configuration"] == configuration


async def test_a_time_without_a_zone_is_utc(v4: ServedV4) -> None:
    spec = await a_spec(v4)
    made = await a_variant(v4, spec.id, draft=True, published_at=datetime(2026, 1, 2, 3, 4))  # noqa: DTZ001
    assert (made.draft, made.published_at) == (True, datetime(2026, 1, 2, 3, 4, tzinfo=UTC))


async def test_a_patch_of_a_variants_configuration_keeps_the_keys_it_does_not_name(v4: ServedV4) -> None:
    made = await a_variant(v4, (await a_spec(v4)).id, version="V0", configuration=V0, description="d")
    metadata = {"owner": "me"}
    changed = await v4.lenient.application_variants.patch(made.id, configuration={"metadata": metadata})
    assert changed.configuration.to_dict() == {**V0, "metadata": metadata}
    assert changed.updated_at > made.updated_at
    assert (changed.name, changed.description) == ("first", "d")
    cleared = (await v4.raw.patch(f"/v4/application-variants/{made.id}", json={"description": None})).json()
    assert (cleared["description"], cleared["configuration"]) == (None, {**V0, "metadata": metadata})
    unchanged = await v4.lenient.application_variants.patch(made.id)
    assert same(unchanged, await v4.lenient.application_variants.retrieve(made.id))
    assert unchanged.to_dict(mode="json") == cleared


async def test_variants_are_listed_newest_first_and_by_spec(v4: ServedV4) -> None:
    one, other = await a_spec(v4), await a_spec(v4)
    made = [(await a_variant(v4, spec.id)).id for spec in (one, other, one)]

    async def listed(**query: str | int) -> list[str]:
        page = (await v4.raw.get("/v4/application-variants", params=query)).json()
        return [each["id"] for each in page["items"]]

    assert await listed() == made[::-1]
    assert await listed(application_spec_id=one.id, limit=1) == [made[2]]
    assert await listed(application_spec_id=one.id, limit=1, page=2) == [made[0]]
    assert await listed(application_spec_id=one.id, limit=1, page=3) == []
    assert await listed(application_spec_id="") == made[::-1]
    await v4.lenient.application_variants.delete(made[2])
    assert await listed(application_spec_id=one.id) == [made[0]]
    assert (await v4.lenient.application_variants.retrieve(made[2])).id == made[2]
    assert (await v4.lenient.application_variants.delete(made[2])).count == 0
    with pytest.raises(NotFoundError):
        await v4.lenient.application_variants.delete("nobody's")


@pytest.mark.parametrize(
    ("fields", "places"),
    [
        ({"version": "V1"}, [["body", "version"]]),
        ({"configuration": None}, [["body", "configuration"]]),
        ({"configuration": {"metadata": 1}}, [["body", "configuration", "metadata"]]),
        ({"version": "V0"}, [["body", "configuration", "nodes"], ["body", "configuration", "edges"]]),
        (
            {"version": "V0", "configuration": {**V0, "nodes": [{"id": "n"}]}},
            [["body", "configuration", "nodes", 0, "application_node_schema_id"]],
        ),
        ({"version": "AGENTS_SERVICE"}, [["body", "configuration", "type"], ["body", "configuration", "params"]]),
        (
            {"version": "AGENTS_SERVICE", "configuration": {**AGENTS, "raw_configuration": 1}},
            [["body", "configuration", "raw_configuration"]],
        ),
        ({"published_at": "yesterday"}, [["body", "published_at"]]),
        ({"published_at": "9999-12-31T23:59:59-23:59"}, [["body", "published_at"]]),
        ({"published_at": "0001-01-01T00:00:00+23:59"}, [["body", "published_at"]]),
    ],
)
async def test_a_bad_variant_is_422_at_its_place(v4: ServedV4, fields: dict[str, Any], places: list[Any]) -> None:
    body = {"application_spec_id": (await a_spec(v4)).id, "name": "x", "version": "OFFLINE", "configuration": {}}
    assert faults(await v4.raw.post("/v4/application-variants", json={**body, **fields})) == places


async def test_a_patch_cannot_break_a_variants_configuration(v4: ServedV4) -> None:
    made = await a_variant(v4, (await a_spec(v4)).id, version="AGENTS_SERVICE", configuration=AGENTS)
    answer = await v4.raw.patch(f"/v4/application-variants/{made.id}", json={"configuration": {"type": "X"}})
    assert faults(answer) == [["body", "configuration", "type"]]
    assert same(await v4.lenient.application_variants.retrieve(made.id), made)


async def test_a_variant_needs_an_unarchived_spec_of_its_own_account(v4: ServedV4) -> None:
    body = {"name": "x", "version": "OFFLINE", "configuration": {}}
    theirs = {"name": "theirs", "description": ""}
    foreign = (await v4.stranger.post("/v4/application-specs", json=theirs)).json()["id"]
    for unknown in (foreign, "nobody's"):
        answer = await v4.raw.post("/v4/application-variants", json={**body, "application_spec_id": unknown})
        assert (answer.status_code, answer.json()["detail"]) == (404, f"application spec not found: {unknown}")
    archived = await a_spec(v4)
    await v4.official.application_specs.delete(archived.id)
    answer = await v4.raw.post("/v4/application-variants", json={**body, "application_spec_id": archived.id})
    assert answer.status_code == 400


async def test_an_archived_variant_does_not_change(v4: ServedV4) -> None:
    made = await a_variant(v4, (await a_spec(v4)).id)
    await v4.lenient.application_variants.delete(made.id)
    answer = await v4.raw.patch(f"/v4/application-variants/{made.id}", json={"name": "x"})
    assert answer.status_code == 400


async def test_a_variant_without_an_endpoint_is_not_run(v4: ServedV4) -> None:
    made = await a_variant(v4, (await a_spec(v4)).id)
    answer = await v4.raw.post(f"/v4/applications/{made.id}/process", json={"inputs": {}})
    assert (answer.status_code, "OFFLINE" in answer.json()["detail"]) == (400, True)


async def test_null_in_a_post_is_as_good_as_absent(v4: ServedV4) -> None:
    body = {"application_spec_id": (await a_spec(v4)).id, "name": "x", "version": "OFFLINE", "configuration": {}}
    made = (await v4.raw.post("/v4/application-variants", json={**body, "draft": None, "account_id": None})).json()
    assert (made["draft"], made["account_id"]) == (False, "default")
