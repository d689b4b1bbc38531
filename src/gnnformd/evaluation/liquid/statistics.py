"""Means of correlated series with standard errors, and whether two of them differ."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Estimate",
    "at_least",
    "block_count",
    "block_means",
    "change_along",
    "deviation",
    "equilibrated_from",
    "error_among",
    "estimate",
    "lengths_needed",
    "mean_of_blocks",
    "statistical_inefficiency",
]

Float = NDArray[np.float64]

MIN_BLOCKS, MAX_BLOCKS = 5, 16
BLOCK_LENGTH, MIN_BLOCK_LENGTH = 10, 5
"""Blocks are this many statistical inefficiencies long, and never shorter than the second number."""

_WINDOW = 6.0


@dataclass(frozen=True)
class Estimate:
    """A mean and its standard error.

    Attributes
    ----------
    value
        The mean.
    standard_error
        NaN where the series is too short to estimate it.
    degrees_of_freedom
        Of the standard error: number of blocks minus one; infinite for a number known exactly.
    lengths
        How many times as long the series would have to be for a standard error, about; NaN where it has one.
    """

    value: float
    standard_error: float = math.nan
    degrees_of_freedom: float = 0.0
    lengths: float = field(default=math.nan, repr=False, compare=False)

    @classmethod
    def exactly(cls, value: float) -> Estimate:
        """Make an estimate without an error."""
        return cls(value, 0.0, math.inf)


def statistical_inefficiency(series: Any) -> tuple[float, float]:
    """Statistical inefficiency of a series (samples per independent sample), and its relative error.

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
    if not np.abs(centered).max(initial=0.0) > 1e-12 * np.abs(x).max(initial=0.0):  # constant up to rounding
        return 1.0, 0.0
    spectrum = np.fft.rfft(centered, 2 * n)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2, 2 * n)[:n]
    g = 2.0 * np.cumsum(correlation / correlation[0]) - 1.0  # (n,), by window
    wide_enough = np.arange(n) >= _WINDOW * np.maximum(g, 1.0) / 2.0
    window = int(wide_enough.argmax()) if wide_enough.any() else n - 1
    return max(1.0, float(g[window])), math.sqrt(2.0 * (2.0 * window + 1.0) / n)


def block_count(series: Any) -> int:
    """Return the number of blocks of a series whose means are independent; 0 if it is too short.

    At most 16 blocks of ten statistical inefficiencies each; at least five blocks of at least five. For the latter the
    inefficiency is taken at the upper end of its error, because that of a short series is often far too small.

    Parameters
    ----------
    series
        Evenly spaced in time, (n,).
    """
    n = len(series)
    if n < MIN_BLOCKS * MIN_BLOCK_LENGTH or n < _samples_needed(series):
        return 0
    g, _ = statistical_inefficiency(series)
    return int(min(MAX_BLOCKS, max(MIN_BLOCKS, n / (BLOCK_LENGTH * g))))


def lengths_needed(series: Any) -> float:
    """How many times as long a series would have to be for a standard error, about.

    Twice what `block_count` asks for now, because the inefficiency of a series that is too short is underestimated.

    Parameters
    ----------
    series
        Evenly spaced in time, (n,), n > 0.
    """
    return 2.0 * _samples_needed(series) / len(series)


def _samples_needed(series: Any) -> float:
    g, relative_error = statistical_inefficiency(series)
    return MIN_BLOCKS * MIN_BLOCK_LENGTH * g * (1.0 + relative_error)


def block_means(series: Any, count: int) -> Float:
    """Means of equal consecutive blocks along the first axis, (count, ...); a remainder at the start is dropped."""
    x = np.asarray(series, dtype=np.float64)
    length = len(x) // count
    means: Float = x[len(x) - count * length :].reshape(count, length, *x.shape[1:]).mean(axis=1)
    return means


