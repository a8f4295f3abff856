"""The storage port under many writers, kills, cancellations, locks and lost connections, on both databases."""

import asyncio
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from assay.adapters.storage import SqlStorage, open_storage
from assay.adapters.storage import storage as storage_module
from assay.core.errors import Unavailable
from assay.core.paging import PageRequest
from assay.core.results import Result
from assay.ports.storage import TextFilter
from tests.builders.datasets import make_dataset
from tests.builders.evaluations import make_evaluation, make_items, make_result
from tests.builders.identity import make_account
from tests.contract.conftest import new_postgres, new_sqlite
from tests.contract.storage_writer import ALIASES
from tests.fakes.postgres import end_connections

ROOT = Path(__file__).parents[2]


def in_threads(url: str, *works: Callable[[SqlStorage], Awaitable[None]]) -> None:
    """Run each with a storage and an event loop of its own, in a thread of its own."""
    failed: list[BaseException] = []

    async def run(work: Callable[[SqlStorage], Awaitable[None]]) -> None:
        storage = open_storage(url)
        try:
            await work(storage)
        finally:
            await storage.close()

    def body(work: Callable[[SqlStorage], Awaitable[None]]) -> None:
        try:
            asyncio.run(run(work))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=body, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


async def test_duplicate_writers_count_every_result_once(storage: SqlStorage, database_url: str) -> None:
    async with storage.write() as work:
        evaluation = await work.evaluations.add(make_evaluation())
    results = [make_result(evaluation, seq, alias) for seq in range(1, 200) for alias in "abc"]
    counts: list[int] = []

    def writer(seed: int) -> Callable[[SqlStorage], Awaitable[None]]:
        async def write(mine: SqlStorage) -> None:
            shuffled = random.Random(seed).sample(results, len(results))
            for start in range(0, len(shuffled), 40):
                async with mine.write() as work:
                    added = await work.results.add(shuffled[start : start + 40])
                    await work.evaluations.add_progress(evaluation.seq, successful=added, failed=0, errors=0)
                counts.append(added)

        return write

    await asyncio.to_thread(in_threads, database_url, *map(writer, range(3)))
    async with storage.read() as work:
        totals = await work.results.totals(evaluation.seq)
        stored = await work.evaluations.get(None, evaluation.id)
    assert sum(counts) == len(results) == sum(total.statuses["completed"] for total in totals)
    assert stored is not None
    assert stored.progress.successful == len(results)


async def test_what_a_writer_reads_stays_so_until_it_has_written(storage: SqlStorage, database_url: str) -> None:
    async with storage.write() as work:
        dataset = await work.datasets.add(make_dataset(current_version_num=0))

    async def bump(mine: SqlStorage) -> None:
        for _ in range(25):
            async with mine.write() as work:
                found = await work.datasets.get("default", dataset.id)
                assert found is not None
                await asyncio.sleep(0)
                await work.datasets.save(replace(found, current_version_num=found.current_version_num + 1))

    async def bump_twice(mine: SqlStorage) -> None:
        await asyncio.gather(bump(mine), bump(mine))

    await asyncio.to_thread(in_threads, database_url, bump_twice, bump_twice)
    async with storage.read() as work:
        found = await work.datasets.get("default", dataset.id)
    assert found is not None
    assert found.current_version_num == 100


async def test_readers_do_not_wait_for_a_writer(storage: SqlStorage) -> None:
    async with storage.write() as work:
        await work.evaluations.add(make_evaluation())
        async with asyncio.timeout(5):
            async with storage.read() as other:
                page = await other.evaluations.list("default", PageRequest(), TextFilter())
    assert page.total == 0


async def test_many_readers_at_once_all_get_their_turn(storage: SqlStorage) -> None:
    async def read() -> int:
        async with storage.read() as work:
            await asyncio.sleep(0.05)
            return len(await work.accounts.list())

    assert await asyncio.gather(*(read() for _ in range(60))) == [2] * 60


async def test_a_cancelled_writer_leaves_nothing_and_frees_its_turn(storage: SqlStorage) -> None:
    inside = asyncio.Event()

    async def write() -> None:
        async with storage.write() as work:
            await work.accounts.ensure(make_account("cancelled"))
            inside.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(write())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(5), storage.write() as work:
        assert await work.accounts.get("cancelled") is None


async def test_writers_cancelled_at_any_moment_leave_whole_transactions(storage: SqlStorage) -> None:
    async with storage.write() as work:
        evaluation = await work.evaluations.add(make_evaluation())
    done = 0

    async def write(seq: int) -> None:
        nonlocal done
        async with storage.write() as work:
            await work.results.add([make_result(evaluation, seq, alias) for alias in ALIASES])
            await work.evaluations.add_progress(evaluation.seq, successful=1, failed=0, errors=0)
        done += 1

    chance = random.Random(7)
    for seq in range(1, 61):
        task = asyncio.create_task(write(seq))
        await asyncio.sleep(chance.random() * 0.004)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    async with asyncio.timeout(5):
        await write(1000)
    async with storage.read() as work:
        found = await work.evaluations.get(None, evaluation.id)
        totals = await work.results.totals(evaluation.seq)
    assert found is not None
    assert found.progress.successful >= done
    assert [total.statuses["completed"] for total in totals] == [found.progress.successful] * len(ALIASES)


