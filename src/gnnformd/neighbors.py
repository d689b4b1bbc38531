"""Pairs of atoms closer than a cutoff, with all periodic images."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnformd.cell_list import half_list
from gnnformd.errors import InputError

__all__ = ["completed_cell", "neighbor_pairs"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Shift = NDArray[np.int32]

_MOST_IMAGES = 1e6
_BYTES_PER_PAIR = 100
"""Memory of the search, of sorting the pairs, and of a graph."""


def neighbor_pairs(
    positions: ArrayLike, cell: ArrayLike, periodic: bool | Sequence[bool], cutoff: float
) -> tuple[Int, Int, Shift]:
    """Half list of the pairs with ``|x_j - x_i + shift @ cell| < cutoff``.

    All images within the cutoff count: a pair appears once per image, and an atom is paired with its own images when
    the cutoff is longer than the box. Each pair is listed once, with ``i < j``, or ``i == j`` and the first nonzero
    component of ``shift`` positive. The order is by ``i``, then ``j``, then ``shift``. The interpreter lock is released
    meanwhile, so that threads search many frames at a time.

    Parameters
    ----------
    positions
        angstrom, (N, 3); atoms may lie outside the box.
    cell
        Rows are the lattice vectors, angstrom, (3, 3); any shape of box. Rows of directions that are not periodic
        are not used.
    periodic
        Whether each direction is periodic; one value for all three.
    cutoff
        angstrom.

    Returns
    -------
    i, j
        Indices of the atoms, (P,).
    shift
        Integer lattice translation added to atom ``j``, (P, 3); zero where a direction is not periodic.

    Raises
    ------
    InputError
        A position is not finite, the periodic lattice vectors do not span a volume, the cutoff is not a positive
        number, or so long that the pairs would not fit into this machine's memory.

    Examples
    --------
    One atom in a cubic box is paired with its three nearest images (the opposite three are the same pairs):

    >>> i, j, shift = neighbor_pairs([[0.0, 0.0, 0.0]], [[3.0, 0, 0], [0, 3.0, 0], [0, 0, 3.0]], True, 3.5)
    >>> shift.tolist()
    [[0, 0, 1], [0, 1, 0], [1, 0, 0]]
    """
    x = np.asarray(positions, dtype=np.float64).reshape(-1, 3)
    flags = np.broadcast_to(np.asarray(periodic, dtype=bool), 3)
    box = completed_cell(cell, flags)
    _check(x, cutoff)
    if len(x) == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 3), np.int32)
    x = _without_gaps(x, box[~flags], cutoff)
    _check_size(x, box, flags, float(cutoff))
    _refuse_far_atoms(x, box, flags)
    return half_list(x, np.ascontiguousarray(box), np.ascontiguousarray(flags), float(cutoff))


def _check(positions: Float, cutoff: float) -> None:
    if not (np.isfinite(cutoff) and cutoff > 0):
        raise InputError(f"the cutoff is {cutoff} angstrom; give a positive number.")
    finite = np.isfinite(positions).all(axis=1)
    if not finite.all():
        atom = int(np.argmin(finite))
        raise InputError(
            f"the position of atom number {atom + 1} is not finite ({positions[atom]}); correct or remove the frame."
        )


def _check_size(positions: Float, box: Float, periodic: NDArray[np.bool_], cutoff: float) -> None:
    """Refuse a search whose pairs, at the mean density of the atoms, need more memory than the machine has."""
    spread = np.ptp(positions @ np.linalg.inv(box), axis=0)
    heights = np.where(periodic, 1.0, spread) / np.linalg.norm(np.linalg.inv(box), axis=0)
    volume = float(np.prod(np.maximum(heights, 1.0))) * _slant(box)
    reach = np.where(periodic, 2 * cutoff, np.minimum(2 * cutoff, np.maximum(heights, 1.0)))
    around = min(4 / 3 * np.pi * cutoff**3, float(np.prod(reach)))
    gigabytes = _BYTES_PER_PAIR * len(positions) ** 2 / 2 * around / volume / 1e9
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9 if hasattr(os, "sysconf") else np.inf
    if gigabytes > available:
        raise InputError(
            f"a cutoff of {cutoff:g} angstrom joins so many pairs of the {len(positions)} atoms that they need about "
            f"{gigabytes:.0f} GB of memory, but this machine has {available:.0f}; lower model.cutoff."
        )
    images = float(np.prod(1 + 2 * np.floor(cutoff / heights[periodic])))
    if images > _MOST_IMAGES:
        raise InputError(
            f"the box is {heights[periodic].min():.3g} angstrom thin, so that a cutoff of {cutoff:g} angstrom reaches "
            f"over {images:.0e} of its images; check the box of this frame."
        )


def _slant(box: Float) -> float:
    """Volume of the box over the product of its heights."""
    return float(abs(np.linalg.det(box)) * np.prod(np.linalg.norm(np.linalg.inv(box), axis=0)))


def completed_cell(cell: ArrayLike, periodic: ArrayLike) -> Float:
    """Lattice vectors of the periodic directions, and unit vectors at right angles to them for the others.

    Parameters
    ----------
    cell
        Rows are the lattice vectors, angstrom, (3, 3); those of directions that are not periodic are not used.
    periodic
        Whether each direction is periodic, (3,).

    Returns
    -------
    array
        angstrom, (3, 3); it has an inverse.

    Raises
    ------
    InputError
        The periodic lattice vectors are not finite, or do not span a volume (an area, a length).
    """
    cell, periodic = np.asarray(cell, dtype=np.float64), np.asarray(periodic, dtype=bool)
    if cell.shape != (3, 3):
        raise InputError(f"the cell has shape {cell.shape}; three lattice vectors of three components are needed.")
    vectors = cell[periodic]
    if not np.isfinite(vectors).all():
        raise InputError("a lattice vector is not finite; check the box of this frame.")
    # volume of the vectors over the product of their lengths: 1 for a rectangular box, 0 (1e-8 rounded) for a flat one
    scale = float(np.prod(np.linalg.norm(vectors, axis=1)))
    volume = float(np.sqrt(max(np.linalg.det(vectors @ vectors.T), 0.0))) if len(vectors) else 1.0
    if volume <= 1e-6 * scale or scale <= 0.0:
        rows = "; ".join(" ".join(f"{v:g}" for v in row) for row in cell)
        raise InputError(f"the lattice vectors ({rows}) do not span a volume; check the box of this frame.")
    if periodic.all():
        return cell
    box = np.empty((3, 3))
    box[periodic] = vectors
    # the last rows of V^T are orthonormal to all periodic vectors
    box[~periodic] = np.linalg.svd(vectors.reshape(-1, 3))[2][len(vectors) :]
    return box


def _without_gaps(positions: Float, directions: Float, cutoff: float) -> Float:
    """Reduce gaps wider than twice the cutoff between groups of atoms along a direction that is not periodic.

    Otherwise the search would cover all the empty space up to a single atom far away.
    """
    for direction in directions:
        along = positions @ direction
        order = np.argsort(along)
        excess = np.maximum(np.diff(along[order]) - 2 * cutoff, 0.0)
        if excess.any():
            moved = np.empty(len(along))
            moved[order] = np.concatenate([[0.0], np.cumsum(excess)])
            positions = positions - moved[:, None] * direction
    return positions


def _refuse_far_atoms(positions: Float, box: Float, periodic: NDArray[np.bool_]) -> None:
    """Refuse atoms so many boxes away that 32-bit integers do not count them, and positions have no digits left."""
    farthest = np.abs((positions @ np.linalg.inv(box))[:, periodic]).max(initial=0.0)
    if farthest > 1e6:
        raise InputError(
            f"an atom is {farthest:.0e} box lengths outside the box; the simulation is unstable, remove the frame."
        )
