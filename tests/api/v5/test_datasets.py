"""Datasets and their items over HTTP on the real SQLite storage: the official client, hostile input, accounts."""

from datetime import datetime

import pytest
from scale_gp_beta import BadRequestError, NotFoundError, UnprocessableEntityError
from scale_gp_beta.types import Dataset, DatasetItem

from assay.api.v5.schemas import datasets as schemas
from assay.api.v5.schemas import entities
from tests.builders.stored import served_api, sqlite_storage


@pytest.fixture
async def api(tmp_path):
    async with sqlite_storage(tmp_path) as storage, served_api(storage) as served:
        yield served


async def _created(api, rows=3, **more):
    answer = await api.raw.post("/v5/datasets", json={"name": "rows", "data": [{"n": n} for n in range(rows)], **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def _first_item(api, dataset):
    answer = await api.raw.get("/v5/dataset-items", params={"dataset_id": dataset["id"], "limit": 1})
    return answer.json()["items"][0]


async def test_the_bytes_are_what_the_document_and_the_official_client_say(api):
    dataset = await _created(api, description="d", tags=["T", "u"])
    item = await _first_item(api, dataset)
    batch = await api.raw.post("/v5/dataset-items/batch", json={"dataset_id": dataset["id"], "data": [{"id": 1}]})
    pages = [
        ("/v5/datasets", schemas.DatasetPage),
        (f"/v5/dataset-items?dataset_id={dataset['id']}", schemas.DatasetItemPage),
    ]
    for path, model in pages:
        page = await api.raw.get(path)
        assert page.headers["content-type"] == "application/json"
        assert set(page.json()) == {"object", "items", "total", "has_more", "limit"}
        model.model_validate_json(page.content)
    assert set(dataset) == set(entities.Dataset.model_fields)
    assert set(item) == set(schemas.DatasetItem.model_fields)
    schemas.DatasetItemList.model_validate_json(batch.content)
    assert set(batch.json()) == {"object", "items"}
    for value, ours, official in ((dataset, entities.Dataset, Dataset), (item, schemas.DatasetItem, DatasetItem)):
        ours.model_validate(value)
        assert set(official.model_fields) <= set(value)
        official.model_validate(value)
        created = datetime.fromisoformat(value["created_at"])
        assert value["created_at"].endswith("Z")
        assert created.tzinfo is not None
    assert dataset["created_by"]["object"] == "identity"
    assert (dataset["tags"], dataset["archived_at"], dataset["current_version_num"]) == (["T", "u"], None, 1)


async def test_the_official_client_in_strict_mode_makes_reads_changes_and_archives(api):
    client = api.official
    dataset = await client.datasets.create(name="own keys", data=[{"id": "a", "n": n} for n in range(3)], tags=["x"])
    items = [item async for item in client.dataset_items.list(dataset_id=dataset.id, limit=2)]
    assert [item.data["n"] for item in items] == [0, 1, 2]
    assert (await client.dataset_items.update(items[0].id, data={"n": 9})).data == {"n": 9}
    removed = await client.dataset_items.archive(items[1].id)
    assert (removed.id, removed.deleted, removed.object) == (items[1].id, True, "dataset.item")
    more = await client.dataset_items.batch_create(dataset_id=dataset.id, data=[{"n": 3}, {"n": 4}])
    assert [item.data for item in more.items] == [{"n": 3}, {"n": 4}]
    now = [item.data["n"] async for item in client.dataset_items.list(dataset_id=dataset.id)]
    first = [item.data["n"] async for item in client.dataset_items.list(dataset_id=dataset.id, version=1)]
    assert (now, first) == ([9, 2, 3, 4], [0, 1, 2])
    assert (await client.dataset_items.retrieve(items[1].id, version=2)).data["n"] == 1
    assert (await client.datasets.retrieve(dataset.id)).current_version_num == 4
    renamed = await client.datasets.update(dataset.id, dataset={"name": "renamed"})
    assert (renamed.name, renamed.tags) == ("renamed", ["x"])
    assert (await client.datasets.archive(dataset.id)).deleted is True
    with pytest.raises(NotFoundError):
        await client.datasets.retrieve(dataset.id)
    with pytest.raises(BadRequestError):
        await client.datasets.archive(dataset.id)
    assert (await client.datasets.update(dataset.id, dataset={"restore": True})).archived_at is None


async def test_datasets_are_listed_by_part_of_the_name_and_all_tags_and_page_both_ways(api):
    made = [(await _created(api, name=f"Set {n}", tags=["all", f"t{n}"]))["id"] for n in range(4)]
    client = api.official
    assert [one.id async for one in client.datasets.list(name="sEt", limit=3)] == made
    assert [one.id async for one in client.datasets.list(tags=["ALL", "t2"])] == [made[2]]
    assert [one.id async for one in client.datasets.list(tags=[])] == made
    backward = await api.raw.get("/v5/datasets", params={"ending_before": made[3], "limit": 2})
    assert [one["id"] for one in backward.json()["items"]] == made[1:3]
    assert (backward.json()["has_more"], backward.json()["total"], backward.json()["limit"]) == (True, 4, 2)
    downward = await api.raw.get("/v5/datasets", params={"sort_by": "name", "sort_order": "desc"})
    assert [one["id"] for one in downward.json()["items"]] == made[::-1]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, ["name"]),
        ({"name": "x"}, ["data"]),
        ({"name": "x", "data": []}, ["data"]),
        ({"name": "x", "data": None}, ["data"]),
        ({"name": "x", "data": {"a": 1}}, ["data"]),
        ({"name": "x", "data": [{"a": 1}, [1], "text"]}, ["data", 1]),
        ({"name": "", "data": [{}]}, ["name"]),
        ({"name": 5, "data": [{}]}, ["name"]),
        ({"name": None, "data": [{}]}, ["name"]),
        ({"name": "x" * 501, "data": [{}]}, ["name"]),
        ({"name": "x", "data": [{}], "tags": "t"}, ["tags"]),
        ({"name": "x", "data": [{}], "tags": [1]}, ["tags", 0]),
        ({"name": "x", "data": [{}], "tags": ["a,b"]}, ["tags", 0]),
        ({"name": "x", "data": [{}], "description": 1}, ["description"]),
        ({"name": "x", "data": [{}], "files": []}, ["files"]),
        ({"name": "x", "data": [{}], "files": [{}, {}]}, ["files"]),
        ({"name": "x", "data": [{}], "files": [{"a": 1}]}, ["files", 0, "a"]),
        ({"name": "x", "data": [{"a": "\x00"}]}, ["data", 0, "a"]),
    ],
)
async def test_a_malformed_dataset_is_refused_at_its_fault_and_nothing_is_written(api, body, where):
    answer = await api.raw.post("/v5/datasets", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"][0]["loc"] == ["body", *where]
    assert (await api.raw.get("/v5/datasets?include_archived=true")).json()["total"] == 0


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{", b'{"name": NaN}', b"\xff\xfe", b'{"a":' * 10_000 + b"1" + b"}" * 10_000]
)
async def test_a_body_that_is_no_json_object_is_refused(api, raw):
    dataset = await _created(api)
    item = await _first_item(api, dataset)
    for method, path in (
        ("POST", "/v5/datasets"),
        ("PATCH", f"/v5/datasets/{dataset['id']}"),
        ("POST", "/v5/dataset-items/batch"),
        ("PATCH", f"/v5/dataset-items/{item['id']}"),
    ):
        answer = await api.raw.request(method, path, content=raw, headers={"content-type": "application/json"})
        assert answer.status_code == 422, (method, path, answer.text)
    assert await _first_item(api, dataset) == item


