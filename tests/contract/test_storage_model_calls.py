"""The contract of the model calls' storage, on SQLite and PostgreSQL: kept answers, sums, policies, what was spent."""

import asyncio
from datetime import timedelta

from assay.adapters.storage import SqlStorage
from assay.core.model_calls import CacheMode, CallPolicy, CallSums, KeptAnswer
from assay.core.results import Usage
from tests.builders.evaluations import make_evaluation, make_items, make_result
from tests.builders.identity import NOW

FIRST = KeptAnswer({"choices": [{"message": {"content": "é \u2028"}}], "big": 2**70}, 7, None)
SECOND = KeptAnswer("text", None, 3)


async def keep(storage: SqlStorage, **answers: KeptAnswer) -> None:
    async with storage.write() as work:
        await work.model_calls.keep({("default", key): answer for key, answer in answers.items()}, NOW)


async def test_the_first_answer_of_a_call_stays_and_is_another_accounts_no_business(storage: SqlStorage) -> None:
    await keep(storage, a=FIRST, b=SECOND)
    await keep(storage, a=SECOND)

    async with storage.read() as work:
        assert await work.model_calls.answers("default", ["b", "a", "c"]) == {"a": FIRST, "b": SECOND}
        assert await work.model_calls.kept("default", ["a", "c"]) == {"a"}
        assert await work.model_calls.answers("other", ["a"]) == {}
        assert await work.model_calls.answers("default", []) == {}


async def test_thousands_of_keys_are_asked_for_at_once(storage: SqlStorage) -> None:
    keys = [f"{n:064}" for n in range(12_000)]
    await keep(storage, **dict.fromkeys(keys[::2], SECOND))

    async with storage.read() as work:
        assert await work.model_calls.kept("default", keys) == set(keys[::2])


async def test_answers_are_forgotten_by_account_or_by_age(storage: SqlStorage) -> None:
    await keep(storage, old=FIRST)
    async with storage.write() as work:
        later = NOW + timedelta(days=1)
        await work.model_calls.keep({("default", "new"): FIRST, ("other", "new"): FIRST}, later)
        assert await work.model_calls.forget(None, before=later) == 1
        assert await work.model_calls.answers("default", ["old", "new"]) == {"new": FIRST}
        assert await work.model_calls.forget("default") == 1
        assert await work.model_calls.kept("other", ["new"]) == {"new"}


async def test_sums_add_up_whoever_adds_at_the_same_time(storage: SqlStorage) -> None:
    async def add(n: int) -> None:
        async with storage.write() as work:
            sums = {("default", "v/a"): CallSums(1, 2, 3, n, n * n), ("default", "v/b"): CallSums(calls=1)}
            await work.model_calls.add_sums(sums)

    await asyncio.gather(*(add(n) for n in range(10)))

    async with storage.read() as work:
        found = await work.model_calls.sums("default", ["v/a", "v/b", "v/c"])
        assert found == {"v/a": CallSums(10, 20, 30, 45, 285), "v/b": CallSums(calls=10)}
        assert await work.model_calls.sums("other", ["v/a"]) == {}


async def test_a_policy_is_the_default_until_it_is_set_and_the_last_one_holds(storage: SqlStorage) -> None:
    async with storage.write() as work:
        assert await work.model_calls.policy(7) == CallPolicy()
        await work.model_calls.set_policy(7, CallPolicy(CacheMode.OFF, 1.5))
        await work.model_calls.set_policy(7, CallPolicy(CacheMode.ON))
        assert await work.model_calls.policy(7) == CallPolicy(CacheMode.ON, None)
        assert await work.model_calls.policy(8) == CallPolicy()


async def test_what_results_cost_is_kept_and_added_up(storage: SqlStorage) -> None:
    async with storage.write() as work:
        evaluation = await work.evaluations.add(make_evaluation())
        await work.items.add(evaluation, make_items(3))
    async with storage.read() as work:
        seqs = [item.seq for item in await work.items.range(evaluation.seq, 0, 10**12)]
    usages = [Usage(0.1, cost=0.25), Usage(0.1, cost=None), Usage(0.0, 0, cached=True, cost=0.0)]
    async with storage.write() as work:
        results = [make_result(evaluation, seq, usage=usage) for seq, usage in zip(seqs, usages, strict=True)]
        await work.results.add(results)
        assert await work.model_calls.spent(evaluation.seq) == 0.25
        assert await work.model_calls.spent(evaluation.seq + 1) == 0.0
        read = await work.items.range(evaluation.seq, 0, 10**12)
        assert [next(iter(item.results.values())).usage for item in read] == usages
        (totals,) = await work.results.totals(evaluation.seq)
        assert totals.cost == 0.25
