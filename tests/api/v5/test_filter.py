"""Filtering evaluations over HTTP, with the official client too, on the real SQLite storage."""

from typing import Any

import pytest
from scale_gp_beta import UnprocessableEntityError

from assay.api.v5.schemas import evaluations as schemas
from tests.builders.evaluating import evaluating_api, metric_task


@pytest.fixture
async def api(tmp_path):
    async with evaluating_api(tmp_path) as evaluating:
        yield evaluating


def _filter(key: str, operator: str, value: Any) -> dict[str, Any]:
    return {"key": key, "operator": operator, "value": value}


async def _made(api, count=5):
    made = []
    for number in range(count):
        metadata = {"n": number, "model": {"name": f"m{number % 2}"}, "day": f"2026-01-0{number + 1}"}
        created = await api.create(name=f"e{number}", metadata=metadata, tags=["Even" if number % 2 == 0 else "odd"])
        made.append(created["id"])
    return made


async def _asked(api, *filters, client=None, status=200, **query):
    answer = await (client or api.served.raw).post(
        "/v5/evaluations/filter", json={"filters": list(filters), "more": 1}, params=query
    )
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_the_official_client_pages_through_all_matches_by_itself(api):
    made = await _made(api)
    # The client's strict mode refuses any metadata: its model reads `object` as one of its own fields.
    client = api.served.official.with_options(_extra_kwargs={"_strict_response_validation": False})
    asked = [_filter("n", ">=", "1"), _filter("status", "==", "completed"), _filter("tag", "!=", "nothing")]
    pages = client.evaluations.filter(filters=asked, limit=2)
    assert [each.id async for each in pages] == made[1:]
    first = await client.evaluations.filter(filters=asked, limit=2, views=["tasks"])
    assert (first.total, first.has_more, first.limit, first.items[0].tasks) == (4, True, 2, [])
    back = client.evaluations.filter(filters=asked, limit=3, ending_before=made[4])
    assert [each.id for each in (await back).items] == made[1:4]
    assert [each.id async for each in client.evaluations.filter(filters=[], sort_order="desc")] == made[::-1]
    with pytest.raises(UnprocessableEntityError):
        await client.evaluations.filter(filters=[_filter("n", "==", "1")] * 11)


async def test_filters_are_anded_over_metadata_and_built_in_keys(api):
    made = await _made(api)
    page = await _asked(api, _filter("model.name", "IN", '["m0", "m7"]'), _filter("day", "<=", "2026-01-03T12:00:00Z"))
    assert [item["id"] for item in page["items"]] == [made[0], made[2]]
    assert (page["object"], page["total"], page["has_more"], page["limit"]) == ("list", 2, False, 100)
    schemas.EvaluationPage.model_validate(page)
    assert page["items"][0]["tasks"] is None
    tagged = await _asked(api, _filter("tag", "==", "even"), _filter("n", "!=", 2), views="tasks")
    assert [item["id"] for item in tagged["items"]] == [made[0], made[4]]
    assert tagged["items"][0]["tasks"] == []


async def test_what_changes_is_found_at_once(api):
    made = await _made(api, 2)
    running = await api.create(tasks=[metric_task()], metadata={"n": 7})
    assert (await _asked(api, _filter("status", "==", "running")))["total"] == 1
    await api.finish(running["id"], "failed")
    assert (await _asked(api, _filter("status", "==", "running")))["total"] == 0
    await api.served.raw.patch(f"/v5/evaluations/{made[0]}", json={"metadata": {"n": None, "new": "é"}})
    assert [each["id"] for each in (await _asked(api, _filter("new", "==", "é")))["items"]] == [made[0]]
    await api.served.raw.delete(f"/v5/evaluations/{made[0]}")
    assert (await _asked(api, _filter("new", "==", "é")))["total"] == 0
    assert (await _asked(api, _filter("new", "==", "é"), include_archived="true"))["total"] == 1


