"""Compiled loops over edges: lists by center, and sums over edges."""

from __future__ import annotations

from typing import Any

import numpy as np

from gnnformd.model.kernels.places import (
    compiled,
)

__all__ = ["edges_by_center", "sort_into_slots", "to_half_edges", "to_neighbors"]


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
            bond, j = (neighbor[e] >> 30) & 3, neighbor[e] & 0x1FFFFFFF
            place[bond * kinds + kind[j]] += 1
            used[kind[i], bond, kind[j]] = True
        begin = start[i]
        for s in range(slots):
            bounds[i, s] = begin
            begin += place[s]
            place[s] = bounds[i, s]
        bounds[i, slots] = begin
        for e in range(start[i], start[i + 1]):
            bond, j = (neighbor[e] >> 30) & 3, neighbor[e] & 0x1FFFFFFF
            s = bond * kinds + kind[j]
            ordered[place[s]] = j
            place[s] += 1
    return bounds, ordered
