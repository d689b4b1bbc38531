"""CompiledSystem: one system whose atoms move, evaluated by the compiled loops of the density model."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.compiled import CompiledDensity, can_compile
from gnnformd.model.density import DensityModel
from gnnformd.model.interface import ForceModel, Prediction
from gnnformd.simulation.ghosts import Ghosts
from gnnformd.simulation.moving_graph import MovingGraph

__all__ = ["CompiledSystem"]

Float = NDArray[np.float64]


class CompiledSystem:
    """Forces by compiled loops, long-range electrostatics by PyTorch.

    Parameters
    ----------
    model
        Any model.
    graph
        Neighbors of the system; asked for the edges up to cutoff plus skin.
    """

    def __init__(self, model: ForceModel, graph: MovingGraph) -> None:
        self._model, self._graph = model, graph
        self._searched: AtomicGraph | None = None
        self._atoms: AtomicGraph | None = None  # of the last search, in the type of the model
        self._ghosts: Ghosts | None = None
        self._density: CompiledDensity | None = None

    def evaluate(self, positions: Float, cell: Float, periodic: tuple[bool, bool, bool]) -> Prediction | None:
        """Predict, or say None where there are no compiled loops; arguments as for `Evaluator.evaluate`."""
        if not isinstance(self._model, DensityModel):
            return None
        graph, places, box = self._graph.wide_at(positions, cell, periodic)
        if graph is not self._searched:
            self._renew(self._model, graph)
        if self._density is None or self._ghosts is None or self._atoms is None:
            return None
        local = self._density.evaluate(self._ghosts.positions(places, box))
        dtype = self._atoms.positions.dtype
        forces = torch.from_numpy(self._ghosts.fold(local.forces)).to(dtype)
        energies = torch.tensor([local.energies.sum()], dtype=dtype)
        virials = torch.from_numpy(local.virial[None]).to(dtype)
        if self._model.electrostatics is not None:
            smooth = _long_range(self._model, self._atoms, places, box)
            assert smooth.energies is not None and smooth.virials is not None
            forces, energies, virials = forces + smooth.forces, energies + smooth.energies, virials + smooth.virials
        return Prediction(forces, energies, virials)

    def _renew(self, model: DensityModel, graph: AtomicGraph) -> None:
        self._searched = graph
        weight = next(model.parameters())
        self._atoms = graph.to(dtype=weight.dtype)
        if not can_compile(model, graph):
            self._density = None
            return
        if self._density is None:
            self._density = CompiledDensity(model, self._atoms)
        self._ghosts = Ghosts.of(graph)
        self._density.set_neighbors(self._ghosts.start, self._ghosts.neighbor, self._ghosts.owner)


def _long_range(model: DensityModel, atoms: AtomicGraph, positions: Float, cell: Float) -> Prediction:
    """Long-range part of the Coulomb energy (see `gnnformd.model.density_ewald`), its forces and virial."""
    assert model.electrostatics is not None
    cells = torch.from_numpy(cell[None] if atoms.periodic.any() else np.eye(3)[None])
    inverse = torch.linalg.inv(cells[0])
    scaled = torch.from_numpy(positions) @ inverse
    scaled = scaled - torch.floor(scaled) * atoms.periodic[0]  # small numbers keep their digits in float32
    dtype = atoms.charges.dtype
    scaled, cells = scaled.to(dtype).requires_grad_(), cells.to(dtype).requires_grad_()
    with torch.enable_grad():
        energies = model.electrostatics.long_range_energies(scaled, cells, atoms.charges, atoms)
        by_scaled, by_cell = torch.autograd.grad(energies.sum(), (scaled, cells), allow_unused=True)
    forces = -by_scaled @ inverse.to(dtype).T
    virials = torch.zeros_like(cells) if by_cell is None else -cells.detach().transpose(1, 2) @ by_cell
    return Prediction(forces, energies.detach(), virials)
