"""Evaluations that make their own results: from uploaded outputs, with metrics and judges, as the engine runs them."""

import pytest
from scale_gp import BadRequestError, NotFoundError, UnprocessableEntityError

from assay.adapters.clock import SystemClock
from assay.core.results import Result, ResultStatus
from assay.registry.discovery import load_task_types
from assay.services.labelling import Labelling
from tests.api.v4.scenery import ACCOUNT, a_stage

ALL_VIEWS = ["AnnotationResults", "AuditTasks", "CustomMetrics", "Metrics", "Task", "TestCaseVersion", "Trace"]
CATEGORICAL = {"type": "categorical", "choices": [{"label": "Good", "value": 1}, {"label": "Bad", "value": 0}]}


class Scene:
    """A variant with uploaded outputs for a published dataset of three test cases, whose outputs are as expected."""

    def __init__(self, stage):
        self.stage = stage
        self.client = stage.client

    async def build(self, count=3, schema_type="GENERATION", **uploaded):
        self.spec = await self.stage.spec()
        self.variant = await self.stage.variant(self.spec)
        self.dataset, self.cases = await self.stage.dataset(count, schema_type)
        self.group = await self.stage.upload(self.variant, self.cases, **uploaded)
        return self

    async def make(self, **more):
        named = {"application_variant_id": self.variant, "evaluation_dataset_id": self.dataset}
        return await self.stage.evaluation(self.spec, **{**named, **more})

    async def done(self, **more):
        """An evaluation whose job has run, as it is then."""
        made = await self.make(**more)
        assert (made.status, made.total_test_case_result_count) == ("PENDING", 0)
        await self.stage.run(made.id)
        return await self.client.evaluations.retrieve(made.id, view=["AsyncJobs"])

    async def results(self, evaluation, *views):
        return [each async for each in self.client.evaluations.test_case_results.list(evaluation.id, view=list(views))]


@pytest.fixture
async def scene(tmp_path):
    async with a_stage(tmp_path) as stage:
        yield await Scene(stage).build()


def jobs(evaluation):
    return {job.job_type.removeprefix("evaluation-"): job.status for job in evaluation.async_jobs}


async def test_results_are_made_of_the_outputs_and_are_complete_when_nobody_is_asked(scene):
    done = await scene.done()
    assert (done.status, done.total_test_case_result_count, done.completed_test_case_result_count) == (
        "COMPLETED",
        3,
        3,
    )
    assert done.completed_at is not None
    results = await scene.results(done, "Trace", "TestCaseVersion")
    assert [each.test_case_id for each in results] == scene.cases
    assert [each.test_case_evaluation_data.generation_output for each in results] == ["a0", "a1", "a2"]
    assert {(each.label_status, each.result, each.evaluation_dataset_version_num) for each in results} == {
        ("COMPLETED", None, "1")
    }
    traced = results[0].application_test_case_output
    assert (traced.id, traced.application_test_case_output_group_id) == (
        results[0].application_test_case_output_id,
        scene.group,
    )
    assert jobs(done) == {"builder": "Completed", "test-cases-result-gen": "Completed"}
    assert await scene.stage.unfinished() == []


async def test_running_the_job_again_makes_nothing_twice(scene):
    done = await scene.done()
    await scene.stage.run(done.id)
    assert len(await scene.results(done)) == 3


async def test_every_metric_is_computed_and_left_out_where_nothing_is_expected(scene):
    case = (await scene.client.evaluation_datasets.test_cases.create(scene.dataset, test_case_data={"input": "q"})).id
    await scene.client.evaluation_datasets.publish(scene.dataset)
    await scene.stage.upload(scene.variant, [*scene.cases, case], evaluation_dataset_version_num=2)
    names = ["bleu", "meteor", "cosine_similarity", "f1", "rouge1", "rouge2", "rougeL", "rouge"]
    components = [{"type": name, "name": f"my {name}"} for name in names]
    components.append({"type": "rouge", "name": "some", "params": {"score_types": ["rougeL"]}})
    mapped = {"hypothesis": ["test_case_data", "input"], "ground_truth": ["test_case_data", "expected_output"]}
    components.append({"type": "f1", "name": "mapped", "mappings": mapped})
    done = await scene.done(metric_config={"components": components})
    assert (done.status, jobs(done)["metrics-gen"]) == ("COMPLETED", "Completed")
    *results, without = await scene.results(done, "CustomMetrics")
    assert without.custom_metrics == []
    for result in results:
        found = {(each.name, each.type): each.output for each in result.custom_metrics}
        expected = {(f"my {name}", name) for name in names if name != "rouge"}
        expected |= {("my rouge", kind) for kind in ("rouge1", "rouge2", "rougeL")}
        assert set(found) == {*expected, ("some", "rougeL"), ("mapped", "f1")}
        assert (found["my f1", "f1"], found["my rouge", "rougeL"], found["mapped", "f1"]) == (1.0, 1.0, 0.0)


