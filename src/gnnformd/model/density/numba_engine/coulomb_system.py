"""CoulombSystem: what learned charges have to know of all atoms of a system, of which a rank may own a part alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gnnformd.model.density.model import DensityModel
from gnnformd.model.density.numba_engine.ewald import EwaldSum
from gnnformd.model.density.numba_engine.pme import ParticleMeshEwald
from gnnformd.model.density.numba_engine.results import LongRangeCoulomb, PartOfSystem
from gnnformd.model.engine import OtherDomains

__all__ = ["CoulombSystem", "DomainSystem", "WholeSystem", "fractional", "periodic_sum"]

Array = NDArray[Any]
Float = NDArray[np.float64]


class CoulombSystem(Protocol):
    """Atoms whose charges are learned: N centers here, with the ghosts around them, and perhaps others elsewhere."""

    def total(self, values: Float) -> Float:
        """Sum an array over all parts of the system."""

    def with_ghosts(self, charges: Float) -> Float:
        """Charges of centers, (N,), to those of centers and ghosts, (M,)."""

    def long_range(self, charges: Float) -> LongRangeCoulomb:
        """Long-range part of the Coulomb energy for charges of the centers, e, (N,)."""


@dataclass(frozen=True)
class WholeSystem:
    """A system that is here as a whole; see `CoulombSystem`.

    Attributes
    ----------
    owner
        The center that an atom is or is an image of, (M,).
    long_range
        Computes the long-range part for charges, e, (N,).
    """

    owner: NDArray[np.int64]
    long_range: Callable[[Float], LongRangeCoulomb]

    def total(self, values: Float) -> Float:
        """See `CoulombSystem.total`: there are no other parts."""
        return values

    def with_ghosts(self, charges: Float) -> Float:
        """See `CoulombSystem.with_ghosts`."""
        return charges[self.owner]


class DomainSystem:
    """A domain of a system in a periodic box; see `CoulombSystem`. All domains have to ask the same at the same time.

    Each computes the same sum over waves or the same mesh, of the charges of all domains, for its own atoms.

    Parameters
    ----------
    model
        With learned charges.
    others
        The other domains.
    """

    def __init__(self, model: DensityModel, others: OtherDomains) -> None:
        self._model, self._others = model, others
        self._sum: EwaldSum | ParticleMeshEwald | None = None
        self._positions, self._cell = np.zeros((0, 3)), np.eye(3)

    def move(self, positions: Float, cell: Float) -> None:
        """Take positions of the own atoms, angstrom, (N, 3), and the cell of the system, angstrom, (3, 3)."""
        self._positions, self._cell = positions, cell

    def total(self, values: Float) -> Float:
        """See `CoulombSystem.total`."""
        return self._others.sum(values)

    def with_ghosts(self, charges: Float) -> Float:
        """See `CoulombSystem.with_ghosts`."""
        return self._others.to_ghosts(charges)

    def long_range(self, charges: Float) -> LongRangeCoulomb:
        """See `CoulombSystem.long_range`."""
        numbers = np.array([charges.sum(), len(charges), self._sum is None], dtype=np.float64)
        charge, atoms, without_sum = self.total(numbers).tolist()
        if without_sum:  # the size of a mesh depends on earlier boxes, so that all domains begin anew together
            self._sum = periodic_sum(self._model, int(atoms))
        assert self._sum is not None
        part = PartOfSystem(len(charges) / atoms, charge, self._others.sum)
        return self._sum.evaluate(charges, fractional(self._positions, self._cell), self._cell, part)


def fractional(positions: Float, cell: Float) -> Float:
    """Fractional coordinates in [0, 1) of positions, angstrom, (N, 3), in a cell, (3, 3)."""
    scaled = positions @ np.linalg.inv(cell)
    inside: Float = scaled - np.floor(scaled)
    return inside


def periodic_sum(model: DensityModel, atoms: int) -> EwaldSum | ParticleMeshEwald:
    """Choose how the long-range part of so many atoms in a periodic box is summed."""
    coulomb, distances = model.electrostatics, model.contacts.distances
    assert coulomb is not None
    dtype = distances.numpy().dtype
    if atoms >= coulomb.compiled_mesh_from(distances.dtype):
        return ParticleMeshEwald(dtype, coulomb.splitting)
    return EwaldSum(dtype, coulomb.splitting, coulomb.reach)
