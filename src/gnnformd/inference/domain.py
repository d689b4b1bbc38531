"""Domain: a rank's own atoms, the ghosts around them, and who is near whom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnnformd.model.density.kernels.neighbor_lists import NEIGHBOR_BITS

__all__ = ["Domain", "NeighborLists"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]


@dataclass(frozen=True)
class NeighborLists:
    """Neighbors up to cutoff and skin: a new object whenever LAMMPS rebuilds its lists and reorders its atoms.

    Attributes
    ----------
    start
        The neighbors of own atom i stand from ``start[i]`` to ``start[i + 1]``, (N + 1,).
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

    def of_first(self, count: int) -> tuple[Int, NDArray[np.integer]]:
        """``start`` and ``neighbor`` of own atoms alone, or of them and all ghosts, ``count`` in all."""
        own = len(self.start) - 1
        if count == own:
            return self.start, self.neighbor.view(np.uint32)
        center = np.repeat(np.arange(own), np.diff(self.start))
        entry = self.neighbor.view(np.uint32).astype(np.int64)
        outwards = (entry & NEIGHBOR_BITS) >= own
        one, other = self.ghost_pairs.T
        kind = self.ghost_kinds << 30
        back = center[outwards] | (entry[outwards] & ~NEIGHBOR_BITS)
        centers = np.concatenate([center, entry[outwards] & NEIGHBOR_BITS, one, other])
        order = np.argsort(centers, kind="stable")
        ends = np.cumsum(np.bincount(centers, minlength=count))
        return np.concatenate([[0], ends]), np.concatenate([entry, back, other | kind, one | kind])[order]


@dataclass(frozen=True)
class Domain:
    """Everything that the forces of a rank's own atoms depend on; there are no periodic images, ghosts stand for them.

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
    """

    own_count: int
    ids: Int
    types: Int
    charges: Float | None
    positions: Float
    lists: NeighborLists
