"""Intervals of a mean: against scipy, published examples, and a simulation of what they cover."""

import random
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from assay.stats.intervals import mean_interval


def _squares(values):
    mean = statistics.fmean(values)
    return mean, sum((value - mean) ** 2 for value in values)


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=40), st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99]))
@settings(max_examples=60, deadline=None)
def test_the_t_interval_agrees_with_scipy(values, level):
    mean, squares = _squares(values)
    got = mean_interval(len(values), mean, squares, level=level)
    error = (squares / (len(values) - 1) / len(values)) ** 0.5
    if error == 0:
        assert (got.low, got.high) == (mean, mean)
        return
    low, high = stats.t.interval(level, len(values) - 1, loc=mean, scale=error)
    assert got.low == pytest.approx(low, rel=1e-9, abs=1e-9)
    assert got.high == pytest.approx(high, rel=1e-9, abs=1e-9)
    assert (got.level, got.method) == (level, "t")


@given(st.integers(1, 2000), st.data())
@settings(max_examples=80, deadline=None)
def test_the_wilson_interval_agrees_with_scipy(n, data):
    k = data.draw(st.integers(0, n))
    expected = stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
    got = mean_interval(n, k / n, 0.0, binary=True)
    assert got.low == pytest.approx(expected.low, rel=1e-9, abs=1e-12)
    assert got.high == pytest.approx(expected.high, rel=1e-9, abs=1e-12)
    assert got.method == "wilson"
    assert 0 <= got.low <= k / n <= got.high <= 1


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_wilson_interval_is_the_published_one(k, n, low, high):
    """The examples of R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3."""
    got = mean_interval(n, k / n, 0.0, binary=True)
    assert (round(got.low, 4), round(got.high, 4)) == (low, high)


def test_nothing_can_be_said_of_nothing():
    assert mean_interval(0, 0.0, 0.0) is None
    assert mean_interval(0, 0.0, 0.0, binary=True) is None


def test_one_number_has_no_interval_but_one_verdict_has():
    assert mean_interval(1, 3.5, 0.0) is None
    interval = mean_interval(1, 1.0, 0.0, binary=True)
    assert interval.low == pytest.approx(0.2065, abs=1e-4)
    assert interval.high == 1.0


def test_figures_that_are_not_finite_have_no_interval():
    assert mean_interval(5, float("nan"), 1.0) is None
    assert mean_interval(5, 1.0, float("inf")) is None


def test_a_wrong_level_and_an_impossible_proportion_are_refused():
    with pytest.raises(ValueError, match="level"):
        mean_interval(5, 0.5, 1.0, level=1.0)
    with pytest.raises(ValueError, match="0 or 1"):
        mean_interval(5, 1.5, 1.0, binary=True)


def test_the_t_interval_covers_the_true_mean_as_often_as_it_says():
    random_ = random.Random(20261121)
    covered = 0
    for _ in range(3000):
        values = [random_.gauss(2.0, 3.0) for _ in range(8)]
        mean, squares = _squares(values)
        interval = mean_interval(8, mean, squares)
        covered += interval.low <= 2.0 <= interval.high
    assert covered / 3000 == pytest.approx(0.95, abs=0.012)


@pytest.mark.parametrize("truth", [0.03, 0.5, 0.9])
def test_the_wilson_interval_covers_the_true_proportion_about_as_often_as_it_says(truth):
    random_ = random.Random(7)
    covered = 0
    for _ in range(3000):
        k = sum(random_.random() < truth for _ in range(50))
        interval = mean_interval(50, k / 50, 0.0, binary=True)
        covered += interval.low <= truth <= interval.high
    assert 0.92 <= covered / 3000 <= 0.985
