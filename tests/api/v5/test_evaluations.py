"""Evaluations over HTTP on the real SQLite storage: three forms, reading, changing, cancelling, hostile input."""

from urllib.parse import quote

import pytest
from scale_gp_beta import BadRequestError, NotFoundError

from assay.api.v5.schemas import evaluations as schemas
from assay.api.v5.schemas import tasks as task_schemas
from assay.core.results import ErrorType, ResultStatus
from tests.builders.evaluating import evaluating_api, metric_task


@pytest.fixture
async def api(tmp_path):
    async with evaluating_api(tmp_path) as evaluating:
        yield evaluating


async def _items(api, evaluation_id, **more):
    answer = await api.served.raw.get("/v5/evaluation-items", params={"evaluation_id": evaluation_id, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def _refused(api, body, status=422):
    """The answer to a bad body; nothing may have been written."""
    raw = api.served.raw
    before = [(await raw.get(path)).json()["total"] for path in ("/v5/evaluations", "/v5/datasets")]
    answer = await raw.post("/v5/evaluations", json=body)
    assert answer.status_code == status, answer.text
    assert [(await raw.get(path)).json()["total"] for path in ("/v5/evaluations", "/v5/datasets")] == before
    assert api.engine.started == []
    return answer.json()["detail"]


async def _dataset(api, *rows):
    answer = await api.served.raw.post("/v5/datasets", json={"name": "d", "data": list(rows)})
    return answer.json()


async def _dataset_items(api, dataset):
    answer = await api.served.raw.get("/v5/dataset-items", params={"dataset_id": dataset["id"]})
    return answer.json()["items"]


async def test_an_evaluation_with_tasks_answers_running_and_starts_its_job_once(api):
    created = await api.create(tasks=[metric_task()], description="d", tags=["T"], metadata={"a": {"b": 1}})
    assert created["status"] == "running"
    assert api.engine.started == [created["id"]]
    assert created["progress"]["workflows"] == {"total": 1, "completed": 0, "failed": 0, "pending": 1}
    assert created["progress"]["items"] == {"total": 2, "successful": 0, "failed": 0, "pending": 2, "failed_items": []}
    assert (created["tasks"], created["error_count"], created["datasets"]) == (None, 0, [])
    schemas.Evaluation.model_validate(created)
    assert set(created) == set(schemas.Evaluation.model_fields)


async def test_an_evaluation_without_tasks_is_completed_and_starts_nothing(api):
    created = await api.create()
    assert (created["status"], created["progress"]["workflows"]) == ("completed", None)
    assert created["progress"]["items"]["successful"] == 2
    assert api.engine.started == []


async def test_the_official_client_in_strict_mode_makes_reads_changes_and_archives(api):
    client = api.served.official
    made = await client.evaluations.create(
        evaluation={"name": "n", "data": [{"answer": "a", "expected": "b"}], "tasks": [metric_task(kind="f1")]}
    )
    found = await client.evaluations.retrieve(made.id, views=["tasks"])
    assert found.tasks[0].alias == "f1"
    assert [each.id async for each in client.evaluations.list(name="N")] == [made.id]
    changed = await client.evaluations.update(made.id, evaluation={"name": "m", "tags": ["x"]})
    assert (changed.name, changed.tags) == ("m", ["x"])
    assert (await client.evaluations.archive(made.id)).archived_at is not None
    with pytest.raises(NotFoundError):
        await client.evaluations.retrieve(made.id)
    with pytest.raises(BadRequestError):
        await client.evaluations.update(made.id, evaluation={"name": "z"})
    assert (await client.evaluations.update(made.id, evaluation={"restore": True})).archived_at is None


async def test_rows_keep_their_order_and_any_key_of_their_own(api):
    rows = [{"id": n, "object": "mine", "data": {"x": [None, 1.5, "é"]}, "files": "f"} for n in range(7)]
    created = await api.create(rows)
    assert [item["data"] for item in await _items(api, created["id"])] == rows


async def test_a_wrapped_body_is_accepted(api):
    body = {"evaluation": {"name": "wrapped", "data": [{"a": 1}]}}
    answer = await api.served.raw.post("/v5/evaluations", json=body)
    assert (answer.status_code, answer.json()["name"]) == (200, "wrapped")


async def test_rows_that_also_become_a_dataset_keep_every_key_in_the_evaluation(api):
    created = await api.create([{"a": 1, "b": 2}, {"a": 3}], dataset={"name": "reusable", "keys": ["a"]})
    (dataset,) = created["datasets"]
    kept = await _dataset_items(api, dataset)
    assert [item["data"] for item in kept] == [{"a": 1}, {"a": 3}]
    items = await _items(api, created["id"])
    assert [item["data"] for item in items] == [{"a": 1, "b": 2}, {"a": 3}]
    assert [item["dataset_item_id"] for item in items] == [item["id"] for item in kept]
    assert {item["dataset_item_version_num"] for item in items} == {1}


async def test_a_dataset_supplies_all_its_items_or_those_referred_to_with_extra_keys_over_them(api):
    dataset = await _dataset(api, {"q": 1}, {"q": 2}, {"q": 3})
    whole = await api.served.raw.post("/v5/evaluations", json={"name": "n", "dataset_id": dataset["id"]})
    items = await _items(api, whole.json()["id"])
    assert [item["data"]["q"] for item in items] == [1, 2, 3]
    assert whole.json()["datasets"][0]["id"] == dataset["id"]
    references = [
        {"dataset_item_id": items[2]["dataset_item_id"], "answer": "x"},
        {"dataset_item_id": items[0]["dataset_item_id"], "q": 9, "answer": "y"},
    ]
    body = {"name": "n", "dataset_id": dataset["id"], "data": references}
    part = await api.served.raw.post("/v5/evaluations", json=body)
    chosen = await _items(api, part.json()["id"])
    assert [item["data"] for item in chosen] == [{"q": 3, "answer": "x"}, {"q": 9, "answer": "y"}]
    assert [item["dataset_item_id"] for item in chosen] == [each["dataset_item_id"] for each in references]


async def test_tasks_may_point_at_a_datasets_columns(api):
    dataset = await _dataset(api, {"answer": "a", "expected": "b"})
    body = {"name": "n", "dataset_id": dataset["id"], "tasks": [metric_task()]}
    assert (await api.served.raw.post("/v5/evaluations", json=body)).status_code == 200


@pytest.mark.parametrize(
    ("change", "loc"),
    [
        ({"name": None}, ["body", "name"]),
        ({"name": ""}, ["body", "name"]),
        ({"name": 5}, ["body", "name"]),
        ({"tags": "a"}, ["body", "tags"]),
        ({"tags": ["a,b"]}, ["body", "tags", 0]),
        ({"tags": [1]}, ["body", "tags", 0]),
        ({"metadata": []}, ["body", "metadata"]),
        ({"tasks": {}}, ["body", "tasks"]),
        ({"tasks": [1]}, ["body", "tasks", 0]),
        ({"tasks": [{"configuration": {}}]}, ["body", "tasks", 0, "task_type"]),
        ({"tasks": [{"task_type": "nothing", "configuration": {}}]}, ["body", "tasks", 0, "task_type"]),
        ({"tasks": [metric_task(), metric_task()]}, ["body", "tasks", 1, "alias"]),
        ({"tasks": [metric_task(kind="nothing")]}, ["body", "tasks", 0, "configuration", "type"]),
        ({"data": None}, ["body", "data"]),
        ({"data": []}, ["body", "data"]),
        ({"data": {}}, ["body", "data"]),
        ({"data": [{"a": 1}, [2]]}, ["body", "data", 1]),
        ({"data": [{"": 1}]}, ["body", "data", 0]),
        ({"data": [{"other": 1}], "tasks": [metric_task()]}, ["body", "tasks", 0, "configuration", "candidate"]),
        ({"files": []}, ["body", "files"]),
        ({"files": [{"a": 1}]}, ["body", "files", 0, "a"]),
        ({"dataset": {}}, ["body", "dataset", "name"]),
        ({"dataset": {"name": "d", "keys": ["nothing"]}}, ["body", "dataset", "keys", 0]),
        ({"dataset_id": "x", "dataset": {"name": "d"}}, ["body", "dataset"]),
        ({"dataset_id": "x", "data": [{"a": 1}]}, ["body", "data", 0, "dataset_item_id"]),
        ({"skip_prefilled_rows": "yes"}, ["body", "skip_prefilled_rows"]),
        ({"taxonomy_params": 1}, ["body", "taxonomy_params"]),
    ],
)
async def test_a_malformed_evaluation_is_422_names_the_place_and_writes_nothing(api, change, loc):
    detail = await _refused(api, {"name": "n", "data": [{"answer": "a", "expected": "b"}], **change})
    assert detail[0]["loc"] == loc, detail


async def test_what_is_not_there_is_said_and_nothing_is_written(api):
    dataset = await _dataset(api, {"q": 1})
    assert "nowhere" in await _refused(api, {"name": "n", "dataset_id": "nowhere"}, 404)
    unknown = {"name": "n", "dataset_id": dataset["id"], "data": [{"dataset_item_id": "gone"}]}
    assert "gone" in await _refused(api, unknown, 400)
    assert "f1" in await _refused(api, {"name": "n", "data": [{"a": 1}], "files": [{"x": "f1"}]}, 400)
    await api.served.raw.delete(f"/v5/datasets/{dataset['id']}")
    assert "archived" in await _refused(api, {"name": "n", "dataset_id": dataset["id"]}, 400)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b'"x"', b"{", b"\xff", b'{"name":NaN}', b"[" * 10_000, b'{"evaluation":5}', b'{"data":[{}]}'],
)
async def test_a_body_that_is_no_evaluation_is_422_on_every_call_that_reads_one(api, body):
    created = await api.create()
    one = f"/v5/evaluations/{created['id']}"
    calls = [
        ("POST", "/v5/evaluations"),
        ("PATCH", f"{one}/tasks/a"),
        ("POST", f"{one}/tasks"),
        ("POST", "/v5/evaluations/tasks/dry-run"),
        ("POST", "/v5/evaluation-items/export"),
    ]
    for method, path in calls:
        answer = await api.served.raw.request(method, path, content=body)
        assert answer.status_code == 422, (method, path, answer.text)
        assert answer.json()["detail"][0]["loc"][0] == "body"


