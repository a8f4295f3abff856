"""Totals of the storage port agree with numpy on both databases, also where numbers are large or nearly equal."""

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

from assay.adapters.storage import SqlStorage
from assay.core.results import ErrorType, Result, ResultStatus, TaskError, Usage
from assay.ports.storage import ResultTotals
from tests.builders.evaluations import make_error, make_evaluation, make_result


async def totals_of(storage: SqlStorage, *outcomes: dict[str, Any]) -> ResultTotals:
    """The totals of one alias with one result an item."""
    results: list[Result] = []
    async with storage.write() as work:
        evaluation = await work.evaluations.add(make_evaluation())
        for seq, changes in enumerate(outcomes, 1):
            build = make_error if changes.get("error") or changes.get("status") == "errored" else make_result
            results.append(build(evaluation, seq, **changes))
        await work.results.add(results)
        await work.results.add([make_result(await work.evaluations.add(make_evaluation()), 1, value=1e9)])
    async with storage.read() as work:
        (totals,) = await work.results.totals(evaluation.seq)
    return totals


@pytest.mark.parametrize(
    "numbers",
    [
        [0.5],
        [1e9 + n / 7 for n in range(200)],
        [1e15, 1e15 + 2, 1e15 + 4],
        [0.1] * 1000,
        [(-1) ** n * 3.0**n / 7 for n in range(30)],
        [5e-324, 0.0, 1e-300],
        [1e139, -1e139, 3.0],
    ],
)
async def test_moments_agree_with_an_independent_implementation(storage: SqlStorage, numbers: list[float]) -> None:
    totals = await totals_of(storage, *({"value": number} for number in numbers))
    exact = np.array(numbers, dtype=np.longdouble)
    assert totals.numbers == len(numbers)
    assert totals.mean == pytest.approx(float(exact.mean()), rel=1e-12, abs=float(np.abs(exact).max()) * 1e-14)
    squares = float(((exact - exact.mean()) ** 2).sum())
    assert totals.squares == pytest.approx(squares, rel=1e-9, abs=(float(np.abs(exact).max()) * 1e-14) ** 2)
    assert (totals.minimum, totals.maximum) == (min(numbers), max(numbers))


async def test_sums_beyond_the_largest_number_do_not_fail(storage: SqlStorage) -> None:
    totals = await totals_of(storage, *({"value": value} for value in (1.7e308, 1.7e308, 1.6e308)))
    assert totals.mean == pytest.approx(5.0e308 / 3 if math.isfinite(5.0e308) else 1.6666666666666667e308)
    assert totals.squares == math.inf


async def test_statuses_and_errors_are_counted_and_never_averaged(storage: SqlStorage) -> None:
    timeout = TaskError(ErrorType.TIMEOUT, "too slow")
    totals = await totals_of(
        storage,
        {"value": 1},
        {"value": True},
        {"value": 0, "status": ResultStatus.PREFILLED},
        {"value": None, "status": ResultStatus.SKIPPED},
        {"status": ResultStatus.ERRORED},
        {"error": timeout, "usage": Usage(2.0, 5)},
        {"error": timeout},
    )
    assert totals.statuses == {"completed": 2, "prefilled": 1, "skipped": 1, "errored": 3}
    assert totals.error_types == {"missing_field": 1, "timeout": 2}
    assert (totals.numbers, totals.mean, totals.binary) == (3, pytest.approx(2 / 3), True)
    assert (totals.latency_count, totals.attempts) == (1, 5)
    assert totals.values == {"true": 1}


@pytest.mark.parametrize("count", [1, 2, 20, 101])
async def test_latencies_tokens_and_caching_are_those_of_results_that_have_them(
    storage: SqlStorage, count: int
) -> None:
    seconds = list(np.random.default_rng(3).exponential(1.0, count))
    used = [
        {"value": "x", "usage": Usage(each, 2, 10 if n % 2 else None, None, cached=n == 0)}
        for n, each in enumerate(seconds)
    ]
    totals = await totals_of(storage, *used, {"value": "y"})
    assert totals.latency_count == count
    assert totals.latency_sum == pytest.approx(sum(seconds))
    assert totals.latency_p50 == pytest.approx(np.percentile(seconds, 50))
    assert totals.latency_p95 == pytest.approx(np.percentile(seconds, 95))
    assert totals.attempts == 2 * count
    assert totals.prompt_tokens == (10 * (count // 2) if count > 1 else None)
    assert totals.completion_tokens is None
    assert totals.cached == 1


async def test_texts_and_booleans_are_counted_when_they_are_few(storage: SqlStorage) -> None:
    words = ["yes", "no", "yes", True, False, True, "a \ud800", 'quote "', 0.5, None, {"yes": 1}]
    totals = await totals_of(storage, *({"value": word} for word in words))
    assert totals.values == {"yes": 2, "no": 1, "true": 2, "false": 1, "a \ud800": 1, 'quote "': 1}
    assert totals.binary is False


@pytest.mark.parametrize(("different", "counted"), [(20, True), (21, False), (300, False)])
async def test_more_than_twenty_different_texts_are_not_counted(
    storage: SqlStorage, different: int, counted: bool
) -> None:
    words = ["same"] * 250 + [f"word {n}" for n in range(different - 1)]
    totals = await totals_of(storage, *({"value": word} for word in words))
    assert totals.values == (Counter(words) if counted else None)


async def test_the_sandboxes_in_force_are_named(storage: SqlStorage) -> None:
    totals = await totals_of(
        storage, *({"value": 1, "detail": {"sandbox": name}} for name in ("monty", "bubblewrap", "monty"))
    )
    assert totals.sandboxes == ("bubblewrap", "monty")


async def test_an_evaluation_without_results_has_no_totals(storage: SqlStorage) -> None:
    async with storage.write() as work:
        evaluation = await work.evaluations.add(make_evaluation())
        assert await work.results.totals(evaluation.seq) == []
