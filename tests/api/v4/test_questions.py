"""Questions and question sets, through the official client in its strict mode."""

from typing import Any

import pytest
from scale_gp import BadRequestError, NotFoundError

from tests.api.v4.served import ServedV4, faults, same

CHOICES = [{"label": "Good", "value": 1}, {"label": "Bad", "value": 0, "audit_required": True}]
RATING = {"minLabel": "low", "maxLabel": "high", "scaleSteps": 5}
GOOD: list[dict[str, Any]] = [
    {"type": "categorical", "choices": CHOICES, "multi": True, "default": 1},
    {
        "type": "categorical",
        "choices": [{"label": "Yes", "value": True}, {"label": "One", "value": 1}],
        "dropdown": True,
    },
    {"type": "categorical", "choices": [{"label": "a", "value": "1"}, {"label": "b", "value": 1.5}]},
    {"type": "free_text", "choices": [], "dropdown": True, "multi": False, "required": True},
    {"type": "free_text", "freeTextOptions": {"characterLimit": {"min": 1, "max": 10}}},
    {"type": "rating", "ratingOptions": RATING, "conditions": [{"q": 1}, {"q": [1, "x"], "r": None}]},
    {"type": "number", "numberOptions": {"min": -0.5, "max": 3}},
    {"type": "number", "numberOptions": {"max": 2}, "conditions": []},
    {"type": "number"},
    {"type": "form", "form_schema": {"type": "object", "properties": {}}, "default": {"a": [None]}},
    {"type": "timestamp", "multi": True, "allowMultiTimestamps": True},
]


async def a_question(v4: ServedV4, **fields: Any) -> Any:
    return await v4.official.questions.create(
        **{"account_id": "default", "title": "t", "prompt": "p", "type": "free_text", **fields}
    )


async def a_set(v4: ServedV4, question_ids: list[str], **fields: Any) -> Any:
    return await v4.official.question_sets.create(
        **{"account_id": "default", "name": "set", "question_ids": question_ids, **fields}
    )


@pytest.mark.parametrize("given", GOOD, ids=lambda given: given["type"])
async def test_every_type_of_question_comes_back_as_it_was_made(v4: ServedV4, given: dict[str, Any]) -> None:
    made = (await v4.raw.post("/v4/questions", json={"title": "t", "prompt": "p", **given})).json()
    expected = dict(given)
    if "choices" in given:
        expected["choices"] = [{"audit_required": None, **choice} for choice in given["choices"]]
    for name, inner in (("numberOptions", "min"), ("numberOptions", "max")):
        if name in given:
            expected[name] = {**expected[name], inner: given[name].get(inner)}
    shown = {name: made[name] for name in expected}
    assert shown == expected
    unset = {"choices", "multi", "dropdown", "ratingOptions", "numberOptions", "freeTextOptions", "form_schema"}
    unset |= {"allowMultiTimestamps", "default", "required", "conditions"}
    assert {name: made[name] for name in unset - set(given)} == dict.fromkeys(unset - set(given))
    if "choices" in given:
        assert [type(each["value"]) for each in made["choices"]] == [type(each["value"]) for each in given["choices"]]
    official = await v4.official.questions.retrieve(made["id"])
    assert official.created_by_identity_type == "service_account"
    assert (await v4.raw.get(f"/v4/questions/{made['id']}")).json() == made


async def test_the_official_client_makes_a_question_with_its_own_names(v4: ServedV4) -> None:
    rating = {"min_label": "low", "max_label": "high", "scale_steps": 5}
    made = await a_question(v4, type="rating", rating_options=rating)
    assert made.rating_options is not None
    assert (made.rating_options.min_label, made.rating_options.scale_steps) == ("low", 5)


