"""Evaluations of applications over HTTP: made, read, listed in every order, changed and removed."""

import asyncio
import itertools

import pytest
from scale_gp import BadRequestError, NotFoundError, UnprocessableEntityError

from assay.api.v4.schemas import evaluations as schemas
from assay.core.application_evaluations import SORT_KEYS
from tests.api.v4.scenery import ACCOUNT, a_stage

FOUR_VIEWS = ["ApplicationSpec", "AsyncJobs", "EvaluationConfig", "EvaluationDatasets"]
FLEXIBLE = {"components": [[{"data_loc": ["test_case_data", "input"], "label": "in"}]], "direction": "col"}


@pytest.fixture
async def stage(tmp_path):
    async with a_stage(tmp_path) as made:
        yield made


async def names(stage, **query):
    return [each.name async for each in stage.client.evaluations.list(**query)]


async def test_a_default_evaluation_is_pending_and_keeps_everything(stage):
    spec, (config, _) = await stage.spec(), await stage.config()
    created = await stage.evaluation(
        spec,
        name="full",
        description="all of it",
        evaluation_config_id=config.id,
        evaluation_config={"anything": [1, {"deep": None}]},
        annotation_config={**FLEXIBLE, "annotation_config_type": "flexible"},
        question_id_to_annotation_config={"q": FLEXIBLE},
        metric_config={
            "components": [{"type": "rouge", "name": "r", "mappings": {"candidate": ["test_case_data", "input"]}}]
        },
        tags={"b": 1, "a": {"c": [None]}},
    )
    assert (created.status, created.total_test_case_result_count, created.completed_test_case_result_count) == (
        "PENDING",
        0,
        0,
    )
    found = await stage.client.evaluations.retrieve(created.id)
    assert found.evaluation_config == {"anything": [1, {"deep": None}]}
    assert found.tags == {"b": 1, "a": {"c": [None]}}
    assert found.annotation_config.components[0][0].data_loc == ["test_case_data", "input"]
    assert (found.annotation_config.direction, found.annotation_config.annotation_config_type) == ("col", "flexible")
    assert found.question_id_to_annotation_config["q"].components[0][0].label == "in"
    assert found.metric_config.components[0].mappings == {"candidate": ["test_case_data", "input"]}
    assert (found.evaluation_config_id, found.application_spec_id, found.completed_at) == (config.id, spec, None)
    raw = (await stage.raw.get(f"/v4/evaluations/{created.id}")).json()
    assert set(raw) == set(schemas.ApplicationEvaluation.model_fields)
    schemas.ApplicationEvaluation.model_validate(raw)


async def test_null_absent_and_empty_tags_are_told_apart(stage):
    spec = await stage.spec()
    absent, empty = await stage.evaluation(spec), await stage.evaluation(spec, tags={})
    assert (absent.tags, empty.tags) == (None, {})
    assert (await stage.evaluation(spec, tags=None)).tags is None
    assert (await stage.client.evaluations.update(empty.id, name="n")).tags == {}
    assert (await stage.client.evaluations.update(absent.id, tags={})).tags == {}
    assert (await stage.client.evaluations.update(absent.id, tags=None)).tags is None
    assert (await stage.client.evaluations.update(absent.id)).tags is None


async def test_every_view_is_filled_and_absent_without_being_asked_for(stage):
    spec, (config, questions) = await stage.spec("app"), await stage.config()
    variant, (dataset, cases) = await stage.variant(spec), await stage.dataset()
    await stage.upload(variant, cases)
    created = await stage.evaluation(
        spec, application_variant_id=variant, evaluation_dataset_id=dataset, evaluation_config_id=config.id
    )
    found = await stage.client.evaluations.retrieve(created.id, view=FOUR_VIEWS)
    assert (found.application_spec.id, found.application_spec.name) == (spec, "app")
    assert [(job.job_type, job.status) for job in found.async_jobs] == [
        ("evaluation-builder", "Pending"),
        ("evaluation-test-cases-result-gen", "Pending"),
    ]
    assert [job.parent_job_id for job in found.async_jobs] == [None, found.async_jobs[0].id]
    assert found.evaluation_config_expanded.id == config.id
    assert [each.id for each in found.evaluation_config_expanded.question_set.questions] == questions
    assert found.evaluation_config_expanded.question_set.questions[0].created_by_user_id
    assert [each.id for each in found.evaluation_datasets] == [dataset]
    [listed] = [each async for each in stage.client.evaluations.list(view=FOUR_VIEWS)]
    assert listed.to_dict() == found.to_dict()
    bare = (await stage.raw.get(f"/v4/evaluations/{created.id}")).json()
    assert not {"application_spec", "async_jobs", "evaluation_config_expanded", "evaluation_datasets"} & set(bare)
    schemas.ApplicationEvaluationWithViews.model_validate(
        (await stage.raw.get(f"/v4/evaluations/{created.id}", params={"view": ",".join(FOUR_VIEWS)})).json()
    )


