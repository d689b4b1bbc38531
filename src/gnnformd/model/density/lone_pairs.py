"""LonePairs: two atoms alone in space, which a liquid or a crystal shows to no network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from gnnformd.graph.atomic_graph import AtomicGraph, HalfEdges

__all__ = ["LonePairs"]

FEWEST, MOST = 16, 32  # pairs looked at in a step of a training
STRETCHED = 1.5  # contact distances; bonds are no longer than this


@dataclass(frozen=True)
class LonePairs:
    """Pairs of atoms of every kind that are neighbors in some frames, each alone in space.

    Attributes
    ----------
    atoms
        A graph of two atoms for each of P pairs, then one for each in which the two are not neighbors.
    closest, farthest
        Range of their distances, angstrom, (P,): from the contact distance to the cutoff, bonds to 1.5 contact
        distances.
    """

    atoms: AtomicGraph
    closest: Tensor
    farthest: Tensor

    @classmethod
    def of(cls, sample: AtomicGraph, contact: Tensor, cutoff: float) -> Self:
        """Find the kinds of pairs of a batch of frames; of more than 32 some, evenly spaced.

        Parameters
        ----------
        sample
            The frames.
        contact
            Contact distances of its half edges, angstrom, (E/2,).
        cutoff
            angstrom.
        """
        kinds, of_atom = torch.unique(sample.physical_kinds, dim=0, return_inverse=True)
        first, second, _, bond_kind = sample.half_edges
        low, high = (choose(of_atom[first], of_atom[second]) for choose in (torch.minimum, torch.maximum))
        keys, of_edge = torch.unique((bond_kind * len(kinds) + low) * len(kinds) + high, return_inverse=True)
        edges = torch.arange(len(of_edge), device=of_edge.device)
        examples = torch.full_like(keys, len(of_edge)).scatter_reduce(0, of_edge, edges, "amin")
        pairs = max(FEWEST, min(len(keys), MOST))
        chosen = examples[torch.arange(pairs, device=keys.device) * len(keys) // pairs]
        closest, kind = contact[chosen], bond_kind[chosen]
        farthest = torch.where(kind > 0, STRETCHED * closest, cutoff).clamp(max=cutoff).to(closest)
        return cls(_apart(sample, torch.stack([first[chosen], second[chosen]], dim=1), kind), closest, farthest)

    def at_random(self, seed: int) -> AtomicGraph:
        """Place them at random distances, evenly distributed over their ranges."""
        share = torch.rand(len(self.closest), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        distance = self.closest + (self.farthest - self.closest) * share.to(self.closest)
        positions = torch.zeros_like(self.atoms.positions)
        positions[1 : 2 * len(distance) : 2, 0] = distance.to(positions)
        return replace(self.atoms, positions=positions)

    def beside_apart(self, energies: Tensor) -> Tensor:
        """Energies of the pairs less those of the same atoms apart, (P,), from energies of all graphs, (2 P,)."""
        together, apart = energies.chunk(2)
        return together - apart


def _apart(sample: AtomicGraph, atoms: Tensor, kind: Tensor) -> AtomicGraph:
    """See `LonePairs.atoms`; ``atoms`` are those of each pair in the sample, (P, 2), ``kind`` their bonds, (P,)."""
    pairs = len(atoms)
    every, device, like = atoms.repeat(2, 1).flatten(), atoms.device, sample.positions
    first = torch.arange(0, 2 * pairs, 2, device=device)
    alone = AtomicGraph(
        positions=like.new_zeros(4 * pairs, 3),
        cells=torch.eye(3).to(like).expand(2 * pairs, 3, 3),
        periodic=torch.zeros(2 * pairs, 3, dtype=torch.bool, device=device),
        special_coul=sample.special_coul[sample.graph_index[every[::2]]],
        type_index=sample.type_index[every],
        charges=sample.charges[every],
        epsilons=sample.epsilons[every],
        sigmas=sample.sigmas[every],
        center_index=first,
        neighbor_index=first,
        cell_shift=like.new_zeros(0, 3),
        bond_kind=kind,
        graph_index=torch.arange(2 * pairs, device=device).repeat_interleave(2),
    )
    return alone.with_half_edges(HalfEdges(first, first + 1, like.new_zeros(pairs, 3), kind))
