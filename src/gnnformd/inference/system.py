"""Evaluator: a model asked again and again about one system."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.inference.moving_graph import MovingGraph
from gnnformd.inference.seen_pairs import SeenPairs, UnseenPairs
from gnnformd.inference.training_range import TrainingRange, refuse_missing_charges, refuse_unknown_types
from gnnformd.model.choose_engine import build_engine, prediction_of, state_of
from gnnformd.model.engine import ClosePair, Engine
from gnnformd.model.interface import Prediction, weight_of
from gnnformd.trajectory.frame import Frame

if TYPE_CHECKING:
    from gnnformd.model.files.model_file import LoadedModel

__all__ = ["Evaluator"]

Float = NDArray[np.float64]


class Evaluator:
    """Forces of one system wherever its atoms are; both engines ask it.

    Parameters
    ----------
    loaded
        The model; it is put into evaluation mode.
    frame
        Types, charges and bonds of the system; rows keep this order. The types are those of the model (see
        `gnnformd.graph.type_matching.match_types`); bonds do not count where the model has seen none in training.

    Attributes
    ----------
    nearest
        After an evaluation, the pair of atoms that is closest in contact distances, by rows, if it is closer than one.
    unseen
        After an evaluation, how far two atoms are apart that are close to each other, of which the model has seen no
        such pair in training; None if there are none.

    Raises
    ------
    InputError
        The system has a type of atom that the model does not know, or no charges, which it needs.
    """

    def __init__(self, loaded: LoadedModel, frame: Frame) -> None:
        refuse_unknown_types(loaded, frame.types)
        refuse_missing_charges(loaded, frame, loaded.card.force_field)
        self._seen = SeenPairs.of(loaded)
        frame = self._seen.without_unseen_bonds(frame)
        self._ids = frame.ids
        self._model, self._fast = loaded.model.eval(), loaded.compiled
        self._graph = MovingGraph(frame, self._model.cutoff, loaded.card.force_field)
        self._contact = TrainingRange.of(loaded).contact
        self._searched: AtomicGraph | None = None
        self._engine: Engine[AtomicGraph] | None = None
        self._state = state_of(self._model)
        self.nearest: ClosePair | None = None
        self.unseen: str | None = None
        self._unseen: UnseenPairs | None = None

    def forget(self) -> None:
        """Search neighbors anew at the next call; the result then depends on no earlier call."""
        self._graph.forget()
        self._searched = self._engine = None

    def evaluate(self, positions: Float, cell: Float, periodic: tuple[bool, bool, bool]) -> Prediction:
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
        engine, moved, box = self.at(positions, cell, periodic)
        found = engine.evaluate(moved, box)
        self.nearest = found.nearest
        self.unseen = None if self._unseen is None else self._unseen.closest(moved, box)
        return prediction_of(found, weight_of(self._model))

    def at(
        self, positions: Float, cell: Float, periodic: tuple[bool, bool, bool]
    ) -> tuple[Engine[AtomicGraph], Float, Float]:
        """Give the engine with neighbors for these positions, and the positions and cell to evaluate it at."""
        graph, moved, box = self._graph.at(positions, cell, periodic)
        state = state_of(self._model)
        if state != self._state:  # the model was trained on, or converted
            self._engine, self._state = None, state
        engine = self._engine
        if engine is None or graph is not self._searched:
            if engine is None or not engine.serves(graph):
                engine = build_engine(self._model, graph, fast=self._fast, contact=self._contact)
            engine.set_neighbors(graph)
            self._unseen = self._seen.unseen_in_graph(graph, self._ids)
            self._engine, self._searched = engine, graph
        return engine, moved, box