@pytest.mark.parametrize("view", ["TestCaseResults", "CreatedByUser", "", "ApplicationSpec,AsyncJobs"])
async def test_older_clients_views_are_accepted(stage, view):
    created = await stage.evaluation()
    answer = await stage.raw.get(f"/v4/evaluations/{created.id}", params={"view": view})
    assert answer.status_code == 200
    if view == "TestCaseResults":
        assert answer.json()["test_case_results"] == []


async def test_an_evaluation_with_only_an_inline_dict_shows_the_legacy_config(stage):
    question = {"question_id": "q1", "type": "categorical", "title": "T", "prompt": "P", "choices": [{"label": "a"}]}
    created = await stage.evaluation(evaluation_config={"evaluation_type": "studio", "questions": [question, "odd"]})
    found = await stage.client.evaluations.retrieve(created.id, view=["EvaluationConfig"])
    expanded = found.evaluation_config_expanded
    assert (expanded.evaluation_type, [each.id for each in expanded.question_set.questions]) == ("studio", ["q1"])
    without = await stage.client.evaluations.retrieve((await stage.evaluation()).id, view=["EvaluationConfig"])
    assert without.evaluation_config_expanded is None


async def test_an_inline_config_is_made_with_the_evaluation_or_not_at_all(stage):
    config, _ = await stage.config()
    spec = await stage.spec()
    inline = {"account_id": ACCOUNT, "question_set_id": config.question_set_id, "evaluation_type": "human"}
    (dataset, cases), variant = await stage.dataset(), await stage.variant(spec)
    await stage.upload(variant, cases)
    builder = {"application_variant_id": variant, "evaluation_dataset_id": dataset}
    created = await stage.evaluation(spec, inline_evaluation_config=inline, **builder)
    assert created.evaluation_config_id not in (None, config.id)
    count = (await stage.client.evaluation_configs.list()).total_item_count
    with pytest.raises(BadRequestError):
        await stage.evaluation(spec, inline_evaluation_config=inline, evaluation_config_id=config.id, **builder)
    with pytest.raises(NotFoundError):
        await stage.evaluation(spec, inline_evaluation_config={**inline, "question_set_id": "x"}, **builder)
    assert (await stage.client.evaluation_configs.list()).total_item_count == count
    assert (await stage.client.evaluations.list()).total_item_count == 1


async def test_the_type_is_builder_exactly_when_dataset_and_variant_are_named(stage):
    spec = await stage.spec()
    (dataset, cases), variant = await stage.dataset(), await stage.variant(spec)
    await stage.upload(variant, cases)

    async def jobs(**more):
        made = await stage.evaluation(spec, **more)
        return len((await stage.client.evaluations.retrieve(made.id, view=["AsyncJobs"])).async_jobs)

    both = {"application_variant_id": variant, "evaluation_dataset_id": dataset}
    assert await jobs(**both) == 2
    assert await jobs(**both, type="default") == 0
    assert await jobs(application_variant_id=variant) == 0
    assert await jobs(evaluation_dataset_id=dataset) == 0
    with pytest.raises(UnprocessableEntityError, match="evaluation_dataset_id"):
        await stage.evaluation(spec, application_variant_id=variant, type="builder")