def mean_of_blocks(blocks: Any) -> Estimate:
    """Mean of independent values and its standard error; no error for fewer than five.

    Parameters
    ----------
    blocks
        One value per block, (B,).
    """
    values = np.asarray(blocks, dtype=np.float64)
    if len(values) < MIN_BLOCKS:
        return Estimate(float(values.mean()) if len(values) else math.nan)
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    return Estimate(float(values.mean()), error, len(values) - 1.0)


def estimate(series: Any) -> Estimate:
    """Mean of a correlated series, with a standard error from blocks where it is long enough.

    Parameters
    ----------
    series
        Evenly spaced in time, (n,); values that are not finite are left out.

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
        return Estimate(float(x.mean()), lengths=lengths_needed(x))
    of_blocks = mean_of_blocks(block_means(x, count))
    return Estimate(float(x.mean()), of_blocks.standard_error, of_blocks.degrees_of_freedom)


def error_among(values: Any, groups: Any) -> float:
    """Return the standard error of the mean of independent groups, from the spread among them.

    Parameters
    ----------
    values
        (M,); all groups have the same weight.
    groups
        Number of the group of each value, (M,); values of one group may be correlated.

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
    if len(members) < MIN_BLOCKS:
        return 0.0
    means = np.bincount(index, weights=np.asarray(values, dtype=np.float64)) / members
    return float(means.std(ddof=1)) / math.sqrt(len(means))


def at_least(found: Estimate, error: float) -> Estimate:
    """Raise a standard error to a lower bound that is known better, from many independent values."""
    return Estimate(found.value, error, math.inf) if error > found.standard_error else found


def deviation(one: Estimate, other: Estimate, *, comparisons: int = 1) -> float:
    """Difference of two estimates in standard errors, NaN where an error is unknown.

    Student's t with Welch's degrees of freedom, expressed as the deviation of a normal distribution with the same
    probability: above 2 in 4.6 % of all comparisons of equal quantities, however few blocks there are.

    Parameters
    ----------
    one, other
        Independent of each other.
    comparisons
        Number of differences of which this is the largest; the deviation is lowered accordingly (Sidak).
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
    log_same = comparisons * np.log1p(-2.0 * stdtr(freedom, -abs(gap) / error))
    chance = -math.expm1(float(log_same))
    if chance <= 0.0:  # below the smallest double
        return math.copysign(abs(gap) / error, gap)
    return math.copysign(-float(ndtri(chance / 2.0)), gap)


def change_along(series: Any) -> tuple[float, float]:
    """Change of a series from its start to its end along a straight line by least squares, and its standard error.

    The error comes from the scatter about the line, with the statistical inefficiency g of that scatter (at the upper
    end of its error): about ``sqrt(12 g / n)`` of its deviation.

    Parameters
    ----------
    series
        Evenly spaced in time, (n,), n > 2.
    """
    y = np.asarray(series, dtype=np.float64)
    n = len(y)
    x = np.linspace(-0.5, 0.5, n)
    change = float(x @ y / (x @ x))
    scatter = y - y.mean() - change * x
    g, relative_error = statistical_inefficiency(scatter)
    return change, float(scatter.std(ddof=2)) * math.sqrt(g * (1.0 + relative_error) / float(x @ x))


def equilibrated_from(series: Any) -> int:
    """Index of the first equilibrated sample: the one, in steps of a twentieth, that leaves most independent samples.

    Source: Chodera, J. Chem. Theory Comput. 12, 1799 (2016). Never beyond the middle: a series that drifts to its end
    has too few independent samples for a verdict.

    Parameters
    ----------
    series
        Evenly spaced in time, (n,).
    """
    x = np.asarray(series, dtype=np.float64)
    if len(x) < MIN_BLOCKS * MIN_BLOCK_LENGTH:
        return 0
    starts = [len(x) * k // 20 for k in range(11)]
    return max(starts, key=lambda start: (len(x) - start) / statistical_inefficiency(x[start:])[0])
