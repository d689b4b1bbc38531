"""NeighborTable: edges laid out as rows of equal length, so that sums over neighbors are matrix products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

__all__ = ["NeighborTable", "neighbor_table"]


@dataclass(frozen=True)
class NeighborTable:
    """Edges as an (N, M) table: row ``i`` holds the edges of center ``i``, filled up to the longest row.

    Arrays over the table have shape (A, N, M): a product of two of them runs through long stretches of memory whatever
    A is.

    Attributes
    ----------
    rows, columns
        N and M.
    edge
        Edge in each cell, E where the cell is empty, (N M,).
    half_edge
        Pair in each cell, in either direction; E/2 where the cell is empty, (N M,).
    cell
        Cell of each edge, (E,).
    mirror
        Cell of the opposite edge, N M where the cell is empty, (N M,).
    neighbor
        Neighbor in each cell, the center itself where the cell is empty, (N M,).
    """

    rows: int
    columns: int
    edge: Tensor
    half_edge: Tensor
    cell: Tensor
    mirror: Tensor
    neighbor: Tensor

    def spread(self, values: Tensor, filling: Tensor) -> Tensor:
        """Values of the edges (A, E) to the table (A, N, M), with ``filling`` (A,) in empty cells."""
        table: Tensor = _Rearrange.apply(values, filling, self.edge, self.cell)  # type: ignore[no-untyped-call]
        return table.view(len(values), self.rows, self.columns)

    def spread_pairs(self, values: Tensor) -> Tensor:
        """Values of the pairs (A, E/2 + 1), the last for empty cells, to the table (A, N, M); not differentiable."""
        return values.index_select(1, self.half_edge).view(len(values), self.rows, self.columns)

    def from_neighbors(self, values: Tensor) -> Tensor:
        """Values of atoms (N, A) to the cells in which they are the neighbor, (A, N, M)."""
        received = values.transpose(0, 1).contiguous().index_select(1, self.neighbor)
        return received.view(values.shape[1], self.rows, self.columns)

    def to_neighbors(self, values: Tensor) -> Tensor:
        """Sum values (A, N, M) over the cells in which an atom is the neighbor, (N, A)."""
        flat = torch.cat([values.reshape(len(values), -1), values.new_zeros(len(values), 1)], dim=1)
        return flat.index_select(1, self.mirror).view(values.shape).sum(2).transpose(0, 1)


class _Rearrange(Function):
    """Columns of ``values`` in another order; the backward pass is a gather, too, which is faster than a scatter."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, filling: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        """Column ``k`` of the result is column ``order[k]``, or ``filling`` where ``order[k]`` is past the end."""
        ctx.save_for_backward(order, inverse)
        return torch.cat([values, filling[:, None]], dim=1).index_select(1, order)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        """Gather with the two orders exchanged."""
        order, inverse = ctx.saved_tensors
        filling = gradients[0].new_zeros(len(gradients[0]))
        return _Rearrange.apply(gradients[0], filling, inverse, order), None, None, None  # type: ignore[no-untyped-call]


def neighbor_table(first: Tensor, second: Tensor, atom_count: int) -> NeighborTable:
    """Lay out pairs of atoms, each as an edge from the first atom and one from the second.

    Parameters
    ----------
    first, second
        Atoms of each pair, (E/2,).
    atom_count
        N.
    """
    pairs, device = len(first), first.device
    center, neighbor = torch.cat([first, second]), torch.cat([second, first])  # (E,)
    ordered, order = torch.sort(center, stable=True)
    count = torch.bincount(center, minlength=atom_count)
    columns = int(count.max()) if atom_count else 0
    start = torch.cumsum(count, 0) - count
    rank = torch.arange(2 * pairs, device=device) - start.index_select(0, ordered)
    size = atom_count * columns
    cells = ordered * columns + rank  # of the edges in this order
    cell = torch.empty_like(cells)
    cell[order] = cells
    opposite = torch.where(order < pairs, order + pairs, order - pairs)

    def filled(values: Tensor, filling: Tensor | int) -> Tensor:
        table = torch.empty(size, dtype=torch.int64, device=device)
        table[:] = filling
        table[cells] = values
        return table

    return NeighborTable(
        rows=atom_count,
        columns=columns,
        edge=filled(order, 2 * pairs),
        half_edge=filled(torch.minimum(order, opposite), pairs),
        cell=cell,
        mirror=filled(cell.index_select(0, opposite), size),
        neighbor=filled(
            neighbor.index_select(0, order), torch.arange(atom_count, device=device).repeat_interleave(columns)
        ),
    )
