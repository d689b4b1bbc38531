"""Atoms with fewer neighbors than in a liquid: pairs alone in space, and frames from which most molecules are gone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from gnnformd.graph.atomic_graph import AtomicGraph, HalfEdges

__all__ = ["LonePairs", "Sparse", "ThinnedFrames"]

FEWEST, MOST = 16, 32  # pairs
STRETCHED = 1.5  # contact distances; bonds are no longer than this
KEPT_ATOMS, KEPT_SHARE = 64, 0.2  # of a frame, at most


class Sparse(NamedTuple):
    """Atoms in pairs or molecules.

    Attributes
    ----------
    graph
        n atoms, then the same without neighbors.
    unit
        Pair or molecule of each of the n atoms, from 0, (n,).
    """

    graph: AtomicGraph
    unit: Tensor

    def energies(self, of_atoms: Tensor) -> Tensor:
        """Of each pair or molecule beside those of its atoms alone, (U,), from those of all atoms, (2 n,)."""
        together, alone = of_atoms.chunk(2)
        sums = together.new_zeros(int(self.unit.max()) + 1)
        return sums.index_add(0, self.unit.to(together.device), together - alone)


@dataclass(frozen=True)
class LonePairs:
    """Pairs of atoms of every kind that are neighbors in some frames, each alone in space.

    Attributes
    ----------
    atoms
        The P pairs, all at one place.
    closest, farthest
        Range of their distances, angstrom, (P,): from the contact distance to the cutoff, bonds to 1.5 contact
        distances.
    """

    atoms: Sparse
    closest: Tensor
    farthest: Tensor

    @classmethod
    def of(cls, sample: AtomicGraph, contact: Tensor, cutoff: float) -> Self:
        """Find the kinds of pairs of a batch of frames; of more than 32 some, evenly spaced.

        Parameters
        ----------
        sample
            The frames, on the CPU.
        contact
            Contact distances of its half edges, angstrom, (E/2,).
        cutoff
            angstrom.
        """
        kinds, of_atom = torch.unique(sample.physical_kinds, dim=0, return_inverse=True)
        first, second, _, bond_kind = sample.half_edges
        low, high = (choose(of_atom[first], of_atom[second]) for choose in (torch.minimum, torch.maximum))
        keys, of_edge = torch.unique((bond_kind * len(kinds) + low) * len(kinds) + high, return_inverse=True)
        examples = torch.full_like(keys, len(of_edge)).scatter_reduce(0, of_edge, torch.arange(len(of_edge)), "amin")
        pairs = max(FEWEST, min(len(keys), MOST))
        chosen = examples[torch.arange(pairs) * len(keys) // pairs]
        closest, kind = contact[chosen], bond_kind[chosen]
        farthest = torch.where(kind > 0, STRETCHED * closest, cutoff).clamp(max=cutoff).to(closest)
        one = torch.arange(0, 2 * pairs, 2)
        edges = HalfEdges(one, one + 1, sample.positions.new_zeros(pairs, 3), kind)
        atoms = torch.stack([first[chosen], second[chosen]], dim=1).flatten()
        unit = torch.arange(pairs).repeat_interleave(2)
        return cls(Sparse(_together_and_alone(sample, atoms, edges, periodic=False), unit), closest, farthest)

    def at_random(self, seed: int) -> Sparse:
        """Place them at random distances, evenly distributed over their ranges."""
        share = torch.rand(len(self.closest), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        distance = self.closest + (self.farthest - self.closest) * share.to(self.closest)
        positions = torch.zeros_like(self.atoms.graph.positions)
        positions[1 : 2 * len(distance) : 2, 0] = distance.to(positions)
        return self.atoms._replace(graph=replace(self.atoms.graph, positions=positions))


@dataclass(frozen=True)
class ThinnedFrames:
    """Frames of which some molecules are kept and all others removed.

    Attributes
    ----------
    sample
        The frames, on the CPU.
    molecule
        Of each atom, numbered through all frames, (N,); atoms without bonds are molecules of their own.
    frames
        For each frame with five molecules or more: numbers of its half edges, and of its molecules.
    """

    sample: AtomicGraph
    molecule: Tensor
    frames: tuple[tuple[Tensor, Tensor], ...]

    @classmethod
    def of(cls, sample: AtomicGraph) -> Self:
        """Find the molecules of a batch of frames."""
        first, second, _, kind = sample.half_edges
        bonds = torch.nonzero(kind > 0).squeeze(1)
        ends = first[bonds].numpy(), second[bonds].numpy()
        joined = coo_array((np.ones(len(bonds)), ends), shape=(sample.atom_count,) * 2)
        molecule = torch.from_numpy(connected_components(joined, directed=False)[1]).long()
        frames = []
        for graph in range(sample.graph_count):
            own = torch.unique(molecule[sample.graph_index == graph])
            if len(own) * KEPT_SHARE >= 1:
                frames.append((torch.nonzero(sample.graph_of_half_edge == graph).squeeze(1), own))
        return cls(sample, molecule, tuple(frames))

    def at_random(self, seed: int) -> Sparse:
        """Keep random molecules of one of the frames: a fifth of them at most, and not many more than 64 atoms."""
        random = torch.Generator().manual_seed(seed)
        edges, own = self.frames[int(torch.randint(len(self.frames), (), generator=random))]
        share = min(KEPT_SHARE, KEPT_ATOMS / int(torch.isin(self.molecule, own).sum()))
        chosen = own[torch.randperm(len(own), generator=random)[: max(1, int(share * len(own)))]]
        kept = torch.nonzero(torch.isin(self.molecule, chosen)).squeeze(1)
        place = torch.full_like(self.molecule, -1).index_copy(0, kept, torch.arange(len(kept)))
        center, neighbor, shift, kind = (values[edges] for values in self.sample.half_edges)
        center, neighbor = place[center], place[neighbor]
        both = (center >= 0) & (neighbor >= 0)
        left = HalfEdges(center[both], neighbor[both], shift[both], kind[both])
        unit = torch.unique(self.molecule[kept], return_inverse=True)[1]
        return Sparse(_together_and_alone(self.sample, kept, left, periodic=True), unit)


def _together_and_alone(sample: AtomicGraph, atoms: Tensor, edges: HalfEdges, *, periodic: bool) -> AtomicGraph:
    """Make a graph of some atoms of one frame, (n,), with these edges, and then the same atoms without edges."""
    every, frame = atoms.repeat(2), sample.graph_index[atoms[:1]]
    alone = AtomicGraph(
        positions=sample.positions[every],
        cells=sample.cells[frame],
        periodic=sample.periodic[frame] & periodic,
        special_coul=sample.special_coul[frame],
        type_index=sample.type_index[every],
        charges=sample.charges[every],
        epsilons=sample.epsilons[every],
        sigmas=sample.sigmas[every],
        center_index=edges.center,
        neighbor_index=edges.neighbor,
        cell_shift=edges.shift,
        bond_kind=edges.bond_kind,
        graph_index=torch.zeros_like(every),
    )
    return alone.with_half_edges(edges)
