"""CompiledGraph: the atoms of one graph, wherever they move, evaluated by the compiled loops of the density model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.density.model import DensityModel
from gnnformd.model.density.numba_engine.ewald import ClusterSum, EwaldSum, LongRange
from gnnformd.model.density.numba_engine.ghosts import Ghosts
from gnnformd.model.density.numba_engine.learned_charges import LearnedCharges, build_loops
from gnnformd.model.density.numba_engine.one_layer import OneLayer, can_compile
from gnnformd.model.density.numba_engine.pme import ParticleMeshEwald
from gnnformd.model.interface import Prediction

__all__ = ["CompiledGraph", "Places"]

Float = NDArray[np.float64]
SOONER = 10  # in float32 a mesh serves so many times smaller systems; float64 stays with the exact sum


@dataclass(frozen=True)
class Places:
    """Where everything is.

    Attributes
    ----------
    with_ghosts
        Atoms and periodic images, angstrom, (N + G, 3).
    own
        The atoms alone, (N, 3).
    box
        Rows are the lattice vectors, angstrom, (3, 3).
    """

    with_ghosts: Float
    own: Float
    box: Float


@dataclass(frozen=True)
class _Ready:
    """What serves until there is another graph; ``atoms`` is the graph in the type of the model."""

    density: OneLayer
    ghosts: Ghosts
    atoms: AtomicGraph
    waves: EwaldSum | ParticleMeshEwald | ClusterSum | None


class CompiledGraph:
    """Forces on the atoms of a graph by compiled loops.

    Parameters
    ----------
    model
        The network.

    Attributes
    ----------
    nearest
        After an evaluation, the pair of atoms that is closest in contact distances, if it is closer than one: their
        rows, distance and contact distance, angstrom.
    """

    def __init__(self, model: DensityModel) -> None:
        self.nearest: tuple[int, int, float, float] | None = None
        self._model = model
        self._ready: _Ready | None = None

    def renew(self, graph: AtomicGraph) -> bool:
        """Take over the atoms and edges of another graph; False if there are no compiled loops for it.

        What was compiled for the last graph serves again if the atoms are the same.
        """
        last, atoms = self._ready, graph.to(dtype=next(self._model.parameters()).dtype)
        if last is not None and not _same_atoms(last.atoms, atoms):
            last = None
        if last is None and not can_compile(self._model, graph):
            self._ready = None
            return False
        density = build_loops(self._model, atoms) if last is None else last.density
        waves = _waves_for(self._model, atoms) if last is None else last.waves
        kinds = density.species_of(atoms)
        assert kinds is not None  # it was made for them
        ghosts = Ghosts.of(graph)
        density.set_neighbors(ghosts.start, ghosts.neighbor, kinds[ghosts.owner], ghosts.owner)
        self._ready = _Ready(density, ghosts, atoms, waves)
        return True

    def forget(self) -> None:
        """Keep nothing of earlier graphs and boxes."""
        self._ready = None

    def places(self, own: Float, box: Float) -> Places:
        """Give places of atoms and ghosts from those of the atoms (N, 3), where the shifts of the graph hold."""
        assert self._ready is not None
        return Places(self._ready.ghosts.positions(own, box), own, box)

    def evaluate(self, places: Places) -> Prediction:
        """Predict forces, energy and virial."""
        local, smooth = self.local(places), self.long_range(places)
        if smooth is None:
            return local
        assert local.energies is not None and smooth.energies is not None
        assert local.virials is not None and smooth.virials is not None
        return Prediction(
            local.forces + smooth.forces, local.energies + smooth.energies, local.virials + smooth.virials
        )

    def local(self, places: Places) -> Prediction:
        """Everything but the long-range electrostatics; that, too, if charges are learned, since all depends on it."""
        assert self._ready is not None
        density = self._ready.density
        if isinstance(density, LearnedCharges):
            found = density.evaluate_with(places.with_ghosts, lambda charges: self._smooth(charges, places))
        else:
            found = density.evaluate(places.with_ghosts)
        self.nearest = None
        if found.nearest is not None:
            one, other, distance, contact = found.nearest
            owner = self._ready.ghosts.owner
            self.nearest = int(owner[one]), int(owner[other]), distance, contact
        dtype = self._ready.atoms.positions.dtype
        return Prediction(
            torch.from_numpy(self._ready.ghosts.fold(found.forces)).to(dtype),
            torch.tensor([found.energies.sum()], dtype=dtype),
            torch.from_numpy(found.virial[None]).to(dtype),
        )

    def long_range(self, places: Places) -> Prediction | None:
        """Long-range electrostatics, or None if the model has none that is not in `local`."""
        assert self._ready is not None
        if self._model.settings.electrostatics != "fixed":
            return None
        found = self._smooth(self._ready.atoms.charges.numpy(), places)
        dtype = self._ready.atoms.charges.dtype
        return Prediction(
            torch.from_numpy(found.forces).to(dtype),
            torch.tensor([found.energy], dtype=dtype),
            torch.from_numpy(found.virial[None]).to(dtype),
        )

    def _smooth(self, charges: NDArray[np.floating[Any]], places: Places) -> LongRange:
        """Long-range electrostatics of charges, e, (N,)."""
        assert self._ready is not None and self._ready.waves is not None
        if isinstance(self._ready.waves, ClusterSum):
            return self._ready.waves.evaluate(charges, places.own, np.eye(3))
        scaled = places.own @ np.linalg.inv(places.box)
        return self._ready.waves.evaluate(charges, scaled - np.floor(scaled), places.box)

    @property
    def network_alone(self) -> Callable[[], None] | None:
        """What does the work on each atom between its densities and their derivatives, for its time to be taken."""
        return None if self._ready is None else self._ready.density.network_alone

    def operations_per_atom(self, edges_per_atom: float) -> float | None:
        """Operations for each atom without long-range electrostatics, or None where nothing is compiled."""
        return None if self._ready is None else self._ready.density.operations_per_atom(edges_per_atom)


def _same_atoms(one: AtomicGraph, other: AtomicGraph) -> bool:
    names = ("type_index", "charges", "epsilons", "sigmas", "periodic", "special_coul")
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in names)


def _waves_for(model: DensityModel, atoms: AtomicGraph) -> EwaldSum | ParticleMeshEwald | ClusterSum | None:
    coulomb, dtype = model.electrostatics, atoms.charges.numpy().dtype
    if coulomb is None:
        return None
    if not atoms.periodic.all():
        return ClusterSum(coulomb.splitting)
    if atoms.atom_count * (SOONER if dtype == np.float32 else 1) >= coulomb.mesh_from:
        return ParticleMeshEwald(dtype, coulomb.splitting)
    return EwaldSum(dtype, coulomb.splitting, coulomb.reach)
