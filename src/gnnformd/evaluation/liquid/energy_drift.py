"""Conservation of energy, from the thermo table of a run."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gnnformd.evaluation.liquid.statistics import MAX_BLOCKS, MIN_BLOCK_LENGTH, MIN_BLOCKS, Estimate, block_means

__all__ = ["GRAMS_PER_CM3", "energy_drift"]

Float = NDArray[np.float64]

GRAMS_PER_CM3 = 1.66053906660
"""One g/mol per angstrom^3 in g/cm^3."""


def energy_drift(time_fs: Float, energy: Float, atoms: int) -> Estimate:
    """Slope of a conserved energy by least squares over means of 16 blocks, kcal/mol per atom and ns.

    The error comes from the scatter about the line; it is unknown for fewer than 25 samples. NaN where the energy is
    not finite or there are fewer than two samples.

    Parameters
    ----------
    time_fs
        fs, (n,).
    energy
        kcal/mol, (n,).
    atoms
        N.
    """
    if len(energy) < 2 or not np.isfinite(energy).all():
        return Estimate(math.nan)
    nanoseconds = (time_fs - time_fs.mean()) * 1e-6
    per_atom = (energy - energy.mean()) / atoms
    if len(energy) < MIN_BLOCKS * MIN_BLOCK_LENGTH:
        lengths = MIN_BLOCKS * MIN_BLOCK_LENGTH / len(energy)
        return Estimate(float(nanoseconds @ per_atom / (nanoseconds @ nanoseconds)), lengths=lengths)
    count = min(MAX_BLOCKS, len(energy) // MIN_BLOCK_LENGTH)
    x, y = block_means(nanoseconds, count), block_means(per_atom, count)
    x, y = x - x.mean(), y - y.mean()
    slope = float(x @ y / (x @ x))
    residual = y - slope * x
    error = math.sqrt(float(residual @ residual) / (count - 2) / float(x @ x))
    return Estimate(slope, error, count - 2.0)
