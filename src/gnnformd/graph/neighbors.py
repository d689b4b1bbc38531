"""Pairs of atoms closer than a cutoff, with every periodic image that is in reach."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from vesin import NeighborList

from gnnformd.errors import InputError

__all__ = ["neighbor_pairs"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Shift = NDArray[np.int32]


def neighbor_pairs(
    positions: ArrayLike, cell: ArrayLike, periodic: bool | Sequence[bool], cutoff: float, *, threads: int = 1
) -> tuple[Int, Int, Shift]:
    """Half list of the pairs with ``|x_j - x_i + shift @ cell| < cutoff``.

    Every image in reach counts: a pair appears once per image, and an atom is paired with its own images when the
    cutoff is longer than the box. Each pair is listed once, with ``i < j``, or ``i == j`` and the first nonzero
    component of ``shift`` positive. The order is by ``i``, then ``j``, then ``shift``: the same atoms give the same
    list on every run and with any number of threads.

    Parameters
    ----------
    positions
        angstrom, (N, 3); atoms may lie outside the box.
    cell
        Rows are the lattice vectors, angstrom, (3, 3); any shape of box. Rows of directions that are not periodic
        are not used.
    periodic
        Whether each direction is periodic; one value stands for all three.
    cutoff
        angstrom.
    threads
        Threads of the search; the interpreter lock is released meanwhile, so many frames are better searched in
        many Python threads of one search thread each.

    Returns
    -------
    i, j
        Indices of the atoms, (P,).
    shift
        Integer lattice translation added to atom ``j``, (P, 3); zero where a direction is not periodic.

    Raises
    ------
    InputError
        A position is not finite, the periodic lattice vectors do not span a volume, or the cutoff is not a positive
        number.

    Examples
    --------
    One atom in a cubic box meets its three nearest images (the opposite three are the same pairs):

    >>> i, j, shift = neighbor_pairs([[0.0, 0.0, 0.0]], [[3.0, 0, 0], [0, 3.0, 0], [0, 0, 3.0]], True, 3.5)
    >>> shift.tolist()
    [[0, 0, 1], [0, 1, 0], [1, 0, 0]]
    """
    x = np.asarray(positions, dtype=np.float64).reshape(-1, 3)
    flags = np.broadcast_to(np.asarray(periodic, dtype=bool), 3)
    box = _checked_cell(np.asarray(cell, dtype=np.float64), flags)
    if not (np.isfinite(cutoff) and cutoff > 0):
        raise InputError(f"the cutoff is {cutoff} angstrom; give a positive number.")
    if not np.isfinite(x).all():
        atom = int(np.argmin(np.isfinite(x).all(axis=1)))
        raise InputError(f"the position of atom number {atom + 1} is not finite ({x[atom]}); repair or drop the frame.")
    if len(x) == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 3), np.int32)
    search = NeighborList(cutoff=float(cutoff), full_list=False, n_threads=threads)
    pairs, shift = search.compute(x, box, flags, quantities="PS", copy=False)
    # these arrays go away with the search: what is returned are copies
    return _sorted_half(pairs.astype(np.int64), shift, len(x))


def _checked_cell(cell: Float, periodic: NDArray[np.bool_]) -> Float:
    """Refuse periodic vectors without a volume; complete the other rows by unit vectors at right angles."""
    if cell.shape != (3, 3):
        raise InputError(f"the cell has shape {cell.shape}; three lattice vectors of three components are needed.")
    vectors = cell[periodic]
    # volume of the vectors over the product of their lengths: 1 for a rectangular box, 0 for a flat one
    scale = float(np.prod(np.linalg.norm(vectors, axis=1)))
    volume = float(np.sqrt(max(np.linalg.det(vectors @ vectors.T), 0.0))) if len(vectors) else 1.0
    if not np.isfinite(vectors).all() or volume <= 1e-9 * scale or scale <= 0.0:
        rows = "; ".join(" ".join(f"{v:g}" for v in row) for row in cell)
        raise InputError(f"the lattice vectors ({rows}) do not span a volume; check the box of this frame.")
    if periodic.all():
        return cell
    box = np.empty((3, 3))
    box[periodic] = vectors
    # the last rows of V^T are orthonormal to all periodic vectors
    box[~periodic] = np.linalg.svd(vectors.reshape(-1, 3))[2][len(vectors) :]
    return box


def _sorted_half(pairs: Int, shift: Shift, atom_count: int) -> tuple[Int, Int, Shift]:
    """Give each pair its one form (see `neighbor_pairs`) and sort."""
    i, j = pairs[:, 0], pairs[:, 1]
    # sign of the first nonzero component, from the larger weight to the smaller
    sign = np.sign(4 * np.sign(shift[:, 0]) + 2 * np.sign(shift[:, 1]) + np.sign(shift[:, 2]))
    flip = (i > j) | ((i == j) & (sign < 0))
    shift = np.where(flip[:, None], -shift, shift)
    first, second = np.minimum(i, j), np.maximum(i, j)
    key = first * atom_count + second
    order = np.argsort(key)
    key = key[order]
    if (key[1:] == key[:-1]).any():  # several images of one pair: only in boxes shorter than twice the cutoff
        order = np.lexsort((shift[:, 2], shift[:, 1], shift[:, 0], second, first))
    return first[order], second[order], shift[order]
