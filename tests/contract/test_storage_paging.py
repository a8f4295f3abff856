"""Pages of the storage port agree with slices of a sorted list, whatever the rows, orders, limits and cursors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.adapters.storage import SqlStorage
from assay.core.evaluations import Evaluation, EvaluationStatus, Progress
from assay.core.paging import Page, PageRequest
from assay.ports.storage import TextFilter
from tests.builders.datasets import make_dataset
from tests.builders.evaluations import make_error, make_evaluation, make_items
from tests.builders.groups import make_group
from tests.builders.identity import NOW, make_account, new_id

# A fixture's database is shared by the examples of a test; each example has an account of its own.
examples = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

moments = st.integers(0, 3).map(lambda n: NOW + timedelta(microseconds=n))
ORDERS = {
    "created_at": lambda row: row.created_at,
    "updated_at": lambda row: row.updated_at,
    "archived_at": lambda row: (row.archived_at is None, row.archived_at or NOW),
    "name": lambda row: row.name,
    "status": lambda row: row.status.value,
    "error_count": lambda row: row.progress.errors,
    "id": lambda row: row.id,
}


@st.composite
def evaluation_changes(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "created_at": draw(moments),
        "updated_at": draw(moments),
        "archived_at": draw(st.none() | moments),
        "name": draw(st.sampled_from(["a", "B", "b", "é", "Z", ""])),
        "status": draw(st.sampled_from(list(EvaluationStatus))),
        "progress": Progress(errors=draw(st.integers(0, 2))),
    }


@dataclass(frozen=True)
class Window:
    """What a page request asks for, with the cursor as a place among all rows."""

    limit: int
    sort_by: str
    sort_order: str
    backwards: bool
    place: int | None


@st.composite
def windows(draw: st.DrawFn, orders: Sequence[str]) -> Window:
    return Window(
        draw(st.integers(1, 9)),
        draw(st.sampled_from(sorted(orders))),
        draw(st.sampled_from(["asc", "desc"])),
        draw(st.booleans()),
        draw(st.none() | st.integers(0, 30)),
    )


def expected_page(rows: Sequence[Any], shown: Callable[[Any], bool], key: Any, window: Window) -> tuple[Any, Page[Any]]:
    """The request for a window and the page that a plain list gives for it."""
    descending = window.sort_order == "desc"
    ordered = sorted(rows, key=lambda row: (key(row), row.seq), reverse=descending)
    request = PageRequest(window.limit, sort_by=window.sort_by, sort_order=window.sort_order)  # type: ignore[arg-type]
    total = sum(map(shown, rows))
    if window.place is None or not rows:
        kept = [row for row in ordered if shown(row)]
        return request, Page(kept[: window.limit], total, len(kept) > window.limit)
    place = window.place % len(rows)
    cursor = ordered[place].id
    if window.backwards:
        kept = [row for row in ordered[:place] if shown(row)]
        page = Page(kept[-window.limit :], total, len(kept) > window.limit)
        return replace(request, ending_before=cursor), page
    kept = [row for row in ordered[place + 1 :] if shown(row)]
    return replace(request, starting_after=cursor), Page(kept[: window.limit], total, len(kept) > window.limit)


async def new_account(storage: SqlStorage) -> str:
    account = make_account(new_id())
    async with storage.write() as work:
        await work.accounts.ensure(account)
    return account.id


@examples
@given(
    changes=st.lists(evaluation_changes(), max_size=14),
    asked=st.lists(windows(list(ORDERS)), min_size=6, max_size=6),
    archived=st.booleans(),
    name=st.sampled_from([None, "B", "É"]),
)
async def test_pages_of_evaluations_are_slices_of_the_sorted_list(
    storage: SqlStorage, changes: list[dict[str, Any]], asked: list[Window], archived: bool, name: str | None
) -> None:
    account = await new_account(storage)

    def shown(row: Evaluation) -> bool:
        named = name is None or name.casefold() in row.name.casefold()
        return named and (archived or row.archived_at is None)

    async with storage.write() as work:
        rows = [await work.evaluations.add(make_evaluation(account_id=account, **each)) for each in changes]
    async with storage.read() as work:
        for window in asked:
            request, page = expected_page(rows, shown, ORDERS[window.sort_by], window)
            where = TextFilter(name=name, include_archived=archived)
            assert await work.evaluations.list(account, request, where) == page


@examples
@given(
    sizes=st.lists(st.tuples(st.integers(0, 6), moments), max_size=4),
    asked=st.lists(windows(["created_at", "id"]), min_size=4, max_size=4),
    completion=st.sampled_from([None, "failed", "passed"]),
    alone=st.booleans(),
)
async def test_pages_of_items_are_slices_of_the_sorted_list(
    storage: SqlStorage, sizes: list[tuple[int, Any]], asked: list[Window], completion: Any, alone: bool
) -> None:
    account = await new_account(storage)
    async with storage.write() as work:
        for size, created_at in sizes:
            evaluation = await work.evaluations.add(make_evaluation(account_id=account, created_at=created_at))
            await work.items.add(evaluation, make_items(size))
            seqs = [item.seq async for batch in work.items.stream(evaluation.seq) for item in batch]
            await work.results.add([make_error(evaluation, seq) for seq in seqs[::2]])
        evaluations = (await work.evaluations.list(account, PageRequest(), TextFilter())).items
        items = [item for each in evaluations async for batch in work.items.stream(each.seq) for item in batch]
    chosen = evaluations[0].id if alone and evaluations else None
    rows = [item for item in items if chosen in (None, item.evaluation_id)]
    keys = {"created_at": lambda row: (row.created_at, row.evaluation_seq), "id": lambda row: row.id}

    def shown(row: Any) -> bool:
        return completion is None or bool(row.results) == (completion == "failed")

    async with storage.read() as work:
        for window in asked:
            request, page = expected_page(rows, shown, keys[window.sort_by], window)
            found = await work.items.list(account, request, evaluation_id=chosen, completion=completion)
            assert found == page


@examples
@given(
    names=st.lists(st.tuples(st.sampled_from(["a", "B", "é"]), moments, st.none() | moments), max_size=10),
    asked=st.lists(windows(["created_at", "name", "id"]), min_size=4, max_size=4),
    archived=st.booleans(),
)
async def test_pages_of_datasets_and_groups_are_slices_of_the_sorted_list(
    storage: SqlStorage, names: list[tuple[str, Any, Any]], asked: list[Window], archived: bool
) -> None:
    account = await new_account(storage)
    async with storage.write() as work:
        both = [
            (
                await work.datasets.add(
                    make_dataset(account_id=account, name=name, created_at=created_at, archived_at=gone)
                ),
                await work.groups.add(
                    make_group(account_id=account, name=name, created_at=created_at, deleted_at=gone)
                ),
            )
            for name, created_at, gone in names
        ]
    datasets, groups = [pair[0] for pair in both], [pair[1] for pair in both]
    where = TextFilter(include_archived=archived)
    async with storage.read() as work:
        for window in asked:
            key = ORDERS[window.sort_by]
            request, page = expected_page(datasets, lambda row: archived or row.archived_at is None, key, window)
            assert await work.datasets.list(account, request, where) == page
            request, page = expected_page(groups, lambda row: archived or row.deleted_at is None, key, window)
            assert await work.groups.list(account, request, where) == page


async def test_walking_either_way_meets_every_row_once(storage: SqlStorage) -> None:
    async with storage.write() as work:
        evaluation = await work.evaluations.add(make_evaluation())
        await work.items.add(evaluation, make_items(23))
    met: list[str] = []
    page = PageRequest(limit=5)
    async with storage.read() as work:
        while True:
            found = await work.items.list("default", page, evaluation_id=evaluation.id)
            met += [item.id for item in found.items]
            if not found.has_more:
                break
            page = PageRequest(limit=5, starting_after=met[-1])
        back = [met[-1]]
        while True:
            page = PageRequest(limit=5, ending_before=back[0])
            found = await work.items.list("default", page, evaluation_id=evaluation.id)
            back[:0] = [item.id for item in found.items]
            if not found.has_more:
                break
    assert len(set(met)) == len(met) == 23
    assert back == met
