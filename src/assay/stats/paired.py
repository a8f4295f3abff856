"""Is the difference between two evaluations real? Compares item by item, and corrects for asking often."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from assay.stats.distributions import binomial_at_most, normal_quantile, t_two_sided
from assay.stats.intervals import Interval, mean_interval

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """The mean of b - a over the n items that both have.

    `test` says which test gave `p_value`, the chance of a difference at least this large were there none:
    `paired t` or `mcnemar exact`. Both it and the interval are None where one pair says nothing.
    `unmatched_a` and `unmatched_b` count the values that have no partner and so are in no figure here.
    """

    n: int
    mean_difference: float
    interval: Interval | None
    p_value: float | None
    test: str
    unmatched_a: int
    unmatched_b: int


def paired_difference(a: Mapping[Key, float], b: Mapping[Key, float], level: float = 0.95) -> PairedDifference | None:
    """Compare two sets of values joined by key; None when they share no key.

    When every paired value is 0 or 1: McNemar's exact test (the discordant pairs against a fair coin, both
    sides), and the interval of Agresti and Min (Statistics in Medicine 24, 2005): half an observation is
    added to each cell of the two-by-two table, so pairs that all agree do not claim certainty. Otherwise the paired
    t test and Student's interval of the differences. Values must be finite; ValueError otherwise.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1: {level}")
    shared = [key for key in a if key in b]
    if not shared:
        return None
    if not all(math.isfinite(values[key]) for key in shared for values in (a, b)):
        raise ValueError("every paired value must be finite")
    differences = [b[key] - a[key] for key in shared]
    n = len(shared)
    mean = math.fsum(differences) / n
    p_value: float | None
    if all(values[key] in (0, 1) for key in shared for values in (a, b)):
        gained, lost = differences.count(1), differences.count(-1)
        test = "mcnemar exact"
        interval: Interval | None = _matched_proportions(n, gained, lost, level)
        p_value = min(1.0, 2 * binomial_at_most(min(gained, lost), gained + lost))
    else:
        squares = math.fsum((difference - mean) ** 2 for difference in differences)
        test = "paired t"
        interval = mean_interval(n, mean, squares, level=level)
        p_value = _paired_t(n, mean, squares)
    return PairedDifference(n, mean, interval, p_value, test, len(a) - n, len(b) - n)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p values, in the order given (S. Holm, Scand. J. Statistics 6, 1979).

    The chance that any of them is below a threshold by luck alone is at most that threshold, whatever their
    dependence. The k-th smallest of m is multiplied by m - k + 1, capped at 1, and never below its
    predecessor. Raises ValueError for a value outside [0, 1].
    """
    if not all(0 <= p <= 1 for p in p_values):
        raise ValueError("a p value lies between 0 and 1")
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, p_values[index] * (len(p_values) - rank)))
        adjusted[index] = highest
    return adjusted


def _paired_t(n: int, mean: float, squares: float) -> float | None:
    """The two-sided p value of the paired t test. Differences all alike: 1 when they are 0, else 0."""
    if n < 2:
        return None
    error = math.sqrt(squares / (n - 1) / n)
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return t_two_sided(mean / error, n - 1)


def _matched_proportions(n: int, gained: int, lost: int, level: float) -> Interval:
    z = normal_quantile((1 + level) / 2)
    total = n + 2
    difference = (gained - lost) / total
    half = z * math.sqrt(gained + lost + 1 - total * difference**2) / total
    return Interval(max(-1.0, difference - half), min(1.0, difference + half), level, "agresti-min")
