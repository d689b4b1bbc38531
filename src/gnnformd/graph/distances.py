"""Distances by pair of types and kind of bond."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.graph.bonds import BOND_KINDS

__all__ = ["CONTACT_SHARE", "SEARCHED_SHARE", "of_edges", "shortest_distances"]

CONTACT_SHARE = 0.95
"""Contact distance of two types over the closest approach in the data."""

SEARCHED_SHARE = 0.8
"""Closest approaches in training data are searched up to this share of the cutoff."""


def shortest_distances(graph: AtomicGraph, distance: Tensor, type_count: int) -> Tensor:
    """Shortest edge of each kind of bond and pair of types, symmetric in the types; infinite where there is none.

    Parameters
    ----------
    graph
        One or more frames.
    distance
        Of the half edges, angstrom, (E/2,).
    type_count
        T.

    Returns
    -------
    Tensor
        angstrom, (4, T, T).
    """
    center, neighbor, _, bond_kind = graph.half_edges
    first, second = graph.type_index[center], graph.type_index[neighbor]
    key = (bond_kind * type_count + first) * type_count + second
    shortest = distance.new_full((BOND_KINDS * type_count * type_count,), torch.inf)
    shortest = shortest.scatter_reduce(0, key, distance, "amin").view(BOND_KINDS, type_count, type_count)
    return torch.minimum(shortest, shortest.transpose(1, 2))


def of_edges(values: Tensor, graph: AtomicGraph) -> Tensor:
    """Value of each half edge, (E/2,), from those of kinds of bond and pairs of types, (4, T, T)."""
    center, neighbor, _, bond_kind = graph.half_edges
    return values[bond_kind, graph.type_index[center], graph.type_index[neighbor]]
