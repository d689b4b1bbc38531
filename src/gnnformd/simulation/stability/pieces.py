"""Into how many pieces atoms fall: a molecule in a vacuum that comes apart has no close pairs that would show it."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from gnnformd.neighbors import neighbor_pairs

__all__ = ["count_pieces", "in_vacuum"]

JOINED = 1.3
"""Atoms closer than this many times the sum of their covalent radii hold together."""


def count_pieces(atoms: Atoms) -> int:
    """Count what is held together by pairs about as close as bonds; an atom that moves to another one is no matter."""
    radii = JOINED * covalent_radii[atoms.numbers]
    i, j, shift = neighbor_pairs(atoms.positions, atoms.cell.array, atoms.pbc.tolist(), 2 * radii.max())
    distances = np.linalg.norm(atoms.positions[j] - atoms.positions[i] + shift @ atoms.cell.array, axis=1)
    joined = distances < radii[i] + radii[j]
    matrix = coo_array((np.ones(joined.sum()), (i[joined], j[joined])), shape=(len(atoms), len(atoms)))
    return int(connected_components(matrix)[0])


def in_vacuum(atoms: Atoms) -> bool:
    """Whether nothing surrounds the atoms: no periodic images, or those of one molecule that is not joined to them."""
    if not atoms.pbc.any():
        return True
    images = tuple(2 if periodic else 1 for periodic in atoms.pbc)
    return count_pieces(atoms) == 1 and count_pieces(atoms.repeat(images)) == np.prod(images)
