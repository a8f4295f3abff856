"""The contract of the spans' repositories, on SQLite and PostgreSQL."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from assay.adapters.storage import SqlStorage
from assay.core.errors import InvalidCursor
from assay.core.identity import Identity
from assay.core.paging import PageRequest
from assay.core.spans import AssessmentType, Span, SpanFilter, SpanLink, SpanStatus, SpanType
from tests.builders.identity import NOW
from tests.builders.spans import SECOND, make_assessment, make_span

RUNNING: dict[str, Any] = {"ended_at": None}
PAGE = PageRequest(sort_by="started_at")


async def stored(storage: SqlStorage, *spans: Span) -> list[Span]:
    """The spans as they are stored, in their order."""
    async with storage.write() as work:
        assert await work.spans.add(spans) == []
        found = await work.spans.get_many(spans[0].account_id, [span.id for span in spans])
    return [found[span.id] for span in spans]


async def found(storage: SqlStorage, **where: Any) -> list[str]:
    """The ids of the default account's spans that meet a filter, by start."""
    async with storage.read() as work:
        page = await work.spans.search("default", PAGE, SpanFilter(**where))
    assert page.total == len(page.items)
    return [span.id for span in page.items]


async def test_a_span_comes_back_as_it_was_stored(storage: SqlStorage) -> None:
    full = make_span(
        id="s",
        parent_id="p",
        group_id="g",
        input={"q": ["nested", {"n": 2**70, "x": 1.5, "t": None}]},
        output={},
        expected={"a": "ä🙂"},
        metadata={"usage": {"prompt_tokens": 7, "completion_tokens": 0}, "long": "x" * 5000},
        status=SpanStatus.ERROR,
        type=SpanType.AGENT_WORKFLOW,
        application_interaction_id="i",
        application_variant_id="v",
        obs_span_id="0123456789abcdef",
        obs_trace_id="0123456789abcdef" * 2,
        created_by=Identity("robot", "service_account"),
    )
    bare = make_span(**RUNNING)
    kept = await stored(storage, full, bare)

    assert [replace(span, seq=0) for span in kept] == [full, bare]
    assert min(span.seq for span in kept) > 0
    assert (kept[0].input_tokens, kept[0].output_tokens, kept[0].duration_ms) == (7, 0, 1000)
    assert (kept[1].input_tokens, kept[1].output_tokens, kept[1].duration_ms) == (None, None, None)
    async with storage.read() as work:
        assert await work.spans.get("default", "s") == kept[0]
        assert await work.spans.get("other", "s") is None
        assert await work.spans.get_many("other", ["s", bare.id]) == {}
        assert await work.spans.get_many("default", ["nobody's"]) == {}


async def test_the_longest_names_and_ids_fit_their_indexes(storage: SqlStorage) -> None:
    def long(count: int) -> str:
        random = Random(count)
        return "".join(chr(random.randrange(0x10000, 0x2FFFF)) for _ in range(count))

    ids = {name: long(256) for name in ("id", "trace_id", "parent_id", "group_id", "application_interaction_id")}
    span = make_span(**ids, name=long(500))
    (kept,) = await stored(storage, span)
    assert replace(kept, seq=0) == span
    assert await found(storage, names=(span.name,), group_id=span.group_id) == [span.id]


async def test_only_ids_that_are_free_in_the_account_are_added(storage: SqlStorage) -> None:
    first, again, theirs = make_span(id="s"), make_span(id="s", name="again"), make_span(id="s", account_id="other")
    await stored(storage, first)
    async with storage.write() as work:
        assert await work.spans.add([again, make_span(id="new")]) == ["s"]
        assert await work.spans.add([theirs]) == []
        assert await work.spans.add([]) == []
    async with storage.read() as work:
        kept = await work.spans.get_many("default", ["s", "new"])
    assert {span_id: span.name for span_id, span in kept.items()} == {"s": "step", "new": "step"}


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        (RUNNING, RUNNING, "after"),
        (RUNNING, {}, "after"),
        ({}, {}, "after"),
        ({}, RUNNING, "before"),
    ],
)
async def test_a_finished_span_is_not_replaced_by_a_running_one(
    storage: SqlStorage, before: dict[str, Any], after: dict[str, Any], kept: str
) -> None:
    first = make_span(id="s", name="before", input={"told": "before"}, metadata={"a": 1}, **before)
    second = make_span(
        id="s", name="after", output={"told": "after"}, created_at=NOW + SECOND, created_by=Identity("b"), **after
    )
    (stored_first,) = await stored(storage, first)
    async with storage.write() as work:
        assert await work.spans.upsert([second, make_span(id="new", parent_id="s")]) == []
    async with storage.read() as work:
        now = await work.spans.get("default", "s")
        new = await work.spans.get("default", "new")
    expected = stored_first if kept == "before" else replace(second, seq=stored_first.seq, created_at=NOW)
    assert now == replace(expected, created_by=first.created_by)
    assert new is not None
    assert new.parent_id == "s"
    assert await found(storage, texts=("told",)) == ["s"]
    assert await found(storage, texts=("before",)) == (["s"] if kept == "before" else [])
    assert await found(storage, metadata=(("a", (1,)),)) == (["s"] if kept == "before" else [])


