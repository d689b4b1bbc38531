"""Engine: a model evaluated again and again for atoms that move, and the one place that chooses how.

Every model can be evaluated by PyTorch (`TorchEngine`); a model may have faster engines for some atoms
(`gnnformd.model.interface.ForceModel.fast_engine`): compiled loops on a processor, kernels of PyTorch's compiler on an
accelerator. All give the same numbers to rounding. Everything that asks a model about atoms goes through
`build_engine`, `build_domain_engine` or `GraphPredictor`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from ase.geometry import complete_cell
from numpy.typing import NDArray
from torch import Tensor

from gnnformd.graph.atomic_graph import AtomicGraph, HalfEdges
from gnnformd.graph.build import collate
from gnnformd.graph.distances import of_edges
from gnnformd.graph.within_cutoff import within_cutoff
from gnnformd.model.interface import ForceModel, Prediction

__all__ = [
    "ClosePair",
    "DomainNeighbors",
    "Engine",
    "Evaluation",
    "FullLists",
    "GraphPredictor",
    "TorchDomainEngine",
    "TorchEngine",
    "build_domain_engine",
    "build_engine",
    "prediction_of",
    "weight_of",
]

Float = NDArray[np.float64]
Int = NDArray[np.int64]
NeighborsT = TypeVar("NeighborsT", contravariant=True)

NEIGHBOR_BITS = 0x1FFFFFFF
"""The part of an entry of a full list that is the neighbor's index; the kind of bond is in the two upper bits."""


@dataclass(frozen=True)
class ClosePair:
    """Two atoms that are closer than their contact distance.

    Attributes
    ----------
    one, other
        Rows of the atoms, or their ids.
    distance, contact
        angstrom.
    """

    one: int
    other: int
    distance: float
    contact: float

    def named(self, ids: Int) -> ClosePair:
        """Replace rows by ids."""
        return replace(self, one=int(ids[self.one]), other=int(ids[self.other]))

    def __str__(self) -> str:
        """Describe which atoms, and how far apart."""
        first, second = sorted((self.one, self.other))
        return f"atoms {first} and {second} are {self.distance:.3g} angstrom apart"


@dataclass(frozen=True)
class Evaluation:
    """Energy and forces of the atoms where they are now.

    Attributes
    ----------
    forces
        kcal/mol/angstrom, (N, 3).
    energy
        kcal/mol, or None if the model has none.
    virial
        ``sum x f``, kcal/mol, (3, 3), or None.
    nearest
        The pair of atoms that is closest in contact distances, by rows, if it is closer than one.
    """

    forces: Float
    energy: float | None
    virial: Float | None
    nearest: ClosePair | None = None


@dataclass(frozen=True)
class FullLists:
    """All neighbors of every center, up to cutoff and margin, as compiled loops read them.

    Attributes
    ----------
    start
        The neighbors of center i are entries ``start[i]`` to ``start[i + 1]``, (N + 1,).
    neighbor
        Index of the neighbor, with the kind of bond in the two upper bits, (E,).
    """

    start: Int
    neighbor: NDArray[np.integer[Any]]


class DomainNeighbors(Protocol):
    """The neighbors of a domain: its own atoms come first, then the atoms around it; there are no periodic images."""

    @property
    def atoms(self) -> AtomicGraph:
        """Types, parameters and which atoms are owned; no edges."""

    @property
    def half_edges(self) -> HalfEdges:
        """Each pair once, on the device of the atoms; without shifts."""

    def of_first(self, count: int) -> FullLists:
        """Full lists of the own atoms, or of them and all atoms around them, ``count`` in all."""


class Engine(Protocol[NeighborsT]):
    """A model evaluated for one set of atoms that move.

    Neighbors are given once and serve until atoms have moved too far: those beyond the cutoff are passed over.

    Attributes
    ----------
    name
        ``numba``, ``torch.compile`` or ``torch``.
    """

    name: str

    def serves(self, atoms: AtomicGraph) -> bool:
        """Whether it was built for atoms like these (types, parameters, periodic directions)."""

    def set_neighbors(self, neighbors: NeighborsT) -> None:
        """Take a new search: a graph for a whole system, a `DomainNeighbors` for a domain."""

    def evaluate(self, positions: Float, cell: Float) -> Evaluation:
        """Evaluate the model.

        Parameters
        ----------
        positions
            Where the shifts of the graph hold, angstrom, (N, 3).
        cell
            angstrom, (3, 3); not used for a domain.
        """

    def parts(self, positions: Float, cell: Float) -> dict[str, Callable[[], object]]:
        """Take an evaluation apart, for its time to be measured.

        Returns
        -------
        dict
            ``short_range`` and, where they are known apart, ``long_range`` electrostatics and ``network``, the work on
            each atom between its densities and their derivatives.
        """

    def operations_per_atom(self, edges_per_atom: float) -> float | None:
        """Floating-point operations for each atom without long-range electrostatics; None if they are not counted."""


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
        self._wide = neighbors.to(weight_of(self._model).device)

    def evaluate(self, positions: Float, cell: Float) -> Evaluation:
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
        return within_cutoff(self._wide, x, box, self._model.cutoff).to(dtype=weight_of(self._model).dtype)

    def _ask(self, graph: AtomicGraph) -> Prediction:
        with torch.set_grad_enabled(self._model.conservative):  # a conservative model differentiates its energy
            return self._model(graph)  # type: ignore[no-any-return]

    def _nearest(self, graph: AtomicGraph) -> ClosePair | None:
        """Find the pair that is closest in contact distances, if it is closer than one."""
        if self._contact is None:
            return None
        contact = of_edges(self._contact.to(graph.type_index.device), graph)
        squared = graph.half_edge_vectors().double().square().sum(dim=1)
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

    def evaluate(self, positions: Float, cell: Float) -> Evaluation:
        """See `Engine.evaluate`."""
        found = super().evaluate(positions, np.eye(3))
        if not self._model.conservative:
            assert self._wide is not None and self._wide.owned is not None
            found.forces[~self._wide.owned.cpu().numpy()] = 0.0  # they are right where those atoms are owned
        return found


