"""Spans over HTTP on the real SQLite storage: the official client in strict mode, rules, hostile input, accounts."""

from datetime import datetime, timedelta

import pytest
from scale_gp_beta import BadRequestError, ConflictError, NotFoundError, UnprocessableEntityError

from assay.api.v5.schemas import spans as schemas
from assay.services import spans as service
from tests.builders.stored import served_api, sqlite_storage

START = "2026-03-01T10:00:00+00:00"
END = "2026-03-01T10:00:01.500000+00:00"


@pytest.fixture
async def api(tmp_path):
    async with sqlite_storage(tmp_path) as storage, served_api(storage) as served:
        yield served


def span(span_id=None, **changes):
    told = {"name": "step", "trace_id": "t", "start_timestamp": START, "end_timestamp": END, **changes}
    return told if span_id is None else {"id": span_id, **told}


async def put(api, *items):
    answer = await api.raw.put("/v5/spans/batch", json={"items": items})
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def found(api, **body):
    answer = await api.raw.post("/v5/spans/search", json=body)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


async def test_the_bytes_are_what_the_document_says(api):
    full = span(
        "a/b c",
        parent_id="p",
        group_id="g",
        input={"q": 1},
        output={"usage": {"prompt_tokens": 3, "completion_tokens": 4}},
        expected={},
        metadata={"k": None},
        status="CANCELED",
        type="AGENT_WORKFLOW",
        application_interaction_id="i",
        application_variant_id="v",
        obs_span_id="0123456789abcdef",
        obs_trace_id="0123456789abcdef" * 2,
    )
    made = await api.raw.post("/v5/spans", json=full)
    schemas.Span.model_validate_json(made.content)
    body = made.json()
    assert set(body) == set(schemas.Span.model_fields)
    times = {"start_timestamp": "2026-03-01T10:00:00Z", "end_timestamp": "2026-03-01T10:00:01.500000Z"}
    assert full | times | {"object": "span", "account_id": "default", "input_tokens": 3, "output_tokens": 4} == {
        key: value for key, value in body.items() if key != "created_by"
    }
    assert (await api.raw.get("/v5/spans/a%2Fb%20c")).json() == body
    page = await api.raw.post("/v5/spans/search", json={})
    schemas.SpanPage.model_validate_json(page.content)
    assert page.json() == {"object": "list", "items": [body], "total": 1, "has_more": False, "limit": 100}
    listed = await api.raw.put("/v5/spans/batch", json={"items": [full]})
    schemas.SpanList.model_validate_json(listed.content)
    assert listed.json() == {"object": "list", "items": [body]}


async def test_the_official_client_in_strict_mode_tells_changes_and_finds_spans(api):
    client = api.official
    began = datetime.fromisoformat(START)
    root = await client.spans.create(name="root", trace_id="t", start_timestamp=began, metadata={"env": "test"})
    assert (root.status, root.type, root.end_timestamp, root.object) == ("SUCCESS", "CUSTOM", None, "span")
    done = await client.spans.update(
        root.id, end_timestamp=began + timedelta(seconds=2), status="ERROR", output={"x": 1}
    )
    assert (done.status, done.output, done.name, done.metadata) == ("ERROR", {"x": 1}, "root", {"env": "test"})
    children = [span(f"c{n}", parent_id=root.id, start_timestamp=began + timedelta(seconds=n)) for n in range(5)]
    for child in children:
        del child["end_timestamp"]
    made = await client.spans.batch(items=children)
    assert [each.id for each in made.items] == ["c0", "c1", "c2", "c3", "c4"]
    ids = [each.id async for each in client.spans.search(trace_ids=["t"], parent_ids=[root.id], limit=2)]
    assert ids == ["c0", "c1", "c2", "c3", "c4"]
    backwards = client.spans.search(parent_ids=[root.id], limit=2, ending_before="c4")
    assert [each.id async for each in backwards] == ["c2", "c3", "c0", "c1"]
    windowed = client.spans.search(from_ts=began + timedelta(seconds=3), sort_by="start_timestamp", sort_order="desc")
    assert [each.id async for each in windowed] == ["c4", "c3"]
    with pytest.warns(DeprecationWarning, match="deprecated"):
        assert (await client.spans.retrieve(root.id)).id == root.id
    with pytest.warns(DeprecationWarning, match="deprecated"), pytest.raises(NotFoundError):
        await client.spans.retrieve("nobody's")
    with pytest.raises(ConflictError):
        await client.spans.batch(items=[children[0]])
    with pytest.raises(UnprocessableEntityError):
        await client.spans.update(root.id, end_timestamp=began - timedelta(seconds=1))
    with pytest.raises(BadRequestError):
        await client.spans.update(root.id)


