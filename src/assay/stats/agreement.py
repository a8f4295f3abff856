"""Do people who answer the same question agree, beyond what chance alone would give? Percent agreement, Cohen's kappa
and Krippendorff's alpha, each with a bootstrap interval over items.

Answers are grouped by item; an item that fewer than two people answered says nothing about agreement and is left out.
Each figure's interval is the percentile bootstrap's: items are drawn with replacement, always by the same generator, so
that the same answers give the same interval. It shows how much the figure hangs on these items, not on these people.
Items that all agree are all alike, and then the interval has no width.
"""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from assay.stats.intervals import Interval

if TYPE_CHECKING:
    from numpy import ndarray

    Numbers = ndarray[Any, Any]

Scale = Literal["nominal", "ordinal", "interval"]

SEED = 20_110_125
MOST_REPLICATES, FEWEST_REPLICATES = 1_000, 200
WORK = 20_000_000
"""Answers times replicates: beyond it there are fewer replicates, down to the fewest."""
DEFINED = 0.9
"""The share of replicates in which a figure must be defined for its interval to mean anything."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure of agreement over `items` items with `answers` answers. `value` is None where it is not defined: when
    all answers are the same, chance alone would give full agreement."""

    value: float | None
    interval: Interval | None
    items: int
    answers: int


def percent_agreement(units: Sequence[Sequence[Hashable]], *, level: float = 0.95) -> Estimate | None:
    """The share of pairs of answers to an item that are equal, from 0 to 1: the mean over items with two answers or
    more. None when there is no such item."""
    shares = []
    answers = 0
    for unit in units:
        count = len(unit)
        if count >= 2:
            same = sum(each * (each - 1) for each in Counter(unit).values())
            shares.append(same / (count * (count - 1)))
            answers += count
    if not shares:
        return None
    import numpy

    values = numpy.asarray(shares)

    def figure(weights: "Numbers") -> float:
        return float(weights @ values) / len(shares)

    return _estimate(figure, len(shares), answers, level)


def cohens_kappa(pairs: Sequence[tuple[Hashable, Hashable]], *, level: float = 0.95) -> Estimate | None:
    """Cohen's kappa of two people's answers to the same items, unweighted (J. Cohen, Educational and Psychological
    Measurement 20, 1960): (p_o - p_e) / (1 - p_e), where p_o is the share of equal pairs and p_e what the two people's
    own frequencies would give by chance. None without a pair."""
    if not pairs:
        return None
    import numpy

    codes: dict[Hashable, int] = {}
    coded = [(codes.setdefault(a, len(codes)), codes.setdefault(b, len(codes))) for a, b in pairs]
    first, second = (numpy.asarray(side) for side in zip(*coded, strict=True))
    equal = (first == second).astype(float)
    n = len(pairs)

    def figure(weights: "Numbers") -> float:
        observed = float(weights @ equal) / n
        ours = numpy.bincount(first, weights, len(codes))
        theirs = numpy.bincount(second, weights, len(codes))
        expected = float(ours @ theirs) / n**2
        return math.nan if expected >= 1 else (observed - expected) / (1 - expected)

    return _estimate(figure, n, 2 * n, level)


def krippendorffs_alpha(units: Sequence[Sequence[Any]], scale: Scale, *, level: float = 0.95) -> Estimate | None:
    """Krippendorff's alpha of any number of answers an item (K. Krippendorff, Computing Krippendorff's
    Alpha-Reliability, 2011): 1 - D_o / D_e, the observed disagreement of answers to the same item over that of answers
    at large. 1 is full agreement, 0 what chance gives.

    Two answers differ by: nominal, 1 if they are not equal; interval, the square of their difference; ordinal, the
    square of the number of answers ranked between them, the two themselves counted half. For the latter two answers are
    numbers. None when no item has two answers.
    """
    kept = [unit for unit in units if len(unit) >= 2]
    if not kept:
        return None
    import numpy

    sizes = numpy.asarray([len(unit) for unit in kept])
    owner = numpy.repeat(numpy.arange(len(kept)), sizes)
    flat = [value for unit in kept for value in unit]
    ordered = list(dict.fromkeys(flat)) if scale == "nominal" else sorted(set(flat))
    place = {value: index for index, value in enumerate(ordered)}
    codes = numpy.asarray([place[value] for value in flat])
    if scale == "nominal":
        disagreement = _nominal(kept, sizes)
        figure = _alpha_of(lambda weights: (disagreement, _unequal_pairs(numpy.bincount(codes, weights[owner]))), sizes)
    else:
        numbers = None if scale == "ordinal" else numpy.asarray([float(value) for value in ordered])
        figure = _alpha_of(lambda weights: _spread(codes, owner, sizes, weights, numbers), sizes)
    return _estimate(figure, len(kept), len(flat), level)


