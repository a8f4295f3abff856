"""People's work on results: tasks claimed, answered, audited and sent back, beside a judge or not, in numbers."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from scale_gp import BadRequestError, NotFoundError

from assay.core.questions import Choice, QuestionType
from assay.services.labelling_metrics import same_answer
from tests.api.v4.scenery import ACCOUNT, a_stage
from tests.builders.catalogue import make_question

CHOICES = [
    {"label": "Good", "value": 1},
    {"label": "Bad", "value": 0},
    {"label": "Odd", "value": -1, "audit_required": True},
]
CATEGORICAL = {"type": "categorical", "choices": CHOICES, "required": True}
AUDIT = "EVALUATION_AUDIT"


class Scene:
    """An evaluation of three uploaded outputs, whose results people are asked about."""

    def __init__(self, stage):
        self.stage = stage
        self.client = stage.client

    async def build(self, *questions, kind="human", count=3):
        self.spec = await self.stage.spec()
        self.variant = await self.stage.variant(self.spec)
        self.dataset, self.cases = await self.stage.dataset(count)
        await self.stage.upload(self.variant, self.cases)
        config, self.questions = await self.stage.config(*(questions or (CATEGORICAL,)), kind=kind)
        self.config = config.id
        made = await self.stage.evaluation(
            self.spec,
            application_variant_id=self.variant,
            evaluation_dataset_id=self.dataset,
            evaluation_config_id=config.id,
        )
        self.id = made.id
        await self.stage.run(made.id)
        return self

    async def state(self):
        return (await self.client.evaluations.retrieve(self.id)).status

    async def claim(self, client=None, task_type="EVALUATION_ANNOTATION", **more):
        return await (client or self.client).evaluations.claim_task(self.id, task_type=task_type, **more)

    async def patch(self, result_id, client=None, **changes):
        results = (client or self.client).evaluations.test_case_results
        return await results.update(result_id, evaluation_id=self.id, **changes)

    async def results(self, *views):
        return [each async for each in self.client.evaluations.test_case_results.list(self.id, view=list(views))]

    async def column(self):
        """What version 5 shows of people's answers to the first question: values and statuses."""
        shown = await self.stage.raw.get("/v5/evaluation-items", params={"evaluation_id": self.id})
        alias = f"q:{self.questions[0]}"
        return [(each["data"].get(alias), each["task_result_statuses"][alias]) for each in shown.json()["items"]]


@pytest.fixture
async def scene(tmp_path):
    async with a_stage(tmp_path) as stage:
        yield await Scene(stage).build()


async def test_every_result_is_claimed_answered_and_audited_once(scene):
    [question] = scene.questions
    assert await scene.state() == "PENDING"
    assert await scene.stage.unfinished() == []
    seen = []
    while (task := await scene.claim()) is not None:
        assert (task.task_type, task.status, task.task_entity_parent_id) == (
            "EVALUATION_ANNOTATION",
            "PENDING",
            scene.id,
        )
        assert task.task_entity.id == task.task_entity_id
        assert task.assignment_expires_at > datetime.now(UTC) + timedelta(minutes=29)
        seen.append(task.task_entity_id)
        done = await scene.patch(task.task_entity_id, result={question: 1}, time_spent_labeling_s=4)
        assert (done.label_status, done.annotated_by_user_id) == ("COMPLETED", task.assigned_to)
    assert len(set(seen)) == 3
    found = await scene.client.evaluations.retrieve(scene.id)
    assert (found.status, found.completed_test_case_result_count) == ("COMPLETED", 3)
    assert await scene.column() == [(1, "completed")] * 3
    assert await scene.claim(task_type=AUDIT) is None  # who annotated does not audit
    async with scene.stage.person("auditor") as auditor:
        audit = await scene.claim(auditor, task_type=AUDIT)
        approved = await scene.patch(audit.task_entity_id, auditor, audit_status="APPROVED")
        assert (approved.audit_status, approved.edited_by_user_id) == ("APPROVED", None)
        audit = await scene.claim(auditor, task_type=AUDIT)
        fixed = await scene.patch(audit.task_entity_id, auditor, audit_status="FIXED", result={question: 0})
        assert (fixed.result, fixed.edited_by_user_id) == ({question: 0}, audit.assigned_to)
        shown = await scene.results("Task", "AuditTasks", "AnnotationResults")
    assert [each.task.status for each in shown] == ["COMPLETED"] * 3
    assert sorted(each.audit_tasks[0].status for each in shown) == ["COMPLETED", "FIXED", "PENDING"]
    assert {each.task.assigned_to.id for each in shown} == {shown[0].annotated_by_user_id}
    assert [each.annotation_results[0].annotation_type for each in shown] == ["human"] * 3
    assert sorted(value for value, _ in await scene.column()) == [0, 1, 1]