async def test_a_metric_that_cannot_be_is_refused_where_it_stands(scene):
    for component, place in (
        ({"params": {"score_types": ["rouge9"]}}, "score_types"),
        ({"mappings": {"nonsense": ["test_case_data", "input"]}}, "nonsense"),
        ({"mappings": {"candidate": ["nowhere"]}}, "mappings"),
    ):
        with pytest.raises(UnprocessableEntityError, match=place):
            await scene.make(metric_config={"components": [{"type": "rouge", "name": "r", **component}]})
    assert (await scene.client.evaluations.list()).total_item_count == 0


async def test_a_judge_answers_and_says_why_and_what_it_cost(scene):
    config, [question] = await scene.stage.config({**CATEGORICAL, "required": True}, kind="llm_auto")
    scene.stage.models.answer = lambda text: '{"reasoning": "reads well", "answer": "Good"}'
    done = await scene.done(evaluation_config_id=config.id)
    assert (done.status, jobs(done)["auto-eval"]) == ("COMPLETED", "Completed")
    for number, result in enumerate(await scene.results(done, "AnnotationResults", "Task", "AuditTasks")):
        assert (result.label_status, result.result, result.annotated_by_user_id) == ("COMPLETED", {question: 1}, None)
        [annotation] = result.annotation_results
        assert (annotation.annotation_type, annotation.question_id) == ("llm_auto", question)
        assert annotation.selected_choice.to_dict() == {"label": "Good", "value": 1}
        metadata = annotation.llm_auto_eval_metadata
        assert (metadata.prompt_tokens, metadata.completion_tokens, metadata.llm_reasoning) == (10, 3, "reads well")
        assert (metadata.time_elapsed_s, metadata.annotation_result_id) == (1, annotation.id)
        assert (result.task, result.audit_tasks) == (None, [])
        model, request = scene.stage.models.asked[number]
        assert model == "openai/gpt-4o"
        shown = request["messages"][-1]["content"]
        assert all(f">{each}{number}<" in shown for each in ("q", "a"))


async def test_a_required_question_without_an_answer_fails_its_result_alone(scene):
    config, _ = await scene.stage.config({**CATEGORICAL, "required": True}, kind="llm_auto")
    scene.stage.models.answer = lambda text: "no idea" if ">q1<" in text else '{"reasoning": "", "answer": "Bad"}'
    done = await scene.done(evaluation_config_id=config.id)
    assert [each.label_status for each in await scene.results(done)] == ["COMPLETED", "FAILED", "COMPLETED"]
    assert (done.status, done.completed_test_case_result_count) == ("COMPLETED", 2)


async def test_an_endpoint_that_always_fails_ends_the_evaluation(scene):
    config, _ = await scene.stage.config({"type": "free_text"}, kind="llm_auto")
    scene.stage.models.answer = lambda text: None
    done = await scene.done(evaluation_config_id=config.id)
    assert (done.status, done.completed_at, jobs(done)["builder"]) == ("FAILED", None, "Failed")
    assert {each.label_status for each in await scene.results(done)} == {"FAILED"}


