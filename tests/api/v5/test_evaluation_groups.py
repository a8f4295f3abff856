"""Groups over HTTP on the real SQLite storage: the seed's shape, the newer client's, and what is refused."""

import pytest
from scale_gp_beta import BadRequestError, NotFoundError
from scale_gp_beta.types import EvaluationGroup

from assay.api.v5.schemas import evaluation_groups as schemas
from assay.core.tasks import TaskSpec
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


@pytest.fixture
async def storage(tmp_path):
    async with sqlite_storage(tmp_path) as opened:
        yield opened


@pytest.fixture
async def api(storage):
    async with served_api(storage) as served:
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
    both = await _created(api, pair, metadata={"b": 2}, evaluation_group_metadata={"a": 1})
    assert both["evaluation_group_metadata"] == {"b": 2}
    assert (await _created(api, pair))["metadata"] is None


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