async def test_a_verdict_is_about_an_answer_that_is_there_and_does_not_outlive_it(scene):
    [question] = scene.questions
    task = await scene.claim()
    with pytest.raises(BadRequestError, match="no answer yet to be audited"):
        await scene.patch(task.task_entity_id, audit_status="APPROVED")
    await scene.patch(task.task_entity_id, result={question: 1})
    async with scene.stage.person("auditor") as auditor:
        audit = await scene.claim(auditor, task_type=AUDIT)
        await scene.patch(audit.task_entity_id, auditor, audit_status="APPROVED")
        sent_back = await scene.patch(audit.task_entity_id, auditor, label_status="PENDING")
        assert (sent_back.label_status, sent_back.audit_status) == ("PENDING", "UNAUDITED")
        again = await scene.patch(task.task_entity_id, result={question: 0})
        assert (again.label_status, again.audit_status) == ("COMPLETED", "UNAUDITED")
        assert (await scene.claim(auditor, task_type=AUDIT)).task_entity_id == task.task_entity_id


async def test_the_metrics_say_how_the_labelling_goes_on(scene):
    [question] = scene.questions
    empty = await scene.client.evaluations.evaluation_metrics.retrieve(scene.id)
    assert (empty.num_total_test_cases, empty.num_test_cases_labeled, empty.percentage_test_cases_unaudited) == (
        3,
        0,
        0,
    )
    first, second, third = await scene.results()
    await scene.patch(first.id, result={question: 1}, time_spent_labeling_s=4, audit_status="APPROVED")
    await scene.patch(second.id, result={question: -1}, time_spent_labeling_s=7)
    async with scene.stage.person("second") as other:
        await scene.patch(third.id, other, result={question: 1})
        await scene.patch(third.id, other, audit_status="FIXED")
    found = await scene.client.evaluations.evaluation_metrics.retrieve(scene.id)
    assert found.to_dict() == {
        "evaluation_id": scene.id,
        "num_total_test_cases": 3,
        "num_test_cases_labeled": 3,
        "num_test_cases_flagged": 1,
        "num_test_cases_approved": 1,
        "num_test_cases_fixed": 1,
        "num_test_cases_unaudited": 1,
        "percentage_test_cases_approved": pytest.approx(100 / 3),
        "percentage_test_cases_fixed": pytest.approx(100 / 3),
        "percentage_test_cases_unaudited": pytest.approx(100 / 3),
        "avg_labeling_time_per_test_case": 5.5,
        "avg_num_test_cases_labeled_per_day": 3.0,
    }
    people = [each async for each in scene.client.evaluations.contributor_metrics.list(scene.id, limit=1)]
    assert [each.annotated_by_user_id for each in people] == sorted(each.annotated_by_user_id for each in people)
    [mine] = [each for each in people if each.total_num_test_cases_labeled == 2]
    assert (mine.total_time_spent_labeling_sec, mine.avg_time_spent_labeling_sec) == (11, 5.5)
    [theirs] = [each for each in people if each.total_num_test_cases_labeled == 1]
    assert (theirs.percentage_test_cases_fixed, theirs.total_time_spent_labeling_sec) == (100.0, None)
    one = await scene.client.evaluations.contributor_metrics.retrieve(
        theirs.annotated_by_user_id, evaluation_id=scene.id
    )
    assert one.to_dict() == theirs.to_dict()
    assert await scene.client.evaluations.contributor_metrics.retrieve("nobody", evaluation_id=scene.id) is None
    hybrid = await scene.client.evaluations.hybrid_eval_metrics.retrieve(scene.id)
    assert hybrid.all_question_info == {}


