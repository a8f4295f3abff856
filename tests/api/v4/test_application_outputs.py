"""Applications' outputs over HTTP: uploaded in groups, with traces, listed and shown."""

import pytest
from scale_gp import BadRequestError, NotFoundError

from assay.api.v4.schemas import outputs as schemas
from tests.api.v4.scenery import ACCOUNT, a_stage
from tests.api.v4.served import faults

START = "2026-03-04T05:06:07"
PATH = "/v4/application-test-case-outputs"


class Scene:
    """A variant and a published dataset of two test cases."""

    def __init__(self, stage):
        self.stage = stage
        self.outputs = stage.client.application_test_case_outputs

    async def build(self, schema_type="GENERATION"):
        self.spec = await self.stage.spec()
        self.variant = await self.stage.variant(self.spec)
        self.dataset, self.cases = await self.stage.dataset(2, schema_type)
        return self

    def item(self, case=0, **more):
        return {
            "account_id": ACCOUNT,
            "application_variant_id": self.variant,
            "evaluation_dataset_version_num": 1,
            "test_case_id": self.cases[case],
            "output": {"generation_output": f"output {case}"},
            **more,
        }

    async def refused(self, *items):
        """The detail of the 400 that a batch is answered with."""
        with pytest.raises(BadRequestError) as refusal:
            await self.outputs.batch(items=list(items))
        assert [each async for each in self.outputs.list()] == []
        return refusal.value.body["detail"]


def span(node="retrieve", **more):
    return {
        "node_id": node,
        "operation_input": {"query": "q"},
        "operation_output": {"chunks": [{"text": "c"}]},
        "start_timestamp": START,
        **more,
    }


@pytest.fixture
async def scene(tmp_path):
    async with a_stage(tmp_path) as stage:
        yield await Scene(stage).build()


async def test_a_batch_is_one_group_and_comes_back_as_it_was(scene):
    metrics = {"latency": 3, "quality": 0.5}
    extra = {"generation_output": "o", "generation_extra_info": {"schema_type": "STRING", "info": "i"}}
    made = await scene.outputs.batch(items=[scene.item(0, metrics=metrics, output=extra), scene.item(1)])
    assert [each.test_case_id for each in made] == scene.cases
    assert len({each.application_test_case_output_group_id for each in made}) == 1
    raw = (await scene.stage.raw.get(f"{PATH}/{made[0].id}")).json()
    schemas.ApplicationOutput.model_validate(raw)
    assert set(raw) == set(schemas.ApplicationOutput.model_fields)
    assert (raw["output"], raw["metrics"], raw["schema_type"]) == (extra, metrics, "GENERATION")
    assert (raw["evaluation_dataset_id"], raw["application_interaction_id"]) == (scene.dataset, None)


async def test_another_batch_is_another_group_and_lists_tell_them_apart(scene):
    first = await scene.outputs.batch(items=[scene.item(0), scene.item(1)])
    second = await scene.outputs.batch(items=[scene.item(1, ignore_missing=True)])
    other = await scene.stage.variant(scene.spec)
    await scene.outputs.batch(items=[scene.item(0, application_variant_id=other, ignore_missing=True)])
    groups = [each[0].application_test_case_output_group_id for each in (first, second)]

    async def ids(**where):
        return [each.id async for each in scene.outputs.list(limit=1, **where)]

    assert await ids(application_test_case_output_group_id=groups[0]) == [each.id for each in first]
    assert await ids(application_test_case_output_group_id=groups[1]) == [second[0].id]
    assert len(await ids(application_variant_id=scene.variant)) == 3
    assert len(await ids(evaluation_dataset_id=scene.dataset)) == 4
    assert await ids(evaluation_dataset_id=scene.dataset, evaluation_dataset_version_num=2) == []
    assert await ids(application_variant_report_id="any") == []


