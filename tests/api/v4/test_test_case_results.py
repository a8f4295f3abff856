"""Results of test cases over HTTP: posted, labelled, counted, and what they make of the evaluation's status."""

import asyncio

import pytest
from scale_gp import BadRequestError, NotFoundError, UnprocessableEntityError

from assay.api.v4.schemas import results as schemas
from assay.core.results import ErrorType
from tests.api.v4.scenery import ACCOUNT, a_stage
from tests.builders.evaluating import metric_task

ALL_VIEWS = ["AnnotationResults", "AuditTasks", "CustomMetrics", "Metrics", "Task", "TestCaseVersion", "Trace"]


class Scene:
    """A default evaluation of two test cases, with a required question and one that is asked when it is bad."""

    def __init__(self, stage):
        self.stage = stage
        self.results = stage.client.evaluations.test_case_results

    async def build(self, **more):
        self.spec = await self.stage.spec()
        self.dataset, self.cases = await self.stage.dataset(2)
        config, [self.quality] = await self.stage.config()
        why = await self.stage.client.questions.create(
            account_id=ACCOUNT,
            title="why",
            prompt="why",
            type="free_text",
            required=True,
            conditions=[{self.quality: [0]}],
        )
        self.why = why.id
        asked = await self.stage.client.question_sets.create(
            account_id=ACCOUNT, name="both", question_ids=[self.quality, self.why]
        )
        config = await self.stage.client.evaluation_configs.create(
            account_id=ACCOUNT, question_set_id=asked.id, evaluation_type="human"
        )
        self.evaluation = (await self.stage.evaluation(self.spec, evaluation_config_id=config.id, **more)).id
        return self

    def body(self, case=0, **more):
        return {
            "application_spec_id": self.spec,
            "evaluation_dataset_version_num": "1",
            "test_case_id": self.cases[case],
            "test_case_evaluation_data": {"generation_output": f"output {case}"},
            **more,
        }

    async def post(self, case=0, **more):
        return await self.results.create(self.evaluation, **self.body(case, **more))

    async def patch(self, result_id, **changes):
        return await self.results.update(result_id, evaluation_id=self.evaluation, **changes)

    async def state(self):
        found = await self.stage.client.evaluations.retrieve(self.evaluation)
        counts = (found.total_test_case_result_count, found.completed_test_case_result_count)
        assert (found.completed_at is None) == (found.status != "COMPLETED")
        return (found.status, *counts)


@pytest.fixture
async def scene(tmp_path):
    async with a_stage(tmp_path) as stage:
        yield await Scene(stage).build()


async def test_a_result_is_pending_and_comes_back_as_it_was(scene):
    output = {"generation_output": "o", "generation_extra_info": {"schema_type": "STRING", "info": "i"}}
    made = await scene.post(test_case_evaluation_data=output)
    raw = (await scene.stage.raw.get(f"/v4/evaluations/{scene.evaluation}/test-case-results/{made.id}")).json()
    assert set(raw) == set(schemas.TestCaseResult.model_fields)
    schemas.TestCaseResult.model_validate(raw)
    assert (raw["test_case_evaluation_data"], raw["test_case_evaluation_data_schema"]) == (output, "GENERATION")
    assert (raw["label_status"], raw["audit_status"], raw["result"]) == ("PENDING", "UNAUDITED", None)
    assert (raw["evaluation_dataset_id"], raw["evaluation_dataset_version_num"]) == (scene.dataset, "1")
    assert await scene.state() == ("PENDING", 1, 0)


async def test_the_evaluation_completes_with_its_last_result_and_reopens_with_a_new_one(scene):
    first, second = await scene.post(0), await scene.post(1)
    done = await scene.patch(first.id, result={scene.quality: 1}, time_spent_labeling_s=7)
    assert (done.label_status, done.result, done.time_spent_labeling_s) == ("COMPLETED", {scene.quality: 1.0}, 7)
    assert done.annotated_by_user_id == first.created_by_user_id
    assert await scene.state() == ("PENDING", 2, 1)
    last = await scene.patch(second.id, result={scene.quality: 1})
    assert await scene.state() == ("COMPLETED", 2, 2)
    found = await scene.stage.client.evaluations.retrieve(scene.evaluation)
    assert found.completed_at == last.completed_at
    await scene.patch(second.id, label_status="PENDING")
    assert await scene.state() == ("PENDING", 2, 1)
    await scene.patch(second.id, label_status="COMPLETED")
    assert await scene.state() == ("COMPLETED", 2, 2)
    await scene.post(0)
    assert await scene.state() == ("PENDING", 3, 2)