async def test_a_held_task_is_given_again_and_a_skipped_one_to_others(scene):
    first = await scene.claim()
    assert (await scene.claim()).id == first.id
    second = await scene.claim(skip_current=True)
    assert second.id != first.id
    async with scene.stage.person("other") as other:
        assert (await scene.claim(other)).id == first.id
        third = await scene.claim(other, skip_current=True)
        assert third.id not in (first.id, second.id)


async def test_no_task_is_given_to_two_people(scene):
    async with scene.stage.person("one") as one, scene.stage.person("two") as two, scene.stage.person("three") as three:
        claimed = await asyncio.gather(*(scene.claim(each) for each in (one, two, three, scene.client)))
    ids = [each.id for each in claimed if each is not None]
    assert (len(ids), len(set(ids))) == (3, 3)


async def test_an_answer_is_sent_back_to_the_one_who_gave_it(scene):
    [question] = scene.questions
    task = await scene.claim()
    await scene.patch(task.task_entity_id, result={question: 1})
    async with scene.stage.person("auditor") as auditor:
        back = await scene.patch(task.task_entity_id, auditor, label_status="PENDING", audit_comment="look again")
        assert (back.label_status, back.completed_at) == ("PENDING", None)
        assert (await scene.claim(auditor)).id != task.id
    [shown] = [each for each in await scene.results("Task", "AuditTasks") if each.id == task.task_entity_id]
    assert (shown.task.status, shown.audit_tasks[0].status) == ("PENDING_REDO", "NOT_READY")
    again = await scene.claim()
    assert (again.id, again.status) == (task.id, "PENDING_REDO")
    await scene.patch(task.task_entity_id, result={question: 0})
    [shown] = [each for each in await scene.results("Task", "AuditTasks") if each.id == task.task_entity_id]
    assert (shown.task.status, shown.audit_tasks[0].status) == ("COMPLETED", "PENDING")


async def test_flagged_results_are_audited_first(scene):
    [question] = scene.questions
    first, second, third = await scene.results()
    for result, answer in ((first, 1), (second, 1), (third, -1)):
        await scene.patch(result.id, result={question: answer})
    async with scene.stage.person("auditor") as auditor:
        assert (await scene.claim(auditor, task_type=AUDIT)).task_entity_id == third.id


async def test_tasks_are_reserved_for_people(scene):
    tasks = [each.task.id for each in await scene.results("Task")]
    async with scene.stage.person("ann") as ann:
        me = (await scene.claim(ann)).assigned_to
        held = await scene.client.evaluations.tasks.update(tasks[2], evaluation_id=scene.id, assigned_to=me)
        assert (held.assigned_to, held.task_entity.evaluation_id) == (me, scene.id)
        assert len({(await scene.claim()).id, tasks[2]}) == 2
        free = await scene.client.evaluations.tasks.update(tasks[2], evaluation_id=scene.id)
        assert free.assigned_to is None
    path = f"/v4/evaluations/{scene.id}/tasks"
    batch = await scene.stage.raw.patch(
        f"{path}/batch-assign", json={"task_ids": [tasks[2], "nothing"], "assigned_to": "bob"}
    )
    assert [each and each["assigned_to"] for each in batch.json()] == ["bob", None]
    with pytest.raises(NotFoundError):
        await scene.client.evaluations.tasks.update("nothing", evaluation_id=scene.id, assigned_to="bob")
    for call in (
        scene.stage.stranger.patch(f"{path}/{tasks[0]}", json={"assigned_to": "me"}),
        scene.stage.stranger.post(f"/v4/evaluations/{scene.id}/claim-task", json={}),
        scene.stage.stranger.get(f"/v4/evaluations/{scene.id}/evaluation-metrics"),
        scene.stage.stranger.get(f"/v4/evaluations/{scene.id}/hybrid-eval-metrics"),
    ):
        assert (await call).status_code == 404
    assert (
        await scene.stage.raw.post(f"/v4/evaluations/{scene.id}/claim-task?task_type=X", json={})
    ).status_code == 422


async def test_an_archived_evaluation_has_no_tasks_to_claim_until_it_is_restored(scene):
    await scene.client.evaluations.delete(scene.id)
    assert await scene.claim() is None
    await scene.client.evaluations.update(scene.id, restore=True)
    held = await scene.claim()
    assert held is not None
    await scene.client.evaluation_datasets.remove(scene.dataset)
    assert await scene.claim() is None
    await scene.client.evaluation_datasets.update(scene.dataset, restore=True)
    assert (await scene.claim()).id == held.id


