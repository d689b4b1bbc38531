"""How far the training frames go: the largest forces and the closest pairs, for the model file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.graph.closest import closest_distances
from gnnformd.trajectory.dataset import PackedDataset

__all__ = ["extent_of"]


def extent_of(
    datasets: Sequence[PackedDataset], frames: Sequence[tuple[int, int]], sample: AtomicGraph, names: Sequence[str]
) -> dict[str, Any]:
    """Measure what `gnnformd.model.card.ModelCard.largest_forces` and ``closest_pairs`` tell.

    Parameters
    ----------
    datasets
        Where the frames are.
    frames
        Dataset and frame of each training frame; all of them are asked for their forces.
    sample
        Some of them, asked for their closest pairs.
    names
        Of the types.
    """
    squares = np.zeros(len(names))
    for which, frame in frames:
        found = datasets[which][frame]
        assert found.forces is not None
        np.maximum.at(squares, found.types - 1, (found.forces * found.forces).sum(axis=1))
    half = sample.edge_count // 2
    closest = closest_distances(sample, sample.edge_vectors()[:half].norm(dim=1), len(names))
    pairs = [
        [int(kind), names[one], names[other], float(closest[kind, one, other])]
        for kind, one, other in torch.argwhere(closest.isfinite()).tolist()
        if one <= other
    ]
    forces = np.sqrt(squares).tolist()
    return {
        "largest_forces": {name: force for name, force in zip(names, forces, strict=True) if force > 0.0},
        "closest_pairs": pairs,
    }
