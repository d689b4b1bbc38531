"""Random rotations of whole frames."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from gnnformd.graph.atomic_graph import AtomicGraph

__all__ = ["random_rotations", "rotate"]


def random_rotations(count: int, generator: torch.Generator) -> Tensor:
    """Proper rotations drawn uniformly, (count, 3, 3), float64.

    Four normal numbers make a unit quaternion, uniform on the sphere in four dimensions and so uniform over rotations
    (Shoemake, Graphics Gems III, 1992).
    """
    quaternion = torch.randn(count, 4, generator=generator, dtype=torch.float64)
    w, x, y, z = (quaternion / quaternion.norm(dim=1, keepdim=True)).unbind(1)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)


def rotate(graph: AtomicGraph, rotations: Tensor) -> AtomicGraph:
    """Turn positions, cells and target forces and virials of each graph; edges stay the same.

    Parameters
    ----------
    graph
        A batch.
    rotations
        One matrix ``R`` per graph, (B, 3, 3); vectors become ``R v``.
    """
    rotations = rotations.to(graph.positions)
    per_atom = rotations.index_select(0, graph.graph_index)  # (N, 3, 3)

    def turn(vectors: Tensor) -> Tensor:
        return torch.einsum("nab,nb->na", per_atom, vectors)

    return replace(
        graph,
        positions=turn(graph.positions),
        cells=graph.cells @ rotations.transpose(1, 2),
        forces=None if graph.forces is None else turn(graph.forces),
        virials=None if graph.virials is None else rotations @ graph.virials @ rotations.transpose(1, 2),
    )