async def test_a_builder_needs_a_published_version(stage):
    spec = await stage.spec()
    variant = await stage.variant(spec)
    dataset = await stage.client.evaluation_datasets.create(account_id=ACCOUNT, name="d", schema_type="FLEXIBLE")
    case = await stage.client.evaluation_datasets.test_cases.create(dataset.id, test_case_data={"input": "q"})
    both = {"application_variant_id": variant, "evaluation_dataset_id": dataset.id}
    with pytest.raises(BadRequestError, match="publish"):
        await stage.evaluation(spec, **both)
    await stage.client.evaluation_datasets.evaluation_dataset_versions.create(dataset.id)
    with pytest.raises(BadRequestError, match="publish"):
        await stage.evaluation(spec, **both, evaluation_dataset_version=1)
    await stage.client.evaluation_datasets.publish(dataset.id)
    with pytest.raises(BadRequestError, match="has no outputs"):
        await stage.evaluation(spec, **both)
    await stage.upload(variant, [case.id])
    assert (await stage.evaluation(spec, **both, evaluation_dataset_version=1)).status == "PENDING"
    with pytest.raises(NotFoundError):
        await stage.evaluation(spec, **both, evaluation_dataset_version=2)


async def test_what_is_named_must_be_in_the_account_and_fit(stage):
    spec, other = await stage.spec(), await stage.spec("other")
    foreign = (
        await stage.stranger.post("/v4/application-specs", json={"name": "s", "description": "", "account_id": "other"})
    ).json()["id"]
    for bad in (foreign, "nothing"):
        with pytest.raises(NotFoundError):
            await stage.evaluation(bad)
    with pytest.raises(NotFoundError):
        await stage.evaluation(spec, evaluation_config_id="nothing")
    with pytest.raises(BadRequestError, match="not of the application spec"):
        await stage.evaluation(spec, application_variant_id=await stage.variant(other))
    assert (await stage.client.evaluations.list()).total_item_count == 0


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ({"name": ""}, "name"),
        ({"name": 5}, "name"),
        ({"type": "other"}, "type"),
        ({"tags": []}, "tags"),
        ({"annotation_config": {"direction": "up"}}, "direction"),
        ({"annotation_config": {"components": [[{"data_loc": "x"}]]}}, "data_loc"),
        ({"annotation_config": {"document_loc": ["a"]}}, "summary_loc"),
        ({"question_id_to_annotation_config": {"q": {"llm_prompt": {"template": 1}}}}, "template"),
        ({"metric_config": {"components": [{"type": "made-up", "name": "n"}]}}, "type"),
        ({"metric_config": {"components": [{"type": "f1", "name": "n"}, {"type": "f1", "name": "n"}]}}, "name"),
        ({"evaluation_dataset_version": 0}, "evaluation_dataset_version"),
    ],
)
async def test_a_bad_body_is_refused_where_it_is_bad(stage, more, place):
    body = {"name": "n", "description": "", "application_spec_id": await stage.spec(), **more}
    answer = await stage.raw.post("/v4/evaluations", json=body)
    assert answer.status_code == 422, answer.text
    assert any(place in problem["loc"] for problem in answer.json()["detail"]), answer.text
    assert (await stage.client.evaluations.list()).total_item_count == 0


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("view=Nonsense", "view"),
        ("view=ApplicationSpec,nonsense", "view"),
        ("sort_by=nonsense:asc", "sort_by"),
        ("sort_by=name", "sort_by"),
        ("sort_by=name:up", "sort_by"),
        ("sort_by=name:asc,id:x", "sort_by"),
        ("page=0", "page"),
        ("page=-1", "page"),
        ("page=one", "page"),
        ("limit=0", "limit"),
        ("limit=10001", "limit"),
        ("include_archived=maybe", "include_archived"),
    ],
)
async def test_a_bad_query_is_refused_by_the_name_of_its_parameter(stage, query, parameter):
    answer = await stage.raw.get(f"/v4/evaluations?{query}")
    assert answer.status_code == 422
    assert {problem["loc"][1] for problem in answer.json()["detail"]} == {parameter}


