"""Means of correlated series with honest standard errors, and whether two of them differ."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Estimate",
    "at_least",
    "block_count",
    "block_means",
    "deviation",
    "equilibrated_from",
    "error_among",
    "estimate",
    "mean_of_blocks",
    "statistical_inefficiency",
    "with_error",
]

Float = NDArray[np.float64]

LEAST_BLOCKS, MOST_BLOCKS = 5, 16
BLOCK_LENGTH, LEAST_LENGTH = 10, 5
"""Blocks are this many statistical inefficiencies long, and never shorter than the second number."""

_WINDOW = 6.0


@dataclass(frozen=True)
class Estimate:
    """A mean and what is known of its error.

    Attributes
    ----------
    value
        The mean.
    standard_error
        NaN where the series is too short to tell.
    degrees_of_freedom
        Of the standard error: number of blocks less one; infinite for a number known exactly.
    """

    value: float
    standard_error: float = math.nan
    degrees_of_freedom: float = 0.0

    @classmethod
    def exactly(cls, value: float) -> Estimate:
        """Make a number without an error."""
        return cls(value, 0.0, math.inf)


def statistical_inefficiency(series: Any) -> tuple[float, float]:
    """How many samples of a series count as one independent sample, and the relative error of that number.

    ``g = 1 + 2 sum_{t=1}^{W} C(t)`` with the normalised autocorrelation C and the smallest window W that is at least
    three times g, never below 1. Source: Sokal, in: Functional Integration (1997); relative error
    ``sqrt(2 (2 W + 1) / n)``.

    Parameters
    ----------
    series
        Evenly spaced in time, (n,).
    """
    x = np.asarray(series, dtype=np.float64)
    n, centered = len(x), x - x.mean()
    if not np.abs(centered).max(initial=0.0) > 1e-12 * np.abs(x).max(initial=0.0):  # constant but for rounding
        return 1.0, 0.0
    spectrum = np.fft.rfft(centered, 2 * n)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2, 2 * n)[:n]
    g = 2.0 * np.cumsum(correlation / correlation[0]) - 1.0  # (n,), by window
    wide_enough = np.arange(n) >= _WINDOW * np.maximum(g, 1.0) / 2.0
    window = int(wide_enough.argmax()) if wide_enough.any() else n - 1
    return max(1.0, float(g[window])), math.sqrt(2.0 * (2.0 * window + 1.0) / n)


def block_count(series: Any) -> int:
    """Into how many blocks a series may be cut so that their means are independent; 0 if it is too short.

    At most 16 blocks of ten statistical inefficiencies each; at least five blocks of at least five, the inefficiency
    taken at the upper end of its error, because that of a short series is often far too small.

    Parameters
    ----------
    series
        Evenly spaced in time, (n,).
    """
    n = len(series)
    if n < LEAST_BLOCKS * LEAST_LENGTH:
        return 0
    g, relative_error = statistical_inefficiency(series)
    if n < LEAST_BLOCKS * LEAST_LENGTH * g * (1.0 + relative_error):
        return 0
    return int(min(MOST_BLOCKS, max(LEAST_BLOCKS, n / (BLOCK_LENGTH * g))))


def block_means(series: Any, count: int) -> Float:
    """Means of equal consecutive blocks along the first axis, (count, ...); a remainder at the start is left out."""
    x = np.asarray(series, dtype=np.float64)
    length = len(x) // count
    means: Float = x[len(x) - count * length :].reshape(count, length, *x.shape[1:]).mean(axis=1)
    return means


def mean_of_blocks(blocks: Any) -> Estimate:
    """Mean of independent values and its standard error; without an error for fewer than five.

    Parameters
    ----------
    blocks
        One value of each block, (B,).
    """
    values = np.asarray(blocks, dtype=np.float64)
    if len(values) < LEAST_BLOCKS:
        return Estimate(float(values.mean()) if len(values) else math.nan)
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    return Estimate(float(values.mean()), error, len(values) - 1.0)


def estimate(series: Any) -> Estimate:
    """Mean of a correlated series, with a standard error from blocks where it is long enough.

    Parameters
    ----------
    series
        Evenly spaced in time, (n,); what is not finite is left out.

    Examples
    --------
    >>> estimate([1.0, 2.0, 3.0])
    Estimate(value=2.0, standard_error=nan, degrees_of_freedom=0.0)
    """
    x = np.asarray(series, dtype=np.float64)
    x = x[np.isfinite(x)]
    if not len(x):
        return Estimate(math.nan)
    count = block_count(x)
    if count == 0:
        return Estimate(float(x.mean()))
    of_blocks = mean_of_blocks(block_means(x, count))
    return Estimate(float(x.mean()), of_blocks.standard_error, of_blocks.degrees_of_freedom)


def error_among(values: Any, groups: Any) -> float:
    """Say the standard error of the mean of independent groups, from how far they differ.

    Parameters
    ----------
    values
        (M,); all groups count the same.
    groups
        Number of the group of each value, (M,); values of one group may depend on each other.

    Returns
    -------
    float
        0 for fewer than five groups.

    Examples
    --------
    >>> error_among([1.0, 1.0, 2.0, 3.0, 4.0, 5.0], [0, 0, 1, 2, 3, 4]) == (2.5 / 5) ** 0.5
    True
    """
    _, index = np.unique(np.asarray(groups), return_inverse=True)
    members = np.bincount(index)
    if len(members) < LEAST_BLOCKS:
        return 0.0
    means = np.bincount(index, weights=np.asarray(values, dtype=np.float64)) / members
    return float(means.std(ddof=1)) / math.sqrt(len(means))


def at_least(found: Estimate, error: float) -> Estimate:
    """Widen a standard error to one that is known better, that of many independent values."""
    return Estimate(found.value, error, math.inf) if error > found.standard_error else found


def deviation(one: Estimate, other: Estimate, *, places: int = 1) -> float:
    """Difference of two estimates in standard errors, NaN where an error is not known.

    Student's t with Welch's degrees of freedom, expressed as the deviation of a normal distribution with the same
    probability: above 2 in 4.6 % of all comparisons of equals, however few blocks there are.

    Parameters
    ----------
    one, other
        Independent of each other.
    places
        Among how many differences this one was picked as the largest; their number lowers the deviation (Sidak).
    """
    from scipy.special import ndtri, stdtr

    error = math.hypot(one.standard_error, other.standard_error)
    gap = one.value - other.value
    if not math.isfinite(error) or not math.isfinite(gap):
        return math.nan
    if error == 0.0:
        return 0.0 if gap == 0.0 else math.copysign(math.inf, gap)
    parts = ((one.standard_error, one.degrees_of_freedom), (other.standard_error, other.degrees_of_freedom))
    inverse = sum((e / error) ** 4 / d for e, d in parts if e > 0.0)
    freedom = 1.0 / inverse if inverse > 0.0 else math.inf
    log_same = places * np.log1p(-2.0 * stdtr(freedom, -abs(gap) / error))
    chance = -math.expm1(float(log_same))
    if chance <= 0.0:  # below the smallest double
        return math.copysign(abs(gap) / error, gap)
    return math.copysign(-float(ndtri(chance / 2.0)), gap)


def equilibrated_from(series: Any) -> int:
    """Index from which on a series counts: the start, in steps of a twentieth, that leaves most independent samples.

    Source: Chodera, J. Chem. Theory Comput. 12, 1799 (2016). Never beyond the middle: a series that drifts to its end
    has so few independent samples that nothing is said about it.

    Parameters
    ----------
    series
        Evenly spaced in time, (n,).
    """
    x = np.asarray(series, dtype=np.float64)
    if len(x) < LEAST_BLOCKS * LEAST_LENGTH:
        return 0
    starts = [len(x) * k // 20 for k in range(11)]
    return max(starts, key=lambda start: (len(x) - start) / statistical_inefficiency(x[start:])[0])


def with_error(value: float | None, standard_error: float | None) -> str:
    """Write a number with its standard error in units of the last digit, without one where it is not known.

    >>> with_error(0.99712, 0.0034), with_error(300.41, 0.89), with_error(2284.0, 131.0), with_error(1.5, None)
    ('0.997(3)', '300.4(9)', '2280(130)', '1.5')
    """
    if value is None or not math.isfinite(value):
        return "-"
    if not standard_error or not 1e-6 < standard_error < 1e9:
        return f"{value:.4g}"
    places = -math.floor(math.log10(standard_error))
    if round(standard_error, places) * 10**places < 2 or places < 0:
        places += 1  # one digit of an error such as 1.4 is too few
    shown = round(standard_error * 10**places) if places > 0 else round(standard_error, places)
    return f"{round(value, places):.{max(places, 0)}f}({shown:.0f})"
