"""NeighborTable: the edges of a graph laid out as rows of equal length, so that sums over neighbors are products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from gnnformd.graph.atomic_graph import AtomicGraph

__all__ = ["NeighborTable", "neighbor_table"]


@dataclass(frozen=True)
class NeighborTable:
    """Chosen edges as an (N, M) table: row ``i`` holds the edges of center ``i``, filled up to the longest row.

    Attributes
    ----------
    rows, columns
        N and M.
    edge
        Edge in each place, E where the place is empty, (N M,).
    place
        Place of each edge, N M for edges that were not chosen, (E,).
    mirror
        Place of the opposite edge, N M where the place is empty, (N M,).
    neighbor
        Neighbor in each place, the center itself where the place is empty, (N M,).
    """

    rows: int
    columns: int
    edge: Tensor
    place: Tensor
    mirror: Tensor
    neighbor: Tensor

    def spread(self, values: Tensor, filling: Tensor) -> Tensor:
        """Values of all edges (E, A) to the table (N, M, A), with ``filling`` (A,) in the empty places."""
        table: Tensor = _Rearrange.apply(values, filling, self.edge, self.place)  # type: ignore[no-untyped-call]
        return table.view(self.rows, self.columns, values.shape[1])

    def to_neighbors(self, values: Tensor) -> Tensor:
        """Sum values (N, M, A) over the places in which an atom is the neighbor, (N, A)."""
        flat = torch.cat([values.flatten(0, 1), values.new_zeros(1, values.shape[2])])
        return flat.index_select(0, self.mirror).view(values.shape).sum(1)


class _Rearrange(Function):
    """Rows of ``values`` in another order; the way back is a gather too, which is faster than a scatter."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, filling: Tensor, there: Tensor, back: Tensor) -> Tensor:
        """Row ``k`` of the result is row ``there[k]``, or ``filling`` where ``there[k]`` is past the end."""
        ctx.save_for_backward(there, back)
        return torch.cat([values, filling[None]]).index_select(0, there)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        """Gather with the two orders exchanged."""
        there, back = ctx.saved_tensors
        gradient = gradients[0].flatten(0, -2)
        filling = gradient.new_zeros(gradient.shape[1])
        return _Rearrange.apply(gradient, filling, back, there), None, None, None  # type: ignore[no-untyped-call]


def neighbor_table(graph: AtomicGraph, chosen: Tensor) -> NeighborTable:
    """Lay out the chosen edges of a graph.

    Parameters
    ----------
    graph
        A graph or a batch.
    chosen
        Which edges, the same for both halves, (E,) bool.
    """
    rows, total = graph.atom_count, graph.edge_count
    edges = torch.nonzero(chosen).squeeze(1)  # (E',)
    center = graph.center_index.index_select(0, edges)
    center, order = torch.sort(center, stable=True)
    edges = edges.index_select(0, order)
    count = torch.bincount(center, minlength=rows)
    columns = int(count.max()) if rows else 0
    start = torch.cumsum(count, 0) - count
    rank = torch.arange(len(edges), device=edges.device) - start.index_select(0, center)
    places = center * columns + rank
    size = rows * columns
    edge = torch.full((size,), total, dtype=torch.int64, device=edges.device)
    edge[places] = edges
    place = torch.full((total,), size, dtype=torch.int64, device=edges.device)
    place[edges] = places
    neighbor = torch.arange(rows, device=edges.device).repeat_interleave(columns)
    neighbor[places] = graph.neighbor_index.index_select(0, edges)
    mirror = torch.full((size,), size, dtype=torch.int64, device=edges.device)
    mirror[places] = place.index_select(0, (edges + total // 2) % max(total, 1))
    return NeighborTable(rows, columns, edge, place, mirror, neighbor)