async def test_results_posted_to_a_default_evaluation_are_queued_and_judged(tmp_path):
    async with a_stage(tmp_path) as stage:
        scene = await Scene(stage).build(kind="llm_benchmark")
        [question] = scene.questions
        stage.models.answer = lambda text: '{"reasoning": "", "answer": "Good"}'
        metrics = {"components": [{"type": "f1", "name": "overlap"}]}
        made = await stage.evaluation(scene.spec, evaluation_config_id=scene.config, metric_config=metrics)
        assert await stage.unfinished() == []
        results = stage.client.evaluations.test_case_results
        body = {"application_spec_id": scene.spec, "evaluation_dataset_version_num": "1"}
        items = [
            {**body, "test_case_id": case, "test_case_evaluation_data": {"generation_output": "a0"}}
            for case in scene.cases[:2]
        ]
        posted = await results.batch(made.id, items=items)
        await asyncio.sleep(0.05)
        assert (await stage.unfinished(), stage.v5.engine.resumed) == ([made.id], [made.id])
        await stage.run(made.id)
        shown = [each async for each in results.list(made.id, view=["CustomMetrics", "AnnotationResults", "Task"])]
        assert [each.custom_metrics[0].output for each in shown] == [1.0, 0.0]
        assert {(each.label_status, each.result, each.task.status) for each in shown} == {("PENDING", None, "PENDING")}
        assert [each.annotation_results[0].annotation_type for each in shown] == ["llm_auto"] * 2
        assert (await stage.client.evaluations.retrieve(made.id)).status == "PENDING"
        assert await stage.unfinished() == []
        for each in posted:
            await results.update(each.id, evaluation_id=made.id, result={question: 1})
        assert (await stage.client.evaluations.retrieve(made.id)).status == "COMPLETED"
        await results.create(made.id, **items[0])
        assert (await stage.client.evaluations.retrieve(made.id)).status == "PENDING"
        assert await stage.unfinished() == [made.id]


async def test_people_beside_a_judge_are_compared_question_by_question(tmp_path):
    free = {"type": "free_text", "prompt": "Why?"}
    async with a_stage(tmp_path) as stage:
        stage.models.answer = lambda text: '{"reasoning": "", "answer": "Good"}'
        scene = await Scene(stage).build(CATEGORICAL, free, kind="llm_benchmark", count=4)
        good, why = scene.questions
        assert await scene.state() == "PENDING"
        first, second, third, _ = await scene.results()
        await scene.patch(first.id, result={good: 1, why: "because"})
        await scene.patch(second.id, result={good: 0})
        stage.models.answer = lambda text: None
        await scene.patch(third.id, result={good: 1})
        info = (await stage.client.evaluations.hybrid_eval_metrics.retrieve(scene.id)).all_question_info
        assert (info[good].num_correct, info[good].num_wrong, info[good].num_inconclusive) == (2, 1, 1)
        assert (info[good].agreement_rate, info[good].is_conditional_question) == (pytest.approx(2 / 3), False)
        assert (info[good].question_title, info[good].evaluation_question) == ("t0", "?")
        assert (info[good].total_tokens, info[good].total_time) == (4 * 13, 4.0)
        assert (info[why].num_free_text, info[why].num_correct, info[why].num_inconclusive) == (1, 0, 3)
        [annotated, *_] = await scene.results("AnnotationResults")
        assert [each.annotation_type for each in annotated.annotation_results] == ["llm_auto"] * 2 + ["human"] * 2
        assert annotated.result == {good: 1, why: "because"}


@pytest.mark.parametrize("kind", ["llm_auto", "llm_benchmark"])
async def test_a_voluntary_question_that_a_judge_cannot_answer_fails_no_job(tmp_path, kind):
    free = {"type": "free_text", "prompt": "Why?"}
    async with a_stage(tmp_path) as stage:
        stage.models.answer = lambda text: None if "Why?" in text else '{"reasoning": "", "answer": "Good"}'
        scene = await Scene(stage).build(CATEGORICAL, free, kind=kind)
        found = await stage.client.evaluations.retrieve(scene.id, view=["AsyncJobs"])
        assert {job.status for job in found.async_jobs} == {"Completed"}
        stage.models.answer = lambda text: '{"reasoning": "", "answer": "because"}' if "Why?" in text else None
        scene = await Scene(stage).build(CATEGORICAL, free, kind=kind)
        found = await stage.client.evaluations.retrieve(scene.id, view=["AsyncJobs"])
        assert {job.job_type: job.status for job in found.async_jobs}["evaluation-auto-eval"] == "Failed"


