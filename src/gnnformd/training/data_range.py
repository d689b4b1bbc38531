"""Range of the training data: shortest distances and largest forces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gnnformd.graph.bonds import BOND_KINDS
from gnnformd.graph.build import build_graph
from gnnformd.graph.distances import SEARCHED_SHARE, shortest_distances
from gnnformd.reference.type_names import distinct_names
from gnnformd.training.data_checks import types_of
from gnnformd.training.samples import evenly_spaced, representative_frames
from gnnformd.trajectory.packed.dataset import PackedDataset

__all__ = ["data_range_of", "shortest_distances_of"]

_FRAMES = 256  # in which closest approaches of all pairs are searched
_MOST_FRAMES, _MOST_ATOMS = 2000, 1_000_000  # in which closer ones are searched

Frames = Sequence[tuple[int, int]]


def shortest_distances_of(datasets: Sequence[PackedDataset], frames: Frames, cutoff: float, type_count: int) -> Tensor:
    """Shortest distances, up to 0.8 of the cutoff, angstrom, (4, T, T); infinite beyond.

    They are those of at least 256 frames with all types and of up to 2000 others that hold up to a million atoms. In
    these only approaches that are closer are searched, unless some pair of types never met.

    Parameters
    ----------
    datasets
        The data.
    frames
        Dataset and frame of each.
    cutoff
        angstrom.
    type_count
        T.
    """
    counts = [dataset.atom_counts for dataset in datasets]
    atoms = np.mean([counts[which][frame] for which, frame in frames])
    every = range(len(frames))
    first = representative_frames(every, [types_of(datasets, frame) for frame in frames], _FRAMES)
    others = sorted(set(evenly_spaced(every, min(_MOST_FRAMES, round(_MOST_ATOMS / atoms)))).difference(first))
    shortest = torch.full((BOND_KINDS, type_count, type_count), torch.inf, dtype=torch.float64)
    reach = SEARCHED_SHARE * cutoff
    for numbers in (first, others):
        for which, frame in (frames[number] for number in numbers):
            graph = build_graph(datasets[which][frame], reach, datasets[which].force_field)
            distance = graph.half_edge_vectors().norm(dim=1)
            shortest = torch.minimum(shortest, shortest_distances(graph, distance, type_count))
        if shortest[0].isfinite().all():  # of atoms that are not bonded
            reach = float(shortest[shortest.isfinite()].max())
    return shortest


def data_range_of(
    datasets: Sequence[PackedDataset], frames: Frames, shortest: Tensor, names: Sequence[str]
) -> dict[str, Any]:
    """Return what `gnnformd.model.files.model_card.ModelCard` says of how far the training data went.

    Parameters
    ----------
    datasets
        The data.
    frames
        Dataset and frame of each training frame.
    shortest
        From `shortest_distances_of`.
    names
        Of the types; where several share one, pairs and forces have their numbers, too (see `distinct_names`).
    """
    labels = distinct_names(names)
    squares, charge = np.zeros(len(names)), 0.0
    for which, frame in frames:
        found, field = datasets[which][frame], datasets[which].force_field
        charges = found.charges if field is None or found.charges is not None else [t.charge for t in field.types]
        charge = max(charge, float(np.max(np.abs(0.0 if charges is None else charges), initial=0.0)))
        if found.forces is not None:
            np.maximum.at(squares, found.types - 1, (found.forces * found.forces).sum(axis=1))
    pairs = [
        [kind, labels[one], labels[other], float(shortest[kind, one, other])]
        for kind, one, other in torch.argwhere(shortest.isfinite() & (shortest > 0)).tolist()
        if one <= other
    ]
    forces = zip(labels, np.sqrt(squares).tolist(), strict=True)
    return {
        "largest_forces": {label: force for label, force in forces if force > 0.0},
        "closest_pairs": pairs,
        "largest_charge": charge,
    }