async def test_a_question_is_only_asked_where_its_condition_holds(scene):
    _, [good] = await scene.stage.config(CATEGORICAL, kind="llm_auto")
    why = await scene.client.questions.create(
        account_id=ACCOUNT, type="free_text", title="why", prompt="Why so bad?", required=True, conditions=[{good: [0]}]
    )
    both = await scene.client.question_sets.create(account_id=ACCOUNT, name="both", question_ids=[good, why.id])

    def answer(text):
        if "Why so bad?" in text:
            return '{"reasoning": "", "answer": "it is"}'
        return f'{{"reasoning": "", "answer": "{"Bad" if ">q0<" in text else "Good"}"}}'

    scene.stage.models.answer = answer
    inline = {"account_id": ACCOUNT, "question_set_id": both.id, "evaluation_type": "llm_auto"}
    done = await scene.done(inline_evaluation_config=inline)
    results = await scene.results(done)
    assert [each.result for each in results] == [{good: 0, why.id: "it is"}, {good: 1}, {good: 1}]
    assert done.status == "COMPLETED"
    assert sum("Why so bad?" in request["messages"][-1]["content"] for _, request in scene.stage.models.asked) == 1


async def test_a_judge_that_cannot_be_called_is_refused_naming_the_settings(scene):
    config, _ = await scene.stage.config({"type": "free_text"})
    question_set = config.question_set_id
    inline = {"account_id": ACCOUNT, "question_set_id": question_set, "auto_evaluation_model": "nowhere/model"}
    answer = await scene.stage.raw.post(
        "/v4/evaluations",
        json={
            "account_id": ACCOUNT,
            "name": "e",
            "description": "",
            "application_spec_id": scene.spec,
            "inline_evaluation_config": inline,
        },
    )
    assert answer.status_code == 400
    assert all(word in answer.json()["detail"] for word in ("nowhere/model", "model_aliases", "vendors"))


async def test_the_newest_group_is_taken_unless_one_is_named(scene):
    newer = await scene.stage.upload(scene.variant, scene.cases[:1], ignore_missing=True)
    newest = await scene.done()
    assert newest.total_test_case_result_count == 1
    pinned = await scene.done(application_test_case_output_group_id=scene.group)
    assert pinned.total_test_case_result_count == 3
    other = await scene.stage.variant(scene.spec, "other")
    with pytest.raises(BadRequestError, match="are not of variant"):
        await scene.make(application_test_case_output_group_id=newer, application_variant_id=other)
    with pytest.raises(NotFoundError):
        await scene.make(application_test_case_output_group_id="nothing")
    with pytest.raises(BadRequestError, match="has no outputs"):
        await scene.make(application_variant_id=other)


@pytest.mark.parametrize(
    ("place", "fits"),
    [
        (["test_case_data", "expected_output"], True),
        (["test_case_data", "input", "key"], False),
        (["test_case_output"], True),
        (["trace", "completion", "output", "text"], True),
        (["trace", "retrieval", "output"], False),
        (["nowhere"], False),
    ],
)
async def test_a_data_loc_that_points_at_nothing_is_refused_unless_it_is_optional(tmp_path, place, fits):
    span = {
        "node_id": "completion",
        "operation_input": {},
        "operation_output": {"text": "t"},
        "start_timestamp": "2026-01-01T00:00:00Z",
    }
    async with a_stage(tmp_path) as stage:
        scene = await Scene(stage).build(trace_spans=[span])
        config = {"components": [[{"data_loc": place}]]}
        optional = {"components": [[{"data_loc": place, "optional": True}]]}
        for key, wrapped in (("annotation_config", config), ("question_id_to_annotation_config", {"q": config})):
            if fits:
                await scene.make(**{key: wrapped})
            else:
                with pytest.raises(BadRequestError, match="data_loc"):
                    await scene.make(**{key: wrapped})
        if place != ["nowhere"]:
            await scene.make(annotation_config=optional)


async def test_what_is_no_data_loc_is_told_what_one_looks_like(tmp_path):
    async with a_stage(tmp_path) as stage:
        scene = await Scene(stage).build()
        said = r"'answer'\] is no data_loc.*expected_extra_info.*output, generation_output"
        with pytest.raises(BadRequestError, match=said):
            await scene.make(annotation_config={"components": [[{"data_loc": ["test_case_output", "answer"]}]]})


