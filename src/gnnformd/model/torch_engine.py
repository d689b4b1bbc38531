"""Any model as an engine, by PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.graph.distances import of_edges
from gnnformd.graph.within_cutoff import within_cutoff
from gnnformd.model.engine import ClosePair, DomainNeighbors, EngineResult
from gnnformd.model.interface import ForceModel, Prediction, weight_of

__all__ = ["TorchDomainEngine", "TorchEngine"]

Float = NDArray[np.float64]


class TorchEngine:
    """Any model by PyTorch, for a whole system.

    Parameters
    ----------
    model
        In evaluation mode.
    contact
        Contact distances, angstrom, (4, T, T); by default the model's own.
    """

    name = "torch"

    def __init__(self, model: ForceModel, contact: Tensor | None = None) -> None:
        self._model = model
        self._contact = model.contact_distances if contact is None else contact
        self._wide: AtomicGraph | None = None

    def serves(self, atoms: AtomicGraph) -> bool:
        """Any atoms."""
        return True

    def set_neighbors(self, neighbors: AtomicGraph) -> None:
        """See `Engine.set_neighbors`."""
        weight = weight_of(self._model)
        self._wide = neighbors.with_exact_positions(weight.device, weight.dtype)

    def evaluate(self, positions: Float, cell: Float) -> EngineResult:
        """See `Engine.evaluate`."""
        graph = self._graph_at(positions, cell)
        return _evaluation(self._ask(graph), self._nearest(graph))

    def parts(self, positions: Float, cell: Float) -> dict[str, Callable[[], object]]:
        """See `Engine.parts`."""
        model, graph = self._model, self._graph_at(positions, cell)
        if model.long_range is None or not model.long_range.fixed_charges:
            return {"short_range": lambda: self._ask(graph).forces.cpu()}
        short = replace(graph, owned=torch.ones_like(graph.type_index, dtype=torch.bool))  # leaves the long range out

        def long_range() -> object:
            found = model.long_range_part(graph, positions, cell)
            return None if found is None else found.forces.cpu()

        return {"short_range": lambda: self._ask(short).forces.cpu(), "long_range": long_range}

    def operations_per_atom(self, edges_per_atom: float) -> float | None:
        """Not counted."""
        return None

    def _graph_at(self, positions: Float, cell: Float) -> AtomicGraph:
        assert self._wide is not None
        device = self._wide.positions.device
        x, box = (torch.from_numpy(np.ascontiguousarray(a)).to(device) for a in (positions, cell))
        return within_cutoff(self._wide, x, box, self._model.cutoff)

    def _ask(self, graph: AtomicGraph) -> Prediction:
        with torch.set_grad_enabled(self._model.conservative):  # a conservative model differentiates its energy
            return self._model(graph)  # type: ignore[no-any-return]

    def _nearest(self, graph: AtomicGraph) -> ClosePair | None:
        """Find the pair that is closest in contact distances, if it is closer than one."""
        if self._contact is None:
            return None
        contact = of_edges(self._contact.to(graph.type_index.device), graph)
        squared = graph.half_edge_vectors().square().sum(dim=1)
        closer = torch.nonzero(squared < contact * contact).squeeze(1)
        if len(closer) == 0:
            return None
        pair = int(closer[(squared[closer] / contact[closer].square()).argmin()])
        center, neighbor, _, _ = graph.half_edges
        return ClosePair(int(center[pair]), int(neighbor[pair]), float(squared[pair].sqrt()), float(contact[pair]))


class TorchDomainEngine(TorchEngine):
    """Any model that can be cut, by PyTorch, for a domain."""

    def set_neighbors(self, neighbors: DomainNeighbors) -> None:  # type: ignore[override]
        """See `Engine.set_neighbors`."""
        super().set_neighbors(neighbors.atoms.with_half_edges(neighbors.half_edges))

    def evaluate(self, positions: Float, cell: Float) -> EngineResult:
        """See `Engine.evaluate`."""
        found = super().evaluate(positions, np.eye(3))
        if not self._model.conservative:
            assert self._wide is not None and self._wide.owned is not None
            found.forces[~self._wide.owned.cpu().numpy()] = 0.0  # they are right where those atoms are owned
        return found


def _evaluation(prediction: Prediction, nearest: ClosePair | None) -> EngineResult:
    energies, virials, grades = prediction.energies, prediction.virials, prediction.grades
    return EngineResult(
        prediction.forces.numpy(force=True).astype(np.float64),
        None if energies is None else float(energies[0]),
        None if virials is None else virials[0].numpy(force=True).astype(np.float64),
        nearest,
        None if grades is None else grades.numpy(force=True).astype(np.float64),
    )
