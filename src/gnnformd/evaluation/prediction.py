"""Asking a model: in evaluation mode, on its own device, in its own precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gnnformd.graph.atomic_graph import AtomicGraph
    from gnnformd.model.file import ModelCard
    from gnnformd.model.interface import ForceModel, Prediction

__all__ = ["needs_physical_features", "predict"]


def predict(model: ForceModel, graph: AtomicGraph) -> Prediction:
    """Predict without training: no dropout, and no gradients but those that are the forces.

    Parameters
    ----------
    model
        On any device; its parameters say where and in which precision the graph is needed.
    graph
        One graph or a batch.
    """
    import torch

    weight = next(model.parameters())
    model.eval()
    with torch.set_grad_enabled(model.conservative):
        prediction: Prediction = model(graph.to(weight.device, weight.dtype))
    return prediction


def needs_physical_features(card: ModelCard) -> bool:
    """Whether the model's inputs are charge, epsilon and sigma (and not a learned vector for each type)."""
    return card.settings.node_features == "physical"