async def test_a_judged_evaluation_becomes_hybrid_and_keeps_the_judges_answers(tmp_path):
    async with a_stage(tmp_path) as stage:
        stage.models.answer = lambda text: '{"reasoning": "", "answer": "Good"}'
        scene = await Scene(stage).build(kind="llm_auto")
        [question] = scene.questions
        assert await scene.state() == "COMPLETED"
        changed = await stage.client.evaluations.update(scene.id, evaluation_type="llm_benchmark")
        assert (changed.status, changed.completed_test_case_result_count) == ("PENDING", 0)
        assert changed.evaluation_config_id != scene.config
        asked = len(stage.models.asked)
        task = await scene.claim()
        assert task.task_entity.result is None
        for each in await scene.results():
            await scene.patch(each.id, result={question: 0})
        assert (await scene.state(), len(stage.models.asked)) == ("COMPLETED", asked)
        info = (await stage.client.evaluations.hybrid_eval_metrics.retrieve(scene.id)).all_question_info
        assert (info[question].num_correct, info[question].num_wrong) == (0, 3)
        again = await stage.client.evaluations.update(scene.id, evaluation_type="llm_benchmark")
        assert again.evaluation_config_id == changed.evaluation_config_id


async def test_peoples_evaluation_becomes_hybrid_and_is_judged(tmp_path):
    async with a_stage(tmp_path) as stage:
        scene = await Scene(stage).build()
        [question] = scene.questions
        for each in await scene.results():
            await scene.patch(each.id, result={question: 1})
        assert await scene.state() == "COMPLETED"
        stage.models.answer = lambda text: '{"reasoning": "", "answer": "Good"}'
        changed = await stage.client.evaluations.update(scene.id, evaluation_type="llm_benchmark")
        assert (changed.status, await stage.unfinished()) == ("PENDING", [scene.id])
        assert stage.v5.engine.resumed == [scene.id]
        await stage.run(scene.id)
        assert (await scene.state(), len(stage.models.asked)) == ("COMPLETED", 3)
        info = (await stage.client.evaluations.hybrid_eval_metrics.retrieve(scene.id)).all_question_info
        assert info[question].agreement_rate == 1.0


async def test_a_studio_evaluation_waits_for_what_is_patched_from_outside(tmp_path):
    async with a_stage(tmp_path) as stage:
        scene = await Scene(stage).build()
        body = {"account_id": ACCOUNT, "evaluation_type": "studio", "studio_project_id": "p"}
        found = await stage.client.evaluation_configs.retrieve(scene.config)
        config = await stage.client.evaluation_configs.create(question_set_id=found.question_set_id, **body)
        made = await stage.evaluation(
            scene.spec,
            application_variant_id=scene.variant,
            evaluation_dataset_id=scene.dataset,
            evaluation_config_id=config.id,
        )
        await stage.run(made.id)
        assert (await stage.client.evaluations.retrieve(made.id)).status == "PENDING"
        assert await stage.client.evaluations.claim_task(made.id, task_type="EVALUATION_ANNOTATION") is None
        async for each in stage.client.evaluations.test_case_results.list(made.id):
            await stage.client.evaluations.test_case_results.update(
                each.id, evaluation_id=made.id, result={scene.questions[0]: 1}
            )
        assert (await stage.client.evaluations.retrieve(made.id)).status == "COMPLETED"
        with pytest.raises(BadRequestError):
            await stage.client.evaluations.update(made.id, evaluation_type="llm_benchmark")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0.1 + 0.2, 0.3, True),
        ([2, 1], [1, 2], True),
        ([1], 1, True),
        ("a", "b", False),
    ],
)
def test_answers_are_equal_by_value_and_in_any_order(one, other, same):
    assert make_question(type=QuestionType.CATEGORICAL, choices=(Choice("a", 1),))
    assert same_answer(one, other) is same
