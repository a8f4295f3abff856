"""Student's t and the binomial tail agree with scipy, and importing them does not bring it in."""

import subprocess
import sys

import pytest
from scipy import special, stats

from assay.stats.distributions import binomial_at_most, normal_quantile, t_quantile, t_two_sided

DEGREES = [
    1,
    2,
    3,
    4,
    5,
    7,
    10,
    19,
    20,
    21,
    29,
    30,
    41,
    99,
    100,
    250,
    999,
    1000,
    5000,
    9999,
    10_000,
    250_000,
    10**7,
]


def _tail_tolerance(df):
    return 1e-10 if df < 1_000_000 else 1e-9


@pytest.mark.parametrize("df", DEGREES)
@pytest.mark.parametrize("probability", [0.51, 0.6, 0.75, 0.9, 0.95, 0.975, 0.99, 0.995, 0.9995, 1 - 1e-9])
def test_the_t_quantile_agrees_with_scipy(df, probability):
    assert t_quantile(probability, df) == pytest.approx(special.stdtrit(df, probability), rel=1e-10)


@pytest.mark.parametrize("df", DEGREES)
def test_the_t_quantile_and_tail_undo_each_other(df):
    assert t_two_sided(t_quantile(0.975, df), df) == pytest.approx(0.05, rel=_tail_tolerance(df))


@pytest.mark.parametrize("df", DEGREES)
@pytest.mark.parametrize("t", [0.0, 1e-6, 0.3, 1.0, 1.96, -2.5, 5.0, 12.0, 30.0])
def test_the_t_tail_agrees_with_scipy(df, t):
    expected = 2 * stats.t.sf(abs(t), df)
    assert t_two_sided(t, df) == pytest.approx(expected, rel=_tail_tolerance(df), abs=1e-290)


def test_the_t_quantile_is_odd_and_the_tail_of_infinity_is_nothing():
    assert t_quantile(0.025, 7) == -t_quantile(0.975, 7)
    assert t_quantile(0.5, 3) == 0
    assert t_two_sided(float("inf"), 3) == 0


@pytest.mark.parametrize(
    ("df", "printed"),
    [(1, 12.706), (2, 4.303), (5, 2.571), (10, 2.228), (30, 2.042), (60, 2.000), (120, 1.980)],
)
def test_the_t_quantile_is_the_one_in_printed_tables(df, printed):
    assert round(t_quantile(0.975, df), 3) == printed


@pytest.mark.parametrize("n", [1, 2, 10, 999, 1000, 1001, 5000, 100_000])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.45, 0.49, 0.5, 0.51, 0.6, 1.0])
def test_the_binomial_tail_agrees_with_scipy(n, share):
    k = int(n * share)
    assert binomial_at_most(k, n) == pytest.approx(stats.binom.cdf(k, n, 0.5), rel=1e-9, abs=1e-290)


def test_the_binomial_tail_has_ends():
    assert binomial_at_most(-1, 10) == 0
    assert binomial_at_most(10, 10) == 1


def test_the_normal_quantile_agrees_with_scipy():
    for probability in (0.0005, 0.025, 0.5, 0.9, 0.975, 1 - 1e-9):
        assert normal_quantile(probability) == pytest.approx(special.ndtri(probability), rel=1e-12, abs=1e-15)


def test_the_statistics_do_not_import_scipy_or_numpy():
    program = (
        "import sys, assay.stats.paired as p; p.paired_difference({1: 0.5, 2: 1.0}, {1: 1.5, 2: 2.5});"
        "sys.exit(1 if {'scipy', 'numpy'} & set(sys.modules) else 0)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
