"""NumbaDomainEngine: a density model by compiled loops on a processor, for a domain of a larger system."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.density.model import DensityModel
from gnnformd.model.density.numba_engine.loops import build_loops
from gnnformd.model.engine import ClosePair, DomainNeighbors, EngineResult

__all__ = ["NumbaDomainEngine"]

Float = NDArray[np.float64]


class NumbaDomainEngine:
    """See `gnnformd.model.engine.Engine`; without long-range electrostatics, which another program computes.

    Parameters
    ----------
    model
        On a processor, with charges that are not learned.
    atoms
        See `gnnformd.model.registry.FastEngines`.
    """

    name = "numba"

    def __init__(self, model: DensityModel, atoms: AtomicGraph) -> None:
        self._layers = model.layers
        self._loops = build_loops(model, atoms)

    def serves(self, atoms: AtomicGraph) -> bool:
        """See `gnnformd.model.engine.Engine.serves`: any atoms of kinds that were among the first ones."""
        return self._loops.species_of(atoms) is not None

    def set_neighbors(self, neighbors: DomainNeighbors) -> None:
        """See `gnnformd.model.engine.Engine.set_neighbors`."""
        atoms = neighbors.atoms
        kinds = self._loops.species_of(atoms)
        assert kinds is not None and atoms.owned is not None
        own = int(atoms.owned.sum())
        lists = neighbors.of_first(atoms.atom_count if self._layers > 1 else own)  # later layers need what others send
        self._loops.set_neighbors(lists.start, lists.neighbor, kinds, own=own)

    def evaluate(self, positions: Float, cell: Float) -> EngineResult:
        """See `gnnformd.model.engine.Engine.evaluate`."""
        found = self._loops.evaluate(positions)
        nearest = None if found.nearest is None else ClosePair(*found.nearest)
        return EngineResult(found.forces, float(found.energies.sum()), found.virial, nearest)

    def parts(self, positions: Float, cell: Float) -> dict[str, Callable[[], object]]:
        """See `gnnformd.model.engine.Engine.parts`."""
        return {"short_range": lambda: self._loops.evaluate(positions)}

    def operations_per_atom(self, edges_per_atom: float) -> float | None:
        """See `gnnformd.model.engine.Engine.operations_per_atom`."""
        return self._loops.operations_per_atom(edges_per_atom)