async def test_failed_results_count_as_ended_and_only_they_fail_the_evaluation(scene):
    first, second = await scene.post(0), await scene.post(1)
    await scene.patch(first.id, label_status="FAILED")
    assert await scene.state() == ("PENDING", 2, 0)
    await scene.patch(second.id, label_status="FAILED")
    assert await scene.state() == ("FAILED", 2, 0)
    await scene.patch(second.id, result={scene.quality: 1})
    assert await scene.state() == ("COMPLETED", 2, 1)


async def test_a_draft_is_saved_without_completing(scene):
    made = await scene.post()
    saved = await scene.patch(made.id, result={scene.quality: 0}, label_status="PENDING")
    assert (saved.label_status, saved.result, saved.completed_at) == ("PENDING", {scene.quality: 0.0}, None)
    assert await scene.state() == ("PENDING", 1, 0)


async def test_taking_the_answers_away_makes_it_pending_again(scene):
    made = await scene.post()
    await scene.patch(made.id, result={scene.quality: 1})
    cleared = await scene.patch(made.id, result=None)
    assert (cleared.label_status, cleared.result, cleared.completed_at) == ("PENDING", None, None)
    assert await scene.state() == ("PENDING", 1, 0)


async def test_required_questions_that_are_asked_must_be_answered(scene):
    made = await scene.post()
    for answers, missing in (({}, scene.quality), ({scene.quality: 0}, scene.why)):
        with pytest.raises(UnprocessableEntityError, match=missing):
            await scene.patch(made.id, result=answers)
    done = await scene.patch(made.id, result={scene.quality: 0, scene.why: "because"})
    assert (done.label_status, done.audit_required) == ("COMPLETED", True)


@pytest.mark.parametrize("answer", [2, "1", True, None, {"an": "object"}, [1], [[1]]])
async def test_an_answer_that_the_question_cannot_have_is_refused(scene, answer):
    made = await scene.post()
    path = f"/v4/evaluations/{scene.evaluation}/test-case-results/{made.id}"
    refused = await scene.stage.raw.patch(path, json={"result": {scene.quality: answer}})
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["loc"] == ["body", "result", scene.quality]
    assert await scene.state() == ("PENDING", 1, 0)


async def test_unknown_questions_and_ones_that_are_not_asked_are_refused(scene):
    made = await scene.post()
    for answers in ({"unknown": 1, scene.quality: 1}, {scene.quality: 1, scene.why: "not asked"}):
        with pytest.raises(UnprocessableEntityError):
            await scene.patch(made.id, result=answers)


async def test_answers_are_free_where_there_is_no_config(scene):
    evaluation = await scene.stage.evaluation(scene.spec)
    made = await scene.results.create(evaluation.id, **scene.body(result={"anything": ["a", 1, True]}))
    assert (made.label_status, made.result) == ("COMPLETED", {"anything": ["a", 1, True]})
    bad = await scene.stage.raw.post(
        f"/v4/evaluations/{evaluation.id}/test-case-results", json=scene.body(result={"q": {"x": 1}})
    )
    assert bad.status_code == 422


async def test_a_later_hand_and_a_fixing_auditor_are_editors(scene):
    made = await scene.post()
    first = await scene.patch(made.id, result={scene.quality: 1}, annotated_by_user_id="somebody")
    assert (first.annotated_by_user_id, first.edited_by_user_id) == ("somebody", None)
    edited = await scene.patch(made.id, result={scene.quality: 1})
    assert (edited.annotated_by_user_id, edited.edited_by_user_id) == ("somebody", made.created_by_user_id)
    fixed = await scene.patch(made.id, audit_status="FIXED", audit_comment="c")
    assert (fixed.audit_status, fixed.audit_comment, fixed.label_status) == ("FIXED", "c", "COMPLETED")


