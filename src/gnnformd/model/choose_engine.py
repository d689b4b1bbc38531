"""The one choice of how a model is evaluated: everything that asks a model about atoms comes here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gnnformd.errors import InputError
from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.graph.build import collate
from gnnformd.model.engine import DomainNeighbors, Engine, EngineResult, OtherDomains
from gnnformd.model.interface import ForceModel, Prediction, weight_of
from gnnformd.model.registry import fast_engines
from gnnformd.model.torch_engine import TorchDomainEngine, TorchEngine
from gnnformd.neighbors import completed_cell

__all__ = [
    "GraphPredictor",
    "build_domain_engine",
    "build_engine",
    "exchanges_messages",
    "prediction_of",
    "state_of",
]

Float = NDArray[np.float64]


def build_engine(
    model: ForceModel, atoms: AtomicGraph, *, fast: bool = True, contact: Tensor | None = None
) -> Engine[AtomicGraph]:
    """Choose what evaluates a model for a whole system of atoms that move.

    A fast engine where the model's kind has one that serves these atoms on the model's device, else PyTorch.

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
    """
    found = _fast_engine(model, atoms) if fast else None
    return TorchEngine(model, contact) if found is None else found


def build_domain_engine(
    model: ForceModel,
    atoms: AtomicGraph,
    *,
    fast: bool = True,
    contact: Tensor | None = None,
    others: OtherDomains | None = None,
) -> Engine[DomainNeighbors]:
    """Choose what evaluates a model for a domain; parameters as for `build_engine`, and the other domains.

    Raises
    ------
    InputError
        No engine takes the other domains.
    """
    engines = fast_engines(model) if fast else None
    found = None if engines is None else engines.domain(model, atoms, others)
    if found is None and others is not None:
        raise InputError(
            "on several ranks learned charges are evaluated by compiled loops alone: on processors, without --torch, "
            "and for at most 16 species of atoms (of one type and charge); use one rank."
        )
    return TorchDomainEngine(model, contact) if found is None else found


def exchanges_messages(model: ForceModel, *, fast: bool = True) -> bool:
    """See `gnnformd.model.registry.FastEngines.exchanges`; ``fast`` as for `build_domain_engine`."""
    engines = fast_engines(model) if fast else None
    return engines is not None and engines.exchanges(model)


def state_of(model: ForceModel) -> tuple[tuple[int, int], ...]:
    """Tell the weights of a model from others: engines keep packed copies, which are old where this has changed.

    Where each parameter and each buffer is stored, and how often it was changed in place.
    """
    return tuple((weight.data_ptr(), weight._version) for weight in _weights(model))


def _weights(module: nn.Module) -> Iterator[Tensor]:
    """Parameters and buffers of a module and those inside it; torch's own iterators take four times as long."""
    for weights in (module._parameters, module._buffers):
        yield from (weight for weight in weights.values() if weight is not None)
    for child in module._modules.values():
        if child is not None:
            yield from _weights(child)


class GraphPredictor:
    """A model asked about whole graphs: one after another by its fast engine, or as a batch by PyTorch.

    Parameters
    ----------
    model
        On its device, in its floating-point type.
    fast
        As for `build_engine`.
    weights_change
        Whether the weights are soon others, as in the validations of a training, so that engines which take long to
        build do not pay.
    """

    def __init__(self, model: ForceModel, *, fast: bool = True, weights_change: bool = False) -> None:
        self._model, self._fast, self._weights_change = model, fast, weights_change
        self._engine: Engine[AtomicGraph] | None = None
        self._state = state_of(model)

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
            box = completed_cell(graph.cells[0].numpy(force=True), graph.periodic[0].numpy(force=True))
            found.append(prediction_of(engine.evaluate(positions, box), weight_of(self._model)))
        return Prediction.join(found)

    def _engine_for(self, graph: AtomicGraph) -> Engine[AtomicGraph] | None:
        if graph.graph_count != 1 or not self._fast:
            return None
        state = state_of(self._model)
        if self._engine is None or state != self._state or not self._engine.serves(graph):
            self._state = state
            self._engine = _fast_engine(self._model, graph, weights_change=self._weights_change)
        return self._engine

    def _by_model(self, graph: AtomicGraph) -> Prediction:
        weight = weight_of(self._model)
        with torch.set_grad_enabled(self._model.conservative):  # a conservative model differentiates its energy
            found: Prediction = self._model(graph.with_exact_positions(weight.device, weight.dtype))
        return found


def _fast_engine(model: ForceModel, atoms: AtomicGraph, *, weights_change: bool = False) -> Engine[AtomicGraph] | None:
    engines = fast_engines(model)
    return None if engines is None else engines.whole(model, atoms, weights_change)


def prediction_of(evaluation: EngineResult, like: Tensor) -> Prediction:
    """Make tensors on the device of ``like``, the energy in float64, the others of its type."""
    energy, virial, grades = evaluation.energy, evaluation.virial, evaluation.grades
    return Prediction(
        torch.from_numpy(evaluation.forces).to(like),
        None if energy is None else torch.tensor([energy], dtype=torch.float64, device=like.device),
        None if virial is None else torch.from_numpy(virial[None]).to(like),
        None if grades is None else torch.from_numpy(grades).to(like),
    )