@pytest.mark.parametrize("make", [new_sqlite, new_postgres], ids=["sqlite", "postgres"])
async def test_a_killed_writer_leaves_whole_transactions(make: Callable[[Path], str], tmp_path: Path) -> None:
    url = make(tmp_path)
    storage = open_storage(url)
    async with storage.write() as work:
        await work.accounts.ensure(make_account())
        evaluation = await work.evaluations.add(make_evaluation())
    for seconds in (0.05, 0.12):
        writer = subprocess.Popen(
            [sys.executable, "-m", "tests.contract.storage_writer", url, evaluation.id],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        assert writer.stdout is not None
        assert await asyncio.to_thread(writer.stdout.readline) == b"ready\n"
        await asyncio.sleep(seconds)
        writer.kill()
        writer.wait()
        writer.stdout.close()
    reopened = open_storage(url, patience=5)
    async with reopened.write() as work:  # the killed one's lock is gone
        found = await work.evaluations.get(None, evaluation.id)
        numbers = {total.alias: total.statuses["completed"] for total in await work.results.totals(evaluation.seq)}
    assert found is not None
    assert set(numbers) == set(ALIASES)
    assert len(set(numbers.values())) == 1
    assert found.progress.successful >= max(numbers.values()) > 1  # the second one's first results were there
    await reopened.close()
    await storage.close()


# SQLite's lock


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Another process's write lock, as SQLite sees it."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, timeout=5)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


async def test_a_writer_gives_up_when_its_patience_ends(tmp_path: Path) -> None:
    url = new_sqlite(tmp_path)
    storage = open_storage(url, patience=0.3)
    with locked(url):
        began = time.monotonic()
        with pytest.raises(Unavailable, match="locked"):
            async with storage.write():
                pass
        assert time.monotonic() - began < 5
        await storage.ping()
    async with storage.write() as work:
        await work.accounts.ensure(make_account())
    await storage.close()


async def test_a_writer_waits_for_the_lock_while_its_patience_lasts(tmp_path: Path) -> None:
    url = new_sqlite(tmp_path)
    storage = open_storage(url, patience=20)

    async def write() -> None:
        async with storage.write() as work:
            await work.accounts.ensure(make_account())

    with locked(url):
        task = asyncio.create_task(write())
        await asyncio.sleep(1.3)
        assert not task.done()
    await task
    await storage.close()


async def test_a_second_writer_of_the_same_storage_gives_up_too(tmp_path: Path) -> None:
    storage = open_storage(new_sqlite(tmp_path), patience=0.1)
    async with storage.write():
        with pytest.raises(Unavailable, match="busy"):
            async with storage.write():
                pass
    async with storage.write() as work:
        await work.accounts.ensure(make_account())
    await storage.close()


# PostgreSQL's connections


async def test_a_storage_survives_the_loss_of_its_connections(tmp_path: Path) -> None:
    url = new_postgres(tmp_path)
    storage = open_storage(url, patience=10)
    await storage.ping()
    end_connections(url)
    async with storage.write() as work:
        await work.accounts.ensure(make_account())

    async def lose_it() -> None:
        async with storage.write() as work:
            await work.accounts.ensure(make_account("lost"))
            end_connections(url)
            await work.accounts.list()

    with pytest.raises(Unavailable):
        await lose_it()
    async with storage.read() as work:
        assert [account.id for account in await work.accounts.list()] == ["default"]
    await storage.close()


async def test_writers_take_turns_and_none_waits_long_for_a_slow_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_module, "SIDE_BY_SIDE_AFTER", 1)
    storage = open_storage(new_postgres(tmp_path), patience=10)
    slow_is_in, slow_may_end = asyncio.Event(), asyncio.Event()
    inside = most = 0

    async def quick(name: str) -> None:
        nonlocal inside, most
        async with storage.write() as work:
            inside += 1
            most = max(most, inside)
            await work.accounts.ensure(make_account(name))
            inside -= 1

    async def slow() -> None:
        async with storage.write() as work:
            await work.accounts.ensure(make_account("slow"))
            slow_is_in.set()
            await slow_may_end.wait()

    await asyncio.gather(*(quick(f"account {n}") for n in range(3)))
    assert most == 1
    waiting = asyncio.create_task(slow())
    await slow_is_in.wait()
    async with asyncio.timeout(5):
        await asyncio.gather(*(quick(f"further {n}") for n in range(3)))
    slow_may_end.set()
    await waiting
    async with storage.read() as work:
        assert len(await work.accounts.list()) == 7
    await storage.close()


async def test_results_written_in_opposite_orders_do_not_deadlock(tmp_path: Path) -> None:
    url = new_postgres(tmp_path)
    storage = open_storage(url)
    results = [Result(1, seq, "a", make_result(make_evaluation(), 1).status, seq) for seq in range(1, 400)]
    added: list[int] = []

    async def write(rows: list[Result]) -> None:
        async with storage.write() as work:
            added.append(await work.results.add(rows))

    for _ in range(3):
        await asyncio.gather(write(results), write(results[::-1]))
    assert sum(added) == len(results)
    await storage.close()


async def test_an_evaluation_of_ten_thousand_items_fits_one_transaction(storage: SqlStorage) -> None:
    async with storage.write() as work:
        evaluation = await work.evaluations.add(make_evaluation())
        await work.items.add(evaluation, make_items(10_000))
    async with storage.read() as work:
        page = await work.items.list("default", PageRequest(limit=10_000), evaluation_id=evaluation.id)
    assert [item.data["question"] for item in page.items] == [f"question {number}" for number in range(10_000)]
