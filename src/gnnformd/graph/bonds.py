"""Kinds of bond: the number of bonds between two neighbors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnnformd.errors import InputError
from gnnformd.neighbors import completed_cell

__all__ = ["BOND_KINDS", "BondTable", "bond_kinds", "bond_table", "refuse_narrow_box"]

Int = NDArray[np.int64]

TIE = 1e-9  # angstrom; images that are so much farther are as near
BOND_KINDS = 4
"""More than three bonds apart or in different molecules; one, two or three bonds apart."""


@dataclass(frozen=True)
class BondTable:
    """All pairs of atoms at most three bonds apart; made once per topology by `bond_table`.

    Attributes
    ----------
    atom_count
        N.
    keys
        ``i * N + j`` of each pair with ``i < j``, ascending, (T,).
    kinds
        Number of bonds on the shortest path between the two atoms: 1, 2 or 3, (T,).
    """

    atom_count: int
    keys: Int
    kinds: NDArray[np.int8]


def bond_table(bonds: Int | None, atom_count: int) -> BondTable:
    """Find the pairs one (1-2), two (1-3) and three (1-4) bonds apart.

    Where two atoms are joined by several paths, as in a ring, the shortest counts.

    Parameters
    ----------
    bonds
        Pairs of atom indices, (M, 2), in any order, or None for no bonds.
    atom_count
        N.

    Raises
    ------
    InputError
        A bond names an atom that does not exist.

    Examples
    --------
    The pairs 0-1 and 0-2 of a water molecule are bonded, its hydrogens 1-2 are second neighbors:

    >>> table = bond_table(np.array([[0, 1], [0, 2]]), atom_count=3)
    >>> [(int(k) // 3, int(k) % 3) for k in table.keys], table.kinds.tolist()
    ([(0, 1), (0, 2), (1, 2)], [1, 1, 2])
    """
    pairs = np.empty((0, 2), np.int64) if bonds is None else np.asarray(bonds, dtype=np.int64).reshape(-1, 2)
    if pairs.size and (pairs.min() < 0 or pairs.max() >= atom_count):
        raise InputError(
            f"the bonds name atoms {pairs.min() + 1} to {pairs.max() + 1} but there are atoms 1 to {atom_count}; "
            "give the topology of this system."
        )
    both = np.concatenate([pairs, pairs[:, ::-1]])
    both = both[np.argsort(both[:, 0], kind="stable")]
    starts = np.searchsorted(both[:, 0], np.arange(atom_count + 1))
    walk, keys, kinds = both, [], []
    for kind in (1, 2, 3):
        forward = walk[walk[:, 0] < walk[:, 1]]  # also drops walks that return to their start
        keys.append(forward[:, 0] * atom_count + forward[:, 1])
        kinds.append(np.full(len(forward), kind, np.int8))
        before, bond = _one_bond_further(walk, starts)
        walk = np.stack([walk[before, 0], both[bond, 1]], axis=1)
    # unique keeps the first of equal keys, which has the smallest kind
    unique, first = np.unique(np.concatenate(keys), return_index=True)
    return BondTable(atom_count, unique, np.concatenate(kinds)[first])


def _one_bond_further(walk: Int, starts: Int) -> tuple[Int, Int]:
    """Extend each walk (start, end) by every bond of its end: the walk and the directed bond of each."""
    end = walk[:, 1]
    count = starts[end + 1] - starts[end]
    offset = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return np.repeat(np.arange(len(walk)), count), np.repeat(starts[end], count) + offset


def bond_kinds(
    table: BondTable,
    i: Int,
    j: Int,
    shift: NDArray[np.int32],
    positions: NDArray[np.float64],
    cell: NDArray[np.float64],
) -> NDArray[np.int8]:
    """Kind of bond of each pair of a half list.

    A bond joins an atom to the nearest image of its partner, so of several images of a pair (in boxes shorter than
    twice the cutoff) only the nearest gets the kind and the others are 0. Boxes in which that would be another image
    than the one across the bonds are refused by `refuse_narrow_box`.

    Parameters
    ----------
    table
        From `bond_table`.
    i, j, shift
        From `neighbor_pairs`, in its order, (P,), (P,), (P, 3).
    positions, cell
        angstrom, (N, 3) and (3, 3).

    Returns
    -------
    kinds
        0 not in one molecule or farther than three bonds, 1 bonded (1-2), 2 second neighbors (1-3), 3 third
        neighbors (1-4), (P,).
    """
    kinds = np.zeros(len(i), np.int8)
    edge_keys = i * table.atom_count + j
    first = np.searchsorted(edge_keys, table.keys)
    last = np.searchsorted(edge_keys, table.keys, side="right")
    count = last - first
    single = count == 1
    kinds[first[single]] = table.kinds[single]
    for k in np.flatnonzero(count > 1):
        images = slice(first[k], last[k])
        vectors = positions[j[images]] - positions[i[images]] + shift[images] @ cell  # (images, 3)
        kinds[first[k] + np.argmin((vectors**2).sum(axis=1))] = table.kinds[k]
    return kinds


def _images(box: NDArray[np.float64], flags: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Lattice vectors to the images around a box, without the box itself, (M, 3)."""
    shifts = np.stack(np.meshgrid(*(np.arange(-2, 3) * flag for flag in flags), indexing="ij"), -1).reshape(-1, 3)
    shifts = np.unique(shifts[shifts.any(axis=1)], axis=0)
    images: NDArray[np.float64] = shifts @ box
    return images


def refuse_narrow_box(
    table: BondTable,
    ids: Int,
    positions: NDArray[np.float64],
    cell: NDArray[np.float64],
    periodic: Sequence[bool],
    cutoff: float,
) -> None:
    """Refuse a box in which an image of a neighbor along bonds may be nearer than the one across the bonds.

    It does not matter where the other image is beyond the cutoff. Of two bonded atoms the nearest image is meant.

    Parameters
    ----------
    table
        From `bond_table`.
    ids
        Of the atoms, for the sentence, (N,).
    positions, cell, periodic
        angstrom, (N, 3) and (3, 3), and (3,).
    cutoff
        Of the search for neighbors, angstrom.

    Raises
    ------
    InputError
        Names two atoms.
    """
    flags = np.asarray(periodic, dtype=bool)
    if len(table.keys) == 0 or not flags.any():
        return
    box = completed_cell(cell, flags)
    inverse = np.linalg.inv(box)
    width = float((1 / np.linalg.norm(inverse, axis=0))[flags].min())
    bonds = np.stack(np.divmod(table.keys[table.kinds == 1], table.atom_count), axis=1)
    vectors = positions[bonds[:, 1]] - positions[bonds[:, 0]]
    vectors = vectors - (np.round(vectors @ inverse) * flags) @ box
    if table.kinds.max() * np.linalg.norm(vectors, axis=1).max() < width / 2:
        return
    both, steps = np.concatenate([bonds, bonds[:, ::-1]]), np.concatenate([vectors, -vectors])
    order = np.argsort(both[:, 0], kind="stable")
    both, steps = both[order], steps[order]
    starts = np.searchsorted(both[:, 0], np.arange(table.atom_count + 1))
    walk, reached = both, steps
    for kind in (1, 2, 3):
        keys = walk[:, 0] * table.atom_count + walk[:, 1]
        found = np.searchsorted(table.keys, keys).clip(max=len(table.keys) - 1)
        shortest = (table.keys[found] == keys) & (table.kinds[found] == kind)
        apart = np.linalg.norm(reached, axis=1)
        long = np.flatnonzero(shortest & (apart >= width / 2))  # others have no image that is nearer
        nearest = np.linalg.norm(reached[long, None] + _images(box, flags), axis=2).min(axis=1)
        for row in long[(nearest <= apart[long] + TIE) & (nearest < cutoff)]:
            one, other = ids[walk[row]]
            raise InputError(
                f"atoms {one} and {other} are {kind} bond{'s' if kind > 1 else ''} and {apart[row]:.3g} angstrom "
                f"apart, but an image of one of them is as near to the other in this box, which is {width:.3g} "
                "angstrom wide, so that it is not known which is meant; use a larger box, such as several copies of "
                "this one."
            )
        before, bond = _one_bond_further(walk, starts)
        walk = np.stack([walk[before, 0], both[bond, 1]], axis=1)
        reached = reached[before] + steps[bond]
