"""Domain: a rank's own atoms, the ghosts around them, and who is near whom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gnnformd.graph.atomic_graph import AtomicGraph, HalfEdges
from gnnformd.model.engine import NEIGHBOR_BITS, FullLists

__all__ = ["Domain", "ListedAtoms", "NeighborLists"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]


@dataclass(frozen=True)
class NeighborLists:
    """Neighbors up to cutoff and skin: a new object whenever LAMMPS rebuilds its lists and reorders its atoms.

    Attributes
    ----------
    start
        The neighbors of own atom i are entries ``start[i]`` to ``start[i + 1]``, (N + 1,).
    neighbor
        Index of the neighbor, an own atom or a ghost, with the kind of bond in the two upper bits, (E,) int32.
    ghost_pairs
        Pairs of ghosts, each once, (P, 2); none for models of one layer.
    ghost_kinds
        Their kinds of bond, (P,).
    """

    start: Int
    neighbor: NDArray[np.int32]
    ghost_pairs: Int
    ghost_kinds: Int

    def of_first(self, count: int) -> FullLists:
        """Full lists of own atoms alone, or of them and all ghosts, ``count`` in all."""
        own = len(self.start) - 1
        if count == own:
            return FullLists(self.start, self.neighbor.view(np.uint32))
        center = np.repeat(np.arange(own), np.diff(self.start))
        entry = self.neighbor.view(np.uint32).astype(np.int64)
        outwards = (entry & NEIGHBOR_BITS) >= own
        one, other = self.ghost_pairs.T
        kind = self.ghost_kinds << 30
        back = center[outwards] | (entry[outwards] & ~NEIGHBOR_BITS)
        centers = np.concatenate([center, entry[outwards] & NEIGHBOR_BITS, one, other])
        order = np.argsort(centers, kind="stable")
        ends = np.cumsum(np.bincount(centers, minlength=count))
        entries = np.concatenate([entry, back, other | kind, one | kind])[order]
        return FullLists(np.concatenate([[0], ends]), entries)

    def half_edges(self) -> tuple[Int, Int, Int]:
        """Both atoms and kind of bond of each pair, which is once in it though own atoms list each other."""
        own = len(self.start) - 1
        center = np.repeat(np.arange(own), np.diff(self.start))
        neighbor = (self.neighbor & NEIGHBOR_BITS).astype(np.int64)
        kind = (self.neighbor.view(np.uint32) >> 30).astype(np.int64)
        half = (neighbor >= own) | (center < neighbor)
        one, other = self.ghost_pairs.T
        return (
            np.concatenate([center[half], one]),
            np.concatenate([neighbor[half], other]),
            np.concatenate([kind[half], self.ghost_kinds]),
        )

    def bonded_half_edges(self) -> tuple[Int, Int, Int]:
        """Those of `half_edges` that have a kind of bond."""
        entries = self.neighbor.view(np.uint32)
        bonded = np.flatnonzero(entries >> 30)
        center = np.searchsorted(self.start, bonded, side="right") - 1
        neighbor = (entries[bonded] & NEIGHBOR_BITS).astype(np.int64)
        kind = (entries[bonded] >> 30).astype(np.int64)
        half = (neighbor >= len(self.start) - 1) | (center < neighbor)
        ghosts = self.ghost_kinds > 0
        one, other = self.ghost_pairs[ghosts].T
        return (
            np.concatenate([center[half], one]),
            np.concatenate([neighbor[half], other]),
            np.concatenate([kind[half], self.ghost_kinds[ghosts]]),
        )


@dataclass(frozen=True)
class Domain:
    """Everything that the forces of a rank's own atoms depend on; there are no periodic images, only ghosts.

    Attributes
    ----------
    own_count
        N; own atoms come first, then G ghosts.
    ids, types
        (N + G,); types from 1.
    charges
        e, (N + G,), or None where LAMMPS has none.
    positions
        angstrom, (N + G, 3).
    lists
        See `NeighborLists`.
    cell
        Of the system; rows are the lattice vectors, angstrom, (3, 3). Models with learned charges need it.
    """

    own_count: int
    ids: Int
    types: Int
    charges: Float | None
    positions: Float
    lists: NeighborLists
    cell: Float | None = None


@dataclass(frozen=True)
class ListedAtoms:
    """The atoms of a domain with their lists, as engines take them (`gnnformd.model.engine.DomainNeighbors`).

    Attributes
    ----------
    atoms
        Types, parameters, and which are owned; no edges.
    lists
        Of the same atoms.
    """

    atoms: AtomicGraph
    lists: NeighborLists

    @property
    def half_edges(self) -> HalfEdges:
        """Each pair once, on the device of the atoms; without shifts."""
        like = self.atoms.positions
        first, second, kind = (torch.from_numpy(a).to(like.device) for a in self.lists.half_edges())
        return HalfEdges(first, second, like.new_zeros(len(first), 3), kind)

    def of_first(self, count: int) -> FullLists:
        """See `NeighborLists.of_first`."""
        return self.lists.of_first(count)
