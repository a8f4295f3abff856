"""Evaluation items over HTTP on the real SQLite storage: merged results, filters, exports and their links."""

import csv
import io
import json

import pytest

from assay.api.v5.schemas import evaluation_items as schemas
from assay.core.results import ErrorType, ResultStatus
from tests.builders.evaluating import evaluating_api, metric_task


@pytest.fixture
async def api(tmp_path):
    async with evaluating_api(tmp_path) as evaluating:
        yield evaluating


async def _scored(api):
    """An evaluation of three items: completed, errored and one not yet run."""
    rows = [{"answer": "a", "expected": "b", "n": {"x": n}} for n in range(3)]
    expected = {"type": "f1", "candidate": "item.expected", "reference": "item.expected"}
    overlay = {"task_type": "metric", "alias": "answer", "configuration": expected}
    created = await api.create(rows, name="../Näme 1", tasks=[overlay, metric_task("score")])
    await api.store(created["id"], "answer", "merged", ErrorType.TIMEOUT)
    await api.store(created["id"], "score", {"value": 0.5, "why": "so"}, ResultStatus.SKIPPED)
    return created["id"]


async def _export(api, evaluation_id, **more):
    return await api.served.raw.post("/v5/evaluation-items/export", json={"evaluation_id": evaluation_id, **more})


async def test_results_are_merged_over_data_and_errors_take_their_alias_out(api):
    evaluation_id = await _scored(api)
    answer = await api.served.raw.get("/v5/evaluation-items", params={"evaluation_id": evaluation_id})
    schemas.EvaluationItemPage.model_validate_json(answer.content)
    first, second, third = answer.json()["items"]
    assert first["data"] == {"answer": "merged", "expected": "b", "n": {"x": 0}, "score": {"value": 0.5, "why": "so"}}
    assert (first["task_errors"], first["task_result_statuses"]) == ({}, {"answer": "completed", "score": "completed"})
    assert second["data"] == {"expected": "b", "n": {"x": 1}}
    assert second["task_errors"] == {"answer": {"type": "timeout", "message": "a timeout error"}}
    assert second["task_result_statuses"] == {"answer": "errored", "score": "skipped"}
    assert third["data"]["answer"] == "a"
    assert third["task_result_statuses"] == {"answer": "pending", "score": "pending"}
    single = await api.served.raw.get(f"/v5/evaluation-items/{second['id']}")
    assert single.json() == second


async def test_an_item_without_tasks_has_no_statuses(api):
    await api.create([{"a": 1}])
    (item,) = (await api.served.raw.get("/v5/evaluation-items")).json()["items"]
    assert (item["task_result_statuses"], item["task_errors"]) == (None, {})


async def test_the_official_client_pages_items_in_strict_mode(api):
    evaluation_id = await _scored(api)
    client = api.served.official
    seen = [item async for item in client.evaluation_items.list(evaluation_id=evaluation_id, limit=2)]
    assert [item.data["n"]["x"] for item in seen] == [0, 1, 2]
    assert (await client.evaluation_items.retrieve(seen[1].id)).task_errors["answer"].type == "timeout"


@pytest.mark.parametrize(
    ("status", "expected"), [("failed", [1]), ("passed", [0, 2]), ("all", [0, 1, 2]), ("", [0, 1, 2])]
)
async def test_items_are_filtered_by_completion(api, status, expected):
    evaluation_id = await _scored(api)
    query = {"evaluation_id": evaluation_id, "completion_status": status}
    page = (await api.served.raw.get("/v5/evaluation-items", params=query)).json()
    assert [item["data"]["n"]["x"] for item in page["items"]] == expected
    assert page["total"] == len(expected)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("completion_status=maybe", 422),
        ("limit=10001", 422),
        ("sort_by=data", 422),
        ("evaluation_id=nowhere", 404),
        ("starting_after=nobody", 400),
    ],
)
async def test_a_bad_list_of_items_is_refused(api, query, status):
    assert (await api.served.raw.get(f"/v5/evaluation-items?{query}")).status_code == status


async def test_items_of_every_evaluation_are_listed_and_other_accounts_see_none(api):
    await api.create([{"a": 1}])
    await _scored(api)
    page = (await api.served.raw.get("/v5/evaluation-items?limit=10000")).json()
    assert (page["total"], page["limit"]) == (4, 10_000)
    assert [item["task_result_statuses"] is None for item in page["items"]] == [True, False, False, False]
    assert (await api.served.stranger.get("/v5/evaluation-items")).json()["total"] == 0
    path = f"/v5/evaluation-items/{page['items'][0]['id']}"
    assert (await api.served.stranger.get(path)).status_code == 404


async def test_archived_items_show_only_when_asked_for(api):
    evaluation_id = await _scored(api)
    (item, *_) = (await api.served.raw.get("/v5/evaluation-items")).json()["items"]
    await api.served.raw.delete(f"/v5/evaluations/{evaluation_id}")
    raw, path = api.served.raw, f"/v5/evaluation-items/{item['id']}"
    assert [(await raw.get(path)).status_code, (await raw.get(f"{path}?include_archived=true")).status_code] == [
        404,
        200,
    ]
    shown = (await raw.get("/v5/evaluation-items?include_archived=true")).json()["items"]
    assert len(shown) == 3
    assert shown[2]["task_result_statuses"] == {"answer": "pending", "score": "pending"}


