"""The kinetic temperature of atoms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnnformd.trajectory.frame import Frame
from gnnformd.units import BOLTZMANN, VELOCITY_SQUARED_TO_ENERGY

__all__ = ["kinetic_temperature", "temperature_of", "temperature_of_frame", "twice_kinetic_energy"]

Float = NDArray[np.float64]


def kinetic_temperature(masses: Float, velocities: Float) -> float:
    """``sum m v^2 / ((3 N - 3) k_B)`` in K; masses (N,) in g/mol, velocities (N, 3) in angstrom/fs."""
    return temperature_of(twice_kinetic_energy(masses, velocities), len(masses))


def temperature_of_frame(frame: Frame, masses: Float) -> float | None:
    """Kinetic temperature of a frame, K; None where no atom moves or a mass is not known.

    Atoms that stand still are held and have no degrees of freedom; the others then have three each, since their center
    of mass may move. Other constraints (rigid bonds) are not known here.

    Parameters
    ----------
    frame
        With velocities, or not.
    masses
        Of each type, g/mol, NaN where it is not known, (T,).
    """
    if frame.velocities is None or frame.types.max() > len(masses):
        return None
    known, moving = masses[frame.types - 1], frame.velocities.any(axis=1)
    if not np.isfinite(known).all() or not moving.any():
        return None
    if moving.all():
        return kinetic_temperature(known, frame.velocities)
    return twice_kinetic_energy(known, frame.velocities) / (3 * int(moving.sum()) * BOLTZMANN)


def twice_kinetic_energy(masses: Float, velocities: Float) -> float:
    """``sum m v^2`` in kcal/mol; masses (N,) in g/mol, velocities (N, 3) in angstrom/fs."""
    return VELOCITY_SQUARED_TO_ENERGY * float(masses @ (velocities * velocities).sum(axis=1))


def temperature_of(twice_kinetic: float, count: int) -> float:
    """``sum m v^2 / ((3 N - 3) k_B)`` in K, from `twice_kinetic_energy` of all N atoms."""
    return twice_kinetic / (max(3 * count - 3, 1) * BOLTZMANN)