async def test_a_span_told_twice_in_one_batch_arrives_once_and_complete(api):
    def running(span_id):
        return span(span_id, end_timestamp=None, metadata={"at": "start"})

    def finished(span_id):
        return span(span_id, metadata={"at": "end"})

    orders = [(running, finished), (finished, running), (finished, finished), (running, finished, running)]
    for span_id, order in zip("abcd", orders, strict=True):
        (stored,) = await put(api, *(tell(span_id) for tell in order))
        assert (stored["metadata"], stored["end_timestamp"]) == ({"at": "end"}, "2026-03-01T10:00:01.500000Z")
        (kept,) = await put(api, running(span_id))
        assert kept == stored
    (unfinished,) = await put(api, running("e"), running("e"))
    assert (unfinished["metadata"], unfinished["end_timestamp"]) == ({"at": "start"}, None)
    twice = await api.raw.post("/v5/spans/batch", json={"items": [span("new"), span("new")]})
    assert (twice.status_code, twice.headers["x-should-retry"]) == (409, "false")
    assert await found(api) == list("abcde")


async def test_spans_without_ids_get_one_each(api):
    first, second = await put(api, span(), span())
    assert first["id"] != second["id"]


@pytest.mark.parametrize(
    "items",
    [
        [span("a", parent_id="b"), span("b", parent_id="a")],
        [span("kept", parent_id="leaf")],
        [span("x", trace_id="u", parent_id="kept")],
        [span("x", trace_id="u", parent_id="y"), span("y")],
        [span("kept", trace_id="u")],
        [span("missing", parent_id="orphan")],
    ],
    ids=["ring", "ring through the store", "stored parent", "told parent", "other trace", "ring closed by a parent"],
)
async def test_parents_in_a_ring_or_in_another_trace_are_a_conflict(api, items):
    before = [
        span("kept"),
        span("leaf", parent_id="kept", start_timestamp="2026-03-01T10:00:01Z"),
        span("orphan", parent_id="missing", start_timestamp="2026-03-01T10:00:01Z"),
    ]
    await put(api, *before)
    answer = await api.raw.put("/v5/spans/batch", json={"items": [span("beside"), *items]})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert answer.headers["x-should-retry"] == "false"
    assert await found(api) == ["kept", "leaf", "orphan"]


async def test_children_may_come_before_their_parents(api):
    await put(api, span("child", parent_id="root", start_timestamp="2026-03-01T10:00:01Z"))
    await put(api, span("root"))
    assert await found(api, parents_only=True) == ["root"]
    assert await found(api, parent_ids=["root"]) == ["child"]


