"""NumbaDomainEngine: a density model by compiled loops on a processor, for a domain of a larger system."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.density.model import DensityModel
from gnnformd.model.density.numba_engine.coulomb_system import DomainSystem
from gnnformd.model.density.numba_engine.learned_charges import coulomb_of
from gnnformd.model.density.numba_engine.loops import build_loops
from gnnformd.model.density.numba_engine.one_layer import OneLayer
from gnnformd.model.density.numba_engine.packed_weights import dtype_of
from gnnformd.model.engine import ClosePair, DomainNeighbors, EngineResult, OtherDomains

__all__ = ["NumbaDomainEngine"]

Float = NDArray[np.float64]


class NumbaDomainEngine:
    """See `gnnformd.model.engine.Engine`.

    Long-range electrostatics of fixed charges are left to another program. Those of learned charges are summed here,
    together with all other domains, also where this one owns no atoms. Of several layers, what neighbors send comes
    from the domains that own them where these are given; else the ghosts send it, with neighbors of their own.

    Parameters
    ----------
    model
        On a processor.
    atoms, others
        See `gnnformd.model.registry.FastEngines`.
    """

    name = "numba"

    def __init__(self, model: DensityModel, atoms: AtomicGraph, others: OtherDomains | None = None) -> None:
        self._deep = others is None and model.layers > 1
        self._others, self._exchanges = others, model.layers - 1
        self._no_messages = np.zeros((0, model.settings.message_channels), dtype_of(model))
        self._coulomb = None
        if model.needs_other_domains:
            assert others is not None
            self._coulomb = DomainSystem(model, others)
        self._loops: OneLayer | None = None
        self._own = _own_count(atoms)
        if self._own > 0:
            self._loops = build_loops(model, atoms, others)
        self._asked: AtomicGraph | None = None
        self._answer: NDArray[np.int64] | None = None

    def serves(self, atoms: AtomicGraph) -> bool:
        """See `gnnformd.model.engine.Engine.serves`: any atoms of kinds that were among the first ones."""
        if _own_count(atoms) == 0:
            return True
        return self._species_of(atoms) is not None

    def set_neighbors(self, neighbors: DomainNeighbors) -> None:
        """See `gnnformd.model.engine.Engine.set_neighbors`."""
        atoms = neighbors.atoms
        self._own = own = _own_count(atoms)
        if own == 0:
            return
        assert self._loops is not None
        kinds = self._species_of(atoms)
        assert kinds is not None
        lists = neighbors.of_first(atoms.atom_count if self._deep else own)
        self._loops.set_neighbors(lists.start, lists.neighbor, kinds, own=own)

    def _species_of(self, atoms: AtomicGraph) -> NDArray[np.int64] | None:
        """See `OneLayer.species_of`; asked twice about the same atoms, it answers the second time from memory."""
        if atoms is not self._asked:
            self._asked, self._answer = atoms, None if self._loops is None else self._loops.species_of(atoms)
        return self._answer

    def evaluate(self, positions: Float, cell: Float) -> EngineResult:
        """See `gnnformd.model.engine.Engine.evaluate`."""
        if self._coulomb is not None:
            self._coulomb.move(positions[: self._own], cell)
        if self._own == 0:
            return self._without_atoms(positions)
        assert self._loops is not None
        found = self._loops.evaluate(positions, self._coulomb)
        nearest = None if found.nearest is None else ClosePair(*found.nearest)
        return EngineResult(found.forces, float(found.energies.sum()), found.virial, nearest, found.grades)

    def _without_atoms(self, positions: Float) -> EngineResult:
        """Take part in what all domains do together."""
        none, no_forces = np.zeros(0), np.zeros((0, 3))
        assert self._others is not None  # else this domain would not be asked
        for _ in range(self._exchanges):
            self._others.to_ghosts(self._no_messages)
        if self._coulomb is not None:
            coulomb_of(none, none, self._coulomb, lambda _: (none, no_forces, np.zeros((3, 3))))
        on_ghosts = np.zeros((len(positions), self._no_messages.shape[1]), self._no_messages.dtype)
        for _ in range(self._exchanges):
            self._others.from_ghosts(on_ghosts)
        return EngineResult(np.zeros_like(positions), 0.0, np.zeros((3, 3)))

    def parts(self, positions: Float, cell: Float) -> dict[str, Callable[[], object]]:
        """See `gnnformd.model.engine.Engine.parts`."""
        return {"short_range": lambda: self.evaluate(positions, cell)}

    def operations_per_atom(self, edges_per_atom: float) -> float | None:
        """See `gnnformd.model.engine.Engine.operations_per_atom`."""
        return None if self._loops is None else self._loops.operations_per_atom(edges_per_atom)


def _own_count(atoms: AtomicGraph) -> int:
    assert atoms.owned is not None
    return int(atoms.owned.sum())
