"""Questions over HTTP on the real SQLite storage: the official client, both versions, hostile input, accounts."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from scale_gp_beta import BadRequestError, NotFoundError, UnprocessableEntityError

from assay.api.v5.schemas.questions import Question, QuestionPage
from tests.builders.stored import ServedApi, served_api, sqlite_storage

RATING = {"steps": 5, "min_label": "low", "max_label": "high"}
GOOD: list[dict[str, Any]] = [
    {"question_type": "categorical", "configuration": {"choices": ["Yes", "No", "item.x", " "]}},
    {"question_type": "categorical", "configuration": {"choices": ["a", "A"], "multi": True, "dropdown": False}},
    {"question_type": "rating", "configuration": RATING},
    {"question_type": "number"},
    {"question_type": "number", "configuration": {"min": -0.5, "max": 3}},
    {"question_type": "free_text"},
    {"question_type": "free_text", "configuration": {"max_length": 10}},
    {"question_type": "form", "configuration": {"form_schema": {"type": "object", "properties": {"a": {}}}}},
    {"question_type": "timestamp"},
    {"question_type": "timestamp", "configuration": {"multi": True}},
]


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ServedApi]:
    async with sqlite_storage(tmp_path) as storage, served_api(storage) as served:
        yield served


async def created(api: ServedApi, **fields: Any) -> dict[str, Any]:
    body = {"name": "n", "prompt": "p?", "question_type": "free_text", **fields}
    answer = await api.raw.post("/v5/questions", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("given", GOOD, ids=lambda given: given["question_type"])
async def test_every_type_of_question_comes_back_as_it_was_made(api: ServedApi, given: dict[str, Any]) -> None:
    conditions = [{"other": ["Yes", 1]}, {"anything": {"deep": None}}]
    official = await api.official.questions.create(
        question={"name": "a name", "prompt": "What is it?", "conditions": conditions, **given}  # type: ignore[typeddict-item]
    )
    read = (await api.raw.get(f"/v5/questions/{official.id}")).json()
    Question.model_validate(read)
    assert (read["object"], read["name"], read["prompt"]) == ("question", "a name", "What is it?")
    assert read["conditions"] == conditions
    assert read["question_type"] == given["question_type"]
    assert read["archived_at"] is None
    shown = read["configuration"]
    unset = {name: value for name, value in (shown or {}).items() if name not in given["configuration"]}
    assert set(unset.values()) <= {None}
    assert {**(given.get("configuration") or {}), **unset} == (shown or {})
    assert type(await api.official.questions.retrieve(official.id)) is type(official)


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"question_type": None}, ["question_type"]),
        ({"question_type": "yes/no"}, ["question_type"]),
        ({"question_type": "categorical"}, ["configuration"]),
        ({"question_type": "categorical", "configuration": {"choices": []}}, ["configuration", "choices"]),
        ({"question_type": "categorical", "configuration": {"choices": ["a", 1]}}, ["configuration", "choices", 1]),
        (
            {"question_type": "categorical", "configuration": {"choices": ["a", "b", "a"]}},
            ["configuration", "choices", 2],
        ),
        ({"question_type": "rating"}, ["configuration"]),
        ({"question_type": "rating", "configuration": {**RATING, "steps": 1}}, ["configuration", "steps"]),
        ({"question_type": "rating", "configuration": {**RATING, "steps": True}}, ["configuration", "steps"]),
        ({"question_type": "rating", "configuration": {"steps": 5}}, ["configuration", "min_label"]),
        ({"question_type": "number", "configuration": {"min": 2, "max": 1}}, ["configuration", "min"]),
        ({"question_type": "number", "configuration": {"min": "2"}}, ["configuration", "min"]),
        ({"question_type": "free_text", "configuration": {"min_length": -1}}, ["configuration", "min_length"]),
        (
            {"question_type": "free_text", "configuration": {"min_length": 3, "max_length": 2}},
            ["configuration", "min_length"],
        ),
        ({"question_type": "form", "configuration": {}}, ["configuration", "form_schema"]),
        ({"question_type": "form", "configuration": {"form_schema": []}}, ["configuration", "form_schema"]),
        ({"question_type": "number", "name": ""}, ["name"]),
        ({"question_type": "number", "prompt": ""}, ["prompt"]),
        ({"question_type": "number", "prompt": "\x00"}, ["prompt"]),
        ({"question_type": "number", "conditions": {}}, ["conditions"]),
    ],
)
async def test_a_question_that_cannot_be_asked_is_refused_at_its_place(
    api: ServedApi, given: dict[str, Any], place: list[str | int]
) -> None:
    answer = await api.raw.post("/v5/questions", json={"name": "n", "prompt": "p", **given})
    assert answer.status_code == 422, answer.text
    assert ["body", *place] in [problem["loc"] for problem in answer.json()["detail"]]
    assert (await api.raw.get("/v5/questions")).json()["total"] == 0


async def test_the_same_choice_twice_is_one_problem(api: ServedApi) -> None:
    body = {"name": "n", "prompt": "p", "question_type": "categorical", "configuration": {"choices": ["a", "a"]}}
    answer = await api.raw.post("/v5/questions", json=body)
    assert [problem["msg"] for problem in answer.json()["detail"]] == ["another choice is the same"]


async def test_questions_are_listed_by_cursor_and_by_ids(api: ServedApi) -> None:
    made = [(await created(api, name=f"q{n}"))["id"] for n in range(5)]
    pages = [each.id async for each in api.official.questions.list(limit=2)]
    assert pages == made
    backwards = [each.id async for each in api.official.questions.list(limit=2, sort_by="name", sort_order="desc")]
    assert backwards == made[::-1]
    chosen = [each.id async for each in api.official.questions.list(ids=[made[3], made[0], "nobody's"])]
    assert chosen == [made[0], made[3]]
    page = await api.raw.get("/v5/questions", params={"limit": 2, "ending_before": made[4]})
    QuestionPage.model_validate_json(page.content)
    assert [each["id"] for each in page.json()["items"]] == made[2:4]
    assert (page.json()["total"], page.json()["has_more"]) == (5, True)
    many = ",".join(["x"] * 10_001)
    assert (await api.raw.get("/v5/questions", params={"ids": many})).status_code == 422


async def test_only_a_name_changes(api: ServedApi) -> None:
    question = await created(api, conditions=[])
    renamed = await api.official.questions.update(question["id"], name="better")
    assert renamed.name == "better"
    assert (await api.raw.get(f"/v5/questions/{question['id']}")).json() == {**question, "name": "better"}
    for body in ({}, {"name": None}, {"name": ""}, {"name": "x", "prompt": "y"}, {"restore": True}):
        assert (await api.raw.patch(f"/v5/questions/{question['id']}", json=body)).status_code == 422, body


async def test_an_archived_question_is_hidden_kept_and_restored(api: ServedApi) -> None:
    question = await created(api)
    archived = await api.official.questions.archive(question["id"])
    again = await api.official.questions.archive(question["id"])
    assert archived.archived_at is not None
    assert again.archived_at == archived.archived_at
    assert [each.id async for each in api.official.questions.list()] == []
    assert [each.id async for each in api.official.questions.list(include_archived=True)] == [question["id"]]
    assert (await api.official.questions.retrieve(question["id"])).archived_at == archived.archived_at
    with pytest.raises(BadRequestError, match="restore it first"):
        await api.official.questions.update(question["id"], name="new")
    for _ in range(2):
        assert (await api.official.questions.restore(question["id"])).archived_at is None
    assert (await api.raw.get(f"/v5/questions/{question['id']}")).json() == question


async def test_another_accounts_questions_are_not_there(api: ServedApi) -> None:
    question = await created(api)
    path = f"/v5/questions/{question['id']}"
    answers = [
        await api.stranger.get(path),
        await api.stranger.patch(path, json={"name": "mine"}),
        await api.stranger.delete(path),
        await api.stranger.post(f"{path}/restore"),
    ]
    assert [answer.status_code for answer in answers] == [404] * 4
    assert (await api.stranger.get("/v5/questions", params={"ids": question["id"]})).json()["total"] == 0
    assert (await api.stranger.get("/v5/questions", params={"starting_after": question["id"]})).status_code == 400
    with pytest.raises(NotFoundError):
        await api.official.questions.retrieve("nobody")
    with pytest.raises(UnprocessableEntityError):
        await api.official.questions.update(question["id"], name="")


async def test_a_question_of_version_4_shows_the_labels_of_its_choices(api: ServedApi) -> None:
    choices = [{"label": "Good", "value": 1, "audit_required": True}, {"label": "Bad", "value": 0}]
    body = {"type": "categorical", "title": "t", "prompt": "p", "choices": choices, "required": True, "default": 1}
    made = (await api.raw.post("/v4/questions", json=body)).json()

    shown = (await api.raw.get(f"/v5/questions/{made['id']}")).json()
    await api.raw.patch(f"/v5/questions/{made['id']}", json={"name": "renamed"})

    assert shown["name"] == "t"
    assert shown["configuration"] == {"choices": ["Good", "Bad"], "multi": None, "dropdown": None}
    kept = (await api.raw.get(f"/v4/questions/{made['id']}")).json()
    assert kept == {**made, "title": "renamed"}, "what version 5 cannot show is not lost by its change"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"type": "rating", "ratingOptions": {"minLabel": "l", "maxLabel": "h", "scaleSteps": 3}}, {"steps": 3}),
        ({"type": "number", "numberOptions": {"max": 2}}, {"min": None, "max": 2}),
        ({"type": "free_text", "choices": [], "dropdown": True}, None),
        ({"type": "free_text", "freeTextOptions": {"characterLimit": {"min": 1}}}, {"min_length": 1}),
        ({"type": "form", "form_schema": {"type": "object"}}, {"form_schema": {"type": "object"}}),
        ({"type": "timestamp", "allowMultiTimestamps": True}, {"multi": True}),
    ],
)
async def test_every_type_of_version_4_is_a_question_of_version_5(
    api: ServedApi, given: dict[str, Any], shown: dict[str, Any] | None
) -> None:
    made = (await api.raw.post("/v4/questions", json={"title": "t", "prompt": "p", **given})).json()
    read = (await api.raw.get(f"/v5/questions/{made['id']}")).json()
    Question.model_validate(read)
    assert read["configuration"] == (None if shown is None else {**read["configuration"], **shown})


async def test_a_question_of_version_5_is_a_question_of_version_4(api: ServedApi) -> None:
    made = await created(api, question_type="categorical", configuration={"choices": ["Yes", "No"]})
    shown = (await api.raw.get(f"/v4/questions/{made['id']}")).json()
    assert [(each["label"], each["value"]) for each in shown["choices"]] == [("Yes", "Yes"), ("No", "No")]
    assert (shown["title"], shown["prompt"]) == ("n", "p?")
