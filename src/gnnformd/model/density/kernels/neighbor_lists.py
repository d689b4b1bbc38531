"""Compiled loops over edges: lists by center, and sums over edges."""

from __future__ import annotations

from typing import Any

import numpy as np

from gnnformd.model.density.kernels.neighbor_scratch import compiled

__all__ = [
    "NEIGHBOR_BITS",
    "columns_of_slots",
    "edges_by_center",
    "sort_into_slots",
    "to_half_edges",
    "to_neighbors",
    "with_ghosts",
]


NEIGHBOR_BITS = 0x1FFFFFFF
"""The part of an entry of a neighbor list that is the neighbor's index; the kind of bond is in the two upper bits."""


@compiled
def edges_by_center(first: Any, second: Any, halves: Any, atom_count: int) -> Any:
    """Order edges by center: pairs of atoms ``first[h], second[h]`` for the half edges h in ``halves``."""
    start = np.zeros(atom_count + 1, np.int64)
    for h in halves:
        start[first[h] + 1] += 1
        start[second[h] + 1] += 1
    for i in range(atom_count):
        start[i + 1] += start[i]
    place = start[:-1].copy()
    neighbor, pair = np.empty(2 * len(halves), np.int32), np.empty(2 * len(halves), np.int32)
    for h in halves:
        i, j = first[h], second[h]
        neighbor[place[i]], pair[place[i]] = j, 2 * h
        place[i] += 1
        neighbor[place[j]], pair[place[j]] = i, 2 * h + 1
        place[j] += 1
    return start, neighbor, pair


@compiled
def to_half_edges(lists: Any, on_edges: Any, out: Any) -> None:
    """Add gradients in directed vectors, (E, 3), to those in the vectors of the half edges, (E/2, 3)."""
    pair = lists[2]
    for e in range(len(pair)):
        sign = 1 - 2 * (pair[e] & 1)
        for a in range(3):
            out[pair[e] >> 1, a] += sign * on_edges[e, a]


@compiled
def to_neighbors(lists: Any, on_received: Any, out: Any) -> None:
    """Add what edges received, (E, C), to the neighbors that sent it, (M, C)."""
    neighbor = lists[1]
    for e in range(len(neighbor)):
        for c in range(out.shape[1]):
            out[neighbor[e], c] += on_received[e, c]


@compiled
def sort_into_slots(start: Any, neighbor: Any, kind: Any, used: Any) -> Any:
    """Order the neighbors of each center by kind of bond, then kind of atom.

    Parameters
    ----------
    start, neighbor
        Lists with the kind of bond in bits 30 and 31 of a neighbor and its number in the lowest 29, (N + 1,) and (E,).
    kind
        Of each atom, (M,).
    used
        Set where a center of a kind has a neighbor of a kind of bond and of atom, (kinds, 4, kinds) bool.

    Returns
    -------
    bounds
        Where each slot begins and the last one ends, (N, slots + 1).
    sorted
        Numbers of the neighbors, (E,).
    """
    centers, kinds = len(start) - 1, used.shape[0]
    slots = used.shape[1] * kinds
    bounds = np.empty((centers, slots + 1), np.int64)
    ordered = np.empty(len(neighbor), np.int32)
    place = np.empty(slots, np.int64)
    for i in range(centers):
        place[:] = 0
        for e in range(start[i], start[i + 1]):
            bond, j = (neighbor[e] >> 30) & 3, neighbor[e] & NEIGHBOR_BITS
            place[bond * kinds + kind[j]] += 1
            used[kind[i], bond, kind[j]] = True
        begin = start[i]
        for s in range(slots):
            bounds[i, s] = begin
            begin += place[s]
            place[s] = bounds[i, s]
        bounds[i, slots] = begin
        for e in range(start[i], start[i + 1]):
            bond, j = (neighbor[e] >> 30) & 3, neighbor[e] & NEIGHBOR_BITS
            s = bond * kinds + kind[j]
            ordered[place[s]] = j
            place[s] += 1
    return bounds, ordered


@compiled
def columns_of_slots(bounds: Any, width: int) -> int:
    """Columns for the neighbors of any center, each slot of ``bounds`` (N, slots + 1) in whole vectors."""
    slots = bounds.shape[1] - 1
    most = 1
    for i in range(bounds.shape[0]):
        most = max(most, bounds[i, slots] - bounds[i, 0])
    return (most + width - 1) // width * width + slots * width


@compiled
def with_ghosts(center: Any, neighbor: Any, shift: Any, kind: Any, atom_count: int) -> Any:
    """Order edges by center and make a ghost of every image that is a neighbor.

    Ghosts are numbered as they are met. Each lattice vector has a table of all atoms, which is how an image is found
    again: 4 bytes for each atom and vector.

    Parameters
    ----------
    center, neighbor, kind
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
        Number of the neighbor, N and above for ghosts, with the kind of bond in bits 30 and 31, (E,).
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
    place = start[:-1].copy()
    listed = np.empty(edges, np.int64)
    owner, moved = np.empty(total, np.int64), np.empty((total - atom_count, 3), np.int64)
    for i in range(atom_count):
        owner[i] = i
    for e in range(edges):
        image = 0
        for axis in range(3):
            image = image * size[axis] + int(shift[e, axis]) - low[axis]
        i, j = center[e], number[image, neighbor[e]]
        listed[place[i]] = j | (np.int64(kind[e]) << 30)
        place[i] += 1
        owner[j] = neighbor[e]
        if j >= atom_count:
            for axis in range(3):
                moved[j - atom_count, axis] = int(shift[e, axis])
    return start, listed, owner, moved
