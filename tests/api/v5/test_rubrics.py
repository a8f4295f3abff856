"""Rubrics and criteria over HTTP on the real SQLite storage: versions, paging by version, hostile input, accounts."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from scale_gp_beta import BadRequestError, NotFoundError
from scale_gp_beta.types.rubrics import RubricCriteriaResponse, RubricCriteriaSummaryResponse

from assay.api.v5.schemas import rubrics as schemas
from assay.core.errors import RuleViolation
from assay.ports.storage import Storage
from assay.services.rubrics import Rubrics, rubric_material
from tests.builders.stored import MovableClock, ServedApi, caller_of, served_api, sqlite_storage


class Api:
    def __init__(self, served: ServedApi, storage: Storage, clock: MovableClock) -> None:
        self.served, self.storage, self.clock = served, storage, clock
        self.raw, self.official, self.stranger = served.raw, served.official, served.stranger

    async def made(self, **fields: Any) -> dict[str, Any]:
        body = {"title": "Helpful", "criteria": [{"title": "kind"}, {"title": "right", "weight": 2}], **fields}
        answer = await self.raw.post("/v5/rubrics", json=body)
        assert answer.status_code == 200, answer.text
        self.clock.tick()
        found: dict[str, Any] = answer.json()
        return found

    async def patched(self, path: str, **changes: Any) -> dict[str, Any]:
        answer = await self.raw.patch(path, json=changes)
        assert answer.status_code == 200, answer.text
        self.clock.tick()
        found: dict[str, Any] = answer.json()
        return found

    async def material(self, rubric_id: str, version: int | None) -> dict[str, Any]:
        async with self.storage.read() as unit:
            return await rubric_material(unit, "default", rubric_id, version)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    clock = MovableClock()
    async with sqlite_storage(tmp_path) as storage, served_api(storage, rubrics=Rubrics(storage, clock)) as served:
        yield Api(served, storage, clock)


async def test_a_rubric_comes_back_as_it_was_made(api: Api) -> None:
    criteria: Any = [{"title": "kind", "annotations": {"a": [None]}}, {"title": "right", "weight": 0}]
    made = await api.official.rubrics.create(title="Helpful", tags=["T"], criteria=criteria)
    read = (await api.raw.get(f"/v5/rubrics/{made.id}")).json()
    schemas.Rubric.model_validate(read)
    assert (read["title"], read["tags"], read["version"], read["archived_at"]) == ("Helpful", ["T"], 1, None)
    shown = [(each["title"], each["weight"], each["annotations"], each["version"]) for each in read["criteria"]]
    assert shown == [("kind", 1.0, {"a": [None]}, 1), ("right", 0.0, None, 1)]
    assert {each["rubric_id"] for each in read["criteria"]} == {made.id}
    official = await api.official.rubrics.retrieve(made.id)
    assert official.criteria is not None
    assert all(isinstance(each, RubricCriteriaResponse) for each in official.criteria)
    bare = await api.official.rubrics.create(title="empty")
    assert (bare.criteria, bare.tags) == ([], [])


async def test_rubrics_are_listed_with_summaries_by_title_and_tags(api: Api) -> None:
    first = await api.made(title="Über Alles", tags=["a", "b"])
    second = await api.made(title="other", tags=["A"])
    found = [each async for each in api.official.rubrics.list(title="über")]
    assert [each.id for each in found] == [first["id"]]
    assert found[0].criteria is not None
    assert all(isinstance(each, RubricCriteriaSummaryResponse) for each in found[0].criteria)
    page = await api.raw.get("/v5/rubrics")
    schemas.RubricPage.model_validate_json(page.content)
    assert page.json()["items"][0]["criteria"] == [{"title": "kind", "weight": 1.0}, {"title": "right", "weight": 2.0}]
    assert [each.id async for each in api.official.rubrics.list(tags=["a"], limit=1)] == [first["id"], second["id"]]
    assert [each.id async for each in api.official.rubrics.list(tags=["B", "a"])] == [first["id"]]
    last = await api.raw.get("/v5/rubrics", params={"sort_by": "title", "sort_order": "desc", "limit": 1})
    assert last.json()["items"][0]["id"] == first["id"]


async def test_changes_of_a_rubric_are_versions_of_it(api: Api) -> None:
    made = await api.made(tags=["x"])
    path = f"/v5/rubrics/{made['id']}"
    renamed = await api.official.rubrics.update(made["id"], rubric={"title": "Better"})
    retagged = await api.patched(path, tags=[])
    assert (renamed.version, renamed.title, renamed.tags) == (2, "Better", ["x"])
    assert (retagged["version"], retagged["title"], retagged["tags"]) == (3, "Better", [])
    assert retagged["updated_at"] is not None
    assert retagged["criteria"] == made["criteria"]
    for body, status in (
        ({}, 400),
        ({"title": None}, 422),
        ({"restore": False}, 422),
        ({"restore": True, "title": "x"}, 422),
    ):
        assert (await api.raw.patch(path, json=body)).status_code == status, body


async def test_changes_of_criteria_are_versions_of_theirs_alone(api: Api) -> None:
    made = await api.made(criteria=[{"title": "kind", "weight": 2, "annotations": {"a": 1}}])
    path = f"/v5/rubrics/{made['id']}/criteria"
    kind = made["criteria"][0]
    changed = await api.official.rubrics.criteria.update(kind["id"], rubric_id=made["id"], title="kinder")
    assert (changed.id, changed.version, changed.title) == (kind["id"], 2, "kinder")
    assert (changed.weight, changed.annotations) == (2, {"a": 1})
    cleared = await api.patched(f"{path}/{kind['id']}", annotations=None, weight=0)
    assert (cleared["version"], cleared["annotations"], cleared["weight"]) == (3, None, 0)
    added = await api.official.rubrics.criteria.create(made["id"], title="short")
    assert (added.version, added.weight) == (1, 1)
    now = (await api.raw.get(f"/v5/rubrics/{made['id']}")).json()
    assert now["version"] == 1
    assert [(each["title"], each["version"]) for each in now["criteria"]] == [("kinder", 3), ("short", 1)]
    for body, status in (({}, 400), ({"title": ""}, 422), ({"weight": None}, 422), ({"weight": -1}, 422)):
        assert (await api.raw.patch(f"{path}/{kind['id']}", json=body)).status_code == status, body


async def test_versions_of_a_criterion_are_paged_by_their_numbers(api: Api) -> None:
    made = await api.made(criteria=[{"title": "v1"}])
    criterion = made["criteria"][0]["id"]
    path = f"/v5/rubrics/{made['id']}/criteria/{criterion}"
    for number in range(2, 6):
        await api.patched(path, title=f"v{number}")

    async def versions(**page: Any) -> tuple[list[int], bool]:
        answer = (await api.raw.get(f"{path}/versions", params=page)).json()
        schemas.CriterionPage.model_validate(answer)
        assert answer["total"] == 5
        return [each["version"] for each in answer["items"]], answer["has_more"]

    assert await versions() == ([5, 4, 3, 2, 1], False)
    assert await versions(limit=2) == ([5, 4], True)
    assert await versions(limit=2, starting_after=4) == ([3, 2], True)
    assert await versions(limit=2, starting_after=2) == ([1], False)
    assert await versions(limit=2, starting_after=criterion) == ([5, 4], True)
    assert await versions(limit=2, ending_before=2) == ([4, 3], True)
    assert await versions(ending_before=criterion) == ([], False)
    assert await versions(sort_order="asc", starting_after=3) == ([4, 5], False)
    answer = await api.official.rubrics.criteria.list_versions(criterion, rubric_id=made["id"], limit=1)
    assert [each.title for each in answer.items] == ["v5"]
    for cursor in ("9", "x", "1.0"):
        assert (await api.raw.get(f"{path}/versions", params={"starting_after": cursor})).status_code == 400
    assert (await api.raw.get(f"{path}x/versions")).status_code == 404


async def test_a_pinned_version_is_what_the_rubric_was_at_its_time(api: Api) -> None:
    made = await api.made(tags=["first"])
    path = f"/v5/rubrics/{made['id']}"
    kind = f"{path}/criteria/{made['criteria'][0]['id']}"
    await api.patched(kind, title="kinder")
    await api.patched(path, title="Better", tags=[])
    await api.patched(kind, title="kindest")
    await api.raw.post(f"{path}/criteria", json={"title": "late"})

    def said(rubric: dict[str, Any]) -> tuple[int, str, list[str], list[str]]:
        return rubric["version"], rubric["title"], rubric["tags"], [each["title"] for each in rubric["criteria"]]

    assert said(await api.material(made["id"], 1)) == (1, "Helpful", ["first"], ["kind", "right"])
    assert said(await api.material(made["id"], 2)) == (2, "Better", [], ["kinder", "right"])
    assert said(await api.material(made["id"], None)) == (2, "Better", [], ["kindest", "right", "late"])
    for version in (0, 3, 10**15):
        with pytest.raises(RuleViolation, match="has no version"):
            await api.material(made["id"], version)


async def test_an_archived_rubric_is_hidden_kept_and_restored(api: Api) -> None:
    made = await api.made()
    path = f"/v5/rubrics/{made['id']}"
    assert (await api.official.rubrics.archive(made["id"])).deleted
    assert [each.id async for each in api.official.rubrics.list()] == []
    assert (await api.official.rubrics.retrieve(made["id"])).archived_at is not None
    with pytest.raises(BadRequestError, match="restore it first"):
        await api.official.rubrics.archive(made["id"])
    criterion = made["criteria"][0]["id"]
    refused = [
        await api.raw.patch(path, json={"title": "x"}),
        await api.raw.post(f"{path}/criteria", json={"title": "x"}),
        await api.raw.patch(f"{path}/criteria/{criterion}", json={"title": "x"}),
    ]
    assert [answer.status_code for answer in refused] == [400] * 3
    with pytest.raises(RuleViolation, match="archived"):
        await api.material(made["id"], 1)
    assert (await api.raw.get(f"{path}/criteria/{criterion}/versions")).json()["total"] == 1
    for _ in range(2):
        assert await api.patched(path, restore=True) == made


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, ["title"]),
        ({"title": ""}, ["title"]),
        ({"title": "t", "criteria": []}, ["criteria"]),
        ({"title": "t", "criteria": [{"title": ""}]}, ["criteria", 0, "title"]),
        ({"title": "t", "criteria": [{"title": "c", "weight": -0.1}]}, ["criteria", 0, "weight"]),
        ({"title": "t", "criteria": [{"title": "c", "weight": True}]}, ["criteria", 0, "weight"]),
        ({"title": "t", "criteria": [{"title": "c", "annotations": []}]}, ["criteria", 0, "annotations"]),
        ({"title": "t", "tags": ["a,b"]}, ["tags", 0]),
    ],
)
async def test_a_bad_rubric_is_refused_at_its_place(api: Api, body: dict[str, Any], place: list[Any]) -> None:
    answer = await api.raw.post("/v5/rubrics", json=body)
    assert answer.status_code == 422, answer.text
    assert ["body", *place] in [problem["loc"] for problem in answer.json()["detail"]]
    assert (await api.raw.get("/v5/rubrics")).json()["total"] == 0


async def test_another_accounts_rubrics_are_not_there(api: Api) -> None:
    made = await api.made()
    path, criterion = f"/v5/rubrics/{made['id']}", made["criteria"][0]["id"]
    answers = [
        await api.stranger.get(path),
        await api.stranger.patch(path, json={"title": "mine"}),
        await api.stranger.delete(path),
        await api.stranger.post(f"{path}/criteria", json={"title": "mine"}),
        await api.stranger.patch(f"{path}/criteria/{criterion}", json={"title": "mine"}),
        await api.stranger.get(f"{path}/criteria/{criterion}/versions"),
    ]
    assert [answer.status_code for answer in answers] == [404] * 6
    assert (await api.stranger.get("/v5/rubrics")).json()["total"] == 0
    other = await api.made()
    with pytest.raises(NotFoundError):
        await api.official.rubrics.criteria.update(criterion, rubric_id=other["id"], title="x")
    with pytest.raises(NotFoundError):
        await api.official.rubrics.retrieve("nobody")
    assert caller_of("other").account_id == "other"
