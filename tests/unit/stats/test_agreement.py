"""Agreement: against published examples, sklearn-free reference formulas written out, and properties that must hold."""

import itertools
import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.stats.agreement import cohens_kappa, krippendorffs_alpha, percent_agreement

A, B, C, D = (
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
)
"""The four observers and twelve units of Krippendorff's worked example (2011), with values missing."""
MISSING = [[value for value in unit if value is not None] for unit in zip(A, B, C, D, strict=True)]


@pytest.mark.parametrize(("scale", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_krippendorffs_own_example_with_missing_data(scale, alpha):
    found = krippendorffs_alpha(MISSING, scale)
    assert found.value == pytest.approx(alpha, abs=5e-4)
    assert (found.items, found.answers) == (11, 40)
    assert found.interval.low <= found.value <= found.interval.high


def test_krippendorffs_binary_example():
    """Two observers, ten units, binary: alpha = 0.095 (2011, section A)."""
    meg = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    owen = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    assert krippendorffs_alpha(list(zip(meg, owen, strict=True)), "nominal").value == pytest.approx(0.095, abs=5e-4)


def test_krippendorffs_nominal_example():
    """Two observers, twelve units, five categories: alpha = 0.692 (2011, section B)."""
    ben, gerry = list("aabbdcccedda"), list("babbbcccedDd".lower())
    assert krippendorffs_alpha(list(zip(ben, gerry, strict=True)), "nominal").value == pytest.approx(0.692, abs=5e-4)


def table(counts):
    """Pairs of answers of a table of counts."""
    return [pair for pair, count in counts.items() for _ in range(count)]


def test_cohens_kappa_of_two_readers_of_fifty_grants():
    """20 yes/yes, 15 no/no, 5 yes/no, 10 no/yes: observed 0.7, by chance 0.5, kappa 0.4."""
    pairs = table({("y", "y"): 20, ("y", "n"): 5, ("n", "y"): 10, ("n", "n"): 15})
    found = cohens_kappa(pairs)
    assert found.value == pytest.approx(0.4)
    assert 0.1 < found.interval.low < 0.4 < found.interval.high < 0.7
    assert percent_agreement(pairs).value == pytest.approx(0.7)


def test_kappa_tells_apart_what_percent_agreement_does_not():
    """The same 60 of 100 agree, kappa 0.1304 and 0.2593: frequencies matter."""
    first = table({(1, 1): 45, (1, 0): 15, (0, 1): 25, (0, 0): 15})
    second = table({(1, 1): 25, (1, 0): 35, (0, 1): 5, (0, 0): 35})
    assert cohens_kappa(first).value == pytest.approx(0.1304, abs=5e-5)
    assert cohens_kappa(second).value == pytest.approx(0.2593, abs=5e-5)


def test_the_bootstrap_of_kappa_agrees_with_its_large_sample_error():
    """Fleiss, Cohen and Everitt (1969): the standard error of a kappa, for a table of three categories."""
    counts = {(0, 0): 88, (0, 1): 10, (0, 2): 2, (1, 0): 14, (1, 1): 40, (1, 2): 6, (2, 0): 18, (2, 1): 10, (2, 2): 12}
    n = sum(counts.values())
    p = {cell: count / n for cell, count in counts.items()}
    rows = [sum(p[i, j] for j in range(3)) for i in range(3)]
    columns = [sum(p[i, j] for i in range(3)) for j in range(3)]
    chance = sum(r * c for r, c in zip(rows, columns, strict=True))
    kappa = (sum(p[i, i] for i in range(3)) - chance) / (1 - chance)
    first = sum(p[i, i] * (1 - (rows[i] + columns[i]) * (1 - kappa)) ** 2 for i in range(3))
    second = (1 - kappa) ** 2 * sum(
        p[i, j] * (columns[i] + rows[j]) ** 2 for i, j in itertools.product(range(3), repeat=2) if i != j
    )
    third = (kappa - chance * (1 - kappa)) ** 2
    error = math.sqrt((first + second - third) / n) / (1 - chance)
    found = cohens_kappa(table(counts))
    assert found.value == pytest.approx(kappa)
    assert (found.interval.high - found.interval.low) / (2 * 1.96) == pytest.approx(error, rel=0.1)


def reference_alpha(units, scale):
    """Alpha by the coincidence matrix, cell by cell, as the definition has it."""
    units = [unit for unit in units if len(unit) >= 2]
    values = sorted({value for unit in units for value in unit})
    coincidences = Counter()
    for unit in units:
        for a, b in itertools.permutations(range(len(unit)), 2):
            coincidences[unit[a], unit[b]] += 1 / (len(unit) - 1)
    totals = {c: sum(coincidences[c, k] for k in values) for c in values}
    n = sum(totals.values())

    def distance(c, k):
        if scale == "nominal":
            return float(c != k)
        if scale == "interval":
            return (c - k) ** 2
        between = sum(totals[g] for g in values if min(c, k) <= g <= max(c, k))
        return 0.0 if c == k else (between - (totals[c] + totals[k]) / 2) ** 2

    observed = sum(coincidences[c, k] * distance(c, k) for c in values for k in values)
    expected = sum(totals[c] * totals[k] * distance(c, k) for c in values for k in values) / (n - 1)
    return None if expected == 0 else 1 - observed / expected


answers = st.lists(st.lists(st.integers(1, 5), max_size=5), min_size=1, max_size=12)


@given(answers, st.sampled_from(["nominal", "ordinal", "interval"]))
@settings(max_examples=60, deadline=None)
def test_alpha_is_what_its_definition_says(units, scale):
    found = krippendorffs_alpha(units, scale)
    if all(len(unit) < 2 for unit in units):
        assert found is None
        return
    expected = reference_alpha(units, scale)
    assert found.value == (None if expected is None else pytest.approx(expected, abs=1e-9))


@given(answers)
@settings(max_examples=40, deadline=None)
def test_figures_do_not_depend_on_the_order_and_are_the_same_every_time(units):
    for figure in (percent_agreement, lambda each: krippendorffs_alpha(each, "nominal")):
        found = figure(units)
        assert found == figure(units)
        turned = figure([list(reversed(unit)) for unit in units])
        assert (found and found.value) == pytest.approx(turned and turned.value)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_figures_keep_within_their_bounds(pairs):
    share = percent_agreement(pairs)
    assert 0 <= share.value <= 1
    kappa = cohens_kappa(pairs)
    assert kappa.value is None or -1 - 1e-9 <= kappa.value <= 1
    assert cohens_kappa([(b, a) for a, b in pairs]).value == (
        None if kappa.value is None else pytest.approx(kappa.value)
    )
    for found in (share, kappa):
        if found.interval is not None:
            assert found.interval.low <= found.interval.high
            assert found.interval.method == "bootstrap"


def test_full_agreement_is_one_and_one_value_alone_says_nothing():
    units = [[1, 1, 1], [2, 2], [3, 3, 3]]
    for scale in ("nominal", "ordinal", "interval"):
        assert krippendorffs_alpha(units, scale).value == pytest.approx(1)
        assert krippendorffs_alpha([[1, 1], [1, 1]], scale).value is None
    assert cohens_kappa([(1, 1), (2, 2)]).value == 1
    assert cohens_kappa([(1, 1), (1, 1)]).value is None
    assert percent_agreement([[1, 1], [1, 1]]).value == 1


def test_items_with_one_answer_say_nothing():
    assert percent_agreement([[1], []]) is None
    assert krippendorffs_alpha([[1], [2]], "nominal") is None
    assert cohens_kappa([]) is None
    lone = krippendorffs_alpha([[1, 2]], "nominal")
    assert (lone.items, lone.interval) == (1, None)


def test_large_numbers_such_as_times_lose_no_digits():
    small = [[1, 2], [5, 5], [9, 7], [3, 3]]
    shifted = [[value + 1_700_000_000 for value in unit] for unit in small]
    expected = krippendorffs_alpha(small, "interval").value
    assert krippendorffs_alpha(shifted, "interval").value == pytest.approx(expected, abs=1e-9)


def test_a_level_outside_the_open_unit_interval_is_refused():
    with pytest.raises(ValueError, match="level"):
        percent_agreement([[1, 1], [1, 2]], level=1)
