"""Paired differences and Holm's correction: against scipy, worked examples and a simulation."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from assay.stats.paired import holm, paired_difference


@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50)), min_size=3, max_size=30))
@settings(max_examples=60, deadline=None)
def test_the_paired_t_test_agrees_with_scipy(pairs):
    pairs = [(round(x, 3), round(y, 3)) for x, y in pairs]
    pairs[0], pairs[1] = (0.25, 1.75), (0.5, 0.75)
    a = {index: pair[0] for index, pair in enumerate(pairs)}
    b = {index: pair[1] for index, pair in enumerate(pairs)}
    expected = stats.ttest_rel(list(b.values()), list(a.values()))
    bounds = expected.confidence_interval(0.95)
    got = paired_difference(a, b)
    assert got.test == "paired t"
    assert got.p_value == pytest.approx(expected.pvalue, rel=1e-8)
    assert got.interval.low == pytest.approx(bounds.low, rel=1e-8, abs=1e-9)
    assert got.interval.high == pytest.approx(bounds.high, rel=1e-8, abs=1e-9)


def test_students_sleep_data_give_his_answer():
    """The ten patients of Student, Biometrika 6 (1908): mean difference 1.58, t = 4.0621, p = 0.002833."""
    first = dict(enumerate([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]))
    second = dict(enumerate([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]))
    got = paired_difference(first, second)
    assert got.mean_difference == pytest.approx(1.58)
    assert got.p_value == pytest.approx(0.002833, abs=5e-7)
    assert got.interval.low == pytest.approx(0.7001142, abs=1e-6)
    assert got.interval.high == pytest.approx(2.4598858, abs=1e-6)


@given(st.integers(0, 25), st.integers(0, 25), st.integers(0, 10))
@settings(max_examples=60, deadline=None)
def test_binary_pairs_get_mcnemars_exact_test(gained, lost, same):
    pairs = [(0, 1)] * gained + [(1, 0)] * lost + [(1, 1)] * same + [(0, 0)]
    got = paired_difference(
        {index: x for index, (x, _) in enumerate(pairs)}, {index: y for index, (_, y) in enumerate(pairs)}
    )
    discordant = gained + lost
    expected = stats.binomtest(gained, discordant).pvalue if discordant else 1.0
    assert got.test == "mcnemar exact"
    assert got.p_value == pytest.approx(expected, rel=1e-10)
    assert got.mean_difference == pytest.approx((gained - lost) / len(pairs))
    assert -1 <= got.interval.low <= got.mean_difference <= got.interval.high <= 1


def test_pairs_that_all_agree_do_not_claim_certainty():
    got = paired_difference(dict.fromkeys(range(20), 1), dict.fromkeys(range(20), 1))
    assert got.p_value == 1
    assert got.interval.low < 0 < got.interval.high
    assert got.interval.method == "agresti-min"


def test_the_interval_of_matched_proportions_is_the_worked_one():
    """n = 100, 25 gained, 10 lost: half an observation more in each cell gives (25.5 - 10.5) / 102."""
    pairs = [(0, 1)] * 25 + [(1, 0)] * 10 + [(1, 1)] * 40 + [(0, 0)] * 25
    got = paired_difference(dict(enumerate(x for x, _ in pairs)), dict(enumerate(y for _, y in pairs)))
    half = 1.959963984540054 * (36 - 15**2 / 102) ** 0.5 / 102
    assert got.interval.low == pytest.approx(15 / 102 - half)
    assert got.interval.high == pytest.approx(15 / 102 + half)


def test_values_without_a_partner_are_counted_and_left_out():
    got = paired_difference({"x": 1.5, "y": 2.0, "only a": 900.0}, {"x": 2.5, "y": 2.5, "p": 7.0, "q": 8.0})
    assert (got.n, got.unmatched_a, got.unmatched_b) == (2, 1, 2)
    assert got.mean_difference == pytest.approx(0.75)


def test_no_shared_key_is_no_difference():
    assert paired_difference({"x": 1.0}, {"y": 1.0}) is None


def test_one_pair_has_a_difference_and_nothing_more():
    got = paired_difference({"x": 1.5}, {"x": 4.0})
    assert (got.n, got.mean_difference, got.interval, got.p_value) == (1, 2.5, None, None)


def test_differences_that_are_all_alike_are_certain():
    assert paired_difference({1: 0.5, 2: 1.5}, {1: 1.5, 2: 2.5}).p_value == 0
    assert paired_difference({1: 0.5, 2: 1.5}, {1: 0.5, 2: 1.5}).p_value == 1


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="finite"):
        paired_difference({1: float("nan"), 2: 1.0}, {1: 1.0, 2: 1.0})
    with pytest.raises(ValueError, match="level"):
        paired_difference({1: 1.0}, {1: 1.0}, level=0)


def test_the_tests_raise_false_alarms_no_more_often_than_they_say():
    random_ = random.Random(11)
    alarms = {"paired t": 0, "mcnemar exact": 0}
    for _ in range(1500):
        shift = [random_.gauss(0, 1) for _ in range(12)]
        got = paired_difference(dict(enumerate(shift)), {i: x + random_.gauss(0, 1) for i, x in enumerate(shift)})
        alarms[got.test] += got.p_value < 0.05
        a = {i: int(random_.random() < 0.7) for i in range(40)}
        b = {i: int(random_.random() < 0.7) for i in range(40)}
        got = paired_difference(a, b)
        alarms[got.test] += got.p_value < 0.05
    assert alarms["paired t"] / 1500 == pytest.approx(0.05, abs=0.017)
    assert alarms["mcnemar exact"] / 1500 <= 0.06


def test_the_interval_of_matched_proportions_covers_about_as_often_as_it_says():
    random_ = random.Random(12)
    covered = 0
    for _ in range(1500):
        a, b = {}, {}
        for i in range(40):
            draw = random_.random()
            a[i], b[i] = (0, 1) if draw < 0.2 else (1, 0) if draw < 0.25 else (1, 1)
        interval = paired_difference(a, b).interval
        covered += interval.low <= 0.15 <= interval.high
    assert 0.93 <= covered / 1500 <= 0.985


@given(st.lists(st.floats(0, 1), max_size=12))
@settings(max_examples=60, deadline=None)
def test_holm_agrees_with_its_definition(p_values):
    adjusted = holm(p_values)
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    for rank, index in enumerate(order):
        expected = max(min(1.0, (len(p_values) - j) * p_values[order[j]]) for j in range(rank + 1))
        assert adjusted[index] == expected


def test_holm_keeps_the_order_given():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def test_holm_refuses_what_is_no_p_value():
    with pytest.raises(ValueError, match="p value"):
        holm([0.5, 1.5])
    with pytest.raises(ValueError, match="p value"):
        holm([float("nan")])