async def test_retrieve_lists_failed_items_and_list_does_not(api):
    created = await api.create(tasks=[metric_task()])
    await api.store(created["id"], "exact_match", True, ErrorType.TIMEOUT)
    found = (await api.served.raw.get(f"/v5/evaluations/{created['id']}")).json()
    failed_id = (await _items(api, created["id"], completion_status="failed"))[0]["id"]
    expected = {"item_id": failed_id, "error": "a timeout error", "error_type": "timeout"}
    assert found["progress"]["items"]["failed_items"] == [expected]
    assert (found["progress"]["items"]["failed"], found["error_count"]) == (1, 1)
    page = (await api.served.raw.get("/v5/evaluations")).json()
    schemas.EvaluationPage.model_validate(page)
    assert page["items"][0]["progress"]["items"]["failed_items"] == []


async def test_list_filters_pages_and_shows_tasks_only_when_asked(api):
    for name in ("Alpha", "beta", "alphabet"):
        await api.create(name=name, tasks=[metric_task()])
    raw = api.served.raw
    named = (await raw.get("/v5/evaluations?name=ALPHA&views=tasks&sort_by=name&sort_order=desc")).json()
    assert [each["name"] for each in named["items"]] == ["alphabet", "Alpha"]
    assert named["items"][0]["tasks"][0]["alias"] == "exact_match"
    first = (await raw.get("/v5/evaluations?limit=2")).json()
    assert (first["total"], first["has_more"], first["limit"], first["items"][0]["tasks"]) == (3, True, 2, None)
    cursor = first["items"][1]["id"]
    rest = (await raw.get(f"/v5/evaluations?limit=2&starting_after={cursor}")).json()
    assert ([each["name"] for each in rest["items"]], rest["has_more"]) == (["alphabet"], False)
    back = (await raw.get(f"/v5/evaluations?limit=1&ending_before={cursor}")).json()
    assert ([each["name"] for each in back["items"]], back["has_more"]) == (["Alpha"], False)