async def test_spans_make_an_interaction_that_the_trace_view_shows(scene):
    spans = [
        span(end_timestamp="2026-03-04T05:06:08.5Z", operation_type="RETRIEVAL", operation_expected={"chunks": []}),
        span("answer", start_timestamp="2026-03-04T05:06:09Z", duration_ms=2500, operation_metadata={"model": "m"}),
        span("last", start_timestamp="2026-03-04T05:06:10Z", operation_status="ERROR"),
    ]
    made = await scene.outputs.batch(items=[scene.item(0, trace_spans=spans), scene.item(1)])
    views = ["MetricScores", "TestCaseVersion", "Trace"]
    shown = await scene.outputs.retrieve(made[0].id, view=views)
    interaction = shown.interaction
    assert (interaction.id, interaction.interaction_source) == (made[0].application_interaction_id, "EXTERNAL_AI")
    assert (interaction.duration_ms, interaction.operation_status) == (4500, "ERROR")
    assert (interaction.input, interaction.output) == ({"input": "q0"}, {"output": "output 0"})
    assert [(each.node_id, each.operation_type, each.duration_ms) for each in interaction.trace_spans] == [
        ("retrieve", "KB_RETRIEVAL", 1500),
        ("answer", "CUSTOM", 2500),
        ("last", "CUSTOM", 0),
    ]
    assert shown.test_case_version.id == scene.cases[0]
    listed = [each async for each in scene.outputs.list(view=views)]
    assert (listed[0].interaction.id, listed[1].interaction) == (interaction.id, None)
    raw = (await scene.stage.raw.get(f"{PATH}/{made[0].id}?view=Trace,TestCaseVersion,MetricScores")).json()
    schemas.ApplicationOutputWithViews.model_validate(raw)
    async with scene.stage.storage.read() as work:
        stored = await work.spans.get_many(ACCOUNT, [each.id for each in interaction.trace_spans])
    assert {each.trace_id for each in stored.values()} == {interaction.id}


async def test_every_test_case_of_the_version_needs_an_output_unless_missing_ones_are_ignored(scene):
    detail = await scene.refused(scene.item(0))
    assert scene.cases[1] in detail
    assert "ignore_missing" in detail
    made = await scene.outputs.batch(items=[scene.item(0, ignore_missing=True)])
    assert len(made) == 1


async def test_what_does_not_go_together_is_refused_and_nothing_is_stored(scene):
    another = await scene.stage.variant(scene.spec)
    _, foreign = await scene.stage.dataset(1)
    assert "variant" in await scene.refused(scene.item(0), scene.item(1, application_variant_id=another))
    assert "version" in await scene.refused(scene.item(0), scene.item(1, evaluation_dataset_version_num=2))
    assert "dataset" in await scene.refused(scene.item(0), scene.item(1, test_case_id=foreign[0]))
    assert "twice" in await scene.refused(scene.item(0), scene.item(0))
    assert "version 2" in await scene.refused(scene.item(0, evaluation_dataset_version_num=2))
    for change in ({"test_case_id": "nothing"}, {"application_variant_id": "nothing"}):
        with pytest.raises(NotFoundError):
            await scene.outputs.batch(items=[scene.item(0, **change)])


async def test_an_output_that_the_schema_type_cannot_have_is_refused_where_it_stands(scene):
    async def places(**change):
        return faults(await scene.stage.raw.post(f"{PATH}/batch", json=[scene.item(0), scene.item(1, **change)]))

    output = ["body", 1, "output", "generation_output"]
    assert await places(output={"generation_output": {"a": 1}}) == [output]
    assert await places(output={}) == [output]
    assert await places(metrics={"m": "much"}) == [["body", 1, "metrics", "m"]]
    assert await places(trace_spans=[span(operation_type="UNKNOWN")]) == [
        ["body", 1, "trace_spans", 0, "operation_type"]
    ]
    early = span(end_timestamp="2020-01-01T00:00:00Z")
    assert await places(trace_spans=[early]) == [["body", 1, "trace_spans", 0, "end_timestamp"]]


async def test_flexible_datasets_take_texts_and_objects(tmp_path):
    async with a_stage(tmp_path) as stage:
        scene = await Scene(stage).build("FLEXIBLE")
        outputs = ({"generation_output": {"answer": [1, None]}}, {"generation_output": "text"})
        made = await scene.outputs.batch(items=[scene.item(n, output=each) for n, each in enumerate(outputs)])
        assert [each.schema_type for each in made] == ["FLEXIBLE", "FLEXIBLE"]
        assert [each.output.to_dict() for each in made] == list(outputs)


async def test_other_accounts_outputs_are_not_there(scene):
    made = await scene.outputs.batch(items=[scene.item(0), scene.item(1)])
    assert (await scene.stage.stranger.get(f"{PATH}/{made[0].id}")).status_code == 404
    assert (await scene.stage.stranger.get(PATH)).json()["total_item_count"] == 0
    denied = await scene.stage.stranger.post(f"{PATH}/batch", json=[scene.item(0)])
    assert denied.status_code == 403


async def test_an_empty_batch_makes_nothing(scene):
    assert await scene.outputs.batch(items=[]) == []
