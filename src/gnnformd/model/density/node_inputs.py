"""What a network is told of an atom before it looks at its neighbors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gnnformd.graph.atomic_graph import AtomicGraph

__all__ = ["MOST_CHANNELS", "WITHOUT_PAIR_ENERGY", "NodeInputs", "spread_directions"]

LENGTH = 3.0  # angstrom; sigma is given in this unit
PHYSICAL = 5
MOST_CHANNELS = 16
REPULSIONS, REPULSION = 300, 0.3  # steps, and how far one goes
WITHOUT_PAIR_ENERGY = (0, 1, 4)
"""Physical inputs in which no energy but Coulomb's is known to be linear: 1, charge and sigma."""


def spread_directions(count: int, dimensions: int) -> Tensor:
    """Find unit vectors that are as far from parallel as can be, (count, dimensions).

    They repel each other by the fourth power of their cosines. The same numbers give the same vectors.
    """
    vectors = torch.randn(count, dimensions, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for _ in range(REPULSIONS):
        vectors = nn.functional.normalize(vectors, dim=1)
        cosines = vectors @ vectors.T - torch.eye(count, dtype=torch.float64)
        push = cosines**3 @ vectors
        vectors = vectors - REPULSION * push / push.norm(dim=1).max().clamp(min=1.0)
    return nn.functional.normalize(vectors, dim=1)


class NodeInputs(nn.Module):
    """Numbers that describe an atom: from the force field, or one for each type.

    Physical inputs are ``1, q, sqrt(eps) s^3, sqrt(eps) s^6, s`` with ``s = sigma / 3 angstrom``: with geometric mixing
    Coulomb, attraction and repulsion of a pair are products of one of them on either side, so that a network which
    multiplies what the neighbor sends by what the center knows carries over to other values.

    Neighbors send ``channels`` mixtures of these numbers that keep the atoms apart: of physical inputs those that
    `measure` finds in the data, of more types than channels a direction for each type (`spread_directions`).

    Parameters
    ----------
    kind
        ``physical`` or ``embedding``.
    type_count
        Number of types.
    channels
        C, at most P; None for one per type, at most `MOST_CHANNELS`.

    Attributes
    ----------
    count
        P.
    channels
        C.
    """

    projection: Tensor

    def __init__(self, kind: str, type_count: int, channels: int | None) -> None:
        super().__init__()
        self.kind, self.type_count = kind, type_count
        self.count = PHYSICAL if kind == "physical" else type_count
        self.channels = min(self.count, channels or min(type_count, MOST_CHANNELS))
        projection = torch.linalg.qr(torch.randn(self.count, self.channels))[0]
        self.register_buffer("projection", projection)  # (P, C)

    def forward(self, graph: AtomicGraph) -> Tensor:
        """Numbers of each atom, (N, P)."""
        if self.kind == "embedding":
            return nn.functional.one_hot(graph.type_index, self.type_count).to(graph.charges.dtype)
        s = graph.sigmas / LENGTH
        attraction = graph.epsilons.sqrt() * s**3
        return torch.stack([torch.ones_like(s), graph.charges, attraction, attraction * s**3, s], dim=1)

    def sent(self, inputs: Tensor) -> Tensor:
        """Mix what neighbors send in the first layer, (N, C)."""
        return inputs @ self.projection

    @torch.no_grad()
    def measure(self, inputs: Tensor) -> None:
        """Choose the mixtures.

        They are the leading right singular vectors of the distinct rows of ``inputs``, (N, P). Those of more types than
        there are channels would be some of the types, and the others would not be seen: these get directions.
        """
        if self.kind == "embedding" and self.count > self.channels:
            self.projection.copy_(spread_directions(self.count, self.channels))
            return
        rows = torch.unique(inputs, dim=0).double()
        vectors = torch.linalg.svd(rows, full_matrices=True)[2]  # (P, P), rows are directions
        self.projection.copy_(vectors[: self.channels].transpose(0, 1))
