"""Confidence intervals for a mean: how far the true value may be from what was measured."""

import math
from dataclasses import dataclass

from assay.stats.distributions import normal_quantile, t_quantile


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval that covers the true value in `level` (such as 0.95) of repeated samples.

    `method` names the formula: `t` (Student), `wilson` (score interval of a proportion) or `agresti-min`
    (difference of two matched proportions). low <= high.
    """

    low: float
    high: float
    level: float
    method: str


def mean_interval(n: int, mean: float, squares: float, *, binary: bool = False, level: float = 0.95) -> Interval | None:
    """The confidence interval of a mean of n independent values.

    `squares` is the sum of squared deviations from the mean. With `binary` (every value is 0 or 1) the mean
    is a proportion p and the interval is Wilson's (E. B. Wilson, JASA 22, 1927), which stays inside [0, 1]
    and keeps a width when p is 0 or 1:

        (p + z²/2n ± z·sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)

    Otherwise Student's: mean ± t(n-1)·sqrt(squares / (n-1) / n), which supposes that the mean of a sample is
    about normal; values that are all alike give it no width. None when nothing can be said: no value, one
    value that is not binary, or figures that are not finite. Raises ValueError for a level outside (0, 1)
    and a binary mean outside [0, 1].
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1: {level}")
    if n < 1 or not (math.isfinite(mean) and math.isfinite(squares)):
        return None
    if binary:
        return _wilson(n, mean, level)
    if n == 1:
        return None
    half = t_quantile((1 + level) / 2, n - 1) * math.sqrt(max(squares, 0.0) / (n - 1) / n)
    if not math.isfinite(half):
        return None
    return Interval(mean - half, mean + half, level, "t")


def _wilson(n: int, proportion: float, level: float) -> Interval:
    if not 0 <= proportion <= 1:
        raise ValueError(f"the mean of values that are 0 or 1 lies between them: {proportion}")
    z = normal_quantile((1 + level) / 2)
    s = z * z
    centre = proportion + s / (2 * n)
    half = z * math.sqrt(proportion * (1 - proportion) / n + s / (4 * n * n))
    scale = 1 + s / n
    low = 0.0 if proportion == 0 else max(0.0, (centre - half) / scale)
    high = 1.0 if proportion == 1 else min(1.0, (centre + half) / scale)
    return Interval(low, high, level, "wilson")
