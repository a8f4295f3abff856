"""Studio projects, records of models, and reports about variants, through the official client in its strict mode."""

from typing import Any

import pytest
from scale_gp import BadRequestError, NotFoundError, UnprocessableEntityError

from tests.api.v4.served import ServedV4, faults, same

ACCOUNT = "default"
SECRET = "sk-studio-very-secret"
IMAGE = {"image": "i", "registry": "r", "tag": "t", "env": {"K": "v"}, "ours": [1]}
TEMPLATE: dict[str, Any] = {
    "account_id": ACCOUNT,
    "name": "template",
    "endpoint_type": "ASYNC",
    "model_type": "COMPLETION",
    "vendor_configuration": {"vendor": "LAUNCH", "bundle_config": IMAGE, "endpoint_config": {"cpus": 3}},
    "model_creation_parameters_schema": {
        "parameters": [{"name": "n", "type": "str", "description": "d", "required": True}]
    },
}


async def test_a_studio_project_never_shows_its_key(v4: ServedV4) -> None:
    projects = v4.official.studio_projects
    made = await projects.create(account_id=ACCOUNT, name="p", description="d", studio_api_key=SECRET)
    assert (made.name, made.description, made.account_id) == ("p", "d", ACCOUNT)
    changed = await projects.update(made.id, name="q", studio_api_key=SECRET + "2")
    assert (changed.name, changed.description) == ("q", "d")
    assert same(await projects.retrieve(made.id), changed)
    assert [each.id async for each in projects.list(account_id=ACCOUNT)] == [made.id]
    raw = await v4.raw.get(f"/v4/studio-projects/{made.id}")
    assert (SECRET in raw.text, "studio_api_key" in raw.text) == (False, False)
    assert (await projects.delete(made.id)).count == 1
    assert (await projects.delete(made.id)).count == 0
    assert [each.id async for each in projects.list()] == []
    with pytest.raises(BadRequestError):
        await projects.update(made.id, name="r")


async def test_a_bad_studio_key_is_refused_without_being_shown(v4: ServedV4) -> None:
    body = {"name": "p", "description": "d"}
    assert faults(await v4.raw.post("/v4/studio-projects", json=body)) == [["body", "studio_api_key"]]
    answer = await v4.raw.post("/v4/studio-projects", json={**body, "studio_api_key": {"secret": SECRET}})
    assert (answer.status_code, SECRET in answer.text) == (422, False)


async def test_records_of_models_come_back_as_they_were_written_down(v4: ServedV4) -> None:
    """What the official evaluation script does before it evaluates."""
    template = await v4.official.model_templates.create(**TEMPLATE)
    assert template.vendor_configuration.to_dict() == TEMPLATE["vendor_configuration"]
    assert same(await v4.official.model_templates.retrieve(template.id), template)
    assert [each.id async for each in v4.official.model_templates.list()] == [template.id]

    models = v4.official.models
    model = await models.create(
        account_id=ACCOUNT,
        name="model",
        model_type="CHAT_COMPLETION",
        model_template_id=template.id,
        model_creation_parameters={"n": "x"},
        base_model_metadata={"model_details": {"languages": 2}},
    )
    assert (model.model_template_id, model.deployment_count, model.supports_multi_turn) == (template.id, 0, True)
    assert model.base_model_metadata is not None
    assert model.base_model_metadata.model_details is not None
    assert model.base_model_metadata.model_details.languages == 2

    deployments = models.deployments
    one = await deployments.create(
        model.id, name="one", vendor_configuration={"vendor": "LAUNCH", "min_workers": 1}, wait_for_ready=True
    )
    assert (one.status, one.model_instance_id, one.name) == ("NOT_DEPLOYED", model.id, "one")
    assert one.vendor_configuration is not None
    assert one.vendor_configuration.min_workers == 1
    changed = await deployments.update(one.id, model_instance_id=model.id, name="two")
    assert (changed.name, changed.vendor_configuration) == ("two", one.vendor_configuration)
    assert same(await deployments.retrieve(one.id, model_instance_id=model.id), changed)
    assert [each.id async for each in deployments.list(model.id)] == [one.id]
    assert [each.id async for each in deployments.list_all(account_id=ACCOUNT)] == [one.id]

    shown = await models.retrieve(model.id, view=["Deployments", "ModelGroup"])
    assert (shown.deployment_count, [each.id for each in shown.deployments or []]) == (1, [one.id])
    assert [each.id async for each in models.list(model_type="CHAT_COMPLETION")] == [model.id]
    assert [each.id async for each in models.list(model_type="AGENT")] == []
    renamed = await models.update(model.id, name="new", description="d")
    assert (renamed.name, renamed.description, renamed.model_template_id) == ("new", "d", template.id)
    cleared = await v4.raw.patch(f"/v4/models/{model.id}", json={"description": None, "name": None})
    assert (cleared.json()["description"], cleared.json()["name"]) == (None, "new")

    assert (await deployments.delete(one.id, model_instance_id=model.id)).count == 1
    assert (await models.retrieve(model.id)).deployment_count == 0
    assert (await models.delete(model.id)).count == 1
    assert (await v4.official.model_templates.delete(template.id)).count == 1
    with pytest.raises(BadRequestError):
        await deployments.create(model.id, name="late")


