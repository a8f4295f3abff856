"""The contract of the storage port, on SQLite and PostgreSQL: transactions, accounts, evaluations, items, results."""

from dataclasses import replace
from datetime import timedelta

import pytest

from assay.adapters.storage import SqlStorage, open_storage
from assay.core.errors import InvalidCursor, InvalidInput, Unavailable
from assay.core.evaluations import Evaluation, EvaluationStatus, Progress
from assay.core.identity import Identity
from assay.core.paging import PageRequest
from assay.core.results import ErrorType, ResultStatus, TaskError, Usage
from assay.ports.storage import NewItem, TextFilter
from tests.builders.datasets import make_dataset
from tests.builders.evaluations import make_error, make_evaluation, make_item, make_items, make_result, make_task
from tests.builders.identity import NOW, make_account, make_key, new_id

EVERYTHING = TextFilter()


async def add_evaluation(storage: SqlStorage, count: int = 0, **changes: object) -> Evaluation:
    """Store an evaluation with that many items."""
    async with storage.write() as work:
        evaluation = await work.evaluations.add(make_evaluation(progress=Progress(count), **changes))
        await work.items.add(evaluation, make_items(count))
    return evaluation


async def item_seqs(storage: SqlStorage, evaluation: Evaluation) -> list[int]:
    async with storage.read() as work:
        return [item.seq async for batch in work.items.stream(evaluation.seq) for item in batch]


# Transactions