async def test_a_span_of_another_trace_is_not_replaced(storage: SqlStorage) -> None:
    await stored(storage, make_span(id="s", trace_id="first"))
    async with storage.write() as work:
        assert await work.spans.upsert([make_span(id="s", trace_id="second"), make_span(id="new")]) == ["s"]
    async with storage.read() as work:
        kept = await work.spans.get("default", "s")
    assert kept is not None
    assert kept.trace_id == "first"


async def test_writers_of_the_same_spans_at_once_store_each_once(storage: SqlStorage) -> None:
    ids = [f"s{number:03}" for number in range(100)]

    async def tell(order: Sequence[str], **changes: Any) -> None:
        async with storage.write() as work:
            assert await work.spans.upsert([make_span(id=span_id, **changes) for span_id in order]) == []

    tellers = [
        tell(ids, **RUNNING),
        tell(ids[::-1], name="done", output={"x": 1}),
        tell(ids[50:] + ids[:50], **RUNNING),
    ]
    await asyncio.gather(*tellers, *(tell(ids[::-1], **RUNNING) for _ in range(3)))
    async with storage.read() as work:
        page = await work.spans.search("default", PageRequest(limit=1000, sort_by="started_at"), SpanFilter())
    assert {(span.id, span.name, str(span.output)) for span in page.items} == {(i, "done", "{'x': 1}") for i in ids}
    assert page.total == 100


async def test_a_saved_span_is_found_by_what_it_is_now(storage: SqlStorage) -> None:
    (span,) = await stored(storage, make_span(metadata={"env": "old"}, output={"text": "before"}))
    changed = replace(
        span,
        name="renamed",
        ended_at=NOW + 3 * SECOND,
        status=SpanStatus.CANCELED,
        output={"text": "AFTER", "usage": {"output_tokens": 3}},
        metadata={"env": "new"},
    )
    async with storage.write() as work:
        await work.spans.save(changed)
    async with storage.read() as work:
        assert await work.spans.get("default", span.id) == changed
    for where in (
        {"texts": ("after",)},
        {"metadata": (("env", ("new",)),)},
        {"min_duration_ms": 3000},
        {"names": ("renamed",)},
        {"statuses": (SpanStatus.CANCELED,)},
    ):
        assert await found(storage, **where) == [span.id]
    for where in ({"texts": ("before",)}, {"metadata": (("env", ("old",)),)}, {"names": ("step",)}):
        assert await found(storage, **where) == []


async def test_the_lineage_of_spans_goes_up_to_the_roots_and_survives_rings(storage: SqlStorage) -> None:
    await stored(
        storage,
        make_span(id="root"),
        make_span(id="middle", parent_id="root"),
        make_span(id="leaf", parent_id="middle"),
        make_span(id="beside", parent_id="root"),
        make_span(id="ring 1", parent_id="ring 2"),
        make_span(id="ring 2", parent_id="ring 1"),
        make_span(id="lost", parent_id="nobody"),
    )
    await stored(storage, make_span(id="nobody", account_id="other"))
    async with storage.read() as work:
        links = await work.spans.lineage("default", ["leaf", "ring 1", "lost", "unknown"])
        assert await work.spans.lineage("other", ["leaf"]) == {}
    assert set(links) == {"leaf", "middle", "root", "ring 1", "ring 2", "lost"}
    assert links["leaf"] == SpanLink("leaf", "t", "middle")


async def test_the_root_of_a_trace_is_its_first_span_without_a_parent(storage: SqlStorage) -> None:
    await stored(
        storage,
        make_span(id="child", parent_id="x", started_at=NOW - SECOND),
        make_span(id="late", started_at=NOW + SECOND / 2),
        make_span(id="early"),
        make_span(id="elsewhere", trace_id="u", started_at=NOW - SECOND),
    )
    async with storage.read() as work:
        root = await work.spans.root("default", "t")
        assert await work.spans.root("other", "t") is None
    assert root is not None
    assert root.id == "early"