async def test_pages_end_with_an_empty_one_and_echo_their_number(stage):
    spec = await stage.spec()
    made = [(await stage.evaluation(spec, name=f"n{number}")).id for number in range(5)]
    seen = [each.id async for each in stage.client.evaluations.list(limit=2)]
    assert seen == made[::-1]
    for number, expected in ((1, 2), (3, 1), (4, 0), (2**31 - 1, 0)):
        page = (await stage.raw.get("/v4/evaluations", params={"page": number, "limit": 2})).json()
        assert (len(page["items"]), page["current_page"], page["items_per_page"]) == (expected, number, 2)
        assert page["total_item_count"] == 5
    assert len((await stage.raw.get("/v4/evaluations?limit=10000")).json()["items"]) == 5


async def test_lists_are_by_spec_and_account_and_hide_archived_ones(stage):
    one, two = await stage.spec(), await stage.spec("two")
    first, _ = await stage.evaluation(one, name="first"), await stage.evaluation(two, name="second")
    await stage.client.evaluations.delete(first.id)
    assert await names(stage) == ["second"]
    assert await names(stage, include_archived=True) == ["second", "first"]
    assert await names(stage, application_spec_id=one) == []
    assert await names(stage, application_spec_id=one, include_archived=True) == ["first"]
    assert await names(stage, account_id=ACCOUNT) == ["second"]
    assert (await stage.stranger.get("/v4/evaluations")).json()["items"] == []
    assert (await stage.raw.get("/v4/evaluations?account_id=other")).status_code == 403


async def test_every_sort_key_works_in_both_directions(stage):
    one, two = await stage.spec("B"), await stage.spec("A")
    (config, _), (dataset, cases) = await stage.config(), await stage.dataset()
    variant = await stage.variant(one)
    await stage.upload(variant, cases)
    await stage.evaluation(one, name="a", tags={"k": 2}, evaluation_config={"x": 1}, evaluation_config_id=config.id)
    await stage.evaluation(
        one,
        name="b",
        description="z",
        metric_config={"components": []},
        application_variant_id=variant,
        evaluation_dataset_id=dataset,
    )
    await stage.evaluation(
        two, name="c", tags={"k": 1}, annotation_config=FLEXIBLE, question_id_to_annotation_config={"q": FLEXIBLE}
    )
    expected = {
        "application_spec": ("cba", "bac"),
        "application_spec_id": ("bac", "cba"),
        "application_variant": ("bca", "cab"),
        "application_variant_id": ("bca", "cab"),
        "evaluation_config_id": ("acb", "cba"),
        "evaluation_config_expanded": ("acb", "cba"),
        "evaluation_config": ("acb", "cba"),
        "annotation_config": ("cba", "bac"),
        "question_id_to_annotation_config": ("cba", "bac"),
        "metric_config": ("bca", "cab"),
        "async_jobs": ("cab", "bca"),
        "evaluation_datasets": ("cab", "bca"),
        "description": ("cab", "bca"),
        "tags": ("cab", "bac"),
        "name": ("abc", "cba"),
        "id": ("abc", "cba"),
        "created_at": ("abc", "cba"),
    }
    for key in SORT_KEYS:
        for position, way in enumerate(("asc", "desc")):
            found = "".join(await names(stage, sort_by=[f"{key}:{way}"]))
            assert sorted(found) == ["a", "b", "c"]
            if key in expected:
                assert found == expected[key][position], (key, way)
    assert await names(stage, sort_by=["application_spec:asc", "name:desc"]) == ["c", "b", "a"]
    assert await names(stage, sort_by=["application_spec:desc", "name:asc"]) == ["a", "b", "c"]


async def test_pairs_of_sort_keys_page_without_loss(stage):
    spec = await stage.spec()
    for number in range(6):
        await stage.evaluation(spec, name=f"n{number % 2}", description=str(number % 3))
    for keys in itertools.permutations(("name:asc", "description:desc", "status:asc"), 2):
        seen = [each async for each in stage.client.evaluations.list(sort_by=list(keys), limit=2)]
        assert len({each.id for each in seen}) == 6
        ordered = [each async for each in stage.client.evaluations.list(sort_by=list(keys))]
        assert [each.id for each in seen] == [each.id for each in ordered]


