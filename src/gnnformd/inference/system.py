"""Evaluator: a model asked again and again about one system."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from gnnformd.errors import InputError
from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.inference.compiled_system import CompiledSystem
from gnnformd.inference.moving_graph import MovingGraph
from gnnformd.inference.training_range import ClosePair, TrainingRange, nearest_pair
from gnnformd.model.interface import ForceModel, Prediction
from gnnformd.trajectory.frame import Frame

if TYPE_CHECKING:
    from gnnformd.model.files.model_file import LoadedModel

__all__ = ["Evaluator"]


class Evaluator:
    """Forces of one system wherever its atoms are; both engines ask it.

    Parameters
    ----------
    loaded
        The model; it is put into evaluation mode.
    frame
        Types, charges and bonds of the system; rows keep this order.

    Attributes
    ----------
    compiled
        The compiled loops, or None if they are not to be used (see `gnnformd.model.files.model_file.load_model`).
    nearest
        After an evaluation, the pair of atoms that is closest in contact distances, by rows, if it is closer than one.

    Raises
    ------
    InputError
        The system has a type of atom that the model does not know.
    """

    def __init__(self, loaded: LoadedModel, frame: Frame) -> None:
        known = len(loaded.card.type_names)
        highest = int(frame.types.max(initial=1))
        if highest > known:
            raise InputError(
                f"the system has atoms of type {highest}, but the model {loaded.path} knows only {known} "
                f"({', '.join(loaded.card.type_names)}); choose a model of this system."
            )
        self._model = loaded.model.eval()
        dtype, device = _place(loaded.model)
        self._graph = MovingGraph(frame, loaded.model.cutoff, loaded.card.force_field, dtype=dtype, device=device)
        self._range = TrainingRange.of(loaded)
        self.nearest: ClosePair | None = None
        self.compiled = CompiledSystem(self._model, self._graph) if loaded.compiled else None

    def forget(self) -> None:
        """Search neighbors anew at the next call; what comes out then depends on no earlier call."""
        self._graph.forget()
        if self.compiled is not None:
            self.compiled.forget()

    def evaluate(
        self, positions: NDArray[np.float64], cell: NDArray[np.float64], periodic: tuple[bool, bool, bool]
    ) -> Prediction:
        """Predict forces, and energy and virial where the model has them.

        Parameters
        ----------
        positions
            angstrom, (N, 3), wrapped or not.
        cell
            Rows are the lattice vectors, angstrom, (3, 3).
        periodic
            Whether each direction is periodic.
        """
        if self.compiled is not None:
            prediction = self.compiled.evaluate(positions, cell, periodic)
            if prediction is not None:
                self.nearest = self.compiled.nearest
                return prediction
        graph = self._graph.at(positions, cell, periodic)
        self.nearest = self._nearest(graph)
        with torch.set_grad_enabled(self._model.conservative):  # a conservative model differentiates its energy
            return self._model(graph)  # type: ignore[no-any-return]

    def _nearest(self, graph: AtomicGraph) -> ClosePair | None:
        half = graph.edge_count // 2
        squared = graph.edge_vectors()[:half].double().square().sum(dim=1)
        contact = self._range.contact_of_edges(graph)
        return nearest_pair(squared, contact, graph.center_index[:half], graph.neighbor_index[:half])


def _place(model: ForceModel) -> tuple[torch.dtype, torch.device]:
    """Floating-point type and device of a model's parameters; float64 on the CPU if it has none."""
    for parameter in model.parameters():
        if parameter.is_floating_point():
            return parameter.dtype, parameter.device
    return torch.float64, torch.device("cpu")