async def test_a_block_that_raises_leaves_nothing(storage: SqlStorage) -> None:
    evaluation = make_evaluation()

    async def fail_late() -> None:
        async with storage.write() as work:
            stored = await work.evaluations.add(evaluation)
            await work.items.add(stored, make_items(3))
            await work.results.add([make_result(stored, 1)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_late()
    async with storage.read() as work:
        assert await work.evaluations.get("default", evaluation.id) is None
        assert (await work.items.list("default", PageRequest())).total == 0
        assert await work.results.totals(1) == []


async def test_a_reader_sees_one_moment(storage: SqlStorage) -> None:
    evaluation = await add_evaluation(storage, 2)
    async with storage.read() as work:
        before = await work.items.list("default", PageRequest(), evaluation_id=evaluation.id)
        async with storage.write() as other:
            await other.items.add(evaluation, make_items(5))
        after = await work.items.list("default", PageRequest(), evaluation_id=evaluation.id)
    assert (before.total, after.total) == (2, 2)
    assert len(await item_seqs(storage, evaluation)) == 7


async def test_a_reader_cannot_write(storage: SqlStorage) -> None:
    with pytest.raises(Unavailable):
        async with storage.read() as work:
            await work.accounts.ensure(make_account("sneaked in"))
    async with storage.read() as work:
        assert await work.accounts.get("sneaked in") is None


async def test_a_secret_is_made_once(storage: SqlStorage, database_url: str) -> None:
    assert await storage.secret("links", "first") == "first"
    assert await storage.secret("links", "second") == "first"
    assert await storage.secret("cookies", "third") == "third"
    another = open_storage(database_url)
    assert await another.secret("links", "fourth") == "first"
    await another.close()


async def test_a_closed_storage_says_so(storage: SqlStorage) -> None:
    await storage.ping()
    await storage.close()
    await storage.close()
    with pytest.raises(Unavailable, match="closed"):
        await storage.ping()


# Accounts and keys


async def test_an_account_is_added_once(storage: SqlStorage) -> None:
    async with storage.write() as work:
        await work.accounts.ensure(make_account("third", name="Third"))
        await work.accounts.ensure(make_account("third", name="Renamed"))
    async with storage.read() as work:
        assert await work.accounts.get("third") == make_account("third", name="Third")
        assert await work.accounts.get("fourth") is None
        assert [account.id for account in await work.accounts.list()] == ["default", "other", "third"]


async def test_a_key_is_found_by_its_hash_and_revoked_once(storage: SqlStorage) -> None:
    key = make_key(account_ids=("other", "default"), identity=Identity("ci", "service_account"))
    later = make_key("another", created_at=NOW + timedelta(seconds=1))
    async with storage.write() as work:
        await work.api_keys.add(later)
        await work.api_keys.add(key)
    async with storage.write() as work:
        assert await work.api_keys.get_by_hash(key.secret_hash) == key
        assert await work.api_keys.get_by_hash("unknown") is None
        assert await work.api_keys.revoke(key.id, NOW)
        assert not await work.api_keys.revoke(key.id, NOW + timedelta(days=1))
        assert not await work.api_keys.revoke("unknown", NOW)
    async with storage.read() as work:
        assert await work.api_keys.list() == [replace(key, revoked_at=NOW), later]


# Evaluations


async def test_an_evaluation_comes_back_as_it_was_stored(storage: SqlStorage) -> None:
    dataset = make_dataset()
    evaluation = make_evaluation(
        description="",
        tags=("b", "a", "b"),
        metadata={"deep": [1, {"x": None}], "größe": 2**70, "half": "\ud800", "nul": "\x00"},
        tasks=(make_task("one"), make_task("two", "custom_function", source="def f(): ...", outputs=None)),
        status=EvaluationStatus.COMPLETED,
        status_reason="because",
        progress=Progress(5, 3, 2, 4),
        has_job=False,
        created_by=Identity("ci", "service_account"),
        updated_at=NOW + timedelta(microseconds=1),
        archived_at=NOW + timedelta(days=1),
        started_at=NOW,
        finished_at=NOW + timedelta(hours=1),
        column_names=("question", "answer"),
        taxonomy={"a": {}},
        skip_prefilled_rows=True,
    )
    async with storage.write() as work:
        dataset = await work.datasets.add(dataset)
        stored = await work.evaluations.add(evaluation, [dataset.id, new_id(), dataset.id])
    assert stored == replace(evaluation, seq=stored.seq, datasets=(dataset,))
    async with storage.read() as work:
        assert await work.evaluations.get("default", evaluation.id, include_archived=True) == stored
        assert await work.evaluations.get("default", evaluation.id) is None
        assert await work.evaluations.get("other", evaluation.id, include_archived=True) is None
        assert await work.evaluations.get(None, evaluation.id, include_archived=True) == stored


async def test_saving_an_evaluation_leaves_its_progress_and_status_alone(storage: SqlStorage) -> None:
    evaluation = await add_evaluation(storage, 4)
    async with storage.write() as work:
        await work.evaluations.add_progress(evaluation.seq, successful=2, failed=1, errors=3)
    edited = replace(
        evaluation,
        name="renamed",
        tags=("new",),
        tasks=(),
        updated_at=NOW + timedelta(seconds=1),
        status=EvaluationStatus.FAILED,
        progress=Progress(99),
    )
    async with storage.write() as work:
        await work.evaluations.save(edited)
    async with storage.read() as work:
        found = await work.evaluations.get("default", evaluation.id)
        renamed = await work.evaluations.list("default", PageRequest(), TextFilter(name="RENAMED", tags=("NEW",)))
    assert found == replace(edited, status=EvaluationStatus.RUNNING, progress=Progress(4, 2, 1, 3))
    assert renamed.items == [found]


async def test_a_status_changes_only_from_the_one_named(storage: SqlStorage) -> None:
    evaluation = await add_evaluation(storage)
    async with storage.write() as work:
        change = work.evaluations.set_status
        assert not await change(evaluation.seq, "completed", None, only_if="failed")
        assert await change(evaluation.seq, "failed", "cancelled", finished_at=NOW, only_if="running")
        assert not await change(evaluation.seq, "completed", None, only_if="running")
        assert await change(evaluation.seq, "running", None, started_at=NOW)
        assert not await change(evaluation.seq + 1, "running", None)
    async with storage.read() as work:
        found = await work.evaluations.get(None, evaluation.id)
    assert found == replace(evaluation, started_at=NOW, finished_at=None), "what runs has not finished"


async def test_only_running_evaluations_with_a_job_are_listed_as_running(storage: SqlStorage) -> None:
    running = await add_evaluation(storage)
    elsewhere = await add_evaluation(storage, account_id="other")
    await add_evaluation(storage, has_job=False)
    await add_evaluation(storage, status=EvaluationStatus.COMPLETED)
    async with storage.read() as work:
        assert await work.evaluations.list_running() == [running, elsewhere]


async def test_many_evaluations_are_found_within_the_account_only(storage: SqlStorage) -> None:
    mine, theirs = await add_evaluation(storage), await add_evaluation(storage, account_id="other")
    archived = await add_evaluation(storage, archived_at=NOW)
    async with storage.read() as work:
        found = await work.evaluations.get_many("default", [mine.id, theirs.id, archived.id, "unknown", mine.id])
        assert await work.evaluations.get_many("default", []) == {}
    assert found == {mine.id: mine}


async def test_recounting_counts_only_items_with_every_result(storage: SqlStorage) -> None:
    evaluation = await add_evaluation(storage, 5)
    good, bad, half, failing_half, _ = await item_seqs(storage, evaluation)
    stored = [make_result(evaluation, good, alias) for alias in ("a", "b", "an extra column")]
    stored += [make_result(evaluation, bad, "a"), make_error(evaluation, bad, "b")]
    stored += [make_result(evaluation, half, "a"), make_error(evaluation, failing_half, "a")]
    async with storage.write() as work:
        await work.results.add(stored)
        await work.evaluations.add_progress(evaluation.seq, successful=5, failed=5, errors=5)
        await work.evaluations.recount(evaluation.seq, ["a", "b"])
    async with storage.write() as work:
        found = await work.evaluations.get(None, evaluation.id)
        assert found is not None
        assert found.progress == Progress(5, successful=1, failed=1, errors=2)
        await work.evaluations.recount(evaluation.seq, [])
        found = await work.evaluations.get(None, evaluation.id)
        assert found is not None
        assert found.progress == Progress(5, successful=5)


# Names and tags


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ("straße", ["Hauptstraße", "HAUPTSTRASSE"]),
        ("STRASSE", ["Hauptstraße", "HAUPTSTRASSE"]),
        ("İstan", ["İSTANBUL"]),
        ("100%", ["100% done"]),
        ("%", ["100% done"]),
        ("_", ["snake_case"]),
        ("e\u0301", ["Caf\u00e9"]),
        ("\\", []),
        ("x" * 60_000, []),
    ],
)
async def test_names_are_searched_without_case_and_without_wildcards(
    storage: SqlStorage, wanted: str, names: list[str]
) -> None:
    for name in ("Hauptstraße", "HAUPTSTRASSE", "İSTANBUL", "100% done", "snake_case", "Caf\u00e9"):
        await add_evaluation(storage, name=name)
    async with storage.read() as work:
        found = await work.evaluations.list("default", PageRequest(), TextFilter(name=wanted))
    assert [evaluation.name for evaluation in found.items] == names
    assert found.total == len(names)


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (("STRASSE",), ["one"]),
        (("prod", "Straße"), ["one"]),
        (("prod",), ["one", "two"]),
        (("pro",), []),
        (("two\nlines",), ["two"]),
        (("lines",), []),
        (("two\\nlines",), []),
        (("%",), []),
        ((), ["one", "two", "three"]),
    ],
)
async def test_tags_are_found_whole_all_of_them_and_without_case(
    storage: SqlStorage, wanted: tuple[str, ...], names: list[str]
) -> None:
    await add_evaluation(storage, name="one", tags=("Prod", "straße"))
    await add_evaluation(storage, name="two", tags=("PROD", "two\nlines"))
    await add_evaluation(storage, name="three", tags=())
    async with storage.read() as work:
        found = await work.evaluations.list("default", PageRequest(), TextFilter(tags=wanted))
    assert [evaluation.name for evaluation in found.items] == names


