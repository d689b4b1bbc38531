"""The kinetic temperature of atoms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnnformd.trajectory.frame import Frame
from gnnformd.units import BOLTZMANN, VELOCITY_SQUARED_TO_ENERGY

__all__ = [
    "kinetic_temperature",
    "speeds_of",
    "temperature_of",
    "temperature_of_frame",
    "temperature_of_speeds",
    "twice_kinetic_energy",
]

Float = NDArray[np.float64]


def kinetic_temperature(masses: Float, velocities: Float) -> float:
    """``sum m v^2 / ((3 N - 3) k_B)`` in K; masses (N,) in g/mol, velocities (N, 3) in angstrom/fs."""
    return temperature_of(twice_kinetic_energy(masses, velocities), len(masses))


def temperature_of_frame(frame: Frame, masses: Float) -> float | None:
    """Kinetic temperature of a frame, K; masses and result as in `temperature_of_speeds`."""
    return temperature_of_speeds(speeds_of(frame), masses)


def speeds_of(frame: Frame) -> Float:
    """Compute the sums over the velocities of a frame that its temperature follows from, (T, 4).

    Returns
    -------
    ndarray
        Of each type, from 1, its atoms, those of them that move, and ``sum v^2`` in (angstrom/fs)^2.
    """
    if frame.velocities is None:
        return np.empty((0, 4))
    types, which, counts = np.unique(frame.types, return_inverse=True, return_counts=True)
    moving = np.bincount(which, frame.velocities.any(axis=1))
    squares = np.bincount(which, (frame.velocities * frame.velocities).sum(axis=1))
    return np.stack([types, counts, moving, squares], axis=1)


def temperature_of_speeds(speeds: Float, masses: Float) -> float | None:
    """Kinetic temperature of a frame, K; None where no atom moves or a mass is not known.

    Atoms that stand still are held and have no degrees of freedom; the others then have three each, since their center
    of mass may move. Other constraints (rigid bonds) are not known here.

    Parameters
    ----------
    speeds
        See `speeds_of`.
    masses
        Of each type, g/mol, NaN where it is not known, (T,).
    """
    types, count, moving = speeds[:, 0].astype(np.int64), int(speeds[:, 1].sum()), int(speeds[:, 2].sum())
    if not moving or types.max() > len(masses) or not np.isfinite(masses[types - 1]).all():
        return None
    twice_kinetic = VELOCITY_SQUARED_TO_ENERGY * float(masses[types - 1] @ speeds[:, 3])
    return temperature_of(twice_kinetic, count) if moving == count else twice_kinetic / (3 * moving * BOLTZMANN)


def twice_kinetic_energy(masses: Float, velocities: Float) -> float:
    """``sum m v^2`` in kcal/mol; masses (N,) in g/mol, velocities (N, 3) in angstrom/fs."""
    return VELOCITY_SQUARED_TO_ENERGY * float(masses @ np.einsum("ij,ij->i", velocities, velocities))


def temperature_of(twice_kinetic: float, count: int) -> float:
    """``sum m v^2 / ((3 N - 3) k_B)`` in K, from `twice_kinetic_energy` of all N atoms."""
    return twice_kinetic / (max(3 * count - 3, 1) * BOLTZMANN)