async def test_records_of_models_refer_only_to_what_is_there(v4: ServedV4) -> None:
    models = v4.official.models
    with pytest.raises(NotFoundError):
        await models.create(account_id=ACCOUNT, name="m", model_type="GENERIC", model_template_id="nobody's")
    model = await models.create(account_id=ACCOUNT, name="m", model_type="GENERIC")
    other = await models.create(account_id=ACCOUNT, name="n", model_type="GENERIC")
    deployment = await models.deployments.create(model.id, name="d")
    with pytest.raises(NotFoundError):
        await models.deployments.retrieve(deployment.id, model_instance_id=other.id)
    for path in (f"/v4/models/{model.id}", f"/v4/models/{model.id}/deployments"):
        assert (await v4.stranger.get(path)).status_code == 404
    with pytest.raises(UnprocessableEntityError):
        await models.create(account_id=ACCOUNT, name="m", model_type="ODD")  # type: ignore[arg-type]
    body = {**TEMPLATE, "vendor_configuration": {"bundle_config": {"image": "i"}}}
    places = faults(await v4.raw.post("/v4/model-templates", json=body))
    assert [place[-1] for place in places] == ["registry", "tag"]


async def a_variant(v4: ServedV4) -> tuple[str, str]:
    spec = (await v4.raw.post("/v4/application-specs", json={"name": "s", "description": ""})).json()["id"]
    body = {"name": "v", "application_spec_id": spec, "version": "OFFLINE", "configuration": {}}
    return spec, (await v4.raw.post("/v4/application-variants", json=body)).json()["id"]


async def a_dataset(v4: ServedV4, *, published: bool = True) -> str:
    made = await v4.official.evaluation_datasets.create(account_id=ACCOUNT, name="d", schema_type="GENERATION")
    if published:
        await v4.official.evaluation_datasets.publish(made.id)
    return made.id


async def test_a_reports_job_is_completed_at_once_and_its_scores_are_missing(v4: ServedV4) -> None:
    """The official report card script, which waits until the first job is `Completed`."""
    spec, variant = await a_variant(v4)
    datasets = [await a_dataset(v4), await a_dataset(v4)]
    reports = v4.official.application_variant_reports
    made = await reports.create(
        application_variant_id=variant, evaluation_dataset_ids=[*datasets, datasets[0]], account_id=ACCOUNT
    )
    assert (made.application_spec_id, made.application_variant_id, made.score) == (spec, variant, None)
    assert made.evaluation_datasets is not None
    assert [each.evaluation_dataset.id for each in made.evaluation_datasets] == datasets
    assert [each.evaluation_dataset_version_num for each in made.evaluation_datasets] == [1, 1]

    report = await reports.retrieve(made.id, view=["AsyncJobs"])
    assert report.async_jobs is not None
    (job,) = report.async_jobs
    assert (job.status, job.job_type) == ("Completed", "application-variant-report-generation")
    assert "without scores" in (job.status_reason or "")
    assert report.category_scores is not None
    assert [each.category for each in report.category_scores] == [
        "accuracy",
        "retrieval",
        "quality",
        "trust-and-safety",
    ]
    assert {metric.score for each in report.category_scores for metric in each.metric_scores} == {None}
    raw = (await v4.raw.get(f"/v4/application-variant-reports/{made.id}")).json()
    assert "async_jobs" not in raw
    assert len(raw["category_scores"][3]["metric_scores"][0]["sub_metric_scores"]) == 6

    _, other = await a_variant(v4)
    later = await reports.create(application_variant_id=other, evaluation_dataset_ids=datasets[:1])
    assert [each.id async for each in reports.list()] == [later.id, made.id]
    assert [each.id async for each in reports.list(application_variant_id=variant)] == [made.id]
    assert [each.id async for each in reports.list(application_spec_id=spec, view=["AsyncJobs"])] == [made.id]


async def test_a_report_names_only_groups_of_its_variants_outputs(v4: ServedV4) -> None:
    (_, variant), (_, other) = await a_variant(v4), await a_variant(v4)
    dataset = await a_dataset(v4, published=False)
    case = await v4.official.evaluation_datasets.test_cases.create(dataset, test_case_data={"input": "q"})
    await v4.official.evaluation_datasets.publish(dataset)
    (output,) = await v4.official.application_test_case_outputs.batch(
        items=[
            {
                "account_id": ACCOUNT,
                "application_variant_id": variant,
                "evaluation_dataset_version_num": 1,
                "test_case_id": case.id,
                "output": {"generation_output": "o"},
            }
        ]
    )
    group = output.application_test_case_output_group_id or ""
    create = v4.official.application_variant_reports.create
    asked: Any = {"evaluation_dataset_ids": [dataset], "application_test_case_output_group_ids": [group]}
    assert (await create(application_variant_id=variant, **asked)).application_variant_id == variant
    with pytest.raises(BadRequestError, match="another variant"):
        await create(application_variant_id=other, **asked)
    with pytest.raises(NotFoundError):
        await create(application_variant_id=variant, **{**asked, "application_test_case_output_group_ids": ["x"]})


async def test_a_report_needs_a_variant_and_published_datasets(v4: ServedV4) -> None:
    _, variant = await a_variant(v4)
    reports = v4.official.application_variant_reports
    with pytest.raises(BadRequestError, match="publish it first"):
        await reports.create(
            application_variant_id=variant, evaluation_dataset_ids=[await a_dataset(v4, published=False)]
        )
    with pytest.raises(NotFoundError):
        await reports.create(application_variant_id=variant, evaluation_dataset_ids=["nobody's"])
    with pytest.raises(NotFoundError):
        await reports.create(application_variant_id="nobody's", evaluation_dataset_ids=[await a_dataset(v4)])
    with pytest.raises(UnprocessableEntityError):
        await reports.create(application_variant_id=variant, evaluation_dataset_ids=[])
    made = await reports.create(application_variant_id=variant, evaluation_dataset_ids=[await a_dataset(v4)])
    assert (await v4.stranger.get(f"/v4/application-variant-reports/{made.id}")).status_code == 404
