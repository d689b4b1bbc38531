"""Neighbor lists: edges ordered by center, neighbors sorted into groups, images as atoms; and sums over edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnnformd.model.density.kernels.structures import Floats, Indices
from gnnformd.model.engine import NEIGHBOR_BITS
from gnnformd.numba_jit import kernel

__all__ = [
    "columns_needed",
    "edges_by_center",
    "sort_by_group",
    "to_half_edges",
    "to_neighbors",
    "with_ghosts",
]


Indices64 = NDArray[np.int64]


@kernel
def edges_by_center(
    first: Indices, second: Indices, halves: Indices, atom_count: int
) -> tuple[Indices, Indices, Indices]:
    """Order edges by center: pairs of atoms ``first[h], second[h]`` for the half edges h in ``halves``.

    Returns ``start``, ``neighbor`` and ``pair`` of a `gnnformd.model.density.kernels.structures.Shell`.
    """
    start = np.zeros(atom_count + 1, np.int64)
    for h in halves:
        start[first[h] + 1] += 1
        start[second[h] + 1] += 1
    for i in range(atom_count):
        start[i + 1] += start[i]
    position = start[:-1].copy()
    neighbor, pair = np.empty(2 * len(halves), np.int32), np.empty(2 * len(halves), np.int32)
    for h in halves:
        i, j = first[h], second[h]
        neighbor[position[i]], pair[position[i]] = j, 2 * h
        position[i] += 1
        neighbor[position[j]], pair[position[j]] = i, 2 * h + 1
        position[j] += 1
    return start, neighbor, pair


@kernel
def to_half_edges(pair: Indices, on_edges: Floats, out: Floats) -> None:
    """Add gradients in directed vectors, (E, 3), to those in the vectors of the half edges, (E/2, 3)."""
    for e in range(len(pair)):
        sign = 1 - 2 * (pair[e] & 1)
        for axis in range(3):
            out[pair[e] >> 1, axis] += sign * on_edges[e, axis]


@kernel
def to_neighbors(neighbor: Indices, on_received: Floats, out: Floats) -> None:
    """Add gradients in what edges received, (E, C), to those in what the neighbors sent, (M, C)."""
    for e in range(len(neighbor)):
        for c in range(out.shape[1]):
            out[neighbor[e], c] += on_received[e, c]


@kernel
def sort_by_group(
    start: Indices, neighbor: Indices, species: Indices, used: NDArray[np.bool_]
) -> tuple[Indices, Indices]:
    """Order the neighbors of each center by bond kind, then species.

    Parameters
    ----------
    start, neighbor
        Lists with the bond kind in bits 30 and 31 of a neighbor and its number in the lowest 29, (N + 1,) and (E,).
    species
        Of each atom, (M,).
    used
        Set where a center of a species has a neighbor of a bond kind and species, (S, 4, S).

    Returns
    -------
    bounds
        Where each group begins and the last one ends, (N, G + 1).
    sorted
        Numbers of the neighbors, (E,).
    """
    centers, count = len(start) - 1, used.shape[0]
    groups = used.shape[1] * count
    bounds = np.empty((centers, groups + 1), np.int64)
    ordered = np.empty(len(neighbor), np.int32)
    position = np.empty(groups, np.int64)  # how many neighbors a group has, then where its next one goes
    for i in range(centers):
        position[:] = 0
        for e in range(start[i], start[i + 1]):
            bond, j = (neighbor[e] >> 30) & 3, neighbor[e] & NEIGHBOR_BITS
            position[bond * count + species[j]] += 1
            used[species[i], bond, species[j]] = True
        begin = start[i]
        for g in range(groups):
            bounds[i, g] = begin
            begin += position[g]
            position[g] = bounds[i, g]
        bounds[i, groups] = begin
        for e in range(start[i], start[i + 1]):
            bond, j = (neighbor[e] >> 30) & 3, neighbor[e] & NEIGHBOR_BITS
            g = bond * count + species[j]
            ordered[position[g]] = j
            position[g] += 1
    return bounds, ordered


@kernel
def columns_needed(bounds: Indices, width: int) -> int:
    """Columns for the neighbors of any center, each group of ``bounds`` (N, G + 1) in whole vectors."""
    groups = bounds.shape[1] - 1
    most = 1
    for i in range(bounds.shape[0]):
        most = max(most, bounds[i, groups] - bounds[i, 0])
    return (most + width - 1) // width * width + groups * width


@kernel
def with_ghosts(
    center: Indices, neighbor: Indices, shift: Floats, bond_kind: Indices, atom_count: int
) -> tuple[Indices64, Indices64, Indices64, Indices64]:
    """Order edges by center and make a ghost of every image that is a neighbor.

    Ghosts are numbered in the order of their first edge. Each lattice vector has a table of all atoms, in which an
    image is found again: 4 bytes for each atom and vector.

    Parameters
    ----------
    center, neighbor, bond_kind
        Of all directed edges, (E,).
    shift
        Lattice vectors added to the neighbor, (E, 3).
    atom_count
        N.

    Returns
    -------
    start
        Atom i has neighbors from ``start[i]`` to ``start[i + 1]``, (N + 1,).
    listed
        Number of the neighbor, N and above for ghosts, with the bond kind in bits 30 and 31, (E,).
    owner
        Of atoms and ghosts, (N + G,).
    moved
        Lattice vectors by which the ghosts are moved, (G, 3).
    """
    edges = len(center)
    low, size = np.zeros(3, np.int64), np.ones(3, np.int64)
    for axis in range(3):
        high = 0
        for e in range(edges):
            steps = int(shift[e, axis])
            low[axis], high = min(low[axis], steps), max(high, steps)
        size[axis] = high - low[axis] + 1
    home = (-low[0] * size[1] - low[1]) * size[2] - low[2]
    number = np.full((size[0] * size[1] * size[2], atom_count), -1, np.int32)
    for i in range(atom_count):
        number[home, i] = i
    start = np.zeros(atom_count + 1, np.int64)
    total = atom_count
    for e in range(edges):
        start[center[e] + 1] += 1
        image = 0
        for axis in range(3):
            image = image * size[axis] + int(shift[e, axis]) - low[axis]
        if number[image, neighbor[e]] < 0:
            number[image, neighbor[e]] = total
            total += 1
    for i in range(atom_count):
        start[i + 1] += start[i]
    position = start[:-1].copy()
    listed = np.empty(edges, np.int64)
    owner, moved = np.empty(total, np.int64), np.empty((total - atom_count, 3), np.int64)
    for i in range(atom_count):
        owner[i] = i
    for e in range(edges):
        image = 0
        for axis in range(3):
            image = image * size[axis] + int(shift[e, axis]) - low[axis]
        i, j = center[e], number[image, neighbor[e]]
        listed[position[i]] = j | (np.int64(bond_kind[e]) << 30)
        position[i] += 1
        owner[j] = neighbor[e]
        if j >= atom_count:
            for axis in range(3):
                moved[j - atom_count, axis] = int(shift[e, axis])
    return start, listed, owner, moved