SCENE = (
    make_span(
        id="a",
        trace_id="t1",
        name="Plan",
        group_id="g",
        input={"question": "Where is the 100% 'Café'?"},
        metadata={"env": "prod", "n": 1, "deep": {"b": [1, 2], "a": True}, "flag": False},
        application_interaction_id="i",
        obs_trace_id="1" * 32,
        obs_span_id="1" * 16,
    ),
    make_span(
        id="b",
        trace_id="t1",
        parent_id="a",
        started_at=NOW + SECOND,
        ended_at=NOW + 4 * SECOND,
        type=SpanType.COMPLETION,
        output={"text": "In Ottawa_"},
        metadata={"env": "dev", "n": 2.0, "long": "y" * 1000},
        application_variant_id="v",
    ),
    make_span(
        id="c",
        trace_id="t2",
        parent_id="b",
        started_at=NOW + 2 * SECOND,
        ended_at=None,
        status=SpanStatus.ERROR,
        metadata={"env": None, "n": "1"},
    ),
)


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ({}, "abc"),
        ({"trace_ids": ("t1", "t9")}, "ab"),
        ({"span_ids": ("c", "a")}, "ac"),
        ({"parent_ids": ("a",)}, "b"),
        ({"excluded_trace_ids": ("t1",)}, "c"),
        ({"excluded_span_ids": ("a", "c")}, "b"),
        ({"spans": (("t1", "a"), ("t1", "c"), ("t2", "c"))}, "ac"),
        ({"excluded_spans": (("t1", "a"), ("t1", "c"))}, "bc"),
        ({"group_id": "g"}, "a"),
        ({"names": ("step",)}, "bc"),
        ({"statuses": (SpanStatus.ERROR,)}, "c"),
        ({"types": (SpanType.COMPLETION, SpanType.TRACER)}, "b"),
        ({"parents_only": True}, "a"),
        ({"application_interaction_ids": ("i",)}, "a"),
        ({"application_variant_ids": ("v",)}, "b"),
        ({"obs_trace_ids": ("1" * 32,)}, "a"),
        ({"obs_span_ids": ("1" * 16, "2" * 16)}, "a"),
        ({"since": NOW + SECOND}, "bc"),
        ({"until": NOW + SECOND}, "ab"),
        ({"min_duration_ms": 1001}, "b"),
        ({"max_duration_ms": 1000}, "a"),
        ({"min_duration_ms": 0}, "ab"),
        ({"metadata": (("env", ("prod", "dev")),)}, "ab"),
        ({"metadata": (("env", ("prod",)), ("n", (1,)))}, "a"),
        ({"metadata": (("n", (2,)),)}, "b"),
        ({"metadata": (("n", (1.0,)),)}, "a"),
        ({"metadata": (("n", (True,)),)}, ""),
        ({"metadata": (("flag", (0,)),)}, ""),
        ({"metadata": (("env", (None,)),)}, "c"),
        ({"metadata": (("deep", ({"a": True, "b": [1.0, 2]},)),)}, "a"),
        ({"metadata": (("long", ("y" * 1000,)),)}, "b"),
        ({"metadata": (("long", ("y" * 999,)),)}, ""),
        ({"metadata": (("env", ()),)}, ""),
        ({"metadata": (("en", ("prod",)),)}, ""),
        ({"texts": ("CAFÉ",)}, "a"),
        ({"texts": ("100%",)}, "a"),
        ({"texts": ("ottawa_",)}, "b"),
        ({"texts": ("question", "plan")}, "a"),
        ({"texts": ("ottawa", "plan")}, ""),
        ({"texts": ("'; drop table spans; --",)}, ""),
        ({"texts": ("ottawa",), "text_trace_ids": ("t2",)}, "bc"),
        ({"text_trace_ids": ("t2",)}, "c"),
        ({"assessment_types": (AssessmentType.RATING, AssessmentType.COMMENT)}, "b"),
        ({"assessment_types": (AssessmentType.RATING,)}, ""),
        ({"trace_ids": ("t1",), "names": ("step",), "texts": ("ottawa",), "min_duration_ms": 5}, "b"),
    ],
)
async def test_a_search_finds_exactly_what_meets_every_condition(
    storage: SqlStorage, where: dict[str, Any], ids: str
) -> None:
    await stored(storage, *SCENE)
    await stored(storage, *(replace(span, account_id="other") for span in SCENE))
    async with storage.write() as work:
        await work.span_assessments.add(make_assessment(SCENE[1]))
    assert await found(storage, **where) == list(ids)


async def test_a_search_takes_ten_thousand_ids(storage: SqlStorage) -> None:
    await stored(storage, *SCENE)
    assert await found(storage, span_ids=("a", *(f"id {number}" for number in range(9_999)))) == ["a"]
    pairs = (("t1", "a"), *(("t1", f"id {number}") for number in range(4_999)))
    assert await found(storage, spans=pairs) == ["a"]