async def test_update_is_partial_and_metadata_a_merge_patch(api):
    created = await api.create(description="d", tags=["a"], metadata={"keep": 1, "drop": 2, "deep": {"x": 1, "y": 2}})
    path = f"/v5/evaluations/{created['id']}"
    patch = {"metadata": {"drop": None, "deep": {"x": None, "z": 3}, "new": [None]}}
    changed = (await api.served.raw.patch(path, json=patch)).json()
    assert changed["metadata"] == {"keep": 1, "deep": {"y": 2, "z": 3}, "new": [None]}
    assert (changed["description"], changed["tags"]) == ("d", ["a"])
    cleared = (await api.served.raw.patch(path, json={"description": None, "tags": []})).json()
    assert (cleared["description"], cleared["tags"], cleared["name"]) == (None, [], "an evaluation")
    assert (await api.served.raw.get(path)).json()["metadata"] == changed["metadata"]


@pytest.mark.parametrize(
    ("patch", "status"),
    [
        ({}, 400),
        ({"unknown": 1}, 400),
        ({"name": None}, 422),
        ({"restore": False}, 422),
        ({"restore": 1}, 422),
        ({"tags": ["a,b"]}, 422),
    ],
)
async def test_a_bad_change_is_refused(api, patch, status):
    created = await api.create()
    answer = await api.served.raw.patch(f"/v5/evaluations/{created['id']}", json=patch)
    assert answer.status_code == status, answer.text


