"""AcceleratedGraph: what `system.CompiledGraph` is on a processor, on an accelerator."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.density.compile_engine.engine import AcceleratedDensity, can_accelerate
from gnnformd.model.density.model import DensityModel
from gnnformd.model.density.numba_engine.system import CompiledGraph, Places
from gnnformd.model.interface import ForceModel, Prediction

__all__ = ["AcceleratedGraph", "fast_graph", "long_range"]

Float = NDArray[np.float64]


class AcceleratedGraph(CompiledGraph):
    """Forces on the atoms of a graph by kernels of PyTorch's compiler; the long-range electrostatics by PyTorch itself.

    Parameters
    ----------
    model
        See `gnnformd.model.density.compile_engine.engine.can_accelerate`.
    """

    def __init__(self, model: DensityModel) -> None:
        super().__init__(model)
        self._density = AcceleratedDensity(model)
        self._atoms: AtomicGraph | None = None

    def renew(self, graph: AtomicGraph) -> bool:
        """Take over the atoms and edges of another graph."""
        weight = next(self._model.parameters())
        self._atoms = graph.to(weight.device, weight.dtype)
        self._density.set_neighbors(graph)
        return True

    def places(self, own: Float, box: Float) -> Places:
        """Give places of the atoms (N, 3); there are no ghosts."""
        return Places(own, own, box)

    def local(self, places: Places) -> Prediction:
        """Everything but the long-range electrostatics."""
        found = self._density.evaluate(places.own, places.box)
        self.nearest = found.nearest
        weight = next(self._model.parameters())
        return Prediction(
            torch.from_numpy(found.forces).to(weight),
            torch.tensor([found.energies.sum()]).to(weight),
            torch.from_numpy(found.virial[None]).to(weight),
        )

    def long_range(self, places: Places) -> Prediction | None:
        """Long-range electrostatics, or None if the model has none."""
        assert self._atoms is not None
        if self._model.electrostatics is None:
            return None
        return long_range(self._model, self._atoms, places.own, places.box)


def fast_graph(model: ForceModel) -> CompiledGraph | None:
    """Choose what evaluates a model fastest where it is; None if that is the model itself."""
    if can_accelerate(model):
        assert isinstance(model, DensityModel)
        return AcceleratedGraph(model)
    return CompiledGraph(model) if isinstance(model, DensityModel) else None


def long_range(model: DensityModel, atoms: AtomicGraph, positions: Float, cell: Float) -> Prediction:
    """Long-range part of the Coulomb energy (see `gnnformd.model.density.ewald`), its forces and virial, by PyTorch.

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
