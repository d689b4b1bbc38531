"""Observables of a trajectory: structure, diffusion, and statistics of correlated series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gnnformd.errors import InputError
from gnnformd.evaluation.radial import RadialDistribution, compare_rdf, radial_distribution

if TYPE_CHECKING:
    from gnnformd.trajectory.frame import Frame

__all__ = [
    "Mean",
    "MeanSquaredDisplacement",
    "RadialDistribution",
    "TemperatureStatistics",
    "block_average",
    "compare_rdf",
    "mean_squared_displacement",
    "radial_distribution",
    "temperature_statistics",
]

Float = NDArray[np.float64]
MINIMUM_BLOCKS = 8


@dataclass(frozen=True)
class MeanSquaredDisplacement:
    """How far atoms move.

    Attributes
    ----------
    lag
        Steps between two frames, (n,), from 0.
    value
        ``< |x(t + lag) - x(t)|^2 >`` over atoms and times t, angstrom^2, (n,).
    """

    lag: NDArray[np.int64]
    value: Float


def mean_squared_displacement(frames: Sequence[Frame], atom_type: int | None = None) -> MeanSquaredDisplacement:
    """Mean squared displacement, averaged over atoms and time windows.

    Positions may be wrapped: atoms are followed from frame to frame by the nearest image in fractional coordinates
    (right as long as none moves by half a box between two frames). The drift of the centre of all atoms is taken off.

    Parameters
    ----------
    frames
        At least two, evenly spaced in time.
    atom_type
        Only atoms of this type; all by default.

    Raises
    ------
    InputError
        There are fewer than two frames, or their spacing changes.
    """
    import freud

    if len(frames) < 2:
        raise InputError("a displacement needs at least two frames; run more steps or dump more often.")
    steps = np.array([f.timestep for f in frames])
    if len(set(np.diff(steps))) > 1:
        raise InputError("the frames are not evenly spaced in time; give one run with a constant dump interval.")
    path = _unwrapped(frames)  # (T, N, 3)
    path -= path.mean(axis=1, keepdims=True)
    if atom_type is not None:
        path = path[:, frames[0].types == atom_type]
    path -= path.mean(axis=0)  # small numbers: freud takes differences of large sums
    value = freud.msd.MSD(mode="window").compute(path).msd
    return MeanSquaredDisplacement(steps - steps[0], np.asarray(value, dtype=np.float64))


def _unwrapped(frames: Sequence[Frame]) -> Float:
    fractional = np.stack([(f.positions - f.origin) @ np.linalg.inv(f.cell) for f in frames])  # (T, N, 3)
    jumps = np.diff(fractional, axis=0)
    periodic = np.array([f.periodic for f in frames[1:]])[:, None, :]
    jumps -= np.where(periodic, np.round(jumps), 0.0)
    # a breathing box moves atoms by rescaling, which is no diffusion: one mean cell for all frames
    cell = np.mean([f.cell for f in frames], axis=0)
    steps = np.concatenate([fractional[:1], jumps])
    moved: Float = np.cumsum(steps, axis=0) @ cell
    return moved


@dataclass(frozen=True)
class Mean:
    """Mean of a series and its standard error."""

    value: float
    standard_error: float


def block_average(series: Any) -> Mean:
    """Mean and standard error of a correlated series (Flyvbjerg and Petersen, J. Chem. Phys. 91, 461 (1989)).

    Neighbors are averaged pairwise again and again; the error estimated from blocks rises until blocks are longer
    than the correlation. The largest estimate with at least eight blocks is returned: for a run too short to show a
    plateau it is still an underestimate.

    Parameters
    ----------
    series
        At least two numbers, evenly spaced in time.

    Examples
    --------
    >>> block_average([1.0, 3.0])
    Mean(value=2.0, standard_error=1.0)
    """
    blocks = np.asarray(series, dtype=np.float64)
    if blocks.ndim != 1 or len(blocks) < 2:
        raise ValueError("a standard error needs a series of at least two numbers")
    mean, errors = float(blocks.mean()), [_standard_error(blocks)]
    while len(blocks) // 2 >= MINIMUM_BLOCKS:
        even = len(blocks) // 2 * 2
        blocks = blocks[:even].reshape(-1, 2).mean(axis=1)
        errors.append(_standard_error(blocks))
    return Mean(mean, max(errors))


@dataclass(frozen=True)
class TemperatureStatistics:
    """Statistics of the temperature of a run.

    Attributes
    ----------
    mean, standard_error
        K.
    deviation
        Standard deviation of the series, K.
    canonical_deviation
        What a canonical ensemble has, ``T sqrt(2 / f)`` with f degrees of freedom, K.
    """

    mean: float
    standard_error: float
    deviation: float
    canonical_deviation: float


def temperature_statistics(temperatures: Any, atoms: int) -> TemperatureStatistics:
    """Mean, standard error and fluctuation of a series of temperatures.

    Parameters
    ----------
    temperatures
        K, at least two.
    atoms
        Number of atoms; three degrees of freedom each, less the three of the centre of mass.
    """
    series = np.asarray(temperatures, dtype=np.float64)
    mean = block_average(series)
    canonical = mean.value * float(np.sqrt(2 / max(3 * atoms - 3, 1)))
    return TemperatureStatistics(mean.value, mean.standard_error, float(series.std(ddof=1)), canonical)


def _standard_error(blocks: Float) -> float:
    return float(blocks.std(ddof=1) / np.sqrt(len(blocks)))