async def test_every_change_is_a_revision_and_history_is_by_version(scene):
    made = await scene.post()
    await scene.patch(made.id, result={scene.quality: 1})
    cases = scene.stage.client.evaluation_datasets.test_cases
    await cases.update(scene.cases[0], evaluation_dataset_id=scene.dataset, test_case_data={"input": "new"})
    await scene.stage.client.evaluation_datasets.publish(scene.dataset)
    await scene.patch(
        made.id,
        evaluation_dataset_version_num="2",
        test_case_evaluation_data={"generation_output": "second"},
    )
    base = f"/v4/evaluations/{scene.evaluation}/test-case-results"
    revisions = (await scene.stage.raw.get(f"{base}/{made.id}/history")).json()
    assert [each["invalidated_at"] is None for each in revisions] == [False, False, True]
    assert {each["id"] for each in revisions} == {made.id}
    old = await scene.results.history.retrieve("1", evaluation_id=scene.evaluation, test_case_result_id=made.id)
    assert (old.test_case_evaluation_data.generation_output, old.label_status) == ("output 0", "COMPLETED")
    assert old.completed_at is not None
    new = await scene.results.history.list("2", evaluation_id=scene.evaluation)
    assert [each.test_case_evaluation_data.generation_output for each in new.items] == ["second"]
    with pytest.raises(NotFoundError):
        await scene.results.history.list("3", evaluation_id=scene.evaluation)
    shown = await scene.results.retrieve(made.id, evaluation_id=scene.evaluation, view=["TestCaseVersion"])
    assert shown.test_case_version.test_case_data.input == "new"


async def test_a_batch_is_all_or_nothing_and_in_order(scene):
    good = [scene.body(1), scene.body(0)]
    made = await scene.results.batch(scene.evaluation, items=good)
    assert [each.test_case_id for each in made] == [scene.cases[1], scene.cases[0]]
    assert await scene.state() == ("PENDING", 2, 0)
    bad = scene.body(1, test_case_evaluation_data={"generation_output": {"an": "object"}})
    answer = await scene.stage.raw.post(
        f"/v4/evaluations/{scene.evaluation}/test-case-results/batch", json=[*good, bad]
    )
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][:3] == ["body", 2, "test_case_evaluation_data"]
    assert await scene.results.batch(scene.evaluation, items=[]) == []
    assert await scene.state() == ("PENDING", 2, 0)


async def test_a_result_names_what_is_there(scene):
    foreign = await scene.stage.stranger.post("/v5/datasets", json={"name": "d", "data": [{"input": "x"}]})
    listed = await scene.stage.stranger.get("/v5/dataset-items", params={"dataset_id": foreign.json()["id"]})
    for more, error in (
        ({"test_case_id": "nothing"}, NotFoundError),
        ({"test_case_id": listed.json()["items"][0]["id"]}, NotFoundError),
        ({"application_spec_id": "nothing"}, NotFoundError),
        ({"evaluation_dataset_version_num": "2"}, BadRequestError),
        ({"evaluation_dataset_version_num": "x"}, UnprocessableEntityError),
        ({"label_status": "DONE"}, UnprocessableEntityError),
        ({"time_spent_labeling_s": -1}, UnprocessableEntityError),
    ):
        with pytest.raises(error):
            await scene.post(**more)
    path = f"/v4/evaluations/{scene.evaluation}/test-case-results"
    number = await scene.stage.raw.post(path, json=scene.body(evaluation_dataset_version_num=1))
    assert number.json()["evaluation_dataset_version_num"] == "1"
    made = number.json()["id"]
    assert (await scene.stage.stranger.get(f"{path}/{made}")).status_code == 404
    assert (await scene.stage.stranger.patch(f"{path}/{made}", json={"label_status": "FAILED"})).status_code == 404
    other = await scene.stage.evaluation(scene.spec)
    with pytest.raises(NotFoundError):
        await scene.results.retrieve(made, evaluation_id=other.id)


async def test_views_are_there_when_asked_for(scene):
    made = await scene.post()
    shown = await scene.results.retrieve(made.id, evaluation_id=scene.evaluation, view=ALL_VIEWS)
    assert (shown.annotation_results, shown.custom_metrics) == ([], [])
    assert (shown.metrics, shown.application_test_case_output) == (None, None)
    assert (shown.task.task_type, shown.task.status, shown.task.assigned_to) == (
        "EVALUATION_ANNOTATION",
        "PENDING",
        None,
    )
    assert [(each.task_type, each.status) for each in shown.audit_tasks] == [("EVALUATION_AUDIT", "NOT_READY")]
    assert (shown.test_case_version.id, shown.test_case_version.test_case_data.input) == (scene.cases[0], "q0")
    listed = await scene.results.list(scene.evaluation, view=ALL_VIEWS)
    assert listed.items[0].to_dict() == shown.to_dict()
    path = f"/v4/evaluations/{scene.evaluation}/test-case-results"
    assert (await scene.stage.raw.get(path, params={"view": "Nonsense"})).status_code == 422
    polled = await scene.stage.raw.get(f"/v4/evaluations/{scene.evaluation}", params={"view": "TestCaseResults"})
    assert [each["id"] for each in polled.json()["test_case_results"]] == [made.id]


