"""What compiled loops return, and sums over the parts that threads return."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LocalPrediction", "LongRangeCoulomb", "PartOfSystem", "add_parts", "symmetric"]

Array = NDArray[Any]


@dataclass(frozen=True)
class LocalPrediction:
    """Energies, forces and virial by the compiled loops.

    Attributes
    ----------
    energies
        Of the centers, without long-range electrostatics, kcal/mol, (N,).
    forces
        On centers and other atoms, kcal/mol/angstrom, (M, 3).
    virial
        ``sum r f`` over edges, kcal/mol, (3, 3).
    nearest
        The pair that is closest in contact distances, if it is closer than one: its two atoms, distance and contact
        distance, angstrom.
    grades
        Extrapolation grades of the centers, (N,), or None.
    """

    energies: Array
    forces: Array
    virial: Array
    nearest: tuple[int, int, float, float] | None
    grades: Array | None = None


@dataclass(frozen=True)
class LongRangeCoulomb:
    """The long-range part of the Coulomb energy, or what one part of a system counts of it.

    Attributes
    ----------
    energy
        kcal/mol.
    forces
        kcal/mol/angstrom, (N, 3).
    virial
        kcal/mol, (3, 3).
    potentials
        Derivatives of the energy of the system by the charges, kcal/mol/e, (N,).
    """

    energy: float
    forces: Array
    virial: Array
    potentials: Array


@dataclass(frozen=True)
class PartOfSystem:
    """Which part of a system's charges a long-range sum is given; all parts are summed at the same time.

    Attributes
    ----------
    share
        Of the system's atoms. As much of what only all charges together have (the energy of the waves, the virial) is
        counted here.
    charge
        Of the whole system, e.
    total
        Sums an array over all parts; each part gets the sum.
    """

    share: float
    charge: float
    total: Callable[[Array], Array]

    @classmethod
    def whole(cls, charges: Array) -> PartOfSystem:
        """All charges, e, (N,)."""
        return cls(1.0, float(charges.astype(np.float64).sum()), lambda values: values)


def symmetric(virial: Array) -> Array:
    """Tensor (3, 3) of ``xx, yy, zz, xy, xz, yz``."""
    xx, yy, zz, xy, xz, yz = virial
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def add_parts(parts: list[tuple[Array, ...]]) -> tuple[Array, ...]:
    """Add up forces and virials of all parts, and what follows; of their nearest pairs take the closest."""
    if len(parts) == 1:
        return parts[0]
    forces, virial, nearest, *others = zip(*parts, strict=True)
    closest = np.array(min(part.tolist() for part in nearest))
    return np.sum(forces, axis=0), np.sum(virial, axis=0), closest, *(np.sum(other, axis=0) for other in others)