def _alpha_of(parts: Callable[["Numbers"], tuple["Numbers", float]], sizes: "Numbers") -> Callable[["Numbers"], float]:
    """Alpha as a function of how often each item is drawn. `parts` gives each item's disagreement, and that of all
    pairs of answers at large."""

    def figure(weights: "Numbers") -> float:
        within, at_large = parts(weights)
        answers = float(weights @ sizes)
        return math.nan if at_large <= 0 else 1 - (answers - 1) * float(weights @ within) / at_large

    return figure


def _nominal(units: Sequence[Sequence[Any]], sizes: "Numbers") -> "Numbers":
    """Each item's ordered pairs of unequal answers, divided by one less than its answers."""
    import numpy

    equal = numpy.asarray([sum(count * count for count in Counter(unit).values()) for unit in units])
    found: Numbers = (sizes * sizes - equal) / (sizes - 1)
    return found


def _unequal_pairs(counts: "Numbers") -> float:
    return float(counts.sum() ** 2 - counts @ counts)


def _spread(
    codes: "Numbers", owner: "Numbers", sizes: "Numbers", weights: "Numbers", numbers: "Numbers | None"
) -> tuple["Numbers", float]:
    """The same for squared differences of numbers, or (None) of the mid-ranks that the answers drawn give.

    The sum of (x_i - x_j)^2 over ordered pairs of m values is 2 (m sum x^2 - (sum x)^2); values are centred first, so
    that large ones (times) lose no digits.
    """
    import numpy

    counts = numpy.bincount(codes, weights[owner])
    positions = numpy.cumsum(counts) - counts / 2 if numbers is None else numbers
    positions = positions - float(counts @ positions) / float(counts.sum())
    values = positions[codes]
    sums = numpy.bincount(owner, values, len(sizes))
    squares = numpy.bincount(owner, values * values, len(sizes))
    within = 2 * numpy.maximum(sizes * squares - sums * sums, 0.0) / (sizes - 1)
    total = float(counts @ positions)
    at_large = 2 * (float(counts.sum()) * float(counts @ (positions * positions)) - total * total)
    return within, at_large


def _estimate(figure: Callable[["Numbers"], float], items: int, answers: int, level: float) -> Estimate:
    import numpy

    value = figure(numpy.ones(items))
    return Estimate(value if math.isfinite(value) else None, _bootstrap(figure, items, answers, level), items, answers)


def _bootstrap(figure: Callable[["Numbers"], float], items: int, answers: int, level: float) -> Interval | None:
    """The percentile interval of a figure over items drawn with replacement; None for a single item, and where too
    many draws leave the figure undefined."""
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1: {level}")
    if items < 2:
        return None
    import numpy

    replicates = max(FEWEST_REPLICATES, min(MOST_REPLICATES, WORK // answers))
    generator = numpy.random.Generator(numpy.random.PCG64(SEED))
    drawn = []
    for _ in range(replicates):
        weights = numpy.bincount(generator.integers(0, items, items), minlength=items).astype(float)
        value = figure(weights)
        if math.isfinite(value):
            drawn.append(value)
    if len(drawn) < DEFINED * replicates:
        return None
    low, high = numpy.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level, "bootstrap")
