"""How far answers agree, over HTTP: people among themselves, and a judge beside them."""

import pytest

from assay.api.v5.schemas.agreement import Agreement
from assay.core.results import ErrorType
from tests.builders.contributing import People, contributor_task
from tests.builders.evaluating import evaluating_api, metric_task


@pytest.fixture
async def people(tmp_path):
    async with evaluating_api(tmp_path) as api:
        yield People(api)


async def _agreement(people, evaluation, **params):
    found = await people.read(f"/v5/evaluations/{evaluation['id']}/agreement", **params)
    Agreement.model_validate(found)
    return found


async def _answered(people, answers, *tasks):
    """An evaluation whose items everybody in `answers` (names to one answer an item) has answered."""
    rows = [{"answer": f"a{n}", "expected": f"a{n}"} for n in range(max(map(len, answers.values())))]
    created = await people.api.create(rows, tasks=list(tasks))
    for name, given in answers.items():
        for answer in given:
            await people.does(name, {"quality": answer})
    return created


async def test_contributors_are_compared_by_what_they_said_before_any_audit(people):
    task = contributor_task(await people.asks(), overlap=2, audit_levels=1)
    answers = {"ann": ["good", "bad", "good", "bad"], "bob": ["good", "bad", "bad"]}
    created = await _answered(people, answers, task)
    (before,) = (await _agreement(people, created))["questions"]
    for _ in range(3):
        await people.audits("cid", "fix", answers={"quality": "bad"})
    (found,) = (await _agreement(people, created))["questions"]
    assert found == before
    assert (found["items"], found["missing"], found["answers"]) == (3, 1, 7)
    assert (found["scale"], found["contributors"]) == ("nominal", ["ann", "bob"])
    assert found["percent_agreement"]["value"] == pytest.approx(2 / 3)
    assert found["percent_agreement"]["interval"]["method"] == "bootstrap"
    (pair,) = found["pairs"]
    assert (pair["contributors"], pair["items"]) == (["ann", "bob"], 3)
    assert pair["cohens_kappa"]["value"] == pytest.approx(0.4)
    assert found["krippendorffs_alpha"]["value"] == pytest.approx(4 / 9)


async def test_ratings_are_ranks_and_numbers_distances_and_texts_cannot_be_compared(people):
    rating = {"question_type": "rating", "configuration": {"steps": 5, "min_label": "l", "max_label": "h"}}
    for question, answers, scale in (
        (rating, {"ann": [1, 5], "bob": [2, 5]}, "ordinal"),
        ({"question_type": "number", "configuration": None}, {"ann": [1.5, 5], "bob": [2, 5]}, "interval"),
        ({"question_type": "free_text", "configuration": None}, {"ann": ["x"], "bob": ["x"]}, None),
        (
            {"configuration": {"choices": ["a", "b"], "multi": True}},
            {"ann": [["a", "b"], ["a"]], "bob": [["b", "a"], ["b"]]},
            "nominal",
        ),
    ):
        created = await _answered(people, answers, contributor_task(await people.asks(**question), overlap=2))
        (found,) = (await _agreement(people, created))["questions"]
        assert (found["scale"], found["items"]) == (scale, len(answers["ann"]))
        assert (found["krippendorffs_alpha"] is None) == (scale is None)
        if scale == "nominal":
            assert found["percent_agreement"]["value"] == 0.5, "the order of several choices says nothing"


async def test_a_judge_is_compared_with_people_on_the_same_question(people):
    question = await people.asks()
    created = await _answered(
        people, {"ann": ["good", "bad", "good"]}, metric_task("judge"), contributor_task(question)
    )
    assert (await _agreement(people, created))["comparisons"] == []
    await people.api.store(created["id"], "judge", "good", "good")
    (found,) = (await _agreement(people, created, compare="judge,quality"))["comparisons"]
    assert (found["aliases"], found["items"], found["missing"]) == (["judge", "quality"], 2, [1, 0])
    assert found["percent_agreement"]["value"] == 0.5
    assert found["cohens_kappa"]["value"] == 0
    (turned,) = (await _agreement(people, created, compare="quality,judge"))["comparisons"]
    assert turned["krippendorffs_alpha"] == found["krippendorffs_alpha"]


async def test_answers_that_were_only_prefilled_are_nobodys(people):
    task = contributor_task(await people.asks(), prefill_from="expected", overlap=2)
    created = await people.api.create([{"answer": "a", "expected": "good"}], tasks=[metric_task("judge"), task])
    await people.api.store(created["id"], "judge", "good")
    (found,) = (await _agreement(people, created, compare="judge,quality"))["comparisons"]
    assert (found["items"], found["missing"], found["percent_agreement"]) == (0, [0, 1], None)


@pytest.mark.parametrize("compare", ["judge", "judge,judge", "judge,nobody", "a,b,c"])
async def test_a_comparison_names_two_tasks(people, compare):
    created = await people.api.create(tasks=[metric_task("judge"), contributor_task(await people.asks())])
    path = f"/v5/evaluations/{created['id']}/agreement"
    reply = await people.api.served.raw.get(path, params={"compare": compare})
    assert (reply.status_code, reply.json()["detail"][0]["loc"]) == (422, ["query", "compare"])


async def test_there_is_nothing_to_compare_where_nobody_is_asked(people):
    created = await people.api.create(tasks=[])
    assert await _agreement(people, created) == {
        "object": "evaluation_agreement",
        "evaluation_id": created["id"],
        "items": 2,
        "questions": [],
        "comparisons": [],
    }
    path = f"/v5/evaluations/{created['id']}/agreement"
    assert (await people.api.served.stranger.get(path)).status_code == 404


async def test_a_judge_of_the_same_question_is_compared_without_being_asked_for(people):
    question, other = await people.asks(), await people.asks()
    judges = [
        {
            "task_type": "auto_evaluation.question",
            "alias": alias,
            "configuration": {"model": "fake/judge", "prompt": "How is {{item.answer}}?", "question_id": question_id},
        }
        for alias, question_id in (("judge", question), ("another", other))
    ]
    answers = {"ann": ["good", "bad", "good", "bad"]}
    created = await _answered(people, answers, *judges, contributor_task(question))
    await people.api.store(created["id"], "judge", "good", "bad", "bad", ErrorType.INVALID_OUTPUT)
    await people.api.store(created["id"], "another", "good", "bad", "good", "bad")
    (found,) = (await _agreement(people, created))["comparisons"]
    assert (found["aliases"], found["items"], found["missing"]) == (["judge", "quality"], 3, [1, 0])
    assert found["percent_agreement"]["value"] == pytest.approx(2 / 3)
    assert found["cohens_kappa"]["value"] == pytest.approx(0.4)