async def test_a_file_that_nobody_uploaded_is_refused(api):
    dataset = await _created(api)
    item = await _first_item(api, dataset)
    answers = [
        await api.raw.post("/v5/datasets", json={"name": "f", "data": [{}], "files": [{"picture": "f1"}]}),
        await api.raw.post(
            "/v5/dataset-items/batch", json={"dataset_id": dataset["id"], "data": [{}], "files": [{"picture": "f1"}]}
        ),
        await api.raw.patch(f"/v5/dataset-items/{item['id']}", json={"data": {}, "files": {"picture": "f1"}}),
    ]
    for answer in answers:
        assert answer.status_code == 400, answer.text
        assert "f1" in answer.json()["detail"]
        assert answer.json()["code"] == "rule_violation"
    assert (await api.raw.get(f"/v5/datasets/{dataset['id']}")).json() == dataset


async def test_an_update_tells_absent_from_null(api):
    dataset = await _created(api, description="d", tags=["t"])
    path = f"/v5/datasets/{dataset['id']}"
    kept = await api.raw.patch(path, json={"name": "n"})
    assert (kept.json()["description"], kept.json()["tags"]) == ("d", ["t"])
    cleared = await api.raw.patch(path, json={"description": None, "tags": None})
    assert (cleared.json()["name"], cleared.json()["description"], cleared.json()["tags"]) == ("n", None, [])
    wrapped = await api.raw.patch(path, json={"dataset": {"name": "wrapped"}})
    assert wrapped.json()["name"] == "wrapped"
    for body, status in (
        ({}, 400),
        ({"restore": None}, 400),
        ({"unknown": 1}, 400),
        ({"name": None}, 422),
        ({"restore": False}, 422),
        ({"restore": 1}, 422),
        ({"restore": True, "name": "x"}, 422),
        ({"tags": [None]}, 422),
    ):
        answer = await api.raw.patch(path, json=body)
        assert answer.status_code == status, (body, answer.text)
    assert (await api.raw.get(path)).json() == wrapped.json()
    assert (await api.raw.patch(path, json={"restore": True})).json() == wrapped.json()