async def test_a_direct_export_holds_the_items_as_the_list_shows_them(api):
    evaluation_id = await _scored(api)
    listed = (await api.served.raw.get("/v5/evaluation-items")).json()["items"]
    whole = (await _export(api, evaluation_id, export_format="json", export_method="direct")).json()
    schemas.Export.model_validate(whole)
    assert json.loads(whole["content"]) == listed
    lines = (await _export(api, evaluation_id, export_format="jsonl", export_method="direct")).json()
    assert [json.loads(line) for line in lines["content"].splitlines()] == listed
    assert lines["filename"] == f"N_me_1_{evaluation_id}.jsonl"
    assert (whole["signed_url"], lines["signed_url"]) == (None, None)


async def test_a_csv_export_flattens_data_and_results_and_does_not_alter_text(api):
    rows = [{"q": '=1+1 "x",\n', "m": {"a": [1], "b": None}}, {"q": "é", "other": True}]
    created = await api.create(
        rows,
        tasks=[{**metric_task("score"), "configuration": {"type": "f1", "candidate": "item.q", "reference": "item.q"}}],
    )
    await api.store(created["id"], "score", {"v": 1.5, "w": {"x": "y"}}, ErrorType.TIMEOUT)
    answer = (await _export(api, created["id"], export_format="csv", export_method="direct")).json()
    first, second = csv.DictReader(io.StringIO(answer["content"], newline=""))
    assert list(first) == ["id", "data.q", "data.m.a", "data.m.b", "data.other", "score.v", "score.w.x", "task_errors"]
    assert [first[name] for name in list(first)[1:]] == ['=1+1 "x",\n', "[1]", "", "", "1.5", "y", ""]
    assert (second["data.q"], second["data.other"], second["score.v"]) == ("é", "true", "")
    assert json.loads(second["task_errors"])["score"]["type"] == "timeout"


@pytest.mark.parametrize(
    ("export_format", "media_type"),
    [("json", "application/json"), ("jsonl", "application/jsonl"), ("csv", "text/csv; charset=utf-8")],
)
@pytest.mark.parametrize("prefix", ["", "/public"])
async def test_a_signed_link_opens_the_same_file_without_a_key(api, prefix, export_format, media_type):
    evaluation_id = await _scored(api)
    body = {"evaluation_id": evaluation_id, "export_format": export_format}
    made = (await api.served.raw.post(f"{prefix}/v5/evaluation-items/export", json=body)).json()
    assert made["content"] is None
    assert made["signed_url"].startswith(f"http://assay.test{prefix}/v5/evaluation-items/exports/")
    file = await api.served.raw.get(made["signed_url"], headers={"x-api-key": ""})
    direct = (await _export(api, evaluation_id, export_format=export_format, export_method="direct")).json()
    assert (file.status_code, file.text) == (200, direct["content"])
    assert file.headers["content-type"] == media_type
    assert file.headers["content-disposition"] == f'attachment; filename="{made["filename"]}"'


async def test_a_link_that_was_altered_or_has_expired_opens_nothing(api):
    link = (await _export(api, await _scored(api))).json()["signed_url"]
    head, _, token = link.rpartition("/")
    payload, _, signature = token.partition(".")
    for bad in (
        f"{payload}x.{signature}",
        f"{payload}.{signature[:-2]}AA",
        payload,
        f"{payload}.",
        "é.é",
        "a.b.c",
    ):
        answer = await api.served.raw.get(f"{head}/{bad}")
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), bad
    api.clock.tick(59)
    assert (await api.served.raw.get(link)).status_code == 200
    api.clock.tick(2)
    assert (await api.served.raw.get(link)).status_code == 403


async def test_a_link_to_an_evaluation_that_was_archived_opens_nothing_and_one_that_allows_it_does(api):
    evaluation_id = await _scored(api)
    plain = (await _export(api, evaluation_id)).json()["signed_url"]
    allowing = (await _export(api, evaluation_id, include_archived=True)).json()["signed_url"]
    await api.served.raw.delete(f"/v5/evaluations/{evaluation_id}")
    assert (await api.served.raw.get(plain)).status_code == 404
    assert len((await api.served.raw.get(allowing)).json()) == 3


async def test_results_named_like_other_columns_of_a_csv_stand_beside_them(api):
    aliases = ("id", "data.answer", "task_errors", "identity")
    created = await api.create(tasks=[metric_task(alias) for alias in aliases])
    for alias in aliases:
        await api.store(created["id"], alias, 1.0, 0.0)
    answer = (await _export(api, created["id"], export_format="csv", export_method="direct")).json()
    first, _ = csv.DictReader(io.StringIO(answer["content"], newline=""))
    (item, _) = (await api.served.raw.get("/v5/evaluation-items")).json()["items"]
    assert (first["id"], first["data.answer"], first["task_errors"]) == (item["id"], "blue", "")
    assert [first[name] for name in ("results.id", "results.data.answer", "results.task_errors", "identity")] == [
        "1.0",
        "1.0",
        "1.0",
        "1.0",
    ]


async def test_an_export_of_what_is_not_there_or_not_offered_is_refused(api):
    evaluation_id = await _scored(api)
    assert (await _export(api, "nowhere")).status_code == 404
    assert (await _export(api, evaluation_id, export_format="xml")).status_code == 422
    assert (await _export(api, evaluation_id, export_method="fax")).status_code == 422
    body = {"evaluation_id": evaluation_id}
    assert (await api.served.stranger.post("/v5/evaluation-items/export", json=body)).status_code == 404


async def test_a_strange_result_never_breaks_a_page(api):
    created = await api.create([{"answer": "a", "expected": "b"}] * 2, tasks=[metric_task("score")])
    deep: list = []
    for _ in range(300):
        deep = [deep]
    await api.store(created["id"], "score", 1.0, deep)
    answer = await api.served.raw.get("/v5/evaluation-items", params={"evaluation_id": created["id"]})
    assert answer.status_code == 200
    assert answer.json()["items"][1]["data"]["score"] == deep
