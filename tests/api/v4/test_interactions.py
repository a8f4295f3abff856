"""Interactions that an application tells of, through the official client in its strict mode and version 5."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from scale_gp import BadRequestError, NotFoundError

from tests.api.v4.served import ServedV4, faults

START = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


async def a_variant(v4: ServedV4) -> str:
    spec = (await v4.raw.post("/v4/application-specs", json={"name": "s", "description": ""})).json()["id"]
    body = {"name": "v", "application_spec_id": spec, "version": "OFFLINE", "configuration": {}}
    return str((await v4.raw.post("/v4/application-variants", json=body)).json()["id"])


def an_interaction(variant: str, **more: Any) -> dict[str, Any]:
    return {
        "application_variant_id": variant,
        "input": {"query": "q", "lang": "en"},
        "output": {"response": "r", "context": [{"text": "t", "score": 0.5}, {"text": "u"}]},
        "start_timestamp": START,
        **more,
    }


async def test_an_interaction_comes_back_with_its_spans_which_version_5_finds(v4: ServedV4) -> None:
    variant = await a_variant(v4)
    spans: list[Any] = [
        {
            "node_id": "retrieve",
            "operation_type": "RETRIEVAL",
            "start_timestamp": START,
            "duration_ms": 30,
            "operation_input": {"k": 3},
        },
        {
            "node_id": "answer",
            "operation_type": "COMPLETION",
            "start_timestamp": START + timedelta(milliseconds=30),
            "end_timestamp": START + timedelta(milliseconds=250),
            "operation_output": {"text": "r"},
            "operation_metadata": {"m": 1},
            "operation_status": "ERROR",
        },
    ]
    made = await v4.official.interactions.create(
        **an_interaction(variant, trace_spans=spans, operation_metadata={"a": 1}, thread_id="thread")
    )
    assert (made.application_variant_id, made.operation_status, made.duration_ms) == (variant, "SUCCESS", 250)
    assert made.input.to_dict() == {"query": "q", "lang": "en"}
    assert made.output.to_dict() == {"response": "r", "context": [{"text": "t", "score": 0.5}, {"text": "u"}]}
    assert (made.operation_metadata, made.thread_id) == ({"a": 1}, "thread")
    assert made.trace_spans is not None
    first, second = made.trace_spans
    assert {first.application_interaction_id, second.application_interaction_id} == {made.id}
    assert (first.operation_type, first.duration_ms, first.operation_input) == ("RETRIEVAL", 30, {"k": 3})
    assert (first.operation_output, first.operation_status) == (None, "SUCCESS")
    assert (second.operation_status, second.duration_ms, second.operation_metadata) == ("ERROR", 220, {"m": 1})

    query = {"application_interaction_ids": [made.id]}
    found = (await v4.raw.post("/v5/spans/search", json=query)).json()["items"]
    assert {each["id"]: each["type"] for each in found} == {first.id: "KB_RETRIEVAL", second.id: "COMPLETION"}
    assert {each["application_variant_id"] for each in found} == {variant}


async def test_the_path_works_with_and_without_its_slash_and_a_short_body_is_enough(v4: ServedV4) -> None:
    variant = await a_variant(v4)
    body = {**an_interaction(variant), "output": {"response": ""}, "start_timestamp": "2026-05-04T03:02:01"}
    for path in ("/v4/interactions", "/v4/interactions/"):
        answer = await v4.raw.post(path, json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["start_timestamp"] == "2026-05-04T03:02:01Z"
        assert (answer.json()["duration_ms"], answer.json()["trace_spans"]) == (0, [])


async def test_what_is_wrong_with_an_interaction_is_named(v4: ServedV4) -> None:
    variant = await a_variant(v4)

    async def places(**changes: Any) -> list[list[str | int]]:
        body = {**an_interaction(variant), "start_timestamp": START.isoformat(), **changes}
        return faults(await v4.raw.post("/v4/interactions/", json=body))

    span = {"node_id": "n", "operation_type": "CUSTOM", "start_timestamp": START.isoformat()}
    assert await places(input={}) == [["body", "input", "query"]]
    assert await places(output={"response": 1}) == [["body", "output", "response"]]
    for key, value in (
        ("operation_type", "ODD"),
        ("duration_ms", 2**53 - 1),
        ("end_timestamp", "2026-01-01T00:00:00Z"),
        ("node_id", ""),
    ):
        assert await places(trace_spans=[span, {**span, key: value}]) == [["body", "trace_spans", 1, key]]


async def test_only_ones_own_unarchived_variants_interact(v4: ServedV4) -> None:
    variant = await a_variant(v4)
    body = {**an_interaction(variant), "start_timestamp": START.isoformat()}
    assert (await v4.stranger.post("/v4/interactions/", json=body)).status_code == 404
    with pytest.raises(NotFoundError):
        await v4.official.interactions.create(**an_interaction("nobody's"))
    await v4.raw.delete(f"/v4/application-variants/{variant}")
    with pytest.raises(BadRequestError):
        await v4.official.interactions.create(**an_interaction(variant))
