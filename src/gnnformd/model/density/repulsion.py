"""Contacts: how close atoms come in the data, and the repulsion that keeps them from coming closer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.graph.bonds import BOND_KINDS
from gnnformd.graph.distances import CONTACT_SHARE, of_edges

__all__ = ["Contacts"]

SMALLEST = 0.4  # angstrom
LARGEST = 0.6  # contact distances stay below this share of the cutoff
NEAR, STRONGER = 0.9, 3.0  # at this share of the contact distance so many times the largest force in the data
UNSEEN, UNSEEN_BONDED = 0.9, 0.5  # angstrom, for pairs of types that never met in the data


class Contacts(nn.Module):
    """Contact distance of each pair of types and kind of bond, and the repulsion below it.

    ``E = S sum_edges (1 - x)^3 / x^2`` for ``x = r/contact < 1``, zero above, so that nothing the data has seen is
    touched. Value, first and second derivative vanish at contact.

    Parameters
    ----------
    type_count
        T.
    strength
        ``S``, kcal/mol; None to take it from data by `take_strength`.
    cutoff
        angstrom.

    Attributes
    ----------
    distances
        angstrom, (4, T, T): kind of bond first.
    strength
        ``S``, kcal/mol.
    """

    distances: Tensor
    strength: Tensor

    def __init__(self, type_count: int, strength: float | None, cutoff: float) -> None:
        super().__init__()
        self.cutoff, self.from_data = cutoff, strength is None
        self.register_buffer("strength", torch.tensor(strength or 0.0), persistent=self.from_data)
        self.register_buffer("distances", self._unseen().expand(BOND_KINDS, type_count, type_count).clone())

    def _unseen(self) -> Tensor:
        """Contact distance of pairs that are not in the data, (4, 1, 1)."""
        distances = (UNSEEN, UNSEEN_BONDED, UNSEEN_BONDED, UNSEEN_BONDED)
        return torch.tensor([min(distance, LARGEST * self.cutoff) for distance in distances])[:, None, None]

    def closest(self, bond_kind: int, first: int, second: int) -> float | None:
        """How close two atoms of these types came in the data, angstrom; None if never within some 0.6 cutoffs."""
        contact = float(self.distances[bond_kind, first, second])
        known = contact < float(torch.tensor(LARGEST * self.cutoff).to(self.distances))
        return (
            contact / CONTACT_SHARE
            if known and contact != float(self._unseen()[bond_kind].to(self.distances))
            else None
        )

    @torch.no_grad()
    def take(self, closest: Tensor) -> None:
        """Take the contact distances from closest approaches, as of `gnnformd.graph.distances.shortest_distances`."""
        closest = CONTACT_SHARE * closest.to(self.distances)
        known = torch.where(closest.isfinite(), closest, self.distances)
        self.distances.copy_(known.clamp(SMALLEST, LARGEST * self.cutoff))

    @torch.no_grad()
    def take_strength(self, forces: Tensor) -> None:
        """Choose `strength`, unless it is set, by the largest of the forces in the data, kcal/mol/angstrom, (N, 3)."""
        if not self.from_data:
            return
        unseen = self._unseen().to(self.distances).expand_as(self.distances)
        known = self.distances[self.distances != unseen]
        contact = float(known.mean()) if len(known) else float(unseen.mean())
        inside = 1.0 - NEAR
        slope = 3.0 * inside**2 / NEAR**2 + 2.0 * inside**3 / NEAR**3  # of (1 - x)^3 / x^2 at x = NEAR
        self.strength.fill_(STRONGER * float(forces.norm(dim=1).max()) * contact / slope)

    def of_edges(self, graph: AtomicGraph) -> Tensor:
        """Contact distance of each half edge, angstrom, (E/2,)."""
        return of_edges(self.distances, graph)

    def pair_energies(self, distance: Tensor, contact: Tensor) -> Tensor:
        """Energy of each half edge, kcal/mol, (E/2,)."""
        x = distance / contact
        inside = (1 - x).clamp(min=0.0)
        return self.strength * inside**3 / x.square()
