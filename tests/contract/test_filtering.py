"""Filters on both databases agree with the plain-Python oracle, whatever is stored, asked and changed meanwhile,
by whichever of two storage objects."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select

from assay.adapters.storage import SqlStorage, changes, evaluation_index, open_storage, upgrade
from assay.adapters.storage import storage as storage_module
from assay.adapters.storage.dialects import dialect_for
from assay.adapters.storage.schema import migrate
from assay.adapters.storage.tables import accounts, evaluations
from assay.core.errors import InvalidCursor
from assay.core.evaluations import Evaluation, EvaluationStatus
from assay.core.filters import Filter, parse_filters, passes
from assay.core.paging import PageRequest
from assay.core.selection import Selection, Sort
from assay.ports.storage import TextFilter
from tests.builders.evaluations import make_evaluation
from tests.builders.identity import NOW, make_account, new_id
from tests.contract.test_storage_concurrency import in_threads
from tests.fakes.postgres import fresh_database

examples = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

KEYS = ["k", "a", "a.b", "b", "a.b.c", "k'; --", '"', "%", "é", ".", "status", "tag", "absent", "x" * 1200]
TEXTS = [
    *("", "a", "B", "b", "true", "1", "1.0", "10", "9", "-1", "1e2", "1e400", "NaN", "9007199254740993", "007", "100%"),
    *("2026-01-01", "2026-01-01T00:00:00Z", "2026-01-01T01:30:00+01:00", "2026-01-01T00:30:00.000001", "2026-02-30"),
    *("'; DROP TABLE evaluations; --", "é", "é", "😀", "[1]", '{"a":1}', "a,b", " a", "y" * 1500, "1" * 70),
]
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 12)
    | st.sampled_from([2**53 + 1, -(2**63), 2**64 - 1, 10**70, 9007199254740993])
    | st.sampled_from([0.1, 1.0, -0.0, 1e300, 2.5, 1e17])
    | st.sampled_from(TEXTS)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["b", "c", "b.c", ""]), inner, max_size=3)
    ),
    max_leaves=4,
)
documents = st.none() | st.dictionaries(st.sampled_from([key for key in KEYS if key != "absent"]), values, max_size=5)
tag_lists = st.lists(st.sampled_from(["a", "A", "b", "Straße", "STRASSE", "1.0", "x,y"]), max_size=3).map(tuple)


@st.composite
def raw_filters(draw: st.DrawFn) -> dict[str, Any]:
    operator = draw(st.sampled_from(["==", "!=", ">=", "<=", "IN", "NOT_IN"]))
    value: Any = draw(st.sampled_from(TEXTS) | scalars)
    if operator in ("IN", "NOT_IN"):
        several = draw(st.lists(st.sampled_from(TEXTS) | scalars, max_size=4))
        value = draw(st.sampled_from([several, json.dumps(several), ",".join(map(str, several)).lstrip("[ ")]))
    key = draw(st.sampled_from([*KEYS, "status", "tag"]))
    if key == "status" and draw(st.booleans()):
        value = draw(st.sampled_from(["running", "completed", "failed"]))
    return {"key": key, "operator": operator, "value": value}


questions = st.lists(raw_filters(), min_size=1, max_size=3).map(parse_filters)


@st.composite
def steps(draw: st.DrawFn) -> tuple[str, int, Any]:
    kind = draw(st.sampled_from(["add", "add", "change", "archive", "restore", "status", "tags"]))
    given = {"add": st.tuples(documents, tag_lists), "change": documents, "tags": tag_lists}
    return kind, draw(st.integers(0, 50)), draw(given.get(kind, st.sampled_from(list(EvaluationStatus))))


class Account:
    """An account as a list of what should be there, and the two storages that change it."""

    def __init__(self, identifier: str, *storages: SqlStorage) -> None:
        self.id = identifier
        self.storages = storages
        self.rows: list[Evaluation] = []

    async def take(self, number: int, step: tuple[str, int, Any]) -> None:
        kind, index, value = step
        async with self.storages[number % 2].write() as work:
            if kind == "add" or not self.rows:
                metadata, tags = value if kind == "add" else (None, ())
                new = make_evaluation(account_id=self.id, metadata=metadata, tags=tags)
                self.rows.append(await work.evaluations.add(new))
                return
            place = index % len(self.rows)
            old = self.rows[place]
            if kind == "status":
                self.rows[place] = replace(old, status=value)
                await work.evaluations.set_status(old.seq, value, None)
                return
            changed = {
                "change": {"metadata": value},
                "tags": {"tags": value},
                "archive": {"archived_at": NOW},
                "restore": {"archived_at": None},
            }[kind]
            self.rows[place] = replace(old, **changed)
            await work.evaluations.save(self.rows[place])

    def expected(self, filters: tuple[Filter, ...], archived: bool) -> list[Evaluation]:
        return [
            row
            for row in self.rows
            if (archived or row.archived_at is None)
            and passes(filters, metadata=row.metadata, tags=row.tags, status=row.status)
        ]


@pytest.fixture
async def second(database_url: str, storage: SqlStorage) -> AsyncIterator[SqlStorage]:
    """Another storage object on the same database, as another process has one."""
    opened = open_storage(database_url, patience=10)
    yield opened
    await opened.close()


async def new_account(*storages: SqlStorage) -> Account:
    account = make_account(new_id())
    async with storages[0].write() as work:
        await work.accounts.ensure(account)
    return Account(account.id, *storages)


async def list_ids(
    storage: SqlStorage, account: str, filters: tuple[Filter, ...], archived: bool, **page: Any
) -> tuple[list[str], int, bool]:
    async with storage.read() as work:
        found = await work.evaluations.list(
            account, PageRequest(**page), TextFilter(include_archived=archived), filters
        )
    return [each.id for each in found.items], found.total, found.has_more


@examples
@given(
    before=st.lists(steps(), max_size=10),
    rounds=st.lists(st.tuples(st.lists(steps(), max_size=4), questions, st.booleans()), min_size=2, max_size=5),
    limit=st.integers(1, 6),
)
async def test_both_databases_agree_with_the_oracle(
    storage: SqlStorage, second: SqlStorage, before: list[Any], rounds: list[Any], limit: int
) -> None:
    account = await new_account(storage, second)
    for number, step in enumerate(before):
        await account.take(number, step)
    for asked, (more, filters, archived) in enumerate(rounds):
        for number, step in enumerate(more):
            await account.take(number, step)
        expected = [row.id for row in account.expected(filters, archived)]
        for each in account.storages if asked % 2 else account.storages[:1]:
            page = await list_ids(each, account.id, filters, archived, limit=limit)
            assert page == (expected[:limit], len(expected), len(expected) > limit)
        async with storage.write() as work:
            found = await work.evaluations.list(
                account.id, PageRequest(), TextFilter(include_archived=archived), filters
            )
            assert [row.id for row in found.items] == expected
        async with second.read() as work:
            everything = await work.evaluations.list(account.id, PageRequest(1), TextFilter(include_archived=archived))
            assert everything.total == len(account.expected((), archived))


def a_value(chance: Random, depth: int = 0) -> Any:
    """Any scalar or text, now and then inside lists and objects."""
    kind = chance.random()
    if kind < 0.9 or depth > 2:
        return chance.choice(
            TEXTS if kind < 0.5 else [None, True, False, -1, 0, 1, 9, 10, 2**53 + 1, -(2**63), 0.1, -0.0]
        )
    inner = [a_value(chance, depth + 1) for _ in range(chance.randrange(3))]
    return inner if kind < 0.94 else {chance.choice(["b", "c", "b.c", ""]): each for each in inner}


def a_question(chance: Random) -> tuple[Filter, ...]:
    """One to ten filters over the keys that documents have, and some that they lack."""
    several = []
    for _ in range(chance.choice([1, 1, 2, 3, 10])):
        operator, value = chance.choice(["==", "!=", ">=", "<=", "IN", "NOT_IN"]), a_value(chance)
        if operator in ("IN", "NOT_IN"):
            value = [a_value(chance) for _ in range(chance.randrange(5))]
        several.append({"key": chance.choice([*KEYS, "status", "tag"]), "operator": operator, "value": value})
    return parse_filters(several)


async def test_a_thousand_questions_about_hundreds_of_evaluations_agree_with_the_oracle(storage: SqlStorage) -> None:
    chance = Random(20261122)
    account = await new_account(storage)
    async with storage.write() as work:
        for number in range(300):
            metadata = {chance.choice(KEYS): a_value(chance) for _ in range(chance.randrange(8))}
            tags = tuple(chance.sample(["a", "A", "b", "Straße", "1.0"], chance.randrange(4)))
            made = make_evaluation(account_id=account.id, metadata=metadata, tags=tags)
            made = replace(made, archived_at=None if number % 9 else NOW)
            account.rows.append(await work.evaluations.add(made))
    found = 0
    for _ in range(1_000):
        filters, archived = a_question(chance), chance.random() < 0.3
        expected = [row.id for row in account.expected(filters, archived)]
        assert await list_ids(storage, account.id, filters, archived, limit=25) == (
            expected[:25],
            len(expected),
            len(expected) > 25,
        ), filters
        found += bool(expected)
    assert found > 300, "questions that nothing passes prove little"


@settings(parent=examples, max_examples=15)
@given(
    added=st.lists(st.tuples(documents, tag_lists), min_size=3, max_size=14),
    filters=questions,
    limit=st.integers(1, 4),
    order=st.sampled_from(["asc", "desc"]),
    sort_by=st.sampled_from(["created_at", "name", "status", "error_count"]),
)
async def test_cursors_walk_through_all_matches_both_ways(
    storage: SqlStorage, second: SqlStorage, added: list[Any], filters: Any, limit: int, order: Any, sort_by: str
) -> None:
    account = await new_account(storage, second)
    for number, each in enumerate(added):
        await account.take(number, ("add", 0, each))
    expected = [row.id for row in account.expected(filters, False)]
    expected = expected if order == "asc" else expected[::-1]
    where = {"limit": limit, "sort_order": order, "sort_by": sort_by}
    walked: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        ids, total, more = await list_ids(storage, account.id, filters, False, **where, **cursor)
        assert total == len(expected)
        walked += ids
        if not more:
            break
        cursor = {"starting_after": ids[-1]}
    assert walked == expected
    if walked:
        back, cursor = [walked[-1]], {"ending_before": walked[-1]}
        while True:
            ids, total, more = await list_ids(storage, account.id, filters, False, **where, **cursor)
            back = ids + back
            if not more:
                break
            cursor = {"ending_before": ids[0]}
        assert back == expected


async def test_a_cursor_of_another_account_or_of_nothing_is_refused(storage: SqlStorage, second: SqlStorage) -> None:
    mine, theirs = await new_account(storage, second), await new_account(storage, second)
    await mine.take(0, ("add", 0, (None, ())))
    await theirs.take(0, ("add", 0, (None, ())))
    filters = parse_filters([{"key": "k", "operator": "!=", "value": "1"}])
    for cursor in (theirs.rows[0].id, "nothing"):
        with pytest.raises(InvalidCursor):
            await list_ids(storage, mine.id, filters, False, starting_after=cursor)
    assert await list_ids(storage, mine.id, filters, False) == ([mine.rows[0].id], 1, False)


async def test_no_change_is_skipped_while_many_commit_at_once(storage: SqlStorage, database_url: str) -> None:
    """Four writers, each changing what it added, and a reader that asks all the time."""
    account = await new_account(storage)
    filters = parse_filters(
        [{"key": "n", "operator": ">=", "value": "0"}, {"key": "done", "operator": "==", "value": "true"}]
    )
    everything = parse_filters([{"key": "n", "operator": ">=", "value": "0"}])
    left = 4

    async def write(mine: SqlStorage) -> None:
        nonlocal left
        for number in range(25):
            async with mine.write() as work:
                added = await work.evaluations.add(make_evaluation(account_id=account.id, metadata={"n": number}))
                await asyncio.sleep(0.001 * (number % 3))
            async with mine.write() as work:
                await work.evaluations.save(replace(added, metadata={"n": number, "done": True}))
        left -= 1

    writing = asyncio.create_task(asyncio.to_thread(in_threads, database_url, write, write, write, write))
    seen = [0]
    while left and not writing.done():
        done = (await list_ids(storage, account.id, filters, False, limit=5))[1]
        total = (await list_ids(storage, account.id, everything, False, limit=5))[1]
        assert seen[-1] <= done <= total
        seen.append(done)
        await asyncio.sleep(0)
    await writing
    assert (await list_ids(storage, account.id, filters, False, limit=1000))[1] == 100
    assert (await list_ids(storage, account.id, (), False, limit=10))[1] == 100
    assert len(set(seen)) > 3


async def test_a_unit_that_began_before_a_change_still_gets_a_right_answer(
    storage: SqlStorage, second: SqlStorage
) -> None:
    account = await new_account(storage, second)
    filters = parse_filters([{"key": "n", "operator": "!=", "value": "0"}])
    await account.take(0, ("add", 0, ({"n": 1}, ())))
    async with storage.read() as old:
        assert await old.evaluations.get(account.id, account.rows[0].id) is not None
        await account.take(1, ("add", 0, ({"n": 2}, ())))
        assert (await list_ids(storage, account.id, filters, False))[1] == 2
        found = await old.evaluations.list(account.id, PageRequest(), TextFilter(), filters)
        assert ([row.id for row in found.items], found.total) == ([row.id for row in account.rows], 2)


async def test_a_log_that_was_pruned_leads_to_a_new_index(
    storage: SqlStorage, second: SqlStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "KEPT_VERSIONS", 2)
    monkeypatch.setattr(changes, "PRUNE_EVERY", 3)
    account = await new_account(storage, second)
    filters = parse_filters([{"key": "n", "operator": "==", "value": "1"}])
    for number in range(20):
        await account.take(1, ("add", 0, ({"n": 1}, ())))
        if number in (0, 1, 11, 19):
            assert (await list_ids(storage, account.id, filters, False))[1] == number + 1
    async with storage._reading() as session:
        assert (await changes.read_counts(session, account.id)).pruned == 16
        assert len(await changes.changed_since(session, account.id, 0)) == 4


async def test_a_rolled_back_write_leaves_no_trace(storage: SqlStorage, second: SqlStorage) -> None:
    account = await new_account(storage, second)
    filters = parse_filters([{"key": "n", "operator": "!=", "value": "1"}])
    await account.take(0, ("add", 0, (None, ())))

    async def fail_after_adding() -> None:
        async with storage.write() as work:
            await work.evaluations.add(make_evaluation(account_id=account.id))
            assert (await work.evaluations.list(account.id, PageRequest(), TextFilter(), filters)).total == 2
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_after_adding()
    for asked in (filters, ()):
        assert (await list_ids(storage, account.id, asked, False))[1] == 1


async def test_more_keys_than_the_index_holds_are_still_answered(
    storage: SqlStorage, second: SqlStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation_index, "MOST_KEYS", 3)
    account = await new_account(storage, second)
    for number in range(8):
        await account.take(0, ("add", 0, ({f"key{number}": number, "all": True}, ())))
    for number in range(8):
        filters = parse_filters([{"key": f"key{number}", "operator": ">=", "value": "0"}])
        assert (await list_ids(storage, account.id, filters, False))[0] == [account.rows[number].id]
    async with storage.read() as work:
        keys = await work.evaluations.metadata_keys(account.id)
    assert (len(keys.keys), keys.complete) == (3, False)


async def test_keys_that_few_rows_have_become_ones_that_many_have(storage: SqlStorage, second: SqlStorage) -> None:
    """Past the size where a column is aligned with all rows, changes included."""
    account = await new_account(storage, second)
    for start in range(0, 3000, 500):
        async with storage.write() as work:
            for number in range(start, start + 500):
                metadata = {"n": number, "word": f"w{number % 7}", **({"rare": number} if number % 100 == 0 else {})}
                added = await work.evaluations.add(make_evaluation(account_id=account.id, metadata=metadata))
                account.rows.append(added)
        await account.take(1, ("change", start + 3, {"word": "changed", "n": "text"}))
        await account.take(1, ("archive", start + 8, None))
        for key, operator, value in [
            ("n", ">=", "1500"),
            ("n", "!=", "text"),
            ("word", "IN", "w1,changed"),
            ("rare", "<=", "900"),
            ("rare", "NOT_IN", "100,200"),
        ]:
            filters = parse_filters([{"key": key, "operator": operator, "value": value}])
            expected = [row.id for row in account.expected(filters, False)]
            assert await list_ids(storage, account.id, filters, False, limit=3) == (
                expected[:3],
                len(expected),
                len(expected) > 3,
            )


async def test_pages_by_number_come_in_any_combined_order(storage: SqlStorage, second: SqlStorage) -> None:
    account = await new_account(storage, second)
    async with storage.write() as work:
        for number in range(23):
            new = make_evaluation(
                account_id=account.id,
                name="abc"[number % 3],
                description=None if number % 5 == 0 else f"d{number % 2}",
                archived_at=NOW if number % 7 == 0 else None,
            )
            account.rows.append(await work.evaluations.add(new))
    sort = (Sort("name", descending=True), Sort("description"), Sort("created_at", descending=True))

    def check(page: Any, offset: int) -> None:
        ordered = sorted(account.rows, key=lambda row: -row.seq)
        ordered.sort(key=lambda row: (row.description is None, row.description or ""))
        ordered.sort(key=lambda row: row.name, reverse=True)
        assert [row.id for row in page.items] == [row.id for row in ordered[offset : offset + 5]]
        assert (page.total, page.has_more) == (len(ordered), offset + 5 < len(ordered))

    for offset in (0, 5, 20, 40):
        async with second.read() as work:
            check(
                await work.evaluations.select(
                    account.id, Selection((), include_archived=True, sort=sort, limit=5, offset=offset)
                ),
                offset,
            )
        row = account.rows[offset % 23]
        account.rows[offset % 23] = replace(row, name="bb", description="d9")
        async with storage.write() as work:
            await work.evaluations.save(account.rows[offset % 23])
            account.rows.append(await work.evaluations.add(make_evaluation(account_id=account.id, name="b")))


async def test_parts_of_names_are_found_in_names_that_are_new_or_have_changed(
    storage: SqlStorage, second: SqlStorage
) -> None:
    account = await new_account(storage, second)
    names = ["Nightly run", "nightly RUN 2", "straße nach süden", "", "ru"]
    async with storage.write() as work:
        made = [await work.evaluations.add(make_evaluation(account_id=account.id, name=name)) for name in names]

    async def found(part: str) -> list[str]:
        async with second.read() as work:
            page = await work.evaluations.list(account.id, PageRequest(), TextFilter(name=part))
        assert page.total == len(page.items)
        return [each.name for each in page.items]

    assert await found("LY RUN") == names[:2]
    assert await found("STRASSE NACH") == [names[2]]
    assert await found("ru") == [names[0], names[1], names[4]]
    assert await found("weekly") == []
    async with storage.write() as work:
        await work.evaluations.save(replace(made[0], name="weekly run"))
        await work.evaluations.add(make_evaluation(account_id=account.id, name="another weekly"))
    assert await found("Weekly") == ["weekly run", "another weekly"]
    assert await found("LY RUN") == ["weekly run", names[1]]


async def test_metadata_keys_are_counted_by_what_filters_read(storage: SqlStorage, second: SqlStorage) -> None:
    account = await new_account(storage, second)
    for number in range(60):
        metadata = {"n": number, "model": {"name": f"m{number % 3}"}, "mixed": [True, "x", "2026-01-01", 1][number % 4]}
        await account.take(0, ("add", 0, (metadata, ())))
    await account.take(0, ("archive", 59, None))
    async with storage.read() as work:
        shown = await work.evaluations.metadata_keys(account.id)
        every = await work.evaluations.metadata_keys(account.id, include_archived=True)
    assert [(key.name, key.count) for key in shown.keys] == [("mixed", 59), ("model.name", 59), ("n", 59)]
    assert [(key.name, key.count) for key in every.keys] == [("mixed", 60), ("model.name", 60), ("n", 60)]
    mixed, model, number = every.keys
    assert mixed.types == {"boolean": 15, "text": 15, "date": 15, "number": 15}
    assert mixed.values == {"true": 15, "x": 15, "2026-01-01": 15, "1": 15}
    assert (model.types, model.values) == ({"text": 60}, {"m0": 20, "m1": 20, "m2": 20})
    assert (number.types, number.values) == ({"number": 60}, None)


async def test_whoever_gives_up_waiting_for_an_index_does_not_stop_it(storage: SqlStorage, second: SqlStorage) -> None:
    account = await new_account(storage, second)
    await account.take(0, ("add", 0, ({"n": 1}, ())))
    filters = parse_filters([{"key": "n", "operator": "==", "value": "1"}])
    impatient = asyncio.create_task(list_ids(storage, account.id, filters, False))
    patient = asyncio.create_task(list_ids(storage, account.id, filters, False))
    await asyncio.sleep(0)
    impatient.cancel()
    assert (await patient)[1] == 1


async def test_the_largest_accounts_are_made_ready_as_far_as_they_fit(
    storage: SqlStorage, second: SqlStorage, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_module, "WARM_FROM", 2)
    sizes = {"few": 1, "some": 3, "many": 6, "most": 9}
    accounts = {}
    for name, size in sizes.items():
        accounts[name] = account = await new_account(storage, second)
        for number in range(size):
            await account.take(0, ("add", 0, ({"n": number}, ())))
    await accounts["many"].take(0, ("archive", 0, None))

    async def ready(evaluations: int) -> set[str]:
        fresh = open_storage(database_url)
        try:
            warmed = await fresh.warm(evaluations)
            built = {name for name, account in accounts.items() if account.id in fresh._indexes._entries}
            assert warmed == sum(sizes[name] for name in built)
            filters = parse_filters([{"key": "n", "operator": ">=", "value": "0"}])
            assert (await list_ids(fresh, accounts["many"].id, filters, True))[1] == 6
        finally:
            await fresh.close()
        return built

    assert await ready(0) == set()
    assert await ready(8) == {"many"}
    assert await ready(17) == {"most", "many"}
    assert await ready(1000) == {"most", "many", "some"}


async def test_an_older_database_is_counted_when_it_is_upgraded(
    storage: SqlStorage, database_url: str, tmp_path: Path
) -> None:
    async with storage.write() as work:
        for number in range(5):
            archived = NOW if number == 3 else None
            await work.evaluations.add(make_evaluation(metadata={"n": number}, archived_at=archived))
    older = f"sqlite:///{tmp_path}/older.db" if database_url.startswith("sqlite") else fresh_database()
    writers = dialect_for(older).writers()
    async with writers.begin() as connection, storage._reading() as session:
        await connection.run_sync(migrate, "0004")
        for table in (accounts, evaluations):
            rows = [dict(row._mapping) for row in await session.rows(select(table))]
            await connection.execute(insert(table), rows)
    await writers.dispose()
    await upgrade(older)
    fresh = open_storage(older)
    try:
        for filters in ((), parse_filters([{"key": "n", "operator": "!=", "value": "9"}])):
            assert (await list_ids(fresh, "default", filters, False))[1] == 4
            assert (await list_ids(fresh, "default", filters, True))[1] == 5
    finally:
        await fresh.close()
