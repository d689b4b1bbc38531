"""What a network is told of an atom before it looks at its neighbors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gnnformd.graph.atomic_graph import AtomicGraph

__all__ = ["WITHOUT_PAIR_ENERGY", "NodeInputs"]

LENGTH = 3.0  # angstrom; sigma is given in this unit
PHYSICAL = 5
WITHOUT_PAIR_ENERGY = (0, 1, 4)
"""Physical inputs in which no energy but Coulomb's is known to be linear: 1, charge and sigma."""


class NodeInputs(nn.Module):
    """Numbers that describe an atom: from the force field, or one for each type.

    Physical inputs are ``1, q, sqrt(eps) s^3, sqrt(eps) s^6, s`` with ``s = sigma / 3 angstrom``: with geometric mixing
    Coulomb, attraction and repulsion of a pair are products of one of them on either side, so that a network which
    multiplies what the neighbor sends by what the center knows carries over to other values.

    Neighbors send ``channels`` mixtures of these numbers, chosen by `measure` so that they keep the atoms of the data
    apart.

    Parameters
    ----------
    kind
        ``physical`` or ``embedding``.
    type_count
        Number of types.
    channels
        C, or None for one per type, at most four.

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
        self.channels = min(self.count, channels or min(type_count, 4))
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
        """Choose the mixtures: leading right singular vectors of the distinct rows of ``inputs`` (N, P)."""
        rows = torch.unique(inputs, dim=0).double()
        vectors = torch.linalg.svd(rows, full_matrices=True)[2]  # (P, P), rows are directions
        self.projection.copy_(vectors[: self.channels].transpose(0, 1))