async def test_another_accounts_evaluations_are_neither_found_nor_counted(api):
    made = await _made(api)
    everything = await _asked(api, client=api.served.stranger)
    assert (everything["items"], everything["total"]) == ([], 0)
    assert (await _asked(api, _filter("n", "!=", "x"), client=api.served.stranger))["total"] == 0
    keys = (await api.served.stranger.get("/v5/evaluations/metadata-keys")).json()
    assert (keys["items"], keys["total"]) == ([], 0)
    refused = await _asked(api, client=api.served.stranger, status=400, starting_after=made[0])
    assert "starting_after" in str(refused)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, ["body", "filters"]),
        ({"filters": None}, ["body", "filters"]),
        ({"filters": {"key": "n"}}, ["body", "filters"]),
        ({"filters": [_filter("n", "==", "1")] * 11}, ["body", "filters"]),
        ({"filters": [_filter("n", "LIKE", "1")]}, ["body", "filters", 0, "operator"]),
        ({"filters": [_filter("n", "==", "1"), _filter("n", "=", "1")]}, ["body", "filters", 1, "operator"]),
        ({"filters": [{"key": "n", "operator": "=="}]}, ["body", "filters", 0, "value"]),
        ({"filters": [_filter("", "==", "1")]}, ["body", "filters", 0, "key"]),
        ({"filters": [{**_filter("n", "==", "1"), "object": "filter"}]}, ["body", "filters", 0, "object"]),
        ({"filters": [_filter("n", "IN", "[1,")]}, ["body", "filters", 0, "value"]),
        ({"filters": [_filter("n", "==", "a\x00")]}, ["body", "filters", 0, "value"]),
    ],
)
async def test_bad_filters_are_refused_naming_the_place(api, body, place):
    answer = await api.served.raw.post("/v5/evaluations/filter", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"][0]["loc"] == place


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"limit": 0}, 422),
        ({"limit": 1001}, 422),
        ({"views": "items"}, 422),
        ({"sort_by": "metadata"}, 422),
        ({"sort_order": "up"}, 422),
        ({"starting_after": "nobody"}, 400),
        ({"limit": 1000, "sort_by": "name", "sort_order": "desc"}, 200),
    ],
)
async def test_bad_queries_are_refused_naming_the_parameter(api, query, status):
    answer = await _asked(api, _filter("n", "==", "1"), status=status, **query)
    assert status == 200 or next(iter(query)) in str(answer)


async def test_sql_in_keys_and_values_is_data(api):
    hostile = "'; DROP TABLE evaluations; --"
    made = (await api.create(metadata={hostile: hostile}))["id"]
    page = await _asked(api, _filter(hostile, "==", hostile))
    assert [item["id"] for item in page["items"]] == [made]
    assert (await _asked(api, _filter(hostile, ">=", "' OR 1=1 --")))["total"] == 1


async def test_metadata_keys_tell_what_can_be_filtered(api):
    await _made(api)
    keys = (await api.served.raw.get("/v5/evaluations/metadata-keys")).json()
    schemas.MetadataKeyList.model_validate(keys)
    assert (keys["object"], keys["total"], keys["complete"]) == ("list", 3, True)
    assert keys["items"][1] == {
        "object": "metadata_key",
        "key": "model.name",
        "count": 5,
        "types": {"text": 5},
        "values": {"m0": 3, "m1": 2},
    }
    assert [(each["key"], each["types"]) for each in keys["items"]] == [
        ("day", {"date": 5}),
        ("model.name", {"text": 5}),
        ("n", {"number": 5}),
    ]
    for each in keys["items"]:
        for value, count in each["values"].items():
            assert (await _asked(api, _filter(each["key"], "==", value)))["total"] == count


async def test_the_document_describes_the_filters(api):
    document = (await api.served.raw.get("/openapi.json")).json()
    body = document["components"]["schemas"]["FilterEvaluations"]["properties"]["filters"]
    assert body["maxItems"] == 10
    assert body["items"]["properties"]["operator"]["enum"] == ["==", "!=", ">=", "<=", "IN", "NOT_IN"]
    assert "/v5/evaluations/metadata-keys" in document["paths"]
