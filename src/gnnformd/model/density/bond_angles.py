"""Angles between two bonds of an atom, and the angle potentials of the classical start."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gnnformd.graph.atomic_graph import AtomicGraph

__all__ = ["POWERS", "AnglePotentials", "bond_angles", "bond_pairs"]

POWERS = 4
"""Highest power of the cosine of an angle."""


class AnglePotentials(nn.Module):
    """``E = sum_angles sum_n (x_i A_n (x_j + x_k)) cos^n(angle)`` over the angles between bonds of i to j and k.

    Parameters
    ----------
    inputs
        Numbers that describe an atom, P.

    Attributes
    ----------
    coefficients
        ``A``, kcal/mol, (POWERS, P, P).
    """

    coefficients: Tensor

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.register_buffer("coefficients", torch.zeros(POWERS, inputs, inputs))

    def energies(self, graph: AtomicGraph, inputs: Tensor, vectors: Tensor) -> Tensor:
        """Energy of each graph, kcal/mol, (B,); of a domain, of the angles whose middle it owns.

        Parameters
        ----------
        graph
            Tells which atoms are bonded.
        inputs
            ``x``, (N, P).
        vectors
            Of the half edges, angstrom, (E/2, 3); the energies can be differentiated by them.
        """
        middle, ends, cosines = bond_angles(graph, vectors)
        outer = inputs[ends[0]] + inputs[ends[1]]
        factors = torch.einsum("ap,npq,aq->na", inputs[middle], self.coefficients, outer)
        energies = sum((c * cosines**n for n, c in enumerate(factors, start=1)), torch.zeros_like(cosines))
        if graph.owned is not None:
            energies = energies * graph.owned[middle]
        return energies.new_zeros(graph.graph_count).index_add(0, graph.graph_index[middle], energies)


def bond_angles(graph: AtomicGraph, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """All angles between two bonds of an atom: middle atoms (A,), ends (2, A) and cosines (A,)."""
    atoms, bonds = bond_pairs(graph)
    arms = [vectors[edges] * sign[:, None] for edges, sign in bonds]
    cosines = (arms[0] * arms[1]).sum(1) / (arms[0].norm(dim=1) * arms[1].norm(dim=1))
    return atoms[0], atoms[1:], cosines


def bond_pairs(graph: AtomicGraph) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """Middle and ends of all angles, (3, A), and the half edges of both bonds, with -1 where they point inwards."""
    edges = graph.half_edges
    bonds = torch.nonzero(edges.bond_kind == 1).squeeze(1)
    one, other = edges.center[bonds], edges.neighbor[bonds]
    middle, order = torch.sort(torch.cat([one, other]), stable=True)
    end, edge = torch.cat([other, one])[order], bonds.repeat(2)[order]
    sign = torch.where(order < len(bonds), 1.0, -1.0).to(graph.positions.dtype)
    first, second = [], []
    step = 1
    while True:  # the bonds of an atom are adjacent in this order: take those that are one apart, two apart, ...
        found = torch.nonzero(middle[:-step] == middle[step:]).squeeze(1) if step < len(middle) else middle[:0]
        if len(found) == 0:
            break
        first.append(found)
        second.append(found + step)
        step += 1
    a, b = (torch.cat([middle[:0], *found]) for found in (first, second))
    return torch.stack([middle[a], end[a], end[b]]), [(edge[a], sign[a]), (edge[b], sign[b])]
