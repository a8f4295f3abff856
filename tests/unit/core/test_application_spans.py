"""Spans from applications: whatever they write becomes a trace that can be stored."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.application_spans import SpanPlace, place_spans, read_spans
from assay.core.identity import Identity
from assay.core.spans import NewSpan, SpanLink, SpanStatus, SpanType, find_cycle, span_problems

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ROOT = NewSpan(trace_id="", name="bot", started_at=NOW, ended_at=NOW + timedelta(seconds=9), input={"q": 1})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)
FIELDS = ("id", "parent_id", "name", "start_timestamp", "end_timestamp", "duration_ms", "input", "status", "type")
TOLD = st.dictionaries(st.sampled_from(FIELDS), JSON | st.sampled_from(["a", "b", "c", "root"]), max_size=9)


def place(**more: Any) -> SpanPlace:
    given = {
        "evaluation_id": "e",
        "item_id": "i",
        "alias": "a",
        "account_id": "acc",
        "identity": Identity("me"),
        "at": NOW,
    }
    return SpanPlace(**{**given, **more})


def test_both_versions_names_are_understood() -> None:
    fifth = {
        "id": "one",
        "name": "retrieve",
        "type": "kb_retrieval",
        "status": "error",
        "input": {"query": "q"},
        "output": ["d"],
        "start_timestamp": "2026-01-02T03:04:05+01:00",
        "end_timestamp": 1767319447,
    }
    fourth = {
        "parent_id": "one",
        "node_id": "n1",
        "operation_type": "COMPLETION",
        "operation_input": {"p": 1},
        "operation_output": {"t": 2},
        "operation_status": "SUCCESS",
        "start_timestamp": "2026-01-02T03:04:05",
        "duration_ms": 1500,
    }

    root, one, two = read_spans([fifth, fourth], ROOT)

    assert (root.id, root.parent_id, root.name) == ("root", None, "bot")
    assert (one.name, one.type, one.status, one.parent_id) == (
        "retrieve",
        SpanType.KB_RETRIEVAL,
        SpanStatus.ERROR,
        "root",
    )
    assert (one.input, one.output) == ({"query": "q"}, {"value": ["d"]})
    assert one.started_at == datetime(2026, 1, 2, 2, 4, 5, tzinfo=UTC)
    assert one.ended_at == datetime(2026, 1, 2, 2, 4, 7, tzinfo=UTC)
    assert (two.name, two.type, two.parent_id) == ("n1", SpanType.COMPLETION, "one")
    assert two.ended_at == two.started_at + timedelta(seconds=1.5)


def test_no_spans_make_no_trace() -> None:
    assert read_spans([], ROOT) == ()


def test_the_same_item_has_the_same_ids_and_another_has_others() -> None:
    spans = read_spans([{"id": "x"}, {}], ROOT)

    here, again, elsewhere = (place_spans(spans, place(item_id=item)) for item in ("i", "i", "j"))

    assert here == again
    assert len({span.id for span in (*here, *elsewhere)}) == 6
    assert {span.trace_id for span in here} == {place().trace_id}
    assert [span.parent_id for span in here] == [None, here[0].id, here[0].id]
    assert {span.group_id for span in here} == {"e"}


@pytest.mark.parametrize(
    "told",
    [
        [{"id": "a", "parent_id": "b"}, {"id": "b", "parent_id": "a"}],
        [{"id": "a", "parent_id": "a"}],
        [{"id": "a"}, {"id": "a"}, {"id": "root"}],
        [{"id": "a", "parent_id": "nobody"}],
        [{"id": "c", "parent_id": "a"}, {"id": "a", "parent_id": "b"}, {"id": "b", "parent_id": "a"}],
    ],
)
def test_rings_strangers_and_doubles_come_out_as_a_tree(told: list[dict[str, Any]]) -> None:
    _is_a_tree(told)


@given(st.lists(TOLD, max_size=6))
def test_whatever_is_told_comes_out_as_a_tree_of_good_spans(told: list[dict[str, Any]]) -> None:
    _is_a_tree(told)


def _is_a_tree(told: list[dict[str, Any]]) -> None:
    spans = place_spans(read_spans(told, ROOT), place())
    links = {span.id: SpanLink(span.id, span.trace_id, span.parent_id) for span in spans}
    assert len(links) == len(spans) == (len(told) + 1 if told else 0)
    assert find_cycle(links, links) is None
    assert all(span.parent_id in links for span in spans[1:])
    for span in read_spans(told, ROOT):
        placed = NewSpan(trace_id="t", name=span.name, started_at=span.started_at, ended_at=span.ended_at)
        assert list(span_problems(placed)) == []
