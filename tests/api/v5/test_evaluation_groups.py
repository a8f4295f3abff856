"""Groups over HTTP on the real SQLite storage: the seed's shape, the newer client's, and what is refused."""

import pytest
from scale_gp_beta import BadRequestError, NotFoundError
from scale_gp_beta.types import EvaluationGroup

from assay.adapters.clock import SystemClock
from assay.api.v5.schemas import evaluation_groups as schemas
from assay.core.tasks import TaskSpec
from assay.ports.storage import NewItem
from assay.services.evaluations import Evaluations
from assay.services.items import Items
from tests.builders.stored import a_stored_evaluation, caller_of, served_api, sqlite_storage

ANNA = caller_of("default")
STRANGER = caller_of("other")

TASKS = (TaskSpec("metric", "score", {"type": "f1", "candidate": "item.a", "reference": "item.b"}),)

SEED_GROUP = {
    "id", "object", "tags", "name", "description", "evaluation_group_metadata", "created_at", "deleted_at",
    "account_id", "members", "row_identifiers",
}  # fmt: skip
SEED_MEMBER = {
    "id", "object", "name", "description", "created_at", "archived_at", "created_by", "tags", "datasets", "status",
    "status_reason", "progress", "tasks", "metadata",
}  # fmt: skip


class NoEngine:
    """Nothing in here runs."""


@pytest.fixture
async def storage(tmp_path):
    async with sqlite_storage(tmp_path) as opened:
        yield opened


@pytest.fixture
async def api(storage):
    evaluations = Evaluations(storage, NoEngine(), SystemClock(), {}, None)
    async with served_api(storage, items=Items(storage), evaluations=evaluations) as served:
        yield served


@pytest.fixture
async def pair(storage):
    return [
        await a_stored_evaluation(storage, ANNA, name=name, tags=("e",), tasks=TASKS, metadata={"of": name})
        for name in ("one", "two")
    ]