@pytest.mark.parametrize("text", ["a\x00b", "half \ud83d"])
async def test_text_that_no_database_holds_is_invalid_input(storage: SqlStorage, text: str) -> None:
    with pytest.raises(InvalidInput):
        async with storage.write() as work:
            await work.evaluations.add(make_evaluation(name=text))
    async with storage.read() as work:
        with pytest.raises(InvalidInput):
            await work.evaluations.get("default", text)
    async with storage.read() as work:
        with pytest.raises(InvalidInput):
            await work.evaluations.list("default", PageRequest(), TextFilter(name=text))
    async with storage.read() as work:
        with pytest.raises(InvalidInput):
            await work.items.list("default", PageRequest(starting_after=text))


# Items


async def test_items_keep_their_order_and_their_data(storage: SqlStorage) -> None:
    evaluation = await add_evaluation(storage)
    data = [
        {"n": 1, "deep": {"a": [None, True, 1.5]}, "id": "mine", "": ""},
        {"big": 2**80, "nul": "\x00", "half": "\udc00", "text": "ünï😀"},
        {},
    ]
    rows = [NewItem(new_id(), each) for each in data]
    rows.append(NewItem(new_id(), {}, {"picture": "file-1"}, "dataset item", 3))
    async with storage.write() as work:
        await work.items.add(evaluation, rows[:2])
        await work.items.add(evaluation, [])
        await work.items.add(evaluation, rows[2:])
    async with storage.read() as work:
        page = await work.items.list("default", PageRequest(), evaluation_id=evaluation.id)
        assert [item.id for item in page.items] == [row.id for row in rows]
        assert [item.data for item in page.items] == [row.data for row in rows]
        last = await work.items.get("default", rows[-1].id)
        assert last == page.items[-1]
        assert await work.items.get("other", rows[-1].id) is None
    assert last is not None
    assert (last.files, last.dataset_item_id, last.dataset_item_version_num) == (
        {"picture": "file-1"},
        "dataset item",
        3,
    )
    assert (last.evaluation_id, last.evaluation_seq) == (evaluation.id, evaluation.seq)
    assert (last.created_at, last.created_by, last.results) == (NOW, evaluation.created_by, {})


