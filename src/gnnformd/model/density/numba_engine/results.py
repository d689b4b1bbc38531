"""What compiled loops return, and sums over the parts that threads return."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["LocalPrediction", "LongRangeCoulomb", "LongRangeOf", "add_parts", "symmetric"]

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
    """

    energies: Array
    forces: Array
    virial: Array
    nearest: tuple[int, int, float, float] | None


@dataclass(frozen=True)
class LongRangeCoulomb:
    """The long-range part of the Coulomb energy.

    Attributes
    ----------
    energy
        kcal/mol.
    forces
        kcal/mol/angstrom, (N, 3).
    virial
        kcal/mol, (3, 3).
    potentials
        Derivatives of the energy by the charges, kcal/mol/e, (N,).
    """

    energy: float
    forces: Array
    virial: Array
    potentials: Array


LongRangeOf: TypeAlias = Callable[[NDArray[Any]], LongRangeCoulomb]
"""Computes the long-range part for charges of the atoms, e, (N,)."""


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
