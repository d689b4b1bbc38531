"""How far the training frames go: the closest pairs and the largest forces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gnnformd.graph.build import build_graph
from gnnformd.graph.closest import closest_distances
from gnnformd.trajectory.packed.dataset import PackedDataset

__all__ = ["closest_of", "extent_of"]

_FRAMES = 256
_REACH = 0.8

Frames = Sequence[tuple[int, int]]


def closest_of(datasets: Sequence[PackedDataset], frames: Frames, cutoff: float, type_count: int) -> Tensor:
    """How close atoms come in at most 256 frames, up to 0.8 of the cutoff; (4, T, T), infinite where they do not.

    Parameters
    ----------
    datasets
        Where the frames are.
    frames
        Dataset and frame of each.
    cutoff
        angstrom.
    type_count
        T.
    """
    count = min(_FRAMES, len(frames))
    closest = torch.full((1,), torch.inf, dtype=torch.float64)
    for which, frame in (frames[k * len(frames) // count] for k in range(count)):
        graph = build_graph(datasets[which][frame], _REACH * cutoff, datasets[which].force_field)
        distance = graph.half_edge_vectors().norm(dim=1)
        closest = torch.minimum(closest, closest_distances(graph, distance, type_count))
    return closest


def extent_of(
    datasets: Sequence[PackedDataset], frames: Frames, closest: Tensor, names: Sequence[str]
) -> dict[str, Any]:
    """Say what `gnnformd.model.files.model_card.ModelCard.largest_forces` and ``closest_pairs`` tell.

    Parameters
    ----------
    datasets
        Where the frames are.
    frames
        Dataset and frame of each training frame; all of them are asked for their forces.
    closest
        From `closest_of`.
    names
        Of the types.
    """
    squares = np.zeros(len(names))
    for which, frame in frames:
        found = datasets[which][frame]
        assert found.forces is not None
        np.maximum.at(squares, found.types - 1, (found.forces * found.forces).sum(axis=1))
    pairs = [
        [kind, names[one], names[other], float(closest[kind, one, other])]
        for kind, one, other in torch.argwhere(closest.isfinite() & (closest > 0)).tolist()
        if one <= other
    ]
    forces: dict[str, float] = {}
    for name, force in zip(names, np.sqrt(squares).tolist(), strict=True):  # several types may have one name
        forces[name] = max(force, forces.get(name, 0.0))
    return {
        "largest_forces": {name: force for name, force in forces.items() if force > 0.0},
        "closest_pairs": pairs,
    }