def build_engine(
    model: ForceModel,
    atoms: AtomicGraph,
    *,
    fast: bool = True,
    contact: Tensor | None = None,
    weights_change: bool = False,
) -> Engine[AtomicGraph]:
    """Choose what evaluates a model for a whole system of atoms that move.

    Parameters
    ----------
    model
        In evaluation mode, on its device, in its floating-point type.
    atoms
        Types, parameters and periodic directions; edges and positions are not used.
    fast
        Whether anything but PyTorch is allowed.
    contact
        Contact distances of models that know none, angstrom, (4, T, T).
    weights_change
        Whether the engine serves for a few evaluations only.
    """
    found = model.fast_engine(atoms, weights_change=weights_change) if fast else None
    return TorchEngine(model, contact) if found is None else found


def build_domain_engine(
    model: ForceModel, atoms: AtomicGraph, *, fast: bool = True, contact: Tensor | None = None
) -> Engine[DomainNeighbors]:
    """Choose what evaluates a model for a domain; parameters as for `build_engine`."""
    found = model.fast_domain_engine(atoms) if fast else None
    return TorchDomainEngine(model, contact) if found is None else found


class GraphPredictor:
    """A model asked about whole graphs: one after another by its fast engine, or as a batch by PyTorch.

    Parameters
    ----------
    model
        On its device, in its floating-point type.
    fast, weights_change
        As for `build_engine`.
    """

    def __init__(self, model: ForceModel, *, fast: bool = True, weights_change: bool = False) -> None:
        self._model, self._fast, self._weights_change = model, fast, weights_change
        self._engine: Engine[AtomicGraph] | None = None

    def __call__(self, graphs: Sequence[AtomicGraph]) -> Prediction:
        """Predict; the result is that of the graphs as one batch, without gradients.

        Parameters
        ----------
        graphs
            Single graphs, or one that is a batch already.
        """
        found = []
        for graph in graphs:
            engine = self._engine_for(graph)
            if engine is None:
                return self._by_model(graphs[0] if len(graphs) == 1 else collate(graphs))
            engine.set_neighbors(graph)
            positions = graph.positions.numpy(force=True).astype(np.float64)
            found.append(prediction_of(engine.evaluate(positions, _completed_cell(graph)), weight_of(self._model)))
        if len(found) == 1:
            return found[0]
        energies, virials = [p.energies for p in found], [p.virials for p in found]
        return Prediction(
            torch.cat([p.forces for p in found]),
            torch.cat([e for e in energies if e is not None]),
            torch.cat([v for v in virials if v is not None]),
        )

    def _engine_for(self, graph: AtomicGraph) -> Engine[AtomicGraph] | None:
        if graph.graph_count != 1 or not self._fast:
            return None
        if self._engine is None or not self._engine.serves(graph):
            self._engine = self._model.fast_engine(graph, weights_change=self._weights_change)
        return self._engine

    def _by_model(self, graph: AtomicGraph) -> Prediction:
        weight = weight_of(self._model)
        with torch.set_grad_enabled(self._model.conservative):  # a conservative model differentiates its energy
            found: Prediction = self._model(graph.to(weight.device, weight.dtype))
        return found


def _completed_cell(graph: AtomicGraph) -> Float:
    """Lattice vectors, (3, 3), with unit vectors in directions that are not periodic."""
    periodic = graph.periodic[0].numpy(force=True)
    cell = graph.cells[0].numpy(force=True).astype(np.float64)
    return np.asarray(complete_cell(np.where(periodic[:, None], cell, 0.0)), dtype=np.float64)


def prediction_of(evaluation: Evaluation, like: Tensor) -> Prediction:
    """Make tensors of the type and on the device of ``like``."""
    virial = evaluation.virial
    return Prediction(
        torch.from_numpy(evaluation.forces).to(like),
        None if evaluation.energy is None else torch.tensor([evaluation.energy], dtype=torch.float64).to(like),
        None if virial is None else torch.from_numpy(virial[None]).to(like),
    )


def weight_of(model: ForceModel) -> Tensor:
    """One of the model's parameters, which tells its device and floating-point type; float64 if there are none."""
    return next((p.detach() for p in model.parameters() if p.is_floating_point()), torch.empty(0, dtype=torch.float64))


def _evaluation(prediction: Prediction, nearest: ClosePair | None) -> Evaluation:
    energies, virials = prediction.energies, prediction.virials
    return Evaluation(
        prediction.forces.numpy(force=True).astype(np.float64),
        None if energies is None else float(energies[0]),
        None if virials is None else virials[0].numpy(force=True).astype(np.float64),
        nearest,
    )
