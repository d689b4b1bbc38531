"""Ghosts: periodic images as separate atoms, so that a neighbor list needs no shifts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.density.kernels.neighbor_lists import with_ghosts

__all__ = ["Ghosts"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]


@dataclass(frozen=True)
class Ghosts:
    """Atoms of a box, images of some of them, and the neighbors of the atoms among both.

    Attributes
    ----------
    owner
        The atom itself, or the one of which it is an image, (N + G,).
    shift
        Lattice vectors by which it is moved, (G, 3).
    start, neighbor
        Atom i has neighbors ``neighbor[start[i] : start[i + 1]]``; the bond kind is in bits 30 and 31. Numbers
        from N on are ghosts.
    """

    owner: Int
    shift: Int
    start: Int
    neighbor: Int

    @classmethod
    def of(cls, graph: AtomicGraph) -> Ghosts:
        """Make a ghost of every image that is a neighbor in the graph."""
        arrays = graph.center_index, graph.neighbor_index, graph.cell_shift, graph.bond_kind
        center, neighbor, shift, bond_kind = (a.numpy() for a in arrays)
        start, neighbor, owner, shift = with_ghosts(center, neighbor, shift, bond_kind, graph.atom_count)
        return cls(owner, shift, start, neighbor)

    def positions(self, positions: Float, cell: Float) -> Float:
        """Positions of atoms and ghosts, angstrom, (N + G, 3)."""
        images = positions[self.owner[len(positions) :]] + self.shift @ cell
        return np.concatenate([positions, images])

    def fold(self, forces: Float) -> Float:
        """Add forces on ghosts, (N + G, 3), to those on their owners, (N, 3)."""
        atoms = len(self.start) - 1
        folded = forces[:atoms].copy()
        for axis in range(3):
            folded[:, axis] += np.bincount(self.owner[atoms:], forces[atoms:, axis], minlength=atoms)
        return folded