async def test_a_judge_sees_what_the_annotation_config_shows_it(tmp_path):
    span = {
        "node_id": "retrieval",
        "operation_input": {},
        "operation_output": {"chunks": ["c1"]},
        "start_timestamp": "2026-01-01T00:00:00Z",
    }
    async with a_stage(tmp_path) as stage:
        scene = await Scene(stage).build(1, trace_spans=[span])
        config, [_, other] = await stage.config(
            {"type": "free_text", "prompt": "Is it so?"}, {"type": "free_text", "prompt": "And that?"}, kind="llm_auto"
        )
        prompt = {
            "template": "Asked {{ in }}, found {{{chunks}}}, said {output}, not {{none}}. {{evaluation_question}} {x}",
            "variables": [
                {"name": "in", "data_loc": ["test_case_data", "input"]},
                {"name": "chunks", "data_loc": ["trace", "retrieval", "output", "chunks", "0"]},
                {"name": "none", "data_loc": ["test_case_data", "expected_extra_info"], "optional": True},
            ],
        }
        override = {other: {"components": [[{"data_loc": ["test_case_data", "expected_output"], "label": "Gold"}]]}}
        done = await scene.done(
            evaluation_config_id=config.id,
            annotation_config={"llm_prompt": prompt, "annotation_config_type": "flexible"},
            question_id_to_annotation_config=override,
        )
        assert done.status == "FAILED"  # 1, which the fake answers, is no text
        shown = {text for _, request in stage.models.asked for text in [request["messages"][-1]["content"]]}
        [first] = {text for text in shown if "Is it so?" in text}
        [second] = {text for text in shown if "And that?" in text}
        assert ">q0<" in first
        assert ">c1<" in first
        assert ">a0<" in first
        assert first.count("Is it so?") == 2
        assert "{x}" in first
        assert "## Gold" in second
        assert ">a0<" in second
        assert ">q0<" not in second


async def test_a_job_that_was_interrupted_goes_on_where_it_was(scene):
    config, _ = await scene.stage.config({"type": "free_text", "required": True}, kind="llm_auto")
    made = await scene.make(evaluation_config_id=config.id)
    scene.stage.models.answer = lambda text: '{"reasoning": "", "answer": "well"}'
    await scene.stage.run(made.id, chunks=1)
    halfway = await scene.client.evaluations.retrieve(made.id, view=["AsyncJobs"])
    asked = len(scene.stage.models.asked)
    assert (halfway.status, halfway.completed_test_case_result_count, jobs(halfway)["builder"]) == (
        "PENDING",
        asked,
        "Running",
    )
    assert 0 < asked < 3
    assert await scene.stage.unfinished() == [made.id]
    await scene.stage.run(made.id)
    done = await scene.client.evaluations.retrieve(made.id)
    assert (done.status, len(scene.stage.models.asked), await scene.stage.unfinished()) == ("COMPLETED", 3, [])


async def test_version_5_shows_the_same_evaluation(scene):
    rating = {"min_label": "a", "max_label": "b", "scale_steps": 5}
    config, [question] = await scene.stage.config({"type": "rating", "rating_options": rating}, kind="llm_auto")
    scene.stage.models.answer = lambda text: '{"reasoning": "", "answer": 4}'
    done = await scene.done(
        evaluation_config_id=config.id, metric_config={"components": [{"type": "f1", "name": "overlap"}]}
    )
    shown = (await scene.stage.raw.get(f"/v5/evaluations/{done.id}?views=tasks")).json()
    assert (shown["status"], shown["progress"]["items"]["successful"]) == ("completed", 3)
    assert [task["alias"] for task in shown["tasks"]] == ["metric:overlap", f"q:{question}"]
    items = (await scene.stage.raw.get("/v5/evaluation-items", params={"evaluation_id": done.id})).json()["items"]
    assert items[0]["data"] == {
        "input": "q0",
        "expected_output": "a0",
        "output": "a0",
        "metric:overlap": 1.0,
        f"q:{question}": 4,
    }
    assert set(items[0]["task_result_statuses"].values()) == {"completed"}