async def test_results_are_items_in_v5_with_the_test_cases_columns(scene):
    made = await scene.post()
    shown = (await scene.stage.raw.get("/v5/evaluation-items", params={"evaluation_id": scene.evaluation})).json()
    [item] = shown["items"]
    assert (item["id"], item["data"]) == (made.id, {"input": "q0", "expected_output": "a0", "output": "output 0"})
    assert (item["dataset_item_id"], item["dataset_item_version_num"]) == (scene.cases[0], 1)
    v5 = (await scene.stage.raw.get(f"/v5/evaluations/{scene.evaluation}")).json()
    assert (v5["progress"]["items"]["total"], v5["progress"]["items"]["pending"]) == (1, 1)
    assert [each["id"] for each in v5["datasets"]] == [scene.dataset]
    fields = (await scene.stage.raw.get(f"/v5/evaluations/{scene.evaluation}/schema")).json()["fields"]
    assert {each["field_name"] for each in fields} == {"input", "expected_output", "output"}


async def test_items_of_v5_are_flexible_results_that_v4_cannot_write(scene):
    v5 = scene.stage.v5
    created = await v5.create(tasks=[metric_task("score"), metric_task("other")])
    await v5.store(created["id"], "score", 0.5, 1.0)
    await v5.store(created["id"], "other", ErrorType.TIMEOUT)
    results = await scene.results.list(created["id"], view=["CustomMetrics", "TestCaseVersion"])
    first, second = results.items
    assert (first.label_status, second.label_status) == ("FAILED", "PENDING")
    assert [(each.name, each.type, each.output) for each in first.custom_metrics] == [("score", "exact_match", 0.5)]
    assert (first.evaluation_dataset_version_num, first.test_case_id) == ("0", first.id)
    one = await scene.results.retrieve(
        second.id, evaluation_id=created["id"], view=["CustomMetrics", "TestCaseVersion"]
    )
    assert one.to_dict() == second.to_dict()
    for attempt in (
        scene.results.create(created["id"], **scene.body()),
        scene.results.update(first.id, evaluation_id=created["id"], label_status="FAILED"),
    ):
        with pytest.raises(BadRequestError, match="version 5"):
            await attempt


async def test_results_go_and_come_back_with_their_evaluation(scene):
    made = await scene.post()
    await scene.stage.client.evaluations.delete(scene.evaluation)
    for refused in (scene.post(), scene.patch(made.id, label_status="FAILED")):
        with pytest.raises(BadRequestError):
            await refused
    await scene.stage.client.evaluations.update(scene.evaluation, restore=True)
    assert (await scene.results.list(scene.evaluation)).total_item_count == 1
    assert await scene.state() == ("PENDING", 1, 0)


async def test_a_builder_stays_pending_while_its_job_waits(tmp_path):
    async with a_stage(tmp_path) as stage:
        scene = await Scene(stage).build()
        variant = await stage.variant(scene.spec)
        await stage.upload(variant, scene.cases)
        builder = await stage.evaluation(
            scene.spec, application_variant_id=variant, evaluation_dataset_id=scene.dataset
        )
        await scene.results.create(builder.id, **scene.body(result={"q": 1}))
        found = await stage.client.evaluations.retrieve(builder.id)
        assert (found.status, found.completed_test_case_result_count) == ("PENDING", 1)


async def test_results_posted_and_labelled_at_once_are_all_counted(scene):
    made = await asyncio.gather(*(scene.post(number % 2) for number in range(10)))
    await asyncio.gather(*(scene.patch(each.id, result={scene.quality: 1}) for each in made))
    assert await scene.state() == ("COMPLETED", 10, 10)
    seen = [each.id async for each in scene.results.list(scene.evaluation, limit=3)]
    assert sorted(seen) == sorted(each.id for each in made)