async def test_questions_are_listed_newest_first_over_all_pages(v4: ServedV4) -> None:
    made = [(await a_question(v4)).id for _ in range(5)]
    assert [each.id async for each in v4.official.questions.list(limit=2)] == made[::-1]
    assert [each.id async for each in v4.official.questions.list(limit=10_000, include_archived=True)] == made[::-1]
    past = (await v4.raw.get("/v4/questions", params={"page": 4, "limit": 2})).json()
    assert past == {"items": [], "total_item_count": 5, "current_page": 4, "items_per_page": 2}
    furthest = (await v4.raw.get("/v4/questions", params={"page": 2**31 - 1, "limit": 10_000})).json()
    assert (furthest["items"], furthest["total_item_count"]) == ([], 5)


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ({"page": 0}, "page"),
        ({"page": 2**31}, "page"),
        ({"page": "x"}, "page"),
        ({"limit": 0}, "limit"),
        ({"limit": 10_001}, "limit"),
        ({"include_archived": "perhaps"}, "include_archived"),
    ],
)
async def test_a_page_out_of_range_is_422_naming_the_parameter(v4: ServedV4, query: Any, place: str) -> None:
    assert faults(await v4.raw.get("/v4/questions", params=query)) == [["query", place]]


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"type": "essay"}, ["type"]),
        ({"title": ""}, ["title"]),
        ({"prompt": None}, ["prompt"]),
        ({"type": "categorical"}, ["choices"]),
        ({"type": "categorical", "choices": []}, ["choices"]),
        ({"type": "categorical", "choices": [*CHOICES, {"label": "Good", "value": 2}]}, ["choices", 2, "label"]),
        ({"type": "categorical", "choices": [*CHOICES, {"label": "New", "value": 1.0}]}, ["choices", 2, "value"]),
        ({"type": "categorical", "choices": [{"label": "x"}]}, ["choices", 0, "value"]),
        ({"type": "categorical", "choices": CHOICES, "multi": True, "dropdown": True}, ["dropdown"]),
        ({"type": "rating"}, ["ratingOptions"]),
        ({"type": "rating", "ratingOptions": {**RATING, "scaleSteps": 1}}, ["ratingOptions", "scaleSteps"]),
        ({"type": "rating", "ratingOptions": {**RATING, "scaleSteps": 2.5}}, ["ratingOptions", "scaleSteps"]),
        ({"type": "rating", "ratingOptions": {"scaleSteps": 2, "minLabel": "x"}}, ["ratingOptions", "maxLabel"]),
        ({"type": "number", "numberOptions": {"min": 2, "max": 1}}, ["numberOptions", "min"]),
        (
            {"freeTextOptions": {"characterLimit": {"min": 2, "max": 1}}},
            ["freeTextOptions", "characterLimit", "min"],
        ),
        ({"freeTextOptions": {"characterLimit": {"min": -1}}}, ["freeTextOptions", "characterLimit"]),
        ({"freeTextOptions": {}}, ["freeTextOptions", "characterLimit"]),
        ({"type": "form"}, ["form_schema"]),
        ({"type": "form", "form_schema": []}, ["form_schema"]),
        ({"conditions": {}}, ["conditions"]),
        ({"required": "yes"}, ["required"]),
    ],
)
async def test_a_bad_question_is_422_at_its_place(v4: ServedV4, fields: dict[str, Any], place: list[Any]) -> None:
    body = {"title": "t", "prompt": "p", "type": "free_text", **fields}
    found = faults(await v4.raw.post("/v4/questions", json=body))
    assert found[0][: len(place) + 1] == ["body", *place]
    assert (await v4.raw.get("/v4/questions")).json()["total_item_count"] == 0


async def test_a_set_shows_its_questions_in_its_order_when_retrieved_or_viewed(v4: ServedV4) -> None:
    first, second, third = [(await a_question(v4, title=title)).id for title in "abc"]
    order = [third, first, second]
    config = {first: {"required": True}, third: {}}
    made = await a_set(v4, order, instructions="mind", question_id_to_config=config)
    found = await v4.official.question_sets.retrieve(made.id)
    assert [each.id for each in found.questions] == order
    assert {**made.to_dict(), "questions": found.to_dict()["questions"]} == found.to_dict()
    assert found.to_dict()["question_id_to_config"] == config
    assert same(found.questions[0], await v4.official.questions.retrieve(third))
    (plain,) = [each async for each in v4.official.question_sets.list()]
    assert plain.to_dict() == made.to_dict()
    (viewed,) = [each async for each in v4.official.question_sets.list(view=["Questions"])]
    assert viewed.to_dict() == found.to_dict()


@pytest.mark.parametrize(
    "query", ["view=Questions", "view=Questions,Questions", "view[]=Questions", "view=&view=Questions"]
)
async def test_views_are_taken_however_they_are_sent(v4: ServedV4, query: str) -> None:
    await a_set(v4, [])
    assert (await v4.raw.get(f"/v4/question-sets?{query}")).json()["items"][0]["questions"] == []


