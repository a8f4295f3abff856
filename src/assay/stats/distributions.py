"""The few distributions that the statistics need, without scipy: importing it costs a server 50 MB and 0.4 s.

Agreement with scipy is a test: Student's t to 1e-10 (from a million degrees of freedom on, 1e-9), the binomial
tail to 1e-9, both relative.
"""

import math
from functools import lru_cache
from statistics import NormalDist

_TINY = 1e-300
_EPSILON = 1e-16
_NORMAL = NormalDist()
_EXACT_BINOMIAL = 1000
_LARGE_DF = 10_000.0


def normal_quantile(probability: float) -> float:
    """The z with P(Z <= z) = probability, for 0 < probability < 1."""
    return _NORMAL.inv_cdf(probability)


def t_two_sided(t: float, df: float) -> float:
    """P(|T| >= |t|) for Student's t with df > 0 degrees of freedom: I_x(df/2, 1/2) at x = df / (df + t^2)."""
    if math.isinf(t):
        return 0.0
    square = t * t
    return _regularized_beta(df / 2, 0.5, df / (df + square), square / (df + square))


@lru_cache(maxsize=4096)
def t_quantile(probability: float, df: float) -> float:
    """The t with P(T <= t) = probability, for 0 < probability < 1 and df > 0.

    Starts from the expansion about the normal quantile (Abramowitz and Stegun, 26.7.5), which is good to
    1e-12 by itself from 10,000 degrees of freedom on, and below that finds the root of the exact tail.
    """
    if probability == 0.5:
        return 0.0
    if probability < 0.5:
        return -t_quantile(1 - probability, df)
    guess = _expanded_t(normal_quantile(probability), df)
    return guess if df >= _LARGE_DF else _t_root(2 * (1 - probability), df, guess)


def binomial_at_most(k: int, n: int) -> float:
    """P(X <= k) for X ~ Binomial(n, 1/2): in whole numbers up to n = 1000, by the incomplete beta above."""
    if k < 0:
        return 0.0
    if k >= n:
        return 1.0
    if n <= _EXACT_BINOMIAL:
        ways: int = sum(math.comb(n, j) for j in range(k + 1))
        return ways / (1 << n)
    return _regularized_beta(n - k, k + 1, 0.5, 0.5)


def _expanded_t(z: float, df: float) -> float:
    """Student's t quantile from the normal one, by three terms of an expansion in 1/df."""
    s = z * z
    terms = (
        z * (s + 1) / 4,
        z * ((5 * s + 16) * s + 3) / 96,
        z * (((3 * s + 19) * s + 17) * s - 15) / 384,
    )
    return z + sum(term / df**power for power, term in enumerate(terms, start=1))


def _t_root(tail: float, df: float, guess: float) -> float:
    """The t > 0 whose two-sided tail is `tail`: Newton's steps, halving the bracket where they leave it."""
    low, high = 0.0, max(guess, 1.0)
    while t_two_sided(high, df) > tail:
        low, high = high, high * 2
    t = guess if low < guess < high else (low + high) / 2
    for _ in range(200):
        excess = t_two_sided(t, df) - tail
        low, high = (t, high) if excess > 0 else (low, t)
        following = t + excess / (2 * _t_density(t, df))
        if not low <= following <= high:
            following = (low + high) / 2
        if abs(following - t) <= 1e-15 * t:
            break
        t = following
    return t


def _t_density(t: float, df: float) -> float:
    log_density = -(df + 1) / 2 * math.log1p(t * t / df) - _log_beta(df / 2, 0.5) - math.log(df) / 2
    return math.exp(log_density)


def _regularized_beta(a: float, b: float, x: float, complement: float) -> float:
    """I_x(a, b), with `complement` = 1 - x given apart so that nothing is lost when x is near 1."""
    if x <= 0:
        return 0.0
    if complement <= 0:
        return 1.0
    log_front = a * _log(x, complement) + b * _log(complement, x) - _log_beta(a, b)
    front = math.exp(log_front)
    if x < (a + 1) / (a + b + 2):
        return front * _beta_fraction(a, b, x) / a
    return 1 - front * _beta_fraction(b, a, complement) / b


def _log(value: float, complement: float) -> float:
    return math.log1p(-complement) if value > 0.5 else math.log(value)


def _log_beta(a: float, b: float) -> float:
    """ln B(a, b). For large a and b = 1/2 by Stirling's series of the ratio, where lgamma would cancel."""
    if b == 0.5 and a > 20:
        ratio = 0.5 * math.log(a) - 1 / (8 * a) + 1 / (192 * a**3) - 1 / (640 * a**5) + 17 / (14336 * a**7)
        return 0.5 * math.log(math.pi) - ratio
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _beta_fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function (Abramowitz and Stegun, 26.5.8), by Lentz's
    method; converges in about sqrt(max(a, b)) steps where it is called."""
    c, d = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    result = d
    for m in range(1, 200_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / _away_from_zero(1 + even * d)
        c = _away_from_zero(1 + even / c)
        result *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / _away_from_zero(1 + odd * d)
        c = _away_from_zero(1 + odd / c)
        step = d * c
        result *= step
        if abs(step - 1) < 4 * _EPSILON:
            break
    return result


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
