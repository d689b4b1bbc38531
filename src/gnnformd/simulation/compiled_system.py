"""CompiledSystem: one system whose atoms move, evaluated by the compiled loops of the density model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.compiled import CompiledDensity, can_compile
from gnnformd.model.compiled_ewald import CompiledEwald
from gnnformd.model.compiled_mesh import CompiledMesh
from gnnformd.model.density import DensityModel
from gnnformd.model.interface import ForceModel, Prediction
from gnnformd.simulation.ghosts import Ghosts
from gnnformd.simulation.moving_graph import MovingGraph
from gnnformd.simulation.training_range import ClosePair

__all__ = ["CompiledSystem", "Places", "long_range"]

Float = NDArray[np.float64]


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
    """What serves until the next search of neighbors; ``atoms`` is its graph in the type of the model.

    There are compiled ``waves`` for a box that is periodic in all directions.
    """

    density: CompiledDensity
    ghosts: Ghosts
    atoms: AtomicGraph
    waves: CompiledEwald | CompiledMesh | None


class CompiledSystem:
    """Forces by compiled loops; the long-range electrostatics of clusters by PyTorch.

    Parameters
    ----------
    model
        Any model.
    graph
        Neighbors of the system; asked for the edges up to cutoff plus skin.

    Attributes
    ----------
    nearest
        After an evaluation, the pair of atoms that is closest in contact distances, by rows, if it is closer than one.
    """

    def __init__(self, model: ForceModel, graph: MovingGraph) -> None:
        self._model, self._graph = model, graph
        self.nearest: ClosePair | None = None
        self._searched: AtomicGraph | None = None
        self._ready: _Ready | None = None

    def evaluate(self, positions: Float, cell: Float, periodic: tuple[bool, bool, bool]) -> Prediction | None:
        """Predict, or say None where there are no compiled loops; arguments as for `Evaluator.evaluate`."""
        places = self.places(positions, cell, periodic)
        if places is None:
            return None
        local, smooth = self.local(places), self.long_range(places)
        if smooth is None:
            return local
        assert local.energies is not None and smooth.energies is not None
        assert local.virials is not None and smooth.virials is not None
        return Prediction(
            local.forces + smooth.forces, local.energies + smooth.energies, local.virials + smooth.virials
        )

    def places(self, positions: Float, cell: Float, periodic: tuple[bool, bool, bool]) -> Places | None:
        """Renew the neighbors where that is due; give places of atoms and ghosts, or None where nothing is compiled."""
        if not isinstance(self._model, DensityModel):
            return None
        graph, own, box = self._graph.wide_at(positions, cell, periodic)
        if graph is not self._searched:
            self._renew(self._model, graph)
        return None if self._ready is None else Places(self._ready.ghosts.positions(own, box), own, box)

    def local(self, places: Places) -> Prediction:
        """Everything but the long-range electrostatics."""
        assert self._ready is not None
        found = self._ready.density.evaluate(places.with_ghosts)
        share, one, other = found.nearest
        self.nearest = None
        if share < 1.0:
            distance = float(np.linalg.norm(places.with_ghosts[one] - places.with_ghosts[other]))
            owner = self._ready.ghosts.owner
            self.nearest = ClosePair(int(owner[one]), int(owner[other]), distance, distance / share)
        dtype = self._ready.atoms.positions.dtype
        return Prediction(
            torch.from_numpy(self._ready.ghosts.fold(found.forces)).to(dtype),
            torch.tensor([found.energies.sum()], dtype=dtype),
            torch.from_numpy(found.virial[None]).to(dtype),
        )

    def long_range(self, places: Places) -> Prediction | None:
        """Long-range electrostatics, or None if the model has none."""
        assert self._ready is not None and isinstance(self._model, DensityModel)
        if self._model.electrostatics is None:
            return None
        if self._ready.waves is None:
            return long_range(self._model, self._ready.atoms, places.own, places.box)
        dtype = self._ready.atoms.charges.dtype
        scaled = places.own @ np.linalg.inv(places.box)
        energy, forces, virial = self._ready.waves.evaluate(scaled - np.floor(scaled), places.box)
        return Prediction(
            torch.from_numpy(forces).to(dtype),
            torch.tensor([energy], dtype=dtype),
            torch.from_numpy(virial[None]).to(dtype),
        )

    def operations_per_atom(self, edges_per_atom: float) -> float | None:
        """Operations for each atom without long-range electrostatics, or None where nothing is compiled."""
        return None if self._ready is None else self._ready.density.operations_per_atom(edges_per_atom)

    def _renew(self, model: DensityModel, graph: AtomicGraph) -> None:
        self._searched = graph
        if not can_compile(model, graph):
            self._ready = None
            return
        atoms = graph.to(dtype=next(model.parameters()).dtype)
        if self._ready is None:
            density, waves = CompiledDensity(model, atoms), _waves_for(model, atoms)
        else:
            density, waves = self._ready.density, self._ready.waves
        kinds = density.kinds_of(atoms)
        assert kinds is not None  # the atoms of a system stay the same
        ghosts = Ghosts.of(graph)
        density.set_neighbors(ghosts.start, ghosts.neighbor, kinds[ghosts.owner])
        self._ready = _Ready(density, ghosts, atoms, waves)


def _waves_for(model: DensityModel, atoms: AtomicGraph) -> CompiledEwald | CompiledMesh | None:
    coulomb, charges = model.electrostatics, atoms.charges.numpy()
    if coulomb is None or not atoms.periodic.all():
        return None
    if atoms.atom_count >= coulomb.mesh_from:
        return CompiledMesh(charges, coulomb.splitting)
    return CompiledEwald(charges, coulomb.splitting, coulomb.reach)


def long_range(model: DensityModel, atoms: AtomicGraph, positions: Float, cell: Float) -> Prediction:
    """Long-range part of the Coulomb energy (see `gnnformd.model.density_ewald`), its forces and virial, by PyTorch.

    Parameters
    ----------
    model
        One with charges of the data.
    atoms
        Their charges, and which directions are periodic.
    positions, cell
        angstrom, (N, 3) and (3, 3).
    """
    assert model.electrostatics is not None
    cells = torch.from_numpy(cell[None] if atoms.periodic.any() else np.eye(3)[None]).to(atoms.charges.device)
    inverse = torch.linalg.inv(cells[0])
    scaled = torch.from_numpy(positions).to(cells) @ inverse
    scaled = scaled - torch.floor(scaled) * atoms.periodic[0]  # small numbers keep their digits in float32
    dtype = atoms.charges.dtype
    scaled, cells = scaled.to(dtype).requires_grad_(), cells.to(dtype).requires_grad_()
    with torch.enable_grad():
        energies = model.electrostatics.long_range_energies(scaled, cells, atoms.charges, atoms)
        by_scaled, by_cell = torch.autograd.grad(energies.sum(), (scaled, cells), allow_unused=True)
    forces = -by_scaled @ inverse.to(dtype).T
    virials = torch.zeros_like(cells) if by_cell is None else -cells.detach().transpose(1, 2) @ by_cell
    return Prediction(forces, energies.detach(), virials)
