"""Kinds of bond: the number of bonds between two neighbors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnnformd.errors import InputError

__all__ = ["BOND_KINDS", "BondTable", "bond_kinds", "bond_table"]

Int = NDArray[np.int64]

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
        walk = _one_bond_further(walk, both[:, 1], starts)
    # unique keeps the first of equal keys, which has the smallest kind
    unique, first = np.unique(np.concatenate(keys), return_index=True)
    return BondTable(atom_count, unique, np.concatenate(kinds)[first])


def _one_bond_further(walk: Int, neighbors: Int, starts: Int) -> Int:
    """Extend each walk (start, end) by every bond of its end."""
    end = walk[:, 1]
    count = starts[end + 1] - starts[end]
    offset = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return np.stack([np.repeat(walk[:, 0], count), neighbors[np.repeat(starts[end], count) + offset]], axis=1)


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
    twice the cutoff) only the nearest gets the kind and the others are 0. This requires that no
    bond, and no distance across two or three bonds, is longer than half of the box.

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
