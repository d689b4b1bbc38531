"""Asking a model: in evaluation mode, on its own device, in its own precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from ase.geometry import complete_cell

if TYPE_CHECKING:
    from gnnformd.force_field import ForceField
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
    """

    def __init__(self, loaded: LoadedModel, force_field: ForceField | None) -> None:
        from gnnformd.model.choose_engine import GraphPredictor

        self._loaded, self._force_field = loaded, force_field
        self._predict = GraphPredictor(loaded.model.eval(), fast=loaded.compiled)

    def __call__(self, frames: Sequence[Frame]) -> Prediction:
        """Predict for some frames, as for a batch of their graphs."""
        from gnnformd.graph.build import build_graph

        cutoff = self._loaded.card.cutoff
        return self._predict([build_graph(_wrapped(frame), cutoff, self._force_field) for frame in frames])


def _wrapped(frame: Frame) -> Frame:
    """Bring atoms back into the box, from which they may be far away in unwrapped coordinates."""
    periodic = np.array(frame.periodic)
    if not periodic.any():
        return frame
    box = complete_cell(np.where(periodic[:, None], frame.cell, 0.0))
    images = np.floor((frame.positions - frame.origin) @ np.linalg.inv(box)) * periodic
    return replace(frame, positions=frame.positions - images @ box)


def needs_physical_features(card: ModelCard) -> bool:
    """Whether the model's inputs are charge, epsilon and sigma (and not a learned vector for each type)."""
    return card.settings.node_features == "physical"
