"""Asking a model: in evaluation mode, on its own device, in its own precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gnnformd.neighbors import completed_cell

if TYPE_CHECKING:
    from gnnformd.force_field import ForceField
    from gnnformd.graph.atomic_graph import AtomicGraph
    from gnnformd.graph.type_matching import TypeMap
    from gnnformd.model.files.model_file import LoadedModel, ModelCard
    from gnnformd.model.interface import Prediction
    from gnnformd.trajectory.frame import Frame

__all__ = ["Predictor", "needs_physical_features"]


class Predictor:
    """A model asked about frames of one dataset, whatever engine computes them.

    Parameters
    ----------
    loaded
        The model.
    force_field
        Of the frames.
    types
        The model's type of each type of the frames; by default the same numbers.
    """

    def __init__(self, loaded: LoadedModel, force_field: ForceField | None, types: TypeMap | None = None) -> None:
        from gnnformd.model.choose_engine import GraphPredictor

        self._loaded, self._force_field, self._types = loaded, force_field, types
        self._predict = GraphPredictor(loaded.model.eval(), fast=loaded.compiled)

    def __call__(self, frames: Sequence[Frame]) -> Prediction:
        """Predict for some frames, as for a batch of their graphs."""
        return self._predict([self._graph(frame) for frame in frames])

    def _graph(self, frame: Frame) -> AtomicGraph:
        """Build a graph with the parameters of the data's types and the numbers of the model's."""
        from torch import from_numpy

        from gnnformd.graph.build import build_graph
        from gnnformd.inference.training_range import refuse_missing_charges

        refuse_missing_charges(self._loaded, frame, self._force_field)
        graph = build_graph(_wrapped(frame), self._loaded.card.cutoff, self._force_field)
        if self._types is None or self._types.unchanged:
            return graph
        return replace(graph, type_index=from_numpy(self._types.of(frame.types) - 1))


def _wrapped(frame: Frame) -> Frame:
    """Bring atoms back into the box, from which they may be far away in unwrapped coordinates."""
    periodic = np.array(frame.periodic)
    if not periodic.any():
        return frame
    box = completed_cell(frame.cell, periodic)
    images = np.floor((frame.positions - frame.origin) @ np.linalg.inv(box)) * periodic
    return replace(frame, positions=frame.positions - images @ box)


def needs_physical_features(card: ModelCard) -> bool:
    """Whether the model's inputs are charge, epsilon and sigma (and not a learned vector for each type)."""
    return card.settings.node_features == "physical"