async def test_chunks_cover_every_item_once(storage: SqlStorage) -> None:
    first, second = await add_evaluation(storage), await add_evaluation(storage)
    for _ in range(4):
        async with storage.write() as work:
            await work.items.add(first, make_items(3))
            await work.items.add(second, make_items(2))
    seqs = await item_seqs(storage, first)
    async with storage.read() as work:
        bounds = await work.items.bounds(first.seq, 5)
        chunks = [[item.seq for item in await work.items.range(first.seq, *bound)] for bound in bounds]
        assert await work.items.bounds(999, 5) == []
    assert chunks == [seqs[:5], seqs[5:10], seqs[10:]]


async def test_items_carry_their_results_however_sparse_the_page(storage: SqlStorage) -> None:
    evaluation = await add_evaluation(storage, 40)
    seqs = await item_seqs(storage, evaluation)
    stored = [make_error(evaluation, seq, "a") for seq in seqs[::13]] + [make_result(evaluation, seqs[1], "b")]
    async with storage.write() as work:
        await work.results.add(stored)
    async with storage.read() as work:
        failed = await work.items.list(
            "default", PageRequest(limit=3), evaluation_id=evaluation.id, completion="failed"
        )
        passed = await work.items.list(
            "default", PageRequest(limit=2), evaluation_id=evaluation.id, completion="passed"
        )
        everything = await work.items.range(evaluation.seq, seqs[0], seqs[-1])
        streamed = [item async for batch in work.items.stream(evaluation.seq, batch=7) for item in batch]
    assert [item.seq for item in failed.items] == seqs[::13][:3]
    assert (failed.total, failed.has_more, passed.total) == (4, True, 36)
    assert failed.items[2].results == {"a": stored[2]}
    assert passed.items[0].results == {"b": stored[-1]}
    assert everything == streamed
    assert [item for item in everything if item.results.get("a")] == [everything[n] for n in range(0, 40, 13)]