async def test_every_condition_of_the_wire_reaches_the_search(api):
    trace = "0189f7a4-0000-7000-8000-00000000000a"
    agent = {"__acp_type__": "sync", "__agent_id__": "7", "__agent_name__": "bot", "env": "prod", "n": 3}
    await put(
        api,
        span(
            "a",
            trace_id=trace,
            group_id="g",
            metadata=agent,
            input={"q": 'He said "hello there"'},
            application_variant_id="v",
            obs_trace_id="a" * 32,
            obs_span_id="b" * 16,
        ),
        span("b", name="other", status="ERROR", type="COMPLETION", start_timestamp="2026-03-01T10:00:01Z"),
        span("c", parent_id="b", start_timestamp="2026-03-01T10:00:01.2Z", output={"usage": {"output_tokens": 1}}),
    )
    assessment = {"assessment_type": "rating", "rating": 5, "trace_id": trace}
    assert (await api.raw.post("/v5/span-assessments", json=assessment)).status_code == 200
    for body, ids in [
        ({"trace_ids": [trace]}, "a"),
        ({"span_ids": ["a", "c"]}, "ac"),
        ({"names": ["other"]}, "b"),
        ({"statuses": ["ERROR", "CANCELED"]}, "b"),
        ({"types": ["COMPLETION"]}, "b"),
        ({"group_id": "g"}, "a"),
        ({"parents_only": True}, "ab"),
        ({"parents_only": False, "trace_ids": [], "names": None}, "abc"),
        ({"excluded_trace_ids": [trace]}, "bc"),
        ({"excluded_span_ids": ["b"]}, "ac"),
        ({"spans": [{"trace_id": "t", "span_id": "a"}, {"trace_id": "t", "span_id": "b"}]}, "b"),
        ({"excluded_spans": [{"trace_id": "t", "span_id": "a"}, {"trace_id": "t", "span_id": "b"}]}, "ac"),
        ({"application_variant_ids": ["v"]}, "a"),
        ({"obs_trace_ids": ["a" * 32], "obs_span_ids": ["b" * 16]}, "a"),
        ({"assessment_types": ["rating"]}, "a"),
        ({"assessment_types": ["overwrite"]}, ""),
        ({"min_duration_ms": 500}, "ab"),
        ({"max_duration_ms": 499}, "c"),
        ({"extra_metadata": {"env": "prod", "n": [2, 3]}}, "a"),
        ({"extra_metadata": {"env": "dev"}}, ""),
        ({"acp_types": ["sync", "async"], "agentex_agent_ids": ["7"], "agentex_agent_names": ["bot"]}, "a"),
        ({"acp_types": ["async"], "extra_metadata": {"__acp_type__": "sync"}}, ""),
        ({"search_texts": ["HELLO", "said"]}, "a"),
        ({"search_texts": ['"hello there"']}, "a"),
        ({"search_texts": ['"said \\"hello"']}, "a"),
        ({"search_texts": ["nothing"]}, ""),
        ({"search_texts": ["other", trace.upper()]}, "b"),
        ({"search_texts": ["other", trace]}, "ab"),
        ({"search_texts": [trace]}, "a"),
    ]:
        assert await found(api, **body) == list(ids), body
    ordered = await api.raw.post("/v5/spans/search?sort_by=output_tokens&sort_order=desc&limit=1", json={})
    assert (ordered.json()["items"][0]["id"], ordered.json()["total"]) == ("c", 3)


@pytest.mark.parametrize(
    ("changes", "loc"),
    [
        ({"name": None}, ["name"]),
        ({"name": "n" * 501}, ["name"]),
        ({"trace_id": ""}, ["trace_id"]),
        ({"id": "i" * 257}, ["id"]),
        ({"parent_id": ""}, ["parent_id"]),
        ({"id": "me", "parent_id": "me"}, ["parent_id"]),
        ({"end_timestamp": "2026-03-01T09:59:59Z"}, ["end_timestamp"]),
        ({"start_timestamp": 5}, ["start_timestamp"]),
        ({"start_timestamp": "tomorrow"}, ["start_timestamp"]),
        ({"start_timestamp": "0001-01-01T00:00:00+14:00"}, ["start_timestamp"]),
        ({"start_timestamp": "9999-12-31T23:59:59-14:00"}, ["start_timestamp"]),
        ({"input": []}, ["input"]),
        ({"metadata": "x"}, ["metadata"]),
        ({"status": "OK"}, ["status"]),
        ({"type": "custom"}, ["type"]),
        ({"obs_span_id": "0123456789abcdef"}, ["obs_trace_id"]),
        ({"obs_trace_id": "0123456789ABCDEF" * 2}, ["obs_trace_id"]),
        ({"obs_trace_id": "0" * 32, "obs_span_id": "0" * 15}, ["obs_span_id"]),
    ],
)
async def test_a_span_that_cannot_be_is_refused_with_its_place(api, changes, loc):
    single = await api.raw.post("/v5/spans", json=span(**changes))
    assert single.status_code == 422, single.text
    assert single.json()["detail"][0]["loc"] == ["body", *loc]
    for method in ("POST", "PUT"):
        batch = await api.raw.request(method, "/v5/spans/batch", json={"items": [span(), span(**changes)]})
        assert batch.status_code == 422
        assert batch.json()["detail"][0]["loc"] == ["body", "items", 1, *loc]
    assert await found(api) == []