ORDERS = {
    "started_at": ["a", "b", "c", "d", "e"],
    "duration_ms": ["c", "a", "b", "d", "e"],
    "input_tokens": ["a", "c", "b", "e", "d"],
    "output_tokens": ["a", "b", "c", "e", "d"],
}


@pytest.mark.parametrize("sort_by", list(ORDERS))
@pytest.mark.parametrize("sort_order", ["asc", "desc"])
async def test_pages_follow_each_order_both_ways(storage: SqlStorage, sort_by: str, sort_order: Any) -> None:
    def at(span_id: str, start: int, milliseconds: int | None, *usage: int) -> Span:
        began = NOW + start * SECOND
        ended = None if milliseconds is None else began + timedelta(milliseconds=milliseconds)
        counts = dict(zip(("input_tokens", "output_tokens"), usage, strict=False))
        return make_span(id=span_id, started_at=began, ended_at=ended, metadata={"usage": counts})

    await stored(
        storage, at("a", 0, 5), at("b", 1, 10, 2), at("c", 1, 0), at("d", 2, None, 9, 9), at("e", 3, None, 2, 2)
    )
    order = ORDERS[sort_by] if sort_order == "asc" else ORDERS[sort_by][::-1]

    async def page(**cursor: Any) -> tuple[list[str], bool]:
        async with storage.read() as work:
            request = PageRequest(limit=2, sort_by=sort_by, sort_order=sort_order, **cursor)
            found = await work.spans.search("default", request, SpanFilter(trace_ids=("t",)))
        assert found.total == 5
        return [span.id for span in found.items], found.has_more

    assert await page() == (order[:2], True)
    assert await page(starting_after=order[1]) == (order[2:4], True)
    assert await page(starting_after=order[3]) == (order[4:], False)
    assert await page(ending_before=order[4]) == (order[2:4], True)
    assert await page(ending_before=order[2]) == (order[:2], False)
    with pytest.raises(InvalidCursor):
        await page(starting_after="nobody's")


async def test_a_page_ends_before_it_holds_too_much(storage: SqlStorage) -> None:
    spans = [
        make_span(id=str(n), started_at=NOW + n * SECOND, ended_at=None, output={"x": "y" * 100}) for n in range(4)
    ]
    await stored(storage, *spans)

    async def page(max_bytes: int | None, **cursor: Any) -> tuple[str, bool, bool]:
        async with storage.read() as work:
            request = PageRequest(limit=3, sort_by="started_at", **cursor)
            found = await work.spans.search("default", request, SpanFilter(), max_bytes=max_bytes)
        return "".join(span.id for span in found.items), found.has_more, found.cut_short

    assert await page(None) == ("012", True, False)
    assert await page(1000) == ("012", True, False)
    assert await page(250) == ("01", True, True)
    assert await page(1) == ("0", True, True)
    assert await page(250, starting_after="0") == ("12", True, True)
    assert await page(250, ending_before="3") == ("12", True, True)
    assert await page(250, ending_before="2") == ("01", False, False)
    assert await page(1, starting_after="3") == ("", False, False)


async def test_an_assessment_comes_back_as_it_was_stored_saved_and_not_when_deleted(storage: SqlStorage) -> None:
    first, second = await stored(storage, make_span(id="a"), make_span(id="b"))
    comment = make_assessment(first, created_by=Identity("robot", "service_account"))
    rubric = make_assessment(
        second, type=AssessmentType.RUBRIC, rubric={"k": "v"}, created_at=NOW + SECOND, updated_at=NOW + SECOND
    )
    async with storage.write() as work:
        await work.span_assessments.add(rubric)
        await work.span_assessments.add(comment)
        mine = work.span_assessments
        assert await mine.get("default", comment.id) == comment
        assert await mine.get("other", comment.id) is None
        assert await mine.list("default", trace_id="t") == [comment, rubric]
        assert await mine.list("default", span_id="a") == [comment]
        assert await mine.list("default", span_id="a", trace_id="u") == []
        assert await mine.list("default", trace_id="t", type=AssessmentType.RUBRIC) == [rubric]
        assert await mine.list("other", trace_id="t") == []
        changed = replace(
            comment,
            type=AssessmentType.OVERWRITE,
            overwrite={"text": [1]},
            metadata={},
            rating=3,
            approval="rejected",
            comment=None,
            updated_at=NOW + 2 * SECOND,
        )
        await mine.save(changed)
        assert await mine.get("default", comment.id) == changed
        await mine.delete(comment.id)
        assert await mine.list("default", trace_id="t") == [rubric]