async def test_archiving_items_is_undone_for_those_archived_at_that_moment(storage: SqlStorage) -> None:
    evaluation, other = await add_evaluation(storage, 3), await add_evaluation(storage, 1)
    async with storage.write() as work:
        await work.items.set_archived(evaluation.seq, NOW)
        await work.items.set_archived(evaluation.seq, NOW + timedelta(days=1))
    async with storage.write() as work:
        hidden = await work.items.list("default", PageRequest(), evaluation_id=evaluation.id)
        shown = await work.items.list("default", PageRequest(), evaluation_id=evaluation.id, include_archived=True)
        assert (hidden.total, [item.archived_at for item in shown.items]) == (0, [NOW] * 3)
        assert await work.items.get("default", shown.items[0].id) is None
        assert await work.items.get("default", shown.items[0].id, include_archived=True) == shown.items[0]
        assert (await work.items.list("default", PageRequest())).total == 1
        await work.items.set_archived(evaluation.seq, None, only_at=NOW + timedelta(days=1))
        still = await work.items.list("default", PageRequest(), evaluation_id=evaluation.id)
        assert still.total == 0
        await work.items.set_archived(evaluation.seq, None, only_at=NOW)
    assert len(await item_seqs(storage, evaluation)) == 3
    assert len(await item_seqs(storage, other)) == 1


# Results


async def test_the_first_result_wins_and_only_new_ones_count(storage: SqlStorage) -> None:
    evaluation = await add_evaluation(storage, 2)
    one, two = await item_seqs(storage, evaluation)
    first = make_result(evaluation, one, value="first")
    async with storage.write() as work:
        assert await work.results.add([]) == 0
        assert await work.results.add([first, make_result(evaluation, one, value="second")]) == 1
        assert await work.results.add([make_error(evaluation, one), make_result(evaluation, two)]) == 1
    async with storage.write() as work:
        assert await work.results.add([make_error(evaluation, one), make_error(evaluation, two)]) == 0
    async with storage.read() as work:
        items = await work.items.range(evaluation.seq, one, two)
    assert items[0].results == {"score": first}
    assert items[1].results == {"score": make_result(evaluation, two)}


async def test_results_come_back_as_they_were_stored(storage: SqlStorage) -> None:
    evaluation = await add_evaluation(storage, 1)
    (seq,) = await item_seqs(storage, evaluation)
    values = [None, True, False, 0, 1, -1.5, 2**70, 10**400, "", "tëxt", "nul \x00", "half \ud800", [], {"a": [1]}]
    stored = [make_result(evaluation, seq, f"value {n}", value=value) for n, value in enumerate(values)]
    stored += [
        make_result(evaluation, seq, "prefilled", status=ResultStatus.PREFILLED, value="given"),
        make_result(evaluation, seq, "skipped", status=ResultStatus.SKIPPED, value=None),
        make_error(evaluation, seq, "errored", usage=Usage(1.25, 3, None, 7, cached=True), detail={"raw": "?"}),
        make_result(evaluation, seq, "used", usage=Usage(0.0, 1, 2, 3), detail={"sandbox": "monty"}),
    ]
    async with storage.write() as work:
        assert await work.results.add(stored) == len(stored)
    async with storage.read() as work:
        (item,) = await work.items.range(evaluation.seq, seq, seq)
    assert item.results == {result.alias: result for result in stored}
    kept = item.results["value 1"].value, item.results["value 3"].value
    assert [type(value) for value in kept] == [bool, int]


async def test_an_error_message_with_unstorable_text_is_kept_readable(storage: SqlStorage) -> None:
    evaluation = await add_evaluation(storage, 1)
    (seq,) = await item_seqs(storage, evaluation)
    hostile = make_error(evaluation, seq, error=TaskError(ErrorType.FUNCTION_ERROR, "a\x00b\ud800c😀"))
    async with storage.write() as work:
        assert await work.results.add([hostile]) == 1
    async with storage.read() as work:
        (item,) = await work.items.range(evaluation.seq, seq, seq)
    assert item.results["score"].error == TaskError(ErrorType.FUNCTION_ERROR, "a\ufffdb\ufffdc😀")


