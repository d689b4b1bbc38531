"""NumbaEngine: a density model by compiled loops on a processor, for a whole system."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.density.model import DensityModel
from gnnformd.model.density.numba_engine.coulomb_system import WholeSystem, fractional, periodic_sum
from gnnformd.model.density.numba_engine.ewald import ClusterSum, EwaldSum
from gnnformd.model.density.numba_engine.ghosts import Ghosts
from gnnformd.model.density.numba_engine.loops import build_loops
from gnnformd.model.density.numba_engine.pme import ParticleMeshEwald
from gnnformd.model.density.numba_engine.results import LongRangeCoulomb
from gnnformd.model.engine import ClosePair, EngineResult

__all__ = ["NumbaEngine"]

Float = NDArray[np.float64]

_SAME = ("periodic", "special_coul")


class NumbaEngine:
    """See `gnnformd.model.engine.Engine`; periodic images that are neighbors are atoms of their own (`Ghosts`).

    Parameters
    ----------
    model
        On a processor.
    atoms
        See `gnnformd.model.registry.FastEngines`.
    """

    name = "numba"

    def __init__(self, model: DensityModel, atoms: AtomicGraph) -> None:
        self._model = model
        self._dtype = model.contacts.distances.dtype
        self._atoms = atoms.to(dtype=self._dtype)
        self._loops = build_loops(model, self._atoms)
        self._coulomb = _long_range_sum(model, self._atoms)
        self._long_range_apart = model.long_range is not None and model.long_range.fixed_charges
        kinds = self._loops.species_of(self._atoms)
        assert kinds is not None  # it was made for them
        self._species = kinds
        self._ghosts: Ghosts | None = None

    def serves(self, atoms: AtomicGraph) -> bool:
        """See `gnnformd.model.engine.Engine.serves`."""
        other = atoms.to(dtype=self._dtype)
        kinds, found = (self._model.kinds_of_atoms(each) for each in (self._atoms, other))
        return torch.equal(kinds, found) and all(
            torch.equal(getattr(self._atoms, name), getattr(other, name)) for name in _SAME
        )

    def set_neighbors(self, neighbors: AtomicGraph) -> None:
        """See `gnnformd.model.engine.Engine.set_neighbors`."""
        ghosts = self._ghosts = Ghosts.of(neighbors)
        self._loops.set_neighbors(ghosts.start, ghosts.neighbor, self._species[ghosts.owner], ghosts.owner)

    def evaluate(self, positions: Float, cell: Float) -> EngineResult:
        """See `gnnformd.model.engine.Engine.evaluate`."""
        local = self._local(positions, cell)
        if not self._long_range_apart:
            return local
        smooth = self._long_range(self._atoms.charges.numpy(), positions, cell)
        assert local.energy is not None and local.virial is not None
        return EngineResult(
            local.forces + smooth.forces,
            local.energy + smooth.energy,
            local.virial + smooth.virial,
            local.nearest,
            local.grades,
        )

    def parts(self, positions: Float, cell: Float) -> dict[str, Callable[[], object]]:
        """See `gnnformd.model.engine.Engine.parts`; with learned charges all electrostatics are in ``short_range``."""
        found: dict[str, Callable[[], object]] = {"short_range": lambda: self._local(positions, cell)}
        if self._long_range_apart:
            charges = self._atoms.charges.numpy()
            found["long_range"] = lambda: self._long_range(charges, positions, cell)
        if self._loops.network_alone is not None:
            found["network"] = self._loops.network_alone
        return found

    def operations_per_atom(self, edges_per_atom: float) -> float | None:
        """See `gnnformd.model.engine.Engine.operations_per_atom`."""
        return self._loops.operations_per_atom(edges_per_atom)

    def _local(self, positions: Float, cell: Float) -> EngineResult:
        """Everything but long-range electrostatics; that, too, if charges are learned, since all depends on it."""
        assert self._ghosts is not None
        with_ghosts = self._ghosts.positions(positions, cell)
        owner = self._ghosts.owner
        coulomb = WholeSystem(owner, lambda charges: self._long_range(charges, positions, cell))
        found = self._loops.evaluate(with_ghosts, coulomb)
        nearest = None
        if found.nearest is not None:
            one, other, distance, contact = found.nearest
            nearest = ClosePair(int(owner[one]), int(owner[other]), distance, contact)
        forces = self._ghosts.fold(found.forces)
        return EngineResult(forces, float(found.energies.sum()), found.virial, nearest, found.grades)

    def _long_range(self, charges: NDArray[np.floating[Any]], positions: Float, cell: Float) -> LongRangeCoulomb:
        """Long-range electrostatics of charges, e, (N,)."""
        assert self._coulomb is not None
        if isinstance(self._coulomb, ClusterSum):
            return self._coulomb.evaluate(charges, positions, np.eye(3))
        return self._coulomb.evaluate(charges, fractional(positions, cell), cell)


def _long_range_sum(model: DensityModel, atoms: AtomicGraph) -> EwaldSum | ParticleMeshEwald | ClusterSum | None:
    if model.electrostatics is None:
        return None
    if not atoms.periodic.all():
        return ClusterSum(model.electrostatics.splitting)
    return periodic_sum(model, atoms.atom_count)