async def test_archiving_hides_an_evaluation_with_its_items_and_its_memberships_until_it_is_restored(api):
    created = await api.create()
    raw, path = api.served.raw, f"/v5/evaluations/{created['id']}"
    group = await raw.post("/v5/evaluation-groups", json={"name": "g", "evaluation_ids": [created["id"]]})
    archived = (await raw.delete(path)).json()
    assert archived["archived_at"].endswith("Z")
    assert [(await raw.get(path)).status_code, (await raw.delete(path)).status_code] == [404, 404]
    assert (await raw.get(path, params={"include_archived": True})).status_code == 200
    assert (await raw.get("/v5/evaluation-items")).json()["total"] == 0
    members = (await raw.get(f"/v5/evaluation-groups/{group.json()['id']}")).json()["members"]
    assert [member for member in members if member["deleted_at"] is None] == []
    assert (await raw.patch(path, json={"name": "x"})).status_code == 400
    restored = (await raw.patch(path, json={"restore": True, "name": "back"})).json()
    assert (restored["archived_at"], restored["name"]) == (None, "back")
    assert (await raw.get("/v5/evaluation-items")).json()["total"] == 2
    assert (await raw.patch(path, json={"restore": True})).status_code == 200


async def test_cancelling_fails_a_running_evaluation_keeps_its_results_and_may_be_repeated(api):
    created = await api.create(tasks=[metric_task()])
    await api.store(created["id"], "exact_match", True)
    path = f"/v5/evaluations/{created['id']}/cancel"
    for _ in range(2):
        cancelled = (await api.served.raw.post(path)).json()
        assert cancelled["status"] == "failed"
        assert cancelled["status_reason"].startswith("Cancelled")
    assert api.engine.cancelled == [created["id"]] * 2, "a cancellation that did not reach the engine can be repeated"
    items = await _items(api, created["id"])
    assert [item["task_result_statuses"]["exact_match"] for item in items] == ["completed", "pending"]


async def test_what_has_ended_cannot_be_cancelled(api):
    without_job = await api.create()
    done = await api.create(tasks=[metric_task()])
    await api.finish(done["id"])
    for created in (without_job, done):
        assert (await api.served.raw.post(f"/v5/evaluations/{created['id']}/cancel")).status_code == 400
    assert api.engine.cancelled == []


async def test_aggregates_count_what_is_missing_beside_the_mean(api):
    rows = [{"answer": str(n), "expected": "x"} for n in range(6)]
    created = await api.create(rows, tasks=[metric_task("later"), metric_task("m", "f1")])
    await api.store(created["id"], "m", 0.5, 1.0, 0.0, ErrorType.TIMEOUT, ResultStatus.SKIPPED)
    api.clock.tick(12)
    answer = (await api.served.raw.get(f"/v5/evaluations/{created['id']}/aggregates")).json()
    schemas.Aggregates.model_validate(answer)
    assert [task["alias"] for task in answer["tasks"]] == ["later", "m"], "in the order of the tasks"
    later, found = answer["tasks"]
    assert (later["n"], later["mean"], later["interval"], later["missing"], later["pending"]) == (0, None, None, 6, 6)
    assert (found["n"], found["mean"], found["std"], found["min"], found["max"]) == (3, 0.5, 0.5, 0.0, 1.0)
    assert (found["completed"], found["errored"], found["skipped"], found["pending"], found["missing"]) == (
        3,
        1,
        1,
        1,
        3,
    )
    assert (found["interval"]["level"], found["interval"]["method"]) == (0.95, "t")
    assert found["interval"]["low"] < 0.5 < found["interval"]["high"]
    assert found["error_types"] == {"timeout": 1}
    assert found["latency"] == {"mean": 0.5, "p50": 0.5, "p95": 0.5}
    assert (found["tokens"], found["attempts"]) == ({"prompt": 40, "completion": 12}, 8)
    assert (answer["items"], answer["seconds"]) == (6, 12.0)


