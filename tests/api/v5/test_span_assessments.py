"""Assessments of spans over HTTP: the official client in strict mode, their rules, accounts and authors."""

import pytest
from scale_gp_beta import BadRequestError, ConflictError, NotFoundError, UnprocessableEntityError

from assay.api.v5.schemas import spans as schemas
from assay.core.identity import Identity
from tests.builders.stored import served_api, sqlite_storage

CONTENT = {
    "comment": "fine",
    "rating": 4,
    "approval": "rejected",
    "rubric": {"tone": "kind"},
    "metadata": {"a": [1]},
    "overwrite": {"text": "better"},
}


@pytest.fixture
async def api(tmp_path):
    async with sqlite_storage(tmp_path) as storage, served_api(storage) as served:
        start = "2026-03-01T10:00:00Z"
        spans = [
            {"id": "child", "parent_id": "root", "name": "c", "trace_id": "t", "start_timestamp": start},
            {"id": "root", "name": "r", "trace_id": "t", "start_timestamp": start},
        ]
        assert (await served.raw.put("/v5/spans/batch", json={"items": spans})).status_code == 200
        yield served


async def said(api, **body):
    answer = await api.raw.post("/v5/span-assessments", json={"trace_id": "t", **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_official_client_in_strict_mode_says_changes_lists_and_deletes(api):
    client = api.official.span_assessments
    made = [
        await client.create(assessment_type=kind, trace_id="t", span_id="child", **{kind: content})
        for kind, content in CONTENT.items()
    ]
    for assessment, (kind, content) in zip(made, CONTENT.items(), strict=True):
        assert (assessment.assessment_type, getattr(assessment, kind)) == (kind, content)
        assert (assessment.span_id, assessment.trace_id, assessment.account_id) == ("child", "t", "default")
        assert await client.retrieve(assessment.assessment_id) == assessment
    listed = await client.list(span_id="child")
    assert listed.items == made
    assert [each.assessment_type async for each in client.list(trace_id="t", assessment_type="rating")] == ["rating"]
    changed = await client.update(made[1].assessment_id, rating=5, comment="after all")
    assert (changed.rating, changed.comment, changed.assessment_type) == (5, "after all", "rating")
    assert changed.updated_at > changed.created_at
    gone = await client.delete(made[0].assessment_id)
    assert (gone.id, gone.deleted, gone.object) == (made[0].assessment_id, True, "span.assessment")
    with pytest.raises(NotFoundError):
        await client.retrieve(made[0].assessment_id)
    with pytest.raises(BadRequestError):
        await client.list()


async def test_the_bytes_are_what_the_document_says(api):
    made = await said(api, assessment_type="comment", comment="")
    assert set(made) == set(schemas.SpanAssessment.model_fields)
    schemas.SpanAssessment.model_validate(made)
    listed = await api.raw.get("/v5/span-assessments?trace_id=t&span_id=root&assessment_type=comment")
    assert listed.json() == {"object": "list", "items": [made]}


async def test_without_a_span_the_root_of_the_trace_is_meant(api):
    assert (await said(api, assessment_type="rating", rating=1))["span_id"] == "root"


@pytest.mark.parametrize(
    "body",
    [
        {"span_id": "nobody's"},
        {"trace_id": "u"},
        {"trace_id": "u", "span_id": "root"},
    ],
)
async def test_what_is_assessed_must_be_there(api, body):
    body = {"trace_id": "t", "assessment_type": "comment", "comment": "x", **body}
    assert (await api.raw.post("/v5/span-assessments", json=body)).status_code == 404


@pytest.mark.parametrize("kind", list(CONTENT))
async def test_content_goes_with_its_type(api, kind):
    client = api.official.span_assessments
    with pytest.raises(UnprocessableEntityError):
        await client.create(assessment_type=kind, trace_id="t")
    others = {other: content for other, content in CONTENT.items() if other not in (kind, "comment")}
    for other, content in others.items():
        with pytest.raises(UnprocessableEntityError):
            await client.create(assessment_type=kind, trace_id="t", **{kind: CONTENT[kind], other: content})
    assert (await client.list(trace_id="t")).items == []
    made = await said(api, assessment_type=kind, **{kind: CONTENT[kind], "comment": "as well"})
    path = f"/v5/span-assessments/{made['assessment_id']}"
    for wrong in ({kind: None}, {"assessment_type": "rating", "rating": 1, "approval": "approved"}):
        assert (await api.raw.patch(path, json=wrong)).status_code == 422
    assert (await api.raw.get(path)).json() == made
    emptied = {name: None for name in CONTENT if name != "comment"}
    turned = await api.raw.patch(path, json={**emptied, "assessment_type": "rating", "rating": 1})
    assert (turned.status_code, turned.json()["rating"], turned.json()["comment"]) == (200, 1, "as well")


@pytest.mark.parametrize(
    "wrong",
    [
        {"assessment_type": "rating", "rating": 0},
        {"assessment_type": "rating", "rating": 6},
        {"assessment_type": "rating", "rating": 4.5},
        {"assessment_type": "rating", "rating": True},
        {"assessment_type": "approval", "approval": "maybe"},
        {"assessment_type": "rubric", "rubric": {"a": 1}},
        {"assessment_type": "praise", "comment": "x"},
        {"assessment_type": "comment", "comment": None},
    ],
)
async def test_content_of_another_kind_is_refused(api, wrong):
    answer = await api.raw.post("/v5/span-assessments", json={"trace_id": "t", **wrong})
    assert answer.status_code == 422, answer.text


async def test_a_span_has_one_overwrite(api):
    client = api.official.span_assessments
    first = await client.create(assessment_type="overwrite", trace_id="t", overwrite={})
    comment = await client.create(assessment_type="comment", trace_id="t", comment="x")
    with pytest.raises(ConflictError) as conflict:
        await client.create(assessment_type="overwrite", trace_id="t", overwrite={"b": 2})
    assert conflict.value.response.headers["x-should-retry"] == "false"
    with pytest.raises(ConflictError):
        await client.update(comment.assessment_id, assessment_type="overwrite", overwrite={})
    assert (await client.update(first.assessment_id, overwrite={"c": 3})).overwrite == {"c": 3}
    await client.create(assessment_type="overwrite", trace_id="t", span_id="child", overwrite={})
    await client.delete(first.assessment_id)
    await client.create(assessment_type="overwrite", trace_id="t", overwrite={"b": 2})


async def test_only_who_said_it_may_change_or_delete_it(api, tmp_path):
    made = await said(api, assessment_type="comment", comment="mine")
    path = f"/v5/span-assessments/{made['assessment_id']}"
    access = api.raw._transport.app.state.services.access
    _, secret = await access.create_key("colleague", identity=Identity("colleague"))
    colleague = {"x-api-key": secret}
    assert (await api.raw.get(path, headers=colleague)).json() == made
    assert (await api.raw.patch(path, json={"comment": "ours"}, headers=colleague)).status_code == 403
    assert (await api.raw.delete(path, headers=colleague)).status_code == 403
    for call in (api.stranger.get(path), api.stranger.delete(path), api.stranger.patch(path, json={"comment": "x"})):
        assert (await call).status_code == 404
    assert (await api.stranger.get("/v5/span-assessments?trace_id=t")).json()["items"] == []
    assert (await api.raw.patch(path, json={})).status_code == 400
    assert (await api.raw.get(path)).json() == made