async def test_an_update_replaces_objects_and_leaves_the_rest(stage):
    spec, other = await stage.spec(), await stage.spec("other")
    created = await stage.evaluation(
        spec, tags={"a": 1}, evaluation_config={"x": 1}, annotation_config=FLEXIBLE, description="d"
    )
    changed = await stage.client.evaluations.update(created.id, tags={"b": 2}, application_spec_id=other)
    assert (changed.tags, changed.application_spec_id, changed.description) == ({"b": 2}, other, "d")
    assert (changed.evaluation_config, changed.annotation_config.direction) == ({"x": 1}, "col")
    cleared = await stage.client.evaluations.update(
        created.id, evaluation_config=None, name=None, annotation_config=None
    )
    assert (cleared.evaluation_config, cleared.annotation_config, cleared.name) == (None, None, "an evaluation")
    assert (await stage.client.evaluations.retrieve(created.id)).to_dict() == cleared.to_dict()


async def test_only_an_evaluation_with_a_fitting_config_can_become_hybrid(stage):
    human, _ = await stage.config()
    hybrid, _ = await stage.config(kind="llm_benchmark")
    spec = await stage.spec()
    ids = {each: (await stage.evaluation(spec, evaluation_config_id=each)).id for each in (human.id, hybrid.id)}
    same = await stage.client.evaluations.update(ids[hybrid.id], evaluation_type="llm_benchmark")
    assert same.evaluation_config_id == hybrid.id
    changed = await stage.client.evaluations.update(ids[human.id], evaluation_type="llm_benchmark")
    assert changed.evaluation_config_id not in (human.id, hybrid.id)
    found = await stage.client.evaluations.retrieve(changed.id, view=["EvaluationConfig"])
    assert found.evaluation_config_expanded.evaluation_type == "llm_benchmark"
    assert found.evaluation_config_expanded.auto_evaluation_model == "gpt-4o"
    with pytest.raises(BadRequestError):
        await stage.client.evaluations.update((await stage.evaluation(spec)).id, evaluation_type="llm_benchmark")


async def test_a_deleted_evaluation_can_be_restored_and_not_changed(stage):
    created = await stage.evaluation()
    assert (await stage.client.evaluations.delete(created.id)).count == 1
    assert (await stage.client.evaluations.delete(created.id)).count == 0
    assert (await stage.client.evaluations.retrieve(created.id)).archived_at is not None
    with pytest.raises(BadRequestError):
        await stage.client.evaluations.update(created.id, name="no")
    restored = await stage.client.evaluations.update(created.id, restore=True)
    assert (restored.archived_at, restored.name) == (None, created.name)
    assert (await stage.client.evaluations.list()).total_item_count == 1


async def test_other_accounts_evaluations_do_not_exist(stage):
    created = await stage.evaluation()
    path = f"/v4/evaluations/{created.id}"
    missing = await stage.stranger.get("/v4/evaluations/nothing")
    answers = [
        await stage.stranger.get(path),
        await stage.stranger.patch(path, json={"name": "mine"}),
        await stage.stranger.delete(path),
        await stage.stranger.get(f"{path}/test-case-results"),
    ]
    assert {answer.status_code for answer in [missing, *answers]} == {404}
    assert {answer.json()["code"] for answer in answers} == {"not_found"}
    assert (await stage.client.evaluations.retrieve(created.id)).name == created.name


async def test_sql_in_values_is_data(stage):
    evil = "'; DROP TABLE evaluations; --"
    spec = await stage.spec(evil)
    await stage.evaluation(spec, name=evil, tags={evil: evil})
    assert await names(stage, sort_by=["application_spec:asc"]) == [evil]
    assert await names(stage, application_spec_id=evil) == []
    assert (await stage.raw.get("/v4/evaluations", params={"sort_by": f"name:asc{evil}"})).status_code == 422


