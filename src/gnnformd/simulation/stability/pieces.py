"""Into how many pieces atoms fall: a molecule in a vacuum that comes apart has no close pairs that would show it."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.neighborlist import natural_cutoffs, neighbor_list
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

__all__ = ["count_pieces", "in_vacuum"]

JOINED = 1.3
"""Atoms closer than this many times the sum of their covalent radii hold together."""


def count_pieces(atoms: Atoms) -> int:
    """Count what is held together by pairs about as close as bonds; an atom that moves to another one is no matter."""
    pairs = neighbor_list("ij", atoms, natural_cutoffs(atoms, mult=JOINED))
    matrix = coo_array((np.ones(len(pairs[0])), pairs), shape=(len(atoms), len(atoms)))
    return int(connected_components(matrix)[0])


def in_vacuum(atoms: Atoms) -> bool:
    """Whether nothing surrounds the atoms: no periodic images, or those of one molecule that is not joined to them."""
    if not atoms.pbc.any():
        return True
    images = tuple(2 if periodic else 1 for periodic in atoms.pbc)
    return count_pieces(atoms) == 1 and count_pieces(atoms.repeat(images)) == np.prod(images)