async def _created(api, evaluations, **more):
    body = {"name": "a group", "evaluation_ids": [one.id for one in evaluations], **more}
    answer = await api.raw.post("/v5/evaluation-groups", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def _read(api, group_id, query=""):
    answer = await api.raw.get(f"/v5/evaluation-groups/{group_id}{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def _sent(api, method, group_id, body):
    answer = await api.raw.request(method, f"/v5/evaluation-groups/{group_id}", json=body)
    assert answer.status_code == 200, answer.text
    schemas.EvaluationGroup.model_validate(answer.json())
    assert await _read(api, group_id) == answer.json()
    return answer.json()


def _columns(group):
    return {each["evaluation_id"]: each["column_name"] for each in group["row_identifiers"]}


def _members(group):
    return [member["evaluation_id"] for member in group["members"]]


async def test_a_list_without_views_has_the_shape_of_the_vendors_page(api, pair):
    group = await _created(
        api, pair, metadata={"k": 1}, tags=["T"], description="d", row_identifiers={pair[0].id: "question_id"}
    )
    page = (await api.raw.get("/v5/evaluation-groups")).json()
    assert (page["object"], page["limit"], page["total"], page["has_more"]) == ("list", 100, 1, False)
    (listed,) = page["items"]
    assert set(listed) == SEED_GROUP | {"metadata"}
    assert listed["metadata"] == listed["evaluation_group_metadata"] == {"k": 1}
    assert (listed["id"], listed["object"], listed["account_id"]) == (group["id"], "evaluation_group", "default")
    assert [member["id"] for member in listed["members"]] == [one.id for one in pair]
    for member, name in zip(listed["members"], ("one", "two"), strict=True):
        assert set(member) >= SEED_MEMBER
        assert (member["object"], member["name"], member["metadata"]) == ("evaluation", name, {"of": name})
        assert member["tasks"] == [
            {"task_type": "metric", "alias": "score", "configuration": dict(TASKS[0].configuration)}
        ]
        assert set(member["progress"]["items"]) == {"total", "successful", "failed", "pending", "failed_items"}
        assert "evaluation_id" not in member
    assert listed["row_identifiers"] == [
        {
            "object": "evaluation_group.row_identifier",
            "evaluation_id": pair[0].id,
            "column_name": "question_id",
        }
    ]
    schemas.EvaluationGroupPage.model_validate(page)


async def test_with_views_and_alone_members_are_memberships_with_the_evaluations_fields(api, pair):
    made = await _created(api, pair)
    alone = (await api.raw.get(f"/v5/evaluation-groups/{made['id']}")).json()
    (listed,) = (await api.raw.get("/v5/evaluation-groups?views=members%2Crow_identifiers")).json()["items"]
    assert made == alone == listed
    for member, evaluation in zip(made["members"], pair, strict=True):
        assert set(member) == set(schemas.EvaluationGroupMember.model_fields)
        assert set(member) >= SEED_MEMBER
        assert (member["object"], member["id"], member["evaluation_id"]) == (
            "evaluation_group.member", evaluation.id, evaluation.id,
        )  # fmt: skip
        assert (member["evaluation_group_id"], member["deleted_at"]) == (made["id"], None)
        assert (member["evaluation_name"], member["evaluation_tags"]) == (evaluation.name, ["e"])
        assert member["created_at"] == made["created_at"] != member["evaluation_created_at"]
        assert member["tasks"][0]["alias"] == "score"
    schemas.EvaluationGroup.model_validate(made)
    EvaluationGroup.model_validate(made)
    (light,) = (await api.raw.get("/v5/evaluation-groups?views=row_identifiers")).json()["items"]
    assert [member["tasks"] for member in light["members"]] == [None, None]
    (empty,) = (await api.raw.get("/v5/evaluation-groups?views=")).json()["items"]
    assert empty == light


async def test_the_official_client_in_strict_mode_makes_reads_and_lists(api, pair):
    client = api.official
    made = await client.evaluation_groups.create(
        name="official", evaluation_ids=[one.id for one in pair], metadata={"k": [1]}, row_identifiers={pair[1].id: "q"}
    )
    read = await client.evaluation_groups.retrieve(made.id, views=["members"])
    views = ["members", "row_identifiers"]
    listed = [group async for group in client.evaluation_groups.list(name="OFFI", views=views, limit=1)]
    for group in (made, read, *listed):
        assert (group.id, group.metadata) == (made.id, {"k": [1]})
        assert [member.evaluation_id for member in group.members] == [one.id for one in pair]
        assert [(one.evaluation_id, one.column_name) for one in group.row_identifiers] == [(pair[1].id, "q")]
    assert [group.id async for group in client.evaluation_groups.list(evaluation_id=pair[0].id, views=views)] == [
        made.id
    ]
    with pytest.raises(BadRequestError, match="nothing"):
        await client.evaluation_groups.create(name="no", evaluation_ids=["nothing"])
    with pytest.raises(NotFoundError):
        await client.evaluation_groups.retrieve("nothing")


async def test_metadata_is_taken_under_either_name(api, pair):
    assert (await _created(api, pair, evaluation_group_metadata={"a": 1}))["metadata"] == {"a": 1}
    assert (await _created(api, pair))["metadata"] is None
    both = await _created(api, pair, metadata={"b": 2}, evaluation_group_metadata={"b": 2})
    assert both["evaluation_group_metadata"] == {"b": 2}
    differing = {"metadata": {"b": 2}, "evaluation_group_metadata": {"b": 1}}
    for method, path, more in (
        ("POST", "/v5/evaluation-groups", {"name": "g", "evaluation_ids": [pair[0].id]}),
        ("PATCH", f"/v5/evaluation-groups/{both['id']}", {}),
        ("PUT", f"/v5/evaluation-groups/{both['id']}", {}),
    ):
        answer = await api.raw.request(method, path, json={**more, **differing})
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == ["body", "evaluation_group_metadata"]
    assert await _read(api, both["id"]) == both


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"name": None}, ["name"]),
        ({"name": ""}, ["name"]),
        ({"name": "x" * 129}, ["name"]),
        ({"evaluation_ids": []}, ["evaluation_ids"]),
        ({"evaluation_ids": "e"}, ["evaluation_ids"]),
        ({"evaluation_ids": [1]}, ["evaluation_ids", 0]),
        ({"evaluation_ids": ["same", "same"]}, ["evaluation_ids", 1]),
        ({"metadata": []}, ["metadata"]),
        ({"row_identifiers": {"e": 1}}, ["row_identifiers", "e"]),
        ({"tags": ["a,b"]}, ["tags", 0]),
    ],
)
async def test_a_malformed_group_is_refused_at_its_fault_and_nothing_is_written(api, pair, change, where):
    body = {"name": "g", "evaluation_ids": [pair[0].id], **change}
    answer = await api.raw.post("/v5/evaluation-groups", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"][0]["loc"] == ["body", *where]
    assert (await api.raw.get("/v5/evaluation-groups?include_deleted=true")).json()["total"] == 0


async def test_wrong_queries_are_refused(api, pair):
    group = await _created(api, pair)
    for path, status in (
        ("/v5/evaluation-groups?views=everything", 422),
        (f"/v5/evaluation-groups/{group['id']}?views=everything", 422),
        ("/v5/evaluation-groups?limit=1001", 422),
        ("/v5/evaluation-groups?limit=0", 422),
        ("/v5/evaluation-groups?sort_by=members", 422),
        ("/v5/evaluation-groups?starting_after=nothing", 400),
        ("/v5/evaluation-groups/nothing", 404),
    ):
        answer = await api.raw.get(path)
        assert answer.status_code == status, (path, answer.text)
    assert (await api.raw.get("/v5/evaluation-groups?limit=1000&tags=&name=")).json()["total"] == 1


async def test_other_accounts_evaluations_and_groups_stay_unknown(api, storage, pair):
    group = await _created(api, pair)
    foreign = await a_stored_evaluation(storage, STRANGER)
    answer = await api.raw.post("/v5/evaluation-groups", json={"name": "g", "evaluation_ids": [pair[0].id, foreign.id]})
    assert answer.status_code == 400
    assert (await api.stranger.get(f"/v5/evaluation-groups/{group['id']}")).status_code == 404
    assert (await api.stranger.get("/v5/evaluation-groups")).json()["total"] == 0
    assert (await api.raw.get("/v5/evaluation-groups?include_deleted=true")).json()["total"] == 1


async def test_a_patch_changes_only_what_it_names(api, pair):
    one, two = pair
    whole = {"metadata": {"a": 1, "deep": {"x": 1, "y": 2}}, "tags": ["t"], "description": "d"}
    group = await _created(api, pair, **whole, row_identifiers={one.id: "q", two.id: "q"})
    renamed = await _sent(api, "PATCH", group["id"], {"name": "renamed"})
    assert renamed == {**group, "name": "renamed"}
    merged = await _sent(api, "PATCH", group["id"], {"metadata": {"b": None, "deep": {"z": 3}}})
    assert merged["metadata"] == merged["evaluation_group_metadata"] == {"a": 1, "deep": {"z": 3}, "b": None}
    again = await _sent(api, "PATCH", group["id"], {"evaluation_group_metadata": {"a": 2}})
    assert again["metadata"] == {"a": 2, "deep": {"z": 3}, "b": None}
    tagged = await _sent(api, "PATCH", group["id"], {"tags": ["u", "v"], "description": None})
    assert tagged == {**again, "tags": ["u", "v"], "description": None}
    columns = await _sent(api, "PATCH", group["id"], {"row_identifiers": {two.id: "id", "not a member": "x"}})
    assert _columns(columns) == {two.id: "id"}
    cleared = await _sent(api, "PATCH", group["id"], {"row_identifiers": {}, "metadata": None, "tags": None})
    assert (cleared["row_identifiers"], cleared["metadata"], cleared["tags"]) == ([], None, [])
    assert cleared["members"] == group["members"]
    assert cleared["name"] == "renamed"


@pytest.mark.parametrize(
    ("method", "body", "status", "named"),
    [
        ("PATCH", {}, 400, "nothing to change"),
        ("PATCH", {"unknown": 1}, 400, "nothing to change"),
        ("PATCH", {"evaluation_ids": ["x"]}, 400, "evaluation_ids"),
        ("PATCH", {"evaluation_ids": None, "name": "n"}, 400, "evaluation_ids"),
        ("PATCH", {"name": None}, 422, "name"),
        ("PATCH", {"name": ""}, 422, "name"),
        ("PATCH", {"name": "x" * 129}, 422, "name"),
        ("PATCH", {"tags": ["a,b"]}, 422, "tags"),
        ("PATCH", {"tags": "t"}, 422, "tags"),
        ("PATCH", {"metadata": [1]}, 422, "metadata"),
        ("PATCH", {"metadata": {"a\u0000": 1}}, 422, "metadata"),
        ("PATCH", {"row_identifiers": {"x": None}}, 422, "row_identifiers"),
        ("PATCH", {"row_identifiers": ["x"]}, 422, "row_identifiers"),
        ("PATCH", {"description": 7}, 422, "description"),
        ("PUT", {"evaluation_ids": []}, 400, "evaluation_ids"),
        ("PUT", {"evaluation_ids": ["same", "same"]}, 400, "evaluation_ids"),
        ("PUT", {"evaluation_ids": ["nothing"]}, 400, "evaluation_ids"),
        ("PUT", {"evaluation_ids": ["' OR 1=1 --"]}, 400, "evaluation_ids"),
        ("PUT", {"evaluation_ids": "x"}, 422, "evaluation_ids"),
        ("PUT", {"name": ""}, 422, "name"),
        ("PUT", {"tags": [""]}, 422, "tags"),
    ],
)
async def test_a_bad_change_is_refused_by_name_and_changes_nothing(api, pair, method, body, status, named):
    group = await _created(api, pair, metadata={"k": 1}, tags=["t"], row_identifiers={pair[0].id: "q"})
    answer = await api.raw.request(method, f"/v5/evaluation-groups/{group['id']}", json=body)
    assert answer.status_code == status, answer.text
    detail = answer.json()["detail"]
    assert named in (detail if isinstance(detail, str) else detail[0]["loc"])
    assert await _read(api, group["id"]) == group


async def test_a_put_replaces_what_is_given_and_clears_the_rest_but_name_and_members(api, storage, pair):
    one, two = pair
    three = await a_stored_evaluation(storage, ANNA, name="three")
    whole = {"metadata": {"a": 1}, "tags": ["t"], "description": "d", "row_identifiers": {one.id: "q", two.id: "r"}}
    group = await _created(api, pair, **whole)
    kept = await _sent(api, "PUT", group["id"], {"name": "new"})
    cleared = {"description": None, "tags": [], "metadata": None, "evaluation_group_metadata": None}
    assert kept == {**group, "name": "new", **cleared}
    unnamed = await _sent(api, "PUT", group["id"], {"name": None, "description": "x", "evaluation_ids": None})
    assert unnamed == {**kept, "description": "x"}
    moved = await _sent(api, "PUT", group["id"], {"evaluation_ids": [three.id, two.id], "metadata": {"b": 2}})
    assert _members(moved) == [three.id, two.id]
    assert _columns(moved) == {two.id: "r"}
    assert (moved["metadata"], moved["description"]) == ({"b": 2}, None)
    assert moved["members"][1] == group["members"][1]
    assert moved["members"][0]["created_at"] > group["created_at"]
    both = {"evaluation_ids": [two.id, one.id, three.id], "row_identifiers": {one.id: "s", "nobody": "x"}}
    back = await _sent(api, "PUT", group["id"], both)
    assert _members(back) == [two.id, one.id, three.id]
    assert _columns(back) == {one.id: "s"}
    assert back["members"][1]["created_at"] > moved["members"][0]["created_at"]
    assert back["members"][1]["deleted_at"] is None


async def test_a_deleted_group_is_gone_unless_asked_for_and_shows_the_members_that_it_had(api, storage, pair):
    one, two = pair
    three = await a_stored_evaluation(storage, ANNA, name="three")
    group = await _created(api, [*pair, three], row_identifiers={one.id: "q"}, metadata={"a": 1})
    await _sent(api, "PUT", group["id"], {"evaluation_ids": [one.id, two.id]})
    path = f"/v5/evaluation-groups/{group['id']}"
    answer = await api.raw.delete(path)
    assert answer.status_code == 200
    deleted = answer.json()
    schemas.EvaluationGroup.model_validate(deleted)
    assert deleted["deleted_at"] is not None
    assert _members(deleted) == [one.id, two.id]
    assert {member["deleted_at"] for member in deleted["members"]} == {deleted["deleted_at"]}
    assert _columns(deleted) == {one.id: "q"}
    assert await _read(api, group["id"], "?include_deleted=true") == deleted
    for method, at in (("GET", path), ("DELETE", path), ("GET", f"{path}/schema")):
        assert (await api.raw.request(method, at)).status_code == 404
    for method in ("PATCH", "PUT"):
        assert (await api.raw.request(method, path, json={"name": "n"})).status_code == 404
    assert (await api.raw.get("/v5/evaluation-groups")).json()["total"] == 0
    assert (await api.raw.get(f"/v5/evaluation-groups?evaluation_id={one.id}")).json()["total"] == 0
    shown = (await api.raw.get("/v5/evaluation-groups?include_deleted=true&views=members")).json()
    assert (shown["total"], shown["items"]) == (1, [deleted])
    (seed,) = (await api.raw.get("/v5/evaluation-groups?include_deleted=true")).json()["items"]
    assert [member["id"] for member in seed["members"]] == [one.id, two.id]
    for evaluation in pair:
        found = (await api.raw.get(f"/v5/evaluations/{evaluation.id}")).json()
        assert (found["id"], found["archived_at"]) == (evaluation.id, None)


async def test_an_archived_evaluation_leaves_its_groups_and_does_not_come_back_restored(api, pair):
    one, two = pair
    group = await _created(api, pair, row_identifiers={one.id: "q"})
    assert (await api.raw.delete(f"/v5/evaluations/{one.id}")).status_code == 200
    without = await _read(api, group["id"])
    assert (_members(without), without["row_identifiers"]) == ([two.id], [])
    refused = await api.raw.put(f"/v5/evaluation-groups/{group['id']}", json={"evaluation_ids": [one.id, two.id]})
    assert (refused.status_code, one.id in refused.json()["detail"]) == (400, True)
    assert (await api.raw.patch(f"/v5/evaluations/{one.id}", json={"restore": True})).status_code == 200
    assert await _read(api, group["id"]) == without
    assert (await api.raw.get(f"/v5/evaluation-groups?evaluation_id={one.id}")).json()["total"] == 0
    kept = await _sent(api, "PATCH", group["id"], {"row_identifiers": {one.id: "q", two.id: "q"}})
    assert _columns(kept) == {two.id: "q"}
    joined = await _sent(api, "PUT", group["id"], {"evaluation_ids": [one.id, two.id]})
    assert (_members(joined), _columns(joined)) == ([one.id, two.id], {two.id: "q"})
    assert (await api.raw.delete(f"/v5/evaluations/{one.id}")).status_code == 200
    assert (await api.raw.delete(f"/v5/evaluations/{two.id}")).status_code == 200
    empty = await _read(api, group["id"])
    assert (empty["members"], empty["row_identifiers"]) == ([], [])
    schema = (await api.raw.get(f"/v5/evaluation-groups/{group['id']}/schema")).json()
    assert schema["evaluation_schemas"] == []


async def test_a_groups_schema_has_one_for_each_member_in_order(api, storage, pair):
    one, two = pair
    for evaluation, row in ((one, {"q": "?", "n": 1}), (two, {"deep": {"x": True}})):
        async with storage.write() as work:
            await work.items.add(evaluation, [NewItem(f"item of {evaluation.name}", row)])
    group = await _created(api, [two, one])
    schema = (await api.raw.get(f"/v5/evaluation-groups/{group['id']}/schema?include_archived=true")).json()
    schemas.EvaluationGroupSchema.model_validate(schema)
    assert (schema["object"], schema["evaluation_group_id"]) == ("evaluation_group_schema", group["id"])
    assert [each["evaluation_id"] for each in schema["evaluation_schemas"]] == [two.id, one.id]
    names = [[column["field_name"] for column in each["fields"]] for each in schema["evaluation_schemas"]]
    assert names == [["deep.x"], ["n", "q"]]
    await _sent(api, "PUT", group["id"], {"evaluation_ids": [one.id]})
    left = (await api.raw.get(f"/v5/evaluation-groups/{group['id']}/schema")).json()
    assert left["evaluation_schemas"] == schema["evaluation_schemas"][1:]


async def test_the_official_client_in_strict_mode_changes_replaces_and_deletes(api, storage, pair):
    client, (one, two) = api.official.evaluation_groups, pair
    made = await client.create(name="g", evaluation_ids=[one.id], metadata={"a": 1}, row_identifiers={one.id: "q"})
    changed = await client.update(made.id, metadata={"b": 2}, row_identifiers={}, tags=["t"], name="h")
    assert (changed.name, changed.metadata, changed.tags) == ("h", {"a": 1, "b": 2}, ["t"])
    assert changed.row_identifiers == []
    replaced = await client.replace(made.id, evaluation_ids=[two.id, one.id], row_identifiers={two.id: "r"})
    assert [member.evaluation_id for member in replaced.members] == [two.id, one.id]
    assert (replaced.name, replaced.metadata, replaced.tags) == ("h", None, [])
    schema = await client.retrieve_schema(made.id, include_archived=False)
    assert [each.evaluation_id for each in schema.evaluation_schemas] == [two.id, one.id]
    archived = await client.archive(made.id)
    assert archived.deleted_at is not None
    for call in (client.archive, client.retrieve, client.retrieve_schema):
        with pytest.raises(NotFoundError):
            await call(made.id)
    with pytest.raises(NotFoundError):
        await client.update(made.id, name="no")
    with pytest.raises(BadRequestError):
        await client.update(made.id)
    read = await client.retrieve(made.id, include_deleted=True, views=["row_identifiers"])
    assert [member.evaluation_id for member in read.members] == [two.id, one.id]
    listed = [each async for each in client.list(include_deleted=True, views=["members"], sort_by="name")]
    assert [each.id for each in listed] == [made.id]


async def test_another_accounts_group_can_be_neither_seen_nor_changed(api, storage, pair):
    group = await _created(api, pair, row_identifiers={pair[0].id: "q"})
    foreign = await a_stored_evaluation(storage, STRANGER)
    path = f"/v5/evaluation-groups/{group['id']}"
    for method, at, body in (
        ("GET", f"{path}?include_deleted=true", None),
        ("GET", f"{path}/schema", None),
        ("PATCH", path, {"name": "mine"}),
        ("PUT", path, {"evaluation_ids": [foreign.id]}),
        ("DELETE", path, None),
    ):
        answer = await api.stranger.request(method, at, json=body)
        assert answer.status_code == 404, (method, at, answer.text)
        assert answer.json()["detail"] == f"evaluation group not found: {group['id']}"
    cursor = await api.stranger.get(f"/v5/evaluation-groups?starting_after={group['id']}")
    assert cursor.status_code == 400
    refused = await api.raw.put(path, json={"evaluation_ids": [foreign.id]})
    unknown = await api.raw.put(path, json={"evaluation_ids": ["0" * 36]})
    assert refused.json()["detail"].replace(foreign.id, "0" * 36) == unknown.json()["detail"]
    assert await _read(api, group["id"]) == group
    assert (await api.raw.get(f"/v5/evaluation-groups?evaluation_id={foreign.id}")).json()["items"] == []


async def test_hostile_texts_are_data(api, pair):
    hostile = "'; DROP TABLE groups; -- %_\\ \u202e \U0001f600"
    group = await _created(api, pair, tags=[hostile])
    changes = {"name": hostile, "description": hostile, "metadata": {hostile: {hostile: hostile}}}
    changed = await _sent(api, "PATCH", group["id"], {**changes, "row_identifiers": {pair[0].id: hostile}})
    assert (changed["name"], changed["metadata"]) == (hostile, {hostile: {hostile: hostile}})
    assert _columns(changed) == {pair[0].id: hostile}
    for query in ({"name": hostile}, {"tags": hostile}, {"name": hostile.upper()}):
        assert (await api.raw.get("/v5/evaluation-groups", params=query)).json()["total"] == 1, query
    for query in ({"name": "%"}, {"name": "_"}, {"name": "\\"}, {"evaluation_id": pair[0].id}):
        assert (await api.raw.get("/v5/evaluation-groups", params=query)).json()["total"] == 1, query
    for query in ({"name": "a%b"}, {"evaluation_id": hostile}, {"tags": "%"}, {"tags": "x,y"}):
        assert (await api.raw.get("/v5/evaluation-groups", params=query)).json()["total"] == 0, query
    assert (await api.raw.get("/v5/evaluation-groups", params={"starting_after": hostile})).status_code == 400


@pytest.mark.parametrize("sort", ["", "&sort_by=name", "&sort_by=id", "&sort_order=desc"])
async def test_pages_go_both_ways_with_the_whole_total(api, pair, sort):
    ids = [(await _created(api, pair, name=f"g{9 - n}"))["id"] for n in range(5)]
    gone = await _created(api, pair)
    assert (await api.raw.delete(f"/v5/evaluation-groups/{gone['id']}")).status_code == 200
    order = ids[::-1] if "desc" in sort or "name" in sort else ids

    async def page(query):
        found = (await api.raw.get(f"/v5/evaluation-groups?{query}{sort}")).json()
        assert found["total"] == 5
        return [group["id"] for group in found["items"]], found["has_more"]

    assert await page("limit=2") == (order[:2], True)
    assert await page(f"limit=2&starting_after={order[1]}") == (order[2:4], True)
    assert await page(f"limit=2&starting_after={order[3]}") == (order[4:], False)
    assert await page(f"limit=2&ending_before={order[4]}") == (order[2:4], True)
    assert await page(f"limit=2&ending_before={order[2]}") == (order[:2], False)
    assert await page(f"limit=2&ending_before={order[0]}") == ([], False)