async def test_an_evaluation_made_in_v4_is_there_in_v5(stage):
    spec, (dataset, cases) = await stage.spec(), await stage.dataset()
    variant = await stage.variant(spec)
    await stage.upload(variant, cases)
    created = await stage.evaluation(
        spec, tags={"k": 1}, description="d", application_variant_id=variant, evaluation_dataset_id=dataset
    )
    shown = (await stage.raw.get(f"/v5/evaluations/{created.id}?views=tasks")).json()
    assert (shown["status"], shown["metadata"], shown["tags"], shown["tasks"]) == ("running", {"k": 1}, [], [])
    assert ([each["id"] for each in shown["datasets"]], shown["description"]) == ([dataset], "d")
    assert [each["id"] for each in (await stage.raw.get("/v5/evaluations")).json()["items"]] == [created.id]


async def test_an_evaluation_made_in_v5_is_there_in_v4(stage):
    created = await stage.v5.create(metadata={"k": {"n": 1}}, tags=["t"])
    found = await stage.client.evaluations.retrieve(created["id"], view=FOUR_VIEWS)
    assert (found.status, found.tags, found.description) == ("COMPLETED", {"k": {"n": 1}}, "")
    assert (found.total_test_case_result_count, found.completed_test_case_result_count) == (2, 2)
    assert found.completed_at is not None
    assert found.application_spec.id == found.application_spec_id
    assert found.evaluation_config_expanded.question_set.questions == []
    assert (await stage.client.application_specs.retrieve(found.application_spec_id)).name == "v5 evaluations"
    assert await names(stage, application_spec_id=found.application_spec_id) == ["an evaluation"]
    with pytest.raises(BadRequestError, match="version 5"):
        await stage.client.evaluations.update(created["id"], evaluation_config={})


async def test_neither_version_drops_what_only_the_other_sees(stage):
    spec = await stage.spec()
    made = await stage.evaluation(spec, tags={"a": 1}, evaluation_config={"x": 1}, annotation_config=FLEXIBLE)
    before = (await stage.client.evaluations.retrieve(made.id)).to_dict()
    await stage.raw.patch(f"/v5/evaluations/{made.id}", json={"tags": ["t"], "metadata": {"b": 2}, "name": "v5"})
    after = (await stage.client.evaluations.retrieve(made.id)).to_dict()
    assert after == {**before, "name": "v5", "tags": {"a": 1, "b": 2}}
    await stage.client.evaluations.update(made.id, tags={"c": 3})
    assert (await stage.raw.get(f"/v5/evaluations/{made.id}")).json()["tags"] == ["t"]

    born = await stage.v5.create(metadata={"a": 1}, tags=["t"], description="d")
    await stage.client.evaluations.update(born["id"], tags={"z": 1}, name="v4")
    shown = (await stage.raw.get(f"/v5/evaluations/{born['id']}")).json()
    assert shown == {**born, "metadata": {"z": 1}, "name": "v4"}


async def test_version_5_says_that_what_waits_for_results_has_nothing_to_cancel(stage):
    made = await stage.evaluation()
    refused = await stage.raw.post(f"/v5/evaluations/{made.id}/cancel")
    assert (refused.status_code, "runs no tasks" in refused.json()["detail"]) == (400, True)
    changed = await stage.raw.patch(f"/v5/evaluations/{made.id}/tasks/nothing", json={"configuration": {}})
    assert (changed.status_code, "version 4" in changed.json()["detail"]) == (400, True)


async def test_either_version_archives_and_restores_for_both(stage):
    made = await stage.evaluation()
    await stage.client.evaluations.delete(made.id)
    assert (await stage.raw.get(f"/v5/evaluations/{made.id}")).status_code == 404
    await stage.raw.patch(f"/v5/evaluations/{made.id}", json={"restore": True})
    assert (await stage.client.evaluations.retrieve(made.id)).archived_at is None


async def test_updates_at_once_lose_nothing(stage):
    made = await stage.evaluation()
    changes = [{"description": "d"}, {"tags": {"k": 1}}, {"evaluation_config": {"x": 1}}, {"name": "n"}]
    await asyncio.gather(*(stage.client.evaluations.update(made.id, **change) for change in changes))
    found = await stage.client.evaluations.retrieve(made.id)
    assert (found.description, found.tags, found.evaluation_config, found.name) == ("d", {"k": 1}, {"x": 1}, "n")