async def test_schema_flattens_and_keeps_data_and_results_apart(api):
    rows = [{"answer": {"a": {"b": 1}, "e": {}}, "expected": [1]}, {"answer": "t", "expected": None}, {"answer": "u"}]
    created = await api.create(rows, tasks=[metric_task("answer_score")])
    await api.store(created["id"], "answer_score", 1.0, ErrorType.TIMEOUT)
    answer = (await api.served.raw.get(f"/v5/evaluations/{created['id']}/schema")).json()
    schemas.EvaluationSchema.model_validate(answer)
    fields = [(f["field_name"], f["data_type"], f["item_count"], f["source"]) for f in answer["fields"]]
    assert fields == [
        ("answer", "string", 2, "data"),
        ("answer.a.b", "number", 1, "data"),
        ("answer.e", "object", 1, "data"),
        ("answer_score", "number", 1, "task_result_cache"),
        ("expected", "array", 2, "data"),
    ]
    assert (answer["total_items"], answer["is_sampled"], answer["sample_size"]) == (3, False, 3)


async def test_taxonomy_is_given_back_and_404_without_one(api):
    with_one = await api.create(taxonomy_params={"a": [1]})
    without = await api.create()
    raw = api.served.raw
    assert (await raw.get(f"/v5/evaluations/{with_one['id']}/taxonomy")).json() == {"a": [1]}
    assert (await raw.get(f"/v5/evaluations/{without['id']}/taxonomy")).status_code == 404


async def test_a_tasks_configuration_is_replaced_by_its_encoded_alias(api):
    alias = "my alias/ü/%41"
    created = await api.create(tasks=[metric_task(kind="bleu"), metric_task(alias)])
    path = f"/v5/evaluations/{created['id']}/tasks/{quote(alias, safe='')}"
    new = {"type": "f1", "candidate": "item.expected", "reference": "item.answer"}
    running = await api.served.raw.patch(path, json={"configuration": new})
    assert (running.status_code, "the evaluation runs" in running.json()["detail"]) == (400, True)
    await api.finish(created["id"])
    changed = await api.served.official.evaluations.tasks.update(alias, evaluation_id=created["id"], configuration=new)
    assert changed.tasks[1].to_dict()["configuration"] == new
    stored = (await api.served.raw.get(f"/v5/evaluations/{created['id']}?views=tasks")).json()
    assert [task["configuration"]["type"] for task in stored["tasks"]] == ["bleu", "f1"]
    bad = await api.served.raw.patch(path, json={"configuration": {**new, "candidate": "item.nothing"}})
    assert bad.json()["detail"][0]["loc"] == ["body", "configuration", "candidate"]
    unknown = await api.served.raw.patch(path + "x", json={"configuration": new})
    assert unknown.status_code == 404


async def test_only_contributor_tasks_can_be_added(api):
    created = await api.create()
    path = f"/v5/evaluations/{created['id']}/tasks"
    for task, status in (
        ({"task_type": "contributor_evaluation.question", "configuration": {}}, 422),
        (metric_task(), 400),
        ({"task_type": "nothing"}, 422),
        ({}, 422),
        (5, 422),
    ):
        answer = await api.served.raw.post(path, json={"task": task})
        assert answer.status_code == status, task


async def test_a_dry_run_gives_each_rows_result(api):
    body = {"task_type": "custom_function", "configuration": {}, "sample_data": [{"q": 1}, {}]}
    answer = (await api.served.raw.post("/v5/evaluations/tasks/dry-run", json=body)).json()
    task_schemas.DryRun.model_validate(answer)
    assert answer["results"] == [
        {"index": 0, "result": {"q": 1}, "outputs": {}, "error": None},
        {"index": 1, "result": None, "outputs": {}, "error": {"type": "timeout", "message": "too slow"}},
    ]
    assert (answer["total"], answer["succeeded"], answer["failed"]) == (2, 1, 1)
    for bad in ({**body, "sample_data": []}, {**body, "sample_data": [1]}, {**body, "configuration": 1}):
        assert (await api.served.raw.post("/v5/evaluations/tasks/dry-run", json=bad)).status_code == 422


async def test_another_accounts_evaluation_is_not_there(api):
    created = await api.create()
    path = f"/v5/evaluations/{created['id']}"
    stranger = api.served.stranger
    for method, suffix in (
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/cancel"),
        ("GET", "/aggregates"),
        ("GET", "/schema"),
    ):
        assert (await stranger.request(method, path + suffix)).status_code == 404, suffix
    assert (await stranger.patch(path, json={"name": "x"})).status_code == 404