@pytest.mark.parametrize(
    ("query", "body", "loc"),
    [
        ("from_ts=2026-01-02&to_ts=2026-01-01", {}, ["query", "from_ts"]),
        ("from_ts=noon", {}, ["query", "from_ts"]),
        ("sort_by=name", {}, ["query", "sort_by"]),
        ("limit=0", {}, ["query", "limit"]),
        ("", {"trace_ids": ["x"] * 10_001}, ["body"]),
        ("", {"span_ids": ["x"] * 2, "spans": [{"trace_id": "t", "span_id": "s"}] * 5000}, ["body"]),
        ("", {"spans": [{"trace_id": "t"}]}, ["body", "spans", 0, "span_id"]),
        ("", {"names": ["x"] * 1001}, ["body", "names"]),
        ("", {"search_texts": ["xx"] * 11}, ["body", "search_texts"]),
        ("", {"search_texts": [" x "]}, ["body", "search_texts"]),
        ("", {"search_texts": ['"x"']}, ["body", "search_texts"]),
        ("", {"extra_metadata": {"k": [1] * 201}}, ["body", "extra_metadata"]),
        ("", {"extra_metadata": {str(n): 1 for n in range(51)}}, ["body", "extra_metadata"]),
        ("", {"statuses": ["FINE"]}, ["body", "statuses", 0]),
        ("", {"min_duration_ms": -1}, ["body", "min_duration_ms"]),
        ("", {"min_duration_ms": 2**63}, ["body", "min_duration_ms"]),
        ("", {"assessment_types": ["praise"]}, ["body", "assessment_types", 0]),
    ],
)
async def test_a_search_that_means_nothing_is_refused_with_its_place(api, query, body, loc):
    answer = await api.raw.post(f"/v5/spans/search?{query}", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"][0]["loc"] == loc


async def test_text_is_data_whatever_it_looks_like(api):
    strange = "'; DROP TABLE spans; -- %_\\ \n\t\u2028 🙂 Ü"
    await put(api, span("s", name=strange, metadata={strange: strange, "deep": {"a": [[[strange]]]}}))
    for body in (
        {"names": [strange]},
        {"search_texts": [strange.strip()]},
        {"search_texts": ["🙂 ü"]},
        {"extra_metadata": {strange: strange, "deep": {"a": [[[strange]]]}}},
    ):
        assert await found(api, **body) == ["s"]
    assert await found(api, search_texts=["%%"]) == []
    assert (await api.raw.get("/v5/spans/%00")).status_code == 422
    for raw in (b'{"items": [{"name": "\\u0000"}]}', b'{"items": [{"name": "\\ud800"}]}', b'{"items": 7}', b"[]", b""):
        answer = await api.raw.put("/v5/spans/batch", content=raw)
        assert answer.status_code == 422, raw


async def test_spans_of_other_accounts_are_not_there(api):
    await put(api, span("s", metadata={"k": 1}))
    assert (await api.stranger.get("/v5/spans/s")).status_code == 404
    assert (await api.stranger.patch("/v5/spans/s", json={"name": "mine"})).status_code == 404
    assert (await api.stranger.post("/v5/spans/search", json={"span_ids": ["s"]})).json()["total"] == 0
    assert (await api.stranger.post("/v5/spans/search?starting_after=s", json={})).status_code == 400
    theirs = await api.stranger.put("/v5/spans/batch", json={"items": [span("s", trace_id="u", name="theirs")]})
    assert (theirs.status_code, theirs.json()["items"][0]["account_id"]) == (200, "other")
    assert (await api.raw.get("/v5/spans/s")).json()["name"] == "step"


async def test_a_page_that_would_be_too_large_is_refused_or_cut_short(api, monkeypatch):
    monkeypatch.setattr(service, "PAGE_BYTES", 250)
    await put(api, *(span(f"s{n}", output={"x": "y" * 100}) for n in range(4)))
    refused = await api.raw.post("/v5/spans/search", json={})
    assert (refused.status_code, "allow_partial_results" in refused.json()["detail"]) == (400, True)
    ids = [each.id async for each in api.official.spans.search(allow_partial_results=True)]
    assert ids == ["s0", "s1", "s2", "s3"]


async def test_an_update_tells_absent_from_null(api):
    await put(api, span("s", output={"x": 1}, metadata={"y": 2}))
    changed = (await api.raw.patch("/v5/spans/s", json={"output": None})).json()
    assert (changed["output"], changed["metadata"]) == (None, {"y": 2})
    assert (await api.raw.patch("/v5/spans/s", json={"end_timestamp": None})).json()["end_timestamp"] is None
    for wrong in ({"name": None}, {"status": None}, {"name": "n" * 501}, {"end_timestamp": "x"}):
        assert (await api.raw.patch("/v5/spans/s", json=wrong)).status_code == 422
    assert (await api.raw.patch("/v5/spans/s", json={"id": "t"})).status_code == 400