async def test_no_view_and_an_empty_one_are_the_same_and_an_unknown_one_is_422(v4: ServedV4) -> None:
    await a_set(v4, [])
    for query in ("", "?view="):
        assert "questions" not in (await v4.raw.get(f"/v4/question-sets{query}")).json()["items"][0]
    assert faults(await v4.raw.get("/v4/question-sets?view=Questions,Everything")) == [["query", "view"]]


async def test_absent_empty_and_given_configs_are_told_apart(v4: ServedV4) -> None:
    question = (await a_question(v4)).id
    for sent in (None, {}, {question: {}}, {question: {"required": None}}, {question: {"required": False}}):
        body = {"name": "s", "question_ids": [question], "question_id_to_config": sent}
        made = (await v4.raw.post("/v4/question-sets", json=body)).json()
        assert made["question_id_to_config"] == sent
        assert made["instructions"] is None
    assert (await a_set(v4, [question], instructions="")).instructions == ""


async def test_an_update_changes_only_what_is_sent_and_all_questions_when_it_names_some(v4: ServedV4) -> None:
    one, two, three = [(await a_question(v4)).id for _ in range(3)]
    made = await a_set(v4, [one, two], instructions="mind", question_id_to_config={one: {"required": True}})
    changed = await v4.official.question_sets.update(made.id, name="new")
    assert changed.to_dict() == {**made.to_dict(), "name": "new"}
    await v4.official.question_sets.update(made.id, question_ids=[three, two])
    found = await v4.official.question_sets.retrieve(made.id)
    assert [each.id for each in found.questions] == [three, two]
    assert (found.name, found.instructions) == ("new", "mind")
    cleared = (await v4.raw.patch(f"/v4/question-sets/{made.id}", json={"instructions": None, "name": None})).json()
    assert (cleared["instructions"], cleared["name"]) == (None, "new")
    assert [each.id for each in (await v4.official.question_sets.retrieve(made.id)).questions] == [three, two]
    await v4.official.question_sets.update(made.id, question_ids=[])
    assert (await v4.official.question_sets.retrieve(made.id)).questions == []


async def test_a_deleted_set_is_hidden_and_restorable(v4: ServedV4) -> None:
    made = await a_set(v4, [(await a_question(v4)).id])
    assert (await v4.official.question_sets.delete(made.id)).count == 1
    assert (await v4.official.question_sets.delete(made.id)).count == 0
    assert [each.id async for each in v4.official.question_sets.list()] == []
    assert [each.id async for each in v4.official.question_sets.list(include_archived=True)] == [made.id]
    with pytest.raises(BadRequestError):
        await v4.official.question_sets.update(made.id, name="x")
    assert same(await v4.official.question_sets.update(made.id, restore=True), made)
    assert len((await v4.official.question_sets.retrieve(made.id)).questions) == 1
    for call in (
        v4.official.question_sets.delete,
        v4.official.question_sets.update,
        v4.official.question_sets.retrieve,
    ):
        with pytest.raises(NotFoundError):
            await call("nobody's")


async def test_a_set_holds_questions_of_its_own_account_once_each(v4: ServedV4) -> None:
    mine = (await a_question(v4)).id
    body = {"title": "t", "prompt": "p", "type": "number"}
    theirs = (await v4.stranger.post("/v4/questions", json=body)).json()["id"]
    made = await a_set(v4, [mine])
    for question_ids, status in (([mine, theirs], 404), (["nobody's"], 404), ([mine, mine], 422)):
        for answer in (
            await v4.raw.post("/v4/question-sets", json={"name": "s", "question_ids": question_ids}),
            await v4.raw.patch(f"/v4/question-sets/{made.id}", json={"question_ids": question_ids}),
        ):
            assert answer.status_code == status, answer.text
    assert faults(answer) == [["body", "question_ids", 1]]
    strange = {"name": "s", "question_ids": [mine], "question_id_to_config": {"other": {}}}
    assert faults(await v4.raw.post("/v4/question-sets", json=strange)) == [["body", "question_id_to_config", "other"]]
    assert (await v4.raw.get("/v4/question-sets")).json()["total_item_count"] == 1