async def test_what_version_5_cancels_stays_cancelled_until_it_is_resumed(scene):
    config, [question] = await scene.stage.config({"type": "free_text"}, kind="llm_auto")
    scene.stage.models.answer = lambda text: '{"reasoning": "", "answer": "well"}'
    made = await scene.make(evaluation_config_id=config.id)
    await scene.stage.run(made.id, chunks=1)
    assert (await scene.stage.raw.post(f"/v5/evaluations/{made.id}/cancel")).status_code == 200
    waiting = next(each for each in await scene.results(made) if each.label_status == "PENDING")
    await scene.client.evaluations.test_case_results.update(
        waiting.id, evaluation_id=made.id, result={question: "by hand"}
    )
    found = await scene.client.evaluations.retrieve(made.id, view=["AsyncJobs"])
    assert (found.status, jobs(found)["builder"], await scene.stage.unfinished()) == ("FAILED", "Canceled", [])
    await scene.stage.run(made.id)
    assert (await scene.client.evaluations.retrieve(made.id)).status == "FAILED"


async def test_version_5_cannot_change_the_tasks_that_version_4_made(scene):
    done = await scene.done(metric_config={"components": [{"type": "f1", "name": "overlap"}]})
    path = f"/v5/evaluations/{done.id}/tasks"
    configuration = {"type": "bleu", "candidate": "item.output", "reference": "item.input"}
    changed = await scene.stage.raw.patch(f"{path}/metric:overlap", json={"configuration": configuration})
    assert (changed.status_code, "version 4" in changed.json()["detail"]) == (400, True)


async def test_a_result_is_labelled_only_when_all_of_its_tasks_are_done(scene):
    components = [{"type": "f1", "name": "one"}, {"type": "bleu", "name": "two"}]
    made = await scene.make(metric_config={"components": components})
    async with scene.stage.storage.read() as work:
        evaluation = await work.evaluations.get(None, made.id)
    labelling = Labelling(scene.stage.storage, load_task_types(), SystemClock())
    await labelling.generate(evaluation)
    await labelling.generate(evaluation)
    async with scene.stage.storage.write() as work:
        first, second, third = await work.items.range(evaluation.seq, 0, 10**15)
        left = [(first, "one"), (first, "two"), (second, "one"), (third, "two")]
        await work.results.add(
            [Result(evaluation.seq, item.seq, f"metric:{name}", ResultStatus.COMPLETED, 0.5) for item, name in left]
        )
    await labelling.label(evaluation, first.seq, third.seq)
    await labelling.finish(evaluation, None)
    assert [each.label_status for each in await scene.results(made)] == ["COMPLETED", "PENDING", "PENDING"]
    assert (await scene.client.evaluations.retrieve(made.id)).status == "PENDING"
    await labelling.finish(evaluation, "it broke")
    assert (await scene.client.evaluations.retrieve(made.id)).status == "FAILED"


async def test_an_application_that_cannot_be_reached_fails_its_results_and_posted_outputs_are_taken(scene):
    body = {"account_id": ACCOUNT, "application_spec_id": scene.spec, "name": "v", "version": "V0"}
    endpoint = {"url": "http://127.0.0.1:9/answer", "response": {"output": "answer"}}
    configuration = {"nodes": [], "edges": [], "endpoint": endpoint}
    made = await scene.stage.raw.post("/v4/application-variants", json={**body, "configuration": configuration})
    assert made.status_code == 200, made.text
    metrics = {"components": [{"type": "f1", "name": "overlap"}]}
    done = await scene.done(application_variant_id=made.json()["id"], metric_config=metrics)
    assert (done.status, jobs(done)["metrics-gen"]) == ("FAILED", "Failed")
    failed = await scene.results(done)
    assert {(each.label_status, each.test_case_evaluation_data.generation_output) for each in failed} == {
        ("FAILED", "")
    }
    posted = await scene.client.evaluations.test_case_results.create(
        done.id,
        application_spec_id=scene.spec,
        evaluation_dataset_version_num="1",
        test_case_id=scene.cases[0],
        test_case_evaluation_data={"generation_output": "a0"},
    )
    await scene.stage.run(done.id)
    [shown] = [each for each in await scene.results(done, "CustomMetrics") if each.id == posted.id]
    assert (shown.label_status, shown.test_case_evaluation_data.generation_output) == ("COMPLETED", "a0")
    assert [each.output for each in shown.custom_metrics] == [1.0]
    assert (await scene.client.evaluations.retrieve(done.id)).status == "COMPLETED"