async def test_numbers_are_those_of_values_and_of_nothing_else(storage: SqlStorage) -> None:
    evaluation = await add_evaluation(storage, 6)
    a, b, c, d, e, f = await item_seqs(storage, evaluation)
    stored = [
        make_result(evaluation, a, value=0.25),
        make_result(evaluation, b, value=True),
        make_result(evaluation, c, value="1"),
        make_result(evaluation, d, value=7, status=ResultStatus.PREFILLED),
        make_error(evaluation, e),
        make_result(evaluation, f, value=None, status=ResultStatus.SKIPPED),
        make_result(evaluation, a, "another", value=9),
    ]
    async with storage.write() as work:
        await work.results.add(stored)
    async with storage.read() as work:
        assert await work.results.numbers(evaluation.seq, "score") == {a: 0.25, b: 1.0, d: 7.0}
        assert await work.results.numbers(evaluation.seq, "unknown") == {}


# Cursors


async def test_a_cursor_of_another_list_is_refused(storage: SqlStorage) -> None:
    mine, sibling = await add_evaluation(storage, 2), await add_evaluation(storage, 2)
    theirs = await add_evaluation(storage, 1, account_id="other")
    async with storage.read() as work:
        foreign_item = (await work.items.list("default", PageRequest(), evaluation_id=sibling.id)).items[0].id
        for cursor in (theirs.id, "unknown", ""):
            with pytest.raises(InvalidCursor) as caught:
                await work.evaluations.list("default", PageRequest(starting_after=cursor), EVERYTHING)
            assert (caught.value.parameter, caught.value.cursor) == ("starting_after", cursor)
        with pytest.raises(InvalidCursor):
            await work.items.list("default", PageRequest(ending_before=foreign_item), evaluation_id=mine.id)
        with pytest.raises(InvalidCursor):
            await work.items.list("default", PageRequest(starting_after=foreign_item), evaluation_id="unknown")
        with pytest.raises(InvalidCursor):
            await work.items.list("default", PageRequest(starting_after=foreign_item), evaluation_id=theirs.id)
        unknown = await work.items.list("default", PageRequest(), evaluation_id="unknown")
    assert (unknown.items, unknown.total, unknown.has_more) == ([], 0, False)


async def test_a_cursor_that_has_left_the_list_still_marks_its_place(storage: SqlStorage) -> None:
    evaluations = [await add_evaluation(storage, name=f"n {n}") for n in range(4)]
    async with storage.write() as work:
        await work.evaluations.save(replace(evaluations[1], archived_at=NOW))
        page = await work.evaluations.list(
            "default", PageRequest(starting_after=evaluations[1].id), TextFilter(name="n")
        )
    assert [evaluation.name for evaluation in page.items] == ["n 2", "n 3"]
    assert page.total == 3


async def test_an_unknown_order_is_refused_by_name(storage: SqlStorage) -> None:
    async with storage.read() as work:
        with pytest.raises(InvalidInput, match="'colour'") as caught:
            await work.evaluations.list("default", PageRequest(sort_by="colour"), EVERYTHING)
    assert caught.value.problems[0].loc == ("query", "sort_by")


async def test_an_item_id_can_be_the_order(storage: SqlStorage) -> None:
    evaluation = await add_evaluation(storage)
    async with storage.write() as work:
        await work.items.add(evaluation, [make_item(n, id=name) for n, name in enumerate(["b", "C", "a", "é"])])
    async with storage.read() as work:
        page = PageRequest(sort_by="id", sort_order="desc", starting_after="é")
        found = await work.items.list("default", page, evaluation_id=evaluation.id)
    assert [item.id for item in found.items] == ["b", "a", "C"]