async def test_wrong_queries_are_refused(api):
    dataset = await _created(api)
    item = await _first_item(api, dataset)
    for path, status in (
        ("/v5/dataset-items?version=1", 422),
        (f"/v5/dataset-items?dataset_id={dataset['id']}&version=0", 422),
        (f"/v5/dataset-items?dataset_id={dataset['id']}&version=x", 422),
        (f"/v5/dataset-items?dataset_id={dataset['id']}&version={10**30}", 422),
        (f"/v5/dataset-items?dataset_id={dataset['id']}&version=2", 404),
        (f"/v5/dataset-items?dataset_id={dataset['id']}&starting_after=nothing", 400),
        ("/v5/dataset-items?dataset_id=nothing", 404),
        (f"/v5/dataset-items/{item['id']}?version={2**63}", 422),
        (f"/v5/dataset-items/{item['id']}?version=2", 404),
        ("/v5/dataset-items/nothing", 404),
        ("/v5/dataset-items/%00", 422),
        ("/v5/datasets/nothing", 404),
        ("/v5/datasets/%F0%9F%92%A9%2F..%2F'%22;--", 404),
        ("/v5/datasets?limit=0", 422),
        ("/v5/datasets?limit=10001", 422),
        ("/v5/datasets?sort_by=tags", 422),
        ("/v5/datasets?sort_order=up", 422),
        ("/v5/datasets?starting_after=nothing", 400),
        (f"/v5/datasets?starting_after={dataset['id']}&ending_before={dataset['id']}", 422),
        ("/v5/datasets?include_archived=perhaps", 422),
    ):
        answer = await api.raw.get(path)
        assert answer.status_code == status, (path, answer.text)
        assert set(answer.json()) == {"detail", "code"}


async def test_another_accounts_datasets_and_items_are_not_found(api):
    dataset = await _created(api)
    item = await _first_item(api, dataset)
    for method, path, body in (
        ("GET", f"/v5/datasets/{dataset['id']}?include_archived=true", None),
        ("PATCH", f"/v5/datasets/{dataset['id']}", {"name": "mine"}),
        ("PATCH", f"/v5/datasets/{dataset['id']}", {"restore": True}),
        ("DELETE", f"/v5/datasets/{dataset['id']}", None),
        ("GET", f"/v5/dataset-items?dataset_id={dataset['id']}", None),
        ("GET", f"/v5/dataset-items/{item['id']}", None),
        ("GET", f"/v5/dataset-items/{item['id']}?version=1", None),
        ("PATCH", f"/v5/dataset-items/{item['id']}", {"data": {}}),
        ("DELETE", f"/v5/dataset-items/{item['id']}", None),
        ("POST", "/v5/dataset-items/batch", {"dataset_id": dataset["id"], "data": [{}]}),
    ):
        answer = await api.stranger.request(method, path, json=body)
        assert answer.status_code == 404, (method, path, answer.text)
    assert (await api.stranger.get("/v5/datasets")).json()["total"] == 0
    assert (await api.stranger.get("/v5/dataset-items")).json()["total"] == 0
    assert (await api.raw.get(f"/v5/datasets/{dataset['id']}")).json() == dataset


async def test_no_key_is_401_and_an_account_without_access_403(api):
    assert (await api.raw.get("/v5/datasets", headers={"x-api-key": ""})).status_code == 401
    assert (await api.raw.get("/v5/datasets", headers={"x-api-key": "wrong"})).status_code == 401
    forbidden = await api.raw.get("/v5/datasets", headers={"x-selected-account-id": "other"})
    assert forbidden.status_code == 403


async def test_the_official_client_reads_our_refusals(api):
    with pytest.raises(UnprocessableEntityError, match="at least one row"):
        await api.official.datasets.create(name="x", data=[])
    with pytest.raises(UnprocessableEntityError, match="dataset_id"):
        await api.official.dataset_items.list(version=1)
