"""What a training minimizes."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnformd.graph.atomic_graph import AtomicGraph

__all__ = ["absolute_error_per_axis", "warmup_term"]


def absolute_error_per_axis(forces: Tensor, graph: AtomicGraph) -> Tensor:
    """``sum_i |F_i - F_i^ref|`` over the atoms of each graph, kept apart for x, y and z.

    Parameters
    ----------
    forces
        Prediction, kcal/mol/angstrom, (N, 3).
    graph
        The batch with the reference forces.

    Returns
    -------
    Tensor
        kcal/mol/angstrom, (B, 3).
    """
    assert graph.forces is not None
    return _sum_per_graph((forces - graph.forces).abs(), graph)


def warmup_term(forces: Tensor, graph: AtomicGraph, penalty: float) -> Tensor:
    """``penalty / sum_i |F_i|`` of each graph, large when the prediction is near zero, (B,)."""
    return penalty / _sum_per_graph(forces.abs(), graph).sum(1)


def _sum_per_graph(values: Tensor, graph: AtomicGraph) -> Tensor:
    zeros = values.new_zeros(graph.graph_count, values.shape[1])
    return torch.index_add(zeros, 0, graph.graph_index, values)
