"""The pairs that are closer than the cutoff now, out of those a search found with some margin."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from gnnformd.graph.atomic_graph import AtomicGraph, HalfEdges

__all__ = ["within_cutoff"]


def within_cutoff(wide: AtomicGraph, positions: Tensor, cell: Tensor, cutoff: float) -> AtomicGraph:
    """Move the atoms of one graph, and take its pairs that are shorter than the cutoff then.

    Parameters
    ----------
    wide
        Pairs up to a cutoff and a margin; its positions and cell are not used.
    positions
        Where its shifts hold, angstrom, (N, 3) float64: distances are measured in float64.
    cell
        angstrom, (3, 3) float64.
    cutoff
        angstrom.

    Returns
    -------
    AtomicGraph
        With these positions and this cell, in float64 where they are.
    """
    moved = replace(wide, positions=positions, cells=cell[None])
    center, neighbor, shift, kind = wide.half_edges
    vectors = positions.index_select(0, neighbor)
    vectors -= positions.index_select(0, center)
    vectors += shift @ cell  # (E/2, 3)
    inside = vectors.square_().sum(dim=1) < cutoff**2
    keep = torch.nonzero(inside).squeeze(1)  # (E'/2,)
    return moved.with_half_edges(HalfEdges(center[keep], neighbor[keep], shift[keep], kind[keep]))
